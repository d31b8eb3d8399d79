//! How a message comes in: written into a file that has no name, synced, given its name, the
//! directory synced. Killed before it has its name, there is nothing; after it, the message is
//! there. (Where files must have names, it is in `tmp` meanwhile. Nobody shows it there, and the
//! next session after 36 hours removes what a dead process left. So is a delivery that is noted,
//! because from that the next process sees how far it came: [`Note`](super::Note).)

use std::sync::Arc;

use mail_proto::imap::fetch::Summing;

use crate::charset::Encodings;
use crate::disk::{self, Dir, NamelessFile};

use super::StoreError;
use super::cache::Writer;
use super::lines::ToStored;
use super::mailbox::Mailbox;
use super::scan::Folders;
use super::store::{Located, NewMessage};
use super::whole::{Content, Whole};

/// A message being added. Dropped without a [`commit`](Self::commit) it leaves no trace.
#[derive(Debug)]
pub struct Appending {
    mailbox: Arc<Mailbox>,
    folders: Folders,
    file: NamelessFile,
    lines: ToStored,
    /// Stored octets that wait to be written.
    waiting: Vec<u8>,
    message: NewMessage,
    summing: Summing,
    /// Where a delivery's summary goes.
    cache: Arc<Writer>,
}

/// Octets are written in pieces of about this size.
const PIECE: usize = 64 * 1024;

impl Appending {
    /// `create` creates the file, in `tmp`.
    pub(super) fn begin(
        mailbox: &Arc<Mailbox>,
        message: NewMessage,
        create: impl FnOnce(&Dir) -> disk::Result<NamelessFile>,
    ) -> Result<Self, StoreError> {
        let folders = mailbox.folders()?;
        let file = create(&folders.tmp)?;
        let cache = Arc::new(Writer::of(&folders.index));
        Ok(Self::new(mailbox, folders, file, message, cache))
    }

    /// As [`begin`](Self::begin), where mailbox and file are open.
    pub(super) fn new(
        mailbox: &Arc<Mailbox>,
        folders: Folders,
        file: NamelessFile,
        message: NewMessage,
        cache: Arc<Writer>,
    ) -> Self {
        let mailbox = Arc::clone(mailbox);
        let lines = ToStored::default();
        let (waiting, summing) = (Vec::new(), Summing::default());
        Self { mailbox, folders, file, lines, waiting, message, summing, cache }
    }

    /// Takes wire bytes; CRLF is stored as LF.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.lines.convert(bytes, &mut self.waiting);
        if self.waiting.len() >= PIECE {
            self.flush()?;
        }
        Ok(())
    }

    /// Puts it into the mailbox. When this returns, it survives a power cut.
    pub fn commit(self) -> Result<Located, StoreError> {
        let mailbox = Arc::clone(&self.mailbox);
        let coming = mailbox.commits.announce();
        coming.join(&mailbox, self.finish()?)
    }

    /// All of it has come: makes the content last.
    pub fn finish(mut self) -> Result<Whole, StoreError> {
        self.lines.finish(&mut self.waiting);
        self.flush()?;
        match self.message.internal_date {
            Some(seconds) => {
                self.file.set_modified(seconds)?;
                self.file.sync_with_times()?;
            }
            None => self.file.sync()?,
        }
        let Self { mailbox, folders, file, lines, message, summing, cache, .. } = self;
        let summary = summing.finish(&Encodings);
        let content = Content { stored: lines.stored, wire: lines.wire, summary };
        Ok(Whole { mailbox, folders, file, message, content, cache })
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.summing.push(&self.waiting);
        self.file.write(&self.waiting)?;
        self.waiting.clear();
        Ok(())
    }
}
