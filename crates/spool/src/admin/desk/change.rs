//! Changes messages: each is taken, changed on the disk, told to the scheduler, and given back.

use std::sync::mpsc::{Receiver, channel};

use mail_common::log::Id;
use mail_common::time;
use tracing::info;

use super::{Desk, Say, Stop, done, now, refused, wait};
use crate::admin::{Action, Changed, Claim, Effect, Filter, Refusal};
use crate::{Entry, SpoolError, Then};

/// Messages that are changed together.
const TOGETHER: usize = 256;

/// A message whose change is being made durable.
struct Pending {
    id: Id,
    changed: Changed,
    durable: Receiver<Result<(), SpoolError>>,
    claim: Claim,
}

impl Desk {
    /// Changes messages; how many.
    pub(super) fn change(
        &self,
        who: u32,
        action: &Action,
        filter: &Filter,
        say: Say<'_>,
    ) -> Result<u64, Stop> {
        let mut count = 0;
        let is_named = filter.exact_ids().is_some();
        for ids in self.candidates(filter, say)?.chunks(TOGETHER) {
            let mut pending = Vec::new();
            let mut refusals = Vec::new();
            for &id in ids {
                match self.begin(id, action, filter) {
                    Ok(begun) => pending.extend(begun),
                    Err(refusal) if refusal.is_idle() && !is_named => {}
                    Err(refusal) => refusals.push((id, refusal)),
                }
            }
            // All of them end, and the scheduler hears of them, even if nobody listens any more.
            let ended: Vec<_> = pending.into_iter().map(|one| self.end(one)).collect();
            for (id, result) in ended {
                match result {
                    Ok(()) => {
                        count += 1;
                        info!("{id}: {} by uid {who}", action.done());
                        say(done(id, action.done().to_owned()))?;
                    }
                    Err(refusal) => refusals.push((id, refusal)),
                }
            }
            for (id, refusal) in refusals {
                say(refused(id, &refusal))?;
            }
        }
        Ok(count)
    }

    /// Writes what an action comes to; nothing, if another message was meant.
    fn begin(&self, id: Id, action: &Action, filter: &Filter) -> Result<Option<Pending>, Refusal> {
        let claim = self.under_way.change(id);
        let entry = self.spool.entry(id).map_err(|error| Refusal::Trouble(error.to_string()))?;
        let Entry { letter, progress, size } = entry.ok_or(Refusal::Gone)?;
        if !filter.is_met(&letter, &progress, size, now()) {
            return Ok(None);
        }
        let effect = action.plan(&letter, &progress, time::now_micros())?;
        // Last: who is not meant need not hear of it.
        let claim = claim.ok_or(Refusal::BeingDelivered)?;
        let (told, durable) = channel();
        // Nobody waits any more only where this thread was ended.
        let then: Then = Box::new(move |result| drop(told.send(result)));
        let changed = effect.changed(id);
        match effect {
            Effect::Record(progress) => self.spool.record(id, &progress, then),
            Effect::Rewrite(letter, progress) => {
                // What a row says of a progress is taken from the letter that holds.
                wait(|then| self.spool.change(&letter, then))
                    .map_err(|error| Refusal::Trouble(error.to_string()))?;
                self.spool.record(id, &progress, then);
            }
            Effect::Finish => self.spool.finish(id, then),
        }
        Ok(Some(Pending { id, changed, durable, claim }))
    }

    /// Waits until a change is durable, tells the scheduler, and gives the message back.
    fn end(&self, pending: Pending) -> (Id, Result<(), Refusal>) {
        let Pending { id, changed, durable, claim } = pending;
        let result = durable.recv().unwrap_or(Err(SpoolError::Stopped));
        // What may have been written counts as written: the scheduler reads again what holds.
        (self.tell)(changed);
        drop(claim);
        (id, result.map_err(|error| Refusal::Trouble(error.to_string())))
    }
}
