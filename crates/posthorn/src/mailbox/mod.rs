//! `posthorn mailbox`: what an admin does with the mailboxes of a user.
//!
//! Every command may run while the daemons do: all take the same locks. Mail is touched as the
//! user of the system whose it is, whoever calls; what is exported is written, and what is
//! imported is read, as who calls.

mod export;
mod form;
mod fsck;
mod import;
mod list;
mod progress;
mod rebuild;
mod running;
mod settle;
mod status;
mod table;
mod user;

use std::fmt;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgGroup, Args, Subcommand};
use mail_common::auth::AuthError;
use mail_common::maildir::StoreError;
use mail_proto::address::Address;

use crate::failure::Failure;
use crate::site_file::SiteFile;
use crate::words::plural;
use user::People;

/// What `posthorn mailbox` can be told.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    site: SiteFile,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show all mailboxes of a user
    List {
        /// The user's address
        #[arg(value_name = "USER")]
        user: Address,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show what there is to know of mailboxes
    Status {
        /// The user's address
        #[arg(value_name = "USER")]
        user: Address,
        /// Only these
        #[arg(value_name = "MAILBOX")]
        mailboxes: Vec<String>,
    },
    /// Look for what is wrong, and mend it: 0 nothing was, 1 all is mended, 2 something is left
    Fsck {
        #[command(flatten)]
        whose: Whose,
        /// Look, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Make the indexes of mailboxes anew
    Rebuild {
        /// The user's address
        #[arg(value_name = "USER")]
        user: Address,
        /// Only these
        #[arg(value_name = "MAILBOX")]
        mailboxes: Vec<String>,
    },
    /// Leave mailboxes as Dovecot expects them; stop the daemons first
    Settle(Whose),
    /// Write messages, with flags and dates, into a new directory
    Export {
        /// The user's address
        #[arg(value_name = "USER")]
        user: Address,
        /// Only these
        #[arg(value_name = "MAILBOX")]
        mailboxes: Vec<String>,
        /// The directory; it must be empty, or not be there yet
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Bring in messages from an export, a Maildir or an mbox file; what is here is not brought
    /// again
    Import {
        /// The user's address
        #[arg(value_name = "USER")]
        user: Address,
        /// An export's directory, a Maildir with those below it, or an mbox file
        from: PathBuf,
        /// The mailbox for all of it
        #[arg(long, value_name = "MAILBOX")]
        mailbox: Option<String>,
    },
}

/// One user and some mailboxes, or everybody.
#[derive(Args)]
#[command(group(ArgGroup::new("whose").required(true).args(["user", "all_users"])))]
struct Whose {
    /// The user's address
    #[arg(value_name = "USER")]
    user: Option<Address>,
    /// Only these
    #[arg(value_name = "MAILBOX")]
    mailboxes: Vec<String>,
    /// All mailboxes of all users
    #[arg(long, conflicts_with_all = ["user", "mailboxes"])]
    all_users: bool,
}

/// How a command ended that went to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// There was nothing to say.
    Clean,
    /// What was wrong is mended.
    Mended,
    /// Something is left that a person has to look at.
    Left,
}

impl From<AuthError> for Failure {
    fn from(error: AuthError) -> Self {
        Self::Configuration(format!("{error}. Run this as root, or set auth.passwd"))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let advice = match &error {
            StoreError::NoSuchMailbox(_) => "`posthorn mailbox list USER` shows what there is",
            StoreError::Full { .. } => "Make room and run this again",
            StoreError::Locked(_) => "Wait for it to end, or end it, and run this again",
            error if error.is_denied() => {
                "Run this as root, or as the user of the system whose the mail is"
            }
            StoreError::Damaged { .. } => "Look at that file, or run `posthorn mailbox fsck USER`",
            _ => "Run this again; if that does not help, the daemons' log may say more",
        };
        let text = format!("{error}. {advice}");
        if error.is_temporary() { Self::Temporary(text) } else { Self::Usage(text) }
    }
}

pub(crate) fn main(arguments: Arguments) -> ExitCode {
    match run(arguments) {
        Ok(outcome) => ExitCode::from(outcome as u8),
        Err(failure) => {
            complain(&failure);
            ExitCode::from(failure.code())
        }
    }
}

fn run(Arguments { site, command }: Arguments) -> Result<Outcome, Failure> {
    let people = People::of(site)?;
    match command {
        Command::List { user, json } => list::run(&people, &user, json),
        Command::Status { user, mailboxes } => status::run(&people, &user, &mailboxes),
        Command::Fsck { whose, dry_run } => fsck::run(&people, &whose, dry_run),
        Command::Rebuild { user, mailboxes } => rebuild::run(&people, &user, &mailboxes),
        Command::Settle(whose) => settle::run(&people, &whose),
        Command::Export { user, mailboxes, to } => export::run(&people, &user, &mailboxes, &to),
        Command::Import { user, from, mailbox } => {
            import::run(&people, &user, &from, mailbox.as_deref())
        }
    }
}

/// Writes to standard output. Whoever reads it may have gone.
fn show(text: impl fmt::Display) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

fn complain(text: &dyn fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "posthorn mailbox: {text}");
}
