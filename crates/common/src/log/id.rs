//! Message ids: queue id and trace id in one.

use std::fmt;

use crate::time::now_micros;

/// In the order of their bytes, so that ids sort as they were made.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Digits of the microseconds since 1970: enough until the year 2398.
const TIME_DIGITS: usize = 9;

/// Digits that nobody can guess.
const RANDOM_DIGITS: usize = 7;

/// Octets of an id.
const LENGTH: usize = TIME_DIGITS + RANDOM_DIGITS;

/// The id of a message: at most 16 characters of 0-9A-Za-z, in order of time, the end random.
///
/// Sixteen octets, those that a shorter one lacks being zero: queues hold millions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id([u8; LENGTH]);

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
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let mut octets = [0; LENGTH];
        octets.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Self(octets))
    }

    /// An id as [`octets`](Self::octets) has it; `None` if it is none.
    #[must_use]
    pub fn from_octets(octets: &[u8; LENGTH]) -> Option<Self> {
        let end = octets.iter().position(|&octet| octet == 0).unwrap_or(LENGTH);
        let (text, rest) = octets.split_at(end);
        let padded = rest.iter().all(|&octet| octet == 0);
        std::str::from_utf8(text).ok().filter(|_| padded).and_then(Self::parse)
    }

    /// For a file: the characters, and zeros.
    #[must_use]
    pub fn octets(&self) -> &[u8; LENGTH] {
        &self.0
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|&octet| octet == 0).unwrap_or(LENGTH);
        std::str::from_utf8(self.0.split_at(end).0).unwrap_or_default()
    }

    /// When it was made, in microseconds since 1970; `None` where it is too short to say.
    #[must_use]
    pub fn micros(&self) -> Option<u64> {
        let text = self.as_str();
        let digits = text.get(..TIME_DIGITS).filter(|_| text.len() > TIME_DIGITS)?;
        digits.bytes().try_fold(0, |micros: u64, digit| {
            let value = ALPHABET.iter().position(|&known| known == digit)?;
            Some(micros * 62 + value as u64)
        })
    }

    fn made_of(micros: u64, random: u64) -> Self {
        let mut octets = [0; LENGTH];
        let (time, end) = octets.split_at_mut(TIME_DIGITS);
        write_digits(time, micros);
        write_digits(end, random);
        Self(octets)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The last digits of a number, as many as there is room for, the highest first.
fn write_digits(room: &mut [u8], mut number: u64) {
    for place in room.iter_mut().rev() {
        *place = ALPHABET[(number % 62) as usize];
        number /= 62;
    }
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
        for octets in [b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", b"abc\0d\0\0\0\0\0\0\0\0\0\0\0"] {
            assert_eq!(Id::from_octets(octets), None, "{octets:?}");
        }
    }

    #[test]
    fn ids_go_through_octets() {
        for text in ["a", "0123456789abcdef"] {
            let id = Id::parse(text).unwrap();
            assert_eq!(id.as_str(), text);
            assert_eq!(Id::from_octets(id.octets()), Some(id));
        }
    }
}
