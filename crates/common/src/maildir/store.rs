//! One mailbox.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use mail_proto::mailbox::{FlagChange, NamedFlags, Snapshot, Uid};
use mail_proto::message::wire::Cursor;

use crate::disk::{self, Dir};

use super::append::Appending;
use super::cache::Summaries;
use super::copy::Copied;
use super::expunge::Which;
use super::index::Fact;
use super::known::Live;
use super::mailbox::{Mailbox, Pin};
use super::moves::Move;
use super::watch::Watch;
use super::{StoreError, attempts, copy, expunge, flags, name, watch};

/// One mailbox. Cheap to keep; holds no descriptor. What one process does, others see at their
/// next [`sync`](Self::sync).
///
/// Errors are [`NoSuchMailbox`](StoreError::NoSuchMailbox) if it was removed or renamed;
/// [`Replaced`](StoreError::Replaced) if UIDs are those of other messages now, which mostly is for
/// one that is [`pinned`](Self::pinned); [`Gone`](StoreError::Gone) if the one message that was
/// asked for is; [`Keywords`](StoreError::Keywords) if there is no room for a keyword that is to be
/// set. All else is temporary.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) pin: Pin,
}

/// A message to add, besides its bytes.
#[derive(Debug, Clone, Default)]
pub struct NewMessage {
    /// Its flags.
    pub flags: NamedFlags,
    /// INTERNALDATE in seconds since 1970; now, where there is none.
    pub internal_date: Option<i64>,
}

/// Where a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    /// The mailbox's UIDVALIDITY.
    pub uid_validity: u32,
    /// The message's UID.
    pub uid: Uid,
}

/// What was moved: the target's UIDVALIDITY, old and new UIDs, and how the source looks then.
pub type Moved = (u32, Vec<(Uid, Uid)>, Arc<Snapshot>);

/// A message open for reading: it can be read to its end even if it is removed meanwhile.
#[derive(Debug)]
pub struct Message {
    file: File,
    size: u64,
    path: PathBuf,
}

pub(super) const MAILDROP_LOCK: &str = "posthorn.pop3.lock";

impl Store {
    pub(super) fn new(mailbox: Arc<Mailbox>) -> Self {
        Self { mailbox, pin: Pin::default() }
    }

    /// The same mailbox as long as it has this UIDVALIDITY. Later, UIDs that are named here are
    /// not those of the messages that have them then, and are refused.
    #[must_use]
    pub fn pinned(self, uid_validity: u32) -> Self {
        Self { pin: Pin(Some(uid_validity)), ..self }
    }

    /// How the mailbox looks now. The same `Arc` as last time if nothing changed; shared by all
    /// who ask in this process.
    pub fn sync(&self) -> Result<Arc<Snapshot>, StoreError> {
        self.mailbox.sync()
    }

    /// The first UID that nobody has been told of as `\Recent`; with `claim`, the caller is told
    /// now and the messages count as seen by a session (files move from `new` to `cur`).
    pub fn recent_from(&self, claim: bool) -> Result<Uid, StoreError> {
        if claim {
            return flags::claim(&self.mailbox);
        }
        self.mailbox.sync()?;
        Ok(self.mailbox.known().recent_from())
    }

    /// Begins to add a message.
    pub fn append(&self, message: NewMessage) -> Result<Appending, StoreError> {
        Appending::begin(&self.mailbox, message, |tmp| tmp.create_nameless(name::unique()))
    }

    /// Changes flags; UIDs that are gone are passed over.
    pub fn store_flags(
        &self,
        uids: &[Uid],
        change: &FlagChange,
    ) -> Result<Arc<Snapshot>, StoreError> {
        flags::change(&self.mailbox, self.pin, uids, change)
    }

    /// As [`store_flags`](Self::store_flags), but messages that changed after a modseq keep their
    /// flags (RFC 7162, 3.1.3). Returns their UIDs, too.
    pub fn store_flags_unchanged(
        &self,
        uids: &[Uid],
        change: &FlagChange,
        unchanged_since: u64,
    ) -> Result<(Arc<Snapshot>, Vec<Uid>), StoreError> {
        flags::change_unchanged(&self.mailbox, self.pin, uids, change, unchanged_since)
    }

    /// The modseq of a message (RFC 7162, 3.1): of the transaction that last changed its flags.
    pub fn modseq(&self, uid: Uid) -> Result<u64, StoreError> {
        Ok(self.live(uid)?.fact.modseq)
    }

    /// Messages that came or changed after a modseq, in order of UID.
    pub fn changed_since(&self, modseq: u64) -> Result<Vec<Uid>, StoreError> {
        self.mailbox.changed_since(self.pin, modseq)
    }

    /// UIDs of messages that went after a modseq, in order (RFC 7162, 3.2.5.1); `None` where that
    /// is not known any more: any UID that does not exist may have gone since.
    pub fn vanished_since(&self, modseq: u64) -> Result<Option<Vec<Uid>>, StoreError> {
        self.mailbox.vanished_since(self.pin, modseq)
    }

    /// Removes messages, durably; UIDs that are gone are passed over.
    pub fn expunge(&self, uids: &[Uid]) -> Result<Arc<Snapshot>, StoreError> {
        expunge::expunge(&self.mailbox, self.pin, Which::These(uids))
    }

    /// Removes what is `\Deleted` of all messages, or of those named, durably. A message that
    /// loses that flag before its turn comes stays.
    pub fn expunge_deleted(&self, uids: Option<&[Uid]>) -> Result<Arc<Snapshot>, StoreError> {
        expunge::expunge(&self.mailbox, self.pin, Which::Deleted(uids))
    }

    /// Copies messages with flags and INTERNALDATE, all or none, durably; UIDs that are gone are
    /// passed over. Returns the target's UIDVALIDITY, and old and new UIDs.
    pub fn copy(&self, uids: &[Uid], target: &Self) -> Result<(u32, Vec<(Uid, Uid)>), StoreError> {
        let (uid_validity, copied) = copy::copy(&self.mailbox, self.pin, uids, &target.mailbox)?;
        self.summaries().copy_to(&target.summaries(), &copied);
        Ok((uid_validity, Copied::pairs(&copied)))
    }

    /// Moves messages, durably: copies them and removes the originals. Returns the target's
    /// UIDVALIDITY, old and new UIDs, and how this mailbox looks then. What others take away
    /// meanwhile is passed over.
    ///
    /// Killed in between, a message is in both mailboxes, never in none. On an error, what was not
    /// moved is here alone, as far as that can be done.
    pub fn move_to(&self, uids: &[Uid], target: &Self) -> Result<Moved, StoreError> {
        let moved = Move::begin(&self.mailbox, self.pin, uids, &target.mailbox)?.finish()?;
        self.summaries().copy_to(&target.summaries(), &moved.messages);
        Ok((moved.uid_validity, Copied::pairs(&moved.messages), moved.snapshot))
    }

    /// Opens a message for reading.
    pub fn message(&self, uid: Uid) -> Result<Message, StoreError> {
        let (message, promised) = self.with_file(uid, |dir, name| {
            let file = dir.file(name)?;
            let path = dir.path().join(name);
            match file.metadata() {
                Ok(metadata) => {
                    let message = Message { file, size: metadata.len(), path };
                    Ok((message, name::stored_size(name)))
                }
                Err(error) => Err(disk::DiskError::new(path, error)),
            }
        })?;
        if promised.is_some_and(|size| size != message.size) {
            // Somebody wrote into the file: what its name says is not to be believed.
            let size = message.wire_size()?;
            self.learn(uid, |fact| fact.set_size(size));
        }
        Ok(message)
    }

    /// Its octets with CRLF line ends, from the file's name where it says so.
    pub fn size(&self, uid: Uid) -> Result<u64, StoreError> {
        if let Some(size) = self.live(uid)?.fact.known_size() {
            return Ok(size);
        }
        let size = self.message(uid)?.wire_size()?;
        self.learn(uid, |fact| fact.set_size(size));
        Ok(size)
    }

    /// Its INTERNALDATE, in seconds since 1970.
    pub fn internal_date(&self, uid: Uid) -> Result<i64, StoreError> {
        if let Some(date) = self.live(uid)?.fact.known_date() {
            return Ok(date);
        }
        let date = self.with_file(uid, |dir, name| Ok(dir.stat(name)?.modified.seconds))?;
        self.learn(uid, |fact| fact.date = date);
        Ok(date)
    }

    /// Summaries of messages, for one session.
    #[must_use]
    pub fn summaries(&self) -> Summaries {
        Summaries::new(Arc::clone(&self.mailbox), self.pin)
    }

    /// The POP3 lock on this mailbox, held until it is dropped; `None` if another session has it.
    pub fn lock_maildrop(&self) -> Result<Option<File>, StoreError> {
        Ok(self.mailbox.folders()?.index.lock(MAILDROP_LOCK)?)
    }

    /// Tells of changes, whoever makes them.
    #[must_use]
    pub fn watch(&self) -> Watch {
        watch::watch(self.mailbox.path())
    }

    pub(super) fn learn(&self, uid: Uid, learn: impl FnOnce(&mut Fact)) {
        if let Some(index) = &mut self.mailbox.known().index {
            index.learn(uid, learn);
        }
    }

    /// A message as far as it is known.
    fn live(&self, uid: Uid) -> Result<Live, StoreError> {
        self.mailbox.live(self.pin, uid)?.ok_or(StoreError::Gone(uid))
    }

    /// Does something with a message's file, wherever it is meanwhile.
    fn with_file<T>(
        &self,
        uid: Uid,
        act: impl Fn(&Dir, &str) -> disk::Result<T>,
    ) -> Result<T, StoreError> {
        let folders = self.mailbox.folders()?;
        let mut file = self.mailbox.file(self.pin, uid, &folders)?.ok_or(StoreError::Gone(uid))?;
        attempts::until_done(self.mailbox.path(), || {
            let done = disk::found(act(folders.at(file.place), &file.name))?;
            if done.is_none() {
                file = folders.find(name::base(&file.name))?.ok_or(StoreError::Gone(uid))?;
            }
            Ok(done)
        })
    }
}

impl Message {
    /// Octets as stored.
    #[must_use]
    pub fn stored_size(&self) -> u64 {
        self.size
    }

    /// Reads at most `buffer.len()` octets as stored, from `offset`; 0 at the end.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, StoreError> {
        rustix::io::retry_on_intr(|| rustix::io::pread(&self.file, &mut *buffer, offset))
            .map_err(|error| self.error(error.into()))
    }

    fn wire_size(&self) -> Result<u64, StoreError> {
        let mut cursor = Cursor::default();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = self.read_at(&mut buffer, cursor.at.stored)?;
            if count == 0 {
                return Ok(cursor.at.wire);
            }
            cursor.pass(buffer.get(..count).unwrap_or_default());
        }
    }

    fn error(&self, error: io::Error) -> StoreError {
        StoreError::system(self.path.clone(), error)
    }
}
