//! `posthorn try`: a whole mail system in one directory.
//!
//! The real daemons, as child processes, on loopback only; a first letter goes all the way
//! (submission, queue, LMTP, Maildir, IMAP, POP3) and each step is shown with its time. What an
//! earlier run left in the directory is taken up again: mail, UIDs, accounts, certificates.

mod accounts;
mod certificates;
mod children;
mod letter;
mod ports;
mod reader;
mod report;
mod site;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use mail_proto::address::Domain;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};

use accounts::Account;
use children::Children;
use site::TrialSite;

/// What `posthorn try` can be told.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Where everything is kept
    #[arg(long, default_value = "var/try")]
    dir: PathBuf,
    /// The domain that has mailboxes
    #[arg(long, default_value = "example.test")]
    domain: Domain,
    /// An account; may be given several times
    #[arg(long, value_name = "ADDR:PASSWORD")]
    user: Vec<Account>,
    /// A file with accounts, one ADDR:PASSWORD a line
    #[arg(long, value_name = "FILE")]
    accounts: Option<PathBuf>,
    /// A Dovecot passwd-file, taken as it is
    #[arg(long, value_name = "FILE")]
    passwd: Option<PathBuf>,
    /// Added to every well-known port: SMTP listens on N+25, IMAP on N+143 …
    #[arg(long, value_name = "N", default_value_t = 10000)]
    port_base: u16,
    /// Where mail for other domains goes; without it such mail waits in the queue
    #[arg(long, value_name = "HOST:PORT")]
    relay: Option<String>,
    /// Set any configuration key; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// End after the first letter's way: 0 if every step held
    #[arg(long)]
    once: bool,
}

/// Why a trial ends early. Each says what to do next.
#[derive(Debug, Error)]
enum TrialError {
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: std::io::Error },
    #[error("{}: too long for the sockets below it; name a shorter one with --dir", .0.display())]
    LongPath(PathBuf),
    #[error(transparent)]
    Disk(#[from] mail_common::disk::DiskError),
    #[error("{0}")]
    Account(String),
    #[error("the certificate cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("port base {0} is too high: IMAP over TLS would be at {0}+993; take one below 64543")]
    Ports(u16),
    #[error("{daemon} {what}\n{log}")]
    Daemon { daemon: &'static str, what: String, log: String },
    #[error("{step}: {what}")]
    Letter { step: &'static str, what: String },
    #[error("the system: {0}")]
    System(#[from] std::io::Error),
}

pub(crate) fn main(arguments: Arguments) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    match runtime.block_on(run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &TrialError) -> ExitCode {
    eprintln!("posthorn try: {error}");
    ExitCode::FAILURE
}

async fn run(arguments: Arguments) -> Result<(), TrialError> {
    let once = arguments.once;
    let site = TrialSite::prepare(arguments)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    report::beginning(&site);
    let mut children = Children::default();
    let outcome = tokio::select! {
        outcome = whole_way(&site, &mut children, once) => outcome,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    children.stop().await;
    outcome
}

/// Starts everything, sends the letter, and then stays.
async fn whole_way(
    site: &TrialSite,
    children: &mut Children,
    once: bool,
) -> Result<(), TrialError> {
    children.start(site).await?;
    letter::first(site).await?;
    if once {
        report::ready(site);
        return Ok(());
    }
    report::invitation(site);
    report::ready(site);
    children.keep_running(site).await
}
