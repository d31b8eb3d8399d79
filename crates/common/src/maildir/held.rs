//! A mailbox held under lock: who changes it begins and ends here.

use std::io;
use std::sync::{Arc, MutexGuard};

use mail_proto::mailbox::{Snapshot, Uid};

use crate::disk::{DiskError, Lasting, Stat};

use super::former::Former;
use super::index::{Change, Fact, FactsRead, Index, Marks, Reader};
use super::keywords::{self, Keywords, Room};
use super::known::{self, Files, IndexFiles, Known, Live};
use super::lock::Lock;
use super::looks::{Hidden, Looks};
use super::mailbox::Mailbox;
use super::names::Names;
use super::scan::{Folders, MessageFile};
use super::uidlist::Lists;
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
    /// Bits of keywords that messages are about to get.
    promised: u64,
    /// What is to go along to another UIDVALIDITY.
    pub(super) former: Option<Former>,
}

/// So often others may write the lists while they are read; a mailbox is held no longer for it.
const LOOKS: u32 = 100;

const LOOKED: &str = "whoever holds a mailbox has looked at it";

impl<'mailbox> Held<'mailbox> {
    /// Takes the lock among our processes and brings what is known up to date.
    pub(super) fn take(
        mailbox: &'mailbox Mailbox,
        known: MutexGuard<'mailbox, Known>,
        folders: Folders,
    ) -> Result<Self, StoreError> {
        let lock = Lock::take(&folders)?;
        let (written, promised, former) = (None, 0, None);
        let mut held = Self { mailbox, folders, lock, known, written, promised, former };
        held.refresh()?;
        held.name_waiting()?;
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
        self.known.index.as_mut().expect(LOOKED)
    }

    /// The UIDVALIDITY that UIDs are of now: to bring what is known up to date may bring another
    /// one. `None`: that failed, and nothing is known any more.
    pub(super) fn uid_validity(&self) -> Option<u32> {
        self.known.index.as_ref().map(|index| index.head.uid_validity)
    }

    /// Brings what is known up to date.
    pub(super) fn refresh(&mut self) -> Result<(), StoreError> {
        self.look_until_same(|held| {
            held.follow()?;
            let now = known::marks(&held.folders)?;
            if held.known.holds(&now) { Ok(Lists::Same) } else { held.look(now) }
        })
    }

    /// Looks until nobody writes the lists meanwhile.
    pub(super) fn look_until_same(
        &mut self,
        look: impl Fn(&mut Self) -> Result<Lists, StoreError>,
    ) -> Result<(), StoreError> {
        for _ in 0..LOOKS {
            if look(self)? == Lists::Same {
                self.known.picture();
                return Ok(());
            }
        }
        let error = io::Error::new(io::ErrorKind::ResourceBusy, "its lists change all the time");
        Err(DiskError::new(self.mailbox.path().to_owned(), error).into())
    }

    /// Lists all once more, however it looks.
    pub(super) fn relist(&mut self) -> Result<(), StoreError> {
        self.known.files = Files::Unlisted;
        self.refresh()
    }

    /// Takes Dovecot's lock, for those who are about to write its files and need so many UIDs. Who
    /// had taken it before may not have looked at these since.
    pub(super) fn write(&mut self, messages: usize) -> Result<(), StoreError> {
        self.lock.dotlock()?;
        if self.files_changed()? {
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
        if let Some(live) = self.known.live(uid) {
            return Ok(live);
        }
        self.read_facts()?;
        Ok(self.known.live(uid).flatten())
    }

    /// What is known of messages besides their flags, in order of UID.
    pub(super) fn facts(&mut self) -> Result<impl Iterator<Item = &Fact>, StoreError> {
        Ok(self.read_facts()?.facts().map(|(_, fact)| fact))
    }

    /// Whoever holds a mailbox has the facts in memory.
    fn read_facts(&mut self) -> Result<&Index, StoreError> {
        let index = self.known.index.as_mut().expect(LOOKED);
        index.need_facts(&self.folders.index)?;
        Ok(index)
    }

    /// Where the names of messages are read.
    pub(super) fn names(&self) -> Result<Names, StoreError> {
        Names::open(&self.folders.control)
    }

    /// The file of a message, into `file`. Whether it is still there. An error if UIDs turn out to
    /// be those of other messages now.
    pub(super) fn locate(
        &mut self,
        names: &mut Names,
        uid: Uid,
        file: &mut MessageFile,
    ) -> Result<Option<Live>, StoreError> {
        let Some(live) = self.live(uid)? else { return Ok(None) };
        if names.locate(&live, file)? {
            return Ok(Some(live));
        }
        // Its time stamps say that the list is as it was, but it is not.
        let meant = self.uid_validity();
        self.known.files = Files::InDoubt;
        self.refresh()?;
        if self.uid_validity() != meant {
            return Err(StoreError::Replaced);
        }
        *names = self.names()?;
        let Some(live) = self.live(uid)? else { return Ok(None) };
        match names.locate(&live, file)? {
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
        if self.known.hidden() != Hidden::None {
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
        self.index().checkpoint(&dir)?;
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
        self.uid_validity().ok_or(StoreError::Replaced)?;
        let (bits, unknown) = keywords::bits(&self.index().head.keywords, keywords);
        self.promised |= bits;
        if unknown.is_empty() {
            return Ok((bits, unknown));
        }
        self.write(0)?;
        let (bits, unknown) = keywords::bits(&self.index().head.keywords, keywords);
        self.promised |= bits;
        let (new, left) = self.new_bits(&unknown, room)?;
        self.promised |= new;
        Ok((bits | new, left))
    }

    /// Gives new keywords bits and writes them down.
    fn new_bits<'k>(
        &mut self,
        unknown: &[&'k str],
        room: Room,
    ) -> Result<(u64, Vec<&'k str>), StoreError> {
        let used = self.used_keywords();
        let mut letters = Keywords::read(&self.folders.control)?;
        let (added, beyond) = letters.add_all(unknown, used);
        let before = Looks::at(&self.folders)?;
        let (more, left) = self.give_more(&beyond, room)?;
        if room == Room::ForAll && !left.is_empty() {
            return Ok((0, left));
        }
        if !added.is_empty() {
            letters.save(&self.folders.control)?;
            self.wrote_files()?;
        }
        let bits = added.iter().fold(0, |bits, letter| bits | 1 << letter);
        let uid_validity = self.index().head.uid_validity;
        let names = self.index().head.keywords.clone();
        let mut changes = more::names(self.more(uid_validity)?, &names);
        changes.extend(letters.changes(&names, bits));
        if !changes.is_empty() {
            self.record(changes, before);
        }
        Ok((bits | more, left))
    }

    /// Warns of an error that stops nothing.
    pub(super) fn warn(&self, error: &StoreError, what: &str) {
        tracing::warn!(mailbox = %self.mailbox.path().display(), %error, "{what}");
    }

    /// The UIDs are used up: all messages get new ones under a new UIDVALIDITY.
    pub(super) fn renumber(&mut self) -> Result<(), StoreError> {
        let list = uidlist::UidList::new(uid_validity::next(&self.mailbox.home()?)?);
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

    /// Keywords that messages have, or are about to get.
    pub(super) fn used_keywords(&mut self) -> u64 {
        self.index().messages.keywords(u64::MAX) | self.promised
    }

    /// We wrote Dovecot's files, under their lock: they are as we know them.
    pub(super) fn wrote_files(&mut self) -> Result<(), StoreError> {
        let list = uidlist::stat(&self.folders.control)?;
        let keywords = keywords::stat(&self.folders.control)?;
        self.written = Some((list, keywords));
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

    /// Reads what others wrote into the index, and what is known of messages besides their flags.
    fn follow(&mut self) -> Result<(), StoreError> {
        let boot = self.folders.boot();
        loop {
            let index = &self.folders.index;
            self.known.trust = match self.known.follow(index, boot, Reader::Locked)? {
                true => IndexFiles::Sound,
                false => IndexFiles::Lost,
            };
            let Some(index) = &mut self.known.index else { return Ok(()) };
            match index.read_facts(&self.folders.index)? {
                FactsRead::Yes => return Ok(()),
                // Found by the next look at the files.
                FactsRead::Replaced if self.known.trust == IndexFiles::Sound => {}
                FactsRead::Replaced | FactsRead::Damaged => {
                    self.known.trust = IndexFiles::NoFacts;
                    return Ok(());
                }
            }
        }
    }
}
