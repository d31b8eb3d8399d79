//! What is left of a message after an attempt: who is given up, who waits and until when.

use std::sync::Arc;

use mail_common::time;
use mail_proto::dsn::{Action, Words};
use tracing::{error, info};

use super::{Again, Attempt, Ended, Left};
use crate::lanes::Lanes;
use crate::notify::{self, Fate};
use crate::queue::{Damage, Entry, Recipient, State};
use crate::schedule::{self, Cause, Destination};
use crate::verdict::Verdict;

/// RFC 3463, 3.8: somebody here decided so.
const GIVEN_UP: &str = "5.7.0";

impl Attempt {
    /// Gives everybody up who waits, without an attempt: an admin wants it, or they are too old,
    /// and their destination was seen to be dead for long.
    pub(crate) async fn expire(mut self, trouble: Option<String>) -> Ended {
        if let Some(why) = self.entry.progress.given_up.clone() {
            return self.give_up(&why).await;
        }
        self.trouble = trouble;
        for recipient in self.waiting() {
            let fate = self.fate_without_attempt(&recipient);
            self.give_up_as_too_old(fate);
        }
        // What was learnt long ago is no news of the destination.
        self.trouble = None;
        self.conclude().await
    }

    /// Gives everybody up who waits, as an admin wants it.
    pub(super) async fn give_up(mut self, why: &str) -> Ended {
        for recipient in self.waiting() {
            let words = Words::Ours(why.to_owned());
            let fate = self.fate(&recipient, GIVEN_UP, words);
            self.fates.push(fate);
        }
        self.conclude().await
    }

    /// Tells a sender that its message takes longer than usual, without an attempt: its destination
    /// is dead.
    pub(crate) async fn warn(mut self, trouble: Option<String>) {
        let message = Arc::clone(&self.message);
        let mut message = message.lock().await;
        // An attempt may have ended meanwhile.
        self.entry.progress.clone_from(&message.progress);
        self.trouble = trouble;
        if !message.progress.is_done() && self.is_late() && !self.lanes.is_stopping() {
            self.delay(&message);
            self.tell().await;
            self.record(&mut message).await;
        }
    }

    /// Records or removes, once everybody is told who has to be.
    pub(super) async fn settle(&mut self) -> Option<Left> {
        let message = Arc::clone(&self.message);
        // Attempts at other destinations wait meanwhile: a delay is told once.
        let mut message = message.lock().await;
        if self.damage.is_none() {
            self.entry.progress.delay_told = message.progress.delay_told;
            self.expire_or_defer(&message);
            self.tell().await;
        }
        if let Some(damage) = self.damage.take() {
            return Some(self.put_aside(&damage, &mut message).await);
        }
        self.merge_into(&mut message);
        if !message.progress.is_done() {
            self.record(&mut message).await;
            let again = (!self.waiting().is_empty()).then(|| self.again());
            return Some(Left { entry: message.clone(), again });
        }
        self.mtad.finish(self.entry.id);
        info!("{}: removed", self.entry.id);
        None
    }

    /// What is damaged is held, with all that is left of it, for a person to look at.
    async fn put_aside(&mut self, damage: &Damage, message: &mut Entry) -> Left {
        error!("{}: held, for it cannot be sent: {damage}", self.entry.id);
        for fate in std::mem::take(&mut self.fates) {
            // Better untold than delivered twice, once it is released.
            if matches!(fate.action, Action::Delivered | Action::Relayed) {
                self.entry.progress.set(fate.number, State::Delivered);
            }
        }
        message.progress.hold = Some(format!("damaged: {damage}"));
        self.record(message).await;
        Left { entry: message.clone(), again: None }
    }

    /// Those who wait for this attempt.
    fn waiting(&self) -> Vec<Recipient> {
        self.own.iter().filter(|one| self.waits(one.number)).cloned().collect()
    }

    fn waits(&self, number: usize) -> bool {
        matches!(self.entry.progress.recipients.get(number), Some(State::Waiting(_)))
    }

    fn expire_or_defer(&mut self, message: &Entry) {
        let mut waiting = self.waiting();
        waiting.retain(|one| self.fates.iter().all(|fate| fate.number != one.number));
        if waiting.is_empty() {
            return;
        }
        let cause = self.cause.unwrap_or(Cause::Peer);
        self.defer(cause);
        let (now, settings) = (time::now_micros(), &self.routes.site.mtad);
        // What we break off because we stop may have arrived: nothing is given up for that.
        if cause == Cause::Stopping || self.lanes.is_stopping() {
            return;
        }
        if schedule::is_expired(&self.entry, now, settings) {
            for recipient in waiting {
                let fate = self.known_fate(&recipient);
                self.give_up_as_too_old(fate);
            }
            return;
        }
        if self.is_late() {
            self.delay(message);
        }
    }

    /// Whether its sender is to be told by now that it takes longer than usual.
    fn is_late(&self) -> bool {
        let warning = self.routes.site.mtad.delay_warning;
        let due = notify::delay_due(self.entry.letter.arrived, warning);
        !self.entry.progress.delay_told && due.is_some_and(|due| due <= time::now_micros())
    }

    /// All who wait are told of together, wherever they wait.
    fn delay(&mut self, message: &Entry) {
        for recipient in message.waiting() {
            let number = recipient.number;
            let is_known = self.fates.iter().any(|fate| fate.number == number);
            if !is_known && self.waits(number) {
                let fate = self.known_fate(&recipient);
                self.fates.push(Fate { action: Action::Delayed, ..fate });
            }
        }
    }

    /// As this attempt saw it, else as the one before it.
    fn known_fate(&self, recipient: &Recipient) -> Fate {
        let known = self.waiting.iter().find(|fate| fate.number == recipient.number);
        known.cloned().unwrap_or_else(|| self.fate_without_attempt(recipient))
    }

    fn fate_without_attempt(&self, recipient: &Recipient) -> Fate {
        let is_foreign = Lanes::leads_out(self.lanes.destination(&recipient.address));
        let reason = self.last_reason(recipient.number).filter(|_| is_foreign);
        let words = reason.map_or_else(notify::our_trouble, |why| Words::Ours(why.to_owned()));
        self.fate(recipient, "4.0.0", words)
    }

    /// Why a recipient waits: what was heard of it last, else of its destination.
    fn last_reason(&self, number: usize) -> Option<&str> {
        match self.entry.progress.recipients.get(number) {
            Some(State::Waiting(Some(why))) => Some(why),
            _ => self.trouble.as_deref(),
        }
    }

    /// Gives up who has waited for too long. The last words that were heard stand for all.
    fn give_up_as_too_old(&mut self, mut fate: Fate) {
        let (number, address) = (fate.number, fate.told.recipient.clone());
        let last = self.last_reason(number);
        let text = last.map_or("too old".to_owned(), |last| format!("too old; last: {last}"));
        // RFC 3463, 3.5: delivery time expired.
        fate.told.status = "4.4.7".to_owned();
        let verdict = Verdict::Bounced { text, status: fate.told.status.clone() };
        self.log(&Recipient { number, address }, &fate.told.recipient, "none", &verdict);
        self.fates.push(fate);
    }

    /// Notes in the message what became of this attempt's recipients.
    pub(super) fn merge_into(&self, message: &mut Entry) {
        let (own, whole) = (&self.entry.progress, &mut message.progress);
        for recipient in &self.own {
            if let Some(state) = own.recipients.get(recipient.number) {
                whole.set(recipient.number, state.clone());
            }
        }
        whole.attempts = whole.attempts.max(own.attempts);
        whole.delay_told |= own.delay_told;
        if self.turn.destination == Destination::LOCAL {
            whole.outages = own.outages;
        }
        // The next process knows of one time only: the first at which anything is due.
        whole.due = match self.due {
            Some(due) if whole.due > time::now_micros() => whole.due.min(due),
            Some(due) => due,
            None => whole.due,
        };
    }

    pub(super) fn defer(&mut self, cause: Cause) {
        let (now, settings) = (time::now_micros(), &self.routes.site.mtad);
        schedule::defer(&mut self.entry, cause, now, settings);
        // Its sender shall hear of a delay in time, and that needs an attempt.
        let (letter, progress) = (&self.entry.letter, &mut self.entry.progress);
        let warning = notify::delay_due(letter.arrived, settings.delay_warning);
        if let Some(warning) = warning.filter(|at| *at > now && !progress.delay_told) {
            progress.due = progress.due.min(warning);
        }
        self.due = Some(progress.due);
    }

    fn again(&self) -> Again {
        Again { due: self.entry.progress.due, attempts: self.entry.progress.attempts }
    }
}
