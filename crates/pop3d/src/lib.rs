//! POP3 over mailboxes.
//!
//! Two sessions one after the other (RFC 1939, 3): [`Login`](mail_proto::pop3::Login), answered
//! by [`Gate`], and [`Server`](mail_proto::pop3::Server), answered by [`Maildrop`].

mod gate;
mod maildrop;
mod wire;

use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, PoisonError, RwLock};

use mail_common::auth::Auth;
use mail_common::config::{Cleartext, Pop3Listen, Site, TlsMode};
use mail_common::daemon::{Daemon, Listener, StartError};
use mail_common::pool::Pool;
use mail_common::serve::{Outcome, Stream, Surroundings, converse};
use mail_proto::Session as _;
use mail_proto::pop3::{Login, Setup};

pub use gate::Gate;
pub use maildrop::Maildrop;

/// Threads that read mailboxes.
const THREADS: NonZeroUsize = NonZeroUsize::new(8).expect("8 is not 0");

/// The daemon.
#[derive(Debug)]
pub struct Pop3d {
    parts: RwLock<Arc<Parts>>,
}

/// What all its listeners are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pop3;

/// What sessions share.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) site: Arc<Site>,
    pub(crate) auth: Auth,
    pub(crate) pool: Pool,
}

impl Pop3d {
    /// The first session of a connection and what answers it.
    #[must_use]
    pub fn login(&self, loopback: bool, starttls: bool) -> (Login, Gate) {
        let parts = self.parts();
        let setup = Setup {
            hostname: parts.site.hostname.clone(),
            starttls,
            cleartext_auth: loopback && parts.site.auth.cleartext == Cleartext::Loopback,
            errors: parts.site.limits.errors,
            patience: parts.site.limits.patience.duration(),
        };
        (Login::new(setup.clone()), Gate::new(parts, setup))
    }

    fn parts(&self) -> Arc<Parts> {
        Arc::clone(&self.parts.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Daemon for Pop3d {
    const NAME: &'static str = "pop3d";

    type Role = Pop3;

    fn listeners(site: &Site) -> Vec<Listener<Pop3>> {
        let listener = |listen: &Pop3Listen| Listener {
            endpoint: listen.address.clone(),
            role: Pop3,
            tls: listen.tls,
        };
        site.pop3d.listen.iter().map(listener).collect()
    }

    fn role(socket_name: &str) -> Option<(Pop3, TlsMode)> {
        match socket_name {
            "pop3" => Some((Pop3, TlsMode::Starttls)),
            "pop3s" => Some((Pop3, TlsMode::Implicit)),
            _ => None,
        }
    }

    fn start(site: Arc<Site>) -> Result<Self, StartError> {
        let auth = open_auth(&site)?;
        let pool = Pool::new(Self::NAME, THREADS);
        Ok(Self { parts: RwLock::new(Arc::new(Parts { site, auth, pool })) })
    }

    fn reload(&self, site: Arc<Site>) -> Result<(), StartError> {
        let auth = open_auth(&site)?;
        let mut parts = self.parts.write().unwrap_or_else(PoisonError::into_inner);
        let pool = parts.pool.clone();
        *parts = Arc::new(Parts { site, auth, pool });
        Ok(())
    }

    async fn connection(
        self: Arc<Self>,
        mut stream: Stream,
        _role: Pop3,
        surroundings: Surroundings,
    ) -> io::Result<()> {
        // A Unix socket is nearer still.
        let loopback = stream.peer().is_none_or(|peer| peer.is_loopback());
        let (mut login, mut gate) = self.login(loopback, surroundings.tls.is_some());
        if let Some(tls) = stream.secured() {
            login.secured(tls);
        }
        if converse(&mut login, &mut stream, &mut gate, &surroundings).await? != Outcome::Done {
            return Ok(());
        }
        let (server, maildrop) = gate.admit(login);
        let (mut server, mut maildrop) = (Box::new(server), Box::new(maildrop));
        converse(&mut *server, &mut stream, &mut *maildrop, &surroundings).await?;
        Ok(())
    }
}

fn open_auth(site: &Site) -> Result<Auth, StartError> {
    Auth::open(site).map_err(|error| StartError {
        what: "user database".to_owned(),
        why: error.to_string(),
        remedy: "Set auth.passwd to a file that this daemon may read".to_owned(),
    })
}
