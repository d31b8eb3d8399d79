//! One attempt to bring a message to all who still wait for it at one destination.
//!
//! A message for several destinations may have an attempt at each of them at the same time. Each
//! minds its own recipients, and has the others in its [`Message`] only while it records.
//!
//! The order of things is what keeps the law of the queue: a success is recorded when it is
//! heard, so that a delivery is repeated only if we die in between; a failure is recorded only
//! once the notification of it is in the queue itself; and the message is removed last.

mod settle;

use std::sync::Arc;

use mail_common::config::NextHop;
use mail_common::time;
use mail_proto::address::Address;
use mail_proto::dsn::FailedRecipient;
use mail_proto::smtp::client::Outcome;
use mail_proto::smtp::{Envelope, Recipient as To};
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use crate::Mtad;
use crate::bounce;
use crate::deliver::{Done, Job, Lane, Target};
use crate::lanes::Lanes;
use crate::queue::{Damage, Entry, Queue, QueueError, Recipient, State};
use crate::route::{Route, Routes};
use crate::schedule::{Cause, Feedback, Turn};
use crate::verdict::{Verdict, feedback, judge};

/// A message as it is recorded, for the attempts that are about it.
pub(crate) type Message = Mutex<Entry>;

/// Recipients of a transaction with the next hop: RFC 5321, 4.5.3.1.8 lets it refuse more.
const TRANSACTION: usize = 100;
/// Characters of a reason that are kept.
const REASON: usize = 500;

/// One attempt.
#[derive(Debug)]
pub(crate) struct Attempt {
    mtad: Arc<Mtad>,
    routes: Arc<Routes>,
    lanes: Arc<Lanes>,
    message: Arc<Message>,
    turn: Turn,
    /// The message as this attempt sees it: only its own recipients count.
    entry: Entry,
    /// Those who waited here when it began.
    own: Vec<Recipient>,
    failures: Vec<Failure>,
    /// Why recipients go on waiting, if any do.
    cause: Option<Cause>,
    /// When it is tried next, once that was decided.
    due: Option<u64>,
    damage: Option<Damage>,
    feedback: Feedback,
    trouble: Option<String>,
}

/// What came of an attempt.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) turn: Turn,
    /// What it says of the destination.
    pub(crate) feedback: Feedback,
    /// What was wrong with the destination.
    pub(crate) trouble: Option<String>,
    /// What is left to do; `None`: the message is gone.
    pub(crate) left: Option<Left>,
}

/// What is left to do for a message.
#[derive(Debug)]
pub(crate) struct Left {
    /// As it is recorded now.
    pub(crate) entry: Entry,
    /// Whether this destination is to be tried again.
    pub(crate) again: Option<Again>,
}

/// When a destination is tried again with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Again {
    /// In microseconds since 1970.
    pub(crate) due: u64,
    /// Attempts so far.
    pub(crate) attempts: u32,
}

/// A recipient that is to be given up.
#[derive(Debug)]
struct Failure {
    number: usize,
    told: FailedRecipient,
}

/// Recipients of one transaction, and where they are carried.
#[derive(Debug)]
struct Transaction {
    lane: Arc<Lane>,
    recipients: Vec<(Recipient, Address)>,
    delivery_id: Option<String>,
}

/// The connection was cut off before it told what became of a transaction. If that was not because
/// we stop, it panicked, and may do so again: not a reason to try without a pause.
fn nobody_told(lane: &Lane) -> Done {
    match lane.stop.is_cancelled() {
        true => Done::Stopping,
        false => Done::Unreachable("the delivery broke off".to_owned()),
    }
}

impl Attempt {
    pub(crate) async fn new(
        mtad: Arc<Mtad>,
        lanes: Arc<Lanes>,
        message: Arc<Message>,
        turn: Turn,
    ) -> Self {
        let mut entry = message.lock().await.clone();
        // Of this destination.
        entry.progress.attempts = turn.attempts.into();
        let mut own = entry.waiting();
        own.retain(|recipient| lanes.destination(&recipient.address) == turn.destination);
        Self {
            mtad,
            routes: Arc::clone(lanes.routes()),
            lanes,
            message,
            turn,
            entry,
            own,
            failures: Vec::new(),
            cause: None,
            due: None,
            damage: None,
            feedback: Feedback::Stopped,
            trouble: None,
        }
    }

    /// Carries it out.
    pub(crate) async fn run(mut self) -> Ended {
        let mut under_way = JoinSet::new();
        for transaction in self.transactions().await {
            let (id, envelope) = (self.entry.id, self.envelope(&transaction));
            let (done, told) = oneshot::channel();
            Lane::deliver(&transaction.lane, Job { id, envelope, done, again: false });
            under_way.spawn(async {
                let done = told.await.unwrap_or_else(|_| nobody_told(&transaction.lane));
                (transaction, done)
            });
        }
        while let Some(joined) = under_way.join_next().await {
            let Ok((transaction, done)) = joined else { continue };
            let delivered = self.note(&transaction, done);
            if delivered && !under_way.is_empty() {
                let mut message = self.message.lock().await;
                self.record(&mut message).await;
            }
        }
        self.conclude().await
    }

    /// Who is carried where. A local recipient has a transaction of its own, because its
    /// XDELIVERID is its own.
    async fn transactions(&mut self) -> Vec<Transaction> {
        let mut transactions = Vec::new();
        // All of an attempt have one next hop; mail for postmaster may add another.
        let mut foreign: Vec<(NextHop, Vec<(Recipient, Address)>)> = Vec::new();
        for recipient in self.own.clone() {
            match self.routes.find(&recipient.address).await {
                Ok(Route::Local(to)) => transactions.push(Transaction {
                    lane: self.lanes.local(),
                    delivery_id: Some(format!("{}.{}", self.entry.id, recipient.number)),
                    recipients: vec![(recipient, to)],
                }),
                Ok(Route::Foreign { to, next_hop: Some(hop) }) => {
                    match foreign.iter_mut().find(|(other, _)| *other == hop) {
                        Some((_, group)) => group.push((recipient, to)),
                        None => foreign.push((hop, vec![(recipient, to)])),
                    }
                }
                Ok(Route::Foreign { next_hop: None, .. }) => {
                    let why = "no next hop is configured (mtad.next_hop)";
                    self.put_off(&recipient, why, Cause::Peer);
                }
                Ok(Route::NoPostmaster) => {
                    let why = "nobody reads postmaster's mail (mtad.postmaster)";
                    self.put_off(&recipient, why, Cause::Peer);
                }
                Err(error) => self.put_off(&recipient, &error.to_string(), Cause::Peer),
            }
        }
        transactions.extend(foreign.iter().flat_map(|(hop, group)| {
            group.chunks(TRANSACTION).map(|group| {
                let (lane, recipients) = (self.lanes.next_hop(hop), group.to_vec());
                Transaction { lane, recipients, delivery_id: None }
            })
        }));
        transactions
    }

    fn envelope(&self, transaction: &Transaction) -> Envelope {
        let to = |(_, address): &(_, Address)| To::new(address.clone());
        Envelope {
            recipients: transaction.recipients.iter().map(to).collect(),
            size: Some(self.entry.size),
            eight_bit: self.entry.letter.eight_bit,
            delivery_id: transaction.delivery_id.clone(),
            ..Envelope::new(self.entry.letter.sender.clone())
        }
    }

    /// Takes in what became of a transaction; says whether somebody has the message now.
    fn note(&mut self, transaction: &Transaction, done: Done) -> bool {
        let is_local = matches!(transaction.lane.target, Target::Local(_));
        let (relay, outcomes) = match done {
            Done::Reported { relay, outcomes } => {
                self.feedback = self.feedback.max(feedback(&outcomes));
                (relay, outcomes)
            }
            Done::Unreachable(why) => {
                self.feedback = self.feedback.max(Feedback::Unreachable);
                self.trouble = Some(why.clone());
                let outcomes = vec![Outcome::Lost(why); transaction.recipients.len()];
                ("none".to_owned(), outcomes)
            }
            Done::Damaged(damage) => {
                self.damage = Some(damage);
                return false;
            }
            Done::Stopping => {
                self.put_off_until(Cause::Stopping);
                return false;
            }
        };
        let mut delivered = false;
        for ((recipient, to), outcome) in transaction.recipients.iter().zip(outcomes) {
            let verdict = judge(&outcome, &relay, is_local);
            self.log(recipient, to, &relay, &verdict);
            match verdict {
                Verdict::Sent { .. } => {
                    self.entry.progress.set(recipient.number, State::Delivered);
                    delivered = true;
                }
                Verdict::Deferred { text, cause, .. } => {
                    self.wait(recipient.number, &text);
                    self.put_off_until(cause);
                }
                Verdict::Bounced { text, status } => {
                    let remote_mta = (!is_local).then(|| relay.clone());
                    self.give_up(recipient.clone(), status, remote_mta, text);
                }
            }
        }
        delivered
    }

    fn put_off(&mut self, recipient: &Recipient, why: &str, cause: Cause) {
        let (text, status) = (why.to_owned(), "4.3.5".to_owned());
        let verdict = Verdict::Deferred { text, status, cause };
        self.log(recipient, &recipient.address, "none", &verdict);
        self.wait(recipient.number, why);
        self.put_off_until(cause);
    }

    fn wait(&mut self, number: usize, why: &str) {
        let reason = why.chars().take(REASON).collect();
        self.entry.progress.set(number, State::Waiting(Some(reason)));
    }

    /// The cause with the shortest pause decides.
    fn put_off_until(&mut self, cause: Cause) {
        self.cause = self.cause.max(Some(cause));
    }

    fn give_up(
        &mut self,
        recipient: Recipient,
        status: String,
        remote_mta: Option<String>,
        diagnostic: String,
    ) {
        let Recipient { number, address } = recipient;
        let told = FailedRecipient { recipient: address, status, remote_mta, diagnostic };
        self.failures.push(Failure { number, told });
    }

    /// All transactions are over: tells the sender of failures, then records or removes.
    async fn conclude(mut self) -> Ended {
        let left = self.settle().await;
        Ended { turn: self.turn, feedback: self.feedback, trouble: self.trouble, left }
    }

    /// Queues one notification of all failures of this attempt. Only then they are given up.
    async fn tell_sender(&mut self) {
        let failures = std::mem::take(&mut self.failures);
        if failures.is_empty() {
            return;
        }
        let id = self.entry.id;
        match self.entry.letter.sender.0.clone() {
            // RFC 5321, 4.5.5 and 6.1: a notification is never sent about a notification.
            None => warn!("{id}: from=<>, undeliverable and without a sender to tell, dropped"),
            Some(sender) => {
                let told: Vec<_> = failures.iter().map(|failure| failure.told.clone()).collect();
                let hostname = self.routes.site.hostname.clone();
                let sent = self.in_queue(move |queue, entry| {
                    bounce::send(queue, &hostname, entry, &sender, &told)
                });
                match sent.await {
                    Some(Ok(notification)) => {
                        info!("{id}: sender non-delivery notification: {}", notification.id);
                        info!("{}: parent={id}", notification.id);
                        self.mtad.enqueue(notification);
                    }
                    other => return self.keep_untold(&failures, other.and_then(Result::err)),
                }
            }
        }
        for failure in failures {
            self.entry.progress.set(failure.number, State::Failed);
        }
    }

    /// Nobody could be told, so nobody is given up.
    fn keep_untold(&mut self, failures: &[Failure], error: Option<QueueError>) {
        let error = match error {
            // Its header cannot be told, today or tomorrow: a person shall look at it.
            Some(QueueError::Damaged { damage, .. })
                if !matches!(damage, Damage::Unreadable(_)) =>
            {
                self.damage = Some(damage);
                return;
            }
            other => other,
        };
        let error = error.map_or_else(|| "the work panicked".to_owned(), |e| e.to_string());
        error!("{}: notification cannot be queued: {error}", self.entry.id);
        for failure in failures {
            self.wait(failure.number, &failure.told.diagnostic);
        }
        self.defer(Cause::Peer);
    }

    /// If it cannot be recorded, this process still knows; only its death would cost second
    /// copies.
    async fn record(&self, message: &mut Entry) {
        self.merge_into(message);
        let (id, progress) = (message.id, message.progress.clone());
        let recorded = self.in_queue(move |queue, _| queue.record(&id, &progress));
        if let Some(Err(error)) = recorded.await {
            error!("{}: progress cannot be recorded: {error}", self.entry.id);
        }
    }

    /// Does blocking work on the queue's threads; `None`: it panicked, which was logged.
    async fn in_queue<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Queue, &Entry) -> T + Send + 'static,
    ) -> Option<T> {
        let (queue, entry) = (self.mtad.queue.clone(), self.entry.clone());
        self.mtad.disk.run(move || work(&queue, &entry)).await
    }

    fn log(&self, recipient: &Recipient, to: &Address, relay: &str, verdict: &Verdict) {
        let id = &self.entry.id;
        let original = match recipient.address == *to {
            true => String::new(),
            false => format!(", orig_to=<{}>", recipient.address),
        };
        let delay = time::now_micros().saturating_sub(self.entry.letter.arrived) / 10_000;
        let (seconds, hundredths) = (delay / 100, delay % 100);
        info!(
            "{id}: to=<{to}>{original}, relay={relay}, delay={seconds}.{hundredths:02}, {verdict}"
        );
    }
}
