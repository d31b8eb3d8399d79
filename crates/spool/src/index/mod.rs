//! The index: one row a message, in memory.
//!
//! The writer applies what a commit changed once the commit is durable, and never before, so that
//! rows promise no more than the disk. What was in the queue at start is read in another thread
//! meanwhile ([`crate::recovery`]) and joins all at once; until then only what was taken since is
//! found here, and no segment that was there before is used again.

mod names;
mod slots;
mod summary;
mod table;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use mail_common::lock;
use mail_common::log::Id;

pub(crate) use names::ALL_OTHERS;
pub(crate) use slots::{Position, Slot, Stage};
pub(crate) use summary::{Summary, again, place, row, summarise};
pub(crate) use table::{Live, Table};

use crate::row::{Name, Place, Row};
use names::Names;
use slots::Slots;

/// The rows of all messages, and the slots of all segments.
#[derive(Debug, Default)]
pub(crate) struct Index {
    state: Mutex<State>,
    names: Mutex<Names>,
    phase: Mutex<Phase>,
    phase_changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    table: Table,
    slots: Slots,
}

/// Whether the rows of earlier processes are here.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not yet.
    #[default]
    Replaying,
    /// They are, but for those of which the disk withholds something that may come back.
    Partial,
    /// They are.
    Complete,
    /// They cannot be read.
    Failed,
}

impl Phase {
    /// Whether all was read that the disk gives.
    pub(crate) fn is_read(self) -> bool {
        matches!(self, Self::Partial | Self::Complete)
    }
}

/// What a durable record changes.
///
/// Replay follows the log alone: a copy of what was replaced, behind what replaced it, would undo
/// that. So what is to count only if a record still stands at a place, the writer records only if
/// [`Index::place_is_live`] when it lays out the commit, and in front of all else that the commit
/// has of this message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// A message was taken.
    Letter(Row),
    /// More is known of what became of one; with a place, only if its progress still stood there.
    Progress(Option<Place>, Summary),
    /// One is done with; with a place, only if its letter still stood there.
    Done(Option<Place>),
    /// A letter was copied by the cleaner, if it still stood at this place; or, without one, changed
    /// by an admin, as the row says, in which the place of the progress does not count.
    MovedLetter(Option<Place>, Row),
    /// A progress was copied by the cleaner, if it still stood at this place.
    MovedProgress(Place),
}

impl Effect {
    /// The record that must still stand where it did; `None`: nothing is asked.
    pub(crate) fn from(&self) -> Option<Place> {
        match *self {
            Self::Letter(_) => None,
            Self::Progress(from, _) | Self::Done(from) | Self::MovedLetter(from, _) => from,
            Self::MovedProgress(from) => Some(from),
        }
    }
}

/// What nobody needs any more.
#[derive(Debug, Default)]
#[must_use = "bodies would stay on the disk until the next start"]
pub(crate) struct Freed {
    /// Messages whose bodies in `big/` can be removed.
    pub(crate) big: Vec<Id>,
}

impl Index {
    /// Without rows, for segments that were found on the disk.
    pub(crate) fn new(slots: impl IntoIterator<Item = (u32, Slot)>) -> Self {
        let index = Self::default();
        let mut state = index.lock();
        slots.into_iter().for_each(|(number, slot)| state.slots.add(number, slot));
        drop(state);
        index
    }

    /// Applies what a commit changed, which is durable: of which message, where that stands, and
    /// what it says.
    pub(crate) fn apply(&self, changes: Vec<(Id, Place, Effect)>) -> Freed {
        let mut freed = Freed::default();
        let mut state = self.lock();
        for (id, place, effect) in changes {
            freed.big.extend(state.table.apply(id, place, effect));
        }
        freed
    }

    /// The row of a message.
    pub(crate) fn find(&self, id: Id) -> Option<Row> {
        self.lock().table.find(id).copied()
    }

    /// Whether a message's letter or progress stands here.
    pub(crate) fn place_is_live(&self, id: Id, place: Place) -> bool {
        self.lock().table.stands(id, place)
    }

    /// How many messages there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().table.len()
    }

    /// Hands out a slot whose file is there and can be written over.
    pub(crate) fn take_free_slot(&self) -> Option<u32> {
        let is_read = self.phase().is_read();
        let State { table, slots } = &mut *self.lock();
        slots.take_free(|slot| is_read && table.live(slot) == Live::default())
    }

    /// How many slots [`take_free_slot`](Self::take_free_slot) could hand out.
    pub(crate) fn count_free(&self) -> usize {
        let is_read = self.phase().is_read();
        let State { table, slots } = &*self.lock();
        slots.count_free(|slot| is_read && table.live(slot) == Live::default())
    }

    /// Hands out a slot that has no file yet.
    pub(crate) fn take_new_slot(&self) -> u32 {
        self.lock().slots.take_new()
    }

    /// The generation of the next use of a slot: above all that there were.
    pub(crate) fn next_generation(&self) -> u64 {
        self.lock().slots.next_generation()
    }

    /// All generations to come are above this one.
    pub(crate) fn rise_above(&self, generation: u64) {
        self.lock().slots.rise_above(generation);
    }

    /// From now on the log goes on in this slot. To be called before anything of its first commit
    /// is applied.
    pub(crate) fn begin_segment(&self, slot: u32, generation: u64) {
        self.lock().slots.begin(slot, generation);
    }

    /// The log's end, once everything before it was applied: a checkpoint that begins now holds
    /// all up to here.
    pub(crate) fn reached(&self, offset: u64) {
        self.lock().slots.reach(offset);
    }

    /// A sync of this slot failed.
    pub(crate) fn seal(&self, slot: u32) {
        self.lock().slots.seal(slot);
    }

    /// Octets that the log has grown by since the last checkpoint.
    pub(crate) fn grown(&self) -> u64 {
        self.lock().slots.grown()
    }

    /// Shows all rows, in no order. The lock is held for some thousand of them at a time, and not
    /// while they are shown: those that come and go meanwhile may be shown or not.
    pub(crate) fn each(&self, mut see: impl FnMut(&Row)) {
        let mut rows = Vec::new();
        for piece in 0.. {
            rows.clear();
            match self.lock().table.piece(piece) {
                Some(found) => rows.extend(found),
                None => return,
            }
            rows.iter().for_each(&mut see);
        }
    }

    /// The rows of one piece, by number; `None`: there are no more.
    pub(crate) fn piece(&self, number: usize) -> Option<Vec<Row>> {
        Some(self.lock().table.piece(number)?.copied().collect())
    }

    /// Shows all slots, and what is alive of each.
    pub(crate) fn each_slot(&self, mut see: impl FnMut(u32, &Slot, Live)) {
        let state = self.lock();
        for (number, slot) in state.slots.iter() {
            see(number, slot, state.table.live(number));
        }
    }

    /// What is alive of a slot.
    pub(crate) fn live(&self, number: u32) -> Live {
        self.lock().table.live(number)
    }

    /// A slot.
    pub(crate) fn slot(&self, number: u32) -> Option<Slot> {
        self.lock().slots.slot(number).copied()
    }

    /// The name of a text.
    pub(crate) fn intern(&self, text: &str) -> Name {
        self.names().intern(text)
    }

    /// The text of a name.
    pub(crate) fn name(&self, name: Name) -> String {
        self.names().text(name).to_owned()
    }

    /// How many names there are, numbered from 0.
    pub(crate) fn name_count(&self) -> usize {
        self.names().count()
    }

    /// Where a checkpoint stands that begins now, and by how much the log has grown before.
    pub(crate) fn position(&self) -> (Position, u64) {
        let state = self.lock();
        (state.slots.position(), state.slots.grown())
    }

    /// A checkpoint is durable that began so.
    pub(crate) fn checkpointed(&self, position: Position, grown: u64) {
        self.lock().slots.checkpointed(position, grown);
    }

    /// Where the newer and the older checkpoint stand, if they are there and whole.
    pub(crate) fn checkpoints(&self) -> (Option<Position>, Option<Position>) {
        let state = self.lock();
        (state.slots.newer, state.slots.older)
    }

    /// Says where the checkpoints stand that were found.
    pub(crate) fn set_checkpoints(&self, newer: Option<Position>, older: Option<Position>) {
        let mut state = self.lock();
        (state.slots.newer, state.slots.older) = (newer, older);
    }

    /// Takes over the rows of earlier processes, after so many octets of log: all, or a part.
    pub(crate) fn complete(&self, mut rows: Table, replayed: u64, phase: Phase) {
        rows.reserve();
        let mut state = self.lock();
        for piece in state.table.pieces() {
            state.table.piece(piece).into_iter().flatten().for_each(|row| rows.insert(*row));
        }
        state.table = rows;
        state.slots.replayed(replayed);
        drop(state);
        self.set_phase(phase);
    }

    /// What is still withheld is gone for good.
    pub(crate) fn settle(&self) {
        self.set_phase(Phase::Complete);
    }

    /// The rows of earlier processes are not read, unless they are here already.
    pub(crate) fn fail(&self) {
        let mut phase = lock(&self.phase);
        if *phase == Phase::Replaying {
            *phase = Phase::Failed;
            self.phase_changed.notify_all();
        }
    }

    /// How far it is.
    pub(crate) fn phase(&self) -> Phase {
        *lock(&self.phase)
    }

    /// Waits until it is no more [`Phase::Replaying`].
    pub(crate) fn wait(&self) -> Phase {
        let phase = lock(&self.phase);
        let waited = self.phase_changed.wait_while(phase, |phase| *phase == Phase::Replaying);
        *waited.unwrap_or_else(PoisonError::into_inner)
    }

    fn set_phase(&self, phase: Phase) {
        *lock(&self.phase) = phase;
        self.phase_changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        lock(&self.names)
    }
}

/// The rows that were there at start, in pieces, once all of the log was applied.
#[derive(Debug)]
pub struct Recovered {
    index: Arc<Index>,
    pieces: Option<std::ops::Range<usize>>,
}

impl Recovered {
    pub(crate) fn new(index: Arc<Index>) -> Self {
        Self { index, pieces: None }
    }

    fn begin(index: &Index) -> std::ops::Range<usize> {
        match index.wait() {
            Phase::Partial | Phase::Complete => index.lock().table.reserved_pieces(),
            Phase::Replaying | Phase::Failed => 0..0,
        }
    }
}

/// Waits before the first piece until all of the log was applied.
impl Iterator for Recovered {
    type Item = Vec<Row>;

    fn next(&mut self) -> Option<Vec<Row>> {
        let index = &self.index;
        let pieces = self.pieces.get_or_insert_with(|| Self::begin(index));
        let rows = pieces.find_map(|piece| index.piece(piece).filter(|rows| !rows.is_empty()));
        if rows.is_none() {
            index.lock().table.release();
        }
        rows
    }
}

impl Drop for Recovered {
    fn drop(&mut self) {
        self.index.lock().table.release();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
