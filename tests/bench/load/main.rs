//! `load`: a load generator for SMTP, LMTP, IMAP and POP3, that aims at any server.
//!
//! It speaks in clear to a TCP address or a Unix socket, with users from a file of lines
//! `ADDRESS:PASSWORD`. Each load prints one line of JSON to standard output and one for people to
//! standard error: rate, p50 and p99 of the time an operation took, CPU of the server (the given
//! processes and all their descendants, the reaped ones too) and of this generator, each for one
//! operation.
//!
//! Every connection is a task on one thread. A reply that is not what was asked for ends the run:
//! a rate of refusals says nothing.

mod disk;
mod imap;
mod letters;
mod maildir;
mod meter;
mod pop3;
mod queue;
mod report;
mod smtp;
mod target;
mod wire;

use std::io;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use smtp::Dialect;
use target::Target;

#[derive(Parser)]
#[command(name = "load", about = "Loads a mail server and measures what it costs")]
struct Arguments {
    #[command(subcommand)]
    load: Load,
}

#[derive(Subcommand)]
enum Load {
    /// Sends messages to a mail exchanger
    Smtp(Sending),
    /// Hands messages to a delivery agent
    Lmtp(Sending),
    /// Reads and changes mailboxes
    Imap(Reading),
    /// Empties maildrops
    Pop3(Emptying),
    /// Fills a Maildir
    Maildir(maildir::Filling),
    /// Fills a queue of ours with messages that were tried and wait
    Queue(queue::Filling),
    /// Measures durable creates: write, sync, rename, sync of the directory
    Disk(disk::Probe),
}

#[derive(Args)]
struct Sending {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    options: smtp::Options,
}

#[derive(Args)]
struct Reading {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    load: imap::Load,
}

#[derive(Args)]
struct Emptying {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    options: pop3::Options,
}

fn main() -> ExitCode {
    match run(Arguments::parse().load) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(load: Load) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tasks = tokio::task::LocalSet::new();
    let converse = async {
        match load {
            Load::Smtp(Sending { target, options }) => {
                smtp::run(&target, &options, Dialect::Smtp).await
            }
            Load::Lmtp(Sending { target, options }) => {
                smtp::run(&target, &options, Dialect::Lmtp).await
            }
            Load::Imap(Reading { target, load }) => imap::run(&target, &load).await,
            Load::Pop3(Emptying { target, options }) => pop3::run(&target, &options).await,
            Load::Maildir(filling) => filling.run(),
            Load::Queue(filling) => filling.run(),
            Load::Disk(probe) => probe.run(),
        }
    };
    tasks.block_on(&runtime, converse)
}
