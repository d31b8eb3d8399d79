//! Live records on their way to the end of the log, where the cleaner empties a segment.
//!
//! Some are under way at a time, so that they share syncs, and not so many that mail which comes
//! in meanwhile would wait for them.

use std::sync::mpsc::{Receiver, Sender, channel};

use mail_common::disk::{self, DiskError};
use mail_common::log::Id;
use tracing::error;

use crate::cleaner::Task;
use crate::index::{self, Effect};
use crate::record::Part;
use crate::recovery::Directories;
use crate::row::Place;
use crate::spool::Shared;
use crate::work::{Octets, Then, Work};
use crate::{Progress, SpoolError, corrupt};

/// Records that are under way at a time, and octets of them.
const RECORDS: usize = 64;
const OCTETS: usize = 1 << 20;

/// Live records on their way.
#[derive(Debug)]
pub(crate) struct Copies<'spool> {
    shared: &'spool Shared,
    directories: &'spool Directories,
    sender: Sender<Result<(), SpoolError>>,
    receiver: Receiver<Result<(), SpoolError>>,
    records: usize,
    octets: usize,
}

impl<'spool> Copies<'spool> {
    pub(crate) fn new(shared: &'spool Shared, directories: &'spool Directories) -> Self {
        let (sender, receiver) = channel();
        Self { shared, directories, sender, receiver, records: 0, octets: 0 }
    }

    /// Does what is to be done with a record, or begins to.
    ///
    /// # Errors
    /// The log cannot be written.
    pub(crate) fn act(&mut self, task: Task) -> Result<(), SpoolError> {
        match task {
            Task::Copy { id, part, from, text, body, octets } => {
                let Some(row) = self.shared.index.find(id) else { return Ok(()) };
                let effect = match part {
                    Part::Letter => Effect::MovedLetter(Some(from), row),
                    Part::Progress => Effect::MovedProgress(from),
                };
                self.octets += text.len() + octets.len();
                self.push(id, Octets::Own { text, body, octets }, effect);
            }
            Task::Lost { id, part: Part::Letter, from } => self.forget(id, from),
            Task::Lost { id, part: Part::Progress, from } => self.forget_progress(id, from)?,
        }
        if self.records >= RECORDS || self.octets >= OCTETS { self.settle() } else { Ok(()) }
    }

    /// Waits for all that is under way.
    ///
    /// # Errors
    /// Some of it was not written.
    pub(crate) fn settle(&mut self) -> Result<(), SpoolError> {
        let before = std::mem::replace(self, Self::new(self.shared, self.directories));
        drop(before.sender);
        // They end with the last who could tell.
        let results: Vec<_> = before.receiver.into_iter().collect();
        let is_all = results.len() == before.records;
        results.into_iter().collect::<Result<(), _>>()?;
        if is_all { Ok(()) } else { Err(SpoolError::Stopped) }
    }

    /// Its body may be whole: it is kept before the message is forgotten, which would remove it.
    fn forget(&mut self, id: Id, from: Place) {
        if let Err(error) = self.keep_body(id) {
            return error!("{id}: its body cannot be kept, so it stays in the queue: {error}");
        }
        self.push(id, Octets::text_only(Vec::new()), Effect::Done(Some(from)));
    }

    fn keep_body(&self, id: Id) -> Result<(), DiskError> {
        if !self.shared.index.find(id).is_some_and(|row| row.big) {
            return Ok(());
        }
        let Directories { big, corrupt, .. } = self.directories;
        // Killed after this, the next process finds it there.
        disk::found(corrupt::move_big(corrupt, big, id)).map(|_| ())
    }

    fn forget_progress(&mut self, id: Id, from: Place) -> Result<(), SpoolError> {
        let letter = match self.shared.letter(id) {
            Ok(letter) => letter,
            // Finished meanwhile; or lost itself, which is found when it is read.
            Err(SpoolError::Unknown(_) | SpoolError::Damaged { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let progress = Progress::new(&letter);
        let summary = index::summarise(&letter, Some(&progress), &self.shared.index);
        self.push(id, Octets::text_only(progress.encode()), Effect::Progress(Some(from), summary));
        Ok(())
    }

    fn push(&mut self, id: Id, octets: Octets, effect: Effect) {
        self.records += 1;
        let sender = self.sender.clone();
        // Who does not listen any more has met an error.
        let then: Then = Box::new(move |result| drop(sender.send(result)));
        self.shared.queue.push_first(Work { id, octets, effect, then });
    }
}
