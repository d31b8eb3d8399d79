//! The spool as a whole.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use std::{fs, thread};

use mail_common::disk::Dir;
use mail_common::log::Id;
use mail_proto::address::ReversePath;
use mail_proto::smtp::Recipient;
use tempfile::TempDir;

use crate::cleaner::{self, Spared, Task};
use crate::copies::Copies;
use crate::fsck::Finding;
use crate::index::Phase;
use crate::record::{BLOCK, Part, TEXT_LIMIT};
use crate::recovery::{self, Directories, Missed};
use crate::row::{Place, Row};
use crate::scan::faults::withhold;
use crate::upkeep::{checkpoint, look};
use crate::{Damage, Letter, Message, Progress, Settings, Spool, SpoolError, State, fsck};

fn small() -> Settings {
    Settings { segment: 1 << 20, small_body: 64 << 10, ..Settings::default() }
}

fn open(directory: &TempDir) -> Spool {
    open_with(directory, small())
}

/// With all that was there before.
fn open_with(directory: &TempDir, settings: Settings) -> Spool {
    let (spool, recovered) = Spool::open(directory.path(), settings).unwrap();
    recovered.for_each(drop);
    spool
}

fn letter() -> Letter {
    let recipients = ["ann@example.org", "joe@example.com"];
    let recipients = recipients.map(|to| Recipient::new(to.parse().unwrap())).into();
    let sender = ReversePath(Some("bob@example.net".parse().unwrap()));
    let letter = Letter::new(Id::new(), 1_795_363_200_000_000, sender, recipients);
    Letter { eight_bit: true, ..letter }
}

fn message(spool: &Spool, text: &[u8]) -> Arc<Message> {
    let mut incoming = spool.begin(letter());
    for block in text.chunks(4000) {
        assert!(incoming.write(block.to_vec()).unwrap().is_empty());
    }
    Arc::new(incoming.finish().unwrap())
}

/// Asks for something and waits until it is durable.
fn wait(ask: impl FnOnce(crate::Then)) -> Result<(), SpoolError> {
    let (sender, receiver) = mpsc::channel();
    ask(Box::new(move |result| sender.send(result).unwrap()));
    receiver.recv().unwrap()
}

fn add(spool: &Spool, text: &[u8]) -> Id {
    try_to_add(spool, text).unwrap()
}

fn try_to_add(spool: &Spool, text: &[u8]) -> Result<Id, SpoolError> {
    let message = message(spool, text);
    let id = message.letter.id;
    wait(|then| spool.commit(message, then)).map(|()| id)
}

/// With two messages, `one` and `two`.
fn with_two(directory: &TempDir) -> (Spool, [Id; 2]) {
    let spool = open(directory);
    let ids = [&b"one"[..], b"two"].map(|text| add(&spool, text));
    (spool, ids)
}

fn finish(spool: &Spool, id: Id) {
    wait(|then| spool.finish(id, then)).unwrap();
}

fn read(spool: &Spool, id: Id) -> Vec<u8> {
    spool.body(id).unwrap().whole().unwrap()
}

fn random(length: usize) -> Vec<u8> {
    let mut state = length as u64 + 1;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Of all that are here, in their order.
fn ids(spool: &Spool) -> Vec<Id> {
    let mut ids = Vec::new();
    spool.rows(|row| ids.push(row.id));
    ids.sort_unstable();
    ids
}

fn row(spool: &Spool, id: Id) -> Row {
    spool.row(id).unwrap()
}

/// The segment in which a record stands.
fn segment(directory: &TempDir, place: Place) -> PathBuf {
    directory.path().join(format!("segments/{:08x}", place.slot))
}

/// Changes a bit of an octet of a record; done twice, it is whole again.
fn flip(directory: &TempDir, place: Place, octet: usize) {
    let path = segment(directory, place);
    let mut octets = fs::read(&path).unwrap();
    octets[place.offset() as usize + octet] ^= 1;
    fs::write(&path, octets).unwrap();
}

/// A start that the disk withholds something from.
fn refused(directory: &TempDir) -> String {
    let opened = Spool::open(directory.path(), small());
    opened.map_or_else(|error| error.to_string(), |_| "opened".to_owned())
}

fn segments(directory: &TempDir) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory.path().join("segments")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn count(path: &Path) -> usize {
    fs::read_dir(path).unwrap().count()
}

#[test]
fn what_many_commit_at_once_is_there_after_a_restart() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory);
    let texts: Vec<Vec<u8>> = (0..32).map(|number| random(number * 157)).collect();
    let ids: Vec<Vec<Id>> = thread::scope(|scope| {
        let spool = &spool;
        let add_all = |text: &'_ Vec<u8>| (0..20).map(|_| add(spool, text)).collect::<Vec<_>>();
        let threads: Vec<_> = texts.iter().map(|text| scope.spawn(move || add_all(text))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let counts = spool.counts();
    assert_eq!(counts.records.load(SeqCst), 32 * 20);
    let check = |spool: &Spool| {
        assert_eq!(spool.len(), 32 * 20);
        for (text, ids) in texts.iter().zip(&ids) {
            for &id in ids {
                let entry = spool.entry(id).unwrap().unwrap();
                assert_eq!(entry.letter, Letter { id, ..letter() });
                assert_eq!(entry.progress, Progress::new(&entry.letter));
                assert_eq!(entry.size, text.len() as u64);
                assert_eq!(read(spool, id), *text);
            }
        }
    };
    check(&spool);
    drop(spool);
    check(&open(&directory));
}

#[test]
fn what_waits_at_the_same_time_shares_one_sync() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory);
    // The writer is kept busy while 100 more come.
    let (hold, held) = mpsc::channel::<()>();
    let (sender, receiver) = mpsc::channel();
    spool.commit(message(&spool, b"first"), Box::new(move |_| held.recv().unwrap()));
    for number in 0..100 {
        let sender = sender.clone();
        let then = Box::new(move |result: Result<(), _>| sender.send((number, result)).unwrap());
        spool.commit(message(&spool, b"x"), then);
    }
    while spool.counts().commits.load(SeqCst) == 0 {
        thread::yield_now();
    }
    hold.send(()).unwrap();
    let order: Vec<i32> = (0..100).map(|_| receiver.recv().unwrap().0).collect();
    assert_eq!(order, (0..100).collect::<Vec<_>>());
    let counts = spool.counts();
    assert!(counts.commits.load(SeqCst) <= 3, "{counts:?}");
    assert_eq!(counts.records.load(SeqCst), 101);
}

#[test]
fn progress_replaces_progress_and_done_ends_it() {
    let directory = TempDir::new().unwrap();
    let mut spool = open(&directory);
    let id = add(&spool, b"text");
    let mut progress = spool.entry(id).unwrap().unwrap().progress;
    for attempts in 1..4 {
        progress.set(0, State::Delivered);
        progress.set(1, State::Waiting(Some("450 later".into())));
        (progress.attempts, progress.due) = (attempts, 42_000_000 * u64::from(attempts));
        wait(|then| spool.record(id, &progress, then)).unwrap();
        assert_eq!(spool.entry(id).unwrap().unwrap().progress, progress);
        let row = row(&spool, id);
        assert_eq!((row.attempts, row.due, row.waiting), (attempts as u16, 42 * attempts, 1));
        assert_eq!(spool.name(row.destination), "example.com");
        assert_eq!(spool.name(row.reason), "450 later");
        drop(spool);
        spool = open(&directory);
        assert_eq!(spool.entry(id).unwrap().unwrap().progress, progress);
    }
    finish(&spool, id);
    assert_eq!(spool.entry(id).unwrap(), None);
    assert!(matches!(spool.body(id), Err(SpoolError::Unknown(_))));
    finish(&spool, id);
    let unknown = wait(|then| spool.record(id, &progress, then)).unwrap_err();
    assert!(matches!(unknown, SpoolError::Unknown(_)), "{unknown}");
    drop(spool);
    assert!(open(&directory).is_empty());
}

#[test]
fn an_envelope_is_changed_and_the_body_stays() {
    let directory = TempDir::new().unwrap();
    let mut spool = open(&directory);
    for text in [random(5000), random(100_000)] {
        let id = add(&spool, &text);
        let mut entry = spool.entry(id).unwrap().unwrap();
        entry.progress.attempts = 1;
        wait(|then| spool.record(id, &entry.progress, then)).unwrap();
        entry.letter.recipients[0].address = "new@example.edu".parse().unwrap();
        wait(|then| spool.change(&entry.letter, then)).unwrap();
        for _ in 0..2 {
            assert_eq!(spool.entry(id).unwrap().unwrap(), entry);
            assert_eq!(read(&spool, id), text);
            assert_eq!(spool.name(row(&spool, id).destination), "example.edu");
            drop(spool);
            spool = open(&directory);
        }
    }
}

#[test]
fn large_bodies_have_files_of_their_own() {
    let directory = TempDir::new().unwrap();
    let big = directory.path().join("big");
    let mut spool = open(&directory);
    let text = random(70_000);
    let message = message(&spool, &text);
    let id = message.letter.id;
    assert_eq!(message.body().unwrap().whole().unwrap(), text);
    wait(|then| spool.commit(Arc::clone(&message), then)).unwrap();
    drop(message);
    assert_eq!(fs::read(big.join(id.as_str())).unwrap(), text);
    assert!(row(&spool, id).letter.units <= 8, "the body is not in the segment");
    let never = spool.begin(letter());
    drop(never);
    drop(self::message(&spool, &text));
    assert_eq!(count(&big), 1, "what was not committed leaves nothing");
    drop(spool);
    // Killed between the sync of the body and the commit.
    fs::write(big.join("0abcdef"), "never promised").unwrap();
    fs::write(big.join("0abcdeg.posthorn-tmp"), "not even whole").unwrap();
    spool = open(&directory);
    assert_eq!(read(&spool, id), text);
    finish(&spool, id);
    spool.close();
    assert_eq!(count(&big), 0);
}

#[test]
fn short_memory_sends_bodies_to_the_disk() {
    let directory = TempDir::new().unwrap();
    let spool = open_with(&directory, Settings { receive_memory: 100_000, ..small() });
    let text = random(30_000);
    let messages: Vec<_> = (0..5).map(|_| message(&spool, &text)).collect();
    let in_files = count(&directory.path().join("big"));
    assert!((1..5).contains(&in_files), "{in_files}");
    for message in &messages {
        assert_eq!(message.body().unwrap().whole().unwrap(), text);
    }
    drop(messages);
    assert_eq!(count(&directory.path().join("big")), 0);
    drop(message(&spool, &text));
    let mut incoming = spool.begin(letter());
    let block = incoming.write(b"x".to_vec()).unwrap();
    assert!(block.capacity() > 0, "memory is used again");
}

#[test]
fn two_cannot_have_one_spool() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory);
    let clone = spool.clone();
    drop(spool);
    let other = || Spool::open(directory.path(), small()).map(|_| ());
    assert!(matches!(other(), Err(SpoolError::Taken(_))));
    clone.close();
    other().unwrap();
    fs::write(directory.path().join("format"), "posthorn spool 2\n").unwrap();
    assert!(matches!(other(), Err(SpoolError::Format(_))));
}

#[test]
fn a_directory_with_something_else_in_it_does_not_become_a_spool() {
    let directory = TempDir::new().unwrap();
    let other = || Spool::open(directory.path(), small()).map(|_| ());
    fs::create_dir(directory.path().join("messages")).unwrap();
    assert!(matches!(other(), Err(SpoolError::Foreign { name, .. }) if name == "messages"));
    assert!(!directory.path().join("format").exists());
    fs::rename(directory.path().join("messages"), directory.path().join("lost+found")).unwrap();
    other().unwrap();
}

#[test]
fn what_is_asked_for_after_the_end_is_refused() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory);
    let (late, message) = (spool.clone(), message(&spool, b"late"));
    spool.close();
    let refused = wait(|then| late.commit(message, then)).unwrap_err();
    assert!(matches!(refused, SpoolError::Stopped), "{refused}");
    drop(late);
    assert!(open(&directory).is_empty());
}

#[test]
fn the_queue_has_a_limit() {
    let directory = TempDir::new().unwrap();
    let spool = open_with(&directory, Settings { messages: 3, ..small() });
    let ids: Vec<_> = (0..3).map(|_| add(&spool, b"x")).collect();
    let refused = try_to_add(&spool, b"x").unwrap_err();
    assert!(matches!(refused, SpoolError::TooMany(3)) && refused.is_temporary(), "{refused}");
    finish(&spool, ids[0]);
    add(&spool, b"x");
}

/// Every commit begins in a block of its own.
#[test]
fn no_commit_touches_a_block_of_an_earlier_one() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory);
    let mut seen: Vec<(PathBuf, u64, Vec<u8>)> = Vec::new();
    for number in 0..40 {
        let before = spool.counts().octets.load(SeqCst);
        let id = add(&spool, &random(number * 300));
        let written = spool.counts().octets.load(SeqCst) - before;
        let place = row(&spool, id).letter;
        let path = segment(&directory, place);
        let start = place.offset();
        assert_eq!(start % BLOCK, 0);
        let header = if start == BLOCK { BLOCK } else { 0 };
        let start = start - header;
        let octets = fs::read(&path).unwrap();
        seen.push((path, start, octets[start as usize..(start + written) as usize].to_vec()));
        for (path, start, octets) in &seen {
            let now = fs::read(path).unwrap();
            assert_eq!(&now[*start as usize..*start as usize + octets.len()], octets);
        }
    }
}

#[test]
fn a_failed_sync_refuses_who_waits_and_keeps_the_rest() {
    for faults in [(0, 1), (1, 0)] {
        let directory = TempDir::new().unwrap();
        let spool = open(&directory);
        let before: Vec<_> = (0..3).map(|number| (add(&spool, &random(number)), number)).collect();
        let shared = &spool.owner().shared;
        shared.segments.faults.writes.store(faults.0, SeqCst);
        shared.segments.faults.syncs.store(faults.1, SeqCst);
        let slot = row(&spool, before[0].0).letter.slot;
        let big = message(&spool, &random(70_000));
        let refused = wait(|then| spool.commit(big, then)).unwrap_err();
        assert!(matches!(refused, SpoolError::Disk(_)) && refused.is_temporary(), "{refused}");
        assert_eq!(refused.is_full(), faults.0 == 1);
        assert_eq!(count(&directory.path().join("big")), 0);
        assert_eq!(spool.len(), 3);
        let after = add(&spool, b"after");
        assert_ne!(row(&spool, after).letter.slot, slot, "nothing is written there any more");
        let check = |spool: &Spool| {
            assert_eq!(spool.len(), 4);
            assert_eq!(read(spool, after), b"after");
            for &(id, number) in &before {
                assert_eq!(read(spool, id), random(number));
            }
        };
        check(&spool);
        drop(spool);
        check(&open(&directory));
    }
}

/// What is alive in a segment a sync of which failed is copied, and what is damaged there is put
/// aside.
#[test]
fn a_sealed_segment_is_emptied() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory);
    let texts: Vec<_> = (0..60).map(|number| random(number * 10)).collect();
    let ids: Vec<_> = texts.iter().map(|text| add(&spool, text)).collect();
    let mut progress = spool.entry(ids[1]).unwrap().unwrap().progress;
    progress.attempts = 7;
    wait(|then| spool.record(ids[1], &progress, then)).unwrap();
    let places: Vec<_> = ids.iter().map(|&id| row(&spool, id).letter).collect();
    flip(&directory, places[0], 80);
    let slot = row(&spool, ids[59]).letter.slot;
    spool.owner().shared.segments.faults.syncs.store(1, SeqCst);
    try_to_add(&spool, b"refused").unwrap_err();
    let stands_there = |id: &Id| {
        let row = spool.row(*id);
        row.is_some_and(|row| {
            [Some(row.letter), row.progress].iter().flatten().any(|place| place.slot == slot)
        })
    };
    while ids.iter().any(stands_there) {
        thread::yield_now();
    }
    let check = |spool: &Spool| {
        for (number, (id, text)) in ids.iter().zip(&texts).enumerate() {
            if number == 0 {
                assert_eq!(spool.entry(*id).unwrap(), None);
                continue;
            }
            assert_eq!(read(spool, *id), *text, "{number}");
        }
        assert_eq!(spool.entry(ids[1]).unwrap().unwrap().progress, progress);
    };
    check(&spool);
    drop(spool);
    check(&open(&directory));
}

/// Its record says nothing any more, but a person can read its body.
#[test]
fn the_whole_body_of_a_damaged_letter_is_kept() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory);
    let text = random(70_000);
    let (id, other) = (add(&spool, &text), add(&spool, b"other"));
    let place = row(&spool, id).letter;
    flip(&directory, place, 80);
    spool.owner().shared.segments.faults.syncs.store(1, SeqCst);
    try_to_add(&spool, b"refused").unwrap_err();
    while spool.row(id).is_some() || row(&spool, other).letter.slot == place.slot {
        thread::yield_now();
    }
    assert_eq!(fs::read(directory.path().join("corrupt").join(id.as_str())).unwrap(), text);
    assert_eq!(count(&directory.path().join("big")), 0);
    spool.close();
    assert_eq!(open(&directory).len(), 1);
}

/// Its envelope holds: whoever tries it is told what is wrong, and it is held for a person.
#[test]
fn a_letter_whose_body_is_damaged_stays() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory);
    let (id, other) = (add(&spool, &random(20_000)), add(&spool, b"other"));
    let place = row(&spool, id).letter;
    flip(&directory, place, 10_000);
    spool.owner().shared.segments.faults.syncs.store(1, SeqCst);
    try_to_add(&spool, b"refused").unwrap_err();
    until(|| row(&spool, other).letter.slot != place.slot);
    spool.close();
    let spool = open(&directory);
    assert_eq!(row(&spool, id).letter, place);
    assert_eq!(spool.entry(id).unwrap().unwrap().letter.id, id);
    let mut body = spool.body(id).unwrap();
    let told = std::iter::repeat_with(|| body.block()).find_map(Result::err).unwrap();
    assert!(matches!(told, Damage::Checksum), "{told}");
}

/// The failed commit reached the disk after all; the seal says that it does not count.
#[test]
fn what_was_refused_does_not_come_back() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory);
    let first = add(&spool, b"first");
    spool.owner().shared.segments.faults.syncs.store(1, SeqCst);
    try_to_add(&spool, b"refused").unwrap_err();
    let last = add(&spool, b"last");
    drop(spool);
    let spool = open(&directory);
    assert_eq!(ids(&spool), [first, last]);
}

#[test]
fn a_full_disk_takes_no_letters_but_lets_them_go() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory);
    let mut ids = vec![add(&spool, b"first")];
    // Nothing more can be made.
    spool.owner().shared.segments.faults.zeros.store(u32::MAX, SeqCst);
    let refused = loop {
        match try_to_add(&spool, &random(60_000)) {
            Ok(id) => ids.push(id),
            Err(refused) => break refused,
        }
    };
    assert!(refused.is_full() && refused.is_temporary(), "{refused}");
    assert!(ids.len() > 5);
    finish(&spool, ids[0]);
    assert_eq!(spool.entry(ids[0]).unwrap(), None);
    spool.owner().shared.segments.faults.zeros.store(0, SeqCst);
    while try_to_add(&spool, &random(60_000)).is_err() {
        thread::yield_now();
    }
    for &id in &ids[1..] {
        assert_eq!(spool.entry(id).unwrap().unwrap().letter.id, id);
    }
}

/// The spare of the disk is for what becomes of letters, also after a restart.
#[test]
fn the_last_of_the_disk_lets_letters_go() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory);
    let id = add(&spool, b"first");
    drop(spool);
    let spool = open(&directory);
    let shared = &spool.owner().shared;
    // The segment that was made ready is too short for this, and there is no room for letters.
    shared.segments.faults.spared.store(1, SeqCst);
    let refused = loop {
        if let Err(refused) = try_to_add(&spool, &random(60_000)) {
            break refused;
        }
    };
    assert!(refused.is_full(), "{refused}");
    for _ in 0..100 {
        wait(|then| spool.record(id, &spool.entry(id).unwrap().unwrap().progress, then)).unwrap();
    }
    try_to_add(&spool, &random(60_000)).unwrap_err();
    finish(&spool, id);
    shared.segments.faults.spared.store(0, SeqCst);
    while try_to_add(&spool, &random(60_000)).is_err() {
        thread::yield_now();
    }
}

#[test]
fn segments_are_used_again() {
    let directory = TempDir::new().unwrap();
    let mut spool = open(&directory);
    let stays = add(&spool, b"stays");
    for round in 0..4 {
        for _ in 0..60 {
            let id = add(&spool, &random(50_000));
            spool.finish(id, Box::new(Result::unwrap));
        }
        spool.close();
        spool = open(&directory);
        let there = segments(&directory).len();
        assert!(there <= 16, "round {round}: {there}");
    }
    assert_eq!(read(&spool, stays), b"stays");
    assert_eq!(spool.len(), 1);
}

/// Whatever octet of a body is lost, it is not read to its end.
#[test]
fn a_damaged_body_never_ends() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory);
    for length in [16, 300, 64 << 10, 70_000] {
        let text = random(length);
        let id = add(&spool, &text);
        let place = row(&spool, id).letter;
        let path = match length {
            70_000 => directory.path().join("big").join(id.as_str()),
            _ => segment(&directory, place),
        };
        let whole = fs::read(&path).unwrap();
        let start = whole.windows(length).position(|octets| octets == text).unwrap();
        for at in [start, start + length / 2, start + length - 1] {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x20;
            fs::write(&path, damaged).unwrap();
            let mut body = spool.body(id).unwrap();
            let mut read = 0;
            let damage = loop {
                match body.block() {
                    Ok(block) => {
                        assert!(!block.is_empty(), "the end was said after {read} octets");
                        read += block.len();
                    }
                    Err(damage) => break damage,
                }
            };
            assert!(matches!(damage, Damage::Checksum) && read < length, "{damage}");
            assert!(body.block().is_err(), "and it stays so");
        }
        fs::write(&path, &whole[..start + length / 2]).unwrap();
        let cut = spool.body(id).unwrap().whole().unwrap_err();
        assert!(matches!(cut, Damage::Cut), "{cut}");
        fs::write(&path, whole).unwrap();
        assert_eq!(self::read(&spool, id), text);
    }
}

#[test]
fn a_damaged_envelope_is_told() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory);
    let id = add(&spool, b"text");
    let place = row(&spool, id).letter;
    for octet in [0, 8, 30, 40, 63, 70] {
        flip(&directory, place, octet);
        let told = spool.entry(id).unwrap_err();
        assert!(matches!(told, SpoolError::Damaged { .. }), "octet {octet}: {told}");
        spool.body(id).unwrap_err();
        flip(&directory, place, octet);
        spool.entry(id).unwrap();
    }
}

/// Who got the message already would get it again.
#[test]
fn a_progress_that_cannot_be_read_is_not_none() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory);
    let id = add(&spool, b"text");
    drop(spool);
    // In another segment than the letter.
    let spool = open(&directory);
    let mut progress = spool.entry(id).unwrap().unwrap().progress;
    progress.set(0, State::Delivered);
    wait(|then| spool.record(id, &progress, then)).unwrap();
    let Row { letter, progress: Some(place), .. } = row(&spool, id) else { panic!("recorded") };
    assert_ne!(letter.slot, place.slot);
    let path = segment(&directory, place);
    let elsewhere = directory.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    let told = spool.entry(id).unwrap_err();
    assert!(matches!(told, SpoolError::Damaged { damage: Damage::Unreadable(_), .. }), "{told}");
    assert!(told.is_temporary());
    fs::rename(&elsewhere, &path).unwrap();
    assert_eq!(spool.entry(id).unwrap().unwrap().progress, progress);
    // Damaged it is lost, and all are tried again.
    flip(&directory, place, 66);
    let entry = spool.entry(id).unwrap().unwrap();
    assert_eq!(entry.progress, Progress::new(&entry.letter));
}

#[test]
fn headers_are_read_alone() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory);
    let table: [(&[u8], usize, &[u8]); 4] = [
        (b"A: b\r\nC: d\r\n\r\nbody", 100, b"A: b\r\nC: d\r\n"),
        (b"A: b\r\nC: d\r\n\r\nbody", 4, b"A: b"),
        (b"A: b\r\n", 100, b"A: b\r\n"),
        (b"", 100, b""),
    ];
    for (text, limit, header) in table {
        let id = add(&spool, text);
        assert_eq!(spool.body(id).unwrap().header(limit).unwrap(), header);
    }
}

/// The first commit of the newest segment was torn when the power went, and its header with it.
#[test]
fn what_is_written_comes_after_the_checkpoint_whatever_was_lost() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory);
    let first = add(&spool, b"first");
    spool.close();
    let text = fs::read(&segments(&directory)[0]).unwrap();
    for _ in 0..8 {
        let spool = open(&directory);
        finish(&spool, add(&spool, b"x"));
        spool.close();
        for path in &segments(&directory)[1..] {
            fs::write(path, [0; 4096]).unwrap();
        }
        assert_eq!(fs::read(&segments(&directory)[0]).unwrap(), text);
        let spool = open(&directory);
        let id = add(&spool, b"after");
        drop(spool);
        let spool = open(&directory);
        assert_eq!(read(&spool, id), b"after");
        assert_eq!(read(&spool, first), b"first");
        finish(&spool, id);
        spool.close();
    }
}

/// Many take, try, read and finish at once, while checkpoints are taken and segments used again.
#[test]
fn nothing_is_lost_in_the_crowd() {
    let settings = || Settings { checkpoint: 256 << 10, ..small() };
    let directory = TempDir::new().unwrap();
    let mut spool = open_with(&directory, settings());
    let mut left: Vec<(Id, usize, u32)> = Vec::new();
    for round in 0..3 {
        let more: Vec<_> = thread::scope(|scope| {
            let spool = &spool;
            let threads: Vec<_> =
                (0..6).map(|seed| scope.spawn(move || crowd(spool, round * 6 + seed))).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        left.extend(more);
        // Closed, or as if killed.
        match round {
            0 => spool.close(),
            _ => drop(spool),
        }
        spool = open_with(&directory, settings());
        assert_eq!(spool.len(), left.len());
        for &(id, length, attempts) in &left {
            assert_eq!(read(&spool, id), random(length), "{length}");
            assert_eq!(spool.entry(id).unwrap().unwrap().progress.attempts, attempts);
        }
    }
    spool.close();
    let mut findings = Vec::new();
    fsck(directory.path(), &mut |finding| findings.push(finding.to_string())).unwrap();
    assert!(findings.is_empty(), "{findings:#?}");
    let there = segments(&directory).len();
    assert!(there < 20, "segments are used again: {there} hold 27 MiB of log");
}

/// What is left of one who takes 100 messages, tries each third and finishes all but the last.
fn crowd(spool: &Spool, seed: usize) -> Vec<(Id, usize, u32)> {
    let mut left = Vec::new();
    for number in 0..100 {
        let length = (number * 997 + seed * 7919) % 30_000;
        let length = if number == 50 { 70_000 } else { length };
        let id = add(spool, &random(length));
        let mut body = spool.body(id).unwrap();
        let attempts = u32::from(number % 3 == 0);
        if attempts > 0 {
            let mut progress = spool.entry(id).unwrap().unwrap().progress;
            progress.attempts = attempts;
            spool.record(id, &progress, Box::new(Result::unwrap));
        }
        if number >= 95 {
            left.push((id, length, attempts));
        } else {
            spool.finish(id, Box::new(Result::unwrap));
        }
        // It is read to its end even if it is finished.
        let first = body.block().unwrap();
        let text = [first, body.whole().unwrap()].concat();
        assert_eq!(text, random(length));
    }
    left
}

/// With segments that no checkpoint needs any more.
fn open_after_long_queue(directory: &TempDir, messages: usize) -> Spool {
    let mut spool = open(directory);
    let ids: Vec<_> = (0..messages).map(|_| add(&spool, &random(60_000))).collect();
    ids.into_iter().for_each(|id| spool.finish(id, Box::new(Result::unwrap)));
    for _ in 0..2 {
        spool.close();
        spool = open(directory);
    }
    spool
}

#[test]
fn the_disk_gets_back_what_a_long_queue_took() {
    let directory = TempDir::new().unwrap();
    let spool = open_after_long_queue(&directory, 24 * 16);
    let many = segments(&directory).len();
    for _ in 0..many {
        let before = segments(&directory).len();
        spool.owner().shared.upkeep.call(crate::upkeep::Call::Look);
        while before > 20 && segments(&directory).len() == before {
            thread::yield_now();
        }
    }
    assert!(many > 22 && segments(&directory).len() <= 20, "{many}");
    assert_eq!(read(&spool, add(&spool, b"x")), b"x");
}

/// Waits for what the spool does by itself.
fn until(mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < end, "it never came");
        thread::yield_now();
    }
}

/// What lets letters go takes a segment, and then no letter asks for another.
#[test]
fn mail_is_taken_again_once_the_disk_has_room() {
    let directory = TempDir::new().unwrap();
    let spool = open_with(&directory, Settings::default());
    let id = add(&spool, b"first");
    let full = row(&spool, id).letter.slot;
    let shared = &spool.owner().shared;
    shared.segments.faults.spared.store(1, SeqCst);
    while try_to_add(&spool, &random(60_000)).is_ok() {}
    let progress = spool.entry(id).unwrap().unwrap().progress;
    while row(&spool, id).progress.is_none_or(|place| place.slot == full) {
        wait(|then| spool.record(id, &progress, then)).unwrap();
    }
    assert!(try_to_add(&spool, &random(60_000)).unwrap_err().is_full());
    shared.segments.faults.spared.store(0, SeqCst);
    until(|| !shared.ahead.is_short());
    add(&spool, &random(60_000));
}

/// Its sender has sent it again since.
#[test]
fn what_was_refused_does_not_come_back_after_a_stop() {
    for (is_closed, is_begun, faults) in
        [(true, true, 1), (true, false, 1), (false, true, 1), (true, false, 2)]
    {
        let directory = TempDir::new().unwrap();
        let spool = open(&directory);
        let first = add(&spool, b"first");
        spool.close();
        let spool = open(&directory);
        if is_begun {
            finish(&spool, add(&spool, b"x"));
        }
        spool.owner().shared.segments.faults.syncs.store(faults, SeqCst);
        for _ in 0..faults {
            try_to_add(&spool, b"refused").unwrap_err();
        }
        match is_closed {
            true => spool.close(),
            false => drop(spool),
        }
        let mut ids = Vec::new();
        open(&directory).rows(|row| ids.push(row.id));
        assert_eq!(ids, [first], "closed: {is_closed}, begun: {is_begun}");
    }
}

/// Somebody removed it, or it was refused before a kill: that is no trouble that passes.
#[test]
fn a_missing_body_is_damage_and_what_became_of_the_message_is_recorded() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory);
    let message = message(&spool, &random(70_000));
    let id = message.letter.id;
    wait(|then| spool.commit(Arc::clone(&message), then)).unwrap();
    fs::remove_file(directory.path().join("big").join(id.as_str())).unwrap();
    let told = spool.body(id).unwrap_err();
    assert!(matches!(told, SpoolError::Damaged { damage: Damage::Cut, .. }), "{told}");
    assert!(matches!(message.body().unwrap_err(), Damage::Cut));
    let mut progress = spool.entry(id).unwrap().unwrap().progress;
    progress.hold = Some("damaged".into());
    progress.set(0, State::Delivered);
    wait(|then| spool.record(id, &progress, then)).unwrap();
    assert_eq!(spool.entry(id).unwrap().unwrap().progress, progress);
    assert_eq!(spool.name(row(&spool, id).destination), "example.com");
}

#[test]
fn what_becomes_of_a_damaged_letter_is_recorded() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory);
    let id = add(&spool, b"text");
    let mut progress = spool.entry(id).unwrap().unwrap().progress;
    let place = row(&spool, id).letter;
    flip(&directory, place, 66);
    spool.entry(id).unwrap_err();
    progress.hold = Some("damaged".into());
    wait(|then| spool.record(id, &progress, then)).unwrap();
    assert_eq!(row(&spool, id).standing, crate::row::Standing::Held);
}

/// As after an export, a delete, an import under the same id, and an admin's change of it.
#[test]
fn a_change_of_what_came_back_holds() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory);
    let first = message(&spool, b"text");
    let id = first.letter.id;
    wait(|then| spool.commit(first, then)).unwrap();
    finish(&spool, id);
    let mut again = spool.begin(Letter { id, ..letter() });
    again.write(b"text".to_vec()).unwrap();
    let again = Arc::new(again.finish().unwrap());
    wait(|then| spool.commit(again, then)).unwrap();
    let mut changed = spool.entry(id).unwrap().unwrap().letter;
    changed.recipients[0].address = "new@example.edu".parse().unwrap();
    wait(|then| spool.change(&changed, then)).unwrap();
    drop(spool);
    assert_eq!(open(&directory).entry(id).unwrap().unwrap().letter, changed);
}

/// No reader would take it for a record, and who got the message would get it again.
#[test]
fn a_progress_that_is_too_long_is_refused() {
    let directory = TempDir::new().unwrap();
    let spool = open_with(&directory, Settings::default());
    let id = add(&spool, b"text");
    let mut progress = spool.entry(id).unwrap().unwrap().progress;
    progress.set(0, State::Delivered);
    wait(|then| spool.record(id, &progress, then)).unwrap();
    let long = Progress { hold: Some("x".repeat(TEXT_LIMIT as usize)), ..progress.clone() };
    let refused = wait(|then| spool.record(id, &long, then)).unwrap_err();
    assert!(matches!(refused, SpoolError::TooLong(_)), "{refused}");
    assert_eq!(spool.entry(id).unwrap().unwrap().progress, progress);
}

/// At replay it would be the message's first letter, where a checkpoint stands behind its end.
#[test]
fn what_is_done_with_is_not_changed() {
    let directory = TempDir::new().unwrap();
    let spool = open_with(&directory, Settings { commit_records: 1, ..small() });
    let id = add(&spool, b"text");
    let changed = Letter { id, ..letter() };
    // Both are asked for while it is still there.
    spool.finish(id, Box::new(|done| done.unwrap()));
    let refused = wait(|then| spool.change(&changed, then)).unwrap_err();
    assert!(matches!(refused, SpoolError::Unknown(_)), "{refused}");
}

#[test]
fn a_segment_that_cannot_be_read_keeps_no_other_from_being_emptied() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory);
    let add_sealed = || {
        let id = add(&spool, b"text");
        let path = segment(&directory, row(&spool, id).letter);
        (id, path)
    };
    let seal = || {
        spool.owner().shared.segments.faults.syncs.store(1, SeqCst);
        try_to_add(&spool, b"refused").unwrap_err();
    };
    let (stays, path) = add_sealed();
    // Nobody can read from a directory.
    let elsewhere = directory.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    fs::create_dir(&path).unwrap();
    seal();
    let (copied, other) = add_sealed();
    let before = row(&spool, copied).letter;
    assert!(path < other);
    seal();
    until(|| row(&spool, copied).letter.slot != before.slot);
    fs::remove_dir(&path).unwrap();
    fs::rename(&elsewhere, &path).unwrap();
    drop(spool);
    let spool = open(&directory);
    assert_eq!(read(&spool, stays), b"text");
    assert_eq!(read(&spool, copied), b"text");
}

/// It was seen to be damaged, and replaced before that came to the writer.
#[test]
fn a_progress_that_replaced_a_damaged_one_holds() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory);
    let id = add(&spool, b"text");
    let mut progress = spool.entry(id).unwrap().unwrap().progress;
    wait(|then| spool.record(id, &progress, then)).unwrap();
    let damaged = row(&spool, id).progress.unwrap();
    progress.set(0, State::Delivered);
    wait(|then| spool.record(id, &progress, then)).unwrap();
    let directories = Directories::open(Dir::open(directory.path()).unwrap()).unwrap();
    let mut copies = Copies::new(&spool.owner().shared, &directories);
    let lose = |copies: &mut Copies<'_>, part, from| {
        copies.act(Task::Lost { id, part, from }).unwrap();
        copies.settle().unwrap();
    };
    lose(&mut copies, Part::Progress, damaged);
    lose(&mut copies, Part::Letter, damaged);
    assert_eq!(spool.entry(id).unwrap().unwrap().progress, progress);
    let Row { letter, progress: Some(now), .. } = row(&spool, id) else { panic!("recorded") };
    lose(&mut copies, Part::Progress, now);
    let entry = spool.entry(id).unwrap().unwrap();
    assert_eq!(entry.progress, Progress::new(&entry.letter));
    lose(&mut copies, Part::Letter, letter);
    assert_eq!(spool.entry(id).unwrap(), None);
}

/// Mail would be refused, or waited for, without an end.
#[test]
fn a_panic_closes_the_spool_and_is_told() {
    for is_writer in [true, false] {
        let directory = TempDir::new().unwrap();
        let spool = open(&directory);
        let mut ids = vec![add(&spool, b"first")];
        let (tell, told) = mpsc::channel();
        spool.when_broken(move || tell.send(()).unwrap());
        if is_writer {
            let last = message(&spool, b"last");
            ids.push(last.letter.id);
            spool.commit(last, Box::new(|_| panic!("as the test wants it")));
        } else {
            spool.owner().shared.segments.faults.panics.store(1, SeqCst);
            let refused = loop {
                match try_to_add(&spool, &random(60_000)) {
                    Ok(id) => ids.push(id),
                    Err(refused) => break refused,
                }
            };
            assert!(matches!(refused, SpoolError::Stopped), "{refused}");
        }
        told.recv_timeout(Duration::from_secs(30)).unwrap();
        assert!(spool.is_broken());
        let refused = try_to_add(&spool, b"late").unwrap_err();
        assert!(matches!(refused, SpoolError::Stopped), "{refused}");
        let (tell, told) = mpsc::channel();
        spool.when_broken(move || tell.send(()).unwrap());
        told.try_recv().unwrap();
        spool.close();
        let spool = open(&directory);
        ids.iter().for_each(|&id| assert!(spool.entry(id).unwrap().is_some(), "{id}"));
        assert_eq!(spool.len(), ids.len());
    }
}

/// A disk that is away is no reason to forget what is on it.
#[test]
fn a_segment_that_is_withheld_ends_the_start_and_loses_nothing() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory);
    let id = add(&spool, b"text");
    let path = segment(&directory, row(&spool, id).letter);
    spool.close();
    let away = withhold(&path, 0..u64::MAX);
    let refused = refused(&directory);
    assert!(refused.contains("injected") && refused.contains("segments/0"), "{refused}");
    drop(away);
    assert_eq!(read(&open(&directory), id), b"text");
    // A dead sector costs no more than itself.
    let _dead = withhold(&path, 0..1);
    assert_eq!(read(&open(&directory), id), b"text");
}

/// A block of the log that is away at a start, and later back, or dead.
#[test]
fn what_was_withheld_is_forgotten_only_if_it_stays_away() {
    for is_dead in [false, true] {
        let directory = TempDir::new().unwrap();
        let spool = open(&directory);
        let ids = [&b"one"[..], &random(80_000), b"three"].map(|text| add(&spool, text));
        let place = row(&spool, ids[1]).letter;
        let path = segment(&directory, place);
        drop(spool);
        let mut away = Some(withhold(&path, place.offset()..place.offset() + 1));
        let spool = open(&directory);
        assert_eq!(ids.map(|id| spool.row(id).is_some()), [true, false, true]);
        assert!(spool.is_read() && !spool.is_whole());
        spool.close();
        let is_taken = || directory.path().join("checkpoint").exists();
        assert!(!is_taken(), "it was here for moments");
        let (shared, directories, survey) = crate::open::take(directory.path(), small()).unwrap();
        let mut missed = recovery::recover(&directories, &survey, &shared.index, |_| ()).unwrap();
        let (before, after) = hour(&missed);
        checkpoint(&shared, &directories, &mut missed, before).unwrap();
        assert!(!is_taken());
        // A disk on which no checkpoint can be written is no reason to part message and body.
        let in_the_way = directory.path().join("checkpoint");
        fs::create_dir(&in_the_way).unwrap();
        checkpoint(&shared, &directories, &mut missed, after).unwrap_err();
        assert!(directory.path().join("big").join(ids[1].as_str()).exists());
        fs::remove_dir(&in_the_way).unwrap();
        let kept = directory.path().join("corrupt").join(ids[1].as_str());
        fs::remove_file(&kept).unwrap();
        // Nor is one on which its body cannot be kept: the next start would remove it.
        fs::create_dir(&kept).unwrap();
        checkpoint(&shared, &directories, &mut missed, after).unwrap_err();
        assert!(!is_taken());
        fs::remove_dir(&kept).unwrap();
        // Nor is one that is away as a whole.
        let aside = directory.path().join("aside");
        fs::rename(&path, &aside).unwrap();
        let refused = checkpoint(&shared, &directories, &mut missed, after).unwrap_err();
        assert!(!refused.to_string().contains("restart"), "{refused}");
        fs::rename(&aside, &path).unwrap();
        if !is_dead {
            drop(away.take());
            let back = checkpoint(&shared, &directories, &mut missed, after).unwrap_err();
            assert!(back.to_string().contains("restart"), "{back}");
            // For a moment only, but the next start may find it.
            away = Some(withhold(&path, place.offset()..place.offset() + 1));
        }
        let taken = checkpoint(&shared, &directories, &mut missed, after);
        assert_eq!((taken.is_ok(), is_taken()), (is_dead, is_dead));
        assert_eq!(shared.index.phase() == Phase::Complete, is_dead);
        if !is_dead {
            drop(away.take());
        }
        assert_eq!(kept.exists(), is_dead, "its body is not in the log");
        assert_eq!(directory.path().join("big").join(ids[1].as_str()).exists(), !is_dead);
        drop((shared, away));
        let spool = open(&directory);
        assert_eq!(ids.map(|id| spool.row(id).is_some()), [true, !is_dead, true]);
        if !is_dead {
            assert_eq!(read(&spool, ids[1]), random(80_000));
        }
    }
}

/// In the hour after a start, and behind it.
fn hour(missed: &Missed) -> (Instant, Instant) {
    let end = missed.since + Duration::from_secs(3600);
    (end.checked_sub(Duration::from_secs(1)).unwrap(), end)
}

/// It was there all the time but for the start, and for the moment when it was asked for again.
#[test]
fn what_is_back_within_the_hour_is_not_forgotten_later() {
    let directory = TempDir::new().unwrap();
    let (spool, ids) = with_two(&directory);
    let place = row(&spool, ids[1]).letter;
    drop(spool);
    let path = segment(&directory, place);
    let away = withhold(&path, place.offset()..place.end());
    let (shared, directories, survey) = crate::open::take(directory.path(), small()).unwrap();
    let mut missed = recovery::recover(&directories, &survey, &shared.index, |_| ()).unwrap();
    let (before, after) = hour(&missed);
    let mut look = |now| look(&shared, &directories, &mut Spared::default(), &mut missed, now);
    look(before).unwrap();
    drop(away);
    look(before).unwrap_err();
    let _away = withhold(&path, place.offset()..place.end());
    look(after).unwrap();
    checkpoint(&shared, &directories, &mut missed, after).unwrap_err();
    assert!(!directory.path().join("checkpoint").exists());
}

/// A copy of what was replaced would stand behind what replaced it.
#[test]
fn nothing_is_copied_while_what_replaced_it_may_come_back() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory);
    let id = add(&spool, b"text");
    let tried = |attempts| Progress { attempts, ..Progress::new(&letter()) };
    wait(|then| spool.record(id, &tried(1), then)).unwrap();
    let others: Vec<_> = (0..20).map(|_| add(&spool, &random(60_000))).collect();
    others.into_iter().for_each(|id| finish(&spool, id));
    spool.close();
    let spool = open(&directory);
    add(&spool, b"another");
    wait(|then| spool.record(id, &tried(2), then)).unwrap();
    let place = row(&spool, id).progress.unwrap();
    drop(spool);
    for is_away in [true, false] {
        let withheld = withhold(&segment(&directory, place), place.offset()..place.end());
        let away = Some(withheld).filter(|_| is_away);
        let (shared, directories, survey) = crate::open::take(directory.path(), small()).unwrap();
        recovery::recover(&directories, &survey, &shared.index, |_| ()).unwrap();
        let chosen = cleaner::choose(&shared.index, i64::MAX, &Spared::default());
        assert_eq!(chosen.is_none(), is_away, "{chosen:?}");
        drop(away);
    }
    assert_eq!(open(&directory).entry(id).unwrap().unwrap().progress, tried(2));
}

/// Of all that was withheld, each block may come back.
#[test]
fn a_block_that_comes_back_is_not_forgotten_with_a_dead_one() {
    for back in 0..2 {
        let directory = TempDir::new().unwrap();
        let spool = open(&directory);
        let ids = [&b"one"[..], b"two", b"three", b"four"].map(|text| add(&spool, text));
        let place = |id| row(&spool, id).letter;
        let places = [place(ids[1]), place(ids[2])];
        drop(spool);
        let path = segment(&directory, places[0]);
        let mut away = places.map(|place| Some(withhold(&path, place.offset()..place.end())));
        let (shared, directories, survey) = crate::open::take(directory.path(), small()).unwrap();
        let mut missed = recovery::recover(&directories, &survey, &shared.index, |_| ()).unwrap();
        assert_eq!(shared.index.len(), 2);
        away[back] = None;
        let (_, now) = hour(&missed);
        checkpoint(&shared, &directories, &mut missed, now).unwrap_err();
        assert!(!directory.path().join("checkpoint").exists());
        drop(shared);
        assert!(open(&directory).row(ids[1 + back]).is_some());
    }
}

/// Behind it, nothing tells that it was there.
#[test]
fn what_is_withheld_of_the_end_is_told() {
    let directory = TempDir::new().unwrap();
    let (spool, ids) = with_two(&directory);
    let Place { slot, .. } = row(&spool, ids[1]).letter;
    let offset = row(&spool, ids[1]).letter.offset();
    let _dead = withhold(&segment(&directory, row(&spool, ids[1]).letter), offset..offset + 1);
    drop(spool);
    let mut found = Vec::new();
    let summary = fsck(directory.path(), &mut |finding| found.push(finding)).unwrap();
    assert_eq!(summary.messages, 1);
    assert_eq!(found, [Finding::Withheld { slot, offset, blocks: 1 }]);
    assert!(found[0].is_harm());
}

/// Until mtad is restarted, which may take weeks.
#[test]
fn what_came_back_keeps_nothing_but_checkpoints_from_being_done() {
    let directory = TempDir::new().unwrap();
    let spool = open_after_long_queue(&directory, 20 * 16);
    let [_, place] = [b"one", b"two"].map(|text| row(&spool, add(&spool, text)).letter);
    drop(spool);
    let away = withhold(&segment(&directory, place), place.offset()..place.end());
    let settings = Settings { checkpoint: 0, ..small() };
    let (shared, directories, survey) = crate::open::take(directory.path(), settings).unwrap();
    let mut missed = recovery::recover(&directories, &survey, &shared.index, |_| ()).unwrap();
    drop(away);
    let (_, now) = hour(&missed);
    let before = segments(&directory).len();
    for removed in 1..3 {
        let done = look(&shared, &directories, &mut Spared::default(), &mut missed, now);
        let told = done.unwrap_err().to_string();
        assert!(told.contains("restart mtad"), "{told}");
        assert_eq!(segments(&directory).len(), before - removed);
    }
}

/// Without the seal it would be taken for promised, and its sender has sent it again since.
#[test]
fn a_seal_that_is_withheld_ends_the_start() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory);
    let first = add(&spool, b"first");
    spool.owner().shared.segments.faults.syncs.store(1, SeqCst);
    try_to_add(&spool, b"refused").unwrap_err();
    let last = add(&spool, b"last");
    let path = segment(&directory, row(&spool, last).letter);
    drop(spool);
    let away = withhold(&path, BLOCK..BLOCK + 1);
    assert!(!open(&directory).is_read());
    drop(away);
    let spool = open(&directory);
    assert_eq!(ids(&spool), [first, last]);
}

/// Of a log that is not read, no part is needed.
#[test]
fn what_is_withheld_in_front_of_the_position_is_not_asked_for() {
    let directory = TempDir::new().unwrap();
    let (spool, ids) = with_two(&directory);
    let place = row(&spool, ids[0]).letter;
    assert_eq!(place.offset(), BLOCK);
    spool.close();
    let _dead = withhold(&segment(&directory, place), BLOCK..BLOCK + 1);
    let spool = open(&directory);
    assert!(spool.is_whole());
    assert_eq!(read(&spool, ids[1]), b"two");
    assert!(spool.row(ids[0]).is_some() && spool.entry(ids[0]).is_err());
}

/// What is written now might come before it.
#[test]
fn a_checkpoint_of_which_nobody_knows_where_it_begins_ends_the_start() {
    let directory = TempDir::new().unwrap();
    let id = add(&open(&directory), b"text");
    (0..2).for_each(|_| open(&directory).close());
    let [newer, older] = ["checkpoint", "checkpoint.old"].map(|name| directory.path().join(name));
    let away = withhold(&newer, 0..1);
    let told = refused(&directory);
    assert!(told.contains("injected") && told.contains("checkpoint"), "{told}");
    drop(away);
    let away = withhold(&older, 0..1);
    assert_eq!(read(&open(&directory), id), b"text", "the newer one serves");
    drop(away);
    // Each begins, but ends nowhere: whoever copies the wrong one gains nothing.
    let end = newer.metadata().unwrap().len();
    let away = withhold(&newer, end - 1..end);
    let dead = withhold(&older, older.metadata().unwrap().len() - 1..u64::MAX);
    let told = || fsck(directory.path(), &mut |_| ()).unwrap_err().to_string();
    assert!(!told().contains("checkpoint.old"), "{}", told());
    drop(away);
    let octets = fs::read(&newer).unwrap();
    fs::write(&newer, &octets[..octets.len() - 1]).unwrap();
    assert!(told().contains("checkpoint.old"), "{}", told());
    drop(dead);
    let away = withhold(&older, 0..1);
    fs::remove_file(&newer).unwrap();
    let told = refused(&directory);
    assert!(told.contains("checkpoint.old"), "{told}");
    drop(away);
    assert_eq!(read(&open(&directory), id), b"text");
}
