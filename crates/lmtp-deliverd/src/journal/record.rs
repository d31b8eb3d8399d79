//! Records, as they stand in files: 64 octets each, numbers little-endian.
//!
//! | offset | octets | what |
//! |---|---|---|
//! | 0 | 4 | `PHD1`: made and lasting; `PHV1`: visible |
//! | 4 | 4 | CRC32C of octets 0 to 3 and 8 to 63 |
//! | 8 | 16 | `PHD1`: generation of the file (8 octets), zeros; `PHV1`: boot of the machine |
//! | 24 | 16 | id of the message in the queue, padded with zeros |
//! | 40 | 4 | the recipient's number in the message |
//! | 44 | 12 | the beginning of the SHA-256 of the mailbox's owner, an octet 0 and the action's word |
//! | 56 | 8 | zeros |

use aws_lc_rs::digest::{SHA256, digest};
use mail_common::auth::User;
use mail_common::log::Id;
use mail_common::maildir::DeliveryId;

/// Octets of a record.
pub(super) const LENGTH: usize = 64;

/// One thing that is done once: a delivery, whose mailbox it is for, and what is done with the
/// message. Should anybody give one id to two, both get theirs. In order of the messages' times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    queue_id: Id,
    number: u32,
    what: [u8; 12],
}

/// What a record says of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// It was done, and lasts.
    Done {
        /// Of the file.
        generation: u64,
    },
    /// Readers saw it in this boot of the machine.
    Visible {
        /// As [`mail_common::maildir::boot`] has it.
        boot: [u8; 16],
    },
}

impl Key {
    pub(super) fn new(id: DeliveryId, user: &User, action: &str) -> Self {
        Self::of(id, &user.address().to_string(), action)
    }

    pub(super) fn of(id: DeliveryId, whose: &str, action: &str) -> Self {
        let text = [whose.as_bytes(), action.as_bytes()].join(&0);
        let digest = digest(&SHA256, &text);
        let what = digest.as_ref().first_chunk().expect("SHA-256 has 32 octets");
        Self { queue_id: id.queue_id(), number: id.number(), what: *what }
    }

    /// The message's id in the queue.
    pub(super) fn queue_id(&self) -> Id {
        self.queue_id
    }
}

/// The record that says this of a key.
pub(super) fn encode(word: Word, key: &Key) -> [u8; LENGTH] {
    let (magic, where_from) = match word {
        Word::Done { generation } => (b"PHD1", u128::from(generation).to_le_bytes()),
        Word::Visible { boot } => (b"PHV1", boot),
    };
    let number = key.number.to_le_bytes();
    let parts: [&[u8]; 4] = [&where_from, key.queue_id.octets(), &number, &key.what];
    let mut record = [0; LENGTH];
    let (head, body) = record.split_at_mut(8);
    let places = body.iter_mut().zip(parts.into_iter().flatten());
    places.for_each(|(place, octet)| *place = *octet);
    let checksum = checksum(magic, body).to_le_bytes();
    let places = head.iter_mut().zip(magic.iter().chain(&checksum));
    places.for_each(|(place, octet)| *place = *octet);
    record
}

/// What a record says; `None` where it is none, or damaged.
pub(super) fn decode(record: &[u8]) -> Option<(Word, Key)> {
    let record: &[u8; LENGTH] = record.try_into().ok()?;
    let (magic, rest) = record.split_first_chunk::<4>()?;
    let (sum, body) = rest.split_first_chunk()?;
    if checksum(magic, body) != u32::from_le_bytes(*sum) {
        return None;
    }
    let (where_from, rest) = body.split_first_chunk::<16>()?;
    let (queue_id, rest) = rest.split_first_chunk()?;
    let (number, rest) = rest.split_first_chunk()?;
    let key = Key {
        queue_id: Id::from_octets(queue_id)?,
        number: u32::from_le_bytes(*number),
        what: *rest.first_chunk()?,
    };
    let word = match magic {
        b"PHD1" => Word::Done { generation: u128::from_le_bytes(*where_from).try_into().ok()? },
        b"PHV1" => Word::Visible { boot: *where_from },
        _ => return None,
    };
    Some((word, key))
}

fn checksum(magic: &[u8; 4], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(magic), body)
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> Key {
        let id = DeliveryId::parse(&format!("0VhSXz9Qa0000000.{number}")).unwrap();
        Key::of(id, "ann@example.org", "keep")
    }

    const WORDS: [Word; 3] = [
        Word::Done { generation: 1 },
        Word::Done { generation: u64::MAX },
        Word::Visible { boot: *b"0123456789abcdef" },
    ];

    #[test]
    fn records_are_read_as_they_were_written() {
        for word in WORDS {
            assert_eq!(decode(&encode(word, &key(7))), Some((word, key(7))));
        }
        assert_eq!(decode(&[0; LENGTH]), None, "what was not written yet");
        for length in [0, LENGTH - 1, LENGTH + 1] {
            assert_eq!(decode(&vec![b'P'; length]), None);
        }
    }

    #[test]
    fn every_bit_that_is_wrong_is_seen() {
        for word in WORDS {
            let record = encode(word, &key(7));
            for place in 0..8 * LENGTH {
                let mut damaged = record;
                damaged[place / 8] ^= 1 << (place % 8);
                assert_eq!(decode(&damaged), None, "{place}");
            }
        }
    }

    #[test]
    fn whose_it_is_and_what_is_done_tell_keys_apart() {
        let id = DeliveryId::parse("0VhSXz9Qa0000000.1").unwrap();
        let other = DeliveryId::parse("0VhSXz9Qa0000000.2").unwrap();
        let keys = [
            Key::of(id, "ann@example.org", "keep"),
            Key::of(other, "ann@example.org", "keep"),
            Key::of(id, "bob@example.org", "keep"),
            Key::of(id, "ann@example.org", "fileinto Lists"),
            Key::of(id, "ann@example.orgk", "eep"),
        ];
        for (at, key) in keys.iter().enumerate() {
            assert_eq!(keys.iter().position(|other| other == key), Some(at));
        }
    }
}
