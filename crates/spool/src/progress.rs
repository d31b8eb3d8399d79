//! What became of a message so far.

use serde::{Deserialize, Serialize};

use crate::Letter;
use crate::text::{self, BadText};

/// What became of a message so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// For each recipient of the letter, in order.
    pub recipients: Vec<State>,
    /// Attempts that ended with a peer's word.
    pub attempts: u32,
    /// Attempts since then that found nobody to talk to.
    pub outages: u32,
    /// When it is tried next, in microseconds since 1970.
    pub due: u64,
    /// Why it is held: it is not tried until somebody releases it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<String>,
    /// Why an admin gave it up: at its next attempt nobody is tried, and its sender is told this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<String>,
    /// Whether its sender was told that it takes longer than usual.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub delay_told: bool,
}

/// What became of one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not tried yet, or tried and to be tried again, with the reason.
    Waiting(Option<String>),
    /// Somebody else has the message for it now, with a 250.
    Delivered,
    /// Given up; its sender was told, where there is one to tell.
    Failed,
}

impl Progress {
    /// Of a letter that nobody has tried.
    #[must_use]
    pub fn new(letter: &Letter) -> Self {
        Self {
            recipients: vec![State::Waiting(None); letter.recipients.len()],
            attempts: 0,
            outages: 0,
            due: letter.arrived,
            hold: letter.hold.clone(),
            given_up: None,
            delay_told: false,
        }
    }

    /// Whether nobody waits any more.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.recipients.iter().all(|state| !matches!(state, State::Waiting(_)))
    }

    /// The places of those who still wait, from 0.
    pub fn waiting(&self) -> impl Iterator<Item = usize> {
        let states = self.recipients.iter().enumerate();
        states.filter_map(|(at, state)| matches!(state, State::Waiting(_)).then_some(at))
    }

    /// Notes what became of a recipient.
    pub fn set(&mut self, number: usize, state: State) {
        if let Some(place) = self.recipients.get_mut(number) {
            *place = state;
        }
    }

    /// As a record's text has it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        text::encode(self)
    }

    /// Reads a record's text.
    ///
    /// # Errors
    /// It is not what [`encode`](Self::encode) writes, or of a letter with another number of
    /// recipients.
    pub fn decode(text: &[u8], letter: &Letter) -> Result<Self, BadText> {
        let progress: Self = text::decode(text)?;
        if progress.recipients.len() != letter.recipients.len() {
            return Err(BadText::new(&"another number of recipients"));
        }
        Ok(progress)
    }
}
