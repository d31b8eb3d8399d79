//! Who works on which message: attempts at delivery, or an admin; never both.
//!
//! Both read a message's progress, and write another one. Were they to do so at the same time, the
//! admin's could be written last and forget that somebody has got the message: it would be sent
//! twice. So each takes the message first, and an admin who finds it taken is told that it is
//! being delivered. Attempts at several destinations may have one message together: they know of
//! each other.
//!
//! What was changed is told before the message is given back. So an attempt that takes a message,
//! and *then* looks what was told, never works on what it knew before the change.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use mail_common::lock;
use mail_common::log::Id;

/// The messages that somebody works on.
#[derive(Debug, Clone, Default)]
pub struct UnderWay {
    taken: Arc<Mutex<HashMap<Id, By>>>,
}

/// A message that is ours until this is dropped.
#[derive(Debug)]
pub struct Claim {
    under_way: UnderWay,
    id: Id,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Admin,
    /// So many.
    Attempts(u32),
}

impl UnderWay {
    /// Takes a message to deliver it; `None`: an admin has it, and will say what was changed. To be
    /// kept until what came of it is durable: who has it next reads the progress from the disk.
    #[must_use]
    pub fn deliver(&self, id: Id) -> Option<Claim> {
        let mut taken = self.lock();
        match taken.entry(id).or_insert(By::Attempts(0)) {
            By::Admin => return None,
            By::Attempts(count) => *count += 1,
        }
        Some(Claim { under_way: self.clone(), id })
    }

    /// Takes a message to change it; `None`: somebody else has it.
    #[must_use]
    pub fn change(&self, id: Id) -> Option<Claim> {
        let mut taken = self.lock();
        if taken.contains_key(&id) {
            return None;
        }
        taken.insert(id, By::Admin);
        Some(Claim { under_way: self.clone(), id })
    }

    /// Whether somebody has taken it to deliver it, and has not given it back.
    pub fn is_being_delivered(&self, id: Id) -> bool {
        matches!(self.lock().get(&id), Some(By::Attempts(_)))
    }

    fn give_back(&self, id: Id) {
        let mut taken = self.lock();
        match taken.get_mut(&id) {
            Some(By::Attempts(count)) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(&id)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, By>> {
        lock(&self.taken)
    }
}

impl Claim {
    /// Which message.
    pub fn id(&self) -> Id {
        self.id
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.under_way.give_back(self.id);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_admin_and_attempts_are_kept_apart() {
        let under_way = UnderWay::default();
        let (a, b) = (Id::parse("a").unwrap(), Id::parse("b").unwrap());
        let admin = under_way.clone().change(a).unwrap();
        assert!(under_way.change(a).is_none() && under_way.deliver(a).is_none());
        assert!(under_way.change(b).is_some());
        drop(admin);

        let attempts = [under_way.deliver(a).unwrap(), under_way.deliver(a).unwrap()];
        for attempt in attempts {
            assert!(under_way.change(a).is_none());
            drop(attempt);
        }
        assert!(under_way.change(a).is_some());
        assert!(under_way.lock().is_empty());
    }
}
