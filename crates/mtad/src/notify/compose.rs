//! How what was planned is written.

use mail_common::charset::Encodings;
use mail_common::config::{Mtad, Site};
use mail_common::time;
use mail_proto::dsn::{self, Action, Notification, Returned};
use mail_proto::smtp::Return;

use super::{Audience, Planned};
use crate::queue::Entry;

impl Planned {
    /// Whether all of the message goes back: where a sender asked for it, of a failure alone
    /// (RFC 3461, 4.3), and if it is not large. Else its header does.
    pub(crate) fn returns_whole(&self, about: &Entry, settings: &Mtad) -> bool {
        let asked = about.letter.ret == Some(Return::Full);
        asked && self.bounces() && about.size <= settings.bounce_size
    }

    /// The whole notification about a message, in wire form. `id` is the one under which it is
    /// queued, `now` in microseconds since 1970.
    pub(crate) fn compose(
        &self,
        id: &str,
        now: u64,
        about: &Entry,
        returned: Returned<'_>,
        site: &Site,
    ) -> Vec<u8> {
        let (letter, lifetime) = (&about.letter, site.mtad.lifetime.duration().as_secs());
        let arrived = time::seconds(letter.arrived);
        let (date, arrival_date) = (time::rfc5322(time::seconds(now)), time::rfc5322(arrived));
        let until = arrived.saturating_add(i64::try_from(lifetime).unwrap_or(i64::MAX));
        let retry_until = (self.action == Action::Delayed).then(|| time::rfc5322(until));
        let notification = Notification {
            action: self.action,
            id,
            reporting_mta: &site.hostname,
            date: &date,
            to: &self.to,
            audience: match self.audience {
                Audience::Sender => dsn::Audience::Sender,
                Audience::Postmaster => dsn::Audience::Postmaster(&letter.sender),
            },
            original: dsn::Original {
                id: about.id.as_str(),
                arrival_date: &arrival_date,
                envid: letter.envid.as_deref(),
                returned,
            },
            recipients: &self.recipients,
            last_attempt: Some(&date),
            retry_until: retry_until.as_deref(),
        };
        notification.write(&Encodings)
    }
}
