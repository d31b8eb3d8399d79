//! Answers the questions of one client session: which message next, and its blocks.

use std::collections::VecDeque;
use std::sync::Arc;

use mail_common::log::Id;
use mail_common::serve::Backend;
use mail_proto::smtp::client::{Answer, Block, Client, Outcome, Report, Request, Ticket};
use mail_spool::Message;
use tracing::error;

use super::lane::Listener;
use super::{Done, Job, Lane};
use crate::queue::{Body, Damage, Queue, QueueError};

/// One connection's messages.
#[derive(Debug)]
pub(super) struct Carrier {
    lane: Arc<Lane>,
    relay: String,
    listener: Listener,
    /// What the connection was made for, until it was asked for.
    first: Option<Job>,
    /// Under way, the oldest first.
    carried: VecDeque<(Ticket, Job)>,
    reading: Option<Reading>,
    damage: Option<(Ticket, Damage)>,
    last_ticket: Ticket,
    heard: Heard,
}

/// What the peer has answered of the transactions that it was given.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    /// None yet.
    Nothing,
    /// Some.
    Some,
    /// All, and no word since.
    All,
}

/// A message that is being read.
#[derive(Debug)]
struct Reading {
    id: Id,
    ticket: Ticket,
    body: Box<Body>,
    /// Read ahead, because the session wants to know which block is the last.
    next: Vec<u8>,
}

impl Carrier {
    pub(super) fn new(lane: Arc<Lane>, relay: String, first: Job) -> Self {
        Self {
            lane,
            relay,
            listener: Listener::default(),
            first: Some(first),
            carried: VecDeque::new(),
            reading: None,
            damage: None,
            last_ticket: Ticket(0),
            heard: Heard::Nothing,
        }
    }

    /// The connection is over. `reports` is what the session knows of the messages under way.
    pub(super) fn over(mut self, reports: Vec<(Ticket, Report)>, reason: &str) {
        self.lane.leave(&self.listener);
        for (ticket, report) in reports {
            let Some(job) = self.take(ticket) else { continue };
            let unheard = report.recipients.iter().all(|one| matches!(one, Outcome::Lost(_)));
            let damaged = self.damage.as_ref().is_some_and(|(damaged, _)| *damaged == ticket);
            if unheard && self.heard == Heard::All && !job.again && !damaged {
                // The peer hung up while the connection was idle, as it may: that says nothing
                // of the message.
                Lane::deliver(&self.lane, Job { again: true, ..job });
            } else {
                self.tell(ticket, job, report);
            }
        }
        let unasked = self.first.take().into_iter();
        let unasked: Vec<_> = unasked.chain(self.carried.drain(..).map(|(_, job)| job)).collect();
        for job in unasked {
            let recipients = vec![Outcome::Lost(reason.to_owned()); job.envelope.recipients.len()];
            self.tell(Ticket(0), job, Report { recipients, notifies: false });
        }
    }

    async fn next(&mut self, reports: Vec<(Ticket, Report)>, in_flight: usize) -> Answer {
        self.lane.leave(&self.listener);
        if !reports.is_empty() {
            self.heard = if in_flight == 0 { Heard::All } else { Heard::Some };
        }
        for (ticket, report) in reports {
            if let Some(job) = self.take(ticket) {
                self.tell(ticket, job, report);
            }
        }
        let job = match self.first.take() {
            Some(first) => Some(first),
            None if in_flight > 0 => self.lane.next_at_once(),
            None => self.lane.next(&self.listener).await,
        };
        self.carry(job)
    }

    fn carry(&mut self, job: Option<Job>) -> Answer {
        let Some(job) = job else { return Answer::Next(None) };
        self.last_ticket.0 += 1;
        let (ticket, envelope) = (self.last_ticket, job.envelope.clone());
        self.carried.push_back((ticket, job));
        Answer::Next(Some((ticket, envelope)))
    }

    fn take(&mut self, ticket: Ticket) -> Option<Job> {
        let place = self.carried.iter().position(|(carried, _)| *carried == ticket)?;
        self.carried.remove(place).map(|(_, job)| job)
    }

    async fn block(&mut self, ticket: Ticket) -> Answer {
        let job = self.carried.iter().find(|(carried, _)| *carried == ticket);
        let Some((_, Job { id, message, .. })) = job else { return Answer::Unreadable };
        let (id, queue, message) = (*id, self.lane.queue.clone(), message.clone());
        let at_once = message.as_ref().is_some_and(|message| message.is_in_memory());
        let reading = self.reading.take().filter(|reading| reading.ticket == ticket);
        let read = move || match reading {
            Some(reading) => reading.block(),
            None => Reading::begin(&queue, message.as_ref(), id, ticket)?.block(),
        };
        let read = if at_once { Some(read()) } else { self.lane.disk.run(read).await };
        match read {
            Some(Ok((block, reading))) => {
                self.reading = reading;
                Answer::Body(block)
            }
            // What cannot be read now may be read later: it is no damage.
            Some(Err(QueueError::Damaged { damage, .. }))
                if !matches!(damage, Damage::Unreadable(_)) =>
            {
                self.damage = Some((ticket, damage));
                Answer::Unreadable
            }
            Some(Err(error)) => {
                error!("cannot read a message: {error}");
                Answer::Unreadable
            }
            None => Answer::Unreadable,
        }
    }

    fn tell(&mut self, ticket: Ticket, job: Job, report: Report) {
        let done = match self.damage.take_if(|(damaged, _)| *damaged == ticket) {
            Some((_, damage)) => Done::Damaged(damage),
            None => Done::Reported { relay: self.relay.clone(), report },
        };
        // Who does not wait any more was stopped, and asks again after the next start.
        let _ = job.done.send(done);
    }
}

/// One whose session panicked must not be woken any more: the job that it was woken for would lie in
/// line until another connection is done with something.
impl Drop for Carrier {
    fn drop(&mut self) {
        self.lane.leave(&self.listener);
    }
}

impl Backend<Client> for Carrier {
    async fn perform(&mut self, request: Request) -> Answer {
        match request {
            Request::Next { reports, in_flight } => self.next(reports, in_flight).await,
            Request::Body(ticket) => self.block(ticket).await,
        }
    }

    async fn news(&mut self) -> Answer {
        let job = self.lane.more(&self.listener, self.carried.len()).await;
        self.carry(Some(job))
    }
}

impl Reading {
    fn begin(
        queue: &Queue,
        message: Option<&Arc<Message>>,
        id: Id,
        ticket: Ticket,
    ) -> Result<Self, QueueError> {
        let body = match message {
            Some(message) => message.body().map_err(|damage| QueueError::Damaged { id, damage })?,
            None => queue.body(id)?,
        };
        let mut body = Box::new(body);
        let next = block_of(&mut body, id)?;
        Ok(Self { id, ticket, body, next })
    }

    /// The next block, and what is needed to read on.
    fn block(mut self) -> Result<(Block, Option<Self>), QueueError> {
        let octets = std::mem::take(&mut self.next);
        if !octets.is_empty() {
            self.next = block_of(&mut self.body, self.id)?;
        }
        let last = self.next.is_empty();
        Ok((Block { octets, last }, (!last).then_some(self)))
    }
}

fn block_of(body: &mut Body, id: Id) -> Result<Vec<u8>, QueueError> {
    body.block().map_err(|damage| QueueError::Damaged { id, damage })
}
