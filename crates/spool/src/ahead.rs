//! Segments made ready before they are needed, by a thread of its own.
//!
//! The first segment of a process is small, and each is four times as long as the one before, up
//! to the limit: a small site keeps a small spool, and nobody writes zeros into the file that is
//! being synced for others at the same time. A segment that was used before is as long as it was.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mail_common::disk::DiskError;
use mail_common::lock;
use tracing::{error, info};

use crate::SpoolError;
use crate::checkpoint::ROW;
use crate::index::Index;
use crate::segment::{Segment, Segments};

/// How long after a failure the next attempt is made.
const PAUSE: Duration = Duration::from_secs(1);

/// Octets that letters leave free on the disk, besides those of a checkpoint.
const SPARE: u64 = 4 << 20;

/// What the writer and the thread that makes segments ready tell each other.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    wanted: Option<Wanted>,
    ready: Option<Segment>,
    /// Why there is none just now.
    failure: Option<Failure>,
    stopped: bool,
}

#[derive(Debug)]
struct Failure {
    error: Arc<DiskError>,
    of: Purpose,
}

/// A segment that is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// As many octets, if the disk has room.
    pub(crate) length: u64,
    /// Fewer are of no use.
    pub(crate) at_least: u64,
    pub(crate) purpose: Purpose,
}

/// What a segment is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    /// For letters: the rest of the disk is spared.
    Letters,
    /// To let go of them, with the last of the disk.
    Rest,
}

/// A slot that holds nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Free {
    /// To be used again.
    Sound(u32),
    /// It has no file, or one of which a sync failed: that is never written to again.
    Lost(u32),
}

/// Where segments come from.
#[derive(Debug)]
pub(crate) struct Supply<'spool> {
    segments: &'spool Segments,
    index: &'spool Index,
    lost: &'spool Lost,
    /// Slots that hold nothing any more, but cannot be used yet.
    aside: Vec<Free>,
}

/// Slots whose files are not trusted.
#[derive(Debug, Default)]
pub(crate) struct Lost(Mutex<BTreeSet<u32>>);

impl Lost {
    pub(crate) fn add(&self, slot: u32) {
        self.slots().insert(slot);
    }

    fn remove(&self, slot: u32) -> bool {
        self.slots().remove(&slot)
    }

    fn slots(&self) -> MutexGuard<'_, BTreeSet<u32>> {
        // Each change of the set is one step.
        lock(&self.0)
    }
}

impl Ahead {
    /// Asks for a segment that will be needed.
    pub(crate) fn want(&self, wanted: Wanted) {
        let mut state = self.state();
        if state.wanted.is_none() && state.ready.is_none() {
            state.wanted = Some(wanted);
            self.changed.notify_all();
        }
    }

    /// A segment, which is waited for.
    ///
    /// # Errors
    /// There is none, and it is not known when there will be.
    pub(crate) fn take(&self, wanted: Wanted) -> Result<Segment, SpoolError> {
        let fits = |segment: &mut Segment| segment.length >= wanted.at_least;
        let mut state = self.state();
        loop {
            if let Some(segment) = state.ready.take_if(fits) {
                if state.failure.is_some() && state.wanted.is_none() {
                    // This one was for the rest: what letters wait for is still tried for.
                    state.wanted = Some(Wanted { purpose: Purpose::Letters, ..wanted });
                    self.changed.notify_all();
                }
                return Ok(segment);
            }
            if let Some(failure) = state.failure.as_ref().filter(|f| f.of >= wanted.purpose) {
                return Err(SpoolError::Disk(Arc::clone(&failure.error)));
            }
            if state.stopped {
                return Err(SpoolError::Stopped);
            }
            let covers = |other: Wanted| {
                other.at_least >= wanted.at_least && other.purpose >= wanted.purpose
            };
            if !state.wanted.is_some_and(covers) {
                state.wanted = Some(wanted);
                self.changed.notify_all();
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether there is no room for more.
    pub(crate) fn is_short(&self) -> bool {
        self.state().failure.is_some()
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        self.state().stopped = true;
        self.changed.notify_all();
    }

    /// Makes ready what is wanted, until [`stop`](Self::stop).
    pub(crate) fn run(&self, mut supply: Supply<'_>) {
        while let Some((wanted, short)) = self.wait() {
            supply.aside.extend(short.map(|segment| Free::Sound(segment.slot)));
            match supply.make(wanted) {
                Ok(segment) => self.give(segment, wanted),
                Err(failure) => self.fail(failure, wanted),
            }
        }
    }

    /// What is wanted, and a segment that is ready but too short.
    fn wait(&self) -> Option<(Wanted, Option<Segment>)> {
        let mut state = self.state();
        loop {
            if state.stopped {
                return None;
            }
            if let Some(wanted) = state.wanted {
                return Some((wanted, state.ready.take()));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn give(&self, segment: Segment, made: Wanted) {
        let mut state = self.state();
        if state.failure.take_if(|failure| failure.of >= made.purpose).is_some() {
            info!("the spool has room again");
        }
        if state.wanted.is_some_and(|wanted| wanted.at_least <= segment.length) {
            state.wanted = None;
        }
        state.ready = Some(segment);
        self.changed.notify_all();
    }

    /// Tells who waits, and pauses, unless something else is wanted.
    fn fail(&self, error: DiskError, wanted: Wanted) {
        let mut state = self.state();
        if state.failure.is_none() {
            error!("no mail can be taken: {error}");
        }
        state.failure = Some(Failure { error: Arc::new(error), of: wanted.purpose });
        // Letters are what is waited for in the end.
        state.wanted = Some(Wanted { purpose: Purpose::Letters, ..wanted });
        self.changed.notify_all();
        let going_on = |state: &mut State| {
            let same = state.wanted.is_some_and(|other| other.purpose <= wanted.purpose);
            same && !state.stopped
        };
        drop(self.changed.wait_timeout_while(state, PAUSE, going_on));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change of the state is one step.
        lock(&self.state)
    }
}

impl<'spool> Supply<'spool> {
    pub(crate) fn new(
        segments: &'spool Segments,
        index: &'spool Index,
        lost: &'spool Lost,
    ) -> Self {
        Self { segments, index, lost, aside: Vec::new() }
    }

    /// As long as the disk has room for.
    fn make(&mut self, wanted: Wanted) -> Result<Segment, DiskError> {
        let mut length = wanted.length.max(wanted.at_least);
        loop {
            let made = self.make_whole(length, wanted.purpose);
            let shorter = (length / 4).max(wanted.at_least);
            match made {
                Err(error) if error.is_full() && shorter < length => length = shorter,
                other => return other,
            }
        }
    }

    fn make_whole(&mut self, length: u64, purpose: Purpose) -> Result<Segment, DiskError> {
        let spare = match purpose {
            Purpose::Letters => SPARE + 2 * ROW as u64 * self.index.len() as u64,
            Purpose::Rest => 0,
        };
        let free = self.free().unwrap_or_else(|| Free::Lost(self.index.take_new_slot()));
        let made = match free {
            Free::Sound(slot) => self.segments.reuse(slot, length, spare),
            Free::Lost(slot) => self.segments.create(slot, length, spare),
        };
        made.inspect_err(|error| {
            // It holds nothing: unless there was only no room, the next attempt makes it anew.
            let again = if error.is_full() { free } else { Free::Lost(free.slot()) };
            self.aside.push(again);
        })
    }

    /// A slot that nobody reads from any more.
    fn free(&mut self) -> Option<Free> {
        let is_read = |free: &Free| self.segments.is_read(free.slot());
        if let Some(at) = self.aside.iter().position(|free| !is_read(free)) {
            return Some(self.aside.swap_remove(at));
        }
        while let Some(slot) = self.index.take_free_slot() {
            let lost = self.lost.remove(slot);
            let found = if lost { Free::Lost(slot) } else { Free::Sound(slot) };
            if !is_read(&found) {
                return Some(found);
            }
            self.aside.push(found);
        }
        None
    }
}

impl Free {
    fn slot(self) -> u32 {
        match self {
            Self::Sound(slot) | Self::Lost(slot) => slot,
        }
    }
}
