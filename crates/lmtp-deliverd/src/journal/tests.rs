//! The journal over real files.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use mail_common::maildir;
use mail_common::time::now_micros;
use tempfile::TempDir;

use super::*;

const MANY: usize = 1_000_000;

fn open(directory: &TempDir, deliveries: usize) -> Journal {
    Journal::open(directory.path(), deliveries, now_micros()).unwrap()
}

fn journal() -> (TempDir, Journal) {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(&directory, MANY);
    (directory, journal)
}

/// A message that is queued later than any process starts that runs now, each later than the one
/// before.
fn message(number: usize) -> Id {
    Id::parse(&format!("z{number:08}0000000")).unwrap()
}

fn key(number: usize, whose: &str) -> (Key, u64) {
    let id = DeliveryId::parse(&format!("{}.0", message(number))).unwrap();
    (Key::of(id, whose, "keep"), id.micros())
}

fn begin(journal: &Journal, number: usize) -> Option<Attempt<'_>> {
    let (key, micros) = key(number, "ann@example.org");
    journal.begin_at(key, micros, MOMENT).unwrap()
}

fn standing(journal: &Journal, number: usize) -> Option<Standing> {
    begin(journal, number).map(|attempt| attempt.standing())
}

/// Of one that may be a repeat, at what moment it is asked, and since when a look tells of it.
fn doubt(standing: Option<Standing>) -> Option<(u64, u64)> {
    match standing {
        Some(Standing::MaybeRepeat(doubt)) => Some((doubt.now, doubt.since)),
        _ => None,
    }
}

fn may_be_a_repeat(journal: &Journal, number: usize) -> bool {
    doubt(standing(journal, number)).is_some()
}

fn deliver(journal: &Journal, number: usize) {
    let attempt = begin(journal, number).unwrap();
    journal.delivered(attempt);
}

/// The journal's files, the newest last.
fn files(directory: &TempDir) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
    let is_file = |path: &PathBuf| path.to_string_lossy().contains("/deliveries.");
    let mut files: Vec<_> = entries.filter(is_file).collect();
    files.sort();
    files
}

#[test]
fn what_was_delivered_is_not_delivered_again() {
    let (directory, journal) = journal();
    assert_eq!(standing(&journal, 1), Some(Standing::First));
    deliver(&journal, 1);
    for journal in [journal, open_again(&directory)] {
        assert!(begin(&journal, 1).is_none());
        let (other, micros) = key(1, "bob@example.org");
        let attempt = journal.begin_at(other, micros, MOMENT).unwrap().unwrap();
        assert!(!matches!(attempt.standing(), Standing::Noted(..)));
    }
}

/// As after the end of the process before, however that came.
fn open_again(directory: &TempDir) -> Journal {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    open(&copy, MANY)
}

#[test]
fn of_what_failed_nobody_knows_how_far_it_came() {
    let (_directory, journal) = journal();
    drop(begin(&journal, 1));
    let second = begin(&journal, 1).unwrap();
    assert!(doubt(Some(second.standing())).is_some());
    journal.delivered(second);
    assert!(begin(&journal, 1).is_none());
}

/// What was seen in a mailbox serves for all deliveries of processes before, until something
/// happens to them here.
#[test]
fn an_old_look_does_not_tell_of_what_happened_since() {
    let directory = tempfile::tempdir().unwrap();
    // Two files of four records.
    let journal = Journal::open(directory.path(), 8, u64::MAX).unwrap();
    let tells = |looked: u64, number| {
        let (now, since) = doubt(standing_of(&journal, number)).unwrap();
        assert!(since <= now && looked <= now);
        looked >= since
    };
    let (looked, _) = doubt(standing_of(&journal, 1)).unwrap();
    assert!((1..=9).all(|number| tells(looked, number)));
    drop(begin(&journal, 4));
    assert!(!tells(looked, 4) && tells(looked, 5));
    let (again, since) = doubt(standing_of(&journal, 4)).unwrap();
    assert_eq!(again, since, "a look that begins now tells");
    (1..=8).for_each(|number| deliver(&journal, number));
    assert!(tells(again, 9), "nothing was forgotten");
    deliver(&journal, 9);
    assert!(!tells(again, 1) && !tells(again, 10), "a file was written again");
    // More failed than there is room for.
    let (looked, _) = doubt(standing_of(&journal, 10)).unwrap();
    journal.known().limit(3);
    (11..=13).for_each(|number| drop(begin(&journal, number)));
    assert!(tells(looked, 10));
    drop(begin(&journal, 14));
    assert!(!tells(looked, 10) && !tells(looked, 11));
}

/// How an attempt would stand that begins now.
fn standing_of(journal: &Journal, number: usize) -> Option<Standing> {
    let (key, micros) = key(number, "ann@example.org");
    match journal.known().stands(&key, micros) {
        Begun::Attempt(standing) => Some(standing),
        Begun::Done | Begun::Wait => None,
    }
}

#[test]
fn what_was_queued_before_we_started_may_have_been_delivered() {
    let id = DeliveryId::parse(&format!("{}.0", Id::new())).unwrap();
    let queued = id.micros();
    let table = [
        (queued + 3_600_000_000, true),
        (queued, true),
        // The clock may have been set back as much as this, and not more.
        (queued - CLOCK_STEP, true),
        (queued - CLOCK_STEP - 1, false),
    ];
    for (start, expected) in table {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path(), MANY, start).unwrap();
        let key = Key::of(id, "", "keep");
        let attempt = journal.begin_at(key, queued, MOMENT).unwrap().unwrap();
        let is_unsure = attempt.standing() != Standing::First;
        assert_eq!(is_unsure, expected, "{start} {queued}");
    }
}

#[test]
fn a_clock_that_is_set_right_tells_when_we_started() {
    const SECOND: u64 = 1_000_000;
    let start = DeliveryId::parse(&format!("{}.0", Id::new())).unwrap().micros();
    let table = [
        // (the clock, its reading of the start, queued), all after what it said at the start
        (100, 0, 60, false),
        // Behind by two minutes: the message was queued before the power cut.
        (1, 0, 60, true),
        // The same, once it is set right.
        (130, 120, 60, true),
        (130, 120, 124, true),
        (130, 120, 126, false),
        // As much as two clocks may be apart.
        (100, 0, 105, false),
        (100, 0, 106, true),
    ];
    for (now, started, queued, expected) in table {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path(), MANY, start).unwrap();
        let at = |seconds: u64| start + seconds * SECOND;
        journal.known().clock(at(now), at(started));
        assert_eq!(is_unsure(&journal, at(queued)), expected, "{now} {started} {queued}");
        // Set back once more, it takes nothing back.
        journal.known().clock(at(now.max(queued)), at(0));
        assert_eq!(is_unsure(&journal, at(queued)), queued <= started + 5, "{queued}");
    }
}

fn is_unsure(journal: &Journal, queued: u64) -> bool {
    let (key, _) = key(1, "ann@example.org");
    match journal.known().stands(&key, queued) {
        Begun::Attempt(standing) => standing != Standing::First,
        Begun::Done | Begun::Wait => panic!("nobody began it"),
    }
}

#[test]
fn the_oldest_is_forgotten_and_then_looked_for() {
    let directory = tempfile::tempdir().unwrap();
    // Two files of four records.
    let journal = open(&directory, 8);
    let under_way = begin(&journal, 0).unwrap();
    for number in [3, 2, 5, 4, 1, 6, 7, 8] {
        deliver(&journal, number);
    }
    assert!((1..=8).all(|number| begin(&journal, number).is_none()));
    deliver(&journal, 9);
    drop(under_way);
    for number in [0, 2, 3, 4, 5] {
        assert!(may_be_a_repeat(&journal, number), "{number}");
    }
    assert!([1, 6, 7, 8, 9].into_iter().all(|number| begin(&journal, number).is_none()));
    assert_eq!(standing(&journal, 10), Some(Standing::First));
    assert_eq!(files(&directory).len(), 2);
    // What the earlier use of a file left behind does not count.
    let again = open_again(&directory);
    assert!([1, 6, 7, 8, 9].into_iter().all(|number| begin(&again, number).is_none()));
    assert_eq!(again.known().keys_of(3).len(), 1);
}

#[test]
fn a_file_that_is_lost_meanwhile_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    // Two files of four records.
    let journal = open(&directory, 8);
    (1..=8).for_each(|number| deliver(&journal, number));
    fs::remove_file(&files(&directory)[0]).unwrap();
    (9..=12).for_each(|number| deliver(&journal, number));
    // A directory has the name: that cannot be opened, nor be removed.
    fs::remove_file(&files(&directory)[0]).unwrap();
    fs::create_dir(directory.path().join("deliveries.1")).unwrap();
    (13..=16).for_each(|number| deliver(&journal, number));
    assert!(journal.keeper.lock().unwrap().owed.is_empty());
    assert!((1..=8).all(|number| may_be_a_repeat(&journal, number)));
    let again = open_again_without_directories(&directory);
    for journal in [journal, again] {
        assert!((9..=16).all(|number| begin(&journal, number).is_none()));
    }
}

#[test]
fn full_files_are_all_read_and_no_more_than_there_may_be() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(&directory, 12);
    (0..12).for_each(|number| deliver(&journal, number));
    assert_eq!(files(&directory).len(), 2);
    drop(journal);
    let journal = open(&directory, 12);
    assert!((0..12).all(|number| begin(&journal, number).is_none()));
    drop(journal);
    // Fewer may be kept now, which is never less than two files.
    let journal = open(&directory, 1);
    deliver(&journal, 12);
    deliver(&journal, 13);
    assert_eq!(files(&directory).len(), 2);
    assert!(begin(&journal, 12).is_none() && begin(&journal, 13).is_none());
}

#[test]
fn what_mtad_will_not_repeat_makes_room() {
    let (directory, journal) = journal();
    // Small files, and many of them.
    let size = Size { records: 4, files: 25 };
    let below = directory.path().join("small");
    journal.keeper.lock().unwrap().files = Files::open(&below, size).unwrap().unwrap().0;
    for number in 0..40 {
        deliver(&journal, number);
        assert!(journal.known().forget_before(message(number.saturating_sub(4))).is_empty());
        assert!((number.saturating_sub(4)..=number).all(|n| begin(&journal, n).is_none()));
    }
    let count = fs::read_dir(&below).unwrap().count();
    assert_eq!(count, 1 + 3, "the lock, and files");
    assert!(may_be_a_repeat(&journal, 20));
    assert_eq!(standing(&journal, 40), Some(Standing::First));
}

#[test]
fn those_who_wait_share_a_sync() {
    let (directory, journal) = journal();
    let held = journal.keeper.lock().unwrap();
    thread::scope(|scope| {
        for number in 0..20 {
            let journal = &journal;
            scope.spawn(move || deliver(journal, number));
        }
        // All of them are in the line before anybody can write.
        while journal.line().joined < 20 {
            thread::yield_now();
        }
        drop(held);
    });
    assert!((0..20).all(|number| begin(&journal, number).is_none()));
    let records = fs::read(&files(&directory)[0]).unwrap();
    assert_eq!(records.len(), (20 + 4096) * 64, "room was made once");
    assert!((0..20).all(|number| begin(&open_again(&directory), number).is_none()));
}

#[test]
fn damage_costs_the_records_that_it_hits() {
    let (directory, journal) = journal();
    (0..10).for_each(|number| deliver(&journal, number));
    drop(journal);
    let path = &files(&directory)[0];
    let mut octets = fs::read(path).unwrap();
    octets[3 * 64 + 50] ^= 1;
    // The last one is torn, and the file ends in the middle of one.
    octets.truncate(9 * 64 + 32);
    fs::write(path, octets).unwrap();
    for _ in 0..2 {
        let journal = open(&directory, MANY);
        let missing: Vec<_> = (0..10).filter(|&n| begin(&journal, n).is_some()).collect();
        assert_eq!(missing, [3, 9]);
    }
    let journal = open(&directory, MANY);
    deliver(&journal, 9);
    deliver(&journal, 10);
    drop(journal);
    let journal = open(&directory, MANY);
    assert!([8, 9, 10].into_iter().all(|number| begin(&journal, number).is_none()));
    assert_eq!(files(&directory).len(), 1);
}

#[test]
fn garbage_is_no_journal() {
    let (directory, journal) = journal();
    deliver(&journal, 1);
    drop(journal);
    for (name, length) in [("1", 0), ("2", 1), ("3", 100_000), ("7", 63), ("x", 64)] {
        let octets: Vec<u8> = (0..length).map(|at: u32| (at * 7 % 251) as u8).collect();
        fs::write(directory.path().join(format!("deliveries.{name}")), octets).unwrap();
    }
    fs::write(directory.path().join("visible"), "garbage").unwrap();
    let journal = open(&directory, MANY);
    assert!(begin(&journal, 1).is_none());
    deliver(&journal, 2);
    drop(journal);
    let journal = open(&directory, MANY);
    assert!(begin(&journal, 1).is_none() && begin(&journal, 2).is_none());
}

#[test]
fn where_nothing_can_be_written_deliveries_go_on_and_are_recorded_later() {
    let (directory, journal) = journal();
    deliver(&journal, 1);
    // A directory has the name of the file that would be made.
    fs::create_dir(directory.path().join("deliveries.1")).unwrap();
    journal.keeper.lock().unwrap().files.lose();
    deliver(&journal, 2);
    deliver(&journal, 3);
    assert!((1..=3).all(|number| begin(&journal, number).is_none()));
    assert_eq!(journal.keeper.lock().unwrap().owed.len(), 2);
    assert!(begin(&open_again_without_directories(&directory), 2).is_some());
    fs::remove_dir(directory.path().join("deliveries.1")).unwrap();
    journal.keeper.lock().unwrap().resting = Some(Instant::now());
    deliver(&journal, 4);
    assert_eq!(files(&directory).len(), 1, "the one that was lost is gone");
    let again = open_again(&directory);
    for journal in [journal, again] {
        assert!((1..=4).all(|number| begin(&journal, number).is_none()));
    }
}

fn open_again_without_directories(directory: &TempDir) -> Journal {
    let copy = tempfile::tempdir().unwrap();
    for path in files(directory).into_iter().filter(|path| path.is_file()) {
        fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    open(&copy, MANY)
}

/// As just before readers see it, where the mailbox is this directory.
fn note(attempt: &Attempt<'_>, mailbox: &TempDir) {
    attempt.about_to_be_seen(&Dir::open(mailbox.path()).unwrap());
}

/// Whose `tmp` the note of this delivery names, if there is one that counts.
fn noted(journal: &Journal, number: usize) -> Option<u32> {
    match standing_of(journal, number) {
        Some(Standing::Noted(note, _)) if note.counts() => Some(note.tmp()),
        _ => None,
    }
}

fn checksum(mailbox: &TempDir) -> u32 {
    Dir::open(mailbox.path()).unwrap().identity().unwrap().checksum()
}

#[test]
fn what_readers_may_have_seen_is_known_to_the_next_process_of_this_boot() {
    let (directory, journal) = journal();
    let attempt = begin(&journal, 1).unwrap();
    note(&attempt, &directory);
    let next = open_again(&directory);
    assert_eq!(standing(&next, 2), Some(Standing::First));
    // That the mailbox cannot be looked at now changes nothing.
    for _ in 0..2 {
        assert_eq!(noted(&next, 1), Some(checksum(&directory)));
        drop(begin(&next, 1));
    }
    let seen = begin(&next, 1).unwrap();
    assert_eq!(seen.file_name(), attempt.file_name());
    next.delivered(seen);
    assert!(begin(&next, 1).is_none());
    // What failed is not known to have come so far.
    drop(attempt);
    assert!(may_be_a_repeat(&journal, 1));
    assert_eq!(standing(&open_again(&directory), 1), Some(Standing::First));
}

#[test]
fn what_failed_when_readers_saw_it_stays_noted() {
    let (directory, journal) = journal();
    let attempt = begin(&journal, 1).unwrap();
    note(&attempt, &directory);
    attempt.leave();
    let next = open_again(&directory);
    for journal in [&journal, &next] {
        // Nor does one that fails later make it untrue.
        for _ in 0..2 {
            assert_eq!(noted(journal, 1), Some(checksum(&directory)));
            drop(begin(journal, 1));
        }
        let again = begin(journal, 1).unwrap();
        journal.delivered(again);
        assert!(begin(journal, 1).is_none());
    }
    // Where nothing was noted, it failed as any other.
    begin(&journal, 2).unwrap().leave();
    assert!(may_be_a_repeat(&journal, 2));
}

#[test]
fn what_was_not_seen_is_not_noted_any_more() {
    let (directory, journal) = journal();
    let attempt = begin(&journal, 1).unwrap();
    note(&attempt, &directory);
    // The process dies, which ends no attempt.
    std::mem::forget(attempt);
    drop(journal);
    let journal = open(&directory, MANY);
    let again = begin(&journal, 1).unwrap();
    assert!(again.take_back() && again.take_back());
    assert_eq!(standing(&open_again(&directory), 1), Some(Standing::First));
    // Its own note is another one.
    let other = tempfile::tempdir().unwrap();
    note(&again, &other);
    assert_eq!(noted(&open_again(&directory), 1), Some(checksum(&other)));
    assert!(again.was_not_seen());
    assert_eq!(standing(&open_again(&directory), 1), Some(Standing::First));
    note(&again, &directory);
    drop(again);
    assert_eq!(standing(&open_again(&directory), 1), Some(Standing::First));
}

#[test]
fn a_note_that_cannot_be_taken_back_is_known_until_it_is() {
    let (directory, journal) = journal();
    let attempt = begin(&journal, 1).unwrap();
    note(&attempt, &directory);
    journal.notes.lose();
    assert!(!attempt.was_not_seen());
    drop(attempt);
    assert!(noted(&journal, 1).is_some());
    let again = begin(&journal, 1).unwrap();
    assert!(!again.take_back());
    drop(again);
    assert!(noted(&open_again(&directory), 1).is_some());
    // And none that cannot be taken is believed to be there.
    let other = begin(&journal, 2).unwrap();
    note(&other, &directory);
    assert!(other.was_not_seen());
    drop(other);
    assert!(noted(&journal, 2).is_none());
}

#[test]
fn notes_that_cannot_be_opened_are_made_anew_or_done_without() {
    let (directory, journal) = journal();
    drop(journal);
    let visible = directory.path().join("visible");
    // Nobody reads it, so it cannot be opened for writing.
    fs::remove_file(&visible).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&visible).status().unwrap();
    assert!(made.success());
    let journal = open(&directory, MANY);
    let attempt = begin(&journal, 1).unwrap();
    note(&attempt, &directory);
    assert!(noted(&open_again(&directory), 1).is_some());
    journal.delivered(attempt);
    drop(journal);
    // It has the name, and does not go away.
    fs::remove_file(&visible).unwrap();
    fs::create_dir(&visible).unwrap();
    let journal = open(&directory, MANY);
    assert!(begin(&journal, 1).is_none());
    let attempt = begin(&journal, 2).unwrap();
    note(&attempt, &directory);
    assert!(attempt.was_not_seen(), "nothing is noted");
    journal.delivered(attempt);
    assert!(begin(&journal, 2).is_none());
}

#[test]
fn an_old_note_and_one_of_another_boot_say_nothing() {
    let (key, _) = key(1, "ann@example.org");
    let now = Noted::now(7).seconds;
    let table = [
        (maildir::boot(), now, true),
        (maildir::boot(), now + 600, true),
        (maildir::boot(), now - 86_000, true),
        (maildir::boot(), now - 86_500, false),
        (maildir::boot(), now + 86_500, false),
        ([1; 16], now, false),
    ];
    for (boot, seconds, expected) in table {
        let (directory, journal) = journal();
        drop(journal);
        let note = Noted { seconds, tmp: 7 };
        let note = record::encode(record::Word::Noted { boot, note }, &key);
        fs::write(directory.path().join("visible"), note.repeat(1024)).unwrap();
        let noted = noted(&open(&directory, MANY), 1);
        assert_eq!(noted, expected.then_some(7), "{seconds}");
    }
}

#[test]
fn notes_are_as_many_as_there_is_room_for_and_places_are_used_again() {
    let (directory, journal) = journal();
    let attempts: Vec<_> = (0..1100).map(|number| begin(&journal, number).unwrap()).collect();
    attempts.iter().for_each(|attempt| note(attempt, &directory));
    assert_eq!(fs::metadata(directory.path().join("visible")).unwrap().len(), 1024 * 64);
    attempts.into_iter().for_each(|attempt| journal.delivered(attempt));
    drop(journal);
    // All places have notes, of deliveries that are recorded.
    let journal = open(&directory, MANY);
    let next = begin(&journal, 2000).unwrap();
    note(&next, &directory);
    let again = open_again(&directory);
    drop(begin(&again, 2000));
    assert!(noted(&again, 2000).is_some());
    again.notes.free(again.known().forget_before(message(2000)));
    assert!(noted(&again, 2000).is_some());
    again.notes.free(again.known().forget_before(message(2001)));
    assert!(may_be_a_repeat(&again, 2000));
    assert!((0..1100).all(|number| begin(&again, number).is_none()));
}

#[test]
fn one_process_has_it() {
    let (directory, _journal) = journal();
    let error = Journal::open(directory.path(), MANY, 0).unwrap_err();
    assert!(matches!(error, JournalError::Taken), "{error}");
}

#[test]
fn an_attempt_waits_for_the_other_one_s_end() {
    for delivers in [true, false] {
        let (_directory, journal) = journal();
        let first = begin(&journal, 1).unwrap();
        thread::scope(|scope| {
            let second = scope.spawn(|| standing(&journal, 1));
            thread::sleep(Duration::from_millis(50));
            assert!(!second.is_finished(), "it waits");
            assert_eq!(standing(&journal, 2), Some(Standing::First));
            if delivers {
                journal.delivered(first);
            } else {
                drop(first);
            }
            let second = second.join().unwrap();
            assert_eq!((second.is_none(), doubt(second).is_some()), (delivers, !delivers));
        });
    }
}

#[test]
fn nobody_waits_for_ever_for_the_other_one_s_end() {
    let (_directory, journal) = journal();
    let first = begin(&journal, 1).unwrap();
    let (key, micros) = key(1, "ann@example.org");
    for _ in 0..2 {
        assert!(journal.begin_at(key, micros, Duration::ZERO).is_err());
    }
    // It is recorded when it ends.
    journal.delivered(first);
    assert!(journal.begin_at(key, micros, Duration::ZERO).unwrap().is_none());
}

#[test]
fn a_panic_ends_an_attempt() {
    let (_directory, journal) = journal();
    let died = thread::scope(|scope| {
        let work = || {
            let _attempt = begin(&journal, 1);
            panic!("in the middle of it");
        };
        scope.spawn(work).join()
    });
    assert!(died.is_err());
    assert!(may_be_a_repeat(&journal, 1));
}
