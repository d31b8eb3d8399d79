//! The destinations that the configuration knows.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mail_common::serve::Surroundings;
use mail_common::tls::Connector;
use mail_proto::smtp::Dialect;
use mail_proto::smtp::client::{Setup, Tls};
use tokio_util::sync::CancellationToken;

use crate::Mtad;
use crate::deliver::{Lane, Target, Traffic};
use crate::route::Routes;

/// RFC 5321, 4.5.3.2.5: how long a peer may take to read a block.
const WRITE_PATIENCE: Duration = Duration::from_mins(3);

/// The destinations that the configuration knows.
#[derive(Debug)]
pub(crate) struct Lanes {
    /// To lmtp-deliverd.
    pub(crate) local: Arc<Lane>,
    /// To the next hop, where there is one.
    pub(crate) next_hop: Option<Arc<Lane>>,
}

impl Lanes {
    /// `stop`: begin nothing new; `end`: break off what is under way.
    pub(crate) fn new(
        mtad: &Mtad,
        routes: &Routes,
        stop: &CancellationToken,
        end: &CancellationToken,
    ) -> Self {
        let settings = &routes.site.mtad;
        let lane = |target, dialect, tls| {
            let hello = routes.site.hostname.clone();
            Arc::new(Lane {
                target,
                setup: Setup { dialect, hello, tls, credentials: None },
                limit: settings.deliveries.get(),
                queue: mtad.queue.clone(),
                disk: mtad.disk.clone(),
                surroundings: Surroundings {
                    tls: None,
                    connect_tls: Some(Connector::opportunistic()),
                    stop: end.clone(),
                    write_patience: WRITE_PATIENCE,
                },
                stop: stop.clone(),
                traffic: Mutex::new(Traffic::default()),
            })
        };
        let local = lane(Target::Local(settings.lmtp.clone()), Dialect::Lmtp, Tls::Never);
        let next_hop = settings.next_hop.clone();
        let next_hop = next_hop.map(|hop| lane(Target::NextHop(hop), Dialect::Smtp, Tls::Offered));
        Self { local, next_hop }
    }
}
