//! What everybody was promised and saw, and whether it held.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use mail_tests::site::Site;

use super::worker;

/// What was said so far.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Letters that were promised to be in some mailbox.
    promised: HashSet<String>,
    /// Letters that somebody removed, or was about to.
    removed: HashSet<String>,
    /// The letter of each mailbox, UIDVALIDITY and UID that anybody was shown.
    shown: HashMap<(String, u32, u32), String>,
    validities: BTreeMap<String, BTreeSet<u32>>,
    wrongs: Vec<String>,
    operations: usize,
    /// Of those, how many found the mailbox locked until patience was at its end.
    refused: usize,
}

impl Ledger {
    /// Takes a line of a worker: `in LETTER`, `out LETTER`, `uid MAILBOX VALIDITY UID LETTER`, and
    /// in the end `did OPERATIONS REFUSED`.
    pub(crate) fn note(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["in", letter] => {
                self.promised.insert((*letter).to_owned());
            }
            ["out", letter] => {
                self.removed.insert((*letter).to_owned());
            }
            ["uid", mailbox, validity, uid, letter] => self.uid(mailbox, validity, uid, letter),
            ["did", operations, refused] => self.did(operations, refused),
            _ => self.wrongs.push(format!("not understood: {line}")),
        }
    }

    /// All that did not hold, once nobody changes anything any more.
    pub(crate) fn check(&self, site: &Site) -> Vec<String> {
        let mut wrongs = self.wrongs.clone();
        for (mailbox, validities) in &self.validities {
            if validities.len() > 1 {
                wrongs.push(format!("{mailbox} had the UIDVALIDITYs {validities:?}"));
            }
        }
        let there = worker::letters(&site.file());
        for letter in self.promised.difference(&self.removed) {
            if !there.contains(letter) {
                wrongs.push(format!("letter {letter} is lost"));
            }
        }
        wrongs
    }

    /// In figures.
    pub(crate) fn summary(&self) -> String {
        format!(
            "{} operations, {} of them refused, {} letters promised, {} removed, {} UIDs shown",
            self.operations,
            self.refused,
            self.promised.len(),
            self.removed.len(),
            self.shown.len(),
        )
    }

    /// On a busy machine a mailbox may be locked for long, but not always.
    fn did(&mut self, operations: &str, refused: &str) {
        let (Ok(operations), Ok(refused)) = (operations.parse::<usize>(), refused.parse::<usize>())
        else {
            return self.wrongs.push(format!("no numbers: {operations} {refused}"));
        };
        self.operations += operations;
        self.refused += refused;
        if refused > operations / 2 {
            let what = format!("{refused} of {operations} operations found the mailbox locked");
            self.wrongs.push(what);
        }
    }

    fn uid(&mut self, mailbox: &str, validity: &str, uid: &str, letter: &str) {
        let (Ok(validity), Ok(uid)) = (validity.parse(), uid.parse()) else {
            return self.wrongs.push(format!("no numbers: {validity} {uid}"));
        };
        self.validities.entry(mailbox.to_owned()).or_default().insert(validity);
        let key = (mailbox.to_owned(), validity, uid);
        let before = self.shown.insert(key, letter.to_owned());
        if let Some(before) = before.filter(|before| before != letter) {
            self.wrongs.push(format!("UID {uid} of {mailbox} was {before} and is {letter}"));
        }
    }
}
