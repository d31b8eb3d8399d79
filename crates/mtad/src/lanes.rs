//! The ways out: lmtp-deliverd, next hops. Each is a lane, made when it is needed first, and gone
//! when nothing has used it for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use mail_common::config::NextHop;
use mail_common::lock;
use mail_common::serve::Surroundings;
use mail_common::tls::Connector;
use mail_proto::address::Address;
use mail_proto::smtp::Dialect;
use mail_proto::smtp::client::{Setup, Tls};
use tokio_util::sync::CancellationToken;

use crate::Mtad;
use crate::deliver::{Lane, Target, Traffic};
use crate::route::{Route, Routes};
use crate::schedule::Destination;

/// RFC 5321, 4.5.3.2.5: how long a peer may take to read a block.
const WRITE_PATIENCE: Duration = Duration::from_mins(3);

/// Lanes that may stand idle until they are looked through.
const IDLE_LANES: usize = 64;

/// Where foreign mail goes that has no next hop: it waits.
const NOWHERE: Destination = Destination(1);

/// What destinations are called that have no name of their own.
const LOCAL: &str = "lmtp-deliverd";
const NO_HOP: &str = "no next hop";

/// The lanes of one configuration.
#[derive(Debug)]
pub(crate) struct Lanes {
    mtad: Arc<Mtad>,
    routes: Arc<Routes>,
    names: Arc<Names>,
    stop: CancellationToken,
    end: CancellationToken,
    open: Mutex<HashMap<Destination, Arc<Lane>>>,
}

/// The next hops behind the schedule's numbers. No number is used for another hop while we live:
/// there are as many as the configurations had.
#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<HashMap<NextHop, Destination>>);

impl Lanes {
    /// `stop`: begin nothing new; `end`: break off what is under way.
    pub(crate) fn new(
        mtad: &Arc<Mtad>,
        names: &Arc<Names>,
        stop: &CancellationToken,
        end: &CancellationToken,
    ) -> Self {
        Self {
            mtad: Arc::clone(mtad),
            routes: mtad.routes(),
            names: Arc::clone(names),
            stop: stop.clone(),
            end: end.clone(),
            open: Mutex::default(),
        }
    }

    /// What an address waits for. Mail for postmaster is looked up when it is tried, which is when
    /// mail for mailboxes here is.
    pub(crate) fn destination(&self, to: &Address) -> Destination {
        match self.routes.foreign(to) {
            Some(Route::Foreign { next_hop: Some(hop), .. }) => self.names.number(&hop),
            Some(_) => NOWHERE,
            None => Destination::LOCAL,
        }
    }

    /// Whether it is another server.
    pub(crate) fn leads_out(destination: Destination) -> bool {
        destination > NOWHERE
    }

    /// What mail for a domain waits for, as far as that tells.
    pub(crate) fn destination_of(&self, domain: &str) -> Destination {
        let domain = domain.parse().ok();
        let to = domain.and_then(|domain| Address::new("nobody", domain).ok());
        to.map_or(Destination::LOCAL, |to| self.destination(&to))
    }

    /// What a destination is called.
    pub(crate) fn name(&self, destination: Destination) -> String {
        match destination {
            Destination::LOCAL => LOCAL.to_owned(),
            NOWHERE => NO_HOP.to_owned(),
            named => self.names.name(named),
        }
    }

    /// What that is called which an address waits for.
    pub(crate) fn name_of(routes: &Routes, to: &Address) -> String {
        match routes.foreign(to) {
            Some(Route::Foreign { next_hop: Some(hop), .. }) => hop.into(),
            Some(_) => NO_HOP.to_owned(),
            None => LOCAL.to_owned(),
        }
    }

    /// What they are made from.
    pub(crate) fn routes(&self) -> &Arc<Routes> {
        &self.routes
    }

    /// Whether nothing new is begun.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// To lmtp-deliverd.
    pub(crate) fn local(&self) -> Arc<Lane> {
        let settings = &self.routes.site.mtad;
        self.lane(Destination::LOCAL, || {
            let attempts = settings.local_deliveries.get();
            let target = Target::Local(settings.lmtp.clone());
            self.make(target, attempts, Dialect::Lmtp, Tls::Never)
        })
    }

    /// To a next hop.
    pub(crate) fn next_hop(&self, hop: &NextHop) -> Arc<Lane> {
        self.lane(self.names.number(hop), || {
            let attempts = self.routes.site.mtad.destination_deliveries.get();
            self.make(Target::NextHop(hop.clone()), attempts, Dialect::Smtp, Tls::Offered)
        })
    }

    fn lane(&self, destination: Destination, make: impl FnOnce() -> Lane) -> Arc<Lane> {
        let mut open = lock(&self.open);
        if open.len() > IDLE_LANES {
            // Whatever is under way, and each connection, has its lane.
            open.retain(|_, lane| Arc::strong_count(lane) > 1);
        }
        Arc::clone(open.entry(destination).or_insert_with(|| Arc::new(make())))
    }

    fn make(&self, target: Target, attempts: usize, dialect: Dialect, tls: Tls) -> Lane {
        let hello = self.routes.site.hostname.clone();
        Lane {
            target,
            setup: Setup { dialect, hello, tls, credentials: None },
            attempts,
            queue: self.mtad.queue.clone(),
            disk: self.mtad.disk.clone(),
            surroundings: Surroundings {
                tls: None,
                connect_tls: Some(Connector::opportunistic()),
                stop: self.end.clone(),
                write_patience: WRITE_PATIENCE,
            },
            stop: self.stop.clone(),
            traffic: Mutex::new(Traffic::default()),
        }
    }
}

impl Names {
    fn number(&self, hop: &NextHop) -> Destination {
        let mut known = self.known();
        if let Some(number) = known.get(hop) {
            return *number;
        }
        let others = u32::try_from(known.len()).expect("configurations are shorter than 16 MiB");
        let number = Destination(NOWHERE.0 + 1 + others);
        known.insert(hop.clone(), number);
        number
    }

    fn name(&self, destination: Destination) -> String {
        let known = self.known();
        let found = known.iter().find(|(_, number)| **number == destination);
        found.map(|(hop, _)| String::from(hop.clone())).unwrap_or_default()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<NextHop, Destination>> {
        lock(&self.0)
    }
}
