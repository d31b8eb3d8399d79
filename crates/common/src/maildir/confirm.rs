//! Mailboxes are listed once more after changes of ours.
//!
//! What another program did to a directory between a change of ours and our look at its time
//! stamps is hidden by them, and so is what it did within the same tick of the kernel's clock. So
//! a mailbox that we changed is [in doubt](super::looks::Hidden) until it was listed at a time when
//! nothing could hide. Nobody waits for that: a thread of the process does it, for one mailbox at a
//! time, once the mailbox is quiet, and also if its last session is gone. What it found is in the
//! log, so that no other process has to look again; a process that died before leaves the doubt in
//! the log too, and whoever opens the mailbox next asks for the listing.
//!
//! The thread looks as if it were another process. It reads the index for itself and takes no lock
//! while it lists: a listing that ends with the time stamps with which it began, at a time when
//! they would show any change, is one moment. Are the files those that the index tells of, one
//! transaction says that it is so. If they are not, what changed is read as always, under lock, and
//! those who wait for news are told.
//!
//! Files are not joined with messages one by one for that: a sum over what is known of each is
//! compared with the sum over the names, which needs no memory.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use mail_proto::mailbox::Flags;

use super::held::Held;
use super::index::{Change, Fact, FactsRead};
use super::known::Known;
use super::looks::{Hidden, Looks};
use super::mailbox::Mailbox;
use super::places::Places;
use super::scan::{Folders, Listed};
use super::tail::Tail;
use super::{StoreError, leftovers, name, tail, watch};
use crate::disk::Lasting;

/// A mailbox is quiet when nothing happened for so long.
const QUIET: Duration = Duration::from_millis(100);
/// A mailbox that we change all the time is listed no more often than this.
const REST: Duration = Duration::from_secs(10);

/// So many mailboxes wait at most; whoever has another one open asks again.
const MOST: usize = 10_000;

/// Asks for a mailbox to be listed once more.
pub(super) fn ask(mailbox: &Mailbox) {
    static QUEUE: LazyLock<&'static Queue> = LazyLock::new(Queue::begin);
    // What a test of another thing does to files must not depend on when that thread runs.
    if !cfg!(test) {
        QUEUE.ask(mailbox);
    }
}

/// Mailboxes that wait to be listed, and those that were a moment ago.
#[derive(Debug, Default)]
pub(super) struct Queue {
    mailboxes: Mutex<HashMap<Places, Waiting>>,
    asked: Condvar,
}

/// One of them.
#[derive(Debug)]
struct Waiting {
    mailbox: Arc<Mailbox>,
    /// Not before then.
    due: Instant,
    /// Whether somebody asked since it was listed last.
    wanted: bool,
}

/// What became of a mailbox that was in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Confirmed {
    /// There is no doubt about it.
    Yes,
    /// It is not quiet yet.
    NotYet,
}

impl Queue {
    /// With a thread that works for it, as long as the process lives.
    pub(super) fn begin() -> &'static Self {
        let queue: &'static Self = Box::leak(Box::default());
        let begun = thread::Builder::new().name("confirm".to_owned()).spawn(|| queue.work());
        if let Err(error) = begun {
            tracing::warn!(%error, "mailboxes are not listed once more after changes");
        }
        queue
    }

    /// As [`ask`].
    pub(super) fn ask(&self, mailbox: &Mailbox) {
        let mut mailboxes = self.mailboxes();
        if let Some(waiting) = mailboxes.get_mut(mailbox.places()) {
            waiting.wanted = true;
            waiting.due = waiting.due.max(Instant::now() + QUIET);
            return;
        }
        if mailboxes.len() >= MOST {
            return;
        }
        let due = Instant::now() + QUIET;
        let waiting = Waiting { mailbox: mailbox.stranger(), due, wanted: true };
        mailboxes.insert(mailbox.places().clone(), waiting);
        self.asked.notify_one();
    }

    fn work(&self) {
        loop {
            let mailbox = self.next();
            let after = match confirm(&mailbox) {
                Ok(Confirmed::Yes) => REST,
                Ok(Confirmed::NotYet) => QUIET,
                Err(error) => {
                    let path = mailbox.path().display();
                    tracing::debug!(mailbox = %path, %error, "cannot list a mailbox once more");
                    REST
                }
            };
            if let Some(waiting) = self.mailboxes().get_mut(mailbox.places()) {
                waiting.due = Instant::now() + after;
                waiting.wanted |= after == QUIET;
            }
        }
    }

    /// The next one whose time has come.
    fn next(&self) -> Arc<Mailbox> {
        let mut mailboxes = self.mailboxes();
        loop {
            let now = Instant::now();
            mailboxes.retain(|_, waiting| waiting.wanted || waiting.due > now);
            let first = mailboxes.values_mut().min_by_key(|waiting| waiting.due);
            let wait = match first {
                None => REST,
                Some(waiting) if waiting.due > now => waiting.due - now,
                Some(waiting) => {
                    waiting.wanted = false;
                    return waiting.mailbox.stranger();
                }
            };
            let woken = self.asked.wait_timeout(mailboxes, wait);
            mailboxes = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn mailboxes(&self) -> MutexGuard<'_, HashMap<Places, Waiting>> {
        self.mailboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lists a mailbox, which nobody else has in hand here, if it is in doubt.
pub(super) fn confirm(mailbox: &Mailbox) -> Result<Confirmed, StoreError> {
    let mut known = mailbox.known();
    let folders = mailbox.folders()?;
    if !known.catch_up(&folders)? {
        // Whoever looks next lists it before all else.
        return Ok(Confirmed::Yes);
    }
    match known.hidden() {
        Hidden::None => return Ok(Confirmed::Yes),
        Hidden::Fresh => return Ok(Confirmed::NotYet),
        Hidden::Ripe => {}
    }
    let before = Looks::at(&folders)?;
    let agree = agree(&mut known, &folders)?;
    let mut held = Held::take(mailbox, known, folders)?;
    let now = Looks::at(&held.folders)?;
    if now != before || now.were_recent() || held.known.hidden() != Hidden::Ripe {
        return Ok(Confirmed::NotYet);
    }
    if agree { held.confirmed(now) } else { held.differs() }.map(|()| Confirmed::Yes)
}

impl Held<'_> {
    /// The files were found to be those that are known.
    fn confirmed(&mut self, now: Looks) -> Result<(), StoreError> {
        let mut marks = self.index().head.marks;
        marks.looks = Some(now);
        leftovers::remove(&self.folders);
        self.transact(vec![Change::Marks(Box::new(marks))], Lasting::No)
    }

    /// They were found to be others.
    fn differs(&mut self) -> Result<(), StoreError> {
        let before = self.snapshot();
        self.relist()?;
        if before != self.snapshot() {
            watch::tell(self.mailbox.path());
        }
        Ok(())
    }
}

/// Whether both directories have the files that are known, and no others.
fn agree(known: &mut Known, folders: &Folders) -> Result<bool, StoreError> {
    let Some(index) = &mut known.index else { return Ok(false) };
    if index.read_facts(&folders.index)? != FactsRead::Yes {
        return Ok(false);
    }
    let mut expected = Sum::default();
    for (entry, fact) in index.facts() {
        expected.add(fact, entry.flags, &index.tail(fact));
    }
    let mut found = Sum::default();
    folders.each(Listed::Both, |place, file| {
        let (flags, tail) = Tail::of(place, file);
        found.add(&Fact::new(name::hash(name::base(file)), 0), flags, &tail);
    })?;
    Ok(expected == found)
}

/// Stands for files, in any order.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sum {
    files: u64,
    sum: u128,
}

impl Sum {
    fn add(&mut self, fact: &Fact, flags: Flags, tail: &Tail) {
        let (form, text) = match tail {
            Tail::New => (0, 0),
            Tail::Plain => (1, 0),
            Tail::Odd { in_new, text } => (2 + u64::from(*in_new), name::hash(text)),
        };
        let letters = flags.keywords & tail::LETTERS;
        let words = [fact.hash, letters | u64::from(flags.system) << 32 | form << 48, text];
        let half = |seed| words.iter().fold(seed, |sum, word| mixed(sum ^ word));
        let file = u128::from(half(1)) << 64 | u128::from(half(2));
        self.sum = self.sum.wrapping_add(file);
        self.files += 1;
    }
}

/// Each bit of a number changes half of those of the other (the finalizer of `SplitMix64`).
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}
