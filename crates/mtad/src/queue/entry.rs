//! What the queue knows of a message.

use mail_common::log::Id;
use mail_proto::address::{Address, ReversePath};
use mail_proto::smtp::{self, Return};

/// A message as it was taken: never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    /// Its id, over all daemons.
    pub(crate) id: Id,
    /// When it was taken, in microseconds since 1970.
    pub(crate) arrived: u64,
    /// Where bounces go.
    pub(crate) sender: ReversePath,
    /// Who shall get it, and of what its sender wants to hear.
    pub(crate) recipients: Vec<smtp::Recipient>,
    /// Whether it may hold octets above 127.
    pub(crate) eight_bit: bool,
    /// RET (RFC 3461, 4.3).
    pub(crate) ret: Option<Return>,
    /// ENVID (RFC 3461, 4.4), decoded.
    pub(crate) envid: Option<String>,
}

/// What became of it so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    /// For each recipient of the letter, in order.
    pub(crate) recipients: Vec<State>,
    /// Attempts that ended with a peer's word.
    pub(crate) attempts: u32,
    /// Attempts since then that found nobody to talk to.
    pub(crate) outages: u32,
    /// When it is tried next, in microseconds since 1970.
    pub(crate) due: u64,
    /// Whether its sender was told that it takes longer than usual.
    pub(crate) delay_told: bool,
}

/// What became of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// Not tried yet, or tried and to be tried again, with the reason.
    Waiting(Option<String>),
    /// Somebody else has the message for it now, with a 250.
    Delivered,
    /// Given up; its sender was told, where there is one.
    Failed,
}

/// A message in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its id.
    pub(crate) id: Id,
    /// As it was taken.
    pub(crate) letter: Letter,
    /// Octets as it travels, our `Received` field included.
    pub(crate) size: u64,
    /// What became of it.
    pub(crate) progress: Progress,
}

/// A recipient that still waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recipient {
    /// Its place in the letter, from 0.
    pub(crate) number: usize,
    /// Its address.
    pub(crate) address: Address,
}

impl Progress {
    /// Of a letter that nobody has tried.
    #[must_use]
    pub(crate) fn new(letter: &Letter) -> Self {
        let recipients = vec![State::Waiting(None); letter.recipients.len()];
        Self { recipients, attempts: 0, outages: 0, due: letter.arrived, delay_told: false }
    }

    /// Whether nobody waits any more.
    #[must_use]
    pub(crate) fn is_done(&self) -> bool {
        self.recipients.iter().all(|state| !matches!(state, State::Waiting(_)))
    }

    /// Notes what became of a recipient.
    pub(crate) fn set(&mut self, number: usize, state: State) {
        if let Some(place) = self.recipients.get_mut(number) {
            *place = state;
        }
    }
}

impl Entry {
    /// The recipients that still wait.
    #[must_use]
    pub(crate) fn waiting(&self) -> Vec<Recipient> {
        let states = self.progress.recipients.iter();
        let all = self.letter.recipients.iter().zip(states).enumerate();
        all.filter(|(_, (_, state))| matches!(state, State::Waiting(_)))
            .map(|(number, (to, _))| Recipient { number, address: to.address.clone() })
            .collect()
    }
}
