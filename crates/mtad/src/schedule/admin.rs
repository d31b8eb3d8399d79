//! What an admin asks of the schedule and does to it.

use super::health::Health;
use super::{Destination, Schedule};

impl Schedule {
    /// When a destination is probed, in microseconds since 1970, if it is dead; a probe that is
    /// under way counts as due at `now`.
    pub(crate) fn probe_of(&self, destination: Destination, now: u64) -> Option<u64> {
        let health = &self.destinations.get(&destination)?.health;
        matches!(health, Health::Dead { .. }).then(|| health.probe_at().unwrap_or(now))
    }

    /// After a reload: every destination is probed that is dead.
    pub(crate) fn probe_all(&mut self, now: u64) {
        for destination in self.known() {
            self.probe_now(destination, now);
        }
    }

    /// An admin has it probed. However often that fails, its pauses begin anew.
    pub(crate) fn ask_again(&mut self, destination: Destination, now: u64) {
        if let Some(state) = self.destinations.get_mut(&destination) {
            state.health.begin_anew();
        }
        self.probe_now(destination, now);
    }
}
