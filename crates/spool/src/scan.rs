//! Reads a segment from its beginning, past whatever is damaged.
//!
//! A record that does not hold says nothing of where the next begins, so the search goes on unit
//! by unit. What lies before the next record was damaged, unless it is what every commit ends
//! with: zeros up to a multiple of [`BLOCK`]. What lies after the last record was never finished.
//!
//! A power cut can leave any part of the commit that was under way, and nothing else: commits are
//! written one after the other, and nothing is written to a segment behind a failure. So the last
//! commit of a segment is the one whose bodies are checked here; a letter whose body does not hold
//! there was promised to nobody. That must be so at each start again, whatever was written to
//! other segments since, and it is, for it is seen in the segment alone.
//!
//! Memory is bounded: headers and texts go through one window, bodies are skipped, and records are
//! held back for one commit. Time is bounded too: where the octets were made by somebody who
//! wishes us ill, each unit may look like a header of the longest text, so the search has an
//! allowance for long ones.

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod faults;
mod patience;
mod window;

use std::fs::File;
use std::io;
use std::ops::Range;

use mail_common::disk;
use mail_common::log::Id;

use crate::Damage;
use crate::record::{BLOCK, Body, HEADER, Header, NoRecord, Part, SegmentHeader, UNIT};
use crate::row::Place;
use window::Window;

pub(crate) use patience::{Patience, Patient};

/// Octets that can be read anywhere.
pub(crate) trait Octets {
    /// Reads as much as fits, or up to the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// How many there are.
    fn length(&self) -> io::Result<u64>;
}

impl Octets for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        #[cfg(test)]
        faults::read(self, offset..offset + buffer.len() as u64)?;
        disk::read_at(self, buffer, offset)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

impl Octets for [u8] {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..));
        let some = rest.unwrap_or_default();
        let some = some.get(..buffer.len()).unwrap_or(some);
        if let Some(filled) = buffer.get_mut(..some.len()) {
            filled.copy_from_slice(some);
        }
        Ok(some.len())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

/// A record without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// Where it begins.
    pub(crate) offset: u64,
    pub(crate) header: Header,
    pub(crate) text: Vec<u8>,
}

impl Record {
    /// Where its body begins, if that is not in `big/`.
    pub(crate) fn body(&self) -> u64 {
        self.offset + self.header.body_offset()
    }

    /// Where the next can begin.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.header.span()
    }
}

/// What stands in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// A record.
    Record(Record),
    /// Where records must have been.
    Damage(Range<u64>),
    /// The same in the last commit, which may never have been finished, or there a record whose
    /// body is not whole.
    Unfinished(Range<u64>),
}

/// Which use of its slot a segment is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Of none: there are zeros in it.
    Blank,
    /// Of this generation.
    Sound(u64),
    /// Its header is damaged: of the newest generation that its records tell of.
    Headless(Option<u64>),
}

/// How a segment ends.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Tail {
    /// Behind the last record.
    pub(crate) end: u64,
    /// The number of the last commit.
    pub(crate) commit: u64,
    /// Where the blocks begin that the disk did not give.
    pub(crate) withheld: Vec<u64>,
}

/// Octets of which most records have fewer in front of their body.
const FIRST: usize = 4096;
/// Octets of texts that the search for the next record tries.
const LONG: u32 = 64 << 10;
/// So many octets of longer texts are tried as well.
const ALLOWANCE: u64 = 256 << 20;

/// Shows what stands in a segment from an offset on, up to a length where one is known.
pub(crate) fn scan(
    source: &(impl Octets + ?Sized),
    generation: u64,
    span: Range<u64>,
    see: &mut dyn FnMut(Found),
) -> io::Result<Tail> {
    let end = source.length()?.min(span.end);
    let window = Window::new(source, end);
    let mut scan = Scan { window, generation, end, allowance: ALLOWANCE };
    let mut held = Vec::new();
    let mut tail = Tail { end: span.start, ..Tail::default() };
    let mut at = span.start.next_multiple_of(UNIT);
    while let Some((damage, record)) = scan.next(at) {
        let commit = record.header.commit;
        if commit != tail.commit {
            held.drain(..).for_each(&mut *see);
        }
        if let Some(damage) = damage {
            match is_earlier(&damage, at, commit, tail.commit) {
                true => see(Found::Damage(damage)),
                false => held.push(Found::Damage(damage)),
            }
        }
        at = record.end();
        (tail.end, tail.commit) = (at, commit);
        held.push(Found::Record(record));
    }
    held.into_iter().for_each(|found| see(of_last_commit(source, found)));
    tail.withheld = scan.window.withheld.into_iter().collect();
    Ok(tail)
}

/// Whether what is damaged behind `end` and in front of this commit belongs to one before: it
/// begins in the last block of that, or the numbers say so, which begin with 1 in each segment.
fn is_earlier(damage: &Range<u64>, end: u64, commit: u64, before: u64) -> bool {
    let is_known = before > 0 || end == BLOCK;
    let is_missing = is_known && commit > before.saturating_add(1);
    let is_behind = before > 0 && damage.start < end.next_multiple_of(BLOCK);
    commit != before && (is_missing || is_behind)
}

/// Reads the record of a message that a row points to.
pub(crate) fn stored(
    source: &(impl Octets + ?Sized),
    generation: u64,
    (id, part): (Id, Part),
    place: Place,
) -> Result<Record, Damage> {
    let record = record(source, generation, place.offset()..place.end())?;
    let Header { kind, id: of, .. } = record.header;
    let is_it = of == Some(id) && kind.part() == Some(part) && record.end() == place.end();
    is_it.then_some(record).ok_or(Damage::Other)
}

/// Reads the header and the text of the record at the beginning of a span, with which it may end.
pub(crate) fn record(
    source: &(impl Octets + ?Sized),
    generation: u64,
    span: Range<u64>,
) -> Result<Record, Damage> {
    let left = span.end.saturating_sub(span.start);
    let first = usize::try_from(left).unwrap_or(usize::MAX).min(FIRST);
    let mut octets = read(source, span.start, first)?;
    let header = octets.first_chunk::<HEADER>().ok_or(NoRecord::Cut)?;
    let end = HEADER + Header::text_length(header, generation)? as usize;
    if end > octets.len() && end as u64 <= left {
        octets = read(source, span.start, end)?;
    }
    let (header, _) = Header::decode(&octets, generation)?;
    if !fits(&header, left) {
        return Err(NoRecord::Cut.into());
    }
    octets.truncate(end);
    octets.drain(..HEADER.min(end));
    Ok(Record { offset: span.start, header, text: octets })
}

/// A record's body; `None`: it is not what was written. One in `big/` is not looked at.
pub(crate) fn body(
    source: &(impl Octets + ?Sized),
    record: &Record,
) -> io::Result<Option<Vec<u8>>> {
    let Body::Here(length, expected) = record.header.body else { return Ok(Some(Vec::new())) };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let octets = read(source, record.body(), length)?;
    let holds = octets.len() == length && crc32c::crc32c(&octets) == expected;
    Ok(holds.then_some(octets))
}

/// Whether a record's body is what was written.
pub(crate) fn body_holds(source: &(impl Octets + ?Sized), record: &Record) -> io::Result<bool> {
    let Body::Here(length, expected) = record.header.body else { return Ok(true) };
    let found = checksum(source, record.body(), length)?;
    Ok(found == Some(expected))
}

/// The checksum of so many octets; `None`: there are less.
pub(crate) fn checksum(
    source: &(impl Octets + ?Sized),
    mut offset: u64,
    length: u64,
) -> io::Result<Option<u32>> {
    let end = offset.saturating_add(length);
    let (mut found, mut buffer) = (0, vec![0; 64 << 10]);
    while offset < end {
        let wanted = usize::try_from(end - offset).unwrap_or(usize::MAX).min(buffer.len());
        let count = source.read_at(buffer.get_mut(..wanted).unwrap_or_default(), offset)?;
        if count == 0 {
            return Ok(None);
        }
        found = crc32c::crc32c_append(found, buffer.get(..count).unwrap_or_default());
        offset += count as u64;
    }
    Ok(Some(found))
}

/// Which use of its slot a segment is of.
///
/// # Errors
/// The header does not hold, and the disk does not give the first record, or gives none at all: it
/// may be full of mail.
pub(crate) fn used(source: &(impl Octets + ?Sized), slot: u32) -> io::Result<Use> {
    let end = source.length()?;
    let mut window = Window::new(source, end);
    let first = window.at(0, BLOCK as usize).unwrap_or_default();
    if let Some(generation) = generation(first, slot) {
        return Ok(Use::Sound(generation));
    }
    let is_blank = first.iter().all(|&octet| octet == 0);
    let mut scan = Scan { window, generation: 0, end, allowance: ALLOWANCE };
    let newest = newest(&mut scan);
    let Some(error) = scan.window.error.take().filter(|_| !is_blank) else {
        return Ok(if newest.is_none() && is_blank { Use::Blank } else { Use::Headless(newest) });
    };
    // A disk that came back meanwhile has shown only what is left of an earlier use, perhaps.
    let first = read(source, 0, BLOCK as usize);
    if let Some(generation) = first.ok().and_then(|first| generation(&first, slot)) {
        return Ok(Use::Sound(generation));
    }
    let newest = newest.max(begun(source, end)?);
    newest.map(|newest| Use::Headless(Some(newest))).ok_or(error)
}

/// The generation that a segment's header tells, if it holds.
fn generation(first: &[u8], slot: u32) -> Option<u64> {
    SegmentHeader::decode(first).ok().filter(|header| header.slot == slot).map(|h| h.generation)
}

/// The generation of the record with which each use of a slot begins.
///
/// # Errors
/// The disk does not give it: what is found behind it may be left of an earlier use.
fn begun(source: &(impl Octets + ?Sized), end: u64) -> io::Result<Option<u64>> {
    let header = read(source, BLOCK, HEADER)?;
    let Some(generation) = Header::generation_of(&header) else { return Ok(None) };
    match record(source, generation, BLOCK..end) {
        Ok(_) => Ok(Some(generation)),
        Err(Damage::Unreadable(error)) => Err(error),
        Err(_) => Ok(None),
    }
}

/// The newest generation of which there is a record.
fn newest(scan: &mut Scan<'_, impl Octets + ?Sized>) -> Option<u64> {
    let mut newest = None;
    for offset in (BLOCK..scan.end).step_by(UNIT as usize) {
        let Some(generation) = scan.window.at(offset, HEADER).and_then(Header::generation_of)
        else {
            continue;
        };
        scan.generation = generation;
        if newest < Some(generation) && scan.record(offset, LONG).is_ok() {
            newest = Some(generation);
        }
    }
    newest
}

/// What was found in the last commit.
fn of_last_commit(source: &(impl Octets + ?Sized), found: Found) -> Found {
    match found {
        // What cannot be read now may be read later, or be found damaged then.
        Found::Record(record) if matches!(body_holds(source, &record), Ok(false)) => {
            Found::Unfinished(record.offset..record.end())
        }
        Found::Damage(stretch) => Found::Unfinished(stretch),
        other => other,
    }
}

/// Whether so many octets can hold a record.
fn fits(header: &Header, left: u64) -> bool {
    left.checked_sub(header.body_offset()).is_some_and(|left| header.body.behind() <= left)
}

/// So many octets from here, or what there is of them.
fn read(source: &(impl Octets + ?Sized), offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut octets = vec![0; length];
    let count = source.read_at(&mut octets, offset)?;
    octets.truncate(count);
    Ok(octets)
}

/// The way through a segment.
struct Scan<'source, S: ?Sized> {
    window: Window<'source, S>,
    generation: u64,
    end: u64,
    allowance: u64,
}

impl<S: Octets + ?Sized> Scan<'_, S> {
    /// The next record from here on, and what is damaged before it.
    fn next(&mut self, from: u64) -> Option<(Option<Range<u64>>, Record)> {
        let (mut begin, mut at) = (None, from);
        while at < self.end {
            let limit = if at == from { u32::MAX } else { LONG };
            if let Ok(record) = self.record(at, limit) {
                let is_padding = begin.is_none() && at - from < BLOCK && at.is_multiple_of(BLOCK);
                // Zeros at the end of a commit are none of what is missing behind it.
                let padded = Some(from.next_multiple_of(BLOCK)).filter(|&padded| padded < at);
                let begin = begin.or(padded).unwrap_or(from);
                let damage = (at > from && !is_padding).then_some(begin..at);
                return Some((damage, record));
            }
            let unit = self.window.at(at, UNIT as usize).unwrap_or_default();
            if begin.is_none() && unit.iter().any(|&octet| octet != 0) {
                begin = Some(at);
            }
            at += UNIT;
        }
        None
    }

    /// The record that begins here. Texts above the limit are read as long as the allowance lasts.
    fn record(&mut self, offset: u64, limit: u32) -> Result<Record, NoRecord> {
        let header = self.window.at(offset, HEADER).and_then(<[u8]>::first_chunk::<HEADER>);
        let length = Header::text_length(header.ok_or(NoRecord::Cut)?, self.generation)?;
        let left = self.end.saturating_sub(offset);
        if HEADER as u64 + u64::from(length) > left {
            return Err(NoRecord::Cut);
        }
        if length > limit {
            let allowance = self.allowance.checked_sub(length.into());
            self.allowance = allowance.ok_or(NoRecord::Checksum)?;
        }
        let octets = self.window.at(offset, HEADER + length as usize).ok_or(NoRecord::Cut)?;
        let (header, text) = Header::decode(octets, self.generation)?;
        let record = Record { offset, header, text: text.to_vec() };
        fits(&header, left).then_some(record).ok_or(NoRecord::Cut)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
