//! What a mailbox holds, as the protocols see it: UIDs, flags, and an immutable picture of both.

mod differences;
mod messages;
mod piece;

use std::sync::Arc;

pub use differences::Difference;
pub use messages::{Messages, Reader};
pub use piece::{Form, Piece};

/// A message's number for ever under one UIDVALIDITY (RFC 9051, 2.3.1.1). Never 0.
pub type Uid = u32;

/// A message's flags: the system ones, and keywords as bits that [`Snapshot::keywords`] names.
///
/// Packed, so that an [`Entry`] takes 16 octets and not 24: a mailbox may hold a million.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[repr(Rust, packed(4))]
pub struct Flags {
    /// [`Flags::SEEN`] and its siblings.
    pub system: u8,
    /// Bit n is the n-th keyword of the mailbox.
    pub keywords: u64,
}

impl Flags {
    /// `\Seen`
    pub const SEEN: u8 = 1;
    /// `\Answered`
    pub const ANSWERED: u8 = 2;
    /// `\Flagged`
    pub const FLAGGED: u8 = 4;
    /// `\Deleted`
    pub const DELETED: u8 = 8;
    /// `\Draft`
    pub const DRAFT: u8 = 16;

    /// The system flags with their names, in the order in which they are shown.
    pub const NAMES: [(u8, &'static str); 5] = [
        (Self::ANSWERED, "\\Answered"),
        (Self::FLAGGED, "\\Flagged"),
        (Self::DELETED, "\\Deleted"),
        (Self::SEEN, "\\Seen"),
        (Self::DRAFT, "\\Draft"),
    ];

    /// Whether all system flags of `mask` are set.
    #[must_use]
    pub fn has(self, mask: u8) -> bool {
        self.system & mask == mask
    }
}

/// One message of a [`Snapshot`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its UID.
    pub uid: Uid,
    /// Its flags, without `\Recent`, which belongs to a session.
    pub flags: Flags,
}

/// A mailbox at one moment: immutable, and shared by all sessions that look at it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// RFC 9051, 2.3.1.1. Never 0.
    pub uid_validity: u32,
    /// Greater than every UID ever given.
    pub uid_next: Uid,
    /// HIGHESTMODSEQ (RFC 7162, 3.1.1): rises with every change; 0 where nobody counts.
    pub modseq: u64,
    /// The names of the keyword bits.
    pub keywords: Arc<[String]>,
    /// Whether there is no room for another keyword.
    pub keywords_full: bool,
    /// In order of UID.
    pub messages: Messages,
}

impl Snapshot {
    /// Where a UID stands, from 0; `Err` holds where it would stand.
    pub fn position(&self, uid: Uid) -> Result<usize, usize> {
        self.messages.position(uid)
    }

    /// The entry of a UID.
    #[must_use]
    pub fn entry(&self, uid: Uid) -> Option<Entry> {
        let position = self.position(uid).ok()?;
        self.messages.get(position)
    }

    /// The bit of a keyword; keywords differ in case only for those who look (RFC 9051, 2.3.2).
    #[must_use]
    pub fn keyword(&self, name: &str) -> Option<u64> {
        let bit = self.keywords.iter().position(|known| known.eq_ignore_ascii_case(name))?;
        Some(1 << bit)
    }
}

/// A change of flags, as STORE says it (RFC 9051, 6.4.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagChange {
    /// What happens to the named flags.
    pub how: Change,
    /// The flags named.
    pub flags: NamedFlags,
}

/// What happens to the flags that are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// They become all the flags there are.
    Replace,
    /// They are set besides.
    Add,
    /// They are taken away.
    Remove,
}

/// Flags by name: keywords have no bit until a mailbox knows them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamedFlags {
    /// System flags.
    pub system: u8,
    /// Keywords, in the case in which they came.
    pub keywords: Vec<String>,
}

/// What a mailbox is for (RFC 6154, 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpecialUse {
    /// `\Archive`
    Archive,
    /// `\Drafts`
    Drafts,
    /// `\Junk`
    Junk,
    /// `\Sent`
    Sent,
    /// `\Trash`
    Trash,
}

impl SpecialUse {
    /// The attribute, as LIST shows it.
    #[must_use]
    pub fn attribute(self) -> &'static str {
        match self {
            Self::Archive => "\\Archive",
            Self::Drafts => "\\Drafts",
            Self::Junk => "\\Junk",
            Self::Sent => "\\Sent",
            Self::Trash => "\\Trash",
        }
    }
}

/// A mailbox of a user's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Its full name in UTF-8, with the site's separator; `INBOX` is always spelt so.
    pub name: String,
    /// Whether it can be selected; what only has children below it cannot.
    pub selectable: bool,
    /// Whether there are mailboxes below it.
    pub has_children: bool,
    /// Whether the user subscribed to it. A name may be subscribed that no mailbox has: then it
    /// is not `selectable`.
    pub subscribed: bool,
    /// Whether it exists, be it only as a parent.
    pub exists: bool,
    /// Its use, if it has one.
    pub special_use: Option<SpecialUse>,
}
