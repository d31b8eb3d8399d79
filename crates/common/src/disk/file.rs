//! Files being written.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};

use rustix::fs::{Timespec, Timestamps, UTIME_OMIT};

use super::{Dir, DiskError, Result, Stat};

/// A file that was just created. Dropped before [`move_to`](Self::move_to) or
/// [`keep`](Self::keep), it is removed again.
#[derive(Debug)]
pub struct NewFile {
    dir: Dir,
    name: OsString,
    file: File,
    state: State,
}

/// A file that grows at its end.
#[derive(Debug)]
pub struct AppendFile {
    dir: Dir,
    name: OsString,
    file: File,
    state: State,
}

/// Whether what is written is to survive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// Not by this: it is written whenever the system likes.
    No,
    /// It is synced before the call returns.
    Yes,
}

/// Nothing was added to a file.
#[derive(Debug)]
pub struct NotAdded {
    /// Why.
    pub error: DiskError,
    /// Whether the file is as it was: if not, half of what was written may be at its end.
    pub cut: Result<()>,
}

/// How far a file can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It can.
    Sound,
    /// A sync failed: what is on the disk nobody knows, and another sync would lie.
    Lost,
    /// It has its final name, or none; dropping it removes nothing.
    Named,
}

impl NewFile {
    pub(super) fn new(dir: Dir, name: &OsStr, file: File) -> Self {
        Self { dir, name: name.to_owned(), file, state: State::Sound }
    }

    /// One that has no name: this one is for messages.
    pub(super) fn without_name(dir: Dir, name: &OsStr, file: File) -> Self {
        Self { dir, name: name.to_owned(), file, state: State::Named }
    }

    /// Writes all of it.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| self.dir.error(&self.name, error))
    }

    /// Writes all that is left to read of another file.
    pub fn fill(&mut self, source: &mut File) -> Result<()> {
        let done = io::copy(source, &mut self.file).map(|_| ());
        done.map_err(|error| self.dir.error(&self.name, error))
    }

    /// Sets the time of its last change, in seconds since 1970. To last, it needs
    /// [`sync_with_times`](Self::sync_with_times).
    pub fn set_modified(&self, seconds: i64) -> Result<()> {
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: seconds, tv_nsec: 0 },
        };
        rustix::fs::futimens(&self.file, &times).map_err(|e| self.dir.error(&self.name, e.into()))
    }

    /// Makes content and length last.
    pub fn sync(&mut self) -> Result<()> {
        let done = once(&mut self.state, || self.file.sync_data());
        done.map_err(|error| self.dir.error(&self.name, error))
    }

    /// Makes content, length and times last.
    pub fn sync_with_times(&mut self) -> Result<()> {
        let done = once(&mut self.state, || self.file.sync_all());
        done.map_err(|error| self.dir.error(&self.name, error))
    }

    /// Gives it its final name, which must be free. To last, it needs a sync of that directory.
    /// On an error the file is removed.
    pub fn move_to(mut self, dir: &Dir, name: impl AsRef<OsStr>) -> Result<()> {
        self.try_move_to(dir, name.as_ref())
    }

    /// As [`move_to`](Self::move_to), but on an error the file is not removed yet.
    pub(super) fn try_move_to(&mut self, dir: &Dir, name: &OsStr) -> Result<()> {
        self.dir.rename_new(&self.name, dir, name)?;
        self.state = State::Named;
        Ok(())
    }

    /// As [`try_move_to`](Self::try_move_to), for one that has no name.
    pub(super) fn link_to(
        &self,
        dir: &Dir,
        name: &OsStr,
        link: impl FnOnce(&File, &Dir, &OsStr) -> rustix::io::Result<()>,
    ) -> Result<()> {
        let name = dir.checked(name)?;
        link(&self.file, dir, name).map_err(|error| dir.error(name, error.into()))
    }

    /// Gives it a name that may be taken by another file, which is then gone.
    pub fn move_over(mut self, dir: &Dir, name: impl AsRef<OsStr>) -> Result<()> {
        self.dir.rename(&self.name, dir, name)?;
        self.state = State::Named;
        Ok(())
    }

    /// The name that it has is its final one.
    pub fn keep(mut self) {
        self.state = State::Named;
    }

    /// Where it was created.
    pub(super) fn directory(&self) -> &Dir {
        &self.dir
    }

    /// One more descriptor of it.
    pub(super) fn handle(&self) -> Result<File> {
        self.file.try_clone().map_err(|error| self.dir.error(&self.name, error))
    }

    /// The name that it was created with.
    #[must_use]
    pub fn name(&self) -> &OsStr {
        &self.name
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if self.state != State::Named {
            // Nobody is left to be told; whoever cleans the directory finds what stays.
            let _ = self.dir.unlink(&self.name);
        }
    }
}

impl AppendFile {
    pub(super) fn new(dir: Dir, name: &OsStr, file: File) -> Self {
        Self { dir, name: name.to_owned(), file, state: State::Sound }
    }

    /// Writes all of it at the end, in one call to the system where that takes it.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| self.dir.error(&self.name, error))
    }

    /// Writes all of it at the end of the file, which has `length` octets, and makes it last if
    /// that is wanted. On an error the file is cut to that length again.
    pub fn add(
        &mut self,
        bytes: &[u8],
        length: u64,
        lasting: Lasting,
    ) -> std::result::Result<(), NotAdded> {
        let added = self.write(bytes).and_then(|()| match lasting {
            Lasting::No => Ok(()),
            Lasting::Yes => self.sync(),
        });
        added.map_err(|error| NotAdded { error, cut: self.cut(length) })
    }

    /// Makes content and length last.
    pub fn sync(&mut self) -> Result<()> {
        let sync = || {
            #[cfg(test)]
            syncs_in(&self.dir)?;
            self.file.sync_data()
        };
        let done = once(&mut self.state, sync);
        done.map_err(|error| self.dir.error(&self.name, error))
    }

    /// How long it is now.
    pub fn length(&self) -> Result<u64> {
        let metadata = self.file.metadata().map_err(|e| self.dir.error(&self.name, e))?;
        Ok(metadata.len())
    }

    /// What the system knows of it now, whatever has its name.
    pub fn stat(&self) -> Result<Stat> {
        let stat = rustix::fs::fstat(&self.file);
        Ok(stat.map_err(|error| self.dir.error(&self.name, error.into()))?.into())
    }

    /// Whether it is in a directory still: it was neither removed nor replaced.
    pub fn has_a_name(&self) -> Result<bool> {
        let stat = rustix::fs::fstat(&self.file);
        Ok(stat.map_err(|error| self.dir.error(&self.name, error.into()))?.st_nlink > 0)
    }

    /// The file itself, for a child process to write to.
    #[must_use]
    pub fn into_file(self) -> File {
        self.file
    }

    /// Cuts off what stands after `length`: the half of a record whose writing failed.
    pub fn cut(&mut self, length: u64) -> Result<()> {
        self.file.set_len(length).map_err(|error| self.dir.error(&self.name, error))
    }
}

/// A sync whose failure is remembered.
fn once(state: &mut State, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    if *state == State::Lost {
        return Err(io::Error::other("an earlier sync of this file failed"));
    }
    sync().inspect_err(|_| *state = State::Lost)
}

/// Whether files in a directory can be made to last: not so in one [without](Dir::without_sync).
#[cfg(test)]
fn syncs_in(dir: &Dir) -> io::Result<()> {
    match rustix::fs::fcntl_getfl(dir)?.contains(rustix::fs::OFlags::PATH) {
        true => Err(rustix::io::Errno::IO.into()),
        false => Ok(()),
    }
}

impl Dir {
    pub(super) fn error(&self, name: &OsStr, error: io::Error) -> DiskError {
        DiskError::new(self.path().join(name), error)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_made_to_last_is_not_added() {
        let directory = tempfile::tempdir().unwrap();
        let dir = Dir::open(directory.path()).unwrap();
        let mut file = dir.append("file").unwrap();
        file.add(b"one", 0, Lasting::Yes).unwrap();
        file.add(b"two", 3, Lasting::No).unwrap();
        file.state = State::Lost;
        let NotAdded { cut, .. } = file.add(b"three", 6, Lasting::Yes).unwrap_err();
        cut.unwrap();
        assert_eq!(dir.read("file", 100).unwrap(), b"onetwo");
    }
}
