//! How many deliveries to one user are at work, and whether one of them hangs.
//!
//! A disk may hang for hours, and a thread that waits for it cannot be called back. So nobody waits
//! for a delivery for ever, and no user's mail takes all threads: only so many of his deliveries are
//! at work at a time, and others wait for their turn without a thread. Once one of them took so long
//! that nobody waits for it any more, none begins until it has ended. Those who bring his mail are
//! told at once to come again, and the mail of all others goes on.
//!
//! What nobody waits for any more goes on all the same, and is recorded when it ends: a repeat finds
//! it in the journal.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use mail_common::lock;
use mail_proto::address::Address;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;

/// So many of one user's deliveries are at work at a time: half of the threads that there are. A
/// user who gets much mail at once has no use for more, because their syncs wait for each other.
pub(crate) const MOST: usize = 16;

/// The lines of all users.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<Address, Weak<Line>>>);

/// The deliveries to one user.
#[derive(Debug)]
pub(crate) struct Line {
    user: Address,
    free: Arc<Semaphore>,
    /// Of those at work, how many nobody waits for any more.
    given_up: AtomicUsize,
}

/// Held by who delivers, as long as he does.
#[derive(Debug)]
pub(crate) struct Turn {
    line: Arc<Line>,
    given_up: bool,
    _permit: OwnedSemaphorePermit,
}

impl Turns {
    /// The line of a user.
    pub(crate) fn of(&self, user: &Address) -> Arc<Line> {
        let mut all = lock(&self.0);
        if let Some(line) = all.get(user).and_then(Weak::upgrade) {
            return line;
        }
        if all.len() >= all.capacity() {
            all.retain(|_, line| line.strong_count() > 0);
        }
        let (free, given_up) = (Arc::new(Semaphore::new(MOST)), AtomicUsize::new(0));
        let line = Arc::new(Line { user: user.clone(), free, given_up });
        all.insert(user.clone(), Arc::downgrade(&line));
        line
    }
}

impl Line {
    /// Whether a delivery is at work that nobody waits for any more.
    pub(crate) fn hangs(&self) -> bool {
        self.given_up.load(Ordering::Relaxed) > 0
    }

    /// A turn, if there is one now.
    pub(crate) fn try_take(self: &Arc<Self>) -> Option<Turn> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        Some(self.turn(permit))
    }

    /// A turn, when there is one.
    pub(crate) async fn take(self: &Arc<Self>) -> Turn {
        let permit = Arc::clone(&self.free).acquire_owned().await;
        self.turn(permit.expect("it is never closed"))
    }

    /// Whether nobody is at work.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        self.free.available_permits() == MOST
    }

    fn turn(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Turn {
        Turn { line: Arc::clone(self), given_up: false, _permit: permit }
    }
}

impl Turn {
    /// Nobody waits for it any more.
    pub(crate) fn give_up(&mut self) {
        if !self.given_up {
            self.given_up = true;
            self.line.given_up.fetch_add(1, Ordering::Relaxed);
            let user = &self.line.user;
            warn!(%user, "a delivery takes too long: until it ends, there is no other to this user");
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.given_up {
            self.line.given_up.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
