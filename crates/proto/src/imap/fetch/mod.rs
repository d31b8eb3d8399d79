//! FETCH: its items, and how messages become responses.
//!
//! A question may be about a hundred thousand messages or one of a gigabyte; each answers as much
//! as fits one output buffer, and [`super::Progress`] says where the next goes on, be it in the
//! middle of a literal. Nothing is announced that is not known: the length of a literal is
//! counted from the message itself, never believed from a file's name, and where a message
//! nevertheless ends too soon, the connection must end too.

mod body_structure;
mod envelope;
mod preview;
mod reading;
mod section;
mod source;
mod summary;
mod summing;

pub(super) use reading::Need;
pub use reading::{HEADER_LIMIT, Reading};
pub use source::{ReadError, Source};
pub use summary::{SUMMARY_LIMIT, Summary, covers};
pub use summing::Summing;

use self::section::Content;
use super::{Fetch, write};
use crate::mailbox::Entry;

/// Octets of responses after which a question is answered and the next one goes on.
const ANSWER: usize = 256 * 1024;

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

/// Answers as much of a FETCH as fits one answer. All is done when [`super::Progress::message`] is
/// the number of positions.
///
/// Messages that are gone or cannot be read are passed over and counted.
///
/// # Errors
/// A literal that was announced in an earlier answer cannot be completed. Whatever is sent now, the
/// client takes for the message: the connection must be closed at once.
pub fn respond<S: Source>(
    fetch: &mut Fetch,
    source: &mut S,
    reading: &mut Reading,
) -> Result<(), ReadError<S::Error>> {
    let (positions, snapshot) = (fetch.positions.clone(), fetch.snapshot.clone());
    let items = fetch.items.clone();
    let reads = items.iter().any(|item| !matches!(item, Item::Uid | Item::Flags));
    let mut entries = snapshot.messages.reader();
    while let Some(&position) = positions.get(fetch.progress.message) {
        if fetch.out.len() >= ANSWER {
            return Ok(());
        }
        let entry = usize::try_from(position).ok().and_then(|at| entries.get(at));
        let Some(entry) = entry else {
            fetch.progress.message += 1;
            continue;
        };
        if reads {
            reading.turn_to(entry.uid);
        }
        if one_message(fetch, &items, (position, entry), source, reading)? == Flow::Paused {
            return Ok(());
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum Flow {
    Done,
    Paused,
}

/// Answers for one message, or goes on where its literal was left.
fn one_message<S: Source>(
    fetch: &mut Fetch,
    items: &[Item],
    (position, entry): (u32, Entry),
    source: &mut S,
    reading: &mut Reading,
) -> Result<Flow, ReadError<S::Error>> {
    let resumed = fetch.progress.offset.is_some();
    let start = fetch.out.len();
    if !resumed {
        begin(&mut fetch.out, position);
        if fetch.seen.binary_search(&position).is_ok() && !items.contains(&Item::Flags) {
            flags(fetch, entry);
            fetch.out.push(b' ');
        }
    }
    match all_items(fetch, items, entry, source, reading) {
        Ok(Flow::Paused) => return Ok(Flow::Paused),
        Ok(Flow::Done) => fetch.out.extend_from_slice(b")\r\n"),
        Err(error) if resumed => return Err(error),
        Err(error) => {
            fetch.out.truncate(start);
            fetch.progress.offset = None;
            if matches!(&error, ReadError::Source(error) if S::is_gone(error)) {
                fetch.progress.missing += 1;
            } else {
                fetch.progress.unreadable += 1;
                source.unreadable(entry.uid, &error);
            }
        }
    }
    fetch.progress.item = 0;
    fetch.progress.message += 1;
    Ok(Flow::Done)
}

fn begin(out: &mut Vec<u8>, position: u32) {
    out.extend_from_slice(b"* ");
    write::number(out, u64::from(position) + 1);
    out.extend_from_slice(b" FETCH (");
}

fn all_items<S: Source>(
    fetch: &mut Fetch,
    items: &[Item],
    entry: Entry,
    source: &mut S,
    reading: &mut Reading,
) -> Result<Flow, ReadError<S::Error>> {
    while let Some(item) = items.get(fetch.progress.item) {
        if fetch.progress.item > 0 && fetch.progress.offset.is_none() {
            fetch.out.push(b' ');
        }
        match item {
            Item::Section(section) => {
                if piece(fetch, section, source, reading)? == Flow::Paused {
                    return Ok(Flow::Paused);
                }
            }
            _ => whole_item(fetch, item, entry, source, reading)?,
        }
        fetch.progress.item += 1;
    }
    Ok(Flow::Done)
}

/// An item that is written in one go.
fn whole_item<S: Source>(
    fetch: &mut Fetch,
    item: &Item,
    entry: Entry,
    source: &mut S,
    reading: &mut Reading,
) -> Result<(), S::Error> {
    let out = &mut fetch.out;
    match item {
        Item::Flags => flags(fetch, entry),
        Item::Uid => {
            out.extend_from_slice(b"UID ");
            write::number(out, u64::from(entry.uid));
        }
        Item::InternalDate => {
            out.extend_from_slice(b"INTERNALDATE ");
            write::date_time(out, source.internal_date(entry.uid)?);
        }
        Item::Size => {
            out.extend_from_slice(b"RFC822.SIZE ");
            write::number(out, source.size(entry.uid)?);
        }
        Item::Envelope => {
            out.extend_from_slice(b"ENVELOPE ");
            match reading.summary(source, Need::Header)? {
                Some(summary) => out.extend_from_slice(summary.envelope),
                None => envelope::write(out, &reading.header(source)?),
            }
        }
        Item::Body => {
            out.extend_from_slice(b"BODY ");
            body(out, false, source, reading)?;
        }
        Item::BodyStructure => {
            out.extend_from_slice(b"BODYSTRUCTURE ");
            match reading.summary(source, Need::Structure)?.and_then(|summary| summary.structure) {
                Some(structure) => out.extend_from_slice(structure),
                None => body(out, true, source, reading)?,
            }
        }
        Item::Section(_) => unreachable!("a section is written piece by piece"),
    }
    Ok(())
}

/// The structure, made from the message.
fn body<S: Source>(
    out: &mut Vec<u8>,
    extended: bool,
    source: &mut S,
    reading: &mut Reading,
) -> Result<(), S::Error> {
    let structure = reading.structure(source)?;
    body_structure::write(out, &structure, extended, &mut |part| {
        reading.stored(source, part.header, part.body, HEADER_LIMIT)
    })
}

fn flags(fetch: &mut Fetch, entry: Entry) {
    fetch.out.extend_from_slice(b"FLAGS ");
    let recent = entry.uid >= fetch.recent_from;
    write::flags(&mut fetch.out, entry.flags, &fetch.snapshot.keywords, recent);
}

/// A section, or as much of it as fits.
fn piece<S: Source>(
    fetch: &mut Fetch,
    section: &Section,
    source: &mut S,
    reading: &mut Reading,
) -> Result<Flow, ReadError<S::Error>> {
    let content = section::find(section, reading, source)?;
    let (first, count) = clip(section.partial, content.size());
    let written = fetch.progress.offset.unwrap_or_else(|| {
        announce(&mut fetch.out, &section.name, count);
        0
    });
    let room = ANSWER.saturating_sub(fetch.out.len()).max(1) as u64;
    let length = room.min(count - written);
    match content {
        Content::Between(from, _) => {
            reading.append(source, (from, first + written), length, &mut fetch.out)?;
        }
        Content::Chosen(_) => {
            let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
            let range = index(first + written)..index(first + written + length);
            fetch.out.extend_from_slice(reading.chosen.get(range).unwrap_or_default());
        }
    }
    let written = written + length;
    fetch.progress.offset = (written < count).then_some(written);
    Ok(if written < count { Flow::Paused } else { Flow::Done })
}

/// The first octet and the number of octets that a partial section holds; past the end there are
/// none (RFC 3501, 6.4.5).
fn clip(partial: Option<(u64, u64)>, size: u64) -> (u64, u64) {
    let (first, count) = partial.unwrap_or((0, u64::MAX));
    let first = first.min(size);
    (first, count.min(size - first))
}

fn announce(out: &mut Vec<u8>, name: &str, count: u64) {
    out.extend_from_slice(name.as_bytes());
    out.push(b' ');
    if count == 0 {
        out.extend_from_slice(b"\"\"");
    } else {
        write::literal_length(out, count);
    }
}

#[cfg(test)]
mod tests;
