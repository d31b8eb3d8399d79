//! Random histories against a model of a few lines.

use std::collections::HashMap;

use proptest::prelude::*;

use super::world::{NOW, id, settings, waiting};
use super::*;

#[derive(Debug, Clone, Copy)]
enum Step {
    Add { number: usize, destination: u32, due: u32, sender: u32, standing: Standing, left: bool },
    Remove(usize),
    Next,
    End { which: usize, feedback: Feedback, again: Option<u32> },
    Pass(u64),
    ProbeAll,
    AskAgain(u32),
    Clear,
    Set { foreign: usize, all: usize },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Waiting,
    UnderWay,
    Dropped,
}

fn feedbacks() -> impl Strategy<Value = Feedback> {
    prop_oneof![
        1 => Just(Feedback::Stopped),
        4 => Just(Feedback::Unreachable),
        1 => Just(Feedback::Vanished),
        1 => Just(Feedback::Refused),
        3 => Just(Feedback::Delivered),
    ]
}

fn standings() -> impl Strategy<Value = Standing> {
    prop_oneof![
        4 => Just(Standing::New),
        4 => Just(Standing::Deferred),
        1 => Just(Standing::GivenUp),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let destination = 0..4u32;
    prop_oneof![
        8 => (0..40usize, destination.clone(), 0..20_000u32, 0..5u32, standings(), any::<bool>())
            .prop_map(|(number, destination, due, sender, standing, left)| Step::Add {
                number, destination, due, sender, standing, left,
            }),
        1 => (0..40usize).prop_map(Step::Remove),
        16 => Just(Step::Next),
        10 => (0..20usize, feedbacks(), prop::option::of(0..20_000u32))
            .prop_map(|(which, feedback, again)| Step::End { which, feedback, again }),
        4 => (0..20_000u64).prop_map(Step::Pass),
        1 => Just(Step::ProbeAll),
        1 => destination.prop_map(Step::AskAgain),
        1 => Just(Step::Clear),
        1 => (1..5usize, 1..9usize).prop_map(|(foreign, all)| Step::Set { foreign, all }),
    ]
}

/// The schedule, and what is known of it from outside.
struct Pair {
    schedule: Schedule,
    now: u64,
    places: HashMap<(Id, Destination), Place>,
    under_way: Vec<Turn>,
    limit: usize,
}

impl Pair {
    fn new() -> Self {
        let settings = Settings { all: 8, foreign: 4, local: 3, ..settings() };
        let (schedule, places) = (Schedule::new(settings), HashMap::new());
        Self { schedule, now: NOW, places, under_way: Vec::new(), limit: 8 }
    }

    fn add(&mut self, added: Waiting, left: bool) {
        match left {
            true => self.schedule.add_left(added, self.now),
            false => self.schedule.add(added, self.now),
        }
        self.places.entry((added.id, added.destination)).or_insert(Place::Waiting);
    }

    /// Takes what comes; says whether anything did.
    fn next(&mut self) -> bool {
        let turn = match self.schedule.next(self.now) {
            Action::Attempt(turn) | Action::Probe(turn) | Action::Expire(turn) => turn,
            Action::Warn(turn) => {
                let place = self.places.get(&(turn.id, turn.destination));
                assert_eq!(place, Some(&Place::Waiting), "{turn:?}");
                self.schedule.warned();
                return true;
            }
            Action::Wait(pause) => {
                assert!(!pause.is_zero());
                return false;
            }
            Action::Idle => return false,
        };
        let place = self.places.insert((turn.id, turn.destination), Place::UnderWay);
        assert_eq!(place, Some(Place::Waiting), "{turn:?}");
        self.under_way.push(turn);
        assert!(self.under_way.len() <= self.limit);
        true
    }

    fn end(&mut self, which: usize, feedback: Feedback, again: Option<u32>) {
        if self.under_way.is_empty() {
            return;
        }
        let turn = self.under_way.swap_remove(which % self.under_way.len());
        let wanted = self.schedule.ended(&turn, feedback, self.now);
        let place = self.places.remove(&(turn.id, turn.destination)).unwrap();
        assert_eq!(wanted, place == Place::UnderWay);
        if let Some(pause) = again.filter(|_| wanted) {
            let added = waiting(0, turn.destination.0);
            let due = seconds(self.now) + pause;
            let (id, standing, attempts) = (turn.id, Standing::Deferred, 1);
            self.add(Waiting { id, due, standing, attempts, ..added }, false);
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Add { number, destination, due, sender, standing, left } => {
                let due = seconds(self.now) + due - 10_000;
                let arrived = seconds(self.now) - 1_000_000 * (sender % 2);
                let added = waiting(number, destination);
                self.add(Waiting { due, sender, standing, arrived, ..added }, left);
            }
            Step::Remove(number) => {
                self.schedule.remove(id(number), self.now);
                self.places.retain(|(other, _), place| {
                    if *other == id(number) && *place != Place::Waiting {
                        *place = Place::Dropped;
                    }
                    *other != id(number) || *place != Place::Waiting
                });
            }
            Step::Next => drop(self.next()),
            Step::End { which, feedback, again } => self.end(which, feedback, again),
            Step::Pass(seconds) => self.now += seconds * SECOND,
            Step::ProbeAll => self.schedule.probe_all(self.now),
            Step::AskAgain(number) => self.schedule.ask_again(Destination(number), self.now),
            Step::Clear => {
                self.schedule.clear(self.now);
                self.places.retain(|_, place| *place != Place::Waiting);
            }
            Step::Set { foreign, all } => {
                // What is under way stays so.
                self.limit = all.max(self.under_way.len());
                self.schedule.set(Settings { all, foreign, local: 3, ..settings() }, self.now);
            }
        }
        assert_eq!(self.schedule.entries.len(), self.places.len(), "{step:?}");
        let waiting: u32 = self.schedule.destinations.values().map(|state| state.waiting).sum();
        let expected = self.places.values().filter(|&&place| place == Place::Waiting).count();
        assert_eq!(waiting as usize, expected, "{step:?}");
    }
}

proptest! {
    /// Whatever is done in whatever order: what was added is waiting, under way or removed, never
    /// two of them; and once all peers take what comes, all of it comes.
    #[test]
    fn nothing_is_lost_and_nothing_is_there_twice(
        steps in proptest::collection::vec(steps(), 0..300),
    ) {
        let mut pair = Pair::new();
        for step in steps {
            pair.step(step);
        }
        for _ in 0..300 {
            while pair.next() {}
            while !pair.under_way.is_empty() {
                pair.end(0, Feedback::Delivered, None);
            }
            pair.now += 1000 * SECOND;
        }
        prop_assert!(pair.places.is_empty(), "{:?}", pair.places);
        prop_assert_eq!(pair.schedule.next(pair.now), Action::Idle);
        prop_assert_eq!(pair.schedule.destinations.len(), 0);
    }
}
