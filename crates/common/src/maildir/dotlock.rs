//! The locks that Dovecot knows: for `dovecot-uidlist` a file `dovecot-uidlist.lock`, which never
//! replaces another and holds `pid:host`.
//!
//! It is stale when its process is dead on this machine, when it is older than the machine's
//! start (a power cut may leave it without its content, or its number to another process), or when
//! nobody touched it for 120 s; whoever holds it longer touches it every 10 s. Removing a stale
//! lock is a race between all who find it stale, in which the second one may remove the first one's
//! new lock: among our own processes the kernel's lock on `posthorn.lock`, taken first, rules it
//! out.

use std::time::{Duration, Instant};

use rustix::process::{Pid, test_kill_process};

use crate::disk::{Dir, Stat};
use crate::time;

use super::StoreError;
use super::name::unique;

const STALE: i64 = 120;
const TOUCH: Duration = Duration::from_secs(10);

/// The lock, held; removed when it is dropped.
#[derive(Debug)]
pub(super) struct Dotlock {
    dir: Dir,
    name: String,
    inode: u64,
    touched: Instant,
}

impl Dotlock {
    /// Takes the lock of a file; waits for another for at most `patience`.
    pub(super) fn take(dir: &Dir, file: &str, patience: Duration) -> Result<Self, StoreError> {
        started();
        let give_up = Instant::now() + patience;
        let mut pause = Duration::from_millis(1);
        let name = format!("{file}.lock");
        loop {
            match Self::try_take(dir, &name)? {
                Some(lock) => return Ok(lock),
                None if remove_stale(dir, file, &name)? => continue,
                None if Instant::now() >= give_up => {
                    return Err(StoreError::Locked(dir.path().join(name)));
                }
                None => std::thread::sleep(pause),
            }
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    /// To be called now and then by those who hold it for long.
    pub(super) fn keep_alive(&mut self) -> Result<(), StoreError> {
        if self.touched.elapsed() >= TOUCH {
            self.dir.touch(&self.name)?;
            self.touched = Instant::now();
        }
        Ok(())
    }

    fn try_take(dir: &Dir, name: &str) -> Result<Option<Self>, StoreError> {
        if dir.stat(name).is_ok() {
            return Ok(None);
        }
        // Never a lock without its holder: nobody could tell that it died.
        let unnamed = format!("{name}.{}{}", unique(), Dir::TEMPORARY);
        let mut file = dir.create_new(&unnamed)?;
        file.write(format!("{}:{}", std::process::id(), machine()).as_bytes())?;
        let inode = dir.stat(&unnamed)?.inode;
        match file.move_to(dir, name) {
            Err(error) if error.is_taken() => return Ok(None),
            other => other?,
        }
        Ok(Some(Self { dir: dir.clone(), name: name.to_owned(), inode, touched: Instant::now() }))
    }
}

impl Drop for Dotlock {
    fn drop(&mut self) {
        // Somebody may have thought it stale: another's lock is not ours to remove.
        if self.dir.stat(&self.name).is_ok_and(|stat| stat.inode == self.inode) {
            let _ = self.dir.unlink(&self.name);
        }
    }
}

/// Removes the lock file if it is stale. Whether it is gone.
fn remove_stale(dir: &Dir, file: &str, name: &str) -> Result<bool, StoreError> {
    let stat = match dir.stat(name) {
        Ok(stat) => stat,
        Err(error) if error.is_missing() => return Ok(true),
        Err(error) => return Err(error.into()),
    };
    let holder = match dir.read(name, 1024) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.is_missing() => return Ok(true),
        Err(_) => String::new(),
    };
    if !is_dead(&holder, &stat) && !is_before_start(&holder, &stat) && !is_old(dir, file, &stat) {
        return Ok(false);
    }
    let path = dir.path().display().to_string();
    tracing::warn!(mailbox = path, holder, "{name} was left behind; it is removed");
    match dir.unlink(name) {
        Err(error) if !error.is_missing() => Err(error.into()),
        _ => Ok(true),
    }
}

/// Whether the holder was a process of this machine and is no more.
fn is_dead(holder: &str, lock: &Stat) -> bool {
    let Some((pid, host)) = holder.trim_end().split_once(':') else { return false };
    let Some(pid) = pid.parse().ok().and_then(Pid::from_raw) else { return false };
    if host != machine() {
        return false;
    }
    if pid == rustix::process::getpid() {
        // In this process nobody else holds it: an earlier process had our number. Unless its
        // time is ours: then trust nothing.
        return lock.modified.seconds < started();
    }
    test_kill_process(pid) == Err(rustix::io::Errno::SRCH)
}

/// Whether the machine was started since nobody touched the lock. Of another machine's lock nobody
/// here can know that.
fn is_before_start(holder: &str, lock: &Stat) -> bool {
    let other = holder.trim_end().split_once(':').is_some_and(|(_, host)| host != machine());
    let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime).tv_sec;
    !other && lock.modified.seconds < time::now_seconds().saturating_sub(up)
}

/// Whether neither the lock nor its file changed for too long.
fn is_old(dir: &Dir, file: &str, lock: &Stat) -> bool {
    let list = dir.stat(file).map_or(0, |stat| stat.modified.seconds);
    time::now_seconds() - lock.modified.seconds.max(list) > STALE
}

/// About when this process began to lock.
fn started() -> i64 {
    static STARTED: std::sync::OnceLock<i64> = std::sync::OnceLock::new();
    *STARTED.get_or_init(time::now_seconds)
}

/// The machine's name as Dovecot writes it.
fn machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
