//! `posthorn spool fsck`: what is in a spool, and what is wrong with it. Changes nothing.
//!
//! It finds all messages as a start does, and then reads every record that one of them needs, with
//! its body. Damage that nobody needs any more costs nothing, and is told only where a start would
//! tell it.

mod finding;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use mail_common::disk::{self, Dir, DiskError};
use mail_common::log::Id;

pub use finding::{Finding, Stretch};

use crate::checkpoint;
use crate::index::Index;
use crate::open;
use crate::record::{Body, Part};
use crate::recovery::{self, Directories, Segment, Survey};
use crate::replay::{Records, Replayed, replay};
use crate::row::{Place, Row};
use crate::scan::{self, Record};
use crate::text::BadText;
use crate::{Letter, Progress, SpoolError};

/// What is in a spool.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Messages.
    pub messages: usize,
    /// Segments that were used.
    pub segments: usize,
    /// Records that a message needs.
    pub records: usize,
    /// Octets of those, bodies included.
    pub octets: u64,
    /// Bodies in `big/`.
    pub big: usize,
    /// Octets of those.
    pub big_octets: u64,
}

/// Reads a whole spool. What a process that has it changes meanwhile may look damaged; that there
/// is one is told first.
///
/// # Errors
/// It is no spool, or cannot be read.
pub fn fsck(path: &Path, report: &mut dyn FnMut(Finding)) -> Result<Summary, SpoolError> {
    let root = Dir::open(path)?;
    if !open::is_spool(&root)? {
        return Err(SpoolError::Format(path.to_owned()));
    }
    if root.is_locked(open::LOCK)? {
        report(Finding::Running);
    }
    open::strangers(&root)?.into_iter().for_each(|name| report(Finding::Stranger { name }));
    let directories = Directories::open(root)?;
    let survey = recovery::survey(&directories)?;
    let index = survey.index();
    let mut note = |finding: &Finding| report(finding.clone());
    let replayed = replay(&directories, &survey, &index, &mut note)?;
    recovery::check_big(&replayed.table, &survey, &mut note);
    check_older(&directories, &replayed, &mut note)?;
    let mut check = Check::new(&directories, &survey, &mut note);
    for row in rows(&replayed) {
        check.message(&row)?;
    }
    check.summary.messages = replayed.table.len();
    Ok(check.summary)
}

/// All messages, in the order of the disk.
fn rows(replayed: &Replayed) -> Vec<Row> {
    let table = &replayed.table;
    let pieces = table.pieces().filter_map(|number| table.piece(number));
    let mut rows: Vec<Row> = pieces.flatten().copied().collect();
    rows.sort_by_key(|row| (row.letter.slot, row.letter.unit));
    rows
}

/// The older checkpoint is not looked at by a start that has a newer one.
fn check_older(
    directories: &Directories,
    replayed: &Replayed,
    note: &mut dyn FnMut(&Finding),
) -> Result<(), DiskError> {
    let name = checkpoint::OLDER;
    let older = disk::found(directories.root.file(name))?.filter(|_| replayed.newer.is_some());
    if let Some(Err(why)) = older.map(|file| checkpoint::read(&file, &Index::default(), |_| ())) {
        note(&Finding::Checkpoint { name, why: why.to_string() });
    }
    Ok(())
}

/// The way through all records.
struct Check<'spool> {
    directories: &'spool Directories,
    survey: &'spool Survey,
    records: Records,
    note: &'spool mut dyn FnMut(&Finding),
    summary: Summary,
}

impl<'spool> Check<'spool> {
    fn new(
        directories: &'spool Directories,
        survey: &'spool Survey,
        note: &'spool mut dyn FnMut(&Finding),
    ) -> Self {
        let segments = survey.segments.iter().filter(|s| s.generation().is_some()).count();
        let summary = Summary { segments, ..Summary::default() };
        let records = Records::new(&directories.segments, survey);
        Self { directories, survey, records, note, summary }
    }

    fn message(&mut self, row: &Row) -> Result<(), DiskError> {
        let Some(letter) = self.letter(row)? else { return Ok(()) };
        let Some(place) = row.progress else { return Ok(()) };
        match self.record(place, (row.id, Part::Progress)).map(|(_, record)| record) {
            Some(record) => {
                let read = Progress::decode(&record.text, &letter);
                self.understood(place, row.id, read);
            }
            None => (self.note)(&Finding::LostProgress { id: row.id }),
        }
        Ok(())
    }

    /// The letter of a message, and whether its body is what was written.
    fn letter(&mut self, row: &Row) -> Result<Option<Letter>, DiskError> {
        let (place, id) = (row.letter, row.id);
        let Some((file, record)) = self.record(place, (id, Part::Letter)) else {
            (self.note)(&Finding::Lost { id });
            return Ok(None);
        };
        let holds = match record.header.body {
            Body::Here(..) => scan::body_holds(&*file, &record).unwrap_or(false),
            Body::Big(length, checksum) => {
                self.summary.big += 1;
                self.summary.big_octets = self.summary.big_octets.saturating_add(length);
                let there = self.survey.big.contains(&id);
                !there || big_holds(&self.directories.big.file(id.as_str())?, length, checksum)
            }
        };
        let holds = holds && row.big == matches!(record.header.body, Body::Big(..));
        if !holds {
            (self.note)(&Finding::Body { id });
        }
        let read = Letter::decode(id, &record.text);
        Ok(self.understood(place, id, read))
    }

    /// The part of a message that must stand here, and its file.
    fn record(&mut self, place: Place, of: (Id, Part)) -> Option<(Arc<File>, Record)> {
        self.summary.records += 1;
        self.summary.octets += place.end() - place.offset();
        self.records.record(place, of)
    }

    fn understood<T>(&mut self, place: Place, id: Id, read: Result<T, BadText>) -> Option<T> {
        let why = match read {
            Ok(value) => return Some(value),
            Err(error) => error.to_string(),
        };
        let segment = self.survey.segments.iter().find(|segment| segment.slot == place.slot);
        let generation = segment.and_then(Segment::generation).unwrap_or(0);
        (self.note)(&Finding::Text { id, stretch: Stretch::of(place, generation), why });
        None
    }
}

fn big_holds(file: &File, length: u64, expected: u32) -> bool {
    let is_length = file.metadata().is_ok_and(|metadata| metadata.len() == length);
    is_length && scan::checksum(file, 0, length).is_ok_and(|found| found == Some(expected))
}
