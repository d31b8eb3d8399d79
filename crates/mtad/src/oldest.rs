//! Which of our messages is the oldest: whoever delivers may forget what became of those before it.
//!
//! What is told must not be newer than a message that is delivered afterwards, or what is known of
//! that is forgotten, and its repeat comes twice. The queue is looked through now and then; a
//! message has its id, and with it its age, from the moment it begins to come, which may be long
//! before it is in the queue and seen there. So those that come count as well, and whatever came
//! since a look began counts until the next one.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use mail_common::lock;
use mail_common::log::Id;

/// The oldest message, as far as is known.
#[derive(Debug, Default)]
pub(crate) struct Oldest(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// What is told; `None`: nothing.
    told: Option<Id>,
    /// Those that come and are not in the queue yet.
    coming: BTreeSet<Id>,
    /// The oldest that came since the last look began.
    since: Option<Id>,
    /// Whether that has not ended.
    is_looking: bool,
}

/// A message that comes, until this is dropped.
#[derive(Debug)]
pub(crate) struct Coming {
    known: Arc<Mutex<Known>>,
    id: Id,
}

impl Oldest {
    /// What may be told.
    pub(crate) fn told(&self) -> Option<Id> {
        lock(&self.0).told
    }

    /// This one begins to come.
    pub(crate) fn comes(&self, id: Id) -> Coming {
        let mut known = lock(&self.0);
        known.coming.insert(id);
        known.is_here(id);
        drop(known);
        Coming { known: Arc::clone(&self.0), id }
    }

    /// This one is in the queue, however it came there.
    pub(crate) fn is_here(&self, id: Id) {
        lock(&self.0).is_here(id);
    }

    /// The queue is looked through from now on; `false`: it is still being done.
    #[must_use]
    pub(crate) fn begin_look(&self) -> bool {
        let mut known = lock(&self.0);
        if known.is_looking {
            return false;
        }
        known.is_looking = true;
        known.since = known.coming.first().copied();
        true
    }

    /// What the look found; `None`: nothing, or it could not look.
    pub(crate) fn end_look(&self, found: Option<Id>) {
        let mut known = lock(&self.0);
        known.is_looking = false;
        known.told = found.map(|found| known.since.map_or(found, |since| since.min(found)));
    }
}

impl Known {
    fn is_here(&mut self, id: Id) {
        self.told = self.told.map(|told| told.min(id));
        self.since = Some(self.since.map_or(id, |since| since.min(id)));
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        lock(&self.known).coming.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_during_a_look_counts() {
        let mut ids = [(); 3].map(|()| Id::new());
        // Those of one moment are in no order.
        ids.sort_unstable();
        let [a, b, c] = ids;
        let oldest = Oldest::default();
        let long = oldest.comes(a);
        assert!(oldest.begin_look() && !oldest.begin_look());
        oldest.end_look(Some(b));
        assert_eq!(oldest.told(), Some(a), "it will be delivered under an id before what is there");
        assert!(oldest.begin_look());
        drop(long);
        oldest.end_look(Some(b));
        assert_eq!(oldest.told(), Some(a), "the look may have missed it");
        assert!(oldest.begin_look());
        oldest.end_look(Some(c));
        assert_eq!(oldest.told(), Some(c));
        oldest.is_here(b);
        assert_eq!(oldest.told(), Some(b), "it was imported");
        assert!(oldest.begin_look());
        oldest.end_look(None);
        assert_eq!(oldest.told(), None);
        drop(oldest.comes(a));
        assert_eq!(oldest.told(), None, "before a look nothing is known");
    }
}
