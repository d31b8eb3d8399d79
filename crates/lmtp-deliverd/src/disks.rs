//! Threads for each file system that mail is on.
//!
//! A disk that hangs keeps every thread that touches it, for hours maybe, and the mail of a hundred
//! users can be on it. So each file system has threads of its own, and what waits for them is nobody
//! else's: however many hang, mail for the others is delivered as ever. Which one a user's mail is on
//! is asked when his first delivery comes, and remembered; as that may hang too, it is asked on
//! threads that do nothing else. Large messages are spooled on others again.
//!
//! To close a file that has no name any more is such work too: what it takes up on the disk is given
//! back first. Whoever is the last to have it may be anybody, so it is closed on a thread of its disk.
//!
//! Once nobody waits any more for as many pieces of work as there are threads, all that comes is put
//! off at once, until one of them has ended.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use mail_common::lock;
use mail_common::pool::Pool;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

/// So many file systems have threads of their own. Of more, several share.
const MOST: usize = 16;

/// The threads of all.
#[derive(Debug)]
pub(crate) struct Disks {
    threads: NonZeroUsize,
    /// By the number of the device.
    all: Mutex<HashMap<u64, Arc<Disk>>>,
    /// Where it is asked which one it is.
    unknown: Arc<Disk>,
    /// Where large messages are spooled.
    pub(crate) spool: Arc<Disk>,
}

/// The threads of one.
#[derive(Debug)]
pub(crate) struct Disk {
    pool: Pool,
    threads: usize,
    /// Pieces of work that nobody waits for any more.
    given_up: AtomicUsize,
}

/// A piece of work that is waited for, until it is given up.
#[derive(Debug)]
struct Piece {
    disk: Arc<Disk>,
    given_up: AtomicBool,
}

/// What is open, one file or several, and is closed on a thread of its disk.
#[derive(Debug)]
pub(crate) struct OnDisk<T: Send + 'static> {
    disk: Arc<Disk>,
    /// There until it is dropped.
    file: Option<T>,
}

impl Disks {
    /// With so many threads for each; those of `pool` spool.
    pub(crate) fn new(threads: NonZeroUsize, pool: Pool) -> Self {
        let unknown = Arc::new(Disk::new(Pool::new("look", threads), threads));
        let spool = Arc::new(Disk::new(pool, threads));
        Self { threads, all: Mutex::default(), unknown, spool }
    }

    /// As long as it is not known.
    pub(crate) fn unknown(&self) -> &Arc<Disk> {
        &self.unknown
    }

    /// That of a device.
    pub(crate) fn of(&self, device: u64) -> Arc<Disk> {
        let mut all = lock(&self.all);
        if let Some(disk) = all.get(&device) {
            return Arc::clone(disk);
        }
        if all.len() >= MOST {
            let place = usize::try_from(device).unwrap_or_default() % all.len();
            return Arc::clone(all.values().nth(place).unwrap_or(&self.unknown));
        }
        match Pool::open("deliver", self.threads) {
            Ok(pool) => {
                let disk = Arc::new(Disk::new(pool, self.threads));
                all.insert(device, Arc::clone(&disk));
                disk
            }
            Err(error) => {
                warn!(%error, "a file system gets no threads of its own");
                Arc::clone(&self.unknown)
            }
        }
    }
}

impl Disk {
    fn new(pool: Pool, threads: NonZeroUsize) -> Self {
        Self { pool, threads: threads.get(), given_up: AtomicUsize::new(0) }
    }

    /// Whether there can be no thread left that works.
    pub(crate) fn hangs(&self) -> bool {
        self.given_up.load(Ordering::Relaxed) >= self.threads
    }

    /// Does work that nobody waits for here.
    pub(crate) fn run(&self, work: impl FnOnce() + Send + 'static) {
        drop(self.pool.run(work));
    }

    /// Does work, and waits for it; not for longer than until then. `None`: it was not done.
    pub(crate) async fn run_until<T: Send + 'static>(
        self: &Arc<Self>,
        until: Instant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        if self.hangs() {
            return None;
        }
        let piece = Arc::new(Piece { disk: Arc::clone(self), given_up: AtomicBool::new(false) });
        let watched = Arc::downgrade(&piece);
        let work = move || (!piece.given_up.load(Ordering::Relaxed)).then(work);
        let in_time = timeout_at(until, self.pool.run(work)).await;
        if in_time.is_err()
            && let Some(piece) = watched.upgrade()
        {
            piece.give_up();
        }
        in_time.ok().flatten().flatten()
    }

    /// One piece more that nobody waits for.
    pub(crate) fn give_up(&self) {
        self.given_up.fetch_add(1, Ordering::Relaxed);
    }

    /// One of them has ended.
    pub(crate) fn ended(&self) {
        self.given_up.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<T: Send + 'static> OnDisk<T> {
    /// This one, which is on this disk.
    pub(crate) fn new(file: T, disk: &Arc<Disk>) -> Self {
        Self { disk: Arc::clone(disk), file: Some(file) }
    }
}

impl<T: Send + 'static> Deref for OnDisk<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.file.as_ref().expect("it is there until it is dropped")
    }
}

impl<T: Send + 'static> DerefMut for OnDisk<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.file.as_mut().expect("it is there until it is dropped")
    }
}

impl<T: Send + 'static> Drop for OnDisk<T> {
    fn drop(&mut self) {
        let file = self.file.take();
        self.disk.run(move || drop(file));
    }
}

impl Piece {
    fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
        self.disk.give_up();
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if *self.given_up.get_mut() {
            self.disk.ended();
        }
    }
}
