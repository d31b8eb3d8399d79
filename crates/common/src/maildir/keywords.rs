//! `dovecot-keywords`: which keyword each letter in a file name stands for. Lines `<0-25> <name>`.

use std::fmt::Write as _;

use crate::disk::{self, Dir, Stat};

use super::index::Change;
use super::{StoreError, tail};

/// The file.
pub(super) const FILE: &str = "dovecot-keywords";
const LIMIT: u64 = 1 << 16;

/// What tells one state of the file from another; `None`: there is none.
pub(super) fn stat(dir: &Dir) -> Result<Option<Stat>, StoreError> {
    Ok(disk::found(dir.stat(FILE))?)
}

/// The keyword of each letter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Keywords {
    names: [Option<String>; tail::LETTER_COUNT],
}

impl Keywords {
    /// Reads those of a mailbox; lines that make no sense are passed over.
    pub(super) fn read(dir: &Dir) -> Result<Self, StoreError> {
        let bytes = disk::found(dir.read(FILE, LIMIT))?.unwrap_or_default();
        Ok(Self::parse(&String::from_utf8_lossy(&bytes)))
    }

    /// Writes them. The caller holds the lock of the UID list.
    pub(super) fn save(&self, dir: &Dir) -> Result<(), StoreError> {
        let mut text = String::new();
        for (letter, name) in self.names.iter().enumerate() {
            if let Some(name) = name {
                let _ = writeln!(text, "{letter} {name}");
            }
        }
        Ok(dir.replace_newer(FILE, text.as_bytes())?)
    }

    /// Gives keywords letters that no message uses. Returns the new letters, and the keywords for
    /// which none is left or that cannot be written.
    pub(super) fn add_all<'k>(
        &mut self,
        keywords: &[&'k str],
        used: u64,
    ) -> (Vec<usize>, Vec<&'k str>) {
        let (mut added, mut left) = (Vec::new(), Vec::new());
        for keyword in keywords {
            match self.add(keyword, used) {
                Some(letter) => added.push(letter),
                None => left.push(*keyword),
            }
        }
        (added, left)
    }

    /// What these letters change in names of bits; `used` are bits of messages. A letter whose
    /// name got lost is called `unknown-N`, as Dovecot does; a name that is known is kept where
    /// there is none in the file.
    pub(super) fn changes(&self, known: &[String], used: u64) -> Vec<Change> {
        let named = self.names.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        let used = usize::try_from(u64::BITS - (used & tail::LETTERS).leading_zeros());
        let count = named.max(used.unwrap_or_default());
        let change = |(letter, name): (usize, &Option<String>)| {
            let known = known.get(letter);
            let name = match (name, known) {
                (Some(name), _) => name.clone(),
                (None, Some(_)) => return None,
                (None, None) => format!("unknown-{letter}"),
            };
            let bit = u8::try_from(letter).ok()?;
            (known != Some(&name)).then_some(Change::Keyword(bit, name))
        };
        self.names.iter().take(count).enumerate().filter_map(change).collect()
    }

    /// The letters that bits have by these names.
    pub(super) fn of(names: &[String]) -> Self {
        let mut keywords = Self::default();
        for (letter, (place, name)) in keywords.names.iter_mut().zip(names).enumerate() {
            if is_keyword(name) && *name != format!("unknown-{letter}") {
                *place = Some(name.clone());
            }
        }
        keywords
    }

    /// Whether no letter has a name.
    pub(super) fn is_empty(&self) -> bool {
        self.names.iter().all(Option::is_none)
    }

    /// The letter of a keyword, as a number; case does not count (RFC 9051, 2.3.2).
    pub(super) fn letter(&self, keyword: &str) -> Option<usize> {
        let same = |name: &Option<String>| {
            name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(keyword))
        };
        self.names.iter().position(same)
    }

    /// Gives a keyword a letter.
    fn add(&mut self, keyword: &str, used: u64) -> Option<usize> {
        if let Some(letter) = self.letter(keyword) {
            return Some(letter);
        }
        let free = |(letter, name): (usize, &Option<String>)| {
            (name.is_none() && used & (1 << letter) == 0).then_some(letter)
        };
        let letter = self.names.iter().enumerate().find_map(free)?;
        if !is_keyword(keyword) {
            return None;
        }
        *self.names.get_mut(letter)? = Some(keyword.to_owned());
        Some(letter)
    }

    fn parse(text: &str) -> Self {
        let mut keywords = Self::default();
        for line in text.lines() {
            let Some((letter, name)) = line.split_once(' ') else { continue };
            let place = letter.parse().ok().and_then(|n: usize| keywords.names.get_mut(n));
            if let (Some(place), true) = (place, is_keyword(name)) {
                *place = Some(name.to_owned());
            }
        }
        keywords
    }
}

/// The bits of keywords by these names, and those that have none; case does not count (RFC 9051,
/// 2.3.2).
pub(super) fn bits<'k>(names: &[String], keywords: &'k [String]) -> (u64, Vec<&'k str>) {
    let (mut bits, mut unknown) = (0, Vec::new());
    for keyword in keywords {
        match names.iter().position(|name| name.eq_ignore_ascii_case(keyword)) {
            Some(bit) => bits |= 1 << bit,
            None => unknown.push(keyword.as_str()),
        }
    }
    (bits, unknown)
}

/// For which keywords there must be room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// All, or none is given any.
    ForAll,
    /// As many as there are letters left.
    ForSome,
}

/// RFC 9051, 9: flag-keyword is an atom.
pub(super) fn is_keyword(name: &str) -> bool {
    let special = |c: char| c.is_control() || c.is_whitespace() || "(){%*\"\\]".contains(c);
    (1..=255).contains(&name.len()) && !name.contains(special)
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_have_names() {
        let mut keywords = Keywords::parse("0 foo\n3 $Junk\n26 no\nx y\n1 a b\n");
        let shown = |changes: Vec<Change>| {
            let name = |change| match change {
                Change::Keyword(bit, name) => (bit, name),
                other => panic!("{other:?}"),
            };
            changes.into_iter().map(name).collect::<Vec<_>>()
        };
        let expected = [(0, "foo"), (1, "unknown-1"), (2, "unknown-2"), (3, "$Junk")];
        let expected = expected.map(|(bit, name)| (bit, name.to_owned()));
        assert_eq!(shown(keywords.changes(&[], 0)), expected);
        let known = ["foo", "bar"].map(str::to_owned);
        assert_eq!(shown(keywords.changes(&known, 1 << 4)).last().unwrap().1, "unknown-4");
        assert_eq!(shown(keywords.changes(&known, 0)), expected[2..]);
        let asked = ["FOO", "new", "Bar"].map(str::to_owned);
        assert_eq!(bits(&known, &asked), (0b11, vec!["new"]));
        let (added, left) = keywords.add_all(&["bar", "a b", "FOO"], 0b10);
        assert_eq!(added, [2, 0], "letter b is in use without a name");
        assert_eq!(left, ["a b"]);
        let many: Vec<String> = (0..24).map(|n| format!("k{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let (added, left) = keywords.add_all(&many, 0);
        assert_eq!((added.len(), left), (23, vec!["k23"]));
        assert_eq!(Keywords::of(&known), Keywords::parse("0 foo\n1 bar\n"));
    }
}
