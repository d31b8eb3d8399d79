//! What the courier does about what admins, reloads, broken disks and broken tasks do meanwhile.

use std::sync::atomic::Ordering;

use mail_common::log::Id;

use super::*;
use crate::queue::{Entry, State};
use crate::tests::{Manner, Scene};

const ANN: &[&str] = &["ann@example.org"];

/// Foreign, and there is no next hop: its attempts need nobody.
const NOBODY: &[&str] = &["y@foreign.example"];

/// A message of which the courier has heard, and nobody else has it in memory.
fn known(scene: &Scene, courier: &mut Courier, to: &[&str]) -> Entry {
    let id = scene.commit("<ann@example.org>", to, |_| ()).id;
    let entry = courier.mtad.queue.entry(id).unwrap().unwrap();
    courier.arrived(Arrival::Known(entry.clone(), When::Recorded));
    entry
}

fn next_turn(courier: &mut Courier) -> Turn {
    match courier.schedule.next(time::now_micros()) {
        Action::Attempt(turn) | Action::Probe(turn) => turn,
        other => panic!("{other:?}"),
    }
}

fn is_planned(courier: &Courier, id: Id) -> bool {
    courier.schedule.knows(id, Destination::LOCAL)
}

/// Whether somebody has it.
fn is_taken(courier: &Courier, id: Id) -> bool {
    courier.mtad.under_way.change(id).is_none()
}

/// Tells of all rows, as a reload does.
fn tell_of_all(courier: &mut Courier) {
    let mut rows = Vec::new();
    courier.mtad.queue.spool().rows(|row| rows.push(*row));
    courier.arrived(Arrival::Rows(rows, When::Now));
}

/// Waits a little; where time is paused, no longer than it takes to look. Fails if it has come to
/// nothing for long.
async fn a_moment(begin: std::time::Instant) {
    assert!(begin.elapsed() < Duration::from_secs(60), "nothing happens");
    tokio::time::sleep(Duration::from_millis(10)).await;
}

async fn next_arrival(courier: &mut Courier) {
    let begin = std::time::Instant::now();
    loop {
        match courier.arrivals.try_recv() {
            Ok(arrival) => return courier.arrived(arrival),
            Err(_) => a_moment(begin).await,
        }
    }
}

async fn end_attempt(courier: &mut Courier) {
    let ended = courier.attempts.join_next_with_id().await.unwrap();
    courier.ended(ended).await;
}

/// Tries what is due.
async fn try_next(courier: &mut Courier) -> Turn {
    let turn = next_turn(courier);
    courier.attempt(turn);
    end_attempt(courier).await;
    turn
}

#[tokio::test]
async fn a_full_mailbox_does_not_hold_up_another_s_mail() {
    let scene = Scene::new("");
    let mut letters = scene.deliverd(|_| Manner::FullAnn);
    let mut courier = scene.courier();
    let full = known(&scene, &mut courier, ANN).id;
    try_next(&mut courier).await;
    let entry = courier.mtad.queue.entry(full).unwrap().unwrap();
    let why = "452 4.2.2 mailbox full (in reply to BDAT command)";
    let reason = entry.progress.recipients.first();
    assert!(
        matches!(reason, Some(State::Waiting(Some(text))) if text.ends_with(why)),
        "{reason:?}"
    );
    let other = known(&scene, &mut courier, &["eve@example.org"]).id;
    assert!(!courier.schedule.is_dead(Destination::LOCAL));
    assert_eq!(try_next(&mut courier).await.id, other);
    assert!(letters.recv().await.unwrap().contains("RCPT TO:<eve@example.org>"));
}

/// What an admin asks for is not forgotten for news of the same message that came before.
#[tokio::test]
async fn what_is_asked_for_is_due_though_it_is_planned_for_later() {
    let scene = Scene::new("");
    let _letters = scene.deliverd(|_| Manner::FullAnn);
    let mut courier = scene.courier();
    let id = known(&scene, &mut courier, ANN).id;
    try_next(&mut courier).await;
    assert!(is_planned(&courier, id));
    assert!(matches!(courier.schedule.next(time::now_micros()), Action::Wait(_)));
    let entry = courier.mtad.queue.entry(id).unwrap().unwrap();
    courier.arrived(Arrival::Known(entry, When::Asked));
    assert_eq!(next_turn(&mut courier).id, id);
}

#[tokio::test]
async fn a_next_hop_that_refuses_what_it_was_sent_is_alive() {
    let (hop, mut letters) = Scene::server(|_| Manner::FullAnn).await;
    let scene = Scene::new(&format!("mtad.next_hop = '{hop}'"));
    let mut courier = scene.courier();
    for _ in 0..5 {
        known(&scene, &mut courier, &["ann@else.example"]);
    }
    for _ in 0..5 {
        let turn = try_next(&mut courier).await;
        assert!(!courier.schedule.is_dead(turn.destination));
    }
    known(&scene, &mut courier, &["eve@else.example"]);
    try_next(&mut courier).await;
    assert!(letters.recv().await.unwrap().contains("RCPT TO:<eve@else.example>"));
}

/// Mail for postmaster is lmtp-deliverd's until it is looked up.
#[tokio::test]
async fn a_dead_next_hop_is_no_word_on_lmtp_deliverd() {
    let scene = Scene::new("mtad.postmaster = 'x@else.example'\nmtad.next_hop = '127.0.0.1:1'");
    let mut courier = scene.courier();
    known(&scene, &mut courier, &["postmaster@example.org"]);
    let turn = try_next(&mut courier).await;
    assert_eq!(turn.destination, Destination::LOCAL);
    assert!(!courier.schedule.is_dead(Destination::LOCAL));
    assert_eq!(courier.troubles.get(&Destination::LOCAL), None);
}

#[tokio::test]
async fn the_message_of_a_broken_attempt_waits_for_the_next_one() {
    let scene = Scene::new("");
    let mut courier = scene.courier();
    scene.send("<x@example.net>", ANN);
    next_arrival(&mut courier).await;
    let turn = next_turn(&mut courier);
    let broken = courier.attempts.spawn(async { panic!("as the test wants it") });
    courier.under_way.insert(broken.id(), (turn, Arc::clone(&courier.lanes)));
    end_attempt(&mut courier).await;
    let Action::Wait(pause) = courier.schedule.next(time::now_micros()) else { panic!("waits") };
    assert!(pause > Duration::from_secs(60), "{pause:?}");
}

#[tokio::test]
async fn nobody_waits_for_a_message_that_another_attempt_has() {
    let scene = Scene::new("");
    let mut courier = scene.courier();
    scene.send("<x@example.net>", ANN);
    next_arrival(&mut courier).await;
    let turn = next_turn(&mut courier);
    let message = courier.memory.shared(turn.id).and_then(|shared| shared.known()).unwrap();
    let recording = message.lock().await;
    assert!(matches!(courier.outlook_of_broken(turn), Outlook::Unread));
    drop(recording);
    assert!(matches!(courier.outlook_of_broken(turn), Outlook::Left(_)));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_broke_its_attempt_before_it_was_read_is_tried_a_minute_later() {
    let scene = Scene::new("");
    let mut courier = scene.courier();
    let id = known(&scene, &mut courier, ANN).id;
    let turn = next_turn(&mut courier);
    let broken = courier.attempts.spawn(async { panic!("as the test wants it") });
    courier.under_way.insert(broken.id(), (turn, Arc::clone(&courier.lanes)));
    let begin = Instant::now();
    end_attempt(&mut courier).await;
    next_arrival(&mut courier).await;
    assert!(is_planned(&courier, id) && begin.elapsed() >= Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_looked_at_every_minute() {
    let scene = Scene::new("");
    let mut courier = scene.courier();
    let id = known(&scene, &mut courier, ANN).id;
    let turn = next_turn(&mut courier);
    courier.mtad.queue.faults.reads.store(3, Ordering::SeqCst);
    let begin = Instant::now();
    courier.attempt(turn);
    end_attempt(&mut courier).await;
    assert!(!is_planned(&courier, id) && !is_taken(&courier, id));
    next_arrival(&mut courier).await;
    assert!(is_planned(&courier, id) && begin.elapsed() >= Duration::from_secs(180));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_at_a_start_or_a_reload_is_looked_at_later() {
    let scene = Scene::new("");
    let mut courier = scene.courier();
    let id = scene.commit("<x@example.net>", &["ann@example.org", "eve@example.org"], |_| ()).id;
    let row = courier.mtad.queue.spool().row(id).unwrap();
    courier.mtad.queue.faults.reads.store(1, Ordering::SeqCst);
    courier.mtad.tell_of_rows(vec![row], When::Left);
    next_arrival(&mut courier).await;
    assert!(!is_planned(&courier, id));
    let begin = Instant::now();
    next_arrival(&mut courier).await;
    assert!(is_planned(&courier, id) && begin.elapsed() >= Duration::from_secs(60));
}

#[tokio::test]
async fn what_is_being_finished_does_not_wait() {
    let scene = Scene::new("");
    let mut courier = scene.courier();
    let entry = known(&scene, &mut courier, ANN);
    let id = entry.id;
    courier.schedule.remove(id, time::now_micros());
    courier.mtad.queue.faults.finishes.store(1, Ordering::SeqCst);
    courier.mtad.finish(id);
    assert!(is_taken(&courier, id), "though that could not be recorded");
    tell_of_all(&mut courier);
    courier.arrived(Arrival::Known(entry, When::Now));
    assert!(!is_planned(&courier, id));
    courier.mtad.finish_the_rest();
    scene.until_empty().await;
    scene.until(|_| !is_taken(&courier, id)).await;
}

/// All have it already, so nobody is needed to try it.
#[tokio::test(start_paused = true)]
async fn what_is_done_with_is_recorded_again_and_again() {
    let scene = Scene::new("");
    let mut courier = scene.courier();
    let mut entry = known(&scene, &mut courier, ANN);
    entry.progress.set(0, State::Delivered);
    courier.mtad.queue.record(entry.id, &entry.progress).await.unwrap();
    courier.mtad.queue.faults.finishes.store(2, Ordering::SeqCst);
    let (mtad, begin, stop) = (Arc::clone(&courier.mtad), Instant::now(), courier.stop.clone());
    let (running, moment) = (tokio::spawn(courier.run()), std::time::Instant::now());
    while mtad.queue.spool().row(entry.id).is_some() {
        a_moment(moment).await;
    }
    assert_eq!(mtad.queue.faults.finishes.load(Ordering::SeqCst), 0);
    assert!(begin.elapsed() >= UNFINISHED);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_came_of_an_attempt_is_recorded_once_it_can_be() {
    let scene = Scene::new("");
    let mut courier = scene.courier();
    let id = known(&scene, &mut courier, NOBODY).id;
    let turn = next_turn(&mut courier);
    courier.mtad.queue.faults.records.store(3, Ordering::SeqCst);
    courier.attempt(turn);
    end_attempt(&mut courier).await;
    let entry = courier.mtad.queue.entry(id).unwrap().unwrap();
    assert_eq!(entry.progress.attempts, 1);
    assert!(courier.schedule.knows(id, turn.destination) && !is_taken(&courier, id));
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_what_cannot_be_recorded() {
    let scene = Scene::new("");
    let mut courier = scene.courier();
    known(&scene, &mut courier, NOBODY);
    let turn = next_turn(&mut courier);
    courier.mtad.queue.faults.records.store(9, Ordering::SeqCst);
    courier.attempt(turn);
    courier.stop.cancel();
    end_attempt(&mut courier).await;
    assert_eq!(courier.mtad.queue.faults.records.load(Ordering::SeqCst), 7);
}

/// The next segment may be sound. What is not recorded is done again by the next process.
#[tokio::test]
async fn who_stops_tries_once_more_to_record_what_came_of_an_attempt() {
    let scene = Scene::new("");
    let mut courier = scene.courier();
    let id = known(&scene, &mut courier, NOBODY).id;
    let turn = next_turn(&mut courier);
    courier.mtad.queue.faults.records.store(1, Ordering::SeqCst);
    courier.attempt(turn);
    courier.stop.cancel();
    end_attempt(&mut courier).await;
    let entry = courier.mtad.queue.entry(id).unwrap().unwrap();
    assert_ne!(entry.progress, mail_spool::Progress::new(&entry.letter));
}

#[tokio::test]
async fn an_admin_may_be_faster_than_the_news_of_a_message() {
    let scene = Scene::new("");
    let mut courier = scene.courier();
    let (gone, held) = (
        scene.commit("<x@example.net>", ANN, |_| ()),
        scene.commit("<x@example.net>", ANN, |_| ()),
    );
    let turn = courier.mtad.under_way.deliver(gone.id).unwrap();
    courier.mtad.queue.finish(turn, drop);
    scene.until(|waiting| waiting.len() == 1).await;
    let hold = |progress: &mut mail_spool::Progress| progress.hold = Some("spam?".to_owned());
    scene.change(held.id, hold, Changed::Withdrawn(held.id)).await;
    courier.hear_changes();
    let ids = [gone.id, held.id];
    courier.arrived(Arrival::New(gone));
    courier.arrived(Arrival::New(held));
    for id in ids {
        assert!(!is_planned(&courier, id) && courier.memory.shared(id).is_none());
    }
    // It is read again, as it is now.
    next_arrival(&mut courier).await;
    assert!(!is_planned(&courier, ids[1]));
}

/// A change may fail, and is told all the same.
#[tokio::test]
async fn what_could_not_be_held_or_deleted_is_tried() {
    let scene = Scene::new("");
    let mut courier = scene.courier();
    let id = known(&scene, &mut courier, ANN).id;
    lock(&courier.mtad.changes).push(Changed::Withdrawn(id));
    courier.hear_changes();
    assert!(!is_planned(&courier, id));
    next_arrival(&mut courier).await;
    assert!(is_planned(&courier, id));
}

/// All that could be said of it is in the old news, but that it is done with.
#[tokio::test]
async fn what_is_done_with_is_not_kept_when_the_news_of_it_comes() {
    let scene = Scene::new("");
    let mut courier = scene.courier();
    let new = scene.commit("<x@example.net>", ANN, |_| ());
    let id = new.id;
    tell_of_all(&mut courier);
    courier.schedule.remove(id, time::now_micros());
    courier.mtad.queue.faults.finishes.store(1, Ordering::SeqCst);
    courier.mtad.finish(id);
    courier.arrived(Arrival::New(new));
    assert!(!is_planned(&courier, id) && courier.memory.shared(id).is_none());
}

/// Our host name is no local domain, but its postmaster is ours.
#[tokio::test]
async fn mail_for_our_postmaster_does_not_wait_for_a_next_hop() {
    let scene = Scene::new("mtad.next_hop = '127.0.0.1:1'");
    let mut courier = scene.courier();
    let of = |to| scene.commit("<x@example.net>", &[to], |_| ()).id;
    let (ours, foreign) = (of("postmaster@mx.example.org"), of("ann@mx.example.org"));
    let mut rows = Vec::new();
    courier.mtad.queue.spool().rows(|row| rows.push(*row));
    courier.mtad.tell_of_rows(rows, When::Left);
    while let Ok(arrival) = courier.arrivals.try_recv() {
        courier.arrived(arrival);
    }
    let hop = courier.lanes.destination(&"ann@mx.example.org".parse().unwrap());
    let planned = [ours, foreign]
        .map(|id| [Destination::LOCAL, hop].map(|at| courier.schedule.knows(id, at)));
    assert_eq!(planned, [[true, false], [false, true]]);
}

/// More domains were in the queue than have names.
#[tokio::test]
async fn what_waits_for_a_domain_without_a_name_is_read() {
    let scene = Scene::new("mtad.next_hop = '127.0.0.1:1'");
    let mut courier = scene.courier();
    let id = scene.commit("<x@example.net>", NOBODY, |_| ()).id;
    let row = courier.mtad.queue.spool().row(id).unwrap();
    let row = mail_spool::row::Row { destination: mail_spool::row::OTHERS, ..row };
    courier.mtad.tell_of_rows(vec![row], When::Left);
    while let Ok(arrival) = courier.arrivals.try_recv() {
        courier.arrived(arrival);
    }
    let hop = courier.lanes.destination(&NOBODY[0].parse().unwrap());
    assert!(courier.schedule.knows(id, hop) && !is_planned(&courier, id));
}

/// However many they are: nobody is needed to give them up.
#[tokio::test]
async fn what_an_admin_gives_up_waits_for_no_probe() {
    let scene = Scene::new("mtad.next_hop = '127.0.0.1:1'");
    let mut courier = scene.courier();
    let ids = [(); 8].map(|()| known(&scene, &mut courier, NOBODY).id);
    let destination = courier.lanes.destination(&NOBODY[0].parse().unwrap());
    for _ in 0..5 {
        try_next(&mut courier).await;
    }
    assert!(courier.schedule.is_dead(destination));
    for id in ids {
        let give_up = |progress: &mut mail_spool::Progress| progress.given_up = Some("no".into());
        scene.change(id, give_up, Changed::Due(id)).await;
    }
    courier.hear_changes();
    for _ in ids {
        next_arrival(&mut courier).await;
    }
    while let Action::Expire(turn) = courier.schedule.next(time::now_micros()) {
        courier.expire(turn);
        end_attempt(&mut courier).await;
    }
    scene.until(|waiting| waiting.iter().all(|one| !ids.contains(&one.id))).await;
    for notification in scene.waiting() {
        let body = courier.mtad.queue.body(notification.id).unwrap();
        let text = String::from_utf8(body.whole().unwrap()).unwrap();
        assert!(text.contains("Status: 5.7.0") && !text.contains("4.4.7"), "{text}");
    }
}

/// Of what was left, no more than a row is in memory.
#[tokio::test]
async fn what_was_given_up_before_a_start_waits_for_no_probe() {
    let scene = Scene::new("mtad.next_hop = '127.0.0.1:1'");
    let ids = [(); 2].map(|()| scene.commit("<ann@example.org>", NOBODY, |_| ()).id);
    for id in ids {
        // Rows know whole seconds: what is due now would be so a moment later.
        let give_up = |progress: &mut mail_spool::Progress| {
            (progress.given_up, progress.due) = (Some("no".into()), 0);
        };
        scene.change(id, give_up, Changed::Due(id)).await;
    }
    let scene = scene.again();
    let mut courier = scene.courier();
    scene.until(|waiting| waiting.len() == ids.len()).await;
    for _ in 0..5 {
        known(&scene, &mut courier, NOBODY);
        try_next(&mut courier).await;
    }
    assert!(courier.schedule.is_dead(courier.lanes.destination(&NOBODY[0].parse().unwrap())));
    for (id, when) in ids.into_iter().zip([When::Left, When::Now]) {
        let row = courier.mtad.queue.spool().row(id).unwrap();
        courier.mtad.tell_of_rows(vec![row], when);
        next_arrival(&mut courier).await;
    }
    for _ in ids {
        let action = courier.schedule.next(time::now_micros());
        let Action::Expire(turn) = action else { panic!("{action:?}") };
        courier.expire(turn);
        end_attempt(&mut courier).await;
    }
    scene.until(|waiting| waiting.iter().all(|one| !ids.contains(&one.id))).await;
}

/// A reload tells of it before the news of it is heard.
#[tokio::test]
async fn what_is_being_delivered_stays_taken_when_the_news_of_it_comes() {
    let scene = Scene::new("");
    let mut courier = scene.courier();
    let new = scene.commit("<x@example.net>", ANN, |_| ());
    let id = new.id;
    tell_of_all(&mut courier);
    let turn = next_turn(&mut courier);
    courier.attempt(turn);
    courier.arrived(Arrival::New(new));
    assert!(is_taken(&courier, id));
}

#[tokio::test]
async fn held_mail_is_not_tried() {
    let scene = Scene::new("");
    let mut courier = scene.courier();
    let Entry { id, mut progress, .. } = known(&scene, &mut courier, ANN);
    progress.hold = Some("spam?".to_owned());
    courier.mtad.queue.record(id, &progress).await.unwrap();
    let turn = next_turn(&mut courier);
    courier.attempt(turn);
    end_attempt(&mut courier).await;
    assert_eq!(courier.schedule.next(time::now_micros()), Action::Idle);
    assert_eq!(courier.mtad.queue.entry(id).unwrap().unwrap().progress, progress);
}

#[tokio::test]
async fn nobody_is_warned_of_what_an_admin_has_changed() {
    let scene = Scene::new("");
    let mut courier = scene.courier();
    let id = known(&scene, &mut courier, ANN).id;
    let turn = Turn { id, destination: Destination::LOCAL, attempts: 0 };
    let hold = |progress: &mut mail_spool::Progress| progress.hold = Some("spam?".to_owned());
    scene.change(id, hold, Changed::Withdrawn(id)).await;
    courier.warn(turn);
    assert!(courier.warnings.is_empty() && !is_taken(&courier, id));
}

#[tokio::test]
async fn a_warning_that_breaks_off_gives_its_message_back() {
    let scene = Scene::new("");
    let mut courier = scene.courier();
    let id = known(&scene, &mut courier, ANN).id;
    courier.memory.take(id, &courier.mtad.under_way).unwrap();
    let broken = courier.warnings.spawn(async { panic!("as the test wants it") });
    let turn = Turn { id, destination: Destination::LOCAL, attempts: 0 };
    courier.being_told.insert(broken.id(), turn);
    let warned = courier.warnings.join_next_with_id().await.unwrap();
    courier.warned(warned);
    assert!(is_planned(&courier, id) && !is_taken(&courier, id));
}

#[tokio::test]
async fn a_reload_during_a_warning_loses_nothing() {
    let scene = Scene::new("");
    let mut courier = scene.courier();
    let id = known(&scene, &mut courier, ANN).id;
    courier.warn(Turn { id, destination: Destination::LOCAL, attempts: 0 });
    courier.schedule.clear(time::now_micros());
    tell_of_all(&mut courier);
    let warned = courier.warnings.join_next_with_id().await.unwrap();
    courier.warned(warned);
    next_arrival(&mut courier).await;
    assert!(is_planned(&courier, id));
}

#[tokio::test]
async fn what_an_admin_wants_tried_now_is_a_probe() {
    let scene = Scene::new("");
    let mut courier = scene.courier();
    let id = known(&scene, &mut courier, ANN).id;
    let turn = next_turn(&mut courier);
    courier.schedule.ended(&turn, Feedback::Unreachable, time::now_micros());
    scene.change(id, |progress| progress.due = time::now_micros(), Changed::Due(id)).await;
    courier.hear_changes();
    next_arrival(&mut courier).await;
    let action = courier.schedule.next(time::now_micros());
    assert!(matches!(action, Action::Probe(Turn { id: probe, .. }) if probe == id), "{action:?}");
}
