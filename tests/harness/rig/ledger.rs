//! What was promised, and whether what is found keeps it.
//!
//! The ledger follows the driver's lines. When an operation begins, it widens what may be found to
//! before, after, and what may lie between: single messages of a copy or an expunge, single
//! mailboxes of a rename. An OK narrows it to after. A NO narrows nothing: done or not, but whole.
//!
//! Two things a power cut may take that a kill may not. Flags: STORE promises no sync, so any that
//! a letter ever had may be back. And UIDs that were only seen, not told by APPENDUID or COPYUID:
//! a message may come back under a new one, but never another message under the old.

use std::collections::{BTreeMap, BTreeSet};

use mail_common::maildir::Directory;
use mail_proto::mailbox::Uid;

use super::operation::{Answer, Letter, Line, Marks, Operation, Said};
use super::promises::{Harm, Promises};
use super::view::{Found, Shown, View};

/// Everything that was promised.
#[derive(Debug, Clone)]
pub struct Ledger {
    harm: Harm,
    mailboxes: BTreeMap<String, Promise>,
    /// Names, and whether they may be subscribed and not.
    subscribed: BTreeMap<String, BTreeSet<bool>>,
    /// Which letter had a UID, by name and UIDVALIDITY of the mailbox; for ever.
    shown: BTreeMap<(String, u32), BTreeMap<Uid, Letter>>,
    underway: Option<Operation>,
    /// What the lines themselves break.
    broken: Vec<String>,
}

/// A mailbox.
#[derive(Debug, Clone)]
struct Promise {
    existence: Sure,
    uid_validity: Option<u32>,
    uid_next: Uid,
    modseq: u64,
    letters: BTreeMap<Letter, Kept>,
}

/// A letter in a mailbox.
#[derive(Debug, Clone, Default)]
struct Kept {
    presence: Sure,
    /// So many copies at most: one for each attempt.
    most: usize,
    /// UIDs that it must have.
    uids: BTreeSet<Uid>,
    /// Flags, one of which it must have.
    marks: BTreeSet<Marks>,
}

/// How sure it is that something is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum Sure {
    /// It is.
    Yes,
    /// It may be.
    #[default]
    Perhaps,
    /// It is there or in that mailbox, a mailbox there or under that name.
    OrIn(String),
}

const INBOX: &str = "INBOX";

impl Promises for Ledger {
    type Operation = Operation;
    type Answer = Answer;
    type View = View;

    /// Of a user who has what every user has.
    fn new(harm: Harm) -> Self {
        let special = Directory::SPECIAL.iter().map(|(name, _)| *name);
        let mailboxes =
            special.chain([INBOX]).map(|name| (name.to_owned(), Promise::new(Sure::Yes)));
        Self {
            harm,
            mailboxes: mailboxes.collect(),
            subscribed: BTreeMap::new(),
            shown: BTreeMap::new(),
            underway: None,
            broken: Vec::new(),
        }
    }

    fn take(&mut self, line: &Line) {
        match &line.said {
            Said::Begins(operation) => {
                self.begin(operation);
                self.underway = Some(operation.clone());
            }
            Said::Done(answer) => {
                let operation = self.underway.take().expect("it began");
                self.finish(&operation, answer);
            }
            Said::Refused(_) => self.underway = None,
        }
    }

    fn violations(&self, view: &View) -> Vec<String> {
        let mut broken = self.broken.clone();
        broken.extend(view.troubles.iter().cloned());
        for (name, promise) in &self.mailboxes {
            let found = view.mailboxes.get(name);
            broken.extend(existence(name, promise, view));
            if let Some(found) = found {
                broken.extend(self.mailbox(name, promise, found, view));
            }
        }
        let unknown = view.mailboxes.keys().filter(|name| !self.mailboxes.contains_key(*name));
        broken.extend(unknown.map(|name| format!("{name} is there, and nobody made it")));
        for (name, may) in &self.subscribed {
            if !may.contains(&view.subscribed.contains(name)) {
                broken.push(format!("{name} is subscribed or not, against the promise {may:?}"));
            }
        }
        broken
    }
}

impl Ledger {
    fn begin(&mut self, operation: &Operation) {
        match operation {
            Operation::Deliver { mailbox, letter, identified } => {
                let kept = self.letter(mailbox, *letter);
                kept.most = if *identified { 1 } else { kept.most + 1 };
                kept.marks.insert(Marks::default());
            }
            Operation::DeliverToBoth { mailboxes, letter } => {
                for mailbox in mailboxes {
                    let kept = self.letter(mailbox, *letter);
                    kept.most = 1;
                    kept.marks.insert(Marks::default());
                }
            }
            Operation::Foreign { mailbox, letter } => {
                let kept = self.letter(mailbox, *letter);
                kept.most += 1;
                kept.marks.insert(Marks::default());
            }
            Operation::Append { mailbox, letter, marks } => {
                let kept = self.letter(mailbox, *letter);
                kept.most += 1;
                kept.marks.insert(marks.clone());
            }
            Operation::Expunge { mailbox, letters } => {
                for letter in letters {
                    self.letter(mailbox, *letter).presence = Sure::Perhaps;
                }
            }
            Operation::Copy { from, to, letters } => {
                for letter in letters {
                    self.may_copy(from, to, *letter);
                }
            }
            Operation::Move { from, to, letters } => {
                for letter in letters {
                    self.may_copy(from, to, *letter);
                    let kept = self.letter(from, *letter);
                    if kept.presence == Sure::Yes {
                        kept.presence = Sure::OrIn(to.clone());
                    }
                }
            }
            Operation::Mark { mailbox, letters, marks } => {
                for letter in letters {
                    self.letter(mailbox, *letter).marks.insert(marks.clone());
                }
            }
            Operation::Claim { .. } | Operation::Look { .. } => {}
            Operation::Create { mailbox } => self.may_make(mailbox),
            Operation::Delete { mailbox } => self.named(mailbox).existence = Sure::Perhaps,
            Operation::Rename { from, to } => self.begin_rename(from, to),
            Operation::Subscribe { mailbox, subscribed } => {
                let may = self.subscribed.entry(mailbox.clone());
                may.or_insert_with(|| [false].into()).insert(*subscribed);
            }
        }
    }

    fn may_copy(&mut self, from: &str, to: &str, letter: Letter) {
        let marks = self.letter(from, letter).marks.clone();
        let kept = self.letter(to, letter);
        kept.most += 1;
        kept.marks.extend(marks);
    }

    fn begin_rename(&mut self, from: &str, to: &str) {
        for parent in parents(to) {
            self.may_make(parent);
        }
        if from == INBOX {
            self.may_make(to);
            let letters = self.named(INBOX).letters.clone();
            for (letter, mut kept) in letters {
                self.letter(INBOX, letter).presence = Sure::OrIn(to.to_owned());
                (kept.presence, kept.uids) = (Sure::Perhaps, BTreeSet::new());
                self.named(to).letters.insert(letter, kept);
            }
            return;
        }
        for (name, target) in self.renamed(from, to) {
            let promise = self.named(&name);
            promise.existence = Sure::OrIn(target.clone());
            let promise = Promise { existence: Sure::OrIn(name.clone()), ..promise.clone() };
            self.mailboxes.insert(target.clone(), promise);
            let shown: Vec<_> = self.shown.iter().filter(|((of, _), _)| *of == name).collect();
            let shown: Vec<_> = shown
                .into_iter()
                .map(|((_, v), uids)| ((target.clone(), *v), uids.clone()))
                .collect();
            self.shown.extend(shown);
        }
    }

    fn finish(&mut self, operation: &Operation, answer: &Answer) {
        match operation {
            Operation::Deliver { mailbox, letter, .. } | Operation::Foreign { mailbox, letter } => {
                self.letter(mailbox, *letter).presence = Sure::Yes;
            }
            Operation::DeliverToBoth { mailboxes, letter } => {
                for mailbox in mailboxes {
                    self.letter(mailbox, *letter).presence = Sure::Yes;
                }
            }
            Operation::Append { mailbox, letter, .. } => {
                self.tell(mailbox, answer, &[*letter]);
            }
            Operation::Copy { to, letters, .. } => self.tell(to, answer, letters),
            Operation::Move { from, to, letters } => self.finish_move(from, to, letters, answer),
            Operation::Expunge { mailbox, letters } => {
                self.named(mailbox).letters.retain(|letter, _| !letters.contains(letter));
            }
            Operation::Mark { mailbox, letters, marks } => {
                if self.harm == Harm::Killed {
                    for letter in letters {
                        self.letter(mailbox, *letter).marks = [marks.clone()].into();
                    }
                }
            }
            Operation::Claim { .. } => {}
            Operation::Look { mailbox } => self.look(mailbox, answer),
            Operation::Create { mailbox } => self.make(mailbox),
            Operation::Delete { mailbox } => {
                self.mailboxes.remove(mailbox);
            }
            Operation::Rename { from, to } => self.finish_rename(from, to),
            Operation::Subscribe { mailbox, subscribed } => {
                self.subscribed.insert(mailbox.clone(), [*subscribed].into());
            }
        }
    }

    /// Letters without a UID went when it was tried before.
    fn finish_move(&mut self, from: &str, to: &str, letters: &[Letter], answer: &Answer) {
        let told: Vec<Letter> = answer.uids.iter().map(|(letter, _)| *letter).collect();
        self.tell(to, answer, &told);
        for letter in letters {
            let gone = self.named(from).letters.remove(letter);
            if gone.is_some_and(|kept| kept.presence == Sure::OrIn(to.to_owned())) {
                self.letter(to, *letter).presence = Sure::Yes;
            }
        }
    }

    fn finish_rename(&mut self, from: &str, to: &str) {
        if from == INBOX {
            self.named(INBOX).letters.clear();
            for kept in self.named(to).letters.values_mut() {
                kept.presence = Sure::Yes;
            }
        }
        for (name, target) in self.renamed(from, to) {
            if name != INBOX {
                self.mailboxes.remove(&name);
            }
            self.named(&target).existence = Sure::Yes;
        }
        self.make(to);
    }

    /// UIDs were told that are promised for ever, one for each letter.
    fn tell(&mut self, mailbox: &str, answer: &Answer, letters: &[Letter]) {
        self.show(mailbox, answer);
        for letter in letters {
            let Some((_, uid)) = answer.uids.iter().find(|(told, _)| told == letter) else {
                self.broken.push(format!("{mailbox}: OK, but no UID for letter {letter}"));
                continue;
            };
            let kept = self.letter(mailbox, *letter);
            kept.presence = Sure::Yes;
            kept.uids.insert(*uid);
        }
    }

    fn look(&mut self, mailbox: &str, answer: &Answer) {
        self.show(mailbox, answer);
        if self.harm == Harm::Killed {
            for (letter, uid) in &answer.uids {
                self.letter(mailbox, *letter).uids.insert(*uid);
            }
        }
        let next = answer.uid_next.unwrap_or_default();
        let promise = self.named(mailbox);
        let before = std::mem::replace(&mut promise.uid_next, next);
        let modseq = answer.modseq.unwrap_or_default();
        let modseq_before = std::mem::replace(&mut promise.modseq, modseq);
        let sure: Vec<Letter> = promise
            .letters
            .iter()
            // New mail waits where a full disk takes no UIDs.
            .filter(|(_, kept)| kept.presence == Sure::Yes && !kept.uids.is_empty())
            .map(|(letter, _)| *letter)
            .collect();
        if before > next {
            self.broken.push(format!("{mailbox}: UIDNEXT fell from {before} to {next}"));
        }
        if modseq_before > modseq {
            let what = format!("HIGHESTMODSEQ fell from {modseq_before} to {modseq}");
            self.broken.push(format!("{mailbox}: {what}"));
        }
        let of = (mailbox.to_owned(), answer.uid_validity.unwrap_or_default());
        let shown: BTreeSet<Letter> =
            self.shown.get(&of).into_iter().flatten().map(|(_, letter)| *letter).collect();
        for letter in sure.iter().filter(|letter| !shown.contains(letter)) {
            self.broken.push(format!("{mailbox}: letter {letter} is not shown"));
        }
    }

    /// UIDs were seen: they belong to these letters for ever.
    fn show(&mut self, mailbox: &str, answer: &Answer) {
        let Some(uid_validity) = answer.uid_validity else { return };
        let before = self.named(mailbox).uid_validity.replace(uid_validity);
        if before.is_some_and(|before| before != uid_validity) {
            self.broken.push(format!("{mailbox}: UIDVALIDITY {before:?} is now {uid_validity}"));
        }
        let shown = self.shown.entry((mailbox.to_owned(), uid_validity)).or_default();
        for (letter, uid) in &answer.uids {
            let before = shown.insert(*uid, *letter);
            if before.is_some_and(|before| before != *letter) {
                self.broken
                    .push(format!("{mailbox}: UID {uid} was letter {before:?}, is {letter}"));
            }
        }
    }

    fn mailbox(&self, name: &str, promise: &Promise, found: &Shown, view: &View) -> Vec<String> {
        let mut broken = Vec::new();
        let mut tell = |what: String| broken.push(format!("{name}: {what}"));
        if promise.uid_validity.is_some_and(|promised| promised != found.uid_validity) {
            let (was, is) = (promise.uid_validity, found.uid_validity);
            tell(format!("UIDVALIDITY was {was:?}, is {is}"));
        }
        if found.uid_next < promise.uid_next {
            tell(format!("UIDNEXT was {}, is {}", promise.uid_next, found.uid_next));
        }
        if found.modseq < promise.modseq {
            tell(format!("HIGHESTMODSEQ was {}, is {}", promise.modseq, found.modseq));
        }
        let shown = self.shown.get(&(name.to_owned(), found.uid_validity));
        for Found { uid, letter, .. } in &found.messages {
            match shown.and_then(|shown| shown.get(uid)) {
                Some(before) if before != letter => {
                    tell(format!("UID {uid} was letter {before}, is letter {letter}"));
                }
                None if *uid < promise.uid_next => {
                    let next = promise.uid_next;
                    tell(format!("UID {uid} came below the UIDNEXT {next} that was shown"));
                }
                _ => {}
            }
            if *uid >= found.uid_next {
                tell(format!("UID {uid} is not below UIDNEXT {}", found.uid_next));
            }
            if !promise.letters.contains_key(letter) {
                tell(format!("letter {letter}, UID {uid}, was removed, or never sent"));
            }
        }
        let last = shown.and_then(|shown| shown.last_key_value()).map_or(0, |(uid, _)| *uid);
        if found.uid_next <= last {
            tell(format!("UIDNEXT is {}, and UID {last} was shown", found.uid_next));
        }
        let mut copies: BTreeMap<Letter, Vec<&Found>> = BTreeMap::new();
        for message in &found.messages {
            copies.entry(message.letter).or_default().push(message);
        }
        for (letter, kept) in &promise.letters {
            let copies = copies.get(letter).map(Vec::as_slice).unwrap_or_default();
            let what = presence(*letter, kept, copies, view);
            broken.extend(what.into_iter().map(|what| format!("{name}: letter {letter} {what}")));
        }
        broken
    }

    fn named(&mut self, mailbox: &str) -> &mut Promise {
        let promise = self.mailboxes.entry(mailbox.to_owned());
        promise.or_insert_with(|| Promise::new(Sure::Perhaps))
    }

    fn letter(&mut self, mailbox: &str, letter: Letter) -> &mut Kept {
        self.named(mailbox).letters.entry(letter).or_default()
    }

    fn may_make(&mut self, mailbox: &str) {
        for name in parents(mailbox).chain([mailbox]) {
            self.named(name);
        }
    }

    fn make(&mut self, mailbox: &str) {
        for name in parents(mailbox).chain([mailbox]) {
            self.named(name).existence = Sure::Yes;
        }
    }

    /// Old and new names of a mailbox and those below it.
    fn renamed(&self, from: &str, to: &str) -> Vec<(String, String)> {
        let target = |name: &String| {
            let rest = name.strip_prefix(from)?;
            let below = rest.is_empty() || (rest.starts_with('/') && from != INBOX);
            below.then(|| (name.clone(), format!("{to}{rest}")))
        };
        self.mailboxes.keys().filter_map(target).collect()
    }
}

impl Promise {
    fn new(existence: Sure) -> Self {
        Self { existence, uid_validity: None, uid_next: 0, modseq: 0, letters: BTreeMap::new() }
    }
}

fn existence(name: &str, promise: &Promise, view: &View) -> Option<String> {
    let is = view.mailboxes.contains_key(name);
    match &promise.existence {
        Sure::Yes if !is => Some(format!("{name} is gone")),
        Sure::OrIn(other) if is == view.mailboxes.contains_key(other) => {
            let what = if is { "both there" } else { "both gone" };
            Some(format!("{name} and {other} are {what}"))
        }
        _ => None,
    }
}

fn presence(letter: Letter, kept: &Kept, copies: &[&Found], view: &View) -> Vec<String> {
    let mut broken = Vec::new();
    let is_in = |other: &String| {
        let mut other = view.mailboxes.get(other).into_iter().flat_map(|shown| &shown.messages);
        other.any(|message| message.letter == letter)
    };
    match &kept.presence {
        Sure::Yes if copies.is_empty() => broken.push("is gone".to_owned()),
        Sure::OrIn(other) if copies.is_empty() && !is_in(other) => {
            broken.push(format!("is gone, and is not in {other}"));
        }
        _ => {}
    }
    if copies.len() > kept.most {
        broken.push(format!("is there {} times, sent {} times", copies.len(), kept.most));
    }
    for message in copies.iter().filter(|message| !kept.marks.contains(&message.marks)) {
        broken.push(format!("has the flags {:?}, not one of {:?}", message.marks, kept.marks));
    }
    if kept.presence == Sure::Yes {
        let missing = kept.uids.iter().filter(|uid| !copies.iter().any(|m| m.uid == **uid));
        broken.extend(missing.map(|uid| format!("has not the UID {uid} that was told")));
    }
    broken
}

fn parents(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('/').map(|(at, _)| name.split_at(at).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(ledger: &mut Ledger, said: Said) {
        ledger.take(&Line { at: 0, said });
    }

    fn told(uids: &[(Letter, Uid)]) -> Said {
        let uid_next = uids.iter().map(|(_, uid)| uid + 1).max();
        Said::Done(Answer { uid_validity: Some(7), uid_next, modseq: Some(5), uids: uids.to_vec() })
    }

    /// INBOX with these letters, and what every user has.
    fn view(letters: &[(Letter, Uid)]) -> View {
        let found = |&(letter, uid): &(Letter, Uid)| Found { uid, letter, marks: Marks::default() };
        let messages: Vec<Found> = letters.iter().map(found).collect();
        let inbox = Shown { uid_validity: 7, uid_next: 10, modseq: 5, messages };
        let special = Directory::SPECIAL.iter().map(|(name, _)| *name);
        let mut mailboxes: BTreeMap<String, Shown> =
            special.map(|name| (name.to_owned(), Shown::default())).collect();
        mailboxes.values_mut().for_each(|shown| shown.uid_next = 1);
        mailboxes.insert(INBOX.to_owned(), inbox);
        View { mailboxes, ..View::default() }
    }

    /// Two letters were appended, a third is being delivered.
    fn ledger() -> Ledger {
        let mut ledger = Ledger::new(Harm::PowerCut);
        let mailbox = || INBOX.to_owned();
        for letter in [1, 2] {
            let marks = Marks::default();
            says(
                &mut ledger,
                Said::Begins(Operation::Append { mailbox: mailbox(), letter, marks }),
            );
            says(&mut ledger, told(&[(letter, letter)]));
        }
        says(&mut ledger, Said::Begins(Operation::Look { mailbox: mailbox() }));
        says(&mut ledger, told(&[(1, 1), (2, 2)]));
        let delivery = Operation::Deliver { mailbox: mailbox(), letter: 3, identified: true };
        says(&mut ledger, Said::Begins(delivery));
        ledger
    }

    #[test]
    fn what_was_not_answered_is_there_or_not() {
        for letters in [&[(1, 1), (2, 2)][..], &[(1, 1), (2, 2), (3, 3)]] {
            assert_eq!(ledger().violations(&view(letters)), [""; 0]);
        }
    }

    #[test]
    fn broken_promises_are_named() {
        for (letters, what) in [
            (&[(1, 1)][..], "INBOX: letter 2 is gone"),
            (&[(1, 1), (2, 3)], "INBOX: letter 2 has not the UID 2 that was told"),
            (&[(2, 1), (1, 2)], "INBOX: UID 1 was letter 1, is letter 2"),
            (&[(1, 1), (2, 2), (3, 3), (3, 4)], "INBOX: letter 3 is there 2 times, sent 1 times"),
            (&[(1, 1), (2, 2), (4, 4)], "INBOX: letter 4, UID 4, was removed, or never sent"),
        ] {
            let broken = ledger().violations(&view(letters));
            assert!(broken.iter().any(|broken| broken == what), "{what}: {broken:?}");
        }
        let mut anew = view(&[(1, 1), (2, 2)]);
        anew.mailboxes.get_mut(INBOX).expect("is there").uid_validity = 8;
        assert!(!ledger().violations(&anew).is_empty(), "another UIDVALIDITY");
        anew.mailboxes.remove(INBOX);
        assert!(!ledger().violations(&anew).is_empty(), "no INBOX");
        let mut behind = view(&[(1, 1), (2, 2)]);
        behind.mailboxes.get_mut(INBOX).expect("is there").modseq = 4;
        assert_eq!(ledger().violations(&behind), ["INBOX: HIGHESTMODSEQ was 5, is 4"]);
    }

    #[test]
    fn what_was_expunged_stays_so() {
        let mut ledger = ledger();
        says(&mut ledger, Said::Done(Answer::default()));
        let expunge = Operation::Expunge { mailbox: INBOX.to_owned(), letters: vec![2] };
        says(&mut ledger, Said::Begins(expunge));
        for letters in [&[(1, 1), (3, 3)][..], &[(1, 1), (2, 2), (3, 3)]] {
            assert_eq!(ledger.violations(&view(letters)), [""; 0]);
        }
        says(&mut ledger, Said::Done(Answer::default()));
        assert_eq!(ledger.violations(&view(&[(1, 1), (3, 3)])), [""; 0]);
        assert_eq!(ledger.violations(&view(&[(1, 1), (2, 2), (3, 3)])).len(), 1);
    }
}
