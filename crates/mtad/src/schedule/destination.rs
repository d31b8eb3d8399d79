//! One destination: what is due for it, and whose turn it is.

use std::collections::BTreeMap;

use super::entries::{Entries, Number};
use super::fair::Fair;
use super::health::{Health, Rules};
use super::{Destination, Standing};

/// Turns of which new mail has all but one.
const ROUND: u8 = 5;

/// One destination.
#[derive(Debug)]
pub(super) struct State {
    pub(super) health: Health,
    new: Fair,
    deferred: Fair,
    turns: Turns,
    /// Entries not handed out, due or not.
    pub(super) waiting: u32,
    /// Entries handed out.
    pub(super) under_way: u32,
    /// Where it stands in the rings.
    pub(super) place: Option<Place>,
    /// Where it stands among the probes.
    pub(super) probe: Option<u64>,
}

/// A ring, and a place in it.
pub(super) type Place = (Ring, u64);

/// A ring of destinations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ring {
    /// Of those that have new mail.
    New,
    /// Of those that have none.
    Deferred,
}

/// Destinations that have something due and room for it, in the order of their turns.
#[derive(Debug, Default)]
pub(super) struct Rings {
    new: BTreeMap<u64, Destination>,
    deferred: BTreeMap<u64, Destination>,
    turns: Turns,
    places: u64,
}

/// Whose turn it is, between new and deferred mail.
#[derive(Debug, Default)]
struct Turns(u8);

impl State {
    pub(super) fn new(rules: &Rules) -> Self {
        Self {
            health: Health::new(rules),
            new: Fair::default(),
            deferred: Fair::default(),
            turns: Turns::default(),
            waiting: 0,
            under_way: 0,
            place: None,
            probe: None,
        }
    }

    /// Whether there is nothing to be said of it.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0 && self.under_way == 0
    }

    /// The ring in which it belongs now.
    pub(super) fn ring(&self, now: u64) -> Option<Ring> {
        if self.new.len() + self.deferred.len() == 0 || !self.health.has_room(self.under_way, now) {
            return None;
        }
        Some(if self.new.len() > 0 { Ring::New } else { Ring::Deferred })
    }

    pub(super) fn push(&mut self, entries: &mut Entries, number: Number) {
        self.queues(entries.at(number).standing).push(entries, number);
    }

    pub(super) fn remove(&mut self, entries: &mut Entries, number: Number) {
        self.queues(entries.at(number).standing).remove(entries, number);
    }

    /// Takes out the entry whose turn it is.
    pub(super) fn take(&mut self, entries: &mut Entries) -> Option<Number> {
        let ring = self.turns.next(self.new.len() > 0, self.deferred.len() > 0)?;
        match ring {
            Ring::New => self.new.take(entries),
            Ring::Deferred => self.deferred.take(entries),
        }
    }

    /// All that are due.
    pub(super) fn numbers(&self, entries: &Entries) -> Vec<Number> {
        let mut numbers = self.new.numbers(entries);
        numbers.extend(self.deferred.numbers(entries));
        numbers
    }

    fn queues(&mut self, standing: Standing) -> &mut Fair {
        match standing {
            Standing::New => &mut self.new,
            Standing::Deferred | Standing::GivenUp => &mut self.deferred,
        }
    }
}

impl Rings {
    /// Takes out the destination whose turn it is.
    pub(super) fn next(&mut self) -> Option<Destination> {
        let ring = self.turns.next(!self.new.is_empty(), !self.deferred.is_empty())?;
        self.of(ring).pop_first().map(|(_, destination)| destination)
    }

    /// A destination goes to the end of a ring.
    pub(super) fn enter(&mut self, ring: Ring, destination: Destination) -> Place {
        self.places += 1;
        let place = self.places;
        self.of(ring).insert(place, destination);
        (ring, place)
    }

    pub(super) fn leave(&mut self, (ring, place): Place) {
        self.of(ring).remove(&place);
    }

    fn of(&mut self, ring: Ring) -> &mut BTreeMap<u64, Destination> {
        match ring {
            Ring::New => &mut self.new,
            Ring::Deferred => &mut self.deferred,
        }
    }
}

impl Turns {
    fn next(&mut self, new: bool, deferred: bool) -> Option<Ring> {
        match (new, deferred) {
            (false, false) => None,
            (true, false) => Some(Ring::New),
            (false, true) => Some(Ring::Deferred),
            (true, true) => {
                self.0 = (self.0 + 1) % ROUND;
                Some(if self.0 == 0 { Ring::Deferred } else { Ring::New })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl State {
        /// Memory that is held.
        pub(in crate::schedule) fn octets(&self) -> usize {
            size_of::<Self>() + self.new.octets() + self.deferred.octets()
        }
    }

    #[test]
    fn new_mail_has_four_of_five_turns() {
        let mut turns = Turns::default();
        let rings: Vec<_> = (0..10).filter_map(|_| turns.next(true, true)).collect();
        let deferred = rings.iter().filter(|&&ring| ring == Ring::Deferred).count();
        assert_eq!((rings.len(), deferred), (10, 2));
        assert_eq!(turns.next(false, true), Some(Ring::Deferred));
        assert_eq!(turns.next(true, false), Some(Ring::New));
        assert_eq!(turns.next(false, false), None);
    }
}
