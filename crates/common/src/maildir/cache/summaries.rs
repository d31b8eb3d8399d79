//! Summaries of a mailbox's messages, as one session reads them and adds to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mail_proto::imap::fetch::Summary;
use mail_proto::mailbox::Uid;

use crate::disk::Dir;

use super::super::copy::Copied;
use super::super::mailbox::{Mailbox, Pin};
use super::super::{Store, StoreError};
use super::pieces::Pieces;
use super::{Following, Sought, frame};

/// Summaries of a mailbox's messages: those of its cache, and those that wait to be added to it.
///
/// What cannot be read or written is missing, and nothing else: there are no errors.
#[derive(Debug)]
pub struct Summaries {
    mailbox: Arc<Mailbox>,
    pin: Pin,
    reader: Reader,
    /// Frames that wait to be appended.
    waiting: Vec<u8>,
}

/// What was found when the file was looked at, since the last question.
#[derive(Debug)]
enum Reader {
    /// Nobody looked.
    Idle,
    Nothing,
    Reading(Following, Pieces),
}

/// How often a file is opened that others keep replacing.
const ATTEMPTS: usize = 2;

/// So much is appended at once.
const WAITING: usize = 256 * 1024;

impl Summaries {
    pub(in super::super) fn new(mailbox: Arc<Mailbox>, pin: Pin) -> Self {
        Self { mailbox, pin, reader: Reader::Idle, waiting: Vec::new() }
    }

    /// Puts the summary of a message in place of what is in `summary`, if there is one; whether
    /// it is. Reads nothing of the message.
    pub fn read(&mut self, uid: Uid, summary: &mut Vec<u8>) -> bool {
        summary.clear();
        self.hash(uid).is_some_and(|hash| self.find(hash, summary))
    }

    /// The same by the hash of the message's base name.
    fn find(&mut self, hash: u64, summary: &mut Vec<u8>) -> bool {
        summary.clear();
        for _ in 0..ATTEMPTS {
            self.follow();
            let Reader::Reading(following, pieces) = &mut self.reader else { return false };
            match self.mailbox.cache().place(following, hash) {
                Sought::At(place) => {
                    let found = pieces.summary(&following.file, hash, place);
                    summary.extend_from_slice(found.unwrap_or_default());
                    return found.is_some();
                }
                Sought::Nowhere => return false,
                Sought::Elsewhere => self.reader = Reader::Idle,
            }
        }
        false
    }

    /// Takes the summary of a message, to be added to the cache.
    pub fn keep(&mut self, uid: Uid, summary: &[u8]) {
        let Some(hash) = self.hash(uid) else { return };
        frame::append_summary(&mut self.waiting, hash, summary);
        if self.waiting.len() >= WAITING {
            self.append();
        }
    }

    /// RFC822.SIZE of a message: as [`Store::size`], which reads the message if neither its name
    /// nor the index says it, but from the summary before that.
    pub fn size(&mut self, uid: Uid) -> Result<u64, StoreError> {
        let live = self.mailbox.live(self.pin, uid)?.ok_or(StoreError::Gone(uid))?;
        if let Some(size) = live.fact.known_size() {
            return Ok(size);
        }
        let mut summary = Vec::new();
        self.read(uid, &mut summary);
        let store = Store { mailbox: Arc::clone(&self.mailbox), pin: self.pin };
        match Summary::decode(&summary).and_then(|summary| summary.size) {
            Some(size) => {
                store.learn(uid, |fact| fact.set_size(size));
                Ok(size)
            }
            None => store.size(uid),
        }
    }

    /// A question was answered: adds what waits. The next one looks for what others added.
    pub fn settle(&mut self) {
        self.append();
        self.reader = Reader::Idle;
    }

    /// Gives buffers back, for a session that may be idle now for hours. Where the cache should be
    /// written anew, a thread does it.
    pub fn rest(&mut self) {
        self.settle();
        self.waiting = Vec::new();
        let messages = self.mailbox.known().snapshot().messages.len();
        let cache = self.mailbox.cache();
        if cache.is_due(messages) && cache.may_try() {
            rewrite_apart(&self.mailbox);
        }
    }

    /// Opens the file, if that was not done for this question.
    fn follow(&mut self) {
        if !matches!(self.reader, Reader::Idle) {
            return;
        }
        let following = self.dir().ok().and_then(|dir| self.mailbox.cache().follow(&dir));
        self.reader = match following {
            Some(following) => Reader::Reading(following, Pieces::default()),
            None => Reader::Nothing,
        };
    }

    /// Adds the summaries of messages that were copied to the cache of the target. The originals
    /// may be gone.
    pub(in super::super) fn copy_to(mut self, target: &Self, copied: &[Copied]) {
        let Ok(dir) = target.dir() else { return };
        let (mut summary, mut frames) = (Vec::new(), Vec::new());
        for Copied { hashes: (old, new), .. } in copied {
            if !self.find(*old, &mut summary) {
                continue;
            }
            frame::append_summary(&mut frames, *new, &summary);
            if frames.len() >= WAITING {
                super::append(&dir, &frames);
                frames.clear();
            }
        }
        if !frames.is_empty() {
            super::append(&dir, &frames);
        }
    }

    fn append(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        if let Ok(dir) = self.dir() {
            super::append(&dir, &self.waiting);
        }
        self.waiting.clear();
    }

    fn dir(&self) -> Result<Dir, StoreError> {
        Ok(self.mailbox.folders()?.index)
    }

    fn hash(&self, uid: Uid) -> Option<u64> {
        self.mailbox.live(self.pin, uid).ok()?.map(|live| live.fact.hash)
    }
}

/// Writes a mailbox's cache anew if that is due: another process may have done it.
fn rewrite_if_due(mailbox: &Mailbox) -> Result<(), StoreError> {
    let dir = mailbox.folders()?.index;
    // Whoever knows of no messages would keep none.
    mailbox.sync()?;
    mailbox.cache().follow(&dir);
    if mailbox.cache().is_due(mailbox.known().snapshot().messages.len()) {
        let hashes: Vec<u64> = mailbox.hold()?.facts()?.map(|fact| fact.hash).collect();
        mailbox.cache().rewrite(&dir, hashes)?;
    }
    Ok(())
}

/// Writes a mailbox's cache anew in a thread of its own, one at a time in a process: else it stays
/// due. A process that ends meanwhile leaves a temporary file.
fn rewrite_apart(mailbox: &Arc<Mailbox>) {
    let Some(turn) = Turn::take() else { return };
    let mailbox = Arc::clone(mailbox);
    let started = std::thread::Builder::new().name("cache".to_owned()).spawn(move || {
        let _turn = turn;
        if let Err(error) = rewrite_if_due(&mailbox) {
            tracing::debug!(%error, "the cache is not written anew");
        }
    });
    if let Err(error) = started {
        tracing::debug!(%error, "the cache is not written anew");
    }
}

/// The right to write a cache anew, until it is dropped.
struct Turn;

static TAKEN: AtomicBool = AtomicBool::new(false);

impl Turn {
    fn take() -> Option<Self> {
        (!TAKEN.swap(true, Ordering::AcqRel)).then_some(Self)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        TAKEN.store(false, Ordering::Release);
    }
}
