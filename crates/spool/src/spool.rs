//! The spool as its owner sees it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use mail_common::disk::Dir;
use mail_common::log::Id;

use crate::big::Big;
use crate::blocks::Blocks;
use crate::index::Index;
use crate::row::{Name, Row};
use crate::{Body, Incoming, Letter, Message, Progress, SpoolError};

/// What is called once it is durable, or cannot be; on the writer's thread, which everybody waits
/// for: it must be short.
pub type Then = Box<dyn FnOnce(Result<(), SpoolError>) + Send>;

/// How much of what.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Octets of a segment.
    pub segment: u64,
    /// Octets of the largest body that goes into a segment.
    pub small_body: u64,
    /// Records of the largest commit.
    pub commit_records: usize,
    /// Octets from which on a commit takes no further record.
    pub commit_octets: u64,
    /// Messages of the longest queue.
    pub messages: usize,
    /// Octets of memory for bodies.
    pub receive_memory: usize,
}

/// The spool; one process has it. Cheap to clone; its threads end with the last clone.
#[derive(Debug, Clone)]
pub struct Spool(Arc<Shared>);

/// A message in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As it was taken.
    pub letter: Letter,
    /// Octets of the body as it travels.
    pub size: u64,
    /// What became of it.
    pub progress: Progress,
}

/// The rows that were there at start, in pieces, once all of the log was applied.
#[derive(Debug)]
pub struct Recovered;

#[derive(Debug)]
struct Shared {
    settings: Settings,
    index: Index,
    blocks: Arc<Blocks>,
    big: Big,
    works: Mutex<Vec<Work>>,
}

/// What the writer is to make last.
enum Work {
    Commit(Arc<Message>, Then),
    Record(Id, Progress, Then),
    Finish(Id, Then),
    Change(Letter, Then),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            segment: 64 << 20,
            small_body: 1 << 20,
            commit_records: 256,
            commit_octets: 4 << 20,
            messages: 4_000_000,
            receive_memory: 256 << 20,
        }
    }
}

impl Spool {
    /// Takes the spool; it is made if it is missing. Returns before its log was read: new mail can
    /// be taken at once.
    ///
    /// # Errors
    /// Another process has it, it is of another version, or the directory cannot be used.
    pub fn open(path: &Path, settings: Settings) -> Result<(Self, Recovered), SpoolError> {
        let dir = Dir::open_or_create(path)?;
        dir.create_dir("big")?;
        let blocks = Arc::new(Blocks::new(settings.receive_memory));
        let big = Big::new(dir.subdir("big")?);
        let index = Index::default();
        let shared = Shared { settings, index, blocks, big, works: Mutex::default() };
        Ok((Self(Arc::new(shared)), Recovered))
    }

    /// Begins a message.
    #[must_use]
    pub fn begin(&self, letter: Letter) -> Incoming {
        Incoming::new(letter, self.0.settings.small_body, &self.0.blocks, &self.0.big)
    }

    /// Takes a message: `then` hears of it once it would survive a power cut.
    pub fn commit(&self, message: Arc<Message>, then: Then) {
        self.ask(Work::Commit(message, then));
    }

    /// Replaces what is known of what became of a message.
    pub fn record(&self, id: Id, progress: Progress, then: Then) {
        self.ask(Work::Record(id, progress, then));
    }

    /// A message is done with for all its recipients.
    pub fn finish(&self, id: Id, then: Then) {
        self.ask(Work::Finish(id, then));
    }

    /// Replaces the envelope of a message.
    pub fn change(&self, letter: Letter, then: Then) {
        self.ask(Work::Change(letter, then));
    }

    /// A message as it is recorded; `None`: not here.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn entry(&self, id: Id) -> Result<Option<Entry>, SpoolError> {
        let _row = self.0.index.find(id);
        Ok(None)
    }

    /// The body of a message as it travels, our `Received` field in front.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn body(&self, id: Id) -> Result<Body, SpoolError> {
        Err(SpoolError::Unknown(id))
    }

    /// Shows all messages, in no order; they change meanwhile.
    pub fn rows(&self, _see: impl FnMut(&Row)) {}

    /// What a name of a row says.
    #[must_use]
    pub fn name(&self, _name: Name) -> String {
        String::new()
    }

    /// Makes everything durable that was asked for, writes a checkpoint and gives the spool back.
    /// What is asked for later is refused.
    pub fn close(self) {}

    fn ask(&self, work: Work) {
        self.0.works.lock().unwrap_or_else(PoisonError::into_inner).push(work);
    }
}

impl Iterator for Recovered {
    type Item = Vec<Row>;

    fn next(&mut self) -> Option<Vec<Row>> {
        None
    }
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Commit(..) => "Commit",
            Self::Record(..) => "Record",
            Self::Finish(..) => "Finish",
            Self::Change(..) => "Change",
        })
    }
}
