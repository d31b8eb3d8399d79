//! `dovecot-keywords`: which keyword each letter in a file name stands for. Lines `<0-25> <name>`.

use std::fmt::Write as _;

use crate::disk::{Dir, Stat};

use super::StoreError;

/// The file.
pub(super) const FILE: &str = "dovecot-keywords";
const LIMIT: u64 = 1 << 16;
/// Letters in file names: `a` to `z`.
const LETTERS: usize = 26;

/// What tells one state of the file from another; `None`: there is none.
pub(super) fn stat(dir: &Dir) -> Result<Option<Stat>, StoreError> {
    match dir.stat(FILE) {
        Ok(stat) => Ok(Some(stat)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The keyword of each letter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Keywords {
    names: [Option<String>; LETTERS],
}

impl Keywords {
    /// Reads those of a mailbox; lines that make no sense are passed over.
    pub(super) fn read(dir: &Dir) -> Result<Self, StoreError> {
        match dir.read(FILE, LIMIT) {
            Ok(bytes) => Ok(Self::parse(&String::from_utf8_lossy(&bytes))),
            Err(error) if error.is_missing() => Ok(Self::default()),
            Err(error) => Err(error.into()),
        }
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

    /// The letter of a keyword, as a number; case does not count (RFC 9051, 2.3.2).
    pub(super) fn letter(&self, keyword: &str) -> Option<usize> {
        let same = |name: &Option<String>| {
            name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(keyword))
        };
        self.names.iter().position(same)
    }

    /// Gives a keyword a letter that no file name uses; `None` if none is left or it cannot be
    /// written.
    pub(super) fn add(&mut self, keyword: &str, used: u64) -> Option<usize> {
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

    /// The names by letter, as far as any has one or is used in a file name. A letter whose name
    /// got lost is called `unknown-N`, as Dovecot does.
    pub(super) fn shown(&self, used: u64) -> Vec<String> {
        let named = self.names.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        let marked = usize::try_from(u64::BITS - used.leading_zeros()).unwrap_or_default();
        let name = |(letter, name): (usize, &Option<String>)| {
            name.clone().unwrap_or_else(|| format!("unknown-{letter}"))
        };
        self.names.iter().take(named.max(marked)).enumerate().map(name).collect()
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

/// RFC 9051, 9: flag-keyword is an atom.
fn is_keyword(name: &str) -> bool {
    let special = |c: char| c.is_control() || c.is_whitespace() || "(){%*\"\\]".contains(c);
    (1..=255).contains(&name.len()) && !name.contains(special)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_have_names() {
        let mut keywords = Keywords::parse("0 foo\n3 $Junk\n26 no\nx y\n1 a b\n");
        assert_eq!(keywords.shown(0), ["foo", "unknown-1", "unknown-2", "$Junk"]);
        assert_eq!(keywords.shown(1 << 4).last().map(String::as_str), Some("unknown-4"));
        assert_eq!(keywords.letter("FOO"), Some(0));
        assert_eq!(keywords.letter("bar"), None);
        assert_eq!(keywords.add("bar", 0b10), Some(2), "letter b is in use without a name");
        assert_eq!(keywords.add("a b", 0), None);
        for n in 0..23 {
            assert_eq!(keywords.add(&format!("k{n}"), 0).is_some(), n < 23, "{n}");
        }
        assert_eq!(keywords.add("one-too-many", 0), None);
    }
}
