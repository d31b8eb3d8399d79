//! The mail transport.
pub mod queue;
