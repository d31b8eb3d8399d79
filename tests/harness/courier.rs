//! Debian's Courier over a user's mailboxes: one imapd for one session, which speaks to whoever
//! started it, as its manual says of one that is started by hand (PREAUTH). No daemon, no port.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use crate::client::Client;
use crate::patience;
use crate::reference::Unpacked;
use crate::site::Site;

/// An imapd of Courier's. Killed when dropped, if it has not ended by then.
#[derive(Debug)]
pub struct Courier {
    child: Child,
    log: PathBuf,
}

impl Courier {
    /// Starts it over a Maildir; the client has heard its greeting.
    ///
    /// # Errors
    /// If it cannot be started, or does not greet.
    pub fn start(unpacked: &Unpacked, site: &Site, maildir: &Path) -> io::Result<(Self, Client)> {
        let (ours, its) = UnixStream::pair()?;
        let log = site.path("log/courier.err");
        let child = unpacked
            .command("/usr/bin/imapd")
            .arg(maildir)
            // As in Debian's /etc/courier/imapd, without its locks: these need Gamin.
            .env("IMAP_KEYWORDS", "1")
            .env("IMAP_CAPABILITY", "IMAP4rev1 UIDPLUS CHILDREN NAMESPACE")
            .env("IMAP_USELOCKS", "0")
            .env("TZ", "UTC")
            .stdin(Stdio::from(OwnedFd::from(its.try_clone()?)))
            .stdout(Stdio::from(OwnedFd::from(its)))
            .stderr(File::options().create(true).append(true).open(&log)?)
            .spawn()?;
        let courier = Self { child, log };
        let mut client = Client::over(ours, site)?;
        client.until("* PREAUTH ")?;
        Ok((courier, client))
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        if patience::until(|| self.child.try_wait().ok().flatten()).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("=== Courier\n{}", fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}
