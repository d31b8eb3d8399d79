//! Waiting for what a spool was asked: it tells of each by a call.

use std::sync::mpsc::{Receiver, Sender, channel};

use mail_spool::{SpoolError, Then};

/// What becomes of all that is asked together.
#[derive(Debug)]
pub struct Outcomes {
    told: Sender<Result<(), SpoolError>>,
    heard: Receiver<Result<(), SpoolError>>,
}

impl Outcomes {
    /// Of what is asked from now on.
    #[must_use]
    pub fn new() -> Self {
        let (told, heard) = channel();
        Self { told, heard }
    }

    /// The call for one of them.
    #[must_use]
    pub fn then(&self) -> Then {
        let told = self.told.clone();
        Box::new(move |outcome| {
            // Who asked may have gone.
            let _ = told.send(outcome);
        })
    }

    /// Waits until it is known of all.
    ///
    /// # Errors
    /// The first that was told.
    pub fn wait(self) -> Result<(), SpoolError> {
        drop(self.told);
        let outcomes: Vec<_> = self.heard.iter().collect();
        outcomes.into_iter().collect()
    }
}

impl Default for Outcomes {
    fn default() -> Self {
        Self::new()
    }
}
