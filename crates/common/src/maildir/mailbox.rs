//! What a process knows of a mailbox, shared by all its sessions, and how it is brought up to date.
//!
//! Truth is on the disk: file names in `new` and `cur`, UIDs in `dovecot-uidlist`. Whoever wants to
//! know how a mailbox looks reads on in the index, without a lock, and compares how the files look
//! with how they looked when the index was last written. If they are the same, that is all. If they
//! are not, the lock among our processes is taken, and what changed is read and listed.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use mail_proto::mailbox::{Snapshot, Uid};

use crate::disk::Dir;

use super::cache::Cache;
use super::commits::Commits;
use super::held::Held;
use super::index::{Fact, FactsRead};
use super::known::{Known, Live};
use super::names::Names;
use super::places::Places;
use super::present::Present;
use super::scan::{Folders, MessageFile, Place};
use super::{StoreError, confirm};

/// A mailbox in this process.
#[derive(Debug)]
pub(super) struct Mailbox {
    /// As clients call it.
    name: String,
    places: Places,
    /// Where `dovecot-uidvalidity` of the user is.
    home: PathBuf,
    known: Mutex<Known>,
    /// Its directories, as long as somebody keeps them open.
    open: Mutex<Weak<Open>>,
    /// Those who add messages.
    pub(super) commits: Commits,
    cache: Cache,
}

/// The directories of a mailbox that are kept open for a while.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) folders: Folders,
    /// Device and inode.
    new: (u64, u64),
    cur: (u64, u64),
}

/// Under which UIDVALIDITY the UIDs were given that somebody names. Under another one they are
/// other messages: the mailbox was deleted meanwhile, and another has its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Pin(pub(super) Option<u32>);

impl Pin {
    /// Whether the mailbox still is the one that was meant.
    pub(super) fn check(self, now: &Snapshot) -> Result<(), StoreError> {
        match self.0 {
            Some(meant) if meant != now.uid_validity => Err(StoreError::Replaced),
            _ => Ok(()),
        }
    }
}

impl Open {
    /// Whether one of the two still is what has its path in the mailbox.
    pub(super) fn is_at(&self, mail: &Path, place: Place) -> bool {
        let (name, open) = match place {
            Place::New => ("new", self.new),
            Place::Cur => ("cur", self.cur),
        };
        let found = std::fs::metadata(mail.join(name));
        found.is_ok_and(|found| (found.dev(), found.ino()) == open)
    }
}

impl Mailbox {
    /// The mailbox at these places: the same one for all who ask in this process. `home` is where
    /// `dovecot-uidvalidity` of the user is.
    pub(super) fn of(name: &str, places: &Places, home: &Path) -> Arc<Self> {
        static ALL: LazyLock<Mutex<HashMap<Places, Weak<Mailbox>>>> = LazyLock::new(Mutex::default);
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mailbox) = all.get(places).and_then(Weak::upgrade) {
            return mailbox;
        }
        if all.len() >= all.capacity() {
            all.retain(|_, mailbox| mailbox.strong_count() > 0);
        }
        let mailbox = Self::apart(name, places, home);
        all.insert(places.clone(), Arc::downgrade(&mailbox));
        mailbox
    }

    /// The mailbox at these places, shared with nobody, as if in another process.
    pub(super) fn apart(name: &str, places: &Places, home: &Path) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            places: places.clone(),
            home: home.to_owned(),
            known: Mutex::default(),
            open: Mutex::default(),
            commits: Commits::default(),
            cache: Cache::default(),
        })
    }

    /// The same mailbox as another process would have it.
    pub(super) fn stranger(&self) -> Arc<Self> {
        Self::apart(&self.name, &self.places, &self.home)
    }

    /// Where its files are.
    pub(super) fn places(&self) -> &Places {
        &self.places
    }

    /// Where its messages are.
    pub(super) fn path(&self) -> &Path {
        &self.places.mail
    }

    /// Where `dovecot-uidvalidity` of the user is.
    pub(super) fn home(&self) -> Result<Dir, StoreError> {
        Ok(Dir::open_or_create(&self.home)?)
    }

    /// The same, where its directories are open: INBOX's is the user's, most of the time.
    pub(super) fn home_beside(&self, folders: &Folders) -> Result<Dir, StoreError> {
        match self.home == self.places.control {
            true => Ok(folders.control.clone()),
            false => self.home(),
        }
    }

    /// Opens its directories.
    pub(super) fn folders(&self) -> Result<Folders, StoreError> {
        Folders::open(&self.places).map_err(|error| self.unopened(error))
    }

    /// Opens what is there of its directories, to look at it.
    pub(super) fn present(&self) -> Result<Present, StoreError> {
        Present::open(&self.places).map_err(|error| self.unopened(error))
    }

    fn unopened(&self, error: StoreError) -> StoreError {
        match error.is_missing() {
            true => StoreError::NoSuchMailbox(self.name.clone()),
            false => error,
        }
    }

    /// Opens its directories, to keep them: until what is returned is dropped, others need not
    /// open them again.
    pub(super) fn open(&self) -> Result<Arc<Open>, StoreError> {
        let folders = self.folders()?;
        let (new, cur) = (folders.new.stat_self()?, folders.cur.stat_self()?);
        let (new, cur) = ((new.device, new.inode), (cur.device, cur.inode));
        let open = Arc::new(Open { folders, new, cur });
        *self.kept() = Arc::downgrade(&open);
        Ok(open)
    }

    /// Its directories: those that somebody keeps open, if they are still in place.
    fn folders_at_hand(&self) -> Result<Folders, StoreError> {
        let (mail, apart) = (self.path(), self.places.are_apart());
        let kept = self.kept().upgrade().filter(|_| !apart);
        match kept.filter(|open| open.is_at(mail, Place::New) && open.is_at(mail, Place::Cur)) {
            Some(open) => Ok(open.folders.clone()),
            None => self.folders(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Weak<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of its cache.
    pub(super) fn cache(&self) -> &Cache {
        &self.cache
    }

    /// How it looks now.
    pub(super) fn sync(&self) -> Result<Arc<Snapshot>, StoreError> {
        let mut known = self.known();
        let folders = self.folders_at_hand()?;
        if known.catch_up(&folders)? {
            if known.asks() {
                confirm::ask(self);
            }
            return Ok(known.snapshot());
        }
        Ok(Held::take(self, known, folders)?.snapshot())
    }

    /// Takes the lock among our processes and brings what is known up to date.
    pub(super) fn hold(&self) -> Result<Held<'_>, StoreError> {
        let known = self.known();
        let folders = self.folders()?;
        Held::take(self, known, folders)
    }

    /// As [`hold`](Self::hold), where the mailbox is open already, if it still is this one.
    pub(super) fn hold_open(&self, folders: &Folders) -> Result<Held<'_>, StoreError> {
        let known = self.known();
        let apart = self.places.are_apart();
        let folders = match !apart && folders.are_in_place()? {
            true => folders.clone(),
            // Those that are apart have paths of their own.
            false => self.folders()?,
        };
        Held::take(self, known, folders)
    }

    /// As [`hold`](Self::hold), for a change to messages of that UIDVALIDITY.
    pub(super) fn hold_of(&self, pin: Pin) -> Result<Held<'_>, StoreError> {
        let known = self.known();
        let held = Held::take(self, known, self.folders_at_hand()?)?;
        pin.check(&held.snapshot())?;
        Ok(held)
    }

    /// A message, as far as it is known; `None` if it is gone.
    pub(super) fn live(&self, pin: Pin, uid: Uid) -> Result<Option<Live>, StoreError> {
        let mut known = self.known();
        if known.is_unread() {
            drop(known);
            pin.check(&*self.sync()?)?;
            known = self.known();
        }
        pin.check(&known.snapshot())?;
        if let Some(live) = known.live(uid) {
            return Ok(live);
        }
        if let Some(index) = &mut known.index {
            index.read_facts(&Dir::open(&self.places.index)?)?;
        }
        if let Some(live) = known.live(uid) {
            return Ok(live);
        }
        drop(known);
        self.hold_of(pin)?.live(uid)
    }

    /// The file of a message, as far as it is known; `None` if it is gone.
    pub(super) fn file(
        &self,
        pin: Pin,
        uid: Uid,
        folders: &Folders,
    ) -> Result<Option<MessageFile>, StoreError> {
        let Some(live) = self.live(pin, uid)? else { return Ok(None) };
        let mut file = MessageFile::default();
        let mut names = Names::open(&folders.control)?;
        if names.locate(&live, &mut file)? {
            return Ok(Some(file));
        }
        let mut held = self.hold_of(pin)?;
        let mut names = held.names()?;
        Ok(held.locate(&mut names, uid, &mut file)?.map(|_| file))
    }

    /// Messages that came or changed after a modseq, in order of UID.
    pub(super) fn changed_since(&self, pin: Pin, modseq: u64) -> Result<Vec<Uid>, StoreError> {
        self.sync()?;
        if let Some(changed) = self.changed_in_memory(pin, modseq)? {
            return Ok(changed);
        }
        let mut held = self.hold_of(pin)?;
        let changed = held.facts()?.filter(|fact| fact.modseq > modseq).map(Fact::uid);
        Ok(changed.collect())
    }

    /// The same, where that needs no lock; `None` where it does.
    fn changed_in_memory(&self, pin: Pin, modseq: u64) -> Result<Option<Vec<Uid>>, StoreError> {
        let mut known = self.known();
        pin.check(&known.snapshot())?;
        let Some(index) = &mut known.index else { return Ok(None) };
        if index.read_facts(&Dir::open(&self.places.index)?)? != FactsRead::Yes {
            return Ok(None);
        }
        let changed = index.facts().filter(|(_, fact)| fact.modseq > modseq);
        Ok(Some(changed.map(|(entry, _)| entry.uid).collect()))
    }

    /// UIDs of messages that went after a modseq; `None` where that is not known.
    pub(super) fn vanished_since(
        &self,
        pin: Pin,
        modseq: u64,
    ) -> Result<Option<Vec<Uid>>, StoreError> {
        self.sync()?;
        let known = self.known();
        pin.check(&known.snapshot())?;
        Ok(known.index.as_ref().and_then(|index| index.vanished().since(modseq)))
    }

    /// Whether changes by others may be hidden behind ours.
    #[cfg(test)]
    pub(super) fn is_in_doubt(&self) -> Result<bool, StoreError> {
        self.sync()?;
        Ok(self.known().hidden() != super::looks::Hidden::None)
    }

    /// What is known, which may be old.
    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(|poisoned| {
            // Whoever panicked may have left it half changed: it is read again.
            self.known.clear_poison();
            let mut known = poisoned.into_inner();
            *known = Known::default();
            known
        })
    }
}
