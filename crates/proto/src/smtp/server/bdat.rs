//! BDAT: a message in chunks whose sizes are announced (RFC 3030), so that nothing has to be
//! looked for in them and they can follow each other without waiting.
//!
//! The world hears what it hears with DATA: `Begin` with the first chunk, `Store` for each full
//! block, wherever in a chunk it becomes full, and `Commit` when the last chunk is there.
//!
//! A chunk comes whether it is welcome or not, and octets of a message that are read as commands
//! are how mail is smuggled. So what is refused is swallowed before its reply is given. A chunk
//! behind one that failed hears the same again, for the peer may have sent it already (RFC 3030,
//! 2); only the last one ends that, or RSET. Of a BDAT that cannot be read nobody knows how much
//! follows: the session is over. And nothing is kept for what is announced, only for what came.

use super::data::Incoming;
use super::{Envelope, Reply, Request, Server, Stage, Turn};
use crate::smtp::Failure;
use crate::smtp::body::{Body, Fault, SWALLOWED};

/// A chunk that is coming.
#[derive(Debug)]
pub(super) struct Chunk {
    size: u64,
    left: u64,
    last: bool,
}

/// A chunk that is coming and belongs nowhere.
#[derive(Debug)]
pub(super) struct Refused {
    left: u64,
    /// What is said behind it, and how often.
    reply: Reply,
    times: usize,
}

/// Why the transaction has failed: what each chunk hears that still comes, and the last one so
/// many times.
#[derive(Debug)]
pub(super) struct Failed {
    reply: Reply,
    replies: usize,
}

impl Server {
    pub(super) fn bdat(&mut self, size: u64, last: bool) {
        let limit = self.setup.limits.message_size;
        if size > limit.saturating_add(SWALLOWED) {
            return self.hang_up(Reply::message_too_big(limit));
        }
        match std::mem::replace(&mut self.stage, Stage::Greeted) {
            Stage::New => {
                self.stage = Stage::New;
                self.swallow(size, Reply::HELLO_FIRST, 1);
            }
            Stage::Greeted => self.swallow(size, Reply::BAD_SEQUENCE, 1),
            Stage::Transaction(envelope) if self.keeps(&envelope, size, last) => {
                self.whole_message(*envelope, size);
            }
            Stage::Transaction(envelope) => self.first_chunk(*envelope, size, last),
            Stage::Chunked(incoming) => self.next_chunk(incoming, size, last),
            Stage::Failed(failed) => self.fail(*failed, size, last),
        }
    }

    fn first_chunk(&mut self, envelope: Envelope, size: u64, last: bool) {
        let limit = self.setup.limits.message_size;
        if envelope.recipients.is_empty() {
            let failed = Failed { reply: self.no_recipients(), replies: 1 };
            return self.fail(failed, size, last);
        }
        let replies = self.replies_to(&envelope);
        if size > limit {
            let failed = Failed { reply: Reply::message_too_big(limit), replies };
            return self.fail(failed, size, last);
        }
        self.stage = Stage::Chunked(Box::new(Incoming { body: Body::new(limit), replies }));
        self.turn = Turn::Chunk(Chunk { size, left: size, last });
        self.ask(Request::Begin { client: self.client.clone(), envelope });
    }

    fn next_chunk(&mut self, mut incoming: Box<Incoming>, size: u64, last: bool) {
        if incoming.body.exceeds_with(size) {
            incoming.body.refuse(Fault::TooBig);
        }
        self.stage = Stage::Chunked(incoming);
        self.turn = Turn::Chunk(Chunk { size, left: size, last });
    }

    /// Refuses a chunk of a transaction that has failed.
    fn fail(&mut self, failed: Failed, size: u64, last: bool) {
        let times = if last { failed.replies } else { 1 };
        self.swallow(size, failed.reply.clone(), times);
        if !last {
            self.stage = Stage::Failed(Box::new(failed));
        }
    }

    fn swallow(&mut self, size: u64, reply: Reply, times: usize) {
        self.turn = Turn::Refused(Box::new(Refused { left: size, reply, times }));
    }

    /// The world has begun the message of the first chunk, or has not.
    pub(super) fn chunks_begun(&mut self, outcome: Result<(), Failure>) {
        let (Err(failure), Turn::Chunk(chunk)) = (outcome, &self.turn) else {
            return;
        };
        let (size, last) = (chunk.size, chunk.last);
        if let Stage::Chunked(incoming) = std::mem::replace(&mut self.stage, Stage::Greeted) {
            let failed = Failed { reply: failure.into(), replies: incoming.replies };
            self.fail(failed, size, last);
        }
    }

    /// Takes what has come of a chunk.
    pub(super) fn chunk(&mut self) -> bool {
        let (Turn::Chunk(chunk), Stage::Chunked(incoming)) = (&mut self.turn, &mut self.stage)
        else {
            return false;
        };
        let (taken, full) = incoming.body.receive_chunk(at_most(chunk.left, self.input.unread()));
        self.input.consume(taken);
        chunk.left -= taken as u64;
        if let Some(block) = full {
            self.ask(Request::Store(block));
            return true;
        }
        if chunk.left > 0 {
            return false;
        }
        let block = if chunk.last { incoming.body.finish() } else { Vec::new() };
        match incoming.body.fault() {
            Some(_) => self.ask(Request::Discard),
            None if chunk.last => self.ask(Request::Commit(block)),
            None => {
                let reply = Reply::chunk_taken(chunk.size);
                self.turn = Turn::Command;
                self.reply(reply);
            }
        }
        true
    }

    /// Passes over what has come of a chunk that belongs nowhere.
    pub(super) fn refused_chunk(&mut self) -> bool {
        let Turn::Refused(refused) = &mut self.turn else {
            return false;
        };
        let passed = at_most(refused.left, self.input.unread()).len();
        self.input.consume(passed);
        refused.left -= passed as u64;
        if refused.left > 0 {
            return false;
        }
        if let Turn::Refused(refused) = std::mem::replace(&mut self.turn, Turn::Command) {
            for _ in 0..refused.times {
                self.reply(refused.reply.clone());
            }
        }
        true
    }

    /// The world has done with a chunk that ends the message: the last one, or one with a fault.
    pub(super) fn end_chunk(&mut self, chunk: &Chunk) -> Option<Incoming> {
        let Stage::Chunked(incoming) = std::mem::replace(&mut self.stage, Stage::Greeted) else {
            return None;
        };
        match incoming.body.fault() {
            Some(fault) if !chunk.last => {
                let failed = Failed { reply: self.refusal(fault), replies: incoming.replies };
                self.stage = Stage::Failed(Box::new(failed));
                Some(Incoming { replies: 1, ..*incoming })
            }
            _ => Some(*incoming),
        }
    }
}

/// So many of these bytes, or all when there are fewer.
pub(super) fn at_most(limit: u64, bytes: &[u8]) -> &[u8] {
    let length = usize::try_from(limit).unwrap_or(usize::MAX);
    bytes.get(..length).unwrap_or(bytes)
}
