//! The locks that Dovecot knows: for `dovecot-uidlist` a file `dovecot-uidlist.lock`, which never
//! replaces another and holds `pid:host`. Where that is possible it is a second name of the file of
//! the kernel's lock ([`Sheet`]).
//!
//! It is stale when its process is dead on this machine. As long as that lives, no clock that may be
//! set says that it is: not that it is old, nor that it is older than the machine's start, so that its
//! number went to another process. Dovecot never takes it away then; we do, so that nobody is locked
//! out for ever, when we have watched it unchanged for 120 s: whoever holds one for long touches it
//! every 10 s.
//!
//! Where nobody knows of its process, it is stale when nobody touched it for 120 s; or when it is
//! older than the machine's start, if it is not of another machine (a power cut may leave it without
//! its content). Where the clock was set forward since we began, we watch it too.
//!
//! Removing a stale lock is a race between all who find it stale, in which the second one may remove
//! the first one's new lock: among our own processes the kernel's lock on `posthorn.lock`, taken
//! first, rules it out.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, test_kill_process};

use crate::disk::{self, Dir, DiskError, Stamp, Stat};
use crate::time;

use super::StoreError;
use super::lock::PATIENCE;
use super::name::unique;

/// A file that whoever holds the kernel's lock on it lends to the lock that Dovecot knows: that is
/// one more name of it, which costs a fraction of a file of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sheet<'lock> {
    pub(super) dir: &'lock Dir,
    pub(super) name: &'lock str,
    pub(super) file: &'lock File,
}

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
    /// Takes the lock of a file; waits for another for at most [`PATIENCE`].
    pub(super) fn take(
        dir: &Dir,
        file: &str,
        sheet: Option<Sheet<'_>>,
    ) -> Result<Self, StoreError> {
        started();
        let give_up = Instant::now() + PATIENCE;
        let mut pause = Duration::from_millis(1);
        let name = name(file);
        loop {
            match Self::try_take(dir, &name, sheet)? {
                Some(lock) => return Ok(lock),
                None if remove_stale(dir, file, &name, Instant::now())? => continue,
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

    fn try_take(
        dir: &Dir,
        name: &str,
        sheet: Option<Sheet<'_>>,
    ) -> Result<Option<Self>, StoreError> {
        match dir.stat(name) {
            Err(_) => {}
            // Whoever lent it held the kernel's lock, which is ours now: that process is dead.
            Ok(there) if sheet.is_some_and(|sheet| sheet.is(&there)) => dir.unlink(name)?,
            Ok(_) => return Ok(None),
        }
        match sheet.map(|sheet| sheet.lend(dir, name)) {
            Some(Ok(inode)) => return Ok(Some(Self::held(dir, name, inode))),
            Some(Err(error)) if error.is_taken() => return Ok(None),
            // Not every file system has files with two names.
            Some(Err(_)) | None => {}
        }
        // Never a lock without its holder: nobody could tell that it died.
        let unnamed = format!("{name}.{}{}", unique(), Dir::TEMPORARY);
        let mut file = dir.create_new(&unnamed)?;
        file.write(holder().as_bytes())?;
        let inode = dir.stat(&unnamed)?.inode;
        match file.move_to(dir, name) {
            Err(error) if error.is_taken() => return Ok(None),
            other => other?,
        }
        Ok(Some(Self::held(dir, name, inode)))
    }

    fn held(dir: &Dir, name: &str, inode: u64) -> Self {
        Self { dir: dir.clone(), name: name.to_owned(), inode, touched: Instant::now() }
    }
}

impl Sheet<'_> {
    /// Gives it the name of a lock, which must be free; returns its number. Its time is now: others
    /// think what is old stale.
    fn lend(self, dir: &Dir, name: &str) -> Result<u64, DiskError> {
        let holder = holder();
        let mut said = [0; 512];
        let count = self.file.read_at(&mut said, 0).unwrap_or_default();
        if said.get(..count) != Some(holder.as_bytes()) {
            self.dir.sign(self.name, self.file, &holder)?;
        }
        self.dir.touch(self.name)?;
        self.dir.link(self.name, dir, name)?;
        Ok(dir.stat(name)?.inode)
    }

    /// Whether that is its file.
    fn is(self, stat: &Stat) -> bool {
        self.file.metadata().is_ok_and(|own| (own.dev(), own.ino()) == (stat.device, stat.inode))
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

/// What the lock of a file is called.
pub(super) fn name(file: &str) -> String {
    format!("{file}.lock")
}

/// Removes the lock file if it is stale. Whether it is gone.
fn remove_stale(dir: &Dir, file: &str, name: &str, now: Instant) -> Result<bool, StoreError> {
    let Some(stat) = disk::found(dir.stat(name))? else { return Ok(true) };
    let text = match dir.read(name, 1024) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.is_missing() => return Ok(true),
        Err(_) => String::new(),
    };
    let age = Age::of(dir, file, &stat, now);
    let is_stale = match (Holder::of(&text, &stat), age) {
        (Holder::Dead, _) => true,
        (Holder::Unknown, _) if is_before_start(&stat) => true,
        (Holder::Unknown | Holder::Elsewhere, Age::Old) => true,
        (Holder::Alive, Age::Young) if !is_before_start(&stat) => false,
        (Holder::Unknown | Holder::Elsewhere, Age::Young) => false,
        _ => is_watched(&stat, now),
    };
    if !is_stale {
        return Ok(false);
    }
    let path = dir.path().display().to_string();
    tracing::warn!(mailbox = path, holder = text, "{name} was left behind; it is removed");
    disk::found(dir.unlink(name))?;
    Ok(true)
}

/// What is known of who holds a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    /// A process of this machine that is no more.
    Dead,
    /// One that is there.
    Alive,
    /// One of another machine.
    Elsewhere,
    /// Nobody can tell.
    Unknown,
}

impl Holder {
    fn of(text: &str, lock: &Stat) -> Self {
        let Some((pid, host)) = text.trim_end().split_once(':') else { return Self::Unknown };
        if host != machine() {
            return Self::Elsewhere;
        }
        let Some(pid) = pid.parse().ok().and_then(Pid::from_raw) else { return Self::Unknown };
        if pid == rustix::process::getpid() {
            // In this process nobody else holds it: an earlier process had our number. Unless its
            // time is ours: then trust nothing.
            let is_earlier = lock.modified.seconds < started().0;
            return if is_earlier { Self::Dead } else { Self::Unknown };
        }
        match test_kill_process(pid) {
            Err(rustix::io::Errno::SRCH) => Self::Dead,
            _ => Self::Alive,
        }
    }
}

/// How long ago a lock or its file changed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Age {
    Young,
    /// Too long ago.
    Old,
    /// Too long ago or in the future, by a clock that was set.
    Doubtful,
}

impl Age {
    fn of(dir: &Dir, file: &str, lock: &Stat, now: Instant) -> Self {
        let list = dir.stat(file).map_or(0, |stat| stat.modified.seconds);
        let touched = lock.modified.seconds.max(list);
        let (began, since) = started();
        // By a clock that nobody set since we began.
        let steady = began.saturating_add((now - since).as_secs().cast_signed());
        let clock = time::now_seconds();
        let is_older = |now: i64| now.saturating_sub(touched) > STALE;
        match (is_older(clock), is_older(steady)) {
            (true, true) => Self::Old,
            (true, false) => Self::Doubtful,
            (false, _) if touched > clock => Self::Doubtful,
            (false, _) => Self::Young,
        }
    }
}

/// Whether the machine was started since somebody touched the lock, if the clock was not set.
fn is_before_start(lock: &Stat) -> bool {
    let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime).tv_sec;
    lock.modified.seconds < time::now_seconds().saturating_sub(up)
}

/// Whether we have seen the lock for so long, and it has not changed.
fn is_watched(lock: &Stat, now: Instant) -> bool {
    static WATCHED: Mutex<Vec<(Seen, Instant)>> = Mutex::new(Vec::new());
    let seen = (lock.device, lock.inode, lock.changed);
    let mut watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, since)) = watched.iter().find(|(other, _)| *other == seen) {
        return now - *since > Duration::from_secs(STALE.unsigned_abs());
    }
    if watched.len() >= WATCHED_AT_MOST {
        watched.remove(0);
    }
    watched.push((seen, now));
    false
}

/// A lock as it was seen: device, inode, and when anything of it changed.
type Seen = (u64, u64, Stamp);

/// So many locks of dubious age are remembered, more than a site ever has.
const WATCHED_AT_MOST: usize = 256;

/// About when this process began to lock, by two clocks.
fn started() -> (i64, Instant) {
    static STARTED: OnceLock<(i64, Instant)> = OnceLock::new();
    *STARTED.get_or_init(|| (time::now_seconds(), Instant::now()))
}

/// What is in a lock of ours.
fn holder() -> String {
    format!("{}:{}", std::process::id(), machine())
}

/// The machine's name as Dovecot writes it.
fn machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_lock_of_the_living_holds_whatever_the_clock_says() {
        let directory = tempfile::tempdir().unwrap();
        let dir = Dir::open(directory.path()).unwrap();
        let parent = std::os::unix::process::parent_id();
        let days = Duration::from_secs(86_400 * 10_000);
        for (holder, age, is_stale) in [
            (format!("{parent}:{}", machine()), Duration::from_secs(300), false),
            (format!("{parent}:{}", machine()), days, false),
            (format!("{parent}:elsewhere"), Duration::from_secs(60), false),
            (format!("{parent}:elsewhere"), Duration::from_secs(300), true),
            (String::new(), Duration::from_secs(300), true),
        ] {
            started();
            std::fs::write(directory.path().join("list.lock"), &holder).unwrap();
            let file = File::options().write(true).open(directory.path().join("list.lock"));
            file.unwrap().set_modified(SystemTime::now() - age).unwrap();
            assert_eq!(
                remove_stale(&dir, "list", "list.lock", Instant::now()).unwrap(),
                is_stale,
                "{holder} {age:?}"
            );
        }
    }

    /// Its clock, or ours, was set.
    #[test]
    fn a_lock_from_the_future_holds_until_it_was_watched() {
        started();
        let parent = std::os::unix::process::parent_id();
        for holder in [format!("{parent}:{}", machine()), "1:elsewhere".into(), String::new()] {
            for ahead in ["list", "list.lock"] {
                let directory = tempfile::tempdir().unwrap();
                let dir = Dir::open(directory.path()).unwrap();
                std::fs::write(directory.path().join("list"), "3 V1 N1\n").unwrap();
                std::fs::write(directory.path().join("list.lock"), &holder).unwrap();
                let file = File::options().write(true).open(directory.path().join(ahead));
                let hours = Duration::from_secs(3 * 3600);
                file.unwrap().set_modified(SystemTime::now() + hours).unwrap();
                let now = Instant::now();
                let is_stale = |after| {
                    let now = now + Duration::from_secs(after);
                    remove_stale(&dir, "list", "list.lock", now).unwrap()
                };
                let stale = [0, 119, 121].map(is_stale);
                assert_eq!(stale, [false, false, true], "{holder}, {ahead}");
            }
        }
    }

    #[test]
    fn what_is_watched_must_not_change() {
        let directory = tempfile::tempdir().unwrap();
        let dir = Dir::open(directory.path()).unwrap();
        dir.create_new("lock").unwrap().keep();
        let lock = dir.stat("lock").unwrap();
        let now = Instant::now();
        let later = now + Duration::from_secs(121);
        assert!(!is_watched(&lock, now));
        assert!(!is_watched(&lock, now + Duration::from_secs(119)));
        assert!(is_watched(&lock, later));
        let touched = Stat { changed: Stamp::default(), ..lock };
        assert!(!is_watched(&touched, later));
    }
}
