//! What an admin asks of the schedule and does to it.

use mail_common::log::Id;

use super::health::Health;
use super::{Destination, Schedule};

impl Schedule {
    /// When a destination is probed, in microseconds since 1970, if it is dead; a probe that is
    /// under way counts as due at `now`.
    pub(crate) fn probe_of(&self, destination: Destination, now: u64) -> Option<u64> {
        let health = &self.destinations.get(&destination)?.health;
        matches!(health, Health::Dead { .. }).then(|| health.probe_at().unwrap_or(now))
    }

    /// The destinations that a message waits for, or is tried at.
    pub(crate) fn destinations_of(&self, id: Id) -> impl Iterator<Item = Destination> {
        let entries = self.entries.all_of(id).into_iter();
        entries.map(|number| self.entries.at(number).destination)
    }

    /// An admin has it probed. However often that fails, its pauses begin anew.
    pub(crate) fn ask_again(&mut self, destination: Destination, now: u64) {
        if let Some(state) = self.destinations.get_mut(&destination) {
            state.health.begin_anew();
        }
        self.probe_now(destination, now);
    }
}
