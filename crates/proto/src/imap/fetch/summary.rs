//! Summaries: what FETCH and SEARCH ask of most messages, to be kept beside a mailbox.
//!
//! A summary is octets that a [`Source`](super::Source) stores as they are and gives back. What
//! answers are made of stands in them as it is sent (ENVELOPE, BODYSTRUCTURE, the preview) or as it
//! stands in the message (header fields), so that an answer from a summary is the one that the message
//! itself would have given, octet by octet.
//!
//! Its form: the version, the size on the wire (64 bits), the lengths of envelope, structure,
//! preview and fields (16 bits each; all numbers little-endian), then these four. Of a message that
//! was not read to its end, size and structure are not known: both are 0 octets or 0. The length of
//! the preview is one more than its octets: 0 says that it is not known.

use super::body_structure;
use super::envelope;
use super::preview;
use crate::message::header;
use crate::message::structure::Part;

/// A summary, as it was encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary<'a> {
    /// RFC822.SIZE, if the message was read to its end.
    pub size: Option<u64>,
    /// ENVELOPE, as it is sent.
    pub envelope: &'a [u8],
    /// BODYSTRUCTURE, as it is sent, if the message was read to its end.
    pub structure: Option<&'a [u8]>,
    /// The header fields that are [covered](covers), as stored and in their order.
    pub fields: &'a [u8],
    preview: Option<&'a str>,
}

/// Raised whenever the form or the fields that are covered change: older summaries are made anew.
pub(super) const VERSION: u8 = 2;

/// Octets before the envelope.
pub(super) const HEAD: usize = 17;

/// A longer summary is not kept: whoever sends such messages gets them read.
pub const SUMMARY_LIMIT: usize = 64 * 1024;

/// The header fields that clients ask for to show lists and threads of messages. A new name needs
/// a new [`VERSION`].
const COVERED: [&str; 34] = [
    "From",
    "To",
    "Cc",
    "Bcc",
    "Reply-To",
    "Sender",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "List-Id",
    "List-Post",
    "List-Unsubscribe",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Content-Description",
    "X-Priority",
    "Importance",
    "Priority",
    "Disposition-Notification-To",
    "Return-Path",
    "Delivered-To",
    "X-Original-To",
    "Mail-Followup-To",
    "Mail-Reply-To",
    "Newsgroups",
    "Followup-To",
    "Lines",
    "X-Label",
    "X-Draft-Info",
    "X-Mailer",
    "X-Uniform-Type-Identifier",
    "X-Universally-Unique-Identifier",
];

/// Whether a summary has the fields of this name: one that is not in it is not in the message.
#[must_use]
pub fn covers(name: &str) -> bool {
    is_covered(name.as_bytes())
}

fn is_covered(name: &[u8]) -> bool {
    COVERED.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

impl<'a> Summary<'a> {
    /// Reads a summary. Octets that are none, or of another version, are refused.
    #[must_use]
    pub fn decode(encoded: &'a [u8]) -> Option<Self> {
        let (head, rest) = encoded.split_first_chunk::<HEAD>()?;
        let [version, s0, s1, s2, s3, s4, s5, s6, s7, e0, e1, t0, t1, p0, p1, f0, f1] = *head;
        if version != VERSION || encoded.len() > SUMMARY_LIMIT {
            return None;
        }
        let length = |low, high| usize::from(u16::from_le_bytes([low, high]));
        let (envelope, rest) = rest.split_at_checked(length(e0, e1))?;
        let (structure, rest) = rest.split_at_checked(length(t0, t1))?;
        let preview = length(p0, p1).checked_sub(1);
        let (text, fields) = rest.split_at_checked(preview.unwrap_or(0))?;
        let size = u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
        let is_whole = is_list(structure);
        let makes_sense = is_list(envelope)
            && fields.len() == length(f0, f1)
            && text.len() <= preview::OCTETS
            && (is_whole || (structure.is_empty() && size == 0 && preview.is_none()));
        let text = std::str::from_utf8(text).ok().filter(|_| makes_sense)?;
        Some(Self {
            size: is_whole.then_some(size),
            envelope,
            structure: is_whole.then_some(structure),
            fields,
            preview: preview.map(|_| text),
        })
    }

    /// PREVIEW (RFC 8970): at most 200 characters on one line. Empty, there is nothing to show;
    /// `None`: nobody looked yet.
    #[must_use]
    pub fn preview(&self) -> Option<&'a str> {
        self.preview
    }
}

fn is_list(text: &[u8]) -> bool {
    text.starts_with(b"(") && text.ends_with(b")")
}

/// Writes a summary in place of what is in `out`: of a header, and of structure and preview if they
/// are known. `header_of` gives the header of a message within. Whether it is short enough to be
/// kept.
pub(super) fn write<E>(
    out: &mut Vec<u8>,
    header: &[u8],
    structure: Option<&Part>,
    preview: Option<&str>,
    header_of: &mut impl FnMut(&Part) -> Result<Vec<u8>, E>,
) -> Result<bool, E> {
    out.clear();
    out.resize(HEAD, 0);
    envelope::write(out, header);
    let envelope_end = out.len();
    let mut size = 0;
    if let Some(part) = structure {
        size = part.end.wire;
        body_structure::write(out, part, true, header_of)?;
    }
    let structure_end = out.len();
    out.extend_from_slice(preview.unwrap_or_default().as_bytes());
    let preview_end = out.len();
    for field in header::fields(header).filter(|field| is_covered(field.name)) {
        out.extend_from_slice(field.raw);
    }
    if out.len() > SUMMARY_LIMIT {
        return Ok(false);
    }
    let lengths = [
        envelope_end - HEAD,
        structure_end - envelope_end,
        preview.map_or(0, |text| text.len() + 1),
        out.len() - preview_end,
    ];
    Ok(fill_head(out, size, lengths))
}

fn fill_head(out: &mut [u8], size: u64, lengths: [usize; 4]) -> bool {
    let Some((version, head)) = out.split_first_mut() else { return false };
    let Some((size_field, head)) = head.split_first_chunk_mut::<8>() else { return false };
    *version = VERSION;
    *size_field = size.to_le_bytes();
    let fields = head.as_chunks_mut::<2>().0.iter_mut();
    fields.zip(lengths).all(|(field, length)| match u16::try_from(length) {
        Ok(length) => {
            *field = length.to_le_bytes();
            true
        }
        Err(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FNV-1a of the names, each with an end.
    fn covered_hash() -> u64 {
        let octets = COVERED.iter().flat_map(|name| name.bytes().chain([0]));
        octets.fold(0xcbf2_9ce4_8422_2325, |hash, octet| {
            (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
        })
    }

    #[test]
    fn other_names_need_another_version() {
        assert_eq!((VERSION, covered_hash()), (2, 0xee05_e4de_81e6_f8d8));
    }
}
