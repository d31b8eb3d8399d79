//! A mail exchanger and what it delivers to, over a fresh file system: ours, or Debian's Postfix
//! with Debian's Dovecot.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command};

use mail_tests::dovecot::{Dovecot, MAIL};
use mail_tests::patience;
use mail_tests::reference::{Unpacked, postfix};
use mail_tests::suite::binary;
use rustix::process::{Pid, Signal, kill_process};

use crate::dovecot::TUNED;
use crate::figures::Figures;
use crate::image::Image;
use crate::ours;
use crate::side::{self, DOMAIN};

/// Users, and so mailboxes.
const USERS: usize = 100;

/// What becomes of mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is taken, and that is all: we hold it, Postfix discards it.
    Taken,
    /// It goes into Maildirs.
    Delivered,
}

/// One that runs. Stopped when dropped.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// Before the image, on which its files are open.
    daemons: Vec<Child>,
    dovecot: Option<Dovecot>,
    smtp: SocketAddr,
    image: Image,
}

impl Exchange {
    /// Ours.
    pub(crate) fn ours(fate: Fate) -> io::Result<Self> {
        let mut exchange = Self::down("ours-smtp")?;
        exchange.begin(fate)?;
        exchange.wait(fate)
    }

    /// Theirs.
    pub(crate) fn theirs(unpacked: &Unpacked, fate: Fate) -> io::Result<Self> {
        let mut exchange = Self::down("postfix")?;
        let root = exchange.image.path();
        if fate == Fate::Delivered {
            exchange.dovecot = Some(Dovecot::below(unpacked, root, TUNED)?);
        }
        exchange.daemons = vec![start(unpacked, root, exchange.smtp, fate)?];
        exchange.wait(fate)
    }

    /// Starts ours where nothing runs; does not wait until it is up.
    pub(crate) fn begin(&mut self, fate: Fate) -> io::Result<()> {
        let daemons = match fate {
            Fate::Taken => &["mtad"][..],
            Fate::Delivered => &["mtad", "lmtp-deliverd"],
        };
        let (root, smtp) = (self.image.path(), self.smtp);
        let hold = if fate == Fate::Taken { "[[mtad.hold]]\nsender = \"*\"\n" } else { "" };
        let settings = format!("[[mtad.listen]]\naddress = \"{smtp}\"\nrole = \"mx\"\n{hold}");
        self.daemons = ours::start(root, daemons, &settings)?;
        Ok(())
    }

    /// Ends ours and waits until it has.
    pub(crate) fn stop(&mut self) -> io::Result<()> {
        for mut child in self.daemons.drain(..) {
            kill_process(Pid::from_child(&child), Signal::TERM)?;
            child.wait()?;
        }
        Ok(())
    }

    /// Where it takes mail.
    pub(crate) fn smtp(&self) -> SocketAddr {
        self.smtp
    }

    /// Where its files are.
    pub(crate) fn root(&self) -> &Path {
        self.image.path()
    }

    /// The first of its processes.
    pub(crate) fn process(&self) -> io::Result<u32> {
        self.daemons.first().map(Child::id).ok_or_else(|| io::Error::other("nothing runs"))
    }

    /// Sends messages; the clock runs until all of them have met their fate.
    pub(crate) fn send(&self, fate: Fate, words: &[&str]) -> io::Result<Figures> {
        let mut load = Command::new(binary("load"));
        load.args(["smtp", "--to", &self.smtp.to_string(), "--users"]);
        load.arg(self.image.path().join("all"));
        if fate == Fate::Delivered {
            load.arg("--until-in").arg(self.image.path().join("mail").join(DOMAIN));
        }
        let daemons = self.daemons.iter().map(Child::id);
        for process in daemons.chain(self.dovecot.iter().map(Dovecot::process)) {
            load.args(["--pid", &process.to_string()]);
        }
        side::parse(&side::output(load.args(words))?)
    }

    /// What its disk allows.
    pub(crate) fn disk(&self, words: &[&str]) -> io::Result<Figures> {
        let mut load = Command::new(binary("load"));
        side::parse(&side::output(load.arg("disk").arg(self.image.path()).args(words))?)
    }

    /// One of which nothing runs yet.
    pub(crate) fn down(name: &str) -> io::Result<Self> {
        let image = Image::mount(name)?;
        let smtp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let root = image.path();
        for folder in ["log", "run", "mail", &format!("mail/{DOMAIN}")] {
            fs::create_dir(root.join(folder))?;
            if folder.starts_with("mail") {
                chown(root.join(folder), Some(MAIL), Some(MAIL))?;
            }
        }
        let users: Vec<String> = (0..USERS).map(|number| format!("u{number}")).collect();
        fs::write(root.join("passwd"), side::lines(&users, "{PLAIN}"))?;
        fs::write(root.join("all"), side::lines(&users, ""))?;
        Ok(Self { daemons: Vec::new(), dovecot: None, smtp, image })
    }

    fn wait(self, fate: Fate) -> io::Result<Self> {
        let lmtp = self.image.path().join("run/lmtp");
        let up = || {
            let delivers = fate == Fate::Taken || UnixStream::connect(&lmtp).is_ok();
            (delivers && TcpStream::connect(self.smtp).is_ok()).then_some(())
        };
        patience::until(up).ok_or_else(|| io::Error::other("the exchange is dead"))?;
        Ok(self)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("the exchange does not stop: {error}");
        }
    }
}

fn start(unpacked: &Unpacked, root: &Path, smtp: SocketAddr, fate: Fate) -> io::Result<Child> {
    let transport = match fate {
        Fate::Taken => "discard:",
        Fate::Delivered => "lmtp:unix:{site}/run/lmtp",
    };
    let settings = BUSY.replace("{transport}", transport);
    postfix::below(unpacked, root, &settings, &format!("{smtp} inet n - n - - smtpd\n"))
}

/// A busy exchanger for one domain, with connections to Dovecot that stay open.
const BUSY: &str = "\
myhostname = mx.example.test
mynetworks = 127.0.0.0/8
virtual_mailbox_domains = example.test
virtual_transport = {transport}
virtual_mailbox_maps = static:ok
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_tls_security_level = none
smtp_tls_security_level = none
default_process_limit = 200
smtpd_client_connection_rate_limit = 0
smtpd_client_message_rate_limit = 0
smtpd_client_recipient_rate_limit = 0
qmgr_message_active_limit = 50000
qmgr_message_recipient_limit = 50000
lmtp_destination_concurrency_limit = 32
initial_destination_concurrency = 32
lmtp_connection_cache_on_demand = yes
lmtp_connection_cache_destinations = unix:{site}/run/lmtp
lmtp_connection_reuse_count_limit = 0
";
