//! The queue's storage. `docs/spool.md` is the format, and the rules that make it safe.
//!
//! Plain blocking code; one writer thread makes everything last that waits at the same time.

mod letter;
mod progress;
pub mod record;
pub mod row;
mod text;

pub use letter::Letter;
pub use progress::{Progress, State};
