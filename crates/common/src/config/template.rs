//! Paths with `%d`, `%n` and `%u` in them.

use std::path::PathBuf;

use mail_proto::address::Address;
use serde::Deserialize;

/// A path with `%d` (domain), `%n` (local part) and `%u` (both) in it, as in Dovecot.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PathTemplate(String);

impl PathTemplate {
    /// The path for an address; `None` where a part of the address cannot be one component of a
    /// path (`/`, NUL, `.` and `..`).
    #[must_use]
    pub fn path(&self, address: &Address) -> Option<PathBuf> {
        todo!("{address}")
    }
}

impl Default for PathTemplate {
    fn default() -> Self {
        Self("/var/mail/%d/%n".to_owned())
    }
}

impl TryFrom<String> for PathTemplate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Ok(Self(text))
    }
}
