//! Which messages an admin means.
//!
//! Kinds of conditions must all hold; of several of one kind, one must. A row in memory answers
//! most of them, so that a search through a long queue reads only the letters that it has to.

use std::collections::HashMap;

use mail_proto::address::ReversePath;
use serde::{Deserialize, Serialize};

use super::{Glob, Standing};
use crate::row::{self, NOTHING, Name, OTHERS, Row};
use crate::{Letter, Progress, State};

/// Which messages are meant; without conditions, all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<Glob>,
    /// Senders' addresses; `<>` is nobody.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub senders: Vec<Glob>,
    /// Recipients' addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<Glob>,
    /// Domains of recipients that wait.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub destinations: Vec<Glob>,
    /// Why a recipient waits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Glob>,
    /// In the queue for so many seconds, or longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub older: Option<u64>,
    /// In the queue for less than so many seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newer: Option<u64>,
    /// Of so many octets, or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub larger: Option<u64>,
    /// Of less than so many octets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smaller: Option<u64>,
    /// How they stand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub standing: Vec<Standing>,
}

/// What a row says about a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Match {
    /// It does not hold.
    No,
    /// The letter has to be asked.
    Unknown,
    /// It holds.
    Yes,
}

/// A search through the queue with a filter.
pub(crate) struct Search<'a> {
    filter: &'a Filter,
    /// Seconds since 1970.
    now: u64,
    name: &'a dyn Fn(Name) -> String,
    sender_domains: Option<Vec<Glob>>,
    senders: HashMap<Name, bool>,
    destinations: HashMap<Name, bool>,
}

impl Filter {
    /// Whether no condition is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The ids, where these alone can be meant.
    pub fn exact_ids(&self) -> Option<Vec<&str>> {
        if self.ids.is_empty() {
            return None;
        }
        self.ids.iter().map(Glob::literal).collect()
    }

    /// Whether a message is meant, of `size` octets, `now` seconds after 1970.
    pub(crate) fn is_met(&self, letter: &Letter, progress: &Progress, size: u64, now: u64) -> bool {
        let pairs = || letter.recipients.iter().zip(&progress.recipients);
        let waiting = || pairs().filter(|(_, state)| matches!(state, State::Waiting(_)));
        let reasons = || {
            progress.recipients.iter().filter_map(|state| match state {
                State::Waiting(reason) => reason.as_deref(),
                _ => None,
            })
        };
        any(&self.ids, |glob| glob.matches(letter.id.as_str()))
            && any(&self.senders, |glob| is_sender(glob, &letter.sender))
            && any(&self.recipients, |glob| {
                letter.recipients.iter().any(|to| glob.matches(&to.address.to_string()))
            })
            && any(&self.destinations, |glob| {
                waiting().any(|(to, _)| glob.matches(to.address.domain().as_str()))
            })
            && any(&self.reasons, |glob| {
                reasons().chain(progress.hold.as_deref()).any(|reason| glob.matches(reason))
            })
            && self.fits_standing(row::Standing::of(progress))
            && self.fits_age(letter.arrived / 1_000_000, now)
            && self.fits_size(size)
    }

    fn fits_standing(&self, standing: row::Standing) -> bool {
        any(&self.standing, |wanted| *wanted == standing.into())
    }

    fn fits_age(&self, arrived: u64, now: u64) -> bool {
        let age = now.saturating_sub(arrived);
        self.older.is_none_or(|least| age >= least) && self.newer.is_none_or(|most| age < most)
    }

    fn fits_size(&self, size: u64) -> bool {
        self.larger.is_none_or(|least| size >= least) && self.smaller.is_none_or(|most| size < most)
    }
}

impl<'a> Search<'a> {
    /// Begins a search; `name` says what a name in a row is.
    pub(crate) fn new(filter: &'a Filter, now: u64, name: &'a dyn Fn(Name) -> String) -> Self {
        let named = filter.senders.iter().filter(|glob| !is_nobody(glob));
        let sender_domains = named.map(Glob::domain).collect();
        let (senders, destinations) = (HashMap::new(), HashMap::new());
        Self { filter, now, name, sender_domains, senders, destinations }
    }

    /// Whether the message of a row is meant.
    pub(crate) fn on_row(&mut self, row: &Row) -> Match {
        let certain = |holds| if holds { Match::Yes } else { Match::No };
        let filter = self.filter;
        let arrived = row.id.micros().map(|micros| micros / 1_000_000);
        let age = match arrived {
            _ if filter.older.is_none() && filter.newer.is_none() => Match::Yes,
            Some(arrived) => certain(filter.fits_age(arrived, self.now)),
            None => Match::Unknown,
        };
        let size = match row.size {
            u32::MAX => Match::Unknown,
            size => certain(filter.fits_size(size.into())),
        };
        let cheap = certain(filter.fits_standing(row.standing))
            .min(certain(any(&filter.ids, |glob| glob.matches(row.id.as_str()))))
            .min(age)
            .min(size);
        if cheap == Match::No {
            return Match::No;
        }
        cheap.min(self.on_sender(row)).min(self.on_destination(row)).min(self.in_letter(row))
    }

    fn on_sender(&mut self, row: &Row) -> Match {
        if self.filter.senders.is_empty() {
            return Match::Yes;
        }
        let Some(domains) = &self.sender_domains else { return Match::Unknown };
        if matches!(row.sender, NOTHING | OTHERS) {
            return Match::Unknown;
        }
        let name = self.name;
        let may_be = self.senders.entry(row.sender).or_insert_with(|| {
            let domain = name(row.sender);
            domains.iter().any(|glob| glob.matches(&domain))
        });
        if *may_be { Match::Unknown } else { Match::No }
    }

    /// A row has only the first domain.
    fn on_destination(&mut self, row: &Row) -> Match {
        if self.filter.destinations.is_empty() {
            return Match::Yes;
        }
        if row.destination == OTHERS {
            return Match::Unknown;
        }
        let (name, wanted) = (self.name, &self.filter.destinations);
        let matches = self.destinations.entry(row.destination).or_insert_with(|| {
            let domain = name(row.destination);
            wanted.iter().any(|glob| glob.matches(&domain))
        });
        match matches {
            true => Match::Yes,
            false if row.waiting == 1 => Match::No,
            false => Match::Unknown,
        }
    }

    fn in_letter(&self, row: &Row) -> Match {
        let reasons = match row.reason {
            _ if self.filter.reasons.is_empty() => Match::Yes,
            NOTHING => Match::No,
            _ => Match::Unknown,
        };
        let recipients =
            if self.filter.recipients.is_empty() { Match::Yes } else { Match::Unknown };
        reasons.min(recipients)
    }
}

/// Nothing is no condition.
fn any<T>(conditions: &[T], holds: impl Fn(&T) -> bool) -> bool {
    conditions.is_empty() || conditions.iter().any(holds)
}

fn is_sender(glob: &Glob, sender: &ReversePath) -> bool {
    match &sender.0 {
        None => is_nobody(glob),
        Some(address) => glob.matches(&address.to_string()),
    }
}

/// Whether it is the sender of notifications that is meant.
fn is_nobody(glob: &Glob) -> bool {
    ["", "<>"].iter().any(|nobody| glob.matches(nobody))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use mail_common::log::Id;
    use mail_proto::smtp::Recipient;

    use super::*;
    use crate::row::Place;

    const NOW: u64 = 1_795_363_200;

    fn globs(patterns: &[&str]) -> Vec<Glob> {
        patterns.iter().map(|pattern| Glob::new(*pattern)).collect()
    }

    fn letter() -> Letter {
        let to = |address: &str| Recipient::new(address.parse().unwrap());
        Letter::new(
            Id::parse("0abc").unwrap(),
            (NOW - 3600) * 1_000_000,
            ReversePath(Some("bob@example.net".parse().unwrap())),
            vec![to("ann@example.org"), to("eve@other.example")],
        )
    }

    fn progress() -> Progress {
        let mut progress = Progress::new(&letter());
        progress.attempts = 2;
        progress.set(0, State::Delivered);
        progress.set(1, State::Waiting(Some("450 4.2.1 Mailbox busy".into())));
        progress
    }

    /// Names: 2 example.net, 3 other.example, 4 the reason.
    fn name(name: Name) -> String {
        let names = ["", "(others)", "example.net", "other.example", "450"];
        names.get(name as usize).copied().unwrap_or_default().to_owned()
    }

    fn row() -> Row {
        Row {
            id: Id::parse("0abc").unwrap(),
            letter: Place { slot: 0, unit: 64, units: 2 },
            progress: None,
            due: 0,
            destination: 3,
            reason: 4,
            sender: 2,
            size: 5000,
            attempts: 2,
            waiting: 1,
            standing: row::Standing::Deferred,
            big: false,
        }
    }

    /// Filters, whether the message meets them, and what its row says of them.
    fn table() -> Vec<(Filter, bool, Match)> {
        let all = Filter::default;
        vec![
            (all(), true, Match::Yes),
            (Filter { ids: globs(&["x", "0a*"]), ..all() }, true, Match::Yes),
            (Filter { ids: globs(&["x"]), ..all() }, false, Match::No),
            (Filter { senders: globs(&["*@example.net"]), ..all() }, true, Match::Unknown),
            (Filter { senders: globs(&["bob*"]), ..all() }, true, Match::Unknown),
            (Filter { senders: globs(&["ann@example.net"]), ..all() }, false, Match::Unknown),
            (Filter { senders: globs(&["*@*.org", "<>"]), ..all() }, false, Match::No),
            (Filter { recipients: globs(&["ann@*"]), ..all() }, true, Match::Unknown),
            (Filter { recipients: globs(&["x@*"]), ..all() }, false, Match::Unknown),
            (Filter { destinations: globs(&["OTHER.*"]), ..all() }, true, Match::Yes),
            (Filter { destinations: globs(&["example.org"]), ..all() }, false, Match::No),
            (Filter { reasons: vec![Glob::within("busy")], ..all() }, true, Match::Unknown),
            (Filter { reasons: vec![Glob::within("full")], ..all() }, false, Match::Unknown),
            (Filter { larger: Some(5000), ..all() }, true, Match::Yes),
            (Filter { smaller: Some(5000), ..all() }, false, Match::No),
            (Filter { older: Some(3600), ..all() }, true, Match::Unknown),
            (Filter { newer: Some(3600), ..all() }, false, Match::Unknown),
            (Filter { standing: vec![Standing::Deferred], ..all() }, true, Match::Yes),
            (Filter { standing: vec![Standing::Held], ..all() }, false, Match::No),
        ]
    }

    #[test]
    fn letters_meet_filters() {
        for (filter, expected, _) in table() {
            let met = filter.is_met(&letter(), &progress(), 5000, NOW);
            assert_eq!(met, expected, "{filter:?}");
        }
    }

    #[test]
    fn rows_say_no_more_than_they_know() {
        for (filter, is_met, expected) in table() {
            let said = Search::new(&filter, NOW, &name).on_row(&row());
            assert_eq!(said, expected, "{filter:?}");
            assert!(said == Match::Unknown || (said == Match::Yes) == is_met, "{filter:?}");
        }
    }

    #[test]
    fn rows_of_which_little_is_known() {
        let filter = |text: &str| Filter { senders: globs(&[text]), ..Filter::default() };
        let to = |text: &str| Filter { destinations: globs(&[text]), ..Filter::default() };
        let busy = || Filter { reasons: vec![Glob::within("busy")], ..Filter::default() };
        let size = Filter { smaller: Some(5), ..Filter::default() };
        let table = [
            (filter("<>"), Row { sender: NOTHING, ..row() }, Match::Unknown),
            (filter("<>"), row(), Match::No),
            (filter("*@x"), Row { sender: OTHERS, ..row() }, Match::Unknown),
            (busy(), Row { reason: NOTHING, ..row() }, Match::No),
            (to("x"), Row { destination: OTHERS, ..row() }, Match::Unknown),
            (to("x"), Row { waiting: 2, ..row() }, Match::Unknown),
            (size, Row { size: u32::MAX, ..row() }, Match::Unknown),
        ];
        for (filter, row, expected) in table {
            assert_eq!(Search::new(&filter, NOW, &name).on_row(&row), expected, "{filter:?}");
        }
    }

    #[test]
    fn what_goes_back_is_deferred() {
        let given_up = Progress { given_up: Some("no".into()), ..Progress::new(&letter()) };
        let held = Progress { hold: Some("spam?".into()), ..given_up.clone() };
        let table = [
            (Progress::new(&letter()), Standing::New),
            (progress(), Standing::Deferred),
            (given_up, Standing::Deferred),
            (held, Standing::Held),
        ];
        for (progress, expected) in table {
            let row = Row { standing: row::Standing::of(&progress), ..row() };
            for wanted in [Standing::New, Standing::Deferred, Standing::Held] {
                let filter = Filter { standing: vec![wanted], ..Filter::default() };
                let is_met = filter.is_met(&letter(), &progress, 5000, NOW);
                let said = Search::new(&filter, NOW, &name).on_row(&row) == Match::Yes;
                assert_eq!((is_met, said), (wanted == expected, wanted == expected), "{row:?}");
            }
        }
    }

    #[test]
    fn ids_make_rows_go() {
        let filter = |ids: &[&str]| Filter { ids: globs(ids), ..Filter::default() };
        assert_eq!(filter(&["a", "b"]).exact_ids(), Some(vec!["a", "b"]));
        assert_eq!(filter(&["a", "b*"]).exact_ids(), None);
        assert_eq!(filter(&[]).exact_ids(), None);
    }

    #[test]
    fn a_filter_goes_through_text() {
        for (filter, ..) in table() {
            let text = serde_json::to_string(&filter).unwrap();
            assert_eq!(serde_json::from_str::<Filter>(&text).unwrap(), filter, "{text}");
        }
        assert!(serde_json::from_str::<Filter>(r#"{"sender":"x"}"#).is_err());
    }
}
