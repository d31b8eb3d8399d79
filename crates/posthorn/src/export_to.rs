//! Where an export is written to: a new directory, so that nothing in it is somebody else's.

use std::path::{Path, PathBuf};

use mail_common::disk::{Dir, DiskError};
use thiserror::Error;

use crate::failure::Failure;

/// No export can be written there.
#[derive(Debug, Error)]
pub(crate) enum NoPlace {
    #[error("{0}. Name another directory with --to")]
    Disk(#[from] DiskError),
    #[error("{} is not empty: name a new directory with --to", .0.display())]
    Occupied(PathBuf),
}

impl From<DiskError> for Failure {
    fn from(error: DiskError) -> Self {
        Self::Temporary(format!(
            "{error}. What is below --to is not whole: remove it and begin anew"
        ))
    }
}

/// A directory with nothing in it; it is made if it is missing.
pub(crate) fn new_directory(path: &Path) -> Result<Dir, NoPlace> {
    let dir = Dir::open_or_create(path)?;
    match dir.entries()?.next() {
        None => Ok(dir),
        Some(_) => Err(NoPlace::Occupied(path.to_owned())),
    }
}
