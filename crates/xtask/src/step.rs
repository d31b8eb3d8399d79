//! Running commands, and failing with a word on what to do next.

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// Why a task stopped.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What did not work.
    pub(crate) what: String,
    /// What to do next.
    pub(crate) next: String,
}

impl Failure {
    pub(crate) fn new(what: impl fmt::Display, next: impl fmt::Display) -> Self {
        Self { what: what.to_string(), next: next.to_string() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed: {}\n  next: {}", self.what, self.next)
    }
}

/// The workspace's directory.
pub(crate) fn workspace() -> &'static Path {
    let this = Path::new(env!("CARGO_MANIFEST_DIR"));
    this.ancestors().nth(2).expect("this crate is two folders below the workspace")
}

/// Where cargo builds: this program was built there too.
pub(crate) fn target() -> PathBuf {
    let this = std::env::current_exe().unwrap_or_default();
    this.ancestors().nth(2).map_or_else(|| workspace().join("target"), Path::to_path_buf)
}

/// cargo in the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(workspace());
    command
}

/// Runs a command that speaks for itself.
pub(crate) fn run(command: &mut Command, next: &str) -> Result<(), Failure> {
    let status = command.status();
    judge(status, &words(command), next)
}

/// Runs a command and returns what it writes to its output.
pub(crate) fn output(command: &mut Command, next: &str) -> Result<String, Failure> {
    let mut octets = Vec::new();
    let status = command.stderr(Stdio::inherit()).output().map(|output| {
        octets = output.stdout;
        output.status
    });
    judge(status, &words(command), next)?;
    Ok(String::from_utf8_lossy(&octets).into_owned())
}

/// Runs a command and hands on each line that it writes to its output, as it comes.
pub(crate) fn watch(
    command: &mut Command,
    next: &str,
    mut take: impl FnMut(&str),
) -> Result<(), Failure> {
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let status = spawned.and_then(|mut child| {
        let output = child.stdout.take().expect("it is piped");
        follow(child, output, &mut take)
    });
    judge(status, &words(command), next)
}

/// The same with what it writes to its errors: one stream for both, so that lines stay in order.
pub(crate) fn watch_all(
    mut command: Command,
    next: &str,
    mut take: impl FnMut(&str),
) -> Result<(), Failure> {
    let words = words(&command);
    let status = std::io::pipe().and_then(|(reader, writer)| {
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        let child = command.spawn()?;
        // The command holds the pipe's writing ends too.
        drop(command);
        follow(child, reader, &mut take)
    });
    judge(status, &words, next)
}

fn follow(
    mut child: Child,
    output: impl Read,
    take: &mut dyn FnMut(&str),
) -> io::Result<ExitStatus> {
    for line in BufReader::new(output).split(b'\n') {
        take(&String::from_utf8_lossy(&line?));
    }
    child.wait()
}

fn judge(status: io::Result<ExitStatus>, words: &str, next: &str) -> Result<(), Failure> {
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(format!("{words}: {status}"), next)),
        Err(error) => Err(Failure::new(format!("{words}: {error}"), next)),
    }
}

fn words(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect();
    words.join(" ")
}
