//! Sockets that systemd passes (sd_listen_fds(3)), told apart by `FileDescriptorName=`.

use std::io;

use listenfd::ListenFd;

use super::bind::{Bound, Socket};
use super::{Daemon, StartError};

/// All sockets that were passed; none if the daemon was started otherwise.
pub(super) fn listeners<D: Daemon>() -> Result<Vec<Bound<D::Role>>, StartError> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut descriptors = ListenFd::from_env();
    let mut names = names.split(':');
    (0..descriptors.len())
        .map(|index| {
            let name = names.next().unwrap_or_default();
            let (role, tls) = D::role(name).ok_or_else(|| unknown::<D>(name))?;
            let socket = take(&mut descriptors, index).map_err(|error| useless(name, &error))?;
            Ok(Bound { socket, role, tls })
        })
        .collect()
}

fn take(descriptors: &mut ListenFd, index: usize) -> io::Result<Socket> {
    let gone = || io::Error::other("it was taken before");
    if let Ok(listener) = descriptors.take_tcp_listener(index) {
        return Ok(Socket::Tcp(listener.ok_or_else(gone)?));
    }
    let listener = descriptors.take_unix_listener(index)?;
    Ok(Socket::Unix(listener.ok_or_else(gone)?))
}

fn unknown<D: Daemon>(name: &str) -> StartError {
    StartError {
        what: format!("systemd passed a socket named {name:?}"),
        why: format!("{} has no use of that name", D::NAME),
        remedy: "Correct FileDescriptorName= in the .socket unit".into(),
    }
}

fn useless(name: &str, error: &io::Error) -> StartError {
    StartError {
        what: format!("the socket {name:?} that systemd passed is of no use"),
        why: error.to_string(),
        remedy: "Use ListenStream= in the .socket unit".into(),
    }
}
