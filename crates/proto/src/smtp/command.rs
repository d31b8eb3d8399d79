//! The commands of SMTP (RFC 5321, 4.1.1) and LMTP (RFC 2033): what they are, where they are
//! allowed, and how their arguments are read. A [`Command`] that exists is right in itself;
//! whether it is welcome now, [`Place`] tells.

mod dsn;

use super::{Dialect, Envelope, Notify, Reply, Setup};

use crate::address::{Address, AddressError, ForwardPath, ReversePath};

/// A command with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// EHLO, or LHLO in LMTP: with the name of whoever speaks.
    ExtendedHello(String),
    /// HELO.
    Hello(String),
    StartTls,
    /// AUTH: the mechanism, and the initial response, still in base64.
    Auth(String, Option<String>),
    /// MAIL: an envelope that has no recipients yet.
    Mail(Envelope),
    /// RCPT, with what it may say besides: all as in `Recipient`.
    Rcpt {
        path: ForwardPath,
        notify: Option<Notify>,
        original: Option<String>,
        delivery_id: Option<String>,
    },
    Data,
    /// BDAT (RFC 3030): so many octets follow.
    Bdat {
        size: u64,
        last: bool,
    },
    Rset,
    Noop,
    Vrfy,
    Help,
    Quit,
}

/// Where in a conversation a command is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Anywhere,
    /// Once the peer has said hello.
    Greeted,
    /// Once it has said hello, but in no transaction.
    Between,
    /// From MAIL to the end of DATA.
    Transaction,
}

use Dialect::{Inject, Lmtp, Smtp, Submission};
use Place::{Anywhere, Between, Greeted, Transaction};

/// All commands, with where they are allowed: in which dialects, and when.
const COMMANDS: [Row; 15] = [
    row("HELO", &[Smtp, Submission, Inject], Anywhere, |a, _| name(a).map(Command::Hello)),
    row("EHLO", &[Smtp, Submission, Inject], Anywhere, |a, _| name(a).map(Command::ExtendedHello)),
    row("LHLO", &[Lmtp], Anywhere, |a, _| name(a).map(Command::ExtendedHello)),
    row("STARTTLS", &[Smtp, Submission, Lmtp], Greeted, |a, _| alone(a, Command::StartTls)),
    row("AUTH", &[Submission], Between, auth),
    row("MAIL", &ALL, Between, mail),
    row("RCPT", &ALL, Transaction, rcpt),
    row("DATA", &ALL, Transaction, |a, _| alone(a, Command::Data)),
    // Its octets come whether it is welcome or not: it looks for itself.
    row("BDAT", &ALL, Anywhere, bdat),
    row("RSET", &ALL, Anywhere, |a, _| alone(a, Command::Rset)),
    row("NOOP", &ALL, Anywhere, |_, _| Ok(Command::Noop)),
    row("VRFY", &ALL, Anywhere, vrfy),
    row("HELP", &ALL, Anywhere, |_, _| Ok(Command::Help)),
    row("QUIT", &ALL, Anywhere, |a, _| alone(a, Command::Quit)),
    // RFC 5321, 4.2.4: 502 for what is known and not done.
    row("EXPN", &[], Anywhere, |_, _| Err(Reply::NOT_OFFERED)),
];

const ALL: [Dialect; 4] = [Smtp, Submission, Inject, Lmtp];

/// Commands of extensions that we do not offer.
const NOT_OFFERED: [&str; 7] = ["ATRN", "BURL", "ETRN", "SAML", "SEND", "SOML", "TURN"];

/// First words of those who think that this is a web server or proxy, most of them sent by a
/// browser on behalf of an attacker; none is the beginning of mail.
const NOT_SMTP: [&str; 9] =
    ["CONNECT", "DELETE", "GET", "HEAD", "HOST:", "OPTIONS", "POST", "PUT", "USER-AGENT:"];

struct Row {
    word: &'static str,
    dialects: &'static [Dialect],
    place: Place,
    read: fn(&str, &Setup) -> Result<Command, Reply>,
}

const fn row(
    word: &'static str,
    dialects: &'static [Dialect],
    place: Place,
    read: fn(&str, &Setup) -> Result<Command, Reply>,
) -> Row {
    Row { word, dialects, place, read }
}

/// Reads a line, without its CRLF. What is wrong with it is a reply.
pub(super) fn parse(line: &[u8], setup: &Setup) -> Result<(Place, Command), Reply> {
    let line = line.trim_ascii_end();
    let end = line.iter().position(|&b| b == b' ').unwrap_or(line.len());
    let (word, arguments) = line.split_at(end);
    let Some(row) = COMMANDS.iter().find(|row| is(row.word, word)) else {
        return Err(unknown(word));
    };
    if !row.dialects.contains(&setup.dialect) {
        return Err(elsewhere(row.word));
    }
    // Hosts with a name in some old encoding still want to send mail: it is shown as `?`.
    let arguments = String::from_utf8_lossy(arguments);
    Ok((row.place, (row.read)(arguments.trim_ascii(), setup)?))
}

fn unknown(word: &[u8]) -> Reply {
    if NOT_SMTP.iter().any(|other| is(other, word)) {
        return Reply::NOT_SMTP;
    }
    if NOT_OFFERED.iter().any(|other| is(other, word)) {
        return Reply::NOT_OFFERED;
    }
    // With a tab behind it, or a size: whatever it was, a chunk may follow.
    if word.get(..4).is_some_and(|start| is("BDAT", start)) {
        return Reply::BDAT_SYNTAX;
    }
    Reply::UNKNOWN_COMMAND
}

fn elsewhere(word: &str) -> Reply {
    match word {
        "HELO" | "EHLO" => Reply::SAY_LHLO,
        "LHLO" => Reply::SAY_EHLO,
        _ => Reply::NOT_OFFERED,
    }
}

fn is(known: &str, word: &[u8]) -> bool {
    known.as_bytes().eq_ignore_ascii_case(word)
}

fn alone(arguments: &str, command: Command) -> Result<Command, Reply> {
    if arguments.is_empty() { Ok(command) } else { Err(Reply::NO_ARGUMENTS) }
}

/// What the peer calls itself. Any name will do: machines have bare names, literals, underscores
/// and worse (RFC 5321, 4.1.4 forbids to refuse mail for a wrong one). But it will stand in a
/// `Received` field, so it is made harmless there.
fn name(arguments: &str) -> Result<String, Reply> {
    if arguments.is_empty() {
        return Err(Reply::HELLO_SYNTAX);
    }
    let harmless = |c: char| c.is_ascii_graphic() && !"()<>@,;\\\"".contains(c);
    Ok(arguments.chars().take(255).map(|c| if harmless(c) { c } else { '?' }).collect())
}

fn vrfy(arguments: &str, _: &Setup) -> Result<Command, Reply> {
    if arguments.is_empty() { Err(Reply::VRFY_SYNTAX) } else { Ok(Command::Vrfy) }
}

/// RFC 4954, 4.
fn auth(arguments: &str, _: &Setup) -> Result<Command, Reply> {
    let mut words = arguments.split_ascii_whitespace();
    let (Some(mechanism), initial, None) = (words.next(), words.next(), words.next()) else {
        return Err(Reply::AUTH_SYNTAX);
    };
    Ok(Command::Auth(mechanism.to_owned(), initial.map(str::to_owned)))
}

/// RFC 5321, 4.1.1.2.
fn mail(arguments: &str, setup: &Setup) -> Result<Command, Reply> {
    let path = after_keyword(arguments, "FROM:").ok_or(Reply::MAIL_SYNTAX)?;
    let (sender, rest) = ReversePath::from_path(path).map_err(|error| match error {
        AddressError::Path => Reply::MAIL_SYNTAX,
        _ => Reply::SENDER_SYNTAX,
    })?;
    if let Some(address) = &sender.0 {
        only_ascii(address)?;
    }
    let mut envelope = Envelope::new(sender);
    for parameter in parameters(rest, Reply::MAIL_SYNTAX)? {
        mail_parameter(parameter, &mut envelope, setup)?;
    }
    Ok(Command::Mail(envelope))
}

fn mail_parameter(text: &str, envelope: &mut Envelope, setup: &Setup) -> Result<(), Reply> {
    let (keyword, value) = text.split_once('=').unwrap_or((text, ""));
    match keyword.to_ascii_uppercase().as_str() {
        "RET" => once(&mut envelope.ret, dsn::ret(value))?,
        "ENVID" => once(&mut envelope.envid, dsn::envid(value))?,
        "SIZE" => envelope.size = Some(size(value).ok_or(Reply::BAD_PARAMETER)?),
        "BODY" => envelope.eight_bit = is_eight_bit(value).ok_or(Reply::BAD_PARAMETER)?,
        // RFC 4954, 5: nobody is trusted to name somebody else, which is as if AUTH=<> was said.
        "AUTH" if setup.dialect == Submission => {
            if value.is_empty() {
                return Err(Reply::BAD_PARAMETER);
            }
        }
        "XOLDEST" if setup.delivery_ids => once(&mut envelope.oldest, own_id(value))?,
        _ => return Err(Reply::UNKNOWN_PARAMETER),
    }
    Ok(())
}

/// Takes the value of a parameter that may be said only once.
fn once<T>(place: &mut Option<T>, value: Option<T>) -> Result<(), Reply> {
    if place.is_some() || value.is_none() {
        return Err(Reply::BAD_PARAMETER);
    }
    *place = value;
    Ok(())
}

/// RFC 5321, 4.1.1.3.
fn rcpt(arguments: &str, setup: &Setup) -> Result<Command, Reply> {
    let path = after_keyword(arguments, "TO:").ok_or(Reply::RCPT_SYNTAX)?;
    let (path, rest) = ForwardPath::from_path(path).map_err(|error| match error {
        AddressError::Path => Reply::RCPT_SYNTAX,
        _ => Reply::RECIPIENT_SYNTAX,
    })?;
    if let ForwardPath::Address(address) = &path {
        only_ascii(address)?;
    }
    let (mut notify, mut original, mut delivery_id) = (None, None, None);
    for parameter in parameters(rest, Reply::RCPT_SYNTAX)? {
        let (keyword, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match keyword.to_ascii_uppercase().as_str() {
            "NOTIFY" => once(&mut notify, dsn::notify(value))?,
            "ORCPT" => once(&mut original, dsn::original(value))?,
            "XDELIVERID" if setup.delivery_ids => once(&mut delivery_id, own_id(value))?,
            _ => return Err(Reply::UNKNOWN_PARAMETER),
        }
    }
    Ok(Command::Rcpt { path, notify, original, delivery_id })
}

/// RFC 3030, 2.
fn bdat(arguments: &str, _: &Setup) -> Result<Command, Reply> {
    let mut words = arguments.split_ascii_whitespace();
    let size = words.next().and_then(size).ok_or(Reply::BDAT_SYNTAX)?;
    let last = match (words.next(), words.next()) {
        (None, _) => false,
        (Some(word), None) if word.eq_ignore_ascii_case("LAST") => true,
        _ => return Err(Reply::BDAT_SYNTAX),
    };
    Ok(Command::Bdat { size, last })
}

/// What stands after `FROM:` or `TO:`; a space there is against the rules, and common.
fn after_keyword<'a>(arguments: &'a str, keyword: &str) -> Option<&'a str> {
    let (found, rest) = arguments.split_at_checked(keyword.len())?;
    found.eq_ignore_ascii_case(keyword).then(|| rest.trim_ascii_start())
}

/// What stands after a path: nothing, or a space and parameters.
fn parameters(rest: &str, syntax: Reply) -> Result<impl Iterator<Item = &str>, Reply> {
    if !rest.is_empty() && !rest.starts_with(' ') {
        return Err(syntax);
    }
    Ok(rest.split_ascii_whitespace())
}

fn only_ascii(address: &Address) -> Result<(), Reply> {
    let ascii = address.local().is_ascii() && address.domain().as_str().is_ascii();
    if ascii { Ok(()) } else { Err(Reply::NOT_ASCII) }
}

/// RFC 1870, 6.1: up to 20 digits. More than we can count is more than we take.
fn size(value: &str) -> Option<u64> {
    let digits = (1..=20).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| value.parse().unwrap_or(u64::MAX))
}

/// RFC 6152, 2.
fn is_eight_bit(value: &str) -> Option<bool> {
    match value.to_ascii_uppercase().as_str() {
        "7BIT" => Some(false),
        "8BITMIME" => Some(true),
        _ => None,
    }
}

/// A queue id of mtad's, with a number behind a dot where it wants one.
fn own_id(value: &str) -> Option<String> {
    let letters = |b: u8| b.is_ascii_alphanumeric() || b == b'.';
    let fits = (1..=32).contains(&value.len()) && value.bytes().all(letters);
    fits.then(|| value.to_owned())
}

#[cfg(test)]
mod tests;
