//! A connection: TCP or Unix, in clear or over TLS.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use mail_proto::Secured;
use rustls::CommonState;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsStream;

use super::socket::Socket;
use crate::tls::{Acceptor, Connector};

/// A connection, whatever carries it.
///
/// Boxed, because it is handed from future to future, each of which keeps room for it. That TLS
/// is tokio-rustls stays hidden: rustls' unbuffered interface saves an idle session 4 KiB and may
/// come in its place.
#[derive(Debug)]
pub struct Stream(Box<Parts>);

#[derive(Debug)]
struct Parts {
    carrier: Carrier,
    peer: Option<IpAddr>,
    peer_uid: Option<u32>,
    origin: Origin,
}

/// Who began the connection: it decides which side of TLS is ours.
#[derive(Debug)]
pub(super) enum Origin {
    /// The peer did.
    Accepted,
    /// We did, to this host.
    Connected(Box<str>),
}

#[derive(Debug)]
enum Carrier {
    Clear(Socket),
    Tls(Box<TlsStream<Socket>>),
    /// A handshake failed, or is under way: nothing can be said any more.
    Broken,
}

impl Stream {
    /// Connects to the first of the host's addresses that answers; each is given `patience`.
    ///
    /// # Errors
    /// What the last address said, or `NotFound` for a name without addresses.
    pub async fn connect_tcp(host: &str, port: u16, patience: Duration) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in lookup_host((host, port)).await? {
            match timeout(patience, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    return Ok(Self::from_tcp(stream, Origin::Connected(host.into())));
                }
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last)
    }

    /// Connects to a Unix socket.
    ///
    /// # Errors
    /// What the system says.
    pub async fn connect_unix(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path).await?;
        Ok(Self::from_unix(stream, Origin::Connected("localhost".into())))
    }

    /// The peer's address; none over a Unix socket. An IPv4 address that came as an IPv6 one is
    /// shown as IPv4.
    #[must_use]
    pub fn peer(&self) -> Option<IpAddr> {
        self.0.peer
    }

    /// What TLS agreed on, if it holds. A session on an implicit-TLS listener is told with
    /// `Session::secured` before its first step.
    #[must_use]
    pub fn secured(&self) -> Option<Secured> {
        match &self.0.carrier {
            Carrier::Tls(stream) => agreed(stream.get_ref().1),
            Carrier::Clear(_) | Carrier::Broken => None,
        }
    }

    /// Uid of the peer on a Unix socket (SO_PEERCRED).
    #[must_use]
    pub fn peer_uid(&self) -> Option<u32> {
        self.0.peer_uid
    }

    /// Begins TLS as the server. After an error nothing more can be said.
    ///
    /// # Errors
    /// The peer's handshake is none, or it agrees on nothing that we take.
    pub async fn accept_tls(&mut self, acceptor: &Acceptor) -> io::Result<()> {
        let socket = self.take_clear()?;
        let stream = acceptor.accept(socket).await?;
        self.0.carrier = Carrier::Tls(Box::new(stream.into()));
        Ok(())
    }

    /// Begins TLS as the client. After an error nothing more can be said.
    ///
    /// # Errors
    /// As [`accept_tls`](Self::accept_tls).
    pub async fn connect_tls(&mut self, connector: &Connector) -> io::Result<()> {
        let Origin::Connected(host) = &self.0.origin else {
            return Err(io::Error::other("TLS as a client on an accepted connection"));
        };
        let host = host.clone();
        let socket = self.take_clear()?;
        let stream = connector.connect(&host, socket).await?;
        self.0.carrier = Carrier::Tls(Box::new(stream.into()));
        Ok(())
    }

    /// A connection that came over TCP.
    #[must_use]
    pub fn accepted_tcp(stream: TcpStream) -> Self {
        Self::from_tcp(stream, Origin::Accepted)
    }

    /// A connection that came over a Unix socket.
    #[must_use]
    pub fn accepted_unix(stream: UnixStream) -> Self {
        Self::from_unix(stream, Origin::Accepted)
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// Octets worth reading at once. Who sits on this machine may fill a whole batch of LMTP
    /// transactions; a stranger gets a quarter of it.
    pub(super) fn read_size(&self) -> usize {
        match self.0.peer {
            None => 256 << 10,
            Some(_) => 64 << 10,
        }
    }

    /// Writes all of `bytes`, and past TLS's buffer too. The peer may take so long for each
    /// piece of it.
    pub(super) async fn write(&mut self, bytes: &[u8], patience: Duration) -> io::Result<()> {
        let mut left = bytes;
        while !left.is_empty() {
            let write = poll_fn(|cx| Pin::new(&mut *self).poll_write(cx, left));
            let count = timeout(patience, write).await??;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            left = left.get(count..).unwrap_or_default();
        }
        timeout(patience, self.flush()).await?
    }

    fn from_tcp(stream: TcpStream, origin: Origin) -> Self {
        let peer = stream.peer_addr().ok().map(|address| address.ip().to_canonical());
        // Replies are gathered before they are written: Nagle could only delay them.
        let _ = stream.set_nodelay(true);
        let carrier = Carrier::Clear(Socket::Tcp(stream));
        Self(Box::new(Parts { carrier, peer, peer_uid: None, origin }))
    }

    fn from_unix(stream: UnixStream, origin: Origin) -> Self {
        let peer_uid = stream.peer_cred().ok().map(|credentials| credentials.uid());
        let carrier = Carrier::Clear(Socket::Unix(stream));
        Self(Box::new(Parts { carrier, peer: None, peer_uid, origin }))
    }

    fn take_clear(&mut self) -> io::Result<Socket> {
        match std::mem::replace(&mut self.0.carrier, Carrier::Broken) {
            Carrier::Clear(socket) => Ok(socket),
            other => {
                self.0.carrier = other;
                Err(io::Error::other("TLS can begin only once"))
            }
        }
    }
}

/// The names that IANA gave, which `Received` fields carry.
fn agreed(connection: &CommonState) -> Option<Secured> {
    let version = connection.protocol_version()?.as_str()?;
    let suite = connection.negotiated_cipher_suite()?.suite();
    let cipher = suite.as_str()?;
    Some(Secured { version: version.replace('_', "."), cipher: cipher.replace("TLS13_", "TLS_") })
}

fn broken<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0.carrier {
            Carrier::Clear(socket) => Pin::new(socket).poll_read(cx, buffer),
            Carrier::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
            Carrier::Broken => broken(),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0.carrier {
            Carrier::Clear(socket) => Pin::new(socket).poll_write(cx, bytes),
            Carrier::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Carrier::Broken => broken(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0.carrier {
            Carrier::Clear(socket) => Pin::new(socket).poll_flush(cx),
            Carrier::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Carrier::Broken => broken(),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0.carrier {
            Carrier::Clear(socket) => Pin::new(socket).poll_shutdown(cx),
            Carrier::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Carrier::Broken => broken(),
        }
    }
}
