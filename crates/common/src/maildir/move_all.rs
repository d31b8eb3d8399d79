//! All messages of a mailbox move to another one: what renaming INBOX is (RFC 9051, 6.3.6).
//!
//! The other mailbox is made where nobody looks, with links to all messages, and gets its name when
//! it is whole; then the messages go from here. Killed before it has its name, nothing happened.
//! Killed after, some messages are in both mailboxes, as one file with one name, which nobody else
//! makes: so the repeat knows that it is one, and does the rest.

use mail_proto::mailbox::Uid;

use crate::disk::{self, YoungFiles};

use super::held::Held;
use super::index::Change;
use super::keywords::Keywords;
use super::looks::Looks;
use super::more_keywords::MoreKeywords;
use super::names::Names;
use super::new_lines::NewLines;
use super::scan::{Folders, Listed, MessageFile, Place};
use super::uidlist::{self, Found};
use super::{StoreError, attempts, copy, name};
use crate::disk::Lasting;

/// Messages that are in another mailbox too.
#[derive(Debug)]
pub(super) struct InBoth {
    messages: Vec<(Uid, MessageFile)>,
    target: Folders,
}

impl Held<'_> {
    /// Puts all messages into a mailbox that was just made and that nobody knows yet, durably.
    pub(super) fn link_all(&mut self, target: &Folders) -> Result<InBoth, StoreError> {
        // The letters in the names mean there what they mean here.
        let letters = Keywords::of(&self.index().head.keywords);
        if !letters.is_empty() {
            letters.save(&target.control)?;
        }
        let mut names = self.names()?;
        let mut both = InBoth { messages: Vec::new(), target: target.clone() };
        let uids: Vec<_> = self.index().messages.iter().map(|entry| entry.uid).collect();
        self.carry_more(&uids, &mut names, target)?;
        let mut young = YoungFiles::default();
        for uid in uids {
            let mut file = MessageFile::default();
            if self.locate(&mut names, uid, &mut file)?.is_some()
                && copy::put(&self.folders, &file, target, &file, &mut young)?
            {
                both.messages.push((uid, file));
            }
        }
        for dir in [&target.new, &target.cur] {
            dir.sync()?;
        }
        Ok(both)
    }

    /// The messages that are in that mailbox too, and are the same files there, with the same names
    /// but for flags.
    pub(super) fn in_both(&mut self, target: &Folders) -> Result<InBoth, StoreError> {
        let mut both = InBoth { messages: Vec::new(), target: target.clone() };
        if self.folders.cur.stat_self()?.is_file_of(&target.cur.stat_self()?) {
            return Ok(both);
        }
        let there = target.list(Listed::Both)?;
        let mut names = self.names()?;
        let uids: Vec<_> = self.index().messages.iter().map(|entry| entry.uid).collect();
        for uid in uids {
            let mut file = MessageFile::default();
            if self.locate(&mut names, uid, &mut file)?.is_none() {
                continue;
            }
            let Some(found) = there.find(name::hash(name::base(&file.name))) else { continue };
            let (place, found) = there.file(found);
            let one = disk::found(self.folders.at(file.place).stat(&file.name))?;
            let other = disk::found(target.at(place).stat(found))?;
            if one.zip(other).is_some_and(|(one, other)| one.is_file_of(&other)) {
                both.messages.push((uid, file));
            }
        }
        Ok(both)
    }

    /// Removes messages that are in another mailbox, which lasts, durably.
    pub(super) fn leave_to(&mut self, both: InBoth) -> Result<(), StoreError> {
        let before = Looks::at(&self.folders)?;
        let mut changes = Vec::with_capacity(both.messages.len());
        let mut done = Ok(());
        for (uid, file) in both.messages {
            match self.leave(file, &both.target) {
                Ok(()) => changes.push(Change::Gone(uid)),
                Err(error) => {
                    done = Err(error);
                    break;
                }
            }
        }
        self.sync_places(&[Place::New, Place::Cur])?;
        self.record(changes, before);
        done
    }

    /// Removes a message's file. Flags that another program gave it meanwhile go along.
    fn leave(&self, mut file: MessageFile, target: &Folders) -> Result<(), StoreError> {
        attempts::until_done(self.mailbox.path(), || {
            if disk::found(self.folders.at(file.place).unlink(&file.name))?.is_some() {
                return Ok(Some(()));
            }
            let Some(found) = self.folders.find(name::base(&file.name))? else {
                return Ok(Some(()));
            };
            let (from, to) = (target.at(file.place), target.at(found.place));
            if let Err(error) = from.rename_new(&file.name, to, &found.name) {
                tracing::debug!(%error, "flags that were changed meanwhile do not go along");
            }
            file = found;
            Ok(None)
        })
    }

    /// Where messages have keywords without letters, all get their UIDs in the target beforehand:
    /// its file says by UID which message has them. Lines of messages that do not come do no harm.
    fn carry_more(
        &mut self,
        uids: &[Uid],
        names: &mut Names,
        target: &Folders,
    ) -> Result<(), StoreError> {
        let uid_validity = self.index().head.uid_validity;
        if !self.more(uid_validity)?.has_messages() {
            return Ok(());
        }
        let Found::List(list) = uidlist::read(&target.control)? else { return Ok(()) };
        let mut carried = MoreKeywords::new(list.uid_validity);
        for (bit, name) in self.index().head.keywords.iter().enumerate() {
            carried.call(bit, name);
        }
        let (mut file, mut lines) = (MessageFile::default(), NewLines::default());
        for (uid, new) in uids.iter().zip(list.uid_next..) {
            if self.locate(names, *uid, &mut file)?.is_none() {
                continue;
            }
            lines.push(new, name::base(&file.name));
            let more = self.more(uid_validity)?;
            carried.put(new, more.of(*uid));
            if let Some(flags) = more.waiting().get(uid) {
                carried.wait(new, *flags);
            }
        }
        // Lines first: nobody else is given these UIDs.
        lines.save(&target.control, Lasting::Yes)?;
        carried.save(&target.control)
    }
}

impl InBoth {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}
