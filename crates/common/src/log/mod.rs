//! The log: one line for each thing that happened to a message, in Postfix's field names, and one
//! id for a message over all daemons.

mod id;

pub use id::Id;

use crate::config::Level;

/// Sets up `tracing` for this process, once: lines to stderr, with `<n>` priorities where the
/// journal reads them, else with time and the daemon's name.
pub fn start(daemon: &'static str, level: Level) {
    todo!("{daemon} {level:?}")
}
