//! The real daemons, started as systemd starts them.
//!
//! The harness binds the sockets, to port 0 or below the site's `run/`, and hands them over with
//! `LISTEN_FDS`; it keeps them, so that they outlive a daemon that is killed, and whoever
//! connects meanwhile waits. A daemon is up when it says `READY=1`. No port is fixed and nothing
//! sleeps.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, Signal, kill_process};

use crate::client::Client;
use crate::patience::{self, PATIENCE};
use crate::site::Site;

/// Every daemon with the names of its sockets; a name ending in `.sock` is a Unix socket in `run/`.
pub const DAEMONS: [(&str, &[(&str, Kind)]); 4] = [
    ("lmtp-deliverd", &[("lmtp", Kind::Unix)]),
    (
        "mtad",
        &[
            ("mx", Kind::Tcp),
            ("submission", Kind::Tcp),
            ("submissions", Kind::Tcp),
            ("inject", Kind::Unix),
        ],
    ),
    ("imapd", &[("imap", Kind::Tcp), ("imaps", Kind::Tcp)]),
    ("pop3d", &[("pop3", Kind::Tcp), ("pop3s", Kind::Tcp)]),
];

/// Where a socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// On 127.0.0.1, on whatever port is free.
    Tcp,
    /// `run/NAME.sock`.
    Unix,
}

/// A site with its daemons. All are killed when it is dropped; if that is because a test failed,
/// their logs are shown.
#[derive(Debug)]
pub struct Suite {
    /// The site that they serve.
    pub site: Site,
    sockets: BTreeMap<&'static str, Socket>,
    running: BTreeMap<&'static str, Child>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Suite {
    /// All four daemons over a plain site.
    #[must_use]
    pub fn start() -> Self {
        Self::of(Site::new(&[]), &["lmtp-deliverd", "mtad", "imapd", "pop3d"])
    }

    /// mtad and lmtp-deliverd alone, with lines over the site's configuration: for mail that nobody
    /// reads.
    #[must_use]
    pub fn transport(lines: &[&str]) -> Self {
        let lines: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
        Self::of(Site::new(&lines), &["lmtp-deliverd", "mtad"])
    }

    /// These daemons over a site.
    ///
    /// # Panics
    /// If one does not come up.
    #[must_use]
    pub fn of(site: Site, daemons: &[&str]) -> Self {
        let mut suite = Self { site, sockets: BTreeMap::new(), running: BTreeMap::new() };
        for (_, sockets) in DAEMONS {
            for &(name, kind) in sockets {
                let socket = suite.bind(name, kind).expect("there is always a free port");
                suite.sockets.insert(name, socket);
            }
        }
        for daemon in daemons {
            suite.restart(daemon);
        }
        suite
    }

    /// The TCP address behind a socket's name.
    ///
    /// # Panics
    /// If it has none.
    #[must_use]
    pub fn address(&self, socket: &str) -> SocketAddr {
        match self.sockets.get(socket) {
            Some(Socket::Tcp(listener)) => listener.local_addr().expect("is bound"),
            _ => panic!("{socket} is no TCP socket"),
        }
    }

    /// The path behind a Unix socket's name.
    #[must_use]
    pub fn socket_path(&self, socket: &str) -> PathBuf {
        self.site.path(&format!("run/{socket}.sock"))
    }

    /// A connection to a socket: TLS comes first where its name ends in `s`.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn connect(&self, socket: &str) -> Client {
        let client = match self.sockets.get(socket) {
            Some(Socket::Unix(_)) => Client::unix(&self.socket_path(socket), &self.site),
            _ if socket.ends_with('s') => Client::tls(self.address(socket), &self.site),
            _ => Client::tcp(self.address(socket), &self.site),
        };
        client.unwrap_or_else(|error| panic!("{socket}: {error}\n{}", self.logs()))
    }

    /// Kills a daemon as a power cut would.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill(&mut self, daemon: &str) {
        let mut child = self.running.remove(daemon).expect("runs");
        child.kill().expect("is our child");
        child.wait().expect("is our child");
    }

    /// Stops a daemon as systemd does, and returns how it ended.
    ///
    /// # Panics
    /// If it does not run, or does not stop.
    pub fn stop(&mut self, daemon: &str) -> ExitStatus {
        let mut child = self.running.remove(daemon).expect("runs");
        kill_process(Pid::from_child(&child), Signal::TERM).expect("is our child");
        let ended = patience::until(|| child.try_wait().expect("is our child"));
        if let Some(status) = ended {
            return status;
        }
        child.kill().expect("is our child");
        child.wait().expect("is our child");
        panic!("{daemon} did not stop\n{}", self.logs());
    }

    /// Starts a daemon that does not run, and waits until it is ready.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn restart(&mut self, daemon: &str) {
        let &(daemon, sockets) =
            DAEMONS.iter().find(|(name, _)| *name == daemon).expect("is one of ours");
        let notices = self.site.path(&format!("run/notify-{daemon}.sock"));
        let _ = fs::remove_file(&notices);
        let ready = UnixDatagram::bind(&notices).expect("the path is short enough");
        let mut child = self
            .command(daemon, sockets)
            .and_then(|mut command| command.env("NOTIFY_SOCKET", &notices).spawn())
            .unwrap_or_else(|error| panic!("{daemon}: {error}"));
        let up = wait_for_ready(&ready, &mut child);
        self.running.insert(daemon, child);
        if let Err(why) = up {
            panic!("{daemon} {why}\n{}", self.logs());
        }
    }

    /// How many messages are in the queue, if mtad or the spool tells now.
    ///
    /// # Panics
    /// If `posthorn` cannot be started.
    #[must_use]
    pub fn queued(&self) -> Option<u64> {
        let mut summary = Command::new(binary("posthorn"));
        summary.args(["queue", "summary", "--json", "--config"]).arg(self.site.file());
        let told = summary.output().expect("posthorn is built");
        let told: serde_json::Value = serde_json::from_slice(&told.stdout).ok()?;
        told.get("total")?.get("messages").or_else(|| told.get("total"))?.as_u64()
    }

    /// Whether a daemon that was started still runs.
    ///
    /// # Panics
    /// If its process cannot be asked.
    pub fn runs(&mut self, daemon: &str) -> bool {
        self.running
            .get_mut(daemon)
            .is_some_and(|child| child.try_wait().expect("is our child").is_none())
    }

    /// The process of a daemon that was started.
    ///
    /// # Panics
    /// If it was not.
    #[must_use]
    pub fn process(&self, daemon: &str) -> u32 {
        self.running.get(daemon).expect("runs").id()
    }

    /// What a daemon logged so far.
    #[must_use]
    pub fn log(&self, daemon: &str) -> String {
        fs::read_to_string(self.log_path(daemon)).unwrap_or_default()
    }

    /// What all daemons logged so far.
    #[must_use]
    pub fn logs(&self) -> String {
        DAEMONS.iter().map(|(name, _)| format!("=== {name}\n{}", self.log(name))).collect()
    }

    fn log_path(&self, daemon: &str) -> PathBuf {
        self.site.path("log").join(daemon).with_extension("log")
    }

    fn bind(&self, name: &str, kind: Kind) -> io::Result<Socket> {
        Ok(match kind {
            Kind::Tcp => Socket::Tcp(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?),
            Kind::Unix => Socket::Unix(UnixListener::bind(self.socket_path(name))?),
        })
    }

    /// `LISTEN_PID` must be the daemon's own pid, which nobody knows before it runs: a shell puts
    /// its own there and becomes the daemon.
    fn command(&self, daemon: &str, sockets: &[(&str, Kind)]) -> io::Result<Command> {
        let log = File::options().create(true).append(true).open(self.log_path(daemon))?;
        let names: Vec<&str> = sockets.iter().map(|&(name, _)| name).collect();
        let mut mappings = Vec::new();
        for (child_fd, name) in (3..).zip(&names) {
            let parent_fd = self.descriptor(name)?;
            mappings.push(FdMapping { parent_fd, child_fd });
        }
        let mut command = Command::new("sh");
        command
            .args(["-c", "LISTEN_PID=$$ exec \"$@\"", "sh"])
            .arg(binary(daemon))
            .arg("--config")
            .arg(self.site.file())
            .env("LISTEN_FDS", names.len().to_string())
            .env("LISTEN_FDNAMES", names.join(":"))
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .fd_mappings(mappings)
            .map_err(io::Error::other)?;
        Ok(command)
    }

    fn descriptor(&self, socket: &str) -> io::Result<OwnedFd> {
        match self.sockets.get(socket) {
            Some(Socket::Tcp(listener)) => listener.as_fd().try_clone_to_owned(),
            Some(Socket::Unix(listener)) => listener.as_fd().try_clone_to_owned(),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Drop for Suite {
    fn drop(&mut self) {
        for child in self.running.values_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
    }
}

/// A binary of the workspace: next to the test's own executable.
///
/// # Panics
/// If it was not built.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let this = std::env::current_exe().expect("a test has a path");
    let path = this
        .ancestors()
        .skip(1)
        .find_map(|folder| Some(folder.join(name)).filter(|path| is_program(path)))
        .unwrap_or_default();
    assert!(is_program(&path), "no {name} beside {}: run cargo build first", this.display());
    path
}

fn is_program(path: &Path) -> bool {
    path.is_file() && path.file_name().is_some()
}

fn wait_for_ready(notices: &UnixDatagram, child: &mut Child) -> Result<(), String> {
    let end = Instant::now() + PATIENCE;
    notices.set_read_timeout(Some(Duration::from_millis(100))).map_err(|e| e.to_string())?;
    let mut buffer = [0; 4096];
    while Instant::now() < end {
        if let Ok(count) = notices.recv(&mut buffer) {
            let text = String::from_utf8_lossy(buffer.get(..count).unwrap_or_default());
            if text.lines().any(|line| line == "READY=1") {
                return Ok(());
            }
        }
        if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
            return Err(format!("ended instead of getting ready: {status}"));
        }
    }
    Err("did not get ready".to_owned())
}
