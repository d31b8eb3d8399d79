//! Sequence sets (RFC 3501, 9): any order, overlaps and reversed ranges are legal, and K-9 sends
//! very long ones. What they name is found without going through the numbers one by one.

use std::num::NonZeroU32;
use std::ops::Range;

use super::Refusal;
use super::cursor::Cursor;
use crate::mailbox::{Snapshot, Uid};

/// Whether a command counts messages or names UIDs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbering {
    /// Message sequence numbers.
    Sequence,
    /// The command stands behind `UID`.
    Uid,
}

/// A set of numbers as written; `None` is `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set(Vec<(Number, Number)>);

type Number = Option<NonZeroU32>;

impl Set {
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, Refusal> {
        let mut ranges = Vec::new();
        loop {
            let first = number(cursor)?;
            let last = if cursor.take(b':') { number(cursor)? } else { first };
            ranges.push((first, last));
            if !cursor.take(b',') {
                return Ok(Self(ranges));
            }
        }
    }

    /// The positions (from 0, rising) of the messages that the set names, as ranges that do not
    /// touch. What does not exist is passed over.
    #[must_use]
    pub fn ranges(&self, numbering: Numbering, snapshot: &Snapshot) -> Vec<Range<u32>> {
        let messages = &snapshot.messages;
        let Some(last) = messages.last() else {
            return Vec::new();
        };
        let count = u32::try_from(messages.len()).unwrap_or(u32::MAX);
        let mut found: Vec<Range<u32>> = match numbering {
            Numbering::Sequence => self
                .bounds(count)
                .map(|(low, high)| (low - 1).min(count)..high.min(count))
                .collect(),
            Numbering::Uid => self
                .bounds(last.uid)
                .map(|(low, high)| position(snapshot, low)..position_behind(snapshot, high))
                .collect(),
        };
        found.retain(|range| !range.is_empty());
        merge(found)
    }

    /// The same as single positions.
    #[must_use]
    pub fn positions(&self, numbering: Numbering, snapshot: &Snapshot) -> Vec<u32> {
        self.ranges(numbering, snapshot).into_iter().flatten().collect()
    }

    /// Whether every sequence number stands for a message; in an empty mailbox none does, `*`
    /// neither.
    #[must_use]
    pub fn is_within(&self, snapshot: &Snapshot) -> bool {
        let count = snapshot.messages.len();
        // `n:*` is right where n is, and `*:n` likewise.
        let fits = |number: Number| number.is_none_or(|number| number.get() as usize <= count);
        count > 0 && self.0.iter().all(|&(first, last)| fits(first) && fits(last))
    }

    /// Lower and upper number of each range; `*` is `last`.
    fn bounds(&self, last: u32) -> impl Iterator<Item = (u32, u32)> {
        let known = move |number: Number| number.map_or(last, NonZeroU32::get);
        self.0.iter().map(move |&(first, second)| {
            let (first, second) = (known(first), known(second));
            (first.min(second), first.max(second))
        })
    }
}

fn number(cursor: &mut Cursor<'_>) -> Result<Number, Refusal> {
    const BAD: Refusal = Refusal::Bad("Invalid messageset");
    if cursor.take(b'*') {
        return Ok(None);
    }
    let number = cursor.number().map_err(|_| BAD)?;
    NonZeroU32::new(number).map(Some).ok_or(BAD)
}

/// Where the first message with this UID or a higher one stands.
fn position(snapshot: &Snapshot, uid: Uid) -> u32 {
    let (Ok(at) | Err(at)) = snapshot.position(uid);
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Where the first message with a higher UID stands.
fn position_behind(snapshot: &Snapshot, uid: Uid) -> u32 {
    let at = snapshot.position(uid).map_or_else(|at| at, |at| at + 1);
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Sorts ranges and joins those that overlap or touch.
fn merge(mut ranges: Vec<Range<u32>>) -> Vec<Range<u32>> {
    ranges.sort_unstable_by_key(|range| range.start);
    ranges.dedup_by(|next, last| {
        let joins = next.start <= last.end;
        if joins {
            last.end = last.end.max(next.end);
        }
        joins
    });
    ranges
}

/// Writes UIDs as a set, in their order: runs that rise by one become ranges (RFC 4315, 4).
pub fn write_uids(out: &mut Vec<u8>, uids: impl Iterator<Item = Uid>) {
    use crate::imap::write::number;
    let mut run: Option<(Uid, Uid)> = None;
    let flush = |out: &mut Vec<u8>, (first, last): (Uid, Uid), more: bool| {
        number(out, u64::from(first));
        if last > first {
            out.push(b':');
            number(out, u64::from(last));
        }
        if more {
            out.push(b',');
        }
    };
    for uid in uids {
        run = match run {
            Some((first, last)) if last.checked_add(1) == Some(uid) => Some((first, uid)),
            Some(done) => {
                flush(out, done, true);
                Some((uid, uid))
            }
            None => Some((uid, uid)),
        };
    }
    if let Some(done) = run {
        flush(out, done, false);
    }
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mailbox::{Entry, Flags};

    fn set(text: &str) -> Result<Set, Refusal> {
        let mut cursor = Cursor::new(text.as_bytes(), 9);
        let set = Set::parse(&mut cursor)?;
        cursor.end().map(|()| set)
    }

    fn snapshot(uids: &[Uid]) -> Snapshot {
        let messages = uids.iter().map(|&uid| Entry { uid, flags: Flags::default() }).collect();
        Snapshot { messages, ..Snapshot::default() }
    }

    #[test]
    fn sequence_numbers() {
        let table: [(&str, &[u32], bool); 9] = [
            ("1", &[0], true),
            ("5,3:1,2", &[0, 1, 2, 4], true),
            ("*", &[4], true),
            ("4:*", &[3, 4], true),
            ("*:4", &[3, 4], true),
            ("1:*", &[0, 1, 2, 3, 4], true),
            ("6", &[], false),
            ("6:*", &[4], false),
            ("1,4294967295", &[0], false),
        ];
        for (text, expected, within) in table {
            let set = set(text).unwrap();
            let mailbox = snapshot(&[10, 20, 30, 40, 50]);
            assert_eq!(set.positions(Numbering::Sequence, &mailbox), expected, "{text}");
            assert_eq!(set.is_within(&mailbox), within, "{text}");
            assert!(!set.is_within(&snapshot(&[])));
            assert!(set.positions(Numbering::Sequence, &snapshot(&[])).is_empty());
        }
    }

    #[test]
    fn uids() {
        let table: [(&str, &[u32]); 7] = [
            ("10", &[0]),
            ("11", &[]),
            ("15:35", &[1, 2]),
            ("50,10,50", &[0, 4]),
            // RFC 3501, 6.4.8: `*` is the last message, wherever the other end is.
            ("99:*", &[4]),
            ("4294967295", &[]),
            ("*:1", &[0, 1, 2, 3, 4]),
        ];
        for (text, expected) in table {
            let mailbox = snapshot(&[10, 20, 30, 40, 50]);
            assert_eq!(set(text).unwrap().positions(Numbering::Uid, &mailbox), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_set() {
        for text in ["", "0", "1,", ",1", "1:", "a", "1:2:3", "4294967296", "1 2", "-1"] {
            assert!(set(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_set_of_a_megabyte() {
        let text: Vec<String> = (1..150_000_u32).rev().map(|uid| uid.to_string()).collect();
        let mailbox = snapshot(&[7, 9, 200_000]);
        assert_eq!(set(&text.join(",")).unwrap().positions(Numbering::Uid, &mailbox), [0, 1]);
    }

    proptest! {
        #[test]
        fn a_set_names_what_its_numbers_name(
            uids in proptest::collection::btree_set(1..60_u32, 0..20),
            ranges in proptest::collection::vec((0..70_u32, 0..70_u32), 1..6),
        ) {
            let uids: Vec<_> = uids.into_iter().collect();
            let text = |n: u32| if n == 0 { "*".to_owned() } else { n.to_string() };
            let written: Vec<_> =
                ranges.iter().map(|&(a, b)| format!("{}:{}", text(a), text(b))).collect();
            let set = set(&written.join(",")).unwrap();
            let mailbox = snapshot(&uids);
            let naive = |number: &dyn Fn(usize) -> u32| -> Vec<u32> {
                let last = uids.len().checked_sub(1).map_or(0, number);
                let within = |n: u32| ranges.iter().any(|&(a, b)| {
                    let (a, b) = (if a == 0 { last } else { a }, if b == 0 { last } else { b });
                    (a.min(b)..=a.max(b)).contains(&n)
                });
                (0..uids.len()).filter(|&at| within(number(at))).map(|at| at as u32).collect()
            };
            prop_assert_eq!(set.positions(Numbering::Uid, &mailbox), naive(&|at| uids[at]));
            prop_assert_eq!(
                set.positions(Numbering::Sequence, &mailbox),
                naive(&|at| at as u32 + 1)
            );
        }

        #[test]
        fn uids_are_written_in_order(uids in proptest::collection::vec(1..30_u32, 1..12)) {
            let mut out = Vec::new();
            write_uids(&mut out, uids.iter().copied());
            let text = String::from_utf8(out).unwrap();
            let read: Vec<u32> = text.split(',').flat_map(|range| {
                let (first, last) = range.split_once(':').unwrap_or((range, range));
                first.parse::<u32>().unwrap()..=last.parse().unwrap()
            }).collect();
            prop_assert_eq!(read, uids);
        }
    }
}
