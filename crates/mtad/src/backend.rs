//! Answers the questions of one SMTP connection.

use std::net::IpAddr;
use std::sync::Arc;

use mail_common::config::Role;
use mail_common::log::Id;
use mail_common::serve::Backend;
use mail_common::time;
use mail_proto::address::{Address, ReversePath};
use mail_proto::sasl::{Credentials, Verdict};
use mail_proto::smtp::{Accepted, Answer, Client, Envelope, Failure, Request, Server};
use mail_spool::Incoming;
use tracing::{error, info, warn};

use crate::Mtad;
use crate::hold;
use crate::oldest::Coming;
use crate::queue::{Letter, QueueError};
use crate::received::{Hops, Trace, word};
use crate::route::{Routes, Trust};

/// What answers the session of one connection.
#[derive(Debug)]
pub struct Connection {
    mtad: Arc<Mtad>,
    routes: Arc<Routes>,
    role: Role,
    peer: Option<IpAddr>,
    uid: Option<u32>,
    /// Who logged in.
    user: Option<Address>,
    receiving: Receiving,
    /// The age of the last one that came.
    coming: Option<Coming>,
}

/// The message that is coming.
#[derive(Debug)]
enum Receiving {
    /// None.
    Nothing,
    /// This one; so many `Received` fields were seen.
    Message(Box<Incoming>, Hops),
    /// One that is refused already.
    Refused(Failure),
}

impl Connection {
    pub(crate) fn new(mtad: Arc<Mtad>, role: Role, peer: Option<IpAddr>, uid: Option<u32>) -> Self {
        let routes = mtad.routes();
        Self {
            mtad,
            routes,
            role,
            peer,
            uid,
            user: None,
            receiving: Receiving::Nothing,
            coming: None,
        }
    }

    async fn verify(&mut self, credentials: &Credentials) -> Verdict {
        let peer = self.client_name();
        match self.routes.auth.verify(credentials).await {
            Ok(Some(user)) => {
                self.user = Some(user.address().clone());
                Verdict::Accepted
            }
            Ok(None) => {
                warn!("client={peer}, SASL authentication failed: {:?}", credentials.username);
                Verdict::Rejected
            }
            Err(error) => {
                error!("client={peer}, SASL authentication not possible: {error}");
                Verdict::Unavailable
            }
        }
    }

    /// Whether this client may send as this sender. A user sends as the address that is theirs,
    /// in any case and with any `+detail`, for that is whose mailbox it leads to.
    async fn sender(&self, sender: &ReversePath) -> Result<(), Failure> {
        if self.role != Role::Submission {
            return Ok(());
        }
        let (Some(user), ReversePath(Some(sender))) = (&self.user, sender) else {
            return Err(Failure::SenderNotYours);
        };
        match self.routes.auth.lookup(sender).await {
            Ok(Some(owner)) if owner.address() == user => Ok(()),
            Ok(_) => Err(Failure::SenderNotYours),
            Err(error) => {
                error!("from=<{sender}>, cannot be looked up: {error}");
                Err(Failure::Unavailable)
            }
        }
    }

    fn trust(&self) -> Trust {
        match self.role {
            Role::Inject => Trust::Trusted,
            Role::Submission if self.user.is_some() => Trust::Trusted,
            Role::Submission | Role::Mx => Trust::Stranger,
        }
    }

    async fn begin(&mut self, client: &Client, envelope: Envelope) -> Result<(), Failure> {
        self.receiving = Receiving::Nothing;
        let id = Id::new();
        self.coming = Some(self.mtad.oldest.comes(id));
        let arrived = time::now_micros();
        let date = time::rfc5322(time::seconds(arrived));
        let (hostname, recipients) = (&self.routes.site.hostname, envelope.recipients.as_slice());
        let (peer, uid, date) = (self.peer, self.uid, date.as_str());
        let trace = Trace { client, peer, uid, hostname, id: &id, recipients, date };
        let field = trace.field();
        info!("{id}: client={}{}", self.client_name(), sasl(self.user.as_ref()));
        // The rules as they are now, however old the connection is.
        let rules = &self.mtad.routes().site.mtad.hold;
        let rule = hold::rule(rules, &envelope.sender, &envelope.recipients);
        let hold = rule.map(|number| format!("mtad.hold.{number}"));

        let letter = Letter {
            id,
            arrived,
            sender: envelope.sender,
            recipients: envelope.recipients,
            eight_bit: envelope.eight_bit,
            ret: envelope.ret,
            envid: envelope.envid,
            hold,
        };
        let incoming = self.mtad.queue.begin(letter);
        self.receiving = Receiving::Message(Box::new(incoming), Hops::default());
        self.write(field.into_bytes()).await.map(drop)
    }

    async fn store(&mut self, block: Vec<u8>) -> Result<Vec<u8>, Failure> {
        self.pass(&block)?;
        self.write(block).await
    }

    /// Takes a block, and gives an empty one back.
    async fn write(&mut self, block: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let (mut incoming, hops) = self.take()?;
        let (incoming, written) = if incoming.takes_at_once(block.len()) {
            let written = incoming.write(block);
            (incoming, written)
        } else {
            let work = move || {
                let written = incoming.write(block);
                (incoming, written)
            };
            self.mtad.disk.run(work).await.ok_or(Failure::Unavailable)?
        };
        match written {
            Ok(block) => {
                self.receiving = Receiving::Message(incoming, hops);
                Ok(block)
            }
            Err(error) => Err(self.refuse(refusal(&error))),
        }
    }

    async fn commit(&mut self, block: Vec<u8>) -> Result<Accepted, Failure> {
        self.pass(&block)?;
        self.write(block).await?;
        let (incoming, _) = self.take()?;
        let finished = match incoming.takes_at_once(0) {
            true => incoming.finish(),
            false => {
                let finished = self.mtad.disk.run(move || incoming.finish()).await;
                finished.ok_or(Failure::Unavailable)?
            }
        };
        let message = finished.map_err(|error| refusal(&error))?;
        let committed = self.mtad.queue.commit(message).await;
        let entry = committed.map_err(|error| refusal(&error))?;
        let id = entry.id.to_string();
        self.mtad.enqueue(entry);
        self.coming = None;
        Ok(Accepted::Queued(id))
    }

    /// Looks for loops in the next block.
    fn pass(&mut self, block: &[u8]) -> Result<(), Failure> {
        let limits = &self.routes.site.limits;
        let Receiving::Message(incoming, hops) = &mut self.receiving else { return Ok(()) };
        let count = hops.count(block, limits.header_size);
        if count <= limits.hops {
            return Ok(());
        }
        warn!("{}: {count} Received fields, refused as looping", incoming.id());
        Err(self.refuse(Failure::Loop))
    }

    /// The message that is coming, unless it was refused.
    fn take(&mut self) -> Result<(Box<Incoming>, Hops), Failure> {
        match std::mem::replace(&mut self.receiving, Receiving::Nothing) {
            Receiving::Message(incoming, hops) => Ok((incoming, hops)),
            Receiving::Refused(failure) => Err(self.refuse(failure)),
            Receiving::Nothing => Err(Failure::Unavailable),
        }
    }

    fn refuse(&mut self, failure: Failure) -> Failure {
        self.receiving = Receiving::Refused(failure);
        failure
    }

    fn client_name(&self) -> String {
        match (self.peer, self.uid) {
            (Some(peer), _) => format!("unknown[{peer}]"),
            (None, Some(uid)) => format!("local[uid={uid}]"),
            (None, None) => "local".to_owned(),
        }
    }

    fn log_refusal(&self, client: &Client, failure: Failure, subject: &str) {
        let (peer, hello) = (self.client_name(), word(&client.hello));
        info!("reject: client={peer}, {subject}, helo=<{hello}>, reason={failure:?}");
    }
}

impl Backend<Server> for Connection {
    async fn perform(&mut self, request: Request) -> Answer {
        match request {
            Request::Verify(credentials) => {
                let verdict = self.verify(&credentials).await;
                let username = match &self.user {
                    Some(user) if verdict == Verdict::Accepted => user.to_string(),
                    _ => credentials.username,
                };
                Answer::Verified { username, verdict }
            }
            Request::Sender { client, sender } => {
                let outcome = self.sender(&sender).await;
                if let Err(failure) = outcome {
                    self.log_refusal(&client, failure, &format!("from={sender}"));
                }
                Answer::Sender(outcome)
            }
            Request::Route { client, sender, recipient } => {
                let outcome = self.routes.accepts(&recipient.address, self.trust()).await;
                if let Err(failure) = outcome {
                    let subject = format!("from={sender}, to=<{}>", recipient.address);
                    self.log_refusal(&client, failure, &subject);
                }
                Answer::Routed { recipient, outcome }
            }
            Request::Begin { client, envelope } => {
                Answer::Begun(self.begin(&client, envelope).await)
            }
            Request::Store(block) => Answer::Stored(self.store(block).await),
            Request::Commit(block) => Answer::Committed(vec![self.commit(block).await]),
            Request::Discard => {
                self.receiving = Receiving::Nothing;
                Answer::Discarded
            }
            // Only LMTP asks this. Each recipient will hear that it is to be tried later.
            Request::Deliver(_) => Answer::Delivered(Vec::new()),
        }
    }
}

fn sasl(user: Option<&Address>) -> String {
    user.map(|user| format!(", sasl_username={user}")).unwrap_or_default()
}

/// What the peer hears when the queue does not take its message. Logged here, where it stops.
fn refusal(error: &QueueError) -> Failure {
    error!("message not taken: {error}");
    if error.is_full() { Failure::DiskFull } else { Failure::Unavailable }
}
