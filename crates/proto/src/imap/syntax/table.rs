//! All commands.

use super::cursor::{Cursor, is_atom_char};
use super::{Numbering, Refusal};

/// In which states a command is allowed (RFC 3501, 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// In any.
    Always,
    /// Not authenticated.
    BeforeLogin,
    /// Authenticated and selected.
    AfterLogin,
    /// Selected.
    Selected,
}

/// A command by its name; behind `UID` it is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the RFC's names say it all")]
pub enum Verb {
    Append,
    Authenticate,
    Capability,
    Check,
    Close,
    Copy(Numbering),
    Create,
    Delete,
    Enable,
    Examine,
    Expunge,
    Fetch(Numbering),
    Id,
    Idle,
    List,
    Login,
    Logout,
    Lsub,
    Move(Numbering),
    Namespace,
    Noop,
    Rename,
    Search(Numbering),
    Select,
    StartTls,
    Status,
    Store(Numbering),
    Subscribe,
    UidExpunge,
    Unselect,
    Unsubscribe,
}

use Numbering::{Sequence, Uid};

/// Every command we know, and where it is allowed.
pub const COMMANDS: [(&str, Verb, Allowed); 36] = [
    ("APPEND", Verb::Append, Allowed::AfterLogin),
    ("AUTHENTICATE", Verb::Authenticate, Allowed::BeforeLogin),
    ("CAPABILITY", Verb::Capability, Allowed::Always),
    ("CHECK", Verb::Check, Allowed::Selected),
    ("CLOSE", Verb::Close, Allowed::Selected),
    ("COPY", Verb::Copy(Sequence), Allowed::Selected),
    ("CREATE", Verb::Create, Allowed::AfterLogin),
    ("DELETE", Verb::Delete, Allowed::AfterLogin),
    ("ENABLE", Verb::Enable, Allowed::AfterLogin),
    ("EXAMINE", Verb::Examine, Allowed::AfterLogin),
    ("EXPUNGE", Verb::Expunge, Allowed::Selected),
    ("FETCH", Verb::Fetch(Sequence), Allowed::Selected),
    ("ID", Verb::Id, Allowed::Always),
    ("IDLE", Verb::Idle, Allowed::AfterLogin),
    ("LIST", Verb::List, Allowed::AfterLogin),
    ("LOGIN", Verb::Login, Allowed::BeforeLogin),
    ("LOGOUT", Verb::Logout, Allowed::Always),
    ("LSUB", Verb::Lsub, Allowed::AfterLogin),
    ("MOVE", Verb::Move(Sequence), Allowed::Selected),
    ("NAMESPACE", Verb::Namespace, Allowed::AfterLogin),
    ("NOOP", Verb::Noop, Allowed::Always),
    ("RENAME", Verb::Rename, Allowed::AfterLogin),
    ("SEARCH", Verb::Search(Sequence), Allowed::Selected),
    ("SELECT", Verb::Select, Allowed::AfterLogin),
    ("STARTTLS", Verb::StartTls, Allowed::BeforeLogin),
    ("STATUS", Verb::Status, Allowed::AfterLogin),
    ("STORE", Verb::Store(Sequence), Allowed::Selected),
    ("SUBSCRIBE", Verb::Subscribe, Allowed::AfterLogin),
    ("UID COPY", Verb::Copy(Uid), Allowed::Selected),
    ("UID EXPUNGE", Verb::UidExpunge, Allowed::Selected),
    ("UID FETCH", Verb::Fetch(Uid), Allowed::Selected),
    ("UID MOVE", Verb::Move(Uid), Allowed::Selected),
    ("UID SEARCH", Verb::Search(Uid), Allowed::Selected),
    ("UID STORE", Verb::Store(Uid), Allowed::Selected),
    ("UNSELECT", Verb::Unselect, Allowed::Selected),
    ("UNSUBSCRIBE", Verb::Unsubscribe, Allowed::AfterLogin),
];

impl Verb {
    /// Where it is allowed.
    #[must_use]
    pub fn allowed(self) -> Allowed {
        let row = COMMANDS.iter().find(|(_, verb, _)| *verb == self);
        row.map(|row| row.2).expect("the table has every verb, as a test says")
    }
}

/// The command's name.
pub(super) fn verb(cursor: &mut Cursor<'_>) -> Result<Verb, Refusal> {
    let before = cursor.clone();
    let mut name = cursor.take_while(is_atom_char);
    if name.eq_ignore_ascii_case(b"UID") && cursor.take(b' ') {
        let second = cursor.take_while(is_atom_char);
        name = before.rest().get(..name.len() + 1 + second.len()).unwrap_or_default();
    }
    let known = COMMANDS.iter().find(|(known, ..)| known.as_bytes().eq_ignore_ascii_case(name));
    known.map(|row| row.1).ok_or(Refusal::Bad("Unknown command"))
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found() {
        for (name, expected, allowed) in COMMANDS {
            let line = format!("{} x", name.to_lowercase());
            assert_eq!(verb(&mut Cursor::new(line.as_bytes(), 9)), Ok(expected));
            assert_eq!(expected.allowed(), allowed);
        }
        for name in ["", "X", "UID", "UID X", "UID  FETCH", "FETCH1"] {
            assert!(verb(&mut Cursor::new(name.as_bytes(), 9)).is_err(), "{name}");
        }
    }
}
