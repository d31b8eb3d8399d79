//! The log: one line for each thing that happened to a message, in Postfix's field names, and one
//! id for a message over all daemons.
//!
//! A line is `message field=value …`, with the fields of the session's span after its own. What
//! peers wrote may stand in a value, so control characters are shown escaped: nobody writes lines
//! of his own into the log.

mod id;
mod line;

use std::io::stderr;
use std::panic;

use tracing::error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use id::Id;
use line::{Fields, Line};

use crate::config::Level;

/// Sets up `tracing` for this process, once: lines to stderr, with `<n>` priorities where the
/// journal reads them, else with time and the daemon's name. A panic becomes a line too.
///
/// A second call changes nothing: tests start more than one daemon in a process.
pub fn start(daemon: &'static str, level: Level) {
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(stderr)
        .fmt_fields(Fields)
        .event_format(Line { daemon, journal: std::env::var_os("JOURNAL_STREAM").is_some() })
        // Its report of a closed stderr would go to stderr, and panic.
        .log_internal_errors(false);
    let started = tracing_subscriber::registry().with(lines).with(filter(level)).try_init();
    if started.is_ok() {
        panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            let message = panic.payload_as_str().unwrap_or("of an unknown kind");
            error!(place, "panic: {message}");
        }));
    }
}

/// rustls tells at "warn" what any stranger can cause.
fn filter(level: Level) -> Targets {
    let level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => return Targets::new().with_default(LevelFilter::TRACE),
    };
    Targets::new().with_default(level).with_target("rustls", LevelFilter::ERROR)
}
