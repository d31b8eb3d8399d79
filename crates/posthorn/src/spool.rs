//! `posthorn spool`: the queue's storage itself.

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io, thread};

use clap::{Args, Subcommand};
use mail_spool::{Finding, Summary, fsck};

use crate::failure::Failure;
use crate::rights;
use crate::site_file::SiteFile;

/// What `posthorn spool` can be told.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    site: SiteFile,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Read all of the spool and say what is wrong: 0 nothing is, 1 something is, 2 it cannot be
    /// read. Changes nothing
    Fsck {
        /// The spool; else the site's
        #[arg(value_name = "DIR")]
        spool: Option<PathBuf>,
    },
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Clean,
    Found,
    Trouble,
}

pub(crate) fn main(arguments: Arguments) -> ExitCode {
    let Command::Fsck { spool } = arguments.command;
    let outcome =
        spool.map_or_else(|| of_site(&arguments.site), Ok).and_then(|spool| check(&spool));
    let outcome = outcome.unwrap_or_else(|failure| {
        let _ = writeln!(io::stderr().lock(), "posthorn spool: {failure}");
        Outcome::Trouble
    });
    ExitCode::from(outcome as u8)
}

fn of_site(site: &SiteFile) -> Result<PathBuf, Failure> {
    Ok(site.load()?.mtad.spool)
}

/// On a thread with the rights of the spool's owner: what is read there is nobody else's.
fn check(spool: &Path) -> Result<Outcome, Failure> {
    let found = fs::metadata(spool).map_err(|error| unseen(spool, &error))?;
    let work = || -> Result<Outcome, Failure> {
        rights::become_user(found.uid(), found.gid())?;
        let mut outcome = Outcome::Clean;
        let summary = fsck(spool, &mut |finding| {
            if finding != Finding::Running {
                outcome = Outcome::Found;
            }
            show(&finding.to_string());
        });
        show(&told(&summary?));
        Ok(outcome)
    };
    thread::scope(|scope| {
        scope.spawn(work).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn unseen(spool: &Path, error: &io::Error) -> Failure {
    let spool = spool.display();
    match error.kind() {
        io::ErrorKind::NotFound => Failure::Usage(format!(
            "{spool}: no spool is there. Name its directory, or set `mtad.spool` in the \
             configuration"
        )),
        _ => Failure::Temporary(format!("{spool}: {error}. Run this as root, or as mtad's user")),
    }
}

fn told(summary: &Summary) -> String {
    let Summary { messages, segments, records, octets, big, big_octets } = summary;
    format!(
        "messages {messages}, segments {segments}, records {records} of {octets} octets, \
         bodies in big/ {big} of {big_octets} octets"
    )
}

/// Writes to standard output. Whoever reads it may have gone.
fn show(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}
