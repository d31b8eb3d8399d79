//! The index against a plain picture of what it should be.

mod damage;
mod files;
mod histories;
mod modseqs;

use std::collections::BTreeMap;

use mail_proto::mailbox::{Entry, Flags, Uid};

use super::{Change, Fact, FactsRead, Followed, Head, Index, Marks, Reader, Vanished, boot};
use crate::disk::{Dir, Kind, Lasting, Stamp, Stat};
use crate::maildir::looks::{Look, Looks, Trust};
use crate::maildir::scan::Place;
use crate::maildir::tail::Tail;

/// All that an index tells.
#[derive(Debug, Clone, PartialEq)]
struct State {
    head: Head,
    messages: Vec<Entry>,
    facts: Vec<Row>,
    vanished: Vanished,
}

/// A fact, with its tail instead of what stands for it.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    uid: Uid,
    hash: u64,
    modseq: u64,
    date: i64,
    line: u32,
    size: u32,
    tail: Tail,
}

impl State {
    fn of(index: &mut Index, dir: &Dir) -> Result<Self, FactsRead> {
        match index.read_facts(dir).unwrap() {
            FactsRead::Yes => {}
            unread => return Err(unread),
        }
        let facts = index.facts.iter().map(|fact| Row::of(fact, index.tail(fact))).collect();
        Ok(Self {
            head: index.head.clone(),
            messages: index.messages.iter().collect(),
            facts,
            vanished: index.vanished().clone(),
        })
    }

    fn opened(dir: &Dir) -> Self {
        Self::of(&mut Index::open(dir, boot()).unwrap().unwrap(), dir).unwrap()
    }
}

impl Row {
    fn of(fact: &Fact, tail: Tail) -> Self {
        let Fact { hash, modseq, date, line, size, .. } = *fact;
        Self { uid: fact.uid(), hash, modseq, date, line, size, tail }
    }
}

/// What changes mean, said in the plainest way.
#[derive(Debug, Clone, Default)]
struct Plain {
    head: Head,
    messages: BTreeMap<Uid, (Flags, Row)>,
    gone: Vec<(u64, Uid)>,
    floor: u64,
}

impl Plain {
    fn apply(&mut self, modseq: u64, changes: &[Change]) {
        self.head.modseq = modseq;
        for change in changes {
            self.change(modseq, change.clone());
        }
        let in_new = |(uid, (_, row)): (&Uid, &(Flags, Row))| {
            (row.tail.place() == Place::New).then_some(*uid)
        };
        self.head.in_new = self.messages.iter().filter_map(in_new).collect();
    }

    fn change(&mut self, modseq: u64, change: Change) {
        match change {
            Change::Added { uid, flags, fact, tail } => {
                let row = Row { uid, modseq, ..Row::of(&fact, tail) };
                self.messages.insert(uid, (flags, row));
                self.head.uid_next = uid + 1;
            }
            Change::Flagged { uid, flags, tail } => {
                if let Some((known, row)) = self.messages.get_mut(&uid) {
                    *known = flags;
                    (row.modseq, row.tail) = (modseq, tail);
                }
            }
            Change::Gone(uid) => {
                if self.messages.remove(&uid).is_some() {
                    self.gone.push((modseq, uid));
                }
            }
            Change::Keyword(bit, name) => {
                let bit = usize::from(bit);
                let keywords = &mut self.head.keywords;
                keywords.resize(keywords.len().max(bit + 1), String::new());
                keywords[bit] = name;
            }
            Change::Next(uid) => self.head.uid_next = self.head.uid_next.max(uid),
            Change::Recent(uid) => self.head.recent_from = uid,
            Change::Reserved(uid) => self.head.reserved = uid,
            Change::Marks(marks) => self.head.marks = *marks,
            Change::Boot(boot) => self.head.boot = boot,
            Change::Modseqs(_) => {}
        }
    }

    fn state(&self) -> State {
        let entry = |(uid, (flags, _)): (&Uid, &(Flags, Row))| Entry { uid: *uid, flags: *flags };
        let mut vanished = Vanished::none_since(self.floor);
        self.gone.iter().for_each(|(modseq, uid)| vanished.push(*modseq, *uid));
        State {
            head: self.head.clone(),
            messages: self.messages.iter().map(entry).collect(),
            facts: self.messages.values().map(|(_, row)| row.clone()).collect(),
            vanished,
        }
    }
}

/// A directory, an index that was written into it, and what it should be.
struct Mailbox {
    _directory: tempfile::TempDir,
    dir: Dir,
    index: Index,
    plain: Plain,
}

impl Mailbox {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let dir = Dir::open(directory.path()).unwrap();
        let head =
            Head { uid_validity: 7, uid_next: 1, modseq: 1, boot: boot(), ..Head::default() };
        let mut index = Index::new(head.clone(), std::iter::empty());
        assert!(index.wants_checkpoint());
        index.checkpoint(&dir).unwrap();
        assert!(!index.wants_checkpoint());
        let plain = Plain { head, floor: 1, ..Plain::default() };
        Self { _directory: directory, dir, index, plain }
    }

    fn write(&mut self, changes: &[Change]) {
        self.write_lasting(changes, Lasting::No);
    }

    fn write_lasting(&mut self, changes: &[Change], lasting: Lasting) {
        let before = self.index.head.modseq;
        self.index.write(&self.dir, changes.to_vec(), lasting).unwrap();
        let modseq = self.index.head.modseq;
        assert!(modseq > before);
        self.plain.apply(modseq, changes);
    }

    fn check(&mut self) {
        let expected = self.plain.state();
        assert_eq!(State::of(&mut self.index, &self.dir).unwrap(), expected);
        assert_eq!(State::opened(&self.dir), expected);
    }
}

fn added(uid: Uid) -> Change {
    let mut fact =
        Fact::new(u64::from(uid).wrapping_mul(0x9e37_79b9_7f4a_7c15), uid.wrapping_mul(50));
    if uid.is_multiple_of(3) {
        (fact.date, fact.size) = (1_795_365_077 - i64::from(uid), uid.wrapping_mul(1000));
    }
    let tail = match uid % 7 {
        0 | 1 => Tail::New,
        2 => odd(false, ":2,PS"),
        3 => odd(true, ":2,"),
        _ => Tail::Plain,
    };
    let keywords = if uid.is_multiple_of(5) { u64::from(uid) } else { 0 };
    Change::Added { uid, flags: Flags { system: 1, keywords }, fact, tail }
}

fn flagged(uid: Uid, system: u8, keywords: u64) -> Change {
    Change::Flagged { uid, flags: Flags { system, keywords }, tail: Tail::Plain }
}

fn odd(in_new: bool, text: &str) -> Tail {
    Tail::Odd { in_new, text: text.into() }
}

fn stat(number: u64) -> Stat {
    let seconds = 1_795_365_077 + number.cast_signed();
    let modified = Stamp { seconds, nanoseconds: 123_456_789 };
    let (kind, inode) = (Kind::Directory, 1_234_567 + number);
    Stat { kind, size: 4096, device: 66_305, inode, modified, changed: modified }
}

/// Marks of which five bits say which parts there are.
fn marks(parts: u32, number: u64) -> Change {
    let there = |part: u32| (parts & (1 << part) != 0).then(|| stat(number + u64::from(part)));
    let look = |stat| Look { stat, trust: Trust::RecentByUs };
    let looks = there(0).map(|new| Looks { new: look(new), cur: look(stat(1)) });
    let (list, keywords, more_keywords) = (there(1), there(2), there(3));
    Change::Marks(Box::new(Marks { looks, list, keywords, more_keywords }))
}
