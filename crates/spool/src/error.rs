//! Why the spool does not do what it was asked.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use mail_common::disk::DiskError;
use mail_common::log::Id;
use thiserror::Error;

use crate::record::NoRecord;
use crate::text::BadText;

/// Why the spool does not do what it was asked.
#[derive(Debug, Error)]
pub enum SpoolError {
    /// Another process has it.
    #[error("{}: another process has this spool", .0.display())]
    Taken(PathBuf),
    /// Somebody else's directory, or another version's.
    #[error("{}: not a spool of this version", .0.display())]
    Format(PathBuf),
    /// A directory that is no spool, and not empty: nothing in it shall be overlooked.
    #[error("{}: no spool, but {name} is there", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// What is in it.
        name: String,
    },
    /// It holds as many messages as it may.
    #[error("{0} messages are in the queue, more are not taken")]
    TooMany(usize),
    /// Its envelope is longer than a record can be.
    #[error("{0}: its envelope is too long")]
    TooLong(Id),
    /// No such message is here.
    #[error("{0}: not in the queue")]
    Unknown(Id),
    /// What is on the disk is not what was written.
    #[error("{id}: {damage}")]
    Damaged {
        /// Of which message.
        id: Id,
        /// What is wrong with it.
        damage: Damage,
    },
    /// The system said no: to everybody who waited for the same commit.
    #[error(transparent)]
    Disk(Arc<DiskError>),
    /// It was closed.
    #[error("the spool is closed")]
    Stopped,
}

/// What is wrong with what was read.
#[derive(Debug, Error)]
pub enum Damage {
    /// Where a record should be is none.
    #[error(transparent)]
    Record(#[from] NoRecord),
    /// It is a record, but another one.
    #[error("another record stands in its place")]
    Other,
    /// Its envelope or progress makes no sense.
    #[error(transparent)]
    Text(#[from] BadText),
    /// Its body is not what was written.
    #[error("the checksum of its body does not hold")]
    Checksum,
    /// It ends too early.
    #[error("it is cut short")]
    Cut,
    /// Not damaged, but not to be had now.
    #[error(transparent)]
    Unreadable(io::Error),
}

impl SpoolError {
    /// Whether trying again later may help.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        !matches!(
            self,
            Self::Format(_) | Self::Foreign { .. } | Self::TooLong(_) | Self::Unknown(_)
        )
    }

    /// Whether disk or quota is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Disk(error) if error.is_full())
    }
}

impl From<DiskError> for SpoolError {
    fn from(error: DiskError) -> Self {
        Self::Disk(Arc::new(error))
    }
}

impl From<io::Error> for Damage {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Cut,
            _ => Self::Unreadable(error),
        }
    }
}

impl From<DiskError> for Damage {
    fn from(error: DiskError) -> Self {
        Self::Unreadable(error.into())
    }
}
