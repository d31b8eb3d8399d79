//! Histories of a user's mailboxes, and what must be left of them when something goes wrong.
//!
//! - [`promises`]: what histories of all kinds have in common
//! - [`operation`]: what is done to the mailboxes, and the lines in which it is told
//! - [`driver`]: the program that does it, `history`, and tells of it
//! - [`histories`]: operations at random
//! - [`view`]: what is found in the mailboxes afterwards
//! - [`ledger`]: what was promised, and whether a view keeps it
//! - [`spool`]: the same of a spool: operations, driver, view, ledger
//! - [`strace`]: one operation with trouble at its n-th system call
//! - [`machine`]: a file system on a logged disk, in a world of its own that ends with its process
//! - [`write_log`]: the log of that disk, and the disk as it was at any moment
//! - [`power`]: the power goes at every flush, and what is left is looked at

pub mod driver;
pub mod histories;
pub mod ledger;
pub mod machine;
pub mod operation;
pub mod power;
pub mod promises;
pub mod spool;
pub mod strace;
pub mod view;
pub mod write_log;

/// A directory of which nothing must last: in memory, where that is possible.
///
/// # Panics
/// If no directory for temporary files is writable.
#[must_use]
pub fn in_memory() -> tempfile::TempDir {
    let made = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    made.expect("the directory for temporary files is writable")
}
