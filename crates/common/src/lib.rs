//! What all daemons of Posthorn share: Maildir and auth, and the one daemon skeleton.
//!
//! All contact with the system is here: files only through [`disk`], passwords only through
//! [`auth`], sockets only through [`daemon`] and [`serve`]. Protocols are in `mail-proto`, which
//! knows none of this.

pub mod auth;
pub mod charset;
pub mod config;
pub mod daemon;
pub mod disk;
pub mod glob;
pub mod log;
pub mod maildir;
pub mod pool;
pub mod serve;
pub mod time;
pub mod tls;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a lock, even if somebody panicked who had it: nothing behind our locks is left half changed
/// by that, and those who come after shall not fail for it.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
extern crate self as mail_common;

#[cfg(test)]
#[path = "../tests/echo/mod.rs"]
mod echo;
