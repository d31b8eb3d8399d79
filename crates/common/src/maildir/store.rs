//! One mailbox.

use std::sync::Arc;

use mail_proto::mailbox::{FlagChange, NamedFlags, Snapshot, Uid};

use super::StoreError;

/// One mailbox. Cheap to keep; holds no descriptor. What one process does, others see at their
/// next [`sync`](Self::sync).
#[derive(Debug, Clone)]
pub struct Store {}

/// A message to add, besides its bytes.
#[derive(Debug, Clone, Default)]
pub struct NewMessage {
    /// Its flags.
    pub flags: NamedFlags,
    /// INTERNALDATE in seconds since 1970; now, where there is none.
    pub internal_date: Option<i64>,
    /// The id under which our transport knows it.
    pub delivery_id: Option<String>,
}

/// A message being added. Dropped without a [`commit`](Self::commit) it leaves no trace.
#[derive(Debug)]
pub struct Appending {}

/// Where a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    /// The mailbox's UIDVALIDITY.
    pub uid_validity: u32,
    /// The message's UID.
    pub uid: Uid,
}

/// A message open for reading: it can be read to its end even if it is removed meanwhile.
#[derive(Debug)]
pub struct Message {}

impl Store {
    /// How the mailbox looks now. The same `Arc` as last time if nothing changed; shared by all
    /// who ask in this process.
    pub fn sync(&self) -> Result<Arc<Snapshot>, StoreError> {
        todo!()
    }

    /// The first UID that nobody has been told of as `\Recent`; with `claim`, the caller is told
    /// now and the messages count as seen by a session (files move from `new` to `cur`).
    pub fn recent_from(&self, claim: bool) -> Result<Uid, StoreError> {
        todo!("{claim}")
    }

    /// Begins to add a message.
    pub fn append(&self, message: NewMessage) -> Result<Appending, StoreError> {
        todo!("{message:?}")
    }

    /// Changes flags; UIDs that are gone are passed over.
    pub fn store_flags(
        &self,
        uids: &[Uid],
        change: &FlagChange,
    ) -> Result<Arc<Snapshot>, StoreError> {
        todo!("{uids:?} {change:?}")
    }

    /// Removes messages, durably; UIDs that are gone are passed over.
    pub fn expunge(&self, uids: &[Uid]) -> Result<Arc<Snapshot>, StoreError> {
        todo!("{uids:?}")
    }

    /// Copies messages with flags and INTERNALDATE, all or none, durably. Returns old and new
    /// UIDs and the target's UIDVALIDITY.
    pub fn copy(&self, uids: &[Uid], target: &Store) -> Result<(u32, Vec<(Uid, Uid)>), StoreError> {
        todo!("{uids:?} {target:?}")
    }

    /// Opens a message for reading.
    pub fn message(&self, uid: Uid) -> Result<Message, StoreError> {
        todo!("{uid}")
    }

    /// Its octets with CRLF line ends, from the file's name where it says so.
    pub fn size(&self, uid: Uid) -> Result<u64, StoreError> {
        todo!("{uid}")
    }

    /// Its INTERNALDATE, in seconds since 1970.
    pub fn internal_date(&self, uid: Uid) -> Result<i64, StoreError> {
        todo!("{uid}")
    }

    /// The POP3 lock on this mailbox, held until it is dropped; `None` if another session has it.
    pub fn lock_maildrop(&self) -> Result<Option<std::fs::File>, StoreError> {
        todo!()
    }
}

impl Appending {
    /// Takes wire bytes; CRLF is stored as LF.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        todo!("{bytes:?}")
    }

    /// Puts it into the mailbox. When this returns, it survives a power cut.
    pub fn commit(self) -> Result<Located, StoreError> {
        todo!()
    }

    /// As [`commit`](Self::commit), for delivery: the message waits in `new`, no UID is given yet.
    pub fn deliver(self) -> Result<(), StoreError> {
        todo!()
    }
}

impl Message {
    /// Octets as stored.
    #[must_use]
    pub fn stored_size(&self) -> u64 {
        todo!()
    }

    /// Reads at most `buffer.len()` octets as stored, from `offset`; 0 at the end.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, StoreError> {
        todo!("{buffer:?} {offset}")
    }
}
