//! Messages that several sessions add to one mailbox at the same time share the costly part.
//!
//! Each writes its own file in `tmp` and makes it last, without any lock. Then it joins those who
//! wait for the mailbox. Whoever finds nobody at work does it for all who wait by then: one lock,
//! one rename for each file, one sync of the UID list and of each directory, one transaction. Those
//! who come meanwhile are the next group, and the first of them does its work.
//!
//! Who leads a group waits a moment for those whose files are on their way to the disk already: the
//! disk makes several of them last in one go, so they are not far behind.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::StoreError;
use super::mailbox::Mailbox;
use super::store::Located;
use super::whole::{self, Whole};

/// The messages that wait to get into a mailbox.
#[derive(Debug, Default)]
pub(super) struct Commits {
    line: Mutex<Line>,
    /// For who leads, while it waits for others.
    arrival: Condvar,
}

#[derive(Debug, Default)]
struct Line {
    waiting: Vec<Waiting>,
    /// How many are writing their files.
    coming: usize,
    work: Work,
}

/// A message, and who waits for it.
#[derive(Debug)]
struct Waiting {
    message: Whole,
    session: SyncSender<Turn>,
}

/// What those who wait are told.
#[derive(Debug)]
enum Turn {
    /// It is their turn to work for all who wait.
    Lead,
    /// What became of the message.
    Done(Result<Located, StoreError>),
}

/// Whether somebody is adding messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Work {
    #[default]
    Idle,
    UnderWay,
}

/// Somebody who is writing a file, and will join those who wait if that succeeds.
#[derive(Debug)]
pub(super) struct Coming<'commits>(&'commits Commits);

/// At most so many at a time: those who wait want to be told some day.
const GROUP: usize = 256;

/// For at most so long a group waits for those who are on their way.
const MOMENT: Duration = Duration::from_millis(2);

impl Commits {
    /// Says that a message is on its way.
    pub(super) fn announce(&self) -> Coming<'_> {
        self.line().coming += 1;
        Coming(self)
    }

    /// Does the work for all who wait.
    fn lead(&self, mailbox: &Mailbox, line: MutexGuard<'_, Line>) {
        let mut line = self.gather(line);
        let count = line.waiting.len().min(GROUP);
        let group = line.waiting.drain(..count).map(|waiting| (waiting.session, waiting.message));
        let (sessions, messages): (Vec<_>, Vec<_>) = group.unzip();
        drop(line);
        let mut group = Group { commits: self, sessions, results: Vec::new() };
        group.results = whole::commit_all(mailbox, messages);
    }

    /// Waits for those who are on their way now, for a moment.
    fn gather<'line>(&self, mut line: MutexGuard<'line, Line>) -> MutexGuard<'line, Line> {
        let until = Instant::now() + MOMENT;
        let all = (line.waiting.len() + line.coming).min(GROUP);
        while line.waiting.len() < all.min(line.waiting.len() + line.coming) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.arrival.wait_timeout(line, left);
            line = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        line
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Coming<'_> {
    /// Adds the message, which was made to last in `tmp`.
    pub(super) fn join(self, mailbox: &Mailbox, message: Whole) -> Result<Located, StoreError> {
        let commits = self.0;
        // Room for what is told: nobody who tells waits.
        let (session, turns) = sync_channel(2);
        let mut line = commits.line();
        line.waiting.push(Waiting { message, session });
        match line.work {
            Work::UnderWay => {
                drop(line);
                drop(self);
            }
            Work::Idle => {
                line.work = Work::UnderWay;
                drop(line);
                drop(self);
                commits.lead(mailbox, commits.line());
            }
        }
        wait(&turns, || commits.lead(mailbox, commits.line()))
    }
}

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        self.0.line().coming -= 1;
        self.0.arrival.notify_one();
    }
}

/// Waits to be told what became of a message.
fn wait(turns: &Receiver<Turn>, lead: impl Fn()) -> Result<Located, StoreError> {
    loop {
        match turns.recv() {
            Ok(Turn::Lead) => lead(),
            Ok(Turn::Done(result)) => return result,
            Err(_) => {
                let error = io::Error::other("the work on it ended early");
                return Err(StoreError::system("message".into(), error));
            }
        }
    }
}

/// Those whose messages are being added. Dropped, it tells them, whatever happened; those without
/// a result find their senders gone.
#[derive(Debug)]
struct Group<'commits> {
    commits: &'commits Commits,
    sessions: Vec<SyncSender<Turn>>,
    results: Vec<Result<Located, StoreError>>,
}

impl Drop for Group<'_> {
    fn drop(&mut self) {
        for (session, result) in self.sessions.drain(..).zip(self.results.drain(..)) {
            // Whoever waits listens to the end.
            let _ = session.try_send(Turn::Done(result));
        }
        let mut line = self.commits.line();
        match line.waiting.first() {
            Some(next) => {
                let _ = next.session.try_send(Turn::Lead);
            }
            None => line.work = Work::Idle,
        }
    }
}
