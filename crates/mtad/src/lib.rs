//! The mail transport: receives, queues, routes, delivers and bounces mail.
//!
//! A message's way: [`backend`] answers the SMTP session and puts it into the [`queue`]; the
//! [`courier`] tries it when [`schedule`] says, unless a rule says [`hold`]; an [`attempt`] asks
//! [`route`] where each recipient is, has [`deliver`] carry it there, and records what came of it;
//! before that it tells ([`notify`]) who wants to hear of it.

mod attempt;
mod backend;
pub mod control;
mod courier;
mod deliver;
mod hold;
mod lanes;
mod memory;
mod notify;
mod oldest;
mod queue;
mod received;
mod route;
mod schedule;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod verdict;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use mail_common::config::{Cleartext, Role, Site, TlsMode};
use mail_common::daemon::{Daemon, Listener, StartError, open_auth};
use mail_common::lock;
use mail_common::log::Id;
use mail_common::pool::Pool;
use mail_common::serve::{Stream, Surroundings, converse};
use mail_proto::Session as _;
use mail_proto::address::Address;
use mail_proto::smtp::{Dialect, Limits, Server, Setup};
use mail_spool::Recovered;
use mail_spool::admin::{Changed, Desk, Outage, UnderWay};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

pub use crate::backend::Connection;
use crate::control::Control;
use crate::courier::{Arrival, Courier, When};
use crate::lanes::Lanes;
use crate::oldest::Oldest;
use crate::queue::{Claim, Entry, Queue, QueueError};
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
    arrivals: UnboundedSender<Arrival>,
    /// For the courier, which takes them when it begins.
    beginning: Mutex<Option<Beginning>>,
    reloaded: Notify,
    /// What attempts and admins work on.
    under_way: UnderWay,
    /// What admins changed, and the courier has not heard.
    changes: Mutex<Vec<Changed>>,
    changed: Notify,
    oldest: Oldest,
    /// Destinations that are dead, by name.
    outages: Mutex<BTreeMap<String, Outage>>,
    /// Messages that are done with, which could not be recorded.
    unfinished: Mutex<Vec<Claim>>,
    /// Those of which it is being recorded.
    finishing: TaskTracker,
}

/// What is there before anything runs.
#[derive(Debug)]
struct Beginning {
    arriving: UnboundedReceiver<Arrival>,
    recovered: Recovered,
    control: Control,
}

impl Mtad {
    /// What holds now, for a new session or attempt.
    fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.routes.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A message came into the queue. It is due, unless it is held.
    fn enqueue(&self, entry: Entry) {
        let Entry { id, letter, size, progress, .. } = &entry;
        self.oldest.is_here(*id);
        let (sender, count) = (&letter.sender, letter.recipients.len());
        if let Some(rule) = &progress.hold {
            return info!("{id}: from={sender}, size={size}, nrcpt={count} (held by {rule})");
        }
        info!("{id}: from={sender}, size={size}, nrcpt={count} (queue active)");
        // There is no courier any more only when we stop; the next start finds the message.
        let _ = self.arrivals.send(Arrival::New(entry));
    }

    /// Whether it could be read.
    fn read_what_was_left(self: &Arc<Self>, recovered: Recovered) -> bool {
        let mut count = 0;
        for rows in recovered {
            count += rows.len();
            self.tell_of_rows(rows, When::Left);
        }
        info!("{count} messages in the queue");
        self.queue.spool().is_read()
    }

    /// A message is done with for everybody.
    fn finish(self: &Arc<Self>, id: Id) {
        // An attempt has it, so no admin does.
        if let Some(claim) = self.under_way.deliver(id) {
            self.finish_claimed(claim);
        }
    }

    fn finish_claimed(self: &Arc<Self>, claim: Claim) {
        let (mtad, token) = (Arc::clone(self), self.finishing.token());
        self.queue.finish(claim, move |claim| {
            lock(&mtad.unfinished).push(claim);
            drop(token);
        });
    }

    /// Records again what could not be recorded.
    fn finish_the_rest(self: &Arc<Self>) {
        let unfinished = std::mem::take(&mut *lock(&self.unfinished));
        unfinished.into_iter().for_each(|claim| self.finish_claimed(claim));
    }

    /// Gives the queue back, after a last try to record what is done with: the next process would
    /// deliver it again.
    async fn close(self: &Arc<Self>) {
        self.finishing.close();
        self.finishing.wait().await;
        self.finish_the_rest();
        let queue = self.queue.clone();
        self.disk.run(move || queue.close()).await;
    }

    /// What admins changed, and nobody has heard.
    fn changes(&self) -> Vec<Changed> {
        std::mem::take(&mut *lock(&self.changes))
    }

    /// What an admin is answered by.
    fn desk(self: &Arc<Self>) -> Desk {
        let (mtad, scheduler) = (Arc::downgrade(self), Arc::downgrade(self));
        let tell = move |changed| {
            if let Some(mtad) = mtad.upgrade() {
                if let Changed::Due(id) = changed {
                    mtad.oldest.is_here(id);
                }
                lock(&mtad.changes).push(changed);
                mtad.changed.notify_one();
            }
        };
        let outages = move |to: &Address| scheduler.upgrade()?.outage(to);
        Desk::new(self.queue.spool().clone(), self.under_way.clone(), Arc::new(tell))
            .with_outages(Arc::new(outages))
    }

    /// What is wrong where the mail for an address goes.
    fn outage(&self, to: &Address) -> Option<Outage> {
        let outages = lock(&self.outages);
        if outages.is_empty() {
            return None;
        }
        outages.get(&Lanes::name_of(&self.routes(), to)).cloned()
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
        let (queue, recovered) = Queue::open(&site.mtad.spool).map_err(not_usable)?;
        let control = Control::bind(&site.run.mtad_control())?;
        let (arrivals, arriving) = unbounded_channel();
        Ok(Self {
            routes: RwLock::new(Arc::new(routes(site)?)),
            queue,
            disk: Pool::new("queue", DISK_THREADS),
            arrivals,
            beginning: Mutex::new(Some(Beginning { arriving, recovered, control })),
            reloaded: Notify::new(),
            under_way: UnderWay::default(),
            changes: Mutex::default(),
            changed: Notify::new(),
            oldest: Oldest::default(),
            outages: Mutex::default(),
            unfinished: Mutex::default(),
            finishing: TaskTracker::new(),
        })
    }

    async fn background(self: Arc<Self>, surroundings: Surroundings) -> Result<(), StartError> {
        let Some(beginning) = lock(&self.beginning).take() else { return Ok(()) };
        let Beginning { arriving, recovered, control } = beginning;
        let surroundings = Surroundings { stop: surroundings.stop.child_token(), ..surroundings };
        let stop = surroundings.stop.clone();
        self.queue.spool().when_broken(move || stop.cancel());
        let (mtad, stop) = (Arc::clone(&self), surroundings.stop.clone());
        let admins = tokio::spawn(async move {
            let reader = Arc::clone(&mtad);
            let read = tokio::task::spawn_blocking(move || reader.read_what_was_left(recovered));
            let is_read = read.await.unwrap_or(false);
            match is_read {
                true => control.run(mtad.desk(), stop).await,
                // The next process may read it.
                false => stop.cancel(),
            }
            is_read
        });
        Courier::new(Arc::clone(&self), arriving, &surroundings).run().await;
        let is_read = admins.await.unwrap_or(true);
        self.close().await;
        match is_read {
            _ if self.queue.spool().is_broken() => Err(broken_off()),
            true => Ok(()),
            false => Err(not_read()),
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
        remedy: match error {
            QueueError::Foreign { .. } => {
                "Name an empty directory as mtad.spool, or move away what is there. Mail in it \
                 (messages/, or another program's) is delivered only by the program that wrote it"
            }
            _ => {
                "Look at mtad.spool: its owner must be the user of mtad, and one mtad at a time \
                 has it"
            }
        }
        .to_owned(),
    }
}

fn broken_off() -> StartError {
    StartError {
        what: "the queue broke off".to_owned(),
        why: "a panic, of which a line before this one tells".to_owned(),
        remedy: "What was promised is all still there, and delivered after the next start"
            .to_owned(),
    }
}

fn not_read() -> StartError {
    StartError {
        what: "what was in the queue cannot be read".to_owned(),
        why: "a line before this one tells".to_owned(),
        remedy: "It is all still there, and read at the next start; if not, look at the disk"
            .to_owned(),
    }
}
