//! The originals: Debian's Postfix and Dovecot, unpacked below `target/peers` and never installed,
//! over a site of their own in a temporary directory.
//!
//! They are set up to be as like us as their settings allow (HELO is required, paths are strict, a
//! maildrop is locked), so that what still differs is worth a word in the chat. Postfix hands what
//! it takes to Dovecot by LMTP; users and mailboxes are Dovecot's. Both start as root and give
//! their rights away to users that every Debian has.

mod dovecot;
mod play;
pub mod postfix;
mod reply;
mod unpacked;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::{Duration, SystemTime};

use rustix::fs::{Gid, Uid, chown};
use rustix::process::{Pid, Signal, kill_process};

use crate::chat::{Heading, Protocol, message};
use crate::client::Client;
use crate::dovecot::MAIL;
use crate::patience;
use crate::site::{DOMAIN, Site, USERS};

pub use play::{Outcome, compare};
pub use unpacked::Unpacked;

/// Where they listen. Clients come from 127.0.0.1: Dovecot takes those of its own address for safe.
const HOST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// How long an original may be silent before that is its answer: where it should do the same as
/// we, and where it should not.
const SILENCE: [Duration; 2] = [patience::PATIENCE, Duration::from_secs(1)];

/// What they speak: our `inject.sock` is our own.
pub const SPOKEN: [Protocol; 5] =
    [Protocol::Smtp, Protocol::Submission, Protocol::Lmtp, Protocol::Pop3, Protocol::Imap];

/// Both originals, running. Stopped when dropped.
#[derive(Debug)]
pub struct Originals {
    site: Site,
    ports: Ports,
    running: Vec<Child>,
    /// How many chats there were. Each has homes of its own: who of an earlier one still tidies up
    /// disturbs nobody.
    chats: u64,
    silence: Duration,
}

/// Their ports.
#[derive(Debug, Clone, Copy)]
struct Ports {
    smtp: u16,
    submission: u16,
    lmtp: u16,
    pop3: u16,
    imap: u16,
}

impl Originals {
    /// Starts both with what a chat's `config:` lines mean to them.
    ///
    /// # Errors
    /// With their logs, if they do not come up.
    pub fn start(unpacked: &Unpacked, config: &[String]) -> Result<Self, String> {
        let ports = Ports::free().map_err(|error| format!("no free ports: {error}"))?;
        let site = Site::new(&[]);
        let mut originals =
            Self { site, ports, running: Vec::new(), chats: 0, silence: SILENCE[0] };
        match originals.begin(unpacked, config) {
            Ok(()) => Ok(originals),
            Err(error) => Err(format!("{error}\n{}", originals.logs())),
        }
    }

    /// A connection.
    ///
    /// # Errors
    /// Of the connection.
    pub fn connect(&self, protocol: Protocol) -> io::Result<Client> {
        let mut client = Client::tcp(address(self.ports.of(protocol)), &self.site)?;
        client.wait_no_longer_than(self.silence)?;
        Ok(client)
    }

    /// Gives every user an empty mailbox and puts in what a chat wants to find.
    ///
    /// # Errors
    /// Of the file system.
    pub fn begin_chat(&mut self, heading: &Heading) -> io::Result<()> {
        // What an earlier chat left to Postfix is on its way to its own mailbox.
        patience::until_after(SILENCE[0], || postfix::is_idle(&self.site).then_some(()));
        self.chats += 1;
        self.silence = SILENCE[usize::from(!heading.claims_same())];
        make_owned(&self.homes(), MAIL)?;
        let link = self.site.path("homes.new");
        symlink(self.homes(), &link)?;
        fs::rename(link, self.site.path("homes"))?;
        for (user, _) in USERS {
            let home = self.homes().join(user);
            for place in ["", "Maildir", "Maildir/new", "Maildir/cur", "Maildir/tmp"] {
                make_owned(&home.join(place), MAIL)?;
            }
        }
        for (user, names) in &heading.with {
            for (number, name) in names.iter().enumerate() {
                self.place(user, number, &message(name))?;
            }
        }
        Ok(())
    }

    /// The messages in a user's INBOX once they are enough, or after a while.
    pub fn inbox_when(&self, user: &str, enough: &mut dyn FnMut(&[Vec<u8>]) -> bool) -> Inbox {
        patience::until_after(self.silence, || Some(self.inbox(user)).filter(|i| enough(i)))
            .unwrap_or_else(|| self.inbox(user))
    }

    /// What both wrote.
    #[must_use]
    pub fn logs(&self) -> String {
        let files = fs::read_dir(self.site.path("log")).into_iter().flatten().flatten();
        files.filter_map(|file| fs::read_to_string(file.path()).ok()).collect()
    }

    fn begin(&mut self, unpacked: &Unpacked, config: &[String]) -> io::Result<()> {
        // The daemons' users must reach what is below.
        fs::set_permissions(self.site.path(""), fs::Permissions::from_mode(0o755))?;
        make_owned(&self.site.path("mail"), MAIL)?;
        self.running.push(dovecot::start(unpacked, &self.site, self.ports, config)?);
        self.running.push(postfix::start(unpacked, &self.site, self.ports, config)?);
        for port in self.ports.all() {
            let up = || Client::tcp(address(port), &self.site).ok();
            patience::until(up).ok_or_else(|| io::Error::other(format!("port {port} is dead")))?;
        }
        Ok(())
    }

    fn homes(&self) -> PathBuf {
        self.site.path("mail").join(self.chats.to_string())
    }

    /// Puts a message where a delivery would, as [`Site::of`] does.
    fn place(&self, user: &str, number: usize, message: &[u8]) -> io::Result<()> {
        let seconds = 1_767_225_600 + 60 * number as u64;
        let new = self.homes().join(user).join("Maildir/new");
        let path = new.join(format!("{seconds}.M1P1.mx.{DOMAIN}"));
        let text: Vec<u8> = message.iter().copied().filter(|&byte| byte != b'\r').collect();
        fs::write(&path, text)?;
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        fs::File::options().write(true).open(&path)?.set_modified(time)?;
        own(&path, MAIL)
    }

    fn inbox(&self, user: &str) -> Inbox {
        let mut files: Vec<PathBuf> = Vec::new();
        for place in ["new", "cur"] {
            let folder = self.homes().join(user).join("Maildir").join(place);
            let Ok(entries) = fs::read_dir(folder) else { continue };
            files.extend(entries.flatten().map(|entry| entry.path()));
        }
        files.iter().filter_map(|path| fs::read(path).ok()).collect()
    }
}

/// Messages as they are stored.
pub type Inbox = Vec<Vec<u8>>;

impl Drop for Originals {
    fn drop(&mut self) {
        for child in &self.running {
            let _ = kill_process(Pid::from_child(child), Signal::TERM);
        }
        for child in &mut self.running {
            if patience::until(|| ended(child)).is_none() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

impl Ports {
    /// Ports that were free a moment ago: the originals bind them themselves.
    fn free() -> io::Result<Self> {
        let bind = || TcpListener::bind((HOST, 0));
        let sockets = [bind()?, bind()?, bind()?, bind()?, bind()?];
        let port = |at: usize| sockets[at].local_addr().map(|address| address.port());
        Ok(Self {
            smtp: port(0)?,
            submission: port(1)?,
            lmtp: port(2)?,
            pop3: port(3)?,
            imap: port(4)?,
        })
    }

    fn of(self, protocol: Protocol) -> u16 {
        match protocol {
            Protocol::Smtp | Protocol::Inject => self.smtp,
            Protocol::Submission => self.submission,
            Protocol::Lmtp => self.lmtp,
            Protocol::Pop3 => self.pop3,
            Protocol::Imap => self.imap,
        }
    }

    fn all(self) -> [u16; 5] {
        SPOKEN.map(|protocol| self.of(protocol))
    }
}

fn address(port: u16) -> SocketAddr {
    (HOST, port).into()
}

fn ended(child: &mut Child) -> Option<ExitStatus> {
    child.try_wait().ok().flatten()
}

fn make_owned(folder: &Path, owner: u32) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    own(folder, owner)
}

fn own(path: &Path, owner: u32) -> io::Result<()> {
    Ok(chown(path, Some(Uid::from_raw(owner)), Some(Gid::from_raw(owner)))?)
}

/// The value of a `config:` line, if it is this key's.
fn setting<'a>(config: &'a [String], key: &str) -> Option<&'a str> {
    config
        .iter()
        .find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix('='))
        .map(str::trim)
}
