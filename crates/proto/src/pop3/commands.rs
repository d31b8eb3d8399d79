//! Every command, and in which of RFC 1939's states it is allowed.

use super::reply::{COMMAND_TOO_LONG, MALFORMED_LINE, NOT_NOW, UNKNOWN_COMMAND};
use super::{Login, Reply, Server, login, server};
use crate::line::BadLine;

/// Octets of a line from the client, CRLF included. RFC 2449, 4 asks for 255; SASL responses
/// (RFC 5034, 4) and long passwords need more.
pub(super) const LINE: usize = 1024;

/// A command in the AUTHORIZATION state.
type InLogin = fn(&mut Login, &[u8], &mut Vec<u8>) -> Result<login::Next, Reply>;
/// A command in the TRANSACTION state.
type InServer = fn(&mut Server, &[u8], &mut Vec<u8>) -> Result<server::Next, Reply>;

/// One command: what it does before the login and after it, where it is allowed.
pub(super) struct Command {
    name: &'static str,
    before_login: Option<InLogin>,
    logged_in: Option<InServer>,
}

const COMMANDS: [Command; 14] = [
    before_login("AUTH", Login::auth),
    Command { name: "CAPA", before_login: Some(Login::capa), logged_in: Some(Server::capa) },
    logged_in("DELE", Server::dele),
    logged_in("LIST", Server::list),
    logged_in("NOOP", Server::noop),
    before_login("PASS", Login::pass),
    Command { name: "QUIT", before_login: Some(Login::quit), logged_in: Some(Server::quit) },
    logged_in("RETR", Server::retr),
    logged_in("RSET", Server::rset),
    logged_in("STAT", Server::stat),
    before_login("STLS", Login::stls),
    logged_in("TOP", Server::top),
    logged_in("UIDL", Server::uidl),
    before_login("USER", Login::user),
];

const fn before_login(name: &'static str, does: InLogin) -> Command {
    Command { name, before_login: Some(does), logged_in: None }
}

const fn logged_in(name: &'static str, does: InServer) -> Command {
    Command { name, before_login: None, logged_in: Some(does) }
}

/// The command that a line names in the AUTHORIZATION state, and its argument.
pub(super) fn in_login(line: &[u8]) -> Result<(InLogin, &[u8]), Reply> {
    let (command, argument) = find(line)?;
    Ok((command.before_login.ok_or(NOT_NOW)?, argument))
}

/// The command that a line names in the TRANSACTION state, and its argument.
pub(super) fn in_server(line: &[u8]) -> Result<(InServer, &[u8]), Reply> {
    let (command, argument) = find(line)?;
    Ok((command.logged_in.ok_or(NOT_NOW)?, argument))
}

/// RFC 1939, 3: a keyword in any case, then a space and the argument.
fn find(line: &[u8]) -> Result<(&'static Command, &[u8]), Reply> {
    let mut words = line.splitn(2, |&b| b == b' ');
    let name = words.next().unwrap_or_default();
    let command =
        COMMANDS.iter().find(|command| name.eq_ignore_ascii_case(command.name.as_bytes()));
    Ok((command.ok_or(UNKNOWN_COMMAND)?, words.next().unwrap_or_default()))
}

/// What is said of a line that was passed over.
pub(super) fn refusal(bad: BadLine) -> Reply {
    match bad {
        BadLine::TooLong => COMMAND_TOO_LONG,
        BadLine::BareLineEnd | BadLine::Nul => MALFORMED_LINE,
    }
}
