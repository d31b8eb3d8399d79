//! News among our processes: datagrams, each of which names a mailbox that was changed.
//!
//! Whoever waits for news binds a socket `news/<pid>.sock` in the run directory, and whoever
//! changes a mailbox sends to all that are there, when the change is whole and lasts. Nobody
//! waits for anybody: a socket that is full is passed over, and one that nobody reads any more is
//! removed. So news may be lost, and is no more than a hint to look; inotify and a look at fixed
//! times are behind it.
//!
//! A mailbox is named by device and inode of its directory, 16 octets. A path would be another
//! one for each way that leads there (links, `..`, another mount), may be longer than a datagram
//! should be, and changes when a folder above is renamed.
//!
//! The sockets are files and not names of Linux's abstract kind, for lmtp-deliverd has a network
//! namespace of its own, where it would not see those; and who may send is who may open the
//! directory: the mail user.

use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use super::interests::{Interests, Notice, Notices};
use crate::disk::{self, Dir, Kind, Stamp};

/// Takes part in the news of a site, by its run directory: called once, before any mailbox is
/// opened. Without it, news stay within the process.
pub fn join(run: &Path) {
    let news = Arc::new(News::at(Some(run.join("news")), own_name()));
    if PROCESS.set(news).is_err() {
        tracing::warn!("news were joined already");
    }
}

/// Tells whoever wants to know that a mailbox was changed.
pub(in crate::maildir) fn tell(mailbox: &Path) {
    News::of_process().tell(mailbox);
}

/// The part of one process.
#[derive(Debug)]
pub(super) struct News {
    /// Where the sockets are.
    directory: Option<PathBuf>,
    /// What ours is called there.
    own: String,
    /// To send with; it has no name.
    sender: Option<UnixDatagram>,
    interests: Mutex<Interests<Identity>>,
    others: Mutex<Others>,
    listening: OnceLock<()>,
}

/// A mailbox, by its directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

/// A mailbox of which we want to hear; dropped, no more.
#[derive(Debug)]
pub(super) struct Heard {
    news: Arc<News>,
    of: Identity,
    notices: Notices,
}

/// The sockets of others, as of the directory's last change.
#[derive(Debug, Default)]
struct Others {
    as_of: Option<Stamp>,
    sockets: Arc<[PathBuf]>,
}

static PROCESS: OnceLock<Arc<News>> = OnceLock::new();

/// Octets of a datagram.
const LENGTH: usize = 16;

/// Within this time of a directory's last change another one may have the same time stamp.
const SETTLED: Duration = Duration::from_millis(100);

impl News {
    /// The part of this process.
    pub(super) fn of_process() -> &'static Arc<Self> {
        PROCESS.get_or_init(|| Arc::new(Self::at(None, own_name())))
    }

    pub(super) fn at(directory: Option<PathBuf>, own: String) -> Self {
        let sender = directory.as_ref().and_then(|_| {
            let sender = UnixDatagram::unbound().and_then(|sender| {
                sender.set_nonblocking(true)?;
                Ok(sender)
            });
            sender.inspect_err(|error| tracing::warn!(%error, "no socket to send news with")).ok()
        });
        let (interests, others) = (Mutex::default(), Mutex::default());
        Self { directory, own, sender, interests, others, listening: OnceLock::new() }
    }

    /// Wants to hear of a mailbox; `None` if it cannot be looked at.
    pub(super) fn listen(self: &Arc<Self>, mailbox: &Path, notices: &Notices) -> Option<Heard> {
        let of = Identity::of(mailbox).ok()?;
        self.listening.get_or_init(|| self.start());
        self.interests().add(of, notices);
        Some(Heard { news: Arc::clone(self), of, notices: Arc::clone(notices) })
    }

    /// Tells everybody that a mailbox was changed.
    pub(super) fn tell(&self, mailbox: &Path) {
        let Ok(identity) = Identity::of(mailbox) else { return };
        self.interests().tell(&identity, Notice::Change);
        let (Some(sender), Some(directory)) = (&self.sender, &self.directory) else { return };
        for socket in self.others(directory).iter() {
            match sender.send_to(&identity.octets(), socket) {
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => remove_dead(socket),
                // It is full, or its process is about to leave: inotify tells.
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Binds our socket and reads it from now on.
    fn start(self: &Arc<Self>) {
        let Some(directory) = &self.directory else { return };
        let socket = match self.bind(directory) {
            Ok(socket) => socket,
            Err(error) => {
                let path = directory.display();
                return tracing::warn!(%path, %error, "no news of other processes; inotify tells");
            }
        };
        let news = Arc::clone(self);
        let thread = std::thread::Builder::new().name("news".to_owned());
        if let Err(error) = thread.spawn(move || news.read(&socket)) {
            tracing::error!(%error, "no thread to read news; inotify tells");
        }
    }

    fn bind(&self, directory: &Path) -> io::Result<UnixDatagram> {
        Dir::open_or_create(directory)?;
        let own = directory.join(&self.own);
        // What a process left behind that had our number.
        remove_dead(&own);
        for socket in list(directory, &self.own)? {
            remove_dead(&socket);
        }
        UnixDatagram::bind(own)
    }

    /// Passes news on, for ever.
    fn read(&self, socket: &UnixDatagram) {
        // One octet more, to see that a datagram is too long.
        let mut datagram = [0; LENGTH + 1];
        loop {
            match socket.recv(&mut datagram) {
                Ok(length) => {
                    if let Some(identity) = Identity::read(datagram.get(..length)) {
                        self.interests().tell(&identity, Notice::Change);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    return tracing::error!(%error, "no more news of others; inotify tells");
                }
            }
        }
    }

    /// The sockets of other processes. Most of the time this is one look at the directory.
    fn others(&self, directory: &Path) -> Arc<[PathBuf]> {
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(changed) = std::fs::metadata(directory) else { return Arc::default() };
        let stamp = Stamp {
            seconds: changed.ctime(),
            nanoseconds: u32::try_from(changed.ctime_nsec()).unwrap_or_default(),
        };
        if others.as_of != Some(stamp) {
            let is_settled = changed
                .modified()
                .is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|d| d > SETTLED));
            others.as_of = is_settled.then_some(stamp);
            others.sockets = list(directory, &self.own).unwrap_or_default().into();
        }
        Arc::clone(&others.sockets)
    }

    fn interests(&self) -> MutexGuard<'_, Interests<Identity>> {
        // A map of senders is never half changed.
        self.interests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        self.news.interests().remove(&self.of, &self.notices);
    }
}

impl Identity {
    fn of(mailbox: &Path) -> io::Result<Self> {
        let directory = std::fs::metadata(mailbox)?;
        Ok(Self { device: directory.dev(), inode: directory.ino() })
    }

    fn octets(self) -> [u8; LENGTH] {
        (u128::from(self.device) << 64 | u128::from(self.inode)).to_be_bytes()
    }

    fn read(datagram: Option<&[u8]>) -> Option<Self> {
        let (device, inode) = datagram?.split_first_chunk()?;
        let inode = u64::from_be_bytes(inode.try_into().ok()?);
        Some(Self { device: u64::from_be_bytes(*device), inode })
    }
}

fn own_name() -> String {
    format!("{}.sock", std::process::id())
}

/// The sockets in the directory but one.
fn list(directory: &Path, own: &str) -> disk::Result<Vec<PathBuf>> {
    let mut sockets = Vec::new();
    for entry in Dir::open(directory)?.entries()? {
        let entry = entry?;
        let may_be_socket = entry.kind.is_none_or(|kind| kind == Kind::Other);
        let path = directory.join(&entry.name);
        if may_be_socket && entry.name != own && path.extension().is_some_and(|it| it == "sock") {
            sockets.push(path);
        }
    }
    Ok(sockets)
}

/// Removes a socket that nobody reads.
fn remove_dead(path: &Path) {
    let is_socket = path.symlink_metadata().is_ok_and(|found| found.file_type().is_socket());
    let Ok(probe) = UnixDatagram::unbound() else { return };
    let is_dead = || {
        let error = probe.connect(path).err();
        error.is_some_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    };
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else { return };
    if is_socket && is_dead() {
        // Who may not do it leaves it to those who may.
        let _ = Dir::open(directory).and_then(|directory| directory.unlink(name));
    }
}
