//! The mail transport: receives, queues, routes, delivers and bounces mail.
//!
//! A message's way: [`backend`] answers the SMTP session and puts it into the [`queue`]; the
//! [`courier`] tries it when [`schedule`] says; an [`attempt`] asks [`route`] where each recipient
//! is, has [`deliver`] carry it there, and records what came of it, and tells the sender
//! ([`notify`]) where it came to nothing.

mod attempt;
mod backend;
mod courier;
mod deliver;
mod hold;
mod lanes;
mod notify;
mod queue;
mod received;
mod route;
mod schedule;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod verdict;

use std::io;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use mail_common::config::{Cleartext, Role, Site, TlsMode};
use mail_common::daemon::{Daemon, Listener, StartError, open_auth};
use mail_common::pool::Pool;
use mail_common::serve::{Stream, Surroundings, converse};
use mail_proto::Session as _;
use mail_proto::smtp::{Dialect, Limits, Server, Setup};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::{info, warn};

pub use crate::backend::Connection;
use crate::courier::Courier;
use crate::queue::{Entry, Queue, QueueError};
use crate::route::Routes;

/// Threads that write and sync. While one waits for the disk others can join its sync.
const DISK_THREADS: NonZeroUsize = const { NonZeroUsize::new(8).expect("8 is not 0") };

/// The mail transport.
#[derive(Debug)]
pub struct Mtad {
    routes: RwLock<Arc<Routes>>,
    queue: Queue,
    disk: Pool,
    /// Each message here is in the queue already: this line is never longer than the queue.
    arrivals: UnboundedSender<Entry>,
    /// For the courier, which takes it when it begins.
    arriving: Mutex<Option<UnboundedReceiver<Entry>>>,
    reloaded: Notify,
}

impl Mtad {
    /// What holds now, for a new session or attempt.
    fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.routes.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A message that is in the queue is due.
    fn enqueue(&self, entry: Entry) {
        let Entry { id, letter, size, .. } = &entry;
        let (sender, count) = (&letter.sender, letter.recipients.len());
        info!("{id}: from={sender}, size={size}, nrcpt={count} (queue active)");
        // There is no courier any more only when we stop; the next start finds the message.
        let _ = self.arrivals.send(entry);
    }

    /// A session and what answers it; who speaks is known from the connection.
    #[must_use]
    pub fn session(
        self: &Arc<Self>,
        role: Role,
        peer: Option<IpAddr>,
        uid: Option<u32>,
        starttls: bool,
    ) -> (Server, Connection) {
        let site = &self.routes().site;
        let limits = &site.limits;
        let loopback = peer.is_some_and(|peer| peer.is_loopback());
        let setup = Setup {
            dialect: match role {
                Role::Mx => Dialect::Smtp,
                Role::Submission => Dialect::Submission,
                Role::Inject => Dialect::Inject,
            },
            hostname: site.hostname.clone(),
            limits: Limits {
                message_size: limits.message_size,
                recipients: limits.recipients,
                command_line: limits.smtp_command_line,
                errors: limits.errors,
                patience: limits.patience.duration(),
            },
            starttls: starttls && peer.is_some(),
            cleartext_auth: loopback && site.auth.cleartext == Cleartext::Loopback,
            delivery_ids: false,
        };
        (Server::new(setup), Connection::new(Arc::clone(self), role, peer, uid))
    }
}

impl Daemon for Mtad {
    const NAME: &'static str = "mtad";

    type Role = Role;

    fn listeners(site: &Site) -> Vec<Listener<Role>> {
        let listen = site.mtad.listen.iter();
        listen
            .map(|one| Listener { endpoint: one.address.clone(), role: one.role, tls: one.tls })
            .collect()
    }

    fn role(socket_name: &str) -> Option<(Role, TlsMode)> {
        match socket_name {
            "mx" => Some((Role::Mx, TlsMode::Starttls)),
            "submission" => Some((Role::Submission, TlsMode::Starttls)),
            "submissions" => Some((Role::Submission, TlsMode::Implicit)),
            "inject" => Some((Role::Inject, TlsMode::Starttls)),
            _ => None,
        }
    }

    fn start(site: Arc<Site>) -> Result<Self, StartError> {
        let not_usable = |error| not_usable(&site, &error);
        let queue = Queue::open(&site.mtad.spool).map_err(not_usable)?;
        let (arrivals, arriving) = unbounded_channel();
        // Before the first connection: what arrives later is told once, and not found here too.
        let left = queue.entries().map_err(not_usable)?;
        info!("{} messages in the queue", left.len());
        for entry in left {
            let _ = arrivals.send(entry);
        }
        Ok(Self {
            routes: RwLock::new(Arc::new(routes(site)?)),
            queue,
            disk: Pool::new("queue", DISK_THREADS),
            arrivals,
            arriving: Mutex::new(Some(arriving)),
            reloaded: Notify::new(),
        })
    }

    async fn background(self: Arc<Self>, surroundings: Surroundings) {
        let arriving = self.arriving.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(arriving) = arriving {
            Courier::new(self, arriving, &surroundings).run().await;
        }
    }

    fn reload(&self, site: Arc<Site>) -> Result<(), StartError> {
        let new = Arc::new(routes(site)?);
        *self.routes.write().unwrap_or_else(PoisonError::into_inner) = new;
        self.reloaded.notify_one();
        Ok(())
    }

    async fn connection(
        self: Arc<Self>,
        mut stream: Stream,
        role: Role,
        surroundings: Surroundings,
    ) -> io::Result<()> {
        let starttls = surroundings.tls.is_some() && stream.secured().is_none();
        let (mut session, backend) = self.session(role, stream.peer(), stream.peer_uid(), starttls);
        if let Some(tls) = stream.secured() {
            session.secured(tls);
        }
        let mut backend = Box::new(backend);
        converse(&mut session, &mut stream, &mut *backend, &surroundings).await.map(|_| ())
    }
}

fn routes(site: Arc<Site>) -> Result<Routes, StartError> {
    let auth = open_auth(&site)?;
    if site.domains.local.is_empty() {
        warn!("domains.local is empty: only mail for other domains is taken");
    }
    Ok(Routes { site, auth })
}

fn not_usable(site: &Site, error: &QueueError) -> StartError {
    StartError {
        what: format!("the queue in {} cannot be used", site.mtad.spool.display()),
        why: error.to_string(),
        remedy: "Look at mtad.spool: its owner must be the user of mtad, and one mtad at a time \
                 has it"
            .to_owned(),
    }
}
