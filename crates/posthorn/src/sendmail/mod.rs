//! `sendmail`: how local programs hand in mail, as a thin client of mtad's `inject.sock`.
//!
//! It exits with 0 only once mtad has said that the message is on disk; every other code is one
//! of sysexits.h, which cron, git and monitoring know how to read.

mod hand_in;
mod input;
mod options;
mod recipients;
mod smtp;

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use mail_common::config::{Site, Source, load};
use thiserror::Error;

use crate::{failure, queue, sysexits};
use options::{Mode, Options};

/// Why nothing was handed in.
#[derive(Debug, Error)]
#[cfg_attr(test, derive(PartialEq, Eq))]
enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Message(String),
    #[error("{0}")]
    Refused(String),
    #[error("{0}; the message was not handed in, try again later")]
    Temporary(String),
    #[error("{0}")]
    Configuration(String),
    #[error(transparent)]
    Queue(#[from] failure::Failure),
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => sysexits::USAGE,
            Self::Message(_) => sysexits::DATA,
            Self::Refused(_) => sysexits::UNAVAILABLE,
            Self::Temporary(_) => sysexits::TEMPORARY,
            Self::Configuration(_) => sysexits::CONFIGURATION,
            Self::Queue(failure) => failure.code(),
        }
    }
}

pub(crate) fn main(arguments: Vec<OsString>) -> ExitCode {
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("sendmail: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

fn run(arguments: Vec<OsString>) -> Result<(), Failure> {
    let arguments = arguments.into_iter().map(|argument| argument.to_string_lossy().into_owned());
    let options = Options::parse(arguments)?;
    match options.mode {
        Mode::Smtp => smtp::pass_on(&socket(&site(&options)?)),
        Mode::Message => hand_in::message(&site(&options)?, &options),
        Mode::Queue => Ok(queue::mailq(&site(&options)?)?),
    }
}

fn site(options: &Options) -> Result<Site, Failure> {
    load(&Source { file: options.config.clone(), flags: Vec::new() })
        .map_err(|mistakes| Failure::Configuration(mistakes.to_string()))
}

/// Where mtad takes mail from local programs.
fn socket(site: &Site) -> PathBuf {
    site.run.directory.join("inject.sock")
}

/// Nobody answers there.
fn unavailable(socket: &Path, error: &io::Error) -> Failure {
    let why = match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => " (mtad does not run)",
        _ => "",
    };
    Failure::Temporary(format!("{}: {error}{why}", socket.display()))
}
