//! Greeting, EHLO, LHLO, HELO, STARTTLS (RFC 3207) and AUTH (RFC 4954): the way to MAIL.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::command::{Command, judged};
use super::replies::Reply;
use super::{Client, Outcome, Tls, Turn};
use crate::sasl::Credentials;
use crate::smtp::Dialect;

/// What the peer offers, as far as we use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "EHLO keywords are a set, not states")]
pub(super) struct Capabilities {
    pub(super) pipelining: bool,
    pub(super) size: bool,
    pub(super) eight_bit: bool,
    /// BDAT (RFC 3030).
    pub(super) chunking: bool,
    /// DSN (RFC 3461).
    pub(super) notifications: bool,
    pub(super) delivery_ids: bool,
    pub(super) starttls: bool,
    pub(super) auth_plain: bool,
    pub(super) auth_login: bool,
}

impl Capabilities {
    /// What a peer offers of which nothing is known.
    pub(super) const NONE: Self = Self {
        pipelining: false,
        size: false,
        eight_bit: false,
        chunking: false,
        notifications: false,
        delivery_ids: false,
        starttls: false,
        auth_plain: false,
        auth_login: false,
    };

    /// Of the lines of a reply to EHLO or LHLO; the first is a greeting (RFC 5321, 4.1.1.1).
    fn read(lines: &[String]) -> Self {
        let mut found = Self::NONE;
        for line in lines.iter().skip(1) {
            let line = line.to_ascii_uppercase();
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("PIPELINING") => found.pipelining = true,
                Some("SIZE") => found.size = true,
                Some("8BITMIME") => found.eight_bit = true,
                Some("CHUNKING") => found.chunking = true,
                Some("DSN") => found.notifications = true,
                Some("XDELIVERID") => found.delivery_ids = true,
                Some("STARTTLS") => found.starttls = true,
                Some("AUTH") => words.for_each(|mechanism| match mechanism {
                    "PLAIN" => found.auth_plain = true,
                    "LOGIN" => found.auth_login = true,
                    _ => {}
                }),
                _ => {}
            }
        }
        found
    }
}

impl Client {
    /// Says what this turn wants said, and waits for the answer.
    pub(super) fn hello(&mut self, turn: &Turn, out: &mut Vec<u8>) {
        let hello = &self.setup.hello;
        let (command, line) = match (turn, self.setup.dialect) {
            (Turn::Hello, Dialect::Lmtp) => (Command::Lhlo, format!("LHLO {hello}")),
            (Turn::Hello, _) => (Command::Ehlo, format!("EHLO {hello}")),
            (Turn::Helo, _) => (Command::Helo, format!("HELO {hello}")),
            (Turn::StartTls, _) => (Command::StartTls, "STARTTLS".to_owned()),
            _ => (Command::Auth, self.credentials_line(turn)),
        };
        self.turn = turn.clone();
        self.say(command, &line, out);
    }

    pub(super) fn hello_replied(&mut self, command: Command, reply: &Reply) {
        let good = (200..300).contains(&reply.code);
        match command {
            Command::Greeting if good => self.turn = Turn::Hello,
            Command::Ehlo | Command::Lhlo if good => {
                self.capabilities = Capabilities::read(&reply.lines);
                self.begin_tls();
            }
            Command::Helo if good => self.begin_tls(),
            // RFC 5321, 3.2: who does not know EHLO may know HELO.
            Command::Ehlo if reply.code >= 500 => self.turn = Turn::Helo,
            Command::StartTls if reply.code == 220 => self.starttls_agreed(),
            Command::StartTls if self.setup.tls == Tls::Offered => self.authenticate(),
            Command::Auth if good => self.turn = Turn::Ask,
            Command::Auth if reply.code == 334 => self.go_on_with_login(reply),
            _ => self.fail(judged(command, reply)),
        }
    }

    fn begin_tls(&mut self) {
        let offered = self.capabilities.starttls;
        match self.setup.tls {
            Tls::Offered | Tls::Required if offered && !self.encrypted => {
                self.turn = Turn::StartTls;
            }
            Tls::Required if !self.encrypted => {
                self.fail(Outcome::Lost("the peer offers no STARTTLS".to_owned()));
            }
            _ => self.authenticate(),
        }
    }

    /// What came in clear together with the 220 would be taken for the peer's word under TLS
    /// (CVE-2011-0411), so it ends the connection.
    fn starttls_agreed(&mut self) {
        if self.replies.is_empty() {
            self.turn = Turn::Negotiate;
        } else {
            self.fail(Outcome::Lost("bytes in clear after the reply to STARTTLS".to_owned()));
        }
    }

    fn authenticate(&mut self) {
        let problem = match (&self.setup.credentials, self.capabilities) {
            (None, _) => {
                self.turn = Turn::Ask;
                return;
            }
            (Some(_), _) if !self.encrypted => "no TLS, and so no AUTH",
            (
                Some(_),
                Capabilities { auth_plain: true, .. } | Capabilities { auth_login: true, .. },
            ) => {
                self.turn = Turn::Authenticate;
                return;
            }
            (Some(_), _) => "the peer offers neither AUTH PLAIN nor AUTH LOGIN",
        };
        self.fail(Outcome::Lost(problem.to_owned()));
    }

    /// The next line of AUTH; the reply to it is the reply to AUTH.
    fn credentials_line(&self, turn: &Turn) -> String {
        let Some(Credentials { username, password }) = &self.setup.credentials else {
            return "*".to_owned();
        };
        match turn {
            Turn::LoginName => STANDARD.encode(username),
            Turn::LoginPassword => STANDARD.encode(password),
            _ if self.capabilities.auth_plain => {
                let message = [b"\0", username.as_bytes(), b"\0", password].concat();
                format!("AUTH PLAIN {}", STANDARD.encode(message))
            }
            _ => "AUTH LOGIN".to_owned(),
        }
    }

    /// 334 in the middle of LOGIN; PLAIN has nothing more to say.
    fn go_on_with_login(&mut self, reply: &Reply) {
        match self.turn {
            Turn::Authenticate if !self.capabilities.auth_plain => self.turn = Turn::LoginName,
            Turn::LoginName => self.turn = Turn::LoginPassword,
            _ => self.fail(judged(Command::Auth, reply)),
        }
    }
}
