//! The work besides connections: takes what comes into the queue, and tries it when it is due.

mod arrival;
mod warning;

use std::collections::{BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use mail_common::lock;
use mail_common::serve::Surroundings;
use mail_common::time;
use mail_spool::admin::{Changed, Outage};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{self, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

pub(crate) use self::arrival::{Arrival, When};
use crate::Mtad;
use crate::attempt::{Again, Attempt, Ended, Left, Outlook};
use crate::lanes::{Lanes, Names};
use crate::memory::{Memory, Shared};
use crate::route::Routes;
use crate::schedule::{self, Action, Cause, Destination, Feedback, Schedule, Settings, Turn};

/// Of the time that we have to stop, the part that is left to write down results.
const WRITING_UP: Duration = Duration::from_secs(2);

/// How often it is tried again to record what is done with.
const UNFINISHED: Duration = Duration::from_secs(5);

/// How often deliveries are told how old the oldest message is.
const OLDEST: Duration = Duration::from_secs(60);

/// The courier.
#[derive(Debug)]
pub(crate) struct Courier {
    mtad: Arc<Mtad>,
    schedule: Schedule,
    memory: Memory,
    arrivals: UnboundedReceiver<Arrival>,
    attempts: JoinSet<Ended>,
    /// Senders being told, without an attempt.
    warnings: JoinSet<()>,
    /// What each of them is about.
    being_told: HashMap<task::Id, Turn>,
    /// What each attempt is about, and the lanes that it was begun with.
    under_way: HashMap<task::Id, (Turn, Arc<Lanes>)>,
    /// What was wrong with a destination when it was tried last.
    troubles: HashMap<Destination, String>,
    /// Those that admins are told of.
    dead: BTreeSet<Destination>,
    routes: Arc<Routes>,
    names: Arc<Names>,
    lanes: Arc<Lanes>,
    /// Begin nothing new.
    stop: CancellationToken,
    /// Break off what is under way.
    end: CancellationToken,
}

impl Courier {
    pub(crate) fn new(
        mtad: Arc<Mtad>,
        arrivals: UnboundedReceiver<Arrival>,
        surroundings: &Surroundings,
    ) -> Self {
        let (routes, stop) = (mtad.routes(), surroundings.stop.clone());
        let (end, names) = (CancellationToken::new(), Arc::default());
        let lanes = Arc::new(Lanes::new(&mtad, &names, &stop, &end));
        Self {
            schedule: Schedule::new(Settings::from(&routes.site.mtad)),
            memory: Memory::default(),
            arrivals,
            attempts: JoinSet::new(),
            warnings: JoinSet::new(),
            being_told: HashMap::new(),
            under_way: HashMap::new(),
            troubles: HashMap::new(),
            dead: BTreeSet::new(),
            mtad,
            routes,
            names,
            lanes,
            stop,
            end,
        }
    }

    pub(crate) async fn run(mut self) {
        let mut oldest = tokio::time::interval(OLDEST);
        let mut unfinished = tokio::time::interval_at(Instant::now() + UNFINISHED, UNFINISHED);
        while !self.stop.is_cancelled() {
            let wait = self.begin_what_is_due();
            tokio::select! {
                () = self.stop.cancelled() => {}
                Some(arrival) = self.arrivals.recv() => self.arrived(arrival),
                Some(ended) = self.attempts.join_next_with_id() => self.ended(ended).await,
                Some(warned) = self.warnings.join_next_with_id() => self.warned(warned),
                () = self.mtad.reloaded.notified() => {}
                () = self.mtad.changed.notified() => self.hear_changes(),
                _ = unfinished.tick() => self.mtad.finish_the_rest(),
                _ = oldest.tick() => self.look_for_the_oldest(),
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.drain().await;
    }

    /// Returns how long there is nothing to do, unless something happens.
    fn begin_what_is_due(&mut self) -> Duration {
        const LONG: Duration = Duration::from_mins(60);
        self.take_new_settings();
        loop {
            match self.schedule.next(time::now_micros()) {
                Action::Attempt(turn) | Action::Probe(turn) => self.attempt(turn),
                Action::Expire(turn) => self.expire(turn),
                Action::Warn(turn) => self.warn(turn),
                // The wall clock may be set meanwhile: look again in time.
                Action::Wait(wait) => return wait.min(Duration::from_secs(60)),
                Action::Idle => return LONG,
            }
        }
    }

    /// After a reload everything is tried again: it may be what the waiting mail waited for.
    fn take_new_settings(&mut self) {
        let routes = self.mtad.routes();
        if Arc::ptr_eq(&routes, &self.routes) {
            return;
        }
        self.lanes = Arc::new(Lanes::new(&self.mtad, &self.names, &self.stop, &self.end));
        self.routes = routes;
        let now = time::now_micros();
        self.schedule.set(Settings::from(&self.routes.site.mtad), now);
        // Some of it has another destination now.
        self.schedule.clear(now);
        // One that is being recorded comes back when its attempt ends.
        self.mtad.tell_of_all();
        self.schedule.probe_all(now);
    }

    /// An admin has changed messages: what is known of them is old.
    fn hear_changes(&mut self) {
        for changed in self.mtad.changes() {
            let id = changed.id();
            self.memory.forget_untaken(id);
            self.schedule.remove(id, time::now_micros());
            let when = match changed {
                // It is here, and not held, if that could not be recorded.
                Changed::Withdrawn(_) => When::Recorded,
                Changed::Due(_) => When::Asked,
            };
            self.mtad.tell_of(id, when);
        }
    }

    /// Whoever delivers may forget what was before the oldest message.
    fn look_for_the_oldest(&self) {
        if !self.mtad.oldest.begin_look() {
            return;
        }
        let mtad = Arc::clone(&self.mtad);
        tokio::spawn(async move {
            let queue = mtad.queue.clone();
            let found = mtad.disk.run(move || queue.oldest()).await;
            mtad.oldest.end_look(found.flatten());
        });
    }

    fn attempt(&mut self, turn: Turn) {
        self.begin(turn, |attempt| Box::pin(attempt.run()));
    }

    fn expire(&mut self, turn: Turn) {
        let trouble = self.troubles.get(&turn.destination).cloned();
        self.begin(turn, |attempt| Box::pin(attempt.expire(trouble)));
    }

    fn begin(
        &mut self,
        turn: Turn,
        carry_out: impl FnOnce(Attempt) -> Pin<Box<dyn Future<Output = Ended> + Send>> + Send + 'static,
    ) {
        let taken = self.take(turn);
        let now = time::now_micros();
        let Some(shared) = taken else {
            // Whether or not the admin changes it, it is looked at again.
            self.schedule.ended(&turn, Feedback::Stopped, now);
            return self.mtad.tell_of(turn.id, When::Recorded);
        };
        if !self.schedule.wants(&turn) {
            self.schedule.ended(&turn, Feedback::Stopped, now);
            return self.memory.give_back(turn.id);
        }
        let (mtad, lanes) = (Arc::clone(&self.mtad), Arc::clone(&self.lanes));
        let attempt = async move {
            match shared.message(&mtad.queue, &mtad.disk, turn.id).await {
                Ok(Some(message)) if message.lock().await.progress.hold.is_none() => {
                    carry_out(Attempt::new(mtad, lanes, message, turn).await).await
                }
                Ok(_) => Ended::without(turn, Outlook::Gone),
                Err(error) => {
                    error!("{}: cannot be read: {error}", turn.id);
                    Ended::without(turn, Outlook::Unread)
                }
            }
        };
        let begun = (turn, Arc::clone(&self.lanes));
        self.under_way.insert(self.attempts.spawn(attempt).id(), begun);
    }

    /// Takes a message, unless an admin works on it.
    fn take(&mut self, turn: Turn) -> Option<Arc<Shared>> {
        let taken = self.memory.take(turn.id, &self.mtad.under_way);
        // What an admin did before we took it was told before.
        self.hear_changes();
        taken
    }

    async fn ended(&mut self, ended: Result<(task::Id, Ended), task::JoinError>) {
        let ended = match ended {
            Ok((attempt, ended)) => {
                self.under_way.remove(&attempt);
                ended
            }
            Err(error) => {
                error!("an attempt broke off: {error}");
                let Some((turn, _)) = self.under_way.remove(&error.id()) else { return };
                Ended::without(turn, self.outlook_of_broken(turn))
            }
        };
        self.learn(&ended);
        let Ended { turn, feedback, outlook, .. } = ended;
        let now = time::now_micros();
        let was_dead = self.schedule.is_dead(turn.destination);
        let wanted = self.schedule.ended(&turn, feedback, now);
        self.tell_of_change(turn.destination, was_dead);
        match outlook {
            Outlook::Left(left) if wanted && left.entry.progress.hold.is_none() => {
                let again = left.again.map(|again| (turn.destination, again));
                self.plan(&left.entry, again, now, Schedule::add);
            }
            Outlook::Left(_) => {}
            Outlook::Unread => self.mtad.tell_of_later(turn.id),
            Outlook::Gone => self.schedule.remove(turn.id, now),
        }
        self.memory.give_back(turn.id);
    }

    fn learn(&mut self, ended: &Ended) {
        let destination = ended.turn.destination;
        match &ended.trouble {
            Some(trouble) => drop(self.troubles.insert(destination, trouble.clone())),
            None if ended.feedback >= Feedback::Refused => {
                self.troubles.remove(&destination);
            }
            None => {}
        }
    }

    /// Tells the log of a destination that died or came back, and admins of each that is dead.
    fn tell_of_change(&mut self, destination: Destination, was_dead: bool) {
        let now = time::now_micros();
        let Some(probe) = self.schedule.probe_of(destination, now) else {
            if was_dead {
                info!("{}: is back", self.lanes.name(destination));
            }
            // It may have been forgotten since it died.
            if self.dead.remove(&destination) {
                lock(&self.mtad.outages).remove(&self.lanes.name(destination));
            }
            return;
        };
        let name = self.lanes.name(destination);
        let why = self.troubles.get(&destination).map_or("no word", String::as_str);
        if !was_dead {
            warn!("{name}: is dead, only probed from now on: {why}");
        }
        self.dead.insert(destination);
        let outage =
            Outage { destination: name.clone(), why: why.to_owned(), probe: probe / 1_000_000 };
        lock(&self.mtad.outages).insert(name, outage);
    }

    /// The message of an attempt that panicked is tried again after a pause. What it had recorded
    /// holds. Another attempt may have it for as long as the disk fails; nobody waits here for that.
    fn outlook_of_broken(&self, turn: Turn) -> Outlook {
        let shared = self.memory.shared(turn.id);
        let Some(message) = shared.and_then(|shared| shared.known()) else {
            return Outlook::Unread;
        };
        let Ok(mut entry) = message.try_lock().map(|entry| entry.clone()) else {
            return Outlook::Unread;
        };
        entry.progress.attempts = turn.attempts.into();
        let settings = &self.routes.site.mtad;
        schedule::defer(&mut entry, Cause::Peer, time::now_micros(), settings);
        let again = Again { due: entry.progress.due, attempts: entry.progress.attempts };
        Outlook::Left(Box::new(Left { entry, again: Some(again) }))
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
        while self.warnings.join_next().await.is_some() {}
    }
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests;
