//! The cache of a mailbox that mail comes into, kept open from one delivery to the next.

use std::sync::{Mutex, PoisonError};

use crate::disk::{self, AppendFile, Dir};

use super::{NAME, frame};

/// Adds summaries to a cache. Opens it for the first one.
#[derive(Debug)]
pub(in crate::maildir) struct Writer {
    dir: Dir,
    file: Mutex<Option<AppendFile>>,
}

impl Writer {
    /// Of the cache in this directory.
    pub(in crate::maildir) fn of(dir: &Dir) -> Self {
        Self { dir: dir.clone(), file: Mutex::default() }
    }

    /// Adds the summary of a message, by the hash of its base name.
    pub(in crate::maildir) fn add(&self, hash: u64, summary: &[u8]) {
        let mut octets = Vec::with_capacity(frame::HEAD + summary.len());
        frame::append_summary(&mut octets, hash, summary);
        if let Err(error) = self.append(&octets) {
            tracing::debug!(%error, "summaries are not kept");
        }
    }

    fn append(&self, octets: &[u8]) -> disk::Result<()> {
        let mut kept = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // Who wrote the cache anew has put another file in its place.
        let mut file = match kept.take() {
            Some(file) if file.has_a_name()? => file,
            _ => self.dir.append(NAME)?,
        };
        file.write(octets)?;
        *kept = Some(file);
        Ok(())
    }
}
