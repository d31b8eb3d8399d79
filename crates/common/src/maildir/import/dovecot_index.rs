//! `dovecot.index`: a header, headers of extensions, and records of equal length, one a message.
//!
//! All numbers are little-endian (a file of another machine says so and is refused). The header
//! names sizes, so fields that were added later are passed over:
//!
//! | at | octets | |
//! |---|---|---|
//! | 0 | 1, 1 | version: major 7 is what 2.0 to 2.4 write; minor |
//! | 2, 4, 8 | 2, 4, 4 | size of this header, with those of the extensions, of a record |
//! | 12 | 1 | 1: little-endian |
//! | 16, 20 | 4, 4 | id that log and index share; flags: 1 damaged, 4 to be checked |
//! | 24, 28, 32 | 4, 4, 4 | UIDVALIDITY, next UID, messages |
//! | 60, 64, 68 | 4, 4, 4 | the log's number, where its changes have reached the files, and us |
//!
//! An extension's header is its header's size (4), reset id (4), where its octets stand in a
//! record (2), how many (2), alignment (2), the name's length (2), the name, and at the next
//! multiple of 8 its own header. A record is UID (4), flags (1), and what extensions put there.

use super::fields::{aligned, part, short_at, size_at, u8_at, u32_at, u64_at};
use super::picture::{Extension, MOST_EXTENSIONS, Picture, What};

/// What 2.0 to 2.4 write.
const MAJOR: u8 = 7;
const SMALLEST_HEADER: usize = 120;
const SMALLEST_RECORD: usize = 8;
/// In the header's flags: damaged, or to be checked before use.
const DOUBTFUL: u32 = 0x1 | 0x4;

/// The file, read.
#[derive(Debug)]
pub(super) struct Index {
    /// The log has the same one.
    pub(super) id: u32,
    /// The log whose changes follow.
    pub(super) log: u32,
    /// Where in it those changes begin that the messages' files may not have heard of.
    pub(super) tail: usize,
    /// Where in it the changes begin that are not in the index.
    pub(super) head: usize,
    pub(super) picture: Picture,
}

/// Where an extension's octets are.
struct Place<'f> {
    name: &'f [u8],
    reset_id: u32,
    /// Its own header.
    header: &'f [u8],
    /// Where they begin in a record, and how many there are.
    record: (usize, usize),
}

/// Reads the file; on errors, says what is wrong and where.
pub(super) fn read(file: &[u8]) -> Result<Index, (usize, What)> {
    if u8_at(file, 0) != Some(MAJOR) {
        return Err((0, "not a version that we know"));
    }
    let short = (0, "shorter than its header");
    let header = part(file, 0, SMALLEST_HEADER).ok_or(short)?;
    let number = |at| u32_at(header, at).ok_or((at, "no number"));
    let size = |at| size_at(header, at).ok_or((at, "no size"));
    if u8_at(header, 12).is_none_or(|flags| flags & 1 == 0) {
        return Err((12, "from a machine with another order of octets"));
    }
    if number(20)? & DOUBTFUL != 0 {
        return Err((20, "Dovecot itself calls it damaged"));
    }
    let base = short_at(header, 2).filter(|base| *base >= SMALLEST_HEADER);
    let base = base.ok_or((2, "the header is too short"))?;
    let headers = file.get(..size(4)?).ok_or((4, "the headers go past the end"))?;
    let record = size(8)?;
    let places = places(headers, aligned(base, 8), record)?;
    let mut picture = Picture::new(number(24)?, number(28)?);
    extensions(&mut picture, &places).map_err(|what| (base, what))?;
    let records = file.get(headers.len()..).unwrap_or_default();
    messages(&mut picture, &places, (records, record, size(32)?))
        .map_err(|what| (headers.len(), what))?;
    Ok(Index { id: number(16)?, log: number(60)?, tail: size(64)?, head: size(68)?, picture })
}

/// The extensions' headers.
fn places(headers: &[u8], from: usize, record: usize) -> Result<Vec<Place<'_>>, (usize, What)> {
    let mut places: Vec<Place<'_>> = Vec::new();
    let mut at = from;
    while at < headers.len() {
        let (place, next) = place(headers, at).ok_or((at, "an extension without an end"))?;
        if place.record.0 + place.record.1 > record {
            return Err((at, "an extension goes past the record"));
        }
        if places.len() == MOST_EXTENSIONS || places.iter().any(|known| known.name == place.name) {
            return Err((at, "an extension too many"));
        }
        places.push(place);
        at = next;
    }
    Ok(places)
}

/// The extension at `at`, and where the next one is.
fn place(headers: &[u8], at: usize) -> Option<(Place<'_>, usize)> {
    let name = part(headers, at + 16, short_at(headers, at + 14)?)?;
    let begin = aligned(at + 16 + name.len(), 8);
    let header = part(headers, begin, size_at(headers, at)?)?;
    let place = Place {
        name,
        reset_id: u32_at(headers, at + 4)?,
        header,
        record: (short_at(headers, at + 8)?, short_at(headers, at + 10)?),
    };
    Some((place, aligned(begin + header.len(), 8)))
}

/// What the extensions' own headers say.
fn extensions(picture: &mut Picture, places: &[Place<'_>]) -> Result<(), What> {
    let kept =
        |place: &Place<'_>| Extension { name: place.name.to_vec(), reset_id: place.reset_id };
    picture.extensions = places.iter().map(kept).collect();
    if let Some(place) = places.iter().find(|place| place.name == b"modseq") {
        picture.highest_modseq = Some(u64_at(place.header, 0).ok_or("a modseq header too short")?);
    }
    let Some(place) = places.iter().find(|place| place.name == b"keywords") else { return Ok(()) };
    let count = size_at(place.header, 0).ok_or("a keywords header too short")?;
    let names = count.checked_mul(8).and_then(|length| place.header.get(4 + length..));
    let names = names.ok_or("more keywords than there is room for")?;
    for number in 0..count {
        let name = size_at(place.header, 4 + number * 8 + 4).and_then(|at| names.get(at..));
        let name = name.and_then(|name| name.split(|octet| *octet == 0).next());
        if picture.keyword(name.unwrap_or_default())? != number {
            return Err("a keyword twice");
        }
    }
    Ok(())
}

/// Reads `count` records of `size` octets.
fn messages(
    picture: &mut Picture,
    places: &[Place<'_>],
    (records, size, count): (&[u8], usize, usize),
) -> Result<(), What> {
    if size < SMALLEST_RECORD {
        return Err("records too short to be any");
    }
    let records = count.checked_mul(size).and_then(|length| records.get(..length));
    let records = records.ok_or("fewer messages than the header says")?;
    let place = |name: &[u8]| places.iter().find(|place| place.name == name).map(|p| p.record);
    let keywords = place(b"keywords").unwrap_or_default();
    let modseq = place(b"modseq").filter(|(_, length)| *length == 8).map(|(at, _)| at);
    picture.reserve(count)?;
    for record in records.chunks_exact(size) {
        let uid = u32_at(record, 0).unwrap_or_default();
        let modseq = modseq.and_then(|at| u64_at(record, at)).unwrap_or_default();
        let bitmap = part(record, keywords.0, keywords.1).unwrap_or_default();
        picture.push_with((uid, u8_at(record, 4).unwrap_or_default(), modseq), bitmap)?;
        if uid >= picture.next_uid {
            return Err("a UID that was not given yet");
        }
    }
    Ok(())
}
