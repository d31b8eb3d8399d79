//! A world for the schedule: a clock that is moved by hand, and peers that behave as told. Chance
//! comes from a seed.

use std::collections::{BTreeMap, BinaryHeap, HashMap};

use mail_common::config::Mtad;

use super::super::*;

pub(super) const NOW: u64 = 1_795_363_200 * SECOND;
pub(super) const MINUTE: u64 = 60 * SECOND;
pub(super) const HOUR: u64 = 60 * MINUTE;

/// How a destination behaves.
#[derive(Debug, Clone, Copy)]
pub(super) enum Peer {
    /// Takes a message in about so many microseconds.
    Good(u64),
    /// Is not there, as one notices after so long.
    Dead(u64),
    /// Is not there until this time.
    DeadUntil(u64, u64),
    /// Loses every so-many-th connection.
    Flaky(u64, u64),
    /// Loses all but every so-many-th.
    Bad(u64, u64),
    /// Answers, and never takes anything.
    Refusing,
}

/// Something that was tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tried {
    pub(super) at: u64,
    pub(super) id: Id,
    pub(super) destination: Destination,
    pub(super) is_probe: bool,
}

pub(super) struct World {
    pub(super) schedule: Schedule,
    pub(super) settings: Settings,
    pub(super) now: u64,
    peers: HashMap<Destination, Peer>,
    /// Attempts under way, by their end, the first one on top.
    ends: BinaryHeap<std::cmp::Reverse<(u64, u64)>>,
    turns: HashMap<u64, Turn>,
    waiting: HashMap<(Id, Destination), Waiting>,
    count: u64,
    seed: u64,
    pub(super) tried: Vec<Tried>,
    pub(super) delivered: BTreeMap<Id, u64>,
    pub(super) expired: Vec<(u64, Id)>,
    pub(super) warned: Vec<(u64, Id)>,
    /// The most attempts that were under way at once.
    pub(super) most: HashMap<Destination, u32>,
    pub(super) most_in_all: usize,
}

pub(super) fn settings() -> Settings {
    Settings::from(&Mtad::default())
}

pub(super) fn id(number: usize) -> Id {
    Id::parse(&format!("id{number}")).unwrap()
}

/// Of one small message.
pub(super) fn waiting(number: usize, destination: u32) -> Waiting {
    Waiting {
        id: id(number),
        destination: Destination(destination),
        due: seconds(NOW),
        arrived: seconds(NOW),
        sender: 0,
        size: 4096,
        attempts: 0,
        standing: Standing::New,
        told: false,
    }
}

impl World {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            schedule: Schedule::new(settings),
            settings,
            now: NOW,
            peers: HashMap::new(),
            ends: BinaryHeap::new(),
            turns: HashMap::new(),
            waiting: HashMap::new(),
            count: 0,
            seed: 1,
            tried: Vec::new(),
            delivered: BTreeMap::new(),
            expired: Vec::new(),
            warned: Vec::new(),
            most: HashMap::new(),
            most_in_all: 0,
        }
    }

    pub(super) fn peer(&mut self, destination: u32, peer: Peer) {
        self.peers.insert(Destination(destination), peer);
    }

    pub(super) fn add(&mut self, waiting: Waiting) {
        self.waiting.insert((waiting.id, waiting.destination), waiting);
        self.schedule.add(waiting, self.now);
    }

    pub(super) fn add_left(&mut self, waiting: Waiting) {
        self.waiting.insert((waiting.id, waiting.destination), waiting);
        self.schedule.add_left(waiting, self.now);
    }

    /// As after a reload.
    pub(super) fn reload(&mut self) {
        self.schedule.clear(self.now);
        let mut waiting: Vec<_> = self.waiting.values().copied().collect();
        waiting.sort_unstable_by_key(|waiting| (waiting.due, waiting.id));
        for waiting in waiting {
            let due = waiting.due.min(seconds(self.now));
            self.schedule.add(Waiting { due, ..waiting }, self.now);
        }
        self.schedule.probe_all(self.now);
    }

    /// Lets time pass until then, or until there is nothing to do.
    pub(super) fn run_until(&mut self, end: u64) {
        while self.now < end {
            let next = match self.schedule.next(self.now) {
                Action::Attempt(turn) => {
                    self.begin(turn, false);
                    continue;
                }
                Action::Probe(turn) => {
                    self.begin(turn, true);
                    continue;
                }
                Action::Expire(turn) => {
                    self.expired.push((self.now, turn.id));
                    self.waiting.remove(&(turn.id, turn.destination));
                    assert!(self.schedule.ended(&turn, Feedback::Stopped, self.now));
                    continue;
                }
                Action::Warn(turn) => {
                    self.warned.push((self.now, turn.id));
                    self.schedule.warned();
                    continue;
                }
                Action::Wait(pause) => Some(self.now + micros(pause)),
                Action::Idle => None,
            };
            let ended = self.ends.peek().map(|std::cmp::Reverse((at, _))| *at);
            let Some(then) = next.into_iter().chain(ended).min() else { return };
            self.now = then.min(end);
            if ended.is_some_and(|at| at <= self.now) {
                let std::cmp::Reverse((_, number)) = self.ends.pop().unwrap();
                self.end(number);
            }
        }
    }

    pub(super) fn tried_at(&self, destination: u32) -> Vec<Tried> {
        let tried = self.tried.iter().copied();
        tried.filter(|tried| tried.destination == Destination(destination)).collect()
    }

    fn begin(&mut self, turn: Turn, is_probe: bool) {
        let Turn { id, destination, .. } = turn;
        self.tried.push(Tried { at: self.now, id, destination, is_probe });
        let jitter = self.chance(1000);
        let takes = match self.peers.get(&destination) {
            Some(Peer::Good(takes) | Peer::Dead(takes) | Peer::DeadUntil(_, takes)) => *takes,
            Some(Peer::Flaky(_, takes) | Peer::Bad(_, takes)) => *takes,
            Some(Peer::Refusing) | None => 10_000,
        };
        self.count += 1;
        self.ends.push(std::cmp::Reverse((self.now + takes + jitter, self.count)));
        self.turns.insert(self.count, turn);
        let under_way = self.turns.values().filter(|turn| turn.destination == destination).count();
        let most = self.most.entry(destination).or_default();
        *most = (*most).max(u32::try_from(under_way).unwrap());
        self.most_in_all = self.most_in_all.max(self.turns.len());
    }

    fn end(&mut self, number: u64) {
        let turn = self.turns.remove(&number).unwrap();
        let feedback = match self.peers.get(&turn.destination) {
            Some(Peer::Dead(_)) => Feedback::Unreachable,
            Some(Peer::DeadUntil(until, _)) if self.now < *until => Feedback::Unreachable,
            Some(Peer::Flaky(every, _)) if number.is_multiple_of(*every) => Feedback::Vanished,
            Some(Peer::Bad(every, _)) if !number.is_multiple_of(*every) => Feedback::Vanished,
            Some(Peer::Refusing) => Feedback::Refused,
            _ => Feedback::Delivered,
        };
        assert!(self.schedule.ended(&turn, feedback, self.now), "nobody removed it");
        if feedback == Feedback::Delivered {
            self.delivered.insert(turn.id, self.now);
            return;
        }
        let local = turn.destination == Destination::LOCAL;
        let (first, max) = match local {
            true => (Duration::from_secs(1), self.settings.retry_first),
            false => (self.settings.retry_first, self.settings.retry_max),
        };
        let attempts = u32::from(turn.attempts) + 1;
        let pause = pause::jittered(
            micros(pause::doubled(first, attempts, max)),
            turn.id.octets(),
            attempts,
        );
        let known = self.waiting.get_mut(&(turn.id, turn.destination)).unwrap();
        known.due = seconds_after(self.now + pause);
        known.attempts = attempts;
        known.standing = Standing::Deferred;
        self.schedule.add(*known, self.now);
    }

    /// A number below this one (splitmix64).
    fn chance(&mut self, below: u64) -> u64 {
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % below
    }
}
