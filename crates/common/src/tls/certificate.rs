//! The site's certificate and key: read, compared, watched.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::{fs, io};

use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

use crate::config::Tls;

/// What is wrong with certificate or key.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// The file cannot be read.
    #[error("cannot read {path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// There is nothing of use in the file.
    #[error("{path} holds no {what} in PEM form: {why}")]
    Nothing {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// What is there instead.
        why: String,
    },
    /// The key is another certificate's.
    #[error("the key in {key} does not belong to the first certificate in {certificate}")]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// Certificate or key is of a kind that we do not take.
    #[error("{certificate} and {key} cannot be used: {error}")]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        error: rustls::Error,
    },
}

/// The certificate that holds now. Each handshake asks for it, so a new one serves the next
/// connection, and sessions that go on keep theirs.
#[derive(Debug)]
pub(super) struct Certificate {
    now: RwLock<Now>,
}

#[derive(Debug)]
struct Now {
    files: Tls,
    /// How the files looked when they were last read, be it in vain.
    seen: [Look; 2],
    key: Arc<CertifiedKey>,
}

/// What changes when somebody writes a file or puts another in its place, through links too.
type Look = Option<(i64, i64, u64, u64, u64)>;

impl Certificate {
    pub(super) fn open(files: &Tls) -> Result<Self, CertificateError> {
        let seen = looks(files);
        let key = Arc::new(read(files)?);
        Ok(Self { now: RwLock::new(Now { files: files.clone(), seen, key }) })
    }

    pub(super) fn replace(&self, files: &Tls) -> Result<(), CertificateError> {
        let opened = Self::open(files)?.now.into_inner().unwrap_or_else(PoisonError::into_inner);
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = opened;
        Ok(())
    }

    /// Looks whether the files changed, and takes them if so; says whether it did.
    pub(super) fn look(&self) -> Result<bool, CertificateError> {
        let (files, seen) = {
            let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
            (now.files.clone(), now.seen)
        };
        let looks = looks(&files);
        if looks == seen {
            return Ok(false);
        }
        let read = read(&files);
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        now.seen = looks;
        now.key = Arc::new(read?);
        Ok(true)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&now.key))
    }
}

fn looks(files: &Tls) -> [Look; 2] {
    [&files.certificate, &files.key].map(|path| {
        let found = fs::metadata(path).ok()?;
        Some((found.mtime(), found.mtime_nsec(), found.dev(), found.ino(), found.len()))
    })
}

fn read(files: &Tls) -> Result<CertifiedKey, CertificateError> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .map_err(|error| nothing(&files.certificate, "certificate", error))?;
    if chain.is_empty() {
        return Err(nothing(&files.certificate, "certificate", pem::Error::NoItemsFound));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| nothing(&files.key, "private key", error))?;
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|error| {
        let (certificate, key) = (files.certificate.clone(), files.key.clone());
        match error {
            rustls::Error::InconsistentKeys(_) => CertificateError::Mismatch { certificate, key },
            error => CertificateError::Unusable { certificate, key, error },
        }
    })
}

fn nothing(path: &Path, what: &'static str, error: pem::Error) -> CertificateError {
    let path = path.to_owned();
    match error {
        pem::Error::Io(error) => CertificateError::Unreadable { path, error },
        error => CertificateError::Nothing { path, what, why: error.to_string() },
    }
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a pair that nobody had before.
    fn write_pair(files: &Tls) -> rcgen::CertifiedKey<rcgen::KeyPair> {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(&files.certificate, pair.cert.pem()).unwrap();
        fs::write(&files.key, pair.signing_key.serialize_pem()).unwrap();
        pair
    }

    fn files(directory: &Path) -> Tls {
        Tls { certificate: directory.join("cert.pem"), key: directory.join("key.pem") }
    }

    fn presented(certificate: &Certificate) -> Vec<u8> {
        certificate.now.read().unwrap().key.cert[0].to_vec()
    }

    #[test]
    fn a_new_pair_is_taken_and_a_bad_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let files = files(directory.path());
        let first = write_pair(&files);
        let certificate = Certificate::open(&files).unwrap();
        assert!(!certificate.look().unwrap(), "nothing changed");

        fs::write(&files.key, "no key at all").unwrap();
        assert!(certificate.look().is_err());
        assert_eq!(presented(&certificate), first.cert.der().to_vec());
        assert!(!certificate.look().unwrap(), "the same fault is told once");

        let second = write_pair(&files);
        assert!(certificate.look().unwrap());
        assert_eq!(presented(&certificate), second.cert.der().to_vec());
    }

    #[test]
    fn a_link_that_points_elsewhere_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let [old, new] = ["old", "new"].map(|name| directory.path().join(name));
        for folder in [&old, &new] {
            fs::create_dir(folder).unwrap();
        }
        write_pair(&files(&old));
        let second = write_pair(&files(&new));
        let live = directory.path().join("live");
        std::os::unix::fs::symlink(&old, &live).unwrap();
        let certificate = Certificate::open(&files(&live)).unwrap();
        fs::remove_file(&live).unwrap();
        std::os::unix::fs::symlink(&new, &live).unwrap();
        assert!(certificate.look().unwrap());
        assert_eq!(presented(&certificate), second.cert.der().to_vec());
    }

    #[test]
    fn what_is_wrong_is_told_with_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let files = files(directory.path());
        let error = |files: &Tls| Certificate::open(files).unwrap_err().to_string();
        assert!(error(&files).contains("cannot read") && error(&files).contains("cert.pem"));

        write_pair(&files);
        let key = fs::read(&files.key).unwrap();
        write_pair(&files);
        fs::write(&files.key, key).unwrap();
        assert!(error(&files).contains("does not belong to"), "{}", error(&files));

        fs::write(&files.certificate, "").unwrap();
        assert!(error(&files).contains("holds no certificate"), "{}", error(&files));
    }
}
