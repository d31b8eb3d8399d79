//! A message under way: from DATA to an outcome for each recipient.

use std::sync::Arc;

use mail_common::auth::User;
use mail_common::config::Site;
use mail_common::disk::DiskError;
use mail_common::log::Id;
use mail_common::maildir::{Delivery, DeliveryId, Inbox, NewMessage, StoreError, Tidings};
use mail_common::time;
use mail_proto::address::Address;
use mail_proto::smtp::{Accepted, Client, Envelope, Failure};
use thiserror::Error;
use tracing::{info, warn};

use crate::Shared;
use crate::attempts::Standing;
use crate::header::Header;
use crate::spool::{Spool, Unreadable};
use crate::trace::Trace;

/// Where mail arrives. Which other one would be for Sieve to say.
const MAILBOX: &str = "INBOX";

/// A message under way. All of it blocks.
#[derive(Debug)]
pub(crate) struct Incoming {
    client: Client,
    envelope: Envelope,
    /// Whose mailboxes the recipients are, in the envelope's order.
    users: Vec<User>,
    id: String,
    header: Header,
    spool: Spool,
    /// What stays of the block that came last.
    passed: Vec<u8>,
    shared: Arc<Shared>,
}

/// A message that is in a mailbox and lasts, of which nobody was told yet.
#[derive(Debug)]
pub(crate) struct Delivered {
    id: String,
    to: Address,
    delivery: Delivery,
    tidings: Option<Tidings>,
}

/// Why a message did not get into a mailbox.
#[derive(Debug, Error)]
enum DeliveryError {
    #[error("the message was delivered to this recipient before")]
    Loop,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Spool(#[from] Unreadable),
}

impl Incoming {
    /// A message that is about to come. One without a delivery id gets an id of its own.
    #[must_use]
    pub(crate) fn new(
        client: Client,
        envelope: Envelope,
        users: Vec<User>,
        site: &Site,
        shared: Arc<Shared>,
    ) -> Self {
        let id = envelope.delivery_id.clone().unwrap_or_else(|| Id::new().to_string());
        Self {
            client,
            envelope,
            users,
            id,
            header: Header::new(site.limits.header_size),
            spool: Spool::new(&site.mail.path.root()),
            passed: Vec::new(),
            shared,
        }
    }

    /// How many outcomes there will be.
    #[must_use]
    pub(crate) fn recipients(&self) -> usize {
        self.users.len()
    }

    /// Takes the next block.
    pub(crate) fn add(&mut self, block: &[u8]) -> Result<(), Failure> {
        self.header.pass(block, &mut self.passed);
        self.spool_passed()
    }

    /// The message is whole: delivers it. The failure of one recipient is none of another. Whoever
    /// waits for the outcomes need not wait until the last delivery is told of.
    pub(crate) fn deliver(
        mut self,
        site: &Site,
    ) -> (Vec<Result<Accepted, Failure>>, Option<Delivered>) {
        self.header.finish(&mut self.passed);
        if let Err(failure) = self.spool_passed() {
            return (vec![Err(failure); self.users.len()], None);
        }
        let mut last: Option<Delivered> = None;
        let outcome = |(at, user)| {
            // Not all of them at the end: each holds a mailbox open.
            last.take().into_iter().for_each(Delivered::tell);
            self.outcome(at, user, site).map(|delivered| {
                last = Some(delivered);
                Accepted::Delivered(self.id.clone())
            })
        };
        let outcomes = self.users.iter().enumerate().map(outcome).collect();
        (outcomes, last)
    }

    fn spool_passed(&mut self) -> Result<(), Failure> {
        let written = self.spool.write(&self.passed);
        self.passed.clear();
        written.map_err(|error| {
            warn!(id = %self.id, %error, "cannot spool");
            spool_failure(&error)
        })
    }

    fn outcome(&self, at: usize, user: &User, site: &Site) -> Result<Delivered, Failure> {
        let recipient = self.envelope.recipients.get(at).expect("there is a user for each");
        let (id, to) = (&self.id, &recipient.address);
        match self.deliver_to(to, user, site) {
            Ok((delivery, tidings)) => {
                Ok(Delivered { id: id.clone(), to: to.clone(), delivery, tidings })
            }
            Err(error) => {
                let failure = error.failure();
                let status = if failure.is_temporary() { "deferred" } else { "bounced" };
                warn!(%id, %to, mailbox = MAILBOX, status, %error, "not delivered");
                Err(failure)
            }
        }
    }

    fn deliver_to(
        &self,
        recipient: &Address,
        user: &User,
        site: &Site,
    ) -> Result<(Delivery, Option<Tidings>), DeliveryError> {
        if self.header.was_delivered_to(recipient) {
            return Err(DeliveryError::Loop);
        }
        let inbox = self.shared.inboxes.inbox(user, &site.mail)?;
        let Some(id) = self.envelope.delivery_id.as_deref().and_then(DeliveryId::parse) else {
            return self.write(&inbox, recipient, site, None);
        };
        let Some(attempt) = self.shared.attempts.begin(&id, user) else {
            return Ok((Delivery::Repeated, None));
        };
        let delivered = match attempt.standing() {
            Standing::MaybeRepeat if inbox.holds_delivery(&id)? => (Delivery::Repeated, None),
            _ => self.write(&inbox, recipient, site, Some(id))?,
        };
        attempt.delivered();
        Ok(delivered)
    }

    fn write(
        &self,
        inbox: &Inbox,
        recipient: &Address,
        site: &Site,
        delivery_id: Option<DeliveryId>,
    ) -> Result<(Delivery, Option<Tidings>), DeliveryError> {
        let trace = Trace {
            client: &self.client,
            sender: &self.envelope.sender,
            recipient,
            hostname: &site.hostname,
            id: &self.id,
            date: &time::rfc5322(time::now_seconds()),
        };
        let mut appending = inbox.append(NewMessage { delivery_id, ..NewMessage::default() })?;
        appending.write(trace.fields().as_bytes())?;
        self.spool.read(|block| Ok::<_, DeliveryError>(appending.write(block)?))?;
        Ok(inbox.deliver(appending)?)
    }
}

impl Delivered {
    /// Tells the log, and others who look after the mailbox. A 250 is not kept waiting for it: a
    /// log may be slow, and takes one line at a time.
    pub(crate) fn tell(self) {
        let Self { id, to, delivery, tidings } = self;
        let status = match delivery {
            Delivery::Made => "sent",
            Delivery::Repeated => "sent (already delivered)",
        };
        info!(%id, %to, mailbox = MAILBOX, status, "delivered");
        tidings.into_iter().for_each(Tidings::tell);
    }
}

impl DeliveryError {
    /// What the peer is told. A mailbox in disorder may be put in order: never permanent.
    fn failure(&self) -> Failure {
        match self {
            Self::Loop => Failure::Loop,
            Self::Store(StoreError::Full { .. }) => Failure::DiskFull,
            Self::Store(_) | Self::Spool(_) => Failure::Unavailable,
        }
    }
}

fn spool_failure(error: &DiskError) -> Failure {
    if error.is_full() { Failure::DiskFull } else { Failure::Unavailable }
}
