//! The slots of segments, and which of them can be used again.
//!
//! A segment is needed while a row points into it, and while its log may have to be applied: by
//! the newer checkpoint, or by the older where the newer turns out to be damaged. So it is free
//! once its generation is below the positions of both.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use mail_common::time::now_seconds;

use crate::record::BLOCK;

/// A place in the log.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// Of the segment.
    pub(crate) generation: u64,
    /// From its beginning.
    pub(crate) offset: u64,
}

/// A slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    /// 0: never used.
    pub(crate) generation: u64,
    pub(crate) stage: Stage,
    /// Octets up to the end of the last record.
    pub(crate) length: u64,
    /// When its last record was written, in seconds since 1970.
    pub(crate) written: i64,
}

/// What is done with a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing: there are zeros in it.
    Blank,
    /// It was handed out to be used next.
    Taken,
    /// It is written to.
    Open,
    /// It is full, or of an earlier process.
    Closed,
    /// A sync of it failed.
    Sealed,
}

impl Slot {
    fn is_free(&self, bound: u64, is_empty: impl FnOnce() -> bool) -> bool {
        match self.stage {
            Stage::Blank => true,
            Stage::Closed | Stage::Sealed => self.generation < bound && is_empty(),
            Stage::Taken | Stage::Open => false,
        }
    }
}

/// All slots.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    known: BTreeMap<u32, Slot>,
    newest: u64,
    position: Position,
    /// Octets of log since the last checkpoint.
    grown: u64,
    /// Where the checkpoints on the disk stand; `None`: there is none, or a damaged one.
    pub(crate) newer: Option<Position>,
    pub(crate) older: Option<Position>,
}

impl Slots {
    /// Adds what was found on the disk.
    pub(crate) fn add(&mut self, number: u32, slot: Slot) {
        self.known.insert(number, slot);
        self.rise_above(slot.generation);
    }

    /// Says that a generation was used by an earlier process.
    pub(crate) fn rise_above(&mut self, generation: u64) {
        self.newest = self.newest.max(generation);
        // All that an earlier process wrote is before this.
        self.position = Position { generation: self.newest.saturating_add(1), offset: 0 };
    }

    pub(crate) fn slot(&self, number: u32) -> Option<&Slot> {
        self.known.get(&number)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Slot)> {
        self.known.iter().map(|(&number, slot)| (number, slot))
    }

    /// Hands out a blank slot, or one that can be used again, as `is_empty` says of those that no
    /// row points into.
    pub(crate) fn take_free(&mut self, is_empty: impl Fn(u32) -> bool) -> Option<u32> {
        let bound = self.bound();
        let mut slots = self.known.iter_mut();
        let (&number, slot) =
            slots.find(|(number, slot)| slot.is_free(bound, || is_empty(**number)))?;
        slot.stage = Stage::Taken;
        Some(number)
    }

    /// How many [`take_free`](Self::take_free) could hand out.
    pub(crate) fn count_free(&self, is_empty: impl Fn(u32) -> bool) -> usize {
        let bound = self.bound();
        let is_free = |&(&number, slot): &(&u32, &Slot)| slot.is_free(bound, || is_empty(number));
        self.known.iter().filter(is_free).count()
    }

    /// Hands out a slot that has no file yet.
    pub(crate) fn take_new(&mut self) -> u32 {
        let number = self.known.keys().next_back().map_or(0, |last| last.saturating_add(1));
        let slot = Slot { generation: 0, stage: Stage::Taken, length: 0, written: 0 };
        self.known.insert(number, slot);
        number
    }

    /// A generation above all that there were. The step is random: whoever could guess it could
    /// send a message that looks like records of ours, and hope for a damaged disk.
    pub(crate) fn next_generation(&mut self) -> u64 {
        let step = RandomState::new().build_hasher().finish() & u64::from(u32::MAX);
        self.newest = self.newest.saturating_add(1).saturating_add(step);
        self.newest
    }

    pub(crate) fn begin(&mut self, number: u32, generation: u64) {
        for slot in self.known.values_mut().filter(|slot| slot.stage == Stage::Open) {
            slot.stage = Stage::Closed;
        }
        let written = now_seconds();
        let slot = Slot { generation, stage: Stage::Open, length: BLOCK, written };
        self.known.insert(number, slot);
        self.newest = self.newest.max(generation);
        self.position = Position { generation, offset: BLOCK };
    }

    pub(crate) fn reach(&mut self, offset: u64) {
        let Some(slot) = self.known.values_mut().find(|slot| slot.stage == Stage::Open) else {
            return;
        };
        self.grown += offset.saturating_sub(slot.length);
        (slot.length, slot.written) = (offset, now_seconds());
        self.position.offset = offset;
    }

    pub(crate) fn seal(&mut self, number: u32) {
        if let Some(slot) = self.known.get_mut(&number) {
            slot.stage = Stage::Sealed;
        }
    }

    /// What is below may be overwritten: neither checkpoint needs it.
    fn bound(&self) -> u64 {
        self.newer.zip(self.older).map_or(0, |(newer, older)| newer.min(older).generation)
    }

    pub(crate) fn position(&self) -> Position {
        self.position
    }

    pub(crate) fn grown(&self) -> u64 {
        self.grown
    }

    /// What was applied at start belongs to no checkpoint yet.
    pub(crate) fn replayed(&mut self, octets: u64) {
        self.grown += octets;
    }

    /// A checkpoint was written that began at this position.
    pub(crate) fn checkpointed(&mut self, position: Position, grown: u64) {
        self.older = self.newer.or(self.older);
        self.newer = Some(position);
        self.grown = self.grown.saturating_sub(grown);
    }
}
