//! Messages that came together: each delivery of them is a piece of work of its own, and all are
//! done at the same time, because each waits for the disk most of its time. Only what one user
//! gets is done in its order, which is the order of the mailbox.
//!
//! A message is read once, by whoever of its recipients comes first, kept once, in memory, and
//! written once, where that is possible ([`crate::one_file`]).

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use mail_common::auth::User;
use mail_common::config::Site;
use mail_common::daemon::Parts;
use mail_proto::address::Address;
use mail_proto::smtp::{Accepted, Failure, Transaction};

use crate::Shared;
use crate::incoming::{Delivered, Incoming, one_after_another};

/// What becomes of each message, for each recipient.
pub(crate) type Outcomes = Vec<Vec<Result<Accepted, Failure>>>;

/// A message that is read when it is first needed.
type Letter = LazyLock<Incoming, Box<dyn FnOnce() -> Incoming + Send>>;

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
    /// Which message it is, and which recipient of it.
    message: usize,
    recipient: usize,
}

impl Batch {
    /// Adds a message. A recipient without a user will have a temporary failure.
    pub(crate) fn add(
        &mut self,
        transaction: Transaction,
        users: Vec<Option<User>>,
        parts: &Parts,
        shared: &Arc<Shared>,
    ) {
        let message = self.outcomes.len();
        self.outcomes.push(vec![Err(Failure::Unavailable); users.len()]);
        let (site, shared) = (Arc::clone(&parts.site), Arc::clone(shared));
        let read = move || Incoming::whole(transaction, &site, shared);
        let letter: Arc<Letter> = Arc::new(LazyLock::new(Box::new(read)));
        for (recipient, user) in users.into_iter().enumerate() {
            let Some(user) = user else { continue };
            let letter = Arc::clone(&letter);
            self.share(user).copies.push(Copy { letter, message, recipient });
        }
    }

    /// Delivers all of it.
    pub(crate) async fn deliver(self, parts: &Arc<Parts>) -> Outcomes {
        let Self { mut outcomes, shares, .. } = self;
        let start = |share: Share| {
            let place = |copy: &Copy| (copy.message, copy.recipient);
            let places: Vec<_> = share.copies.iter().map(place).collect();
            let site = Arc::clone(&parts.site);
            let work = move || {
                let (outcomes, last) = share.deliver(&site);
                (outcomes, || last.into_iter().for_each(Delivered::tell))
            };
            (places, parts.pool.run_ahead(work))
        };
        let under_way: Vec<_> = shares.into_iter().map(start).collect();
        for (places, outcomes_of_share) in under_way {
            let known = outcomes_of_share.await.unwrap_or_default();
            for ((message, recipient), outcome) in places.into_iter().zip(known) {
                let of_message = outcomes.get_mut(message);
                if let Some(place) = of_message.and_then(|all| all.get_mut(recipient)) {
                    *place = outcome;
                }
            }
        }
        outcomes
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
    fn deliver(self, site: &Site) -> (Vec<Result<Accepted, Failure>>, Option<Delivered>) {
        let Self { user, copies } = self;
        let copy = |copy: Copy| copy.letter.deliver_one(copy.recipient, &user, site);
        one_after_another(copies.into_iter().map(copy))
    }
}
