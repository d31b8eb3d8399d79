//! A queue full of messages that were tried and wait.
//!
//! It is left as by a process that was killed: the checkpoint is as old as it came, and what was
//! written since is in the log alone.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use mail_common::log::Id;
use mail_proto::address::ReversePath;
use mail_proto::smtp::Recipient;
use mail_spool::{Letter, Progress, Settings, Spool, SpoolError, State, Then};
use mail_tests::outcomes::Outcomes;

use crate::report::Report;

/// How to fill.
#[derive(Debug, Args)]
pub(crate) struct Filling {
    /// The directory of the queue, which no process has
    path: PathBuf,
    /// Messages
    #[arg(long, default_value_t = 1000)]
    messages: u64,
    /// Domains for which they wait
    #[arg(long, default_value_t = 1000)]
    destinations: u64,
    /// Octets of a message
    #[arg(long, default_value_t = 500)]
    size: usize,
}

/// Messages that become durable at the same time.
const TOGETHER: u64 = 4096;

/// Domains that they come from.
const SENDERS: u64 = 100;

/// What their destinations said.
const REASONS: [&str; 5] = [
    "450 4.2.1 the mailbox is busy",
    "451 4.3.0 try again later",
    "451 4.7.1 greylisted for 300 seconds",
    "452 4.2.2 the mailbox is full",
    "no connection: timed out",
];

/// Since when they wait, at most, and until when at least: seconds.
const PAST: u64 = 3 * 24 * 3600;
const AHEAD: u64 = 3 * 3600;

impl Filling {
    pub(crate) fn run(&self) -> io::Result<()> {
        let begun = Instant::now();
        let filled = self.fill(&crate::smtp::body(self.size)).map_err(io::Error::other)?;
        let seconds = begun.elapsed().as_secs_f64();
        Report::bare("queue")
            .with("messages", filled as f64)
            .with("seconds", seconds)
            .with("rate", filled as f64 / seconds)
            .print();
        Ok(())
    }

    fn fill(&self, body: &[u8]) -> Result<usize, SpoolError> {
        let (spool, recovered) = Spool::open(&self.path, Settings::default())?;
        recovered.for_each(drop);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        for first in (0..self.messages).step_by(TOGETHER as usize) {
            let numbers = first..(first + TOGETHER).min(self.messages);
            let letters: Vec<Letter> = numbers.map(|number| self.letter(number, now)).collect();
            let taken = Outcomes::new();
            letters.iter().try_for_each(|letter| take(&spool, letter, body, taken.then()))?;
            taken.wait()?;
            let recorded = Outcomes::new();
            for letter in &letters {
                spool.record(letter.id, &deferred(letter, now), recorded.then());
            }
            recorded.wait()?;
        }
        Ok(spool.len())
    }

    fn letter(&self, number: u64, now: u64) -> Letter {
        let address = |name: &str, domain: u64| {
            format!("{name}{number}@{name}-{domain}.example").parse().expect("is an address")
        };
        Letter::new(
            Id::new(),
            (now - number % PAST) * 1_000_000,
            ReversePath(Some(address("sender", number % SENDERS))),
            vec![Recipient::new(address("to", number % self.destinations.max(1)))],
        )
    }
}

fn take(spool: &Spool, letter: &Letter, body: &[u8], then: Then) -> Result<(), SpoolError> {
    let mut incoming = spool.begin(letter.clone());
    incoming.write(body.to_vec())?;
    spool.commit(Arc::new(incoming.finish()?), then);
    Ok(())
}

/// Tried a few times, and not to be tried soon.
fn deferred(letter: &Letter, now: u64) -> Progress {
    let mut progress = Progress::new(letter);
    let waited = now - letter.arrived / 1_000_000;
    progress.attempts = 1 + (waited / AHEAD) as u32;
    progress.due = (now + AHEAD) * 1_000_000;
    // Else telling all senders is what the server has to do first.
    progress.delay_told = true;
    progress.set(0, State::Waiting(Some(REASONS[waited as usize % REASONS.len()].to_owned())));
    progress
}
