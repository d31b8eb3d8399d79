//! Who writes records, and what becomes of them when that fails.

use std::mem::take;
use std::time::{Duration, Instant};

use mail_common::disk::DiskError;
use tracing::{error, warn};

use super::files::Files;
use super::record::Key;
use super::{Journal, REMEMBERED};

/// After nothing could be written for this long it is tried again.
const REST: Duration = Duration::from_secs(10);

/// Who writes.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) files: Files,
    /// What could not be written.
    pub(super) owed: Vec<Key>,
    /// Until when nothing is tried.
    pub(super) resting: Option<Instant>,
}

impl Keeper {
    pub(super) fn new(files: Files) -> Self {
        Self { files, owed: Vec::new(), resting: None }
    }

    /// Records these, and what is owed. What cannot be recorded is owed.
    pub(super) fn record(&mut self, keys: Vec<Key>, journal: &Journal) {
        let keys = [take(&mut self.owed), keys].concat();
        if self.resting.is_some_and(|until| Instant::now() < until) {
            return self.owe(&keys);
        }
        let mut rest = keys.as_slice();
        while !rest.is_empty() {
            match self.record_some(rest, journal) {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) => {
                    error!(%error, "deliveries go on unrecorded: a repeat may come twice");
                    self.resting = Some(Instant::now() + REST);
                    return self.owe(rest);
                }
            }
        }
        if self.resting.take().is_some() {
            warn!("deliveries are recorded again");
        }
    }

    /// Records as many as one file takes. Returns how many these are.
    fn record_some(&mut self, keys: &[Key], journal: &Journal) -> Result<usize, DiskError> {
        if self.files.room() == 0 {
            let first_needed = journal.known().first_generation();
            let gone = self.files.turn(first_needed)?;
            gone.into_iter().for_each(|generation| journal.known().forget(generation));
        }
        let some = keys.get(..self.files.room()).unwrap_or(keys);
        if let Err(error) = self.files.append(some) {
            warn!(%error, "a file of the journal is not written any more");
            self.replace(some, journal)?;
        }
        let places = journal.known().recorded(self.files.generation(), some);
        journal.notes.free(places);
        Ok(some.len())
    }

    /// Writes these, and what stood in the current file, into a new one.
    fn replace(&mut self, keys: &[Key], journal: &Journal) -> Result<(), DiskError> {
        let lost = self.files.generation();
        let all = [&journal.known().keys_of(lost), keys].concat();
        self.files.replace(&all)?;
        journal.known().moved(lost, self.files.generation());
        Ok(())
    }

    fn owe(&mut self, keys: &[Key]) {
        let over = (self.owed.len() + keys.len()).saturating_sub(REMEMBERED);
        self.owed.extend(keys.iter().skip(over));
    }
}
