//! The two servers that have the same files, one after the other.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use mail_tests::dovecot::Dovecot;
use mail_tests::reference::Unpacked;
use mail_tests::site::{DOMAIN, Site};
use mail_tests::suite::Suite;

use super::imap::{Imap, PASSWORD};

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Dovecot,
    Posthorn,
}

/// The site's mail, and who serves it.
#[derive(Debug)]
pub(crate) struct Servers {
    /// Before the suite, which takes the site along.
    dovecot: Option<Dovecot>,
    suite: Suite,
}

const SETTINGS: &str = "\
mail_location = maildir:{site}/mail/%d/%n
namespace inbox {
  inbox = yes
  separator = /
}
";

impl Servers {
    /// A site with these users and no mail, served by nobody.
    pub(crate) fn new(users: &[&str]) -> Self {
        let site = Site::new(&[]);
        let mut passwd = String::new();
        for user in users {
            writeln!(passwd, "{user}@{DOMAIN}:{{PLAIN}}{PASSWORD}").expect("takes everything");
            fs::create_dir_all(site.maildir(user)).expect("the site has room");
        }
        fs::write(site.path("passwd"), passwd).expect("the site has room");
        Self { dovecot: None, suite: Suite::of(site, &[]) }
    }

    /// From now on this one serves, and the other does not run.
    pub(crate) fn change_to(&mut self, side: Side, unpacked: &Unpacked) {
        match side {
            Side::Dovecot => {
                self.stop();
                let dovecot = Dovecot::start(unpacked, &self.suite.site, SETTINGS);
                self.dovecot = Some(dovecot);
            }
            Side::Posthorn => {
                self.stop();
                self.suite.restart("imapd");
            }
        }
    }

    /// From now on nobody serves.
    pub(crate) fn stop(&mut self) {
        self.dovecot = None;
        if self.suite.runs("imapd") {
            self.suite.stop("imapd");
        }
    }

    /// A session with whoever serves.
    pub(crate) fn login(&self, user: &str) -> Imap {
        let address = match &self.dovecot {
            Some(dovecot) => dovecot.imap(),
            None => self.suite.address("imap"),
        };
        Imap::login(address, &self.suite.site, user)
    }

    /// A user's INBOX.
    pub(crate) fn maildir(&self, user: &str) -> PathBuf {
        self.suite.site.maildir(user)
    }
}
