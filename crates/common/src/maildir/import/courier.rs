//! `courierimapkeywords`: where Courier keeps keywords.
//!
//! A directory with a file `:list`: names of keywords, one a line; an empty line; then a line for
//! each message that has any, `<base name>:<number> <number>…`, counted from 0. What changed since
//! is in a file of the message's base name, or `.<number>.<base name>` once somebody has seen it:
//! names of keywords, one a line, which are all that the message has. The first of these counts,
//! then the one with the highest number, then the list.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;

use super::ImportError;
use crate::disk::{self, Dir, DiskError};

/// The directory, in the mailbox's.
pub(super) const DIRECTORY: &str = "courierimapkeywords";
const LIST: &str = ":list";
/// A larger list is none.
const LIST_LIMIT: u64 = 1 << 28;
/// So many names of keywords at their longest, and more.
const CHANGE_LIMIT: u64 = 1 << 16;
/// More keywords than that no message can have.
const MOST_KEYWORDS: usize = 1024;
/// So many messages with a keyword, and so many keywords of messages, are held: few octets of a file
/// ask for many. This is half a gigabyte.
const MOST_HELD: usize = 1 << 22;
/// More changes than that nobody leaves behind.
const MOST_CHANGES: usize = 1 << 20;

/// The keywords of messages, by the base names of their files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::maildir) struct Keywords {
    names: Vec<String>,
    messages: HashMap<Box<str>, Box<[u16]>>,
    /// What messages and their keywords count together.
    held: usize,
}

impl Keywords {
    /// All keywords, some perhaps of no message.
    pub(super) fn names(&self) -> &Vec<String> {
        &self.names
    }

    /// The keywords of a message, as numbers in [`names`](Self::names).
    pub(super) fn of(&self, base: &str) -> impl Iterator<Item = usize> {
        self.messages.get(base).into_iter().flatten().map(|number| usize::from(*number))
    }

    /// Whether no message has any.
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Reads a `:list`; lines that make no sense are passed over. An error if it says more than
    /// can be held.
    pub(super) fn parse(list: &[u8]) -> Result<Self, ImportError> {
        let mut lines = list.split(|octet| *octet == b'\n');
        let mut keywords = Self { names: names(&mut lines), ..Self::default() };
        for line in lines {
            let line = std::str::from_utf8(line).ok().and_then(|line| line.split_once(':'));
            let Some((base, numbers)) = line else { continue };
            let is_known = |number: &u16| usize::from(*number) < keywords.names.len();
            let number = |number: &str| number.parse().ok().filter(is_known);
            let numbers = numbers.split(' ').take(MOST_KEYWORDS).filter_map(number).collect();
            keywords.set(base, numbers)?;
        }
        Ok(keywords)
    }

    /// Of each keyword, whether any message has it.
    pub(super) fn used(&self) -> Vec<bool> {
        let mut used = vec![false; self.names.len()];
        for number in self.messages.values().flatten() {
            if let Some(used) = used.get_mut(usize::from(*number)) {
                *used = true;
            }
        }
        used
    }

    /// A message has these, whatever the list says.
    fn change(&mut self, base: &str, change: &[u8]) -> Result<(), ImportError> {
        let mut numbers = Vec::new();
        for name in names(&mut change.split(|octet| *octet == b'\n')) {
            let same = |known: &String| known.eq_ignore_ascii_case(&name);
            let number = match self.names.iter().position(same) {
                Some(known) => known,
                None if self.names.len() == MOST_KEYWORDS => continue,
                None => {
                    self.names.push(name);
                    self.names.len() - 1
                }
            };
            numbers.extend(u16::try_from(number).ok());
        }
        self.set(base, numbers.into())
    }

    fn set(&mut self, base: &str, numbers: Box<[u16]>) -> Result<(), ImportError> {
        let (is_empty, new) = (numbers.is_empty(), 1 + numbers.len());
        let old = match is_empty {
            true => self.messages.remove(base),
            false if base.is_empty() => return Ok(()),
            false => self.messages.insert(base.into(), numbers),
        };
        self.held -= old.map_or(0, |old| 1 + old.len());
        self.held += if is_empty { 0 } else { new };
        if self.held > MOST_HELD {
            let what = "more keywords of messages than can be held";
            return Err(ImportError::Damaged { file: DIRECTORY, at: 0, what });
        }
        Ok(())
    }
}

/// Reads what a mailbox has of them; none where there is no such directory.
pub(super) fn read(mail: &Dir) -> Result<Keywords, ImportError> {
    let Some(dir) = disk::found(mail.subdir(DIRECTORY))? else { return Ok(Keywords::default()) };
    let list = disk::found(dir.read(LIST, LIST_LIMIT))?;
    let list = list.map(|list| Keywords::parse(&list)).transpose()?;
    let mut keywords = list.unwrap_or_default();
    for (base, (_, name)) in newest(&dir)? {
        // None: somebody has just seen it and renamed it.
        if let Some(change) = disk::found(dir.read(&name, CHANGE_LIMIT))? {
            keywords.change(&base, &change)?;
        }
    }
    Ok(keywords)
}

/// The file that says the last of each message that one speaks of.
fn newest(dir: &Dir) -> Result<HashMap<String, (u64, String)>, DiskError> {
    let mut newest: HashMap<String, (u64, String)> = HashMap::new();
    for entry in dir.entries()?.take(MOST_CHANGES) {
        let entry = entry?;
        let Ok(name) = std::str::from_utf8(entry.name.as_bytes()) else { continue };
        let Some((age, base)) = change(name) else { continue };
        match newest.get(base) {
            Some((known, _)) if *known >= age => {}
            _ => {
                newest.insert(base.to_owned(), (age, name.to_owned()));
            }
        }
    }
    Ok(newest)
}

/// How new a file is, and of which message.
fn change(name: &str) -> Option<(u64, &str)> {
    if name.starts_with(':') {
        return None;
    }
    let Some(rest) = name.strip_prefix('.') else { return Some((u64::MAX, name)) };
    let (number, base) = rest.split_once('.')?;
    Some((number.parse().ok()?, base)).filter(|(_, base)| !base.is_empty())
}

/// The names up to the first empty line.
fn names<'l>(lines: &mut impl Iterator<Item = &'l [u8]>) -> Vec<String> {
    let named = lines.take_while(|line| !line.is_empty());
    named.take(MOST_KEYWORDS).map(|line| String::from_utf8_lossy(line).into_owned()).collect()
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::*;

    fn of<'k>(keywords: &'k Keywords, base: &str) -> Vec<&'k str> {
        keywords.of(base).map(|number| keywords.names[number].as_str()).collect()
    }

    /// As maildirkw of Courier 1.0.16 leaves them.
    #[test]
    fn a_list_and_what_changed_since() {
        let directory = tempfile::tempdir().unwrap();
        let mail = Dir::open(directory.path()).unwrap();
        assert!(read(&mail).unwrap().is_empty());
        mail.create_dir(DIRECTORY).unwrap();
        assert!(read(&mail).unwrap().is_empty());
        let dir = mail.subdir(DIRECTORY).unwrap();
        let files = [
            (LIST, "Home\n$Junk\n\n1231.M1P1.host,S=3:1\n1232.M1P1.host,S=3:0\n"),
            (".5984582.1232.M1P1.host,S=3", "Home\n"),
            (".5984582.1231.M1P1.host,S=3", "$Junk\n"),
            (".5984583.1231.M1P1.host,S=3", "$Junk\nWork\n"),
            (".5984582.1233.M1P1.host,S=3", "Old\n"),
            ("1233.M1P1.host,S=3", "Later\nWork\n"),
            ("1232.M1P1.host,S=3", ""),
            (".tmp.1795374440.M1P1.host", "unfinished\n"),
        ];
        for (name, text) in files {
            dir.replace(name, text.as_bytes()).unwrap();
        }
        let keywords = read(&mail).unwrap();
        assert_eq!(keywords.messages.len(), 2);
        assert_eq!(of(&keywords, "1231.M1P1.host,S=3"), ["$Junk", "Work"]);
        assert_eq!(of(&keywords, "1232.M1P1.host,S=3"), [""; 0]);
        assert_eq!(of(&keywords, "1233.M1P1.host,S=3"), ["Later", "Work"]);
    }

    #[test]
    fn a_list_may_be_nonsense() {
        let table = [
            ("", 0),
            ("\n", 0),
            ("one\n", 0),
            ("one\na:0\n", 0),
            ("one\n\na:0", 1),
            ("one\n\na:1\nb\n:0\nc:0 1 x 0\n", 1),
            ("one\n\n\u{0}:0\n", 1),
        ];
        for (list, messages) in table {
            let read = Keywords::parse(list.as_bytes()).unwrap();
            assert_eq!(read.messages.len(), messages, "{list:?}");
        }
    }

    #[test]
    fn what_is_held_has_a_limit() {
        let mut keywords = Keywords { held: MOST_HELD - 3, ..Keywords::default() };
        keywords.change("a", b"one\ntwo\n").unwrap();
        keywords.change("a", b"two\nthree\n").unwrap();
        keywords.change("b", b"").unwrap();
        assert!(keywords.clone().change("b", b"one\n").is_err());
        keywords.change("a", b"").unwrap();
        assert_eq!((keywords.held, keywords.messages.len()), (MOST_HELD - 3, 0));
        keywords.change("b", b"one\n").unwrap();
        let many = format!("one\n\n{}", "a:0 0 0\n".repeat(10));
        assert_eq!(Keywords::parse(many.as_bytes()).unwrap().held, 4);
    }
}
