//! The queue's storage. `docs/spool.md` is the format, and the rules that make it safe.
//!
//! Plain blocking code; one writer thread makes everything last that waits at the same time.

mod big;
mod blocks;
mod body;
mod checkpoint;
mod cleaner;
mod corrupt;
mod error;
mod fsck;
mod index;
mod letter;
mod message;
mod progress;
pub mod record;
mod recovery;
mod replay;
pub mod row;
mod scan;
mod spool;
mod text;

pub use body::Body;
pub use error::{Damage, SpoolError};
pub use fsck::{Finding, Stretch, Summary, fsck};
pub use letter::Letter;
pub use message::{Incoming, Message};
pub use progress::{Progress, State};
pub use spool::{Entry, Recovered, Settings, Spool, Then};
