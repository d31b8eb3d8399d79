//! The client session: mtad's way to lmtp-deliverd and to next hops.
//!
//! It asks for a transaction, carries it through, asks for the next one and reports of the last in
//! the same question; on the answer `None` it says QUIT. So one connection serves many messages,
//! and whoever drives it decides when it ends.

use std::time::Duration;

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

/// What became of a transaction: one outcome for each recipient, in the envelope's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// For each recipient.
    pub recipients: Vec<Outcome>,
}

/// What became of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The peer answered; 2xx: the message is the peer's now.
    Replied(PeerReply),
    /// There was no final answer: the connection or the peer failed. Temporary. The text says
    /// at which command, for the log and the queue.
    Lost(String),
}

/// A reply of the peer, kept as it came (for DSNs and logs).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerReply {
    /// The three digits.
    pub code: u16,
    /// All lines without their codes, joined by spaces; control characters replaced.
    pub text: String,
    /// The command that was answered: `RCPT TO`, `end of DATA`.
    pub command: &'static str,
}

/// One connection's client side.
#[derive(Debug)]
pub struct Client {
    setup: Setup,
}

impl Client {
    /// A session that begins by waiting for the greeting.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        Self { setup }
    }

    /// What is known of the transaction under way when the connection ends too early: recipients
    /// already answered keep their answer, the others are [`Outcome::Lost`] with this reason.
    /// `None` if no transaction was under way.
    pub fn abandon(&mut self, reason: &str) -> Option<Report> {
        todo!("{reason} {:?}", self.setup)
    }
}

impl Session for Client {
    type Request = Request;
    type Answer = Answer;

    fn receive(&mut self, _bytes: &[u8]) {
        todo!()
    }
    fn answer(&mut self, _answer: Answer) {
        todo!()
    }
    fn step(&mut self, _out: &mut Vec<u8>) -> Step<Request> {
        todo!()
    }
    fn patience(&self) -> Duration {
        todo!()
    }
    fn secured(&mut self, _tls: Secured) {
        todo!()
    }
    fn end(&mut self, _why: Ended) {
        todo!()
    }
}
