//! One side of the comparison: a server over a file system of its own.

use std::fs;
use std::io;
use std::mem;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use mail_tests::dovecot::{Dovecot, MAIL};
use mail_tests::patience;
use mail_tests::reference::Unpacked;
use mail_tests::suite::binary;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::dovecot::TUNED;
use crate::figures::Figures;
use crate::image::Image;
use crate::ours;

/// The domain of all users.
pub(crate) const DOMAIN: &str = "example.test";

/// Those among whom loads on many mailboxes are spread: `u0` to `u99`.
const CROWD: usize = 100;

/// Those with mailboxes of their own size.
const ALONE: [&str; 6] = ["tens", "hundreds", "million", "empty", "appended", "told"];

/// Who serves.
#[derive(Debug)]
pub(crate) enum Software {
    Posthorn,
    Dovecot(Unpacked),
}

/// The processes of a server.
#[derive(Debug)]
enum Running {
    Nothing,
    Daemons(Vec<Child>),
    Dovecot(Dovecot),
}

/// A server that is up, or down.
#[derive(Debug)]
pub(crate) struct Side {
    /// Before the image, on which its files are open.
    running: Running,
    software: Software,
    /// Where it listens for IMAP if it is ours. LMTP is at `run/lmtp`.
    imap: u16,
    image: Image,
}

impl Side {
    /// A server that is down, with users and no mail.
    pub(crate) fn new(software: Software, image: Image) -> io::Result<Self> {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let root = image.path();
        for folder in ["log", "run", "mail", &format!("mail/{DOMAIN}")] {
            fs::create_dir(root.join(folder))?;
            if folder.starts_with("mail") {
                std::os::unix::fs::chown(root.join(folder), Some(MAIL), Some(MAIL))?;
            }
        }
        let crowd: Vec<String> = (0..CROWD).map(|number| format!("u{number}")).collect();
        let all = [&crowd[..], &ALONE.map(str::to_owned)].concat();
        fs::write(root.join("passwd"), lines(&all, "{PLAIN}"))?;
        fs::write(root.join("all"), lines(&all, ""))?;
        fs::write(root.join("crowd"), lines(&crowd, ""))?;
        let imap = socket.local_addr()?.port();
        Ok(Self { running: Running::Nothing, software, imap, image })
    }

    pub(crate) fn name(&self) -> &'static str {
        match self.software {
            Software::Posthorn => "ours",
            Software::Dovecot(_) => "Dovecot",
        }
    }

    /// Where its files are.
    pub(crate) fn root(&self) -> &Path {
        self.image.path()
    }

    /// Starts it and waits until it serves.
    pub(crate) fn start(&mut self) -> io::Result<()> {
        self.running = match &self.software {
            Software::Posthorn => {
                let listen = format!("[[imapd.listen]]\naddress = \"127.0.0.1:{}\"\n", self.imap);
                let daemons = ["imapd", "lmtp-deliverd"];
                Running::Daemons(ours::start(self.root(), &daemons, &listen)?)
            }
            Software::Dovecot(unpacked) => {
                Running::Dovecot(Dovecot::below(unpacked, self.root(), TUNED)?)
            }
        };
        let (imap, socket) = (self.imap_address(), self.lmtp());
        let up = || {
            let imap = TcpStream::connect(imap);
            (imap.is_ok() && UnixStream::connect(&socket).is_ok()).then_some(())
        };
        patience::until(up).ok_or_else(|| io::Error::other(format!("{} is dead", self.name())))
    }

    /// Ends it and waits until it has.
    pub(crate) fn stop(&mut self) -> io::Result<()> {
        match mem::replace(&mut self.running, Running::Nothing) {
            Running::Daemons(mut daemons) => {
                for child in &daemons {
                    kill_process(Pid::from_child(child), Signal::TERM)?;
                }
                for child in &mut daemons {
                    child.wait()?;
                }
            }
            Running::Dovecot(dovecot) => drop(dovecot),
            Running::Nothing => {}
        }
        // A socket that nobody listens at must not be taken for the next one.
        let _ = fs::remove_file(self.lmtp());
        Ok(())
    }

    /// Ends it and starts it again.
    pub(crate) fn restart(&mut self) -> io::Result<()> {
        self.stop()?;
        self.start()
    }

    /// Removes the index of a user's INBOX, while it is down; the list of UIDs stays.
    pub(crate) fn forget_index(&self, user: &str) -> io::Result<()> {
        for entry in fs::read_dir(self.maildir(user))?.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with("posthorn.") || name.starts_with("dovecot.index") {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Fills a user's INBOX, if it is not there yet.
    pub(crate) fn fill(&self, user: &str, messages: u64, words: &[&str]) -> io::Result<()> {
        let maildir = self.maildir(user);
        if maildir.exists() {
            return Ok(());
        }
        eprintln!("{}: {user} gets {messages} messages", self.name());
        let mut load = Command::new(binary("load"));
        load.arg("maildir").arg(&maildir).args(["--messages", &messages.to_string(), "--uidlist"]);
        load.args(["--owner", &MAIL.to_string()]).args(words);
        output(&mut load)?;
        output(&mut Command::new("sync"))?;
        Ok(())
    }

    /// A load on IMAP, of this user alone or of the crowd.
    pub(crate) fn imap(&self, user: Option<&str>, words: &[&str]) -> io::Result<Figures> {
        self.load("imap", &self.imap_address().to_string(), user, words)
    }

    /// A load on LMTP, to this user alone or to the crowd.
    pub(crate) fn deliver(&self, user: Option<&str>, words: &[&str]) -> io::Result<Figures> {
        self.load("lmtp", &self.lmtp().display().to_string(), user, words)
    }

    /// Deliveries to this user, of which an idle client hears.
    pub(crate) fn idle(&self, user: &str, times: u32) -> io::Result<Figures> {
        let lmtp = self.lmtp().display().to_string();
        self.imap(Some(user), &["idle", "--lmtp", &lmtp, "--times", &times.to_string()])
    }

    /// Durable creates on its file system, at that many threads.
    pub(crate) fn durable_creates(&self, threads: &str) -> io::Result<Figures> {
        let mut load = Command::new(binary("load"));
        load.arg("disk").arg(self.root()).args(["--threads", threads]);
        parse(&output(&mut load)?)
    }

    fn load(
        &self,
        protocol: &str,
        to: &str,
        user: Option<&str>,
        words: &[&str],
    ) -> io::Result<Figures> {
        let mut load = Command::new(binary("load"));
        let users = if user.is_some() { "all" } else { "crowd" };
        load.args([protocol, "--to", to, "--users"]).arg(self.root().join(users));
        for process in self.processes() {
            load.args(["--pid", &process.to_string()]);
        }
        if let Some(user) = user {
            load.args(["--user", &format!("{user}@{DOMAIN}")]);
        }
        eprint!("{}: ", self.name());
        parse(&output(load.args(words))?)
    }

    fn processes(&self) -> Vec<u32> {
        match &self.running {
            Running::Nothing => Vec::new(),
            Running::Daemons(daemons) => daemons.iter().map(Child::id).collect(),
            Running::Dovecot(dovecot) => vec![dovecot.process()],
        }
    }

    fn imap_address(&self) -> SocketAddr {
        match &self.running {
            Running::Dovecot(dovecot) => dovecot.imap(),
            Running::Nothing | Running::Daemons(_) => (Ipv4Addr::LOCALHOST, self.imap).into(),
        }
    }

    fn lmtp(&self) -> PathBuf {
        self.root().join("run/lmtp")
    }

    fn maildir(&self, user: &str) -> PathBuf {
        self.root().join("mail").join(DOMAIN).join(user)
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("{} does not stop: {error}", self.name());
        }
    }
}

/// A line for each user; the scheme stands before the password.
pub(crate) fn lines(users: &[String], scheme: &str) -> String {
    users.iter().map(|user| format!("{user}@{DOMAIN}:{scheme}secret\n")).collect()
}

pub(crate) fn output(command: &mut Command) -> io::Result<String> {
    let output = command.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("{command:?}: {}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

pub(crate) fn parse(line: &str) -> io::Result<Figures> {
    let value: Value = serde_json::from_str(line)?;
    Ok(Figures::new(value))
}
