//! Sections of a message: BODY[...] (RFC 3501, 6.4.5).

use std::mem::take;

use super::reading::{HEADER_LIMIT, Need, Reading};
use super::source::Source;
use super::{Section, SectionText, summary};
use crate::message::header::{self, Field};
use crate::message::structure::{Part, Place};
use crate::message::wire;

/// What a section holds.
pub(super) enum Content {
    /// The message between two places.
    Between(Place, Place),
    /// Chosen header fields: so many wire octets, which [`Reading::chosen`] holds.
    Chosen(u64),
}

impl Content {
    const NOTHING: Self = Self::Chosen(0);

    /// Wire octets.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Between(from, to) => to.wire - from.wire,
            Self::Chosen(count) => *count,
        }
    }

    fn header_of(part: &Part) -> Self {
        Self::Between(part.header, part.body)
    }

    fn body_of(part: &Part) -> Self {
        Self::Between(part.body, part.end)
    }
}

/// What a section of the message at hand holds; one that does not exist holds nothing.
pub(super) fn find<S: Source>(
    section: &Section,
    reading: &mut Reading,
    source: &mut S,
) -> Result<Content, S::Error> {
    // These need no structure, and they are what mail checks ask for.
    match (section.part.is_empty(), &section.text) {
        (true, SectionText::All) => {
            return Ok(Content::Between(Place::default(), reading.end(source)?));
        }
        (true, SectionText::Fields(names)) => {
            return fields(&section.text, names, reading, source);
        }
        (true, SectionText::FieldsNot(_)) => {
            let header = reading.header(source)?;
            return Ok(choose(&section.text, &header, &mut reading.chosen));
        }
        (true, SectionText::Header) => {
            let header = reading.header(source)?;
            if header.len() < HEADER_LIMIT {
                let stored = header.len() as u64;
                let wire = stored + wire::bare_line_ends(&header, false);
                return Ok(Content::Between(Place::default(), Place { stored, wire }));
            }
        }
        _ => {}
    }
    let root = reading.structure(source)?;
    let Some(node) = Node::Message(&root).below(&section.part) else {
        return Ok(Content::NOTHING);
    };
    match (&section.text, node) {
        (SectionText::All, Node::Part(part)) => Ok(Content::body_of(part)),
        (SectionText::All, Node::Message(part)) => Ok(Content::Between(part.header, part.end)),
        (SectionText::Mime, Node::Part(part) | Node::Message(part)) => Ok(Content::header_of(part)),
        (text, node) => {
            let Some(message) = node.message() else { return Ok(Content::NOTHING) };
            match text {
                SectionText::Header => Ok(Content::header_of(message)),
                SectionText::Text => Ok(Content::body_of(message)),
                _ => {
                    let (from, to) = (message.header, message.body);
                    let header = reading.stored(source, from, to, HEADER_LIMIT)?;
                    Ok(choose(text, &header, &mut reading.chosen))
                }
            }
        }
    }
}

/// A part has another meaning as a message than as a part: BODY[1] of a message that is no
/// multipart is its body, and BODY[1.HEADER] the header of a message within.
#[derive(Clone, Copy)]
enum Node<'a> {
    Message(&'a Part),
    Part(&'a Part),
}

impl<'a> Node<'a> {
    fn below(self, numbers: &[u32]) -> Option<Self> {
        numbers.iter().try_fold(self, |node, number| node.child(*number))
    }

    fn child(self, number: u32) -> Option<Self> {
        let within = match self {
            Node::Part(part) if part.is_multipart() => part,
            _ => self.message()?,
        };
        if !within.is_multipart() {
            return (number == 1).then_some(Node::Part(within));
        }
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        within.parts.get(index).map(Node::Part)
    }

    fn message(self) -> Option<&'a Part> {
        match self {
            Node::Message(part) => Some(part),
            Node::Part(part) => part.message(),
        }
    }
}

/// HEADER.FIELDS of the message at hand, from its summary if that has them.
fn fields<S: Source>(
    text: &SectionText,
    names: &[String],
    reading: &mut Reading,
    source: &mut S,
) -> Result<Content, S::Error> {
    let mut chosen = take(&mut reading.chosen);
    let covered = names.iter().all(|name| summary::covers(name));
    let summary = if covered { reading.summary(source, Need::Header)? } else { None };
    let content = match summary {
        Some(summary) => choose(text, summary.fields, &mut chosen),
        None => choose(text, &reading.header(source)?, &mut chosen),
    };
    reading.chosen = chosen;
    Ok(content)
}

/// HEADER.FIELDS and HEADER.FIELDS.NOT: the fields in their order, and an empty line.
fn choose(text: &SectionText, header: &[u8], chosen: &mut Vec<u8>) -> Content {
    let (names, wanted) = match text {
        SectionText::Fields(names) => (names, true),
        SectionText::FieldsNot(names) => (names, false),
        _ => return Content::NOTHING,
    };
    chosen.clear();
    for field in header::fields(header) {
        if names.iter().any(|name| field.is(name)) == wanted {
            append_field(chosen, &field);
        }
    }
    chosen.extend_from_slice(b"\r\n");
    Content::Chosen(chosen.len() as u64)
}

fn append_field(out: &mut Vec<u8>, field: &Field) {
    for line in field.raw.split_inclusive(|octet| *octet == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        wire::append(out, text.strip_suffix(b"\r").unwrap_or(text));
        out.extend_from_slice(b"\r\n");
    }
}
