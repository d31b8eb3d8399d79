//! A mailbox held under lock: how what is known is brought up to date, and how messages get in.

use std::collections::HashSet;
use std::sync::{Arc, MutexGuard};

use mail_proto::mailbox::{Snapshot, Uid};

use super::keywords::{self, Keywords};
use super::known::{Known, Live, Looks};
use super::lock::Lock;
use super::mailbox::Mailbox;
use super::name;
use super::scan::{Folders, Listing, Located, Place};
use super::uidlist::{self, Form, Found, UidList};
use super::{StoreError, leftovers, uid_validity, watch};

/// A mailbox with all locks that changing its files needs.
#[derive(Debug)]
pub(super) struct Held<'mailbox> {
    mailbox: &'mailbox Mailbox,
    pub(super) folders: Folders,
    // Dropped before the mutex: who waits for that finds this free.
    lock: Lock,
    known: MutexGuard<'mailbox, Known>,
}

/// What became of a message that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unlinked {
    /// It was removed from there.
    From(Place),
    /// Somebody else had removed it.
    Before,
    /// It stays.
    Kept,
}

/// Whether the list that was read is still the one on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lists {
    Same,
    Changed,
}

/// Below this many lines nobody minds lines of messages that are gone.
const FEW_LINES: usize = 64;

impl<'mailbox> Held<'mailbox> {
    /// Takes the lock among our processes and brings what is known up to date.
    pub(super) fn take(
        mailbox: &'mailbox Mailbox,
        known: MutexGuard<'mailbox, Known>,
        folders: Folders,
    ) -> Result<Self, StoreError> {
        let lock = Lock::take(&folders)?;
        let mut held = Self { mailbox, folders, lock, known };
        held.refresh()?;
        Ok(held)
    }

    /// The picture for sessions.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.known.snapshot()
    }

    /// What is known of the mailbox.
    pub(super) fn known(&mut self) -> &mut Known {
        &mut self.known
    }

    /// Brings what is known up to date.
    pub(super) fn refresh(&mut self) -> Result<(), StoreError> {
        if self.known.holds(&self.folders)? {
            return Ok(());
        }
        if self.known.is_unread() {
            leftovers::remove(&self.folders);
        }
        loop {
            self.read_list()?;
            self.read_keywords()?;
            let looks = Looks::at(&self.folders)?;
            let listing = self.list(looks)?;
            let (mut live, newcomers) = self.known.join(listing);
            let settled = self.settle(&mut live, newcomers);
            self.known.looks = matches!(settled, Ok(Lists::Same)).then_some(looks);
            match settled {
                Ok(Lists::Same) => {}
                Ok(Lists::Changed) => continue,
                // Without room to write UIDs down, what is old can still be read and, above all,
                // deleted. The new messages wait.
                Err(StoreError::Full { path }) if self.known.list.form == Form::Current => {
                    tracing::error!(path = %path.display(), "no space left: new mail is not shown");
                }
                Err(error) => return Err(error),
            }
            self.known.show(live);
            return Ok(());
        }
    }

    /// Takes Dovecot's lock, for those who are about to write its files and need so many UIDs.
    pub(super) fn write(&mut self, messages: usize) -> Result<(), StoreError> {
        if self.lock.dotlock()? && self.list_changed()? {
            self.refresh()?;
        }
        if !self.known.list.has_room(messages) {
            self.renumber()?;
            self.refresh()?;
        }
        Ok(())
    }

    /// Gives UIDs, durably, to messages whose files are in `new` or `cur` and synced. `before` is
    /// how these looked before the files came; [`write`](Self::write) was called before that.
    pub(super) fn admit(
        &mut self,
        files: Vec<Located>,
        before: Looks,
    ) -> Result<Vec<Uid>, StoreError> {
        let numbered = self.number(files).inspect_err(|_| self.known.looks = None)?;
        let uids = numbered.iter().map(|live| live.uid).collect();
        self.known.add(numbered);
        self.changed(before)?;
        Ok(uids)
    }

    /// Says that what changed since `before` was our doing, and makes a new picture.
    pub(super) fn changed(&mut self, before: Looks) -> Result<(), StoreError> {
        if let Some(looks) = self.known.looks {
            self.known.looks = Some(looks.after_ours(before, &self.folders)?);
        }
        self.known.picture();
        watch::tell(self.mailbox.path());
        Ok(())
    }

    /// The letters of keywords, as bits; new ones are written down. Keywords for which no letter
    /// is left are returned.
    pub(super) fn letters<'k>(
        &mut self,
        keywords: &'k [String],
    ) -> Result<(u64, Vec<&'k str>), StoreError> {
        if keywords.iter().any(|keyword| self.known.keywords.letter(keyword).is_none()) {
            self.write(0)?;
            self.read_keywords()?;
        }
        let (mut bits, mut left, mut added) = (0, Vec::new(), false);
        let used = self.known.used_keywords();
        for keyword in keywords {
            let letter = self.known.keywords.letter(keyword).or_else(|| {
                added = true;
                self.known.keywords.add(keyword, used)
            });
            match letter {
                Some(letter) => bits |= 1 << letter,
                None => left.push(keyword.as_str()),
            }
        }
        if added {
            let saved = self.known.keywords.save(&self.folders.control);
            saved.inspect_err(|_| self.known.looks = None)?;
            self.known.keywords_stat = keywords::stat(&self.folders.control)?;
        }
        Ok((bits, left))
    }

    /// Renames a message's file to what `new_name` makes of its name. Whether it is still there.
    /// If another program renamed it a moment ago, its new name counts: there may be flags in it.
    pub(super) fn rename(
        &mut self,
        uid: Uid,
        new_name: impl Fn(&Located) -> Located,
    ) -> Result<bool, StoreError> {
        loop {
            let Some(from) = self.known.file(uid).cloned() else { return Ok(false) };
            let to = new_name(&from);
            if from == to {
                return Ok(true);
            }
            let (source, target) = (self.folders.at(from.place), self.folders.at(to.place));
            match source.rename_new(&*from.name, target, &*to.name) {
                Ok(()) => {
                    self.known.moved(uid, to);
                    return Ok(true);
                }
                // Somebody is just giving it this name, or died while doing so.
                Err(error) if error.is_taken() && self.folders.are_one(&from, &to)? => {
                    self.known.moved(uid, to);
                    return Ok(true);
                }
                Err(error) if error.is_missing() => {
                    match self.folders.find(name::base(&from.name))? {
                        Some(found) => self.known.moved(uid, found),
                        None => return Ok(false),
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Removes a message's file, if it is still `wanted` gone under the name that it has now.
    pub(super) fn unlink(
        &mut self,
        uid: Uid,
        wanted: impl Fn(&Located) -> bool,
    ) -> Result<Unlinked, StoreError> {
        loop {
            let Some(file) = self.known.file(uid).cloned() else { return Ok(Unlinked::Before) };
            if !wanted(&file) {
                return Ok(Unlinked::Kept);
            }
            match self.folders.at(file.place).unlink(&*file.name) {
                Ok(()) => return Ok(Unlinked::From(file.place)),
                Err(error) if error.is_missing() => {
                    match self.folders.find(name::base(&file.name))? {
                        Some(found) => self.known.moved(uid, found),
                        None => return Ok(Unlinked::Before),
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Moves all messages to a mailbox that was just made and that nobody knows yet, durably.
    pub(super) fn move_all(&mut self, target: &Folders) -> Result<(), StoreError> {
        let before = Looks::at(&self.folders)?;
        // The letters in the names mean there what they mean here.
        if self.known.keywords != Keywords::default() {
            self.known.keywords.save(&target.control)?;
        }
        let mut gone = HashSet::new();
        for live in self.known.live().to_vec() {
            let (from, to) = (self.folders.at(live.file.place), target.at(live.file.place));
            match from.rename_new(&*live.file.name, to, &*live.file.name) {
                Ok(()) => {
                    gone.insert(live.uid);
                }
                // Its flags are being changed: it stays.
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error.into()),
            }
        }
        for dir in [&target.new, &target.cur, &self.folders.new, &self.folders.cur] {
            dir.sync()?;
        }
        self.known.remove(&gone);
        self.changed(before)
    }

    fn read_list(&mut self) -> Result<(), StoreError> {
        let stat = uidlist::stat(&self.folders.control)?;
        if self.known.looks.is_some() && self.known.list_stat == stat {
            return Ok(());
        }
        let found = uidlist::read(&self.folders.control)?;
        let nonsense = matches!(found, Found::Nonsense);
        let form = if nonsense { Form::Damaged(1) } else { Form::Outdated };
        let path = self.mailbox.path().display();
        match found {
            Found::List(list) => self.known.take_list(list),
            // Sessions know these UIDs: they go on. How many were given since, nobody knows.
            _ if self.known.is_of(&self.folders)? => {
                tracing::error!(mailbox = %path, "the UID list is lost; it is written from memory");
                self.known.list.jump(form);
            }
            _ => {
                let mut list = UidList::new(uid_validity::next(&self.mailbox.home()?)?);
                list.form = form;
                if nonsense {
                    let new = list.uid_validity;
                    tracing::error!(mailbox = %path, uidvalidity = new, "the UID list is nonsense");
                }
                self.known.take_list(list);
            }
        }
        self.known.list_stat = stat;
        Ok(())
    }

    fn read_keywords(&mut self) -> Result<(), StoreError> {
        let stat = keywords::stat(&self.folders.control)?;
        if self.known.looks.is_none() || self.known.keywords_stat != stat {
            self.known.keywords = Keywords::read(&self.folders.control)?;
            self.known.keywords_stat = stat;
        }
        Ok(())
    }

    /// Lists what changed, and a second time if a message is missing that may have been renamed
    /// meanwhile.
    fn list(&self, now: Looks) -> Result<Listing, StoreError> {
        let places = self.known.changed_places(now);
        let mut listing = self.folders.list(&places, self.known.files_outside(&places))?;
        if self.known.are_all_in(&listing) {
            return Ok(listing);
        }
        if now.were_recent() || !now.hold(Looks::at(&self.folders)?) {
            listing.extend(self.folders.list(&[Place::New, Place::Cur], Listing::new())?);
        }
        Ok(listing)
    }

    /// Numbers the newcomers, and writes the list where it needs it.
    fn settle(
        &mut self,
        live: &mut Vec<Live>,
        newcomers: Vec<Located>,
    ) -> Result<Lists, StoreError> {
        let list = &self.known.list;
        let records = list.records.len();
        let sparse = records > FEW_LINES && live.len() * 4 < records * 3;
        let outdated = list.form != Form::Current;
        if !(sparse || outdated || !newcomers.is_empty()) {
            return Ok(Lists::Same);
        }
        if self.lock.dotlock()? && self.list_changed()? {
            return Ok(Lists::Changed);
        }
        if !self.known.list.has_room(newcomers.len()) {
            self.renumber()?;
            return Ok(Lists::Changed);
        }
        if sparse || outdated {
            self.known.list.keep_only(live.iter().map(|live| live.uid));
            self.known.list.save(&self.folders.control)?;
            self.known.list_stat = uidlist::stat(&self.folders.control)?;
        }
        live.extend(self.number(newcomers)?);
        Ok(Lists::Same)
    }

    /// Gives UIDs in order of arrival and writes them down.
    fn number(&mut self, mut files: Vec<Located>) -> Result<Vec<Live>, StoreError> {
        if files.is_empty() {
            return Ok(Vec::new());
        }
        files.sort_by(|a, b| {
            name::arrival(name::base(&a.name)).cmp(&name::arrival(name::base(&b.name)))
        });
        let list = &mut self.known.list;
        let number = |file: Located| Live { uid: list.add(name::base(&file.name)), file };
        let live: Vec<Live> = files.into_iter().map(number).collect();
        self.known.list.save_new(&self.folders.control, live.len())?;
        self.known.list_stat = uidlist::stat(&self.folders.control)?;
        Ok(live)
    }

    /// The UIDs are used up: all messages get new ones under a new UIDVALIDITY.
    fn renumber(&mut self) -> Result<(), StoreError> {
        let mut list = UidList::new(uid_validity::next(&self.mailbox.home()?)?);
        tracing::error!(
            mailbox = %self.mailbox.path().display(),
            uidvalidity = list.uid_validity,
            "no UIDs are left; all messages get new ones"
        );
        list.save(&self.folders.control)?;
        self.known.looks = None;
        Ok(())
    }

    fn list_changed(&self) -> Result<bool, StoreError> {
        Ok(self.known.list_stat != uidlist::stat(&self.folders.control)?)
    }
}
