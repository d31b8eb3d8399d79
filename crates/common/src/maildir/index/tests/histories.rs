//! Random histories: what is written is what is read, whoever reads it and when.

use proptest::prelude::*;

use super::*;
use crate::maildir::tail::Tail;

/// One change, or more; messages are named by where they are among all UIDs.
#[derive(Debug, Clone)]
enum Step {
    Add(u32),
    Flag(u32, u8, u64, u8),
    Expunge(u32, u32),
    Keyword(u8, String),
    Jump(u32),
    Recent(u32),
    Reserve(u32),
    Marks(u32, u64),
    Boot(u8),
}

/// What somebody does.
#[derive(Debug, Clone)]
enum Act {
    Write(Vec<Step>, bool),
    Checkpoint,
    /// Another process looks, with or without asking for facts.
    Follow(bool),
    /// Another process writes.
    WriteOther(Vec<Step>),
}

impl Step {
    fn changes(&self, head: &Head, next: &mut Uid) -> Vec<Change> {
        let top = (*next).max(2);
        match self.clone() {
            Self::Add(count) => {
                let first = *next;
                *next += count;
                (first..*next).map(added).collect()
            }
            Self::Flag(uid, system, keywords, tail) => {
                let tail = match tail % 4 {
                    0 => Tail::Plain,
                    1 => Tail::New,
                    2 => odd(false, ":2,SX"),
                    _ => odd(true, ":2,F"),
                };
                let uid = uid % top;
                vec![Change::Flagged { uid, flags: Flags { system, keywords }, tail }]
            }
            Self::Expunge(first, count) => {
                (first % top..).take(count as usize).map(Change::Gone).collect()
            }
            Self::Keyword(bit, name) => vec![Change::Keyword(bit % 64, name)],
            Self::Jump(by) => {
                *next += by;
                vec![Change::Next(*next), Change::Next(head.uid_next / 2)]
            }
            Self::Recent(uid) => vec![Change::Recent(uid)],
            Self::Reserve(uid) => vec![Change::Reserved(uid)],
            Self::Marks(parts, number) => vec![marks(parts, number % 3), marks(parts + 1, number)],
            Self::Boot(boot) => vec![Change::Boot([boot; 16])],
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1u32..40).prop_map(Step::Add),
        1 => (900u32..2500).prop_map(Step::Add),
        6 => (any::<u32>(), any::<u8>(), any::<u64>(), any::<u8>())
            .prop_map(|(uid, system, keywords, tail)| Step::Flag(uid, system, keywords, tail)),
        3 => (any::<u32>(), 1u32..4).prop_map(|(first, count)| Step::Expunge(first, count)),
        1 => (any::<u32>(), 1u32..2000).prop_map(|(first, count)| Step::Expunge(first, count)),
        1 => (any::<u8>(), "[a-z$]{0,20}").prop_map(|(bit, name)| Step::Keyword(bit, name)),
        1 => (0u32..1000).prop_map(Step::Jump),
        1 => any::<u32>().prop_map(Step::Recent),
        1 => any::<u32>().prop_map(Step::Reserve),
        2 => (0u32..31, 0u64..9).prop_map(|(parts, number)| Step::Marks(parts, number)),
        1 => any::<u8>().prop_map(Step::Boot),
    ];
    prop::collection::vec(step, 0..6)
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        8 => (steps(), prop::bool::weighted(0.1)).prop_map(|(steps, lasts)| Act::Write(steps, lasts)),
        1 => Just(Act::Checkpoint),
        3 => any::<bool>().prop_map(Act::Follow),
        2 => steps().prop_map(Act::WriteOther),
    ];
    prop::collection::vec(act, 1..25)
}

fn changes(head: &Head, steps: &[Step]) -> Vec<Change> {
    let mut next = head.uid_next;
    steps.iter().flat_map(|step| step.changes(head, &mut next)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn what_is_written_is_read(acts in acts()) {
        let mut mailbox = Mailbox::new();
        let mut other = Index::open(&mailbox.dir, boot()).unwrap().unwrap();
        for act in acts {
            match act {
                Act::Write(steps, lasts) => {
                    let lasting = if lasts { Lasting::Yes } else { Lasting::No };
                    let changes = changes(&mailbox.index.head, &steps);
                    mailbox.write_lasting(&changes, lasting);
                }
                Act::Checkpoint => mailbox.index.checkpoint(&mailbox.dir).unwrap(),
                Act::Follow(facts) => {
                    let behind = other.head.modseq != mailbox.index.head.modseq;
                    let followed = other.follow(&mailbox.dir, Reader::Free).unwrap();
                    prop_assert!(followed != Followed::Lost);
                    prop_assert!(!behind || followed == Followed::Changed);
                    prop_assert_eq!(other.follow(&mailbox.dir, Reader::Free).unwrap(), Followed::Same);
                    let expected = mailbox.plain.state();
                    prop_assert_eq!(&other.head, &expected.head);
                    prop_assert!(other.messages.iter().eq(expected.messages.iter().copied()));
                    prop_assert_eq!(other.vanished(), &expected.vanished);
                    if facts {
                        prop_assert_eq!(State::of(&mut other, &mailbox.dir).unwrap(), expected);
                    }
                }
                Act::WriteOther(steps) => {
                    prop_assert!(other.follow(&mailbox.dir, Reader::Locked).unwrap() != Followed::Lost);
                    let changes = changes(&other.head, &steps);
                    other.write(&mailbox.dir, changes.clone(), Lasting::No).unwrap();
                    mailbox.plain.apply(other.head.modseq, &changes);
                    let followed = mailbox.index.follow(&mailbox.dir, Reader::Locked).unwrap();
                    prop_assert_eq!(followed, Followed::Changed);
                }
            }
        }
        mailbox.check();
        mailbox.index.checkpoint(&mailbox.dir).unwrap();
        mailbox.check();
    }
}
