//! SEARCH: its keys, and how a message is held against them.
//!
//! What costs nothing is looked at first: flags before dates and sizes, those before headers, and
//! the text of a message only where all else agrees.

mod body;
mod matching;
mod text;

use self::matching::Matching;
use self::text::folded;
use super::Search;
use super::fetch::{Reading, Source};

/// Messages that one question looks at.
const MESSAGES: usize = 50_000;

/// Octets that one question reads, and then the rest of the message at hand.
const OCTETS: u64 = 4 << 20;

/// What SEARCH looks for (RFC 3501, 6.4.4). Dates are days since 1970-01-01.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// All of these (an empty list: every message).
    And(Vec<Key>),
    /// One of the two.
    Or(Box<(Key, Key)>),
    /// Not this one.
    Not(Box<Key>),
    /// A sequence set or UID set, as positions from 0 in the snapshot, rising.
    Positions(Vec<u32>),
    /// A system flag, as in `mailbox::Flags`.
    Flag(u8),
    /// KEYWORD
    Keyword(String),
    /// RECENT
    Recent,
    /// BEFORE: INTERNALDATE, without time and zone, is earlier.
    Before(i32),
    /// ON
    On(i32),
    /// SINCE
    Since(i32),
    /// SENTBEFORE: likewise, but of the Date field.
    SentBefore(i32),
    /// SENTON
    SentOn(i32),
    /// SENTSINCE
    SentSince(i32),
    /// LARGER: RFC822.SIZE is greater.
    Larger(u64),
    /// SMALLER
    Smaller(u64),
    /// HEADER, and FROM, TO, CC, BCC, SUBJECT; an empty text: the field is there.
    Header(String, String),
    /// BODY
    Body(String),
    /// TEXT: header or body.
    Text(String),
}

/// Looks at as many messages as one question may. All is done when [`Search::next`] is the number
/// of messages. Messages that are gone or cannot be read are passed over.
pub fn advance<S: Source>(search: &mut Search, source: &mut S, reading: &mut Reading) {
    if search.next == 0 {
        prepare(&mut search.key);
    }
    let snapshot = search.snapshot.clone();
    let first = usize::try_from(search.next).unwrap_or(usize::MAX);
    let read_before = reading.octets_read();
    for entry in snapshot.messages.iter_from(first).take(MESSAGES) {
        if reading.octets_read() - read_before >= OCTETS {
            break;
        }
        reading.turn_to(entry.uid);
        let at = (search.next, entry);
        let mut matching = Matching::new(at, &snapshot, search.recent_from, source, reading);
        match matching.holds(&search.key) {
            Ok(true) => search.found.push(search.next),
            Ok(false) => {}
            Err(error) if S::is_gone(&error) => {}
            Err(error) => source.unreadable(entry.uid, &error.into()),
        }
        search.next += 1;
    }
}

/// Puts cheap keys before dear ones, and texts into the form in which they are compared.
fn prepare(key: &mut Key) {
    match key {
        Key::And(keys) => {
            keys.iter_mut().for_each(prepare);
            keys.sort_by_cached_key(cost);
        }
        Key::Or(keys) => {
            let (first, second) = keys.as_mut();
            prepare(first);
            prepare(second);
            if cost(second) < cost(first) {
                std::mem::swap(first, second);
            }
        }
        Key::Not(key) => prepare(key),
        Key::Header(_, text) | Key::Body(text) | Key::Text(text) => *text = folded(text),
        _ => {}
    }
}

/// What must be touched to decide.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cost {
    Nothing,
    Directory,
    Header,
    Message,
}

fn cost(key: &Key) -> Cost {
    match key {
        Key::And(keys) => keys.iter().map(cost).max().unwrap_or(Cost::Nothing),
        Key::Or(keys) => cost(&keys.0).max(cost(&keys.1)),
        Key::Not(key) => cost(key),
        Key::Positions(_) | Key::Flag(_) | Key::Keyword(_) | Key::Recent => Cost::Nothing,
        Key::Before(_) | Key::On(_) | Key::Since(_) | Key::Larger(_) | Key::Smaller(_) => {
            Cost::Directory
        }
        Key::SentBefore(_) | Key::SentOn(_) | Key::SentSince(_) | Key::Header(..) => Cost::Header,
        Key::Body(_) | Key::Text(_) => Cost::Message,
    }
}

#[cfg(test)]
mod tests;
