//! Messages that came together: each delivery of them is a piece of work of its own, and all are
//! done at the same time, because each waits for the disk most of its time. Only what one user
//! gets is done in its order, which is the order of the mailbox.
//!
//! A message is read once, by whoever of its recipients comes first, kept once, in memory, and
//! written once, where that is possible ([`crate::one_file`]).
//!
//! A mailbox on a disk that hangs keeps nobody else's waiting for long: what is not done in time is a
//! temporary failure ([`crate::turns`]).

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use mail_common::auth::User;
use mail_common::daemon::Parts;
use mail_proto::address::Address;
use mail_proto::smtp::{Accepted, Failure, Transaction};
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument as _, Span, warn};

use crate::Shared;
use crate::incoming::{Delivered, Incoming, one_after_another};
use crate::turns::{Line, Turn};

/// So long a batch waits for its mailboxes: far longer than any delivery takes where the disk does
/// not hang, and far less than the 10 minutes that mtad and others (RFC 5321, 4.5.3.2.6) wait for
/// us.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// What becomes of each message, for each recipient.
pub(crate) type Outcomes = Vec<Vec<Result<Accepted, Failure>>>;

/// A message that is read when it is first needed.
type Letter = LazyLock<Incoming, Box<dyn FnOnce() -> Incoming + Send>>;

/// What becomes of a share, as far as that is known in time.
type Known = Pin<Box<dyn Future<Output = Vec<Result<Accepted, Failure>>> + Send>>;

/// Messages that came together. What is not known of them is a temporary failure.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    outcomes: Outcomes,
    shares: Vec<Share>,
    /// Where in `shares` a user's is.
    of_user: HashMap<Address, usize>,
}

/// What one user gets.
#[derive(Debug)]
struct Share {
    user: User,
    copies: Vec<Copy>,
}

/// A message for one of its recipients.
#[derive(Debug)]
struct Copy {
    letter: Arc<Letter>,
    place: Place,
}

/// Which message it is, and which recipient of it.
#[derive(Debug, Clone, Copy)]
struct Place {
    message: usize,
    recipient: usize,
}

impl Batch {
    /// One message, for these users, in the envelope's order.
    pub(crate) fn of_one(incoming: Incoming, users: Vec<User>) -> Self {
        let mut batch = Self::default();
        batch.add_letter(Box::new(|| incoming), users.into_iter().map(Some).collect());
        batch
    }

    /// Adds a message. A recipient without a user will have a temporary failure.
    pub(crate) fn add(
        &mut self,
        transaction: Transaction,
        users: Vec<Option<User>>,
        parts: &Parts,
        shared: &Arc<Shared>,
    ) {
        let (site, shared) = (Arc::clone(&parts.site), Arc::clone(shared));
        self.add_letter(Box::new(move || Incoming::whole(transaction, site, shared)), users);
    }

    /// Delivers all of it at the same time.
    pub(crate) async fn deliver(
        self,
        parts: &Arc<Parts>,
        shared: &Shared,
        until: Instant,
    ) -> Outcomes {
        let Self { mut outcomes, shares, .. } = self;
        let start = |share: Share| (share.places(), share.start(parts, shared, until));
        let under_way: Vec<_> = shares.into_iter().map(start).collect();
        for (places, known) in under_way {
            enter(&mut outcomes, places, known.await);
        }
        outcomes
    }

    /// Delivers it to one user after another: what is large is written once, and not by several
    /// who did not want to wait for each other.
    pub(crate) async fn deliver_in_order(
        self,
        parts: &Arc<Parts>,
        shared: &Shared,
        until: Instant,
    ) -> Outcomes {
        let Self { mut outcomes, shares, .. } = self;
        for share in shares {
            if Instant::now() >= until {
                break;
            }
            let places = share.places();
            enter(&mut outcomes, places, share.start(parts, shared, until).await);
        }
        outcomes
    }

    fn add_letter(&mut self, read: Box<dyn FnOnce() -> Incoming + Send>, users: Vec<Option<User>>) {
        let message = self.outcomes.len();
        self.outcomes.push(vec![Err(Failure::Unavailable); users.len()]);
        let letter: Arc<Letter> = Arc::new(LazyLock::new(read));
        for (recipient, user) in users.into_iter().enumerate() {
            let Some(user) = user else { continue };
            let (letter, place) = (Arc::clone(&letter), Place { message, recipient });
            self.share(user).copies.push(Copy { letter, place });
        }
    }

    fn share(&mut self, user: User) -> &mut Share {
        let at = *self.of_user.entry(user.address().clone()).or_insert(self.shares.len());
        if at == self.shares.len() {
            self.shares.push(Share { user, copies: Vec::new() });
        }
        self.shares.get_mut(at).expect("it was there, or is now")
    }
}

impl Share {
    fn places(&self) -> Vec<Place> {
        self.copies.iter().map(|copy| copy.place).collect()
    }

    /// Begins to deliver it: now, if the user has a turn.
    fn start(self, parts: &Arc<Parts>, shared: &Shared, until: Instant) -> Known {
        let line = shared.turns.of(self.user.address());
        if line.hangs() {
            let (user, messages) = (self.user.address(), self.copies.len());
            warn!(%user, messages, "put off: an earlier delivery to this mailbox has not ended");
            return Box::pin(async { Vec::new() });
        }
        match line.try_take() {
            Some(turn) => self.work(turn, parts, until),
            None => self.wait(line, parts, until),
        }
    }

    fn wait(self, line: Arc<Line>, parts: &Arc<Parts>, until: Instant) -> Known {
        let parts = Arc::clone(parts);
        let work = async move {
            match timeout_at(until, line.take()).await {
                Ok(turn) => self.work(turn, &parts, until).await,
                Err(_) => Vec::new(),
            }
        };
        let work = tokio::spawn(work.instrument(Span::current()));
        Box::pin(async { work.await.unwrap_or_default() })
    }

    fn work(self, turn: Turn, parts: &Parts, until: Instant) -> Known {
        let turn = Arc::new(turn);
        let (watched, user) = (Arc::downgrade(&turn), self.user.address().clone());
        let work = move || {
            let (outcomes, last) = self.deliver(&turn);
            let tell = move || {
                last.into_iter().for_each(Delivered::tell);
                drop(turn);
            };
            (outcomes, tell)
        };
        let done = parts.pool.run_ahead(work);
        Box::pin(async move {
            let in_time = timeout_at(until, done).await;
            if in_time.is_err()
                && let Some(turn) = watched.upgrade()
            {
                turn.give_up();
                warn!(%user, "a delivery takes too long: until it ends, there is no other to this user");
            }
            in_time.ok().flatten().unwrap_or_default()
        })
    }

    /// What nobody waits for any more is not begun.
    fn deliver(self, turn: &Turn) -> (Vec<Result<Accepted, Failure>>, Option<Delivered>) {
        let Self { user, copies } = self;
        let copy = |Copy { letter, place }: Copy| match turn.is_given_up() {
            true => Err(Failure::Unavailable),
            false => letter.deliver_one(place.recipient, &user),
        };
        one_after_another(copies.into_iter().map(copy))
    }
}

fn enter(outcomes: &mut Outcomes, places: Vec<Place>, known: Vec<Result<Accepted, Failure>>) {
    for (Place { message, recipient }, outcome) in places.into_iter().zip(known) {
        let of_message = outcomes.get_mut(message);
        if let Some(place) = of_message.and_then(|all| all.get_mut(recipient)) {
            *place = outcome;
        }
    }
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests;
