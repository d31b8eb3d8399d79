//! One operation, with trouble at its n-th system call.
//!
//! strace counts the calls of each kind apart, so each kind is swept by itself. A first run without
//! trouble shows how many calls of a kind there are before the operation and in it; the operation
//! stands between two calls that nothing else makes. A process that is to be killed dies before
//! the call is made: all moments between two calls come up.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use rustix::process::Signal;

use super::promises::{LineOf, MARK, Promises, Said};

/// What happens at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// kill -9
    Kill,
    /// The call is not made and says EIO.
    Eio,
    /// The call is not made and says ENOSPC.
    Enospc,
    /// The call is not made and says EINTR.
    Eintr,
}

/// Where it happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// What.
    pub trouble: Trouble,
    /// The kind of call.
    pub call: String,
    /// Which one of that kind, from 1, since the process started.
    pub number: usize,
}

/// What a run told.
#[derive(Debug)]
pub struct Run<P: Promises> {
    /// The program's lines.
    pub lines: Vec<LineOf<P>>,
    /// How it ended; strace ends as the traced process does.
    pub status: ExitStatus,
    /// Whether the trouble came.
    pub troubled: bool,
    /// What it said on its standard error.
    pub said: String,
}

impl Spot {
    /// Whether the sync of a file says EIO.
    #[must_use]
    pub fn is_failed_sync(&self) -> bool {
        self.trouble == Trouble::Eio && self.call == "fdatasync"
    }
}

impl<P: Promises> Run<P> {
    /// Whether anything was answered NO.
    #[must_use]
    pub fn was_refused(&self) -> bool {
        self.lines.iter().any(|line| matches!(line.said, Said::Refused(_)))
    }
}

/// Calls on files, of which some are never made: a `?` stands before what not every machine has.
const CALLS: &str = "?open,openat,read,pread64,?readv,write,pwrite64,?writev,lseek,?stat,?lstat,\
    fstat,newfstatat,statx,getdents64,fsync,fdatasync,sync_file_range,?rename,renameat,renameat2,\
    ?link,linkat,?unlink,unlinkat,?mkdir,mkdirat,?rmdir,ftruncate,fallocate,utimensat,flock,\
    copy_file_range,sendfile,splice,fchmod,fchmodat";

/// Of which calls file systems say so.
const FILLS: &str = "open openat write pwrite64 writev fsync fdatasync rename renameat renameat2 \
    link linkat mkdir mkdirat ftruncate fallocate utimensat copy_file_range sendfile splice";
const WAITS: &str = "open openat read pread64 readv write pwrite64 writev fsync fdatasync flock \
    ftruncate fallocate copy_file_range sendfile splice";
const NEVER_FAILS: &str = "lseek flock";

fn is_possible(trouble: Trouble, call: &str) -> bool {
    let is_in = |calls: &str| calls.split(' ').any(|one| one == call);
    match trouble {
        Trouble::Kill => true,
        Trouble::Eio => !is_in(NEVER_FAILS),
        Trouble::Enospc => is_in(FILLS),
        Trouble::Eintr => is_in(WAITS),
    }
}

/// Runs `history` without trouble, and finds all spots of a trouble in the last operation.
///
/// # Panics
/// If strace cannot run here.
#[must_use]
pub fn spots<P: Promises>(
    history: &Path,
    mail: &Path,
    operations: &[P::Operation],
    swept: usize,
    troubles: &[Trouble],
) -> Vec<Spot> {
    let text = trace::<P>(history, mail, operations);
    let mut marks = 0;
    let mut before: BTreeMap<&str, usize> = BTreeMap::new();
    let mut within: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for (_, call) in text.lines().filter_map(call_of) {
        if call == MARK {
            marks += 1;
            continue;
        }
        let count = before.entry(call).or_default();
        *count += 1;
        if marks == swept * 2 + 1 {
            within.entry(call).or_default().insert(*count);
        }
    }
    assert_eq!(marks, operations.len() * 2, "marks around the operations");
    possible(troubles, &within)
}

/// Runs a history without trouble, and finds all spots of a trouble from its first operation on. It
/// may have threads: strace counts the calls of each apart, so a spot may come up in more than one
/// of them, in whichever is there first.
///
/// # Panics
/// If strace cannot run here.
#[must_use]
pub fn all_spots<P: Promises>(
    history: &Path,
    directory: &Path,
    operations: &[P::Operation],
    troubles: &[Trouble],
) -> Vec<Spot> {
    let text = trace::<P>(history, directory, operations);
    let mut begun = false;
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut numbers: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for (thread, call) in text.lines().filter_map(call_of) {
        begun |= call == MARK;
        let count = counts.entry((thread, call)).or_default();
        *count += 1;
        if begun && call != MARK {
            numbers.entry(call).or_default().insert(*count);
        }
    }
    possible(troubles, &numbers)
}

/// Runs `history` undisturbed.
///
/// # Panics
/// If it does not run.
#[must_use]
pub fn undisturbed<P: Promises>(
    history: &Path,
    mail: &Path,
    operations: &[P::Operation],
) -> Run<P> {
    start(Command::new(history), mail, operations, None)
}

/// Runs `history` with trouble at one spot.
///
/// # Panics
/// If strace cannot run here.
#[must_use]
pub fn run<P: Promises>(
    history: &Path,
    mail: &Path,
    operations: &[P::Operation],
    spot: &Spot,
) -> Run<P> {
    let trace = tempfile::NamedTempFile::new().expect("the directory is writable");
    let what = match spot.trouble {
        Trouble::Kill => "signal=KILL",
        Trouble::Eio => "error=EIO",
        Trouble::Enospc => "error=ENOSPC",
        Trouble::Eintr => "error=EINTR",
    };
    let inject = format!("inject={}:{what}:when={}", spot.call, spot.number);
    let mut strace = Command::new("strace");
    strace.arg("-o").arg(trace.path()).args(["-e", &format!("trace={}", spot.call)]);
    strace.args(["-e", &inject]);
    if spot.trouble != Trouble::Kill {
        // With it, a signal would be lost.
        strace.arg("--seccomp-bpf");
    }
    strace.args(["-f", "-qq"]).arg(history);
    start(strace, mail, operations, Some(trace.path()))
}

fn start<P: Promises>(
    mut command: Command,
    mail: &Path,
    operations: &[P::Operation],
    trace: Option<&Path>,
) -> Run<P> {
    let mut child = command
        .arg("run-again")
        .arg(mail)
        // The loader would look for its libraries in many places.
        .env_remove("LD_LIBRARY_PATH")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("strace is in Debian's package strace");
    let mut text = Vec::new();
    for operation in operations {
        serde_json::to_writer(&mut text, operation).expect("has no maps with odd keys");
        text.push(b'\n');
    }
    // It fits the pipe; who was killed reads no more.
    let _ = child.stdin.take().expect("is piped").write_all(&text);
    let output = child.wait_with_output().expect("it is our child");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("PTRACE"), "strace may not trace here: {said}");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    // The last line may be half a line of who was killed.
    let lines = told.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let status = output.status;
    let troubled = status.signal() == Some(Signal::KILL.as_raw())
        || trace.is_some_and(|trace| {
            fs::read_to_string(trace).expect("strace wrote it").contains("(INJECTED)")
        });
    Run { lines, status, troubled, said }
}

/// What strace sees of a run without trouble.
fn trace<P: Promises>(history: &Path, directory: &Path, operations: &[P::Operation]) -> String {
    let trace = tempfile::NamedTempFile::new().expect("the directory is writable");
    let mut strace = Command::new("strace");
    strace.arg("-o").arg(trace.path()).args(["-e", &format!("trace={CALLS},{MARK}")]);
    strace.args(["-f", "-qq", "--seccomp-bpf"]).arg(history);
    let run = start::<P>(strace, directory, operations, None);
    assert!(run.status.success(), "a run without trouble: {}", run.said);
    fs::read_to_string(trace.path()).expect("strace wrote it")
}

/// The thread and the call of a line such as `4711 fsync(3) = 0`; `None`: the end of a call that
/// another thread's came between.
fn call_of(line: &str) -> Option<(&str, &str)> {
    let (before, _) = line.split_once('(')?;
    let (thread, call) = before.split_once(' ')?;
    let call = call.trim_start();
    (!call.starts_with('<')).then_some((thread, call))
}

/// Where these troubles can come, by call and its numbers.
fn possible(troubles: &[Trouble], numbers: &BTreeMap<&str, BTreeSet<usize>>) -> Vec<Spot> {
    let mut spots = Vec::new();
    for trouble in troubles {
        for (call, numbers) in numbers.iter().filter(|(call, _)| is_possible(*trouble, call)) {
            let spot = |number: &usize| Spot {
                trouble: *trouble,
                call: (*call).to_owned(),
                number: *number,
            };
            spots.extend(numbers.iter().map(spot));
        }
    }
    spots
}
