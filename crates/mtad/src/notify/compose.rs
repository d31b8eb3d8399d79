//! How what was planned is written.

use mail_common::charset::Encodings;
use mail_common::config::Mtad;
use mail_common::time;
use mail_proto::address::{Domain, ReversePath};
use mail_proto::dsn::{self, Action, Notification, Returned};
use mail_proto::smtp::Return;

use super::{Audience, Planned};

/// The message that a notification is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Original<'a> {
    /// Its queue id.
    pub(crate) id: &'a str,
    /// When it was taken, in microseconds since 1970.
    pub(crate) arrived: u64,
    /// Its sender.
    pub(crate) sender: &'a ReversePath,
    /// RET (RFC 3461, 4.3).
    pub(crate) ret: Option<Return>,
    /// ENVID (RFC 3461, 4.4), decoded.
    pub(crate) envid: Option<&'a str>,
    /// Its octets.
    pub(crate) size: u64,
}

impl Planned {
    /// Whether all of the message goes back: where a sender asked for it, of a failure alone
    /// (RFC 3461, 4.3), and if it is not large. Else its header does.
    #[must_use]
    pub(crate) fn returns_whole(&self, original: &Original<'_>, settings: &Mtad) -> bool {
        let asked = original.ret == Some(Return::Full);
        asked && self.bounces() && original.size <= settings.bounce_size
    }

    /// The whole notification, in wire form. `id` is the one under which it is queued, `now` in
    /// microseconds since 1970.
    #[must_use]
    pub(crate) fn compose(
        &self,
        id: &str,
        now: u64,
        original: &Original<'_>,
        returned: Returned<'_>,
        (hostname, settings): (&Domain, &Mtad),
    ) -> Vec<u8> {
        let lifetime = i64::try_from(settings.lifetime.duration().as_secs()).unwrap_or(i64::MAX);
        let arrived = time::seconds(original.arrived);
        let (date, arrival_date) = (time::rfc5322(time::seconds(now)), time::rfc5322(arrived));
        let until = time::rfc5322(arrived.saturating_add(lifetime));
        let audience = match self.audience {
            Audience::Sender => dsn::Audience::Sender,
            Audience::Postmaster => dsn::Audience::Postmaster(original.sender),
        };
        let notification = Notification {
            action: self.action,
            id,
            reporting_mta: hostname,
            date: &date,
            to: &self.to,
            audience,
            original: dsn::Original {
                id: original.id,
                arrival_date: &arrival_date,
                envid: original.envid,
                returned,
            },
            recipients: &self.recipients,
            last_attempt: Some(&date),
            retry_until: (self.action == Action::Delayed).then_some(until.as_str()),
        };
        notification.write(&Encodings)
    }
}
