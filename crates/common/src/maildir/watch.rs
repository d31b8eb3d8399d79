//! News of a mailbox while a client idles.
//!
//! One inotify instance and one thread serve all mailboxes of a process: a user may have few
//! instances (128 by default), and many watches. Where the system gives no more of them, and as a
//! backstop where it does (network file systems tell nothing), whoever waits is told to look at
//! fixed times.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use tokio::sync::watch;

/// An interest in a mailbox; dropped, the interest is gone.
#[derive(Debug)]
pub struct Watch {
    /// `None`: inotify has no room for us.
    subscription: Option<Subscription>,
    /// News came, and more may be on its way.
    gathering: bool,
}

#[derive(Debug)]
struct Subscription {
    watcher: Arc<Watcher>,
    number: u64,
    descriptors: Vec<i32>,
    news: watch::Receiver<()>,
}

/// The process's inotify instance.
#[derive(Debug)]
struct Watcher {
    inotify: OwnedFd,
    interests: Mutex<Interests>,
}

/// Who wants to know of which watch descriptor.
#[derive(Debug, Default)]
struct Interests {
    last: u64,
    by_descriptor: HashMap<i32, Vec<Interest>>,
}

/// The number of a subscription, and how to reach it.
type Interest = (u64, Arc<watch::Sender<()>>);

/// Without inotify, this often.
const POLL: Duration = Duration::from_secs(15);
/// With inotify, at least this often.
const BACKSTOP: Duration = Duration::from_secs(30);
/// A delivery is several events: they are waited for, to be one piece of news.
const GATHER: Duration = Duration::from_millis(5);

impl Watch {
    /// Waits until the mailbox may have changed. Cancel-safe: news that came while nobody waited,
    /// or while the waiting was given up, is told the next time.
    pub async fn changed(&mut self) {
        if !self.gathering {
            self.news().await;
            self.gathering = true;
        }
        tokio::time::sleep(GATHER).await;
        self.gathering = false;
    }

    async fn news(&mut self) {
        let Some(subscription) = &mut self.subscription else {
            return tokio::time::sleep(POLL).await;
        };
        match tokio::time::timeout(BACKSTOP, subscription.news.changed()).await {
            Ok(Ok(())) | Err(_) => {}
            // The thread has ended; this counts as news, and from now on it is polling.
            Ok(Err(_)) => self.subscription = None,
        }
    }
}

/// Watches a mailbox.
pub(super) fn watch(mailbox: &Path) -> Watch {
    let subscription = watcher().and_then(|watcher| Watcher::subscribe(&watcher, mailbox));
    Watch { subscription, gathering: false }
}

impl Watcher {
    fn subscribe(watcher: &Arc<Self>, mailbox: &Path) -> Option<Subscription> {
        let (sender, news) = watch::channel(());
        let sender = Arc::new(sender);
        let mut interests = watcher.interests();
        interests.last += 1;
        let number = interests.last;
        let mut subscription =
            Subscription { watcher: Arc::clone(watcher), number, descriptors: Vec::new(), news };
        for directory in ["new", "cur"] {
            let path = mailbox.join(directory);
            match inotify::add_watch(&watcher.inotify, &path, events()) {
                Ok(descriptor) => {
                    let interested = interests.by_descriptor.entry(descriptor).or_default();
                    interested.push((number, Arc::clone(&sender)));
                    subscription.descriptors.push(descriptor);
                }
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "cannot be watched");
                    // Its drop needs the lock.
                    drop(interests);
                    return None;
                }
            }
        }
        Some(subscription)
    }

    /// Passes events on, for ever.
    fn run(&self) {
        let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) => self.tell(event.wd(), event.events()),
                Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "inotify gave out; mailboxes are polled");
                    self.interests().by_descriptor.clear();
                    return;
                }
            }
        }
    }

    fn tell(&self, descriptor: i32, events: ReadFlags) {
        let interests = self.interests();
        if events.contains(ReadFlags::QUEUE_OVERFLOW) {
            interests.by_descriptor.values().flatten().for_each(|(_, sender)| news(sender));
        }
        for (_, sender) in interests.by_descriptor.get(&descriptor).into_iter().flatten() {
            news(sender);
        }
    }

    fn interests(&self) -> MutexGuard<'_, Interests> {
        // A map of senders is never half changed.
        self.interests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut interests = self.watcher.interests();
        for descriptor in &self.descriptors {
            let Some(interested) = interests.by_descriptor.get_mut(descriptor) else { continue };
            interested.retain(|(number, _)| *number != self.number);
            if interested.is_empty() {
                interests.by_descriptor.remove(descriptor);
                // It may be gone with its directory.
                let _ = inotify::remove_watch(&self.watcher.inotify, *descriptor);
            }
        }
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
    let watcher = Arc::new(Watcher { inotify, interests: Mutex::default() });
    let runner = Arc::clone(&watcher);
    let thread = std::thread::Builder::new().name("watch".to_owned());
    thread.spawn(move || runner.run()).ok()?;
    Some(watcher)
}

fn news(sender: &watch::Sender<()>) {
    sender.send_modify(|()| ());
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
