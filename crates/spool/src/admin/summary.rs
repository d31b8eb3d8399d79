//! How much waits, for whom, why and for how long: counted from rows alone.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::index::ALL_OTHERS;
use crate::row::{Name, Row, Standing};

/// The age in minutes at which each column but the first begins. A message of exactly five minutes
/// is in the second.
pub const AGES: [u64; 9] = [5, 10, 20, 40, 80, 160, 320, 640, 1280];

/// Columns of ages.
pub(crate) const COLUMNS: usize = AGES.len() + 1;

/// Groups of one kind that are told apart; the rest is one.
pub(crate) const GROUPS: usize = 1000;

/// How much waits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// All of it.
    pub total: Group,
    /// Messages that nobody has tried.
    pub new: u64,
    /// Messages that were tried, or that go back to their senders.
    pub deferred: u64,
    /// Messages that are held.
    pub held: u64,
    /// By the domain of the first recipient that waits, the most first.
    pub destinations: Vec<Group>,
    /// By why it waits.
    pub reasons: Vec<Group>,
    /// By the sender's domain; a group without a name: notifications.
    pub senders: Vec<Group>,
}

/// Messages that have something in common.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// What.
    pub name: String,
    /// How many.
    pub messages: u64,
    /// Their octets.
    pub octets: u64,
    /// How many of each age: below 5 minutes, below 10, 20, 40, 80, 160, 320, 640, 1280, and all
    /// that are older.
    pub ages: [u64; COLUMNS],
}

/// A summary that is being made.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    summary: Summary,
    destinations: HashMap<Name, Group>,
    reasons: HashMap<Name, Group>,
    senders: HashMap<Name, Group>,
}

impl Counting {
    /// Counts a message, `now` seconds after 1970.
    pub(crate) fn see(&mut self, row: &Row, now: u64) {
        let arrived = row.id.micros().map_or(now, |micros| micros / 1_000_000);
        let column = column(now.saturating_sub(arrived));
        let standing = match row.standing {
            Standing::New => &mut self.summary.new,
            Standing::Deferred | Standing::GivenUp => &mut self.summary.deferred,
            Standing::Held => &mut self.summary.held,
        };
        *standing += 1;
        let groups = [
            &mut self.summary.total,
            self.destinations.entry(row.destination).or_default(),
            self.reasons.entry(row.reason).or_default(),
            self.senders.entry(row.sender).or_default(),
        ];
        for group in groups {
            group.messages += 1;
            group.octets += u64::from(row.size);
            if let Some(count) = group.ages.get_mut(column) {
                *count += 1;
            }
        }
    }

    /// The summary; `name` says what a name in a row is.
    pub(crate) fn finish(self, name: impl Fn(Name) -> String) -> Summary {
        Summary {
            destinations: named(self.destinations, &name),
            reasons: named(self.reasons, &name),
            senders: named(self.senders, &name),
            ..self.summary
        }
    }
}

fn column(age: u64) -> usize {
    AGES.iter().take_while(|&&minutes| age >= minutes * 60).count()
}

/// The largest first; of more than [`GROUPS`], the smallest are one.
fn named(groups: HashMap<Name, Group>, name: impl Fn(Name) -> String) -> Vec<Group> {
    let named = groups.into_iter().map(|(key, group)| Group { name: name(key), ..group });
    let mut groups: Vec<Group> = named.collect();
    groups.sort_by(|a, b| (Reverse(a.messages), &a.name).cmp(&(Reverse(b.messages), &b.name)));
    let rest = groups.split_off(groups.len().min(GROUPS));
    if !rest.is_empty() {
        groups.push(rest.iter().fold(others(), Group::with));
    }
    groups
}

fn others() -> Group {
    Group { name: ALL_OTHERS.to_owned(), ..Group::default() }
}

impl Group {
    fn with(mut self, other: &Self) -> Self {
        self.messages += other.messages;
        self.octets += other.octets;
        for (count, more) in self.ages.iter_mut().zip(other.ages) {
            *count += more;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use mail_common::log::Id;

    use super::*;
    use crate::row::{NOTHING, Place};

    const NOW: u64 = 1_795_363_200;

    /// An id of that time.
    fn made(mut micros: u64) -> Id {
        const ALPHABET: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut text = vec![b'0'; 10];
        for place in text[..9].iter_mut().rev() {
            *place = ALPHABET[(micros % 62) as usize];
            micros /= 62;
        }
        Id::parse(std::str::from_utf8(&text).expect("is text")).expect("is an id")
    }

    /// Of so many minutes, at a destination, in a standing.
    fn row(minutes: u64, destination: Name, standing: Standing) -> Row {
        Row {
            id: made((NOW - minutes * 60) * 1_000_000),
            letter: Place { slot: 0, unit: 0, units: 1 },
            progress: None,
            due: 0,
            destination,
            reason: NOTHING,
            sender: destination,
            size: 10,
            attempts: 0,
            waiting: 1,
            standing,
            big: false,
        }
    }

    #[test]
    fn ages_have_columns() {
        let table = [(0, 0), (299, 0), (300, 1), (599, 1), (600, 2), (1280 * 60, 9), (u64::MAX, 9)];
        for (seconds, expected) in table {
            assert_eq!(column(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn all_is_counted_once_in_each_way() {
        let mut counting = Counting::default();
        let rows = [
            row(0, 1, Standing::New),
            row(7, 2, Standing::Deferred),
            row(7, 2, Standing::Held),
            row(5000, 2, Standing::GivenUp),
        ];
        for row in rows {
            counting.see(&row, NOW);
        }
        let summary = counting.finish(|name| format!("d{name}"));
        assert_eq!((summary.new, summary.deferred, summary.held), (1, 2, 1));
        assert_eq!((summary.total.messages, summary.total.octets), (4, 40));
        assert_eq!(summary.total.ages, [1, 2, 0, 0, 0, 0, 0, 0, 0, 1]);
        let names: Vec<_> = summary.destinations.iter().map(|group| group.name.as_str()).collect();
        assert_eq!(names, ["d2", "d1"]);
        assert_eq!(summary.destinations[0].ages, [0, 2, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(summary.reasons.len(), 1);
    }

    #[test]
    fn there_is_an_end_to_groups() {
        let mut counting = Counting::default();
        for destination in 0..GROUPS as u32 + 5 {
            counting.see(&row(0, destination, Standing::New), NOW);
        }
        let summary = counting.finish(|name| format!("{name:05}"));
        assert_eq!(summary.destinations.len(), GROUPS + 1);
        assert_eq!(summary.destinations[GROUPS].name, "(others)");
        assert_eq!(summary.destinations[GROUPS].messages, 5);
    }
}
