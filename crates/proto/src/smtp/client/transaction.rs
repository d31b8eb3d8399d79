//! A message under way: what was said of it, and what is known of each recipient.

use super::body::Body;
use super::{Outcome, Report, Ticket};
use crate::smtp::Envelope;

/// A message under way.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) ticket: Ticket,
    pub(super) envelope: Envelope,
    pub(super) stage: Stage,
    /// Commands that were said of it and not answered yet.
    pub(super) unanswered: usize,
    /// Whether MAIL was accepted.
    pub(super) opened: bool,
    /// For each recipient, in order.
    fates: Vec<Fate>,
}

/// What was said of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing.
    Mail,
    /// MAIL, and so many recipients.
    Recipients(usize),
    /// All recipients.
    Named,
    /// DATA.
    Data,
    /// DATA, and some of the message; 354 was heard.
    Lines(Body),
    /// Some of the message in BDAT.
    Chunks,
    /// All that will ever be said.
    Said,
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
    pub(super) fn new(ticket: Ticket, envelope: Envelope) -> Self {
        let fates = vec![Fate::Unanswered; envelope.recipients.len()];
        Self { ticket, envelope, stage: Stage::Mail, unanswered: 0, opened: false, fates }
    }

    /// Whether nothing is left to say or to hear of it.
    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Said && self.unanswered == 0
    }

    /// Whether there is nobody left to bring the message to.
    pub(super) fn is_settled(&self) -> bool {
        self.fates.iter().all(|fate| matches!(fate, Fate::Settled(_)))
    }

    /// Recipients that were accepted, and wait for the last word.
    pub(super) fn accepted(&self) -> usize {
        self.fates.iter().filter(|fate| **fate == Fate::Accepted).count()
    }

    /// Replies that the peer may give to it, RSET before it included.
    pub(super) fn replies(&self) -> usize {
        3 + 2 * self.envelope.recipients.len()
    }

    /// RCPT was answered, unless MAIL was refused, and with it all that was sent behind.
    pub(super) fn recipient_replied(&mut self, number: usize, refusal: Option<Outcome>) {
        if let Some(fate @ Fate::Unanswered) = self.fates.get_mut(number) {
            *fate = refusal.map_or(Fate::Accepted, Fate::Settled);
        }
    }

    /// LMTP answers the accepted recipients in order (RFC 2033, 4.2).
    pub(super) fn settle_first_accepted(&mut self, outcome: Outcome) {
        if let Some(fate) = self.fates.iter_mut().find(|fate| **fate == Fate::Accepted) {
            *fate = Fate::Settled(outcome);
        }
    }

    /// Gives every recipient without a last word this one.
    pub(super) fn settle_rest(&mut self, outcome: &Outcome) {
        for fate in self.fates.iter_mut().filter(|fate| !matches!(fate, Fate::Settled(_))) {
            *fate = Fate::Settled(outcome.clone());
        }
    }

    pub(super) fn report(self, notifies: bool) -> (Ticket, Report) {
        let outcome = |fate| match fate {
            Fate::Settled(outcome) => outcome,
            Fate::Unanswered | Fate::Accepted => Outcome::Lost("no answer".to_owned()),
        };
        let recipients = self.fates.into_iter().map(outcome).collect();
        (self.ticket, Report { recipients, notifies })
    }
}
