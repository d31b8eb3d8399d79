//! The work besides connections: takes what comes into the queue, and tries it when it is due.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mail_common::log::Id;
use mail_common::serve::Surroundings;
use mail_common::time;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{self, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::Mtad;
use crate::attempt::Attempt;
use crate::lanes::Lanes;
use crate::queue::Entry;
use crate::route::Routes;
use crate::schedule::{self, Action, Cause, Schedule};

/// Messages being tried at the same time, for each connection to a destination: what waits for
/// one destination must not keep others from theirs.
const ATTEMPTS_PER_DELIVERY: usize = 16;

/// Of the time that we have to stop, the part that is left to write down results.
const WRITING_UP: Duration = Duration::from_secs(2);

/// The courier.
#[derive(Debug)]
pub(crate) struct Courier {
    mtad: Arc<Mtad>,
    schedule: Schedule,
    arrivals: UnboundedReceiver<Entry>,
    attempts: JoinSet<Option<Entry>>,
    /// Which message each attempt is about.
    under_way: HashMap<task::Id, Id>,
    routes: Arc<Routes>,
    lanes: Arc<Lanes>,
    /// Begin nothing new.
    stop: CancellationToken,
    /// Break off what is under way.
    end: CancellationToken,
}

impl Courier {
    pub(crate) fn new(
        mtad: Arc<Mtad>,
        arrivals: UnboundedReceiver<Entry>,
        surroundings: &Surroundings,
    ) -> Self {
        let (routes, stop) = (mtad.routes(), surroundings.stop.clone());
        let end = CancellationToken::new();
        let lanes = Arc::new(Lanes::new(&mtad, &routes, &stop, &end));
        let (schedule, attempts) = (Schedule::default(), JoinSet::new());
        let under_way = HashMap::new();
        Self { mtad, schedule, arrivals, attempts, under_way, routes, lanes, stop, end }
    }

    pub(crate) async fn run(mut self) {
        while !self.stop.is_cancelled() {
            let wait = self.begin_what_is_due();
            tokio::select! {
                () = self.stop.cancelled() => {}
                Some(entry) = self.arrivals.recv() => self.add(entry),
                Some(ended) = self.attempts.join_next_with_id() => self.ended(ended),
                () = self.mtad.reloaded.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.drain().await;
    }

    /// Returns how long there is nothing to do, unless something happens.
    fn begin_what_is_due(&mut self) -> Duration {
        const LONG: Duration = Duration::from_mins(60);
        self.take_new_settings();
        let limit = self.routes.site.mtad.deliveries.get() * ATTEMPTS_PER_DELIVERY;
        while self.attempts.len() < limit {
            match self.schedule.next(time::now_micros()) {
                Action::Attempt(entry) => {
                    let (mtad, lanes) = (Arc::clone(&self.mtad), Arc::clone(&self.lanes));
                    let id = entry.id;
                    let attempt = self.attempts.spawn(Attempt::new(mtad, lanes, entry).run());
                    self.under_way.insert(attempt.id(), id);
                }
                // The wall clock may be set meanwhile: look again in time.
                Action::Wait(wait) => return wait.min(Duration::from_secs(60)),
                Action::Idle => return LONG,
            }
        }
        LONG
    }

    /// After a reload everything is tried again: it may be what the waiting mail waited for.
    fn take_new_settings(&mut self) {
        let routes = self.mtad.routes();
        if !Arc::ptr_eq(&routes, &self.routes) {
            self.lanes = Arc::new(Lanes::new(&self.mtad, &routes, &self.stop, &self.end));
            self.routes = routes;
            self.schedule.make_all_due(time::now_micros());
        }
    }

    fn add(&mut self, entry: Entry) {
        self.schedule.add(entry, time::now_micros(), &self.routes.site.mtad);
    }

    fn ended(&mut self, ended: Result<(task::Id, Option<Entry>), task::JoinError>) {
        match ended {
            Ok((attempt, entry)) => {
                self.under_way.remove(&attempt);
                if let Some(entry) = entry {
                    self.add(entry);
                }
            }
            Err(error) => {
                error!("an attempt broke off: {error}");
                if let Some(id) = self.under_way.remove(&error.id()) {
                    self.attempts.spawn(read_again(Arc::clone(&self.mtad), id));
                }
            }
        }
    }

    /// Lets transactions under way end by themselves, then breaks them off; what is not told by
    /// then is tried again by the next process.
    async fn drain(mut self) {
        let all = self.routes.site.limits.drain.duration();
        let patience = all.saturating_sub(WRITING_UP * 2);
        if tokio::time::timeout(patience, self.all_ended()).await.is_err() {
            self.end.cancel();
            let _ = tokio::time::timeout(WRITING_UP, self.all_ended()).await;
        }
    }

    async fn all_ended(&mut self) {
        while self.attempts.join_next().await.is_some() {}
    }
}

/// The message of an attempt that panicked, to be tried again after a pause. What it had recorded
/// holds.
async fn read_again(mtad: Arc<Mtad>, id: Id) -> Option<Entry> {
    let queue = mtad.queue.clone();
    let mut entry = mtad.disk.run(move || queue.find(&id)).await??;
    let settings = &mtad.routes().site.mtad;
    schedule::defer(&mut entry, Cause::Peer, time::now_micros(), settings);
    Some(entry)
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use crate::tests::Scene;

    #[tokio::test]
    async fn the_message_of_a_broken_attempt_waits_for_the_next_one() {
        let scene = Scene::new("");
        let id = scene.send("<x@example.net>", &["ann@example.org"]);
        let mut courier = scene.courier();
        let broken = courier.attempts.spawn(async { panic!("as the test wants it") });
        courier.under_way.insert(broken.id(), id);
        let ended = courier.attempts.join_next_with_id().await.unwrap();
        courier.ended(ended);
        let (_, entry) = courier.attempts.join_next_with_id().await.unwrap().unwrap();
        let entry = entry.unwrap();
        assert_eq!(entry.id, id);
        assert!(entry.progress.due > entry.letter.arrived + 60_000_000);
    }
}
