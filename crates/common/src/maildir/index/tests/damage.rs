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
    let mut index = Index::open(dir).unwrap()?;
    let known = was.iter().position(|state| state.head.modseq == index.head.modseq).unwrap();
    assert_eq!(index.head, was[known].head);
    assert!(index.messages.iter().eq(&was[known].messages));
    assert_eq!(*index.vanished(), was[known].vanished);
    match State::of(&mut index, dir) {
        Ok(state) => assert_eq!(state, was[known]),
        Err(FactsError::Damaged) => return None,
        Err(other) => panic!("{other}"),
    }
    // Who has the lock is not content with less than all.
    let whole = known + 1 == was.len();
    assert!(whole || index.follow_locked(dir).unwrap() == Followed::Lost);
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
            mailbox.dir.replace(log::FILE, &damaged).unwrap();
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
        mailbox.dir.replace(log::FILE, rest).unwrap();
        let mut index = Index::open(&mailbox.dir).unwrap().unwrap();
        let state = State::of(&mut index, &mailbox.dir).unwrap();
        let known = was.iter().position(|was| *was == state).unwrap();
        assert!(last <= known && known < was.len() - 1, "{length} {known}");
        last = known;
        for byte in [0, 0xff] {
            let padded = [rest, &[byte; 600][..]].concat();
            mailbox.dir.replace(log::FILE, &padded).unwrap();
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
            mailbox.dir.replace(snapshot::FILE, &damaged).unwrap();
            assert_eq!(opens(&mailbox.dir, &was), None, "{at}");
        }
    }
    for length in 0..snapshot.len() {
        mailbox.dir.replace(snapshot::FILE, &snapshot[..length]).unwrap();
        assert!(Index::open(&mailbox.dir).unwrap().is_none(), "{length}");
    }
    mailbox.dir.replace(snapshot::FILE, &[&*snapshot, &[0]].concat()).unwrap();
    assert!(Index::open(&mailbox.dir).unwrap().is_none());
    mailbox.dir.replace(snapshot::FILE, &snapshot).unwrap();
    assert_eq!(opens(&mailbox.dir, &was), Some(was.len() - 1));
}
