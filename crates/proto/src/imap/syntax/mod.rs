//! Commands as bytes: framing with literals, then the grammar of RFC 3501, 9.
//!
//! [`framing`] cuts the input into commands; [`parse`] reads one where it lies and gives a
//! [`Command`] that holds nothing but meaning: mailbox names are UTF-8, sets are positions.
//! [`COMMANDS`] lists all commands with the states in which each is allowed.

mod arguments;
mod cursor;
mod date;
mod fetch;
mod flags;
pub mod framing;
mod list;
mod mailbox;
mod search;
mod set;
mod table;
pub mod utf7;

use std::fmt;
use std::sync::Arc;

use cursor::Cursor;
pub(super) use cursor::is_astring_char;
pub use mailbox::canonical;
pub use set::{Numbering, Set, write_uids};
pub use table::{Allowed, COMMANDS, Verb};

use super::search::Key;
use super::{Append, Setup, fetch as items};
use crate::mailbox::{FlagChange, Snapshot};
use crate::sasl::Credentials;

/// Why a command is not carried out, as its tagged reply says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The client's mistake: the text after BAD.
    Bad(&'static str),
    /// What cannot be done: the text after NO, response code and all.
    No(&'static str),
}

impl Refusal {
    /// More octets than a command may have.
    pub const TOO_LONG: Self = Self::Bad("Command too long");
    /// More octets than a message may have.
    pub const TOO_BIG: Self = Self::No("[TOOBIG] Message too large");
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bad(text) => write!(f, "BAD {text}"),
            Self::No(text) => write!(f, "NO {text}"),
        }
    }
}

/// What a command means.
#[derive(Debug)]
pub enum Command {
    /// CAPABILITY
    Capability,
    /// NOOP
    Noop,
    /// LOGOUT
    Logout,
    /// ID
    Id,
    /// STARTTLS
    StartTls,
    /// LOGIN
    Login(Credentials),
    /// AUTHENTICATE
    Authenticate {
        /// The SASL mechanism.
        mechanism: String,
        /// The initial response of RFC 4959, still in base64.
        initial: Option<Vec<u8>>,
    },
    /// ENABLE
    Enable,
    /// NAMESPACE
    Namespace,
    /// SELECT, EXAMINE
    Select {
        /// The mailbox.
        mailbox: String,
        /// EXAMINE
        read_only: bool,
    },
    /// CREATE
    Create(String),
    /// DELETE
    Delete(String),
    /// RENAME
    Rename {
        /// The old name.
        from: String,
        /// The new name.
        to: String,
    },
    /// SUBSCRIBE, UNSUBSCRIBE
    Subscribe {
        /// The mailbox.
        mailbox: String,
        /// Which of the two.
        subscribed: bool,
    },
    /// LIST
    List(List),
    /// LSUB
    Lsub(List),
    /// STATUS
    Status {
        /// The mailbox.
        mailbox: String,
        /// What to tell of it.
        items: Vec<StatusItem>,
    },
    /// APPEND, up to the message
    Append(Append),
    /// IDLE
    Idle,
    /// CHECK
    Check,
    /// CLOSE
    Close,
    /// UNSELECT
    Unselect,
    /// EXPUNGE; UID EXPUNGE of the messages at these positions
    Expunge(Option<Vec<u32>>),
    /// SEARCH, UID SEARCH
    Search {
        /// What the answer counts in.
        numbering: Numbering,
        /// What to look for.
        key: Key,
    },
    /// FETCH, UID FETCH
    Fetch {
        /// Whether UID FETCH was said.
        numbering: Numbering,
        /// The messages.
        positions: Vec<u32>,
        /// What to tell of them.
        items: Arc<[items::Item]>,
    },
    /// STORE, UID STORE
    Store {
        /// Whether UID STORE was said.
        numbering: Numbering,
        /// The messages.
        positions: Vec<u32>,
        /// What to change.
        change: FlagChange,
        /// Whether the client does not want to be told.
        silent: bool,
    },
    /// COPY, MOVE, UID COPY, UID MOVE
    Copy {
        /// The messages.
        positions: Vec<u32>,
        /// Where to.
        mailbox: String,
        /// MOVE
        moving: bool,
    },
}

/// LIST and LSUB (RFC 3501, 6.3.8; RFC 6154, 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// What stands before the pattern.
    pub reference: String,
    /// With `*` and `%`.
    pub pattern: String,
    /// Only mailboxes with a special use.
    pub special_only: bool,
}

/// What STATUS tells (RFC 3501, 6.3.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusItem {
    /// MESSAGES
    Messages,
    /// RECENT
    Recent,
    /// UIDNEXT
    UidNext,
    /// UIDVALIDITY
    UidValidity,
    /// UNSEEN
    Unseen,
}

/// What a session is in when a command comes.
#[derive(Debug, Clone, Copy)]
pub enum State<'a> {
    /// Not authenticated.
    Login,
    /// Authenticated, nothing selected.
    Authenticated,
    /// Selected; sets count in what the client knows.
    Selected(&'a Snapshot),
}

/// A command's tag, and what it means or why it is refused.
pub type Tagged = (String, Result<Command, Refusal>);

/// Reads a command as [`framing`] gives it.
pub fn parse(bytes: &[u8], state: State<'_>, setup: &Setup) -> Tagged {
    let tag = framing::tag(bytes);
    if tag == "*" {
        return (tag, Err(Refusal::Bad("Missing or invalid tag")));
    }
    let mut cursor = Cursor::new(bytes, setup.limits.nesting);
    cursor.take_while(is_tag_char);
    let command = command(&mut cursor, state, setup);
    (tag, command)
}

/// Whether the literal announced at the end of a command is the message of an APPEND, and not
/// the name of its mailbox.
#[must_use]
pub fn announces_message(bytes: &[u8]) -> bool {
    let mut cursor = Cursor::new(bytes, 0);
    cursor.take_while(is_tag_char);
    let is_append = cursor.take(b' ') && cursor.keyword("APPEND") && cursor.take(b' ');
    let is_name = cursor.peek() == Some(b'{') && !cursor.rest().contains(&b'\n');
    is_append && !is_name
}

fn command(cursor: &mut Cursor<'_>, state: State<'_>, setup: &Setup) -> Result<Command, Refusal> {
    cursor.expect(b' ', "Missing command")?;
    let verb = table::verb(cursor)?;
    let snapshot = match (verb.allowed(), state) {
        (Allowed::BeforeLogin, State::Authenticated | State::Selected(_)) => {
            return Err(Refusal::Bad("Already logged in"));
        }
        (Allowed::AfterLogin | Allowed::Selected, State::Login) => {
            return Err(Refusal::Bad("Log in first"));
        }
        (Allowed::Selected, State::Authenticated) => {
            return Err(Refusal::Bad("No mailbox selected"));
        }
        (_, State::Selected(snapshot)) => snapshot,
        _ => &Snapshot::default(),
    };
    let command = arguments::parse(cursor, verb, snapshot, setup)?;
    cursor.end()?;
    Ok(command)
}

/// RFC 3501, 9: a tag is ASTRING-CHARs without `+`.
fn is_tag_char(byte: u8) -> bool {
    is_astring_char(byte) && byte != b'+'
}
