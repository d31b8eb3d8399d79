//! The only place that creates, writes, syncs, renames, links and unlinks.
//!
//! A house rule: nothing else in the workspace calls those functions of `std::fs` or `rustix`
//! (reading is free). So what survives a power cut is decided on one page, and faults have one
//! place to be put in.
//!
//! Two facts that were measured on ext4 (write-log replay): after `write tmp, fsync, rename`,
//! a power cut finds the file under its old name; only an fsync of the *directory* makes a rename
//! last. And a failed fsync must never be tried again on the same file: the kernel has dropped
//! the pages and the second one lies.
//!
//! What syncs by itself: making a directory (its parent), [`Dir::replace`] (file and directory).
//! What does not, because callers do several and sync once with [`Dir::sync`]: rename, link,
//! unlink, [`NewFile::move_to`], [`NamelessFile::move_to`].

mod block;
mod dir;
mod entries;
mod file;
mod mounted;
mod nameless;
mod scratch;
mod stat;
mod young;

pub use block::BlockFile;
pub use dir::Dir;
pub use entries::{Entries, Entry};
pub use file::{AppendFile, Lasting, NewFile, NotAdded};
pub use nameless::{NamelessFile, SharedFile};
pub use scratch::Scratch;
pub use stat::{Identity, Kind, Stamp, Stat};
pub use young::YoungFiles;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// What the system said, and of which path.
#[derive(Debug, Error)]
#[error("{}: {error}", path.display())]
pub struct DiskError {
    path: PathBuf,
    error: io::Error,
}

/// Of this module's functions.
pub type Result<T> = std::result::Result<T, DiskError>;

impl DiskError {
    /// Says of which path an error is.
    #[must_use]
    pub fn new(path: PathBuf, error: io::Error) -> Self {
        Self { path, error }
    }

    /// What was touched.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What kind of error it is.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.error.kind()
    }

    /// Whether there is no such file.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.kind() == io::ErrorKind::NotFound
    }

    /// Whether the name is taken.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        matches!(self.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty)
    }

    /// Whether disk or quota is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }

    /// Whether trying again later may help: always, for the operator may mend it.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        true
    }

    /// The path and what the system said.
    #[must_use]
    pub fn into_parts(self) -> (PathBuf, io::Error) {
        (self.path, self.error)
    }
}

/// What there is; `None` where nothing has the name.
pub fn found<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads as much as fits, or up to the end of the file.
pub fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut count = 0;
    while let Some(rest) = buffer.get_mut(count..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + count as u64) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

/// Drops what the system remembers of a file, so that the next read asks the disk. What was not
/// written back yet stays.
pub fn drop_cached(file: &File) -> io::Result<()> {
    Ok(rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed)?)
}

/// For those who speak `io::Error`: the kind is kept, the text names the path.
impl From<DiskError> for io::Error {
    fn from(error: DiskError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}
