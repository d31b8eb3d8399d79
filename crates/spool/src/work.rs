//! What waits to be made durable.

use std::collections::VecDeque;
use std::slice;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mail_common::lock;
use mail_common::log::Id;

use crate::index::Effect;
use crate::message::Content;
use crate::record::{Body, Kind};
use crate::{Message, SpoolError};

/// What is called once it is durable, or cannot be; on the writer's thread, which everybody waits
/// for: it must be short.
pub type Then = Box<dyn FnOnce(Result<(), SpoolError>) + Send>;

/// How long work that nobody waits for is left for others to join.
const PATIENCE: Duration = Duration::from_millis(20);

/// A record to be written.
pub(crate) struct Work {
    pub(crate) id: Id,
    pub(crate) octets: Octets,
    pub(crate) effect: Effect,
    pub(crate) then: Then,
}

/// Text and body of a record.
#[derive(Debug)]
pub(crate) enum Octets {
    Message(Arc<Message>),
    /// The octets are those of a body that is in the segment.
    Own {
        text: Vec<u8>,
        body: Body,
        octets: Vec<u8>,
    },
}

/// The works that wait for the writer.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    works: VecDeque<Work>,
    urgency: Urgency,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    /// Nobody waits for what there is.
    #[default]
    None,
    /// Somebody waits.
    Urgent,
    /// No more works are taken, the writer ends with the last.
    Closed,
}

impl Work {
    /// Says what became of it, without having written anything; a body that it had is gone then.
    pub(crate) fn end(self, result: Result<(), SpoolError>) {
        drop(self.octets);
        (self.then)(result);
    }

    /// What it is.
    pub(crate) fn kind(&self) -> Kind {
        match self.effect {
            Effect::Letter(_) => Kind::Letter,
            Effect::Progress(..) => Kind::Progress,
            Effect::Done(_) => Kind::Done,
            Effect::MovedLetter(..) => Kind::MovedLetter,
            Effect::MovedProgress(_) => Kind::MovedProgress,
        }
    }
}

impl Octets {
    /// Of a record that has only a text.
    pub(crate) fn text_only(text: Vec<u8>) -> Self {
        Self::Own { text, body: Body::NONE, octets: Vec::new() }
    }

    pub(crate) fn text(&self) -> &[u8] {
        match self {
            Self::Message(message) => message.text(),
            Self::Own { text, .. } => text,
        }
    }

    pub(crate) fn body(&self) -> Body {
        match self {
            Self::Message(message) => message.body_field(),
            Self::Own { body, .. } => *body,
        }
    }

    pub(crate) fn blocks(&self) -> &[Vec<u8>] {
        match self {
            Self::Message(message) => match message.content() {
                Content::Blocks(memory) => memory.blocks(),
                Content::Big(_) => &[],
            },
            Self::Own { octets, .. } => slice::from_ref(octets),
        }
    }
}

impl Queue {
    /// Somebody waits for it.
    pub(crate) fn push(&self, work: Work) {
        self.add(work, Urgency::Urgent, VecDeque::push_back);
    }

    /// It may wait a little for others.
    pub(crate) fn push_patient(&self, work: Work) {
        self.add(work, Urgency::None, VecDeque::push_back);
    }

    /// It must be written before anything that waits: it is a copy of what may be replaced by
    /// that.
    pub(crate) fn push_first(&self, work: Work) {
        self.add(work, Urgency::Urgent, VecDeque::push_front);
    }

    /// Moves all that waits into `works`, which is empty, once there is anything. Whether there
    /// was, for there will be nothing any more after [`close`](Self::close).
    pub(crate) fn take(&self, works: &mut VecDeque<Work>) -> bool {
        let empty = |state: &mut State| state.works.is_empty() && state.urgency != Urgency::Closed;
        let patient = |state: &mut State| state.urgency == Urgency::None;
        let state = self.changed.wait_while(self.state(), empty);
        let state = state.unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(state, PATIENCE, patient);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut state.works, works);
        if state.urgency == Urgency::Urgent {
            state.urgency = Urgency::None;
        }
        !works.is_empty()
    }

    /// No more is taken.
    pub(crate) fn close(&self) {
        self.state().urgency = Urgency::Closed;
        self.changed.notify_all();
    }

    fn add(&self, work: Work, urgency: Urgency, add: impl FnOnce(&mut VecDeque<Work>, Work)) {
        let mut state = self.state();
        if state.urgency == Urgency::Closed {
            drop(state);
            return work.end(Err(SpoolError::Stopped));
        }
        let wake = state.works.is_empty() || urgency > state.urgency;
        state.urgency = state.urgency.max(urgency);
        add(&mut state.works, work);
        drop(state);
        if wake {
            self.changed.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change of the state is one step.
        lock(&self.state)
    }
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?}", self.effect, self.id)
    }
}
