//! CPU and memory of process trees, from `/proc`.
//!
//! `stat` counts in ticks of 10 ms and knows of threads and children that are gone; `schedstat`
//! counts in nanoseconds and knows of threads that live. Both are the scheduler's one account, so
//! a living process counts by its threads where they explain its ticks, and by its ticks where
//! some of its threads are gone.

use std::collections::BTreeMap;
use std::fs;
use std::ops::AddAssign;
use std::time::{Duration, Instant};

/// By how much the ticks of a process may be behind or ahead of its threads: two counts, each
/// rounded.
const ROUNDING: Duration = Duration::from_millis(30);

/// After a load the server may still have work that it put off: so long it may do so before the
/// accounts are read. The clock of the load does not run.
const AFTERMATH: Duration = Duration::from_millis(300);

/// A measurement that has begun.
#[derive(Debug)]
pub(crate) struct Meter<'a> {
    servers: &'a [u32],
    server: Duration,
    client: Duration,
    begun: Instant,
}

/// What was used up.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spent {
    pub(crate) time: Duration,
    pub(crate) server: Duration,
    pub(crate) client: Duration,
}

impl<'a> Meter<'a> {
    /// Begins; the clock starts last.
    pub(crate) fn start(servers: &'a [u32]) -> Self {
        let (server, client) = (cpu(servers), own_cpu());
        Self { servers, server, client, begun: Instant::now() }
    }

    /// Ends, and takes what the server does in the aftermath into account.
    pub(crate) fn stop(self) -> Spent {
        let (time, client) = (self.begun.elapsed(), own_cpu());
        if !self.servers.is_empty() {
            std::thread::sleep(AFTERMATH);
        }
        self.spent(time, client)
    }

    /// Ends, and looks at once: for short steps between others.
    pub(crate) fn stop_at_once(self) -> Spent {
        let (time, client) = (self.begun.elapsed(), own_cpu());
        self.spent(time, client)
    }

    fn spent(self, time: Duration, client: Duration) -> Spent {
        Spent {
            time,
            server: cpu(self.servers).saturating_sub(self.server),
            client: client.saturating_sub(self.client),
        }
    }
}

impl AddAssign for Spent {
    fn add_assign(&mut self, other: Self) {
        self.time += other.time;
        self.server += other.server;
        self.client += other.client;
    }
}

/// Memory of the processes and their descendants in octets, where shared pages count by their
/// share (PSS).
pub(crate) fn memory(servers: &[u32]) -> u64 {
    let kilobytes = tree(servers).into_iter().filter_map(|pid| {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok()
    });
    kilobytes.sum::<u64>() * 1024
}

fn own_cpu() -> Duration {
    process_cpu(std::process::id())
}

/// CPU of the processes and their descendants so far, reaped children included.
fn cpu(servers: &[u32]) -> Duration {
    tree(servers).into_iter().map(process_cpu).sum()
}

fn process_cpu(pid: u32) -> Duration {
    let Some([user, system, children_user, children_system]) = ticks(pid) else {
        return Duration::ZERO;
    };
    let (own, threads) = (user + system, threads_cpu(pid));
    let counted = if threads + ROUNDING >= own { threads } else { own };
    counted + children_user + children_system
}

/// proc(5): utime, stime, cutime, cstime are fields 14 to 17; the name, field 2, may hold blanks.
fn ticks(pid: u32) -> Option<[Duration; 4]> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let per_second = rustix::param::clock_ticks_per_second();
    let mut next = || {
        let ticks: u64 = fields.next()?.parse().ok()?;
        Some(Duration::from_nanos(ticks * (1_000_000_000 / per_second)))
    };
    Some([next()?, next()?, next()?, next()?])
}

fn threads_cpu(pid: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let nanoseconds = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// The processes and all their descendants.
fn tree(roots: &[u32]) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if let Some(parent) = parent(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut all = Vec::new();
    let mut next = roots.to_vec();
    while let Some(pid) = next.pop() {
        all.push(pid);
        next.extend(children.remove(&pid).unwrap_or_default());
    }
    all
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}
