//! The daemons as child processes: started, awaited, restarted, stopped.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use mail_common::disk::{self, Dir};
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use super::{TrialError, TrialSite, report};

/// In this order: whoever is asked is there before whoever asks.
const DAEMONS: [&str; 4] = ["lmtp-deliverd", "mtad", "imapd", "pop3d"];

/// A daemon is ready within this time, or something is wrong.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A daemon stops within this time, or it is killed. Longer than the configured drain.
const STOPPED_WITHIN: Duration = Duration::from_secs(10);

/// A daemon that lived for less than this died of something that starting again does not mend.
const LIVED: Duration = Duration::from_secs(5);

/// The running daemons.
#[derive(Default)]
pub(super) struct Children(Vec<Daemon>);

struct Daemon {
    name: &'static str,
    process: Child,
    since: Instant,
}

impl Children {
    /// Starts all daemons, each when the one before is ready.
    pub(super) async fn start(&mut self, site: &TrialSite) -> Result<(), TrialError> {
        for name in DAEMONS {
            let daemon = Daemon::start(name, site).await?;
            report::daemon(name, daemon.since.elapsed());
            self.0.push(daemon);
        }
        Ok(())
    }

    /// Starts again whatever dies. Returns only when that does not help.
    pub(super) async fn keep_running(&mut self, site: &TrialSite) -> Result<(), TrialError> {
        loop {
            let (position, status) = self.died().await?;
            let Some(dead) = self.0.get_mut(position) else { continue };
            if dead.since.elapsed() < LIVED {
                return Err(failed(dead.name, site, &format!("keeps ending ({status})")));
            }
            report::restarted(dead.name, status);
            *dead = Daemon::start(dead.name, site).await?;
        }
    }

    /// Waits until a daemon ends; which, and how.
    async fn died(&mut self) -> Result<(usize, ExitStatus), TrialError> {
        let mut children = signal(SignalKind::child())?;
        loop {
            for (position, daemon) in self.0.iter_mut().enumerate() {
                if let Some(status) = daemon.process.try_wait()? {
                    return Ok((position, status));
                }
            }
            children.recv().await;
        }
    }

    /// Stops all daemons, the last started first.
    pub(super) async fn stop(&mut self) {
        while let Some(mut daemon) = self.0.pop() {
            daemon.stop().await;
        }
    }
}

impl Daemon {
    async fn start(name: &'static str, site: &TrialSite) -> Result<Self, TrialError> {
        let since = Instant::now();
        let notify_path = site.notify_path(name);
        let notify = notify_socket(&notify_path)?;
        let mut process = Command::new(site.program(name))
            .arg("--config")
            .arg(site.config())
            .args(site.flags().iter().flat_map(|flag| ["--set", flag.as_str()]))
            .env("NOTIFY_SOCKET", notify_path)
            .env_remove("JOURNAL_STREAM")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(site.log(name)?)
            .process_group(0) // An interrupt at the terminal is ours to pass on, in our order.
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(name, site, &format!("cannot be started: {error}")))?;
        let readiness = timeout(READY_WITHIN, ready(&notify));
        tokio::select! {
            outcome = readiness => match outcome {
                Ok(outcome) => outcome?,
                Err(_) => return Err(failed(name, site, "does not become ready")),
            },
            status = process.wait() => {
                return Err(failed(name, site, &format!("ended at its start ({})", status?)));
            }
        }
        Ok(Self { name, process, since })
    }

    async fn stop(&mut self) {
        let Some(pid) = self.process.id().and_then(|id| Pid::from_raw(id.cast_signed())) else {
            return;
        };
        // It may have ended by itself meanwhile.
        let _ = kill_process(pid, Signal::TERM);
        if timeout(STOPPED_WITHIN, self.process.wait()).await.is_err() {
            report::killed(self.name);
            let _ = self.process.kill().await;
        }
    }
}

/// Where a daemon says that it is ready, as it would to systemd.
fn notify_socket(path: &Path) -> Result<UnixDatagram, TrialError> {
    remove_socket(path)?;
    UnixDatagram::bind(path).map_err(|error| TrialError::File { path: path.to_owned(), error })
}

/// Removes the socket that an earlier run left.
fn remove_socket(path: &Path) -> Result<(), TrialError> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    disk::found(Dir::open(directory)?.unlink(name))?;
    Ok(())
}

/// Waits for `READY=1`.
async fn ready(notify: &UnixDatagram) -> Result<(), TrialError> {
    let mut message = [0u8; 4096];
    loop {
        let count = notify.recv(&mut message).await?;
        let lines = message.get(..count).unwrap_or_default().split(|&byte| byte == b'\n');
        if lines.into_iter().any(|line| line == b"READY=1") {
            return Ok(());
        }
    }
}

/// An error of a daemon, with what it said last.
fn failed(daemon: &'static str, site: &TrialSite, what: &str) -> TrialError {
    let path = site.log_path(daemon);
    let log = match last_lines(&path) {
        Ok(text) => format!("The end of {}:\n{text}", path.display()),
        Err(error) => format!("Its log cannot be read: {}: {error}", path.display()),
    };
    TrialError::Daemon { daemon, what: what.to_owned(), log }
}

fn last_lines(path: &Path) -> std::io::Result<String> {
    const MUCH: u64 = 2000;
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MUCH)))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    Ok(String::from_utf8_lossy(&end).into_owned())
}
