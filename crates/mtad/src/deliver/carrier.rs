//! Answers the questions of one client session: which message next, and its blocks.

use std::sync::Arc;

use mail_common::serve::Backend;
use mail_proto::smtp::client::{Answer, Client, Outcome, Report, Request};
use tracing::error;

use super::{Done, Job, Lane};
use crate::queue::{Body, Damage, QueueError};

/// One connection's messages.
#[derive(Debug)]
pub(super) struct Carrier {
    lane: Arc<Lane>,
    relay: String,
    stage: Stage,
    body: Option<Box<Body>>,
    damage: Option<Damage>,
    /// Transactions that this connection has brought to their end.
    served: usize,
}

#[derive(Debug)]
enum Stage {
    /// This is the first message.
    First(Job),
    /// This one is under way.
    Carrying(Job),
    /// None is.
    Between,
}

impl Carrier {
    pub(super) fn new(lane: Arc<Lane>, relay: String, first: Job) -> Self {
        let stage = Stage::First(first);
        Self { lane, relay, stage, body: None, damage: None, served: 0 }
    }

    /// The connection is over. `report` is what the session knows of the message under way.
    pub(super) fn over(mut self, report: Option<Report>, reason: &str) {
        let job = match std::mem::replace(&mut self.stage, Stage::Between) {
            Stage::First(job) | Stage::Carrying(job) => job,
            Stage::Between => return,
        };
        let outcomes = match report {
            Some(report) => report.recipients,
            None => vec![Outcome::Lost(reason.to_owned()); job.envelope.recipients.len()],
        };
        let unheard = outcomes.iter().all(|outcome| matches!(outcome, Outcome::Lost(_)));
        if unheard && self.served > 0 && !job.again && self.damage.is_none() {
            // The peer hung up while the connection was idle, as it may: that says nothing of it.
            return Lane::deliver(&self.lane, Job { again: true, ..job });
        }
        self.tell(job, outcomes);
    }

    async fn next(&mut self, report: Option<Report>) -> Answer {
        self.body = None;
        let job = match std::mem::replace(&mut self.stage, Stage::Between) {
            Stage::First(job) => Some(job),
            Stage::Carrying(job) => {
                self.served += 1;
                self.tell(job, report.map(|report| report.recipients).unwrap_or_default());
                self.lane.next().await
            }
            Stage::Between => self.lane.next().await,
        };
        let Some(job) = job else { return Answer::Next(None) };
        let envelope = job.envelope.clone();
        self.stage = Stage::Carrying(job);
        Answer::Next(Some(envelope))
    }

    async fn block(&mut self) -> Answer {
        let Stage::Carrying(Job { id, .. }) = &self.stage else { return Answer::Unreadable };
        let (id, queue, open) = (*id, self.lane.queue.clone(), self.body.take());
        let read = self.lane.disk.run(move || {
            let mut body = match open {
                Some(body) => body,
                None => Box::new(queue.body(&id)?),
            };
            let block = body.block().map_err(|damage| QueueError::Damaged { id, damage })?;
            Ok((body, block))
        });
        match read.await {
            Some(Ok((body, block))) => {
                self.body = Some(body);
                Answer::Body(block)
            }
            // What cannot be read now may be read later: it is no damage.
            Some(Err(QueueError::Damaged { damage, .. }))
                if !matches!(damage, Damage::Unreadable(_)) =>
            {
                self.damage = Some(damage);
                Answer::Unreadable
            }
            Some(Err(error)) => {
                error!("cannot read a message: {error}");
                Answer::Unreadable
            }
            None => Answer::Unreadable,
        }
    }

    fn tell(&mut self, job: Job, outcomes: Vec<Outcome>) {
        let done = match self.damage.take() {
            Some(damage) => Done::Damaged(damage),
            None => Done::Reported { relay: self.relay.clone(), outcomes },
        };
        // Who does not wait any more was stopped, and asks again after the next start.
        let _ = job.done.send(done);
    }
}

impl Backend<Client> for Carrier {
    async fn perform(&mut self, request: Request) -> Answer {
        match request {
            Request::Next(report) => self.next(report).await,
            Request::Body => self.block().await,
        }
    }
}
