//! What all sessions of a daemon that works on mailboxes share.

use std::num::NonZeroUsize;
use std::sync::{Arc, PoisonError, RwLock};

use super::StartError;
use crate::auth::Auth;
use crate::config::{Cleartext, Site};
use crate::pool::Pool;

/// What a session begins with, and keeps.
#[derive(Debug)]
pub struct Parts {
    /// The configuration.
    pub site: Arc<Site>,
    /// The user database.
    pub auth: Auth,
    /// For work on mailboxes, which blocks.
    pub pool: Pool,
}

/// The parts that hold now. A reload gives new ones to new sessions.
#[derive(Debug)]
pub struct Present(RwLock<Arc<Parts>>);

impl Parts {
    /// Whether a peer may show a password without TLS.
    #[must_use]
    pub fn takes_cleartext(&self, loopback: bool) -> bool {
        loopback && self.site.auth.cleartext == Cleartext::Loopback
    }
}

impl Present {
    /// Opens the user database, and starts so many threads.
    ///
    /// # Errors
    /// The user database cannot be used.
    pub fn open(site: Arc<Site>, name: &str, threads: NonZeroUsize) -> Result<Self, StartError> {
        let auth = open_auth(&site)?;
        let pool = Pool::new(name, threads);
        Ok(Self(RwLock::new(Arc::new(Parts { site, auth, pool }))))
    }

    /// What holds now.
    #[must_use]
    pub fn parts(&self) -> Arc<Parts> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes another configuration; the threads stay.
    ///
    /// # Errors
    /// Its user database cannot be used; what held goes on.
    pub fn renew(&self, site: Arc<Site>) -> Result<(), StartError> {
        let auth = open_auth(&site)?;
        let mut present = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let pool = present.pool.clone();
        *present = Arc::new(Parts { site, auth, pool });
        Ok(())
    }
}

/// Opens the user database, or says what an admin can do.
///
/// # Errors
/// It cannot be used.
pub fn open_auth(site: &Site) -> Result<Auth, StartError> {
    Auth::open(site).map_err(|error| StartError {
        what: "the user database cannot be used".to_owned(),
        why: error.to_string(),
        remedy: "Set auth.passwd to a file that this daemon may read".to_owned(),
    })
}
