//! FETCH: its items, and how messages become responses.

/// One thing that FETCH asks of each message (RFC 3501, 6.4.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// FLAGS
    Flags,
    /// UID
    Uid,
    /// INTERNALDATE
    InternalDate,
    /// RFC822.SIZE
    Size,
    /// ENVELOPE
    Envelope,
    /// BODY (without extension data)
    Body,
    /// BODYSTRUCTURE
    BodyStructure,
    /// BODY[section]<partial>, and RFC822, RFC822.HEADER, RFC822.TEXT, RFC822.PEEK by their name.
    Section(Section),
}

/// A part of a message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What the response calls it: `BODY[1.MIME]<0>`, `RFC822.HEADER`; header names in the
    /// client's spelling.
    pub name: String,
    /// The part's number: empty for the message itself.
    pub part: Vec<u32>,
    /// What of the part.
    pub text: SectionText,
    /// `<first.count>`
    pub partial: Option<(u64, u64)>,
    /// Whether fetching it leaves `\Seen` alone.
    pub peek: bool,
}

/// What of a part to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SectionText {
    /// All of it: BODY[], BODY[1].
    All,
    /// HEADER
    Header,
    /// HEADER.FIELDS
    Fields(Vec<String>),
    /// HEADER.FIELDS.NOT
    FieldsNot(Vec<String>),
    /// TEXT
    Text,
    /// MIME
    Mime,
}
