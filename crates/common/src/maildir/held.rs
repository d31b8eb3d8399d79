//! A mailbox held under lock: who changes it begins and ends here.

use std::sync::{Arc, MutexGuard};

use mail_proto::mailbox::{Snapshot, Uid};

use crate::disk::Stat;

use super::index::{Change, Fact, FactsError, Index, Lasting, Marks};
use super::keywords::{self, Keywords, Room};
use super::known::{self, Doubt, Files, IndexFiles, Known, Live, Looks};
use super::lock::Lock;
use super::mailbox::Mailbox;
use super::names::Names;
use super::scan::{Folders, Located};
use super::{StoreError, confirm, more, uid_validity, uidlist, watch};

/// A mailbox with all locks that changing its files needs.
#[derive(Debug)]
pub(super) struct Held<'mailbox> {
    pub(super) mailbox: &'mailbox Mailbox,
    pub(super) folders: Folders,
    // Dropped before the mutex: who waits for that finds this free.
    pub(super) lock: Lock,
    pub(super) known: MutexGuard<'mailbox, Known>,
    /// How the UID list and the keywords look that we wrote since the last transaction.
    written: Option<(Option<Stat>, Option<Stat>)>,
}

/// Whether the lists that were read are still those on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lists {
    Same,
    Changed,
}

impl<'mailbox> Held<'mailbox> {
    /// Takes the lock among our processes and brings what is known up to date.
    pub(super) fn take(
        mailbox: &'mailbox Mailbox,
        known: MutexGuard<'mailbox, Known>,
        folders: Folders,
    ) -> Result<Self, StoreError> {
        let lock = Lock::take(&folders)?;
        let mut held = Self { mailbox, folders, lock, known, written: None };
        held.refresh()?;
        Ok(held)
    }

    /// The picture for sessions.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.known.snapshot()
    }

    /// Lets go of the mailbox.
    pub(super) fn into_folders(self) -> Folders {
        self.folders
    }

    /// What is known of the mailbox.
    pub(super) fn index(&mut self) -> &mut Index {
        self.known.index.as_mut().expect("whoever holds a mailbox has looked at it")
    }

    /// Brings what is known up to date.
    pub(super) fn refresh(&mut self) -> Result<(), StoreError> {
        loop {
            self.known.follow(&self.folders, Index::follow_locked)?;
            self.load_facts()?;
            let now = known::marks(&self.folders)?;
            if self.known.holds(&now) || self.look(now)? == Lists::Same {
                self.known.picture();
                return Ok(());
            }
        }
    }

    /// Lists all once more, however it looks.
    pub(super) fn relist(&mut self) -> Result<(), StoreError> {
        self.known.files = Files::Unlisted;
        self.refresh()
    }

    /// Takes Dovecot's lock, for those who are about to write its files and need so many UIDs.
    pub(super) fn write(&mut self, messages: usize) -> Result<(), StoreError> {
        if self.lock.dotlock()? && self.files_changed()? {
            self.refresh()?;
        }
        if !uidlist::has_room(self.index().head.uid_next, messages) {
            self.renumber()?;
            self.refresh()?;
        }
        Ok(())
    }

    /// A message, if it is there.
    pub(super) fn live(&mut self, uid: Uid) -> Result<Option<Live>, StoreError> {
        self.known.live(&self.folders.index, uid).map_err(unready)
    }

    /// What is known of messages besides their flags, in order of UID.
    pub(super) fn facts(&mut self) -> Result<impl Iterator<Item = &Fact>, StoreError> {
        let dir = self.folders.index.clone();
        self.index().facts(&dir).map_err(unready)
    }

    /// Where the names of messages are read.
    pub(super) fn names(&self) -> Result<Names, StoreError> {
        Names::open(&self.folders.control)
    }

    /// The file of a message, into `file`. Whether it is still there.
    pub(super) fn locate(
        &mut self,
        names: &mut Names,
        uid: Uid,
        file: &mut Located,
    ) -> Result<Option<Live>, StoreError> {
        let Some(live) = self.live(uid)? else { return Ok(None) };
        if Known::locate(names, &live, file)? {
            return Ok(Some(live));
        }
        // Its time stamps say that the list is as it was, but it is not.
        self.known.files = Files::InDoubt;
        self.refresh()?;
        *names = self.names()?;
        let Some(live) = self.live(uid)? else { return Ok(None) };
        match Known::locate(names, &live, file)? {
            true => Ok(Some(live)),
            false => Err(StoreError::Damaged {
                path: self.folders.control.path().join(uidlist::FILE),
                what: format!("UID {uid} has no line"),
            }),
        }
    }

    /// One transaction of what was done since the files looked like `before`. Where the index
    /// cannot be written the mailbox is what it is nevertheless: others will list it.
    pub(super) fn record(&mut self, mut changes: Vec<Change>, before: Looks) {
        if let Err(error) = self.keep_more(&changes) {
            self.warn(&error, "cannot write keywords that have no letters");
        }
        let marks = self.marks_after(before).unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot look at a mailbox after a change");
            Marks::default()
        });
        changes.push(Change::Marks(Box::new(marks)));
        if let Err(error) = self.transact(changes, Lasting::No) {
            self.warn(&error, "cannot write the index");
        }
        self.known.picture();
        watch::tell(self.mailbox.path());
        if self.known.doubt() != Doubt::None {
            confirm::ask(self.mailbox);
        }
    }

    /// Writes a transaction, and the whole index where it is time for that.
    pub(super) fn transact(
        &mut self,
        changes: Vec<Change>,
        lasting: Lasting,
    ) -> Result<(), StoreError> {
        let dir = self.folders.index.clone();
        self.index().write(&dir, changes, lasting)?;
        self.known.trust = IndexFiles::Sound;
        if self.index().wants_checkpoint() {
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Writes the whole index.
    pub(super) fn checkpoint(&mut self) -> Result<(), StoreError> {
        let dir = self.folders.index.clone();
        self.index().checkpoint(&dir).map_err(unready)?;
        self.known.trust = IndexFiles::Sound;
        Ok(())
    }

    /// The bits of keywords; new ones are written down. Those for which there is no room are
    /// returned; then, if all were wanted, none is written.
    pub(super) fn bits<'k>(
        &mut self,
        keywords: &'k [String],
        room: Room,
    ) -> Result<(u64, Vec<&'k str>), StoreError> {
        let (bits, unknown) = keywords::bits(&self.index().head.keywords, keywords);
        if unknown.is_empty() {
            return Ok((bits, unknown));
        }
        self.write(0)?;
        let (bits, unknown) = keywords::bits(&self.index().head.keywords, keywords);
        if unknown.is_empty() {
            return Ok((bits, unknown));
        }
        let used = self.used_keywords();
        let mut letters = Keywords::read(&self.folders.control)?;
        let (added, left) = letters.add_all(&unknown, used);
        let mut more = self.more_keywords()?;
        let (more_added, left): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|keyword| more.give(keyword).is_some());
        let nothing = added.is_empty() && more_added.is_empty();
        if nothing || (room == Room::ForAll && !left.is_empty()) {
            return Ok((bits, left));
        }
        let before = Looks::at(&self.folders)?;
        if !added.is_empty() {
            letters.save(&self.folders.control)?;
        }
        if !more_added.is_empty() {
            more.save(&self.folders.control)?;
        }
        self.wrote_files()?;
        let more_added = more_added.iter().filter_map(|keyword| more.bit(keyword));
        let bits = added.into_iter().chain(more_added).fold(bits, |bits, bit| bits | 1 << bit);
        let known = &self.index().head.keywords;
        let mut changes = letters.changes(known, bits);
        changes.extend(more::names(&more, &more::named(known, &changes)));
        self.record(changes, before);
        Ok((bits, left))
    }

    /// Warns of an error that stops nothing.
    pub(super) fn warn(&self, error: &StoreError, what: &str) {
        tracing::warn!(mailbox = %self.mailbox.path().display(), %error, "{what}");
    }

    /// The UIDs are used up: all messages get new ones under a new UIDVALIDITY.
    pub(super) fn renumber(&mut self) -> Result<(), StoreError> {
        let mut list = uidlist::UidList::new(uid_validity::next(&self.mailbox.home()?)?);
        tracing::error!(
            mailbox = %self.mailbox.path().display(),
            uidvalidity = list.uid_validity,
            "no UIDs are left; all messages get new ones"
        );
        list.save(&self.folders.control)
    }

    /// Whether somebody wrote Dovecot's files since we read them.
    pub(super) fn files_changed(&mut self) -> Result<bool, StoreError> {
        let list = uidlist::stat(&self.folders.control)?;
        let keywords = keywords::stat(&self.folders.control)?;
        let marks = &self.index().head.marks;
        Ok((marks.list, marks.keywords) != (list, keywords))
    }

    /// Keywords that messages have.
    fn used_keywords(&mut self) -> u64 {
        self.index().messages.iter().fold(0, |used, entry| used | entry.flags.keywords)
    }

    /// We wrote Dovecot's files, under their lock: they are as we know them.
    pub(super) fn wrote_files(&mut self) -> Result<(), StoreError> {
        let list = uidlist::stat(&self.folders.control)?;
        let keywords = keywords::stat(&self.folders.control)?;
        let more_keywords = more_keywords::stat(&self.folders.control)?;
        let marks = &mut self.index().head.marks;
        (marks.list, marks.keywords, marks.more_keywords) = (list, keywords, more_keywords);
        Ok(())
    }

    /// How the files look after a change of ours.
    fn marks_after(&mut self, before: Looks) -> Result<Marks, StoreError> {
        let head = &self.index().head;
        let (mut marks, in_new) = (head.marks, head.in_new.len());
        if let Some(looks) = marks.looks {
            marks.looks = Some(looks.after_ours(before, &self.folders, in_new)?);
        }
        if let Some(written) = self.written.take() {
            (marks.list, marks.keywords) = written;
        }
        marks.more_keywords = more::stat(&self.folders.control)?;
        Ok(marks)
    }

    /// Reads what is known of messages besides their flags, for those who change something.
    fn load_facts(&mut self) -> Result<(), StoreError> {
        loop {
            let Some(index) = &mut self.known.index else { return Ok(()) };
            match index.fact(&self.folders.index, 0) {
                Ok(_) => return Ok(()),
                Err(FactsError::Replaced) => {
                    self.known.follow(&self.folders, Index::follow_locked)?;
                }
                Err(FactsError::Damaged) => {
                    self.known.trust = IndexFiles::NoFacts;
                    return Ok(());
                }
                Err(FactsError::Store(error)) => return Err(error),
            }
        }
    }
}

/// Whoever holds a mailbox has the facts in memory.
fn unready(error: FactsError) -> StoreError {
    match error {
        FactsError::Store(error) => error,
        other => StoreError::Damaged { path: "posthorn.index".into(), what: other.to_string() },
    }
}
