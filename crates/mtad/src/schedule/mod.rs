//! What is tried next, and where: a plain function of now and the entries. It knows no clock, no
//! disk and no letters; all times are told to it, so tests play days in milliseconds.
//!
//! An entry is one message for one destination. It waits in the calendar until it is due, then in
//! a queue of its destination until its turn comes, and is handed out: an attempt. Whoever
//! carries it out tells what the destination was like ([`Feedback`]), and adds the entry again
//! if recipients go on waiting.
//!
//! - A destination has as many attempts under way as it was seen to bear ([`health`]). A dead one
//!   has one probe at a time; what falls due meanwhile stands in its queues, costs nothing and
//!   counts as no attempt, however much it is. When a probe fails, what became too old is handed
//!   out to be given up, and senders of what is late are told.
//! - Destinations take turns, and so do the senders within one ([`fair`]). New mail has four of
//!   five turns against mail that was tried before, within a destination and between those that
//!   have new mail and those that have none.
//! - Memory is bounded: some 60 octets an entry ([`entries`]), and a destination is forgotten when
//!   nothing waits for it.
//! - A wall clock may be set. An entry or a probe that is due further away than twice the longest
//!   pause is due now; one set forward makes everything due, which the windows bear.

mod admin;
mod destination;
mod entries;
mod exchange;
mod fair;
mod health;
mod late;
mod pause;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mail_common::log::Id;

use self::destination::{Rings, State};
use self::entries::{Entries, Entry, List, Number, Stage};
pub(crate) use self::exchange::{Action, Destination, Feedback, Settings, Standing, Turn, Waiting};
use self::health::{Health, Rules};
use self::late::Late;
use self::pause::micros;
pub(crate) use self::pause::{Cause, defer, is_expired};

/// Deferred entries found at start that are begun in a second.
const LEFT_RATE: u64 = 1000;

/// Deferred entries found at start are spread over up to this time.
const LEFT_SPREAD: u64 = 60 * SECOND;

const SECOND: u64 = 1_000_000;

/// All that waits and all that is under way.
#[derive(Debug)]
pub(crate) struct Schedule {
    settings: Settings,
    entries: Entries,
    /// What is not due yet, by the second in which it will be.
    calendar: BTreeMap<u32, List>,
    /// What is to be given up.
    expired: List,
    /// What is to be told of.
    late: Late,
    destinations: BTreeMap<Destination, State>,
    /// Destinations that have something due and room for an attempt.
    rings: Rings,
    /// When dead destinations are probed.
    probes: BTreeSet<(u64, Destination)>,
    /// Destinations for which nothing waits: to be forgotten.
    empty: Vec<Destination>,
    under_way: usize,
    /// Deferred entries found at start that were overdue.
    left: u64,
    /// Of what was cleared and is not back yet: its [`Entry::waited`].
    stood: BTreeMap<(Id, Destination), u16>,
}

impl Schedule {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            entries: Entries::default(),
            calendar: BTreeMap::new(),
            expired: List::default(),
            late: Late::default(),
            destinations: BTreeMap::new(),
            rings: Rings::default(),
            probes: BTreeSet::new(),
            empty: Vec::new(),
            under_way: 0,
            left: 0,
            stood: BTreeMap::new(),
        }
    }

    /// The configuration has changed.
    pub(crate) fn set(&mut self, settings: Settings, now: u64) {
        self.settings = settings;
        for destination in self.known() {
            let rules = Rules::new(destination, &settings);
            if let Some(state) = self.destinations.get_mut(&destination) {
                state.health.limit(&rules);
            }
            self.settle(destination, now);
        }
    }

    /// Adds an entry. One that waits already is replaced, one that is under way stays.
    pub(crate) fn add(&mut self, waiting: Waiting, now: u64) {
        let Waiting { id, destination, arrived, standing, told, .. } = waiting;
        match self.entries.find(id, destination) {
            Some(known) if self.is_handed_out(known) => return,
            Some(known) => self.forget(known, now),
            None => {}
        }
        let latest = seconds(now).saturating_add(self.horizon());
        let due = if waiting.due > latest { seconds(now) } else { waiting.due };
        let number = self.entries.insert(Entry {
            due,
            arrived,
            sender: u16::try_from(waiting.sender % fair::QUEUES).unwrap_or_default(),
            cost: fair::cost(waiting.size),
            attempts: u8::try_from(waiting.attempts).unwrap_or(u8::MAX),
            standing,
            told,
            waited: self.stood.remove(&(id, destination)).unwrap_or(0),
            ..Entry::new(id, destination)
        });
        let rules = Rules::new(destination, &self.settings);
        self.destinations.entry(destination).or_insert_with(|| State::new(&rules)).waiting += 1;
        match due <= seconds(now) {
            true => self.make_ready(number, now),
            false => self.put_into_calendar(number),
        }
    }

    /// Adds an entry that was left by the process before. What was tried and fell due meanwhile
    /// is spread, so that a start is no herd.
    pub(crate) fn add_left(&mut self, waiting: Waiting, now: u64) {
        if waiting.standing == Standing::New || u64::from(waiting.due) * SECOND > now {
            return self.add(waiting, now);
        }
        self.left += 1;
        let spread = (self.left * LEFT_SPREAD / LEFT_RATE).min(LEFT_SPREAD);
        let chance = u64::from(crc32c::crc32c(waiting.id.octets()) % 1000);
        let after = (spread * chance / 1000).max(self.left * SECOND / LEFT_RATE);
        // Twice the longest pause away it would count as set by a wrong clock.
        let after = seconds(after).min(self.horizon());
        self.add(Waiting { due: seconds(now).saturating_add(after), ..waiting }, now);
    }

    /// Takes a message out: it was deleted, or is held. If an attempt is under way
    /// [`Schedule::ended`] will say that it is not wanted any more.
    pub(crate) fn remove(&mut self, id: Id, now: u64) {
        for number in self.entries.all_of(id) {
            match self.is_handed_out(number) {
                true => self.entries.at_mut(number).stage = Stage::Dropped,
                false => self.forget(number, now),
            }
        }
    }

    /// Whether it is here, waiting or under way.
    pub(crate) fn knows(&self, id: Id, destination: Destination) -> bool {
        self.entries.find(id, destination).is_some()
    }

    /// Whether an attempt under way is still wanted.
    pub(crate) fn wants(&self, turn: &Turn) -> bool {
        let number = self.entries.find(turn.id, turn.destination);
        number.is_some_and(|number| self.entries.at(number).stage == Stage::UnderWay)
    }

    /// Whether a destination was dead when it was seen last.
    pub(crate) fn is_dead(&self, destination: Destination) -> bool {
        let state = self.destinations.get(&destination);
        state.is_some_and(|state| matches!(state.health, Health::Dead { .. }))
    }

    /// What is to be done now.
    pub(crate) fn next(&mut self, now: u64) -> Action {
        self.forget_empty();
        self.wake(now);
        if self.under_way >= self.settings.all {
            return Action::Idle;
        }
        if let Some(number) = self.entries.pop(&mut self.expired) {
            return Action::Expire(self.hand_out(number));
        }
        if let Some(turn) = self.next_late() {
            return Action::Warn(turn);
        }
        while let Some(destination) = self.rings.next() {
            if let Some(action) = self.take(destination, now) {
                return action;
            }
        }
        let due = self.calendar.keys().next().map(|&second| u64::from(second) * SECOND);
        let probe = self.probes.first().map(|&(at, _)| at);
        let soonest = due.into_iter().chain(probe).min();
        soonest.map_or(Action::Idle, |at| Action::Wait(Duration::from_micros(at - now)))
    }

    /// An attempt is over, or an entry was given up. It is no longer here; says whether it is
    /// still wanted, if it has to wait for another attempt.
    pub(crate) fn ended(&mut self, turn: &Turn, feedback: Feedback, now: u64) -> bool {
        let found = self.entries.find(turn.id, turn.destination);
        let Some(number) = found.filter(|&number| self.is_handed_out(number)) else { return false };
        self.under_way -= 1;
        let rules = Rules::new(turn.destination, &self.settings);
        let state = self.destinations.get_mut(&turn.destination);
        let failed = state.and_then(|state| {
            state.under_way -= 1;
            state.health.ended(number, feedback, &rules, now)
        });
        if let Some(pause) = failed {
            self.pass(turn.destination, pause, now);
        }
        let stage = self.entries.remove(number).stage;
        self.settle(turn.destination, now);
        stage == Stage::UnderWay
    }

    /// Probes a destination now, if it is dead: its trouble may be mended.
    fn probe_now(&mut self, destination: Destination, now: u64) {
        if let Some(state) = self.destinations.get_mut(&destination) {
            state.health.probe_by(now);
        }
        self.settle(destination, now);
    }

    /// What is due is put into the queues.
    fn wake(&mut self, now: u64) {
        let second = seconds(now);
        while let Some(first) = self.calendar.first_entry().filter(|first| *first.key() <= second) {
            let mut list = first.remove();
            self.make_list_ready(&mut list, now);
        }
        let latest = second.saturating_add(self.horizon());
        while let Some(last) = self.calendar.last_entry().filter(|last| *last.key() > latest) {
            let mut list = last.remove();
            self.make_list_ready(&mut list, now);
        }
        while let Some(&(at, destination)) = self.probes.first().filter(|(at, _)| *at <= now) {
            self.probes.remove(&(at, destination));
            self.settle(destination, now);
        }
        let latest = now + u64::from(self.horizon()) * SECOND;
        while let Some(&(_, destination)) = self.probes.last().filter(|(at, _)| *at > latest) {
            self.probe_now(destination, now);
        }
    }

    fn make_list_ready(&mut self, list: &mut List, now: u64) {
        while let Some(number) = self.entries.pop(list) {
            self.make_ready(number, now);
        }
    }

    fn make_ready(&mut self, number: Number, now: u64) {
        let entry = self.entries.at_mut(number);
        let destination = entry.destination;
        if entry.standing == Standing::GivenUp {
            entry.stage = Stage::Expired;
            return self.entries.push(&mut self.expired, number);
        }
        entry.stage = Stage::Ready;
        if let Some(state) = self.destinations.get_mut(&destination) {
            state.push(&mut self.entries, number);
        }
        self.settle(destination, now);
    }

    fn put_into_calendar(&mut self, number: Number) {
        let entry = self.entries.at_mut(number);
        entry.stage = Stage::Later;
        let list = self.calendar.entry(entry.due).or_default();
        self.entries.push(list, number);
    }

    fn take_out_of_calendar(&mut self, number: Number) {
        let due = self.entries.at(number).due;
        if let Some(list) = self.calendar.get_mut(&due) {
            self.entries.unlink(list, number);
            if list.is_empty() {
                self.calendar.remove(&due);
            }
        }
    }

    /// Takes what is next for a destination whose turn it is.
    fn take(&mut self, destination: Destination, now: u64) -> Option<Action> {
        let state = self.destinations.get_mut(&destination)?;
        state.place = None;
        let number = state.take(&mut self.entries)?;
        let is_probe = state.health.began(number);
        let turn = self.hand_out(number);
        self.settle(destination, now);
        Some(if is_probe { Action::Probe(turn) } else { Action::Attempt(turn) })
    }

    fn hand_out(&mut self, number: Number) -> Turn {
        let entry = self.entries.at_mut(number);
        entry.stage = Stage::UnderWay;
        let Entry { id, destination, attempts, .. } = *entry;
        self.under_way += 1;
        if let Some(state) = self.destinations.get_mut(&destination) {
            state.under_way += 1;
            state.waiting -= 1;
        }
        Turn { id, destination, attempts }
    }

    fn is_handed_out(&self, number: Number) -> bool {
        matches!(self.entries.at(number).stage, Stage::UnderWay | Stage::Dropped)
    }

    /// Takes out an entry that waits.
    fn forget(&mut self, number: Number, now: u64) {
        let Entry { destination, stage, .. } = *self.entries.at(number);
        match stage {
            Stage::Later => self.take_out_of_calendar(number),
            Stage::Expired => self.entries.unlink(&mut self.expired, number),
            _ => {}
        }
        if let Some(state) = self.destinations.get_mut(&destination) {
            state.waiting -= 1;
            if stage == Stage::Ready {
                state.remove(&mut self.entries, number);
            }
        }
        self.entries.remove(number);
        self.settle(destination, now);
    }

    /// Puts a destination into the ring and the probes where it belongs now. To be called after
    /// each change of it.
    fn settle(&mut self, destination: Destination, now: u64) {
        let Some(state) = self.destinations.get_mut(&destination) else { return };
        let ring = state.ring(now);
        if state.place.map(|(ring, _)| ring) != ring {
            if let Some(place) = state.place.take() {
                self.rings.leave(place);
            }
            state.place = ring.map(|ring| self.rings.enter(ring, destination));
        }
        let probe = state.health.probe_at().filter(|&at| at > now);
        if state.probe != probe {
            if let Some(at) = state.probe {
                self.probes.remove(&(at, destination));
            }
            state.probe = probe;
            self.probes.extend(probe.map(|at| (at, destination)));
        }
        if state.is_empty() && probe.is_none() {
            self.empty.push(destination);
        }
    }

    /// Forgets destinations for which nothing waits. Of a dead one it is kept in mind until its
    /// next probe would be due.
    fn forget_empty(&mut self) {
        while let Some(destination) = self.empty.pop() {
            let state = self.destinations.get(&destination);
            if state.is_some_and(|state| state.is_empty() && state.probe.is_none()) {
                self.destinations.remove(&destination);
            }
        }
    }

    fn known(&self) -> Vec<Destination> {
        self.destinations.keys().copied().collect()
    }

    /// Seconds beyond which nothing is due, unless a clock was set.
    fn horizon(&self) -> u32 {
        seconds(micros(self.settings.retry_max)).saturating_mul(2).max(1)
    }
}

/// Whole seconds since 1970, not before this time.
pub(crate) fn seconds_after(micros: u64) -> u32 {
    seconds(micros.saturating_add(SECOND - 1))
}

/// Whole seconds since 1970.
pub(crate) fn seconds(micros: u64) -> u32 {
    u32::try_from(micros / SECOND).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
