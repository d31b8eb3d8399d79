//! What an attempt has to tell, and to whom, before it is recorded.

use std::sync::Arc;

use mail_proto::dsn::{Action, Told, Words};
use mail_proto::smtp;
use tracing::{error, info, warn};

use super::Attempt;
use crate::notify::{self, Audience, Fate, Planned, Rules};
use crate::queue::{Damage, QueueError, Recipient, State};
use crate::route::Route;
use crate::schedule::Cause;

impl Attempt {
    /// Queues the notifications of this attempt. Only then what they tell is recorded.
    pub(super) async fn tell(&mut self) {
        let fates = std::mem::take(&mut self.fates);
        let (site, sender) = (Arc::clone(&self.routes.site), &self.entry.letter.sender);
        let (hostname, local) = (&site.hostname, site.domains.local.as_slice());
        let rules = Rules { hostname, local, copies: &site.mtad.notify_postmaster };
        let planned = notify::plan(sender, &fates, &rules);
        let failed = |fate: &Fate| fate.action == Action::Failed;
        let bounces = planned.iter().any(Planned::bounces);
        if fates.iter().any(failed) && !bounces {
            let id = self.entry.id;
            warn!("{id}: from={sender}, undeliverable, and no sender wants to hear of it");
        }
        let mut untold = Vec::new();
        for notification in planned {
            let (audience, action) = (notification.audience, notification.action);
            // Where no sender hears of a failure, postmaster's copy is all that is left of it.
            let counts = audience == Audience::Sender || (action == Action::Failed && !bounces);
            if !self.send(notification).await && counts {
                untold.push(action);
            }
        }
        fates.into_iter().for_each(|fate| self.told(&fate, !untold.contains(&fate.action)));
        if untold.contains(&Action::Failed) {
            self.defer(Cause::Peer);
        }
    }

    /// Records what became of a recipient, once its sender knows where it wants to.
    fn told(&mut self, fate: &Fate, is_told: bool) {
        let progress = &mut self.entry.progress;
        match fate.action {
            Action::Failed if is_told => progress.set(fate.number, State::Failed),
            // Nobody could be told, so nobody is given up.
            Action::Failed => self.wait(fate.number, fate.told.words.as_str()),
            Action::Delayed => progress.delay_told |= is_told,
            // Better untold than delivered twice.
            Action::Delivered | Action::Relayed => progress.set(fate.number, State::Delivered),
        }
    }

    /// Queues a notification; says whether that is done.
    async fn send(&mut self, planned: Planned) -> bool {
        let (id, kind) = (self.entry.id, planned.to_string());
        let is_copy = planned.audience == Audience::Postmaster;
        if is_copy && matches!(self.routes.find(&planned.to).await, Ok(Route::NoPostmaster)) {
            warn!("{id}: no {kind}: nobody reads postmaster's mail (mtad.postmaster)");
            return true;
        }
        let site = Arc::clone(&self.routes.site);
        let sent = self.in_queue(move |queue, entry| notify::send(queue, &site, entry, &planned));
        let error = match sent.await {
            Some(Ok(notification)) => {
                info!("{id}: {kind}: {}", notification.id);
                info!("{}: parent={id}", notification.id);
                self.mtad.enqueue(notification);
                return true;
            }
            // Its header cannot be told, today or tomorrow: a person shall look at it.
            Some(Err(QueueError::Damaged { damage, .. }))
                if !matches!(damage, Damage::Unreadable(_)) =>
            {
                let text = damage.to_string();
                self.damage = Some(damage);
                text
            }
            Some(Err(error)) => error.to_string(),
            None => "the work panicked".to_owned(),
        };
        error!("{id}: {kind} cannot be queued: {error}");
        false
    }

    /// A failure, as long as nothing else is said.
    pub(super) fn fate(&self, recipient: &Recipient, status: &str, words: Words) -> Fate {
        let smtp::Recipient { address, notify, original, .. } = self.asked(recipient);
        let status = status.to_owned();
        let told = Told { recipient: address, original, status, remote_mta: None, words };
        Fate { number: recipient.number, action: Action::Failed, notify, told }
    }
}
