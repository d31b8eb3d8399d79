//! Messages that several sessions add to one mailbox at the same time share the costly part.
//!
//! Each writes its own file in `tmp` and makes it last, without any lock. Then it joins those who
//! wait for the mailbox. Whoever finds nobody at work does it for all who wait by then: one lock,
//! one rename for each file, one sync of the UID list and of each directory, one transaction. Those
//! who come meanwhile are the next group.

use std::collections::HashMap;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::append::Appending;
use super::mailbox::Mailbox;
use super::store::Located;
use super::{StoreError, append};

/// The messages that wait to get into a mailbox.
#[derive(Debug, Default)]
pub(super) struct Commits {
    line: Mutex<Line>,
    turn: Condvar,
}

#[derive(Debug, Default)]
struct Line {
    waiting: Vec<(Ticket, Appending)>,
    done: HashMap<Ticket, Result<Located, StoreError>>,
    last: Ticket,
    work: Work,
}

/// Whether somebody is adding messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Work {
    #[default]
    Idle,
    UnderWay,
}

/// Who waits.
type Ticket = u64;

/// At most so many at a time: those who wait want to be told some day.
const GROUP: usize = 256;

impl Commits {
    /// Adds a message, which was made to last in `tmp`.
    pub(super) fn join(
        &self,
        mailbox: &Mailbox,
        message: Appending,
    ) -> Result<Located, StoreError> {
        let mut line = self.line();
        line.last += 1;
        let ticket = line.last;
        line.waiting.push((ticket, message));
        loop {
            if let Some(result) = line.done.remove(&ticket) {
                return result;
            }
            line = match line.work {
                Work::Idle => self.lead(mailbox, line),
                Work::UnderWay => self.turn.wait(line).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Adds the messages of all who wait.
    fn lead<'line>(
        &'line self,
        mailbox: &Mailbox,
        mut line: MutexGuard<'line, Line>,
    ) -> MutexGuard<'line, Line> {
        line.work = Work::UnderWay;
        let count = line.waiting.len().min(GROUP);
        let (tickets, messages): (Vec<Ticket>, Vec<Appending>) =
            line.waiting.drain(..count).unzip();
        drop(line);
        let mut group = Group { commits: self, tickets, results: Vec::new() };
        group.results = append::commit_all(mailbox, messages);
        drop(group);
        self.line()
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those whose messages are being added. Dropped, it tells them, whatever happened.
#[derive(Debug)]
struct Group<'commits> {
    commits: &'commits Commits,
    tickets: Vec<Ticket>,
    results: Vec<Result<Located, StoreError>>,
}

impl Drop for Group<'_> {
    fn drop(&mut self) {
        let died = || {
            let error = io::Error::other("the work on it ended early");
            Err(StoreError::System { path: "message".into(), error })
        };
        let results = self.results.drain(..).chain(std::iter::repeat_with(died));
        let mut line = self.commits.line();
        line.done.extend(self.tickets.drain(..).zip(results));
        line.work = Work::Idle;
        drop(line);
        self.commits.turn.notify_all();
    }
}
