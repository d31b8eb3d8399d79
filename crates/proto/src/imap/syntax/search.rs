//! What SEARCH looks for: search-key of RFC 3501, 9.

use super::cursor::Cursor;
use super::set::{Numbering, Set};
use super::{Refusal, date};
use crate::imap::search::Key;
use crate::mailbox::{Flags, Snapshot};

/// Positions of messages that the sets of one SEARCH may name together. A few octets name a
/// whole mailbox: without this, a command's memory would have no limit.
const POSITIONS: usize = 4 << 20;

type Parsed<T> = Result<T, Refusal>;

/// `[CHARSET charset] key *(SP key)`: all of the keys must hold.
pub(super) fn program(cursor: &mut Cursor<'_>, snapshot: &Snapshot) -> Parsed<Key> {
    if cursor.keyword("CHARSET") {
        cursor.space()?;
        charset(&cursor.astring()?)?;
        cursor.space()?;
    }
    let mut keys = Keys { snapshot, positions: 0 };
    keys.all(cursor)
}

/// US-ASCII is UTF-8 too, so strings are taken as UTF-8 whatever was said.
fn charset(name: &[u8]) -> Parsed<()> {
    if name.eq_ignore_ascii_case(b"UTF-8") || name.eq_ignore_ascii_case(b"US-ASCII") {
        return Ok(());
    }
    Err(Refusal::No("[BADCHARSET (US-ASCII UTF-8)] Unknown charset"))
}

struct Keys<'a> {
    snapshot: &'a Snapshot,
    /// Named by sets so far.
    positions: usize,
}

impl Keys<'_> {
    fn all(&mut self, cursor: &mut Cursor<'_>) -> Parsed<Key> {
        let mut keys = vec![self.key(cursor)?];
        while cursor.take(b' ') {
            keys.push(self.key(cursor)?);
        }
        Ok(if keys.len() == 1 { keys.remove(0) } else { Key::And(keys) })
    }

    fn key(&mut self, cursor: &mut Cursor<'_>) -> Parsed<Key> {
        cursor.deeper(|cursor| self.any_key(cursor))
    }

    fn any_key(&mut self, cursor: &mut Cursor<'_>) -> Parsed<Key> {
        match cursor.peek() {
            Some(b'(') => {
                cursor.take(b'(');
                let key = self.all(cursor)?;
                cursor.expect(b')', "Search key does not end")?;
                Ok(key)
            }
            Some(b'0'..=b'9' | b'*') => {
                let set = Set::parse(cursor)?;
                self.positions(&set, Numbering::Sequence)
            }
            _ => self.named(cursor),
        }
    }

    fn named(&mut self, cursor: &mut Cursor<'_>) -> Parsed<Key> {
        let word = cursor.atom()?.to_ascii_uppercase();
        if let Some(key) = simple(&word) {
            return Ok(key);
        }
        match word.as_str() {
            "NOT" => {
                cursor.space()?;
                Ok(Key::Not(Box::new(self.key(cursor)?)))
            }
            "OR" => {
                cursor.space()?;
                let first = self.key(cursor)?;
                cursor.space()?;
                Ok(Key::Or(Box::new((first, self.key(cursor)?))))
            }
            "UID" => {
                cursor.space()?;
                let set = Set::parse(cursor)?;
                self.positions(&set, Numbering::Uid)
            }
            _ => with_argument(&word, cursor),
        }
    }

    fn positions(&mut self, set: &Set, numbering: Numbering) -> Parsed<Key> {
        let ranges = set.ranges(numbering, self.snapshot);
        let named: usize = ranges.iter().map(ExactSizeIterator::len).sum();
        if named == self.snapshot.messages.len() {
            return Ok(Key::And(Vec::new()));
        }
        self.positions += named;
        if self.positions > POSITIONS {
            return Err(Refusal::No("[LIMIT] The sets name too many messages"));
        }
        Ok(Key::Positions(ranges.into_iter().flatten().collect()))
    }
}

/// Keys that are nothing but a word.
fn simple(word: &str) -> Option<Key> {
    let not = |key| Key::Not(Box::new(key));
    Some(match word {
        "ALL" => Key::And(Vec::new()),
        "ANSWERED" => Key::Flag(Flags::ANSWERED),
        "DELETED" => Key::Flag(Flags::DELETED),
        "DRAFT" => Key::Flag(Flags::DRAFT),
        "FLAGGED" => Key::Flag(Flags::FLAGGED),
        "SEEN" => Key::Flag(Flags::SEEN),
        "UNANSWERED" => not(Key::Flag(Flags::ANSWERED)),
        "UNDELETED" => not(Key::Flag(Flags::DELETED)),
        "UNDRAFT" => not(Key::Flag(Flags::DRAFT)),
        "UNFLAGGED" => not(Key::Flag(Flags::FLAGGED)),
        "UNSEEN" => not(Key::Flag(Flags::SEEN)),
        "RECENT" => Key::Recent,
        "OLD" => not(Key::Recent),
        "NEW" => Key::And(vec![Key::Recent, not(Key::Flag(Flags::SEEN))]),
        _ => return None,
    })
}

fn with_argument(word: &str, cursor: &mut Cursor<'_>) -> Parsed<Key> {
    let is_known = matches!(
        word,
        "BCC"
            | "BEFORE"
            | "BODY"
            | "CC"
            | "FROM"
            | "HEADER"
            | "KEYWORD"
            | "LARGER"
            | "ON"
            | "SENTBEFORE"
            | "SENTON"
            | "SENTSINCE"
            | "SINCE"
            | "SMALLER"
            | "SUBJECT"
            | "TEXT"
            | "TO"
            | "UNKEYWORD"
    );
    if !is_known {
        return Err(Refusal::Bad("Unknown search key"));
    }
    cursor.space()?;
    Ok(match word {
        "BEFORE" => Key::Before(date::date(cursor)?),
        "ON" => Key::On(date::date(cursor)?),
        "SINCE" => Key::Since(date::date(cursor)?),
        "SENTBEFORE" => Key::SentBefore(date::date(cursor)?),
        "SENTON" => Key::SentOn(date::date(cursor)?),
        "SENTSINCE" => Key::SentSince(date::date(cursor)?),
        "LARGER" => Key::Larger(cursor.number64()?),
        "SMALLER" => Key::Smaller(cursor.number64()?),
        "KEYWORD" => Key::Keyword(cursor.atom()?.to_owned()),
        "UNKEYWORD" => Key::Not(Box::new(Key::Keyword(cursor.atom()?.to_owned()))),
        "BODY" => Key::Body(text(cursor)?),
        "TEXT" => Key::Text(text(cursor)?),
        "HEADER" => {
            let name = text(cursor)?;
            cursor.space()?;
            Key::Header(name, text(cursor)?)
        }
        field => Key::Header(capitalised(field), text(cursor)?),
    })
}

fn text(cursor: &mut Cursor<'_>) -> Parsed<String> {
    let text = cursor.astring()?.into_owned();
    String::from_utf8(text).map_err(|_| Refusal::Bad("Search text is not valid UTF-8"))
}

/// A header field's usual spelling.
fn capitalised(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_owned() + &rest.to_ascii_lowercase()
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::Entry;

    fn parse(text: &str) -> Parsed<Key> {
        let messages = [10, 20, 30].map(|uid| Entry { uid, flags: Flags::default() });
        let messages = messages.into_iter().collect();
        let snapshot = Snapshot { messages, ..Snapshot::default() };
        let mut cursor = Cursor::new(text.as_bytes(), 9);
        let key = program(&mut cursor, &snapshot)?;
        cursor.end().map(|()| key)
    }

    fn not(key: Key) -> Key {
        Key::Not(Box::new(key))
    }

    #[test]
    fn keys() {
        let seen = || Key::Flag(Flags::SEEN);
        let from = || Key::Header("From".into(), "ann".into());
        let table = [
            ("ALL", Key::And(vec![])),
            ("unseen", not(seen())),
            ("NEW", Key::And(vec![Key::Recent, not(seen())])),
            ("SEEN FROM ann", Key::And(vec![seen(), from()])),
            ("OR (SEEN) NOT FROM \"ann\"", Key::Or(Box::new((seen(), not(from()))))),
            ("2:3", Key::Positions(vec![1, 2])),
            ("UID 10,30", Key::Positions(vec![0, 2])),
            ("1:*", Key::And(vec![])),
            ("7", Key::Positions(vec![])),
            ("HEADER Message-ID {3}\r\n<x>", Key::Header("Message-ID".into(), "<x>".into())),
            ("HEADER X-Spam \"\"", Key::Header("X-Spam".into(), String::new())),
            ("CHARSET utf-8 SUBJECT {3}\r\nét", Key::Header("Subject".into(), "ét".into())),
            ("SINCE 2-Jan-1970 SMALLER 9", Key::And(vec![Key::Since(1), Key::Smaller(9)])),
            ("KEYWORD $Label1", Key::Keyword("$Label1".into())),
            ("UNKEYWORD x", not(Key::Keyword("x".into()))),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_refused() {
        for text in [
            "",
            "FOO",
            "OR SEEN",
            "NOT",
            "(SEEN",
            "()",
            "SEEN ",
            "FROM",
            "SINCE 1",
            "HEADER x",
            "LARGER x",
            "UID x",
            "CHARSET utf-8",
            "RETURN (ALL) SEEN",
            "NOT NOT NOT NOT NOT NOT NOT NOT NOT SEEN",
            "(((((((((SEEN)))))))))",
        ] {
            assert!(matches!(parse(text), Err(Refusal::Bad(_))), "{text}");
        }
        assert!(matches!(parse("CHARSET latin1 SEEN"), Err(Refusal::No(_))));
    }
}
