//! What is in a directory.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use super::{DiskError, Kind, Result};

/// The entries of a directory, one after another, without `.` and `..`.
#[derive(Debug)]
pub struct Entries {
    inner: rustix::fs::Dir,
    path: Arc<Path>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: OsString,
    /// What it is; `None` where the file system does not say without a [`stat`](super::Dir::stat).
    pub kind: Option<Kind>,
}

impl Entries {
    pub(super) fn new(inner: rustix::fs::Dir, path: Arc<Path>) -> Self {
        Self { inner, path }
    }
}

impl Iterator for Entries {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let entry = match self.inner.read()? {
                Ok(entry) => entry,
                Err(error) => {
                    return Some(Err(DiskError::new(self.path.to_path_buf(), error.into())));
                }
            };
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let kind = match entry.file_type() {
                rustix::fs::FileType::Unknown => None,
                kind => Some(kind.into()),
            };
            return Some(Ok(Entry { name: OsStr::from_bytes(name).to_owned(), kind }));
        }
    }
}
