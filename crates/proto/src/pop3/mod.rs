//! POP3 (RFC 1939) with CAPA (RFC 2449), STLS (RFC 2595) and AUTH (RFC 5034).
//!
//! Two sessions, one after the other: [`Login`] until the user is known, then [`Server`] over the
//! user's maildrop. The reply to PASS or AUTH comes from the second, because a maildrop that is
//! locked or cannot be read is refused there (RFC 1939, 4).

mod auth;
mod capa;
mod commands;
mod dele;
mod list;
mod login;
mod noop;
mod pass;
mod quit;
mod reply;
mod retr;
mod rset;
mod server;
mod stat;
mod stls;
mod text;
mod top;
mod uidl;
mod user;

use std::fmt::Arguments;
use std::io::Write as _;
use std::time::Duration;

pub use login::Login;
pub use server::Server;

use reply::{NO_ARGUMENT_ALLOWED, Reply};

use crate::mailbox::Uid;

/// What both sessions are told when they begin.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Our name in the greeting.
    pub hostname: crate::address::Domain,
    /// Whether STLS can be offered.
    pub starttls: bool,
    /// Whether passwords are taken before TLS too.
    pub cleartext_auth: bool,
    /// Errors before the session is ended.
    pub errors: u32,
    /// How long a peer may be silent (RFC 1939, 3: at least 10 minutes once logged in).
    pub patience: Duration,
}

/// One message of a maildrop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its UID.
    pub uid: Uid,
    /// Its octets with CRLF line ends.
    pub size: u64,
    /// Its UIDL: Dovecot's default `%08Xu%08Xv`, UID then UIDVALIDITY.
    pub uidl: String,
}

/// What [`Server`] asks.
#[derive(Debug)]
pub enum Request {
    /// Lock the maildrop and list it, in order of UID.
    Open,
    /// RETR, TOP: a block of a message with CRLF line ends.
    Load {
        /// Which one.
        uid: Uid,
        /// From this octet on.
        offset: u64,
    },
    /// QUIT: mark these as read, remove those, durably, and unlock the maildrop. Nothing more is
    /// asked after it.
    Update {
        /// What was retrieved and is kept.
        seen: Vec<Uid>,
        /// What was deleted.
        deleted: Vec<Uid>,
    },
}

/// What [`Server`] is answered.
#[derive(Debug)]
pub enum Answer {
    /// To [`Request::Open`].
    Opened(Result<Vec<Message>, Failure>),
    /// To [`Request::Load`]: bytes; none at the end.
    Loaded(Result<Vec<u8>, Failure>),
    /// To [`Request::Update`].
    Updated(Result<(), Failure>),
}

/// Why a maildrop does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Another session has it: `[IN-USE]` (RFC 2449, 8.1.2).
    InUse,
    /// It does not work now: `[SYS/TEMP]` (RFC 3206).
    Unavailable,
    /// The message is gone: another session removed it.
    Gone,
}

/// The SASL mechanisms that [`crate::sasl`] has.
const MECHANISMS: [&str; 2] = ["PLAIN", "LOGIN"];

fn without_argument(argument: &[u8]) -> Result<(), Reply> {
    if argument.trim_ascii().is_empty() { Ok(()) } else { Err(NO_ARGUMENT_ALLOWED) }
}

fn write_line(out: &mut Vec<u8>, line: Arguments<'_>) {
    out.write_fmt(line).expect("a Vec takes every byte");
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
