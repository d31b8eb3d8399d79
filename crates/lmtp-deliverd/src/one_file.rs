//! One file for all recipients of a message: whoever comes first writes it and makes it last, and
//! it is linked into the mailboxes of the others. They wait for that, which takes less than to
//! write it themselves. Who cannot write it, because of his own mailbox or for want of room, says so
//! for himself, and the next one tries. Who cannot have a link writes a file of his own; so does
//! who has waited for a moment, because the first one's disk may hang.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mail_common::maildir::{Original, StoreError, Whole};
use tracing::debug;

use crate::disks::{Disk, OnDisk};

/// The file of a message, once somebody has written it. It is kept open until all of its
/// recipients have it: who reads it may have removed its name by then.
#[derive(Debug)]
pub(crate) struct OneFile {
    stage: Mutex<Stage>,
    /// The stage is another one.
    changed: Condvar,
    /// Counts those that there are.
    _one_of: Arc<()>,
}

/// How far it is.
#[derive(Debug, Default)]
enum Stage {
    /// Nobody has written it.
    #[default]
    Unwritten,
    /// Somebody is writing it.
    UnderWay,
    /// It lasts.
    Written(Arc<OnDisk<Original>>),
}

/// Somebody who writes. Dropped without a [`finish`](Self::finish), he has failed.
struct Writer<'file> {
    file: &'file OneFile,
    disk: &'file Arc<Disk>,
}

/// So many are there at a time, with one descriptor each. The recipients of more messages have a
/// file each.
const KEPT: usize = 1024;

/// So long one waits for who writes.
const MOMENT: Duration = Duration::from_secs(1);

impl OneFile {
    /// For a message of several recipients; `None`: there are too many. `all` counts them.
    pub(crate) fn new(all: &Arc<()>) -> Option<Self> {
        let (stage, changed) = (Mutex::default(), Condvar::new());
        let one_more = || Self { stage, changed, _one_of: Arc::clone(all) };
        (Arc::strong_count(all) <= KEPT).then(one_more)
    }

    /// The message for one of the recipients, whose mailbox is on this disk: linked, if it is
    /// written already.
    pub(crate) fn take<E>(
        &self,
        disk: &Arc<Disk>,
        link: impl FnOnce(&Original) -> Result<Whole, StoreError>,
        write: impl FnOnce() -> Result<Whole, E>,
    ) -> Result<Whole, E> {
        let under_way = |stage: &mut Stage| matches!(stage, Stage::UnderWay);
        let waited = self.changed.wait_timeout_while(self.stage(), MOMENT, under_way);
        let (mut stage, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match &*stage {
            Stage::Unwritten => {
                *stage = Stage::UnderWay;
                drop(stage);
                let writer = Writer { file: self, disk };
                let whole = write()?;
                writer.finish(&whole);
                Ok(whole)
            }
            Stage::UnderWay => {
                drop(stage);
                debug!("a mailbox gets a file of its own: who writes takes too long");
                write()
            }
            Stage::Written(original) => {
                let original = Arc::clone(original);
                drop(stage);
                link(&original).or_else(|error| {
                    debug!(%error, "a mailbox gets a file of its own");
                    write()
                })
            }
        }
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer<'_> {
    fn finish(self, whole: &Whole) {
        if let Some(original) = whole.original() {
            let original = OnDisk::new(original, self.disk);
            *self.file.stage() = Stage::Written(Arc::new(original));
        }
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        let mut stage = self.file.stage();
        if matches!(*stage, Stage::UnderWay) {
            *stage = Stage::Unwritten;
        }
        drop(stage);
        self.file.changed.notify_all();
    }
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use mail_common::pool::Pool;

    use super::*;
    use crate::disks::Disks;

    #[test]
    fn nobody_waits_for_long() {
        let file = OneFile::new(&Arc::default()).unwrap();
        let pool = Pool::new("test", NonZeroUsize::MIN);
        let disk = &Disks::new(NonZeroUsize::MIN, pool).spool;
        let refused = || Err::<Whole, _>("full");
        let no_link = |_: &Original| panic!("there is nothing to link");
        let first = file.take(disk, no_link, || {
            // While it is being written, the next one does not wait for ever; nor is he in the way.
            assert_eq!(file.take(disk, no_link, refused).unwrap_err(), "full");
            assert!(matches!(*file.stage(), Stage::UnderWay));
            Err::<Whole, _>("broken")
        });
        assert_eq!(first.unwrap_err(), "broken");
        assert!(matches!(*file.stage(), Stage::Unwritten), "the next one writes it");
    }

    #[test]
    fn there_are_only_so_many() {
        let all = Arc::default();
        let mut kept: Vec<_> = (0..KEPT).map(|_| OneFile::new(&all).unwrap()).collect();
        assert!(OneFile::new(&all).is_none());
        kept.pop();
        assert!(OneFile::new(&all).is_some());
    }
}
