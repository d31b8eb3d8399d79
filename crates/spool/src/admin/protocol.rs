//! What is said over mtad's control socket: a line of JSON a request, lines of JSON the answer, the
//! last of which is `end` or `error`. `docs/queue.md` promises the names.

use std::io::{self, BufRead, Read as _, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Action, Filter, Item, Summary};

/// Octets of a line. A letter may have very many recipients.
pub const LINE: usize = 32 << 20;

/// Octets of a body that are sent at a time.
pub const BLOCK: usize = 64 << 10;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Each message, as `message`.
    List {
        /// Which.
        #[serde(default)]
        filter: Filter,
    },
    /// How much waits, as `summary`.
    Summary {
        /// Of which.
        #[serde(default)]
        filter: Filter,
    },
    /// The text of a message, as `block`s.
    Cat {
        /// Which.
        id: String,
        /// The header alone.
        #[serde(default)]
        headers: bool,
    },
    /// Each message, as `message` and its text as `block`s.
    Export {
        /// Which.
        #[serde(default)]
        filter: Filter,
    },
    /// Does something to messages: `done` or `refused` for each.
    Change {
        /// What.
        action: Action,
        /// To which.
        filter: Filter,
        /// Says what would be done, and does nothing.
        #[serde(default)]
        dry_run: bool,
    },
    /// Takes a message, whose text follows as lines of `block`, the last empty.
    Import {
        /// Without its text.
        message: Box<Item>,
    },
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A message.
    Message(Box<Item>),
    /// How much waits.
    Summary(Box<Summary>),
    /// Octets of a text.
    Block(Block),
    /// It was done to this message.
    Done {
        /// Which.
        id: String,
        /// What.
        what: String,
    },
    /// It was not done to this message.
    Refused {
        /// Which.
        id: String,
        /// Why not.
        why: String,
    },
    /// The answer is whole.
    End {
        /// Messages that it was about.
        messages: u64,
    },
    /// The answer ends here, and is not whole.
    Error {
        /// Why.
        why: String,
    },
}

/// Octets, as base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Block(pub Vec<u8>);

/// A part of the text that is to be imported; an empty one is its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Octets.
    pub block: Block,
}

impl Answer {
    /// Whether it is the last.
    pub fn is_last(&self) -> bool {
        matches!(self, Self::End { .. } | Self::Error { .. })
    }
}

impl TryFrom<String> for Block {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        STANDARD.decode(text).map(Self)
    }
}

impl From<Block> for String {
    fn from(block: Block) -> Self {
        STANDARD.encode(block.0)
    }
}

/// Reads a line; `None`: the other one has no more to say.
///
/// # Errors
/// The connection broke, or what came is no such line.
pub fn read<T: DeserializeOwned>(from: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    let count = from.by_ref().take(LINE as u64 + 1).read_until(b'\n', &mut line)?;
    if count == 0 {
        return Ok(None);
    }
    if line.pop() != Some(b'\n') {
        let why = if count > LINE { "a line is too long" } else { "the connection broke" };
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(Some(serde_json::from_slice(&line).map_err(io::Error::from)?))
}

/// Writes a line.
///
/// # Errors
/// The connection broke.
pub fn write(to: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *to, value)?;
    to.write_all(b"\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::admin::Glob;

    #[test]
    fn requests_as_the_document_shows_them() {
        let held = Filter { senders: vec![Glob::new("*@x")], ..Filter::default() };
        let table = [
            (r#"{"do":"list"}"#, Request::List { filter: Filter::default() }),
            (
                r#"{"do":"cat","id":"0abc","headers":true}"#,
                Request::Cat { id: "0abc".into(), headers: true },
            ),
            (
                r#"{"do":"change","action":{"hold":{"reason":"x"}},"filter":{"senders":["*@x"]}}"#,
                Request::Change {
                    action: Action::Hold { reason: "x".into() },
                    filter: held.clone(),
                    dry_run: false,
                },
            ),
            (
                r#"{"do":"change","action":"delete","filter":{},"dry_run":true}"#,
                Request::Change {
                    action: Action::Delete,
                    filter: Filter::default(),
                    dry_run: true,
                },
            ),
        ];
        for (text, expected) in table {
            let line = format!("{text}\n");
            assert_eq!(read::<Request>(&mut line.as_bytes()).unwrap(), Some(expected), "{text}");
        }
        for text in ["", "{}", r#"{"do":"list","filter":{"x":1}}"#, r#"{"do":"drop"}"#, "\u{0}"] {
            let line = format!("{text}\n");
            assert!(read::<Request>(&mut line.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn answers_as_the_document_shows_them() {
        let table = [
            (Answer::Block(Block(b"\xffa".to_vec())), r#"{"block":"/2E="}"#),
            (
                Answer::Done { id: "0abc".into(), what: "held".into() },
                r#"{"done":{"id":"0abc","what":"held"}}"#,
            ),
            (Answer::End { messages: 7 }, r#"{"end":{"messages":7}}"#),
        ];
        for (answer, text) in table {
            let mut line = Vec::new();
            write(&mut line, &answer).unwrap();
            assert_eq!(String::from_utf8_lossy(&line), format!("{text}\n"));
            assert_eq!(read(&mut line.as_slice()).unwrap(), Some(answer));
        }
    }

    #[test]
    fn lines_end() {
        assert_eq!(read::<Answer>(&mut &b""[..]).unwrap(), None);
        assert!(read::<Answer>(&mut &br#"{"end":{"messages":7}}"#[..]).is_err());
        let endless = vec![b' '; LINE + 10];
        let error = read::<Answer>(&mut endless.as_slice()).unwrap_err();
        assert_eq!(error.to_string(), "a line is too long");
    }
}
