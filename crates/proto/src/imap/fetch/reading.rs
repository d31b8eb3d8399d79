//! The message at hand: what was read of it, so that nothing is read twice without need.

use std::mem::take;
use std::sync::Arc;

use super::preview::{self, More, Preview};
use super::source::{ReadError, Source};
use super::summary::{self, Summary};
use crate::mailbox::Uid;
use crate::message::structure::{Limits, Part, Place, Scanner};
use crate::message::wire::{self, Cursor};

/// Octets read at a time. Most messages fit, and are then read once for all that is asked.
const BLOCK: usize = 64 * 1024;

/// Octets of a header that ENVELOPE, HEADER.FIELDS and SEARCH look at. BODY[HEADER] gives all.
pub const HEADER_LIMIT: usize = 1 << 20;

/// What is known of the message at hand. Goes along from question to question, and between FETCH
/// commands too: clients fetch big messages in many pieces, one command each.
#[derive(Debug, Default)]
pub struct Reading {
    uid: Uid,
    structure: Option<Arc<Part>>,
    /// Where the message ends.
    end: Option<Place>,
    /// Where the last piece ended: the next one often begins there.
    cursor: Cursor,
    block: Vec<u8>,
    block_at: u64,
    /// Octets of `block` that count.
    filled: usize,
    octets_read: u64,
    /// Header fields that were chosen last.
    pub(super) chosen: Vec<u8>,
    summed: Summed,
    /// The summary, where there is one.
    summary: Vec<u8>,
}

/// What there is of a summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Summed {
    /// Nobody asked for it yet.
    #[default]
    Unasked,
    /// Nothing.
    Absent,
    /// All but the structure.
    Header,
    Whole,
    /// It is too long to be kept.
    TooLong,
}

/// What a summary is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Need {
    /// Envelope and header fields.
    Header,
    /// The structure.
    Structure,
}

impl Reading {
    /// Turns to a message; what is known of it already is kept.
    pub fn turn_to(&mut self, uid: Uid) {
        if self.uid != uid {
            *self = Self {
                uid,
                block: take(&mut self.block),
                octets_read: self.octets_read,
                chosen: take(&mut self.chosen),
                summary: take(&mut self.summary),
                ..Self::default()
            };
        }
    }

    /// Octets read from the source so far, of all messages.
    #[must_use]
    pub fn octets_read(&self) -> u64 {
        self.octets_read
    }

    /// Gives buffers back, for a session that may be idle now for hours.
    pub fn rest(&mut self) {
        self.block = Vec::new();
        self.filled = 0;
        self.chosen = Vec::new();
        self.summary = Vec::new();
        self.summed = Summed::Unasked;
    }

    /// A summary that has what is needed: the one that the source has, else one that is made now
    /// and given to the source. There is none of a message whose summary is too long.
    pub(in super::super) fn summary<S: Source>(
        &mut self,
        source: &mut S,
        need: Need,
    ) -> Result<Option<Summary<'_>>, S::Error> {
        if self.summed == Summed::Unasked {
            let is_there = source.summary(self.uid, &mut self.summary);
            let summary = Summary::decode(&self.summary).filter(|_| is_there);
            self.summed = match summary.map(|summary| summary.structure.is_some()) {
                Some(true) => Summed::Whole,
                Some(false) => Summed::Header,
                None => Summed::Absent,
            };
        }
        match self.summed {
            Summed::Whole | Summed::TooLong => {}
            Summed::Header if need == Need::Header => {}
            _ => self.sum_up(source, need)?,
        }
        let is_there = self.summed != Summed::TooLong;
        Ok(Summary::decode(&self.summary).filter(|_| is_there))
    }

    /// Makes a summary. The structure of a message that is in memory as a whole costs next to
    /// nothing, and will be asked for.
    fn sum_up<S: Source>(&mut self, source: &mut S, need: Need) -> Result<(), S::Error> {
        let header = self.header(source)?;
        let is_in_memory = self.block_at == 0 && self.filled < BLOCK;
        let structure = match need {
            Need::Header if !is_in_memory => None,
            _ => Some(self.structure(source)?),
        };
        let preview = match &structure {
            Some(structure) => Some(self.preview(source, structure)?),
            None => None,
        };
        let (whole, preview) = (structure.as_deref(), preview.as_deref());
        let mut summary = take(&mut self.summary);
        let mut header_of = |part: &Part| self.stored(source, part.header, part.body, HEADER_LIMIT);
        let fits = summary::write(&mut summary, &header, whole, preview, &mut header_of)?;
        self.summary = summary;
        self.summed = match (fits, structure) {
            (false, _) => Summed::TooLong,
            (true, None) => Summed::Header,
            (true, Some(_)) => Summed::Whole,
        };
        if fits {
            source.keep_summary(self.uid, &self.summary);
        }
        Ok(())
    }

    fn preview<S: Source>(&mut self, source: &mut S, message: &Part) -> Result<String, S::Error> {
        let Some(part) = preview::shown(message) else { return Ok(String::new()) };
        let mut preview = Preview::of(part, source.charsets());
        let (mut at, end) = (part.body.stored, preview::end(part));
        while at < end {
            let block = self.block(source, at)?;
            let wanted = usize::try_from(end - at).unwrap_or(usize::MAX);
            let block = block.get(..wanted).unwrap_or(block);
            if block.is_empty() || preview.push(block) == More::Enough {
                break;
            }
            at += block.len() as u64;
        }
        Ok(preview.finish())
    }

    /// The MIME structure.
    pub fn structure<S: Source>(&mut self, source: &mut S) -> Result<Arc<Part>, S::Error> {
        if let Some(known) = &self.structure {
            return Ok(known.clone());
        }
        let mut scanner = Scanner::new(Limits::default());
        let mut offset = 0;
        loop {
            let block = self.block(source, offset)?;
            if block.is_empty() {
                break;
            }
            scanner.push(block);
            offset += block.len() as u64;
        }
        let structure = Arc::new(scanner.finish());
        self.end = Some(structure.end);
        self.structure = Some(structure.clone());
        Ok(structure)
    }

    /// Where the message ends: cheaper than its structure.
    pub fn end<S: Source>(&mut self, source: &mut S) -> Result<Place, S::Error> {
        if let Some(end) = self.end {
            return Ok(end);
        }
        let mut cursor = Cursor::default();
        loop {
            let block = self.block(source, cursor.at.stored)?;
            if block.is_empty() {
                break;
            }
            cursor.pass(block);
        }
        self.end = Some(cursor.at);
        Ok(cursor.at)
    }

    /// The header as stored with its empty line, cut at [`HEADER_LIMIT`].
    pub fn header<S: Source>(&mut self, source: &mut S) -> Result<Vec<u8>, S::Error> {
        let mut header = Vec::new();
        let mut searched = 0;
        while header.len() < HEADER_LIMIT {
            let block = self.block(source, header.len() as u64)?;
            if block.is_empty() {
                break;
            }
            header.extend_from_slice(block);
            if let Some(length) = header_length(&header, &mut searched) {
                header.truncate(length);
                break;
            }
        }
        header.truncate(HEADER_LIMIT);
        Ok(header)
    }

    /// Octets as stored between two places, at most so many.
    pub fn stored<S: Source>(
        &mut self,
        source: &mut S,
        from: Place,
        to: Place,
        limit: usize,
    ) -> Result<Vec<u8>, S::Error> {
        let length = usize::try_from(to.stored - from.stored).unwrap_or(limit).min(limit);
        let mut octets = Vec::with_capacity(length);
        while octets.len() < length {
            let block = self.block(source, from.stored + octets.len() as u64)?;
            if block.is_empty() {
                break;
            }
            let wanted = length - octets.len();
            octets.extend_from_slice(block.get(..wanted).unwrap_or(block));
        }
        Ok(octets)
    }

    /// Appends exactly `count` wire octets, from `skip` wire octets behind the beginning of a
    /// line.
    pub fn append<S: Source>(
        &mut self,
        source: &mut S,
        (line, skip): (Place, u64),
        count: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), ReadError<S::Error>> {
        let first = line.wire + skip;
        if self.cursor.at.wire > first || self.cursor.at.wire < line.wire {
            self.cursor = Cursor::at_line(line);
        }
        self.advance(source, first, |_| ())?;
        self.advance(source, first + count, |text| wire::append(out, text))
    }

    fn advance<S: Source>(
        &mut self,
        source: &mut S,
        to: u64,
        mut give: impl FnMut(&[u8]),
    ) -> Result<(), ReadError<S::Error>> {
        let mut cursor = self.cursor;
        while cursor.at.wire < to {
            let block = self.block(source, cursor.at.stored)?;
            if block.is_empty() {
                return Err(ReadError::Short(self.uid));
            }
            cursor.advance(block, to - cursor.at.wire, &mut give);
        }
        self.cursor = cursor;
        Ok(())
    }

    /// The octets that are in memory from an offset; none at the end of the message.
    pub fn block<S: Source>(&mut self, source: &mut S, offset: u64) -> Result<&[u8], S::Error> {
        let end = self.block_at + self.filled as u64;
        if offset < self.block_at || offset >= end {
            self.filled = 0;
            self.block.resize(BLOCK, 0);
            self.filled = source.read_at(self.uid, &mut self.block, offset)?;
            self.block_at = offset;
            self.octets_read += self.filled as u64;
        }
        let within = usize::try_from(offset - self.block_at).unwrap_or(usize::MAX);
        Ok(self.block.get(within..self.filled).unwrap_or_default())
    }
}

/// The octets of a header with its empty line, once that is there. `searched` is where the first
/// line begins that was not looked at.
pub(super) fn header_length(text: &[u8], searched: &mut usize) -> Option<usize> {
    while let Some(at) = text.iter().skip(*searched).position(|octet| *octet == b'\n') {
        let next = *searched + at + 1;
        let line = text.get(*searched..next).unwrap_or_default();
        *searched = next;
        if matches!(line, b"\n" | b"\r\n") {
            return Some(next);
        }
    }
    None
}
