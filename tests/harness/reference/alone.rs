//! Dovecot without Postfix, to make mailboxes that are then looked at without it.

use std::io;
use std::path::PathBuf;
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};

use super::{MAIL, Ports, Unpacked, address, dovecot, ended, make_owned};
use crate::client::Client;
use crate::patience;
use crate::site::{Site, USERS};

/// Dovecot with an empty mailbox for each user. Stopped when dropped.
#[derive(Debug)]
pub struct Alone {
    site: Site,
    ports: Ports,
    running: Option<Child>,
}

impl Alone {
    /// Starts it, with these lines after the others of its configuration.
    ///
    /// # Errors
    /// With its logs, if it does not come up.
    pub fn start(unpacked: &Unpacked, more: &str) -> Result<Self, String> {
        let ports = Ports::free().map_err(|error| format!("no free ports: {error}"))?;
        let mut alone = Self { site: Site::new(&[]), ports, running: None };
        match alone.begin(unpacked, more) {
            Ok(()) => Ok(alone),
            Err(error) => Err(format!("{error}\n{}", alone.logs())),
        }
    }

    /// A connection to its IMAP port.
    ///
    /// # Errors
    /// Of the connection.
    pub fn imap(&self) -> io::Result<Client> {
        Client::tcp(address(self.ports.imap), &self.site)
    }

    /// A user's Maildir.
    #[must_use]
    pub fn maildir(&self, user: &str) -> PathBuf {
        self.site.path("homes").join(user).join("Maildir")
    }

    /// What it wrote.
    #[must_use]
    pub fn logs(&self) -> String {
        super::logs(&self.site)
    }

    /// Ends it; the mailboxes stay.
    pub fn stop(&mut self) {
        let Some(mut child) = self.running.take() else { return };
        let _ = kill_process(Pid::from_child(&child), Signal::TERM);
        if patience::until(|| ended(&mut child)).is_none() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn begin(&mut self, unpacked: &Unpacked, more: &str) -> io::Result<()> {
        super::open_to_all(&self.site)?;
        make_owned(&self.site.path("homes"), MAIL)?;
        for (user, _) in USERS {
            make_owned(&self.site.path("homes").join(user), MAIL)?;
        }
        self.running = Some(dovecot::start(unpacked, &self.site, self.ports, &[], more)?);
        let up = || Client::tcp(address(self.ports.imap), &self.site).ok();
        patience::until(up).map(drop).ok_or_else(|| io::Error::other("its port is dead"))
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.stop();
    }
}
