//! DATA and the message that follows (RFC 5321, 4.1.1.4; in LMTP RFC 2033, 4.2).
//!
//! The world hears `Begin`, then `Store` for each full block, then `Commit` with the last one; or
//! `Discard` if the message turned out broken or too big, or a block could not be stored. In
//! these cases the rest of it is swallowed, so that none of it is ever read as a command.

use super::{Reply, Request, Server, Stage, Turn};
use crate::smtp::body::{Body, Fault, Progress};
use crate::smtp::{Accepted, Dialect, Failure};

/// A message under way.
#[derive(Debug)]
pub(super) struct Incoming {
    body: Body,
    /// How many replies its end has: one, or in LMTP one for each recipient.
    replies: usize,
}

impl Server {
    pub(super) fn data(&mut self) {
        let lmtp = self.setup.dialect == Dialect::Lmtp;
        let envelope = match std::mem::replace(&mut self.stage, Stage::Greeted) {
            Stage::Transaction(envelope) if !envelope.recipients.is_empty() => envelope,
            stage => {
                self.stage = stage;
                let reply = if lmtp { Reply::LMTP_NO_RECIPIENTS } else { Reply::NO_RECIPIENTS };
                return self.reply(reply);
            }
        };
        let replies = if lmtp { envelope.recipients.len() } else { 1 };
        let body = Body::new(self.setup.limits.message_size);
        self.turn = Turn::Message(Incoming { body, replies });
        self.ask(Request::Begin { client: self.client.clone(), envelope });
    }

    pub(super) fn begun(&mut self, outcome: Result<(), Failure>) {
        match outcome {
            Ok(()) => self.reply(Reply::SEND_MESSAGE),
            Err(failure) => {
                self.turn = Turn::Command;
                self.reply(failure);
            }
        }
    }

    /// Takes what has come of the message.
    pub(super) fn message(&mut self) -> bool {
        let Turn::Message(Incoming { body, .. }) = &mut self.turn else {
            return true;
        };
        let (taken, progress) = body.receive(self.input.unread());
        self.input.consume(taken);
        let broken = body.fault().is_some();
        match progress {
            Progress::More => return false,
            Progress::Full(block) => self.ask(Request::Store(block)),
            Progress::End(_) if broken => self.ask(Request::Discard),
            Progress::End(block) => self.ask(Request::Commit(block)),
            Progress::Endless => {
                self.hang_up(Reply::message_too_big(self.setup.limits.message_size));
            }
        }
        true
    }

    pub(super) fn stored(&mut self, outcome: Result<Vec<u8>, Failure>) {
        let Turn::Message(Incoming { body, .. }) = &mut self.turn else {
            return;
        };
        match outcome {
            Ok(block) => body.refill(block),
            Err(failure) => body.refuse(Fault::Failed(failure)),
        }
    }

    pub(super) fn committed(&mut self, outcomes: &[Result<Accepted, Failure>]) {
        let Some(Incoming { replies, .. }) = self.end_message() else {
            return;
        };
        for number in 0..replies {
            match outcomes.get(number) {
                Some(Ok(accepted)) => {
                    self.errors = 0;
                    self.reply(accepted);
                }
                Some(Err(failure)) => self.reply(*failure),
                None => self.reply(Failure::Unavailable),
            }
        }
    }

    pub(super) fn discarded(&mut self) {
        let Some(Incoming { body, replies }) = self.end_message() else {
            return;
        };
        let reply = match body.fault() {
            Some(Fault::BareLineEnd) => Reply::BARE_LINE_END_IN_MESSAGE,
            Some(Fault::TooBig) => Reply::message_too_big(self.setup.limits.message_size),
            Some(Fault::Failed(failure)) => failure.into(),
            None => return,
        };
        for _ in 0..replies {
            self.reply(reply.clone());
        }
        if body.fault() == Some(Fault::BareLineEnd) {
            self.turn = Turn::Closing;
        }
    }

    fn end_message(&mut self) -> Option<Incoming> {
        match std::mem::replace(&mut self.turn, Turn::Command) {
            Turn::Message(incoming) => Some(incoming),
            turn => {
                self.turn = turn;
                None
            }
        }
    }
}
