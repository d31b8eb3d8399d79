//! Base names, read from the lines of the UID list.
//!
//! Only where a line begins is kept in memory. The file may have been written anew since: a line
//! counts only if it begins with the UID and its name has the hash that is known.

use std::fs::File;

use mail_proto::mailbox::Uid;

use crate::disk::{self, Dir, DiskError};

use super::index::Fact;
use super::known::Live;
use super::scan::MessageFile;
use super::{StoreError, name, uidlist};

/// An open UID list, from which names are read.
#[derive(Debug)]
pub(super) struct Names {
    /// `None`: there is no list.
    file: Option<File>,
    dir: Dir,
    /// A piece of it.
    piece: Vec<u8>,
    /// Where the piece begins.
    start: u64,
    /// The size of the next piece.
    ahead: usize,
}

/// One line mostly is shorter.
const LINE: usize = 512;
/// Whoever reads line after line is read ahead so far for.
const MOST: usize = 128 << 10;

impl Names {
    /// Opens the list of a mailbox.
    pub(super) fn open(dir: &Dir) -> Result<Self, StoreError> {
        let file = disk::found(dir.file(uidlist::FILE))?;
        Ok(Self { file, dir: dir.clone(), piece: Vec::new(), start: 0, ahead: LINE })
    }

    /// The base name of a message; `None` if the line is not about it.
    pub(super) fn base(&mut self, uid: Uid, fact: &Fact) -> Result<Option<&str>, StoreError> {
        let place = u64::from(fact.line);
        if self.line(place).is_none() {
            self.read(place)?;
        }
        while self.line(place).is_none() {
            let had = self.piece.len();
            if had >= MOST {
                return Ok(None);
            }
            self.read(place)?;
            if self.piece.len() <= had {
                return Ok(None);
            }
        }
        let line = self.line(place).and_then(|line| uidlist::parse_line(line, CURRENT));
        Ok(line.filter(|l| l.uid == uid && name::hash(l.base) == fact.hash).map(|l| l.base))
    }

    /// The name of a message's file is read from the list, into `file`. Whether the list still
    /// says it where it is known to; if not, it is to be read again.
    pub(super) fn locate(
        &mut self,
        live: &Live,
        file: &mut MessageFile,
    ) -> Result<bool, StoreError> {
        let Some(base) = self.base(live.uid, &live.fact)? else { return Ok(false) };
        live.tail.locate(base, live.flags, file);
        Ok(true)
    }

    /// The whole line at a place, if it was read.
    fn line(&self, place: u64) -> Option<&[u8]> {
        let from = usize::try_from(place.checked_sub(self.start)?).ok()?;
        let rest = self.piece.get(from..)?;
        let end = rest.iter().position(|b| *b == b'\n')?;
        rest.get(..=end)
    }

    /// Reads the piece at a place: the more, the less was passed over since the last one.
    fn read(&mut self, place: u64) -> Result<(), StoreError> {
        let end = self.start + self.piece.len() as u64;
        let near = place >= self.start && place <= end + self.piece.len() as u64;
        self.ahead = if near && end > 0 { (self.ahead * 2).min(MOST) } else { LINE };
        self.start = place;
        self.piece.resize(self.ahead, 0);
        let Some(file) = &self.file else {
            self.piece.clear();
            return Ok(());
        };
        let read = disk::read_at(file, &mut self.piece, place);
        let error = |error| DiskError::new(self.dir.path().join(uidlist::FILE), error);
        self.piece.truncate(read.map_err(error)?);
        Ok(())
    }
}

/// Lines are of this version, or the list would have been written anew.
const CURRENT: u32 = 3;
