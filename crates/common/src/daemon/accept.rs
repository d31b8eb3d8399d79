//! Accepting connections, and what each begins with.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::time::{sleep, timeout};
use tracing::{Instrument, debug, error, info, info_span, warn};

use super::bind::{Bound, Socket};
use super::connections::Slot;
use super::life::Shared;
use super::{Daemon, StartError};
use crate::config::TlsMode;
use crate::log::Id;
use crate::serve::{HANDSHAKE_PATIENCE, Stream, Surroundings};

/// A socket that listens, within the runtime.
#[derive(Debug)]
pub(super) struct Door<Role> {
    listener: Listening,
    role: Role,
    tls: TlsMode,
}

#[derive(Debug)]
enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// How long nobody is accepted after the system had no descriptor or memory for one more.
const BREATH: Duration = Duration::from_millis(500);

impl<Role: Copy + std::fmt::Debug + Send + Sync + 'static> Door<Role> {
    /// Takes a bound socket into the runtime, and logs its real address.
    pub(super) fn open(bound: Bound<Role>) -> Result<Self, StartError> {
        let Bound { socket, role, tls } = bound;
        let listener = Listening::new(socket).map_err(|error| StartError {
            what: "a listening socket cannot be used".into(),
            why: error.to_string(),
            remedy: "Look at the limit for open files".into(),
        })?;
        let role_name = format!("{role:?}").to_lowercase();
        info!("listening on {role_name} {}", listener.address());
        Ok(Self { listener, role, tls })
    }

    /// Accepts until the daemon stops. Each connection is a task of its own; over the limit one
    /// connection of each door waits here, the others in the kernel.
    pub(super) async fn accept<D: Daemon<Role = Role>>(self, daemon: Arc<D>, shared: Arc<Shared>) {
        let stop = shared.stop().clone();
        while let Some(accepted) = stop.run_until_cancelled(self.listener.accept()).await {
            let stream = match accepted {
                Ok(stream) => stream,
                Err(error) => {
                    breathe(&error).await;
                    continue;
                }
            };
            let Some(slot) = stop.run_until_cancelled(shared.connections.enter()).await else {
                return;
            };
            let span = info_span!("session", session = %Id::new(), peer = %peer(&stream));
            let start = Start { role: self.role, tls: self.tls, slot };
            let session = session(Arc::clone(&daemon), stream, start, shared.surroundings());
            shared.sessions.spawn(session.instrument(span));
        }
    }
}

impl Listening {
    fn new(socket: Socket) -> io::Result<Self> {
        Ok(match socket {
            Socket::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                Self::Tcp(TcpListener::from_std(listener)?)
            }
            Socket::Unix(listener) => {
                listener.set_nonblocking(true)?;
                Self::Unix(UnixListener::from_std(listener)?)
            }
        })
    }

    async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => Ok(Stream::accepted_tcp(listener.accept().await?.0)),
            Self::Unix(listener) => Ok(Stream::accepted_unix(listener.accept().await?.0)),
        }
    }

    fn address(&self) -> String {
        let address = match self {
            Self::Tcp(listener) => listener.local_addr().map(|address| address.to_string()),
            Self::Unix(listener) => listener.local_addr().map(|address| {
                let path = address.as_pathname().map(|path| path.display().to_string());
                path.unwrap_or_else(|| "a socket without a name".into())
            }),
        };
        address.unwrap_or_else(|error| error.to_string())
    }
}

/// What a connection is told when it begins.
struct Start<Role> {
    role: Role,
    tls: TlsMode,
    slot: Slot,
}

/// One connection's whole life. Its future is what a sleeping session costs.
#[allow(clippy::manual_async_fn, reason = "an async fn keeps room for its arguments twice")]
fn session<D: Daemon>(
    daemon: Arc<D>,
    mut stream: Stream,
    start: Start<D::Role>,
    surroundings: Surroundings,
) -> impl Future<Output = ()> + Send {
    async move {
        // By reference: moved, it would have room twice.
        let _slot = &start.slot;
        debug!("connected");
        if start.tls == TlsMode::Implicit
            && let Err(error) = Box::pin(begin_tls(&mut stream, &surroundings)).await
        {
            info!(%error, "TLS failed");
            return;
        }
        match daemon.connection(stream, start.role, surroundings).await {
            Ok(()) => debug!("disconnected"),
            Err(error) => info!(%error, "connection lost"),
        }
    }
}

async fn begin_tls(stream: &mut Stream, surroundings: &Surroundings) -> io::Result<()> {
    let Some(acceptor) = &surroundings.tls else {
        return Err(io::Error::other("there is no certificate: write [tls] in the configuration"));
    };
    let handshake = timeout(HANDSHAKE_PATIENCE, stream.accept_tls(acceptor));
    let stopped = || io::Error::other("the daemon stops");
    surroundings.stop.run_until_cancelled(handshake).await.ok_or_else(stopped)??
}

fn peer(stream: &Stream) -> String {
    match (stream.peer(), stream.peer_uid()) {
        (Some(address), _) => address.to_string(),
        (None, Some(uid)) => format!("uid:{uid}"),
        (None, None) => "unknown".into(),
    }
}

/// A peer that hung up before it was accepted is nothing; a system that has no more descriptors
/// needs a moment, and spinning would take it from those who might close some.
async fn breathe(error: &io::Error) {
    use rustix::io::Errno;
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    let exhausted = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    if code.is_some_and(|code| exhausted.contains(&code)) {
        error!(%error, "cannot accept: raise LimitNOFILE= or lower limits.connections");
        sleep(BREATH).await;
    } else {
        warn!(%error, "cannot accept a connection");
        tokio::task::yield_now().await;
    }
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::super::Listener;
    use super::super::connections::Connections;
    use super::*;
    use crate::config::Site;
    use crate::echo::{Echo, Mirror};
    use crate::serve::converse;

    struct EchoDaemon;

    impl Daemon for EchoDaemon {
        const NAME: &'static str = "echod";
        type Role = ();

        fn listeners(_site: &Site) -> Vec<Listener<()>> {
            Vec::new()
        }

        fn role(_socket_name: &str) -> Option<((), TlsMode)> {
            None
        }

        fn start(_site: Arc<Site>) -> Result<Self, StartError> {
            Ok(Self)
        }

        fn reload(&self, _site: Arc<Site>) -> Result<(), StartError> {
            Ok(())
        }

        async fn connection(
            self: Arc<Self>,
            mut stream: Stream,
            _role: (),
            surroundings: Surroundings,
        ) -> io::Result<()> {
            let mut session = Echo::new();
            converse(&mut session, &mut stream, &mut Mirror, &surroundings).await?;
            Ok(())
        }
    }

    /// What the skeleton puts around a session's own memory, for as long as it sleeps.
    #[tokio::test]
    async fn the_future_of_a_connection_is_small() {
        let (ours, _theirs) = tokio::net::UnixStream::pair().unwrap();
        let slot = Connections::new(1).enter().await;
        let surroundings = Surroundings {
            tls: None,
            connect_tls: None,
            stop: CancellationToken::new(),
            write_patience: Duration::from_secs(1),
        };
        let start = Start { role: (), tls: TlsMode::Starttls, slot };
        let stream = Stream::accepted_unix(ours);
        let session = session(Arc::new(EchoDaemon), stream, start, surroundings);
        let size = size_of_val(&session.instrument(info_span!("session")));
        assert!(size <= 768, "{size} octets");
    }
}
