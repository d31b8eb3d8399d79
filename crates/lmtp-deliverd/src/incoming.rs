//! A message under way: from DATA to an outcome for each recipient.

use std::sync::Arc;

use mail_common::auth::User;
use mail_common::config::Site;
use mail_common::disk::DiskError;
use mail_common::log::Id;
use mail_common::maildir::{
    Appending, Delivery, DeliveryId, Inbox, Left, NewMessage, StoreError, Tidings, Whole,
};
use mail_common::time;
use mail_proto::address::Address;
use mail_proto::smtp::{Accepted, Client, Envelope, Failure, Recipient, Transaction};
use thiserror::Error;
use tracing::{info, warn};

use crate::Shared;
use crate::board::AtWork;
use crate::disks::{Disk, OnDisk};
use crate::header::Header;
use crate::journal::{Attempt, Standing, UnderWay};
use crate::one_file::OneFile;
use crate::spool::{Spool, Unreadable};
use crate::trace::Trace;

/// Where mail arrives. Which other one would be for Sieve to say.
const MAILBOX: &str = "INBOX";

/// What is done with it, for the journal. Sieve will have other words.
const ACTION: &str = "keep";

/// A message under way. To deliver it blocks, and to spool it where that [needs the
/// disk](Self::needs_disk).
#[derive(Debug)]
pub(crate) struct Incoming {
    client: Client,
    envelope: Envelope,
    /// The queue id, if the peer said one.
    id: String,
    header: Header,
    spool: Spool,
    /// What stays of the block that came last.
    passed: Vec<u8>,
    /// Of a message of several recipients.
    one_file: Option<OneFile>,
    site: Arc<Site>,
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
    #[error(transparent)]
    UnderWay(#[from] UnderWay),
    #[error("what is noted of an earlier attempt cannot be taken back")]
    Noted,
    #[error("nobody waits for it any more")]
    GivenUp,
}

impl Incoming {
    /// A message that is about to come.
    #[must_use]
    pub(crate) fn new(
        client: Client,
        envelope: Envelope,
        site: Arc<Site>,
        shared: Arc<Shared>,
    ) -> Self {
        let several = envelope.recipients.len() > 1;
        Self {
            client,
            id: queue_id(&envelope).map_or_else(|| Id::new().to_string(), str::to_owned),
            envelope,
            header: Header::new(site.limits.header_size),
            spool: Spool::new(&site.mail.path.root(), &shared.disks.spool),
            passed: Vec::new(),
            one_file: several.then(|| OneFile::new(&shared.one_files)).flatten(),
            site,
            shared,
        }
    }

    /// A message that came whole. It stays in memory.
    #[must_use]
    pub(crate) fn whole(transaction: Transaction, site: Arc<Site>, shared: Arc<Shared>) -> Self {
        let Transaction { client, envelope, message } = transaction;
        let mut incoming = Self::new(client, envelope, site, shared);
        incoming.finish(&message);
        incoming.spool.keep(std::mem::take(&mut incoming.passed));
        incoming
    }

    /// Whom it is for.
    pub(crate) fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Takes the next block, which is to be [spooled](Self::spool) then.
    pub(crate) fn add(&mut self, block: &[u8]) {
        self.header.pass(block, &mut self.passed);
    }

    /// Takes the last block, which is to be [spooled](Self::spool) then: the message is whole.
    pub(crate) fn finish(&mut self, block: &[u8]) {
        self.header.pass(block, &mut self.passed);
        self.header.finish(&mut self.passed);
    }

    /// Whether it goes into a file, which blocks.
    pub(crate) fn needs_disk(&self) -> bool {
        !self.spool.keeps_in_memory(self.passed.len())
    }

    /// Spools what was taken.
    pub(crate) fn spool(&mut self) -> Result<(), Failure> {
        let written = self.spool.write(&self.passed);
        self.passed.clear();
        written.map_err(|error| {
            warn!(id = %self.id, %error, "cannot spool");
            spool_failure(&error)
        })
    }

    /// Delivers a message that is whole to the recipient of this number, whose mailbox is this
    /// user's.
    pub(crate) fn deliver_one(
        &self,
        number: usize,
        user: &User,
        at_work: &AtWork,
    ) -> Result<Delivered, Failure> {
        let recipient = self.envelope.recipients.get(number).expect("there is a user for each");
        let (id, to) = (self.log_id(recipient), &recipient.address);
        match self.deliver_to(recipient, user, at_work) {
            Ok((delivery, tidings)) => {
                Ok(Delivered { id: id.to_owned(), to: to.clone(), delivery, tidings })
            }
            Err(error) => {
                let failure = error.failure();
                let status = if failure.is_temporary() { "deferred" } else { "bounced" };
                warn!(%id, %to, mailbox = MAILBOX, status, %error, "not delivered");
                Err(failure)
            }
        }
    }

    /// The id of its delivery to one recipient, as the log has it.
    fn log_id<'a>(&'a self, recipient: &'a Recipient) -> &'a str {
        recipient.delivery_id.as_deref().unwrap_or(&self.id)
    }

    fn deliver_to(
        &self,
        recipient: &Recipient,
        user: &User,
        at_work: &AtWork,
    ) -> Result<(Delivery, Option<Tidings>), DeliveryError> {
        if self.header.was_delivered_to(&recipient.address) {
            return Err(DeliveryError::Loop);
        }
        let on_disk = |inbox| OnDisk::new(inbox, at_work.disk());
        let inbox = self.shared.inboxes.inbox(user, &self.site.mail, on_disk)?;
        let Some(id) = recipient.delivery_id.as_deref().and_then(DeliveryId::parse) else {
            let whole = self.in_file(&inbox, None, recipient, at_work.disk())?;
            // It was put off, and its repeat could not be told from another message.
            if at_work.is_given_up() {
                return Err(DeliveryError::GivenUp);
            }
            return Ok(inbox.deliver(whole, None, &())?);
        };
        let journal = &self.shared.journal;
        let oldest = self.envelope.oldest.as_deref().and_then(Id::parse);
        let Some(attempt) = journal.begin(id, user, ACTION, oldest)? else {
            return Ok((Delivery::Repeated, None));
        };
        let delivered = if self.was_made(&inbox, &id, &attempt)? {
            (Delivery::Repeated, None)
        } else {
            let file_name = attempt.file_name();
            let whole = self.in_file(&inbox, Some(&file_name), recipient, at_work.disk())?;
            match inbox.deliver(whole, Some(&id), &attempt) {
                Ok(delivered) => delivered,
                // The message went with it.
                Err(error @ StoreError::Replaced) => return Err(error.into()),
                Err(error) => {
                    attempt.leave();
                    return Err(error.into());
                }
            }
        };
        journal.delivered(attempt);
        Ok(delivered)
    }

    /// Whether an earlier attempt got the message into the mailbox; if so, it stays there.
    fn was_made(
        &self,
        inbox: &Inbox,
        id: &DeliveryId,
        attempt: &Attempt<'_>,
    ) -> Result<bool, DeliveryError> {
        let doubt = match attempt.standing() {
            Standing::First => return Ok(false),
            Standing::MaybeRepeat(doubt) => doubt,
            Standing::Noted(note, doubt) => {
                let left = inbox.left(&attempt.file_name(), note.tmp())?;
                if left == Left::Gone && note.counts() {
                    // Its reader may have taken it away; if not, it is made to last.
                    inbox.make_last()?;
                    return Ok(true);
                }
                // Its file is removed next, or it is elsewhere: that must not look as if it had
                // gone into the mailbox.
                if !attempt.take_back() {
                    return Err(DeliveryError::Noted);
                }
                doubt
            }
        };
        Ok(self.shared.inboxes.holds_delivery(inbox, id, doubt)?)
    }

    /// The message, whole, in a file for one recipient's mailbox, which may need a name in `tmp`.
    fn in_file(
        &self,
        inbox: &Inbox,
        name: Option<&str>,
        recipient: &Recipient,
        disk: &Arc<Disk>,
    ) -> Result<Whole, DeliveryError> {
        let link = |original: &_| inbox.link(name, original);
        let begin = || inbox.append(name, NewMessage::default());
        let write = || self.write(begin()?, recipient);
        match &self.one_file {
            Some(one_file) => one_file.take(disk, link, write),
            None => write(),
        }
    }

    /// Of what goes to several, nothing says who they are: all of them get the same.
    fn write(
        &self,
        mut appending: Appending,
        recipient: &Recipient,
    ) -> Result<Whole, DeliveryError> {
        let (recipient, id) = match self.envelope.recipients.len() {
            1 => (Some(&recipient.address), self.log_id(recipient)),
            _ => (None, self.id.as_str()),
        };
        let trace = Trace {
            client: &self.client,
            sender: &self.envelope.sender,
            recipient,
            hostname: &self.site.hostname,
            id,
            date: &time::rfc5322(time::now_seconds()),
        };
        appending.write(trace.fields().as_bytes())?;
        self.spool.read(|block| Ok::<_, DeliveryError>(appending.write(block)?))?;
        Ok(appending.finish()?)
    }
}

/// Of the delivery ids, which mtad makes of one queue id and the recipients' numbers.
fn queue_id(envelope: &Envelope) -> Option<&str> {
    let id = envelope.recipients.iter().find_map(|to| to.delivery_id.as_deref())?;
    Some(id.split_once('.').map_or(id, |(queue_id, _)| queue_id))
}

impl Delivered {
    /// What its sender is told.
    pub(crate) fn accepted(&self) -> Accepted {
        Accepted::Delivered(self.id.clone())
    }

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
            Self::Store(_) | Self::Spool(_) | Self::UnderWay(_) | Self::Noted | Self::GivenUp => {
                Failure::Unavailable
            }
        }
    }
}

fn spool_failure(error: &DiskError) -> Failure {
    if error.is_full() { Failure::DiskFull } else { Failure::Unavailable }
}
