//! POP3 over mailboxes.
//!
//! Two sessions one after the other (RFC 1939, 3): [`Login`](mail_proto::pop3::Login), answered
//! by [`Gate`], and [`Server`](mail_proto::pop3::Server), answered by [`Maildrop`].

mod maildrop;

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;

use mail_common::auth::{Gate, User, log_in};
use mail_common::config::{Pop3Listen, Site, TlsMode};
use mail_common::daemon::{Daemon, Listener, Parts, Present, StartError};
use mail_common::serve::{Stream, Surroundings, converse};
use mail_proto::pop3::{Login, Server, Setup};

pub use maildrop::Maildrop;

/// Threads that read mailboxes.
const THREADS: NonZeroUsize = NonZeroUsize::new(8).expect("8 is not 0");

/// The daemon.
#[derive(Debug)]
pub struct Pop3d(Present);

impl Pop3d {
    /// The first session of a connection and what answers it.
    #[must_use]
    pub fn login(&self, loopback: bool, starttls: bool) -> (Login, Gate) {
        let parts = self.0.parts();
        let cleartext_auth = parts.takes_cleartext(loopback);
        let patience = parts.site.limits.patience.duration();
        let setup = Setup { starttls, cleartext_auth, patience, ..setup(&parts) };
        (Login::new(setup), Gate::new(parts))
    }

    /// The session after the login and what answers it.
    #[must_use]
    pub fn maildrop(&self, user: User, unread: &[u8]) -> (Server, Maildrop) {
        let parts = self.0.parts();
        (Server::new(setup(&parts), unread), Maildrop::new(parts, user))
    }
}

impl Daemon for Pop3d {
    const NAME: &'static str = "pop3d";

    type Role = ();

    fn listeners(site: &Site) -> Vec<Listener<()>> {
        let listener = |listen: &Pop3Listen| Listener {
            endpoint: listen.address.clone(),
            role: (),
            tls: listen.tls,
        };
        site.pop3d.listen.iter().map(listener).collect()
    }

    fn role(socket_name: &str) -> Option<((), TlsMode)> {
        match socket_name {
            "pop3" => Some(((), TlsMode::Starttls)),
            "pop3s" => Some(((), TlsMode::Implicit)),
            _ => None,
        }
    }

    fn start(site: Arc<Site>) -> Result<Self, StartError> {
        Ok(Self(Present::open(site, Self::NAME, THREADS)?))
    }

    fn reload(&self, site: Arc<Site>) -> Result<(), StartError> {
        self.0.renew(site)
    }

    async fn connection(
        self: Arc<Self>,
        mut stream: Stream,
        _role: (),
        surroundings: Surroundings,
    ) -> io::Result<()> {
        // A Unix socket is nearer still.
        let loopback = stream.peer().is_none_or(|peer| peer.is_loopback());
        let (login, gate) = self.login(loopback, surroundings.tls.is_some());
        // In boxes, or a session that sleeps would hold their room.
        let (login, gate) = (Box::new(login), Box::new(gate));
        let Some((user, login)) = log_in(login, gate, &mut stream, &surroundings).await? else {
            return Ok(());
        };
        let (server, maildrop) = self.maildrop(user, &login.into_unread());
        let (mut server, mut maildrop) = (Box::new(server), Box::new(maildrop));
        converse(&mut *server, &mut stream, &mut *maildrop, &surroundings).await?;
        Ok(())
    }
}

/// What holds for every session of a site, once somebody has logged in.
fn setup(parts: &Parts) -> Setup {
    Setup {
        hostname: parts.site.hostname.clone(),
        starttls: false,
        cleartext_auth: false,
        errors: parts.site.limits.errors,
        patience: parts.site.limits.patience_logged_in.duration(),
    }
}
