//! All entries of the schedule, in as little memory as a million of them allows.
//!
//! Entries stand in a slab of chunks, so that a queue that grows is never copied. Each is in one
//! [`List`] at most: the links are in the entries, so taking one out of the middle costs nothing,
//! and moving a million between lists needs no memory. The index is a table of the slab's numbers
//! alone; it looks into the slab for what it compares.

use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;
use mail_common::log::Id;

use super::{Destination, Standing};

/// The number of an entry, until it is removed.
pub(super) type Number = u32;

/// No entry.
const NONE: Number = Number::MAX;

/// Entries of a chunk, as a power of two.
const CHUNK: u32 = 12;

/// One message for one destination.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) id: Id,
    /// When it is tried next, in seconds since 1970.
    pub(super) due: u32,
    /// When it was taken, in seconds since 1970.
    pub(super) arrived: u32,
    pub(super) destination: Destination,
    /// In its list.
    pub(super) next: Number,
    pub(super) previous: Number,
    /// Its sender's queue.
    pub(super) sender: u16,
    /// Seconds that it stood while its destination was seen to be dead, as far as they are counted.
    pub(super) waited: u16,
    /// What it costs its sender's queue.
    pub(super) cost: u8,
    pub(super) attempts: u8,
    pub(super) standing: Standing,
    pub(super) stage: Stage,
    /// Whether its sender knows that it is late.
    pub(super) told: bool,
}

/// Where an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Stage {
    /// In the calendar: it is not due yet.
    Later,
    /// Due, in its destination's queues.
    Ready,
    /// Among those that are to be given up.
    Expired,
    /// Handed out.
    UnderWay,
    /// Handed out, and removed meanwhile.
    Dropped,
    /// Nowhere: its number is free.
    Free,
}

/// Entries behind each other.
#[derive(Debug, Clone, Copy)]
pub(super) struct List {
    first: Number,
    last: Number,
}

/// The slab and its index.
#[derive(Debug, Default)]
pub(super) struct Entries {
    chunks: Vec<Vec<Entry>>,
    free: List,
    index: HashTable<Number>,
    hasher: RandomState,
}

impl Default for List {
    fn default() -> Self {
        Self { first: NONE, last: NONE }
    }
}

impl List {
    pub(super) fn first(&self) -> Option<Number> {
        (self.first != NONE).then_some(self.first)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first == NONE
    }
}

impl Entry {
    pub(super) fn new(id: Id, destination: Destination) -> Self {
        Self {
            id,
            due: 0,
            arrived: 0,
            destination,
            next: NONE,
            previous: NONE,
            sender: 0,
            waited: 0,
            cost: 1,
            attempts: 0,
            standing: Standing::New,
            stage: Stage::Free,
            told: false,
        }
    }
}

impl Entries {
    /// The entry of this number, which was given out and not removed since.
    pub(super) fn at(&self, number: Number) -> &Entry {
        entry_of(&self.chunks, number)
    }

    pub(super) fn at_mut(&mut self, number: Number) -> &mut Entry {
        let (chunk, place) = place_of(number);
        let entry = self.chunks.get_mut(chunk).and_then(|chunk| chunk.get_mut(place));
        entry.expect("numbers given out stay")
    }

    pub(super) fn find(&self, id: Id, destination: Destination) -> Option<Number> {
        let is_it = |&number: &Number| {
            let entry = self.at(number);
            entry.id == id && entry.destination == destination
        };
        self.index.find(self.hasher.hash_one(id), is_it).copied()
    }

    /// The entries of a message, one for each of its destinations.
    pub(super) fn all_of(&self, id: Id) -> Vec<Number> {
        let same_hash = self.index.iter_hash(self.hasher.hash_one(id));
        same_hash.copied().filter(|&number| self.at(number).id == id).collect()
    }

    /// Every entry that there is.
    pub(super) fn numbers(&self) -> impl Iterator<Item = Number> {
        self.index.iter().copied()
    }

    pub(super) fn insert(&mut self, entry: Entry) -> Number {
        let mut free = self.free;
        let number = match self.pop(&mut free) {
            Some(number) => {
                *self.at_mut(number) = entry;
                number
            }
            None => self.grow(entry),
        };
        self.free = free;
        let Self { chunks, index, hasher, .. } = self;
        let hash_of = |&number: &Number| hasher.hash_one(entry_of(chunks, number).id);
        index.insert_unique(hasher.hash_one(entry.id), number, hash_of);
        number
    }

    /// Forgets an entry that is in no list any more.
    pub(super) fn remove(&mut self, number: Number) -> Entry {
        let entry = *self.at(number);
        let hash = self.hasher.hash_one(entry.id);
        if let Ok(found) = self.index.find_entry(hash, |&other| other == number) {
            found.remove();
        }
        if self.index.is_empty() {
            // What a long queue took is given back once it is empty.
            *self = Self { hasher: self.hasher.clone(), ..Self::default() };
            return entry;
        }
        self.at_mut(number).stage = Stage::Free;
        let mut free = self.free;
        self.push(&mut free, number);
        self.free = free;
        entry
    }

    /// Puts an entry at the end of a list.
    pub(super) fn push(&mut self, list: &mut List, number: Number) {
        let last = list.last;
        let entry = self.at_mut(number);
        (entry.previous, entry.next) = (last, NONE);
        match last {
            NONE => list.first = number,
            last => self.at_mut(last).next = number,
        }
        list.last = number;
    }

    /// Takes the first of a list out.
    pub(super) fn pop(&mut self, list: &mut List) -> Option<Number> {
        let first = list.first()?;
        self.unlink(list, first);
        Some(first)
    }

    /// Takes an entry out of the list that it is in.
    pub(super) fn unlink(&mut self, list: &mut List, number: Number) {
        let Entry { previous, next, .. } = *self.at(number);
        match previous {
            NONE => list.first = next,
            previous => self.at_mut(previous).next = next,
        }
        match next {
            NONE => list.last = previous,
            next => self.at_mut(next).previous = previous,
        }
    }

    /// The one behind this one.
    pub(super) fn after(&self, number: Number) -> Option<Number> {
        Some(self.at(number).next).filter(|&next| next != NONE)
    }

    fn grow(&mut self, entry: Entry) -> Number {
        if self.chunks.last().is_none_or(|chunk| chunk.len() == 1 << CHUNK) {
            self.chunks.push(Vec::with_capacity(1 << CHUNK));
        }
        let full = self.chunks.len() - 1;
        let chunk = self.chunks.last_mut().expect("there is one now");
        chunk.push(entry);
        let number = (full << CHUNK) + chunk.len() - 1;
        Number::try_from(number).expect("the queue is shorter than 4 milliards")
    }
}

fn entry_of(chunks: &[Vec<Entry>], number: Number) -> &Entry {
    let (chunk, place) = place_of(number);
    let entry = chunks.get(chunk).and_then(|chunk| chunk.get(place));
    entry.expect("numbers given out stay")
}

/// The chunk of an entry, and its place there.
fn place_of(number: Number) -> (usize, usize) {
    ((number >> CHUNK) as usize, (number & ((1 << CHUNK) - 1)) as usize)
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::*;

    impl Entries {
        pub(in crate::schedule) fn len(&self) -> usize {
            self.index.len()
        }

        /// Memory that is held.
        pub(in crate::schedule) fn octets(&self) -> usize {
            let entries: usize = self.chunks.iter().map(Vec::capacity).sum();
            // A table has an eighth of its places free, and an octet for each besides the number.
            let places = (self.index.capacity() * 8 / 7).next_power_of_two();
            entries * size_of::<Entry>() + places * (size_of::<Number>() + 1)
        }
    }

    fn id(number: usize) -> Id {
        Id::parse(&format!("id{number}")).unwrap()
    }

    fn listed(entries: &Entries, list: &List) -> Vec<Number> {
        std::iter::successors(list.first(), |&number| entries.after(number)).collect()
    }

    #[test]
    fn an_entry_is_small() {
        assert_eq!(size_of::<Entry>(), 48);
    }

    #[test]
    fn entries_are_found_by_message_and_destination() {
        let mut entries = Entries::default();
        let numbers: Vec<_> = (0..10_000)
            .map(|n| entries.insert(Entry::new(id(n / 2), Destination(n as u32 % 2))))
            .collect();
        for (n, &number) in numbers.iter().enumerate() {
            assert_eq!(entries.find(id(n / 2), Destination(n as u32 % 2)), Some(number));
        }
        assert_eq!(entries.find(id(1), Destination(2)), None);
        let mut both = entries.all_of(id(3));
        both.sort_unstable();
        assert_eq!(both, [6, 7]);
        for &number in &numbers {
            entries.remove(number);
        }
        assert_eq!((entries.index.len(), entries.chunks.len()), (0, 0));
    }

    #[test]
    fn numbers_are_used_again() {
        let mut entries = Entries::default();
        for n in 0..3 {
            entries.insert(Entry::new(id(n), Destination(0)));
        }
        entries.remove(1);
        assert_eq!(entries.insert(Entry::new(id(9), Destination(0))), 1);
        assert_eq!(entries.insert(Entry::new(id(8), Destination(0))), 3);
    }

    #[test]
    fn lists_lose_entries_anywhere() {
        for gone in 0..4 {
            let (mut entries, mut list) = (Entries::default(), List::default());
            for n in 0..4 {
                let number = entries.insert(Entry::new(id(n), Destination(0)));
                entries.push(&mut list, number);
            }
            entries.unlink(&mut list, gone);
            let left: Vec<_> = (0..4).filter(|&n| n != gone).collect();
            assert_eq!(listed(&entries, &list), left);
            for expected in left {
                assert_eq!(entries.pop(&mut list), Some(expected));
            }
            assert!(list.is_empty() && entries.pop(&mut list).is_none());
        }
    }
}
