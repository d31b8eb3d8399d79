//! How the directories of messages look, and whether that proves that nothing changed.
//!
//! Time stamps have a grain: what happens after a listing, but within the same tick, leaves no
//! trace. So how long ago a directory changed counts as well, and who did it.

use std::time::{Duration, SystemTime};

use crate::disk::{Dir, Stat};

use super::StoreError;
use super::scan::Folders;

/// How both directories look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Looks {
    pub(super) new: Look,
    pub(super) cur: Look,
}

/// How a directory looked when it was listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) stat: Stat,
    pub(super) trust: Trust,
}

/// Whether the same time stamp proves that nothing changed. Time stamps have the grain of the
/// kernel's tick: what happens after the listing but within the same tick leaves the stamp as it
/// is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// It does.
    Proof,
    /// It does not: the directory had changed just before it was listed.
    Recent,
    /// It does not, but the change was ours, and what others may have done in the same tick is
    /// looked for once that is over.
    RecentByUs,
}

/// Whether a change by others may be hidden behind one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hidden {
    /// No.
    None,
    /// Perhaps; a listing now tells.
    Ripe,
    /// Perhaps, and more may be hidden yet.
    Fresh,
}

/// A directory that changed less than this ago may change again without a new time stamp.
const GRAIN: Duration = Duration::from_millis(100);

/// The same where time stamps seem to be whole seconds (small inodes, old NFS).
const COARSE_GRAIN: Duration = Duration::from_secs(2);

/// A time stamp may be ahead of us by so much, for it is of a file server's clock. One that is
/// further ahead is of a clock that was set back: the next change has another.
const AHEAD: Duration = Duration::from_secs(60 * 60);

/// So many files in `new` are listed in less time than one of them is synced.
const FEW_IN_NEW: usize = 256;

impl Looks {
    /// How both look now.
    pub(super) fn at(folders: &Folders) -> Result<Self, StoreError> {
        Ok(Self { new: Look::at(&folders.new)?, cur: Look::at(&folders.cur)? })
    }

    /// How both look after a change of ours; `before` is how they looked just before it, when so
    /// many messages were known to be in `new`.
    ///
    /// Deliveries take no lock, so one may have come into `new` meanwhile: where it is cheap to
    /// list, the next who looks does it.
    pub(super) fn after_ours(
        self,
        before: Self,
        folders: &Folders,
        in_new: usize,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            new: match in_new <= FEW_IN_NEW {
                true => self.new,
                false => self.new.after_ours(before.new, &folders.new)?,
            },
            cur: self.cur.after_ours(before.cur, &folders.cur)?,
        })
    }

    /// Whether neither changed; `now` is how they look now.
    pub(super) fn hold(self, now: Self) -> bool {
        self.new.holds(now.new) && self.cur.holds(now.cur)
    }

    /// Whether one had changed just before.
    pub(super) fn were_recent(self) -> bool {
        self.new.was_recent() || self.cur.was_recent()
    }
}

impl Look {
    /// How a directory looks now, before it is listed.
    pub(super) fn at(dir: &Dir) -> Result<Self, StoreError> {
        let stat = dir.stat_self()?;
        let trust = if is_recent(&stat) { Trust::Recent } else { Trust::Proof };
        Ok(Self { stat, trust })
    }

    /// How it looks after a change of ours; `self` is how it was known, `before` how it was just
    /// before the change.
    pub(super) fn after_ours(self, before: Self, dir: &Dir) -> Result<Self, StoreError> {
        let stat = dir.stat_self()?;
        // Not changed by us; or somebody else changed it too, and it is to be listed again.
        if stat == self.stat || self.stat != before.stat || self.trust == Trust::Recent {
            return Ok(self);
        }
        Ok(Self { stat, trust: Trust::RecentByUs })
    }

    /// Whether it need not be listed again before all else; `now` is how it looks now.
    pub(super) fn holds(self, now: Self) -> bool {
        self.stat == now.stat && self.trust != Trust::Recent
    }

    /// Whether changes by others may be hidden behind ours.
    pub(super) fn hidden(self) -> Hidden {
        match self.trust {
            Trust::Proof | Trust::Recent => Hidden::None,
            Trust::RecentByUs if is_recent(&self.stat) => Hidden::Fresh,
            Trust::RecentByUs => Hidden::Ripe,
        }
    }

    /// Whether it is the same directory, whatever is in it.
    pub(super) fn is_same_directory(self, other: Self) -> bool {
        self.stat.is_file_of(&other.stat)
    }

    /// Whether it changed just before it was listed, so that a rename may have hidden a file.
    pub(super) fn was_recent(self) -> bool {
        self.trust != Trust::Proof
    }
}

fn is_recent(stat: &Stat) -> bool {
    let since = Duration::new(
        u64::try_from(stat.modified.seconds).unwrap_or_default(),
        stat.modified.nanoseconds,
    );
    let grain = if stat.modified.nanoseconds == 0 { COARSE_GRAIN } else { GRAIN };
    match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + since) {
        Ok(age) => age < grain,
        Err(ahead) => ahead.duration() < AHEAD,
    }
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Stamp;
    use crate::time;

    #[test]
    fn a_time_stamp_proves_nothing_while_the_next_change_may_have_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let mut stat = Dir::open(directory.path()).unwrap().stat_self().unwrap();
        let now = time::now_seconds();
        for (seconds, nanoseconds, recent) in [
            // Whole seconds.
            (now, 0, true),
            (now - 3, 0, false),
            (now - 1, 1, false),
            // Of clocks that are ahead.
            (now + 5, 1, true),
            (now + 3500, 0, true),
            (now + 3700, 1, false),
        ] {
            stat.modified = Stamp { seconds, nanoseconds };
            assert_eq!(is_recent(&stat), recent, "{seconds}.{nanoseconds} at {now}");
        }
    }
}
