//! Words that many rows share: domains, reasons.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use crate::row::{Name, OTHERS};

/// More are all [`OTHERS`]: a peer that gives each refusal a number of its own must not
/// fill the memory.
const NAMES: usize = 65_536;
/// Octets of the longest: those of a domain (RFC 5321, 4.5.3.1.2), which a row is asked for in the
/// letter's place.
const LENGTH: usize = 255;
/// What [`OTHERS`] are called.
pub(crate) const ALL_OTHERS: &str = "(others)";

/// The names. None is ever forgotten before the next start, which knows only those that rows have.
#[derive(Debug)]
pub(crate) struct Names {
    texts: Vec<Box<str>>,
    numbers: HashTable<Name>,
    state: RandomState,
}

impl Default for Names {
    fn default() -> Self {
        let (texts, numbers) = (Vec::new(), HashTable::new());
        let mut names = Self { texts, numbers, state: RandomState::new() };
        // As [`NOTHING`](crate::row::NOTHING) and [`OTHERS`] say.
        names.add("");
        names.add(ALL_OTHERS);
        names
    }
}

impl Names {
    /// The name of a text.
    pub(crate) fn intern(&mut self, text: &str) -> Name {
        let text = text.get(..text.floor_char_boundary(LENGTH)).unwrap_or_default();
        let (texts, hash) = (&self.texts, self.state.hash_one(text));
        let same = |&name: &Name| texts.get(name as usize).is_some_and(|known| **known == *text);
        match self.numbers.find(hash, same) {
            Some(&name) => name,
            None if self.texts.len() < NAMES => self.add(text),
            None => OTHERS,
        }
    }

    /// The text of a name; of an unknown one, nothing.
    pub(crate) fn text(&self, name: Name) -> &str {
        self.texts.get(name as usize).map_or("", |text| text)
    }

    /// How many there are: their numbers go from 0 to below this.
    pub(crate) fn count(&self) -> usize {
        self.texts.len()
    }

    fn add(&mut self, text: &str) -> Name {
        let name = Name::try_from(self.texts.len()).unwrap_or(OTHERS);
        self.texts.push(text.into());
        let (texts, state) = (&self.texts, &self.state);
        let hash = |&name: &Name| state.hash_one(texts.get(name as usize).map_or("", |text| text));
        self.numbers.insert_unique(hash(&name), name, hash);
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::NOTHING;

    #[test]
    fn texts_have_one_name_each() {
        let mut names = Names::default();
        assert_eq!((names.intern(""), names.text(NOTHING)), (NOTHING, ""));
        let name = names.intern("example.org");
        assert_eq!(names.intern("example.org"), name);
        assert_ne!(names.intern("example.net"), name);
        assert_eq!(names.text(name), "example.org");
        assert_eq!(names.text(Name::MAX), "");
    }

    #[test]
    fn names_are_bounded() {
        let mut names = Names::default();
        for number in 0..NAMES + 10 {
            names.intern(&format!("reason {number}"));
        }
        assert_eq!(names.count(), NAMES);
        assert_eq!((names.intern("one more"), names.text(OTHERS)), (OTHERS, ALL_OTHERS));
    }

    #[test]
    fn long_texts_are_cut_and_domains_are_whole() {
        let mut names = Names::default();
        let long = names.intern(&"ä".repeat(LENGTH));
        assert_eq!(names.text(long), "ä".repeat(LENGTH / 2));
        let domain = "a.".repeat(127) + "a";
        let longest = names.intern(&domain);
        assert_eq!(names.text(longest), domain);
    }
}
