//! The client session: mtad's way to lmtp-deliverd and to next hops.
//!
//! It asks for a transaction, carries it through, asks for the next one and reports of the last in
//! the same question; on the answer `None` it says QUIT. So one connection serves many messages,
//! and whoever drives it decides when it ends.
//!
//! Three states of knowledge matter to who drives it:
//! - A transaction came to its end: its report is in the next [`Request::Next`].
//! - The connection failed during a transaction (421, garbage, silence, a message that cannot be
//!   read): the session closes, and [`Client::abandon`] has the report. Recipients that were
//!   answered keep their answers.
//! - The connection cannot carry mail at all (a refused greeting, no TLS where it is required):
//!   the session still asks for a transaction, so that somebody learns why, and closes.
//!
//! With PIPELINING (RFC 2920) MAIL, the RCPTs and DATA go in one flight, recipients by the
//! [`transaction::GROUP`], so that neither side's buffers can fill up while both write.

mod body;
mod hello;
mod outcome;
mod replies;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod transaction;

use std::collections::VecDeque;
use std::time::Duration;

pub use self::outcome::{Outcome, PeerReply, Report};

use self::body::Body;
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

/// What a client session asks.
#[derive(Debug)]
pub enum Request {
    /// What next? Carries what became of the last transaction.
    Next(Option<Report>),
    /// The next block of the message: wire bytes, dots not stuffed.
    Body,
}

/// What a client session is answered.
#[derive(Debug)]
pub enum Answer {
    /// To [`Request::Next`]: carry this message; `None`: say QUIT.
    Next(Option<Envelope>),
    /// To [`Request::Body`]: a block; an empty one is the end.
    Body(Vec<u8>),
    /// To [`Request::Body`]: the message cannot be read. The connection is given up without the
    /// final dot, so that the peer never takes half a message for a whole one.
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
    /// The peer took a MAIL that neither a final dot nor RSET has ended.
    mail_open: bool,
    transaction: Option<Transaction>,
}

/// What we say, and are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    /// Not ours, but answered all the same.
    Greeting,
    Ehlo,
    Lhlo,
    Helo,
    StartTls,
    Auth,
    Mail,
    /// RCPT with the recipient of this number.
    Recipient(usize),
    Data,
    /// The final dot of a message.
    Message,
    /// A final dot for nobody: the peer said 354 though it had refused every recipient.
    EmptyMessage,
    Reset,
    Quit,
}

/// What is ours to do as soon as nothing is awaited.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Turn {
    Hello,
    Helo,
    StartTls,
    Negotiate,
    Authenticate,
    LoginName,
    LoginPassword,
    /// Ask for a transaction, with the report of the last.
    Ask,
    Asked,
    /// Go on with MAIL, RCPT or DATA.
    Envelope,
    /// Ask for a block of the message.
    Body(Body),
    BodyAsked(Body),
    /// Send this block; an empty one is the end.
    Block(Body, Vec<u8>),
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
            capabilities: Capabilities::default(),
            encrypted: false,
            mail_open: false,
            transaction: None,
        }
    }

    /// What is known of the transaction under way when the connection ends too early: recipients
    /// already answered keep their answer, the others are [`Outcome::Lost`] with this reason.
    /// `None` if no transaction was under way.
    pub fn abandon(&mut self, reason: &str) -> Option<Report> {
        let mut transaction = self.transaction.take()?;
        self.turn = Turn::Close;
        transaction.settle_rest(&Outcome::Lost(self.place(reason)));
        Some(transaction.report())
    }

    /// A reason with the command at which we are.
    fn place(&self, reason: &str) -> String {
        match (self.awaited.front(), &self.turn) {
            (Some(command), _) => format!("{reason} at {}", command.name()),
            (None, Turn::Body(_) | Turn::BodyAsked(_)) => format!("{reason} in the message"),
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

    /// The connection is of no use any more.
    fn fail(&mut self, outcome: Outcome) {
        self.awaited.clear();
        self.turn = match &mut self.transaction {
            Some(transaction) => {
                transaction.settle_rest(&outcome);
                Turn::Close
            }
            None if self.turn == Turn::Close => Turn::Close,
            None => Turn::Hopeless(outcome),
        };
    }

    /// Does what is ours to do; `None`: it was said, or something else is to be done now.
    fn speak(&mut self, out: &mut Vec<u8>) -> Option<Step<Request>> {
        match std::mem::replace(&mut self.turn, Turn::Close) {
            Turn::Ask => {
                self.turn = Turn::Asked;
                let report = self.transaction.take().map(Transaction::report);
                return Some(Step::Ask(Request::Next(report)));
            }
            Turn::Hopeless(outcome) => {
                self.turn = Turn::HopelessAsked(outcome);
                return Some(Step::Ask(Request::Next(None)));
            }
            Turn::Body(body) => {
                self.turn = Turn::BodyAsked(body);
                return Some(Step::Ask(Request::Body));
            }
            Turn::Negotiate => {
                self.turn = Turn::Negotiate;
                return Some(Step::StartTls);
            }
            Turn::Envelope => self.envelope(out),
            Turn::Block(body, block) => self.block(body, &block, out),
            Turn::EmptyMessage => self.end_empty_message(out),
            Turn::Quit => self.say(Command::Quit, "QUIT", out),
            // The loop steps again only once it has answered.
            asked @ (Turn::Asked | Turn::BodyAsked(_) | Turn::HopelessAsked(_)) => {
                self.turn = asked;
                return Some(Step::Read);
            }
            Turn::Close => return Some(Step::Close),
            turn => self.hello(&turn, out),
        }
        None
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
        self.turn = match (turn, answer) {
            (Turn::Asked, Answer::Next(Some(envelope))) => {
                self.transaction = Some(Transaction::new(envelope));
                self.begin()
            }
            (Turn::Asked, Answer::Next(None)) => Turn::Quit,
            (Turn::HopelessAsked(outcome), Answer::Next(Some(envelope))) => {
                let mut transaction = Transaction::new(envelope);
                transaction.settle_rest(&outcome);
                self.transaction = Some(transaction);
                Turn::Close
            }
            (Turn::BodyAsked(body), Answer::Body(block)) => Turn::Block(body, block),
            (Turn::BodyAsked(_), Answer::Unreadable) => {
                return self.fail(Outcome::Lost("the message cannot be read".to_owned()));
            }
            _ => Turn::Close,
        };
    }

    fn step(&mut self, out: &mut Vec<u8>) -> Step<Request> {
        loop {
            if let Some(&command) = self.awaited.front() {
                match self.replies.next() {
                    None => return Step::Read,
                    Some(Ok(reply)) => {
                        self.awaited.pop_front();
                        self.replied(command, &reply);
                    }
                    Some(Err(_)) => {
                        self.fail(Outcome::Lost(self.place("what came is no reply")));
                    }
                }
            } else if let Some(step) = self.speak(out) {
                return step;
            }
        }
    }

    /// RFC 5321, 4.5.3.2. (3 minutes for a block are the writer's patience.)
    fn patience(&self) -> Duration {
        match self.awaited.front() {
            Some(Command::Data) => Duration::from_mins(2),
            Some(Command::Message) => Duration::from_mins(10),
            // Nothing hangs on it.
            Some(Command::Quit | Command::EmptyMessage) => Duration::from_secs(30),
            _ => Duration::from_mins(5),
        }
    }

    fn secured(&mut self, _tls: Secured) {
        self.encrypted = true;
        if self.turn == Turn::Negotiate {
            // RFC 3207, 4.2: what was said in clear is forgotten.
            self.capabilities = Capabilities::default();
            self.turn = Turn::Hello;
        }
    }

    fn end(&mut self, why: Ended) {
        let reason = match why {
            Ended::Timeout => "the peer was silent for too long",
            Ended::Shutdown => "this server stops",
        };
        let outcome = Outcome::Lost(self.place(reason));
        match self.transaction {
            Some(_) => self.fail(outcome),
            None => self.turn = Turn::Close,
        }
    }
}

impl Command {
    const fn name(self) -> &'static str {
        match self {
            Self::Greeting => "greeting",
            Self::Ehlo => "EHLO",
            Self::Lhlo => "LHLO",
            Self::Helo => "HELO",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::Mail => "MAIL FROM",
            Self::Recipient(_) => "RCPT TO",
            Self::Data => "DATA",
            Self::Message | Self::EmptyMessage => "end of DATA",
            Self::Reset => "RSET",
            Self::Quit => "QUIT",
        }
    }
}

/// What a reply means to a recipient. One that asks for more where there is no more is no answer.
fn judged(command: Command, reply: &Reply) -> Outcome {
    if (300..400).contains(&reply.code) {
        return Outcome::Lost(format!("unexpected reply {} to {}", reply.code, command.name()));
    }
    Outcome::Replied(PeerReply {
        code: reply.code,
        text: reply.lines.join(" "),
        command: command.name(),
    })
}
