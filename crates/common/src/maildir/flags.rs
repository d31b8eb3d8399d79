//! Flags: they are in the files' names, so changing them is renaming.
//!
//! Renames are not synced: IMAP promises nothing about flags, Dovecot does the same, and after a
//! power cut the names are listed again and count.

use std::sync::Arc;

use mail_proto::mailbox::{self, FlagChange, Flags, Snapshot, Uid};

use super::StoreError;
use super::held::Held;
use super::index::Change;
use super::keywords::{self, Room};
use super::looks::Looks;
use super::mailbox::{Mailbox, Pin};
use super::names::Names;
use super::scan::MessageFile;
use super::tail::Tail;
use super::{attempts, name};
use crate::disk::Lasting;

/// Changes flags; UIDs that are gone are passed over.
pub(super) fn change(
    mailbox: &Mailbox,
    pin: Pin,
    uids: &[Uid],
    change: &FlagChange,
) -> Result<Arc<Snapshot>, StoreError> {
    Ok(change_unchanged(mailbox, pin, uids, change, u64::MAX)?.0)
}

/// The same for messages that did not change after a modseq (RFC 7162, 3.1.3); returns the UIDs of
/// those that did, too.
pub(super) fn change_unchanged(
    mailbox: &Mailbox,
    pin: Pin,
    uids: &[Uid],
    change: &FlagChange,
    since: u64,
) -> Result<(Arc<Snapshot>, Vec<Uid>), StoreError> {
    let mut held = mailbox.hold_of(pin)?;
    let keywords = bits(&mut held, change)?;
    pin.check(&held.snapshot())?;
    // In order, so that their lines are read in one go.
    let mut uids = uids.to_vec();
    uids.sort_unstable();
    uids.dedup();
    let refused = refused(&mut held, &mut uids, since)?;
    let mut marking = Marking::begin(&held)?;
    let done = uids.iter().try_for_each(|uid| {
        marking.mark(&mut held, *uid, |flags, old| {
            let new = changed(flags, change, keywords);
            (new, if new == flags { old.clone() } else { old.with_flags(new) })
        })
    });
    let ended = marking.end(&mut held);
    done.and(ended)?;
    Ok((held.snapshot(), refused))
}

/// Takes out those that changed after a modseq.
fn refused(held: &mut Held<'_>, uids: &mut Vec<Uid>, since: u64) -> Result<Vec<Uid>, StoreError> {
    let mut refused = Vec::new();
    if since >= held.index().head.modseq {
        return Ok(refused);
    }
    for uid in uids.iter() {
        if held.live(*uid)?.is_some_and(|live| live.fact.modseq > since) {
            refused.push(*uid);
        }
    }
    uids.retain(|uid| refused.binary_search(uid).is_err());
    Ok(refused)
}

/// A session is told of new messages: those in `new` move to `cur`. Returns the first UID that
/// nobody was told of before.
pub(super) fn claim(mailbox: &Mailbox) -> Result<Uid, StoreError> {
    if let Some(first) = nothing_to_claim(mailbox)? {
        return Ok(first);
    }
    let mut held = mailbox.hold()?;
    let first = held.index().head.recent_from;
    let mut marking = Marking::begin(&held)?;
    let (in_new, next) = (held.index().head.in_new.clone(), held.index().head.uid_next);
    let done = in_new
        .iter()
        .try_for_each(|uid| marking.mark(&mut held, *uid, |flags, old| (flags, old.in_cur())));
    marking.changes.push(Change::Recent(next));
    let ended = marking.end(&mut held);
    done.and(ended)?;
    Ok(first)
}

/// The first UID that nobody was told of, if there is no message from there on.
fn nothing_to_claim(mailbox: &Mailbox) -> Result<Option<Uid>, StoreError> {
    mailbox.sync()?;
    let known = mailbox.known();
    let head = known.index.as_ref().map(|index| &index.head);
    let nothing = head.filter(|head| head.in_new.is_empty() && head.recent_from >= head.uid_next);
    Ok(nothing.map(|head| head.recent_from))
}

/// Names that are being changed, and what changed so far.
#[derive(Debug)]
pub(super) struct Marking {
    meant: Option<u32>,
    before: Looks,
    names: Names,
    from: MessageFile,
    to: MessageFile,
    changes: Vec<Change>,
}

impl Marking {
    pub(super) fn begin(held: &Held<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            meant: held.uid_validity(),
            before: Looks::at(&held.folders)?,
            names: held.names()?,
            from: MessageFile::default(),
            to: MessageFile::default(),
            changes: Vec::new(),
        })
    }

    /// Gives a message other flags, and another end of its name, made of what it has. If another
    /// program renamed it a moment ago, its new name counts: there may be flags in it.
    pub(super) fn mark(
        &mut self,
        held: &mut Held<'_>,
        uid: Uid,
        change: impl Fn(Flags, &Tail) -> (Flags, Tail),
    ) -> Result<(), StoreError> {
        let Some(live) = held.locate(&mut self.names, uid, &mut self.from)? else { return Ok(()) };
        let (mut flags, mut tail) = (live.flags, live.tail.clone());
        attempts::until_done(held.mailbox.path(), || {
            let new = change(flags, &tail);
            if (flags, &tail) == (live.flags, &live.tail) && (new.0, &new.1) == (flags, &tail) {
                return Ok(Some(()));
            }
            new.1.locate(name::base(&self.from.name), new.0, &mut self.to);
            match held.rename(&self.from, &self.to)? {
                Renamed::Done => {
                    let (flags, tail) = new;
                    self.changes.push(Change::Flagged { uid, flags, tail });
                }
                Renamed::Before(found) => {
                    (flags, tail) = Tail::of_message(found.place, &found.name, live.flags);
                    self.from = found;
                    return Ok(None);
                }
                Renamed::Gone => self.changes.push(Change::Gone(uid)),
            }
            Ok(Some(()))
        })
    }

    /// Makes all of it known. Under another UIDVALIDITY the files were read since.
    pub(super) fn end(self, held: &mut Held<'_>) -> Result<(), StoreError> {
        if self.changes.is_empty() || held.uid_validity() != self.meant {
            return Ok(());
        }
        let kept = held.keep_more(&self.changes, Lasting::No);
        held.record(self.changes, self.before);
        kept
    }
}

/// What became of a file that was to be renamed.
#[derive(Debug)]
pub(super) enum Renamed {
    /// It has the new name.
    Done,
    /// Another program had given it this name.
    Before(MessageFile),
    /// It is not there any more.
    Gone,
}

impl Held<'_> {
    /// Renames a message's file.
    fn rename(&self, from: &MessageFile, to: &MessageFile) -> Result<Renamed, StoreError> {
        if from == to {
            return Ok(Renamed::Done);
        }
        let (source, target) = (self.folders.at(from.place), self.folders.at(to.place));
        match source.rename_new(&from.name, target, &to.name) {
            Ok(()) => Ok(Renamed::Done),
            // Somebody is just giving it this name, or died while doing so.
            Err(error) if error.is_taken() && self.folders.are_one(from, to)? => Ok(Renamed::Done),
            Err(error) if error.is_missing() => {
                match self.folders.find(name::base(&from.name))? {
                    // It is there: what is missing is where it was to go.
                    Some(found) if found == *from => Err(error.into()),
                    found => Ok(found.map_or(Renamed::Gone, Renamed::Before)),
                }
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn bits(held: &mut Held<'_>, change: &FlagChange) -> Result<u64, StoreError> {
    let named = &change.flags.keywords;
    if change.how == mailbox::Change::Remove {
        // A keyword that nobody knows is on no message.
        return Ok(keywords::bits(&held.index().head.keywords, named).0);
    }
    let (bits, left) = held.bits(named, Room::ForAll)?;
    match left.first() {
        Some(keyword) => Err(StoreError::Keywords((*keyword).to_owned())),
        None => Ok(bits),
    }
}

fn changed(old: Flags, change: &FlagChange, keywords: u64) -> Flags {
    let system = change.flags.system;
    match change.how {
        mailbox::Change::Replace => Flags { system, keywords },
        mailbox::Change::Add => {
            Flags { system: old.system | system, keywords: old.keywords | keywords }
        }
        mailbox::Change::Remove => {
            Flags { system: old.system & !system, keywords: old.keywords & !keywords }
        }
    }
}
