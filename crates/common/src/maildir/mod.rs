//! Mailboxes in Maildirs, as Dovecot keeps them: Maildir++ folders, `dovecot-uidlist`,
//! `dovecot-keywords`, `subscriptions`. Others may read and change the files at any time.
//!
//! [`Directory`] is who has which mailboxes; [`Store`] is one mailbox. What sessions ask of these
//! is not about Maildir; what an admin asks is ([`Finding`], [`Inspection`], [`Settled`]). All of
//! it is plain blocking code, to be called on a pool.

mod admit;
mod append;
mod attempts;
mod cache;
mod commits;
mod confirm;
mod copy;
mod deliveries;
mod delivery_id;
mod directory;
mod dotlock;
mod expunge;
mod flags;
mod former;
mod held;
pub mod import;
mod inboxes;
mod index;
mod inspect;
mod join;
mod keywords;
mod known;
mod leftovers;
mod lines;
mod listing;
mod lock;
mod look;
mod looks;
mod mailbox;
mod maintenance;
mod making;
mod more;
mod more_keywords;
mod move_all;
mod moves;
mod name;
mod names;
mod naming;
mod new_lines;
mod places;
mod present;
mod quota;
mod scan;
mod settle;
mod store;
mod subscriptions;
mod tail;
mod takeover;
mod tidings;
mod uid_validity;
mod uidlist;
mod watch;
mod whole;

pub use append::Appending;
pub use cache::Summaries;
pub use deliveries::Doubt;
pub use delivery_id::DeliveryId;
pub use directory::{Directory, Owner};
pub use inboxes::{Inbox, Inboxes, Left};
pub use index::boot;
pub use inspect::{IndexState, Inspection};
pub use maintenance::{Finding, Settled};
pub use store::{Located, Message, Moved, NewMessage, Store};
pub use tidings::Tidings;
pub use watch::{Watch, join};
pub use whole::{Delivery, Note, Original, Whole};

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use crate::disk::DiskError;

/// Why a mailbox does not do what it was asked. Cheap to clone, for all who are to be told of it.
#[derive(Debug, Clone, Error)]
pub enum StoreError {
    /// No mailbox has this name.
    #[error("no mailbox {0:?}")]
    NoSuchMailbox(String),
    /// A mailbox has this name already.
    #[error("mailbox {0:?} exists already")]
    AlreadyExists(String),
    /// No mailbox can have this name, or INBOX was to be deleted.
    #[error("not possible with mailbox {0:?}")]
    Cannot(String),
    /// A part of the user's address cannot be a directory's name.
    #[error("no path can have the address {0:?} in it")]
    Address(String),
    /// There are more keywords than can be kept.
    #[error("no room for keyword {0:?}")]
    Keywords(String),
    /// There are more subscriptions than can be kept.
    #[error("no room for more subscriptions")]
    Subscriptions,
    /// The message is gone.
    #[error("message {0} is gone")]
    Gone(mail_proto::mailbox::Uid),
    /// The mailbox is not the one any more whose messages were named.
    #[error("the mailbox was replaced by another one")]
    Replaced,
    /// A file of the mailbox says what it cannot say; it was left alone.
    #[error("{path}: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Quota or disk is full.
    #[error("{path}: no space left")]
    Full {
        /// What could not be written.
        path: PathBuf,
    },
    /// Another process holds a lock for longer than we wait.
    #[error("{0} is locked by another process")]
    Locked(PathBuf),
    /// The system said no.
    #[error("{path}: {error}")]
    System {
        /// What was touched.
        path: PathBuf,
        /// What it said.
        error: Arc<io::Error>,
    },
}

impl StoreError {
    /// Whether trying again later may help. Unknown troubles are temporary.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        !matches!(
            self,
            Self::NoSuchMailbox(_)
                | Self::AlreadyExists(_)
                | Self::Cannot(_)
                | Self::Address(_)
                | Self::Keywords(_)
                | Self::Subscriptions
                | Self::Gone(_)
                | Self::Replaced
        )
    }

    /// Whether the system says that something is not there.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.kind() == Some(io::ErrorKind::NotFound)
    }

    /// Whether the system says that we may not touch something.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.kind() == Some(io::ErrorKind::PermissionDenied)
    }

    fn kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::System { error, .. } => Some(error.kind()),
            _ => None,
        }
    }

    fn system(path: PathBuf, error: io::Error) -> Self {
        Self::System { path, error: Arc::new(error) }
    }
}

impl From<DiskError> for StoreError {
    fn from(error: DiskError) -> Self {
        if error.is_full() {
            return Self::Full { path: error.path().to_owned() };
        }
        let (path, error) = error.into_parts();
        Self::system(path, error)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
