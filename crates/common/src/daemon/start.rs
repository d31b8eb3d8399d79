//! From the command line to a daemon that is ready.

use std::ffi::OsString;
use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, FromArgMatches, Parser};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Runtime;
use tracing::{error, info, warn};

use super::{Daemon, StartError, bind, inherited, life};
use crate::config::{self, Source};
use crate::{log, maildir};

/// sysexits.h: EX_CONFIG.
const CONFIGURATION: u8 = 78;

/// sysexits.h: EX_OSERR.
const SYSTEM: u8 = 71;

/// A daemon of the Posthorn mail system.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The site's configuration; conf.d/*.toml beside it are read after it.
    #[arg(long, value_name = "FILE", default_value = config::SITE_FILE)]
    config: PathBuf,
    /// Sets one key over all files, such as limits.drain=5s.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Reads the configuration, prints what holds, and exits: 0, or 78 with all mistakes.
    #[arg(long)]
    check: bool,
}

pub(super) fn run<D: Daemon>(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command = Arguments::command().name(D::NAME);
    let arguments = command
        .try_get_matches_from(arguments)
        .and_then(|matches| Arguments::from_arg_matches(&matches))
        .unwrap_or_else(|error| error.exit());
    let source = Source { file: arguments.config, flags: arguments.set };
    let site = match config::load(&source) {
        Ok(site) => Arc::new(site),
        Err(mistakes) => {
            complain(&mistakes);
            return CONFIGURATION.into();
        }
    };
    if arguments.check {
        print!("{}", config::Shown(&site));
        return ExitCode::SUCCESS;
    }
    log::start(D::NAME, site.log.level);
    info!(version = env!("CARGO_PKG_VERSION"), config = %source.file.display(), "starting");
    match begin::<D>(source, site) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error}");
            SYSTEM.into()
        }
    }
}

/// Before the log is set up: plain lines, which the journal still knows as errors.
fn complain(mistakes: &impl Display) {
    let priority = if std::env::var_os("JOURNAL_STREAM").is_some() { "<3>" } else { "" };
    for line in mistakes.to_string().lines() {
        eprintln!("{priority}{line}");
    }
}

/// Sockets are bound while there is only this thread, because the umask that makes a Unix socket
/// 0660 is the whole process's.
fn begin<D: Daemon>(source: Source, site: Arc<config::Site>) -> Result<(), StartError> {
    raise_file_limit(site.limits.connections);
    let mut listeners = inherited::listeners::<D>()?;
    if listeners.is_empty() {
        listeners = bind::listeners(D::listeners(&site))?;
    }
    let runtime = Runtime::new().map_err(|error| StartError {
        what: "cannot start the runtime".into(),
        why: error.to_string(),
        remedy: "Look at the limits for threads and open files".into(),
    })?;
    let _entered = runtime.enter();
    maildir::join(&site.run.directory);
    let daemon = D::start(Arc::clone(&site))?;
    let life = life::Life::begin(daemon, source, site, listeners)?;
    let ended = runtime.block_on(life.go_on());
    // Work on other threads may be stuck in the system; the sessions had their time.
    runtime.shutdown_background();
    ended
}

/// Descriptors that a daemon needs besides its connections'.
const OTHER_FILES: u64 = 256;

/// Takes all the descriptors that the system gives: the usual soft limit of 1024 is there for
/// select(2), which nobody here calls.
fn raise_file_limit(connections: usize) {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let files = if raised.is_ok() { limit.maximum } else { limit.current };
    let wanted = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OTHER_FILES);
    if files.is_some_and(|files| files < wanted) {
        warn!(files, connections, "fewer open files than limits.connections: raise LimitNOFILE=");
    }
}
