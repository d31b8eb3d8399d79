//! The TRANSACTION and UPDATE states: over an open maildrop.

use std::time::Duration;

use super::commands::{self, LINE};
use super::login::goodbye;
use super::reply::{
    ALREADY_DELETED, BAD_NUMBER, LOGGED_IN, NO_SUCH_MESSAGE, TOO_MANY_ERRORS, not_opened,
};
use super::retr::Transfer;
use super::{Answer, Failure, Message, Reply, Request, Setup};
use crate::line::{Input, Line};
use crate::{Ended, Secured, Session, Step};

/// A connection that has logged in. Begins by asking for the maildrop, and replies to the PASS or
/// AUTH that came before.
#[derive(Debug)]
pub struct Server {
    setup: Setup,
    pub(super) input: Input,
    state: State,
    errors: u32,
    /// In the order in which they are numbered, from 1.
    pub(super) maildrop: Vec<Held>,
}

/// A message of the maildrop, and what this session did with it.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) message: Message,
    /// RETR sent it whole.
    pub(super) retrieved: bool,
    /// DELE marked it.
    pub(super) deleted: bool,
}

/// What this session waits for, or does next.
#[derive(Debug)]
enum State {
    /// Nothing was asked yet.
    New,
    /// A command.
    Ready,
    /// The maildrop, or the end of its update.
    Asked,
    /// The next block of a message.
    Sending(Transfer),
    /// An answer came; what it is about stands beside it.
    Answered(Answer, Option<Transfer>),
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
    Ask(Request),
    /// [`Step::Ask`] for the next block of a message.
    Send(Transfer),
    /// [`Step::Close`].
    Close,
}

impl Server {
    /// Goes on where [`super::Login`] ended, with what the client sent besides.
    #[must_use]
    pub fn new(setup: Setup, unread: &[u8]) -> Self {
        let mut input = Input::default();
        input.push(unread);
        Self { setup, input, state: State::New, errors: 0, maildrop: Vec::new() }
    }

    /// The messages that are not deleted, with their numbers.
    pub(super) fn listed(&self) -> impl Iterator<Item = (usize, &Message)> {
        let numbered = self.maildrop.iter().enumerate();
        numbered.filter(|(_, held)| !held.deleted).map(|(at, held)| (at + 1, &held.message))
    }

    /// The message of a number that a client gave. RFC 1939, 5: one that is deleted cannot be
    /// named any more.
    pub(super) fn named(&mut self, number: &[u8]) -> Result<(usize, &mut Held), Reply> {
        let number = parse_number(number).ok_or(BAD_NUMBER)?;
        let at = usize::try_from(number).ok().and_then(|n| n.checked_sub(1));
        let held = at.and_then(|at| self.maildrop.get_mut(at)).ok_or(NO_SUCH_MESSAGE)?;
        if held.deleted {
            return Err(ALREADY_DELETED);
        }
        Ok((at.unwrap_or_default() + 1, held))
    }

    fn line(&mut self, line: Line, out: &mut Vec<u8>) -> Result<Next, Reply> {
        let line = match line {
            Line::Whole(range) => self.input.bytes_of(range).to_vec(),
            Line::Bad(bad) => return Err(commands::refusal(bad)),
            Line::Partial => return Ok(Next::Line),
        };
        let (command, argument) = commands::in_server(&line)?;
        command(self, argument, out)
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

    fn answered(&mut self, answer: Answer, transfer: Option<Transfer>, out: &mut Vec<u8>) -> Next {
        match (answer, transfer) {
            (Answer::Opened(result), None) => self.opened(result, out),
            (Answer::Updated(result), None) => Self::updated(result, out),
            (Answer::Loaded(result), Some(transfer)) => self.loaded(transfer, result, out),
            // An answer to nothing that was asked: there is no telling what the peer has read.
            _ => Next::Close,
        }
    }

    /// Replies to the PASS or AUTH that the login session left without a reply.
    fn opened(&mut self, result: Result<Vec<Message>, Failure>, out: &mut Vec<u8>) -> Next {
        let messages = match result {
            Ok(messages) => messages,
            Err(failure) => {
                not_opened(failure).write(out);
                return Next::Close;
            }
        };
        let held = |message| Held { message, retrieved: false, deleted: false };
        self.maildrop = messages.into_iter().map(held).collect();
        LOGGED_IN.write(out);
        Next::Line
    }

    /// Puts the next state in place; `None`: the next line is read.
    fn follow(&mut self, next: Next) -> Option<Step<Request>> {
        let (state, step) = match next {
            Next::Line => (State::Ready, None),
            Next::Ask(request) => (State::Asked, Some(Step::Ask(request))),
            Next::Send(transfer) => {
                let request = transfer.request();
                (State::Sending(transfer), Some(Step::Ask(request)))
            }
            Next::Close => (State::Closed, Some(Step::Close)),
        };
        self.state = state;
        step
    }
}

/// Digits only: no sign, no space.
pub(super) fn parse_number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // More digits than fit are a number too, of no message.
    Some(str::from_utf8(text).ok()?.parse().unwrap_or(u64::MAX))
}

impl Session for Server {
    type Request = Request;
    type Answer = Answer;

    fn receive(&mut self, bytes: &[u8]) {
        self.input.push(bytes);
    }

    fn answer(&mut self, answer: Answer) {
        let transfer = match std::mem::replace(&mut self.state, State::Closed) {
            State::Sending(transfer) => Some(transfer),
            _ => None,
        };
        self.state = State::Answered(answer, transfer);
    }

    fn step(&mut self, out: &mut Vec<u8>) -> Step<Request> {
        loop {
            let next = match std::mem::replace(&mut self.state, State::Ready) {
                State::New => Next::Ask(Request::Open),
                State::Answered(answer, transfer) => self.answered(answer, transfer, out),
                State::Ready => {
                    let line = self.input.line(LINE);
                    if line == Line::Partial {
                        self.input.compact();
                        return Step::Read;
                    }
                    self.line(line, out).unwrap_or_else(|reply| self.refuse(reply, out))
                }
                State::Ended(why) => {
                    goodbye(why).write(out);
                    Next::Close
                }
                // Stepped on without an answer: half a message must not look like a whole one.
                State::Asked | State::Sending(_) | State::Closed => Next::Close,
            };
            if let Some(step) = self.follow(next) {
                return step;
            }
        }
    }

    fn patience(&self) -> Duration {
        self.setup.patience
    }

    /// TLS began in the login session; here nothing depends on it.
    fn secured(&mut self, _tls: Secured) {}

    /// RFC 1939, 3: a session that ends so does not enter the UPDATE state.
    fn end(&mut self, why: Ended) {
        self.state = match self.state {
            State::Sending(_) | State::Answered(..) => State::Closed,
            _ => State::Ended(why),
        };
    }
}
