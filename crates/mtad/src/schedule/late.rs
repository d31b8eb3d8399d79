//! What stands before a dead destination for long: first its sender is told, and it stays where it
//! stands, because telling is no attempt; in the end it is given up.

use std::collections::VecDeque;
use std::time::Duration;

use mail_common::log::Id;

use super::entries::{Entry, Stage};
use super::{Destination, Schedule, Settings, Turn, pause, seconds};

/// Messages of which senders are told at the same time.
const WARNINGS: usize = 16;

/// What is to be told.
#[derive(Debug, Default)]
pub(super) struct Late {
    line: VecDeque<(Id, Destination)>,
    under_way: usize,
}

impl Late {
    /// Takes note of an entry at a time in seconds since 1970, if it is late and nobody was told.
    pub(super) fn note(&mut self, entry: &mut Entry, now: u32, settings: &Settings) {
        let age = u64::from(now.saturating_sub(entry.arrived));
        let is_late = settings.delay_warning.is_some_and(|delay| age >= delay.as_secs());
        if is_late && !entry.told {
            entry.told = true;
            self.line.push_back((entry.id, entry.destination));
        }
    }
}

impl Schedule {
    /// Takes out all that waits, and leaves what is under way. For what is added again, the time
    /// that it stood before a dead destination counts on.
    pub(crate) fn clear(&mut self, now: u64) {
        let waiting: Vec<_> = self.entries.numbers().filter(|&n| !self.is_handed_out(n)).collect();
        self.stood.clear();
        for number in waiting {
            let Entry { id, destination, waited, .. } = *self.entries.at(number);
            if waited > 0 {
                self.stood.insert((id, destination), waited);
            }
            self.forget(number, now);
        }
    }

    /// What waits for a destination that is still dead has waited in earnest for so much longer;
    /// senders of what is late by now are told, and what is too old is given up.
    pub(super) fn pass(&mut self, destination: Destination, pause: Duration, now: u64) {
        let Some(state) = self.destinations.get_mut(&destination) else { return };
        let seconds_passed = u16::try_from(pause.as_secs()).unwrap_or(u16::MAX);
        for number in state.numbers(&self.entries) {
            let entry = self.entries.at_mut(number);
            entry.waited = entry.waited.saturating_add(seconds_passed);
            self.late.note(entry, seconds(now), &self.settings);
            if pause::is_over(entry, seconds(now), &self.settings) {
                entry.stage = Stage::Expired;
                state.remove(&mut self.entries, number);
                self.entries.push(&mut self.expired, number);
            }
        }
    }

    /// The next message of which its sender is to be told. One that is being tried tells itself.
    pub(super) fn next_late(&mut self) -> Option<Turn> {
        while self.late.under_way < WARNINGS {
            let (id, destination) = self.late.line.pop_front()?;
            let found = self.entries.find(id, destination);
            if let Some(number) = found.filter(|&number| !self.is_handed_out(number)) {
                self.late.under_way += 1;
                let attempts = self.entries.at(number).attempts;
                return Some(Turn { id, destination, attempts });
            }
        }
        None
    }

    /// A sender was told, or did not have to be.
    pub(crate) fn warned(&mut self) {
        self.late.under_way = self.late.under_way.saturating_sub(1);
    }

    /// A sender could not be told now: it is its turn again after the next probe that fails.
    pub(crate) fn not_warned(&mut self, turn: &Turn) {
        self.warned();
        if let Some(number) = self.entries.find(turn.id, turn.destination) {
            self.entries.at_mut(number).told = false;
        }
    }
}
