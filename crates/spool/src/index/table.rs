//! The rows, found by id, and how much of each segment they keep alive.
//!
//! Rows stand in pieces that are never moved, so that a million more ask for no copy of the
//! million before, and keep their number for life. The table of numbers by id holds four octets
//! and a tag for each. Together that is below a hundred octets a message, whatever the count:
//! 72 of the row, 4 of the list of free numbers once it is gone, 5 of the table, which is filled
//! from 7/16 to 7/8.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

use hashbrown::HashTable;
use mail_common::log::Id;

use crate::index::Effect;
use crate::row::{Place, Row};

/// Rows of a piece.
pub(crate) const PIECE: u32 = 4096;

/// Rows by id.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pieces: Vec<Vec<Option<Row>>>,
    numbers: HashTable<u32>,
    free: Vec<u32>,
    /// Numbers below this are not given to new rows, even where they are free.
    reserved: u32,
    state: RandomState,
    live: HashMap<u32, Live>,
}

/// What rows point to in a segment.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Live {
    /// Records.
    pub(crate) records: u32,
    /// Units of 64 octets.
    pub(crate) units: u64,
}

impl Table {
    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The row of a message.
    pub(crate) fn find(&self, id: Id) -> Option<&Row> {
        self.row(self.number(id)?)
    }

    /// Adds a row, or replaces it.
    pub(crate) fn insert(&mut self, row: Row) {
        if self.update(row.id, |known| *known = row).is_some() {
            return;
        }
        self.count(&row, Live::add);
        let number = self.free.pop().unwrap_or_else(|| self.grow());
        if let Some(place) = self.place(number) {
            *place = Some(row);
        }
        let (pieces, state) = (&self.pieces, &self.state);
        let hash = |&number: &u32| row_at(pieces, number).map_or(0, |row| state.hash_one(row.id));
        self.numbers.insert_unique(state.hash_one(row.id), number, hash);
    }

    /// Changes a row, but not its id; `None`: there is none.
    pub(crate) fn update(&mut self, id: Id, change: impl FnOnce(&mut Row)) -> Option<Row> {
        let number = self.number(id)?;
        let row = self.place(number)?.as_mut()?;
        let before = *row;
        change(row);
        let after = *row;
        self.count(&after, Live::add);
        self.count(&before, Live::remove);
        Some(after)
    }

    /// Removes a row.
    pub(crate) fn remove(&mut self, id: Id) -> Option<Row> {
        let number = self.number(id)?;
        let hash = self.state.hash_one(id);
        let entry = self.numbers.find_entry(hash, |&known| known == number).ok()?;
        entry.remove();
        let row = self.place(number)?.take()?;
        self.count(&row, Live::remove);
        if number >= self.reserved {
            self.free.push(number);
        }
        Some(row)
    }

    /// Applies what a record changes that stands here, and says whose body in `big/` nobody needs
    /// any more. What concerns a message that is not known counts for nothing.
    pub(crate) fn apply(&mut self, id: Id, place: Place, effect: Effect) -> Option<Id> {
        if effect.from().is_some_and(|from| !self.stands(id, from)) {
            return None;
        }
        match effect {
            Effect::Letter(row) => self.insert(Row { letter: place, ..row }),
            Effect::Progress(_, summary) => {
                self.update(id, |row| {
                    row.progress = Some(place);
                    row.summarise(&summary);
                });
            }
            // That of a lost letter was put aside, and its name may be another one's by now.
            Effect::Done(from) => {
                let gone = self.remove(id)?;
                return (gone.big && from.is_none()).then_some(id);
            }
            Effect::MovedLetter(Some(_), _) => drop(self.update(id, |row| row.letter = place)),
            Effect::MovedLetter(None, row) => {
                self.update(id, |known| {
                    *known = Row { id, letter: place, progress: known.progress, ..row };
                });
            }
            Effect::MovedProgress(_) => drop(self.update(id, |row| row.progress = Some(place))),
        }
        None
    }

    /// Whether a message's letter or progress stands here.
    pub(crate) fn stands(&self, id: Id, place: Place) -> bool {
        let row = self.find(id);
        row.is_some_and(|row| row.letter == place || row.progress == Some(place))
    }

    /// What is alive of a segment.
    pub(crate) fn live(&self, slot: u32) -> Live {
        self.live.get(&slot).copied().unwrap_or_default()
    }

    /// The rows of a piece, from 0; `None`: there are no more.
    pub(crate) fn piece(&self, number: usize) -> Option<impl Iterator<Item = &Row>> {
        Some(self.pieces.get(number)?.iter().flatten())
    }

    /// The pieces that there are.
    pub(crate) fn pieces(&self) -> Range<usize> {
        0..self.pieces.len()
    }

    /// Keeps the numbers of all pieces that there are for the rows that have them now.
    pub(crate) fn reserve(&mut self) {
        self.free.clear();
        // What is added next stands in a piece of its own.
        if let Some(last) = self.pieces.last_mut() {
            last.resize(PIECE as usize, None);
        }
        self.reserved = u32::try_from(self.pieces.len()).unwrap_or(u32::MAX).saturating_mul(PIECE);
    }

    /// The pieces of the rows whose numbers are kept.
    pub(crate) fn reserved_pieces(&self) -> Range<usize> {
        0..(self.reserved / PIECE) as usize
    }

    /// Ends [`reserve`](Self::reserve).
    pub(crate) fn release(&mut self) {
        let free =
            (0..std::mem::take(&mut self.reserved)).filter(|&number| self.row(number).is_none());
        let free: Vec<u32> = free.collect();
        self.free.extend(free);
    }

    fn number(&self, id: Id) -> Option<u32> {
        let same = |&number: &u32| self.row(number).is_some_and(|row| row.id == id);
        self.numbers.find(self.state.hash_one(id), same).copied()
    }

    fn row(&self, number: u32) -> Option<&Row> {
        row_at(&self.pieces, number)
    }

    fn place(&mut self, number: u32) -> Option<&mut Option<Row>> {
        self.pieces.get_mut((number / PIECE) as usize)?.get_mut((number % PIECE) as usize)
    }

    /// Makes room for one more, and says its number.
    fn grow(&mut self) -> u32 {
        if self.pieces.last().is_none_or(|last| last.len() == PIECE as usize) {
            self.pieces.push(Vec::with_capacity(PIECE as usize));
        }
        let full = self.pieces.len().saturating_sub(1) * PIECE as usize;
        let last = self.pieces.last_mut().expect("there is at least one");
        last.push(None);
        u32::try_from(full + last.len() - 1).expect("memory ends before 4 thousand million rows")
    }

    fn count(&mut self, row: &Row, change: fn(&mut Live, Place)) {
        for place in [Some(row.letter), row.progress].into_iter().flatten() {
            let live = self.live.entry(place.slot).or_default();
            change(live, place);
            if live.records == 0 {
                self.live.remove(&place.slot);
            }
        }
    }
}

impl Live {
    fn add(&mut self, place: Place) {
        self.records += 1;
        self.units += u64::from(place.units);
    }

    fn remove(&mut self, place: Place) {
        self.records -= 1;
        self.units -= u64::from(place.units);
    }
}

fn row_at(pieces: &[Vec<Option<Row>>], number: u32) -> Option<&Row> {
    pieces.get((number / PIECE) as usize)?.get((number % PIECE) as usize)?.as_ref()
}
