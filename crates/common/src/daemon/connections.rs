//! How many connections there are, and how many there may be.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{error, warn};

/// All connections of a daemon.
#[derive(Debug)]
pub(super) struct Connections {
    slots: Arc<Semaphore>,
    limit: usize,
    panics: AtomicU64,
    /// When it was last told that there is no room.
    told: Mutex<Option<Instant>>,
}

/// Being full is told again after so long.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// The right to be a connection; given back when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    _permit: OwnedSemaphorePermit,
    connections: Arc<Connections>,
}

impl Connections {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        let slots = Arc::new(Semaphore::new(limit));
        Arc::new(Self { slots, limit, panics: AtomicU64::new(0), told: Mutex::new(None) })
    }

    /// Waits until there is room.
    pub(super) async fn enter(self: &Arc<Self>) -> Slot {
        if self.slots.available_permits() == 0 {
            self.tell();
        }
        let permit = Arc::clone(&self.slots).acquire_owned().await;
        Slot {
            _permit: permit.expect("the semaphore is never closed"),
            connections: Arc::clone(self),
        }
    }

    fn tell(&self) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            warn!(limit = self.limit, "limits.connections is reached: new connections wait");
            *told = Some(Instant::now());
        }
    }

    pub(super) fn open(&self) -> usize {
        self.limit - self.slots.available_permits()
    }

    /// Sessions that ended by a panic.
    pub(super) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }
}

/// A session's panic unwinds its own task and nothing else; here it is seen.
impl Drop for Slot {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.connections.panics.fetch_add(1, Ordering::Relaxed);
            error!("the session ended by a panic; all others go on");
        }
    }
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::pin::pin;
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn over_the_limit_connections_wait() {
        let connections = Connections::new(2);
        let first = connections.enter().await;
        let _second = connections.enter().await;
        assert_eq!(connections.open(), 2);
        let mut third = pin!(connections.enter());
        let waits = poll_fn(|cx| Poll::Ready(third.as_mut().poll(cx).is_pending())).await;
        assert!(waits, "the third must wait");
        drop(first);
        let _third = third.await;
        assert_eq!(connections.open(), 2);
    }

    #[tokio::test]
    async fn a_panic_gives_its_slot_back_and_is_counted() {
        let connections = Connections::new(1);
        let slot = connections.enter().await;
        let task = tokio::spawn(async move {
            let _slot = slot;
            panic!("as the test wants it");
        });
        assert!(task.await.unwrap_err().is_panic());
        assert_eq!((connections.open(), connections.panics()), (0, 1));
    }
}
