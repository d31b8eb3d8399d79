//! Giving rights away. A thread of the system has rights of its own, and those that it starts have
//! the same.

use rustix::io::Errno;
use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use thiserror::Error;

/// The system does not let root become somebody else.
#[derive(Debug, Error)]
#[error("cannot become user {uid} of the system: {error}")]
pub(crate) struct NotBecome {
    uid: u32,
    error: Errno,
}

/// Has this thread give away all rights but those of a user of the system, so that nothing that it
/// leaves is root's. Who is not root has none to give.
pub(crate) fn become_user(uid: u32, gid: u32) -> Result<(), NotBecome> {
    if !geteuid().is_root() || uid == 0 {
        return Ok(());
    }
    let (user, group) = (Uid::from_raw(uid), Gid::from_raw(gid));
    set_thread_groups(&[])
        .and_then(|()| set_thread_res_gid(group, group, group))
        .and_then(|()| set_thread_res_uid(user, user, user))
        .map_err(|error| NotBecome { uid, error })
}
