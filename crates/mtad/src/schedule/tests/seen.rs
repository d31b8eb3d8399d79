//! What tests see of a schedule.

use super::super::health::Health;
use super::super::*;

/// A destination as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) destination: Destination,
    /// Messages that wait for it, due or not.
    pub(super) waiting: u32,
    pub(super) state: SeenState,
}

/// Whether it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SeenState {
    /// With so many attempts at the same time.
    Alive(u32),
    /// At this time, in microseconds since 1970; now where there is none.
    Dead(Option<u64>),
}

impl Schedule {
    /// Entries, waiting or under way.
    pub(super) fn len(&self) -> usize {
        self.entries.numbers().count()
    }

    /// The destinations that something waits for, or that were dead lately.
    pub(super) fn destinations(&self) -> impl Iterator<Item = Seen> {
        self.destinations.iter().map(|(&destination, state)| Seen {
            destination,
            waiting: state.waiting,
            state: match &state.health {
                Health::Alive(window) => SeenState::Alive(window.width),
                Health::Dead { .. } => SeenState::Dead(state.health.probe_at()),
            },
        })
    }
}
