//! Open directories.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, RenameFlags, StatxFlags};
use rustix::io::Errno;

use super::mounted::Descriptor;
use super::{AppendFile, DiskError, Entries, Identity, Kind, NewFile, Result, Stat, found};

/// An open directory; cheap to clone. Names given to its methods are single components: no `/`,
/// no `.` or `..`; links are not followed. New files have mode 0600, new directories 0700.
#[derive(Debug, Clone)]
pub struct Dir {
    pub(super) fd: Arc<Descriptor>,
    path: Arc<Path>,
}

/// Whether what was written is to have the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replace {
    Yes,
    No,
}

const OPEN: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Dir {
    /// Opens a directory that exists. Links on the way to it are followed: the path is the
    /// admin's.
    pub fn open(path: &Path) -> Result<Self> {
        let fd = rustix::fs::open(path, OPEN, Mode::empty());
        let fd = fd.map_err(|error| DiskError::new(path.to_owned(), error.into()))?;
        Ok(Self::new(fd, path))
    }

    /// Opens a directory, made (mode 0700, with its parents, each synced into its parent) if it
    /// is missing.
    pub fn open_or_create(path: &Path) -> Result<Self> {
        if let Some(dir) = found(Self::open(path))? {
            return Ok(dir);
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            let error = io::Error::from(io::ErrorKind::InvalidInput);
            return Err(DiskError::new(path.to_owned(), error));
        };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        Self::open_or_create(parent)?.create_dir(name)?;
        Self::open(path)
    }

    /// One in which all can be done, but nothing can be made to last.
    #[cfg(test)]
    pub(crate) fn without_sync(path: &Path) -> Self {
        let fd = rustix::fs::open(path, OPEN | OFlags::PATH, Mode::empty()).expect("it is there");
        Self::new(fd, path)
    }

    fn new(fd: OwnedFd, path: &Path) -> Self {
        Self { fd: Arc::new(Descriptor::new(fd)), path: path.into() }
    }

    /// Where it was when it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a directory in this one.
    pub fn subdir(&self, name: impl AsRef<OsStr>) -> Result<Self> {
        let name = name.as_ref();
        let fd = self.openat(name, OPEN, Mode::empty())?;
        Ok(Self::new(fd, &self.path.join(name)))
    }

    /// Makes a directory in this one, durably; that it is there already is fine, but whoever made
    /// it may have died before it was synced.
    pub fn create_dir(&self, name: impl AsRef<OsStr>) -> Result<()> {
        let name = self.checked(name.as_ref())?;
        match rustix::fs::mkdirat(self, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => self.sync(),
            Err(error) => Err(self.error(name, error.into())),
        }
    }

    /// Creates a file; its name must be free.
    pub fn create_new(&self, name: impl AsRef<OsStr>) -> Result<NewFile> {
        let name = name.as_ref();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let fd = self.openat(name, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(NewFile::new(self.clone(), name, fd.into()))
    }

    /// Gives a file new content, durably: after a crash there is the old content or the new, and
    /// when this returns the new. On an error the old content stays.
    pub fn replace(&self, name: impl AsRef<OsStr>, bytes: &[u8]) -> Result<()> {
        self.replace_with(name, |file| file.write(bytes))
    }

    /// As [`replace`](Self::replace), for what is written in pieces.
    pub fn replace_with(
        &self,
        name: impl AsRef<OsStr>,
        write: impl FnOnce(&mut NewFile) -> Result<()>,
    ) -> Result<()> {
        self.replace_at(name.as_ref(), None, write, || Ok(Replace::Yes))?;
        Ok(())
    }

    /// As [`replace`](Self::replace); and the time of the file's last change, in whole seconds,
    /// is later than the old one's, for readers who look at nothing else.
    pub fn replace_newer(&self, name: impl AsRef<OsStr>, bytes: &[u8]) -> Result<()> {
        let name = name.as_ref();
        let modified = found(self.stat(name))?.and_then(|old| old.newer());
        self.replace_at(name, modified, |file| file.write(bytes), || Ok(Replace::Yes))?;
        Ok(())
    }

    /// As [`replace_newer`](Self::replace_newer), if the file still is `old` when all is written,
    /// just before the rename; `None`: there is none. Whether it was replaced.
    pub fn replace_same(
        &self,
        name: impl AsRef<OsStr>,
        old: Option<Stat>,
        bytes: &[u8],
    ) -> Result<bool> {
        let name = name.as_ref();
        let check = || match found(self.stat(name))? == old {
            true => Ok(Replace::Yes),
            false => Ok(Replace::No),
        };
        let done = self.replace_at(
            name,
            old.and_then(|old| old.newer()),
            |file| file.write(bytes),
            check,
        )?;
        Ok(done == Replace::Yes)
    }

    /// The end of the names of files that [`replace`](Self::replace) has not finished. Those of
    /// dead processes may be removed.
    pub const TEMPORARY: &'static str = ".posthorn-tmp";

    /// Opens a file to write at its end; it is created if it is missing.
    pub fn append(&self, name: impl AsRef<OsStr>) -> Result<AppendFile> {
        let name = name.as_ref();
        // Not to wait for the reader of a pipe that somebody put here.
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC;
        let fd = self.openat(name, flags | OFlags::NONBLOCK, Mode::RUSR | Mode::WUSR)?;
        Ok(AppendFile::new(self.clone(), name, fd.into()))
    }

    /// Opens a file to write at its end; it must exist.
    pub fn append_existing(&self, name: impl AsRef<OsStr>) -> Result<AppendFile> {
        let name = name.as_ref();
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NONBLOCK;
        Ok(AppendFile::new(self.clone(), name, self.openat(name, flags, Mode::empty())?.into()))
    }

    /// Opens a file for reading.
    pub fn file(&self, name: impl AsRef<OsStr>) -> Result<File> {
        // Not to wait for the writer of a pipe that somebody put here.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        Ok(self.openat(name.as_ref(), flags, Mode::empty())?.into())
    }

    /// Reads a file of at most `limit` octets; a longer one is an error.
    pub fn read(&self, name: impl AsRef<OsStr>, limit: u64) -> Result<Vec<u8>> {
        let name = name.as_ref();
        let mut bytes = Vec::new();
        let read = self.file(name)?.take(limit.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| self.error(name, error))?;
        if bytes.len() as u64 > limit {
            return Err(self.error(name, io::ErrorKind::FileTooLarge.into()));
        }
        Ok(bytes)
    }

    /// What the system knows of a name; of a link, of itself.
    pub fn stat(&self, name: impl AsRef<OsStr>) -> Result<Stat> {
        let name = self.checked(name.as_ref())?;
        let stat = rustix::fs::statat(self, name, AtFlags::SYMLINK_NOFOLLOW);
        Ok(stat.map_err(|error| self.error(name, error.into()))?.into())
    }

    /// What the system knows of the directory itself.
    pub fn stat_self(&self) -> Result<Stat> {
        Ok(rustix::fs::fstat(self).map_err(|error| self.own_error(error))?.into())
    }

    /// What tells it from all others.
    pub fn identity(&self) -> Result<Identity> {
        let what = StatxFlags::INO | StatxFlags::BTIME;
        let found = rustix::fs::statx(self, c"", AtFlags::EMPTY_PATH, what);
        let found = found.map_err(|error| self.own_error(error))?;
        Ok(Identity::new(&found, self.mounted()))
    }

    /// Octets that its file system has left for us.
    pub fn room(&self) -> Result<u64> {
        let stat = rustix::fs::fstatvfs(self).map_err(|error| self.own_error(error))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// What is in it, in no order.
    pub fn entries(&self) -> Result<Entries> {
        let fd = rustix::fs::openat(self, c".", OPEN, Mode::empty());
        let inner = fd.and_then(rustix::fs::Dir::new).map_err(|error| self.own_error(error))?;
        Ok(Entries::new(inner, Arc::clone(&self.path)))
    }

    /// Makes what was renamed, linked and unlinked here last.
    pub fn sync(&self) -> Result<()> {
        if cfg!(feature = "mutant-no-directory-sync") {
            return Ok(());
        }
        rustix::fs::fsync(self).map_err(|error| self.own_error(error))
    }

    /// Renames; the new name must be free.
    pub fn rename_new(
        &self,
        from: impl AsRef<OsStr>,
        dir: &Self,
        to: impl AsRef<OsStr>,
    ) -> Result<()> {
        let (from, to) = (self.checked(from.as_ref())?, dir.checked(to.as_ref())?);
        match rustix::fs::renameat_with(self, from, dir, to, RenameFlags::NOREPLACE) {
            // Not every file system knows NOREPLACE (NFS): a link never replaces either.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => self.relink(from, dir, to),
            other => other.map_err(|error| self.rename_error(from, dir, to, error)),
        }
    }

    /// Renames; what had the new name is gone.
    pub fn rename(&self, from: impl AsRef<OsStr>, dir: &Self, to: impl AsRef<OsStr>) -> Result<()> {
        let (from, to) = (self.checked(from.as_ref())?, dir.checked(to.as_ref())?);
        rustix::fs::renameat(self, from, dir, to)
            .map_err(|error| self.rename_error(from, dir, to, error))
    }

    /// Gives a file one more name, which must be free.
    pub fn link(&self, from: impl AsRef<OsStr>, dir: &Self, to: impl AsRef<OsStr>) -> Result<()> {
        let (from, to) = (self.checked(from.as_ref())?, dir.checked(to.as_ref())?);
        rustix::fs::linkat(self, from, dir, to, AtFlags::empty())
            .map_err(|error| self.rename_error(from, dir, to, error))
    }

    /// Removes a file.
    pub fn unlink(&self, name: impl AsRef<OsStr>) -> Result<()> {
        let name = self.checked(name.as_ref())?;
        rustix::fs::unlinkat(self, name, AtFlags::empty())
            .map_err(|error| self.error(name, error.into()))
    }

    /// Removes a directory that is empty.
    pub fn remove_dir(&self, name: impl AsRef<OsStr>) -> Result<()> {
        let name = self.checked(name.as_ref())?;
        rustix::fs::unlinkat(self, name, AtFlags::REMOVEDIR)
            .map_err(|error| self.error(name, error.into()))
    }

    /// Says that a file changed just now, as `touch` does; the file must exist.
    pub fn touch(&self, name: impl AsRef<OsStr>) -> Result<()> {
        let name = self.checked(name.as_ref())?;
        let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
        let times = rustix::fs::Timestamps { last_access: now, last_modification: now };
        rustix::fs::utimensat(self, name, &times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| self.error(name, error.into()))
    }

    /// Locks a file, created if it is missing, until what is returned is dropped; `None` if
    /// another holds it. The kernel frees the lock of a process that dies.
    pub fn lock(&self, name: impl AsRef<OsStr>) -> Result<Option<File>> {
        let name = name.as_ref();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let file = File::from(self.openat(name, flags, Mode::RUSR | Mode::WUSR)?);
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(self.error(name, error.into())),
        }
        // A file that was removed meanwhile locks nothing.
        let held = rustix::fs::fstat(&file).map_err(|error| self.error(name, error.into()))?;
        let named = found(self.stat(name))?;
        Ok(named.is_some_and(|named| named.inode == held.st_ino).then_some(file))
    }

    /// Whether a process holds a [`lock`](Self::lock); for an instant nobody else can take it.
    pub fn is_locked(&self, name: impl AsRef<OsStr>) -> Result<bool> {
        let Some(file) = found(self.file(name.as_ref()))? else { return Ok(false) };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(Errno::WOULDBLOCK) => Ok(true),
            Err(error) => Err(self.error(name.as_ref(), error.into())),
        }
    }

    /// Writes into a file that [`lock`](Self::lock) returned who holds it; a power cut may take that
    /// back.
    pub fn sign(&self, name: impl AsRef<OsStr>, lock: &File, holder: &str) -> Result<()> {
        let holder = holder.as_bytes();
        let written = lock.write_all_at(holder, 0).and_then(|()| lock.set_len(holder.len() as u64));
        written.map_err(|error| self.error(name.as_ref(), error))
    }

    fn replace_at(
        &self,
        name: &OsStr,
        modified: Option<i64>,
        write: impl FnOnce(&mut NewFile) -> Result<()>,
        check: impl FnOnce() -> Result<Replace>,
    ) -> Result<Replace> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let name = self.checked(name)?;
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let mut temporary = name.to_owned();
        temporary.push(format!(".{}-{count}{}", std::process::id(), Self::TEMPORARY));
        // The name holds the process id: only a dead process's file can stand in the way.
        found(self.unlink(&temporary))?;
        let mut file = self.create_new(&temporary)?;
        write(&mut file)?;
        if let Some(seconds) = modified {
            file.set_modified(seconds)?;
        }
        file.sync_with_times()?;
        if check()? == Replace::No {
            return Ok(Replace::No);
        }
        file.move_over(self, name)?;
        self.sync()?;
        Ok(Replace::Yes)
    }

    pub(super) fn openat(&self, name: &OsStr, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
        let name = self.checked(name)?;
        rustix::fs::openat(self, name, flags | OFlags::NOFOLLOW, mode)
            .map_err(|error| self.error(name, error.into()))
    }

    /// Where the system cannot rename without replacing. Killed between the two, the file has
    /// both names: one message seen twice at worst, none lost. A directory has no second name; but
    /// it replaces nothing that is not an empty directory, and no mailbox is empty.
    fn relink(&self, from: &OsStr, dir: &Self, to: &OsStr) -> Result<()> {
        if self.stat(from)?.kind == Kind::Directory {
            return match found(dir.stat(to))? {
                None => self.rename(from, dir, to),
                Some(_) => Err(dir.error(to, io::ErrorKind::AlreadyExists.into())),
            };
        }
        self.link(from, dir, to)?;
        self.unlink(from)
    }

    pub(super) fn checked<'name>(&self, name: &'name OsStr) -> Result<&'name OsStr> {
        let bytes = name.as_bytes();
        let single = !matches!(bytes, b"" | b"." | b"..") && !bytes.contains(&b'/');
        if single && !bytes.contains(&0) {
            return Ok(name);
        }
        Err(self.error(name, io::ErrorKind::InvalidFilename.into()))
    }

    fn own_error(&self, error: Errno) -> DiskError {
        DiskError::new(self.path.to_path_buf(), error.into())
    }

    /// Of the two names, the one that an error is about.
    fn rename_error(&self, from: &OsStr, dir: &Self, to: &OsStr, error: Errno) -> DiskError {
        match error {
            Errno::NOENT => self.error(from, error.into()),
            _ => dir.error(to, error.into()),
        }
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::*;

    fn temporary() -> (tempfile::TempDir, Dir) {
        let directory = tempfile::tempdir().unwrap();
        let dir = Dir::open(directory.path()).unwrap();
        (directory, dir)
    }

    #[test]
    fn only_single_components_are_names() {
        let (_directory, dir) = temporary();
        for name in ["", ".", "..", "a/b", "/", "a\0b", "../x"] {
            let error = dir.create_new(name).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidFilename, "{name:?}");
            assert!(dir.rename("x", &dir, name).is_err(), "{name:?}");
            assert!(dir.unlink(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn links_are_not_followed() {
        let (directory, dir) = temporary();
        dir.replace("file", b"1").unwrap();
        dir.create_dir("real").unwrap();
        std::os::unix::fs::symlink("file", directory.path().join("link")).unwrap();
        std::os::unix::fs::symlink("real", directory.path().join("dirlink")).unwrap();
        assert!(dir.read("link", 10).is_err());
        assert!(dir.append("link").is_err());
        assert!(dir.append_existing("link").is_err());
        assert!(dir.lock("link").is_err());
        assert!(dir.subdir("dirlink").is_err());
    }

    #[test]
    fn a_new_file_leaves_no_trace_unless_named() {
        let (_directory, dir) = temporary();
        let mut file = dir.create_new("a").unwrap();
        file.write(b"x").unwrap();
        drop(file);
        assert!(dir.stat("a").unwrap_err().is_missing());
        let mut file = dir.create_new("a").unwrap();
        file.write(b"x").unwrap();
        file.sync().unwrap();
        file.move_to(&dir, "b").unwrap();
        assert_eq!(dir.read("b", 10).unwrap(), b"x");
        let error = dir.create_new("c").unwrap().move_to(&dir, "b").unwrap_err();
        assert!(error.is_taken(), "{error}");
        assert_eq!(dir.entries().unwrap().count(), 1);
    }

    #[test]
    fn replace_leaves_old_or_new_and_nothing_else() {
        let (_directory, dir) = temporary();
        dir.replace("a", b"one").unwrap();
        let before = dir.stat("a").unwrap().modified.seconds;
        dir.replace_newer("a", b"two").unwrap();
        assert!(before < dir.stat("a").unwrap().modified.seconds);
        assert_eq!(dir.read("a", 3).unwrap(), b"two");
        assert_eq!(dir.read("a", 2).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(dir.entries().unwrap().count(), 1);
        dir.create_dir("d").unwrap();
        dir.replace("d", b"x").unwrap_err();
        assert_eq!(dir.entries().unwrap().count(), 2, "the temporary file is removed");
    }

    #[test]
    fn another_file_is_not_replaced() {
        let (_directory, dir) = temporary();
        assert!(dir.replace_same("a", None, b"one").unwrap());
        assert!(!dir.replace_same("a", None, b"two").unwrap());
        let old = dir.stat("a").unwrap();
        assert!(dir.replace_same("a", Some(old), b"three").unwrap());
        assert!(old.modified.seconds < dir.stat("a").unwrap().modified.seconds);
        assert!(!dir.replace_same("a", Some(old), b"four").unwrap());
        assert_eq!(dir.read("a", 10).unwrap(), b"three");
        assert_eq!(dir.entries().unwrap().count(), 1, "the temporary file is removed");
    }

    #[test]
    fn what_is_replaced_in_pieces_is_replaced_whole() {
        let (_directory, dir) = temporary();
        dir.replace("a", b"one").unwrap();
        let failed = dir.replace_with("a", |file| {
            file.write(b"tw")?;
            dir.unlink("missing")
        });
        assert!(failed.unwrap_err().is_missing());
        assert_eq!(dir.read("a", 10).unwrap(), b"one");
        dir.replace_with("a", |file| file.write(b"tw").and_then(|()| file.write(b"o"))).unwrap();
        assert_eq!(dir.read("a", 10).unwrap(), b"two");
        assert_eq!(dir.entries().unwrap().count(), 1);
    }

    #[test]
    fn appending_makes_no_file_where_there_must_be_one() {
        let (_directory, dir) = temporary();
        assert!(dir.append_existing("a").unwrap_err().is_missing());
        dir.replace("a", b"one").unwrap();
        let mut file = dir.append_existing("a").unwrap();
        file.write(b" two").unwrap();
        assert_eq!(dir.read("a", 10).unwrap(), b"one two");
        assert_eq!(file.stat().unwrap(), dir.stat("a").unwrap());
    }

    #[test]
    fn nobody_waits_for_the_other_end_of_a_pipe() {
        let (_directory, dir) = temporary();
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(&dir, "pipe", kind, Mode::RUSR | Mode::WUSR, 0).unwrap();
        assert!(dir.append("pipe").is_err());
        assert!(dir.append_existing("pipe").is_err());
        assert_eq!(dir.read("pipe", 10).unwrap(), b"");
    }

    #[test]
    fn one_holds_a_lock() {
        let (_directory, dir) = temporary();
        let held = dir.lock("l").unwrap();
        assert!(held.is_some());
        assert!(dir.lock("l").unwrap().is_none());
        assert!(dir.is_locked("l").unwrap());
        drop(held);
        assert!(!dir.is_locked("l").unwrap());
        assert!(!dir.is_locked("m").unwrap());
        assert!(dir.lock("l").unwrap().is_some());
    }

    #[test]
    fn without_noreplace_nothing_is_replaced_either() {
        let (_directory, dir) = temporary();
        dir.replace("file", b"1").unwrap();
        for name in ["one", "two"] {
            dir.create_dir(name).unwrap();
        }
        for (from, to, taken) in [
            ("file", "two", true),
            ("one", "two", true),
            ("one", "three", false),
            ("file", "f", false),
        ] {
            let done = dir.relink(from.as_ref(), &dir, to.as_ref());
            assert_eq!(done.is_err_and(|error| error.is_taken()), taken, "{from} {to}");
            assert_eq!(dir.stat(from).is_ok(), taken, "{from} {to}");
        }
    }

    #[test]
    fn parents_are_made() {
        let (directory, _) = temporary();
        let path = directory.path().join("a/b/c");
        assert!(Dir::open(&path).unwrap_err().is_missing());
        Dir::open_or_create(&path).unwrap();
        Dir::open_or_create(&path).unwrap().replace("x", b"").unwrap();
        assert!(path.join("x").exists());
    }
}
