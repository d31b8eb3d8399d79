//! Turns between the senders whose mail is due at one destination.
//!
//! Deficit round robin: who is visited gets a credit of one, and who has as much credit as its
//! first message costs sends it. A message costs one and as much again for each 64 KiB, so that
//! neither ten thousand small ones nor a few large ones of one sender keep others waiting for more
//! than a round.
//!
//! Senders share [`QUEUES`] queues by their hash: with a queue for each sender a million of them
//! would need more memory than their messages. Who shares one with a large job waits with it.

use std::collections::{BTreeMap, VecDeque};

use super::entries::{Entries, List, Number};

/// Queues of senders, for each destination.
pub(super) const QUEUES: u32 = 1024;

/// Octets of a message that cost its sender one more turn.
const TURN: u32 = 64 << 10;

/// No message costs more turns.
const DEAREST: u32 = 16;

/// What is due, by sender.
#[derive(Debug, Default)]
pub(super) struct Fair {
    queues: BTreeMap<u16, Queue>,
    /// Each of `queues`, in the order of their turns.
    turns: VecDeque<u16>,
    length: usize,
}

#[derive(Debug, Default)]
struct Queue {
    list: List,
    credit: u8,
}

/// Turns that a message of so many octets takes.
pub(super) fn cost(size: u32) -> u8 {
    u8::try_from((1 + size / TURN).min(DEAREST)).unwrap_or(u8::MAX)
}

impl Fair {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn push(&mut self, entries: &mut Entries, number: Number) {
        let sender = entries.at(number).sender;
        let queue = self.queues.entry(sender).or_insert_with(|| {
            self.turns.push_back(sender);
            Queue::default()
        });
        entries.push(&mut queue.list, number);
        self.length += 1;
    }

    /// Takes out the one whose turn it is.
    pub(super) fn take(&mut self, entries: &mut Entries) -> Option<Number> {
        while let Some(sender) = self.turns.pop_front() {
            let Some(queue) = self.queues.get_mut(&sender) else { continue };
            let Some(first) = queue.list.first() else {
                self.queues.remove(&sender);
                continue;
            };
            self.turns.push_back(sender);
            let (credit, cost) = (queue.credit.saturating_add(1), entries.at(first).cost);
            if credit < cost {
                queue.credit = credit;
                continue;
            }
            queue.credit = credit - cost;
            entries.unlink(&mut queue.list, first);
            self.length -= 1;
            return Some(first);
        }
        None
    }

    /// Takes out this one, which is here.
    pub(super) fn remove(&mut self, entries: &mut Entries, number: Number) {
        if let Some(queue) = self.queues.get_mut(&entries.at(number).sender) {
            entries.unlink(&mut queue.list, number);
            self.length -= 1;
        }
    }

    /// All that are here.
    pub(super) fn numbers(&self, entries: &Entries) -> Vec<Number> {
        let lists = self.queues.values().map(|queue| queue.list.first());
        let lists = lists.map(|first| std::iter::successors(first, |&one| entries.after(one)));
        lists.flatten().collect()
    }
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use mail_common::log::Id;

    use super::super::Destination;
    use super::super::entries::Entry;
    use super::*;

    impl Fair {
        /// Memory that is held: half of a tree's nodes may be empty.
        pub(in crate::schedule) fn octets(&self) -> usize {
            let queue = size_of::<u16>() + size_of::<Queue>() + size_of::<usize>();
            self.queues.len() * 2 * queue + self.turns.capacity() * size_of::<u16>()
        }
    }

    /// Sends messages of (sender, size), and tells whose came out in which order.
    fn order(messages: &[(u16, u32)]) -> Vec<u16> {
        let (mut entries, mut fair) = (Entries::default(), Fair::default());
        for (n, &(sender, size)) in messages.iter().enumerate() {
            let entry = Entry::new(Id::parse(&format!("id{n}")).unwrap(), Destination(0));
            let number = entries.insert(Entry { sender, cost: cost(size), ..entry });
            fair.push(&mut entries, number);
        }
        let mut order = Vec::new();
        while let Some(number) = fair.take(&mut entries) {
            order.push(entries.at(number).sender);
        }
        assert_eq!(fair.len(), 0);
        order
    }

    #[test]
    fn senders_take_turns() {
        let small = 4 << 10;
        let large = 128 << 10;
        let table = [
            (vec![], vec![]),
            (vec![(1, small), (1, small), (1, small), (2, small)], vec![1, 2, 1, 1]),
            (vec![(1, small), (2, small), (1, small), (2, small)], vec![1, 2, 1, 2]),
            // Three turns for each large one.
            (
                vec![(1, large), (1, large), (2, small), (2, small), (2, small), (2, small)],
                vec![2, 2, 1, 2, 2, 1],
            ),
        ];
        for (messages, expected) in table {
            assert_eq!(order(&messages), expected, "{messages:?}");
        }
    }

    #[test]
    fn a_small_job_overtakes_a_large_one() {
        let mut messages = vec![(1, 1 << 10); 10_000];
        messages.extend([(2, 1 << 10); 10]);
        let order = order(&messages);
        let last = order.iter().rposition(|&sender| sender == 2).unwrap();
        assert!(last < 20, "{last}");
    }

    #[test]
    fn what_was_removed_has_no_turn() {
        let (mut entries, mut fair) = (Entries::default(), Fair::default());
        for n in 0..3 {
            let entry = Entry::new(Id::parse(&format!("id{n}")).unwrap(), Destination(0));
            let number = entries.insert(Entry { sender: n, ..entry });
            fair.push(&mut entries, number);
        }
        fair.remove(&mut entries, 0);
        assert_eq!(fair.numbers(&entries), [1, 2]);
        assert_eq!((fair.take(&mut entries), fair.take(&mut entries)), (Some(1), Some(2)));
        assert_eq!(fair.take(&mut entries), None);
    }

    #[test]
    fn the_largest_has_its_turn() {
        assert_eq!(cost(u32::MAX), 16);
        assert_eq!(order(&[(1, u32::MAX)]), [1]);
    }
}
