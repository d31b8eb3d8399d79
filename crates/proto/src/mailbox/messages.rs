//! The messages of a mailbox, in pieces.
//!
//! A mailbox may hold a million messages, and most changes touch one of them. So that a change
//! costs the same in any mailbox, the list is cut into pieces which the picture before the change
//! and the one after it share; only the piece that changed is copied. Who compares two pictures
//! may pass over pieces that are the same piece. Of each piece it is known how many of its messages
//! have which system flag, so that the first unseen one of a million is found without a look at
//! those before it.

use super::piece::{Columns, Growing};
use super::{Entry, Flags, Piece, Uid};

/// Messages in order of UID. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Messages {
    pieces: Vec<Piece>,
    /// How many messages stand before each piece; as many as pieces.
    starts: Vec<usize>,
    /// What flags there are in each piece; as many as pieces.
    counts: Vec<Counts>,
    count: usize,
}

/// How many messages have the system flag of each bit, from the lowest bit on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Counts([u16; Flags::NAMES.len()]);

/// Looks at messages at positions that mostly rise: the piece of the last one is at hand.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    messages: &'a Messages,
    piece: Columns<'a>,
    start: usize,
}

impl Messages {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The message at a position, from 0.
    #[must_use]
    pub fn get(&self, position: usize) -> Option<Entry> {
        let (piece, at) = self.place(position)?;
        self.pieces.get(piece)?.columns().get(at)
    }

    /// As [`get`](Self::get), for many positions.
    #[must_use]
    pub fn reader(&self) -> Reader<'_> {
        Reader { messages: self, piece: Columns::default(), start: 0 }
    }

    /// How many have a system flag, [`Flags::SEEN`] or a sibling.
    #[must_use]
    pub fn with_flag(&self, flag: u8) -> usize {
        self.counts.iter().map(|counts| counts.of(flag)).sum()
    }

    /// Which of these keywords messages have. Where they have all, not all are looked at.
    #[must_use]
    pub fn keywords(&self, wanted: u64) -> u64 {
        let mut found = 0;
        for piece in &self.pieces {
            found |= piece.columns().keywords() & wanted;
            if found == wanted {
                break;
            }
        }
        found
    }

    /// The position of the first that does not have a system flag.
    #[must_use]
    pub fn first_without(&self, flag: u8) -> Option<usize> {
        let lacks = |(counts, piece): (&Counts, &Piece)| counts.of(flag) < piece.len();
        let piece = self.counts.iter().zip(&self.pieces).position(lacks)?;
        Some(self.starts.get(piece)? + self.pieces.get(piece)?.columns().first_without(flag)?)
    }

    /// The first message.
    #[must_use]
    pub fn first(&self) -> Option<Entry> {
        self.pieces.first()?.first()
    }

    /// The last message, which has the highest UID.
    #[must_use]
    pub fn last(&self) -> Option<Entry> {
        self.pieces.last()?.last()
    }

    /// All, in order of UID.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Entry> + Clone {
        self.pieces.iter().flat_map(Piece::iter)
    }

    /// All from a position on.
    pub fn iter_from(&self, position: usize) -> impl Iterator<Item = Entry> + Clone {
        let (piece, at) = self.place(position).unwrap_or((self.pieces.len(), 0));
        self.pieces.iter().skip(piece).flat_map(Piece::iter).skip(at)
    }

    /// The pieces. Two pictures that share one ([`Piece::is`]) have the same messages there.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Where a UID stands, from 0; `Err` holds where it would stand.
    pub fn position(&self, uid: Uid) -> Result<usize, usize> {
        let after = self
            .pieces
            .partition_point(|piece| piece.first().is_some_and(|entry| entry.uid <= uid));
        let Some(piece) = after.checked_sub(1) else { return Err(0) };
        let start = self.starts.get(piece).copied().unwrap_or_default();
        let columns = self.pieces.get(piece).map(Piece::columns).unwrap_or_default();
        match columns.position(uid) {
            Ok(at) => Ok(start + at),
            Err(at) => Err(start + at),
        }
    }

    /// Gives the message at a position other flags; nothing, where there is none.
    pub fn set_flags(&mut self, position: usize, flags: Flags) {
        let Some((piece, at)) = self.place(position) else { return };
        let (pieces, counts) = (self.pieces.get_mut(piece), self.counts.get_mut(piece));
        let (Some(piece), Some(counts)) = (pieces, counts) else { return };
        if let Some(old) = piece.columns().get(at) {
            counts.exchange(old.flags, flags);
            piece.set_flags(at, flags);
        }
    }

    /// Removes the messages with these UIDs, which are in rising order; those that are not there
    /// are passed over.
    pub fn remove(&mut self, uids: &[Uid]) {
        let mut uids = uids;
        let mut kept = Self::default();
        for (piece, counts) in std::mem::take(&mut self.pieces).into_iter().zip(&self.counts) {
            let Some(last) = piece.last() else { continue };
            let (here, rest) = uids.split_at(uids.partition_point(|uid| *uid <= last.uid));
            uids = rest;
            if here.is_empty() {
                kept.keep(piece, *counts);
                continue;
            }
            let stays = |entry: &Entry| here.binary_search(&entry.uid).is_err();
            let mut growing = Growing::default();
            piece.iter().filter(stays).for_each(|entry| growing.push(entry));
            kept.grow(growing.take());
        }
        *self = kept;
        if self.pieces.len() > 2 * self.count.div_ceil(Piece::FULL) {
            *self = self.iter().collect();
        }
    }

    fn place(&self, position: usize) -> Option<(usize, usize)> {
        if position >= self.count {
            return None;
        }
        let piece = self.starts.partition_point(|start| *start <= position).checked_sub(1)?;
        Some((piece, position - self.starts.get(piece)?))
    }

    /// One more piece, if there is one.
    fn grow(&mut self, piece: Option<Piece>) {
        if let Some(piece) = piece {
            let counts = Counts::of_all(&piece);
            self.keep(piece, counts);
        }
    }

    fn keep(&mut self, piece: Piece, counts: Counts) {
        self.starts.push(self.count);
        self.counts.push(counts);
        self.count += piece.len();
        self.pieces.push(piece);
    }
}

impl Counts {
    fn of_all(piece: &Piece) -> Self {
        let columns = piece.columns();
        Self(std::array::from_fn(|bit| columns.with_bit(bit)))
    }

    fn of(&self, flag: u8) -> usize {
        self.0.get(flag.trailing_zeros() as usize).copied().unwrap_or_default().into()
    }

    /// One message has other flags now.
    fn exchange(&mut self, old: Flags, new: Flags) {
        for (bit, count) in self.0.iter_mut().enumerate() {
            *count = *count + u16::from(new.system >> bit & 1) - u16::from(old.system >> bit & 1);
        }
    }
}

impl Reader<'_> {
    /// The message at a position, from 0.
    pub fn get(&mut self, position: usize) -> Option<Entry> {
        if let Some(entry) = self.at_hand(position) {
            return Some(entry);
        }
        let (piece, at) = self.messages.place(position)?;
        self.piece = self.messages.pieces.get(piece)?.columns();
        self.start = position - at;
        self.piece.get(at)
    }

    fn at_hand(&self, position: usize) -> Option<Entry> {
        self.piece.get(position.checked_sub(self.start)?)
    }
}

/// Adds messages at the end; their UIDs are above all others and rise.
impl Extend<Entry> for Messages {
    fn extend<T: IntoIterator<Item = Entry>>(&mut self, entries: T) {
        let mut entries = entries.into_iter().peekable();
        let mut growing = Growing::default();
        if entries.peek().is_some()
            && let Some(last) = self.pieces.pop_if(|last| last.len() < Piece::FULL)
        {
            self.starts.pop();
            self.counts.pop();
            self.count -= last.len();
            growing = Growing::from(&last);
        }
        for entry in entries {
            if growing.is_full() {
                self.grow(growing.take());
            }
            growing.push(entry);
        }
        self.grow(growing.take());
    }
}

impl FromIterator<Entry> for Messages {
    fn from_iter<T: IntoIterator<Item = Entry>>(entries: T) -> Self {
        let mut messages = Self::default();
        messages.extend(entries);
        messages
    }
}

/// Of pieces whose UIDs rise from each to the next.
impl FromIterator<Piece> for Messages {
    fn from_iter<T: IntoIterator<Item = Piece>>(pieces: T) -> Self {
        let mut messages = Self::default();
        pieces.into_iter().for_each(|piece| messages.grow(Some(piece)));
        messages
    }
}

/// The same messages, however they are cut.
impl PartialEq for Messages {
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count && self.iter().eq(other.iter())
    }
}

impl Eq for Messages {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(uid: Uid) -> Entry {
        Entry { uid, flags: Flags::default() }
    }

    fn flagged(uid: Uid) -> Entry {
        Entry { uid, flags: Flags { system: (uid % 32) as u8, keywords: 0 } }
    }

    #[test]
    fn a_change_shares_all_other_pieces() {
        let before: Messages = (1..=5000).map(entry).collect();
        let mut after = before.clone();
        after.set_flags(2000, Flags { system: Flags::SEEN, keywords: 0 });
        after.extend([entry(6000)]);
        let same = before.pieces().iter().zip(after.pieces());
        let same: Vec<bool> = same.map(|(one, other)| one.is(other)).collect();
        assert_eq!(same, [true, false, true, true, false]);
        assert_eq!(after.len(), 5001);
        assert!(before.get(2000).is_some_and(|entry| !entry.flags.has(Flags::SEEN)));
        assert!(after.get(2000).is_some_and(|entry| entry.flags.has(Flags::SEEN)));
    }

    proptest! {
        #[test]
        fn it_is_a_sorted_list(
            steps in prop::collection::vec((0u32..3, 1u32..1500, 1u32..40), 1..12),
        ) {
            let (mut messages, mut plain) = (Messages::default(), Vec::<Entry>::new());
            for (what, count, every) in steps {
                let next = plain.last().map_or(1, |entry: &Entry| entry.uid + every);
                match what {
                    0 => {
                        let new = || (0..count).map(|n| flagged(next + n * every));
                        messages.extend(new());
                        plain.extend(new());
                    }
                    1 => {
                        let gone: Vec<Uid> = (0..count).map(|n| 1 + n * every).collect();
                        messages.remove(&gone);
                        plain.retain(|entry| !gone.contains(&entry.uid));
                    }
                    _ => {
                        let flags = Flags { system: every as u8 & 31, keywords: u64::from(every) };
                        messages.set_flags(count as usize, flags);
                        if let Some(entry) = plain.get_mut(count as usize) {
                            entry.flags = flags;
                        }
                    }
                }
                prop_assert_eq!(messages.len(), plain.len());
                prop_assert!(messages.iter().eq(plain.iter().copied()));
                prop_assert!(messages.iter_from(count as usize).eq(plain.iter().copied().skip(count as usize)));
                prop_assert_eq!(messages.first(), plain.first().copied());
                prop_assert_eq!(messages.last(), plain.last().copied());
                for uid in [0, 1, count, next, u32::MAX] {
                    let expected = plain.binary_search_by_key(&uid, |entry| entry.uid);
                    prop_assert_eq!(messages.position(uid), expected);
                }
                let mut reader = messages.reader();
                for position in [0, count, count + 1, count + every, 1, u32::MAX] {
                    let expected = plain.get(position as usize).copied();
                    prop_assert_eq!(messages.get(position as usize), expected);
                    prop_assert_eq!(reader.get(position as usize), expected);
                }
                let keywords = plain.iter().fold(0, |all, entry| all | entry.flags.keywords);
                for wanted in [0, 1, 6, u64::MAX] {
                    prop_assert_eq!(messages.keywords(wanted), keywords & wanted);
                }
                for (flag, _) in Flags::NAMES {
                    let have = plain.iter().filter(|entry| entry.flags.has(flag)).count();
                    prop_assert_eq!(messages.with_flag(flag), have);
                    let first = plain.iter().position(|entry| !entry.flags.has(flag));
                    prop_assert_eq!(messages.first_without(flag), first);
                }
                prop_assert!(messages.pieces().len() <= 2 * plain.len().div_ceil(Piece::FULL) + 1);
            }
        }
    }
}
