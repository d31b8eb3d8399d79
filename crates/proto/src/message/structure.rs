//! The MIME structure of a message (RFC 2045, 2046) in one streaming pass.
//!
//! The scanner takes a message in blocks of any size, with CRLF or LF line ends or a mixture, and
//! keeps only where parts begin and end, and their headers' fields that matter. Maildir holds LF,
//! IMAP speaks of CRLF: so every place is known as both (see [`Place`]).

/// A place in a message: where it is in the file, and where in the CRLF form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// Octets from the beginning, as stored.
    pub stored: u64,
    /// Octets from the beginning once every line ends in CRLF.
    pub wire: u64,
}

/// What a scan may use up. Beyond, the rest is opaque: never an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Multiparts and messages within each other.
    pub depth: usize,
    /// Parts in all.
    pub parts: usize,
    /// Octets kept of the header fields that matter.
    pub header: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 100, parts: 10_000, header: 1 << 20 }
    }
}

/// A part: the message itself, a part of a multipart, or a message within.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Part {
    /// Where its header begins.
    pub header: Place,
    /// Where its body begins.
    pub body: Place,
    /// Where it ends; the line end before a boundary belongs to the boundary.
    pub end: Place,
    /// Lines of the body, as CRLF form counts them.
    pub lines: u64,
    /// `text`, lower case; `text/plain` where nothing valid is said (in a digest `message/rfc822`).
    pub media_type: String,
    /// `plain`, lower case.
    pub subtype: String,
    /// Parameters of Content-Type: names lower case, values without quotes.
    pub parameters: Vec<(String, Vec<u8>)>,
    /// Content-ID.
    pub id: Option<Vec<u8>>,
    /// Content-Description.
    pub description: Option<Vec<u8>>,
    /// Content-Transfer-Encoding, lower case: never empty, `7bit` where nothing valid is said.
    pub encoding: String,
    /// Content-MD5.
    pub md5: Option<Vec<u8>>,
    /// Content-Disposition and its parameters.
    pub disposition: Option<(String, Vec<(String, Vec<u8>)>)>,
    /// Content-Language.
    pub language: Vec<Vec<u8>>,
    /// Content-Location.
    pub location: Option<Vec<u8>>,
    /// The parts of a multipart; the one message of a `message/rfc822`.
    pub parts: Vec<Part>,
}

/// A scan under way.
#[derive(Debug)]
pub struct Scanner {
    limits: Limits,
}

impl Scanner {
    /// A scanner at the beginning of a message.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits }
    }

    /// Takes the next block.
    pub fn push(&mut self, block: &[u8]) {
        todo!("{block:?} {:?}", self.limits)
    }

    /// The message ended here.
    #[must_use]
    pub fn finish(self) -> Part {
        todo!()
    }
}
