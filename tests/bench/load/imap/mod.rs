//! IMAP: what clients do all day, each as a load of its own.

mod append;
mod client;
mod idle;
mod memory;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Subcommand;
use tokio::task::JoinSet;

use crate::meter::{Meter, Spent};
use crate::report::Report;
use crate::target::{Address, Target, User};

pub(crate) use client::Client;

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Load {
    /// Connect, LOGIN, LOGOUT
    Login {
        /// Connections at a time
        #[arg(long, default_value_t = 1)]
        connections: usize,
        /// Logins in all, the users in turn
        #[arg(long, default_value_t = 100)]
        times: usize,
    },
    /// SELECT in a new session each time; the logins are not measured
    Select {
        /// The mailbox
        #[arg(long, default_value = "INBOX")]
        mailbox: String,
        /// Sessions
        #[arg(long, default_value_t = 10)]
        times: usize,
    },
    /// A command in one session that has the mailbox selected
    Command {
        /// The command
        line: String,
        /// The mailbox
        #[arg(long, default_value = "INBOX")]
        mailbox: String,
        /// How often
        #[arg(long, default_value_t = 1)]
        times: usize,
        /// How many operations one command is
        #[arg(long, default_value_t = 1)]
        operations: u64,
        /// Commands before each time, which are not measured
        #[arg(long)]
        before: Vec<String>,
    },
    /// A STORE of one message right after each of several APPENDs
    StoreAfterAppend {
        /// The mailbox
        #[arg(long, default_value = "INBOX")]
        mailbox: String,
        /// How often
        #[arg(long, default_value_t = 40)]
        times: usize,
    },
    /// APPEND of letters of 2 to 50 kB
    Append {
        /// Connections at a time
        #[arg(long, default_value_t = 1)]
        connections: usize,
        /// Messages in all
        #[arg(long, default_value_t = 400)]
        messages: usize,
        /// A user for each connection, instead of all to the first one's mailbox
        #[arg(long)]
        spread: bool,
    },
    /// From a delivery over LMTP to the news of it in IDLE
    Idle {
        /// Where LMTP is spoken
        #[arg(long)]
        lmtp: Address,
        /// Deliveries
        #[arg(long, default_value_t = 50)]
        times: usize,
    },
    /// Memory that the server's processes grow by while sessions have the mailbox open
    Memory {
        /// The mailbox
        #[arg(long, default_value = "INBOX")]
        mailbox: String,
        /// Sessions: one first, then so many
        #[arg(long, default_value_t = 10)]
        sessions: usize,
    },
}

/// Does it.
pub(crate) async fn run(target: &Target, load: &Load) -> io::Result<()> {
    let users = target.users()?;
    match load {
        Load::Login { connections, times } => login(target, users, *connections, *times).await,
        Load::Select { mailbox, times } => select(target, &users[0], mailbox, *times).await,
        Load::Command { line, mailbox, times, operations, before } => {
            let client = Client::in_mailbox(target, &users[0], mailbox).await?;
            command(target, client, line, *times, *operations, before).await
        }
        Load::StoreAfterAppend { mailbox, times } => {
            append::and_store(target, &users[0], mailbox, *times).await
        }
        Load::Append { connections, messages, spread } => {
            append::run(target, &users, *connections, *messages, *spread).await
        }
        Load::Idle { lmtp, times } => idle::run(target, &users[0], lmtp, *times).await,
        Load::Memory { mailbox, sessions } => {
            memory::run(target, &users[0], mailbox, *sessions).await
        }
    }
}

async fn login(
    target: &Target,
    users: Vec<User>,
    connections: usize,
    times: usize,
) -> io::Result<()> {
    let took = Rc::new(RefCell::new(Vec::new()));
    let (users, shared) = (Rc::new(users), Rc::new(target.clone()));
    let meter = Meter::start(&target.pids);
    let mut lanes = JoinSet::new();
    for lane in 0..connections {
        let (users, target, took) = (Rc::clone(&users), Rc::clone(&shared), Rc::clone(&took));
        lanes.spawn_local(async move {
            for number in (lane..times).step_by(connections) {
                let begun = Instant::now();
                let client = Client::login(&target, &users[number % users.len()]).await?;
                client.logout().await?;
                took.borrow_mut().push(begun.elapsed());
            }
            io::Result::Ok(())
        });
    }
    while let Some(lane) = lanes.join_next().await {
        lane.map_err(io::Error::other)??;
    }
    Report::new("imap login", times as u64, meter.stop(), took.take()).print();
    Ok(())
}

async fn select(target: &Target, user: &User, mailbox: &str, times: usize) -> io::Result<()> {
    let mut spent = Spent::default();
    let mut took = Vec::new();
    let mut exists = 0;
    for _ in 0..times {
        let mut client = Client::login(target, user).await?;
        let meter = Meter::start(&target.pids);
        exists = client.select(mailbox).await?;
        let now = meter.stop_at_once();
        took.push(now.time);
        spent += now;
        client.logout().await?;
    }
    let report = Report::new("imap select", times as u64, spent, took);
    report.with("exists", exists as f64).print();
    Ok(())
}

async fn command(
    target: &Target,
    mut client: Client,
    line: &str,
    times: usize,
    operations: u64,
    before: &[String],
) -> io::Result<()> {
    let mut spent = Spent::default();
    let mut took: Vec<Duration> = Vec::new();
    let mut octets = 0;
    for _ in 0..times {
        for line in before {
            client.run(line).await?;
        }
        let meter = Meter::start(&target.pids);
        octets += client.run(line).await?;
        let now = meter.stop();
        took.push(now.time);
        spent += now;
    }
    client.logout().await?;
    let report = Report::new(line, times as u64 * operations, spent, took);
    report.with("octets", octets as f64 / times.max(1) as f64).print();
    Ok(())
}
