//! What is in a directory.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{DirEntry, FileType};

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

    /// Shows all entries, and keeps none: for directories of a million.
    pub fn each(mut self, mut see: impl FnMut(&OsStr, Option<Kind>)) -> Result<()> {
        while let Some(entry) = self.read() {
            let entry = entry?;
            see(name(&entry), kind(&entry));
        }
        Ok(())
    }

    fn read(&mut self) -> Option<Result<DirEntry>> {
        loop {
            match self.inner.read()? {
                Ok(entry) if matches!(entry.file_name().to_bytes(), b"." | b"..") => {}
                Ok(entry) => return Some(Ok(entry)),
                Err(error) => {
                    return Some(Err(DiskError::new(self.path.to_path_buf(), error.into())));
                }
            }
        }
    }
}

impl Iterator for Entries {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.read()?;
        Some(entry.map(|entry| Entry { name: name(&entry).to_owned(), kind: kind(&entry) }))
    }
}

fn name(entry: &DirEntry) -> &OsStr {
    OsStr::from_bytes(entry.file_name().to_bytes())
}

fn kind(entry: &DirEntry) -> Option<Kind> {
    match entry.file_type() {
        FileType::Unknown => None,
        kind => Some(kind.into()),
    }
}
