//! From MAIL to the reply to the end of the message.

use super::body::Body;
use super::command::{Command, judged};
use super::replies::Reply;
use super::transaction::{Stage, Transaction};
use super::window::GROUP;
use super::{Block, Client, Outcome, Ticket, Turn, parameters};
use crate::smtp::{Dialect, Envelope};

impl Client {
    /// Takes a message to carry, if nothing came that was not asked for: it would be taken for
    /// the answer to MAIL.
    pub(super) fn begin(&mut self, ticket: Ticket, envelope: Envelope) {
        self.transactions.push_back(Transaction::new(ticket, envelope));
        self.turn = Turn::Envelope;
        if self.awaited.is_empty() && !self.replies.is_empty() {
            self.fail(Outcome::Lost("the peer spoke out of turn".to_owned()));
        }
    }

    /// Says the next part of the envelope.
    pub(super) fn envelope(&mut self, out: &mut Vec<u8>) {
        self.turn = Turn::Envelope;
        let (pipelining, chunking) = (self.capabilities.pipelining, self.capabilities.chunking);
        let Some(transaction) = self.unsettled() else { return };
        let stage = match transaction.stage {
            Stage::Mail => self.mail(out),
            Stage::Recipients(named) => {
                self.recipients(named, if pipelining { GROUP } else { 1 }, out)
            }
            Stage::Named if chunking => {
                self.turn = Turn::Body;
                return;
            }
            Stage::Named => {
                self.say_of_it(Command::Data, "DATA", out);
                Stage::Data
            }
            _ => return self.fail(Outcome::Lost("no answer".to_owned())),
        };
        self.reached(stage);
    }

    /// Which message to ask a block of; `None`: nobody is to have it any more.
    pub(super) fn wanted(&mut self) -> Option<Ticket> {
        self.unsettled().map(|transaction| transaction.ticket)
    }

    /// Sends a block of the message.
    pub(super) fn block(&mut self, block: &Block, out: &mut Vec<u8>) {
        let Some(stage) = self.unsettled().map(|transaction| transaction.stage) else { return };
        self.turn = if block.last { Turn::Ask } else { Turn::Body };
        let stage = match stage {
            Stage::Lines(body) => self.lines(body, block, out),
            _ => self.chunk(block, out),
        };
        self.reached(stage);
    }

    /// Whether the peer hears the lines of a message, without its end.
    pub(super) fn is_in_lines(&self) -> bool {
        self.transactions.back().is_some_and(|last| matches!(last.stage, Stage::Lines(_)))
    }

    /// Says the final dot of a message without recipients. RFC 2033, 4.2: LMTP gives it as many
    /// replies as there are recipients, so there is nothing to wait for, nor to be sure of.
    pub(super) fn end_empty_message(&mut self, out: &mut Vec<u8>) {
        if self.setup.dialect == Dialect::Lmtp {
            return self.turn = Turn::Close;
        }
        self.turn = Turn::Ask;
        self.say_of_it(Command::EmptyMessage, ".", out);
        self.reached(Stage::Said);
    }

    /// A message that cannot be read gets no end: what was said before is heard to its end, then
    /// the connection is closed.
    pub(super) fn give_up_message(&mut self) {
        self.turn = Turn::Close;
        if let Some(transaction) = self.transactions.back_mut() {
            transaction.settle_rest(&Outcome::Lost("the message cannot be read".to_owned()));
            transaction.stage = Stage::Said;
        }
    }

    pub(super) fn transaction_replied(&mut self, command: Command, reply: &Reply) {
        let good = (200..300).contains(&reply.code);
        let Some(transaction) = self.transactions.front_mut() else { return };
        transaction.unanswered = transaction.unanswered.saturating_sub(1);
        match command {
            Command::Reset if !good => return self.fail(judged(command, reply)),
            Command::Mail if good => transaction.opened = true,
            Command::Mail => {
                // 503: the peer believes that a transaction is open.
                self.mail_open |= reply.code == 503;
                transaction.settle_rest(&judged(command, reply));
            }
            Command::Recipient(number) => {
                transaction.recipient_replied(number, (!good).then(|| judged(command, reply)));
            }
            Command::Data => self.data_replied(reply),
            Command::Chunk(_) | Command::LastChunk(_) if reply.code < 400 && !good => {
                return self.fail(judged(command, reply));
            }
            Command::Chunk(_) if good => {}
            Command::Chunk(_) => transaction.settle_rest(&judged(command, reply)),
            Command::LastChunk(_) => {
                // RFC 3030, 2: after a failure the peer's state is not known.
                self.mail_open |= !good;
                self.message_replied(Command::LastChunk(0), reply);
            }
            Command::Message => self.message_replied(command, reply),
            _ => {}
        }
        self.finish();
    }

    /// One reply to the end of a message; `command` is awaited again if there are more.
    fn message_replied(&mut self, command: Command, reply: &Reply) {
        let Some(transaction) = self.transactions.front_mut() else { return };
        let outcome = judged(command, reply);
        if self.setup.dialect != Dialect::Lmtp {
            return transaction.settle_rest(&outcome);
        }
        transaction.settle_first_accepted(outcome);
        if transaction.accepted() > 0 {
            transaction.unanswered += 1;
            self.awaited.push_front(command);
        }
    }

    fn data_replied(&mut self, reply: &Reply) {
        let Some(transaction) = self.transactions.front_mut() else { return };
        match reply.code {
            354 if transaction.accepted() == 0 => self.turn = Turn::EmptyMessage,
            354 => {
                transaction.stage = Stage::Lines(Body::default());
                self.turn = Turn::Body;
            }
            400.. => transaction.settle_rest(&judged(Command::Data, reply)),
            // It may or may not wait for a message now: nothing sure can follow.
            code => self.fail(Outcome::Lost(format!("unexpected reply {code} to DATA"))),
        }
    }

    /// The transaction of which there is more to say. One that nobody is to get any more ends
    /// here: RSET follows before the next.
    fn unsettled(&mut self) -> Option<&Transaction> {
        if self.transactions.back().is_none_or(Transaction::is_settled) {
            self.turn = Turn::Ask;
            self.mail_open |= self.transactions.back().is_some_and(|last| last.opened);
            self.reached(Stage::Said);
            self.finish();
            return None;
        }
        self.transactions.back()
    }

    fn reached(&mut self, stage: Stage) {
        if let Some(transaction) = self.transactions.back_mut() {
            transaction.stage = stage;
        }
    }

    fn mail(&mut self, out: &mut Vec<u8>) -> Stage {
        if self.mail_open {
            self.mail_open = false;
            self.say_of_it(Command::Reset, "RSET", out);
            if !self.capabilities.pipelining {
                return Stage::Mail;
            }
        }
        if let Some(transaction) = self.transactions.back() {
            let line = parameters::mail(&transaction.envelope, self.capabilities);
            self.say_of_it(Command::Mail, &line, out);
        }
        Stage::Recipients(0)
    }

    /// Names at most `group` recipients from `named` on.
    fn recipients(&mut self, named: usize, group: usize, out: &mut Vec<u8>) -> Stage {
        let Some(transaction) = self.transactions.back() else { return Stage::Said };
        let all = transaction.envelope.recipients.len();
        let group = transaction.envelope.recipients.iter().skip(named).take(group);
        let lines: Vec<_> = group.map(|to| parameters::recipient(to, self.capabilities)).collect();
        for (number, line) in (named..).zip(&lines) {
            self.say_of_it(Command::Recipient(number), line, out);
        }
        match named + lines.len() {
            named if named < all => Stage::Recipients(named),
            _ => Stage::Named,
        }
    }

    fn lines(&mut self, mut body: Body, block: &Block, out: &mut Vec<u8>) -> Stage {
        body.block(&block.octets, out);
        if !block.last {
            return Stage::Lines(body);
        }
        body.end(out);
        self.await_reply(Command::Message);
        Stage::Said
    }

    fn chunk(&mut self, block: &Block, out: &mut Vec<u8>) -> Stage {
        let octets = block.octets.len();
        let (command, line) = match (block.last, octets) {
            (true, _) => (Command::LastChunk(octets), format!("BDAT {octets} LAST")),
            (false, 0) => return Stage::Chunks,
            (false, _) => (Command::Chunk(octets), format!("BDAT {octets}")),
        };
        self.say_of_it(command, &line, out);
        out.extend_from_slice(&block.octets);
        if block.last { Stage::Said } else { Stage::Chunks }
    }

    /// Says something of the newest transaction.
    fn say_of_it(&mut self, command: Command, line: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(b"\r\n");
        self.await_reply(command);
    }

    fn await_reply(&mut self, command: Command) {
        self.awaited.push_back(command);
        if let Some(transaction) = self.transactions.back_mut() {
            transaction.unanswered += 1;
        }
    }
}
