//! What the client was shown of the selected mailbox, and what it is owed.
//!
//! The client counts messages by the responses it got, so its list changes only by what we say:
//! EXPUNGE takes one out, EXISTS adds at the end. We keep the list as it must be in the client's
//! mind, and turn the difference to the mailbox as it is now into responses. Where EXPUNGE must
//! not be said (RFC 3501, 7.4.1), messages that are gone stay in the list until it may.
//!
//! A session pays for what changed, not for what there is: the list shares its pieces with the
//! mailbox, also where messages that are gone stay in it, and only what is different is looked at.

use std::sync::Arc;

use super::write;
use crate::mailbox::{Change, Difference, Entry, FlagChange, Flags, Snapshot, Uid};

/// The selected mailbox, as the client knows it.
#[derive(Debug)]
pub(super) struct View {
    /// Its name.
    pub(super) mailbox: String,
    /// Whether it was EXAMINEd.
    pub(super) read_only: bool,
    /// UIDs from here on are `\Recent` in this session.
    pub(super) recent_from: Uid,
    /// The client's list.
    pub(super) shown: Arc<Snapshot>,
}

/// The mailbox is another one now: no response can tell that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Replaced;

/// In what form the difference may be told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Telling<'a> {
    /// Whether EXPUNGE may be said.
    pub(super) expunges: bool,
    /// Whether FETCH responses carry the UID (RFC 3501, 6.4.8).
    pub(super) uids: bool,
    /// What the client itself has just changed.
    pub(super) stored: Stored<'a>,
}

/// What a STORE has changed, by positions in the client's list, rising.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stored<'a> {
    /// There was no STORE.
    Nothing,
    /// The client wants to see the flags of all these.
    Loudly(&'a [u32]),
    /// It knows what it did to these, and is told only where something else came of it.
    Silently(&'a [u32], &'a FlagChange),
}

/// What happened to messages of the client's list, by their positions there, rising.
#[derive(Debug, Default)]
struct Changes {
    /// Those that are gone.
    gone: Vec<u32>,
    /// Those that have other flags, and how they are now.
    flags: Vec<(u32, Entry)>,
}

/// Rising positions, gone through once.
struct Rising<'a> {
    positions: &'a [u32],
    /// How many are below the one that was asked for.
    passed: usize,
}

impl Telling<'_> {
    /// What changed, and nothing removed.
    pub(super) const NO_EXPUNGE: Self =
        Self { expunges: false, uids: false, stored: Stored::Nothing };
    /// All that changed.
    pub(super) const ALL: Self = Self { expunges: true, uids: false, stored: Stored::Nothing };
}

impl View {
    /// Writes what the client is owed, and takes over what it knows then.
    pub(super) fn report(
        &mut self,
        now: &Arc<Snapshot>,
        telling: Telling<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Replaced> {
        if Arc::ptr_eq(&self.shown, now) && matches!(telling.stored, Stored::Nothing) {
            return Ok(());
        }
        let changes = self.changes(now)?;
        let before = Arc::clone(&self.shown);
        if telling.expunges {
            // From the last to the first, so that no number moves before it is said.
            for &position in changes.gone.iter().rev() {
                numbered(out, position, b" EXPUNGE\r\n");
            }
        }
        self.shown = if telling.expunges || changes.gone.is_empty() {
            Arc::clone(now)
        } else {
            Arc::new(with_gone(&before, now, &changes))
        };
        let known = before.messages.len() - if telling.expunges { changes.gone.len() } else { 0 };
        if self.shown.messages.len() > known {
            self.count(out);
        }
        let permitted = (&now.keywords, now.keywords_full);
        if permitted != (&before.keywords, before.keywords_full) {
            self.write_flags(out);
        }
        self.tell_flags(&before, &changes, telling, out);
        Ok(())
    }

    /// What happened to the messages of the client's list.
    ///
    /// RFC 3501, 2.3.1.1: UIDs rise; a message that comes in between, or another UIDVALIDITY,
    /// makes it another mailbox.
    fn changes(&self, now: &Snapshot) -> Result<Changes, Replaced> {
        if now.uid_validity != self.shown.uid_validity {
            return Err(Replaced);
        }
        let last = self.shown.messages.last().map_or(0, |last| last.uid);
        let mut changes = Changes::default();
        for difference in self.shown.messages.differences(&now.messages) {
            match difference {
                Difference::Gone(at) => changes.gone.push(number(at)),
                Difference::Flags { at, now } => changes.flags.push((number(at), now)),
                Difference::New(entry) if entry.uid <= last => return Err(Replaced),
                // All that follows is new.
                Difference::New(_) => break,
            }
        }
        Ok(changes)
    }

    /// EXISTS and RECENT.
    pub(super) fn count(&self, out: &mut Vec<u8>) {
        let messages = &self.shown.messages;
        out.extend_from_slice(b"* ");
        write::number(out, messages.len() as u64);
        out.extend_from_slice(b" EXISTS\r\n* ");
        let old = messages.position(self.recent_from).unwrap_or_else(|at| at);
        write::number(out, (messages.len() - old) as u64);
        out.extend_from_slice(b" RECENT\r\n");
    }

    /// FLAGS and PERMANENTFLAGS.
    pub(super) fn write_flags(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"* FLAGS (");
        self.flag_names(out);
        if self.read_only {
            out.extend_from_slice(b")\r\n* OK [PERMANENTFLAGS ()] Read-only mailbox.\r\n");
            return;
        }
        out.extend_from_slice(b")\r\n* OK [PERMANENTFLAGS (");
        self.flag_names(out);
        if !self.shown.keywords_full {
            out.extend_from_slice(b" \\*");
        }
        out.extend_from_slice(b")] Flags permitted.\r\n");
    }

    fn flag_names(&self, out: &mut Vec<u8>) {
        let system = Flags::NAMES.iter().map(|(_, name)| *name);
        let keywords = self.shown.keywords.iter().map(String::as_str);
        for (at, name) in system.chain(keywords).enumerate() {
            if at > 0 {
                out.push(b' ');
            }
            out.extend_from_slice(name.as_bytes());
        }
    }

    /// FETCH of the flags that changed or that a STORE named, for the messages that the client
    /// knew.
    fn tell_flags(
        &self,
        before: &Snapshot,
        changes: &Changes,
        telling: Telling<'_>,
        out: &mut Vec<u8>,
    ) {
        let renumbered = !self.shown.keywords.starts_with(&before.keywords);
        let (stored, change): (&[u32], _) = match telling.stored {
            Stored::Nothing => (&[], None),
            Stored::Loudly(positions) => (positions, None),
            Stored::Silently(positions, change) => {
                (positions, Some((change.how, named(change, &self.shown))))
            }
        };
        let (mut old, mut new) = (before.messages.reader(), self.shown.messages.reader());
        let mut gone = Rising::of(if telling.expunges { &changes.gone } else { &[] });
        let mut is_stored = Rising::of(stored);
        for at in candidates(before, changes, stored, renumbered) {
            if gone.holds(at) {
                continue;
            }
            let position = at - number(gone.passed);
            let (Some(was), Some(entry)) = (old.get(at as usize), new.get(position as usize))
            else {
                continue;
            };
            let (expected, is_told) = match (is_stored.holds(at), change) {
                (true, Some((how, named))) => (apply(how, named, was.flags), false),
                (is_stored, _) => (was.flags, is_stored),
            };
            let moved = renumbered && (expected.keywords | entry.flags.keywords) != 0;
            if is_told || moved || entry.flags != expected {
                self.flags_response(position, entry, telling.uids, out);
            }
        }
    }

    fn flags_response(&self, position: u32, entry: Entry, with_uid: bool, out: &mut Vec<u8>) {
        numbered(out, position, b" FETCH (");
        if with_uid {
            out.extend_from_slice(b"UID ");
            write::number(out, u64::from(entry.uid));
            out.push(b' ');
        }
        out.extend_from_slice(b"FLAGS ");
        write::flags(out, entry.flags, &self.shown.keywords, entry.uid >= self.recent_from);
        out.extend_from_slice(b")\r\n");
    }

    /// The UIDs of messages in the client's list.
    pub(super) fn uids(&self, positions: &[u32]) -> Vec<Uid> {
        let mut reader = self.shown.messages.reader();
        let entries = positions.iter().filter_map(|&at| reader.get(at as usize));
        entries.map(|entry| entry.uid).collect()
    }
}

/// `* n` and what follows it.
fn numbered(out: &mut Vec<u8>, position: u32, rest: &[u8]) {
    out.extend_from_slice(b"* ");
    write::number(out, u64::from(position) + 1);
    out.extend_from_slice(rest);
}

/// A position as sequence numbers have it: nobody has 2^32 messages.
fn number(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

/// Positions of messages that may have to be told, rising.
fn candidates(before: &Snapshot, changes: &Changes, stored: &[u32], all: bool) -> Vec<u32> {
    if all {
        return (0..number(before.messages.len())).collect();
    }
    let mut positions: Vec<u32> = changes.flags.iter().map(|(at, _)| *at).collect();
    positions.extend_from_slice(stored);
    positions.sort();
    positions.dedup();
    positions
}

/// `now`, with what is gone still in its place.
fn with_gone(before: &Snapshot, now: &Snapshot, changes: &Changes) -> Snapshot {
    let mut messages = before.messages.clone();
    for (at, entry) in &changes.flags {
        messages.set_flags(*at as usize, entry.flags);
    }
    let left = before.messages.len() - changes.gone.len();
    messages.extend(now.messages.iter_from(left));
    Snapshot { messages, keywords: Arc::clone(&now.keywords), ..*now }
}

impl<'a> Rising<'a> {
    fn of(positions: &'a [u32]) -> Self {
        Self { positions, passed: 0 }
    }

    /// Whether a position is among them. Who asks, asks for rising ones.
    fn holds(&mut self, position: u32) -> bool {
        while self.positions.get(self.passed).is_some_and(|next| *next < position) {
            self.passed += 1;
        }
        self.positions.get(self.passed) == Some(&position)
    }
}

/// A change's flags as bits; a keyword that the mailbox does not know has none.
fn named(change: &FlagChange, snapshot: &Snapshot) -> Flags {
    let keywords = change.flags.keywords.iter().filter_map(|name| snapshot.keyword(name));
    Flags { system: change.flags.system, keywords: keywords.fold(0, |all, bit| all | bit) }
}

fn apply(how: Change, named: Flags, to: Flags) -> Flags {
    let (system, keywords) = match how {
        Change::Replace => (named.system, named.keywords),
        Change::Add => (to.system | named.system, to.keywords | named.keywords),
        Change::Remove => (to.system & !named.system, to.keywords & !named.keywords),
    };
    Flags { system, keywords }
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mailbox::{Entry, NamedFlags};

    fn snapshot(messages: &[(Uid, u8)]) -> Arc<Snapshot> {
        let entry =
            |&(uid, system): &(Uid, u8)| Entry { uid, flags: Flags { system, keywords: 0 } };
        Arc::new(Snapshot {
            uid_validity: 1,
            uid_next: messages.last().map_or(1, |last| last.0 + 1),
            modseq: 0,
            messages: messages.iter().map(entry).collect(),
            ..Snapshot::default()
        })
    }

    fn view(messages: &[(Uid, u8)]) -> View {
        View {
            mailbox: "INBOX".into(),
            read_only: false,
            recent_from: 90,
            shown: snapshot(messages),
        }
    }

    fn told(view: &mut View, now: &Arc<Snapshot>, telling: Telling<'_>) -> String {
        let mut out = Vec::new();
        view.report(now, telling, &mut out).unwrap();
        String::from_utf8(out).unwrap().replace("\r\n", "|")
    }

    #[test]
    fn what_is_owed() {
        let before = [(10, 0), (20, 0), (30, 1)];
        type Row<'a> = (&'a [(Uid, u8)], &'a str, &'a str);
        let table: [Row<'_>; 6] = [
            (&before, "", ""),
            (&[(20, 0)], "* 3 EXPUNGE|* 1 EXPUNGE|", ""),
            (
                &[(10, 0), (20, 1), (30, 1), (95, 0)],
                "* 4 EXISTS|* 1 RECENT|* 2 FETCH (FLAGS (\\Seen))|",
                "* 4 EXISTS|* 1 RECENT|* 2 FETCH (FLAGS (\\Seen))|",
            ),
            // Apple Mail loops when EXISTS comes although the count did not grow.
            (&[(10, 0), (20, 0)], "* 3 EXPUNGE|", ""),
            (
                &[(30, 0), (40, 0)],
                "* 2 EXPUNGE|* 1 EXPUNGE|* 2 EXISTS|* 0 RECENT|* 1 FETCH (FLAGS ())|",
                "* 4 EXISTS|* 0 RECENT|* 3 FETCH (FLAGS ())|",
            ),
            (&[], "* 3 EXPUNGE|* 2 EXPUNGE|* 1 EXPUNGE|", ""),
        ];
        for (now, all, no_expunge) in table {
            let now = snapshot(now);
            assert_eq!(told(&mut view(&before), &now, Telling::ALL), all);
            let mut view = view(&before);
            assert_eq!(told(&mut view, &now, Telling::NO_EXPUNGE), no_expunge);
            told(&mut view, &now, Telling::ALL);
            assert_eq!(view.shown, now);
        }
    }

    #[test]
    fn a_store_is_told_as_the_client_wants_it() {
        let change = FlagChange {
            how: Change::Add,
            flags: NamedFlags { system: Flags::SEEN, keywords: vec![] },
        };
        let before = [(10, Flags::SEEN), (20, 0), (30, 0)];
        let now = snapshot(&[(10, 1), (20, 1), (30, 1 | Flags::DELETED)]);
        let table = [
            (
                Stored::Loudly(&[0, 1]),
                "* 1 FETCH (UID 10 FLAGS (\\Seen))|* 2 FETCH (UID 20 FLAGS (\\Seen))|* 3 FETCH (UID 30 FLAGS (\\Deleted \\Seen))|",
            ),
            (Stored::Silently(&[1], &change), "* 3 FETCH (UID 30 FLAGS (\\Deleted \\Seen))|"),
            (Stored::Silently(&[1, 2], &change), "* 3 FETCH (UID 30 FLAGS (\\Deleted \\Seen))|"),
        ];
        for (stored, expected) in table {
            let telling = Telling { expunges: true, uids: true, stored };
            assert_eq!(told(&mut view(&before), &now, telling), expected);
        }
    }

    #[test]
    fn new_keywords_are_made_known_first() {
        let mut now = Snapshot::clone(&snapshot(&[(10, 0)]));
        now.keywords = ["Work".to_owned()].into();
        now.messages.set_flags(0, Flags { system: 0, keywords: 1 });
        let expected = "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft Work)|\
            * OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft Work \\*)] \
            Flags permitted.|* 1 FETCH (FLAGS (Work))|";
        assert_eq!(told(&mut view(&[(10, 0)]), &Arc::new(now), Telling::ALL), expected);
    }

    #[test]
    fn that_there_is_no_room_for_keywords_is_told_once() {
        let mut now = Snapshot::clone(&snapshot(&[(10, 0)]));
        now.keywords_full = true;
        let (now, mut view) = (Arc::new(now), view(&[(10, 0)]));
        let expected = "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)|\
            * OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)] \
            Flags permitted.|";
        assert_eq!(told(&mut view, &now, Telling::ALL), expected);
        assert_eq!(told(&mut view, &now, Telling::ALL), "");
    }

    #[test]
    fn another_mailbox_cannot_be_told() {
        let mut other = Snapshot::clone(&snapshot(&[(10, 0)]));
        other.uid_validity = 2;
        for now in [Arc::new(other), snapshot(&[(5, 0), (10, 0)])] {
            let mut view = view(&[(10, 0)]);
            assert_eq!(view.report(&now, Telling::ALL, &mut Vec::new()), Err(Replaced));
        }
    }

    #[test]
    fn a_uid_given_twice_below_one_still_shown_cannot_be_told() {
        type Row<'a> = (&'a [(Uid, u8)], Result<&'a str, Replaced>, Result<&'a str, Replaced>);
        let table: [Row<'_>; 3] = [
            (
                &[(10, 0), (31, 0)],
                Ok("* 2 EXPUNGE|* 2 EXISTS|* 0 RECENT|"),
                Ok("* 3 EXISTS|* 0 RECENT|"),
            ),
            (&[(10, 0), (20, 0)], Err(Replaced), Err(Replaced)),
            (&[(10, 0), (20, 0), (30, 0), (31, 0)], Err(Replaced), Err(Replaced)),
        ];
        for (now, all, no_expunge) in table {
            for (telling, expected) in [(Telling::ALL, all), (Telling::NO_EXPUNGE, no_expunge)] {
                let mut view = view(&[(10, 0), (20, 0), (30, 0)]);
                let without_20 = snapshot(&[(10, 0), (30, 0)]);
                assert_eq!(told(&mut view, &without_20, Telling::ALL), "* 2 EXPUNGE|");
                assert_eq!(told(&mut view, &snapshot(&[(10, 0)]), Telling::NO_EXPUNGE), "");
                let mut out = Vec::new();
                let reported = view.report(&snapshot(now), telling, &mut out);
                let out = String::from_utf8(out).unwrap().replace("\r\n", "|");
                assert_eq!(reported, expected.map(drop), "{now:?}");
                assert_eq!(out, expected.unwrap_or_default(), "{now:?}");
            }
        }
    }

    /// What is owed, found by a look at every message; and the list afterwards.
    fn plain(view: &View, now: &Snapshot, telling: Telling<'_>) -> (String, Vec<Entry>) {
        let before: Vec<Entry> = view.shown.messages.iter().collect();
        let is_gone = |entry: &&Entry| now.entry(entry.uid).is_none();
        let mut out = Vec::new();
        for (position, _) in before.iter().enumerate().rev().filter(|(_, entry)| is_gone(entry)) {
            if telling.expunges {
                numbered(&mut out, number(position), b" EXPUNGE\r\n");
            }
        }
        let last = before.last().map_or(0, |last| last.uid);
        let kept = before.iter().filter(|entry| !telling.expunges || !is_gone(entry));
        let kept: Vec<Entry> = kept.map(|entry| now.entry(entry.uid).unwrap_or(*entry)).collect();
        let fresh: Vec<Entry> = now.messages.iter().filter(|entry| entry.uid > last).collect();
        let list = [kept.clone(), fresh.clone()].concat();
        let shown = Snapshot { messages: list.iter().copied().collect(), ..now.clone() };
        let after = View { shown: Arc::new(shown), mailbox: String::new(), ..*view };
        if !fresh.is_empty() {
            after.count(&mut out);
        }
        if now.keywords != view.shown.keywords {
            after.write_flags(&mut out);
        }
        let renumbered = !now.keywords.starts_with(&view.shown.keywords);
        for (position, entry) in kept.iter().enumerate() {
            let at = view.shown.position(entry.uid).unwrap();
            let was = before[at].flags;
            let (expected, is_told) = match telling.stored {
                Stored::Loudly(positions) => (was, positions.contains(&number(at))),
                Stored::Silently(positions, change) if positions.contains(&number(at)) => {
                    (apply(change.how, named(change, now), was), false)
                }
                _ => (was, false),
            };
            let moved = renumbered && (expected.keywords | entry.flags.keywords) != 0;
            if is_told || moved || entry.flags != expected {
                after.flags_response(number(position), *entry, telling.uids, &mut out);
            }
        }
        (String::from_utf8(out).unwrap().replace("\r\n", "|"), list)
    }

    /// Does to a mailbox what others do to it; rarely one gets a keyword less.
    fn happen(now: &mut Snapshot, (what, which, many): (u8, u32, u32)) {
        let messages = &mut now.messages;
        let uids = (which..which + many).map(|n| 3 * n);
        let at = which as usize % messages.len().max(1);
        match what {
            0..3 => {
                // Not from the last message on: that one may be gone, and its UID was given.
                let next = now.uid_next;
                let entry = |n| Entry { uid: next + 3 * n, flags: Flags::default() };
                messages.extend((0..many).map(entry));
                now.uid_next += 3 * many;
            }
            3..5 => messages.remove(&uids.collect::<Vec<_>>()),
            5..7 => messages.remove(messages.get(at).map(|entry| entry.uid).as_slice()),
            7 => {
                now.keywords = ["Work", "Play"].map(str::to_owned)[..(many % 3) as usize].into();
            }
            _ => messages
                .set_flags(at, Flags { system: many as u8 & 31, keywords: u64::from(many) & 3 }),
        }
    }

    /// Does to a client's list what the responses say.
    fn obey(list: &mut Vec<(Uid, u8)>, responses: &str, now: &Snapshot) {
        for response in responses.split_terminator('|') {
            let words: Vec<&str> = response.split([' ', '(', ')']).collect();
            let number: usize = words[1].parse().unwrap_or_default();
            match words[2] {
                "EXPUNGE" => drop(list.remove(number - 1)),
                "EXISTS" => {
                    assert!(number > list.len(), "EXISTS without growth");
                    let known = list.last().map_or(0, |last| last.0);
                    let fresh = now.messages.iter().filter(|entry| entry.uid > known);
                    list.extend(fresh.map(|entry| (entry.uid, entry.flags.system)));
                    assert_eq!(list.len(), number);
                }
                "FETCH" => {
                    let uid = words[5].parse().unwrap();
                    let system = Flags::NAMES.iter().filter(|(_, name)| words.contains(name));
                    let entry = list.get_mut(number - 1).unwrap();
                    assert_eq!(entry.0, uid, "{response}");
                    entry.1 = system.map(|(bit, _)| bit).sum();
                }
                _ => assert_eq!(words[2], "RECENT"),
            }
        }
    }

    proptest! {
        #[test]
        fn shared_pieces_hide_nothing_from_the_client(
            history in proptest::collection::vec(
                (
                    proptest::collection::vec((0..20_u8, 0..5000_u32, 1..1500_u32), 0..4),
                    any::<bool>(),
                    0..3_u8,
                    proptest::collection::btree_set(0..5000_u32, 0..6),
                ),
                1..8,
            ),
        ) {
            let mut now = Snapshot { uid_next: 3, ..Snapshot::default() };
            let mut view = view(&[]);
            view.shown = Arc::new(now.clone());
            let flags = NamedFlags { system: Flags::SEEN, keywords: vec!["Work".to_owned()] };
            let change = FlagChange { how: Change::Add, flags };
            for (events, expunges, stored, positions) in history {
                events.into_iter().for_each(|event| happen(&mut now, event));
                let positions: Vec<u32> = positions.into_iter().collect();
                let stored = match stored {
                    0 => Stored::Nothing,
                    1 => Stored::Loudly(&positions),
                    _ => Stored::Silently(&positions, &change),
                };
                let telling = Telling { expunges, uids: true, stored };
                let (expected, list) = plain(&view, &now, telling);
                prop_assert_eq!(told(&mut view, &Arc::new(now.clone()), telling), expected);
                prop_assert!(view.shown.messages.iter().eq(list.iter().copied()));
            }
        }

        #[test]
        fn the_clients_list_is_the_mailbox(
            history in proptest::collection::vec((0..4_u8, any::<u8>(), any::<bool>()), 1..60),
        ) {
            let mut messages: Vec<(Uid, u8)> = vec![(1, 0), (2, 1)];
            let mut next = 3;
            let mut list = messages.clone();
            let mut view = view(&messages);
            for (what, which, expunges) in history {
                let at = usize::from(which) % messages.len().max(1);
                match what {
                    0 | 1 => {
                        messages.push((next, which & 31));
                        next += 1 + u32::from(which % 3);
                    }
                    2 if !messages.is_empty() => drop(messages.remove(at)),
                    3 if !messages.is_empty() => messages[at].1 ^= 1 << (which % 5),
                    _ => {}
                }
                let now = snapshot(&messages);
                let telling = Telling { expunges, uids: true, stored: Stored::Nothing };
                let responses = told(&mut view, &now, telling);
                prop_assert!(expunges || !responses.contains("EXPUNGE"));
                obey(&mut list, &responses, &now);
                let shown: Vec<_> =
                    view.shown.messages.iter().map(|it| (it.uid, it.flags.system)).collect();
                prop_assert_eq!(&list, &shown);
                if expunges {
                    prop_assert_eq!(&list, &messages);
                }
            }
        }
    }
}
