//! One file for all recipients of a message: whoever comes first writes it and makes it last, and
//! it is linked into the mailboxes of the others. They wait for that, which takes less than to
//! write it themselves. Who cannot write it, because of his own mailbox or for want of room, says so
//! for himself, and the next one tries. Who cannot have a link writes a file of his own.

use std::sync::{Arc, Mutex, PoisonError};

use mail_common::maildir::{Original, StoreError, Whole};
use tracing::debug;

/// The file of a message, once somebody has written it. It is kept open until all of its
/// recipients have it: who reads it may have removed its name by then.
#[derive(Debug)]
pub(crate) struct OneFile {
    written: Mutex<Option<Arc<Original>>>,
    /// Counts those that there are.
    _one_of: Arc<()>,
}

/// So many are there at a time, with one descriptor each. The recipients of more messages have a
/// file each.
const KEPT: usize = 1024;

impl OneFile {
    /// For a message of several recipients; `None`: there are too many. `all` counts them.
    pub(crate) fn new(all: &Arc<()>) -> Option<Self> {
        let one_more = || Self { written: Mutex::default(), _one_of: Arc::clone(all) };
        (Arc::strong_count(all) <= KEPT).then(one_more)
    }

    /// The message for one of the recipients: linked, if it is written already.
    pub(crate) fn take<E>(
        &self,
        link: impl FnOnce(&Original) -> Result<Whole, StoreError>,
        write: impl FnOnce() -> Result<Whole, E>,
    ) -> Result<Whole, E> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(original) = written.clone() else {
            let whole = write()?;
            *written = whole.original().map(Arc::new);
            return Ok(whole);
        };
        drop(written);
        link(&original).or_else(|error| {
            debug!(%error, "a mailbox gets a file of its own");
            write()
        })
    }
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_only_so_many() {
        let all = Arc::default();
        let mut kept: Vec<_> = (0..KEPT).map(|_| OneFile::new(&all).unwrap()).collect();
        assert!(OneFile::new(&all).is_none());
        kept.pop();
        assert!(OneFile::new(&all).is_some());
    }
}
