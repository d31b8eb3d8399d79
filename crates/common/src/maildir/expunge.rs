//! Messages are removed: unlinked, and the directories synced before anybody is told.

use std::sync::Arc;

use mail_proto::mailbox::{Flags, Snapshot, Uid};

use crate::disk;

use super::StoreError;
use super::copy::Copied;
use super::held::Held;
use super::index::Change;
use super::known::Files;
use super::looks::Looks;
use super::mailbox::{Mailbox, Pin};
use super::names::Names;
use super::quota::Tally;
use super::scan::{MessageFile, Place};
use super::tail::Tail;
use super::{attempts, name};

/// What is to be removed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which<'uids> {
    /// These messages; UIDs that are gone are passed over.
    These(&'uids [Uid]),
    /// What is `\Deleted` when its turn comes, of all messages or of these. Who takes that flag
    /// away before has saved the message.
    Deleted(Option<&'uids [Uid]>),
    /// What was copied, in order of UID, as far as it still is what was copied.
    Copied(&'uids [Copied]),
}

/// A message that was not removed.
#[derive(Debug)]
pub(super) struct Stayed {
    pub(super) uid: Uid,
    pub(super) flags: Flags,
    pub(super) tail: Tail,
}

/// Removes messages, durably. Their lines in the UID list stay until it is written anew.
pub(super) fn expunge(
    mailbox: &Mailbox,
    pin: Pin,
    which: Which<'_>,
) -> Result<Arc<Snapshot>, StoreError> {
    let mut held = mailbox.hold_of(pin)?;
    held.expunge(which, &mut Vec::new())?;
    Ok(held.snapshot())
}

impl Held<'_> {
    /// Removes messages, durably. Those whose files went here, and that nobody else removed, are
    /// put into `removed`, also on an error. Returns those that are not to go as they are now.
    pub(super) fn expunge(
        &mut self,
        which: Which<'_>,
        removed: &mut Vec<Uid>,
    ) -> Result<Vec<Stayed>, StoreError> {
        let (before, meant) = (Looks::at(&self.folders)?, self.uid_validity());
        let mut removing = Removing {
            names: self.names()?,
            file: MessageFile::default(),
            places: Vec::new(),
            changes: Vec::new(),
            removed,
            stayed: Vec::new(),
            tally: Tally::of(self.mailbox, &self.folders),
        };
        let uids = uids(self, which);
        let done = uids.into_iter().try_for_each(|uid| removing.remove(self, uid, which));
        let synced = self.sync_places(&removing.places);
        // What is gone may come back with the next power cut, or not: who looks next reads all.
        synced.inspect_err(|_| self.known.files = Files::InDoubt)?;
        removing.tally.tell();
        // Those of another UIDVALIDITY were read from the files since.
        if !removing.changes.is_empty() && self.uid_validity() == meant {
            self.record(removing.changes, before);
        }
        done?;
        Ok(removing.stayed)
    }
}

/// Messages that are being removed.
#[derive(Debug)]
struct Removing<'uids> {
    names: Names,
    file: MessageFile,
    /// Directories that files were removed from.
    places: Vec<Place>,
    changes: Vec<Change>,
    removed: &'uids mut Vec<Uid>,
    stayed: Vec<Stayed>,
    tally: Tally,
}

impl Removing<'_> {
    /// Removes a message's file, if it is still to go under the name that it has now.
    fn remove(
        &mut self,
        held: &mut Held<'_>,
        uid: Uid,
        which: Which<'_>,
    ) -> Result<(), StoreError> {
        let Some(live) = held.locate(&mut self.names, uid, &mut self.file)? else { return Ok(()) };
        let (mut flags, mut tail) = (live.flags, live.tail);
        attempts::until_done(held.mailbox.path(), || {
            if !which.takes(uid, flags, &tail) {
                if flags != live.flags {
                    self.changes.push(Change::Flagged { uid, flags, tail: tail.clone() });
                }
                self.stayed.push(Stayed { uid, flags, tail: tail.clone() });
                return Ok(Some(()));
            }
            let dir = held.folders.at(self.file.place);
            let size = self.tally.size(dir, &self.file.name);
            if disk::found(dir.unlink(&self.file.name))?.is_some() {
                self.tally.went(size);
                self.removed.push(uid);
                if !self.places.contains(&self.file.place) {
                    self.places.push(self.file.place);
                }
            } else if let Some(found) = held.folders.find(name::base(&self.file.name))? {
                (flags, tail) = Tail::of_message(found.place, &found.name, live.flags);
                self.file = found;
                return Ok(None);
            }
            self.changes.push(Change::Gone(uid));
            Ok(Some(()))
        })
    }
}

impl Which<'_> {
    /// Whether a message is to go as it is now.
    fn takes(self, uid: Uid, flags: Flags, tail: &Tail) -> bool {
        match self {
            Self::These(_) => true,
            Self::Deleted(_) => flags.has(Flags::DELETED),
            Self::Copied(copied) => Copied::find(copied, uid)
                .is_some_and(|one| one.flags == flags && one.tail.is_like(tail)),
        }
    }
}

/// In order, so that their lines are read in one go.
fn uids(held: &mut Held<'_>, which: Which<'_>) -> Vec<Uid> {
    let mut uids = match which {
        Which::These(uids) | Which::Deleted(Some(uids)) => uids.to_vec(),
        Which::Copied(copied) => copied.iter().map(|one| one.uid).collect(),
        Which::Deleted(None) => {
            let messages = held.index().messages.iter();
            let deleted = messages.filter(|entry| entry.flags.has(Flags::DELETED));
            deleted.map(|entry| entry.uid).collect()
        }
    };
    uids.sort_unstable();
    uids.dedup();
    uids
}
