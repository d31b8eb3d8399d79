//! A connection: TCP or Unix, in clear or over TLS.

use std::net::IpAddr;

use mail_proto::Secured;

/// A connection, whatever carries it.
#[derive(Debug)]
pub struct Stream {}

impl Stream {
    /// The peer's address; none over a Unix socket.
    #[must_use]
    pub fn peer(&self) -> Option<IpAddr> {
        todo!()
    }

    /// What TLS agreed on, if it holds. A session on an implicit-TLS listener is told with
    /// `Session::secured` before its first step.
    #[must_use]
    pub fn secured(&self) -> Option<Secured> {
        todo!()
    }

    /// Uid of the peer on a Unix socket (SO_PEERCRED).
    #[must_use]
    pub fn peer_uid(&self) -> Option<u32> {
        todo!()
    }
}
