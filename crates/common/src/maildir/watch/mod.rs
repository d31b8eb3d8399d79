//! News of a mailbox while a client idles.
//!
//! They come in two ways. Whoever of us changes a mailbox tells all processes when the change is
//! whole ([`news`]): then the client is told at once. What foreign programs do is seen by the
//! system ([`foreign`]), event by event: then a moment is waited for the rest of it, unless it
//! turns out to be ours. And as a backstop (the system gives few inotify instances, and network
//! file systems tell nothing) whoever waits is told to look at fixed times.

mod foreign;
mod interests;
mod news;

use std::path::Path;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use foreign::Seen;
use interests::Notices;
use news::{Heard, News};

pub use news::join;
pub(super) use news::tell;

/// An interest in a mailbox; dropped, the interest is gone.
#[derive(Debug)]
pub struct Watch {
    notices: watch::Receiver<u64>,
    /// How many changes of ours were heard of.
    changes: u64,
    /// When to tell of what came.
    due: Option<Instant>,
    /// When it was told last.
    told: Option<Instant>,
    /// `None`: inotify has no room for us.
    seen: Option<Seen>,
    _heard: Option<Heard>,
}

/// Without inotify, this often.
const POLL: Duration = Duration::from_secs(15);
/// With inotify, at least this often.
const BACKSTOP: Duration = Duration::from_secs(30);
/// What others do is several events: they are waited for, to be one piece of news. And what
/// happens all the time is told no more often than that.
const GATHER: Duration = Duration::from_millis(5);

/// Watches a mailbox.
pub(super) fn watch(mailbox: &Path) -> Watch {
    let notices = interests::notices();
    let heard = News::of_process().listen(mailbox, &notices);
    Watch::new(foreign::look(mailbox, &notices), heard, &notices)
}

impl Watch {
    fn new(seen: Option<Seen>, heard: Option<Heard>, notices: &Notices) -> Self {
        let changes = *notices.borrow();
        let (due, told) = (None, None);
        Self { notices: notices.subscribe(), changes, due, told, seen, _heard: heard }
    }

    /// Waits until the mailbox may have changed. Cancel-safe: news that came while nobody waited,
    /// or while the waiting was given up, is told the next time.
    pub async fn changed(&mut self) {
        while self.due.is_none_or(|due| due > Instant::now()) {
            let until = self.due.unwrap_or_else(|| Instant::now() + self.backstop());
            match timeout_at(until, self.notices.changed()).await {
                Ok(Ok(())) => self.take_notice(),
                Ok(Err(_)) => {
                    // There is nobody who could give one.
                    sleep_until(until).await;
                    break;
                }
                Err(_) => break,
            }
        }
        self.due = None;
        self.told = Some(Instant::now());
    }

    fn take_notice(&mut self) {
        let changes = *self.notices.borrow_and_update();
        let now = Instant::now();
        let due = if self.changes == changes {
            now + GATHER
        } else {
            self.told.map_or(now, |told| now.max(told + GATHER))
        };
        self.changes = changes;
        self.due = Some(self.due.map_or(due, |before| before.min(due)));
    }

    fn backstop(&self) -> Duration {
        if self.seen.as_ref().is_some_and(Seen::is_live) { BACKSTOP } else { POLL }
    }
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests;
