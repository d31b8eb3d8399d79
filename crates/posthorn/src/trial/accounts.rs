//! Accounts: an address and its password.

use std::path::Path;
use std::str::FromStr;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use mail_common::auth;
use mail_proto::address::{Address, Domain};

use super::TrialError;

/// An address and its password, written `ADDR:PASSWORD`.
#[derive(Clone)]
pub(super) struct Account {
    pub(super) address: Address,
    pub(super) password: String,
}

impl FromStr for Account {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, password) =
            text.split_once(':').ok_or_else(|| format!("{text:?} is not ADDR:PASSWORD"))?;
        let address = address.parse().map_err(|error| format!("{address:?}: {error}"))?;
        if password.is_empty() {
            return Err(format!("the password of {address} is empty"));
        }
        Ok(Self { address, password: password.to_owned() })
    }
}

impl Account {
    /// An account with a password that nobody knows yet.
    pub(super) fn generated(local: &str, domain: &Domain) -> Result<Self, TrialError> {
        let address = Address::new(local, domain.clone())
            .map_err(|error| TrialError::Account(format!("{local}@{domain}: {error}")))?;
        Ok(Self { address, password: password()? })
    }

    /// The account's line in a list of accounts.
    pub(super) fn line(&self) -> String {
        format!("{}:{}\n", self.address, self.password)
    }

    /// The account's line in a passwd-file.
    pub(super) fn passwd_line(&self) -> Result<String, TrialError> {
        let hash = auth::hash(self.password.as_bytes())
            .map_err(|error| TrialError::Account(format!("{}: {error}", self.address)))?;
        Ok(format!("{}:{hash}\n", self.address))
    }
}

/// Reads a list of accounts. Empty lines and lines that begin with `#` do not count.
pub(super) fn read(path: &Path) -> Result<Vec<Account>, TrialError> {
    let text = read_text(path)?;
    let lines = text.lines().enumerate().filter(|(_, line)| is_account(line));
    lines
        .map(|(number, line)| {
            line.parse().map_err(|error| {
                TrialError::Account(format!("{}:{}: {error}", path.display(), number + 1))
            })
        })
        .collect()
}

/// The accounts of a passwd-file whose passwords can be known: those in `{PLAIN}`.
pub(super) fn known_of_passwd(text: &str) -> Vec<Account> {
    text.lines()
        .filter(|line| is_account(line))
        .filter_map(|line| {
            let mut fields = line.split(':');
            let (name, secret) = (fields.next()?, fields.next()?);
            let password = secret.strip_prefix("{PLAIN}")?;
            format!("{name}:{password}").parse().ok()
        })
        .collect()
}

/// Reads a text file.
pub(super) fn read_text(path: &Path) -> Result<String, TrialError> {
    std::fs::read_to_string(path).map_err(|error| TrialError::File { path: path.to_owned(), error })
}

fn is_account(line: &str) -> bool {
    !line.trim().is_empty() && !line.starts_with('#')
}

/// Sixteen letters and digits, none of which looks like another.
fn password() -> Result<String, TrialError> {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut random = [0u8; 16];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| TrialError::Account("the system gives no random numbers".to_owned()))?;
    Ok(random.iter().map(|&byte| char::from(ALPHABET[usize::from(byte % 32)])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_from_lines() {
        let account: Account = "ann@example.org:a:b".parse().expect("is an account");
        assert_eq!((account.address.local(), account.password.as_str()), ("ann", "a:b"));
        for wrong in ["ann@example.org", "ann:x", "ann@example.org:"] {
            assert!(wrong.parse::<Account>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_plain_passwords_are_known() {
        let text = "# users\nann@a.b:{PLAIN}pw\nbob@a.b:{ARGON2ID}$argon2id$x::::\n";
        let known = known_of_passwd(text);
        assert_eq!(known.len(), 1);
        assert_eq!(known[0].password, "pw");
    }

    #[test]
    fn generated_passwords_differ() {
        let domain: Domain = "a.b".parse().expect("is a domain");
        let make = || Account::generated("ann", &domain).expect("random numbers").password;
        assert_ne!(make(), make());
        assert_eq!(make().len(), 16);
    }
}
