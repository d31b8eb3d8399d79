//! INBOXes that mail comes into, kept open between deliveries.
//!
//! To open one is a dozen calls to the system, as many as the rest of a delivery. So those that
//! mail came into lately stay open. For each delivery one look at the path of `new` tells whether
//! the directory still is the one that is open: where a mailbox was moved away, restored or
//! unmounted, all is opened anew, and what is missing is an error or is made, as for a first
//! delivery. The same is done after a minute, for the sake of what only opening does.

use std::collections::HashMap;
use std::fs;
use std::ops::Deref;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::auth::User;
use crate::config::Mail;
use crate::disk::{self, Dir};

use super::append::Appending;
use super::cache::Writer;
use super::deliveries::{Deliveries, Doubt};
use super::directory::Directory;
use super::mailbox::Open;
use super::naming::INBOX;
use super::places::Places;
use super::scan::Place;
use super::store::{NewMessage, Store};
use super::tidings::Tidings;
use super::whole::{Delivery, Note, Original, Whole};
use super::{DeliveryId, StoreError, name};

/// INBOXes that are open, as whoever opens them wants them kept: to drop one closes its files, which
/// may wait for its disk. All of it blocks.
#[derive(Debug)]
pub struct Inboxes<Kept> {
    open: Mutex<Opened<Kept>>,
    pub(super) deliveries: Deliveries,
}

type Opened<Kept> = HashMap<Places, Arc<Kept>>;

/// A mailbox that is open for mail that comes in. As long as it is in place, directories and
/// what is known of it need not be read again.
#[derive(Debug)]
pub struct Inbox {
    store: Store,
    open: Arc<Open>,
    cache: Arc<Writer>,
    opened: Instant,
}

/// What became of a file that an earlier process wrote in `tmp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// It is there still.
    There,
    /// It went into the mailbox, or was removed by who cleans `tmp`.
    Gone,
    /// That was another directory, for the mailbox was moved away; or it was this one before its
    /// file system was mounted anew.
    Elsewhere,
}

/// For so long.
const LASTS: Duration = Duration::from_secs(60);
/// So many are kept open, with five descriptors each.
pub(super) const KEPT: usize = 128;

impl<Kept> Default for Inboxes<Kept> {
    fn default() -> Self {
        Self { open: Mutex::default(), deliveries: Deliveries::default() }
    }
}

impl<Kept: Deref<Target = Inbox>> Inboxes<Kept> {
    /// The INBOX of a user; made, if it is missing, as [`Directory::open`] does.
    pub fn inbox(
        &self,
        user: &User,
        mail: &Mail,
        keep_as: impl FnOnce(Inbox) -> Kept,
    ) -> Result<Arc<Kept>, StoreError> {
        let places = Directory::inbox_places(user, mail)?;
        let kept = self.open().get(&places).cloned();
        if let Some(inbox) = kept
            && inbox.is_usable()
        {
            return Ok(inbox);
        }
        let inbox = Inbox::open(|| Directory::open(user, mail)?.mailbox(INBOX))?;
        let inbox = Arc::new(keep_as(inbox));
        let fallen = keep(&mut self.open(), places, &inbox);
        // Without the lock: nobody else waits for what that takes.
        drop(fallen);
        Ok(inbox)
    }

    /// Whether a delivery was made into a mailbox that was just [found](Self::inbox), and its
    /// message is still there or was when the mailbox was last looked through; if so, it survives a
    /// power cut.
    pub fn holds_delivery(
        &self,
        inbox: &Inbox,
        id: &DeliveryId,
        doubt: Doubt,
    ) -> Result<bool, StoreError> {
        self.deliveries.hold(id, doubt, &inbox.store, &inbox.open)
    }

    fn open(&self) -> MutexGuard<'_, Opened<Kept>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbox {
    /// The device that the mail of a user is on, or will be; 0 where nobody tells.
    #[must_use]
    pub fn device(user: &User, mail: &Mail) -> u64 {
        let Ok(places) = Directory::inbox_places(user, mail) else { return 0 };
        let found = places.mail.ancestors().find_map(|path| fs::metadata(path).ok());
        found.map_or(0, |found| found.dev())
    }

    /// Opens a mailbox that is found so.
    pub fn open(find: impl FnOnce() -> Result<Store, StoreError>) -> Result<Self, StoreError> {
        // Before the directories: what is opened late is old the sooner.
        let opened = Instant::now();
        let store = find()?;
        let open = store.mailbox.open()?;
        let cache = Arc::new(Writer::of(&open.folders.index));
        Ok(Self { store, open, cache, opened })
    }

    /// Begins to add a message. Its file has this name in `tmp` until readers see it: no two at a
    /// time may have the same, and what has it was left by a dead process. `None`: it needs none.
    pub fn append(&self, name: Option<&str>, message: NewMessage) -> Result<Appending, StoreError> {
        let create = |tmp: &Dir| match name {
            Some(name) => tmp.create_in_sight(name),
            None => tmp.create_nameless(name::unique()),
        };
        let folders = self.open.folders.clone();
        match create(&folders.tmp) {
            // Somebody removed the directory.
            Err(error) if error.is_missing() => {
                Appending::begin(&self.store.mailbox, message, create)
            }
            file => {
                let cache = Arc::clone(&self.cache);
                Ok(Appending::new(&self.store.mailbox, folders, file?, message, cache))
            }
        }
    }

    /// A message that another mailbox has, to be delivered in the same file, which has this name in
    /// `tmp` as with [`append`](Self::append). An error where the two cannot have one file, which
    /// says nothing of this mailbox: the message is to be written then.
    pub fn link(&self, name: Option<&str>, original: &Original) -> Result<Whole, StoreError> {
        let folders = self.open.folders.clone();
        let file = match name {
            Some(name) => folders.tmp.link_in_sight(name, &original.file)?,
            None => folders.tmp.link_in_sight(name::unique(), &original.file)?,
        };
        let (mailbox, cache) = (Arc::clone(&self.store.mailbox), Arc::clone(&self.cache));
        let (message, content) = (NewMessage::default(), original.content.clone());
        Ok(Whole { mailbox, folders, file, message, content, cache })
    }

    /// What became of the file that an earlier process wrote under this name in `tmp`, which was
    /// then the directory with this checksum.
    pub fn left(&self, name: &str, tmp: u32) -> Result<Left, StoreError> {
        let dir = &self.open.folders.tmp;
        if dir.identity()?.checksum() != tmp {
            return Ok(Left::Elsewhere);
        }
        Ok(disk::found(dir.stat(name))?.map_or(Left::Gone, |_| Left::There))
    }

    /// Makes last whatever mail is here.
    pub fn make_last(&self) -> Result<(), StoreError> {
        self.open.folders.new.sync()?;
        Ok(self.open.folders.cur.sync()?)
    }

    /// Puts a message into the mailbox, without flags: it waits in `new`, no UID is given yet. When
    /// this returns, it survives a power cut; what is to be told of it is left to the caller.
    ///
    /// All attempts at the delivery that has this `id` want the same name, and a name that is taken
    /// is never replaced: what has it is the message, whole, for it was synced before it got it.
    /// After an error it may be there all the same. An error too if the directory was moved away
    /// meanwhile: who restores a backup removes what it replaced, and the message with it.
    pub fn deliver(
        &self,
        message: Whole,
        id: Option<&DeliveryId>,
        note: &impl Note,
    ) -> Result<(Delivery, Option<Tidings>), StoreError> {
        let delivered = message.put(id, note)?;
        if self.is_in_place() { Ok(delivered) } else { Err(StoreError::Replaced) }
    }

    /// Whether mail may still come in here: else the mailbox is to be opened anew.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.is_fresh() && self.is_in_place()
    }

    /// Whether it was opened just lately.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.opened.elapsed() < LASTS
    }

    /// Whether the directory that mail is put into has its path still.
    fn is_in_place(&self) -> bool {
        self.open.is_at(self.store.mailbox.path(), Place::New)
    }
}

/// Keeps an INBOX open. What is not any more for that is returned, to be closed without the lock.
#[must_use]
fn keep<Kept: Deref<Target = Inbox>>(
    open: &mut Opened<Kept>,
    places: Places,
    inbox: &Arc<Kept>,
) -> Vec<Arc<Kept>> {
    let mut fallen = Vec::new();
    if open.len() >= KEPT {
        fallen.extend(open.extract_if(|_, inbox| !inbox.is_fresh()).map(|(_, inbox)| inbox));
    }
    if open.len() >= KEPT && !open.contains_key(&places) {
        let oldest = open.iter().min_by_key(|(_, inbox)| inbox.opened);
        let oldest = oldest.map(|(places, _)| places.clone());
        fallen.extend(oldest.and_then(|oldest| open.remove(&oldest)));
    }
    fallen.extend(open.insert(places, Arc::clone(inbox)));
    fallen
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::super::mailbox::Mailbox;
    use super::*;

    #[test]
    fn what_is_kept_no_longer_is_not_closed_under_the_lock() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["cur", "new", "tmp"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let places = |number: usize| Places::together(&directory.path().join(number.to_string()));
        let opened = |opened: Instant| {
            let home = directory.path();
            let store = Store::new(Mailbox::apart(INBOX, &Places::together(home), home));
            Arc::new(Box::new(Inbox { opened, ..Inbox::open(|| Ok(store)).unwrap() }))
        };
        let now = Instant::now();
        let (one, older, later) = (opened(now), opened(now - LASTS / 2), opened(now));
        let old = opened(now - LASTS);
        let is_only = |fallen: Vec<Arc<Box<Inbox>>>, expected: &Arc<Box<Inbox>>| {
            assert!(matches!(&fallen[..], [fallen] if Arc::ptr_eq(fallen, expected)));
        };

        let mut open = Opened::new();
        assert!(keep(&mut open, places(0), &one).is_empty());
        is_only(keep(&mut open, places(0), &older), &one);
        assert!((2..KEPT).all(|number| keep(&mut open, places(number), &one).is_empty()));
        assert!(keep(&mut open, places(1), &old).is_empty());
        assert_eq!(open.len(), KEPT);
        is_only(keep(&mut open, places(KEPT), &later), &old);
        is_only(keep(&mut open, places(1), &later), &older);
        assert_eq!(open.len(), KEPT);
    }
}
