//! `posthorn try`, as a person starts it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};

use rustix::process::{Pid, Signal, kill_process};

use crate::patience::{self, PATIENCE};
use crate::suite::binary;

/// The well-known ports of the services that it starts.
const WELL_KNOWN: [u16; 7] = [25, 110, 143, 465, 587, 993, 995];

/// A trial that runs; stopped when it is dropped.
#[derive(Debug)]
pub struct Trial {
    process: Child,
    lines: Receiver<String>,
    /// What it printed so far, as far as it was looked at.
    pub printed: String,
    base: u16,
}

impl Trial {
    /// Starts one in a directory, with these arguments besides.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(directory: &Path, arguments: &[&str]) -> Self {
        let base = free_base();
        let mut process = Command::new(binary("posthorn"))
            .arg("try")
            .arg("--dir")
            .arg(directory)
            .args(["--port-base", &base.to_string(), "--domain", "example.org"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("posthorn is a program");
        let (sender, lines) = channel();
        let output = BufReader::new(process.stdout.take().expect("is piped"));
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|l| sender.send(l))
        });
        Self { process, lines, printed: String::new(), base }
    }

    /// The address of a service, by its well-known port.
    #[must_use]
    pub fn address(&self, well_known: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.base + well_known).into()
    }

    /// Waits for a line that begins so.
    ///
    /// # Panics
    /// If it does not come.
    pub fn wait_for(&mut self, beginning: &str) -> String {
        loop {
            let Ok(line) = self.lines.recv_timeout(PATIENCE) else {
                panic!("no {beginning:?} in\n{}", self.printed);
            };
            self.printed += &line;
            self.printed.push('\n');
            if line.starts_with(beginning) {
                return line;
            }
        }
    }

    /// Waits until it ends by itself, and returns how.
    ///
    /// # Panics
    /// If it does not end.
    pub fn ended(&mut self) -> ExitStatus {
        let status = patience::until(|| self.process.try_wait().expect("is our child"));
        self.printed.extend(self.lines.iter().flat_map(|line| [line, "\n".to_owned()]));
        status.unwrap_or_else(|| panic!("did not end\n{}", self.printed))
    }

    /// Stops it as Ctrl-C does, and returns how it ended.
    ///
    /// # Panics
    /// If it does not end.
    pub fn stop(mut self) -> ExitStatus {
        self.tell_to_stop();
        self.ended()
    }

    /// Kills a daemon of this trial.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill(&self, daemon: &str) {
        let pid = self.child(daemon).unwrap_or_else(|| panic!("{daemon} does not run"));
        kill_process(pid, Signal::KILL).expect("is a child of our child");
    }

    /// The process of this name whose parent is the trial (proc(5): pid, name, state, parent).
    fn child(&self, name: &str) -> Option<Pid> {
        let parent = self.process.id().to_string();
        let entries = fs::read_dir("/proc").expect("is Linux").flatten();
        entries.into_iter().find_map(|entry| {
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let (pid, rest) = stat.split_once(" (")?;
            let rest = rest.strip_prefix(name)?.strip_prefix(") ")?;
            let of_ours = rest.split(' ').nth(1) == Some(parent.as_str());
            Pid::from_raw(pid.parse().ok()?).filter(|_| of_ours)
        })
    }

    fn tell_to_stop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.process), Signal::INT);
    }
}

impl Drop for Trial {
    /// Its daemons would outlive it if it were killed.
    fn drop(&mut self) {
        if !matches!(self.process.try_wait(), Ok(None)) {
            return;
        }
        self.tell_to_stop();
        if patience::until(|| self.process.try_wait().ok().flatten()).is_none() {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

/// A port base at which nobody listens, below the ports that the system gives out by itself, and
/// which no other test of this process was given.
fn free_base() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let mut bases = std::iter::repeat_with(|| {
        let next = std::process::id() + GIVEN.fetch_add(1, Ordering::Relaxed);
        10_000 + u16::try_from(next % 200).expect("is below 200") * 100
    });
    let free = |base: &u16| WELL_KNOWN.iter().all(|port| is_free(base + port));
    bases.by_ref().take(200).find(free).expect("some are free")
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
        && TcpListener::bind((Ipv6Addr::LOCALHOST, port)).is_ok()
}
