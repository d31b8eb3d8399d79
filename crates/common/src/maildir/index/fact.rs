//! What is known of each message besides its flags.

use mail_proto::mailbox::Uid;

/// What is known of a message besides its flags. 40 octets, for a mailbox may hold a million.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::maildir) struct Fact {
    /// `name::hash` of its base name.
    pub(in crate::maildir) hash: u64,
    /// The transaction that last changed it (RFC 7162, 3.1).
    pub(in crate::maildir) modseq: u64,
    /// INTERNALDATE in seconds since 1970; [`Fact::UNKNOWN_DATE`] until somebody asked.
    pub(in crate::maildir) date: i64,
    /// Where its line begins in the UID list.
    pub(in crate::maildir) line: u32,
    /// Octets with CRLF line ends; [`Fact::UNKNOWN_SIZE`] until somebody asked, or if there are
    /// more than this can say.
    pub(in crate::maildir) size: u32,
    /// Which [`Tail`]: 0 in `new`, 1 plain, above: odd ones, in the index's list.
    pub(super) tail: u32,
    /// Whose this is; 0 before the index has it.
    pub(super) uid: Uid,
}

/// How a message's file name goes on behind the base name, and where the file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::maildir) enum Tail {
    /// In `new`, without a tail.
    New,
    /// In `cur`, with `:2,` and the letters of its flags in ASCII order.
    Plain,
    /// Otherwise: letters that we do not know, in another order, no tail in `cur`, one in `new`.
    Odd {
        /// In `new`, not in `cur`.
        in_new: bool,
        /// From the colon on; may be empty.
        text: Box<str>,
    },
}

impl Fact {
    /// Nobody asked for the date yet.
    pub(in crate::maildir) const UNKNOWN_DATE: i64 = i64::MIN;
    /// Nobody asked for the size yet.
    pub(in crate::maildir) const UNKNOWN_SIZE: u32 = u32::MAX;

    /// Of a message whose date and size nobody asked for yet.
    pub(in crate::maildir) fn new(hash: u64, line: u32) -> Self {
        let (date, size) = (Self::UNKNOWN_DATE, Self::UNKNOWN_SIZE);
        Self { hash, modseq: 0, date, line, size, tail: 0, uid: 0 }
    }

    /// Whose this is.
    pub(in crate::maildir) fn uid(&self) -> Uid {
        self.uid
    }
}

/// The facts of all messages, read when somebody first asks.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts;
