//! One destination.
//!
//! A job goes to an idle connection, else to a new one, else to the one that carries least and can
//! take more, else it waits for the first that comes free. What waits here is bounded by the
//! attempts under way.
//!
//! No job is ever handed to a connection that did not take it: it lies in one line, and who is to
//! take it is only woken. A connection that listens for more while it hears replies can so be
//! broken off at any moment, and what it has not taken is there for the others.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use mail_common::config::NextHop;
use mail_common::lock;
use mail_common::pool::Pool;
use mail_common::serve::{Outcome, Stream, Surroundings, converse};
use mail_proto::smtp::client::{Client, Setup};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::carrier::Carrier;
use super::{Done, Job};
use crate::queue::Queue;

/// How long a host may take to answer a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(30);

/// Connections to lmtp-deliverd: each carries many messages at once, and it gathers what comes on
/// one connection to sync it together.
const LOCAL_CONNECTIONS: usize = 4;

/// Where a lane leads.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// lmtp-deliverd.
    Local(PathBuf),
    /// The next hop.
    NextHop(NextHop),
}

/// One destination.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) target: Target,
    pub(crate) setup: Setup,
    /// Attempts at the same time.
    pub(crate) attempts: usize,
    pub(crate) queue: Queue,
    pub(crate) disk: Pool,
    /// Its `stop` ends sessions at once.
    pub(crate) surroundings: Surroundings,
    /// No message is begun any more.
    pub(crate) stop: CancellationToken,
    pub(crate) traffic: Mutex<Traffic>,
}

/// What goes on in a lane.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    connections: usize,
    /// Connections that can take a job; the last one used last.
    listening: Vec<Listening>,
    waiting: VecDeque<Job>,
    /// Until when nobody is to be talked to, and why: many jobs shall not each wait for the same
    /// dead host.
    dead: Option<(Instant, String)>,
}

/// Wakes one connection.
pub(super) type Listener = Arc<Notify>;

/// A connection that can take a job.
#[derive(Debug)]
struct Listening {
    listener: Listener,
    /// Messages that it has under way.
    carries: usize,
}

impl Traffic {
    /// The connection that carries least, of these the last one used.
    fn least_busy(&self) -> Option<&Listening> {
        self.listening.iter().rev().min_by_key(|one| one.carries)
    }

    fn leave(&mut self, listener: &Listener) {
        self.listening.retain(|one| !Arc::ptr_eq(&one.listener, listener));
    }

    /// Puts a job in line, and wakes who carries least.
    fn put(&mut self, job: Job) {
        self.waiting.push_back(job);
        if let Some(Listening { listener, .. }) = self.least_busy() {
            let listener = Arc::clone(listener);
            self.leave(&listener);
            listener.notify_one();
        }
    }

    /// The next job; if there is none, the connection is woken for one that comes.
    fn next_or_listen(&mut self, listener: &Listener, carries: usize) -> Option<Job> {
        self.leave(listener);
        if let Some(job) = self.waiting.pop_front() {
            return Some(job);
        }
        self.listening.push(Listening { listener: Arc::clone(listener), carries });
        None
    }
}

impl Lane {
    /// Carries a job out; its `done` is told.
    pub(crate) fn deliver(lane: &Arc<Self>, job: Job) {
        if lane.stop.is_cancelled() {
            let _ = job.done.send(Done::Stopping);
            return;
        }
        let mut traffic = lane.traffic();
        let idle = traffic.least_busy().is_some_and(|one| one.carries == 0);
        if idle || traffic.connections >= lane.connections() {
            return traffic.put(job);
        }
        traffic.connections += 1;
        tokio::spawn(work(Arc::clone(lane), job));
    }

    /// The next job for a connection that has none; `None`: say goodbye.
    pub(super) async fn next(&self, listener: &Listener) -> Option<Job> {
        if self.stop.is_cancelled() {
            return None;
        }
        tokio::select! {
            job = self.more(listener, 0) => return Some(job),
            () = self.stop.cancelled() => return None,
            () = tokio::time::sleep(self.idle_patience()) => {}
        }
        // It may have been woken just now, and nobody else for the same job.
        let mut traffic = self.traffic();
        traffic.leave(listener);
        traffic.waiting.pop_front()
    }

    /// The next job for a connection that carries some, if it is here.
    pub(super) fn next_at_once(&self) -> Option<Job> {
        if self.stop.is_cancelled() {
            return None;
        }
        self.traffic().waiting.pop_front()
    }

    /// Waits for a job for a connection that carries so many. May be broken off at any moment.
    pub(super) async fn more(&self, listener: &Listener, carries: usize) -> Job {
        loop {
            if self.stop.is_cancelled() {
                return pending().await;
            }
            if let Some(job) = self.traffic().next_or_listen(listener, carries) {
                return job;
            }
            listener.notified().await;
        }
    }

    /// The connection takes no more for now.
    pub(super) fn leave(&self, listener: &Listener) {
        self.traffic().leave(listener);
    }

    /// A connection has ended: whoever waits for one gets it. When we stop, all who wait are told.
    fn ended(lane: &Arc<Self>) {
        lane.traffic().connections -= 1;
        loop {
            let Some(job) = lane.traffic().waiting.pop_front() else { return };
            Self::deliver(lane, job);
            if !lane.stop.is_cancelled() {
                return;
            }
        }
    }

    fn traffic(&self) -> MutexGuard<'_, Traffic> {
        lock(&self.traffic)
    }

    /// How many connections there may be.
    fn connections(&self) -> usize {
        match self.target {
            Target::Local(_) => self.attempts.min(LOCAL_CONNECTIONS),
            // One for each attempt.
            Target::NextHop(_) => self.attempts,
        }
    }

    /// A peer of ours keeps a connection gladly, a foreign one does not.
    fn idle_patience(&self) -> Duration {
        match self.target {
            Target::Local(_) => Duration::from_secs(30),
            Target::NextHop(_) => Duration::from_secs(2),
        }
    }

    /// How long a destination that cannot be reached counts as dead without being asked: for the
    /// transactions of one attempt. The schedule knows more.
    fn dead_for(&self) -> Duration {
        match self.target {
            Target::Local(_) => Duration::from_millis(200),
            Target::NextHop(_) => Duration::from_secs(1),
        }
    }

    fn why_dead(&self) -> Option<String> {
        let mut traffic = self.traffic();
        traffic.dead.take_if(|(until, _)| *until <= Instant::now());
        traffic.dead.as_ref().map(|(_, why)| why.clone())
    }

    async fn connect(&self) -> Result<(Stream, String), String> {
        if let Some(why) = self.why_dead() {
            return Err(why);
        }
        let connected = match &self.target {
            Target::Local(path) => Stream::connect_unix(path).await,
            Target::NextHop(hop) => {
                Stream::connect_tcp(&hop.host, hop.port, CONNECT_PATIENCE).await
            }
        };
        let name = self.name();
        match connected {
            Ok(stream) => {
                let relay = match (&self.target, stream.peer()) {
                    (Target::NextHop(hop), Some(peer)) => {
                        format!("{}[{peer}]:{}", hop.host, hop.port)
                    }
                    _ => name,
                };
                Ok((stream, relay))
            }
            Err(error) => {
                let why = format!("connect to {name}: {error}");
                self.traffic().dead = Some((Instant::now() + self.dead_for(), why.clone()));
                Err(why)
            }
        }
    }

    fn name(&self) -> String {
        match &self.target {
            Target::Local(path) => path.display().to_string(),
            Target::NextHop(hop) => format!("{}:{}", hop.host, hop.port),
        }
    }
}

/// Gives a connection's place back if its work panics: else the lane would have one less for ever,
/// and with the last one gone all its mail would wait.
struct Place(Arc<Lane>);

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            Lane::ended(&self.0);
        }
    }
}

/// One connection, from its first job to its end.
async fn work(lane: Arc<Lane>, first: Job) {
    let place = Place(Arc::clone(&lane));
    match lane.connect().await {
        Err(why) => {
            let _ = first.done.send(Done::Unreachable(why));
        }
        Ok((mut stream, relay)) => {
            let mut client = Client::new(lane.setup.clone());
            let mut carrier = Carrier::new(Arc::clone(&lane), relay, first);
            let ended = converse(&mut client, &mut stream, &mut carrier, &lane.surroundings);
            let reason = reason(&Box::pin(ended).await);
            carrier.over(client.abandon(&reason), &reason);
        }
    }
    Lane::ended(&place.0);
}

fn reason(ended: &io::Result<Outcome>) -> String {
    match ended {
        Ok(Outcome::Vanished) => "the connection was lost".to_owned(),
        Ok(Outcome::Closed | Outcome::Done) => "the connection was closed".to_owned(),
        Err(error) => format!("the connection failed: {error}"),
    }
}
