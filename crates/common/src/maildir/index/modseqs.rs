//! Modseqs are never given twice, whatever a power cut takes.
//!
//! Most of the log is not synced: a power cut takes the newest frames, and clients may have seen
//! their modseqs (RFC 7162, 3.1: they only rise). The clock cannot be relied on to be beyond them:
//! it may be set back, or have no battery. So a mark that lasts says up to where modseqs may be
//! shown, and after another boot the next one is above the mark.
//!
//! A snapshot, which is synced, is the mark of the [`RESERVE`] modseqs after its own. Within these
//! a modseq is one more than the last. When half of them are used, a frame of its own moves the
//! mark, and is synced before another frame stands behind it: so who reads without a lock never
//! reads a modseq above a mark that may be lost. A log has a new snapshot long before that, most
//! of the time. That leaves one sync for each mailbox and boot, when it is listed whole anyway.
//!
//! Readers show nothing of another boot before the lock was taken and the mailbox listed, so no
//! client sees that modseqs jump only then.
//!
//! The reserve is small, for modseqs should not be above the microseconds since 1970, from which
//! they go on if the index is lost: a machine does not start in less than a 15th of a second.

use super::apply::MODSEQ;
use super::files::Step;
use super::{Change, Index};
use crate::disk::{Dir, Lasting};
use crate::maildir::StoreError;
use crate::time;

/// So many modseqs may be shown that no sync told of.
pub(super) const RESERVE: u64 = 1 << 16;

/// The modseq after another one, where nothing tells which were shown since: not below the
/// microseconds since 1970. There is none above 2^63-1.
pub(in crate::maildir) fn after(last: u64) -> u64 {
    last.saturating_add(1).max(time::now_micros()).min(MODSEQ)
}

/// The mark that lasts if this modseq does.
pub(super) fn reserved_by(modseq: u64) -> u64 {
    modseq.saturating_add(RESERVE).min(MODSEQ)
}

impl Index {
    /// Above all modseqs that were ever shown.
    pub(in crate::maildir) fn fresh_modseq(&self) -> u64 {
        after(self.head.modseq.max(self.modseqs_to))
    }

    /// That of the next transaction, after [`reserve_modseqs`](Self::reserve_modseqs).
    pub(super) fn next_modseq(&self) -> u64 {
        match self.step {
            Step::In => self.head.modseq.saturating_add(1).min(MODSEQ),
            // Somebody may have read more of the log than there is now.
            Step::Ahead | Step::Out => self.fresh_modseq(),
        }
    }

    /// Moves the mark in time, durably, in a transaction of its own. Out of step with the log there
    /// will be a snapshot.
    pub(super) fn reserve_modseqs(&mut self, dir: &Dir) -> Result<(), StoreError> {
        let left = self.modseqs_to.saturating_sub(self.head.modseq);
        let enough = left > RESERVE / 2 || self.modseqs_to == MODSEQ;
        if self.step != Step::In || self.this_boot && enough {
            return Ok(());
        }
        let modseq = match self.this_boot && left > 0 {
            true => self.head.modseq.saturating_add(1),
            false => self.fresh_modseq(),
        };
        let changes = vec![Change::Modseqs(reserved_by(modseq))];
        if let Err(error) = self.append(dir, modseq, &changes, Lasting::Yes) {
            self.step = Step::Ahead;
            return Err(error);
        }
        if self.step == Step::In {
            self.apply(modseq, changes);
        }
        Ok(())
    }
}
