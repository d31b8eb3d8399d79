//! The server session. How a command comes to its reply:
//!
//! [`Server::line`] reads a line, `command::parse` makes a [`Command`] of it and says where it is
//! allowed, [`Server::command`] holds that against the [`Stage`] and hands over to the command's
//! own file: `hello`, `starttls`, `auth`, `mail`, `rcpt`, `data`, `bdat`, `batch`. That one replies at once, or
//! asks a question and replies when [`Server::answered`] brings the answer.

mod auth;
mod batch;
mod bdat;
mod data;
mod hello;
mod mail;
mod rcpt;
mod starttls;

use std::time::Duration;

use super::command::{self, Command, Place};
use super::{Answer, Client, Envelope, Recipient, Reply, Request, Setup};
use crate::line::{BadLine, Input, Line};
use crate::sasl::Exchange;
use crate::{Ended, Secured, Session, Step};

/// What a TLS record begins with that opens a handshake (RFC 8446, 5.1): somebody speaks TLS to
/// a port in the clear.
const TLS_HANDSHAKE: u8 = 0x16;

/// RFC 4954, 4: octets that a line of an AUTH exchange may have.
const AUTH_LINE: usize = 12_288;

/// One connection's server side.
#[derive(Debug)]
pub struct Server {
    setup: Setup,
    client: Client,
    stage: Stage,
    turn: Turn,
    input: Input,
    /// The caller's buffer while a step lasts; empty and without memory in between.
    out: Vec<u8>,
    question: Option<Request>,
    answer: Option<Answer>,
    ended: Option<Ended>,
    /// Messages that are delivered together; what is said now stands behind their replies.
    batch: Option<Box<batch::Batch>>,
    /// Replies of the 5xx kind since the last message that was taken.
    errors: u32,
}

/// How far the conversation is.
#[derive(Debug)]
enum Stage {
    /// No hello yet.
    New,
    /// Between transactions.
    Greeted,
    /// From MAIL to the end of DATA. While the sender is asked about, its transaction exists
    /// already: nothing else happens meanwhile.
    Transaction(Box<Envelope>),
    /// From the first BDAT to the last, or to RSET; the world has begun the message.
    Chunked(Box<data::Incoming>),
    /// The same, but a chunk was refused.
    Failed(Box<bdat::Failed>),
}

/// Whose turn it is, and what comes next from there.
#[derive(Debug)]
enum Turn {
    /// Ours: the greeting.
    Greeting,
    /// The peer's: a command.
    Command,
    /// The peer's: a line of an AUTH exchange.
    Credentials(Exchange),
    /// The peer's: the message.
    Message(data::Incoming),
    /// The peer's: a chunk of the message.
    Chunk(bdat::Chunk),
    /// The peer's: a chunk that is swallowed.
    Refused(Box<bdat::Refused>),
    /// The peer's: a message in one chunk.
    Whole(Box<batch::Whole>),
    /// TLS's.
    Tls,
    /// Nobody's any more.
    Closing,
}

impl Server {
    /// A session that begins with its greeting.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        Self {
            setup,
            client: Client::default(),
            stage: Stage::New,
            turn: Turn::Greeting,
            input: Input::default(),
            out: Vec::new(),
            question: None,
            answer: None,
            ended: None,
            batch: None,
            errors: 0,
        }
    }

    fn advance(&mut self) -> Step<Request> {
        // Before a goodbye: a message that was committed shall be told, or it comes twice.
        if let Some(answer) = self.answer.take() {
            self.answered(answer);
        }
        if let Some(why) = self.ended.take() {
            self.say_goodbye(why);
        }
        loop {
            // Messages arrive in their order.
            if matches!(self.question, Some(Request::Begin { .. }))
                && let Some(request) = self.delivery()
            {
                return Step::Ask(request);
            }
            if let Some(request) = self.question.take() {
                return Step::Ask(request);
            }
            if !self.go_on() {
                return self.pause();
            }
        }
    }

    /// Does the next thing, if what it needs has come.
    fn go_on(&mut self) -> bool {
        match self.turn {
            Turn::Greeting => self.greet(),
            Turn::Command | Turn::Credentials(_) => self.line(),
            Turn::Message(_) => self.message(),
            Turn::Chunk(_) => self.chunk(),
            Turn::Refused(_) => self.refused_chunk(),
            Turn::Whole(_) => self.whole(),
            Turn::Tls | Turn::Closing => false,
        }
    }

    /// Nobody waits while messages are kept.
    fn pause(&mut self) -> Step<Request> {
        if let Some(request) = self.delivery() {
            return Step::Ask(request);
        }
        match self.turn {
            Turn::Tls => Step::StartTls,
            Turn::Closing => Step::Close,
            _ => {
                self.input.compact();
                Step::Read
            }
        }
    }

    fn greet(&mut self) -> bool {
        self.turn = Turn::Command;
        self.reply(Reply::greeting(&self.setup.hostname, self.setup.dialect));
        true
    }

    /// Reads a line, if there is a whole one, and does what it says.
    fn line(&mut self) -> bool {
        if self.is_tired() {
            // A message that is kept may set the count back.
            match self.delivery() {
                Some(request) => self.ask(request),
                None => self.reply(Reply::TOO_MANY_ERRORS),
            }
            return true;
        }
        if self.input.next_line_begins_with() == Some(TLS_HANDSHAKE) {
            self.reply(Reply::NOT_SMTP);
            return true;
        }
        match self.input.line(self.longest_line()) {
            Line::Partial => return false,
            Line::Bad(bad) => self.bad_line(bad),
            Line::Whole(range) => {
                let line = self.input.bytes_of(range);
                if let Turn::Credentials(exchange) = &mut self.turn {
                    let next = exchange.message(line);
                    self.exchanged(next);
                } else {
                    match command::parse(line, &self.setup) {
                        Ok((place, command)) => self.command(place, command),
                        Err(reply) => self.reply(reply),
                    }
                }
            }
        }
        true
    }

    fn longest_line(&self) -> usize {
        match self.turn {
            Turn::Credentials(_) => self.setup.limits.command_line.max(AUTH_LINE),
            _ => self.setup.limits.command_line,
        }
    }

    fn bad_line(&mut self, bad: BadLine) {
        let in_exchange = matches!(self.turn, Turn::Credentials(_));
        self.turn = Turn::Command;
        match bad {
            BadLine::TooLong if in_exchange => self.reply(Reply::AUTH_TOO_LONG),
            BadLine::TooLong => self.reply(Reply::LINE_TOO_LONG),
            BadLine::Nul if in_exchange => self.reply(Reply::AUTH_MALFORMED),
            BadLine::Nul => self.reply(Reply::NUL_IN_LINE),
            // Where one line ends for us and another server sees two, somebody smuggles.
            BadLine::BareLineEnd => self.hang_up(Reply::BARE_LINE_END),
        }
    }

    fn command(&mut self, place: Place, command: Command) {
        if let Some(reply) = self.misplaced(place) {
            return self.reply(reply);
        }
        match command {
            Command::ExtendedHello(name) => self.extended_hello(name),
            Command::Hello(name) => self.hello(name),
            Command::StartTls => self.starttls(),
            Command::Auth(mechanism, initial) => self.auth(&mechanism, initial.as_deref()),
            Command::Mail(envelope) => self.mail(envelope),
            Command::Rcpt { path, notify, original, delivery_id } => {
                let recipient = |address| Recipient { address, notify, original, delivery_id };
                self.rcpt(path, recipient);
            }
            Command::Data => self.data(),
            Command::Bdat { size, last } => self.bdat(size, last),
            Command::Rset => self.rset(),
            Command::Noop => self.reply(Reply::OK),
            Command::Vrfy => self.reply(Reply::NOT_VERIFIED),
            Command::Help => self.reply(Reply::HELP),
            Command::Quit => self.reply(Reply::BYE),
        }
    }

    fn misplaced(&self, place: Place) -> Option<Reply> {
        match (place, &self.stage) {
            (Place::Anywhere, _)
            | (Place::Between, Stage::Greeted)
            | (Place::Transaction, Stage::Transaction(_)) => None,
            (_, Stage::New) => Some(Reply::HELLO_FIRST),
            (Place::Greeted, _) => None,
            _ => Some(Reply::BAD_SEQUENCE),
        }
    }

    /// RFC 5321, 4.1.1.5.
    fn rset(&mut self) {
        self.end_transaction();
        self.reply(Reply::OK);
    }

    /// Forgets the transaction, if there is one. The world, which hears of a message first with
    /// DATA or BDAT, hears of this too before another command is read.
    fn end_transaction(&mut self) {
        let nothing = if let Stage::New = self.stage { Stage::New } else { Stage::Greeted };
        if let Stage::Chunked(_) = std::mem::replace(&mut self.stage, nothing) {
            self.ask(Request::Discard);
        }
    }

    fn answered(&mut self, answer: Answer) {
        match answer {
            Answer::Verified { username, verdict } => self.verified(username, verdict),
            Answer::Sender(outcome) => self.sender_decided(outcome),
            Answer::Routed { recipient, outcome } => self.routed(recipient, outcome),
            Answer::Begun(outcome) => self.begun(outcome),
            Answer::Stored(outcome) => self.stored(outcome),
            Answer::Committed(outcomes) => self.committed(&outcomes),
            Answer::Discarded => self.discarded(),
            Answer::Delivered(outcomes) => self.delivered(outcomes),
        }
    }

    /// RFC 5321, 3.8: 421 may be said at any time. A message under way was not taken: what was
    /// begun and never committed leaves no trace.
    fn say_goodbye(&mut self, why: Ended) {
        self.question = None;
        self.batch = None;
        if let Turn::Closing = self.turn {
            return;
        }
        match why {
            Ended::Timeout => self.reply(Reply::TIMEOUT),
            Ended::Shutdown => self.reply(Reply::SHUTDOWN),
        }
    }

    fn transaction(&mut self) -> Option<&mut Envelope> {
        match &mut self.stage {
            Stage::Transaction(envelope) => Some(envelope),
            _ => None,
        }
    }

    fn ask(&mut self, request: Request) {
        self.question = Some(request);
    }

    fn reply(&mut self, reply: impl Into<Reply>) {
        let reply = reply.into();
        if let Some(batch) = &mut self.batch {
            batch.say(&reply);
        } else {
            reply.write(&mut self.out);
            self.errors += u32::from(reply.is_error());
        }
        if reply.closes() {
            self.turn = Turn::Closing;
        }
    }

    /// Whether the peer has made too many errors. mtad, on our own socket, makes none: it goes
    /// through all the mail for users who are gone.
    fn is_tired(&self) -> bool {
        !self.setup.delivery_ids && self.errors() >= self.setup.limits.errors
    }

    fn errors(&self) -> u32 {
        self.errors + self.batch.as_ref().map_or(0, |batch| batch.errors())
    }

    fn hang_up(&mut self, reply: Reply) {
        self.reply(reply);
        self.turn = Turn::Closing;
    }
}

impl Session for Server {
    type Request = Request;
    type Answer = Answer;

    fn receive(&mut self, bytes: &[u8]) {
        self.input.push(bytes);
    }

    fn answer(&mut self, answer: Answer) {
        self.answer = Some(answer);
    }

    fn step(&mut self, out: &mut Vec<u8>) -> Step<Request> {
        std::mem::swap(&mut self.out, out);
        let step = self.advance();
        std::mem::swap(&mut self.out, out);
        step
    }

    fn patience(&self) -> Duration {
        self.setup.limits.patience
    }

    fn secured(&mut self, tls: Secured) {
        self.begin_again(tls);
    }

    fn end(&mut self, why: Ended) {
        self.ended = Some(why);
    }
}

#[cfg(test)]
pub(super) mod tests;
