//! The thread that keeps the spool in order: it reads what was there at start, removes bodies that
//! nobody needs any more, takes checkpoints, and empties segments of which little is alive.

use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mail_common::disk::{self, DiskError};
use mail_common::lock;
use mail_common::log::Id;
use mail_common::time::now_seconds;
use tracing::error;

use crate::cleaner::Spared;
use crate::copies::Copies;
use crate::index::Position;
use crate::recovery::{self, Directories, Fate, Missed, Survey};
use crate::replay::Harm;
use crate::spool::Shared;
use crate::{SpoolError, checkpoint, cleaner, corrupt};

/// How often it looks for what is to be done if nobody wakes it.
const PERIOD: Duration = Duration::from_secs(60);

/// Segments that are kept to be used again.
const SPARE: usize = 16;

/// What others tell the thread.
#[derive(Debug, Default)]
pub(crate) struct Upkeep {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Bodies to be removed.
    bodies: Vec<Id>,
    call: Call,
}

/// What the thread is called for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    #[default]
    None,
    /// To see what is to be done.
    Look,
    /// To end.
    End,
    /// To take a checkpoint and end.
    Close,
}

impl Upkeep {
    /// Gives it bodies to remove.
    pub(crate) fn remove(&self, bodies: &[Id]) {
        if !bodies.is_empty() {
            self.state().bodies.extend(bodies);
            self.changed.notify_one();
        }
    }

    /// Calls it.
    pub(crate) fn call(&self, call: Call) {
        let mut state = self.state();
        state.call = state.call.max(call);
        self.changed.notify_one();
    }

    /// Does what is to be done, until the end.
    pub(crate) fn run(&self, shared: &Shared, directories: &Directories, survey: &Survey) {
        let seal = |slot| shared.seal(slot);
        let recovered = recovery::recover(directories, survey, &shared.index, seal);
        let mut missed = recovered.unwrap_or_else(|failure| {
            error!("what was in the queue cannot be read: {failure}");
            Missed::now(Vec::new(), Vec::new())
        });
        shared.want_first();
        // Until when nothing is tried again that failed.
        let mut pause = Instant::now();
        let mut spared = Spared::default();
        loop {
            let (bodies, call) = self.wait();
            // An import may have given a message its id again.
            let gone = bodies.into_iter().filter(|&id| shared.index.find(id).is_none());
            gone.for_each(|id| shared.big.remove(id));
            let done = match call {
                Call::End => return,
                Call::Close => {
                    let now = Instant::now();
                    return report(checkpoint(shared, directories, &mut missed, now));
                }
                Call::None | Call::Look if Instant::now() < pause => continue,
                Call::None | Call::Look => {
                    look(shared, directories, &mut spared, &mut missed, Instant::now())
                }
            };
            if done.is_err() {
                pause = Instant::now() + PERIOD;
            }
            report(done);
        }
    }

    fn wait(&self) -> (Vec<Id>, Call) {
        let idle = |state: &mut State| state.bodies.is_empty() && state.call == Call::None;
        let waited = self.changed.wait_timeout_while(self.state(), PERIOD, idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut state.bodies), std::mem::take(&mut state.call))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change of the state is one step.
        lock(&self.state)
    }
}

/// Does what is due. What keeps a checkpoint from being taken, maybe for weeks, keeps nothing else
/// from being done, once a minute.
pub(crate) fn look(
    shared: &Shared,
    directories: &Directories,
    spared: &mut Spared,
    missed: &mut Missed,
    now: Instant,
) -> Result<(), SpoolError> {
    let taken = match is_due(shared) || missed.may_come_back(now) {
        true => checkpoint(shared, directories, missed, now),
        false => Ok(()),
    };
    let tidied = tidy(shared, directories, spared);
    taken.and(tidied)
}

/// Gives room back.
fn tidy(shared: &Shared, directories: &Directories, spared: &mut Spared) -> Result<(), SpoolError> {
    trim(shared)?;
    let before = now_seconds().saturating_sub(shared.settings.rest);
    while let Some(slot) = cleaner::choose(&shared.index, before, spared) {
        let mut copies = Copies::new(shared, directories);
        cleaner::empty(directories, &shared.index, slot, &mut |task| copies.act(task))?;
        copies.settle()?;
        spared.note(&shared.index, slot);
    }
    Ok(())
}

/// Gives back what the disk lent to a queue that was longer: one segment at a time, for removing
/// files is work that others wait for.
fn trim(shared: &Shared) -> Result<(), SpoolError> {
    if shared.index.count_free() > SPARE {
        let slot = shared.index.take_free_slot();
        slot.map_or(Ok(()), |slot| shared.segments.remove(slot))?;
    }
    Ok(())
}

/// Takes a checkpoint, of what is all there. With it, what the disk did not give at the start is
/// forgotten for good, and its place used again: so none is taken as long as it may come back.
///
/// # Errors
/// It came back, or the disk is away, full or broken.
pub(crate) fn checkpoint(
    shared: &Shared,
    directories: &Directories,
    missed: &mut Missed,
    now: Instant,
) -> Result<(), SpoolError> {
    if !shared.index.phase().is_read() {
        return Ok(());
    }
    match missed.fate(directories, now)? {
        Fate::Open => return Ok(()),
        Fate::Back => return Err(came_back(directories)),
        Fate::Settled => {}
    }
    missed.bodies.retain(|&id| shared.index.find(id).is_none());
    let Directories { big, corrupt, .. } = directories;
    for &id in &missed.bodies {
        disk::found(corrupt::keep_big(corrupt, big, id))?;
    }
    checkpoint::write(&directories.root, &shared.index)?;
    missed.withheld.clear();
    shared.index.settle();
    // Not before: their messages may have come back, had it failed.
    missed.bodies.drain(..).for_each(|id| recovery::remove(directories, id, Harm::None));
    Ok(())
}

fn came_back(directories: &Directories) -> SpoolError {
    let why = "what could not be read at the start can be read now: restart mtad to have the mail \
               in it. Until then no checkpoint is taken";
    DiskError::new(directories.segments.path().to_owned(), io::Error::other(why)).into()
}

/// Whether a checkpoint is due.
fn is_due(shared: &Shared) -> bool {
    let Shared { index, ahead, settings, .. } = shared;
    // What is in the segment that is written to keeps no other from being used again.
    let (position, _) = index.position();
    let (newer, older) = index.checkpoints();
    let helps = |checkpoint: Option<Position>| {
        checkpoint.is_none_or(|checkpoint| checkpoint.generation < position.generation)
    };
    let short = ahead.is_short() && (helps(newer) || helps(older));
    short || checkpoint::is_due(index, settings.checkpoint)
}

fn report(done: Result<(), SpoolError>) {
    match done {
        Ok(()) | Err(SpoolError::Stopped) => {}
        Err(failure) => error!("the spool is not kept in order: {failure}"),
    }
}
