//! DATA and the message that follows (RFC 5321, 4.1.1.4; in LMTP RFC 2033, 4.2).
//!
//! The world hears `Begin`, then `Store` for each full block, then `Commit` with the last one; or
//! `Discard` if the message turned out broken or too big, or a block could not be stored. In
//! these cases the rest of it is swallowed, so that none of it is ever read as a command.

use super::{Envelope, Reply, Request, Server, Stage, Turn};
use crate::smtp::body::{Body, Fault, Progress};
use crate::smtp::{Accepted, Dialect, Failure};

/// A message under way.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) body: Body,
    /// How many replies its end has: one, or in LMTP one for each recipient.
    pub(super) replies: usize,
}

impl Server {
    pub(super) fn data(&mut self) {
        let envelope = match std::mem::replace(&mut self.stage, Stage::Greeted) {
            Stage::Transaction(envelope) if !envelope.recipients.is_empty() => envelope,
            stage => {
                self.stage = stage;
                return self.reply(self.no_recipients());
            }
        };
        let replies = self.replies_to(&envelope);
        let body = Body::new(self.setup.limits.message_size);
        self.turn = Turn::Message(Incoming { body, replies });
        self.ask(Request::Begin { client: self.client.clone(), envelope: *envelope });
    }

    /// What a message hears that has no recipients.
    pub(super) fn no_recipients(&self) -> Reply {
        match self.setup.dialect {
            Dialect::Lmtp => Reply::LMTP_NO_RECIPIENTS,
            _ => Reply::NO_RECIPIENTS,
        }
    }

    /// How many replies the end of a message has: one, or in LMTP one for each recipient.
    pub(super) fn replies_to(&self, envelope: &Envelope) -> usize {
        if self.setup.dialect == Dialect::Lmtp { envelope.recipients.len() } else { 1 }
    }

    pub(super) fn begun(&mut self, outcome: Result<(), Failure>) {
        if let Turn::Chunk(_) = self.turn {
            return self.chunks_begun(outcome);
        }
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
        let body = match (&mut self.turn, &mut self.stage) {
            (Turn::Message(incoming), _) => &mut incoming.body,
            (Turn::Chunk(_), Stage::Chunked(incoming)) => &mut incoming.body,
            _ => return,
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
        self.tell(replies, outcomes);
    }

    /// Says what became of a message.
    pub(super) fn tell(&mut self, replies: usize, outcomes: &[Result<Accepted, Failure>]) {
        for number in 0..replies {
            match outcomes.get(number) {
                Some(Ok(accepted)) => {
                    self.errors = 0;
                    self.reply(accepted);
                }
                // Not the peer's error: it could not know.
                Some(Err(failure)) if self.setup.dialect == Dialect::Lmtp => {
                    Reply::from(*failure).write(&mut self.out);
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
        if let Some(fault) = body.fault() {
            self.tell_fault(replies, fault);
        }
    }

    /// Says why a message is refused. After a bare line end nothing more is listened to.
    pub(super) fn tell_fault(&mut self, replies: usize, fault: Fault) {
        for _ in 0..replies {
            self.reply(self.refusal(fault));
        }
        if fault == Fault::BareLineEnd {
            self.turn = Turn::Closing;
        }
    }

    pub(super) fn refusal(&self, fault: Fault) -> Reply {
        match fault {
            Fault::BareLineEnd => Reply::BARE_LINE_END_IN_MESSAGE,
            Fault::TooBig => Reply::message_too_big(self.setup.limits.message_size),
            Fault::Failed(failure) => failure.into(),
        }
    }

    fn end_message(&mut self) -> Option<Incoming> {
        match std::mem::replace(&mut self.turn, Turn::Command) {
            Turn::Message(incoming) => Some(incoming),
            Turn::Chunk(chunk) => self.end_chunk(&chunk),
            turn => {
                self.turn = turn;
                None
            }
        }
    }
}
