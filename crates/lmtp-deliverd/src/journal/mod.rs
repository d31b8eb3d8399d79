//! Which deliveries were made: what makes that mtad may repeat any of them.
//!
//! mtad repeats a delivery whose 250 it did not hear, or could not write down before it died; and
//! the message may be in its mailbox all the same, or may have been there until its reader moved or
//! deleted it. So each delivery has an id that all attempts at it share, and each that was made is
//! recorded here, in memory and on the disk, before its 250.
//!
//! # What becomes of an attempt
//!
//! - Its delivery is recorded: 250 at once, and nobody looks at the mailbox.
//! - A note says that readers were about to see the message, and its process died before it could
//!   record more. If they saw it, what is in the mailbox still is made to last, and no second copy is
//!   made. If not, it is as if there was no note.
//! - Its id is so old that a process before us may have had it, or that we have forgotten it, or an
//!   attempt of ours failed: the mailbox is looked through for a file whose name has the id. What
//!   was found in it before serves too, unless it was found before the attempt that failed, or
//!   before we forgot anything: else a queue that piled up while no process ran would cost a look
//!   for each of its deliveries. Ids begin with the time at which their message was queued, so one
//!   moment tells these from the others: the start of this process, and from then on the newest id
//!   that was forgotten. The start is counted back from now, each time, by a clock that nobody sets,
//!   for after a power cut the other one may be minutes behind until it is set right; until then, what
//!   was queued before it has an id that is later than now. A few seconds are allowed for on both
//!   sides. (A name in `new` tells nothing of that: it holds the message's size, and a repeat that is
//!   for fewer recipients may have another.)
//! - Any other id is new. So it is for all mail in quiet times, whose delivery must not take
//!   longer in a large mailbox; only those before pay for a look through one.
//!
//! An attempt can begin while another one at the same delivery is still at work: mtad may have
//! died and be back before we notice. It waits for the other's end, which takes a thread: so it
//! waits for a moment only. If the other one's disk hangs, mtad is told to come again.
//!
//! # What a death at each point means
//!
//! First the message's file and its directory are synced, then the record is, then 250 is said. The
//! other way round a power cut between the two would leave a record without its message, and the
//! repeat, answered from the record, would lose the letter. So *a record is always true*, whether
//! it was synced or not; and that there is none proves nothing: then the mailbox is asked. It
//! follows that a damaged record, a torn one, one in a file whose sync failed, and one of a file
//! that is forgotten for want of room cost a look through a mailbox, and no more.
//!
//! | killed or cut off | the repeat finds |
//! |---|---|
//! | before the note | a file in `tmp`, or none: looks into the mailbox, and delivers |
//! | behind the note, before the message gets its name in `new` | killed: the note, and the file in `tmp`: as above. Power cut: as above |
//! | behind that, before the record | killed: the note, and no file in `tmp`. Power cut: the file in the mailbox |
//! | behind the record is written, before its sync | killed: the record. Power cut: as above |
//! | behind the sync | the record |
//!
//! "The file in the mailbox" is what was true before there was a journal: it finds the message in
//! `new`, or in `cur` with whatever flags, and does not find it once its reader has moved or deleted
//! it. So a second copy is made only where a reader took the message away in the milliseconds before
//! its record lasted, and the power was cut in just these, after the disk had the reader's change and
//! before it had the record.
//!
//! # What tells whether readers saw the message
//!
//! Only something that one step changes together with the mailbox, and that the reader's change
//! leaves alone. So while a message that may be repeated is written, its file has a name in `tmp`,
//! which all attempts at this delivery share, and one rename takes it from there into `new`. *Noted,
//! and gone from `tmp`*: it was in the mailbox. *Noted, and still there*: it was not. What follows:
//!
//! - The note is written when the file lasts, just before the rename.
//! - Nobody but the rename may take that file away as long as the note counts. An attempt that fails
//!   takes its note back first, and then removes the file; if the note cannot be taken back, the file
//!   stays. A repeat that finds both takes the note back before it writes the file anew. Where either
//!   is killed between its two steps there is no note, so the mailbox is asked, and the file in `tmp`
//!   is removed by the next attempt, or after 36 hours.
//! - Nobody else has the name: no two attempts at one delivery are under way at a time, and no other
//!   process has the journal. Other users' deliveries have other names, even where they share a
//!   mailbox and somebody gave them one id.
//! - Programs that look after a mailbox remove from `tmp` what is older than 36 hours. So a note
//!   counts for 24, by the clock that these go by. An older one, or one that is further ahead, for
//!   the clock was set meanwhile, says nothing.
//! - A note tells which directory `tmp` was. A mailbox that was moved away took the file with it, and
//!   what is found under its path says nothing. Then the other mailbox is asked.
//! - If `tmp` cannot be looked at, nothing is guessed: the delivery is put off.
//! - Where the name in `new` is taken, there was an attempt before that nobody knew of (a clock was
//!   set back): it is in the mailbox already. The file in `tmp` is removed, and killed before that,
//!   the repeat asks the mailbox.
//!
//! Two things still defeat it. Who empties `tmp` by hand between the death and the repeat makes a
//! letter look delivered that is not, where the death fell into the microsecond between note and
//! rename. And on a file system that cannot rename without replacing (NFS) the file has both names
//! for a moment; killed in it, the repeat asks the mailbox.
//!
//! The note costs no sync: after a kill the system still has all that was written. That holds for the
//! boot of the machine in which it was written, which therefore stands in it. Of a power cut it must
//! not say anything, for it may have reached the disk when the rename did not. To close that gap, too,
//! the name in `tmp` would have to last before the record says so: one more sync of a directory for
//! every delivery.
//!
//! An attempt that fails behind the rename leaves its note, because what it says is true: readers
//! saw the message, whether the sync of its directory failed or not. The repeat syncs what is there of
//! it, and only then says 250. But if the whole mailbox was moved away meanwhile, the note is taken
//! back: the message went with it.
//!
//! The file's name makes no delivery less safe than the others, which have none until they are whole:
//! its content is synced before the rename, and the directory after it.
//!
//! # How it is written
//!
//! Those who wait to be recorded stand in a line. Whoever finds nobody writing writes for all of
//! them: one write and one sync. Those who come meanwhile are the next group. [`files`] has the form
//! on the disk. A record has 64 octets, so a block is written again for the records that follow the
//! first in it; should the disk tear it, see above.
//!
//! When writing or syncing fails, the file is not written again: what stood in it is written into a
//! new one, from memory, with what was to be written. When that fails too, or there is no room for
//! it, deliveries go on unrecorded, known in memory, and it is tried again after a while. For the
//! message is in its mailbox; to say 451 now would make mtad repeat it for sure, while after a 250 it
//! does so only if it dies, too. And to refuse mail beforehand would stop it for the sake of letters
//! that come twice.
//!
//! # What is forgotten
//!
//! mtad says which of its messages is the oldest: nothing before that one will be repeated. Files
//! that hold nothing newer are written again. Beyond a number of deliveries the oldest file is
//! written again whatever it holds, and what it held is looked for in mailboxes from then on. In
//! memory a delivery takes some 40 octets.

mod files;
mod keeper;
mod known;
mod notes;
mod record;

use std::mem::take;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mail_common::auth::User;
use mail_common::disk::{Dir, DiskError};
use mail_common::log::Id;
use mail_common::maildir::{DeliveryId, Note};
use mail_common::time;
use thiserror::Error;
use tracing::{info, warn};

use files::{Files, Size};
use keeper::Keeper;
pub(crate) use known::Standing;
use known::{Begun, CLOCK_STEP, Known, Outcome};
use notes::{Notes, Placed, Whose};
use record::{Key, Noted};

/// Deliveries that failed, or could not be recorded, and are remembered.
const REMEMBERED: usize = 16_384;

/// So long one attempt waits for the end of another: many times what a delivery takes where the disk
/// does not hang.
const MOMENT: Duration = Duration::from_secs(5);

/// Which deliveries were made, as far as is known.
#[derive(Debug)]
pub(crate) struct Journal {
    /// By a clock that nobody sets.
    started: Instant,
    known: Mutex<Known>,
    /// An attempt ended.
    ended: Condvar,
    notes: Notes,
    line: Mutex<Line>,
    keeper: Mutex<Keeper>,
}

/// An attempt under way. Dropped before [`Journal::delivered`] it has failed.
#[derive(Debug)]
pub(crate) struct Attempt<'journal> {
    journal: &'journal Journal,
    key: Key,
    standing: Standing,
    outcome: Outcome,
}

/// Why there is no journal.
#[derive(Debug, Error)]
pub(crate) enum JournalError {
    #[error("another process has it")]
    Taken,
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Another attempt at the same delivery is under way, and takes long.
#[derive(Debug, Error)]
#[error("an earlier attempt at this delivery has not ended yet")]
pub(crate) struct UnderWay;

/// Who waits to be recorded.
#[derive(Debug, Default)]
struct Line {
    keys: Vec<Key>,
    /// How many ever joined it.
    joined: u64,
    /// How many of them are done with.
    done: u64,
}

impl Journal {
    /// Opens it for a process that starts now, in microseconds since 1970.
    pub(crate) fn open(path: &Path, deliveries: usize, now: u64) -> Result<Self, JournalError> {
        let opened = Files::open(path, Size::of(deliveries))?;
        let (files, chapters) = opened.ok_or(JournalError::Taken)?;
        let is_recorded = |key: &Key| chapters.iter().any(|chapter| chapter.contains(key));
        let (notes, left) = Notes::open(files.dir(), is_recorded);
        let count: usize = chapters.iter().map(known::Chapter::len).sum();
        info!(deliveries = count, noted = left.len(), "journal read");
        let unsure_until = now.saturating_add(CLOCK_STEP);
        Ok(Self {
            started: Instant::now(),
            known: Mutex::new(Known::new(chapters, left, REMEMBERED, unsure_until)),
            ended: Condvar::new(),
            notes,
            line: Mutex::default(),
            keeper: Mutex::new(Keeper::new(files)),
        })
    }

    /// Begins an attempt, once no other one at the same delivery is under way, for which it waits
    /// for a moment; `None`: it was made. `action` is the word for what is done with the message; `oldest` mtad's oldest message.
    pub(crate) fn begin(
        &self,
        id: DeliveryId,
        user: &User,
        action: &str,
        oldest: Option<Id>,
    ) -> Result<Option<Attempt<'_>>, UnderWay> {
        let places = {
            let mut known = self.known();
            let now = time::now_micros();
            let age = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
            known.clock(now, now.saturating_sub(age));
            oldest.map(|oldest| known.forget_before(oldest))
        };
        places.into_iter().for_each(|places| self.notes.free(places));
        self.begin_at(Key::new(id, user, action), id.micros(), MOMENT)
    }

    /// The message of this attempt is in its mailbox, and stays there in a power cut. Returns when
    /// that is recorded.
    pub(crate) fn delivered(&self, mut attempt: Attempt<'_>) {
        self.record(attempt.key);
        attempt.outcome = Outcome::Done;
    }

    fn begin_at(
        &self,
        key: Key,
        micros: u64,
        patience: Duration,
    ) -> Result<Option<Attempt<'_>>, UnderWay> {
        let is_under_way = |known: &mut Known| known.is_under_way(&key);
        let waited = self.ended.wait_timeout_while(self.known(), patience, is_under_way);
        let (mut known, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match known.begin(key, micros) {
            Begun::Done => Ok(None),
            Begun::Attempt(standing) => {
                Ok(Some(Attempt { journal: self, key, standing, outcome: Outcome::Failed }))
            }
            Begun::Wait => Err(UnderWay),
        }
    }

    /// Makes a record of this last, with those of others who wait. Whoever finds nobody writing
    /// writes for all.
    fn record(&self, key: Key) {
        let mine = {
            let mut line = self.line();
            line.keys.push(key);
            line.joined += 1;
            line.joined
        };
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        let (keys, last) = {
            let mut line = self.line();
            if line.done >= mine {
                return;
            }
            (take(&mut line.keys), line.joined)
        };
        keeper.record(keys, self);
        self.line().done = last;
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// How it stands to those before it.
    #[must_use]
    pub(crate) fn standing(&self) -> Standing {
        self.standing
    }

    /// The name of its file in `tmp`: no other attempt that is under way has the same, and every
    /// attempt at this delivery has this one.
    pub(crate) fn file_name(&self) -> String {
        self.key.file_name()
    }

    /// It failed. What is noted of it stays, for readers saw the message.
    pub(crate) fn leave(mut self) {
        self.outcome = Outcome::Left;
    }

    /// Takes back what is noted of it, if anything is. Whether nothing is any more.
    pub(crate) fn take_back(&self) -> bool {
        let Some(noted) = self.journal.known().noted(&self.key) else { return true };
        if let Err(error) = self.journal.notes.erase(noted.place) {
            warn!(%error, "cannot take back the note of a delivery");
            return false;
        }
        self.journal.known().unnote(&self.key);
        true
    }
}

impl Note for Attempt<'_> {
    fn about_to_be_seen(&self, tmp: &Dir) {
        let tmp = match tmp.identity() {
            Ok(identity) => identity.checksum(),
            Err(error) => return warn!(%error, "cannot note a delivery"),
        };
        if let Some(noted) = self.journal.notes.take(&self.key, Noted::now(tmp)) {
            self.journal.known().note(self.key, noted);
        }
    }

    fn was_not_seen(&self) -> bool {
        self.take_back()
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let is_ours = |noted: Placed| noted.whose == Whose::UnderWay;
        match self.outcome {
            Outcome::Done => {}
            Outcome::Left => self.journal.known().leave(&self.key),
            // What an earlier attempt noted is as true as before. Where it cannot be taken back, the
            // next attempt tries.
            Outcome::Failed => {
                let noted = self.journal.known().noted(&self.key);
                if noted.is_some_and(is_ours) {
                    self.take_back();
                }
            }
        }
        self.journal.known().end(self.key, self.outcome);
        self.journal.ended.notify_all();
    }
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests;
