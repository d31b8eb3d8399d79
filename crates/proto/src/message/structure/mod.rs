//! The MIME structure of a message (RFC 2045, 2046) in one streaming pass.
//!
//! The scanner takes a message in blocks of any size, with CRLF or LF line ends or a mixture, and
//! keeps only where parts begin and end, and their headers' fields that matter. Maildir holds LF,
//! IMAP speaks of CRLF: so every place is known as both (see [`Place`]).

mod boundary;
mod fields;
mod parameters;
mod scanner;

pub use scanner::Scanner;

/// Parameters of a field: names in lower case, values as sent but without their quotes.
pub type Parameters = Vec<(String, Vec<u8>)>;

/// A place in a message: where it is in the file, and where in the CRLF form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
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
    /// Octets kept of the header fields that matter, all parts together.
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
    /// Parameters of Content-Type.
    pub parameters: Parameters,
    /// Content-ID.
    pub id: Option<Vec<u8>>,
    /// Content-Description.
    pub description: Option<Vec<u8>>,
    /// Content-Transfer-Encoding, lower case: never empty, `7bit` where nothing valid is said.
    pub encoding: String,
    /// Content-MD5.
    pub md5: Option<Vec<u8>>,
    /// Content-Disposition and its parameters.
    pub disposition: Option<(String, Parameters)>,
    /// Content-Language.
    pub language: Vec<Vec<u8>>,
    /// Content-Location.
    pub location: Option<Vec<u8>>,
    /// The parts of a multipart; the one message of a `message/rfc822`.
    pub parts: Vec<Part>,
}

impl Part {
    /// Whether it has parts with numbers of their own. It may still hold none.
    #[must_use]
    pub fn is_multipart(&self) -> bool {
        self.media_type == "multipart"
    }

    /// The message within, if this part is one (RFC 2046, 5.2.1; RFC 6532, 3.7).
    #[must_use]
    pub fn message(&self) -> Option<&Part> {
        if self.is_multipart() { None } else { self.parts.first() }
    }

    /// A parameter of Content-Type, by its name in lower case.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&[u8]> {
        let (_, value) = self.parameters.iter().find(|(known, _)| known == name)?;
        Some(value)
    }
}
