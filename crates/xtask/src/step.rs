//! Running commands, and failing with a word on what to do next.

use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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
    let status = command.status().map_err(|error| Failure::new(show(command, &error), next))?;
    if status.success() { Ok(()) } else { Err(Failure::new(show(command, &status), next)) }
}

/// Runs a command and returns what it writes to its output.
pub(crate) fn output(command: &mut Command, next: &str) -> Result<String, Failure> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Failure::new(show(command, &error), next))?;
    if !output.status.success() {
        return Err(Failure::new(show(command, &output.status), next));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command and hands on each line that it writes to its output, as it comes.
pub(crate) fn watch(
    command: &mut Command,
    next: &str,
    mut take: impl FnMut(&str),
) -> Result<(), Failure> {
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| Failure::new(show(command, &error), next))?;
    let output = child.stdout.take().expect("it is piped");
    for line in BufReader::new(output).split(b'\n') {
        let line = line.map_err(|error| Failure::new(show(command, &error), next))?;
        take(&String::from_utf8_lossy(&line));
    }
    let status = child.wait().map_err(|error| Failure::new(show(command, &error), next))?;
    if status.success() { Ok(()) } else { Err(Failure::new(show(command, &status), next)) }
}

fn show(command: &Command, why: &dyn fmt::Display) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect();
    format!("{}: {why}", words.join(" "))
}
