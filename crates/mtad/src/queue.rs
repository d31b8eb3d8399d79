//! The queue: the spool, in the words of the rest of mtad.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;

use mail_common::log::Id;
use mail_proto::address::Address;
use mail_spool::{Incoming, Message, Recovered, Settings, Spool, Then};
use tokio::sync::oneshot;
use tracing::error;

/// A message that is ours to deliver until this is dropped.
pub(crate) use mail_spool::admin::Claim;
pub(crate) use mail_spool::{Body, Damage, Letter, Progress, SpoolError as QueueError, State};

/// The queue; one process has it.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    spool: Spool,
    #[cfg(test)]
    pub(crate) faults: Arc<faults::Faults>,
}

/// A message in the queue.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Its id.
    pub(crate) id: Id,
    /// As it was taken.
    pub(crate) letter: Letter,
    /// Octets as it travels, our `Received` field included.
    pub(crate) size: u64,
    /// What became of it.
    pub(crate) progress: Progress,
    /// All of it, if it is still in memory.
    pub(crate) message: Option<Arc<Message>>,
}

/// A recipient that still waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recipient {
    /// Its place in the letter, from 0.
    pub(crate) number: usize,
    /// Its address.
    pub(crate) address: Address,
}

impl Queue {
    /// Takes the queue. What was in it comes later; new mail can be taken at once.
    ///
    /// # Errors
    /// Another process has it, or the directory cannot be used.
    pub(crate) fn open(path: &Path) -> Result<(Self, Recovered), QueueError> {
        let (spool, recovered) = Spool::open(path, Settings::default())?;
        let queue = Self {
            spool,
            #[cfg(test)]
            faults: Arc::default(),
        };
        Ok((queue, recovered))
    }

    /// Begins a message. Dropped without [`commit`](Self::commit) it leaves no trace.
    pub(crate) fn begin(&self, letter: Letter) -> Incoming {
        self.spool.begin(letter)
    }

    /// Puts a message into the queue. When this is over, it survives a power cut.
    ///
    /// # Errors
    /// The disk is full or broken; then it is not in the queue.
    pub(crate) async fn commit(&self, message: Message) -> Result<Entry, QueueError> {
        let message = Arc::new(message);
        heard(|then| self.spool.commit(Arc::clone(&message), then)).await?;
        Ok(Entry::of(message))
    }

    /// [`commit`](Self::commit) for those who may block.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn commit_now(&self, message: Message) -> Result<Entry, QueueError> {
        #[cfg(test)]
        faults::fail(&self.faults.commits)?;
        let message = Arc::new(message);
        let (then, done) = mpsc::channel();
        let then: Then = Box::new(move |outcome| drop(then.send(outcome)));
        self.spool.commit(Arc::clone(&message), then);
        done.recv().unwrap_or(Err(QueueError::Stopped)).map(|()| Entry::of(message))
    }

    /// A message as it is recorded; `None`: it is done with. Blocking.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn entry(&self, id: Id) -> Result<Option<Entry>, QueueError> {
        #[cfg(test)]
        faults::fail(&self.faults.reads)?;
        let found = self.spool.entry(id)?;
        Ok(found.map(|mail_spool::Entry { letter, size, progress }| Entry {
            id,
            letter,
            size,
            progress,
            message: None,
        }))
    }

    /// The message as it travels, our `Received` field in front. Blocking.
    ///
    /// # Errors
    /// It is gone or damaged.
    pub(crate) fn body(&self, id: Id) -> Result<Body, QueueError> {
        self.spool.body(id)
    }

    /// Writes down what became of recipients. When this is over, it survives a power cut.
    ///
    /// # Errors
    /// The disk is full or broken; what was recorded before still holds.
    pub(crate) async fn record(&self, id: Id, progress: &Progress) -> Result<(), QueueError> {
        #[cfg(test)]
        faults::fail(&self.faults.records)?;
        heard(|then| self.spool.record(id, progress, then)).await
    }

    /// Forgets a message that is done with for every recipient. Nobody waits for it: if we die
    /// before it is written down, what was delivered is known to lmtp-deliverd. But until then it
    /// is claimed, so that nobody takes it for one that waits; `again` hears if that failed.
    pub(crate) fn finish(&self, claim: Claim, again: impl FnOnce(Claim) + Send + 'static) {
        let id = claim.id();
        let then: Then = Box::new(move |outcome| match outcome {
            Ok(()) | Err(QueueError::Stopped) => drop(claim),
            Err(failure) => {
                error!("{id}: that it is done with cannot be recorded yet: {failure}");
                again(claim);
            }
        });
        #[cfg(test)]
        if let Err(failure) = faults::fail(&self.faults.finishes) {
            return then(Err(failure));
        }
        self.spool.finish(id, then);
    }

    /// The oldest message: whoever remembers older ones may forget them. Nobody may as long as the
    /// disk may give back what it withholds of one. Blocking.
    pub(crate) fn oldest(&self) -> Option<Id> {
        if !self.spool.is_whole() {
            return None;
        }
        let mut oldest: Option<Id> = None;
        self.spool.rows(|row| oldest = Some(oldest.map_or(row.id, |oldest| oldest.min(row.id))));
        oldest
    }

    /// The spool itself, for an admin.
    pub(crate) fn spool(&self) -> &Spool {
        &self.spool
    }

    /// Gives the queue back. Blocking.
    pub(crate) fn close(self) {
        self.spool.close();
    }
}

impl Entry {
    fn of(message: Arc<Message>) -> Self {
        let letter = message.letter.clone();
        let progress = Progress::new(&letter);
        Self { id: letter.id, size: message.size(), progress, letter, message: Some(message) }
    }

    /// The recipients that still wait.
    pub(crate) fn waiting(&self) -> Vec<Recipient> {
        let waiting = self.progress.waiting().filter_map(|number| {
            let address = self.letter.recipients.get(number)?.address.clone();
            Some(Recipient { number, address })
        });
        waiting.collect()
    }
}

/// Asks the spool for something, and waits until it has told what came of it.
async fn heard(ask: impl FnOnce(Then)) -> Result<(), QueueError> {
    let (told, done) = oneshot::channel();
    ask(Box::new(move |outcome| drop(told.send(outcome))));
    done.await.unwrap_or(Err(QueueError::Stopped))
}

/// The letter of a test: from nobody, for ann.
#[cfg(test)]
pub(crate) fn letter(id: Id, arrived: u64) -> Letter {
    use mail_proto::{address::ReversePath, smtp};

    let ann = "ann@example.org".parse().expect("it is an address");
    Letter::new(id, arrived, ReversePath(None), vec![smtp::Recipient::new(ann)])
}

/// What goes wrong in tests.
#[cfg(test)]
pub(crate) mod faults {
    use std::sync::atomic::{AtomicU32, Ordering};

    use mail_common::disk::DiskError;

    use super::QueueError;

    /// How many of the next fail.
    #[derive(Debug, Default)]
    pub(crate) struct Faults {
        pub(crate) commits: AtomicU32,
        pub(crate) reads: AtomicU32,
        pub(crate) records: AtomicU32,
        pub(crate) finishes: AtomicU32,
    }

    pub(super) fn fail(left: &AtomicU32) -> Result<(), QueueError> {
        let less = |left: u32| left.checked_sub(1);
        match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less) {
            Ok(_) => Err(DiskError::new("spool".into(), std::io::Error::other("injected")).into()),
            Err(_) => Ok(()),
        }
    }
}
