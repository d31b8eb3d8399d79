//! Who works on which message: an attempt at delivery, or an admin; never both.
//!
//! Both read a message's progress, and write another one. Were they to do so at the same time, the
//! admin's could be written last and forget that somebody has got the message: it would be sent
//! twice. So each takes the message first, and an admin who finds it taken is told that it is
//! being delivered.
//!
//! What was changed is told before the message is given back. So an attempt that takes a message,
//! and *then* looks what was told, never works on what it knew before the change.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mail_common::log::Id;

/// The messages that somebody works on.
#[derive(Debug, Clone, Default)]
pub struct UnderWay {
    taken: Arc<Mutex<HashSet<Id>>>,
}

/// A message that is ours until this is dropped.
#[derive(Debug)]
pub struct Turn {
    under_way: UnderWay,
    id: Id,
}

impl UnderWay {
    /// Takes a message; `None`: somebody else has it.
    #[must_use]
    pub fn take(&self, id: Id) -> Option<Turn> {
        self.lock().insert(id).then(|| Turn { under_way: self.clone(), id })
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<Id>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.under_way.lock().remove(&self.id);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let under_way = UnderWay::default();
        let (a, b) = (Id::parse("a").unwrap(), Id::parse("b").unwrap());
        let turn = under_way.clone().take(a).unwrap();
        assert!(under_way.take(a).is_none());
        assert!(under_way.take(b).is_some());
        drop(turn);
        assert!(under_way.take(a).is_some());
    }
}
