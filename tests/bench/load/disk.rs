//! What the disk allows: durable creates of small files, or durable appends to one, as bare as they
//! can be.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use clap::Args;

use crate::meter::Meter;
use crate::report::Report;

/// How to measure.
#[derive(Debug, Args)]
pub(crate) struct Probe {
    /// A directory on the disk; what is made there is removed
    path: PathBuf,
    /// How many at a time, each in a directory of its own
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// For how long
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Octets of a file, or of an append
    #[arg(long, default_value_t = 4096)]
    size: usize,
    /// Append to one file, and sync its octets, instead of creating files
    #[arg(long)]
    append: bool,
}

impl Probe {
    pub(crate) fn run(&self) -> io::Result<()> {
        let top = self.path.join("durable");
        let content = vec![b'x'; self.size];
        let end = Duration::from_secs(self.seconds);
        let meter = Meter::start(&[]);
        let begun = Instant::now();
        // They end when the meter was read: it measures threads that live best.
        let measured = Barrier::new(self.threads + 1);
        let (times, spent) = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..self.threads)
                .map(|number| {
                    let (folder, content) = (top.join(number.to_string()), &content);
                    let work = if self.append { append } else { create };
                    let measured = &measured;
                    scope.spawn(move || {
                        let times = work(&folder, content, begun, end);
                        measured.wait();
                        measured.wait();
                        times
                    })
                })
                .collect();
            measured.wait();
            let spent = meter.stop();
            measured.wait();
            let all = workers.into_iter().map(|worker| worker.join().expect("does not panic"));
            (all.collect::<io::Result<Vec<_>>>(), spent)
        });
        let times: Vec<Duration> = times?.into_iter().flatten().collect();
        let name = if self.append { "durable appends" } else { "durable creates" };
        Report::new(name, times.len() as u64, spent, times)
            .with("threads", self.threads as f64)
            .print();
        fs::remove_dir_all(top)
    }
}

/// Creates files until the end; returns how long each took.
fn create(
    folder: &Path,
    content: &[u8],
    begun: Instant,
    end: Duration,
) -> io::Result<Vec<Duration>> {
    let (tmp, new) = (folder.join("tmp"), folder.join("new"));
    fs::create_dir_all(&tmp)?;
    fs::create_dir_all(&new)?;
    let directory = File::open(&new)?;
    let mut times = Vec::new();
    while begun.elapsed() < end {
        let start = Instant::now();
        let name = times.len().to_string();
        let mut file = File::create_new(tmp.join(&name))?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(tmp.join(&name), new.join(&name))?;
        directory.sync_all()?;
        times.push(start.elapsed());
    }
    Ok(times)
}

/// Appends until the end; returns how long each took.
fn append(
    folder: &Path,
    content: &[u8],
    begun: Instant,
    end: Duration,
) -> io::Result<Vec<Duration>> {
    fs::create_dir_all(folder)?;
    let mut file = File::create_new(folder.join("appended"))?;
    let mut times = Vec::new();
    while begun.elapsed() < end {
        let start = Instant::now();
        file.write_all(content)?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    Ok(times)
}
