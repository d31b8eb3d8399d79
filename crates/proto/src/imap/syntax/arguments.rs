//! The arguments of each command.

use super::cursor::{Cursor, is_atom_char};
use super::mailbox::mailbox;
use super::set::{Numbering, Set};
use super::table::Verb;
use super::{Command, Refusal, StatusItem, date, fetch, flags, list, search};
use crate::imap::fetch::Item;
use crate::imap::{Append, Setup};
use crate::mailbox::{Change, FlagChange, NamedFlags, Snapshot};
use crate::sasl::Credentials;

type Parsed<T> = Result<T, Refusal>;

/// What follows a command's name. Sets are held against `snapshot`.
pub(super) fn parse(
    cursor: &mut Cursor<'_>,
    verb: Verb,
    snapshot: &Snapshot,
    setup: &Setup,
) -> Parsed<Command> {
    if let Some(command) = bare(verb) {
        return Ok(command);
    }
    cursor.space()?;
    if let Some(numbering) = counts(verb) {
        return over_messages(cursor, verb, numbering, snapshot, setup.separator);
    }
    match verb {
        Verb::Login => login(cursor),
        Verb::Authenticate => authenticate(cursor),
        Verb::Id => id(cursor),
        Verb::Enable => enable(cursor),
        Verb::List => list::list(cursor).map(Command::List),
        Verb::Lsub => list::plain(cursor).map(Command::Lsub),
        Verb::Search(numbering) => {
            let key = search::program(cursor, snapshot)?;
            Ok(Command::Search { numbering, key })
        }
        _ => over_mailbox(cursor, verb, setup.separator),
    }
}

/// Commands without arguments.
fn bare(verb: Verb) -> Option<Command> {
    Some(match verb {
        Verb::Capability => Command::Capability,
        Verb::Noop => Command::Noop,
        Verb::Logout => Command::Logout,
        Verb::StartTls => Command::StartTls,
        Verb::Namespace => Command::Namespace,
        Verb::Idle => Command::Idle,
        Verb::Check => Command::Check,
        Verb::Close => Command::Close,
        Verb::Unselect => Command::Unselect,
        Verb::Expunge => Command::Expunge(None),
        _ => return None,
    })
}

/// Commands whose first argument is a set of messages.
fn counts(verb: Verb) -> Option<Numbering> {
    match verb {
        Verb::Fetch(numbering)
        | Verb::Store(numbering)
        | Verb::Copy(numbering)
        | Verb::Move(numbering) => Some(numbering),
        Verb::UidExpunge => Some(Numbering::Uid),
        _ => None,
    }
}

fn over_messages(
    cursor: &mut Cursor<'_>,
    verb: Verb,
    numbering: Numbering,
    snapshot: &Snapshot,
    separator: char,
) -> Parsed<Command> {
    let set = Set::parse(cursor)?;
    if numbering == Numbering::Sequence && !set.is_within(snapshot) {
        return Err(Refusal::Bad("Invalid messageset"));
    }
    let positions = set.positions(numbering, snapshot);
    if verb == Verb::UidExpunge {
        return Ok(Command::Expunge(Some(positions)));
    }
    cursor.space()?;
    match verb {
        Verb::Fetch(_) => {
            let mut items = fetch::items(cursor)?;
            // RFC 3501, 6.4.8: UID FETCH tells the UID, asked for or not.
            if numbering == Numbering::Uid && !items.contains(&Item::Uid) {
                items.insert(0, Item::Uid);
            }
            Ok(Command::Fetch { numbering, positions, items: items.into() })
        }
        Verb::Store(_) => {
            let (change, silent) = store(cursor)?;
            Ok(Command::Store { numbering, positions, change, silent })
        }
        _ => {
            let mailbox = mailbox(cursor, separator)?;
            Ok(Command::Copy { positions, mailbox, moving: matches!(verb, Verb::Move(_)) })
        }
    }
}

/// Commands whose first argument is a mailbox.
fn over_mailbox(cursor: &mut Cursor<'_>, verb: Verb, separator: char) -> Parsed<Command> {
    let name = mailbox(cursor, separator)?;
    Ok(match verb {
        Verb::Select => Command::Select { mailbox: name, read_only: false },
        Verb::Examine => Command::Select { mailbox: name, read_only: true },
        Verb::Create => Command::Create(created(name, separator)),
        Verb::Delete => Command::Delete(name),
        Verb::Rename => {
            cursor.space()?;
            Command::Rename { from: name, to: created(mailbox(cursor, separator)?, separator) }
        }
        Verb::Subscribe => Command::Subscribe { mailbox: name, subscribed: true },
        Verb::Unsubscribe => Command::Subscribe { mailbox: name, subscribed: false },
        Verb::Status => {
            cursor.space()?;
            Command::Status { mailbox: name, items: status_items(cursor)? }
        }
        Verb::Append => Command::Append(append(cursor, name)?),
        _ => return Err(Refusal::Bad("Unknown command")),
    })
}

/// RFC 3501, 6.3.3: a separator behind a new name announces children, and needs no answer.
fn created(mut name: String, separator: char) -> String {
    if name.ends_with(separator) {
        name.pop();
    }
    name
}

/// `[FLAGS] [date-time] {size}`: the literal's header is the end of what we have.
fn append(cursor: &mut Cursor<'_>, mailbox: String) -> Parsed<Append> {
    cursor.space()?;
    let mut flags = NamedFlags::default();
    if cursor.peek() == Some(b'(') {
        flags = flags::list(cursor)?;
        cursor.space()?;
    }
    let mut internal_date = None;
    if cursor.peek() == Some(b'"') {
        internal_date = Some(date::date_time(cursor)?);
        cursor.space()?;
    }
    cursor.expect(b'{', "Expected a message as a literal")?;
    let size = cursor.number64()?;
    cursor.take(b'+');
    cursor.expect(b'}', "Bad literal")?;
    Ok(Append { mailbox, flags, internal_date, size })
}

fn login(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    let username = cursor.astring()?.into_owned();
    cursor.space()?;
    let password = cursor.astring()?.into_owned();
    let username = String::from_utf8(username).map_err(|_| Refusal::Bad("Invalid user name"))?;
    if username.is_empty() || password.is_empty() {
        return Err(Refusal::Bad("Empty user name or password"));
    }
    Ok(Command::Login(Credentials { username, password }))
}

/// RFC 4959, 3: an initial response may follow the mechanism.
fn authenticate(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    let mechanism = cursor.atom()?.to_owned();
    let initial = cursor.take(b' ').then(|| cursor.take_while(is_base64).to_vec());
    if initial.as_ref().is_some_and(Vec::is_empty) {
        return Err(Refusal::Bad("Invalid initial response"));
    }
    Ok(Command::Authenticate { mechanism, initial })
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

/// RFC 2971, 3.1: NIL, or names and values; nobody here wants to know them.
fn id(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    if cursor.keyword("NIL") {
        return Ok(Command::Id);
    }
    cursor.expect(b'(', "Expected a list")?;
    if cursor.take(b')') {
        return Ok(Command::Id);
    }
    loop {
        cursor.string()?;
        cursor.space()?;
        cursor.nstring()?;
        if cursor.take(b')') {
            return Ok(Command::Id);
        }
        cursor.space()?;
    }
}

/// RFC 5161, 3.1: what we do not have is no error.
fn enable(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    loop {
        cursor.atom()?;
        if !cursor.take(b' ') {
            return Ok(Command::Enable);
        }
    }
}

fn status_items(cursor: &mut Cursor<'_>) -> Parsed<Vec<StatusItem>> {
    cursor.expect(b'(', "Expected a list of status items")?;
    let mut items = Vec::new();
    loop {
        let name = cursor.take_while(is_atom_char);
        let known = STATUS.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name));
        let (_, item) = known.ok_or(Refusal::Bad("Unknown status item"))?;
        // Asked for twice, told once.
        if !items.contains(item) {
            items.push(*item);
        }
        if cursor.take(b')') {
            return Ok(items);
        }
        cursor.space()?;
    }
}

/// The items of STATUS by their names.
pub(super) const STATUS: [(&str, StatusItem); 5] = [
    ("MESSAGES", StatusItem::Messages),
    ("RECENT", StatusItem::Recent),
    ("UIDNEXT", StatusItem::UidNext),
    ("UIDVALIDITY", StatusItem::UidValidity),
    ("UNSEEN", StatusItem::Unseen),
];

/// store-att-flags of RFC 3501, 9, and whether it is silent.
fn store(cursor: &mut Cursor<'_>) -> Parsed<(FlagChange, bool)> {
    let how = match cursor.peek() {
        Some(b'+') => Change::Add,
        Some(b'-') => Change::Remove,
        _ => Change::Replace,
    };
    if how != Change::Replace {
        cursor.take(if how == Change::Add { b'+' } else { b'-' });
    }
    let silent = cursor.keyword("FLAGS.SILENT");
    if !silent && !cursor.keyword("FLAGS") {
        return Err(Refusal::Bad("Expected FLAGS"));
    }
    cursor.space()?;
    let flags =
        if cursor.peek() == Some(b'(') { flags::list(cursor)? } else { flags::bare(cursor)? };
    Ok((FlagChange { how, flags }, silent))
}
