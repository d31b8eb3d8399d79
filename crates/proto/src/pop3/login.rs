//! The AUTHORIZATION state: until the user is known.

use std::time::Duration;

use super::commands::{self, LINE};
use super::reply::{
    AUTH_UNAVAILABLE, CANCELLED, CLEARTEXT, INACTIVE, MALFORMED_RESPONSE, STOPPING,
    TOO_MANY_ERRORS, WRONG_CREDENTIALS,
};
use super::{Reply, Setup};
use crate::line::{Input, Line};
use crate::sasl::{self, Credentials, Exchange, Verdict};
use crate::{Ended, Secured, Session, Step};

/// A connection that has not logged in. Asks for [`Credentials`] to be verified, and once they are
/// accepted says [`Step::Done`] without having replied: [`super::Server`] does.
#[derive(Debug)]
pub struct Login {
    pub(super) setup: Setup,
    pub(super) input: Input,
    pub(super) state: State,
    pub(super) tls: bool,
    errors: u32,
}

/// What this session waits for, or does next.
#[derive(Debug)]
pub(super) enum State {
    /// Nobody was greeted.
    Greeting,
    /// A command.
    Ready,
    /// A command, best PASS: USER gave this name.
    Named(String),
    /// The client's next SASL response.
    Exchange(Exchange),
    /// The verdict on credentials.
    Verifying,
    /// The verdict came.
    Verified(Verdict),
    /// TLS is being negotiated.
    Securing,
    /// The loop ends the session.
    Ended(Ended),
    /// Nothing more is said.
    Closed,
}

/// What a command leads to.
#[derive(Debug)]
pub(super) enum Next {
    /// The next line.
    Line,
    /// [`Step::Ask`].
    Verify(Credentials),
    /// [`Step::StartTls`].
    StartTls,
    /// [`Step::Close`].
    Close,
}

impl Login {
    /// A session that begins with its greeting.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        Self { setup, input: Input::default(), state: State::Greeting, tls: false, errors: 0 }
    }

    /// After [`Step::Done`]: what the client sent besides.
    #[must_use]
    pub fn into_unread(mut self) -> Vec<u8> {
        self.input.take()
    }

    /// Refuses what would send a password in clear over a network.
    pub(super) fn password_allowed(&self) -> Result<(), Reply> {
        if self.tls || self.setup.cleartext_auth { Ok(()) } else { Err(CLEARTEXT) }
    }

    /// Goes on with a SASL exchange.
    pub(super) fn proceed(
        &mut self,
        mut exchange: Exchange,
        said: impl FnOnce(&mut Exchange) -> sasl::Next,
        out: &mut Vec<u8>,
    ) -> Result<Next, Reply> {
        match said(&mut exchange) {
            sasl::Next::Challenge(challenge) => {
                self.challenge(exchange, challenge, out);
                Ok(Next::Line)
            }
            sasl::Next::Offered(credentials) => Ok(Next::Verify(credentials)),
            sasl::Next::Cancelled => Err(CANCELLED),
            sasl::Next::Malformed => Err(MALFORMED_RESPONSE),
        }
    }

    /// RFC 5034, 4: a challenge is `+ ` and base64, which may be empty.
    pub(super) fn challenge(&mut self, exchange: Exchange, challenge: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(b"+ ");
        out.extend_from_slice(challenge.as_bytes());
        out.extend_from_slice(b"\r\n");
        self.state = State::Exchange(exchange);
    }

    /// Does what the line says; a line that is refused ends a SASL exchange.
    fn line(&mut self, line: Line, out: &mut Vec<u8>) -> Result<Next, Reply> {
        let line = match line {
            Line::Whole(range) => self.input.bytes_of(range).to_vec(),
            Line::Bad(bad) => {
                self.state = State::Ready;
                return Err(commands::refusal(bad));
            }
            Line::Partial => return Ok(Next::Line),
        };
        match std::mem::replace(&mut self.state, State::Ready) {
            State::Exchange(exchange) => self.proceed(exchange, |e| e.message(&line), out),
            state => {
                self.state = state;
                let (command, argument) = commands::in_login(&line)?;
                command(self, argument, out)
            }
        }
    }

    /// Writes a refusal. The one too many is the last.
    fn refuse(&mut self, reply: Reply, out: &mut Vec<u8>) -> Next {
        self.errors += 1;
        if self.errors < self.setup.errors {
            reply.write(out);
            return Next::Line;
        }
        TOO_MANY_ERRORS.write(out);
        Next::Close
    }

    fn close(&mut self) -> Step<Credentials> {
        self.state = State::Closed;
        Step::Close
    }

    fn follow(&mut self, next: Next) -> Option<Step<Credentials>> {
        match next {
            Next::Line => None,
            Next::Verify(credentials) => {
                self.state = State::Verifying;
                Some(Step::Ask(credentials))
            }
            Next::StartTls => {
                self.state = State::Securing;
                Some(Step::StartTls)
            }
            Next::Close => Some(self.close()),
        }
    }

    /// Says what the verdict is; an accepted one is replied to by the session that follows.
    fn judged(&mut self, verdict: Verdict, out: &mut Vec<u8>) -> Option<Step<Credentials>> {
        self.state = State::Ready;
        let next = match verdict {
            Verdict::Accepted => return Some(Step::Done),
            Verdict::Rejected => self.refuse(WRONG_CREDENTIALS, out),
            Verdict::Unavailable => self.refuse(AUTH_UNAVAILABLE, out),
        };
        self.follow(next)
    }

    fn say_goodbye(&mut self, why: Ended, out: &mut Vec<u8>) -> Step<Credentials> {
        goodbye(why).write(out);
        self.close()
    }
}

/// What a session says that ends without the client's wish.
pub(super) fn goodbye(why: Ended) -> Reply {
    match why {
        Ended::Timeout => INACTIVE,
        Ended::Shutdown => STOPPING,
    }
}

impl Session for Login {
    type Request = Credentials;
    type Answer = Verdict;

    fn receive(&mut self, bytes: &[u8]) {
        self.input.push(bytes);
    }

    fn answer(&mut self, verdict: Verdict) {
        self.state = State::Verified(verdict);
    }

    fn step(&mut self, out: &mut Vec<u8>) -> Step<Credentials> {
        loop {
            let step = match &self.state {
                State::Greeting => {
                    out.extend_from_slice(b"+OK ");
                    out.extend_from_slice(self.setup.hostname.as_str().as_bytes());
                    out.extend_from_slice(b" ready\r\n");
                    self.state = State::Ready;
                    None
                }
                State::Verified(verdict) => self.judged(*verdict, out),
                State::Ended(why) => Some(self.say_goodbye(*why, out)),
                State::Closed | State::Verifying | State::Securing => Some(self.close()),
                State::Ready | State::Named(_) | State::Exchange(_) => {
                    let line = self.input.line(LINE);
                    if line == Line::Partial {
                        self.input.compact();
                        return Step::Read;
                    }
                    let next = self.line(line, out).unwrap_or_else(|reply| self.refuse(reply, out));
                    self.follow(next)
                }
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    fn patience(&self) -> Duration {
        self.setup.patience
    }

    /// RFC 2595, 4: what was said before TLS does not count.
    fn secured(&mut self, _tls: Secured) {
        self.tls = true;
        self.input = Input::default();
        if !matches!(self.state, State::Greeting) {
            self.state = State::Ready;
        }
    }

    fn end(&mut self, why: Ended) {
        self.state = State::Ended(why);
    }
}
