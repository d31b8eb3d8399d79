//! Finds all messages: reads the checkpoint, and applies the log from its position on.
//!
//! Replay knows less than the writer did, and ends right nevertheless:
//!
//! - The checkpoint may be newer than a record that is applied. The row is then as it was at an
//!   earlier time, until the later records are applied too; none is left out but damaged ones.
//! - A row of the checkpoint may point to where the log was not yet when the position was taken,
//!   or to a slot that was used again since. Such a row is doubtful until a record confirms it. If
//!   none does, the record was damaged, or the one that said that the message is done.
//! - Where a progress is applied whose letter stands further back, the first recipient that waits
//!   may be another one than the row says: those letters are read once, at the end.
//! - A moved letter whose message is not known is a letter: the first record was damaged, or its
//!   slot used again while no checkpoint holds. Done messages it does not bring back: their letters
//!   are not moved.

mod checkpoints;
mod records;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::ops::Range;

use mail_common::disk::DiskError;
use mail_common::log::Id;

pub(crate) use records::Records;

use crate::fsck::{Finding, Stretch};
use crate::index::{self, Index, Position, Table};
use crate::record::{BLOCK, Kind, Part, UNIT};
use crate::recovery::{Directories, Segment, Survey, Withheld};
use crate::row::{Place, Row};
use crate::scan::{self, Found, Patience, Patient, Record, Use};
use crate::seal::Seal;
use crate::text::{self, BadText};
use crate::{Damage, Letter, Progress, State, corrupt};

/// The state of all messages as the disk tells it.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub(crate) table: Table,
    /// Octets of log that were applied.
    pub(crate) octets: u64,
    /// Where the checkpoints begin that hold.
    pub(crate) newer: Option<Position>,
    pub(crate) older: Option<Position>,
    /// Slots of segments a sync of which failed.
    pub(crate) sealed: Vec<u32>,
    /// Whether messages may have been lost.
    pub(crate) harm: Harm,
    /// What the disk did not give of each segment.
    pub(crate) withheld: Vec<Withheld>,
}

/// Whether messages may have been lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Harm {
    /// All records hold.
    None,
    /// Some do not.
    Some,
}

/// Finds all messages; changes nothing.
pub(crate) fn replay(
    directories: &Directories,
    survey: &Survey,
    index: &Index,
    note: &mut dyn FnMut(&Finding),
) -> Result<Replayed, DiskError> {
    let mut replay = Replay::new(directories, survey, index, note);
    let (newer, older) = replay.read_checkpoints()?;
    let patience = Patience::default();
    replay.read_seals(&patience)?;
    replay.apply_log(&patience)?;
    replay.settle_doubts();
    replay.read_stale();
    let Replay { table, octets, seals, harm, withheld, .. } = replay;
    let segments = survey.segments.iter();
    let sealed = segments.filter(|s| s.generation().is_some_and(|g| seals.contains_key(&g)));
    let sealed = sealed.map(|segment| segment.slot).collect();
    Ok(Replayed { table, octets, newer, older, sealed, harm, withheld })
}

/// A replay under way.
struct Replay<'spool> {
    directories: &'spool Directories,
    survey: &'spool Survey,
    index: &'spool Index,
    note: &'spool mut dyn FnMut(&Finding),
    /// Generation and end of each segment, by slot; with padding that its file may lack.
    known: HashMap<u32, (u64, u64)>,
    position: Position,
    table: Table,
    /// Rows of the checkpoint whose letter, whose progress nobody has confirmed yet.
    doubtful_letters: HashSet<Id>,
    doubtful_progress: HashSet<Id>,
    done: HashSet<Id>,
    /// Rows whose destination may be another one.
    stale: HashSet<Id>,
    /// Lengths of sealed segments, by generation.
    seals: HashMap<u64, u64>,
    octets: u64,
    harm: Harm,
    withheld: Vec<Withheld>,
}

impl<'spool> Replay<'spool> {
    fn new(
        directories: &'spool Directories,
        survey: &'spool Survey,
        index: &'spool Index,
        note: &'spool mut dyn FnMut(&Finding),
    ) -> Self {
        let segments = survey.segments.iter();
        let end = |segment: &Segment| segment.length.next_multiple_of(UNIT);
        let known = segments.filter_map(|s| Some((s.slot, (s.generation()?, end(s)))));
        Self {
            directories,
            survey,
            index,
            note,
            known: known.collect(),
            position: Position::default(),
            table: Table::default(),
            doubtful_letters: HashSet::new(),
            doubtful_progress: HashSet::new(),
            done: HashSet::new(),
            stale: HashSet::new(),
            seals: HashMap::new(),
            octets: 0,
            harm: Harm::None,
            withheld: Vec::new(),
        }
    }

    fn note(&mut self, finding: &Finding) {
        if finding.is_harm() {
            self.harm = Harm::Some;
        }
        (self.note)(finding);
    }

    /// Seals stand in front of a later segment, so they are read before all else. Where one may
    /// stand that the disk does not give, nobody knows what was refused.
    fn read_seals(&mut self, patience: &Patience) -> Result<(), DiskError> {
        for segment in &self.survey.segments {
            let Some(generation) = segment.generation().filter(|g| *g >= self.position.generation)
            else {
                continue;
            };
            let file = self.directories.segment(segment.slot)?;
            let source = Patient::new(&file, patience);
            let mut at = BLOCK;
            loop {
                let record = match scan::record(&source, generation, at..segment.length) {
                    Ok(record) if record.header.kind == Kind::Seal => record,
                    // In front of the position they are of segments that are not read.
                    Err(_) if Position { generation, offset: at } < self.position => break,
                    Err(Damage::Unreadable(error)) => {
                        return Err(self.directories.segment_error(segment.slot, error));
                    }
                    // What is damaged is met again, and told of, when the log is applied.
                    Ok(_) | Err(_) => break,
                };
                let Ok(seal) = Seal::decode(&record.text) else { break };
                let length = self.seals.entry(seal.generation).or_insert(seal.length);
                *length = seal.length.min(*length);
                at = record.end();
            }
        }
        Ok(())
    }

    fn apply_log(&mut self, patience: &Patience) -> Result<(), DiskError> {
        for segment in &self.survey.segments {
            if let Use::Headless(generation) = segment.used {
                self.note(&Finding::Segment { slot: segment.slot, generation });
            }
            let generation = segment.generation();
            if let Some(generation) = generation.filter(|g| *g >= self.position.generation) {
                self.apply_segment(segment.slot, generation, patience)?;
            }
        }
        Ok(())
    }

    fn apply_segment(
        &mut self,
        slot: u32,
        generation: u64,
        patience: &Patience,
    ) -> Result<(), DiskError> {
        let begin = match generation == self.position.generation {
            true => self.position.offset.max(BLOCK),
            false => BLOCK,
        };
        let (file, end) = match self.seals.get(&generation) {
            Some(&length) => (self.directories.sealed_segment(slot)?, length),
            None => (self.directories.segment(slot)?, u64::MAX),
        };
        let source = Patient::new(&file, patience);
        let tail = scan::scan(&source, generation, begin..end, &mut |found| {
            self.apply(slot, &file, found);
        });
        let tail = tail.map_err(|error| self.directories.segment_error(slot, error))?;
        self.octets += tail.end.saturating_sub(begin);
        if let Some(&offset) = tail.withheld.first() {
            self.note(&Finding::Withheld { slot, offset, blocks: tail.withheld.len() });
            self.withheld.push(Withheld { slot, blocks: tail.withheld });
        }
        Ok(())
    }

    fn apply(&mut self, slot: u32, file: &File, found: Found) {
        let generation = self.known.get(&slot).map_or(0, |known| known.0);
        let stretch_at = |range: Range<u64>| Stretch { slot, generation, range };
        match found {
            Found::Record(record) => self.apply_record(slot, generation, &record),
            Found::Damage(range) => {
                let letter = corrupt::envelope(file, range.start);
                self.note(&Finding::Damage { stretch: stretch_at(range), letter });
            }
            Found::Unfinished(range) => {
                let letter = corrupt::envelope(file, range.start);
                self.note(&Finding::Unfinished { stretch: stretch_at(range), letter });
            }
        }
    }

    fn apply_record(&mut self, slot: u32, generation: u64, record: &Record) {
        let (Some(id), Some(place)) =
            (record.header.id, index::place(slot, record.offset, &record.header))
        else {
            return;
        };
        let understood = match record.header.kind {
            Kind::Letter => self.apply_letter(id, place, record),
            Kind::MovedLetter => self.apply_moved_letter(id, place, record),
            Kind::Progress | Kind::MovedProgress => self.apply_progress(id, place, record),
            Kind::Done => {
                self.table.remove(id);
                self.done.insert(id);
                Ok(())
            }
            Kind::Seal => Ok(()),
        };
        if let Err(error) = understood {
            let stretch = Stretch::of(place, generation);
            self.note(&Finding::Text { id, stretch, why: error.to_string() });
        }
    }

    fn apply_letter(&mut self, id: Id, place: Place, record: &Record) -> Result<(), BadText> {
        let row = self.row(id, place, record)?;
        // An import gives a message the id again that it had.
        self.done.remove(&id);
        self.doubtful_letters.remove(&id);
        self.doubtful_progress.remove(&id);
        self.table.insert(row);
        Ok(())
    }

    fn apply_moved_letter(&mut self, id: Id, place: Place, record: &Record) -> Result<(), BadText> {
        if self.done.contains(&id) {
            return Ok(());
        }
        let row = self.row(id, place, record)?;
        self.doubtful_letters.remove(&id);
        match self.table.find(id).copied() {
            Some(known) if known.progress.is_some() => {
                let Row { size, big, sender, .. } = row;
                self.table.insert(Row { letter: place, size, big, sender, ..known });
                self.stale.insert(id);
            }
            _ => self.table.insert(row),
        }
        Ok(())
    }

    fn apply_progress(&mut self, id: Id, place: Place, record: &Record) -> Result<(), BadText> {
        let Some(mut row) = self.table.find(id).copied() else { return Ok(()) };
        let progress: Progress = text::decode(&record.text)?;
        self.doubtful_progress.remove(&id);
        // The only recipient waits as before; in all other cases the letter has to be asked.
        let is_same = row.waiting == 1 && matches!(*progress.recipients, [State::Waiting(_)]);
        if !is_same {
            self.stale.insert(id);
        }
        row.progress = Some(place);
        row.summarise(&index::again(&row, &progress, self.index));
        self.table.insert(row);
        Ok(())
    }

    fn row(&self, id: Id, place: Place, record: &Record) -> Result<Row, BadText> {
        let letter = Letter::decode(id, &record.text)?;
        let summary = index::summarise(&letter, None, self.index);
        Ok(index::row(&letter, place, record.header.body, &summary))
    }

    /// What nobody confirmed is lost.
    fn settle_doubts(&mut self) {
        for id in std::mem::take(&mut self.doubtful_letters) {
            if self.table.remove(id).is_some() {
                self.note(&Finding::Lost { id });
            }
        }
        for id in std::mem::take(&mut self.doubtful_progress) {
            if self.table.update(id, |row| row.progress = None).is_some() {
                self.stale.insert(id);
                self.note(&Finding::LostProgress { id });
            }
        }
    }

    /// Reads the letters whose rows may name another destination than the next.
    fn read_stale(&mut self) {
        let ids = std::mem::take(&mut self.stale);
        let mut rows: Vec<Row> =
            ids.iter().filter_map(|&id| self.table.find(id).copied()).collect();
        rows.sort_by_key(|row| (row.letter.slot, row.letter.unit));
        let records = Records::new(&self.directories.segments, self.survey);
        for row in rows {
            // One that cannot be read now says so when it is delivered.
            let of = (row.id, Part::Letter);
            let Some((_, letter)) = records.record(row.letter, of) else { continue };
            let Ok(letter) = Letter::decode(row.id, &letter.text) else { continue };
            let of = (row.id, Part::Progress);
            let progress = row.progress.and_then(|place| records.record(place, of));
            let progress = progress.and_then(|(_, r)| Progress::decode(&r.text, &letter).ok());
            let summary = index::summarise(&letter, progress.as_ref(), self.index);
            self.table.update(row.id, |row| row.summarise(&summary));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
