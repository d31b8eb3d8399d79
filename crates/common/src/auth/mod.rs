//! Who somebody is, and where their mail is.
//!
//! Authority is a value: mailboxes open only below the directory inside a [`User`], and a `User`
//! comes only from here. A path never comes from a command.
//!
//! Both questions are async because they will go over a socket to `authd`; today they are answered
//! in the process, hashing on a bounded pool so that guessing cannot starve the rest.

use std::path::{Path, PathBuf};

use mail_proto::address::Address;
use mail_proto::sasl::Credentials;
use thiserror::Error;

use crate::config::Site;

/// Somebody with a mailbox here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    address: Address,
    home: PathBuf,
}

impl User {
    /// Their address, as the user database spells it.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Where their mail is. For `maildir` alone.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }
}

/// Why nothing can be said of a user now. Always temporary.
#[derive(Debug, Error)]
pub enum AuthError {
    /// The passwd-file cannot be read.
    #[error("cannot read {path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// More wait for a hash than may.
    #[error("too many logins are waiting")]
    Busy,
}

/// The user database.
#[derive(Debug)]
pub struct Auth {}

impl Auth {
    /// Reads the user database that the site names.
    pub fn open(site: &Site) -> Result<Self, AuthError> {
        todo!("{site:?}")
    }

    /// Whose credentials these are; `None`: nobody's, and no one learns why.
    pub async fn verify(&self, credentials: &Credentials) -> Result<Option<User>, AuthError> {
        todo!("{credentials:?}")
    }

    /// Who gets mail for an address; `None`: nobody here. Upper and lower case are one, and what
    /// follows a `+` in the local part does not count where the whole finds nobody.
    pub async fn lookup(&self, address: &Address) -> Result<Option<User>, AuthError> {
        todo!("{address:?}")
    }
}
