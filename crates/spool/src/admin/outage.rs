//! A destination that is dead: what waits for it is not tried, however long it is due.

use std::sync::Arc;

use mail_proto::address::Address;
use serde::{Deserialize, Serialize};

/// A destination that is dead. Nothing is tried there but a probe now and then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    /// Its name.
    pub destination: String,
    /// What was wrong when it was tried last.
    pub why: String,
    /// When it is probed, in seconds since 1970; it may have begun.
    pub probe: u64,
}

/// What the scheduler knows to be wrong where the mail for an address goes.
pub type OutageOf = Arc<dyn Fn(&Address) -> Option<Outage> + Send + Sync>;
