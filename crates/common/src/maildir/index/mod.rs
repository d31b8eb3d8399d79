//! The index: a faster picture of a mailbox, and what the Maildir itself cannot say.
//!
//! The truth is in the Maildir: files, their names, the UID list, the keyword files. The index
//! adds modseqs (RFC 7162), what was expunged, and speed: whoever opens a mailbox reads a snapshot
//! and the log behind it instead of listing directories and reading all names.
//!
//! `posthorn.index` is the snapshot, replaced by rename and never changed in place.
//! `posthorn.log` has a frame for each transaction since, appended by one write under the
//! mailbox's lock. Readers take no lock: they read on from where they were, and a frame that is
//! not whole yet, or whose checksum is wrong, is no frame. A writer that finds such a frame at the
//! end knows that another died there, and begins a new log.
//!
//! The snapshot names the position in a log up to which it has everything; a log names the
//! position which it follows. A snapshot at (log 7, 4096) fits log 7 from 4096 on, and any log
//! that follows (log 7, 4096) from its beginning: so the two files can be replaced one after the
//! other, and each crash between leaves a pair that fits.
//!
//! Anybody may delete, truncate or overwrite these files at any time. Nothing is mapped into
//! memory, everything is checked when it is read, and whoever has the mailbox in memory needs no
//! file again. At worst the index is made anew from the Maildir: UIDs and flags are there; modseqs
//! are then the time of the rebuilding, above all that clients saw.

mod apply;
mod fact;
mod frame;
mod log;
mod snapshot;
mod vanished;

pub(super) use fact::{Fact, Tail};
pub(super) use vanished::Vanished;

use mail_proto::mailbox::{Flags, Messages, Uid};

use thiserror::Error;

use super::StoreError;
use super::known::Looks;
use crate::disk::{Dir, Stat};

/// What a process knows of a mailbox: the snapshot, and the log up to a position.
#[derive(Debug, Clone)]
pub(super) struct Index {
    /// All but what there is one of for each message.
    pub(super) head: Head,
    /// UIDs and flags.
    pub(super) messages: Messages,
    facts: fact::Facts,
    vanished: Vanished,
    position: log::Position,
}

/// What there is once for a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Head {
    /// RFC 9051, 2.3.1.1. Never 0.
    pub(super) uid_validity: u32,
    /// Greater than every UID ever given.
    pub(super) uid_next: Uid,
    /// UIDs below this one may be shown though their lines in the UID list are not synced: after
    /// a power cut the next UID is not below it. Durable before any such UID is shown.
    pub(super) reserved: Uid,
    /// HIGHESTMODSEQ (RFC 7162, 3.1.2.1): of the last transaction.
    pub(super) modseq: u64,
    /// The first UID that no session was told of as `\Recent`.
    pub(super) recent_from: Uid,
    /// The names of the keyword bits: 0–25 are the letters, the rest is in `posthorn.keywords`.
    pub(super) keywords: Vec<String>,
    /// Messages whose files are in `new`, in order.
    pub(super) in_new: Vec<Uid>,
    /// How the files looked after the last transaction.
    pub(super) marks: Marks,
    /// Which boot of the machine wrote this: after another one, unsynced renames may be lost that
    /// are told of here, so the directories are to be listed whole.
    pub(super) boot: [u8; 16],
}

/// How the files looked: as long as they still do, nothing changed but by what the log says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Marks {
    /// `new` and `cur`; `None`: they are to be listed.
    pub(super) looks: Option<Looks>,
    /// The UID list; the offsets in [`Fact::line`] are in this file (its inode).
    pub(super) list: Option<Stat>,
    /// `dovecot-keywords`.
    pub(super) keywords: Option<Stat>,
    /// `posthorn.keywords`.
    pub(super) more_keywords: Option<Stat>,
}

/// One thing that a transaction changed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Change {
    /// A message came, above all others. Its modseq is that of the transaction.
    Added {
        /// Its UID, above all before.
        uid: Uid,
        /// Its flags.
        flags: Flags,
        /// Its file. `modseq` in here does not count.
        fact: Fact,
        /// How its file name ends.
        tail: Tail,
    },
    /// A message has other flags, or another file name for the same ones.
    Flagged {
        /// Which.
        uid: Uid,
        /// All its flags now.
        flags: Flags,
        /// How its file name ends now.
        tail: Tail,
    },
    /// A message is gone.
    Gone(Uid),
    /// The keyword of a bit.
    Keyword(u8, String),
    /// The next UID is at least this one.
    Next(Uid),
    /// [`Head::recent_from`] is this.
    Recent(Uid),
    /// [`Head::reserved`] is this.
    Reserved(Uid),
    /// [`Head::marks`] are these.
    Marks(Box<Marks>),
    /// Both directories were listed whole under this boot of the machine: [`Head::boot`].
    Boot([u8; 16]),
}

/// What [`Index::follow`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Followed {
    /// Nothing new.
    Same,
    /// Something, which was applied.
    Changed,
    /// The files are not those that we knew, or not whole: to be read or made anew under lock.
    Lost,
}

/// Whether a transaction is to survive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lasting {
    /// Not by what is in the log.
    No,
    /// The log is synced before this returns.
    Yes,
}

/// Why the facts of the messages cannot be had.
#[derive(Debug, Error)]
pub(super) enum FactsError {
    /// Another process wrote the snapshot anew: [`Index::follow`], which reads it, and ask again.
    #[error("the snapshot was replaced")]
    Replaced,
    /// The index is to be made anew from the Maildir, with [`Index::new`].
    #[error("the snapshot is damaged or gone")]
    Damaged,
    /// The system said no.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Which boot of the machine this is; zeros where the kernel does not tell.
pub(super) fn boot() -> [u8; 16] {
    todo!()
}

impl Index {
    /// Reads snapshot and log; `None` if there is none that is whole (what is damaged is logged).
    /// Of the facts only what the log says is read now.
    pub(super) fn open(dir: &Dir) -> Result<Option<Self>, StoreError> {
        todo!("{dir:?}")
    }

    /// A picture that was made from the Maildir: messages in order of UID with their facts (whose
    /// modseq counts) and tails. Not written yet; see [`checkpoint`](Self::checkpoint).
    pub(super) fn new(
        head: Head,
        messages: impl Iterator<Item = (Uid, Flags, Fact, Tail)>,
    ) -> Self {
        let _ = (head, messages.count());
        todo!()
    }

    /// Reads and applies what others appended, or reads all anew where they wrote a new snapshot.
    /// Takes no lock: a frame that is not whole is one that is being written.
    ///
    /// What is in memory stays as it is where the answer is [`Followed::Lost`].
    pub(super) fn follow(&mut self, dir: &Dir) -> Result<Followed, StoreError> {
        todo!("{dir:?}")
    }

    /// As [`follow`](Self::follow), for who holds the mailbox's lock: then nobody is writing, and
    /// a frame that is not whole is damage ([`Followed::Lost`]). After that, make what is in
    /// memory fit the Maildir: the next [`write`](Self::write) begins with a new log.
    pub(super) fn follow_locked(&mut self, dir: &Dir) -> Result<Followed, StoreError> {
        todo!("{dir:?}")
    }

    /// One transaction: gives it the next modseq, appends it to the log with one write, applies
    /// it. The caller holds the mailbox's lock and has followed the log to its end, or was told
    /// [`Followed::Lost`]: then, and after a write that failed, there is a
    /// [`checkpoint`](Self::checkpoint) instead of a write to the log.
    ///
    /// If it cannot be written, it is applied nevertheless, but for [`Change::Reserved`], and the
    /// error returned: then this process knows it, and others see that their marks are old and
    /// list the directories. Changes that cannot be (UIDs that do not rise) are an error, and
    /// none is applied.
    pub(super) fn write(
        &mut self,
        dir: &Dir,
        changes: Vec<Change>,
        lasting: Lasting,
    ) -> Result<(), StoreError> {
        todo!("{dir:?} {changes:?} {lasting:?}")
    }

    /// Whether the log grew so long that it is time for a [`checkpoint`](Self::checkpoint).
    pub(super) fn wants_checkpoint(&self) -> bool {
        todo!()
    }

    /// Writes the snapshot anew and begins a new log. The caller holds the mailbox's lock, and
    /// either followed the log to its end or made what is in memory fit the Maildir.
    pub(super) fn checkpoint(&mut self, dir: &Dir) -> Result<(), FactsError> {
        todo!("{dir:?}")
    }

    /// What is known of a message besides its flags. The first call reads the facts of all.
    pub(super) fn fact(&mut self, dir: &Dir, uid: Uid) -> Result<Option<Fact>, FactsError> {
        todo!("{dir:?} {uid}")
    }

    /// As [`fact`](Self::fact), of all, in order of UID.
    pub(super) fn facts(
        &mut self,
        dir: &Dir,
    ) -> Result<impl Iterator<Item = &Fact> + Clone, FactsError> {
        let _ = dir;
        Ok([].iter())
    }

    /// How a message's file name ends, given its fact and flags.
    pub(super) fn tail(&self, fact: &Fact) -> Tail {
        todo!("{fact:?}")
    }

    /// Keeps a size or date that had to be looked up; not written until the next checkpoint.
    pub(super) fn learn(&mut self, uid: Uid, change: impl FnOnce(&mut Fact)) {
        let _ = (uid, change);
        todo!()
    }

    /// New offsets of all lines, after the UID list was written anew; in order of UID.
    pub(super) fn renumber_lines(&mut self, lines: &[u32]) {
        todo!("{lines:?}")
    }

    /// What was expunged.
    pub(super) fn vanished(&self) -> &Vanished {
        &self.vanished
    }
}
