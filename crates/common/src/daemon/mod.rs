//! The one daemon skeleton: arguments, config, log, sockets, readiness, accepting, limits,
//! signals, drain.
//!
//! A daemon is a type that implements [`Daemon`]; its `main` is [`run`]. Exit codes: 78 for a
//! configuration that does not hold, 71 for a system that does not do what it must.

mod accept;
mod bind;
mod connections;
mod inherited;
mod life;
mod parts;
mod start;

use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;

use thiserror::Error;

pub use bind::private_socket;
pub use parts::{Parts, Present, open_auth};

use crate::config::{Endpoint, Site, TlsMode};
use crate::serve::{Stream, Surroundings};

/// A daemon's own part.
pub trait Daemon: Sized + Send + Sync + 'static {
    /// Its name, as in `imapd`.
    const NAME: &'static str;

    /// What tells its listeners apart.
    type Role: Copy + std::fmt::Debug + Send + Sync + 'static;

    /// What it listens on by configuration, when systemd passes no sockets.
    fn listeners(site: &Site) -> Vec<Listener<Self::Role>>;

    /// The listener that a socket passed by systemd under this name is: its role and TLS.
    fn role(socket_name: &str) -> Option<(Self::Role, TlsMode)>;

    /// Opens what it needs and proves it usable. Blocking is allowed; the runtime is there for
    /// what must be spawned.
    fn start(site: Arc<Site>) -> Result<Self, StartError>;

    /// Work besides connections (mtad's queue). Ends soon after `stop` is cancelled; earlier with
    /// an error, and then so does the daemon.
    fn background(
        self: Arc<Self>,
        surroundings: Surroundings,
    ) -> impl Future<Output = Result<(), StartError>> + Send {
        let _ = surroundings;
        async { Ok(()) }
    }

    /// SIGHUP with a configuration that holds: for new sessions.
    fn reload(&self, site: Arc<Site>) -> Result<(), StartError>;

    /// Serves one connection to its end. TLS of an `implicit` listener already holds.
    ///
    /// The future is a session's memory while it sleeps: what is only needed while it works
    /// belongs into a `Box`.
    fn connection(
        self: Arc<Self>,
        stream: Stream,
        role: Self::Role,
        surroundings: Surroundings,
    ) -> impl Future<Output = std::io::Result<()>> + Send;
}

/// Something to listen on.
#[derive(Debug, Clone)]
pub struct Listener<Role> {
    /// Where.
    pub endpoint: Endpoint,
    /// As what.
    pub role: Role,
    /// Whether TLS comes first, may come, or never.
    pub tls: TlsMode,
}

/// Why a daemon cannot start, or go on.
#[derive(Debug, Error)]
#[error("{what}: {why}. {remedy}")]
pub struct StartError {
    /// What does not work, with the path or address.
    pub what: String,
    /// What the system said.
    pub why: String,
    /// What to do about it.
    pub remedy: String,
}

/// The whole `main` of a daemon.
#[must_use]
pub fn run<D: Daemon>() -> ExitCode {
    start::run::<D>(std::env::args_os())
}
