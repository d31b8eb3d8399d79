//! `posthorn`: the admin's command; called as `sendmail`, the program that local programs hand
//! their mail to; called as `mailq`, the list of what waits.

mod check;
mod export_to;
mod failure;
mod mailbox;
mod queue;
mod rights;
mod sendmail;
mod site_file;
mod spool;
mod sysexits;
mod trial;
mod words;

use std::ffi::{OsStr, OsString};
use std::iter;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use site_file::SiteFile;

/// The mail system's own command.
#[derive(Parser)]
#[command(name = "posthorn", version)]
struct Posthorn {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a whole mail system in one directory, send a first letter through it and read it back
    Try(trial::Arguments),
    /// Read the configuration and show every mistake in it
    Check(SiteFile),
    /// Look into mailboxes, mend them, move them in and out
    Mailbox(mailbox::Arguments),
    /// Show what is in the queue, and change it
    Queue(queue::Arguments),
    /// Look after the queue's storage
    Spool(spool::Arguments),
    /// Hand in mail as local programs do: sendmail(1)
    #[command(disable_help_flag = true)]
    Sendmail {
        /// Options and recipients, as sendmail(1) has them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let called = arguments.next().unwrap_or_default();
    match Path::new(&called).file_name().and_then(OsStr::to_str) {
        Some("sendmail") => return sendmail::main(arguments.collect()),
        Some("mailq") => {
            return sendmail::main(iter::once("-bp".into()).chain(arguments).collect());
        }
        _ => {}
    }
    let command = match Posthorn::try_parse() {
        Ok(posthorn) => posthorn.command,
        Err(error) => return misused(&error),
    };
    match command {
        Command::Try(arguments) => trial::main(arguments),
        Command::Check(site) => check::main(&site),
        Command::Mailbox(arguments) => mailbox::main(arguments),
        Command::Queue(arguments) => queue::main(arguments),
        Command::Spool(arguments) => spool::main(arguments),
        Command::Sendmail { arguments } => sendmail::main(arguments),
    }
}

/// What was asked for, if that is help, or what is wrong with the command line.
fn misused(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(sysexits::USAGE) } else { ExitCode::SUCCESS }
}
