//! IMAP over mailboxes.
//!
//! Two sessions one after the other: [`Login`], answered by [`Gate`], and [`Server`], answered by
//! [`Mailboxes`]. Between them stands [`LoggedIn`], a value: who came through the gate can be
//! served here or elsewhere.

mod backend;

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;

use mail_common::auth::{Gate, User, log_in};
use mail_common::config::{ImapListen, Site, TlsMode};
use mail_common::daemon::{Daemon, Listener, Present, StartError};
use mail_common::serve::{Stream, Surroundings, converse};
use mail_proto::imap::{Limits, Login, Server, Setup};

pub use backend::Mailboxes;

/// Threads that work on mailboxes.
const THREADS: NonZeroUsize = NonZeroUsize::new(16).expect("16 is not 0");

/// The daemon.
#[derive(Debug)]
pub struct Imapd(Present);

/// A connection whose user is known.
#[derive(Debug)]
pub struct LoggedIn {
    /// Whose mailboxes it is about.
    pub user: User,
    /// What the client sent behind its login.
    pub unread: Vec<u8>,
    /// The connection.
    pub stream: Stream,
}

impl Imapd {
    /// The first session of a connection and what answers it.
    #[must_use]
    pub fn login(&self, loopback: bool, starttls: bool) -> (Login, Gate) {
        let parts = self.0.parts();
        let cleartext_auth = parts.takes_cleartext(loopback);
        let setup = Setup { starttls, cleartext_auth, ..setup(&parts.site) };
        (Login::new(setup), Gate::new(parts))
    }

    /// The session after the login and what answers it.
    #[must_use]
    pub fn mailboxes(&self, user: User, unread: &[u8]) -> (Server, Mailboxes) {
        let parts = self.0.parts();
        (Server::new(setup(&parts.site), unread), Mailboxes::new(parts, user))
    }

    /// Serves somebody who has logged in, to the end.
    ///
    /// # Errors
    /// Those of [`converse`].
    pub async fn serve(&self, client: LoggedIn, surroundings: &Surroundings) -> io::Result<()> {
        let LoggedIn { user, unread, mut stream } = client;
        let (server, mailboxes) = self.mailboxes(user, &unread);
        let (mut server, mut mailboxes) = (Box::new(server), Box::new(mailboxes));
        converse(&mut *server, &mut stream, &mut *mailboxes, surroundings).await?;
        Ok(())
    }
}

impl Daemon for Imapd {
    const NAME: &'static str = "imapd";

    type Role = ();

    fn listeners(site: &Site) -> Vec<Listener<()>> {
        let listener = |listen: &ImapListen| Listener {
            endpoint: listen.address.clone(),
            role: (),
            tls: listen.tls,
        };
        site.imapd.listen.iter().map(listener).collect()
    }

    fn role(socket_name: &str) -> Option<((), TlsMode)> {
        match socket_name {
            "imap" => Some(((), TlsMode::Starttls)),
            "imaps" => Some(((), TlsMode::Implicit)),
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
        let client = LoggedIn { user, unread: login.into_unread(), stream };
        self.serve(client, &surroundings).await
    }
}

/// What holds for every session of a site.
fn setup(site: &Site) -> Setup {
    let limits = &site.limits;
    Setup {
        hostname: site.hostname.clone(),
        starttls: false,
        cleartext_auth: false,
        separator: site.mail.separator,
        prefix: site.mail.prefix.clone(),
        limits: Limits {
            command_before_login: limits.imap_command_before_login,
            command: limits.imap_command,
            message_size: limits.message_size,
            nesting: limits.imap_nesting,
            errors: limits.errors,
            patience_before_login: limits.patience.duration(),
            patience: limits.patience_logged_in.duration(),
        },
    }
}
