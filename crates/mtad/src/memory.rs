//! The messages that are in memory: those that an attempt is about, and some that have just come
//! and need not be read from the disk again. All others are rows of the spool.

use std::collections::HashMap;
use std::sync::Arc;

use mail_common::log::Id;
use mail_common::pool::Pool;
use mail_spool::admin::UnderWay;
use tokio::sync::{Mutex, OnceCell};

use crate::queue::{Claim, Entry, Queue, QueueError};

/// A message as it is recorded, for the attempts that are about it.
pub(crate) type Message = Mutex<Entry>;

/// Messages that have just come and are kept, at most.
const FRESH: usize = 4000;

/// Octets of their bodies, at most: of the others the envelope is kept.
const BODIES: u64 = 64 << 20;

/// What is in memory.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    kept: HashMap<Id, Kept>,
    /// Octets of bodies.
    octets: u64,
}

/// A message that attempts share; read from the disk when the first needs it.
#[derive(Debug, Default)]
pub(crate) struct Shared(OnceCell<Arc<Message>>);

#[derive(Debug, Default)]
struct Kept {
    message: Arc<Shared>,
    octets: u64,
    /// One for each attempt that is about it: no admin changes it meanwhile.
    claims: Vec<Claim>,
}

impl Memory {
    /// Keeps a message that has just come, if there is room.
    pub(crate) fn keep(&mut self, mut entry: Entry) {
        if self.kept.len() >= FRESH || self.kept.contains_key(&entry.id) {
            return;
        }
        let mut octets = entry.message.as_ref().map_or(0, |_| entry.size);
        if self.octets + octets > BODIES {
            (entry.message, octets) = (None, 0);
        }
        self.octets += octets;
        let id = entry.id;
        let message = Arc::new(Shared(OnceCell::new_with(Some(Arc::new(Message::new(entry))))));
        self.kept.insert(id, Kept { message, octets, claims: Vec::new() });
    }

    /// Takes a message for one more attempt; `None`: an admin works on it.
    pub(crate) fn take(&mut self, id: Id, under_way: &UnderWay) -> Option<Arc<Shared>> {
        let claim = under_way.deliver(id)?;
        let kept = self.kept.entry(id).or_default();
        kept.claims.push(claim);
        Some(Arc::clone(&kept.message))
    }

    /// A message that attempts are about.
    pub(crate) fn shared(&self, id: Id) -> Option<Arc<Shared>> {
        self.kept.get(&id).map(|kept| Arc::clone(&kept.message))
    }

    /// An attempt is over. With the last of them the message is forgotten.
    pub(crate) fn give_back(&mut self, id: Id) {
        let Some(kept) = self.kept.get_mut(&id) else { return };
        kept.claims.pop();
        if kept.claims.is_empty() {
            self.forget(id);
        }
    }

    /// What is known of a message is old. One that attempts are about stays.
    pub(crate) fn forget_untaken(&mut self, id: Id) {
        if self.kept.get(&id).is_some_and(|kept| kept.claims.is_empty()) {
            self.forget(id);
        }
    }

    fn forget(&mut self, id: Id) {
        if let Some(kept) = self.kept.remove(&id) {
            self.octets -= kept.octets;
        }
    }
}

impl Shared {
    /// The message; `None`: it is not in the queue any more.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) async fn message(
        &self,
        queue: &Queue,
        disk: &Pool,
        id: Id,
    ) -> Result<Option<Arc<Message>>, QueueError> {
        if let Some(known) = self.0.get() {
            return Ok(Some(Arc::clone(known)));
        }
        let queue = queue.clone();
        let read = disk.run(move || queue.entry(id)).await;
        let Some(entry) = read.unwrap_or(Err(QueueError::Stopped))? else { return Ok(None) };
        let message = self.0.get_or_init(async || Arc::new(Message::new(entry))).await;
        Ok(Some(Arc::clone(message)))
    }

    /// The message, if anybody has read it.
    pub(crate) fn known(&self) -> Option<Arc<Message>> {
        self.0.get().cloned()
    }
}
