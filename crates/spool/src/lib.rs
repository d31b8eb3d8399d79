//! The queue's storage. `docs/spool.md` is the format, and the rules that make it safe.
//!
//! Plain blocking code; one writer thread makes everything last that waits at the same time.

pub mod admin;
mod ahead;
mod alarm;
mod big;
mod blocks;
mod body;
mod checkpoint;
mod cleaner;
mod commit;
mod copies;
mod corrupt;
mod error;
mod fsck;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod index;
mod letter;
mod message;
mod open;
mod progress;
mod read;
pub mod record;
mod recovery;
mod replay;
pub mod row;
mod scan;
mod seal;
mod segment;
mod settings;
mod spool;
mod text;
mod upkeep;
mod work;
mod writer;

pub use body::Body;
pub use error::{Damage, SpoolError};
pub use fsck::{Finding, Stretch, Summary, fsck};
pub use index::Recovered;
pub use letter::Letter;
pub use message::{Incoming, Message};
pub use progress::{Progress, State};
pub use settings::Settings;
pub use spool::{Entry, Spool};
pub use work::Then;
pub use writer::Counts;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
