//! Who wants to know of what.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use tokio::sync::watch;

/// How to reach one who waits: each notice of an event wakes them, and those of whole changes are
/// counted.
pub(super) type Notices = Arc<watch::Sender<u64>>;

/// A way to reach one who waits.
pub(super) fn notices() -> Notices {
    Arc::new(watch::Sender::new(0))
}

/// Who wants to know, by what.
#[derive(Debug)]
pub(super) struct Interests<Of>(HashMap<Of, Vec<Notices>>);

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    /// Something; more of it may be on its way.
    Event,
    /// A change, and all of it.
    Change,
}

impl<Of> Default for Interests<Of> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<Of: Eq + Hash> Interests<Of> {
    pub(super) fn add(&mut self, of: Of, notices: &Notices) {
        self.0.entry(of).or_default().push(Arc::clone(notices));
    }

    /// Whether nobody else wants to know of it.
    pub(super) fn remove(&mut self, of: &Of, notices: &Notices) -> bool {
        let Some(interested) = self.0.get_mut(of) else { return false };
        interested.retain(|other| !Arc::ptr_eq(other, notices));
        let is_last = interested.is_empty();
        if is_last {
            self.0.remove(of);
        }
        is_last
    }

    pub(super) fn tell(&self, of: &Of, notice: Notice) {
        self.0.get(of).into_iter().flatten().for_each(|notices| notice.give(notices));
    }

    pub(super) fn tell_all(&self, notice: Notice) {
        self.0.values().flatten().for_each(|notices| notice.give(notices));
    }
}

impl Notice {
    fn give(self, to: &Notices) {
        to.send_modify(|changes| *changes = changes.wrapping_add(u64::from(self == Self::Change)));
    }
}
