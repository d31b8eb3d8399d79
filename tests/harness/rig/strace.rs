//! One operation, with trouble at its n-th system call.
//!
//! strace counts the calls of each kind apart, so each kind is swept by itself. A first run without
//! trouble shows how many calls of a kind there are before the operation and in it; the operation
//! stands between two calls that nothing else makes. A process that is to be killed dies before
//! the call is made: all moments between two calls come up.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::driver::MARK;
use super::operation::{Line, Operation};

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
pub struct Run {
    /// The driver's lines.
    pub lines: Vec<Line>,
    /// Whether it ended well.
    pub ended_well: bool,
    /// Whether the trouble came.
    pub troubled: bool,
    /// What it said on its standard error.
    pub said: String,
}

/// Calls on files, of which some are never made: a `?` stands before what not every machine has.
const CALLS: &str = "?open,openat,read,pread64,?readv,write,pwrite64,?writev,lseek,?stat,?lstat,\
    fstat,newfstatat,statx,getdents64,fsync,fdatasync,sync_file_range,?rename,renameat,renameat2,\
    ?link,linkat,?unlink,unlinkat,?mkdir,mkdirat,?rmdir,ftruncate,fallocate,utimensat,flock,fcntl,\
    copy_file_range,sendfile,splice,fchmod,fchmodat,close";

/// What no file system says with that error.
fn is_possible(trouble: Trouble, call: &str) -> bool {
    match trouble {
        Trouble::Kill => true,
        // The kernel closes in any case.
        Trouble::Eio => !["close", "flock", "fcntl", "lseek"].contains(&call),
        Trouble::Enospc => [
            "openat", "write", "pwrite64", "fsync", "fdatasync", "renameat", "renameat2", "linkat",
            "mkdirat", "ftruncate", "fallocate", "utimensat", "copy_file_range",
        ]
        .contains(&call),
        Trouble::Eintr => [
            "openat", "read", "pread64", "write", "pwrite64", "fsync", "fdatasync", "flock",
            "ftruncate", "fallocate", "copy_file_range",
        ]
        .contains(&call),
    }
}

/// Runs `history` without trouble, and finds all spots of a trouble in the last operation.
///
/// # Panics
/// If strace cannot run here.
#[must_use]
pub fn spots(
    history: &Path,
    mail: &Path,
    operations: &[Operation],
    swept: usize,
    troubles: &[Trouble],
) -> Vec<Spot> {
    let trace = tempfile::NamedTempFile::new().expect("the directory is writable");
    let mut strace = Command::new("strace");
    strace.arg("-o").arg(trace.path()).args(["-e", &format!("trace={CALLS},{MARK}")]);
    let run = start(strace, history, mail, operations, None);
    assert!(run.ended_well, "a run without trouble: {}", run.said);
    let text = fs::read_to_string(trace.path()).expect("strace wrote it");
    let mut marks = 0;
    let mut before: BTreeMap<&str, usize> = BTreeMap::new();
    let mut within: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for call in text.lines().filter_map(|line| line.split_once('(')).map(|(call, _)| call) {
        if call == MARK {
            marks += 1;
            continue;
        }
        let count = before.entry(call).or_default();
        *count += 1;
        if marks == swept * 2 + 1 {
            within.entry(call).or_default().push(*count);
        }
    }
    assert_eq!(marks, operations.len() * 2, "marks in {text}");
    let mut spots = Vec::new();
    for trouble in troubles {
        for (call, numbers) in within.iter().filter(|(call, _)| is_possible(*trouble, call)) {
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

/// Runs `history` with trouble at one spot.
///
/// # Panics
/// If strace cannot run here.
#[must_use]
pub fn run(history: &Path, mail: &Path, operations: &[Operation], spot: &Spot) -> Run {
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
    start(strace, history, mail, operations, Some(trace.path()))
}

fn start(
    mut strace: Command,
    history: &Path,
    mail: &Path,
    operations: &[Operation],
    trace: Option<&Path>,
) -> Run {
    let mut child = strace
        .args(["-f", "-qq", "--seccomp-bpf"])
        .arg(history)
        .args(["run-again"])
        .arg(mail)
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
    let troubled = trace.is_some_and(|trace| {
        let text = fs::read_to_string(trace).expect("strace wrote it");
        text.contains("(INJECTED)") || text.contains("killed by SIGKILL")
    });
    Run { lines, ended_well: output.status.success(), troubled, said }
}
