//! What postmaster hears of.

use serde::{Deserialize, Serialize};

/// Of what postmaster gets a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PostmasterCopy {
    /// Mail that failed, and whose sender can be told.
    Bounce,
    /// Mail that still waits after `mtad.delay_warning`, and whose sender can be told.
    Delay,
    /// Mail that failed and has no sender to be told, such as a notification.
    DoubleBounce,
}
