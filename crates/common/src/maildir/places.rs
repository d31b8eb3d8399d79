//! Where a mailbox's files are. A site may keep messages, Dovecot's small text files and the index
//! on different disks (Dovecot's `CONTROL=` and `INDEX=`).

use std::path::{Path, PathBuf};

/// The three directories of a mailbox; one and the same where the site says nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Places {
    /// `cur`, `new` and `tmp`.
    pub(super) mail: PathBuf,
    /// `dovecot-uidlist`, `dovecot-keywords` and their locks.
    pub(super) control: PathBuf,
    /// `posthorn.index`, `posthorn.log`, `posthorn.cache` and our locks.
    pub(super) index: PathBuf,
}

impl Places {
    /// All in one directory.
    pub(super) fn together(path: &Path) -> Self {
        Self { mail: path.to_owned(), control: path.to_owned(), index: path.to_owned() }
    }
}
