//! How many deliveries to one user are at work, and whether one of them hangs.
//!
//! A disk may hang for hours, and a thread that waits for it cannot be called back. So nobody waits
//! for a delivery for ever, and no user's mail takes all threads: only so many of his deliveries are
//! at work at a time, and others wait for their turn without a thread. Once one of them took so long
//! that nobody waits for it any more, none begins until it has ended. Those who bring his mail are
//! told at once to come again, and the mail of all others goes on. So it is with all users of a disk
//! once all of its threads are taken by such deliveries ([`crate::disks`]).
//!
//! A turn lasts until others were told of what was delivered, which may hang as well, when its sender
//! has his answer and waits no more. So no other begins either where all turns are taken and none of
//! them has begun or ended for a minute.
//!
//! As long as it is not known which disk a user's mail is on, he has one turn: whoever takes it asks.
//! A disk that hangs when it is asked takes one thread for each user then, and not [`MOST`].
//!
//! What nobody waits for any more goes on all the same, and is recorded when it ends: a repeat finds
//! it in the journal.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mail_common::lock;
use mail_proto::address::Address;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tracing::warn;

use crate::batch::PATIENCE;
use crate::disks::Disk;

/// So many of one user's deliveries are at work at a time: half of the threads that there are. A
/// user who gets much mail at once has no use for more, because their syncs wait for each other.
pub(crate) const MOST: usize = 16;

/// So many users without a delivery at work are remembered.
const REMEMBERED: usize = 16_384;

/// So often the log is told that a user's mail is put off.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// So long a user's mail is taken to be where it was.
const LASTS: Duration = Duration::from_secs(60);

/// The lines of all users.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<Address, Arc<Line>>>);

/// The deliveries to one user.
#[derive(Debug)]
pub(crate) struct Line {
    user: Address,
    free: Arc<Semaphore>,
    /// Of those at work, how many nobody waits for any more.
    given_up: AtomicUsize,
    /// When one of them last began or ended.
    moved: Mutex<Instant>,
    /// Where the user's mail is, and when that was seen.
    disk: Mutex<Option<(Arc<Disk>, Instant)>>,
    /// When the log was last told that his mail is put off.
    told: Mutex<Option<Instant>>,
}

/// Held by who delivers, as long as he does.
#[derive(Debug)]
pub(crate) struct Turn {
    line: Arc<Line>,
    disk: Arc<Disk>,
    given_up: bool,
    _permit: OwnedSemaphorePermit,
}

impl Turns {
    /// The line of a user.
    pub(crate) fn of(&self, user: &Address) -> Arc<Line> {
        let mut all = lock(&self.0);
        if let Some(line) = all.get(user) {
            return Arc::clone(line);
        }
        if all.len() >= REMEMBERED {
            all.retain(|_, line| Arc::strong_count(line) > 1);
        }
        let (free, given_up) = (Arc::new(Semaphore::new(1)), AtomicUsize::new(0));
        let (moved, disk) = (Mutex::new(Instant::now()), Mutex::default());
        let line = Line { user: user.clone(), free, given_up, moved, disk, told: Mutex::default() };
        Arc::clone(all.entry(user.clone()).or_insert(Arc::new(line)))
    }
}

impl Line {
    /// Whether a delivery is at work that nobody waits for any more, or no turn comes free, or the
    /// disk hangs: this one as long as the user's own is unknown.
    pub(crate) fn hangs(&self, unknown: &Disk) -> bool {
        let disk_hangs = || self.disk().map_or(unknown.hangs(), |disk| disk.hangs());
        self.given_up.load(Ordering::Relaxed) > 0 || self.stands_still() || disk_hangs()
    }

    /// Whether the log is to be told that mail is put off. It was told then: a log takes one line at
    /// a time, and mail that is put off comes again and again.
    pub(crate) fn is_to_be_told(&self) -> bool {
        let mut told = lock(&self.told);
        let is_due = told.is_none_or(|told| told.elapsed() >= TOLD_EVERY);
        if is_due {
            *told = Some(Instant::now());
        }
        is_due
    }

    /// Where the user's mail is, if that was seen.
    pub(crate) fn disk(&self) -> Option<Arc<Disk>> {
        lock(&self.disk).as_ref().map(|(disk, _)| Arc::clone(disk))
    }

    /// Whether that was seen long ago.
    pub(crate) fn is_out_of_date(&self) -> bool {
        lock(&self.disk).as_ref().is_none_or(|(_, seen)| seen.elapsed() > LASTS)
    }

    /// The user's mail is there. Once that is known, there are all turns.
    pub(crate) fn is_on(&self, disk: &Arc<Disk>) {
        let mut known = lock(&self.disk);
        if known.replace((Arc::clone(disk), Instant::now())).is_none() {
            self.free.add_permits(MOST - 1);
        }
    }

    /// A turn, if there is one now: where the user's mail is, or here as long as that is unknown.
    pub(crate) fn try_take(self: &Arc<Self>, unknown: &Arc<Disk>) -> Option<Turn> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        Some(self.turn(permit, unknown))
    }

    /// The same, when there is one.
    pub(crate) async fn take(self: &Arc<Self>, unknown: &Arc<Disk>) -> Turn {
        let permit = Arc::clone(&self.free).acquire_owned().await;
        self.turn(permit.expect("it is never closed"), unknown)
    }

    /// Whether nobody is at work.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        self.free.available_permits() == self.disk().map_or(1, |_| MOST)
    }

    fn stands_still(&self) -> bool {
        self.free.available_permits() == 0 && lock(&self.moved).elapsed() >= PATIENCE
    }

    fn moves(&self) {
        *lock(&self.moved) = Instant::now();
    }

    fn turn(self: &Arc<Self>, permit: OwnedSemaphorePermit, unknown: &Arc<Disk>) -> Turn {
        self.moves();
        let disk = self.disk().unwrap_or_else(|| Arc::clone(unknown));
        Turn { line: Arc::clone(self), disk, given_up: false, _permit: permit }
    }
}

impl Turn {
    /// Whose it is.
    pub(crate) fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// Where it is.
    pub(crate) fn disk(&self) -> &Arc<Disk> {
        &self.disk
    }

    /// It goes on there.
    pub(crate) fn moves_to(&mut self, disk: &Arc<Disk>) {
        if self.given_up {
            self.disk.ended();
            disk.give_up();
        }
        self.disk = Arc::clone(disk);
    }

    /// Nobody waits for it any more.
    pub(crate) fn give_up(&mut self) {
        if !self.given_up {
            self.given_up = true;
            self.line.given_up.fetch_add(1, Ordering::Relaxed);
            self.disk.give_up();
            let user = &self.line.user;
            warn!(%user, "a delivery takes too long: until it ends, there is no other to this user");
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.line.moves();
        if self.given_up {
            self.line.given_up.fetch_sub(1, Ordering::Relaxed);
            self.disk.ended();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_log_is_told_of_each_user_once_in_a_while() {
        let turns = Turns::default();
        let [ann, bob] = ["ann", "bob"]
            .map(|name| turns.of(&format!("{name}@example.org").parse().expect("an address")));
        for _ in 0..2 {
            assert!(ann.is_to_be_told());
            assert!(!ann.is_to_be_told());
            tokio::time::sleep(TOLD_EVERY / 2).await;
            assert!(!ann.is_to_be_told());
            assert!(bob.is_to_be_told());
            tokio::time::sleep(TOLD_EVERY / 2).await;
        }
    }
}
