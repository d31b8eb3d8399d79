//! SEARCH: its keys, and how a message is held against them.

/// What SEARCH looks for (RFC 3501, 6.4.4). Dates are days since 1970-01-01.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// All of these (an empty list: every message).
    And(Vec<Key>),
    /// One of the two.
    Or(Box<(Key, Key)>),
    /// Not this one.
    Not(Box<Key>),
    /// A sequence set or UID set, as positions from 0 in the snapshot, rising.
    Positions(Vec<u32>),
    /// A system flag, as in `mailbox::Flags`.
    Flag(u8),
    /// KEYWORD
    Keyword(String),
    /// RECENT
    Recent,
    /// BEFORE: INTERNALDATE, without time and zone, is earlier.
    Before(i32),
    /// ON
    On(i32),
    /// SINCE
    Since(i32),
    /// SENTBEFORE: likewise, but of the Date field.
    SentBefore(i32),
    /// SENTON
    SentOn(i32),
    /// SENTSINCE
    SentSince(i32),
    /// LARGER: RFC822.SIZE is greater.
    Larger(u64),
    /// SMALLER
    Smaller(u64),
    /// HEADER, and FROM, TO, CC, BCC, SUBJECT; an empty text: the field is there.
    Header(String, String),
    /// BODY
    Body(String),
    /// TEXT: header or body.
    Text(String),
}
