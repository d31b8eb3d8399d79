//! Binding what the configuration says.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use tracing::warn;

use super::{Listener, StartError};
use crate::config::{Endpoint, TlsMode};
use crate::disk::Dir;

/// A socket that listens.
#[derive(Debug)]
pub(super) struct Bound<Role> {
    pub(super) socket: Socket,
    pub(super) role: Role,
    pub(super) tls: TlsMode,
}

/// A socket that listens, of either kind.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 1024;

/// Binds everything.
pub(super) fn listeners<Role: Copy>(
    wanted: Vec<Listener<Role>>,
) -> Result<Vec<Bound<Role>>, StartError> {
    let mut bound = Vec::new();
    for Listener { endpoint, role, tls } in wanted {
        let sockets = match &endpoint {
            Endpoint::Tcp(addresses) => tcp(addresses)?,
            Endpoint::Unix(path) => vec![unix(path)?],
        };
        bound.extend(sockets.into_iter().map(|socket| Bound { socket, role, tls }));
    }
    Ok(bound)
}

/// Machines without IPv6 (or IPv4) listen on what they have, if the endpoint has anything else.
fn tcp(addresses: &[SocketAddr]) -> Result<Vec<Socket>, StartError> {
    let mut sockets = Vec::new();
    let mut absent = None;
    for &address in addresses {
        match bind_tcp(address) {
            Ok(listener) => sockets.push(Socket::Tcp(listener)),
            Err(error) if is_absent(&error) && addresses.len() > 1 => {
                warn!(%address, %error, "this machine has no such address");
                absent = Some((address, error));
            }
            Err(error) => return Err(cannot_listen(address, &error)),
        }
    }
    match absent {
        Some((address, error)) if sockets.is_empty() => Err(cannot_listen(address, &error)),
        _ => Ok(sockets),
    }
}

/// IPv6 sockets take IPv6 alone: `:25` is two sockets, and neither is in the other's way.
fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    // A restart must not wait for the last connections' TIME_WAIT.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

fn is_absent(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    matches!(code, Some(rustix::io::Errno::AFNOSUPPORT | rustix::io::Errno::ADDRNOTAVAIL))
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> StartError {
    let remedy = match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("Find who has it with `ss -ltnp 'sport = :{}'`", address.port())
        }
        io::ErrorKind::PermissionDenied => {
            "Ports below 1024 are bound by systemd (the .socket units), or by root".into()
        }
        io::ErrorKind::AddrNotAvailable => {
            "Take an address of this machine; `ip address` shows them".into()
        }
        _ => "Correct `listen` in the configuration".into(),
    };
    StartError { what: format!("cannot listen on {address}"), why: error.to_string(), remedy }
}

/// Mode 0660: who may connect is who may open the directory, and the group.
fn unix(path: &Path) -> Result<Socket, StartError> {
    clear(path)?;
    let before = rustix::process::umask(Mode::from_raw_mode(0o117));
    let bound = UnixListener::bind(path);
    rustix::process::umask(before);
    bound.map(Socket::Unix).map_err(|error| cannot_bind(path, &error))
}

/// A listening Unix socket for nobody but this process's own user, and root: its mode is 0600 from
/// the first moment on, whatever other threads do.
///
/// # Errors
/// Another process answers there, or the directory cannot be written.
pub fn private_socket(path: &Path) -> Result<UnixListener, StartError> {
    clear(path)?;
    bind_private(path).map_err(|error| cannot_bind(path, &error))
}

/// The kernel gives the name the mode that the socket has (unix(7), and bind in Linux).
fn bind_private(path: &Path) -> io::Result<UnixListener> {
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::fs::fchmod(&socket, Mode::from_raw_mode(0o600))?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// A socket that nobody answers was left behind by a daemon that died.
fn clear(path: &Path) -> Result<(), StartError> {
    match UnixStream::connect(path) {
        Ok(_) => Err(cannot_bind(path, &io::ErrorKind::AddrInUse.into())),
        // A plain file refuses too, and stays.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && is_socket(path) => {
            remove(path).map_err(|error| cannot_bind(path, &error))
        }
        // Nothing there; and whatever else is wrong, binding meets it again.
        Err(_) => Ok(()),
    }
}

fn is_socket(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.file_type().is_socket())
}

fn remove(path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let removed = Dir::open(parent).and_then(|directory| directory.unlink(name));
    removed.map_err(|error| error.into_parts().1)
}

fn cannot_bind(path: &Path, error: &io::Error) -> StartError {
    let shown = path.display();
    let parent = path.parent().unwrap_or(path).display();
    let remedy = match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("Another process answers there; `ss -lxp src {shown}` shows which")
        }
        io::ErrorKind::NotFound => {
            format!("Make the directory {parent} (RuntimeDirectory= does under systemd)")
        }
        io::ErrorKind::PermissionDenied => {
            format!("Give this daemon's user write permission for {parent}")
        }
        _ => "Correct `listen` in the configuration".into(),
    };
    StartError { what: format!("cannot listen on {shown}"), why: error.to_string(), remedy }
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn ipv6_and_ipv4_listen_side_by_side() {
        let Ok(Socket::Tcp(v4)) = tcp(&["0.0.0.0:0".parse().unwrap()]).map(|mut s| s.remove(0))
        else {
            panic!("IPv4 is everywhere");
        };
        let port = v4.local_addr().unwrap().port();
        match bind_tcp(SocketAddr::new("::".parse().unwrap(), port)) {
            Ok(v6) => assert_eq!(v6.local_addr().unwrap().port(), port),
            Err(error) => assert!(is_absent(&error), "{error}"),
        }
    }

    #[test]
    fn private_sockets_are_their_user_s() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.sock");
        let live = private_socket(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(UnixStream::connect(&path).is_ok());
        assert!(private_socket(&path).is_err(), "another one answers there");
        drop(live);
        assert!(private_socket(&path).is_ok(), "nobody does any more");
    }

    #[test]
    fn a_dead_socket_is_replaced_and_a_live_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.sock");
        drop(UnixListener::bind(&path).unwrap());
        let live = unix(&path).unwrap();
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        let error = unix(&path).unwrap_err().to_string();
        assert!(error.contains("Another process answers there"), "{error}");
        drop(live);
    }

    #[test]
    fn what_cannot_be_bound_has_a_remedy() {
        let directory = tempfile::tempdir().unwrap();
        let error = unix(&directory.path().join("gone/test.sock")).unwrap_err().to_string();
        assert!(error.contains("Make the directory") && error.contains("gone"), "{error}");

        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let error = tcp(&[taken.local_addr().unwrap()]).unwrap_err().to_string();
        assert!(error.contains("cannot listen on 127.0.0.1") && error.contains("ss -ltnp"));

        let file = directory.path().join("file");
        std::fs::write(&file, "no socket").unwrap();
        assert!(unix(&file).is_err(), "what is no socket stays");
        assert!(file.exists());
    }
}
