//! Two files and several processes: what one does to the files, and what others make of it.

use super::*;
use crate::maildir::StoreError;
use crate::maildir::index::{log, snapshot};
use crate::maildir::tail::Tail;

/// What others do to the log.
type Way = (&'static str, fn(&Mailbox));

impl Mailbox {
    /// One with so many messages, in the snapshot and not in the log.
    fn with(count: Uid) -> Self {
        let mut mailbox = Self::new();
        mailbox.write(&(1..=count).map(added).collect::<Vec<_>>());
        mailbox.index.checkpoint(&mailbox.dir).unwrap();
        mailbox
    }

    fn other(&self) -> Index {
        Index::open(&self.dir, boot()).unwrap().unwrap()
    }

    fn file(&self, name: &str) -> Vec<u8> {
        self.dir.read(name, u64::MAX).unwrap()
    }
}

fn fact(index: &mut Index, dir: &Dir, uid: Uid) -> Option<Fact> {
    assert_eq!(index.read_facts(dir).unwrap(), FactsRead::Yes);
    index.fact(uid).unwrap()
}

#[test]
fn nothing_is_opened_where_nothing_is() {
    let directory = tempfile::tempdir().unwrap();
    let dir = Dir::open(directory.path()).unwrap();
    assert!(Index::open(&dir, boot()).unwrap().is_none());
    std::os::unix::fs::symlink("/etc/passwd", directory.path().join(snapshot::FILE)).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", directory.path().join(log::FILE)).unwrap();
    assert!(Index::open(&dir, boot()).unwrap().is_none());
    let head = Head { uid_validity: 7, modseq: 5, ..Head::default() };
    let mut index = Index::new(head, std::iter::empty());
    assert_eq!(index.follow(&dir, Reader::Free).unwrap(), Followed::Lost);
    index.checkpoint(&dir).unwrap();
    assert_eq!(State::opened(&dir), State::of(&mut index, &dir).unwrap());
}

#[test]
fn a_picture_of_the_maildir_is_taken() {
    let message = |uid| match added(uid) {
        Change::Added { flags, fact, tail, .. } => (uid, flags, Fact { modseq: 90, ..fact }, tail),
        other => panic!("{other:?}"),
    };
    let head = Head { uid_validity: 7, uid_next: 9, modseq: 100, ..Head::default() };
    let index = Index::new(head, [2, 3, 7, 8, 9, 12].into_iter().map(message));
    assert_eq!((index.head.uid_next, &*index.head.in_new), (13, &[3, 7, 8][..]));
    assert_eq!(index.vanished().since(99), None);
    assert_eq!(index.vanished().since(100), Some(vec![]));
    let mut mailbox = Mailbox::new();
    mailbox.index = index;
    mailbox.index.checkpoint(&mailbox.dir).unwrap();
    let expected = State::of(&mut mailbox.index, &mailbox.dir).unwrap();
    assert!(expected.facts.iter().all(|row| row.modseq == 90));
    assert_eq!(State::opened(&mailbox.dir), expected);
}

#[test]
fn a_change_of_flags_is_short() {
    let mut mailbox = Mailbox::with(10);
    mailbox.write(&[marks(31, 3)]);
    let before = mailbox.file(log::FILE).len();
    mailbox.write(&[flagged(9, 31, u64::MAX), marks(31, 3)]);
    let length = mailbox.file(log::FILE).len() - before;
    assert!(length <= 40, "{length}");
    mailbox.write(&[Change::Flagged { uid: 9, flags: Flags::default(), tail: Tail::Plain }]);
    mailbox.check();
}

#[test]
fn changes_that_cannot_be_are_refused() {
    let mut mailbox = Mailbox::with(10);
    let long = "x".repeat(1025);
    for wrong in [
        added(0),
        added(10),
        added(Uid::MAX),
        Change::Keyword(64, "a".to_owned()),
        Change::Keyword(1, long.clone()),
        Change::Flagged { uid: 1, flags: Flags::default(), tail: odd(true, &long) },
    ] {
        let changes = vec![Change::Gone(3), wrong];
        mailbox.index.write(&mailbox.dir, changes, Lasting::No).unwrap_err();
        mailbox.check();
    }
    let twice = vec![added(11), added(11)];
    mailbox.index.write(&mailbox.dir, twice, Lasting::No).unwrap_err();
    mailbox.write(&[Change::Next(Uid::MAX)]);
    mailbox.index.write(&mailbox.dir, vec![added(Uid::MAX)], Lasting::No).unwrap_err();
    mailbox.check();
}

#[test]
fn the_highest_uid_is_one_below_the_last() {
    let mut mailbox = Mailbox::with(1);
    let highest = Change::Added {
        uid: Uid::MAX - 1,
        flags: Flags::default(),
        fact: Fact::new(1, 2),
        tail: Tail::New,
    };
    mailbox.write(&[highest]);
    assert_eq!(mailbox.index.head.uid_next, Uid::MAX);
    mailbox.check();
}

#[test]
fn modseqs_end_where_they_must() {
    let mut mailbox = Mailbox::new();
    let limit = u64::MAX >> 1;
    let head = Head { uid_validity: 7, uid_next: 1, modseq: limit - 1, ..Head::default() };
    mailbox.index = Index::new(head.clone(), std::iter::empty());
    mailbox.plain = Plain { head, floor: limit - 1, ..Plain::default() };
    mailbox.index.checkpoint(&mailbox.dir).unwrap();
    for uid in 1..4 {
        mailbox.index.write(&mailbox.dir, vec![added(uid)], Lasting::No).unwrap();
        mailbox.plain.apply(limit, &[added(uid)]);
    }
    mailbox.index.write(&mailbox.dir, vec![Change::Gone(2)], Lasting::No).unwrap();
    mailbox.plain.apply(limit, &[Change::Gone(2)]);
    mailbox.check();
}

#[test]
fn what_is_learnt_lasts_from_the_next_checkpoint() {
    let mut mailbox = Mailbox::with(10);
    assert_eq!(fact(&mut mailbox.index, &mailbox.dir, 5).unwrap().size, Fact::UNKNOWN_SIZE);
    mailbox.index.learn(5, |fact| fact.size = 99);
    mailbox.index.learn(50, |fact| fact.size = 99);
    let lines: Vec<u32> = (1000..1010).collect();
    mailbox.index.renumber_lines(&lines);
    mailbox.index.checkpoint(&mailbox.dir).unwrap();
    let rows = State::opened(&mailbox.dir).facts;
    assert!(rows.iter().map(|row| row.line).eq(lines.iter().copied()));
    assert_eq!(rows[4].size, 99);
    let mut other = mailbox.other();
    let lines: Vec<u32> = (2000..2010).collect();
    other.renumber_lines(&lines);
    other.checkpoint(&mailbox.dir).unwrap();
    let rows = State::opened(&mailbox.dir).facts;
    assert!(rows.iter().map(|row| row.line).eq(lines), "before they were read, too");
}

/// Marks are told from those before: from those that all know.
#[test]
fn marks_that_were_set_in_memory() {
    let mut mailbox = Mailbox::with(3);
    mailbox.write(&[marks(31, 3)]);
    let mut other = mailbox.other();
    let set = |index: &mut Index, change: &Change| match change {
        Change::Marks(marks) => index.head.marks = **marks,
        other => panic!("{other:?}"),
    };
    set(&mut mailbox.index, &marks(31, 9));
    mailbox.write(&[marks(31, 9)]);
    assert_eq!(other.follow(&mailbox.dir, Reader::Free).unwrap(), Followed::Changed);
    assert_eq!(other.head, mailbox.plain.head);
    mailbox.check();
    // The snapshot has them; so the log of before cannot go on from there.
    set(&mut mailbox.index, &marks(31, 20));
    let log = mailbox.file(log::FILE);
    mailbox.index.checkpoint(&mailbox.dir).unwrap();
    mailbox.dir.replace(log::FILE, &log).unwrap();
    assert_eq!(mailbox.other().follow(&mailbox.dir, Reader::Free).unwrap(), Followed::Lost);
}

/// Every way in which others can take the log away is noticed, by readers and by writers, and
/// the next write mends it.
#[test]
fn a_log_that_is_lost_is_noticed() {
    let ways: [Way; 6] = [
        ("deleted", |mailbox| mailbox.dir.unlink(log::FILE).unwrap()),
        ("emptied", |mailbox| cut(mailbox, 0)),
        ("cut", |mailbox| cut(mailbox, mailbox.file(log::FILE).len() - 1)),
        ("replaced", |mailbox| mailbox.dir.replace(log::FILE, &[7; 500]).unwrap()),
        ("overwritten", |mailbox| overwrite(mailbox, log::FILE, 60, b"?")),
        ("overwritten whole", |mailbox| overwrite(mailbox, log::FILE, 0, &[0; 4096])),
    ];
    for (way, spoil) in ways {
        let mut mailbox = Mailbox::with(20);
        mailbox.write(&[flagged(3, 1, 0), Change::Gone(4)]);
        let mut other = mailbox.other();
        spoil(&mailbox);
        assert_eq!(other.follow(&mailbox.dir, Reader::Free).unwrap(), Followed::Lost, "{way}");
        assert_eq!(other.follow(&mailbox.dir, Reader::Locked).unwrap(), Followed::Lost, "{way}");
        let mut third = mailbox.other();
        assert_eq!(third.follow(&mailbox.dir, Reader::Locked).unwrap(), Followed::Lost, "{way}");
        assert_eq!(
            mailbox.index.follow(&mailbox.dir, Reader::Locked).unwrap(),
            Followed::Lost,
            "{way}"
        );
        assert!(mailbox.index.wants_checkpoint(), "{way}");
        mailbox.write(&[flagged(3, 2, 0), Change::Gone(5)]);
        mailbox.check();
        assert_eq!(other.follow(&mailbox.dir, Reader::Free).unwrap(), Followed::Changed, "{way}");
        assert_eq!(State::of(&mut other, &mailbox.dir).unwrap(), mailbox.plain.state(), "{way}");
    }
}

/// What stood between the cut and the end, others may not have read yet.
#[test]
fn a_log_that_was_cut_between_two_frames_is_noticed() {
    let mut mailbox = Mailbox::with(20);
    mailbox.write(&[flagged(3, 1, 0)]);
    let (mut reader, mut linked) = (mailbox.other(), mailbox.other());
    let (length, looked) = (mailbox.file(log::FILE).len(), mailbox.index.looked.unwrap());
    mailbox.write(&[flagged(3, 2, 0)]);
    cut(&mailbox, length);
    let path = mailbox.dir.path().join(log::FILE);
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    let second = |seconds: i64| {
        let since = std::time::Duration::new(seconds.cast_unsigned(), looked.modified.nanoseconds);
        file.set_modified(std::time::UNIX_EPOCH + since).unwrap();
    };
    second(looked.modified.seconds + 1);
    assert_eq!(reader.follow(&mailbox.dir, Reader::Free).unwrap(), Followed::Lost);
    assert_eq!(reader.follow(&mailbox.dir, Reader::Locked).unwrap(), Followed::Lost);
    assert!(reader.wants_checkpoint());
    assert_eq!(mailbox.index.follow(&mailbox.dir, Reader::Free).unwrap(), Followed::Lost);
    // Not so one that has another name, too.
    second(looked.modified.seconds);
    std::fs::hard_link(&path, path.with_extension("linked")).unwrap();
    assert_eq!(linked.follow(&mailbox.dir, Reader::Free).unwrap(), Followed::Same);
    reader.write(&mailbox.dir, vec![flagged(3, 2, 0)], Lasting::No).unwrap();
    assert_eq!(linked.follow(&mailbox.dir, Reader::Free).unwrap(), Followed::Changed);
    assert_eq!(linked.messages, reader.messages);
}

/// The same, between the last look and the write.
#[test]
fn nothing_is_written_behind_what_others_wrote() {
    let ways: [Way; 4] = [
        ("deleted", |mailbox| mailbox.dir.unlink(log::FILE).unwrap()),
        ("cut", |mailbox| cut(mailbox, mailbox.file(log::FILE).len() - 1)),
        ("longer", |mailbox| mailbox.dir.append(log::FILE).unwrap().write(&[0; 9]).unwrap()),
        ("a copy", |mailbox| mailbox.dir.replace(log::FILE, &mailbox.file(log::FILE)).unwrap()),
    ];
    for (way, spoil) in ways {
        let mut mailbox = Mailbox::with(20);
        mailbox.write(&[flagged(3, 1, 0)]);
        spoil(&mailbox);
        mailbox.write(&[added(21)]);
        assert!(!mailbox.index.wants_checkpoint(), "{way}");
        mailbox.check();
    }
}

#[test]
fn a_frame_that_is_being_written_is_waited_for() {
    let mut mailbox = Mailbox::with(20);
    let mut other = mailbox.other();
    let begin = mailbox.file(log::FILE).len();
    mailbox.write(&[flagged(3, 1, 0)]);
    let middle = mailbox.file(log::FILE);
    mailbox.write(&[flagged(4, 1, 0)]);
    let whole = mailbox.file(log::FILE);
    for length in begin + 1..whole.len() {
        cut(&mailbox, begin);
        let rest = &whole[begin..length];
        mailbox.dir.append(log::FILE).unwrap().write(rest).unwrap();
        let followed = other.follow(&mailbox.dir, Reader::Free).unwrap();
        let expected = if length == middle.len() { Followed::Changed } else { Followed::Same };
        assert_eq!(followed, expected, "{length}");
    }
    mailbox.dir.append(log::FILE).unwrap().write(&whole[whole.len() - 1..]).unwrap();
    assert_eq!(other.follow(&mailbox.dir, Reader::Free).unwrap(), Followed::Changed);
    assert_eq!(State::of(&mut other, &mailbox.dir).unwrap(), mailbox.plain.state());
    cut(&mailbox, whole.len() - 1);
    assert_eq!(mailbox.other().follow(&mailbox.dir, Reader::Free).unwrap(), Followed::Same);
    assert_eq!(mailbox.other().follow(&mailbox.dir, Reader::Locked).unwrap(), Followed::Lost);
}

#[test]
fn facts_that_are_not_there_any_more() {
    let mut mailbox = Mailbox::with(20);
    let (mut one, mut two, mut three) = (mailbox.other(), mailbox.other(), mailbox.other());
    mailbox.index.checkpoint(&mailbox.dir).unwrap();
    assert_eq!(one.read_facts(&mailbox.dir).unwrap(), FactsRead::Replaced);
    assert_eq!(one.follow(&mailbox.dir, Reader::Free).unwrap(), Followed::Changed);
    assert!(fact(&mut one, &mailbox.dir, 3).is_some());
    assert_eq!(two.follow(&mailbox.dir, Reader::Free).unwrap(), Followed::Changed);
    assert!(fact(&mut two, &mailbox.dir, 21).is_none());
    assert_eq!(three.follow(&mailbox.dir, Reader::Free).unwrap(), Followed::Changed);
    let last = mailbox.file(snapshot::FILE).len() - 100;
    overwrite(&mailbox, snapshot::FILE, last as u64, b"?");
    assert_eq!(three.read_facts(&mailbox.dir).unwrap(), FactsRead::Damaged);
    assert!(matches!(three.checkpoint(&mailbox.dir), Err(StoreError::Damaged { .. })));
    assert!(fact(&mut one, &mailbox.dir, 3).is_some(), "they were read");
    one.checkpoint(&mailbox.dir).unwrap();
    assert_eq!(three.follow(&mailbox.dir, Reader::Free).unwrap(), Followed::Changed);
    assert!(fact(&mut three, &mailbox.dir, 3).is_some());
    mailbox.dir.unlink(snapshot::FILE).unwrap();
    assert!(matches!(mailbox.index.checkpoint(&mailbox.dir), Ok(())), "they were read");
    mailbox.check();
}

/// A checkpoint that ends after any of its steps leaves files that fit.
#[test]
fn killed_between_the_two_files() {
    let mut mailbox = Mailbox::with(20);
    mailbox.write(&[flagged(3, 1, 0), added(21)]);
    let old_log = mailbox.file(log::FILE);
    let mut follower = mailbox.other();
    mailbox.index.checkpoint(&mailbox.dir).unwrap();
    mailbox.dir.replace(log::FILE, &old_log).unwrap();
    assert_eq!(State::opened(&mailbox.dir), mailbox.plain.state());
    let mut index = mailbox.other();
    assert_eq!(index.follow(&mailbox.dir, Reader::Locked).unwrap(), Followed::Same);
    index.write(&mailbox.dir, vec![Change::Gone(1)], Lasting::No).unwrap();
    mailbox.plain.apply(index.head.modseq, &[Change::Gone(1)]);
    assert_eq!(State::opened(&mailbox.dir), mailbox.plain.state());
    assert_eq!(follower.follow(&mailbox.dir, Reader::Free).unwrap(), Followed::Changed);
    assert_eq!(follower.read_facts(&mailbox.dir).unwrap(), FactsRead::Replaced);
    assert_eq!(follower.follow(&mailbox.dir, Reader::Free).unwrap(), Followed::Changed);
    assert_eq!(State::of(&mut follower, &mailbox.dir).unwrap(), mailbox.plain.state());
}

/// Whoever writes a snapshot without knowing what the log says leaves no pair that seems to fit.
#[test]
fn killed_while_mending() {
    let mut mailbox = Mailbox::with(20);
    let mut other = mailbox.other();
    mailbox.write(&[flagged(3, 1, 0), added(21)]);
    let log = mailbox.file(log::FILE);
    other.checkpoint(&mailbox.dir).unwrap();
    mailbox.dir.replace(log::FILE, &log).unwrap();
    let mut third = mailbox.other();
    assert_eq!(third.messages.len(), 20);
    assert_eq!(third.follow(&mailbox.dir, Reader::Free).unwrap(), Followed::Lost);
}

#[test]
fn a_process_that_knows_less_is_not_believed() {
    let mut mailbox = Mailbox::with(20);
    let mut behind = mailbox.other();
    let log = mailbox.file(log::FILE);
    mailbox.write(&[added(21)]);
    mailbox.dir.replace(log::FILE, &log).unwrap();
    assert_eq!(behind.follow(&mailbox.dir, Reader::Locked).unwrap(), Followed::Lost);
    assert_eq!(mailbox.index.follow(&mailbox.dir, Reader::Free).unwrap(), Followed::Lost);
    behind.write(&mailbox.dir, vec![Change::Gone(3)], Lasting::No).unwrap();
    assert_eq!(mailbox.index.follow(&mailbox.dir, Reader::Locked).unwrap(), Followed::Lost);
    mailbox.write(&[Change::Gone(3)]);
    mailbox.check();
    assert_eq!(behind.follow(&mailbox.dir, Reader::Free).unwrap(), Followed::Changed);
}

/// With a disk that takes nothing, a process goes on with what it knows, and relies on nothing that
/// a power cut would undo.
#[test]
fn what_cannot_be_written_is_known_nevertheless() {
    let mut mailbox = Mailbox::with(20);
    mailbox.write(&[Change::Reserved(100)]);
    let snapshot = mailbox.file(snapshot::FILE);
    for name in [snapshot::FILE, log::FILE] {
        mailbox.dir.unlink(name).unwrap();
        mailbox.dir.create_dir(name).unwrap();
    }
    for changes in [vec![Change::Reserved(500), added(21)], vec![Change::Gone(3)]] {
        mailbox.index.write(&mailbox.dir, changes.clone(), Lasting::Yes).unwrap_err();
        mailbox.plain.apply(mailbox.index.head.modseq, &changes);
        mailbox.plain.head.reserved = 100;
        assert!(mailbox.index.wants_checkpoint());
        let state = State::of(&mut mailbox.index, &mailbox.dir).unwrap();
        assert_eq!(state, mailbox.plain.state());
        assert_eq!(mailbox.index.follow(&mailbox.dir, Reader::Free).unwrap(), Followed::Same);
        assert_eq!(mailbox.index.follow(&mailbox.dir, Reader::Locked).unwrap(), Followed::Same);
    }
    mailbox.dir.remove_dir(snapshot::FILE).unwrap();
    mailbox.dir.replace(snapshot::FILE, &snapshot).unwrap();
    assert_eq!(mailbox.other().messages.len(), 20);
    mailbox.index.checkpoint(&mailbox.dir).unwrap_err();
    assert_eq!(State::opened(&mailbox.dir), mailbox.plain.state(), "of the snapshot alone");
    mailbox.dir.remove_dir(log::FILE).unwrap();
    mailbox.write(&[Change::Reserved(500)]);
    mailbox.check();
}

/// With the files made by a newer program, nothing is read and nothing is replaced.
#[test]
fn a_newer_version_is_left_alone() {
    let mailbox = Mailbox::with(20);
    for name in [snapshot::FILE, log::FILE] {
        let old = mailbox.file(name);
        let mut newer = old.clone();
        newer[8] = 2;
        let check = crc32c::crc32c(&newer[..12]);
        newer[12..16].copy_from_slice(&check.to_le_bytes());
        mailbox.dir.replace(name, &newer).unwrap();
        let error = Index::open(&mailbox.dir, boot()).unwrap_err().to_string();
        assert!(error.contains("version 2") && error.contains(name), "{error}");
        assert_eq!(mailbox.file(name), newer);
        mailbox.dir.replace(name, &old).unwrap();
    }
}

#[test]
fn one_thread_writes_and_another_follows() {
    let mut mailbox = Mailbox::with(100);
    let mut other = mailbox.other();
    let dir = mailbox.dir.clone();
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let follower = scope.spawn(move || {
            let mut changed = 0;
            while is_done.try_recv().is_err() {
                match other.follow(&dir, Reader::Free).unwrap() {
                    Followed::Same => {}
                    Followed::Changed => changed += 1,
                    // Seen between time stamp and octets.
                    Followed::Lost => assert!(!other.wants_checkpoint(), "nobody took it away"),
                }
                assert!(other.messages.last().unwrap().uid < other.head.uid_next);
                let in_log = other.messages.len() + other.vanished().since(1).unwrap().len();
                assert_eq!(in_log, other.head.uid_next as usize - 1);
            }
            other.follow(&dir, Reader::Free).unwrap();
            (State::of(&mut other, &dir).unwrap(), changed)
        });
        for uid in 101..=600 {
            mailbox.write(&[added(uid), flagged(uid - 50, 3, 0), Change::Gone(uid - 70)]);
            if uid % 100 == 0 {
                mailbox.index.checkpoint(&mailbox.dir).unwrap();
            }
        }
        done.send(()).unwrap();
        let (state, changed) = follower.join().unwrap();
        assert_eq!(state, mailbox.plain.state());
        assert!(changed > 0);
    });
}

fn cut(mailbox: &Mailbox, length: usize) {
    mailbox.dir.append(log::FILE).unwrap().cut(length as u64).unwrap();
}

fn overwrite(mailbox: &Mailbox, name: &str, offset: u64, octets: &[u8]) {
    use std::os::unix::fs::FileExt;
    let path = mailbox.dir.path().join(name);
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(octets, offset).unwrap();
}
