//! The one thread that writes to the log.
//!
//! It takes all that waits, lays it out, writes it with one call, syncs once, and tells everybody.
//! While a sync runs the next commit gathers by itself: no timer makes anybody wait, and the more
//! there is to do the less a message costs.
//!
//! Killed or without power before the sync ends: nobody was told anything. What of the commit is
//! on the disk is found again or not, and both are right. After it: everything is found.
//!
//! If the write or the sync fails, what the disk holds of this commit nobody knows, and everybody
//! is refused. The segment is never written to again. The next one begins with a seal that says
//! where the last good commit ended, so that nothing of the failed one comes back later. At the
//! end one is begun for that alone. Until the seal is durable what was refused may come back, and
//! that is as with a kill: a second copy, and no loss.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mail_common::disk::DiskError;
use tracing::error;

use crate::ahead::{Purpose, Wanted};
use crate::commit::{Commit, Record};
use crate::index::Effect;
use crate::message::Content;
use crate::record::{self, BLOCK, Body, Kind, SegmentHeader, TEXT_LIMIT};
use crate::row::Place;
use crate::seal::Seal;
use crate::segment::Segment;
use crate::spool::Shared;
use crate::upkeep::Call;
use crate::work::{Octets, Work};
use crate::{Settings, SpoolError};

/// Octets of the first segment of a process, if the limit allows.
const FIRST: u64 = 1 << 20;
/// How many times as long the next one is.
const GROWTH: u64 = 4;

/// What the writer did since the start.
#[derive(Debug, Default)]
pub struct Counts {
    /// Commits that became durable: as many syncs.
    pub commits: AtomicU64,
    /// Records in them.
    pub records: AtomicU64,
    /// Octets of the log.
    pub octets: AtomicU64,
    /// Commits that failed.
    pub failures: AtomicU64,
}

/// The writer's own.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    current: Option<Current>,
    /// Octets of the next segment.
    length: u64,
    commit: Commit,
    /// Works that were laid out, and where.
    works: Vec<(Work, Place)>,
    /// To be said at the beginning of the next segment.
    seals: Vec<Seal>,
}

/// The segment that is written to.
#[derive(Debug)]
struct Current {
    segment: Segment,
    generation: u64,
    /// Where the next commit begins.
    position: u64,
    /// Commits so far.
    commits: u64,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let length = FIRST.min(shared.settings.segment);
        let (commit, works, seals) = (Commit::default(), Vec::new(), Vec::new());
        Self { shared, current: None, length, commit, works, seals }
    }

    /// Writes all that is asked for, until the queue is closed.
    pub(crate) fn run(mut self) {
        let mut waiting = VecDeque::new();
        while self.shared.queue.take(&mut waiting) {
            while !waiting.is_empty() {
                self.commit(&mut waiting);
            }
        }
        self.write_seals();
    }

    fn commit(&mut self, waiting: &mut VecDeque<Work>) {
        self.begin();
        while let Some(work) = waiting.pop_front() {
            if let Some(work) = self.lay_out(work) {
                waiting.push_front(work);
                break;
            }
        }
        if self.works.is_empty() {
            return;
        }
        match self.write() {
            Ok(()) => self.succeed(),
            Err(failure) => self.fail(failure),
        }
    }

    fn begin(&mut self) {
        let Some(current) = &self.current else { return };
        let Segment { slot, .. } = current.segment;
        let header = SegmentHeader { generation: current.generation, slot };
        self.commit.begin(header, current.commits + 1, current.position);
        if current.position == 0 {
            for seal in &self.seals {
                let (text, body) = (seal.encode(), Body::NONE);
                self.commit.add(Record { kind: Kind::Seal, id: None, text: &text, body, of: 0 });
            }
        }
    }

    /// Puts a work into the commit; gives it back if it has to wait for the next.
    fn lay_out(&mut self, work: Work) -> Option<Work> {
        if let Some(answer) = self.answer(&work) {
            work.end(answer);
            return None;
        }
        let octets = room(&work);
        if self.works.len() >= self.shared.settings.commit_records || self.is_full(&work, octets) {
            if !self.works.is_empty() {
                return Some(work);
            }
            if let Err(error) = self.next_segment(&work, octets) {
                // A checkpoint may make slots free.
                self.shared.upkeep.call(Call::Look);
                work.end(Err(error));
                return None;
            }
        }
        let (text, body) = (work.octets.text(), work.octets.body());
        let of = self.works.len();
        let place =
            self.commit.add(Record { kind: work.kind(), id: Some(work.id), text, body, of });
        self.works.push((work, place));
        None
    }

    /// What can be said of a work without writing anything.
    fn answer(&self, work: &Work) -> Option<Result<(), SpoolError>> {
        let Shared { index, settings, .. } = &*self.shared;
        if work.octets.text().len() > TEXT_LIMIT as usize {
            return Some(Err(SpoolError::TooLong(work.id)));
        }
        match (&work.effect, work.effect.from()) {
            (Effect::Letter(_), _) => {
                let limit = settings.messages;
                let is_full = index.len() + self.works.len() >= limit;
                is_full.then_some(Err(SpoolError::TooMany(limit)))
            }
            // Behind the end of its message a moved letter could bring it back.
            (Effect::MovedLetter(..), None) => {
                index.find(work.id).is_none().then_some(Err(SpoolError::Unknown(work.id)))
            }
            // Something newer stands in the log: what is for the old must not come after it.
            (_, Some(from)) => (!index.place_is_live(work.id, from)).then_some(Ok(())),
            (_, None) => None,
        }
    }

    /// Whether the commit or the segment has no room for a record.
    fn is_full(&self, work: &Work, octets: u64) -> bool {
        let Some(current) = &self.current else { return true };
        let reserve = if takes_room(work) { reserve(&self.shared.settings) } else { 0 };
        let end = (self.commit.end() + octets).next_multiple_of(BLOCK);
        let is_long = self.commit.end() - current.position >= self.shared.settings.commit_octets;
        (is_long && !self.works.is_empty()) || end + reserve > current.segment.length
    }

    /// Goes on in another segment, with room for a record.
    fn next_segment(&mut self, work: &Work, octets: u64) -> Result<(), SpoolError> {
        let limit = self.shared.settings.segment;
        let at_least = self.room_of_seals() + octets + reserve(&self.shared.settings);
        let at_least = at_least.next_multiple_of(BLOCK);
        if at_least > limit {
            return Err(SpoolError::TooLong(work.id));
        }
        let (length, purpose) = match takes_room(work) {
            true => (self.length, Purpose::Letters),
            false => (at_least, Purpose::Rest),
        };
        self.begin_segment(Wanted { length, at_least, purpose })
    }

    /// Octets of a segment's header and of the seals behind it.
    fn room_of_seals(&self) -> u64 {
        BLOCK + BLOCK * (self.seals.len() as u64 / 16 + 1)
    }

    fn begin_segment(&mut self, wanted: Wanted) -> Result<(), SpoolError> {
        let limit = self.shared.settings.segment;
        let segment = self.shared.ahead.take(wanted)?;
        self.length = (segment.length * GROWTH).clamp(FIRST.min(limit), limit);
        let generation = self.shared.index.next_generation();
        self.current = Some(Current { segment, generation, position: 0, commits: 0 });
        self.shared.upkeep.call(Call::Look);
        self.begin();
        Ok(())
    }

    /// Nobody will write the seals that are still to be said.
    fn write_seals(&mut self) {
        if self.seals.is_empty() {
            return;
        }
        let at_least = self.room_of_seals();
        let wanted = Wanted { length: at_least, at_least, purpose: Purpose::Rest };
        match self.begin_segment(wanted).map(|()| self.write()) {
            Ok(Ok(())) => self.succeed(),
            Ok(Err(failure)) => self.fail(failure),
            Err(failure) => error!("what was refused may come back: {failure}"),
        }
    }

    fn write(&mut self) -> Result<(), DiskError> {
        let end = self.commit.finish();
        let Some(current) = &mut self.current else { return Ok(()) };
        let works = &self.works;
        let blocks = |of: usize| works.get(of).map_or(&[][..], |(work, _)| work.octets.blocks());
        let mut slices = self.commit.slices(blocks);
        #[cfg(test)]
        let (faults, slot) = (&self.shared.segments.faults, current.segment.slot);
        #[cfg(test)]
        faults.write(|error| self.shared.segments.error(slot, error))?;
        current.segment.file.write_at(&mut slices, current.position)?;
        #[cfg(test)]
        faults.sync(|error| self.shared.segments.error(slot, error))?;
        current.segment.file.sync()?;
        let Counts { commits, records, octets, .. } = &self.shared.counts;
        commits.fetch_add(1, Ordering::Relaxed);
        records.fetch_add(works.len() as u64, Ordering::Relaxed);
        octets.fetch_add(end - current.position, Ordering::Relaxed);
        (current.position, current.commits) = (end, current.commits + 1);
        Ok(())
    }

    fn succeed(&mut self) {
        self.seals.clear();
        let mut changes = Vec::with_capacity(self.works.len());
        let mut thens = Vec::with_capacity(self.works.len());
        for (work, place) in self.works.drain(..) {
            keep_body(&work.octets);
            changes.push((work.id, place, work.effect));
            thens.push(work.then);
        }
        let index = &self.shared.index;
        let current = self.current.as_ref().expect("something was written to it");
        if current.commits == 1 {
            // Not earlier: no checkpoint may name a generation that is not on the disk.
            index.begin_segment(current.segment.slot, current.generation);
        }
        let freed = index.apply(changes);
        index.reached(current.position);
        if current.position >= current.segment.length / 4 {
            self.shared.want(self.length);
        }
        for then in thens {
            then(Ok(()));
        }
        self.shared.upkeep.remove(&freed.big);
    }

    fn fail(&mut self, failure: DiskError) {
        error!("a commit failed, {} records are refused: {failure}", self.works.len());
        self.shared.counts.failures.fetch_add(1, Ordering::Relaxed);
        if let Some(Current { segment, generation, position, .. }) = self.current.take() {
            self.seals.push(Seal { generation, length: position.max(BLOCK) });
            self.length = FIRST.min(self.shared.settings.segment);
            self.shared.seal(segment.slot);
            self.shared.upkeep.call(Call::Look);
        }
        let failure = Arc::new(failure);
        for (work, _) in self.works.drain(..) {
            work.end(Err(SpoolError::Disk(Arc::clone(&failure))));
        }
    }
}

/// Nobody waits for ever, whatever ended the thread.
impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.queue.close();
        let mut left = VecDeque::new();
        self.shared.queue.take(&mut left);
        for work in self.works.drain(..).map(|(work, _)| work).chain(left) {
            work.end(Err(SpoolError::Stopped));
        }
    }
}

impl Shared {
    /// Asks for the first segment before it is needed.
    pub(crate) fn want_first(&self) {
        self.want(FIRST.min(self.settings.segment));
    }

    fn want(&self, length: u64) {
        let at_least = (2 * reserve(&self.settings)).max(BLOCK);
        self.ahead.want(Wanted { length, at_least, purpose: Purpose::Letters });
    }
}

/// Octets of a work's record.
fn room(work: &Work) -> u64 {
    record::span(work.octets.text().len() as u64, work.octets.body())
}

/// What is kept free at the end of a segment, so that on a full disk that gives no other one
/// messages can still be finished.
fn reserve(settings: &Settings) -> u64 {
    (settings.segment / 256).min(FIRST / 4) / BLOCK * BLOCK
}

/// Whether a work makes the queue longer.
fn takes_room(work: &Work) -> bool {
    matches!(work.kind(), Kind::Letter | Kind::MovedLetter | Kind::MovedProgress)
}

fn keep_body(octets: &Octets) {
    if let Octets::Message(message) = octets
        && let Content::Big(arrived) = message.content()
    {
        arrived.keep();
    }
}
