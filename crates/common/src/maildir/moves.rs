//! MOVE (RFC 6851): messages leave one mailbox for another with what they are when they leave.
//!
//! Each is copied, the copies last, then the originals go: killed in between, a message is in both
//! mailboxes. Both are locked all that time, so to our sessions it is one step. The locks are taken
//! in one order, whatever the direction: see [`lock`](super::lock).
//!
//! Programs that know nothing of our locks may still change or remove an original after it was
//! copied:
//!
//! - It gets another name, for it has other flags. An original goes only under the very name that
//!   was copied. If it has another one, the copy is given the same change first, and then it is
//!   tried again.
//! - It is removed, or moved. That was first, and our copy goes again.

use std::sync::Arc;

use mail_proto::mailbox::{Flags, Snapshot, Uid};

use super::copy::{self, Copied, Translation};
use super::expunge::{Stayed, Which};
use super::flags::Marking;
use super::held::Held;
use super::mailbox::{Mailbox, Pin};
use super::{StoreError, attempts, lock};

/// Messages on their way, copied already.
#[derive(Debug)]
pub(super) struct Move<'mailbox> {
    ends: Ends<'mailbox>,
    /// Under which UIDVALIDITY the originals have their UIDs.
    meant: Pin,
    /// Under which one the copies have theirs.
    uid_validity: u32,
    /// In order of UID.
    copied: Vec<Copied>,
}

/// Messages that were moved.
#[derive(Debug)]
pub(super) struct Arrived {
    /// The target's UIDVALIDITY.
    pub(super) uid_validity: u32,
    /// In order of UID.
    pub(super) messages: Vec<Copied>,
    /// How the source looks then.
    pub(super) snapshot: Arc<Snapshot>,
}

impl<'mailbox> Move<'mailbox> {
    /// Copies messages; UIDs that are gone are passed over.
    pub(super) fn begin(
        source: &'mailbox Mailbox,
        pin: Pin,
        uids: &[Uid],
        target: &'mailbox Mailbox,
    ) -> Result<Self, StoreError> {
        let mut ends = Ends::hold(source, pin, target)?;
        let meant = Pin(Some(ends.source.snapshot().uid_validity));
        let originals = copy::originals(&mut ends.source, uids)?;
        let copied = copy::copy_into(ends.target(), originals)?;
        let uid_validity = ends.target().index().head.uid_validity;
        Ok(Self { ends, meant, uid_validity, copied })
    }

    /// Removes the originals. On an error, what was not moved is in the source alone, as far as
    /// that can be done.
    pub(super) fn finish(mut self) -> Result<Arrived, StoreError> {
        let mut removed = Vec::with_capacity(self.copied.len());
        let left = self.leave(&mut removed);
        removed.sort_unstable();
        let (messages, rest): (Vec<_>, Vec<_>) =
            self.copied.drain(..).partition(|one| removed.binary_search(&one.uid).is_ok());
        self.take_back(&rest);
        left?;
        let snapshot = self.ends.source.snapshot();
        Ok(Arrived { uid_validity: self.uid_validity, messages, snapshot })
    }

    /// Removes the originals, and says which.
    fn leave(&mut self, removed: &mut Vec<Uid>) -> Result<(), StoreError> {
        let mut staying = self.copied.clone();
        attempts::until_done(self.ends.source.mailbox.path(), || {
            self.meant.check(&self.ends.source.snapshot())?;
            let stayed = self.ends.source.expunge(Which::Copied(&staying), removed)?;
            if stayed.is_empty() {
                return Ok(Some(()));
            }
            staying = self.carry(&staying, stayed)?;
            Ok(None)
        })
    }

    /// Gives copies the changes that their originals got. Returns them as they are then.
    fn carry(&mut self, copied: &[Copied], stayed: Vec<Stayed>) -> Result<Vec<Copied>, StoreError> {
        let keywords = self.ends.source.index().head.keywords.clone();
        let flags = copied.iter().map(|one| one.flags).chain(stayed.iter().map(|one| one.flags));
        let used = flags.fold(0, |used, flags| used | flags.keywords);
        let held = self.ends.target();
        let translation = Translation::new(&keywords, used, held)?;
        if held.uid_validity() != Some(self.uid_validity) {
            return Err(StoreError::Replaced);
        }
        let mut marking = Marking::begin(held)?;
        let mut now = Vec::with_capacity(stayed.len());
        let done = stayed.into_iter().try_for_each(|stayed| {
            let Some(old) = Copied::find(copied, stayed.uid) else { return Ok(()) };
            let [from, to] = [old.flags, stayed.flags].map(|flags| translation.flags(flags));
            let marked = marking.mark(held, old.copy, |flags, tail| {
                let new = changed(flags, from, to);
                match old.tail.is_like(&stayed.tail) {
                    true if new == flags => (new, tail.clone()),
                    true => (new, tail.with_flags(new)),
                    // Others wrote something else into the name.
                    false => (new, stayed.tail.with_flags(new)),
                }
            });
            now.push(Copied { flags: stayed.flags, tail: stayed.tail, ..*old });
            marked
        });
        let ended = marking.end(held);
        done.and(ended)?;
        Ok(now)
    }

    /// Removes the copies of messages that we did not remove: they are in the source, or wherever
    /// others took them.
    fn take_back(&mut self, rest: &[Copied]) {
        if rest.is_empty() {
            return;
        }
        let copies: Vec<Uid> = rest.iter().map(|one| one.copy).collect();
        let target = self.ends.target();
        let undone = match target.uid_validity() == Some(self.uid_validity) {
            true => target.expunge(Which::These(&copies), &mut Vec::new()).map(|_| ()),
            // Other messages have these UIDs.
            false => Err(StoreError::Replaced),
        };
        if let Err(error) = undone {
            tracing::error!(%error, "messages that were to be moved are in both mailboxes");
        }
    }
}

/// Two mailboxes held at once.
#[derive(Debug)]
struct Ends<'mailbox> {
    source: Held<'mailbox>,
    /// `None`: it is the source.
    target: Option<Held<'mailbox>>,
}

impl<'mailbox> Ends<'mailbox> {
    fn hold(
        source: &'mailbox Mailbox,
        pin: Pin,
        target: &'mailbox Mailbox,
    ) -> Result<Self, StoreError> {
        if source.places() == target.places() {
            return Ok(Self { source: source.hold_of(pin)?, target: None });
        }
        if lock::is_before(source.path(), target.path()) {
            let source = source.hold_of(pin)?;
            return Ok(Self { source, target: Some(target.hold()?) });
        }
        let target = target.hold()?;
        Ok(Self { source: source.hold_of(pin)?, target: Some(target) })
    }

    fn target(&mut self) -> &mut Held<'mailbox> {
        self.target.as_mut().unwrap_or(&mut self.source)
    }
}

/// The same change to other flags: somebody may have changed those of the copy too.
fn changed(flags: Flags, from: Flags, to: Flags) -> Flags {
    Flags {
        system: flags.system & !(from.system & !to.system) | (to.system & !from.system),
        keywords: flags.keywords & !(from.keywords & !to.keywords) | (to.keywords & !from.keywords),
    }
}
