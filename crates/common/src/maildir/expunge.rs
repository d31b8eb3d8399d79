//! Messages are removed: unlinked, and the directories synced before anybody is told.

use std::collections::HashSet;
use std::sync::Arc;

use mail_proto::mailbox::{Flags, Snapshot, Uid};

use super::StoreError;
use super::held::{Held, Unlinked};
use super::known::Looks;
use super::mailbox::{Mailbox, Pin};
use super::name::Marks;
use super::scan::{Located, Place};

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
    let mut places = Vec::new();
    let mut failed = None;
    let mut gone = HashSet::new();
    for uid in uids(&mut held, which) {
        match held.unlink(uid, |file| is_wanted(file, which)) {
            Ok(Unlinked::From(place)) => {
                gone.insert(uid);
                places.push(place);
            }
            Ok(Unlinked::Before) => {
                gone.insert(uid);
            }
            Ok(Unlinked::Kept) => {}
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    for place in [Place::New, Place::Cur] {
        if places.contains(&place) {
            held.folders.at(place).sync()?;
        }
    }
    held.known().remove(&gone);
    held.changed(before)?;
    match failed {
        Some(error) => Err(error),
        None => Ok(held.snapshot()),
    }
}

fn uids(held: &mut Held<'_>, which: Which<'_>) -> Vec<Uid> {
    match which {
        Which::These(uids) | Which::Deleted(Some(uids)) => uids.to_vec(),
        Which::Deleted(None) => held.known().live().iter().map(|live| live.uid).collect(),
    }
}

fn is_wanted(file: &Located, which: Which<'_>) -> bool {
    match which {
        Which::These(_) => true,
        Which::Deleted(_) => Marks::of(&file.name).system & Flags::DELETED != 0,
    }
}
