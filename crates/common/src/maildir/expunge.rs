//! Messages are removed: unlinked, and the directories synced before anybody is told.

use std::collections::HashSet;
use std::sync::Arc;

use mail_proto::mailbox::{Snapshot, Uid};

use super::StoreError;
use super::known::Looks;
use super::mailbox::Mailbox;
use super::scan::Place;

/// Removes messages, durably; UIDs that are gone are passed over. Their lines in the UID list
/// stay until it is written anew.
pub(super) fn expunge(mailbox: &Mailbox, uids: &[Uid]) -> Result<Arc<Snapshot>, StoreError> {
    let mut held = mailbox.hold()?;
    let before = Looks::at(&held.folders)?;
    let mut places = Vec::new();
    let mut failed = None;
    let mut gone = HashSet::new();
    for uid in uids {
        let Some(place) = held.known().file(*uid).map(|file| file.place) else { continue };
        match held.unlink(*uid) {
            Ok(_) => {
                gone.insert(*uid);
                places.push(place);
            }
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
