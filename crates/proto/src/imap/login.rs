//! The not authenticated state: until the user is known.

use std::time::Duration;

use super::reply::{self, Mistakes};
use super::syntax::framing::{Commands, Framed};
use super::syntax::{self, Command, Refusal, State};
use super::{Setup, capability};
use crate::sasl::{Credentials, Exchange, Next, Verdict};
use crate::{Ended, Secured, Session, Step};

/// A connection that has not logged in. Asks for [`Credentials`] to be verified, and once they are
/// accepted sends the tagged OK with all capabilities (K-9 asks no second time) and says [`Step::Done`].
#[derive(Debug)]
pub struct Login {
    setup: Setup,
    commands: Commands,
    mistakes: Mistakes,
    phase: Phase,
    tls: bool,
}

#[derive(Debug)]
enum Phase {
    /// Nothing was said yet.
    Greeting,
    /// Commands are read.
    Commands,
    /// In AUTHENTICATE, the client's next line is awaited.
    Authenticating { tag: String, exchange: Exchange },
    /// The verdict on credentials is awaited.
    Verifying { tag: String },
    /// It is known, and not yet told.
    Verified { tag: String, verdict: Verdict },
    /// Goodbye must be said.
    Ending(Ended),
    /// All was said.
    Closed,
}

impl Login {
    /// A session that begins with its greeting.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        Self {
            setup,
            commands: Commands::default(),
            mistakes: Mistakes::default(),
            phase: Phase::Greeting,
            tls: false,
        }
    }

    /// After [`Step::Done`]: what the client sent besides.
    #[must_use]
    pub fn into_unread(mut self) -> Vec<u8> {
        self.commands.take()
    }

    fn greet(&mut self, out: &mut Vec<u8>) {
        let capabilities = capability::before_login(&self.setup, self.tls);
        let hostname = &self.setup.hostname;
        reply::untagged(out, &format!("OK [CAPABILITY {capabilities}] {hostname} ready"));
    }

    /// Reads one command; `None`: go on.
    fn command(&mut self, out: &mut Vec<u8>) -> Option<Step<Credentials>> {
        let limit = self.setup.limits.command_before_login;
        match self.commands.next(limit) {
            Framed::Partial => {
                self.commands.compact();
                Some(Step::Read)
            }
            Framed::Announced(literal) => {
                if !self.commands.gather(literal, limit) {
                    return self.too_long(out);
                }
                if literal.synchronizing {
                    out.extend_from_slice(b"+ OK\r\n");
                }
                None
            }
            Framed::Refused(refused) => self.refuse(&refused.tag, refused.why, 0, out),
            Framed::Command => {
                let octets = self.commands.bytes().len() + 2;
                let (tag, command) =
                    syntax::parse(self.commands.bytes(), State::Login, &self.setup);
                self.commands.done();
                match command {
                    Ok(command) => {
                        self.mistakes.end_row();
                        self.run(tag, command, out)
                    }
                    Err(refusal) => self.refuse(&tag, refusal, octets, out),
                }
            }
        }
    }

    /// Who sends so much before login sends no login.
    fn too_long(&mut self, out: &mut Vec<u8>) -> Option<Step<Credentials>> {
        reply::untagged(out, "BYE Command too long");
        self.phase = Phase::Closed;
        None
    }

    fn refuse(
        &mut self,
        tag: &str,
        refusal: Refusal,
        octets: usize,
        out: &mut Vec<u8>,
    ) -> Option<Step<Credentials>> {
        reply::refusal(out, tag, refusal);
        if matches!(refusal, Refusal::Bad(_))
            && self.mistakes.count(octets, self.setup.limits.errors)
        {
            reply::untagged(out, "BYE Too many errors");
            self.phase = Phase::Closed;
        }
        None
    }

    fn run(
        &mut self,
        tag: String,
        command: Command,
        out: &mut Vec<u8>,
    ) -> Option<Step<Credentials>> {
        match command {
            Command::Capability => {
                let capabilities = capability::before_login(&self.setup, self.tls);
                reply::untagged(out, &format!("CAPABILITY {capabilities}"));
                reply::tagged(out, &tag, "OK Capability completed.");
            }
            Command::Noop => reply::tagged(out, &tag, "OK NOOP completed."),
            Command::Id => reply::id(out, &tag),
            Command::Logout => {
                reply::logout(out, &tag);
                self.phase = Phase::Closed;
            }
            Command::StartTls => return self.start_tls(&tag, out),
            Command::Login(credentials) => return self.login(tag, credentials, out),
            Command::Authenticate { mechanism, initial } => {
                return self.authenticate(tag, &mechanism, initial.as_deref(), out);
            }
            _ => reply::tagged(out, &tag, "BAD Log in first"),
        }
        None
    }

    fn start_tls(&mut self, tag: &str, out: &mut Vec<u8>) -> Option<Step<Credentials>> {
        if self.tls || !self.setup.starttls {
            let why = if self.tls { "TLS is active already" } else { "TLS is not available" };
            return self.refuse(tag, Refusal::Bad(why), 0, out);
        }
        if !self.commands.is_empty() {
            // Whoever stands between the client and us may have put it there.
            reply::tagged(out, tag, "BAD Nothing may follow STARTTLS before TLS");
            reply::untagged(out, "BYE Disconnected.");
            self.phase = Phase::Closed;
            return None;
        }
        reply::tagged(out, tag, "OK Begin TLS negotiation now.");
        Some(Step::StartTls)
    }

    /// Whether passwords may travel; if not, that was told.
    fn takes_passwords(&self, tag: &str, out: &mut Vec<u8>) -> bool {
        let takes = self.tls || self.setup.cleartext_auth;
        if !takes {
            reply::tagged(
                out,
                tag,
                "NO [PRIVACYREQUIRED] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.",
            );
        }
        takes
    }

    fn login(
        &mut self,
        tag: String,
        credentials: Credentials,
        out: &mut Vec<u8>,
    ) -> Option<Step<Credentials>> {
        if !self.takes_passwords(&tag, out) {
            return None;
        }
        self.phase = Phase::Verifying { tag };
        Some(Step::Ask(credentials))
    }

    fn authenticate(
        &mut self,
        tag: String,
        mechanism: &str,
        initial: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) -> Option<Step<Credentials>> {
        let Some(mut exchange) = Exchange::begin(mechanism) else {
            reply::tagged(out, &tag, "NO [CANNOT] Unsupported authentication mechanism.");
            return None;
        };
        if !self.takes_passwords(&tag, out) {
            return None;
        }
        let next = match initial {
            Some(initial) => exchange.initial(initial),
            None => Next::Challenge(exchange.first_challenge()),
        };
        self.exchange(tag, exchange, next, out)
    }

    /// Goes on with AUTHENTICATE after a message of the client.
    fn exchange(
        &mut self,
        tag: String,
        exchange: Exchange,
        next: Next,
        out: &mut Vec<u8>,
    ) -> Option<Step<Credentials>> {
        self.phase = Phase::Commands;
        match next {
            Next::Challenge(challenge) => {
                // Strict parsers want the space behind `+`, challenge or not.
                reply::tagged(out, "+", challenge);
                self.phase = Phase::Authenticating { tag, exchange };
                None
            }
            Next::Offered(credentials) => {
                self.phase = Phase::Verifying { tag };
                Some(Step::Ask(credentials))
            }
            Next::Cancelled => {
                self.refuse(&tag, Refusal::Bad("Authentication aborted by client."), 0, out)
            }
            Next::Malformed => {
                self.refuse(&tag, Refusal::Bad("Invalid authentication response"), 0, out)
            }
        }
    }

    /// Reads the client's answer to a challenge.
    fn response(
        &mut self,
        tag: String,
        mut exchange: Exchange,
        out: &mut Vec<u8>,
    ) -> Option<Step<Credentials>> {
        match self.commands.line(self.setup.limits.command_before_login) {
            None => {
                self.commands.compact();
                self.phase = Phase::Authenticating { tag, exchange };
                Some(Step::Read)
            }
            Some(None) => self.exchange(tag, exchange, Next::Malformed, out),
            Some(Some(line)) => {
                let next = exchange.message(&line);
                self.exchange(tag, exchange, next, out)
            }
        }
    }

    fn verified(
        &mut self,
        tag: &str,
        verdict: Verdict,
        out: &mut Vec<u8>,
    ) -> Option<Step<Credentials>> {
        self.phase = Phase::Commands;
        match verdict {
            Verdict::Accepted => {
                let capabilities = capability::after_login();
                reply::tagged(out, tag, &format!("OK [CAPABILITY {capabilities}] Logged in"));
                self.phase = Phase::Closed;
                return Some(Step::Done);
            }
            Verdict::Rejected => {
                reply::tagged(out, tag, "NO [AUTHENTICATIONFAILED] Authentication failed.");
            }
            Verdict::Unavailable => {
                reply::tagged(out, tag, "NO [UNAVAILABLE] Temporary authentication failure.");
            }
        }
        None
    }
}

impl Session for Login {
    type Request = Credentials;
    type Answer = Verdict;

    fn receive(&mut self, bytes: &[u8]) {
        self.commands.receive(bytes);
    }

    fn answer(&mut self, verdict: Verdict) {
        if let Phase::Verifying { tag } = std::mem::replace(&mut self.phase, Phase::Closed) {
            self.phase = Phase::Verified { tag, verdict };
        }
    }

    fn step(&mut self, out: &mut Vec<u8>) -> Step<Credentials> {
        loop {
            let step = match std::mem::replace(&mut self.phase, Phase::Commands) {
                Phase::Greeting => {
                    self.greet(out);
                    None
                }
                Phase::Commands => self.command(out),
                Phase::Authenticating { tag, exchange } => self.response(tag, exchange, out),
                Phase::Verified { tag, verdict } => self.verified(&tag, verdict, out),
                waiting @ Phase::Verifying { .. } => {
                    self.phase = waiting;
                    Some(Step::Read)
                }
                Phase::Ending(why) => {
                    reply::goodbye(out, why);
                    self.phase = Phase::Closed;
                    None
                }
                Phase::Closed => {
                    self.phase = Phase::Closed;
                    Some(Step::Close)
                }
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    #[expect(clippy::misnamed_getters, reason = "this is the patience before login")]
    fn patience(&self) -> Duration {
        self.setup.limits.patience_before_login
    }

    fn secured(&mut self, _tls: Secured) {
        self.tls = true;
        self.commands = Commands::default();
        self.mistakes = Mistakes::default();
    }

    fn end(&mut self, why: Ended) {
        self.phase = Phase::Ending(why);
    }
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::tests::setup;

    /// What is heard when `input` is sent in pieces of `size`; ann's password is apple.
    fn heard(mut login: Login, input: &[u8], size: usize) -> (String, Option<Vec<u8>>) {
        let mut out = Vec::new();
        let mut pieces = input.chunks(size);
        loop {
            match login.step(&mut out) {
                Step::Ask(credentials) => login.answer(match credentials.username.as_str() {
                    "ann@example.org" if credentials.password == b"apple" => Verdict::Accepted,
                    "down@example.org" => Verdict::Unavailable,
                    _ => Verdict::Rejected,
                }),
                Step::Read => match pieces.next() {
                    Some(piece) => login.receive(piece),
                    None => break,
                },
                Step::StartTls => {
                    login.secured(Secured { version: "TLSv1.3".into(), cipher: "x".into() });
                }
                Step::Done => {
                    let rest: Vec<u8> = pieces.flatten().copied().collect();
                    let unread = [login.into_unread(), rest].concat();
                    return (String::from_utf8(out).unwrap(), Some(unread));
                }
                Step::Close => {
                    out.extend_from_slice(b"-- closed\r\n");
                    break;
                }
            }
        }
        (String::from_utf8(out).unwrap(), None)
    }

    fn replies(setup: &Setup, input: &str) -> String {
        let (all, unread) = heard(Login::new(setup.clone()), input.as_bytes(), usize::MAX);
        for size in [1, 7] {
            let pieces = heard(Login::new(setup.clone()), input.as_bytes(), size);
            assert_eq!(pieces, (all.clone(), unread.clone()), "{input:?} in pieces of {size}");
        }
        let (_greeting, rest) = all.split_once("\r\n").unwrap();
        rest.replace("\r\n", "|")
    }

    #[test]
    fn the_ways_in() {
        let ok = format!("OK [CAPABILITY {}] Logged in|", capability::after_login());
        let table = [
            ("a LOGIN ann@example.org apple\r\n", format!("a {ok}")),
            ("a login {15}\r\nann@example.org {5+}\r\napple\r\n", format!("+ OK|a {ok}")),
            ("a AUTHENTICATE PLAIN AGFubkBleGFtcGxlLm9yZwBhcHBsZQ==\r\n", format!("a {ok}")),
            ("a authenticate plain\r\nAGFubkBleGFtcGxlLm9yZwBhcHBsZQ==\r\n", format!("+ |a {ok}")),
            (
                "a AUTHENTICATE LOGIN\r\nYW5uQGV4YW1wbGUub3Jn\r\nYXBwbGU=\r\n",
                format!("+ VXNlcm5hbWU6|+ UGFzc3dvcmQ6|a {ok}"),
            ),
        ];
        for (input, expected) in table {
            assert_eq!(replies(&setup(), input), expected, "{input}");
        }
    }

    #[test]
    fn refusals() {
        let table = [
            (
                "a LOGIN ann@example.org pear\r\n",
                "a NO [AUTHENTICATIONFAILED] Authentication failed.|",
            ),
            (
                "a LOGIN down@example.org pear\r\n",
                "a NO [UNAVAILABLE] Temporary authentication failure.|",
            ),
            ("a LOGIN ann \"\"\r\n", "a BAD Empty user name or password|"),
            ("a AUTHENTICATE PLAIN\r\n*\r\n", "+ |a BAD Authentication aborted by client.|"),
            ("a AUTHENTICATE PLAIN\r\n%\r\n", "+ |a BAD Invalid authentication response|"),
            ("a AUTHENTICATE X\r\n", "a NO [CANNOT] Unsupported authentication mechanism.|"),
            ("a SELECT INBOX\r\n", "a BAD Log in first|"),
            ("a FOO\r\n", "a BAD Unknown command|"),
            ("a\r\n", "a BAD Missing command|"),
            ("\r\n", "* BAD Missing or invalid tag|"),
            ("a NOOP x\r\n", "a BAD Unexpected argument|"),
            ("a NOOP\nb NOOP\r\n", "a BAD Line does not end in CRLF|b OK NOOP completed.|"),
            ("a LOGIN {9000}\r\n", "* BYE Command too long|-- closed|"),
        ];
        for (input, expected) in table {
            assert_eq!(replies(&setup(), input), expected, "{input}");
        }
    }

    #[test]
    fn passwords_wait_for_tls() {
        let setup = Setup { cleartext_auth: false, ..setup() };
        let heard = replies(&setup, "a LOGIN ann@example.org apple\r\nb CAPABILITY\r\n");
        assert!(heard.starts_with("a NO [PRIVACYREQUIRED] "), "{heard}");
        assert!(heard.contains(" STARTTLS LOGINDISABLED|"), "{heard}");
    }

    #[test]
    fn starttls_drops_what_follows_it() {
        let (heard, _) = heard(Login::new(setup()), b"a STARTTLS\r\nb NOOP\r\n", usize::MAX);
        let (_greeting, rest) = heard.split_once("\r\n").unwrap();
        assert_eq!(
            rest,
            "a BAD Nothing may follow STARTTLS before TLS\r\n* BYE Disconnected.\r\n-- closed\r\n"
        );
    }

    #[test]
    fn what_follows_the_login_is_handed_on() {
        let input = b"a LOGIN ann@example.org apple\r\nb SELECT INBOX\r\nc FE";
        let (_, unread) = heard(Login::new(setup()), input, usize::MAX);
        assert_eq!(unread.as_deref(), Some(&b"b SELECT INBOX\r\nc FE"[..]));
    }

    #[test]
    fn too_many_mistakes_end_it() {
        let heard = replies(&setup(), &"x\r\n".repeat(30));
        assert_eq!(heard.matches("x BAD").count(), 5);
        assert!(heard.ends_with("* BYE Too many errors|-- closed|"), "{heard}");
    }
}
