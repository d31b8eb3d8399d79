//! Reading what the rows point to.
//!
//! A record may be copied by the cleaner while it is looked for, and its slot used again. So the
//! slot is taken for reading first, which keeps it as it is, and then the row is looked at once
//! more: if it still points there, what was read counts.

use std::fs::File;
use std::sync::Arc;

use mail_common::disk;
use mail_common::log::Id;

use crate::body::Source;
use crate::record::{self, HEADER, Header, Kind, UNIT};
use crate::row::{Place, Row};
use crate::spool::Shared;
use crate::{Body, Damage, Entry, Letter, Progress, SpoolError};

/// Octets that are read at once: most records' headers and texts are shorter.
const FIRST: usize = 4096;

/// A record, with its text, in a segment that stays as it is while this is held.
#[derive(Debug)]
struct Found {
    file: Arc<File>,
    header: Header,
    text: Vec<u8>,
    /// Where its body begins.
    body: u64,
}

/// What stands in the log beside a letter.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) row: Row,
    pub(crate) body: Body,
    pub(crate) field: record::Body,
}

impl Shared {
    /// The row of a message; waits for what was in the queue at start.
    pub(crate) fn row(&self, id: Id) -> Option<Row> {
        self.index.find(id).or_else(|| {
            self.index.wait();
            self.index.find(id)
        })
    }

    /// A message as it is recorded.
    pub(crate) fn entry(&self, id: Id) -> Result<Option<Entry>, SpoolError> {
        let damaged = |damage| SpoolError::Damaged { id, damage };
        let Some((row, found)) = self.find_letter(id).transpose().map_err(damaged)? else {
            return Ok(None);
        };
        let letter = found.letter(id).map_err(damaged)?;
        let progress = match self.progress(&row, &letter) {
            Ok(progress) => progress,
            Err(damage @ Damage::Unreadable(_)) => return Err(damaged(damage)),
            Err(damage) => {
                // Losing the progress costs second copies; losing the message would cost mail.
                tracing::error!("{id}: progress is damaged, all are tried again: {damage}");
                Progress::new(&letter)
            }
        };
        Ok(Some(Entry { letter, size: found.header.body.length(), progress }))
    }

    /// The body of a message.
    pub(crate) fn body(&self, id: Id) -> Result<Body, SpoolError> {
        let (_, found) = self.found(id)?;
        self.body_of(id, found)
    }

    /// A message's letter alone.
    pub(crate) fn letter(&self, id: Id) -> Result<Letter, SpoolError> {
        let (_, found) = self.found(id)?;
        found.letter(id).map_err(|damage| SpoolError::Damaged { id, damage })
    }

    /// What stands in the log beside a message's letter.
    pub(crate) fn standing(&self, id: Id) -> Result<Standing, SpoolError> {
        let (row, found) = self.found(id)?;
        let field = found.header.body;
        Ok(Standing { row, body: self.body_of(id, found)?, field })
    }

    /// What became of a message, of which this is the row.
    pub(crate) fn progress(&self, row: &Row, letter: &Letter) -> Result<Progress, Damage> {
        let Some(place) = row.progress else { return Ok(Progress::new(letter)) };
        let read = self.read(row.id, place, &[Kind::Progress, Kind::MovedProgress]);
        match self.row(row.id) {
            // It was copied or replaced meanwhile.
            Some(now) if now.progress != row.progress => self.progress(&now, letter),
            _ => Ok(Progress::decode(&read?.text, letter)?),
        }
    }

    fn found(&self, id: Id) -> Result<(Row, Found), SpoolError> {
        let found = self.find_letter(id).transpose();
        found.map_err(|damage| SpoolError::Damaged { id, damage })?.ok_or(SpoolError::Unknown(id))
    }

    fn body_of(&self, id: Id, found: Found) -> Result<Body, SpoolError> {
        found.body(id, self).map_err(|damage| match self.row(id) {
            Some(_) => SpoolError::Damaged { id, damage },
            // Finished meanwhile, and its body removed.
            None => SpoolError::Unknown(id),
        })
    }

    fn find_letter(&self, id: Id) -> Option<Result<(Row, Found), Damage>> {
        let mut row = self.row(id)?;
        loop {
            let read = self.read(id, row.letter, &[Kind::Letter, Kind::MovedLetter]);
            let now = self.row(id)?;
            if now.letter == row.letter {
                return Some(read.map(|found| (now, found)));
            }
            row = now;
        }
    }

    fn read(&self, id: Id, place: Place, kinds: &[Kind]) -> Result<Found, Damage> {
        let file = self.segments.reader(place.slot)?;
        let slot = self.index.slot(place.slot).ok_or(Damage::Other)?;
        let start = u64::from(place.unit) * UNIT;
        let span = usize::try_from(u64::from(place.units) * UNIT).unwrap_or(usize::MAX);
        let mut octets = octets(&file, start, FIRST.min(span))?;
        let header = octets.first_chunk::<HEADER>().ok_or(Damage::Cut)?;
        let end = HEADER + Header::text_length(header, slot.generation)? as usize;
        if end > octets.len() && end <= span {
            octets = self::octets(&file, start, end)?;
        }
        let (header, _) = Header::decode(&octets, slot.generation)?;
        if header.id != Some(id) || !kinds.contains(&header.kind) {
            return Err(Damage::Other);
        }
        octets.truncate(end);
        octets.drain(..HEADER.min(octets.len()));
        Ok(Found { file, header, text: octets, body: start + header.body_offset() })
    }
}

impl Found {
    fn letter(&self, id: Id) -> Result<Letter, Damage> {
        Ok(Letter::decode(id, &self.text)?)
    }

    fn body(self, id: Id, shared: &Shared) -> Result<Body, Damage> {
        let source = match self.header.body {
            record::Body::Here(..) => Source::File(self.file, self.body),
            record::Body::Big(..) => Source::File(Arc::new(shared.big.open(id)?), 0),
        };
        Ok(Body::new(source, self.header.body.length(), self.header.body.checksum()))
    }
}

fn octets(file: &File, offset: u64, length: usize) -> Result<Vec<u8>, Damage> {
    let mut octets = vec![0; length];
    let count = disk::read_at(file, &mut octets, offset)?;
    octets.truncate(count);
    Ok(octets)
}
