//! Senders that are told of a delay without an attempt, because the destination is dead.

use std::sync::Arc;

use tokio::task;
use tracing::error;

use super::{Courier, When};
use crate::attempt::Attempt;
use crate::schedule::Turn;

impl Courier {
    /// Begins an attempt that tries nothing.
    pub(super) fn warn(&mut self, turn: Turn) {
        let trouble = self.troubles.get(&turn.destination).cloned();
        let Some(shared) = self.take(turn) else { return self.schedule.warned() };
        if !self.schedule.knows(turn.id, turn.destination) {
            self.memory.give_back(turn.id);
            return self.schedule.warned();
        }
        let (mtad, lanes) = (Arc::clone(&self.mtad), Arc::clone(&self.lanes));
        let warning = self.warnings.spawn(async move {
            if let Ok(Some(message)) = shared.message(&mtad.queue, &mtad.disk, turn.id).await {
                Attempt::new(mtad, lanes, message, turn).await.warn(trouble).await;
            }
        });
        self.being_told.insert(warning.id(), turn);
    }

    pub(super) fn warned(&mut self, warned: Result<(task::Id, ()), task::JoinError>) {
        self.schedule.warned();
        let warning = match warned {
            Ok((warning, ())) => warning,
            Err(error) => {
                error!("a warning broke off: {error}");
                error.id()
            }
        };
        let Some(turn) = self.being_told.remove(&warning) else { return };
        self.memory.give_back(turn.id);
        if !self.schedule.knows(turn.id, turn.destination) {
            // A reload took it out, and did not plan it while it was taken.
            self.mtad.tell_of(turn.id, When::Recorded);
        }
    }
}
