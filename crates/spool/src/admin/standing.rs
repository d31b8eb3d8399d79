//! How a message stands, in an admin's words.

use serde::{Deserialize, Serialize};

use crate::row;

/// How a message stands. The words are promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Nobody has tried it.
    New,
    /// It was tried, or it goes back to its sender.
    Deferred,
    /// It is not tried until somebody releases it.
    Held,
}

impl From<row::Standing> for Standing {
    fn from(standing: row::Standing) -> Self {
        match standing {
            row::Standing::New => Self::New,
            row::Standing::Deferred | row::Standing::GivenUp => Self::Deferred,
            row::Standing::Held => Self::Held,
        }
    }
}
