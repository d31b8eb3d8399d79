//! Every reply that has fixed words: nearly the whole vocabulary on one page.
//!
//! Codes in brackets are for programs (RFC 2449, 8; RFC 3206): `[AUTH]` blames the credentials,
//! `[SYS/TEMP]` blames us, `[IN-USE]` another session.

use super::Failure;

/// A reply of one line, without its CRLF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reply(&'static str);

pub(super) const OK: Reply = Reply("+OK");
pub(super) const LOGGED_IN: Reply = Reply("+OK Logged in");
pub(super) const BEGIN_TLS: Reply = Reply("+OK Begin TLS");
pub(super) const DELETED: Reply = Reply("+OK Message will be deleted at QUIT");
pub(super) const BYE: Reply = Reply("+OK Bye");

pub(super) const UNKNOWN_COMMAND: Reply = Reply("-ERR Unknown command");
pub(super) const NOT_NOW: Reply = Reply("-ERR Command not allowed in this state");
pub(super) const COMMAND_TOO_LONG: Reply = Reply("-ERR Line too long");
pub(super) const MALFORMED_LINE: Reply =
    Reply("-ERR Only CRLF ends a line, and NUL is not allowed");
pub(super) const NO_ARGUMENT_ALLOWED: Reply = Reply("-ERR No argument allowed");
pub(super) const TOO_MANY_ERRORS: Reply = Reply("-ERR Too many errors");

pub(super) const NO_USER_NAME: Reply = Reply("-ERR USER needs a name");
pub(super) const USER_FIRST: Reply = Reply("-ERR Say USER first");
pub(super) const NO_PASSWORD: Reply = Reply("-ERR PASS needs a password");
pub(super) const UNKNOWN_MECHANISM: Reply = Reply("-ERR Unknown authentication mechanism");
pub(super) const CANCELLED: Reply = Reply("-ERR Authentication cancelled");
pub(super) const MALFORMED_RESPONSE: Reply = Reply("-ERR Malformed authentication response");
pub(super) const CLEARTEXT: Reply =
    Reply("-ERR [AUTH] Cleartext passwords need TLS: say STLS first");
pub(super) const WRONG_CREDENTIALS: Reply = Reply("-ERR [AUTH] Authentication failed");
pub(super) const AUTH_UNAVAILABLE: Reply =
    Reply("-ERR [SYS/TEMP] Authentication is not possible now, try again later");

pub(super) const NO_TLS: Reply = Reply("-ERR TLS is not available");
pub(super) const TLS_HOLDS: Reply = Reply("-ERR TLS holds already");
pub(super) const PLAINTEXT_AFTER_STLS: Reply = Reply("-ERR Plaintext after STLS");

pub(super) const BAD_NUMBER: Reply = Reply("-ERR Not a message number");
pub(super) const NO_SUCH_MESSAGE: Reply = Reply("-ERR No such message");
pub(super) const ALREADY_DELETED: Reply = Reply("-ERR Message is deleted");
pub(super) const TOP_NEEDS_NUMBERS: Reply =
    Reply("-ERR TOP needs a message number and a number of lines");
pub(super) const GONE: Reply = Reply("-ERR Message was removed by another session");
pub(super) const MESSAGE_UNREADABLE: Reply = Reply("-ERR [SYS/TEMP] Message cannot be read now");
pub(super) const NOT_UPDATED: Reply =
    Reply("-ERR [SYS/TEMP] Maildrop could not be changed, some messages were not deleted");

pub(super) const IN_USE: Reply = Reply("-ERR [IN-USE] Maildrop is locked by another session");
pub(super) const MAILDROP_UNAVAILABLE: Reply =
    Reply("-ERR [SYS/TEMP] Maildrop is not available now");

pub(super) const INACTIVE: Reply = Reply("-ERR Disconnected for inactivity");
pub(super) const STOPPING: Reply = Reply("-ERR [SYS/TEMP] Server is stopping, try again later");

impl Reply {
    /// Writes the line.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// What a maildrop that does not open is told as.
pub(super) fn not_opened(failure: Failure) -> Reply {
    match failure {
        Failure::InUse => IN_USE,
        Failure::Unavailable | Failure::Gone => MAILDROP_UNAVAILABLE,
    }
}

/// What a message that cannot be read is told as.
pub(super) fn not_loaded(failure: Failure) -> Reply {
    match failure {
        Failure::Gone => GONE,
        Failure::Unavailable | Failure::InUse => MESSAGE_UNREADABLE,
    }
}
