//! Reading what the rows point to.
//!
//! A record may be copied by the cleaner while it is looked for, and its slot used again. So the
//! slot is taken for reading first, which keeps it as it is, and then the row is looked at once
//! more: if it still points there, what was read counts.

use std::fs::File;
use std::sync::Arc;

use mail_common::log::Id;

use crate::body::Source;
use crate::record::{self, Part};
use crate::row::{Place, Row};
use crate::scan::{self, Record};
use crate::spool::Shared;
use crate::{Body, Damage, Entry, Letter, Progress, SpoolError};

/// A record in a segment that stays as it is while this is held.
#[derive(Debug)]
struct Found {
    file: Arc<File>,
    record: Record,
}

/// What is stored of a message beside its letter.
#[derive(Debug)]
pub(crate) struct Stored {
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
        let Some((row, found)) = self.find_letter(id).map_err(damaged)? else { return Ok(None) };
        let letter = found.letter(id).map_err(damaged)?;
        let progress = match self.progress(&row, &letter) {
            Ok(Some(progress)) => progress,
            Ok(None) => return Ok(None),
            Err(damage @ Damage::Unreadable(_)) => return Err(damaged(damage)),
            Err(damage) => {
                // Losing the progress costs second copies; losing the message would cost mail.
                tracing::error!("{id}: progress is damaged, all are tried again: {damage}");
                Progress::new(&letter)
            }
        };
        Ok(Some(Entry { letter, size: found.record.header.body.length(), progress }))
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

    /// What is stored of a message beside its letter.
    pub(crate) fn stored(&self, id: Id) -> Result<Stored, SpoolError> {
        let (row, found) = self.found(id)?;
        let field = found.record.header.body;
        Ok(Stored { row, body: self.body_of(id, found)?, field })
    }

    /// What became of a message, of which this was the row just now; `None`: it is gone.
    pub(crate) fn progress(&self, row: &Row, letter: &Letter) -> Result<Option<Progress>, Damage> {
        if row.progress.is_none() {
            return Ok(Some(Progress::new(letter)));
        }
        let Some((_, found)) = self.find(*row, Part::Progress)? else { return Ok(None) };
        Ok(Some(Progress::decode(&found.record.text, letter)?))
    }

    fn found(&self, id: Id) -> Result<(Row, Found), SpoolError> {
        let found = self.find_letter(id);
        found.map_err(|damage| SpoolError::Damaged { id, damage })?.ok_or(SpoolError::Unknown(id))
    }

    fn body_of(&self, id: Id, found: Found) -> Result<Body, SpoolError> {
        found.body(id, self).map_err(|damage| match self.row(id) {
            Some(_) => SpoolError::Damaged { id, damage },
            // Finished meanwhile, and its body removed.
            None => SpoolError::Unknown(id),
        })
    }

    fn find_letter(&self, id: Id) -> Result<Option<(Row, Found)>, Damage> {
        self.row(id).map_or(Ok(None), |row| self.find(row, Part::Letter))
    }

    /// A part of a message, of which this was the row just now; `None`: it is gone.
    fn find(&self, mut row: Row, part: Part) -> Result<Option<(Row, Found)>, Damage> {
        while let Some(place) = part.place(&row) {
            let read = self.read(row.id, part, place);
            let Some(now) = self.row(row.id) else { break };
            if part.place(&now) == Some(place) {
                return Ok(Some((now, read?)));
            }
            row = now;
        }
        Ok(None)
    }

    fn read(&self, id: Id, part: Part, place: Place) -> Result<Found, Damage> {
        let file = self.segments.reader(place.slot)?;
        let slot = self.index.slot(place.slot).ok_or(Damage::Other)?;
        let record = scan::stored(&*file, slot.generation, (id, part), place)?;
        Ok(Found { file, record })
    }
}

impl Found {
    fn letter(&self, id: Id) -> Result<Letter, Damage> {
        Ok(Letter::decode(id, &self.record.text)?)
    }

    fn body(self, id: Id, shared: &Shared) -> Result<Body, Damage> {
        let body = self.record.header.body;
        let source = match body {
            record::Body::Here(..) => Source::File(self.file, self.record.body()),
            record::Body::Big(..) => Source::File(Arc::new(shared.big.open(id)?), 0),
        };
        Ok(Body::new(source, body.length(), body.checksum()))
    }
}

impl Part {
    fn place(self, row: &Row) -> Option<Place> {
        match self {
            Self::Letter => Some(row.letter),
            Self::Progress => row.progress,
        }
    }
}
