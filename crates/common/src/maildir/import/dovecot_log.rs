//! `dovecot.index.log`: what happened to the mailbox since the index was written.
//!
//! A header (24 octets or more, little-endian: version 1.x, its own size (2), the index's id (4),
//! the log's number (4), the number of the log before it or 0 if nothing before it counts (4),
//! where that one ended (4), time (4), the modseq that it begins with (8), 1 for little-endian),
//! and records: size (4), type (4), and what happened. The size counts the whole record; it is
//! written as four octets of seven bits, the highest first, each with its top bit set, of a
//! quarter of the size. It is written last: a record without it is not finished, and the log ends
//! before it. So it does before a transaction (type [`BOUNDARY`], which says its size) that is
//! not all there.

use super::fields::{part, short_at, u8_at, u32_at, u64_at};
use super::picture::What;

/// Types of records; [`EXTERNAL`] may be added.
pub(super) const APPEND: u32 = 0x2;
pub(super) const FLAG_UPDATE: u32 = 0x4;
pub(super) const HEADER_UPDATE: u32 = 0x20;
pub(super) const EXT_INTRO: u32 = 0x40;
pub(super) const EXT_RESET: u32 = 0x80;
pub(super) const EXT_HDR_UPDATE: u32 = 0x100;
pub(super) const EXT_REC_UPDATE: u32 = 0x200;
pub(super) const KEYWORD_UPDATE: u32 = 0x400;
pub(super) const KEYWORD_RESET: u32 = 0x800;
pub(super) const EXT_ATOMIC_INC: u32 = 0x1000;
pub(super) const MODSEQ_UPDATE: u32 = 0x8000;
pub(super) const EXT_HDR_UPDATE32: u32 = 0x1_0000;
pub(super) const INDEX_DELETED: u32 = 0x2_0000;
pub(super) const INDEX_UNDELETED: u32 = 0x4_0000;
pub(super) const BOUNDARY: u32 = 0x8_0000;
pub(super) const ATTRIBUTE_UPDATE: u32 = 0x10_0000;
/// Expunges have bits besides, so that no other record becomes one by a flipped bit.
pub(super) const EXPUNGE: u32 = 0x1 | 0xcd90;
pub(super) const EXPUNGE_GUID: u32 = 0x2000 | 0xcd90;
/// It happened to the files already; without this, it is still to be done.
const EXTERNAL: u32 = 0x1000_0000;
const KINDS: u32 = 0x0fff_ffff;

/// Where in the index's header it says how far the files have heard of the log.
const TAIL: usize = 64;

/// The file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Log<'f> {
    file: &'f [u8],
    /// The index has the same one.
    pub(super) id: u32,
    pub(super) number: u32,
    /// The log before this one; 0: this one begins with an empty index.
    pub(super) previous: u32,
    /// Where the records begin.
    pub(super) begin: usize,
    /// The highest modseq before them; 0: nobody asked for any.
    pub(super) modseq: u64,
    /// Changes of Dovecot's own flags have no modseq.
    pub(super) hides_internal: bool,
}

/// One record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'f> {
    /// Where it stands.
    pub(super) at: usize,
    /// [`APPEND`] and its siblings.
    pub(super) kind: u32,
    pub(super) origin: Origin,
    pub(super) body: &'f [u8],
}

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The files: the log only says so.
    Files,
    /// A client: the files are changed next.
    Client,
}

impl<'f> Log<'f> {
    /// Reads the header; on errors, says what is wrong and where.
    pub(super) fn read(file: &'f [u8]) -> Result<Self, (usize, What)> {
        if u8_at(file, 0) != Some(1) {
            return Err((0, "not a version that we know"));
        }
        let short = (0, "shorter than its header");
        let begin = short_at(file, 2).filter(|size| *size >= 24 && *size <= file.len());
        let begin = begin.ok_or(short)?;
        if begin > 32 && u8_at(file, 32).is_some_and(|flags| flags & 1 == 0) {
            return Err((32, "from a machine with another order of octets"));
        }
        let number = |at| u32_at(file, at).ok_or(short);
        Ok(Self {
            file,
            id: number(4)?,
            number: number(8)?,
            previous: number(12)?,
            begin,
            modseq: if begin < 32 { 0 } else { u64_at(file, 24).ok_or(short)? },
            hides_internal: u8_at(file, 1).is_some_and(|minor| minor >= 3),
        })
    }

    /// The records in order; the last may be an error that says what is wrong and where.
    pub(super) fn records(&self) -> Records<'f> {
        Records { file: self.file, at: self.begin }
    }

    /// Up to where the files have heard of what this log says, as far as it knows itself.
    pub(super) fn tail(&self) -> usize {
        let updates = self
            .records()
            .map_while(Result::ok)
            .filter(|record| record.kind == HEADER_UPDATE && record.origin == Origin::Files);
        let tails = updates.flat_map(|record| header_updates(record.body)).flatten();
        let tails = tails.filter(|(at, _)| *at == TAIL).filter_map(|(_, to)| u32_at(to, 0));
        tails.max().and_then(|tail| usize::try_from(tail).ok()).unwrap_or_default()
    }
}

/// See [`Log::records`].
#[derive(Debug)]
pub(super) struct Records<'f> {
    file: &'f [u8],
    at: usize,
}

impl<'f> Iterator for Records<'f> {
    type Item = Result<Record<'f>, (usize, What)>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at;
        let size = record_size(part(self.file, at, 4)?)?;
        if size <= 8 {
            self.at = self.file.len();
            return Some(Err((at, "a record too short to be any")));
        }
        let body = part(self.file, at + 8, size - 8)?;
        let kind = u32_at(self.file, at + 4)?;
        let origin = if kind & EXTERNAL == 0 { Origin::Client } else { Origin::Files };
        let kind = kind & KINDS;
        if kind == BOUNDARY {
            let whole = usize::try_from(u32_at(body, 0)?).ok()?;
            part(self.file, at, whole)?;
        }
        self.at = at + size;
        Some(Ok(Record { at, kind, origin, body }))
    }
}

/// The updates of the index's header in a record: where, and what stands there now. `None`: that
/// one goes past the end.
pub(super) fn header_updates(body: &[u8]) -> impl Iterator<Item = Option<(usize, &[u8])>> {
    Updates { body, at: 0, wide: false }
}

/// The same of the header of an extension, whose places may be `wide`.
pub(super) fn extension_updates(
    body: &[u8],
    wide: bool,
) -> impl Iterator<Item = Option<(usize, &[u8])>> {
    Updates { body, at: 0, wide }
}

struct Updates<'f> {
    body: &'f [u8],
    at: usize,
    wide: bool,
}

impl<'f> Iterator for Updates<'f> {
    type Item = Option<(usize, &'f [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.body.len() {
            return None;
        }
        let update = self.update();
        self.at = match update {
            Some((_, _, next)) => next,
            None => self.body.len(),
        };
        Some(update.map(|(place, to, _)| (place, to)))
    }
}

impl<'f> Updates<'f> {
    fn update(&self) -> Option<(usize, &'f [u8], usize)> {
        let (place, size, length) = if self.wide {
            let number = |at| u32_at(self.body, at).and_then(|n| usize::try_from(n).ok());
            (number(self.at)?, number(self.at + 4)?, 8)
        } else {
            (short_at(self.body, self.at)?, short_at(self.body, self.at + 2)?, 4)
        };
        let to = part(self.body, self.at + length, size)?;
        Some((place, to, super::fields::aligned(self.at + length + size, 4)))
    }
}

/// The size of a record; `None`: it is not written yet.
fn record_size(octets: &[u8]) -> Option<usize> {
    let mut size = 0;
    for octet in octets {
        if octet & 0x80 == 0 {
            return None;
        }
        size = size << 7 | usize::from(octet & 0x7f);
    }
    Some(size << 2)
}
