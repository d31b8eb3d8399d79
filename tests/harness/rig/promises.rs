//! What histories of all kinds have in common: a program does operations and says so, and whoever
//! follows its lines knows what was promised.

use std::fmt::Debug;
use std::fs;
use std::io::{self, BufRead as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Everything that was promised.
pub trait Promises: Clone + Send {
    /// Something to do.
    type Operation: Clone + Debug + Sync + Serialize + DeserializeOwned;
    /// What comes with an OK.
    type Answer: Debug + Sync + Serialize + DeserializeOwned;
    /// What is found afterwards.
    type View: Serialize + DeserializeOwned;

    /// Of one who has done nothing yet.
    fn new(harm: Harm) -> Self;

    /// Takes down what the program says.
    ///
    /// # Panics
    /// If an operation ends that did not begin.
    fn take(&mut self, line: &Line<Self::Operation, Self::Answer>);

    /// What of the promises is broken by what is found; empty if none is.
    fn violations(&self, view: &Self::View) -> Vec<String>;
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// The process died, or was told of an error.
    Killed,
    /// What the disk was not told to keep may be gone.
    PowerCut,
}

/// A line of the program's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line<O, A> {
    /// How long the disk's log was then; 0 where there is none. What begins was read before, what
    /// is done after.
    pub at: u64,
    /// What is told.
    pub said: Said<O, A>,
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Said<O, A> {
    /// The next operation begins: from here on it may be done, or half done.
    Begins(O),
    /// It was answered OK.
    Done(A),
    /// It was answered NO.
    Refused(String),
}

/// The lines of a history.
pub type LineOf<P> = Line<<P as Promises>::Operation, <P as Promises>::Answer>;

/// How an operation that was refused goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// With the next one.
    Once,
    /// It is tried a second time.
    Again,
}

/// Which time it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// The first.
    First,
    /// The second: the first was refused.
    Second,
}

/// The system call around each operation, as strace calls it.
pub const MARK: &str = "getpriority";

/// Does what standard input says, one operation a line, to the end: one [`Line`] on standard output
/// before each, one after it. Around each stands a system call that nothing else makes, so that
/// whoever traces it knows where it begins and ends. `log` is the log of the disk, if it has one.
///
/// # Panics
/// If a line is no operation.
pub fn play<P: Promises>(
    log: Option<&Path>,
    patience: Patience,
    mut act: impl FnMut(&P::Operation, Attempt) -> Result<P::Answer, String>,
) {
    let say =
        |said: Said<P::Operation, P::Answer>| print(&Line { at: log.map_or(0, length), said });
    for line in io::stdin().lock().lines() {
        let line = line.expect("can be read");
        let operation: P::Operation = serde_json::from_str(&line).expect("is an operation");
        for attempt in [Attempt::First, Attempt::Second] {
            say(Said::Begins(operation.clone()));
            mark();
            let done = act(&operation, attempt);
            mark();
            let is_over = done.is_ok() || patience == Patience::Once;
            say(done.map_or_else(Said::Refused, Said::Done));
            if is_over {
                break;
            }
        }
    }
}

/// Writes one line of JSON, at once.
///
/// # Panics
/// If nobody reads it any more.
pub fn print(value: &impl Serialize) {
    let mut line = serde_json::to_vec(value).expect("has no maps with odd keys");
    line.push(b'\n');
    io::stdout().lock().write_all(&line).expect("somebody reads this");
}

/// Makes the system call [`MARK`].
fn mark() {
    rustix::process::getpriority_process(None).expect("every process has one");
}

fn length(log: &Path) -> u64 {
    fs::metadata(log).expect("the log is there").size()
}
