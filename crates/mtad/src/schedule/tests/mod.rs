//! The schedule in a simulated world.

mod random;
mod world;

use self::world::*;
use super::*;

/// Attempts at the same time that a destination bears; `None`: it is dead, or nothing is known.
fn width(world: &World, destination: u32) -> Option<u32> {
    match world.schedule.destinations.get(&Destination(destination))?.health {
        Health::Alive(window) => Some(window.width),
        Health::Dead { .. } => None,
    }
}

#[test]
fn the_first_due_is_first() {
    let mut schedule = Schedule::new(settings());
    assert_eq!(schedule.next(NOW), Action::Idle);
    let second = seconds(NOW);
    for (number, due) in [(1, second + 5), (2, second), (3, second - 1)] {
        schedule.add(Waiting { due, ..waiting(number, 2) }, NOW);
    }
    let mut turns = Vec::new();
    while let Action::Attempt(turn) = schedule.next(NOW) {
        turns.push(turn);
    }
    assert_eq!(turns.iter().map(|turn| turn.id).collect::<Vec<_>>(), [id(2), id(3)]);
    assert_eq!(schedule.next(NOW), Action::Wait(Duration::from_secs(5)));
    assert!(matches!(schedule.next(NOW + 5 * SECOND), Action::Attempt(_)));
    assert_eq!(schedule.next(NOW + 5 * SECOND), Action::Idle);
    for turn in turns {
        assert!(schedule.ended(&turn, Feedback::Delivered, NOW));
        assert!(!schedule.ended(&turn, Feedback::Delivered, NOW), "once");
    }
}

#[test]
fn a_clock_that_is_set_delays_nothing() {
    let year = 365 * 24 * 3600;
    let mut schedule = Schedule::new(settings());
    schedule.add(Waiting { due: seconds(NOW) + year, ..waiting(1, 2) }, NOW);
    assert!(matches!(schedule.next(NOW), Action::Attempt(_)));
    // Set back by a year while it runs.
    schedule.add(Waiting { due: seconds(NOW) + 60, ..waiting(2, 2) }, NOW);
    let past = NOW - u64::from(year) * SECOND;
    assert!(matches!(schedule.next(past), Action::Attempt(_)));
    // The probe too.
    let mut world = World::new(settings());
    world.peer(2, Peer::Dead(1000));
    (0..6).for_each(|number| world.add(waiting(number, 2)));
    world.run_until(NOW + MINUTE);
    assert!(world.schedule.is_dead(Destination(2)));
    assert!(matches!(world.schedule.next(past), Action::Probe(_)));
}

#[test]
fn a_dead_destination_has_one_probe_at_a_time() {
    let mut world = World::new(settings());
    world.peer(2, Peer::Dead(30 * SECOND));
    for number in 0..10_000 {
        world.add(Waiting { sender: number as u32, ..waiting(number, 2) });
    }
    world.run_until(NOW + 24 * HOUR);
    let tried = world.tried_at(2);
    let (cohort, probes) = tried.split_at(5);
    assert!(cohort.iter().all(|tried| !tried.is_probe));
    assert!(probes.iter().all(|tried| tried.is_probe));
    // 5, 10, 20, 40, 80, 160 minutes and 4 hours, then every 4 hours, all up to a tenth longer.
    assert!((9..=11).contains(&probes.len()), "{}", probes.len());
    let mut pause = 5 * MINUTE;
    for pair in tried[4..].windows(2) {
        let found = pair[1].at - pair[0].at;
        let range = pause..=pause * 11 / 10 + 32 * SECOND;
        assert!(range.contains(&found), "{found} is not in {range:?}");
        pause = (pause * 2).min(4 * HOUR);
    }
    // One message cannot keep the others in.
    let ids: BTreeSet<_> = probes.iter().map(|tried| tried.id).collect();
    assert!(ids.len() > probes.len() / 2);
    assert_eq!(world.schedule.entries.len(), 10_000);
}

#[test]
fn what_waited_for_a_dead_destination_goes_when_it_is_back() {
    let mut world = World::new(settings());
    world.peer(2, Peer::DeadUntil(NOW + 40 * MINUTE, 100_000));
    for number in 0..1000 {
        world.add(waiting(number, 2));
    }
    world.run_until(NOW + 3 * HOUR);
    assert_eq!(world.delivered.len(), 1000);
    let back = world.delivered.values().min().unwrap();
    // Slow start: what is tried in the first rounds is 1, 2, 4.
    let tried = world.tried_at(2);
    let begun = |from: u64, to: u64| {
        tried.iter().filter(|t| (back + from..back + to).contains(&t.at)).count()
    };
    assert_eq!((begun(0, 90_000), begun(90_000, 190_000)), (1, 2));
    assert!(begun(190_000, 290_000) <= 4);
    assert!(world.delivered.values().max().unwrap() - back < 20 * SECOND);
    assert_eq!(world.schedule.entries.len(), 0);
}

#[test]
fn a_short_local_outage_is_over_in_seconds() {
    let mut world = World::new(settings());
    world.peer(0, Peer::DeadUntil(NOW + 3 * SECOND, 1000));
    for number in 0..1000 {
        world.add(waiting(number, 0));
    }
    world.run_until(NOW + 20 * SECOND);
    assert_eq!(world.delivered.len(), 1000 - world.schedule.entries.len());
    assert!(world.delivered.len() > 900, "{}", world.delivered.len());
    // At full width at once.
    assert_eq!(world.most.get(&Destination::LOCAL), Some(&64));
    let probes = world.tried_at(0).iter().filter(|tried| tried.is_probe).count();
    assert!((2..=3).contains(&probes), "{probes}");
}

#[test]
fn good_destinations_do_not_wait_for_dead_and_slow_ones() {
    let mut world = World::new(Settings { all: 100, ..settings() });
    for bad in 2..12 {
        let peer = if bad % 2 == 0 { Peer::Dead(30 * SECOND) } else { Peer::Good(20 * SECOND) };
        world.peer(bad, peer);
    }
    for number in 0..1000 {
        world.add(waiting(number, 2 + number as u32 % 10));
    }
    for number in 1000..2000 {
        world.peer(number as u32, Peer::Good(100_000));
        world.add(waiting(number, number as u32));
    }
    world.run_until(NOW + 12 * SECOND);
    let good = (1000..2000).filter(|&number| world.delivered.contains_key(&id(number))).count();
    assert_eq!(good, 1000);
    assert!(world.most_in_all <= 100);
}

#[test]
fn no_sender_starves() {
    let mut world = World::new(settings());
    world.peer(2, Peer::Good(100_000));
    for number in 0..20_000 {
        world.add(waiting(number, 2));
    }
    for number in 20_000..20_100 {
        world.add(Waiting { sender: number as u32, ..waiting(number, 2) });
    }
    world.run_until(NOW + 10 * SECOND);
    let small = (20_000..20_100).filter(|&n| world.delivered.contains_key(&id(n))).count();
    assert_eq!(small, 100);
    assert!(world.delivered.len() < 2000);
}

#[test]
fn new_mail_has_four_of_five_turns() {
    for destinations in [1, 5, 7] {
        let mut world = World::new(settings());
        for number in 0..7000 {
            let destination = 2 + number % destinations;
            world.peer(destination, Peer::Good(100_000));
            let standing =
                if number / destinations % 2 == 0 { Standing::New } else { Standing::Deferred };
            world.add(Waiting { standing, ..waiting(number as usize, destination) });
        }
        world.run_until(NOW + 3 * SECOND);
        for destination in 0..destinations {
            let tried = world.tried_at(2 + destination);
            let is_new = |id: Id| {
                let number: u32 = id.as_str().trim_start_matches("id").parse().unwrap();
                (number / destinations).is_multiple_of(2)
            };
            let new = tried.iter().filter(|tried| is_new(tried.id)).count();
            let share = new * 100 / tried.len();
            assert!((75..=85).contains(&share), "{share} % of {}", tried.len());
        }
    }
}

#[test]
fn destinations_with_new_mail_go_before_those_with_none() {
    let mut world = World::new(Settings { all: 1, ..settings() });
    for number in 0..2000 {
        let (destination, standing) = match number % 2 {
            0 => (2 + number as u32 % 50, Standing::New),
            _ => (100 + number as u32 % 51, Standing::Deferred),
        };
        world.peer(destination, Peer::Good(1000));
        world.add(Waiting { standing, ..waiting(number, destination) });
    }
    world.run_until(NOW + SECOND / 2);
    let new = world.tried.iter().filter(|tried| tried.destination < Destination(100)).count();
    let share = new * 100 / world.tried.len();
    assert!((78..=82).contains(&share), "{share} % of {}", world.tried.len());
}

#[test]
fn the_window_grows_with_success_and_shrinks_with_failure() {
    let mut world = World::new(settings());
    world.peer(2, Peer::Good(100_000));
    for number in 0..10_000 {
        world.add(waiting(number, 2));
    }
    world.run_until(NOW + 150_000);
    assert_eq!(width(&world, 2), Some(6));
    world.run_until(NOW + 5 * SECOND);
    assert_eq!(world.most.get(&Destination(2)), Some(&20), "as wide as is configured");
    // A failure now and then does not make it flap.
    world.peer(2, Peer::Flaky(30, 100_000));
    world.run_until(NOW + 6 * SECOND);
    let wide = width(&world, 2).unwrap();
    assert!((18..=20).contains(&wide), "{wide}");
    // When most do it narrows, and does not die of it.
    world.peer(2, Peer::Bad(3, 100_000));
    world.run_until(NOW + 8 * SECOND);
    let narrow = width(&world, 2).unwrap();
    assert!((1..wide - 5).contains(&narrow), "{narrow} {wide}");
}

#[test]
fn who_answers_is_alive() {
    let mut world = World::new(settings());
    world.peer(2, Peer::Refusing);
    for number in 0..100 {
        world.add(waiting(number, 2));
    }
    world.run_until(NOW + MINUTE);
    assert_eq!(world.tried.len(), 100);
    assert_eq!(width(&world, 2), Some(5), "but is not given more");
}

#[test]
fn a_message_that_crashes_its_peer_stops_no_other() {
    let mut schedule = Schedule::new(settings());
    let mut now = NOW;
    for round in 0..20 {
        for number in 0..3 {
            schedule.add(waiting(round * 3 + number, 0), now);
        }
        let mut turns = Vec::new();
        while let Action::Attempt(turn) = schedule.next(now) {
            turns.push(turn);
        }
        assert_eq!(turns.len(), 3);
        for (number, turn) in turns.iter().enumerate() {
            let crashed = number < 2;
            let feedback = if crashed { Feedback::Vanished } else { Feedback::Delivered };
            schedule.ended(turn, feedback, now);
        }
        now += SECOND;
    }
}

#[test]
fn what_is_left_after_a_restart_is_no_herd() {
    let mut world = World::new(settings());
    world.peer(2, Peer::Good(1000));
    for number in 0..100_000 {
        let due = seconds(NOW) - 3600;
        let left = Waiting { due, standing: Standing::Deferred, attempts: 1, ..waiting(number, 2) };
        world.add_left(left);
    }
    world.add_left(waiting(100_000, 2));
    world.run_until(NOW + 300 * SECOND);
    assert_eq!(world.delivered.len(), 100_001);
    let mut seconds = vec![0u32; 200];
    for tried in &world.tried {
        seconds[usize::try_from((tried.at - NOW) / SECOND).unwrap()] += 1;
    }
    assert!(seconds.iter().all(|&count| count <= 2100), "{seconds:?}");
    assert!(seconds[..95].iter().all(|&count| count > 0), "{seconds:?}");
    // New mail does not wait for it.
    assert!(world.delivered[&id(100_000)] - NOW < SECOND);
}

#[test]
fn few_that_are_left_are_tried_soon() {
    let mut world = World::new(settings());
    world.peer(2, Peer::Good(1000));
    for number in 0..10 {
        world.add_left(Waiting { standing: Standing::Deferred, ..waiting(number, 2) });
    }
    world.run_until(NOW + 2 * SECOND);
    assert_eq!(world.delivered.len(), 10);
}

#[test]
fn a_reload_makes_all_due() {
    let mut world = World::new(settings());
    world.peer(2, Peer::Good(1000));
    world.peer(3, Peer::Dead(1000));
    for number in 0..10 {
        let due = seconds(NOW) + 3600;
        world.add(Waiting { due, ..waiting(number, 2) });
        world.add(waiting(10 + number, 3));
    }
    world.run_until(NOW + SECOND);
    assert_eq!(world.delivered.len(), 0);
    let before = world.tried_at(3).len();
    world.reload();
    world.run_until(NOW + 2 * SECOND);
    assert_eq!(world.delivered.len(), 10);
    assert_eq!(world.tried_at(3).len(), before + 1, "one probe, however many wait");
}

#[test]
fn an_admin_has_a_dead_destination_probed() {
    let mut world = World::new(settings());
    world.peer(2, Peer::Dead(1000));
    (0..6).for_each(|number| world.add(waiting(number, 2)));
    world.run_until(NOW + 3 * HOUR);
    let tried = world.tried_at(2).len();
    for minute in 1..=20 {
        let now = world.now;
        world.add(waiting(10 + minute, 2));
        world.schedule.ask_again(Destination(2), now);
        world.run_until(now + SECOND);
        assert_eq!(world.tried_at(2).len(), tried + minute);
        let probe = world.schedule.probe_of(Destination(2), world.now).unwrap();
        assert!(probe < now + 6 * MINUTE, "however often it is asked");
    }
    world.peer(2, Peer::Good(1000));
    world.schedule.ask_again(Destination(2), world.now);
    world.run_until(world.now + SECOND);
    assert_eq!(world.schedule.probe_of(Destination(2), world.now), None);
}

#[test]
fn what_was_removed_is_not_tried() {
    let mut schedule = Schedule::new(settings());
    let later = Waiting { due: seconds(NOW) + 60, ..waiting(1, 2) };
    for waiting in [later, waiting(1, 3), waiting(2, 2)] {
        schedule.add(waiting, NOW);
    }
    schedule.remove(id(1), NOW);
    let Action::Attempt(turn) = schedule.next(NOW) else { panic!("is due") };
    assert_eq!(turn.id, id(2));
    assert_eq!(schedule.next(NOW), Action::Idle);
    schedule.remove(id(2), NOW);
    assert!(!schedule.ended(&turn, Feedback::Refused, NOW), "nobody wants it any more");
    assert_eq!((schedule.entries.len(), schedule.next(NOW)), (0, Action::Idle));
    assert_eq!(schedule.destinations.len(), 0);
}

#[test]
fn what_became_too_old_before_a_dead_destination_is_given_up() {
    let mut world = World::new(settings());
    world.peer(2, Peer::Dead(1000));
    for number in 0..1000 {
        world.add(waiting(number, 2));
    }
    world.run_until(NOW + 119 * HOUR);
    assert!(world.expired.is_empty());
    world.run_until(NOW + 126 * HOUR);
    // Those that were probes go on, and are given up when they are tried again.
    assert!(world.expired.len() > 950, "{}", world.expired.len());
    assert!(world.expired.iter().all(|(at, _)| *at >= NOW + 120 * HOUR));
}

#[test]
fn what_an_admin_gives_up_goes_back_when_it_is_due() {
    let mut world = World::new(settings());
    world.peer(2, Peer::Dead(1000));
    (0..6).for_each(|number| world.add(waiting(number, 2)));
    world.run_until(NOW + MINUTE);
    assert!(world.schedule.is_dead(Destination(2)));
    let tried = world.tried.len();
    for number in 0..100 {
        let due = seconds(world.now) + 10 * number as u32 % 20;
        let standing = Standing::GivenUp;
        world.add(Waiting { due, standing, ..waiting(100 + number, 2) });
    }
    world.run_until(world.now + 1);
    assert_eq!((world.expired.len(), world.tried.len()), (50, tried));
    world.run_until(world.now + 10 * SECOND);
    assert_eq!((world.expired.len(), world.tried.len()), (100, tried));
}

#[test]
fn senders_of_what_stands_before_a_dead_destination_are_told_once() {
    let mut world = World::new(settings());
    world.peer(2, Peer::Dead(1000));
    for number in 0..1000 {
        world.add(Waiting { told: number < 10, ..waiting(number, 2) });
    }
    world.run_until(NOW + 4 * HOUR);
    assert!(world.warned.is_empty());
    world.run_until(NOW + 100 * HOUR);
    let mut warned: Vec<_> = world.warned.iter().map(|(_, id)| *id).collect();
    warned.sort_unstable();
    warned.dedup();
    // Those that are probes when it is time tell themselves.
    assert!((950..=990).contains(&warned.len()), "{}", warned.len());
    let known = (0..10).map(id).filter(|id| warned.contains(id)).count();
    assert_eq!(known, 0);

    let mut silent = World::new(Settings { delay_warning: None, ..settings() });
    silent.peer(2, Peer::Dead(1000));
    (0..100).for_each(|number| silent.add(waiting(number, 2)));
    silent.run_until(NOW + 100 * HOUR);
    assert!(silent.warned.is_empty());
}

#[test]
fn no_more_than_a_few_senders_are_told_at_once() {
    let mut schedule = Schedule::new(settings());
    let arrived = seconds(NOW) - 5 * 3600;
    (0..100).for_each(|number| schedule.add(Waiting { arrived, ..waiting(number, 2) }, NOW));
    let (mut now, mut told) = (NOW, 0);
    while told == 0 {
        match schedule.next(now) {
            Action::Attempt(turn) | Action::Probe(turn) => {
                assert!(schedule.ended(&turn, Feedback::Unreachable, now));
                schedule.add(Waiting { id: turn.id, arrived, ..waiting(0, 2) }, now);
            }
            Action::Warn(_) => told += 1,
            Action::Wait(pause) => now += micros(pause),
            other => panic!("{other:?}"),
        }
    }
    while let Action::Warn(_) = schedule.next(now) {
        told += 1;
    }
    assert_eq!(told, 16);
    schedule.warned();
    assert!(matches!(schedule.next(now), Action::Warn(_)));
}

/// As when an admin looks at the message just then.
#[test]
fn a_sender_who_could_not_be_told_is_told_after_the_next_probe() {
    let mut schedule = Schedule::new(settings());
    let arrived = seconds(NOW) - 5 * 3600;
    (0..10).for_each(|number| schedule.add(Waiting { arrived, ..waiting(number, 2) }, NOW));
    let (mut now, mut probes, mut warnings) = (NOW, 0, Vec::new());
    while probes < 2 {
        match schedule.next(now) {
            Action::Attempt(turn) | Action::Probe(turn) => {
                probes += usize::from(schedule.is_dead(turn.destination));
                schedule.ended(&turn, Feedback::Unreachable, now);
            }
            Action::Warn(turn) => {
                warnings.push(turn.id);
                schedule.not_warned(&turn);
            }
            Action::Wait(pause) => now += micros(pause),
            other => panic!("{other:?}"),
        }
    }
    while let Action::Warn(turn) = schedule.next(now) {
        warnings.push(turn.id);
        schedule.warned();
    }
    // Five attempts show that it is dead; then there are two probes.
    assert_eq!(warnings.len(), 4 + 3);
    warnings.sort_unstable();
    warnings.dedup();
    assert_eq!(warnings.len(), 4);
}

#[test]
fn a_clock_set_forward_gives_nothing_up() {
    let mut world = World::new(settings());
    world.peer(2, Peer::Dead(1000));
    for number in 0..1000 {
        world.add(waiting(number, 2));
    }
    world.run_until(NOW + HOUR);
    world.now += 365 * 24 * HOUR;
    let jumped = world.now;
    world.run_until(jumped + 5 * HOUR);
    assert!(world.expired.is_empty(), "{}", world.expired.len());
}

/// However often it is reloaded.
#[test]
fn what_stands_before_a_dead_destination_ages_through_reloads() {
    let mut world = World::new(settings());
    world.peer(2, Peer::Dead(1000));
    for number in 0..1000 {
        world.add(waiting(number, 2));
    }
    while world.now < NOW + 126 * HOUR {
        world.run_until(world.now + HOUR);
        world.reload();
    }
    assert!(world.expired.len() > 800, "{}", world.expired.len());
    assert!(world.expired.iter().all(|(at, _)| *at >= NOW + 120 * HOUR));
}

#[test]
fn a_probe_that_was_brought_forward_counts_for_the_time_that_passed() {
    let mut world = World::new(settings());
    world.peer(2, Peer::Dead(1000));
    for number in 0..1000 {
        world.add(waiting(number, 2));
    }
    world.run_until(NOW + 8 * HOUR);
    world.now += 365 * 24 * HOUR;
    for _ in 0..60 {
        world.run_until(world.now + MINUTE);
        world.reload();
    }
    assert!(world.expired.is_empty(), "{}", world.expired.len());
}

#[test]
fn no_more_than_allowed_are_under_way() {
    let settings = Settings { all: 50, local: 10, foreign: 3, ..settings() };
    let mut world = World::new(settings);
    for number in 0..2000 {
        let destination = number as u32 % 40;
        world.peer(destination, Peer::Good(10_000));
        world.add(waiting(number, destination));
    }
    world.run_until(NOW + 10 * SECOND);
    assert_eq!(world.delivered.len(), 2000);
    assert_eq!(world.most_in_all, 50);
    for (destination, most) in &world.most {
        assert!(
            *most <= if *destination == Destination::LOCAL { 10 } else { 3 },
            "{destination:?}"
        );
    }
}

#[test]
fn a_change_of_limits_holds_at_once() {
    let mut world = World::new(settings());
    world.peer(2, Peer::Good(100_000));
    for number in 0..1000 {
        world.add(waiting(number, 2));
    }
    world.run_until(NOW + 3 * SECOND);
    world.schedule.set(Settings { foreign: 2, ..settings() }, world.now);
    assert_eq!(width(&world, 2), Some(2));
    world.run_until(NOW + 4 * SECOND);
    world.most.clear();
    world.run_until(NOW + 5 * SECOND);
    assert_eq!(world.most.get(&Destination(2)), Some(&2));
}

#[test]
fn cleared_is_what_waits_alone() {
    let mut schedule = Schedule::new(Settings { foreign: 1, ..settings() });
    for number in 0..10 {
        schedule.add(waiting(number, 2), NOW);
        schedule.add(Waiting { due: seconds(NOW) + 9, ..waiting(10 + number, 3) }, NOW);
    }
    let Action::Attempt(turn) = schedule.next(NOW) else { panic!("is due") };
    schedule.clear(NOW);
    assert_eq!((schedule.entries.len(), schedule.next(NOW)), (1, Action::Idle));
    assert!(schedule.knows(turn.id, turn.destination));
    assert!(schedule.ended(&turn, Feedback::Refused, NOW));
}

impl Schedule {
    /// Memory that is held; of the trees, as if half of each node were empty.
    fn octets(&self) -> usize {
        let state = size_of::<Destination>() + size_of::<usize>();
        let destinations: usize = self.destinations.values().map(State::octets).sum();
        let probe = size_of::<(u64, Destination)>() + size_of::<usize>();
        // A destination has a place in a ring or among the probes.
        let places = self.destinations.len() * 2 * (state + 2 * probe);
        let calendar = self.calendar.len() * 2 * (size_of::<(u32, List)>() + size_of::<usize>());
        self.entries.octets() + 2 * destinations + places + calendar
    }
}

/// A million entries, 100 of a destination, half of them due at one that is dead.
#[test]
fn a_million_entries_fit() {
    let mut schedule = Schedule::new(settings());
    for number in 0..1_000_000u32 {
        let (destination, due) = match number % 2 {
            0 => (2, seconds(NOW)),
            _ => (3 + number % 10_000, seconds(NOW) + number % 14_400),
        };
        let sender = number.wrapping_mul(2_654_435_761);
        schedule.add(Waiting { due, sender, ..waiting(number as usize, destination) }, NOW);
    }
    assert_eq!(schedule.entries.len(), 1_000_000);
    let octets = schedule.octets();
    assert!(octets < 80_000_000, "{octets}");
}
