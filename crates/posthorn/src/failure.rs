//! Why a command of the admin's did not go to its end.

use thiserror::Error;

use crate::export_to::NoPlace;
use crate::rights::NotBecome;
use crate::site_file::NoSite;
use crate::sysexits;

/// What is said of it says what to do next.
#[derive(Debug, Error)]
#[cfg_attr(test, derive(PartialEq, Eq))]
pub(crate) enum Failure {
    /// The command line, or what it names, is wrong.
    #[error("{0}")]
    Usage(String),
    /// Another time it may go.
    #[error("{0}")]
    Temporary(String),
    /// The site's configuration does not hold.
    #[error("{0}")]
    Configuration(String),
    /// Whoever reads has seen enough.
    #[error("nobody reads this")]
    Unread,
}

impl Failure {
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => sysexits::USAGE,
            Self::Temporary(_) | Self::Unread => sysexits::TEMPORARY,
            Self::Configuration(_) => sysexits::CONFIGURATION,
        }
    }
}

impl From<NoSite> for Failure {
    fn from(error: NoSite) -> Self {
        Self::Configuration(error.to_string())
    }
}

impl From<NotBecome> for Failure {
    fn from(error: NotBecome) -> Self {
        Self::Temporary(format!("{error}. Run this as that user"))
    }
}

impl From<NoPlace> for Failure {
    fn from(error: NoPlace) -> Self {
        Self::Usage(error.to_string())
    }
}
