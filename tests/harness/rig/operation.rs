//! What is done to a user's mailboxes, and the lines in which the driver tells of it.
//!
//! A letter is known by its number: each has its own text, of its own length, so that whoever
//! reads it knows whether it is whole.

use std::fmt::Write as _;

use mail_proto::mailbox::Uid;
use serde::{Deserialize, Serialize};

use super::promises;

/// The number of a letter.
pub type Letter = u32;

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Deliver a letter; one with an id may be repeated, and is there once.
    Deliver {
        /// Where to.
        mailbox: String,
        /// What.
        letter: Letter,
        /// Whether it has a delivery id, made of its number.
        identified: bool,
    },
    /// Deliver a letter that both of two mailboxes get, in one file; with ids, as above.
    DeliverToBoth {
        /// Where to.
        mailboxes: [String; 2],
        /// What.
        letter: Letter,
    },
    /// Another program puts a letter into `new`, durably.
    Foreign {
        /// Where to.
        mailbox: String,
        /// What.
        letter: Letter,
    },
    /// APPEND.
    Append {
        /// Where to.
        mailbox: String,
        /// What.
        letter: Letter,
        /// With which flags.
        marks: Marks,
    },
    /// EXPUNGE of these.
    Expunge {
        /// Where.
        mailbox: String,
        /// What.
        letters: Vec<Letter>,
    },
    /// COPY.
    Copy {
        /// Where from.
        from: String,
        /// Where to.
        to: String,
        /// What.
        letters: Vec<Letter>,
    },
    /// MOVE.
    Move {
        /// Where from.
        from: String,
        /// Where to.
        to: String,
        /// What.
        letters: Vec<Letter>,
    },
    /// STORE FLAGS: the letters have these and no others.
    Mark {
        /// Where.
        mailbox: String,
        /// What.
        letters: Vec<Letter>,
        /// The flags.
        marks: Marks,
    },
    /// A session selects the mailbox and is told what is recent.
    Claim {
        /// Which one.
        mailbox: String,
    },
    /// A session looks at the mailbox: UIDs are shown.
    Look {
        /// Which one.
        mailbox: String,
    },
    /// CREATE.
    Create {
        /// Which one.
        mailbox: String,
    },
    /// DELETE.
    Delete {
        /// Which one.
        mailbox: String,
    },
    /// RENAME, with what is below; of INBOX, its letters go.
    Rename {
        /// The name that it has.
        from: String,
        /// The name that it gets.
        to: String,
    },
    /// SUBSCRIBE or UNSUBSCRIBE.
    Subscribe {
        /// Which name.
        mailbox: String,
        /// Whether it is to be subscribed.
        subscribed: bool,
    },
}

/// Flags and keywords.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Marks {
    /// Bits of [`mail_proto::mailbox::Flags`].
    pub system: u8,
    /// In order, each once.
    pub keywords: Vec<String>,
}

/// A line of the driver's.
pub type Line = promises::Line<Operation, Answer>;

/// What the driver tells.
pub type Said = promises::Said<Operation, Answer>;

/// What comes with an OK.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Answer {
    /// The mailbox's UIDVALIDITY, where it was told.
    pub uid_validity: Option<u32>,
    /// The mailbox's next UID, where it was told.
    pub uid_next: Option<Uid>,
    /// Its HIGHESTMODSEQ, where it was told.
    pub modseq: Option<u64>,
    /// UIDs of letters that the client was not told before.
    pub uids: Vec<(Letter, Uid)>,
}

/// A letter as it is sent.
#[must_use]
pub fn text(letter: Letter) -> Vec<u8> {
    let mut text = format!("Message-ID: <{letter}@history.example>\r\nSubject: letter\r\n\r\n");
    for line in 0..letter.wrapping_mul(2_654_435_761) % 150 {
        write!(text, "{letter} has a line {line} that no other letter has\r\n")
            .expect("takes everything");
    }
    text.into_bytes()
}

/// Which letter a stored message is; `None` if it is none, or not whole.
#[must_use]
pub fn letter_of(stored: &[u8]) -> Option<Letter> {
    let rest = stored.strip_prefix(b"Message-ID: <")?;
    let end = rest.iter().position(|&byte| byte == b'@')?;
    let letter = std::str::from_utf8(rest.get(..end)?).ok()?.parse().ok()?;
    let mut whole = text(letter);
    whole.retain(|&byte| byte != b'\r');
    (whole == stored).then_some(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_letter_is_one() {
        for letter in [0, 1, 77, 123_456] {
            let mut stored = text(letter);
            stored.retain(|&byte| byte != b'\r');
            assert_eq!(letter_of(&stored), Some(letter));
            assert_eq!(letter_of(&stored[..stored.len() - 1]), None);
            let last = stored.len() - 1;
            stored[last] = 0;
            assert_eq!(letter_of(&stored), None);
        }
        assert_eq!(letter_of(b""), None);
    }
}
