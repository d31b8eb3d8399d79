//! What is different between two pictures of a mailbox.
//!
//! Both are walked at once in order of UID, and pieces that they share are passed over whole: one
//! flag that changed among a million messages costs a look at the thousand of its piece.

use std::cmp::Ordering;

use super::piece::Columns;
use super::{Entry, Messages, Piece};

/// One message of which two pictures do not say the same. Positions are from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// It is in the old picture alone, at this position.
    Gone(usize),
    /// It is in the new picture alone.
    New(Entry),
    /// Its flags are others.
    Flags {
        /// Its position in the old picture.
        at: usize,
        /// How it is in the new one.
        now: Entry,
    },
}

impl Messages {
    /// What `now` says otherwise, in order of UID.
    pub fn differences<'a>(&'a self, now: &'a Self) -> impl Iterator<Item = Difference> + 'a {
        Differences { old: Walk::over(self), new: Walk::over(now) }
    }
}

struct Differences<'a> {
    old: Walk<'a>,
    new: Walk<'a>,
}

/// A place in a picture.
struct Walk<'a> {
    /// From the piece at hand on.
    pieces: &'a [Piece],
    /// The columns of that piece.
    columns: Columns<'a>,
    /// Within that piece.
    at: usize,
    /// From the beginning.
    position: usize,
}

impl Iterator for Differences<'_> {
    type Item = Difference;

    fn next(&mut self) -> Option<Difference> {
        loop {
            while self.pass_shared() || self.pass_alike() {}
            let (old, new) = (self.old.entry(), self.new.entry());
            match order(old, new)? {
                Ordering::Less => {
                    let at = self.old.position;
                    self.old.step(1);
                    return Some(Difference::Gone(at));
                }
                Ordering::Greater => {
                    self.new.step(1);
                    return new.map(Difference::New);
                }
                Ordering::Equal => {
                    let at = self.old.position;
                    self.old.step(1);
                    self.new.step(1);
                    if old != new {
                        return new.map(|now| Difference::Flags { at, now });
                    }
                }
            }
        }
    }
}

impl Differences<'_> {
    /// Goes over pieces that are shared. Whether there were any.
    fn pass_shared(&mut self) -> bool {
        if (self.old.at, self.new.at) != (0, 0) {
            return false;
        }
        let both = self.old.pieces.iter().zip(self.new.pieces);
        let shared = both.take_while(|(old, new)| old.is(new));
        let (pieces, messages) =
            shared.fold((0, 0), |(pieces, messages), (one, _)| (pieces + 1, messages + one.len()));
        self.old.pass(pieces, messages);
        self.new.pass(pieces, messages);
        pieces > 0
    }

    /// Goes over messages that are the same in pieces that are not. Whether there were any.
    fn pass_alike(&mut self) -> bool {
        let alike = self.old.columns.alike(self.old.at, self.new.columns, self.new.at);
        self.old.step(alike);
        self.new.step(alike);
        alike > 0
    }
}

/// Which of the two comes first; who is at the end comes last. `None`: both are at the end.
fn order(old: Option<Entry>, new: Option<Entry>) -> Option<Ordering> {
    match (old, new) {
        (Some(old), Some(new)) => Some(old.uid.cmp(&new.uid)),
        (Some(_), None) => Some(Ordering::Less),
        (None, Some(_)) => Some(Ordering::Greater),
        (None, None) => None,
    }
}

impl<'a> Walk<'a> {
    fn over(messages: &'a Messages) -> Self {
        let mut walk = Self { pieces: &[], columns: Columns::default(), at: 0, position: 0 };
        walk.begin(messages.pieces());
        walk
    }

    fn entry(&self) -> Option<Entry> {
        self.columns.get(self.at)
    }

    /// Goes over messages of the piece at hand.
    fn step(&mut self, messages: usize) {
        self.at += messages;
        self.position += messages;
        if self.pieces.first().is_some_and(|piece| self.at >= piece.len()) {
            self.pass(1, 0);
        }
    }

    /// Goes over whole pieces with so many messages.
    fn pass(&mut self, pieces: usize, messages: usize) {
        self.position += messages;
        self.begin(self.pieces.get(pieces..).unwrap_or_default());
    }

    fn begin(&mut self, pieces: &'a [Piece]) {
        (self.pieces, self.at) = (pieces, 0);
        self.columns = pieces.first().map(Piece::columns).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mailbox::{Flags, Uid};

    fn entry(uid: Uid) -> Entry {
        Entry { uid, flags: Flags::default() }
    }

    /// As one who looks every message up.
    fn plain(old: &Messages, new: &Messages) -> Vec<Difference> {
        let mut all = Vec::new();
        for (at, was) in old.iter().enumerate() {
            match new.position(was.uid).ok().and_then(|position| new.get(position)) {
                None => all.push((was.uid, Difference::Gone(at))),
                Some(now) if now != was => all.push((was.uid, Difference::Flags { at, now })),
                Some(_) => {}
            }
        }
        let stranger = |entry: &Entry| old.position(entry.uid).is_err();
        all.extend(new.iter().filter(stranger).map(|new| (new.uid, Difference::New(new))));
        all.sort_by_key(|(uid, _)| *uid);
        all.into_iter().map(|(_, difference)| difference).collect()
    }

    #[test]
    fn what_is_no_relation_is_different_all_over() {
        let old: Messages = (1..2000).map(entry).collect();
        let new: Messages = (1000..3000).map(entry).collect();
        let found: Vec<_> = old.differences(&new).collect();
        assert_eq!(found, plain(&old, &new));
        assert_eq!(found.len(), 999 + 1000);
        assert_eq!(old.differences(&Messages::default()).count(), 1999);
        assert_eq!(Messages::default().differences(&new).count(), 2000);
    }

    proptest! {
        #[test]
        fn shared_pieces_hide_nothing(
            count in 0u32..6000,
            steps in prop::collection::vec((0u32..3, 0u32..6000, 1u32..2000, 1u32..4), 0..8),
        ) {
            let old: Messages = (1..=count).map(|n| entry(2 * n)).collect();
            let mut new = old.clone();
            for (what, from, many, every) in steps {
                let uids = (0..many).map(|n| 2 * (from + n * every));
                match what {
                    0 => {
                        let next = new.last().map_or(1, |last| last.uid + 1);
                        new.extend((next..next + many).map(entry));
                    }
                    1 => new.remove(&uids.collect::<Vec<_>>()),
                    _ => new.set_flags(from as usize, Flags { system: 1, keywords: 0 }),
                }
            }
            prop_assert_eq!(old.differences(&new).collect::<Vec<_>>(), plain(&old, &new));
        }
    }
}
