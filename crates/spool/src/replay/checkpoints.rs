//! Reads the checkpoint that the replay begins from.

use std::io;

use mail_common::disk::{self, DiskError};

use super::Replay;
use crate::checkpoint::{self, BadCheckpoint};
use crate::fsck::Finding;
use crate::index::{Position, Table};
use crate::row::Place;

impl Replay<'_> {
    /// Reads the rows of the newest checkpoint that holds; where both begin.
    pub(super) fn read_checkpoints(
        &mut self,
    ) -> Result<(Option<Position>, Option<Position>), DiskError> {
        let newer = self.read_checkpoint(checkpoint::NEWER)?;
        if let Some(Ok(newer)) = newer {
            let older = disk::found(self.directories.root.file(checkpoint::OLDER))?;
            return Ok((Some(newer), older.and_then(|file| checkpoint::position(&file).ok())));
        }
        let older = self.read_checkpoint(checkpoint::OLDER)?;
        match (newer, older) {
            (_, Some(Ok(older))) => Ok((None, Some(older))),
            // What it holds may be had another time.
            (Some(Err(BadCheckpoint::Unreadable(error))), _) => {
                Err(self.unreadable(checkpoint::NEWER, error))
            }
            (_, Some(Err(BadCheckpoint::Unreadable(error)))) => {
                Err(self.unreadable(checkpoint::OLDER, error))
            }
            _ => Ok((None, None)),
        }
    }

    fn unreadable(&self, name: &str, error: io::Error) -> DiskError {
        DiskError::new(self.directories.root.path().join(name), error)
    }

    /// `None`: there is none.
    fn read_checkpoint(
        &mut self,
        name: &'static str,
    ) -> Result<Option<Result<Position, BadCheckpoint>>, DiskError> {
        let Some(file) = disk::found(self.directories.root.file(name))? else { return Ok(None) };
        let mut table = Table::default();
        let read = checkpoint::read(&file, self.index, |row| table.insert(row));
        match &read {
            Ok(position) => {
                (self.table, self.position) = (table, *position);
                self.doubt();
            }
            Err(why) => self.note(&Finding::Checkpoint { name, why: why.to_string() }),
        }
        Ok(Some(read))
    }

    /// Notes which rows of the checkpoint need a record of the log to confirm them.
    fn doubt(&mut self) {
        let is_sure = |place: Place| {
            let segment = self.known.get(&place.slot);
            segment.is_some_and(|&(generation, end)| {
                generation <= self.position.generation && place.end() <= end
            })
        };
        for number in self.table.pieces() {
            for row in self.table.piece(number).into_iter().flatten() {
                if !is_sure(row.letter) {
                    self.doubtful_letters.insert(row.id);
                }
                if row.progress.is_some_and(|place| !is_sure(place)) {
                    self.doubtful_progress.insert(row.id);
                }
            }
        }
    }
}
