//! Message ids: queue id and trace id in one.

use std::fmt;

use crate::time::now_micros;

/// In the order of their bytes, so that ids sort as they were made.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Digits of the microseconds since 1970: enough until the year 2398.
const TIME_DIGITS: usize = 9;

/// Digits that nobody can guess.
const RANDOM_DIGITS: usize = 7;

/// The id of a message: at most 16 characters of 0-9A-Za-z, in order of time, the end random.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(String);

impl Id {
    /// A new id.
    ///
    /// # Panics
    /// If the system has no randomness.
    #[must_use]
    #[allow(
        clippy::new_without_default,
        reason = "a default is the same each time; an id never is"
    )]
    pub fn new() -> Self {
        let mut random = [0; 8];
        aws_lc_rs::rand::fill(&mut random).expect("the system's randomness does not end");
        Self::made_of(now_micros(), u64::from_ne_bytes(random))
    }

    /// An id that was written before; `None` if it was none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=TIME_DIGITS + RANDOM_DIGITS).contains(&text.len());
        let is_id = fits && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_id.then(|| Self(text.to_owned()))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When it was made, in microseconds since 1970; `None` where it is too short to say.
    #[must_use]
    pub fn micros(&self) -> Option<u64> {
        let digits = self.0.get(..TIME_DIGITS).filter(|_| self.0.len() > TIME_DIGITS)?;
        digits.bytes().try_fold(0, |micros: u64, digit| {
            let value = ALPHABET.iter().position(|&known| known == digit)?;
            Some(micros * 62 + value as u64)
        })
    }

    fn made_of(micros: u64, random: u64) -> Self {
        let mut text = String::with_capacity(TIME_DIGITS + RANDOM_DIGITS);
        push_digits(&mut text, micros, TIME_DIGITS);
        push_digits(&mut text, random, RANDOM_DIGITS);
        Self(text)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The last `count` digits of a number, the highest first.
fn push_digits(text: &mut String, number: u64, count: usize) {
    let mut powers = (0..count).rev().map(|digit| 62u64.pow(digit as u32));
    let digits = powers.by_ref().map(|power| ALPHABET[(number / power % 62) as usize]);
    text.extend(digits.map(char::from));
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_sort_by_time() {
        let moments = [0, 1, 61, 62, 1_795_363_200_000_000, 1_795_363_200_000_001, 12 << 50];
        for pair in moments.windows(2) {
            let earlier = Id::made_of(pair[0], u64::MAX);
            let later = Id::made_of(pair[1], 0);
            assert!(earlier < later, "{earlier} {later}");
            assert!(earlier.as_str() < later.as_str());
        }
    }

    #[test]
    fn ids_know_when_they_were_made() {
        for micros in [0, 61, 62, 1_795_363_200_000_001, 62u64.pow(9) - 1] {
            assert_eq!(Id::made_of(micros, u64::MAX).micros(), Some(micros));
        }
        for text in ["a", "123456789"] {
            assert_eq!(Id::parse(text).unwrap().micros(), None, "{text}");
        }
    }

    #[test]
    fn ids_are_short_of_the_alphabet_and_all_different() {
        let made: HashSet<_> = (0..1000).map(|_| Id::new()).collect();
        assert_eq!(made.len(), 1000);
        for id in made {
            assert_eq!(id.as_str().len(), 16);
            assert_eq!(Id::parse(id.as_str()), Some(id));
        }
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["", "a/b", "..", "a b", "ä", "a\n", "01234567890123456"] {
            assert_eq!(Id::parse(text), None, "{text:?}");
        }
    }
}
