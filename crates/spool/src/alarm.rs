//! What becomes of the spool if one of its threads panics.
//!
//! Nobody knows what that thread left half done, and what it was for nobody does any more: mail
//! would be refused, or waited for, without an end. So the spool is closed at once, nothing more
//! is written, and its owner is told, who ends the process. That is as with a kill: what was
//! promised is on the disk, and the next process finds it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use mail_common::lock;

use tracing::error;

use crate::spool::Shared;
use crate::upkeep::Call;

/// Whether a thread panicked, and who wants to hear of it.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Mutex<State>);

#[derive(Default)]
enum State {
    #[default]
    Quiet,
    Watched(Box<dyn FnOnce() + Send>),
    Raised,
}

/// Held by a thread as long as it runs.
#[derive(Debug)]
pub(crate) struct Guard(pub(crate) Arc<Shared>);

impl Alarm {
    /// Has somebody hear of it: at once, if it was raised already.
    pub(crate) fn watch(&self, tell: Box<dyn FnOnce() + Send>) {
        let mut state = self.state();
        if !matches!(*state, State::Raised) {
            *state = State::Watched(tell);
            return;
        }
        drop(state);
        tell();
    }

    /// Whether it was raised.
    pub(crate) fn is_raised(&self) -> bool {
        matches!(*self.state(), State::Raised)
    }

    fn raise(&self) {
        let before = std::mem::replace(&mut *self.state(), State::Raised);
        if let State::Watched(tell) = before {
            tell();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change of the state is one step.
        lock(&self.0)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        error!("a thread of the spool panicked: nothing more is taken or written");
        let Shared { queue, ahead, index, upkeep, alarm, .. } = &*self.0;
        // Whoever waits for a thread waits no more.
        queue.close();
        ahead.stop();
        index.fail();
        upkeep.call(Call::End);
        alarm.raise();
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quiet => "Quiet",
            Self::Watched(_) => "Watched",
            Self::Raised => "Raised",
        })
    }
}
