//! What answers an LMTP session.

use std::collections::HashMap;
use std::sync::Arc;

use mail_common::auth::User;
use mail_common::daemon::Parts;
use mail_common::serve::Backend;
use mail_proto::address::Address;
use mail_proto::sasl::Verdict;
use mail_proto::smtp::{
    Accepted, Answer, Client, Envelope, Failure, Recipient, Request, Server, Transaction,
};
use tokio::time::Instant;
use tracing::warn;

use crate::Shared;
use crate::batch::{Batch, PATIENCE, deadline};
use crate::board::Outcomes;
use crate::incoming::Incoming;

/// Recipients whose users are remembered; those of one transaction are, however many.
const ROUTED: usize = 1024;

/// One session's view of the mailboxes.
#[derive(Debug)]
pub struct Deliveries {
    parts: Arc<Parts>,
    shared: Arc<Shared>,
    /// Whose mailboxes the recipients of this transaction are, and of those before it that may
    /// still have to be delivered.
    routed: HashMap<Address, User>,
    /// The message under way, and whose mailboxes it is for.
    incoming: Option<(Incoming, Vec<User>)>,
}

impl Deliveries {
    pub(crate) fn new(parts: Arc<Parts>, shared: Arc<Shared>) -> Self {
        Self { parts, shared, routed: HashMap::new(), incoming: None }
    }

    async fn route(&mut self, recipient: &Recipient) -> Result<(), Failure> {
        let address = &recipient.address;
        match self.parts.auth.lookup(address).await {
            Ok(Some(user)) => {
                self.routed.insert(address.clone(), user);
                Ok(())
            }
            Ok(None) => Err(Failure::NoSuchUser),
            Err(error) => {
                warn!(to = %address, %error, "cannot look up");
                Err(Failure::Unavailable)
            }
        }
    }

    /// Whose mailboxes the recipients are; `None`: there is none any more.
    async fn users(&mut self, envelope: &Envelope) -> Vec<Option<User>> {
        let mut users = Vec::with_capacity(envelope.recipients.len());
        for recipient in &envelope.recipients {
            if !self.routed.contains_key(&recipient.address) {
                // What comes of it is seen in what is known then.
                let _ = self.route(recipient).await;
            }
            users.push(self.routed.get(&recipient.address).cloned());
        }
        users
    }

    async fn begin(&mut self, client: Client, envelope: Envelope) -> Result<(), Failure> {
        let users: Option<Vec<_>> = self.users(&envelope).await.into_iter().collect();
        let users = users.ok_or(Failure::Unavailable)?;
        self.routed = HashMap::new();
        let (site, shared) = (Arc::clone(&self.parts.site), Arc::clone(&self.shared));
        self.incoming = Some((Incoming::new(client, envelope, site, shared), users));
        Ok(())
    }

    async fn deliver(&mut self, transactions: Vec<Transaction>) -> Outcomes {
        let until = deadline(transactions.iter().map(|transaction| &transaction.envelope));
        let mut batch = Batch::default();
        for transaction in transactions {
            let users = self.users(&transaction.envelope).await;
            batch.add(transaction, users, &self.parts, &self.shared);
        }
        self.routed = HashMap::new();
        batch.deliver(&self.parts, &self.shared, until).await
    }

    /// Gives the block back, empty.
    async fn store(&mut self, mut block: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let (mut incoming, users) = self.incoming.take().ok_or(Failure::Unavailable)?;
        incoming.add(&block);
        self.incoming = Some((self.spool(incoming).await?, users));
        block.clear();
        Ok(block)
    }

    async fn commit(&mut self, block: Vec<u8>) -> Vec<Result<Accepted, Failure>> {
        let Some((mut incoming, users)) = self.incoming.take() else {
            return Vec::new();
        };
        let until = deadline([incoming.envelope()]);
        incoming.finish(&block);
        match self.spool(incoming).await {
            Ok(incoming) => {
                let batch = Batch::of_one(incoming, users);
                let outcomes = batch.deliver_in_order(&self.parts, &self.shared, until).await;
                outcomes.into_iter().next().unwrap_or_default()
            }
            Err(failure) => vec![Err(failure); users.len()],
        }
    }

    /// What stays in memory needs no thread that may block: that is most messages.
    async fn spool(&self, mut incoming: Incoming) -> Result<Incoming, Failure> {
        let needs_disk = incoming.needs_disk();
        let work = move || incoming.spool().map(|()| incoming);
        if !needs_disk {
            return work();
        }
        let spooled = self.shared.disks.spool.run_until(Instant::now() + PATIENCE, work).await;
        spooled.unwrap_or(Err(Failure::Unavailable))
    }
}

impl Backend<Server> for Deliveries {
    async fn perform(&mut self, request: Request) -> Answer {
        match request {
            // RFC 2033: nobody logs in here, and the session does not offer it.
            Request::Verify(credentials) => {
                Answer::Verified { username: credentials.username, verdict: Verdict::Rejected }
            }
            Request::Sender { .. } => {
                if self.routed.len() > ROUTED {
                    self.routed = HashMap::new();
                }
                Answer::Sender(Ok(()))
            }
            Request::Route { recipient, .. } => {
                let outcome = self.route(&recipient).await;
                Answer::Routed { recipient, outcome }
            }
            Request::Begin { client, envelope } => {
                Answer::Begun(self.begin(client, envelope).await)
            }
            Request::Store(block) => Answer::Stored(self.store(block).await),
            Request::Commit(block) => Answer::Committed(self.commit(block).await),
            Request::Discard => {
                self.incoming = None;
                Answer::Discarded
            }
            Request::Deliver(transactions) => Answer::Delivered(self.deliver(transactions).await),
        }
    }
}
