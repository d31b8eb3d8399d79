//! What comes back of the message, and what a notification takes from it.

use super::{LINE, Returned};
use crate::message::charset::Charsets;
use crate::message::{encoded_word, header};

/// Octets of a header that go back.
const HEADER: usize = 64 << 10;

/// The kind of the part, and its content.
pub(super) fn write(returned: Returned<'_>) -> (&'static str, Vec<u8>) {
    match returned {
        Returned::Whole(message) if is_harmless(message) => ("message/rfc822", message.to_vec()),
        Returned::Whole(_) | Returned::Header(_) => {
            ("text/rfc822-headers", harmless(header_of(returned)))
        }
    }
}

/// What it calls itself, if that is a name that can be written in a header (RFC 5322, 3.6.4).
pub(super) fn message_id(returned: Returned<'_>) -> Option<String> {
    let header = header_of(returned);
    let value = header::fields(header).find(|field| field.is("Message-ID"))?.unfolded();
    let inside = value.strip_prefix(b"<")?.strip_suffix(b">")?;
    let is_name = |octet: &u8| octet.is_ascii_graphic() && !matches!(octet, b'<' | b'>');
    let fits = (3..LINE - 50).contains(&inside.len()) && inside.iter().all(is_name);
    fits.then(|| String::from_utf8_lossy(&value).into_owned())
}

/// Its subject, decoded.
pub(super) fn subject(returned: Returned<'_>, charsets: &dyn Charsets) -> Option<String> {
    let header = header_of(returned);
    let field = header::fields(header).find(|field| field.is("Subject"))?;
    Some(encoded_word::decode(&field.unfolded(), charsets))
}

/// At most [`HEADER`] octets, and whole lines of them.
fn header_of(returned: Returned<'_>) -> &[u8] {
    let (Returned::Header(octets) | Returned::Whole(octets)) = returned;
    let length = match octets.starts_with(b"\r\n") {
        true => 0,
        false => {
            octets.windows(4).position(|four| four == b"\r\n\r\n").map_or(octets.len(), |at| at + 2)
        }
    };
    let Some(cut) = octets.get(..length.min(HEADER)) else { return octets };
    if cut.len() == length {
        return cut;
    }
    let lines = cut.iter().rposition(|&octet| octet == b'\n').map_or(0, |at| at + 1);
    cut.get(..lines).unwrap_or_default()
}

/// Whether it can stand in another message as it is.
fn is_harmless(message: &[u8]) -> bool {
    message.split_inclusive(|&octet| octet == b'\n').all(|line| {
        let text = line.strip_suffix(b"\r\n").unwrap_or(line);
        text.len() <= LINE && !text.iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0))
    })
}

/// The header, its long lines folded; what no header may hold is masked.
fn harmless(header: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(header.len() + 256);
    for line in header.split(|&octet| octet == b'\n') {
        let mut line = line.strip_suffix(b"\r").unwrap_or(line);
        while let Some((piece, rest)) =
            line.split_at_checked(LINE - 8).filter(|_| line.len() > LINE)
        {
            push_masked(piece, &mut out);
            out.extend_from_slice(b"\r\n ");
            line = rest;
        }
        if !line.is_empty() {
            push_masked(line, &mut out);
            out.extend_from_slice(b"\r\n");
        }
    }
    out
}

fn push_masked(line: &[u8], out: &mut Vec<u8>) {
    let mask = |&octet: &u8| if matches!(octet, 0 | b'\r') { b'?' } else { octet };
    out.extend(line.iter().map(mask));
}
