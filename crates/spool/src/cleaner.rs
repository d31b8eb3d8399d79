//! Empties segments of which little is alive, and those that a sync failed of.
//!
//! It reads and says what is to be written; the writer's queue is the only way to the log. Reading
//! a segment that a sync failed of asks the disk and not the memory: the kernel keeps the pages
//! that it could not write, and shows them as if they were there.

use std::collections::HashMap;
use std::fs::File;
use std::time::{Duration, Instant};

use mail_common::log::Id;
use tracing::error;

use crate::fsck::{Finding, Stretch};
use crate::index::{Index, Phase, Slot, Stage};
use crate::record::{Body, Part, UNIT};
use crate::recovery::Directories;
use crate::row::Place;
use crate::scan;
use crate::{Damage, SpoolError, corrupt};

/// A segment is emptied when less than one part of so many is alive.
const PARTS: u64 = 4;

/// How long a segment is left alone that could not be emptied.
const SPARED: Duration = Duration::from_secs(3600);

/// Segments that could not be emptied, and until when they are left alone.
#[derive(Debug, Default)]
pub(crate) struct Spared(HashMap<u32, Instant>);

impl Spared {
    /// Notes what is still alive in a segment that was emptied just now.
    pub(crate) fn note(&mut self, index: &Index, number: u32) {
        let now = Instant::now();
        self.0.retain(|_, until| *until > now);
        if index.live(number).records > 0 {
            self.0.insert(number, now + SPARED);
        }
    }

    fn has(&self, number: u32) -> bool {
        self.0.get(&number).is_some_and(|until| *until > Instant::now())
    }
}

/// What is to be done with a live record of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// To be copied to the end of the log.
    Copy {
        /// Of which message.
        id: Id,
        part: Part,
        /// Where it stands now.
        from: Place,
        text: Vec<u8>,
        body: Body,
        /// The octets of a body in the segment.
        octets: Vec<u8>,
    },
    /// It is damaged: its octets are in `corrupt/`. A message without letter is done with; one
    /// without progress is tried for all recipients again.
    Lost {
        /// Of which message.
        id: Id,
        part: Part,
        /// Where it stood.
        from: Place,
    },
}

/// The segment that is to be emptied next: one that a sync failed of, else the one of which least
/// is alive, if its last record was written at so many seconds since 1970 or before. But none of
/// those that could not be emptied: others behind them can.
pub(crate) fn choose(index: &Index, before: i64, spared: &Spared) -> Option<u32> {
    if index.phase() != Phase::Complete {
        return None;
    }
    let mut best: Option<(u64, u32)> = None;
    index.each_slot(|number, slot, live| {
        let octets = live.units * UNIT;
        let rank = match slot.stage {
            _ if live.records == 0 || spared.has(number) => return,
            Stage::Sealed => 0,
            Stage::Closed if is_ripe(slot, octets, before) => octets,
            Stage::Blank | Stage::Taken | Stage::Open | Stage::Closed => return,
        };
        best = Some(best.map_or((rank, number), |known| known.min((rank, number))));
    });
    best.map(|(_, number)| number)
}

/// Says of all live records of a segment what is to be done. `act` returns once it is done, and
/// durable where that matters for the next step; an error ends it. What cannot be read, or is damaged
/// and cannot be kept, or is whole but for its body, is told to the log and stays.
///
/// # Errors
/// What `act` says.
pub(crate) fn empty(
    directories: &Directories,
    index: &Index,
    number: u32,
    act: &mut dyn FnMut(Task) -> Result<(), SpoolError>,
) -> Result<(), SpoolError> {
    let Some(slot) = index.slot(number) else { return Ok(()) };
    let opened = match slot.stage {
        Stage::Sealed => directories.sealed_segment(number),
        _ => directories.segment(number),
    };
    let file = match opened {
        Ok(file) => file,
        Err(error) => {
            error!("a segment cannot be emptied: {error}");
            return Ok(());
        }
    };
    for (place, id, part) in live(index, number) {
        let read = copy(&file, slot.generation, (id, part), place);
        // It may have gone meanwhile.
        if !index.place_is_live(id, place) {
            continue;
        }
        let task = match read {
            // A damaged body does not take its envelope with it: when it is tried it is held, for a
            // person to look at.
            Ok(_) | Err(Damage::Unreadable(_) | Damage::Checksum) => read,
            Err(_) => lose(directories, &file, slot.generation, (id, part), place),
        };
        match task {
            Ok(task) => act(task)?,
            Err(why) => error!("{id}: cannot be copied, but stays in the queue: {why}"),
        }
    }
    Ok(())
}

fn is_ripe(slot: &Slot, octets: u64, before: i64) -> bool {
    octets < slot.length / PARTS && slot.written <= before
}

/// The live records of a segment, in the order of the disk.
fn live(index: &Index, number: u32) -> Vec<(Place, Id, Part)> {
    let mut live = Vec::new();
    index.each(|row| {
        let progress = row.progress.map(|place| (place, row.id, Part::Progress));
        let both = std::iter::once((row.letter, row.id, Part::Letter)).chain(progress);
        live.extend(both.filter(|(place, ..)| place.slot == number));
    });
    live.sort_unstable_by_key(|(place, ..)| place.unit);
    live
}

fn copy(file: &File, generation: u64, of: (Id, Part), from: Place) -> Result<Task, Damage> {
    let record = scan::stored(file, generation, of, from)?;
    let octets = scan::body(file, &record)?.ok_or(Damage::Checksum)?;
    let ((id, part), body) = (of, record.header.body);
    Ok(Task::Copy { id, part, from, text: record.text, body, octets })
}

/// Once nobody needs it its place is used again, so its octets are kept first.
fn lose(
    directories: &Directories,
    file: &File,
    generation: u64,
    (id, part): (Id, Part),
    from: Place,
) -> Result<Task, Damage> {
    let stretch = Stretch::of(from, generation);
    corrupt::keep(&directories.corrupt, file, &stretch)?;
    let letter = corrupt::envelope(file, stretch.range.start);
    error!("{}", Finding::Damage { stretch, letter });
    match part {
        Part::Letter => error!("{}", Finding::Lost { id }),
        Part::Progress => error!("{}", Finding::LostProgress { id }),
    }
    Ok(Task::Lost { id, part, from })
}
