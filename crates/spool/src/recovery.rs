//! The start: what is in the spool that an earlier process left.
//!
//! [`survey`] looks at the header of each segment, so that new mail can be taken under a generation
//! above them all. [`recover`] then reads the checkpoint, applies the log from its position on to
//! a table of its own, and hands that over whole. Nothing on the disk changes, but for copies of
//! what is damaged and bodies that no message has: killed anywhere, the next start does the same.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use mail_common::disk::{self, Dir, DiskError};
use mail_common::log::Id;
use tracing::{error, warn};

use crate::corrupt;
use crate::fsck::Finding;
use crate::index::{Index, Phase, Slot, Stage, Table};
use crate::record::BLOCK;
use crate::replay::{Harm, replay};
use crate::scan::{self, Octets as _, Patience, Patient, Use};

/// The directories of a spool.
#[derive(Debug, Clone)]
pub(crate) struct Directories {
    pub(crate) root: Dir,
    pub(crate) segments: Dir,
    pub(crate) big: Dir,
    pub(crate) corrupt: Dir,
}

/// What is there at start.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// In the order of the log.
    pub(crate) segments: Vec<Segment>,
    /// The bodies in `big/`.
    pub(crate) big: HashSet<Id>,
}

/// A segment's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) slot: u32,
    pub(crate) used: Use,
    /// Octets of the file.
    pub(crate) length: u64,
    /// When it was last written to, in seconds since 1970.
    pub(crate) written: i64,
}

impl Directories {
    /// Opens them; all must exist.
    pub(crate) fn open(root: Dir) -> Result<Self, DiskError> {
        let below = |name| root.subdir(name);
        let (segments, big, corrupt) = (below("segments")?, below("big")?, below("corrupt")?);
        Ok(Self { root, segments, big, corrupt })
    }

    /// Opens a segment for reading.
    pub(crate) fn segment(&self, slot: u32) -> Result<File, DiskError> {
        self.segments.file(name(slot))
    }

    /// Opens a segment a sync of which failed: the kernel may remember what it could not write, so
    /// the disk is asked.
    pub(crate) fn sealed_segment(&self, slot: u32) -> Result<File, DiskError> {
        let file = self.segment(slot)?;
        disk::drop_cached(&file).map_err(|error| self.segment_error(slot, error))?;
        Ok(file)
    }

    /// Whether the disk, which is there, gives any of this now.
    fn gives(&self, withheld: &Withheld) -> Result<bool, DiskError> {
        let file = self.segment(withheld.slot)?;
        let is_given = |&at: &u64| file.read_at(&mut [0; BLOCK as usize], at).is_ok();
        Ok(withheld.blocks.iter().any(is_given))
    }

    /// Of a segment.
    pub(crate) fn segment_error(&self, slot: u32, error: io::Error) -> DiskError {
        DiskError::new(self.segments.path().join(name(slot)), error)
    }
}

/// Blocks of a segment that the disk did not give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Withheld {
    pub(crate) slot: u32,
    /// Where each begins.
    pub(crate) blocks: Vec<u64>,
}

/// What the disk did not give at the start.
#[derive(Debug)]
pub(crate) struct Missed {
    pub(crate) withheld: Vec<Withheld>,
    /// Bodies in `big/` that may be of messages there.
    pub(crate) bodies: Vec<Id>,
    /// When it was missed.
    pub(crate) since: Instant,
    /// Some of it was there again.
    is_back: bool,
}

/// What became of what the disk did not give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It may come back.
    Open,
    /// Some of it was there again: a start would find it.
    Back,
    /// It is gone for good, or nothing was missed.
    Settled,
}

/// For so long it may come back: a path that fails over takes minutes, and an admin who finds a
/// cable or a controller broken starts mtad anew. Only a sector that is dead stays so.
const MAY_COME_BACK: Duration = Duration::from_secs(3600);

impl Missed {
    pub(crate) fn now(withheld: Vec<Withheld>, bodies: Vec<Id>) -> Self {
        Self { withheld, bodies, since: Instant::now(), is_back: false }
    }

    /// Whether it may come back even if it does not now.
    pub(crate) fn may_come_back(&self, now: Instant) -> bool {
        let is_late = now.saturating_duration_since(self.since) >= MAY_COME_BACK;
        !self.withheld.is_empty() && !is_late
    }

    /// What became of it until now.
    ///
    /// # Errors
    /// The disk is away.
    pub(crate) fn fate(
        &mut self,
        directories: &Directories,
        now: Instant,
    ) -> Result<Fate, DiskError> {
        for withheld in &self.withheld {
            self.is_back = self.is_back || directories.gives(withheld)?;
        }
        Ok(match self.is_back {
            true => Fate::Back,
            false if self.may_come_back(now) => Fate::Open,
            false => Fate::Settled,
        })
    }
}

/// The name of a slot's file.
pub(crate) fn name(slot: u32) -> String {
    format!("{slot:08x}")
}

/// Looks at all segments, and lists the bodies in `big/`.
///
/// # Errors
/// The disk is broken.
pub(crate) fn survey(directories: &Directories) -> Result<Survey, DiskError> {
    let (mut survey, patience) = (Survey::default(), Patience::default());
    for entry in directories.segments.entries()? {
        let name = entry?.name;
        let slot = name.to_str().and_then(|name| u32::from_str_radix(name, 16).ok());
        // Not `+0000001` and not `0000000A`: those are no names of ours.
        match slot.filter(|&slot| *name == *self::name(slot)) {
            Some(slot) => survey.segments.push(look(directories, slot, &patience)?),
            None => warn!("segments/{}: not of the spool, left alone", name.display()),
        }
    }
    survey.segments.sort_by_key(|segment| (segment.generation(), segment.slot));
    for entry in directories.big.entries()? {
        let name = entry?.name;
        match name.to_str().and_then(Id::parse) {
            Some(id) => survey.big.extend([id]),
            None => warn!("big/{}: not of the spool, left alone", name.display()),
        }
    }
    Ok(survey)
}

/// Finds all messages, and hands their rows to the index; before, `seal` hears of the slots of
/// segments a sync of which failed. Says what the disk did not give.
///
/// # Errors
/// The disk is broken; the index says that it failed.
pub(crate) fn recover(
    directories: &Directories,
    survey: &Survey,
    index: &Index,
    seal: impl FnMut(u32),
) -> Result<Missed, DiskError> {
    let mut note = |finding: &Finding| tell(directories, finding);
    let replayed = replay(directories, survey, index, &mut note).inspect_err(|_| index.fail())?;
    let mut bodies = Vec::new();
    check_big(&replayed.table, survey, &mut |finding| {
        if let Finding::Orphan { id } = finding {
            match replayed.withheld.is_empty() {
                true => remove(directories, *id, replayed.harm),
                false => bodies.push(*id),
            }
        }
        note(finding);
    });
    index.set_checkpoints(replayed.newer, replayed.older);
    replayed.sealed.into_iter().for_each(seal);
    let phase = if replayed.withheld.is_empty() { Phase::Complete } else { Phase::Partial };
    index.complete(replayed.table, replayed.octets, phase);
    Ok(Missed::now(replayed.withheld, bodies))
}

/// Compares rows with what is in `big/`.
pub(crate) fn check_big(table: &Table, survey: &Survey, note: &mut dyn FnMut(&Finding)) {
    let known = |id: &Id| table.find(*id).is_some_and(|row| row.big);
    for &id in survey.big.iter().filter(|id| !known(id)) {
        note(&Finding::Orphan { id });
    }
    for number in table.pieces() {
        let rows = table.piece(number).into_iter().flatten();
        for row in rows.filter(|row| row.big && !survey.big.contains(&row.id)) {
            note(&Finding::BigMissing { id: row.id });
        }
    }
}

/// Removes a body that no message has; where records were damaged, one may have been its own.
pub(crate) fn remove(directories: &Directories, id: Id, harm: Harm) {
    let Directories { big, corrupt, .. } = directories;
    let removed = match harm {
        Harm::None => big.unlink(id.as_str()),
        Harm::Some => corrupt::move_big(corrupt, big, id),
    };
    if let Err(error) = removed {
        warn!("{id}: its body stays where it is: {error}");
    }
}

impl Survey {
    /// An index of its segments that has no rows yet.
    pub(crate) fn index(&self) -> Index {
        Index::new(self.segments.iter().map(|segment| (segment.slot, segment.slot())))
    }
}

impl Segment {
    /// `None`: it was never used, or nobody knows.
    pub(crate) fn generation(&self) -> Option<u64> {
        match self.used {
            Use::Blank => None,
            Use::Sound(generation) => Some(generation),
            Use::Headless(generation) => generation,
        }
    }

    fn slot(&self) -> Slot {
        let stage = match self.used {
            Use::Blank => Stage::Blank,
            // A person may make something of it.
            Use::Headless(None) => Stage::Taken,
            Use::Sound(_) | Use::Headless(Some(_)) => Stage::Closed,
        };
        let generation = self.generation().unwrap_or(0);
        Slot { generation, stage, length: self.length, written: self.written }
    }
}

fn look(directories: &Directories, slot: u32, patience: &Patience) -> Result<Segment, DiskError> {
    let file = directories.segment(slot)?;
    let stat = directories.segments.stat(name(slot))?;
    let used = scan::used(&Patient::new(&file, patience), slot);
    let used = used.map_err(|error| directories.segment_error(slot, error))?;
    Ok(Segment { slot, used, length: stat.size, written: stat.modified.seconds })
}

/// Tells the admin, and keeps the octets.
fn tell(directories: &Directories, finding: &Finding) {
    match finding.is_harm() && !matches!(finding, Finding::Unfinished { .. }) {
        true => error!("{finding}"),
        false => warn!("{finding}"),
    }
    let Some(stretch) = finding.stretch() else { return };
    let file = directories.segment(stretch.slot);
    let kept = file.and_then(|file| corrupt::keep(&directories.corrupt, &file, stretch));
    if let Err(error) = kept {
        error!("its octets could not be kept: {error}");
    }
}
