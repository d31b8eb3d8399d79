//! Records, as they stand in files: 64 octets each, numbers little-endian.
//!
//! | offset | octets | what |
//! |---|---|---|
//! | 0 | 4 | `PHD1`: made and lasting; `PHV2`: a note, readers are about to see it |
//! | 4 | 4 | CRC32C of octets 0 to 3 and 8 to 63 |
//! | 8 | 16 | `PHD1`: generation of the file (8 octets), zeros; `PHV2`: boot of the machine |
//! | 24 | 16 | id of the message in the queue, padded with zeros |
//! | 40 | 4 | the recipient's number in the message |
//! | 44 | 12 | the beginning of the SHA-256 of the mailbox's owner, an octet 0 and the action's word |
//! | 56 | 4 | `PHD1`: zeros; `PHV2`: when it was noted, in seconds since 1970 |
//! | 60 | 4 | `PHD1`: zeros; `PHV2`: checksum of what tells the mailbox's `tmp` from others |

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use mail_common::auth::User;
use mail_common::log::Id;
use mail_common::maildir::DeliveryId;
use mail_common::time;

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
    /// Readers were about to see it.
    Noted {
        /// In this boot of the machine, as [`mail_common::maildir::boot`] has it.
        boot: [u8; 16],
        note: Noted,
    },
}

/// What a note says of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Noted {
    /// When that was, in seconds since 1970.
    pub(super) seconds: u32,
    /// The checksum of the identity of `tmp`, where its file was.
    pub(super) tmp: u32,
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

    /// The name of the file of an attempt at it in `tmp`: no other delivery has it.
    pub(super) fn file_name(&self) -> String {
        let Self { queue_id, number, what } = self;
        let mut name = format!("{queue_id}.{number}.");
        for octet in what {
            write!(name, "{octet:02x}").expect("a string takes all");
        }
        name
    }
}

/// For so long a note counts, in seconds.
const LASTS: u32 = 24 * 60 * 60;

impl Noted {
    pub(super) fn now(tmp: u32) -> Self {
        Self { seconds: now(), tmp }
    }

    /// Whether the file that it tells of was in `tmp` just before it was taken, and cannot be gone
    /// from there but into the mailbox.
    pub(crate) fn counts(&self) -> bool {
        now().abs_diff(self.seconds) < LASTS
    }

    /// The checksum of the identity of `tmp`, where the file was.
    pub(crate) fn tmp(&self) -> u32 {
        self.tmp
    }
}

fn now() -> u32 {
    u32::try_from(time::now_seconds()).unwrap_or(u32::MAX)
}

/// The record that says this of a key.
pub(super) fn encode(word: Word, key: &Key) -> [u8; LENGTH] {
    let (magic, where_from, end) = match word {
        Word::Done { generation } => (b"PHD1", u128::from(generation).to_le_bytes(), [0; 2]),
        Word::Noted { boot, note } => (b"PHV2", boot, [note.seconds, note.tmp]),
    };
    let number = key.number.to_le_bytes();
    let end = end.map(u32::to_le_bytes);
    let parts: [&[u8]; 5] =
        [&where_from, key.queue_id.octets(), &number, &key.what, end.as_flattened()];
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
    let (what, rest) = rest.split_first_chunk()?;
    let number = u32::from_le_bytes(*number);
    let key = Key { queue_id: Id::from_octets(queue_id)?, number, what: *what };
    let word = match magic {
        b"PHD1" => Word::Done { generation: u128::from_le_bytes(*where_from).try_into().ok()? },
        b"PHV2" => {
            let (seconds, rest) = rest.split_first_chunk()?;
            let (seconds, tmp) = (u32::from_le_bytes(*seconds), *rest.first_chunk()?);
            let note = Noted { seconds, tmp: u32::from_le_bytes(tmp) };
            Word::Noted { boot: *where_from, note }
        }
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
        Word::Noted { boot: *b"0123456789abcdef", note: Noted { seconds: u32::MAX - 1, tmp: 7 } },
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
            let name = key.file_name();
            assert_eq!(keys.iter().position(|other| other.file_name() == name), Some(at));
            assert!(name.len() <= 16 + 1 + 10 + 1 + 24 && !name.contains('/'), "{name}");
        }
    }

    #[test]
    fn a_file_has_the_name_that_an_earlier_process_gave_it() {
        let digest = "85f7134caafcc8dff434d954";
        assert_eq!(key(7).file_name(), format!("0VhSXz9Qa0000000.7.{digest}"));
    }
}
