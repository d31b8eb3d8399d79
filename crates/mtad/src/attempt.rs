//! One attempt to bring a message to all who still wait for it at one destination.
//!
//! A message for several destinations may have an attempt at each of them at the same time. Each
//! minds its own recipients, and has the others in its [`Message`] only while it records.
//!
//! The order of things is what keeps the law of the queue: a success is recorded when it is
//! heard, so that a delivery is repeated only if we die in between; what a sender has to be told
//! is recorded only once the notification of it is in the queue itself; and the message is removed
//! last. So a success of which its sender wants to hear is recorded at the attempt's end, which
//! gives lmtp-deliverd nothing to do twice.

mod settle;
mod tell;

use std::sync::Arc;
use std::time::Duration;

use mail_common::config::NextHop;
use mail_common::time;
use mail_proto::address::Address;
use mail_proto::dsn::Action;
use mail_proto::smtp::client::{Outcome, Report};
use mail_proto::smtp::{self, Envelope};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tracing::{error, info};

use crate::Mtad;
use crate::deliver::{Done, Job, Lane, Target};
use crate::lanes::Lanes;
use crate::memory::Message;
use crate::notify::{self, Fate};
use crate::queue::{Damage, Entry, Queue, Recipient, State};
use crate::route::{Route, Routes};
use crate::schedule::{Cause, Destination, Feedback, Turn};
use crate::verdict::{Verdict, feedback, judge};

/// Recipients of a transaction: RFC 5321, 4.5.3.1.8 lets a next hop refuse more.
const TRANSACTION: usize = 100;
/// Characters of a reason that are kept.
const REASON: usize = 500;

/// After this long it is tried again to record what could not be.
const UNRECORDED: Duration = Duration::from_secs(5);

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
    /// What may have to be told before it is recorded.
    fates: Vec<Fate>,
    /// Why those who go on waiting do, as far as this attempt knows.
    waiting: Vec<Fate>,
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
    pub(crate) outlook: Outlook,
}

/// How it goes on with a message.
#[derive(Debug)]
pub(crate) enum Outlook {
    /// There is nothing left to do.
    Gone,
    /// It could not be read just now.
    Unread,
    /// This is left to do.
    Left(Box<Left>),
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

/// Recipients of one transaction, and where they are carried.
#[derive(Debug)]
struct Transaction {
    lane: Arc<Lane>,
    recipients: Vec<(Recipient, Address)>,
}

impl Transaction {
    /// Whether it is with lmtp-deliverd.
    fn is_local(&self) -> bool {
        matches!(self.lane.target, Target::Local(_))
    }
}

impl Ended {
    /// Of an attempt that tried nothing.
    pub(crate) fn without(turn: Turn, outlook: Outlook) -> Self {
        Self { turn, feedback: Feedback::Stopped, trouble: None, outlook }
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
            fates: Vec::new(),
            waiting: Vec::new(),
            cause: None,
            due: None,
            damage: None,
            feedback: Feedback::Stopped,
            trouble: None,
        }
    }

    /// Carries it out.
    pub(crate) async fn run(mut self) -> Ended {
        if let Some(why) = self.entry.progress.given_up.clone() {
            return self.give_up(&why).await;
        }
        let mut under_way = JoinSet::new();
        for transaction in self.transactions().await {
            let (id, envelope) = (self.entry.id, self.envelope(&transaction));
            let (done, told) = oneshot::channel();
            let message = self.entry.message.clone();
            Lane::deliver(&transaction.lane, Job { id, message, envelope, done, again: false });
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

    /// Who is carried where.
    async fn transactions(&mut self) -> Vec<Transaction> {
        let mut local = Vec::new();
        // All of an attempt have one next hop; mail for postmaster may add another.
        let mut foreign: Vec<(NextHop, Vec<(Recipient, Address)>)> = Vec::new();
        for recipient in self.own.clone() {
            match self.routes.find(&recipient.address).await {
                Ok(Route::Local(to)) => local.push((recipient, to)),
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
        let foreign = foreign.iter().map(|(hop, group)| (self.lanes.next_hop(hop), group));
        let groups = std::iter::once((self.lanes.local(), &local)).chain(foreign);
        let transactions = groups.flat_map(|(lane, group)| {
            let transaction = move |group: &[_]| Transaction {
                lane: Arc::clone(&lane),
                recipients: group.to_vec(),
            };
            group.chunks(TRANSACTION).map(transaction)
        });
        transactions.collect()
    }

    fn envelope(&self, transaction: &Transaction) -> Envelope {
        let letter = &self.entry.letter;
        let is_local = transaction.is_local();
        let delivery_id = |recipient: &Recipient| {
            is_local.then(|| format!("{}.{}", self.entry.id, recipient.number))
        };
        let to = |(recipient, address): &(Recipient, Address)| smtp::Recipient {
            address: address.clone(),
            delivery_id: delivery_id(recipient),
            ..self.asked(recipient)
        };
        Envelope {
            recipients: transaction.recipients.iter().map(to).collect(),
            size: Some(self.entry.size),
            eight_bit: letter.eight_bit,
            oldest: is_local.then(|| self.mtad.oldest.told()).flatten().map(|id| id.to_string()),
            ret: letter.ret,
            envid: letter.envid.clone(),
            ..Envelope::new(letter.sender.clone())
        }
    }

    /// Takes in what became of a transaction; says whether somebody has the message now.
    fn note(&mut self, transaction: &Transaction, done: Done) -> bool {
        // Mail for postmaster may have gone elsewhere: that says nothing of this destination.
        let tells = transaction.is_local() == (self.turn.destination == Destination::LOCAL);
        match done {
            Done::Reported { relay, report } => {
                if tells {
                    self.feedback = self.feedback.max(feedback(&report.recipients));
                }
                self.note_report(transaction, &relay, report)
            }
            Done::Unreachable(why) => {
                if tells {
                    self.feedback = self.feedback.max(Feedback::Unreachable);
                    self.trouble = Some(why.clone());
                }
                let recipients = vec![Outcome::Lost(why); transaction.recipients.len()];
                self.note_report(transaction, "none", Report { recipients, notifies: false })
            }
            Done::Damaged(damage) => {
                self.damage = Some(damage);
                false
            }
            Done::Stopping => {
                self.put_off_until(Cause::Stopping);
                false
            }
        }
    }

    fn note_report(&mut self, transaction: &Transaction, relay: &str, report: Report) -> bool {
        let (is_local, mut delivered) = (transaction.is_local(), false);
        for ((recipient, to), outcome) in transaction.recipients.iter().zip(report.recipients) {
            let verdict = judge(&outcome, relay, is_local);
            self.log(recipient, to, relay, &verdict);
            let words = notify::words(&outcome, is_local);
            let mut fate = self.fate(recipient, verdict.status(), words);
            fate.told.remote_mta = notify::remote_mta(relay, &outcome, is_local);
            match verdict {
                Verdict::Sent { .. } => {
                    delivered |= self.sent(fate, notify::success(is_local, report.notifies));
                }
                Verdict::Deferred { text, cause, .. } => {
                    self.wait(recipient.number, &text);
                    self.put_off_until(cause);
                    self.waiting.push(fate);
                }
                Verdict::Bounced { .. } => self.fates.push(fate),
            }
        }
        delivered
    }

    /// Says whether that can be recorded now: nobody has to be told of it before.
    fn sent(&mut self, fate: Fate, action: Option<Action>) -> bool {
        let wanted = action.filter(|action| notify::wants(fate.notify, *action));
        if let Some(action) = wanted {
            self.fates.push(Fate { action, ..fate });
            return false;
        }
        self.entry.progress.set(fate.number, State::Delivered);
        true
    }

    fn put_off(&mut self, recipient: &Recipient, why: &str, cause: Cause) {
        let (text, status) = (why.to_owned(), "4.3.5".to_owned());
        let verdict = Verdict::Deferred { text, status, cause };
        self.log(recipient, &recipient.address, "none", &verdict);
        let fate = self.fate(recipient, verdict.status(), notify::our_trouble());
        self.waiting.push(fate);
        self.wait(recipient.number, why);
        self.put_off_until(cause);
    }

    /// What its sender said of a recipient.
    fn asked(&self, recipient: &Recipient) -> smtp::Recipient {
        let asked = self.entry.letter.recipients.get(recipient.number);
        asked.cloned().unwrap_or_else(|| smtp::Recipient::new(recipient.address.clone()))
    }

    fn wait(&mut self, number: usize, why: &str) {
        let reason = why.chars().take(REASON).collect();
        self.entry.progress.set(number, State::Waiting(Some(reason)));
    }

    /// The cause with the shortest pause decides.
    fn put_off_until(&mut self, cause: Cause) {
        self.cause = self.cause.max(Some(cause));
    }

    /// All transactions are over: tells who wants to hear, then records or removes.
    async fn conclude(mut self) -> Ended {
        let outlook =
            self.settle().await.map_or(Outlook::Gone, |left| Outlook::Left(Box::new(left)));
        Ended { turn: self.turn, feedback: self.feedback, trouble: self.trouble, outlook }
    }

    /// Nothing goes on with a message as long as what became of it cannot be recorded: who reads
    /// it next would do again what was done. Only our death then costs second copies.
    async fn record(&self, message: &mut Entry) {
        self.merge_into(message);
        let mut is_last = false;
        while let Err(error) = self.mtad.queue.record(message.id, &message.progress).await {
            error!("{}: progress cannot be recorded: {error}", self.entry.id);
            if !error.is_temporary() || is_last {
                return;
            }
            // A commit that fails seals its segment, and the next one goes into another: also who
            // stops tries once more.
            is_last = self.lanes.is_stopping();
            if !is_last {
                tokio::time::sleep(UNRECORDED).await;
            }
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

/// The connection was cut off before it told what became of a transaction. If that was not because
/// we stop, it panicked, and may do so again: not a reason to try without a pause.
fn nobody_told(lane: &Lane) -> Done {
    match lane.stop.is_cancelled() {
        true => Done::Stopping,
        false => Done::Unreachable("the delivery broke off".to_owned()),
    }
}
