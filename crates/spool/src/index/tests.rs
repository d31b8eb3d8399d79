//! Rows, slots, and what is handed out of both.

use std::mem::size_of;
use std::thread;

use mail_proto::address::ReversePath;
use mail_proto::smtp::Recipient;

use super::*;
use crate::record::Body;
use crate::row::{NOTHING, Standing};
use crate::{Letter, Progress, State};

fn id(number: u64) -> Id {
    Id::parse(&format!("{number:09}")).unwrap()
}

fn at(slot: u32, unit: u32) -> Place {
    Place { slot, unit, units: 2 }
}

fn new_row(number: u64, slot: u32) -> Row {
    let summary = Summary {
        due: 0,
        destination: NOTHING,
        reason: NOTHING,
        sender: NOTHING,
        attempts: 0,
        waiting: 1,
        standing: Standing::New,
    };
    let letter = letter(number, &["ann@example.org"]);
    row(&letter, at(slot, number as u32), Body::Here(100, 0), &summary)
}

fn letter(number: u64, recipients: &[&str]) -> Letter {
    let to = |address: &&str| Recipient::new(address.parse().unwrap());
    Letter::new(id(number), 1_500_001, ReversePath(None), recipients.iter().map(to).collect())
}

/// What the row of a letter says, with its place.
fn taken(row: Row) -> (Id, Place, Effect) {
    (row.id, row.letter, Effect::Letter(row))
}

fn done(number: u64) -> (Id, Place, Effect) {
    (id(number), Place::default(), Effect::Done(None))
}

fn take(index: &Index, numbers: std::ops::Range<u64>, slot: u32) {
    let applied = numbers.map(|number| taken(new_row(number, slot)));
    assert!(index.apply(applied.collect()).big.is_empty());
}

fn finish(index: &Index, numbers: impl Iterator<Item = u64>) -> Freed {
    index.apply(numbers.map(done).collect())
}

fn live(index: &Index, slot: u32) -> Live {
    let mut found = None;
    index.each_slot(|number, _, live| found = found.or((number == slot).then_some(live)));
    found.unwrap()
}

/// An index that has seen all of an empty log.
fn empty() -> Index {
    let index = Index::default();
    index.complete(Table::default(), 0, Phase::Complete);
    index
}

#[test]
fn a_message_costs_at_most_a_hundred_octets() {
    let row = size_of::<Option<Row>>();
    // A table of hashbrown has one octet beside each number, and is at least 7/16 full after it
    // grew.
    let number = (size_of::<u32>() + 1) * 16 / 7 + 1;
    // Of the list of free numbers, which doubles.
    let free = 2 * size_of::<u32>();
    assert!(row + number + free <= 100, "{row} + {number} + {free}");
    // Rows that were freed are used again.
    let index = empty();
    for round in 0..10 {
        take(&index, round * 5000..(round + 1) * 5000, 0);
        assert_eq!(index.len(), 5000);
        assert_eq!(index.lock().table.pieces(), 0..2);
        assert_eq!(finish(&index, round * 5000..(round + 1) * 5000).big, []);
    }
}

#[test]
fn what_is_alive_is_counted() {
    let index = empty();
    index.begin_segment(0, 1);
    take(&index, 0..3, 0);
    assert_eq!(live(&index, 0), Live { records: 3, units: 6 });
    index.begin_segment(1, 2);
    let summary = summarise(&letter(0, &["ann@example.org"]), None, &index);
    let _ = index.apply(vec![
        (id(0), at(0, 50), Effect::Progress(None, summary)),
        (id(0), at(1, 60), Effect::Progress(Some(at(0, 50)), summary)),
        (id(0), at(1, 70), Effect::MovedLetter(Some(at(0, 0)), new_row(0, 0))),
        done(1),
        // Of nobody, and of what stands elsewhere by now.
        (id(9), at(0, 80), Effect::Progress(None, summary)),
        (id(0), at(0, 81), Effect::Progress(Some(at(0, 50)), summary)),
        (id(0), at(0, 90), Effect::MovedProgress(at(0, 50))),
        (id(0), at(0, 93), Effect::Done(Some(at(0, 0)))),
        (id(2), at(0, 91), Effect::MovedLetter(Some(at(0, 0)), new_row(2, 0))),
        (id(9), at(0, 92), Effect::MovedLetter(None, new_row(9, 0))),
        done(9),
    ]);
    assert_eq!(live(&index, 0), Live { records: 1, units: 2 });
    assert_eq!(live(&index, 1), Live { records: 2, units: 4 });
    assert_eq!(index.find(id(2)).unwrap().letter, at(0, 2));
    let row = index.find(id(0)).unwrap();
    assert_eq!((row.letter, row.progress), (at(1, 70), Some(at(1, 60))));
    assert!(index.place_is_live(id(0), at(1, 60)) && index.place_is_live(id(0), at(1, 70)));
    assert!(!index.place_is_live(id(0), at(0, 0)) && !index.place_is_live(id(9), at(0, 92)));
    // What an admin changed counts wherever the letter stood.
    let changed = Row { sender: 5, ..new_row(0, 0) };
    let _ = index.apply(vec![(id(0), at(1, 99), Effect::MovedLetter(None, changed))]);
    let row = index.find(id(0)).unwrap();
    assert_eq!((row.letter, row.progress, row.sender), (at(1, 99), Some(at(1, 60)), 5));
    let _ = finish(&index, [0, 2].into_iter());
    assert_eq!((live(&index, 0), live(&index, 1)), Default::default());
}

#[test]
fn bodies_apart_are_freed_with_their_message() {
    let index = empty();
    take(&index, 0..1, 0);
    let big = Row { big: true, ..new_row(1, 0) };
    let _ = index.apply(vec![taken(big)]);
    assert_eq!(finish(&index, 0..2).big, [id(1)]);
    assert_eq!(finish(&index, 0..2).big, []);
    // That of a letter which the cleaner found damaged was put aside by then.
    let _ = index.apply(vec![taken(big)]);
    assert_eq!(index.apply(vec![(id(1), at(0, 9), Effect::Done(Some(big.letter)))]).big, []);
    assert_eq!(index.len(), 0);
}

#[test]
fn a_slot_is_free_below_both_checkpoints_without_rows() {
    let index = empty();
    assert_eq!(index.take_free_slot(), None);
    assert_eq!([index.take_new_slot(), index.take_new_slot()], [0, 1]);
    let mut generations = Vec::new();
    for slot in 0..4 {
        generations.push(index.next_generation());
        index.begin_segment(slot, generations[slot as usize]);
        index.reached(8192);
    }
    assert!(generations.is_sorted_by(|one, two| one < two));
    take(&index, 1..2, 1);
    let begin = |slot: usize| Some(Position { generation: generations[slot], offset: 4096 });
    let free = || {
        let mut slots = Vec::new();
        index.each_slot(|number, slot, _| slots.push((number, *slot)));
        let copy = Index::new(slots);
        let (newer, older) = index.checkpoints();
        copy.set_checkpoints(newer, older);
        copy.complete(Table::default(), 0, Phase::Complete);
        let rows = index.find(id(1)).into_iter().map(taken);
        let _ = copy.apply(rows.collect());
        std::iter::from_fn(|| copy.take_free_slot()).collect::<Vec<_>>()
    };
    assert!(free().is_empty());
    index.set_checkpoints(begin(3), None);
    assert!(free().is_empty(), "the whole log serves if the one checkpoint is damaged");
    index.set_checkpoints(None, begin(3));
    assert!(free().is_empty());
    index.set_checkpoints(begin(3), begin(1));
    assert_eq!(free(), [0]);
    index.set_checkpoints(begin(3), begin(3));
    assert_eq!(free(), [0, 2], "a row points to 1, and 3 is not behind the checkpoint");
    let _ = finish(&index, 1..2);
    assert_eq!(free(), [0, 1, 2]);
    // Nothing of earlier processes is used again before it is known what they left.
    let slot = Slot { generation: 3, stage: Stage::Closed, length: 0, written: 0 };
    let blank = Slot { generation: 0, stage: Stage::Blank, ..slot };
    let index = Index::new([(0, slot), (1, slot), (2, blank)]);
    let above = Some(Position { generation: 9, offset: 4096 });
    index.set_checkpoints(above, above);
    assert_eq!((index.take_free_slot(), index.take_free_slot()), (Some(2), None));
    index.complete(Table::default(), 0, Phase::Complete);
    assert_eq!((index.take_free_slot(), index.take_free_slot()), (Some(0), Some(1)));
    assert!(index.next_generation() > 3);
}

#[test]
fn what_was_there_is_handed_out_once_and_what_is_new_is_not() {
    let index = Arc::new(Index::default());
    let recovered = Recovered::new(Arc::clone(&index));
    let reader = thread::spawn(move || recovered.flatten().map(|row| row.id).collect::<Vec<_>>());
    let mut old = Table::default();
    (0..10_000).for_each(|number| old.insert(new_row(number, 0)));
    take(&index, 10_000..10_010, 1);
    assert_eq!(index.len(), 10);
    index.complete(old, 0, Phase::Complete);
    // While they are handed out, some go and others come.
    assert_eq!(finish(&index, (0..5000).map(|number| number * 2)).big, []);
    take(&index, 20_000..26_000, 1);
    let mut found = reader.join().unwrap();
    assert!(found.iter().all(|found| *found < id(10_000)), "only what was there");
    found.retain(|id| index.find(*id).is_some());
    found.sort_unstable();
    let expected: Vec<_> = (0..5000).map(|number| id(number * 2 + 1)).collect();
    assert_eq!(found, expected, "and all that still is");
    // The numbers of those that went are used again.
    take(&index, 30_000..34_000, 1);
    let pieces = index.lock().table.pieces();
    take(&index, 34_000..34_500, 1);
    assert_eq!(index.lock().table.pieces(), pieces);
    let mut all = 0;
    index.each(|_| all += 1);
    assert_eq!(all, index.len());
}

#[test]
fn who_waits_for_a_log_that_cannot_be_read_is_told() {
    let index = Arc::new(Index::default());
    let mut recovered = Recovered::new(Arc::clone(&index));
    let reader = thread::spawn(move || recovered.next());
    index.fail();
    assert_eq!(reader.join().unwrap(), None);
    assert_eq!(index.wait(), Phase::Failed);
}

#[test]
fn rows_say_what_letter_and_progress_say() {
    let index = Index::default();
    let letter = letter(1, &["a@one.example", "b@two.example", "c@three.example"]);
    let say = |progress: Option<&Progress>| {
        let summary = summarise(&letter, progress, &index);
        let names = [summary.destination, summary.reason].map(|name| index.name(name));
        (names.join(": "), summary)
    };
    let (text, summary) = say(None);
    assert_eq!((&*text, summary.due, summary.waiting), ("one.example: ", 2, 3));
    assert_eq!((summary.standing, summary.attempts, summary.sender), (Standing::New, 0, 0));
    let mut progress = Progress::new(&letter);
    assert_eq!(say(Some(&progress)).1, summary, "nobody has tried it");
    progress.set(0, State::Delivered);
    progress.set(2, State::Waiting(Some("451 Not now".into())));
    (progress.attempts, progress.outages, progress.due) = (2, 3, 7_000_000);
    let (text, summary) = say(Some(&progress));
    assert_eq!((&*text, summary.due, summary.waiting), ("two.example: 451 Not now", 7, 2));
    assert_eq!((summary.standing, summary.attempts), (Standing::Deferred, 5));
    progress.given_up = Some("no use".into());
    assert_eq!(say(Some(&progress)).1, Summary { standing: Standing::GivenUp, ..summary });
    let untried = Progress { given_up: Some("no use".into()), ..Progress::new(&letter) };
    assert_eq!(say(Some(&untried)).1.standing, Standing::GivenUp);
    progress.hold = Some("by an admin".into());
    progress.due = u64::MAX;
    progress.attempts = u32::MAX;
    let (text, summary) = say(Some(&progress));
    assert_eq!((&*text, summary.standing), ("two.example: by an admin", Standing::Held));
    assert_eq!((summary.due, summary.attempts), (u32::MAX, u16::MAX));
}
