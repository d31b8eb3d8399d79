//! Who somebody is, and where their mail is.
//!
//! Authority is a value: mailboxes open only below the directory inside a [`User`], and a `User`
//! comes only from here. A path never comes from a command.
//!
//! Both questions are async because they will go over a socket to `authd`; today they are answered
//! in the process, hashing on a bounded pool so that guessing cannot starve the rest.
//!
//! Who guesses names learns nothing from the clock: a name that nobody has is compared with the
//! password of some user, always the same one for the same name, and refused whatever comes out.

mod gate;
mod passwd;
mod scheme;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::{hmac, rand};
use mail_proto::address::Address;
use mail_proto::sasl::Credentials;
use thiserror::Error;
use tokio::sync::Semaphore;
use tracing::{error, info};

pub use gate::{Gate, log_in};
use passwd::{Entry, Passwd, Users};
pub use scheme::{HashError, hash};
use scheme::{Stored, Unreadable};

use crate::config::{PathTemplate, Site};
use crate::pool::Pool;

/// Somebody with a mailbox here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    address: Address,
    home: PathBuf,
}

impl User {
    #[cfg(test)]
    pub(crate) fn new(address: Address, home: PathBuf) -> Self {
        Self { address, home }
    }

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
    /// The stored password is of a scheme that we have not, or is damaged.
    #[error("the stored password of {user} cannot be compared")]
    Incomparable {
        /// Whose.
        user: Address,
    },
}

impl AuthError {
    /// Always: the same may hold later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        true
    }
}

/// The user database.
#[derive(Debug)]
pub struct Auth {
    passwd: Passwd,
    path: PathTemplate,
    hashing: Pool,
    /// Places in the line for a hash.
    line: Arc<Semaphore>,
    /// New in each process.
    secret: hmac::Key,
}

/// Logins in line for each thread that hashes: some seconds' worth. More are told to come again,
/// before their clients give up by themselves.
const LINE_PER_THREAD: usize = 100;

impl Auth {
    /// Reads the user database that the site names.
    ///
    /// # Errors
    /// It cannot be read.
    ///
    /// # Panics
    /// If the system has no randomness.
    pub fn open(site: &Site) -> Result<Self, AuthError> {
        let threads: NonZeroUsize = site.auth.hashing;
        let secret = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new())
            .expect("the system's randomness does not end");
        Ok(Self {
            passwd: Passwd::open(&site.auth.passwd)?,
            path: site.mail.path.clone(),
            hashing: Pool::new("hash", threads),
            line: Arc::new(Semaphore::new(threads.get().saturating_mul(LINE_PER_THREAD))),
            secret,
        })
    }

    /// Whose credentials these are; `None`: nobody's, and no one learns why (the log does).
    ///
    /// # Errors
    /// Nothing can be said now. What went wrong here is in the log already.
    pub async fn verify(&self, credentials: &Credentials) -> Result<Option<User>, AuthError> {
        let verified = self.verify_quietly(credentials).await;
        let name = &credentials.username;
        match &verified {
            Ok(Ok(_)) => {}
            Ok(Err(refusal)) => info!(user = %name, reason = refusal.reason(), "login refused"),
            Err(error) => error!(user = %name, %error, "login not decided"),
        }
        Ok(verified?.ok())
    }

    /// Who gets mail for an address; `None`: nobody here. Upper and lower case are one, and what
    /// follows a `+` in the local part does not count where the whole finds nobody.
    ///
    /// # Errors
    /// Nothing can be said now.
    // Nothing is awaited yet; the question will go over a socket.
    #[allow(clippy::unused_async, reason = "authd will answer over a socket")]
    pub async fn lookup(&self, address: &Address) -> Result<Option<User>, AuthError> {
        let users = self.passwd.users()?;
        let entry = users.find(address).or_else(|| users.find(&without_detail(address)?));
        Ok(entry.and_then(|entry| self.user(entry)))
    }

    /// Everybody with a mailbox here, in the order of the user database.
    ///
    /// # Errors
    /// Nothing can be said now.
    #[allow(clippy::unused_async, reason = "authd will answer over a socket")]
    pub async fn users(&self) -> Result<Vec<User>, AuthError> {
        let users = self.passwd.users()?;
        Ok(users.all().filter_map(|entry| self.user(entry)).collect())
    }

    async fn verify_quietly(
        &self,
        credentials: &Credentials,
    ) -> Result<Result<User, Refusal>, AuthError> {
        let Credentials { username, password } = credentials;
        if !scheme::is_password(password) {
            return Ok(Err(Refusal::NoPassword));
        }
        let users = self.passwd.users()?;
        let address = username.parse().ok();
        let Some(entry) = address.as_ref().and_then(|address| users.find(address)) else {
            self.compare_with_some(&users, username, password).await?;
            return Ok(Err(Refusal::UnknownUser));
        };
        match self.compare(&entry.stored, password).await? {
            Ok(true) => Ok(self.user(entry).ok_or(Refusal::NoPlace)),
            Ok(false) => Ok(Err(Refusal::WrongPassword)),
            Err(Unreadable) => Err(AuthError::Incomparable { user: entry.address.clone() }),
        }
    }

    /// Takes the time that a user of this name would take.
    async fn compare_with_some(
        &self,
        users: &Users,
        name: &str,
        password: &[u8],
    ) -> Result<(), AuthError> {
        let tag = hmac::sign(&self.secret, name.to_lowercase().as_bytes());
        let number = tag.as_ref().first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
        if let Some(decoy) = users.some(number) {
            let _ = self.compare(&decoy.stored, password).await?;
        }
        Ok(())
    }

    async fn compare(
        &self,
        stored: &Stored,
        password: &[u8],
    ) -> Result<Result<bool, Unreadable>, AuthError> {
        if !stored.is_slow() {
            return Ok(stored.matches(password, &self.secret));
        }
        let place = Arc::clone(&self.line).try_acquire_owned().map_err(|_| AuthError::Busy)?;
        let (stored, password, secret) = (stored.clone(), password.to_vec(), self.secret.clone());
        let work = move || {
            let matches = stored.matches(&password, &secret);
            drop(place);
            matches
        };
        Ok(self.hashing.run(work).await.unwrap_or(Err(Unreadable)))
    }

    /// `None` where the address cannot be a path.
    fn user(&self, entry: &Entry) -> Option<User> {
        let home = self.path.path(&entry.address)?;
        Some(User { address: entry.address.clone(), home })
    }
}

/// Why a login is refused; the log's word.
#[derive(Debug, Clone, Copy)]
enum Refusal {
    NoPassword,
    UnknownUser,
    WrongPassword,
    NoPlace,
}

impl Refusal {
    fn reason(self) -> &'static str {
        match self {
            Self::NoPassword => "no password that could be one",
            Self::UnknownUser => "unknown user",
            Self::WrongPassword => "wrong password",
            Self::NoPlace => "the address cannot be a path",
        }
    }
}

/// The address without `+detail`; `None` if it has none.
fn without_detail(address: &Address) -> Option<Address> {
    let (local, _) = address.local().split_once('+')?;
    Address::new(local, address.domain().clone()).ok()
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::config::{Source, load};

    struct Place {
        auth: Auth,
        passwd: PathBuf,
        _directory: tempfile::TempDir,
    }

    fn place(users: &str) -> Place {
        let directory = tempfile::tempdir().unwrap();
        let passwd = directory.path().join("passwd");
        fs::write(&passwd, users).unwrap();
        let file = directory.path().join("posthorn.toml");
        let text = format!(
            "config_version = 1\nhostname = 'mx.example.org'\n[auth]\npasswd = {passwd:?}\nhashing = 1"
        );
        fs::write(&file, text).unwrap();
        let site = load(&Source { file, flags: Vec::new() }).unwrap();
        Place { auth: Auth::open(&site).unwrap(), passwd, _directory: directory }
    }

    async fn login(auth: &Auth, username: &str, password: &str) -> Result<Option<User>, AuthError> {
        let credentials =
            Credentials { username: username.into(), password: password.as_bytes().to_vec() };
        auth.verify(&credentials).await
    }

    async fn lookup(auth: &Auth, address: &str) -> Option<String> {
        let user = auth.lookup(&address.parse().unwrap()).await.unwrap();
        user.map(|user| user.home().display().to_string())
    }

    const USERS: &str = "ann@example.org:{PLAIN}apple\nbob+x@example.org:{PLAIN}banana\n\
                         bob@example.org:{PLAIN}berry\nold@example.org:{MD5}abc\n\
                         \"../ann\"@example.org:{PLAIN}apple\n";

    #[tokio::test]
    async fn logins() {
        let Place { auth, _directory, .. } = place(USERS);
        let table = [
            ("ann@example.org", "apple", Some("ann@example.org")),
            ("Ann@Example.org", "apple", Some("ann@example.org")),
            ("ann@example.org", "banana", None),
            ("ann@example.org", "", None),
            ("ann+x@example.org", "apple", None),
            ("ann", "apple", None),
            ("zoe@example.org", "apple", None),
            ("\"../ann\"@example.org", "apple", None),
        ];
        for (name, password, expected) in table {
            let user = login(&auth, name, password).await.unwrap();
            let address = user.map(|user| user.address().to_string());
            assert_eq!(address.as_deref(), expected, "{name} {password}");
        }
        let unknown_scheme = login(&auth, "old@example.org", "apple").await;
        assert!(matches!(unknown_scheme, Err(AuthError::Incomparable { .. })));
    }

    #[tokio::test]
    async fn lookups() {
        let Place { auth, _directory, .. } = place(USERS);
        let table = [
            ("ann@example.org", Some("/var/mail/example.org/ann")),
            ("ANN@EXAMPLE.ORG", Some("/var/mail/example.org/ann")),
            ("ann+list@example.org", Some("/var/mail/example.org/ann")),
            ("ann+a+b@example.org", Some("/var/mail/example.org/ann")),
            ("bob+x@example.org", Some("/var/mail/example.org/bob+x")),
            ("bob+y@example.org", Some("/var/mail/example.org/bob")),
            ("old@example.org", Some("/var/mail/example.org/old")),
            ("+x@example.org", None),
            ("zoe@example.org", None),
            ("ann@example.com", None),
            ("\"../ann\"@example.org", None),
        ];
        for (address, expected) in table {
            assert_eq!(lookup(&auth, address).await.as_deref(), expected, "{address}");
        }
    }

    #[tokio::test]
    async fn the_file_is_read_again_when_it_changes() {
        let Place { auth, passwd, _directory } = place("ann@example.org:{PLAIN}apple\n");
        assert!(lookup(&auth, "zoe@example.org").await.is_none());
        fs::write(&passwd, "zoe@example.org:{PLAIN}zucchini\n").unwrap();
        assert!(lookup(&auth, "zoe@example.org").await.is_some());
        assert!(lookup(&auth, "ann@example.org").await.is_none());
        fs::write(&passwd, "").unwrap();
        let being_written = auth.lookup(&"zoe@example.org".parse().unwrap()).await;
        assert!(matches!(being_written, Err(AuthError::Unreadable { .. })));
        fs::remove_file(&passwd).unwrap();
        let gone = auth.lookup(&"zoe@example.org".parse().unwrap()).await;
        assert!(matches!(gone, Err(AuthError::Unreadable { .. })));
    }

    #[tokio::test]
    async fn an_unknown_name_takes_as_long_as_a_wrong_password() {
        let Place { auth, _directory, .. } =
            place(&format!("ann@example.org:{}\n", hash(b"apple").unwrap()));
        let mut took = [Duration::MAX; 2];
        for _ in 0..5 {
            for (name, least) in ["ann@example.org", "zoe@example.org"].iter().zip(&mut took) {
                let start = Instant::now();
                assert!(login(&auth, name, "banana").await.unwrap().is_none());
                *least = start.elapsed().min(*least);
            }
        }
        let [wrong, unknown] = took;
        assert!(unknown > wrong / 3 && wrong > unknown / 3, "{wrong:?} {unknown:?}");
    }

    #[tokio::test]
    async fn a_line_too_long_is_busy() {
        let Place { auth, _directory, .. } =
            place(&format!("ann@example.org:{}\n", hash(b"apple").unwrap()));
        let taken = Arc::clone(&auth.line).try_acquire_many_owned(100).unwrap();
        let busy = login(&auth, "ann@example.org", "apple").await;
        assert!(matches!(busy, Err(AuthError::Busy)));
        drop(taken);
        assert!(login(&auth, "ann@example.org", "apple").await.unwrap().is_some());
    }
}
