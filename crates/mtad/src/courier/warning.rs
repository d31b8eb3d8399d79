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
        let Some(shared) = self.take(turn) else { return self.schedule.not_warned(&turn) };
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
        let is_planned = self.is_planned(turn);
        self.memory.give_back(turn.id);
        if !is_planned {
            // A reload took it out, or it was to be put in: nobody plans what is taken.
            self.mtad.tell_of(turn.id, When::Recorded);
        }
    }

    /// Whether the schedule knows of each destination that a message waits for, as far as we see.
    fn is_planned(&self, Turn { id, destination, .. }: Turn) -> bool {
        let message = self.memory.shared(id).and_then(|shared| shared.known());
        let entry = message.as_ref().and_then(|message| message.try_lock().ok());
        let waiting = entry.map(|entry| entry.waiting());
        self.schedule.knows(id, destination)
            && waiting.is_some_and(|waiting| {
                let mut all = waiting.iter().map(|one| self.lanes.destination(&one.address));
                all.all(|destination| self.schedule.knows(id, destination))
            })
    }
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use mail_common::time;

    use super::super::{Action, Arrival, Feedback};
    use super::*;
    use crate::tests::Scene;

    /// As when an admin looked at it just when the other destination's turn came.
    #[tokio::test]
    async fn news_during_a_warning_is_not_lost() {
        let scene = Scene::new("");
        let mut courier = scene.courier();
        let to = ["ann@example.org", "y@foreign.example"];
        let id = scene.commit("<ann@example.org>", &to, |_| ()).id;
        let entry = courier.mtad.queue.entry(id).unwrap().unwrap();
        let news = || Arrival::Known(entry.clone(), When::Recorded);
        courier.arrived(news());
        let Action::Attempt(turn) = courier.schedule.next(time::now_micros()) else {
            panic!("is due")
        };
        let [one, other] = to.map(|to| courier.lanes.destination(&to.parse().unwrap()));
        let destination = if turn.destination == one { other } else { one };
        courier.warn(Turn { destination, ..turn });
        courier.schedule.ended(&turn, Feedback::Stopped, time::now_micros());
        courier.arrived(news());
        assert!(!courier.schedule.knows(id, turn.destination));
        let warned = courier.warnings.join_next_with_id().await.unwrap();
        courier.warned(warned);
        let arrival = courier.arrivals.recv().await.unwrap();
        courier.arrived(arrival);
        assert!(courier.schedule.knows(id, turn.destination));
    }
}
