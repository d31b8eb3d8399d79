//! A mail exchanger and what it delivers to, over a fresh file system: ours, or Debian's Postfix
//! with Debian's Dovecot.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command};

use mail_tests::dovecot::{Dovecot, MAIL};
use mail_tests::patience;
use mail_tests::reference::Unpacked;
use mail_tests::suite::binary;
use rustix::process::{Pid, Signal, kill_process};

use crate::dovecot::TUNED;
use crate::figures::Figures;
use crate::image::Image;
use crate::ours;
use crate::side::{self, DOMAIN};

/// Debian's user `daemon`: whose Postfix's queue is.
const OWNER: u32 = 1;

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
        let mut exchange = Self::nothing("ours-smtp")?;
        let daemons = match fate {
            Fate::Taken => &["mtad"][..],
            Fate::Delivered => &["mtad", "lmtp-deliverd"],
        };
        let (root, smtp) = (exchange.image.path(), exchange.smtp);
        let hold = if fate == Fate::Taken { "[[mtad.hold]]\nsender = \"*\"\n" } else { "" };
        let settings = format!("[[mtad.listen]]\naddress = \"{smtp}\"\nrole = \"mx\"\n{hold}");
        exchange.daemons = ours::start(root, daemons, &settings)?;
        exchange.wait(fate)
    }

    /// Theirs.
    pub(crate) fn theirs(unpacked: &Unpacked, fate: Fate) -> io::Result<Self> {
        let mut exchange = Self::nothing("postfix")?;
        let root = exchange.image.path();
        if fate == Fate::Delivered {
            exchange.dovecot = Some(Dovecot::below(unpacked, root, TUNED)?);
        }
        exchange.daemons = vec![postfix(unpacked, root, exchange.smtp, fate)?];
        exchange.wait(fate)
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

    fn nothing(name: &str) -> io::Result<Self> {
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
        for child in &mut self.daemons {
            let _ = kill_process(Pid::from_child(child), Signal::TERM);
            let _ = child.wait();
        }
    }
}

fn postfix(unpacked: &Unpacked, root: &Path, smtp: SocketAddr, fate: Fate) -> io::Result<Child> {
    let (base, etc) = (root.join("postfix"), root.join("postfix/etc"));
    for folder in ["", "etc", "queue", "queue/pid", "data"] {
        fs::create_dir(base.join(folder))?;
    }
    chown(base.join("data"), Some(OWNER), None)?;
    for folder in QUEUE {
        let folder = base.join("queue").join(folder);
        fs::create_dir(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        chown(folder, Some(OWNER), None)?;
    }
    let transport = match fate {
        Fate::Taken => "discard:".to_owned(),
        Fate::Delivered => format!("lmtp:unix:{}/run/lmtp", root.display()),
    };
    let fill = |text: &str| {
        let text = text.replace("{root}", &root.to_string_lossy());
        text.replace("{transport}", &transport).replace("{smtp}", &smtp.to_string())
    };
    fs::write(etc.join("main.cf"), fill(MAIN))?;
    fs::write(etc.join("master.cf"), fill(MASTER))?;
    let mut master = unpacked.command("/usr/lib/postfix/sbin/master");
    master.args(["-d", "-c"]).arg(&etc);
    master.stdout(File::create(root.join("log/postfix.out"))?);
    master.stderr(File::create(root.join("log/postfix.err"))?).spawn()
}

/// Folders of the queue that only Postfix enters.
const QUEUE: [&str; 13] = [
    "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private",
    "saved", "trace", "maildrop", "public",
];

/// A busy exchanger for one domain, with connections to Dovecot that stay open.
const MAIN: &str = "\
compatibility_level = 3.6
queue_directory = {root}/postfix/queue
data_directory = {root}/postfix/data
config_directory = {root}/postfix/etc
meta_directory = {root}/postfix/etc
mail_owner = daemon
setgid_group = lp
maillog_file = {root}/log/postfix.log
maillog_file_prefixes = {root}
myhostname = mx.example.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
local_recipient_maps =
virtual_mailbox_domains = example.test
virtual_transport = {transport}
virtual_mailbox_maps = static:ok
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_tls_security_level = none
smtp_tls_security_level = none
biff = no
default_process_limit = 200
smtpd_client_connection_rate_limit = 0
smtpd_client_connection_count_limit = 0
smtpd_client_message_rate_limit = 0
smtpd_client_recipient_rate_limit = 0
smtpd_client_event_limit_exceptions = 127.0.0.0/8
in_flow_delay = 0
qmgr_message_active_limit = 50000
qmgr_message_recipient_limit = 50000
lmtp_destination_concurrency_limit = 32
initial_destination_concurrency = 32
lmtp_connection_cache_on_demand = yes
lmtp_connection_cache_destinations = unix:{root}/run/lmtp
lmtp_connection_reuse_count_limit = 0
";

const MASTER: &str = "\
{smtp} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
";
