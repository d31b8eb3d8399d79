//! Power cuts, with a clock that is behind all modseqs.

use super::*;
use crate::maildir::index::modseqs::RESERVE;
use crate::maildir::index::{log, snapshot};

/// Far above the microseconds since 1970.
const AHEAD: u64 = 1 << 60;

/// What a power cut leaves of both files.
type Left = [Vec<u8>; 2];

impl Mailbox {
    fn ahead() -> Self {
        let mut mailbox = Self::new();
        mailbox.index.head.modseq = AHEAD;
        mailbox.plain.head.modseq = AHEAD;
        mailbox.index.checkpoint(&mailbox.dir).unwrap();
        mailbox
    }

    fn files(&self) -> Left {
        [snapshot::FILE, log::FILE].map(|name| self.dir.read(name, u64::MAX).unwrap())
    }

    /// The machine is up again.
    fn boots(&self, left: &Left) -> Index {
        for (name, octets) in [snapshot::FILE, log::FILE].into_iter().zip(left) {
            self.dir.replace(name, octets).unwrap();
        }
        let mut index = Index::open(&self.dir, boot()).unwrap().unwrap();
        index.this_boot = false;
        index
    }
}

#[test]
fn no_modseq_is_given_twice() {
    let mut mailbox = Mailbox::ahead();
    let mut shown = AHEAD;
    for _ in 0..3 {
        let left = mailbox.files();
        for uid in 1..9 {
            mailbox.index.write(&mailbox.dir, vec![flagged(uid, 1, 0)], Lasting::No).unwrap();
        }
        shown = shown.max(mailbox.index.head.modseq);
        mailbox.index = mailbox.boots(&left);
        let changes = vec![Change::Boot(boot())];
        mailbox.index.write(&mailbox.dir, changes, Lasting::No).unwrap();
        assert!(mailbox.index.head.modseq > shown);
        assert!(mailbox.index.is_of_this_boot());
        // That was synced; what comes now need not be.
        shown = mailbox.index.head.modseq;
    }
    assert!(mailbox.index.head.modseq < AHEAD + 4 * RESERVE, "they are not wasted");
}

/// The disk comes back without what was not synced, and others write to it, under a process that
/// lives on.
#[test]
fn who_lives_through_a_mount_gives_no_modseq_twice() {
    let mut mailbox = Mailbox::ahead();
    let (before, after) = (mailbox.files(), [9; 16]);
    for uid in 1..9 {
        mailbox.index.write(&mailbox.dir, vec![flagged(uid, 1, 0)], Lasting::No).unwrap();
    }
    let shown = mailbox.index.head.modseq;
    for others_write in [false, true] {
        let mut living = mailbox.index.clone();
        let mut other = mailbox.boots(&before);
        other.boots(after);
        if others_write {
            other.write(&mailbox.dir, vec![Change::Boot(after)], Lasting::No).unwrap();
        }
        living.boots(after);
        let followed = living.follow(&mailbox.dir, Reader::Locked).unwrap();
        let expected = if others_write { Followed::Changed } else { Followed::Lost };
        assert_eq!((followed, living.is_of_this_boot()), (expected, others_write));
        living.write(&mailbox.dir, vec![flagged(1, 1, 0)], Lasting::No).unwrap();
        assert!(living.head.modseq > shown, "{others_write}");
    }
}

/// A frame that a reader may see before it is synced has no modseq above the mark before it.
#[test]
fn the_mark_moves_before_it_is_needed() {
    let mut mailbox = Mailbox::ahead();
    mailbox.index.modseqs_to = AHEAD + RESERVE / 2 + 3;
    let mut marks = Vec::new();
    for uid in 1..6 {
        let before = mailbox.index.modseqs_to;
        mailbox.index.write(&mailbox.dir, vec![flagged(uid, 1, 0)], Lasting::No).unwrap();
        assert!(mailbox.index.head.modseq <= before, "{uid}");
        marks.push(mailbox.index.modseqs_to - AHEAD);
    }
    let old = RESERVE / 2 + 3;
    assert_eq!(marks, [old, old, old, RESERVE + 4, RESERVE + 4]);
    let other = Index::open(&mailbox.dir, boot()).unwrap().unwrap();
    assert_eq!(other.modseqs_to, mailbox.index.modseqs_to);
}

/// Where the log is lost too, nobody knows how much of it was read.
#[test]
fn a_damaged_log_is_one_that_was_read() {
    let mut mailbox = Mailbox::ahead();
    for uid in 1..9 {
        mailbox.index.write(&mailbox.dir, vec![flagged(uid, 1, 0)], Lasting::No).unwrap();
    }
    mailbox.dir.unlink(log::FILE).unwrap();
    let mut other = Index::open(&mailbox.dir, boot()).unwrap().unwrap();
    assert_eq!(other.follow(&mailbox.dir, Reader::Locked).unwrap(), Followed::Lost);
    other.write(&mailbox.dir, vec![flagged(1, 1, 0)], Lasting::No).unwrap();
    assert!(other.head.modseq > mailbox.index.head.modseq);
}

/// Where the kernel does not tell boots, each process has its own, and lists the directories once.
#[test]
fn two_processes_that_know_no_boots() {
    let mailbox = Mailbox::ahead();
    let mut other = Index::open(&mailbox.dir, boot()).unwrap().unwrap();
    let mut one = mailbox.index;
    assert!(one.is_of_this_boot());
    other.write(&mailbox.dir, vec![Change::Boot([3; 16])], Lasting::No).unwrap();
    one.follow(&mailbox.dir, Reader::Free).unwrap();
    assert_eq!(one.head.boot, [3; 16]);
    assert!(one.is_of_this_boot());
    one.checkpoint(&mailbox.dir).unwrap();
    other.checkpoint(&mailbox.dir).unwrap_err();
    other.follow(&mailbox.dir, Reader::Free).unwrap();
    assert!(other.is_of_this_boot(), "though it was read anew");
    assert!(!Index::open(&mailbox.dir, boot()).unwrap().unwrap().is_of_this_boot());
}
