//! Messages are removed: unlinked, and the directories synced before anybody is told.

use std::sync::Arc;

use mail_proto::mailbox::{Flags, Snapshot, Uid};

use super::StoreError;
use super::held::Held;
use super::index::Change;
use super::known::{Files, Looks};
use super::mailbox::{Mailbox, Pin};
use super::names::Names;
use super::quota::Tally;
use super::scan::{Located, Place};
use super::{name, tail};

/// What is to be removed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which<'uids> {
    /// These messages; UIDs that are gone are passed over.
    These(&'uids [Uid]),
    /// What is `\Deleted` when its turn comes, of all messages or of these. Who takes that flag
    /// away before has saved the message.
    Deleted(Option<&'uids [Uid]>),
}

/// Removes messages, durably. Their lines in the UID list stay until it is written anew.
pub(super) fn expunge(
    mailbox: &Mailbox,
    pin: Pin,
    which: Which<'_>,
) -> Result<Arc<Snapshot>, StoreError> {
    let mut held = mailbox.hold_of(pin)?;
    let before = Looks::at(&held.folders)?;
    let mut removing = Removing {
        names: held.names()?,
        file: Located::default(),
        places: Vec::new(),
        changes: Vec::new(),
        tally: Tally::of(mailbox, &held.folders),
    };
    let uids = uids(&mut held, which);
    let done = uids.into_iter().try_for_each(|uid| removing.remove(&mut held, uid, which));
    let synced = held.sync_places(&removing.places);
    // What is gone may come back with the next power cut, or not: who looks next reads all.
    synced.inspect_err(|_| held.known.files = Files::InDoubt)?;
    removing.tally.tell();
    if !removing.changes.is_empty() {
        held.record(removing.changes, before);
    }
    done?;
    Ok(held.snapshot())
}

/// Messages that are being removed.
#[derive(Debug)]
struct Removing {
    names: Names,
    file: Located,
    /// Directories that files were removed from.
    places: Vec<Place>,
    changes: Vec<Change>,
    tally: Tally,
}

impl Removing {
    /// Removes a message's file, if it is still to go under the name that it has now.
    fn remove(
        &mut self,
        held: &mut Held<'_>,
        uid: Uid,
        which: Which<'_>,
    ) -> Result<(), StoreError> {
        let Some(live) = held.locate(&mut self.names, uid, &mut self.file)? else { return Ok(()) };
        let (mut flags, mut tail) = (live.flags, live.tail);
        loop {
            if matches!(which, Which::Deleted(_)) && !flags.has(Flags::DELETED) {
                if flags != live.flags {
                    self.changes.push(Change::Flagged { uid, flags, tail });
                }
                return Ok(());
            }
            let dir = held.folders.at(self.file.place);
            let size = self.tally.size(dir, &self.file.name);
            match dir.unlink(&self.file.name) {
                Ok(()) => {
                    self.tally.went(size);
                    if !self.places.contains(&self.file.place) {
                        self.places.push(self.file.place);
                    }
                    break;
                }
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error.into()),
            }
            let Some(found) = held.folders.find(name::base(&self.file.name))? else { break };
            (flags, tail) = tail::of(found.place, &found.name);
            flags.keywords |= live.flags.keywords & !tail::LETTERS;
            self.file = found;
        }
        self.changes.push(Change::Gone(uid));
        Ok(())
    }
}

/// In order, so that their lines are read in one go.
fn uids(held: &mut Held<'_>, which: Which<'_>) -> Vec<Uid> {
    let mut uids = match which {
        Which::These(uids) | Which::Deleted(Some(uids)) => uids.to_vec(),
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
