//! Delivery status notifications (RFC 3464) in a `multipart/report` (RFC 6522).

use crate::address::{Address, Domain};

/// What a bounce says. Times are RFC 5322 date-times: the caller has the clock.
#[derive(Debug)]
pub struct Bounce<'a> {
    /// The id under which this notification itself is queued.
    pub id: &'a str,
    /// Who reports.
    pub reporting_mta: &'a Domain,
    /// Now.
    pub date: &'a str,
    /// When the message arrived here.
    pub arrival_date: &'a str,
    /// The message's queue id.
    pub original_id: &'a str,
    /// Who gets this notification: the message's sender.
    pub to: &'a Address,
    /// The recipients that failed.
    pub failures: &'a [FailedRecipient],
    /// The message's header, wire bytes up to and without the empty line; cut to a limit.
    pub header: &'a [u8],
}

/// One recipient that failed.
#[derive(Debug, Clone)]
pub struct FailedRecipient {
    /// The recipient.
    pub recipient: Address,
    /// Such as `5.1.1`.
    pub status: String,
    /// The peer that said no, if one did.
    pub remote_mta: Option<String>,
    /// What it said, or why we gave up: one line.
    pub diagnostic: String,
}

/// Writes the notification: a whole message in wire form, 7-bit but for what the original header
/// holds, which then is declared 8-bit.
#[must_use]
pub fn bounce(bounce: &Bounce<'_>) -> Vec<u8> {
    todo!("{bounce:?}")
}
