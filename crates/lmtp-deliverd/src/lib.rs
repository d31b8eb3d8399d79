//! Local delivery: LMTP in, mailboxes out.
//!
//! [`smtp::Server`] speaks, [`Deliveries`] answers it. A message is cleaned by [`header`], kept in
//! [`spool`] until it is whole, written for its first recipient, and linked into the mailboxes of
//! the others ([`one_file`]); messages that come together go into all their mailboxes at the same
//! time ([`batch`]) and are not waited for for ever ([`board`]), and neither does
//! one user's mail take all threads ([`turns`]) nor one disk's ([`disks`]). Each recipient has an outcome of its own, and a 250 only once the message survives a
//! power cut. [`journal`] knows what was delivered before.

mod backend;
mod batch;
mod board;
mod disks;
mod header;
mod incoming;
mod journal;
mod one_file;
mod spool;
mod trace;
mod turns;

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;

use mail_common::config::{LmtpListen, Site, TlsMode};
use mail_common::daemon::{Daemon, Listener, Present, StartError};
use mail_common::maildir::{Inbox, Inboxes};
use mail_common::serve::{Stream, Surroundings, converse};
use mail_common::time;
use mail_proto::Session as _;
use mail_proto::smtp::{self, Dialect, Limits};

pub use backend::Deliveries;
use disks::{Disks, OnDisk};
use journal::Journal;
use turns::Turns;

/// Threads that deliver to one file system. Each waits for the disk most of the time, and their syncs share commits
/// of its journal; and some are still telling of a delivery whose peer sends the next already.
const THREADS: NonZeroUsize = NonZeroUsize::new(32).expect("32 is not 0");

/// Octets of trace fields that a message of mtad's may have more than when mtad measured it: one
/// that was taken there must not be refused here.
const TRANSIT: u64 = 16 << 10;

/// Recipients that mtad names in one transaction, however few it lets others name.
const TOGETHER: usize = 100;

/// The daemon.
#[derive(Debug)]
pub struct LmtpDeliverd {
    present: Present,
    shared: Arc<Shared>,
}

/// Where a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// At a socket of this machine. It is believed what it says of a message's id.
    Local,
    /// Elsewhere.
    Remote {
        /// Whether it is offered TLS.
        starttls: bool,
    },
}

/// What all deliveries share, across reloads.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) inboxes: Inboxes<OnDisk<Inbox>>,
    pub(crate) journal: Journal,
    /// Counts messages with one file for several mailboxes.
    pub(crate) one_files: Arc<()>,
    pub(crate) turns: Turns,
    pub(crate) disks: Disks,
}

impl Shared {
    pub(crate) fn new(journal: Journal, disks: Disks) -> Self {
        let (inboxes, one_files, turns) = (Inboxes::default(), Arc::default(), Turns::default());
        Self { inboxes, journal, one_files, turns, disks }
    }
}

impl LmtpDeliverd {
    /// A session with a peer and what answers it.
    #[must_use]
    pub fn session(&self, peer: Peer) -> (smtp::Server, Deliveries) {
        let parts = self.present.parts();
        let limits = &parts.site.limits;
        let local = peer == Peer::Local;
        let setup = smtp::Setup {
            dialect: Dialect::Lmtp,
            hostname: parts.site.hostname.clone(),
            limits: Limits {
                message_size: limits.message_size.saturating_add(if local { TRANSIT } else { 0 }),
                recipients: limits.recipients.max(if local { TOGETHER } else { 0 }),
                command_line: limits.smtp_command_line,
                errors: limits.errors,
                patience: limits.patience.duration(),
            },
            starttls: peer == Peer::Remote { starttls: true },
            cleartext_auth: false,
            delivery_ids: local,
        };
        (smtp::Server::new(setup), Deliveries::new(parts, Arc::clone(&self.shared)))
    }
}

impl Daemon for LmtpDeliverd {
    const NAME: &'static str = "lmtp-deliverd";

    type Role = ();

    fn listeners(site: &Site) -> Vec<Listener<()>> {
        let listener = |listen: &LmtpListen| Listener {
            endpoint: listen.address.clone(),
            role: (),
            tls: TlsMode::Starttls,
        };
        site.lmtp_deliverd.listen.iter().map(listener).collect()
    }

    fn role(socket_name: &str) -> Option<((), TlsMode)> {
        (socket_name == "lmtp").then_some(((), TlsMode::Starttls))
    }

    fn start(site: Arc<Site>) -> Result<Self, StartError> {
        let present = Present::open(site, Self::NAME, THREADS)?;
        let journal = journal(&present.parts().site)?;
        let disks = Disks::new(THREADS, present.parts().pool.clone());
        Ok(Self { present, shared: Arc::new(Shared::new(journal, disks)) })
    }

    fn reload(&self, site: Arc<Site>) -> Result<(), StartError> {
        self.present.renew(site)
    }

    async fn connection(
        self: Arc<Self>,
        mut stream: Stream,
        _role: (),
        surroundings: Surroundings,
    ) -> io::Result<()> {
        let peer = match stream.peer() {
            None => Peer::Local,
            Some(_) => Peer::Remote { starttls: surroundings.tls.is_some() },
        };
        let (mut session, mut backend) = self.session(peer);
        if let Some(tls) = stream.secured() {
            session.secured(tls);
        }
        converse(&mut session, &mut stream, &mut backend, &surroundings).await?;
        Ok(())
    }
}

fn journal(site: &Site) -> Result<Journal, StartError> {
    let settings = &site.lmtp_deliverd;
    let remembered = settings.remembered.get();
    let opened = Journal::open(&settings.state, remembered, time::now_micros());
    opened.map_err(|error| StartError {
        what: format!("the journal of deliveries in {} cannot be used", settings.state.display()),
        why: error.to_string(),
        remedy:
            "Look at lmtp-deliverd.state: its owner must be the user of lmtp-deliverd, and one \
                 lmtp-deliverd at a time has it"
                .to_owned(),
    })
}
