//! What answers an LMTP session.

use std::collections::HashMap;
use std::sync::Arc;

use mail_common::auth::User;
use mail_common::daemon::Parts;
use mail_common::serve::Backend;
use mail_proto::address::Address;
use mail_proto::sasl::Verdict;
use mail_proto::smtp::{Accepted, Answer, Client, Envelope, Failure, Recipient, Request, Server};
use tracing::warn;

use crate::Shared;
use crate::incoming::{Delivered, Incoming};

/// One session's view of the mailboxes.
#[derive(Debug)]
pub struct Deliveries {
    parts: Arc<Parts>,
    shared: Arc<Shared>,
    /// Whose mailboxes the recipients of this transaction are.
    routed: HashMap<Address, User>,
    incoming: Option<Incoming>,
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

    fn begin(&mut self, client: Client, envelope: Envelope) -> Result<(), Failure> {
        let user = |recipient: &Recipient| self.routed.get(&recipient.address).cloned();
        let users: Option<Vec<_>> = envelope.recipients.iter().map(user).collect();
        let users = users.ok_or(Failure::Unavailable)?;
        let (site, shared) = (&self.parts.site, Arc::clone(&self.shared));
        self.incoming = Some(Incoming::new(client, envelope, users, site, shared));
        Ok(())
    }

    /// Gives the block back, empty.
    async fn store(&mut self, mut block: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let mut incoming = self.incoming.take().ok_or(Failure::Unavailable)?;
        let work = move || {
            let result = incoming.add(&block);
            block.clear();
            (incoming, result.map(|()| block))
        };
        let (incoming, result) = self.parts.pool.run(work).await.ok_or(Failure::Unavailable)?;
        self.incoming = Some(incoming);
        result
    }

    async fn commit(&mut self, block: Vec<u8>) -> Vec<Result<Accepted, Failure>> {
        let Some(mut incoming) = self.incoming.take() else {
            return Vec::new();
        };
        let recipients = incoming.recipients();
        let parts = Arc::clone(&self.parts);
        let work = move || {
            let (outcomes, last) = match incoming.add(&block) {
                Ok(()) => incoming.deliver(&parts.site),
                Err(failure) => (vec![Err(failure); recipients], None),
            };
            (outcomes, || last.into_iter().for_each(Delivered::tell))
        };
        let outcomes = self.parts.pool.run_ahead(work).await;
        outcomes.unwrap_or_else(|| vec![Err(Failure::Unavailable); recipients])
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
                self.routed.clear();
                Answer::Sender(Ok(()))
            }
            Request::Route { recipient, .. } => {
                let outcome = self.route(&recipient).await;
                Answer::Routed { recipient, outcome }
            }
            Request::Begin { client, envelope } => Answer::Begun(self.begin(client, envelope)),
            Request::Store(block) => Answer::Stored(self.store(block).await),
            Request::Commit(block) => Answer::Committed(self.commit(block).await),
            Request::Discard => {
                self.incoming = None;
                Answer::Discarded
            }
        }
    }
}
