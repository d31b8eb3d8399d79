//! Which deliveries' messages a mailbox holds, for who does not know whether he repeats one.
//!
//! A process that has just started knows little of what those before it did, so each delivery of a
//! queue that piled up meanwhile may be a repeat. To look through its mailbox for each of them is
//! the length of the mailbox times that of the queue. So a mailbox is looked through once, and the
//! ids that its names hold are kept.
//!
//! # Why what was kept is as good as a new look
//!
//! - Who asks is the only one that delivers under ids: lmtp-deliverd holds the lock of its journal.
//!   What became of his own attempts he knows, and where he does not, he says how old the look may
//!   be ([`Doubt`]): not older than the end of an attempt that failed, nor than the moment at which
//!   he forgot what became of any. So whatever was delivered since the look is not asked for here.
//! - What its reader took away since the look is kept, and does not come again. A new look would
//!   not have found it; so what an earlier look found is kept when there is a new one. For what was
//!   in the mailbox was delivered, whatever happened since.
//! - It is about two directories and not about a path. A mailbox that was moved away, removed,
//!   restored or unmounted is other directories than those that are found under its path
//!   afterwards, and these are looked through for themselves. A directory that was removed may
//!   leave its number to the next one; but not the moment at which it was made. Where a file system
//!   does not tell that, nothing is kept.
//! - What was found was made to last before anybody is told of it, once for all.
//!
//! What it does not see is a message that somebody puts back by hand, under its old name, into a
//! mailbox that was looked through. It was in the mailbox before, so the journal knows its delivery;
//! else a second copy comes.
//!
//! Only ids are kept that may still be asked for: not those of messages before the oldest one in
//! mtad's queue. What is kept has a limit in all and for each mailbox. Beyond it, what was asked
//! for the longest time ago goes; and a mailbox with too many is looked through each time.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::Identity;

use super::looks::Looks;
use super::mailbox::Open;
use super::places::Places;
use super::scan::{Folders, Listed, Place};
use super::store::Store;
use super::{DeliveryId, StoreError, name};

/// How new a look must be that tells of a delivery. Moments are the asker's own: numbers that rise
/// whenever something happens that makes a look too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doubt {
    /// A look from this moment on tells.
    pub since: u64,
    /// The moment now.
    pub now: u64,
    /// Nobody asks for a message that was queued before, in microseconds since 1970.
    pub oldest: u64,
}

/// Mailboxes that were looked through.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    shelf: Mutex<Shelf>,
    #[cfg(test)]
    pub(super) looks: std::sync::atomic::AtomicUsize,
}

#[derive(Debug, Default)]
struct Shelf {
    kept: HashMap<Places, Kept>,
    /// How often was asked.
    asked: u64,
}

#[derive(Debug)]
struct Kept {
    /// Locked by who looks: others wait for what he finds.
    found: Arc<Mutex<Option<Found>>>,
    weight: usize,
    /// When it was last asked for.
    asked: u64,
}

/// What a look found.
#[derive(Debug)]
struct Found {
    /// `new` and `cur`.
    of: [Identity; 2],
    moment: u64,
    /// Of messages from here on.
    oldest: u64,
    /// In order; `None`: too many to be kept.
    ids: Option<Box<[DeliveryId]>>,
}

/// So many ids of all mailboxes are kept, with 32 octets each.
const KEPT: usize = 1 << 18;

/// And of one mailbox.
const KEPT_OF_ONE: usize = if cfg!(test) { 64 } else { 1 << 16 };

/// A mailbox takes the room of so many ids itself.
const MAILBOX: usize = 16;

impl Deliveries {
    /// As [`Store::holds_delivery`], for a mailbox whose `new` is in place.
    pub(super) fn hold(
        &self,
        id: &DeliveryId,
        doubt: Doubt,
        store: &Store,
        open: &Open,
    ) -> Result<bool, StoreError> {
        let of = [open.folders.new.identity()?, open.folders.cur.identity()?];
        let is_sure = of.iter().all(Identity::is_sure);
        if !is_sure || !open.is_at(store.mailbox.path(), Place::Cur) {
            return store.holds_delivery(id);
        }
        let places = store.mailbox.places();
        let kept = self.kept(places);
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let before = kept.as_ref().filter(|found| found.of == of);
        if let Some(found) = before.filter(|found| found.tells(id, doubt)) {
            return found.holds(id).map_or_else(|| store.holds_delivery(id), Ok);
        }
        #[cfg(test)]
        self.looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let oldest = doubt.oldest.min(id.micros());
        let before = before.and_then(|found| found.ids.as_deref()).unwrap_or_default();
        let ids = look(&open.folders, oldest, before)?;
        let found = kept.insert(Found { of, moment: doubt.now, oldest, ids });
        self.weigh(places, found.ids.as_ref().map_or(0, |ids| ids.len()));
        found.holds(id).map_or_else(|| store.holds_delivery(id), Ok)
    }

    fn kept(&self, places: &Places) -> Arc<Mutex<Option<Found>>> {
        let mut shelf = self.shelf();
        shelf.asked += 1;
        let asked = shelf.asked;
        if let Some(kept) = shelf.kept.get_mut(places) {
            kept.asked = asked;
            return Arc::clone(&kept.found);
        }
        let kept = Kept { found: Arc::default(), weight: MAILBOX, asked };
        let found = Arc::clone(&kept.found);
        shelf.kept.insert(places.clone(), kept);
        found
    }

    /// So many ids are kept of a mailbox now. Others make room.
    fn weigh(&self, places: &Places, ids: usize) {
        let mut shelf = self.shelf();
        if let Some(kept) = shelf.kept.get_mut(places) {
            kept.weight = MAILBOX + ids;
        }
        shelf.make_room();
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Whether a delivery was made and its message is still here; if so, it survives a power cut.
    /// The whole mailbox is looked through: to be asked only where a repeat is possible.
    pub(super) fn holds_delivery(&self, id: &DeliveryId) -> Result<bool, StoreError> {
        let folders = self.mailbox.folders()?;
        let beginning = name::delivery_stem(id);
        let mut found = false;
        folders.looked_through(Looks::at(&folders)?, || {
            folders.each(Listed::Both, |_, name| found |= name.starts_with(&beginning))?;
            Ok(found)
        })?;
        if found {
            last(&folders)?;
        }
        Ok(found)
    }
}

impl Shelf {
    /// If too much is kept, a good part of it goes: to see which takes a while.
    fn make_room(&mut self) {
        let mut sum: usize = self.kept.values().map(|kept| kept.weight).sum();
        if sum <= KEPT {
            return;
        }
        let mut oldest: Vec<(u64, usize)> =
            self.kept.values().map(|kept| (kept.asked, kept.weight)).collect();
        oldest.sort_unstable();
        let over = oldest.iter().find(|(_, weight)| {
            sum -= weight;
            sum <= KEPT / 4 * 3
        });
        let until = over.map_or(0, |(asked, _)| *asked);
        self.kept.retain(|_, kept| kept.asked > until);
    }
}

impl Found {
    /// Whether it tells of a delivery. What was there was delivered, whatever happened since.
    fn tells(&self, id: &DeliveryId, doubt: Doubt) -> bool {
        let is_new = self.moment >= doubt.since && self.oldest <= id.micros();
        is_new || self.holds(id) == Some(true)
    }

    /// `None`: only a look tells.
    fn holds(&self, id: &DeliveryId) -> Option<bool> {
        self.ids.as_ref().map(|ids| ids.binary_search(id).is_ok())
    }
}

/// Looks through a mailbox: which deliveries of messages that were queued at `oldest` or later it
/// holds, or held `before`. They survive a power cut. `None`: too many.
fn look(
    folders: &Folders,
    oldest: u64,
    before: &[DeliveryId],
) -> Result<Option<Box<[DeliveryId]>>, StoreError> {
    let mut ids: BTreeSet<_> = before.iter().filter(|id| id.micros() >= oldest).copied().collect();
    folders.looked_through(Looks::at(folders)?, || {
        folders.each(Listed::Both, |_, name| {
            if ids.len() <= KEPT_OF_ONE
                && let Some(id) = name::delivery_since(name, oldest)
            {
                ids.insert(id);
            }
        })?;
        // How many there are, nobody knows.
        Ok(false)
    })?;
    if ids.len() > KEPT_OF_ONE {
        return Ok(None);
    }
    if !ids.is_empty() {
        last(folders)?;
    }
    Ok(Some(ids.into_iter().collect()))
}

/// Whoever put messages there, or moved them, may have died before making that last.
fn last(folders: &Folders) -> Result<(), StoreError> {
    folders.new.sync()?;
    Ok(folders.cur.sync()?)
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_was_asked_for_the_longest_time_ago_makes_room() {
        let deliveries = Deliveries::default();
        let places = |number: usize| Places::together(Path::new(&format!("/{number}")));
        let is_kept = |number| deliveries.shelf().kept.contains_key(&places(number));
        for number in 0..4 {
            deliveries.kept(&places(number));
            deliveries.weigh(&places(number), KEPT / 4 - MAILBOX);
        }
        assert!((0..4).all(is_kept), "so many there may be");
        deliveries.kept(&places(0));
        deliveries.kept(&places(4));
        deliveries.weigh(&places(4), 0);
        assert_eq!([0, 1, 2, 3, 4].map(is_kept), [true, false, false, true, true]);
        for number in 5..=KEPT / MAILBOX {
            deliveries.kept(&places(number));
        }
        deliveries.weigh(&places(KEPT / MAILBOX), 0);
        let kept = deliveries.shelf().kept.len();
        assert!((KEPT / MAILBOX / 2..KEPT / MAILBOX).contains(&kept), "{kept}");
        assert!(is_kept(KEPT / MAILBOX) && !is_kept(0) && !is_kept(5));
        // One that made room while it was looked through is not kept.
        deliveries.weigh(&places(1), 1);
        assert!(!is_kept(1));
    }
}
