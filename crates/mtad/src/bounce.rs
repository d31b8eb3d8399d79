//! Tells a sender that its message did not reach somebody.

use mail_common::log::Id;
use mail_common::time;
use mail_proto::address::{Address, Domain, ReversePath};
use mail_proto::dsn::{self, Bounce, FailedRecipient};

use crate::queue::{Entry, Letter, Queue, QueueError};

/// Octets of the original header that go back.
const HEADER: usize = 64 << 10;

/// Queues one notification of all these failures, durably. Plain blocking code.
///
/// # Errors
/// It could not be queued, or the original could not be read: nobody was told, so nothing may be
/// given up yet.
pub(crate) fn send(
    queue: &Queue,
    hostname: &Domain,
    entry: &Entry,
    to: &Address,
    failures: &[FailedRecipient],
) -> Result<Entry, QueueError> {
    let header = queue
        .body(&entry.id)?
        .header(HEADER)
        .map_err(|damage| QueueError::Damaged { id: entry.id, damage })?;
    let (id, arrived) = (Id::new(), time::now_micros());
    let text = dsn::bounce(&Bounce {
        id: id.as_str(),
        reporting_mta: hostname,
        date: &time::rfc5322(time::seconds(arrived)),
        arrival_date: &time::rfc5322(time::seconds(entry.letter.arrived)),
        original_id: entry.id.as_str(),
        to,
        failures,
        header: &header,
    });
    // RFC 5321, 4.5.5: a notification has nobody to bounce to.
    let mut incoming = queue.begin(Letter {
        id,
        arrived,
        sender: ReversePath(None),
        recipients: vec![to.clone()],
        eight_bit: !text.is_ascii(),
    })?;
    incoming.write(&text)?;
    incoming.commit()
}
