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
mod boot;
mod fact;
mod files;
mod frame;
mod log;
mod modseqs;
mod octets;
mod snapshot;
mod source;
mod vanished;

pub(super) use apply::name_keyword;
pub use boot::boot;
pub(super) use boot::boot_of;
pub(super) use fact::Fact;
pub(super) use files::Reader;
pub(super) use log::FILE as LOG;
pub(super) use modseqs::after as modseq_after;
pub(super) use snapshot::FILE as SNAPSHOT;
pub(super) use vanished::Vanished;

use mail_proto::mailbox::{Entry, Flags, Messages, Uid};

use super::looks::Looks;
use crate::disk::{Dir, Stat};
use crate::maildir::scan::Place;
use crate::maildir::tail::Tail;

use files::Step;

/// What a process knows of a mailbox: the snapshot, and the log up to a position.
#[derive(Debug, Clone)]
pub(super) struct Index {
    /// All but what there is one of for each message.
    pub(super) head: Head,
    /// UIDs and flags.
    pub(super) messages: Messages,
    facts: fact::Facts,
    vanished: Vanished,
    /// Up to where in the log this is.
    position: log::Position,
    step: Step,
    /// The marks that the log told last, from which those in its next frame are told.
    logged: Marks,
    /// How the log looked when it was read or written last.
    looked: Option<Stat>,
    /// Modseqs up to this one may be shown: after a power cut the next one is above it.
    modseqs_to: u64,
    /// Which boot this is.
    boot: [u8; 16],
    /// Whether the directories were listed whole under this boot.
    this_boot: bool,
    /// The snapshot that has the facts.
    snapshot: snapshot::Identity,
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
    /// Which boot wrote this, as [`boot_of`] has it: after another one, unsynced renames may be lost
    /// that are told of here, so the directories are to be listed whole.
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
    /// Modseqs up to this one may be shown.
    Modseqs(u64),
    /// [`Head::marks`] are these.
    Marks(Box<Marks>),
    /// Both directories were listed whole under this boot: [`Head::boot`].
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

/// Whether the facts of the messages are in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FactsRead {
    /// They are.
    Yes,
    /// Another process wrote the snapshot anew: [`Index::follow`], which reads it, and ask again.
    Replaced,
    /// The index is to be made anew from the Maildir, with [`Index::new`].
    Damaged,
}

/// More octets of a log than this are too many, if they are a good part of the snapshot too: 8,000
/// changes take as long to read as a snapshot of a million messages.
const LONG_LOG: u64 = 1 << 19;

/// Of what part of the snapshot.
const PART: u64 = 32;

impl Index {
    /// A picture that was made from the Maildir now: messages in order of UID with their facts (whose
    /// modseq counts) and tails, which say what is in `new`. Not written yet; see
    /// [`checkpoint`](Self::checkpoint).
    pub(super) fn new(
        head: Head,
        messages: impl Iterator<Item = (Uid, Flags, Fact, Tail)>,
    ) -> Self {
        let (mut facts, mut in_new) = (fact::Facts::empty(), Vec::new());
        let entry = |(uid, flags, fact, tail): (Uid, Flags, Fact, Tail)| {
            if tail.place() == Place::New {
                in_new.push(uid);
            }
            facts.add(Fact { uid, ..fact }, &tail);
            Entry { uid, flags }
        };
        let messages: Messages = messages.map(entry).collect();
        let after = messages.last().map_or(1, |entry| entry.uid.saturating_add(1));
        let vanished = Vanished::none_since(head.modseq);
        let head = Head { uid_next: head.uid_next.max(after), in_new, ..head };
        let (position, snapshot) = (log::Position::default(), snapshot::Identity::default());
        let (step, looked) = (Step::Ahead, None);
        let (logged, boot) = (head.marks, head.boot);
        Self {
            head,
            messages,
            facts,
            vanished,
            position,
            step,
            logged,
            looked,
            modseqs_to: 0,
            boot,
            this_boot: true,
            snapshot,
        }
    }

    /// Whether any of the files is there, in whatever state.
    pub(super) fn has_files(dir: &Dir) -> bool {
        let is_there = |name| !dir.stat(name).is_err_and(|error| error.is_missing());
        is_there(SNAPSHOT) || is_there(LOG)
    }

    /// Which boot this is.
    pub(super) fn boot(&self) -> [u8; 16] {
        self.boot
    }

    /// Says which boot this is. If it is another one, the file system was mounted anew meanwhile:
    /// what is in memory may be lost on the disk, and all is read again.
    pub(super) fn boots(&mut self, boot: [u8; 16]) {
        if self.boot != boot {
            (self.boot, self.this_boot, self.step) = (boot, false, Step::Out);
        }
    }

    /// Whether the directories were listed whole under this boot; if not, renames that are told of
    /// here may be lost. Where nobody knows boots, each process listed them for
    /// itself.
    pub(super) fn is_of_this_boot(&self) -> bool {
        self.this_boot
    }

    /// Whether the log grew so long that it is time for a [`checkpoint`](Self::checkpoint), or
    /// there is something that is in memory only.
    pub(super) fn wants_checkpoint(&self) -> bool {
        let log = self.position.offset;
        self.step != Step::In || log > LONG_LOG && log > self.snapshot.size / PART
    }

    /// What is known of a message besides its flags; `None` where the facts were not read.
    pub(super) fn fact(&self, uid: Uid) -> Option<Option<Fact>> {
        self.facts.are_read().then(|| self.facts.find(uid).copied())
    }

    /// All messages, in order of UID, with their facts; none where the facts were not read.
    pub(super) fn facts(&self) -> impl Iterator<Item = (Entry, &Fact)> {
        self.messages.iter().zip(self.facts.iter())
    }

    /// How a message's file name ends.
    pub(super) fn tail(&self, fact: &Fact) -> Tail {
        self.facts.tail(fact)
    }

    /// Keeps a size or date that had to be looked up; not written until the next checkpoint. For
    /// who has the fact from [`fact`](Self::fact).
    pub(super) fn learn(&mut self, uid: Uid, change: impl FnOnce(&mut Fact)) {
        self.facts.change(uid, change);
    }

    /// New offsets of all lines, after the UID list was written anew; in order of UID. Others
    /// hear of it by the [`checkpoint`](Self::checkpoint) that must follow.
    pub(super) fn renumber_lines(&mut self, lines: &[u32]) {
        let uids = self.messages.iter().map(|entry| entry.uid);
        self.facts.move_lines(uids.zip(lines.iter().copied()));
    }

    /// What was expunged.
    pub(super) fn vanished(&self) -> &Vanished {
        &self.vanished
    }
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests;
