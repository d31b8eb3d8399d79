//! How a notification comes into the queue: as a message of its own.

use mail_common::config::Site;
use mail_common::log::Id;
use mail_common::time;
use mail_proto::address::ReversePath;
use mail_proto::dsn::Returned;
use mail_proto::smtp::{Notify, Recipient};

use super::Planned;
use crate::queue::{Entry, Letter, Queue, QueueError};

/// Octets of the original header that go back.
const HEADER: usize = 64 << 10;

/// Queues a notification about a message, durably. Plain blocking code.
///
/// # Errors
/// It could not be queued, or the message could not be read: nobody was told.
pub(crate) fn send(
    queue: &Queue,
    site: &Site,
    entry: &Entry,
    planned: &Planned,
) -> Result<Entry, QueueError> {
    let whole = planned.returns_whole(entry, &site.mtad);
    let octets = read(queue, entry, whole)?;
    let returned = if whole { Returned::Whole(&octets) } else { Returned::Header(&octets) };
    let (id, now) = (Id::new(), time::now_micros());
    let text = planned.compose(id.as_str(), now, entry, returned, site);
    // RFC 5321, 4.5.5: a notification has nobody to be told of it.
    let silence = Notify { success: false, failure: false, delay: false };
    let to = Recipient { notify: Some(silence), ..Recipient::new(planned.to.clone()) };
    let letter = Letter::new(id, now, ReversePath(None), vec![to]);
    let mut incoming = queue.begin(Letter { eight_bit: !text.is_ascii(), ..letter });
    incoming.write(text)?;
    queue.commit_now(incoming.finish()?)
}

/// All of the message, which is not large, or its header.
fn read(queue: &Queue, entry: &Entry, whole: bool) -> Result<Vec<u8>, QueueError> {
    let body = queue.body(entry.id)?;
    let read = if whole { body.whole() } else { body.header(HEADER) };
    read.map_err(|damage| QueueError::Damaged { id: entry.id, damage })
}
