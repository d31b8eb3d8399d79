//! mtad's control socket: `posthorn queue` asks here what is in the queue, and has it changed.
//!
//! A socket of its own and not one that systemd passes: a connection to that would start mtad, but
//! whoever stopped it may want to look at the queue as it is. What is said is in
//! `docs/queue.md`; what is done is in [`mail_spool::admin`]. Connections are few, and each has a
//! thread, because all that they wait for is the disk.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::Duration;

use mail_common::daemon::{StartError, private_socket};
use mail_common::disk::{Dir, DiskError};
use mail_common::lock;
use mail_spool::admin::{Desk, serve};
use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::{info, warn};

/// Connections at the same time.
const CONNECTIONS: usize = 16;

/// How long the other one may be silent, or not read what it asked for.
const PATIENCE: Duration = Duration::from_secs(300);

/// How long nobody is accepted after the system had no descriptor for one more.
const BREATH: Duration = Duration::from_millis(500);

/// The control socket, bound.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
}

/// The connections that are open, to be cut off when mtad stops.
#[derive(Debug, Default)]
struct Open {
    count: AtomicUsize,
    streams: Mutex<Vec<Weak<UnixStream>>>,
    threads: TaskTracker,
}

/// One of them.
#[derive(Debug)]
struct Connection {
    stream: Arc<UnixStream>,
    open: Arc<Open>,
    _thread: TaskTrackerToken,
}

impl Control {
    /// Binds the socket, in a directory that is made with mode 0700 where it is missing. Whoever
    /// connects waits until [`run`](Self::run) is called, which must not be before the queue was
    /// read: until then most of it seems not to be there.
    ///
    /// # Errors
    /// The directory is not ours, or another process listens there.
    pub fn bind(path: &Path) -> Result<Self, StartError> {
        let not_made = |error: DiskError| StartError {
            what: "there is no place for the control socket".into(),
            why: error.to_string(),
            remedy: "Make that directory, for mtad's user alone (posthorn.tmpfiles.conf does)"
                .into(),
        };
        if let Some(directory) = path.parent() {
            Dir::open_or_create(directory).map_err(not_made)?;
        }
        Ok(Self { listener: private_socket(path)? })
    }

    /// Answers at the desk until mtad stops; then connections are cut off. Returns once the last of
    /// them has let go of the desk.
    pub async fn run(self, desk: Desk, stop: CancellationToken) {
        let Some(listener) = self.into_runtime() else { return };
        let open = Arc::new(Open::default());
        while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
            match accepted.and_then(|(stream, _)| stream.into_std()) {
                Ok(stream) => begin(&open, &desk, stream),
                Err(error) => {
                    warn!(%error, "cannot accept a connection to the control socket");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
        open.cut_off();
        drop(desk);
        open.threads.close();
        open.threads.wait().await;
    }

    fn into_runtime(self) -> Option<tokio::net::UnixListener> {
        let listener = self.listener.set_nonblocking(true);
        let listener = listener.and_then(|()| tokio::net::UnixListener::from_std(self.listener));
        listener.inspect_err(|error| warn!(%error, "there is no control socket")).ok()
    }
}

/// A thread for a connection, if it is an admin's and there are not too many.
fn begin(open: &Arc<Open>, desk: &Desk, stream: UnixStream) {
    let who = match admitted(&stream) {
        Ok(Some(who)) => who,
        Ok(None) => return,
        Err(error) => return info!(%error, "control connection lost"),
    };
    let Some(connection) = open.enter(stream) else {
        return warn!("more than {CONNECTIONS} control connections: one was refused");
    };
    let desk = desk.clone();
    let spawned = thread::Builder::new().name("control".to_owned()).spawn(move || {
        let served = serve(&connection.stream, who, &desk);
        // Before it is said that this thread has ended.
        drop(desk);
        if let Err(error) = served {
            info!(%error, "control connection lost");
        }
        drop(connection);
    });
    if let Err(error) = spawned {
        warn!(%error, "no thread for a control connection");
    }
}

/// Who it is, if that is root or mtad's own user. The mode of socket and directory says the same;
/// this holds even where somebody changed them.
fn admitted(stream: &UnixStream) -> io::Result<Option<u32>> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let uid = socket_peercred(stream)?.uid;
    if uid.is_root() || uid == geteuid() {
        return Ok(Some(uid.as_raw()));
    }
    warn!("uid {} is not admitted to the control socket", uid.as_raw());
    Ok(None)
}

impl Open {
    fn enter(self: &Arc<Self>, stream: UnixStream) -> Option<Connection> {
        let before = self.count.fetch_add(1, Ordering::Relaxed);
        let stream = Arc::new(stream);
        let _thread = self.threads.token();
        let connection = Connection { stream, open: Arc::clone(self), _thread };
        if before >= CONNECTIONS {
            return None;
        }
        let mut streams = lock(&self.streams);
        streams.retain(|stream| stream.strong_count() > 0);
        streams.push(Arc::downgrade(&connection.stream));
        Some(connection)
    }

    fn cut_off(&self) {
        let streams = lock(&self.streams);
        for stream in streams.iter().filter_map(Weak::upgrade) {
            // It may have ended by itself.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
