//! Flags: they are in the files' names, so changing them is renaming.

use std::sync::Arc;

use mail_proto::mailbox::{Change, FlagChange, Snapshot, Uid};

use super::StoreError;
use super::held::Held;
use super::known::Looks;
use super::mailbox::{Mailbox, Pin};
use super::name::{self, Marks};
use super::scan::{Located, Place};

/// Changes flags; UIDs that are gone are passed over. Flags are not synced: IMAP promises nothing
/// about them, and a rename that is lost leaves the old ones.
pub(super) fn change(
    mailbox: &Mailbox,
    pin: Pin,
    uids: &[Uid],
    change: &FlagChange,
) -> Result<Arc<Snapshot>, StoreError> {
    let mut held = mailbox.hold_of(pin)?;
    let keywords = letters(&mut held, change)?;
    let before = Looks::at(&held.folders)?;
    for uid in uids {
        held.rename(*uid, |file| {
            let old = Marks::of(&file.name);
            let new = changed(&old, change, keywords);
            if new == old {
                return file.clone();
            }
            let name = format!("{}:{new}", name::base(&file.name)).into();
            Located { place: Place::Cur, name }
        })?;
    }
    held.changed(before)?;
    Ok(held.snapshot())
}

/// Moves all messages from `new` to `cur`: a session was told of them. Returns the first UID that
/// nobody was told of before.
pub(super) fn claim(mailbox: &Mailbox) -> Result<Uid, StoreError> {
    let mut held = mailbox.hold()?;
    let first = held.known().recent_from();
    let before = Looks::at(&held.folders)?;
    for uid in held.known().uids_in_new() {
        held.rename(uid, |file| match file.place {
            Place::Cur => file.clone(),
            Place::New => Located { place: Place::Cur, name: with_flags(&file.name) },
        })?;
    }
    held.changed(before)?;
    let next = held.snapshot().uid_next;
    held.known().unclaimed = next;
    Ok(first)
}

/// In `cur` each name says of flags, if only that there are none.
fn with_flags(name: &str) -> Box<str> {
    if name.contains(':') { name.into() } else { format!("{name}:2,").into() }
}

fn letters(held: &mut Held<'_>, change: &FlagChange) -> Result<u64, StoreError> {
    if change.how == Change::Remove {
        // A keyword that nobody knows is on no message.
        return Ok(held.known().known_letters(&change.flags.keywords));
    }
    let (bits, left) = held.letters(&change.flags.keywords)?;
    match left.first() {
        Some(keyword) => Err(StoreError::Keywords((*keyword).to_owned())),
        None => Ok(bits),
    }
}

fn changed(old: &Marks, change: &FlagChange, keywords: u64) -> Marks {
    let mut marks = old.clone();
    let system = change.flags.system;
    match change.how {
        Change::Replace => (marks.system, marks.keywords) = (system, keywords),
        Change::Add => {
            marks.system |= system;
            marks.keywords |= keywords;
        }
        Change::Remove => {
            marks.system &= !system;
            marks.keywords &= !keywords;
        }
    }
    marks
}
