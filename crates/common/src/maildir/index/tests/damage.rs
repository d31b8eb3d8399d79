//! Files that are damaged anywhere: what is opened is how the mailbox was at some time, or nothing.

use super::*;
use crate::maildir::index::{log, snapshot};

/// A small mailbox, and all that it ever was since its snapshot.
fn small() -> (Mailbox, Vec<State>) {
    let mut mailbox = Mailbox::new();
    mailbox.write(&(1..=12).map(added).collect::<Vec<_>>());
    mailbox.write(&[Change::Keyword(2, "$Forwarded".to_owned()), Change::Gone(4), marks(31, 0)]);
    mailbox.index.checkpoint(&mailbox.dir).unwrap();
    let mut was = vec![mailbox.plain.state()];
    for changes in [
        vec![flagged(3, 5, 4), marks(31, 1)],
        vec![added(13), added(14), Change::Reserved(300)],
        vec![Change::Gone(13), Change::Gone(2)],
        vec![Change::Boot([3; 16]), Change::Recent(14)],
    ] {
        mailbox.write(&changes);
        was.push(mailbox.plain.state());
    }
    (mailbox, was)
}

/// Opens what is there: it is one of the states that were, also after the rest was asked for.
fn opens(dir: &Dir, was: &[State]) -> Option<usize> {
    let mut index = Index::open(dir, boot()).unwrap()?;
    let known = was.iter().position(|state| state.head.modseq == index.head.modseq).unwrap();
    assert_eq!(index.head, was[known].head);
    assert!(index.messages.iter().eq(was[known].messages.iter().copied()));
    assert_eq!(*index.vanished(), was[known].vanished);
    match State::of(&mut index, dir) {
        Ok(state) => assert_eq!(state, was[known]),
        Err(FactsRead::Damaged) => return None,
        Err(other) => panic!("{other:?}"),
    }
    // Who has the lock is not content with less than all.
    let whole = known + 1 == was.len();
    assert!(whole || index.follow(dir, Reader::Locked).unwrap() == Followed::Lost);
    Some(known)
}

#[test]
fn every_octet_of_the_log() {
    let (mailbox, was) = small();
    let log = mailbox.dir.read(log::FILE, u64::MAX).unwrap();
    let mut last = 0;
    for at in 0..log.len() {
        for flip in [1, 0x80, 0xff] {
            let mut damaged = log.clone();
            damaged[at] ^= flip;
            put(&mailbox, log::FILE, &damaged);
            let known = opens(&mailbox.dir, &was).unwrap();
            assert!(last <= known && known < was.len() - 1, "{at} {known}");
            last = known;
        }
    }
    assert_eq!(last, was.len() - 2);
}

#[test]
fn every_length_of_the_log() {
    let (mailbox, was) = small();
    let log = mailbox.dir.read(log::FILE, u64::MAX).unwrap();
    let mut last = 0;
    for length in 0..log.len() {
        let rest = &log[..length];
        put(&mailbox, log::FILE, rest);
        let mut index = Index::open(&mailbox.dir, boot()).unwrap().unwrap();
        let state = State::of(&mut index, &mailbox.dir).unwrap();
        let known = was.iter().position(|was| *was == state).unwrap();
        assert!(last <= known && known < was.len() - 1, "{length} {known}");
        last = known;
        for byte in [0, 0xff] {
            let padded = [rest, &[byte; 600][..]].concat();
            put(&mailbox, log::FILE, &padded);
            assert_eq!(opens(&mailbox.dir, &was), Some(known));
        }
    }
}

#[test]
fn every_octet_of_the_snapshot() {
    let (mailbox, was) = small();
    let snapshot = mailbox.dir.read(snapshot::FILE, u64::MAX).unwrap();
    for at in 0..snapshot.len() {
        for flip in [1, 0x80, 0xff] {
            let mut damaged = snapshot.clone();
            damaged[at] ^= flip;
            put(&mailbox, snapshot::FILE, &damaged);
            assert_eq!(opens(&mailbox.dir, &was), None, "{at}");
        }
    }
    for length in 0..snapshot.len() {
        put(&mailbox, snapshot::FILE, &snapshot[..length]);
        assert!(Index::open(&mailbox.dir, boot()).unwrap().is_none(), "{length}");
    }
    put(&mailbox, snapshot::FILE, &[&*snapshot, &[0]].concat());
    assert!(Index::open(&mailbox.dir, boot()).unwrap().is_none());
    put(&mailbox, snapshot::FILE, &snapshot);
    assert_eq!(opens(&mailbox.dir, &was), Some(was.len() - 1));
}

/// Not durably, for there are thousands.
fn put(mailbox: &Mailbox, name: &str, octets: &[u8]) {
    std::fs::write(mailbox.dir.path().join(name), octets).unwrap();
}
