//! APPEND (RFC 3501, 6.3.11), with APPENDUID (RFC 4315, 3).
//!
//! The message goes to the backend block by block as it comes. The CRLF behind it belongs to the
//! command: only when it is there is the message committed.

use super::{Failure, Phase, Request, Server, Telling, Turn, Waiting, reply};
use crate::imap::syntax::framing::{Framed, Literal};
use crate::imap::syntax::{Command, Refusal};
use crate::imap::{Append, Appended};

/// Octets of a message that are kept before they are handed on.
const BLOCK: usize = 64 << 10;

/// An APPEND whose message is coming.
#[derive(Debug)]
pub(super) struct Appending {
    tag: String,
    /// Octets still to come.
    left: u64,
    /// Octets not handed on yet.
    block: Vec<u8>,
}

impl Server {
    /// The command up to its message is here. It is refused before the client sends the message,
    /// if the client waits.
    pub(super) fn announced(&mut self, literal: Literal) -> Turn {
        let (tag, command) = self.parse();
        let append = match command {
            Ok(Command::Append(append)) => append,
            Ok(_) => return self.refuse_announced(Refusal::Bad("Unexpected literal")),
            Err(refusal) => return self.refuse_announced(refusal),
        };
        if append.size > self.setup.limits.message_size {
            return self.refuse_announced(Refusal::TOO_BIG);
        }
        if append.size == 0 {
            return self.refuse_announced(Refusal::No("Can't save a zero byte message."));
        }
        self.commands.begin_message();
        self.mistakes.end_row();
        self.append(tag, append, literal.synchronizing)
    }

    fn refuse_announced(&mut self, why: Refusal) -> Turn {
        self.commands.refuse(why);
        Turn::Again
    }

    fn append(&mut self, tag: String, append: Append, synchronizing: bool) -> Turn {
        let waiting = Waiting::Append { tag, size: append.size, synchronizing };
        self.ask(waiting, Request::Append(append))
    }

    pub(super) fn append_ready(
        &mut self,
        tag: String,
        size: u64,
        synchronizing: bool,
        result: Result<(), Failure>,
        out: &mut Vec<u8>,
    ) -> Turn {
        match result {
            Ok(()) => {
                if synchronizing {
                    out.extend_from_slice(b"+ OK\r\n");
                }
                let appending = Appending { tag, left: size, block: Vec::new() };
                self.phase = Phase::Appending(Box::new(appending));
                Turn::Again
            }
            Err(failure) if synchronizing => {
                self.mistakes.forgive(size);
                self.finish(tag, reply::failure_of_target(failure), Telling::ALL, out)
            }
            Err(failure) => {
                let why = refusal_of_target(failure);
                self.commands.refuse_message(tag, why, size);
                Turn::Again
            }
        }
    }

    pub(super) fn append_octets(&mut self, mut appending: Box<Appending>) -> Turn {
        let room = BLOCK.saturating_sub(appending.block.len());
        let wanted = usize::try_from(appending.left).unwrap_or(usize::MAX).min(room);
        let moved = self.commands.move_octets(wanted, &mut appending.block);
        appending.left -= moved as u64;
        if appending.left == 0 {
            return self.append_end(appending);
        }
        if appending.block.len() < BLOCK {
            self.phase = Phase::Appending(appending);
            return Turn::Read;
        }
        let block = std::mem::take(&mut appending.block);
        self.ask(Waiting::AppendBlock(appending), Request::AppendBlock(block))
    }

    pub(super) fn append_stored(
        &mut self,
        mut appending: Box<Appending>,
        result: Result<Vec<u8>, Failure>,
    ) -> Turn {
        match result {
            Ok(block) => {
                appending.block = block;
                self.phase = Phase::Appending(appending);
                Turn::Again
            }
            Err(failure) => {
                let why = refusal_of_target(failure);
                self.discard(appending.tag, why, Some(appending.left))
            }
        }
    }

    /// All octets of the message are here: the line that ends the command is read.
    fn append_end(&mut self, appending: Box<Appending>) -> Turn {
        const BAD: Refusal = Refusal::Bad("Unexpected text behind the message");
        match self.commands.next(self.setup.limits.command) {
            Framed::Partial => {
                self.phase = Phase::Appending(appending);
                Turn::Read
            }
            Framed::Command => {
                let is_end = self.commands.bytes().is_empty();
                self.commands.done();
                let Appending { tag, block, .. } = *appending;
                if !is_end {
                    return self.discard(tag, BAD, None);
                }
                self.ask(Waiting::AppendCommit { tag }, Request::AppendCommit(block))
            }
            // Another message (RFC 3502 is not offered): it is passed over, and then refused.
            Framed::Announced(_) => {
                self.commands.refuse(BAD);
                self.phase = Phase::Appending(appending);
                Turn::Again
            }
            Framed::Refused(refused) => {
                self.mistakes.forgive(refused.unasked.min(self.setup.limits.message_size));
                self.discard(appending.tag, refused.why, None)
            }
        }
    }

    fn discard(&mut self, tag: String, why: Refusal, left: Option<u64>) -> Turn {
        self.ask(Waiting::AppendDiscard { tag, why, left }, Request::AppendDiscard)
    }

    pub(super) fn append_discarded(
        &mut self,
        tag: String,
        why: Refusal,
        left: Option<u64>,
        out: &mut Vec<u8>,
    ) -> Turn {
        let Some(left) = left else {
            return self.refuse(&tag, why, 0, out);
        };
        self.commands.refuse_message(tag, why, left);
        Turn::Again
    }

    pub(super) fn appended(
        &mut self,
        tag: String,
        result: Result<Appended, Failure>,
        out: &mut Vec<u8>,
    ) -> Turn {
        let Appended { uid_validity, uid } = match result {
            Ok(appended) => appended,
            Err(failure) => {
                return self.finish(tag, reply::failure_of_target(failure), Telling::ALL, out);
            }
        };
        let done = format!("OK [APPENDUID {uid_validity} {uid}] Append completed.");
        self.finish(tag, done, Telling::ALL, out)
    }
}

fn refusal_of_target(failure: Failure) -> Refusal {
    let text = reply::failure_of_target(failure);
    Refusal::No(text.strip_prefix("NO ").unwrap_or(text))
}
