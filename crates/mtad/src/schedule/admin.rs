//! What an admin asks of the schedule and does to it.
#![allow(dead_code, reason = "for the control socket")]

use mail_common::log::Id;

use super::entries::Stage;
use super::health::Health;
use super::{Destination, Schedule};

/// A destination as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) destination: Destination,
    /// Messages that wait for it, due or not.
    pub(crate) waiting: u32,
    /// Of these, those that are due.
    pub(crate) due: usize,
    /// Attempts under way.
    pub(crate) under_way: u32,
    pub(crate) state: SeenState,
}

/// Whether it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SeenState {
    /// With so many attempts at the same time.
    Alive(u32),
    /// At this time, in microseconds since 1970; now where there is none.
    Dead(Option<u64>),
}

impl Schedule {
    /// Entries, waiting or under way.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The destinations that something waits for, or that were dead lately.
    pub(crate) fn destinations(&self) -> impl Iterator<Item = Seen> {
        self.destinations.iter().map(|(&destination, state)| Seen {
            destination,
            waiting: state.waiting,
            due: state.ready(),
            under_way: state.under_way,
            state: match &state.health {
                Health::Alive(window) => SeenState::Alive(window.width),
                Health::Dead { .. } => SeenState::Dead(state.health.probe_at()),
            },
        })
    }

    /// When a destination is probed, in microseconds since 1970, if it is dead; a probe that is
    /// under way counts as due at `now`.
    pub(crate) fn probe_of(&self, destination: Destination, now: u64) -> Option<u64> {
        let health = &self.destinations.get(&destination)?.health;
        matches!(health, Health::Dead { .. }).then(|| health.probe_at().unwrap_or(now))
    }

    /// The destinations that a message waits for, or is tried at.
    pub(crate) fn destinations_of(&self, id: Id) -> Vec<Destination> {
        let entries = self.entries.all_of(id).into_iter();
        entries.map(|number| self.entries.at(number).destination).collect()
    }

    /// An admin has it probed. However often that fails, its pauses begin anew.
    pub(crate) fn ask_again(&mut self, destination: Destination, now: u64) {
        if let Some(state) = self.destinations.get_mut(&destination) {
            state.health.begin_anew();
        }
        self.probe_now(destination, now);
    }

    /// Makes a message due, and probes its destinations.
    pub(crate) fn make_due(&mut self, id: Id, now: u64) {
        for number in self.entries.all_of(id) {
            let entry = *self.entries.at(number);
            if entry.stage == Stage::Later {
                self.take_out_of_calendar(number);
                self.make_ready(number, now);
            }
            self.probe_now(entry.destination, now);
        }
    }

    /// Makes all that waits for a destination due, and probes it.
    pub(crate) fn make_destination_due(&mut self, destination: Destination, now: u64) {
        let later = |&number: &u32| {
            let entry = self.entries.at(number);
            entry.destination == destination && entry.stage == Stage::Later
        };
        let waiting: Vec<_> = self.entries.numbers().filter(later).collect();
        for number in waiting {
            self.take_out_of_calendar(number);
            self.make_ready(number, now);
        }
        self.probe_now(destination, now);
    }
}
