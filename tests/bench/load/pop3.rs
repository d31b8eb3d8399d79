//! POP3: sessions that look, and sessions that take everything.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::task::JoinSet;

use crate::meter::Meter;
use crate::report::Report;
use crate::target::{Target, User};
use crate::wire::Wire;

/// What to do.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Connections at a time; a user is never in two
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Sessions in all, the users in turn
    #[arg(long, default_value_t = 100)]
    sessions: usize,
    /// RETR and DELE all messages, not STAT alone
    #[arg(long)]
    empty: bool,
}

struct Job {
    target: Target,
    users: Vec<User>,
    options: Options,
    messages: Cell<u64>,
    times: RefCell<Vec<Duration>>,
}

/// Runs all sessions.
pub(crate) async fn run(target: &Target, options: &Options) -> io::Result<()> {
    let job = Rc::new(Job {
        target: target.clone(),
        users: target.users()?,
        options: options.clone(),
        messages: Cell::new(0),
        times: RefCell::default(),
    });
    let connections = options.connections.min(job.users.len());
    let meter = Meter::start(&target.pids);
    let mut lanes = JoinSet::new();
    for lane in 0..connections {
        let job = Rc::clone(&job);
        lanes.spawn_local(async move { job.lane(lane, connections).await });
    }
    while let Some(lane) = lanes.join_next().await {
        lane.map_err(io::Error::other)??;
    }
    let spent = meter.stop();
    let report = Report::new("pop3", options.sessions as u64, spent, job.times.take());
    report.with("messages", job.messages.get() as f64).print();
    Ok(())
}

impl Job {
    /// The sessions of every user whose turn falls to this connection.
    async fn lane(&self, lane: usize, connections: usize) -> io::Result<()> {
        let users = self.users.len();
        for session in (0..self.options.sessions).filter(|n| n % users % connections == lane) {
            let begun = Instant::now();
            self.session(&self.users[session % users]).await?;
            self.times.borrow_mut().push(begun.elapsed());
        }
        Ok(())
    }

    async fn session(&self, user: &User) -> io::Result<()> {
        let mut wire = Wire::connect(&self.target.to).await?;
        said_ok(wire.line().await?)?;
        ask(&mut wire, &format!("USER {}", user.address)).await?;
        ask(&mut wire, &format!("PASS {}", user.password)).await?;
        let count = ask(&mut wire, "STAT").await?;
        if self.options.empty {
            for number in 1..=count {
                ask(&mut wire, &format!("RETR {number}")).await?;
                wire.until(".\r\n").await?;
            }
            for number in 1..=count {
                ask(&mut wire, &format!("DELE {number}")).await?;
            }
            self.messages.set(self.messages.get() + count);
        }
        ask(&mut wire, "QUIT").await?;
        Ok(())
    }
}

/// Says a command; returns the number behind `+OK`, if there is one.
async fn ask(wire: &mut Wire, command: &str) -> io::Result<u64> {
    wire.send(format!("{command}\r\n").as_bytes()).await?;
    said_ok(wire.line().await?)
}

fn said_ok(line: &[u8]) -> io::Result<u64> {
    let line = String::from_utf8_lossy(line);
    if !line.starts_with("+OK") {
        return Err(io::Error::other(format!("the server said {line:?}")));
    }
    Ok(line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0))
}
