//! Stored passwords, in the forms that Dovecot's passwd-files and crypt(3) have.

use std::fmt;

use argon2::Argon2;
use aws_lc_rs::hmac;
use password_hash::phc::PasswordHash;
use password_hash::{Error, PasswordHasher, PasswordVerifier};
use sha_crypt::ShaCrypt;
use thiserror::Error;

/// Nobody's password is longer.
const LONGEST_PASSWORD: usize = 1024;

/// A stored password.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Stored {
    /// `$argon2id$…`, `$argon2i$…`
    Argon2(Box<str>),
    /// `$6$…`, `$5$…`
    ShaCrypt(Box<str>),
    /// `$2y$…`
    Bcrypt(Box<str>),
    /// The password itself.
    Plain(Box<str>),
    /// No password opens this: it is empty, or locked with `*` or `!`.
    Locked,
    /// We cannot read this; only its scheme may be told.
    Unknown(Box<str>),
}

/// The stored password cannot be compared: it is not what its scheme says.
#[derive(Debug)]
pub(super) struct Unreadable;

impl Stored {
    /// Reads `{SCHEME}hash`; without a scheme it is crypt(3)'s, told by its `$…$`.
    pub(super) fn read(text: &str) -> Self {
        let Some((scheme, hash)) = text.strip_prefix('{').and_then(|text| text.split_once('}'))
        else {
            return Self::crypt(text);
        };
        match scheme.to_ascii_uppercase().as_str() {
            "PLAIN" | "CLEARTEXT" if hash.is_empty() => Self::Locked,
            "PLAIN" | "CLEARTEXT" => Self::Plain(hash.into()),
            "ARGON2ID" | "ARGON2I" => Self::Argon2(hash.into()),
            "SHA512-CRYPT" | "SHA256-CRYPT" => Self::ShaCrypt(hash.into()),
            "BLF-CRYPT" => Self::Bcrypt(hash.into()),
            "CRYPT" => Self::crypt(hash),
            _ => Self::Unknown(scheme.into()),
        }
    }

    fn crypt(hash: &str) -> Self {
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| hash.starts_with(prefix));
        match hash {
            "" | "x" => Self::Locked,
            _ if starts(&["*", "!"]) => Self::Locked,
            _ if starts(&["$argon2id$", "$argon2i$"]) => Self::Argon2(hash.into()),
            _ if starts(&["$5$", "$6$"]) => Self::ShaCrypt(hash.into()),
            _ if starts(&["$2a$", "$2b$", "$2x$", "$2y$"]) => Self::Bcrypt(hash.into()),
            _ => Self::Unknown("CRYPT".into()),
        }
    }

    /// Whether comparing takes long enough to be given to the pool.
    pub(super) fn is_slow(&self) -> bool {
        matches!(self, Self::Argon2(_) | Self::ShaCrypt(_) | Self::Bcrypt(_))
    }

    /// Whether this is the password; slow on purpose for all but [`Stored::Plain`].
    pub(super) fn matches(&self, password: &[u8], secret: &hmac::Key) -> Result<bool, Unreadable> {
        match self {
            Self::Argon2(hash) => verdict(Argon2::default().verify_password(password, &**hash)),
            Self::ShaCrypt(hash) => verdict(ShaCrypt::default().verify_password(password, &**hash)),
            Self::Bcrypt(hash) => bcrypt::verify(password, hash).map_err(|_| Unreadable),
            Self::Plain(right) => Ok(same(right.as_bytes(), password, secret)),
            Self::Locked => Ok(false),
            Self::Unknown(_) => Err(Unreadable),
        }
    }
}

/// Prints no password and no hash, whoever logs it.
impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Argon2(_) => "Argon2(…)",
            Self::ShaCrypt(_) => "ShaCrypt(…)",
            Self::Bcrypt(_) => "Bcrypt(…)",
            Self::Plain(_) => "Plain(…)",
            Self::Locked => "Locked",
            Self::Unknown(_) => "Unknown(…)",
        })
    }
}

/// Why a password cannot be kept.
#[derive(Debug, Error)]
pub enum HashError {
    /// No login with it would ever be tried.
    #[error("a password has 1 to {LONGEST_PASSWORD} octets and no NUL")]
    NoPassword,
    /// There is no salt to be had.
    #[error("the system has no randomness")]
    NoSalt,
}

impl HashError {
    /// Whether the same may work later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::NoSalt)
    }
}

/// Whether this can be a password at all. Hashing a book for a stranger is no service.
pub(super) fn is_password(password: &[u8]) -> bool {
    (1..=LONGEST_PASSWORD).contains(&password.len()) && !password.contains(&0)
}

/// A new password as a passwd-file keeps it: `{ARGON2ID}$argon2id$…`. Takes as long as a login.
///
/// # Errors
/// It is no password, or the system has no randomness for the salt.
pub fn hash(password: &[u8]) -> Result<String, HashError> {
    if !is_password(password) {
        return Err(HashError::NoPassword);
    }
    let hash: PasswordHash =
        Argon2::default().hash_password(password).map_err(|_| HashError::NoSalt)?;
    Ok(format!("{{ARGON2ID}}{hash}"))
}

fn verdict(result: password_hash::Result<()>) -> Result<bool, Unreadable> {
    match result {
        Ok(()) => Ok(true),
        Err(Error::PasswordInvalid) => Ok(false),
        Err(_) => Err(Unreadable),
    }
}

/// Compares in a time that tells neither content nor length.
fn same(right: &[u8], offered: &[u8], secret: &hmac::Key) -> bool {
    hmac::verify(secret, offered, hmac::sign(secret, right).as_ref()).is_ok()
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, b"a secret of the tests")
    }

    /// Made by other programs: openssl passwd, crypt(3).
    const APPLE: &[&str] = &[
        "{PLAIN}apple",
        "{cleartext}apple",
        "{SHA512-CRYPT}$6$saltsalt$sqtZ5a7A24Xao02Rq3kTBlmo80wPfKw//e2/gqvZj.2faFND8.mNEqRym9EdMR4M9GpHLAQz7r2Gi348gxExk1",
        "$6$saltsalt$sqtZ5a7A24Xao02Rq3kTBlmo80wPfKw//e2/gqvZj.2faFND8.mNEqRym9EdMR4M9GpHLAQz7r2Gi348gxExk1",
        "{CRYPT}$6$saltsalt$sqtZ5a7A24Xao02Rq3kTBlmo80wPfKw//e2/gqvZj.2faFND8.mNEqRym9EdMR4M9GpHLAQz7r2Gi348gxExk1",
        "{SHA256-CRYPT}$5$saltsalt$1VMowKg36KkaPpaY5bfF2O3Bf3.ODJkpMhfa/FErcb5",
        "{BLF-CRYPT}$2b$04$JvqDJ6StYBN8CUPly/ntA.Na4r0vRT.YvhiJ8GdQdnWLH6KM/KraO",
    ];

    #[test]
    fn the_right_password_opens_and_no_other() {
        for stored in APPLE.iter().map(|text| Stored::read(text)) {
            assert!(stored.matches(b"apple", &secret()).unwrap(), "{stored:?}");
            for wrong in [&b"Apple"[..], b"apple ", b"appl", b"", b"apple\0"] {
                assert!(!stored.matches(wrong, &secret()).unwrap(), "{stored:?} {wrong:?}");
            }
        }
    }

    #[test]
    fn a_new_hash_holds_and_has_its_own_salt() {
        let (one, other) = (hash(b"apple").unwrap(), hash(b"apple").unwrap());
        assert!(one.starts_with("{ARGON2ID}$argon2id$v=19$"), "{one}");
        assert_ne!(one, other);
        let stored = Stored::read(&one);
        assert!(stored.matches(b"apple", &secret()).unwrap());
        assert!(!stored.matches(b"banana", &secret()).unwrap());
        for none in [&b""[..], b"a\0b", &[b'x'; 1025]] {
            assert!(hash(none).is_err());
        }
    }

    #[test]
    fn what_is_locked_opens_for_nobody() {
        for text in ["", "*", "!", "!!", "x", "*LK*", "!$6$salt$hash", "{PLAIN}", "{CRYPT}"] {
            let stored = Stored::read(text);
            assert_eq!(stored, Stored::Locked, "{text}");
            assert!(!stored.matches(b"", &secret()).unwrap());
            assert!(!stored.matches(text.as_bytes(), &secret()).unwrap());
        }
    }

    #[test]
    fn what_we_cannot_read_is_an_error() {
        let texts = [
            "{MD5}abc",
            "{SCRAM-SHA-256}abc",
            "{PLAIN.b64}YXBwbGU=",
            "$1$salt$hash",
            "$y$j9T$salt$hash",
            "abJnggxhB/yWI",
            "{ARGON2ID}nonsense",
            "{SHA512-CRYPT}nonsense",
            "{BLF-CRYPT}nonsense",
        ];
        for text in texts {
            assert!(Stored::read(text).matches(b"apple", &secret()).is_err(), "{text}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        for text in APPLE {
            let shown = format!("{:?}", Stored::read(text));
            assert!(!shown.contains("apple") && !shown.contains('$'), "{shown}");
        }
    }
}
