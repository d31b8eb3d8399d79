//! The locks on a mailbox, in the order in which they are taken.
//!
//! 1. In this process: the mutex around what it knows of the mailbox.
//! 2. Among our processes: the kernel's lock on `posthorn.lock`, which dies with its holder.
//!    Whoever lists the directories or changes them holds it.
//! 3. Towards Dovecot: the [`Dotlock`], by those who write `dovecot-uidlist` or
//!    `dovecot-keywords`.
//!
//! Who needs two mailboxes at once (MOVE; RENAME, where files are apart) takes all locks of the one
//! and then all of the other, that [first](is_before) whose path is later in order: a mailbox
//! below another one comes before it, as RENAME goes about it. So two who want the same ones, in
//! whatever direction, wait for each other in a row and not in a ring. Delivery into `new` needs
//! none.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::disk::Dir;

use super::dotlock::{Dotlock, Sheet};
use super::scan::Folders;
use super::{StoreError, scan, uidlist};

pub(super) const LOCK: &str = "posthorn.lock";
/// For how long another process may keep us waiting.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Between two attempts, of which one costs some microseconds.
const PAUSE: Duration = Duration::from_millis(2);

/// The second lock, held, and perhaps the third.
#[derive(Debug)]
pub(super) struct Lock {
    control: Dir,
    dotlock: Option<Dotlock>,
    kernel: File,
    /// Where that is.
    index: Dir,
}

impl Lock {
    /// Takes the lock among our processes. An error if the mailbox got another name while we
    /// waited and its index stayed.
    pub(super) fn take(folders: &Folders) -> Result<Self, StoreError> {
        let kernel = kernel(&folders.index, LOCK)?;
        if !folders.are_of_one_mailbox()? {
            return Err(scan::replaced(folders.cur.path().to_owned()));
        }
        let (control, index) = (folders.control.clone(), folders.index.clone());
        Ok(Self { control, dotlock: None, kernel, index })
    }

    /// Takes Dovecot's lock too, until this is dropped. What was read before may be old.
    pub(super) fn dotlock(&mut self) -> Result<(), StoreError> {
        match &mut self.dotlock {
            Some(dotlock) => dotlock.keep_alive()?,
            None => {
                let sheet = Sheet { dir: &self.index, name: LOCK, file: &self.kernel };
                // Files that are apart may be on another file system.
                let sheet = (self.index.path() == self.control.path()).then_some(sheet);
                self.dotlock = Some(Dotlock::take(&self.control, uidlist::FILE, sheet)?);
            }
        }
        Ok(())
    }
}

/// Whether a mailbox is locked before another one, by where their messages are.
pub(super) fn is_before(one: &Path, other: &Path) -> bool {
    one.as_os_str() > other.as_os_str()
}

/// Takes a lock of the kernel; waits for another for at most [`PATIENCE`].
///
/// It goes to who asks at the right moment, so all ask equally often: who asked less and less often
/// would wait for all who come later.
pub(super) fn kernel(dir: &Dir, name: &str) -> Result<File, StoreError> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(lock) = dir.lock(name)? {
            return Ok(lock);
        }
        if Instant::now() >= give_up {
            return Err(StoreError::Locked(dir.path().join(name)));
        }
        std::thread::sleep(PAUSE);
    }
}
