//! BODY and BODYSTRUCTURE (RFC 3501, 7.4.2).
//!
//! Strict readers want what the grammar promises: an encoding that is never NIL, a type and a
//! subtype of every part, strings as values of parameters, and at least one part in a multipart.

use super::super::write;
use super::envelope;
use crate::message::structure::{Parameters, Part};

/// Appends the structure of a part and all below it; with extension data it is BODYSTRUCTURE.
/// `header_of` gives the header of a message within.
///
/// Goes as deep as the scanner's limits let structures be.
pub(super) fn write<E>(
    out: &mut Vec<u8>,
    part: &Part,
    extended: bool,
    header_of: &mut impl FnMut(&Part) -> Result<Vec<u8>, E>,
) -> Result<(), E> {
    out.push(b'(');
    if part.is_multipart() {
        multipart(out, part, extended, header_of)?;
    } else {
        single(out, part);
        if let Some(message) = part.message() {
            out.push(b' ');
            envelope::write(out, &header_of(message)?);
            out.push(b' ');
            write(out, message, extended, header_of)?;
        }
        if part.media_type == "text" || part.message().is_some() {
            out.push(b' ');
            write::number(out, part.lines);
        }
        if extended {
            out.push(b' ');
            write::nstring(out, part.md5.as_deref());
        }
    }
    if extended {
        extension(out, part);
    }
    out.push(b')');
    Ok(())
}

fn multipart<E>(
    out: &mut Vec<u8>,
    part: &Part,
    extended: bool,
    header_of: &mut impl FnMut(&Part) -> Result<Vec<u8>, E>,
) -> Result<(), E> {
    if part.parts.is_empty() {
        // A multipart without parts has no form: it is shown with an empty text, as by Dovecot.
        let (media_type, subtype) = ("text".to_owned(), "plain".to_owned());
        let empty = Part { media_type, subtype, encoding: "7bit".to_owned(), ..Part::default() };
        write(out, &empty, extended, header_of)?;
    }
    for child in &part.parts {
        write(out, child, extended, header_of)?;
    }
    out.push(b' ');
    write::string(out, part.subtype.as_bytes());
    if extended {
        out.push(b' ');
        parameters(out, &part.parameters, false);
    }
    Ok(())
}

/// body-fields, after the type.
fn single(out: &mut Vec<u8>, part: &Part) {
    write::string(out, part.media_type.as_bytes());
    out.push(b' ');
    write::string(out, part.subtype.as_bytes());
    out.push(b' ');
    parameters(out, &part.parameters, part.media_type == "text");
    out.push(b' ');
    write::nstring(out, part.id.as_deref());
    out.push(b' ');
    write::nstring(out, part.description.as_deref());
    out.push(b' ');
    write::string(out, part.encoding.as_bytes());
    out.push(b' ');
    write::number(out, part.end.wire - part.body.wire);
}

/// Disposition, language, location.
fn extension(out: &mut Vec<u8>, part: &Part) {
    out.push(b' ');
    match &part.disposition {
        None => out.extend_from_slice(b"NIL"),
        Some((kind, values)) => {
            out.push(b'(');
            write::string(out, kind.as_bytes());
            out.push(b' ');
            parameters(out, values, false);
            out.push(b')');
        }
    }
    out.push(b' ');
    match part.language.as_slice() {
        [] => out.extend_from_slice(b"NIL"),
        [one] => write::string(out, one),
        [first, others @ ..] => {
            out.push(b'(');
            write::string(out, first);
            for other in others {
                out.push(b' ');
                write::string(out, other);
            }
            out.push(b')');
        }
    }
    out.push(b' ');
    write::nstring(out, part.location.as_deref());
}

/// RFC 2045, 5.2: a text that names no charset is in US-ASCII; that is said, as Dovecot says it.
fn parameters(out: &mut Vec<u8>, values: &Parameters, is_text: bool) {
    let add_charset = is_text && !values.iter().any(|(name, _)| name == "charset");
    if values.is_empty() && !add_charset {
        return out.extend_from_slice(b"NIL");
    }
    let charset = add_charset.then_some(("charset", &b"us-ascii"[..]));
    let values = values.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
    let mut before = b'(';
    for (name, value) in values.chain(charset) {
        out.push(before);
        write::string(out, name.as_bytes());
        out.push(b' ');
        write::string(out, value);
        before = b' ';
    }
    out.push(b')');
}
