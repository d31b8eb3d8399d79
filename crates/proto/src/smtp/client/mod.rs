//! The client session: mtad's way to lmtp-deliverd and to next hops.
//!
//! It asks for a message to carry, carries it through, asks for the next one and reports of the
//! last in the same question; on the answer `None` it says QUIT. So one connection serves many
//! messages, and whoever drives it decides when it ends. Towards lmtp-deliverd it asks for more
//! while messages are under way ([`window`]).
//!
//! Three states of knowledge matter to who drives it:
//! - A transaction came to its end: its report is in the next [`Request::Next`].
//! - The connection failed during transactions (421, garbage, silence, a message that cannot be
//!   read): the session closes, and [`Client::abandon`] has the reports. Recipients that were
//!   answered keep their answers.
//! - The connection cannot carry mail at all (a refused greeting, no TLS where it is required):
//!   the session still asks for a transaction, so that somebody learns why, and closes.
//!
//! With PIPELINING (RFC 2920) MAIL, the RCPTs and DATA go in one flight, recipients by the
//! [`window::GROUP`], so that neither side's buffers can fill up while both write. With CHUNKING
//! (RFC 3030) the message goes in the blocks that the driver gives, octet by octet as it is.

mod body;
mod carry;
mod command;
mod hello;
mod outcome;
mod parameters;
mod replies;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod transaction;
mod window;

use std::collections::VecDeque;
use std::time::Duration;

pub use self::outcome::{Outcome, PeerReply, Report};

use self::command::{Command, judged};
use self::hello::Capabilities;
use self::replies::{Replies, Reply};
use self::transaction::Transaction;
use super::{Dialect, Envelope};
use crate::address::Domain;
use crate::sasl::Credentials;
use crate::{Ended, Secured, Session, Step};

/// What a client session is told when it begins.
#[derive(Debug, Clone)]
pub struct Setup {
    /// [`Dialect::Lmtp`] or [`Dialect::Smtp`].
    pub dialect: Dialect,
    /// What we call ourselves.
    pub hello: Domain,
    /// When to use STARTTLS.
    pub tls: Tls,
    /// With what to AUTH, if at all; never before TLS holds.
    pub credentials: Option<Credentials>,
}

/// When to use STARTTLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Never (a Unix socket).
    Never,
    /// Where the server offers it.
    Offered,
    /// Always: without it nothing is sent.
    Required,
}

/// What the driver calls a message that it gave to be carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A piece of a message: wire bytes, dots not stuffed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Empty only where nothing else is left.
    pub octets: Vec<u8>,
    /// Whether the message ends with it.
    pub last: bool,
}

/// What a client session asks.
#[derive(Debug)]
pub enum Request {
    /// What next?
    Next {
        /// What became of transactions that ended since the last question.
        reports: Vec<(Ticket, Report)>,
        /// Transactions under way. If there are any, answer at once: with `None` if there is
        /// nothing now. A message that comes later can be given as news
        /// ([`Session::listens`]).
        in_flight: usize,
    },
    /// The next block of this message.
    Body(Ticket),
}

/// What a client session is answered.
#[derive(Debug)]
pub enum Answer {
    /// To [`Request::Next`], and as news: carry this message. `None`: say QUIT if nothing is in
    /// flight.
    Next(Option<(Ticket, Envelope)>),
    /// To [`Request::Body`].
    Body(Block),
    /// To [`Request::Body`]: the message cannot be read. The connection is given up without an
    /// end to the message, so that the peer never takes half of it for the whole.
    Unreadable,
}

/// One connection's client side.
#[derive(Debug)]
pub struct Client {
    setup: Setup,
    replies: Replies,
    /// What was said and not answered yet, in order.
    awaited: VecDeque<Command>,
    turn: Turn,
    capabilities: Capabilities,
    encrypted: bool,
    /// The peer took a MAIL that nothing said since has ended.
    mail_open: bool,
    /// Under way, the oldest first: replies are for the first, words are of the last.
    transactions: VecDeque<Transaction>,
    /// Of transactions that ended, and that nobody was told of.
    reports: Vec<(Ticket, Report)>,
}

/// What is ours to do next: as soon as nothing is awaited, or ahead of that ([`window`]).
#[derive(Debug, Clone, PartialEq, Eq)]
enum Turn {
    Hello,
    Helo,
    StartTls,
    Negotiate,
    Authenticate,
    LoginName,
    LoginPassword,
    /// Ask for a transaction, with the reports of those that ended.
    Ask,
    Asked,
    /// There was none, and others are under way: replies or news end this.
    Listening,
    /// Go on with MAIL, RCPT or DATA.
    Envelope,
    /// Ask for a block of the message.
    Body,
    BodyAsked,
    /// Send this block.
    Block(Block),
    /// End a message that nobody gets.
    EmptyMessage,
    /// This connection carries no mail: let the next transaction learn it.
    Hopeless(Outcome),
    HopelessAsked(Outcome),
    Quit,
    Close,
}

impl Client {
    /// A session that begins by waiting for the greeting.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        Self {
            setup,
            replies: Replies::default(),
            awaited: [Command::Greeting].into(),
            turn: Turn::Hello,
            capabilities: Capabilities::NONE,
            encrypted: false,
            mail_open: false,
            transactions: VecDeque::new(),
            reports: Vec::new(),
        }
    }

    /// A reason with the command at which we are.
    fn place(&self, reason: &str) -> String {
        match (self.awaited.front(), &self.turn) {
            (Some(command), _) => format!("{reason} at {}", command.name()),
            (None, Turn::Body | Turn::BodyAsked) => format!("{reason} in the message"),
            (None, _) => reason.to_owned(),
        }
    }

    fn replied(&mut self, command: Command, reply: &Reply) {
        // RFC 5321, 3.8: 421 may answer anything, and the peer hangs up.
        if reply.code == 421 && command != Command::Quit {
            return self.fail(judged(command, reply));
        }
        match command {
            Command::Greeting
            | Command::Ehlo
            | Command::Lhlo
            | Command::Helo
            | Command::StartTls
            | Command::Auth => self.hello_replied(command, reply),
            Command::Quit => self.turn = Turn::Close,
            _ => self.transaction_replied(command, reply),
        }
    }

    /// Does what is ours to do; `None`: it was said, or something else is to be done now.
    fn speak(&mut self, out: &mut Vec<u8>) -> Option<Step<Request>> {
        match std::mem::replace(&mut self.turn, Turn::Close) {
            Turn::Ask | Turn::Listening => {
                self.turn = Turn::Asked;
                let reports = std::mem::take(&mut self.reports);
                let in_flight = self.transactions.len();
                return Some(Step::Ask(Request::Next { reports, in_flight }));
            }
            Turn::Hopeless(outcome) => {
                self.turn = Turn::HopelessAsked(outcome);
                return Some(Step::Ask(Request::Next { reports: Vec::new(), in_flight: 0 }));
            }
            Turn::Body => {
                let ticket = self.wanted()?;
                self.turn = Turn::BodyAsked;
                return Some(Step::Ask(Request::Body(ticket)));
            }
            Turn::Negotiate => {
                self.turn = Turn::Negotiate;
                return Some(Step::StartTls);
            }
            Turn::Envelope => self.envelope(out),
            Turn::Block(block) => self.block(&block, out),
            Turn::EmptyMessage => self.end_empty_message(out),
            Turn::Quit => self.say(Command::Quit, "QUIT", out),
            // The loop steps again only once it has answered.
            asked @ (Turn::Asked | Turn::BodyAsked | Turn::HopelessAsked(_)) => {
                self.turn = asked;
                return Some(Step::Read);
            }
            Turn::Close => return Some(Step::Close),
            turn => self.hello(&turn, out),
        }
        None
    }

    /// Whether something came that nobody asked for: it would be taken for the answer to what is
    /// said next, and a letter for taken that never left.
    fn was_answered_early(&self) -> bool {
        let is_to_speak = matches!(self.turn, Turn::Envelope | Turn::Block(_));
        is_to_speak && self.awaited.is_empty() && !self.replies.is_empty()
    }

    /// What an early answer means; `None`: it is not whole. A refusal in the middle of a message
    /// can be of nothing else, and is believed (`552` from who has seen enough): nobody takes a
    /// letter by it.
    fn early_answer(&mut self) -> Option<Outcome> {
        if matches!(self.turn, Turn::Block(_)) && self.is_in_lines() {
            match self.replies.next()? {
                Ok(reply) if reply.code >= 400 => return Some(judged(Command::Message, &reply)),
                _ => {}
            }
        }
        Some(Outcome::Lost("the peer spoke out of turn".to_owned()))
    }

    fn say(&mut self, command: Command, line: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(b"\r\n");
        self.awaited.push_back(command);
    }
}

impl Session for Client {
    type Request = Request;
    type Answer = Answer;

    fn receive(&mut self, bytes: &[u8]) {
        self.replies.push(bytes);
    }

    fn answer(&mut self, answer: Answer) {
        let turn = std::mem::replace(&mut self.turn, Turn::Close);
        match (turn, answer) {
            (Turn::Asked | Turn::Listening, Answer::Next(Some((ticket, envelope)))) => {
                self.begin(ticket, envelope);
            }
            (Turn::Asked, Answer::Next(None)) if self.transactions.is_empty() => {
                self.turn = Turn::Quit;
            }
            (Turn::Asked | Turn::Listening, Answer::Next(None)) => self.turn = Turn::Listening,
            (Turn::HopelessAsked(outcome), Answer::Next(Some((ticket, envelope)))) => {
                self.transactions.push_back(Transaction::new(ticket, envelope));
                self.fail(outcome);
            }
            (Turn::BodyAsked, Answer::Body(block)) => self.turn = Turn::Block(block),
            (Turn::BodyAsked, Answer::Unreadable) => self.give_up_message(),
            _ => {}
        }
    }

    fn step(&mut self, out: &mut Vec<u8>) -> Step<Request> {
        loop {
            if let Some(&command) = self.awaited.front() {
                match self.replies.next() {
                    None if !self.may_go_on() => return Step::Read,
                    None => {}
                    Some(Ok(reply)) => {
                        self.awaited.pop_front();
                        self.replied(command, &reply);
                        continue;
                    }
                    Some(Err(_)) => {
                        self.fail(Outcome::Lost(self.place("what came is no reply")));
                        continue;
                    }
                }
            }
            if self.was_answered_early() {
                let Some(outcome) = self.early_answer() else { return Step::Read };
                self.fail(outcome);
                continue;
            }
            if let Some(step) = self.speak(out) {
                return step;
            }
        }
    }

    /// RFC 5321, 4.5.3.2. (3 minutes for a block are the writer's patience.)
    fn patience(&self) -> Duration {
        match self.awaited.front() {
            Some(Command::Data) => Duration::from_mins(2),
            Some(Command::Message | Command::LastChunk(_)) => Duration::from_mins(10),
            // Nothing hangs on it.
            Some(Command::Quit | Command::EmptyMessage) => Duration::from_secs(30),
            _ => Duration::from_mins(5),
        }
    }

    fn listens(&self) -> bool {
        self.turn == Turn::Listening
    }

    fn secured(&mut self, _tls: Secured) {
        self.encrypted = true;
        if self.turn == Turn::Negotiate {
            // RFC 3207, 4.2: what was said in clear is forgotten.
            self.capabilities = Capabilities::NONE;
            self.turn = Turn::Hello;
        }
    }

    fn end(&mut self, why: Ended) {
        let reason = match why {
            Ended::Timeout => "the peer was silent for too long",
            Ended::Shutdown => "this server stops",
        };
        self.fail(Outcome::Lost(self.place(reason)));
    }
}
