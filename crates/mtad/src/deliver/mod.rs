//! Carrying messages to lmtp-deliverd and to the next hop.
//!
//! A [`Lane`] is one destination: a few connections that each carry message after message (to
//! lmtp-deliverd several at once), and the jobs that wait for one. A [`Job`] is one transaction.

mod carrier;
mod lane;

use std::sync::Arc;

use mail_common::log::Id;
use mail_proto::smtp::Envelope;
use mail_proto::smtp::client::Report;
use mail_spool::Message;
use tokio::sync::oneshot;

pub(crate) use self::lane::{Lane, Target, Traffic};
use crate::queue::Damage;

/// One transaction to be carried out.
#[derive(Debug)]
pub(crate) struct Job {
    /// The message.
    pub(crate) id: Id,
    /// All of it, if it is in memory.
    pub(crate) message: Option<Arc<Message>>,
    /// What is said of it.
    pub(crate) envelope: Envelope,
    /// Who waits for what becomes of it.
    pub(crate) done: oneshot::Sender<Done>,
    /// Whether it was already begun on a connection that turned out to be dead.
    pub(crate) again: bool,
}

/// What became of a transaction.
#[derive(Debug)]
pub(crate) enum Done {
    /// The peer was asked.
    Reported {
        /// Who the peer is, as `relay=` shows it.
        relay: String,
        /// What became of each recipient.
        report: Report,
    },
    /// There was nobody to talk to.
    Unreachable(String),
    /// The message is not what was written.
    Damaged(Damage),
    /// We stop; it was not begun.
    Stopping,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
