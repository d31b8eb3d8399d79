//! Every reply that our server gives: its whole vocabulary on one page.
//!
//! Codes are RFC 5321's (4.2.3), enhanced codes RFC 3463's and those of the IANA registry that
//! RFC 5248 opened. Where a rule asks for one exact code, the constant names the rule.

use std::borrow::Cow;

use super::{Accepted, Dialect, Failure};
use crate::address::Domain;

/// A reply: code, enhanced status code (RFC 3463), text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Such as 250.
    pub code: u16,
    /// Such as `2.1.5`; greetings and EHLO have none.
    pub enhanced: Option<&'static str>,
    /// What a person reads. A line break makes a reply of several lines.
    pub text: Cow<'static, str>,
}

/// The commands went well.
impl Reply {
    pub(super) const OK: Self = reply(250, "2.0.0", "Ok");
    pub(super) const SENDER_OK: Self = reply(250, "2.1.0", "Ok");
    pub(super) const RECIPIENT_OK: Self = reply(250, "2.1.5", "Ok");
    pub(super) const SEND_MESSAGE: Self = bare(354, "End data with <CR><LF>.<CR><LF>");
    pub(super) const START_TLS: Self = reply(220, "2.0.0", "Ready to start TLS");
    pub(super) const AUTHENTICATED: Self = reply(235, "2.7.0", "Authentication successful");
    pub(super) const HELP: Self = reply(214, "2.0.0", "This server speaks RFC 5321");
    /// RFC 5321, 3.5.3: neither yes nor no.
    pub(super) const NOT_VERIFIED: Self = reply(252, "2.0.0", "Not verified; try RCPT");
    pub(super) const BYE: Self = reply(221, "2.0.0", "Bye");
}

/// The peer does not speak our language.
impl Reply {
    pub(super) const UNKNOWN_COMMAND: Self = reply(500, "5.5.2", "Command not recognized");
    pub(super) const LINE_TOO_LONG: Self = reply(500, "5.5.2", "Line too long");
    pub(super) const NUL_IN_LINE: Self = reply(500, "5.5.2", "Line contains a NUL");
    pub(super) const BARE_LINE_END: Self =
        reply(500, "5.5.2", "Line contains a bare CR or LF; lines end in CRLF");
    pub(super) const NOT_OFFERED: Self = reply(502, "5.5.1", "Command not offered here");
    /// RFC 2033, 4.1: neither HELO nor EHLO may succeed, and 500 is the code to use.
    pub(super) const SAY_LHLO: Self = reply(500, "5.5.1", "This is LMTP: say LHLO");
    pub(super) const SAY_EHLO: Self = reply(500, "5.5.1", "This is SMTP: say EHLO");
    pub(super) const NOT_SMTP: Self = reply(421, "4.7.0", "This is a mail server; goodbye");

    pub(super) const HELLO_SYNTAX: Self = reply(501, "5.5.4", "Name yourself: EHLO host.name");
    pub(super) const NO_ARGUMENTS: Self = reply(501, "5.5.4", "This command takes no arguments");
    pub(super) const VRFY_SYNTAX: Self = reply(501, "5.5.4", "Syntax: VRFY address");
    pub(super) const MAIL_SYNTAX: Self = reply(501, "5.5.4", "Syntax: MAIL FROM:<address>");
    pub(super) const RCPT_SYNTAX: Self = reply(501, "5.5.4", "Syntax: RCPT TO:<address>");
    pub(super) const AUTH_SYNTAX: Self = reply(501, "5.5.4", "Syntax: AUTH mechanism");
    /// After it nobody knows where the next command begins: it ends the session.
    pub(super) const BDAT_SYNTAX: Self = reply(521, "5.5.4", "Syntax: BDAT size [LAST]");
    pub(super) const SENDER_SYNTAX: Self = reply(501, "5.1.7", "Bad sender address syntax");
    pub(super) const RECIPIENT_SYNTAX: Self = reply(501, "5.1.3", "Bad recipient address syntax");
    pub(super) const BAD_PARAMETER: Self = reply(501, "5.5.4", "Bad parameter value");
    /// RFC 5321, 4.1.1.11.
    pub(super) const UNKNOWN_PARAMETER: Self = reply(555, "5.5.4", "Unsupported parameter");
    /// RFC 6531, 3.5: mail of SMTPUTF8 goes all the way or not at all, and we do not offer it.
    pub(super) const NOT_ASCII: Self =
        reply(553, "5.6.7", "Addresses beyond ASCII are not supported");
}

/// The peer says things in the wrong order.
impl Reply {
    pub(super) const HELLO_FIRST: Self = reply(503, "5.5.1", "Say hello first");
    pub(super) const BAD_SEQUENCE: Self = reply(503, "5.5.1", "Bad sequence of commands");
    pub(super) const NO_RECIPIENTS: Self = reply(554, "5.5.1", "No valid recipients");
    /// RFC 2033, 4.2: it must be 503.
    pub(super) const LMTP_NO_RECIPIENTS: Self = reply(503, "5.5.1", "No valid recipients");
    pub(super) const TLS_ACTIVE: Self = reply(503, "5.5.1", "TLS is active already");
    /// What follows STARTTLS in the clear may be another's: it is never executed.
    pub(super) const STARTTLS_NOT_LAST: Self =
        reply(503, "5.5.1", "Data after STARTTLS and before TLS");
    pub(super) const AUTHENTICATED_ALREADY: Self = reply(503, "5.5.1", "Already authenticated");
}

/// Who the peer is does not suffice.
impl Reply {
    /// RFC 4954, 6, as all in this group.
    pub(super) const AUTHENTICATE_FIRST: Self = reply(530, "5.7.0", "Authentication required");
    /// RFC 3207, 4.
    pub(super) const ENCRYPT_FIRST: Self =
        reply(530, "5.7.0", "Must issue a STARTTLS command first");
    pub(super) const ENCRYPTION_REQUIRED: Self =
        reply(538, "5.7.11", "Encryption required: say STARTTLS first");
    pub(super) const UNKNOWN_MECHANISM: Self =
        reply(504, "5.5.4", "Unrecognized authentication type");
    pub(super) const AUTH_CANCELLED: Self = reply(501, "5.7.0", "Authentication cancelled");
    pub(super) const AUTH_MALFORMED: Self = reply(501, "5.5.2", "Malformed authentication data");
    pub(super) const AUTH_TOO_LONG: Self = reply(500, "5.5.6", "Authentication line too long");
    pub(super) const AUTH_REJECTED: Self = reply(535, "5.7.8", "Authentication failed");
    pub(super) const AUTH_UNAVAILABLE: Self =
        reply(454, "4.7.0", "Temporary authentication failure");
}

/// Limits and ends.
impl Reply {
    /// RFC 5321, 4.5.3.1.10: 452, and the other recipients stay.
    pub(super) const TOO_MANY_RECIPIENTS: Self = reply(452, "4.5.3", "Too many recipients");
    pub(super) const BARE_LINE_END_IN_MESSAGE: Self =
        reply(550, "5.6.11", "Message contains a bare CR or LF; lines end in CRLF");
    pub(super) const TOO_MANY_ERRORS: Self = reply(421, "4.7.0", "Too many errors");
    pub(super) const TIMEOUT: Self = reply(421, "4.4.2", "Timeout, closing connection");
    pub(super) const SHUTDOWN: Self = reply(421, "4.3.2", "Service is shutting down");

    /// To a chunk that is not the last (RFC 3030, 2).
    pub(super) fn chunk_taken(size: u64) -> Self {
        Self { text: format!("Ok: {size} octets").into(), ..Self::OK }
    }

    /// RFC 1870, 6.1; names the limit, so that a person learns it.
    pub(super) fn message_too_big(limit: u64) -> Self {
        let text = format!("Message size exceeds the limit of {limit} bytes");
        Self { text: text.into(), ..reply(552, "5.3.4", "") }
    }
}

/// What the world decided.
impl From<Failure> for Reply {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unavailable => reply(451, "4.3.0", "Temporary local problem; try later"),
            Failure::DiskFull => reply(452, "4.3.1", "Insufficient system storage; try later"),
            Failure::NoSuchUser => reply(550, "5.1.1", "No such user here"),
            Failure::RelayDenied => reply(554, "5.7.1", "Relay access denied"),
            Failure::SenderNotYours => {
                reply(553, "5.7.1", "Sender address rejected: not owned by user")
            }
            Failure::Loop => reply(554, "5.4.6", "Mail is looping"),
            Failure::BadDomain => reply(550, "5.1.2", "Bad destination domain"),
        }
    }
}

/// The promise: said only once it survives a power cut.
impl From<&Accepted> for Reply {
    fn from(accepted: &Accepted) -> Self {
        let text = match accepted {
            Accepted::Queued(id) => format!("Ok: queued as {id}"),
            Accepted::Delivered(id) => format!("Ok: delivered as {id}"),
        };
        Self { text: text.into(), ..Self::OK }
    }
}

/// Replies that carry a name of ours.
impl Reply {
    pub(super) fn greeting(hostname: &Domain, dialect: Dialect) -> Self {
        let protocol = if dialect == Dialect::Lmtp { "LMTP" } else { "ESMTP" };
        Self { text: format!("{hostname} {protocol}").into(), ..bare(220, "") }
    }

    /// To HELO, and to EHLO and LHLO with what is offered, one a line (RFC 5321, 4.1.1.1).
    pub(super) fn hello(hostname: &Domain, offers: &[Cow<'static, str>]) -> Self {
        let mut text = hostname.to_string();
        for offer in offers {
            text.push('\n');
            text.push_str(offer);
        }
        Self { text: text.into(), ..bare(250, "") }
    }

    /// RFC 4954, 4: what the mechanism says, in base64 already.
    pub(super) fn challenge(text: &'static str) -> Self {
        bare(334, text)
    }
}

impl Reply {
    /// Whether the peer did something that cannot work: the 5xx replies.
    pub(super) fn is_error(&self) -> bool {
        self.code >= 500
    }

    /// Whether the connection ends with this (RFC 5321, 4.2.3: 221 and 421 close; RFC 7504, 4:
    /// and 521).
    pub(super) fn closes(&self) -> bool {
        matches!(self.code, 221 | 421 | 521)
    }

    /// Writes the lines of this reply (RFC 5321, 4.2.1).
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut lines = self.text.split('\n').peekable();
        while let Some(line) = lines.next() {
            out.extend_from_slice(self.code.to_string().as_bytes());
            out.push(if lines.peek().is_some() { b'-' } else { b' ' });
            if let Some(enhanced) = self.enhanced {
                out.extend_from_slice(enhanced.as_bytes());
                out.push(b' ');
            }
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

const fn reply(code: u16, enhanced: &'static str, text: &'static str) -> Reply {
    Reply { code, enhanced: Some(enhanced), text: Cow::Borrowed(text) }
}

/// RFC 2034, 4: greetings, hellos and 3xx replies have no enhanced code.
const fn bare(code: u16, text: &'static str) -> Reply {
    Reply { code, enhanced: None, text: Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_written_a_line_for_each_line_of_text() {
        let hostname: Domain = "mx.example.org".parse().expect("is a name");
        let table = [
            (Reply::OK, "250 2.0.0 Ok\r\n"),
            (Reply::challenge(""), "334 \r\n"),
            (Reply::hello(&hostname, &[]), "250 mx.example.org\r\n"),
            (
                Reply::hello(&hostname, &["PIPELINING".into(), "SIZE 9".into()]),
                "250-mx.example.org\r\n250-PIPELINING\r\n250 SIZE 9\r\n",
            ),
            (
                Reply { text: "a\nb".into(), ..Reply::UNKNOWN_COMMAND },
                "500-5.5.2 a\r\n500 5.5.2 b\r\n",
            ),
        ];
        for (reply, expected) in table {
            let mut out = Vec::new();
            reply.write(&mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }

    #[test]
    fn a_failure_that_is_temporary_is_a_4xx() {
        use Failure::{BadDomain, DiskFull, Loop};
        use Failure::{NoSuchUser, RelayDenied, SenderNotYours, Unavailable};
        let all = [BadDomain, DiskFull, Loop];
        for failure in all.into_iter().chain([NoSuchUser, RelayDenied, SenderNotYours, Unavailable])
        {
            let reply = Reply::from(failure);
            assert_eq!(reply.is_error(), !failure.is_temporary(), "{reply:?}");
            let class = reply.enhanced.and_then(|e| e.chars().next());
            assert_eq!(class, reply.code.to_string().chars().next(), "{reply:?}");
        }
    }
}
