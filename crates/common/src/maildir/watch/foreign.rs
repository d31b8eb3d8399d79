//! What happens in the directories of a mailbox, as the system sees it.
//!
//! One inotify instance and one thread serve all mailboxes of a process: a user may have few
//! instances (128 by default), and many watches.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use super::interests::{Interests, Notice, Notices};

/// A mailbox that the system looks at for us; dropped, it does no more.
#[derive(Debug)]
pub(super) struct Seen {
    watcher: Arc<Watcher>,
    descriptors: Vec<i32>,
    notices: Notices,
}

/// The process's inotify instance.
#[derive(Debug)]
struct Watcher {
    inotify: OwnedFd,
    /// By watch descriptor.
    interests: Mutex<Interests<i32>>,
    ended: AtomicBool,
}

/// Looks at a mailbox; `None` if the system does not do it.
pub(super) fn look(mailbox: &Path, notices: &Notices) -> Option<Seen> {
    watcher().and_then(|watcher| watcher.look(mailbox, notices))
}

impl Seen {
    /// Whether it still is looked at.
    pub(super) fn is_live(&self) -> bool {
        !self.watcher.ended.load(Ordering::Relaxed)
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        let mut interests = self.watcher.interests();
        for descriptor in &self.descriptors {
            if interests.remove(descriptor, &self.notices) {
                // It may be gone with its directory.
                let _ = inotify::remove_watch(&self.watcher.inotify, *descriptor);
            }
        }
    }
}

impl Watcher {
    fn look(self: Arc<Self>, mailbox: &Path, notices: &Notices) -> Option<Seen> {
        let notices = Arc::clone(notices);
        let mut seen = Seen { watcher: Arc::clone(&self), descriptors: Vec::new(), notices };
        for directory in ["new", "cur"] {
            let path = mailbox.join(directory);
            // With the lock, or another's drop could remove what is added.
            let mut interests = self.interests();
            match inotify::add_watch(&self.inotify, &path, events()) {
                Ok(descriptor) => {
                    interests.add(descriptor, &seen.notices);
                    seen.descriptors.push(descriptor);
                }
                Err(error) => {
                    // The drop of `seen` needs it.
                    drop(interests);
                    tracing::warn!(path = %path.display(), %error, "cannot be watched");
                    return None;
                }
            }
        }
        Some(seen)
    }

    /// Passes events on, for ever.
    fn run(&self) {
        let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => {
                    self.interests().tell_all(Notice::Event);
                }
                Ok(event) => self.interests().tell(&event.wd(), Notice::Event),
                Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "inotify gave out; mailboxes are polled");
                    self.ended.store(true, Ordering::Relaxed);
                    self.interests().tell_all(Notice::Event);
                    return;
                }
            }
        }
    }

    fn interests(&self) -> MutexGuard<'_, Interests<i32>> {
        // A map of senders is never half changed.
        self.interests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The process's watcher, started when it is first needed; `None` if the system gives none.
fn watcher() -> Option<Arc<Watcher>> {
    static WATCHER: OnceLock<Option<Arc<Watcher>>> = OnceLock::new();
    WATCHER.get_or_init(start).clone()
}

fn start() -> Option<Arc<Watcher>> {
    let inotify = inotify::init(CreateFlags::CLOEXEC)
        .inspect_err(|error| tracing::error!(%error, "no inotify; mailboxes are polled"))
        .ok()?;
    let interests = Mutex::default();
    let watcher = Arc::new(Watcher { inotify, interests, ended: AtomicBool::new(false) });
    let runner = Arc::clone(&watcher);
    let thread = std::thread::Builder::new().name("watch".to_owned());
    thread.spawn(move || runner.run()).ok()?;
    Some(watcher)
}

fn events() -> WatchFlags {
    WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::MOVED_FROM
        | WatchFlags::MOVED_TO
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
        | WatchFlags::ONLYDIR
}
