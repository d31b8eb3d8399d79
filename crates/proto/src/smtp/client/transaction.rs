//! From MAIL to the reply to the final dot.

use std::fmt::Write as _;

use super::body::Body;
use super::replies::Reply;
use super::{Client, Command, Outcome, Report, Turn, judged};
use crate::smtp::{Dialect, Envelope};

/// Recipients in one flight. Their replies fit into any socket buffer (RFC 2920, 3.1).
pub(super) const GROUP: usize = 100;

/// A message under way.
#[derive(Debug)]
pub(super) struct Transaction {
    envelope: Envelope,
    /// For each recipient, in order.
    fates: Vec<Fate>,
    stage: Stage,
}

/// What was said of the envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing.
    Mail,
    /// MAIL, and so many recipients.
    Recipients(usize),
    /// DATA.
    Data,
}

/// What is known of a recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    /// Nothing yet.
    Unanswered,
    /// RCPT was accepted.
    Accepted,
    /// The last word.
    Settled(Outcome),
}

impl Transaction {
    pub(super) fn new(envelope: Envelope) -> Self {
        let fates = vec![Fate::Unanswered; envelope.recipients.len()];
        Self { envelope, fates, stage: Stage::Mail }
    }

    /// Gives every recipient without a last word this one.
    pub(super) fn settle_rest(&mut self, outcome: &Outcome) {
        for fate in self.fates.iter_mut().filter(|fate| !matches!(fate, Fate::Settled(_))) {
            *fate = Fate::Settled(outcome.clone());
        }
    }

    pub(super) fn report(self) -> Report {
        let outcome = |fate| match fate {
            Fate::Settled(outcome) => outcome,
            Fate::Unanswered | Fate::Accepted => Outcome::Lost("no answer".to_owned()),
        };
        Report { recipients: self.fates.into_iter().map(outcome).collect() }
    }

    fn settle(&mut self, recipient: usize, fate: Fate) {
        if let Some(place) = self.fates.get_mut(recipient) {
            *place = fate;
        }
    }

    fn is_settled(&self) -> bool {
        self.fates.iter().all(|fate| matches!(fate, Fate::Settled(_)))
    }

    fn accepted(&self) -> usize {
        self.fates.iter().filter(|fate| **fate == Fate::Accepted).count()
    }

    /// LMTP answers the accepted recipients in order (RFC 2033, 4.2).
    fn settle_first_accepted(&mut self, outcome: Outcome) {
        if let Some(fate) = self.fates.iter_mut().find(|fate| **fate == Fate::Accepted) {
            *fate = Fate::Settled(outcome);
        }
    }
}

impl Client {
    /// Where a new transaction begins, if nothing came that was not asked for: it would be taken
    /// for the answer to MAIL.
    pub(super) fn begin(&mut self) -> Turn {
        if self.replies.is_empty() {
            return Turn::Envelope;
        }
        self.fail(Outcome::Lost("the peer spoke out of turn".to_owned()));
        Turn::Close
    }

    /// Says the next part of the envelope.
    pub(super) fn envelope(&mut self, out: &mut Vec<u8>) {
        self.turn = Turn::Envelope;
        let Some(transaction) = &self.transaction else { return self.turn = Turn::Ask };
        let (stage, pipelining) = (transaction.stage, self.capabilities.pipelining);
        if transaction.is_settled() {
            return self.turn = Turn::Ask;
        }
        let stage = match stage {
            Stage::Mail if pipelining => {
                self.mail(out);
                self.recipients(0, GROUP, out)
            }
            Stage::Mail => {
                self.mail(out);
                Stage::Recipients(0)
            }
            Stage::Recipients(named) => {
                let group = if pipelining { GROUP } else { 1 };
                self.recipients(named, group, out)
            }
            Stage::Data => return self.fail(Outcome::Lost("no answer".to_owned())),
        };
        if let Some(transaction) = &mut self.transaction {
            transaction.stage = stage;
        }
    }

    /// Says the final dot of a message without recipients. RFC 2033, 4.2: LMTP gives it as many
    /// replies as there are recipients, so there is nothing to wait for, nor to be sure of.
    pub(super) fn end_empty_message(&mut self, out: &mut Vec<u8>) {
        if self.setup.dialect == Dialect::Lmtp {
            return self.turn = Turn::Close;
        }
        self.turn = Turn::Envelope;
        self.say(Command::EmptyMessage, ".", out);
    }

    /// Sends a block of the message; an empty one is the end.
    pub(super) fn block(&mut self, mut body: Body, block: &[u8], out: &mut Vec<u8>) {
        if !block.is_empty() {
            body.block(block, out);
            return self.turn = Turn::Body(body);
        }
        body.end(out);
        self.turn = Turn::Envelope;
        let accepted = self.transaction.as_ref().map_or(0, Transaction::accepted);
        let replies = if self.setup.dialect == Dialect::Lmtp { accepted } else { 1 };
        self.awaited.extend(std::iter::repeat_n(Command::Message, replies));
    }

    pub(super) fn transaction_replied(&mut self, command: Command, reply: &Reply) {
        let good = (200..300).contains(&reply.code);
        if command == Command::Reset && !good {
            return self.fail(judged(command, reply));
        }
        let Some(transaction) = &mut self.transaction else { return };
        match command {
            Command::Mail if good => self.mail_open = true,
            Command::Mail => transaction.settle_rest(&judged(command, reply)),
            Command::Recipient(number) => match transaction.fates.get(number) {
                Some(Fate::Unanswered) if good => transaction.settle(number, Fate::Accepted),
                Some(Fate::Unanswered) => {
                    transaction.settle(number, Fate::Settled(judged(command, reply)));
                }
                // MAIL was refused, and so is all that was sent with it.
                _ => {}
            },
            Command::Data => self.data_replied(reply),
            Command::Message if self.setup.dialect == Dialect::Lmtp => {
                self.mail_open = false;
                transaction.settle_first_accepted(judged(command, reply));
            }
            Command::Message => {
                self.mail_open = false;
                transaction.settle_rest(&judged(command, reply));
            }
            _ => self.mail_open = false,
        }
    }

    fn data_replied(&mut self, reply: &Reply) {
        let Some(transaction) = &mut self.transaction else { return };
        match reply.code {
            354 if transaction.accepted() == 0 => self.turn = Turn::EmptyMessage,
            354 => self.turn = Turn::Body(Body::default()),
            400.. => transaction.settle_rest(&judged(Command::Data, reply)),
            // It may or may not wait for a message now: nothing sure can follow.
            code => self.fail(Outcome::Lost(format!("unexpected reply {code} to DATA"))),
        }
    }

    fn mail(&mut self, out: &mut Vec<u8>) {
        if self.mail_open {
            self.say(Command::Reset, "RSET", out);
        }
        let Some(Transaction { envelope, .. }) = &self.transaction else { return };
        let mut line = format!("MAIL FROM:{}", envelope.sender);
        if let (Some(size), true) = (envelope.size, self.capabilities.size) {
            let _ = write!(line, " SIZE={size}");
        }
        // Where 8BITMIME is not offered the message goes as it is: every server of today takes
        // it, and the conversion of RFC 6152, 3 would break signatures.
        if envelope.eight_bit && self.capabilities.eight_bit {
            line.push_str(" BODY=8BITMIME");
        }
        if let (Some(id), true) = (&envelope.delivery_id, self.capabilities.delivery_ids) {
            let _ = write!(line, " XDELIVERID={id}");
        }
        self.say(Command::Mail, &line, out);
    }

    /// Names at most `group` recipients from `named` on, and says DATA after the last: in the
    /// same flight where that may be, else once it is known that somebody was accepted.
    fn recipients(&mut self, named: usize, group: usize, out: &mut Vec<u8>) -> Stage {
        let Some(Transaction { envelope, .. }) = &self.transaction else { return Stage::Data };
        let all = envelope.recipients.len();
        let group = envelope.recipients.iter().skip(named).take(group);
        let lines: Vec<_> = group.map(|to| format!("RCPT TO:<{}>", to.address)).collect();
        for (number, line) in (named..).zip(&lines) {
            self.say(Command::Recipient(number), line, out);
        }
        let named = named + lines.len();
        if named < all || !(self.capabilities.pipelining || lines.is_empty()) {
            return Stage::Recipients(named);
        }
        self.say(Command::Data, "DATA", out);
        Stage::Data
    }
}
