//! What the client was shown of the selected mailbox, and what it is owed.
//!
//! The client counts messages by the responses it got, so its list changes only by what we say:
//! EXPUNGE takes one out, EXISTS adds at the end. We keep the list as it must be in the client's
//! mind, and turn the difference to the mailbox as it is now into responses. Where EXPUNGE must
//! not be said (RFC 3501, 7.4.1), messages that are gone stay in the list until it may.

use std::sync::Arc;

use super::write;
use crate::mailbox::{Change, FlagChange, Flags, Snapshot, Uid};

/// The selected mailbox, as the client knows it.
#[derive(Debug)]
pub(super) struct View {
    /// Its name.
    pub(super) mailbox: String,
    /// Whether it was EXAMINEd.
    pub(super) read_only: bool,
    /// Whether the client may make new keywords.
    pub(super) new_keywords: bool,
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
        if self.is_replaced(now) {
            return Err(Replaced);
        }
        let before = Arc::clone(&self.shown);
        let gone = gone(&before, now);
        if telling.expunges {
            // From the last to the first, so that no number moves before it is said.
            for &position in gone.iter().rev() {
                numbered(out, position, b" EXPUNGE\r\n");
            }
        }
        self.shown = if telling.expunges || gone.is_empty() {
            Arc::clone(now)
        } else {
            Arc::new(with_gone(&before, now))
        };
        let known = before.messages.len() - if telling.expunges { gone.len() } else { 0 };
        if self.shown.messages.len() > known {
            self.count(out);
        }
        if now.keywords != before.keywords {
            self.write_flags(out);
        }
        self.tell_flags(&before, known, telling, out);
        Ok(())
    }

    /// RFC 3501, 2.3.1.1: UIDs rise; a message that comes in between, or another UIDVALIDITY,
    /// makes it another mailbox.
    fn is_replaced(&self, now: &Snapshot) -> bool {
        let Some(last) = self.shown.messages.last() else {
            return now.uid_validity != self.shown.uid_validity;
        };
        let old = now.position(last.uid).map_or_else(|at| at, |at| at + 1);
        let mut known = self.shown.messages.iter();
        let stranger = |uid: Uid| {
            known.by_ref().find(|entry| entry.uid >= uid).is_none_or(|entry| entry.uid != uid)
        };
        now.uid_validity != self.shown.uid_validity
            || now.messages.iter().take(old).map(|entry| entry.uid).any(stranger)
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
        if self.new_keywords {
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

    /// FETCH of the flags that changed, for the first `known` messages of the client's list.
    fn tell_flags(&self, before: &Snapshot, known: usize, telling: Telling<'_>, out: &mut Vec<u8>) {
        let now = &self.shown;
        let renumbered = !now.keywords.starts_with(&before.keywords);
        let change = match telling.stored {
            Stored::Silently(_, change) => Some((change, named(change, now))),
            _ => None,
        };
        let mut old = (0..).zip(before.messages.iter());
        for (position, entry) in (0..).zip(now.messages.iter().take(known)) {
            let Some((was_at, was)) = old.by_ref().find(|(_, was)| was.uid == entry.uid) else {
                return;
            };
            let mut expected = was.flags;
            let is_told = match telling.stored {
                Stored::Nothing => false,
                Stored::Loudly(positions) => positions.binary_search(&was_at).is_ok(),
                Stored::Silently(positions, _) => {
                    if let Some((change, flags)) = change
                        && positions.binary_search(&was_at).is_ok()
                    {
                        expected = apply(change.how, flags, expected);
                    }
                    false
                }
            };
            let moved = renumbered && (expected.keywords | entry.flags.keywords) != 0;
            if is_told || moved || entry.flags != expected {
                self.flags_response(position, telling.uids, out);
            }
        }
    }

    fn flags_response(&self, position: u32, with_uid: bool, out: &mut Vec<u8>) {
        let Some(entry) = self.shown.messages.get(position as usize) else {
            return;
        };
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
        let entries = positions.iter().filter_map(|&at| self.shown.messages.get(at as usize));
        entries.map(|entry| entry.uid).collect()
    }
}

/// `* n` and what follows it.
fn numbered(out: &mut Vec<u8>, position: u32, rest: &[u8]) {
    out.extend_from_slice(b"* ");
    write::number(out, u64::from(position) + 1);
    out.extend_from_slice(rest);
}

/// Positions in `before` of what is not in `now`, rising.
fn gone(before: &Snapshot, now: &Snapshot) -> Vec<u32> {
    let mut left = now.messages.iter().peekable();
    let is_gone = |uid: Uid| {
        while left.next_if(|entry| entry.uid < uid).is_some() {}
        left.peek().is_none_or(|entry| entry.uid != uid)
    };
    let numbered = (0..).zip(before.messages.iter().map(|entry| entry.uid));
    let mut is_gone = is_gone;
    numbered.filter_map(|(position, uid)| is_gone(uid).then_some(position)).collect()
}

/// `now`, with what is gone still in its place.
fn with_gone(before: &Snapshot, now: &Snapshot) -> Snapshot {
    let mut messages = Vec::with_capacity(before.messages.len() + now.messages.len());
    let mut fresh = now.messages.iter().copied().peekable();
    for old in before.messages.iter() {
        messages.push(fresh.next_if(|entry| entry.uid == old.uid).unwrap_or(*old));
    }
    messages.extend(fresh);
    Snapshot {
        messages: messages.into_iter().collect(),
        keywords: Arc::clone(&now.keywords),
        ..*now
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
            keywords: Arc::default(),
            messages: messages.iter().map(entry).collect(),
        })
    }

    fn view(messages: &[(Uid, u8)]) -> View {
        View {
            mailbox: "INBOX".into(),
            read_only: false,
            new_keywords: true,
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
    fn another_mailbox_cannot_be_told() {
        let mut other = Snapshot::clone(&snapshot(&[(10, 0)]));
        other.uid_validity = 2;
        for now in [Arc::new(other), snapshot(&[(5, 0), (10, 0)])] {
            let mut view = view(&[(10, 0)]);
            assert_eq!(view.report(&now, Telling::ALL, &mut Vec::new()), Err(Replaced));
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
