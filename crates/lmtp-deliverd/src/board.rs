//! What becomes of messages that came together, written down as it becomes known, and who is still
//! at work for them.
//!
//! A disk that hangs lets nobody be called back, so at the deadline the board is taken down with what
//! stands on it. Each outcome is entered by itself: where a mailbox hangs in the middle of what it
//! gets, the letters before were answered for, and nobody sends them twice.

use std::mem::take;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use mail_common::lock;
use mail_proto::smtp::{Accepted, Failure};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::disks::Disk;
use crate::turns::Turn;

/// What becomes of each message, for each recipient.
pub(crate) type Outcomes = Vec<Vec<Result<Accepted, Failure>>>;

/// Which message it is, and which recipient of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) message: usize,
    pub(crate) recipient: usize,
}

/// What is known of a batch.
#[derive(Debug)]
pub(crate) struct Board {
    state: Mutex<State>,
    /// Nobody waits for the rest any more.
    given_up: AtomicBool,
}

#[derive(Debug)]
struct State {
    outcomes: Outcomes,
    /// Of those at work.
    turns: Vec<Option<Turn>>,
}

/// Held by all who have to come to their end. Nothing is ever sent: it goes with the last of them.
pub(crate) type Ticket = Arc<oneshot::Sender<()>>;

/// The end of all who have a ticket.
#[derive(Debug)]
pub(crate) struct Ending(oneshot::Receiver<()>);

/// Held by who delivers, as long as there is something to wait for.
#[derive(Debug)]
pub(crate) struct AtWork {
    board: Arc<Board>,
    disk: Arc<Disk>,
    /// Where in `turns` his is.
    number: usize,
    _ticket: Ticket,
}

/// A ticket, and what tells of the end of all who have it or its clones.
pub(crate) fn ticket() -> (Ticket, Ending) {
    let (ticket, ending) = oneshot::channel();
    (Arc::new(ticket), Ending(ending))
}

impl Ending {
    /// Waits for it; not for longer than until then.
    pub(crate) async fn reached(&mut self, until: Instant) -> bool {
        timeout_at(until, &mut self.0).await.is_ok()
    }
}

impl Board {
    /// With what holds as long as nothing else is entered.
    pub(crate) fn new(outcomes: Outcomes) -> Arc<Self> {
        let state = State { outcomes, turns: Vec::new() };
        Arc::new(Self { state: Mutex::new(state), given_up: AtomicBool::new(false) })
    }

    /// Somebody begins to work, if anybody waits for it.
    pub(crate) fn begin(self: &Arc<Self>, turn: Turn, ticket: Ticket) -> Option<AtWork> {
        let mut state = lock(&self.state);
        if self.is_given_up() {
            return None;
        }
        let (board, disk) = (Arc::clone(self), Arc::clone(turn.disk()));
        let number = state.turns.len();
        state.turns.push(Some(turn));
        Some(AtWork { board, disk, number, _ticket: ticket })
    }

    /// What is known now. Who is still at work is given up.
    pub(crate) fn take_down(&self) -> Outcomes {
        let mut state = lock(&self.state);
        self.given_up.store(true, Ordering::Relaxed);
        state.turns.iter_mut().flatten().for_each(Turn::give_up);
        take(&mut state.outcomes)
    }

    fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    fn turn(&self, number: usize) -> Option<Turn> {
        lock(&self.state).turns.get_mut(number).and_then(Option::take)
    }
}

impl AtWork {
    /// Whether nobody waits for it any more.
    pub(crate) fn is_given_up(&self) -> bool {
        self.board.is_given_up()
    }

    /// Where he is at work.
    pub(crate) fn disk(&self) -> &Arc<Disk> {
        &self.disk
    }

    /// His turn goes on there.
    pub(crate) fn moves_to(&mut self, disk: &Arc<Disk>) {
        self.disk = Arc::clone(disk);
        let mut state = lock(&self.board.state);
        if let Some(Some(turn)) = state.turns.get_mut(self.number) {
            turn.moves_to(disk);
        }
    }

    /// What became of one.
    pub(crate) fn enter(&self, place: Place, outcome: Result<Accepted, Failure>) {
        let mut state = lock(&self.board.state);
        let of_message = state.outcomes.get_mut(place.message);
        if let Some(entry) = of_message.and_then(|all| all.get_mut(place.recipient)) {
            *entry = outcome;
        }
    }

    /// All is entered. What is done without being waited for may take the rest of the turn.
    pub(crate) fn end(self) -> Option<Turn> {
        self.board.turn(self.number)
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        // He may have panicked.
        drop(self.board.turn(self.number));
    }
}
