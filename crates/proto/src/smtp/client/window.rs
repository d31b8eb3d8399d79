//! Several transactions under way at the same time.
//!
//! A peer may hear one transaction behind the other before it answers the first, as RFC 2920
//! allows it. Replies come in the order of commands, so they are for the oldest transaction until
//! its last command is answered; only the newest one still has something to say. A letter is safe
//! under this only if both sides count replies alike:
//! - In SMTP each command has one.
//! - In LMTP the end of a message has one for each accepted recipient. Where none was accepted,
//!   servers do what they like: RFC 2033 demands a 503 for DATA and does not know BDAT. Who has
//!   sent the end of a message before it knows of anybody accepted may take one transaction's
//!   reply for the next one's.
//!
//! So the end of a message leaves ahead of the replies to RCPT only towards lmtp-deliverd, which
//! is known by XDELIVERID and answers BDAT LAST for nobody with one 503. With others PIPELINING is
//! used within a transaction, and it is over before the next begins.
//!
//! A message of more than one block is said to nobody before somebody was accepted, and its last
//! chunk only after all chunks before it were accepted: no peer is ever given an end to half a
//! message.

use super::transaction::{Stage, Transaction};
use super::{Client, Outcome, Report, Ticket, Turn};
use crate::smtp::Dialect;

/// Recipients in one flight. Their replies fit into any socket buffer (RFC 2920, 3.1).
pub(super) const GROUP: usize = 100;
/// Transactions under way.
const TRANSACTIONS: usize = 16;
/// Octets of messages that were said and not answered.
const OCTETS: usize = 1 << 20;
/// Replies on their way to us: with 512 octets each (RFC 5321, 4.5.3.1.5) they fit into a
/// socket's buffers, so that the peer can go on reading while we write.
const REPLIES: usize = 256;

impl Client {
    /// Whether there is something to say though replies are awaited.
    pub(super) fn may_go_on(&self) -> bool {
        let Some(last) = self.transactions.back() else { return false };
        let pipelining = self.capabilities.pipelining;
        match (&self.turn, last.stage) {
            (Turn::Ask, _) => self.is_windowed() && (self.has_room() || !self.reports.is_empty()),
            (Turn::Envelope, Stage::Mail) => self.is_windowed() && self.has_room(),
            (Turn::Envelope, Stage::Recipients(0)) => pipelining,
            (Turn::Envelope, Stage::Named) if !self.capabilities.chunking => pipelining,
            (Turn::Envelope | Turn::Body, Stage::Named) => self.goes_ahead(last),
            (Turn::Block(block), Stage::Named) => block.last && self.goes_ahead(last),
            (Turn::Body, Stage::Chunks) => pipelining && self.octets() < OCTETS,
            (Turn::Block(block), Stage::Chunks) => pipelining && !block.last,
            _ => false,
        }
    }

    /// The first transaction is over: its report is for the next question.
    pub(super) fn finish(&mut self) {
        let Some(transaction) = self.transactions.pop_front_if(|first| first.is_over()) else {
            return;
        };
        self.reports.push(transaction.report(self.peer_notifies()));
        if self.turn == Turn::Listening {
            self.turn = Turn::Ask;
        }
    }

    /// The connection is of no use any more. `outcome` is what became of the oldest transaction;
    /// the others know only that nobody answered them.
    pub(super) fn fail(&mut self, outcome: Outcome) {
        self.awaited.clear();
        if self.transactions.is_empty() {
            if self.turn != Turn::Close {
                self.turn = Turn::Hopeless(outcome);
            }
            return;
        }
        let others = match &outcome {
            Outcome::Lost(_) => outcome.clone(),
            Outcome::Replied(reply) => {
                let (code, text) = (reply.code, &reply.text);
                Outcome::Lost(format!("the peer hung up with {code} {text}"))
            }
        };
        self.settle_all(&outcome, &others);
        self.turn = Turn::Close;
    }

    /// What is known of all that was given and not told of, when the connection ends: recipients
    /// already answered keep their answer, the others are [`Outcome::Lost`] with this reason.
    pub fn abandon(&mut self, reason: &str) -> Vec<(Ticket, Report)> {
        let first = Outcome::Lost(self.place(reason));
        self.settle_all(&first, &Outcome::Lost(reason.to_owned()));
        self.turn = Turn::Close;
        self.awaited.clear();
        let notifies = self.peer_notifies();
        let mut reports = std::mem::take(&mut self.reports);
        reports.extend(self.transactions.drain(..).map(|one| one.report(notifies)));
        reports
    }

    fn settle_all(&mut self, first: &Outcome, others: &Outcome) {
        for (number, transaction) in self.transactions.iter_mut().enumerate() {
            transaction.settle_rest(if number == 0 { first } else { others });
        }
    }

    /// Whether transactions may follow each other without waiting.
    fn is_windowed(&self) -> bool {
        let offered = self.capabilities;
        offered.pipelining && offered.chunking && offered.delivery_ids
    }

    /// Whether one more fits; one that was given already counts.
    fn has_room(&self) -> bool {
        let given = self.turn == Turn::Envelope;
        let replies: usize = self.transactions.iter().map(Transaction::replies).sum();
        self.transactions.len() < TRANSACTIONS + usize::from(given)
            && replies < REPLIES
            && self.octets() < OCTETS
    }

    /// Whether the end of this message may leave before it is known who was accepted.
    fn goes_ahead(&self, transaction: &Transaction) -> bool {
        self.is_windowed() && transaction.envelope.recipients.len() <= GROUP
    }

    fn octets(&self) -> usize {
        self.awaited.iter().map(|command| command.octets()).sum()
    }

    fn peer_notifies(&self) -> bool {
        self.capabilities.notifications && self.setup.dialect != Dialect::Lmtp
    }
}
