//! Notes of deliveries whose message readers are about to see, or see already, and that are not
//! recorded yet.
//!
//! A note is written and never synced: it is for the next process after one that was killed, to
//! which the system shows what was written, and not for the time after a power cut. So each has the
//! boot of the machine in it, and counts in no other. See the journal's own page for what it is
//! good for.

use std::collections::{HashMap, HashSet};
use std::io::IoSlice;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mail_common::disk::{self, BlockFile, Dir, DiskError, found};
use mail_common::maildir;
use tracing::warn;

use super::record::{self, Key, LENGTH, Noted, Word};

/// So many there can be at a time, more than deliveries are ever under way. Who finds no place
/// takes no note.
const PLACES: u32 = 1024;

const NAME: &str = "visible";

/// Where notes are written.
#[derive(Debug)]
pub(super) struct Notes {
    places: Mutex<Places>,
}

#[derive(Debug)]
struct Places {
    file: BlockFile,
    free: Vec<u32>,
}

/// A note in its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    pub(super) place: u32,
    pub(super) note: Noted,
    pub(super) whose: Whose,
}

/// Who took a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// The attempt that is under way.
    UnderWay,
    /// One before it, of this process or of another.
    Left,
}

impl Notes {
    /// Opens them, with those that a process of this boot left behind and that say what no record
    /// says.
    pub(super) fn open(
        dir: &Dir,
        is_recorded: impl Fn(&Key) -> bool,
    ) -> Result<(Self, HashMap<Key, Placed>), DiskError> {
        let file = match found(dir.block_file(NAME))? {
            Some(file) => file,
            None => create(dir)?,
        };
        let mut left = read(dir)?;
        left.retain(|key, _| !is_recorded(key));
        let taken: HashSet<u32> = left.values().map(|left| left.place).collect();
        let free = (0..PLACES).filter(|place| !taken.contains(place)).collect();
        Ok((Self { places: Mutex::new(Places { file, free }) }, left))
    }

    /// Takes a note; `None` where that was not possible, and then there is none.
    pub(super) fn take(&self, key: &Key, note: Noted) -> Option<Placed> {
        let mut places = self.places();
        let place = places.free.pop()?;
        let word = Word::Noted { boot: maildir::boot(), note };
        if let Err(error) = places.write(place, &record::encode(word, key)) {
            warn!(%error, "cannot note a delivery");
            places.free.push(place);
            return None;
        }
        Some(Placed { place, note, whose: Whose::UnderWay })
    }

    /// What stands at these places may be written over.
    pub(super) fn free(&self, places: impl IntoIterator<Item = u32>) {
        self.places().free.extend(places);
    }

    /// Takes a note back. After an error it may stand there still.
    pub(super) fn erase(&self, place: u32) -> Result<(), DiskError> {
        let mut places = self.places();
        places.write(place, &[0; LENGTH])?;
        places.free.push(place);
        Ok(())
    }

    /// From now on nothing can be written.
    #[cfg(test)]
    pub(super) fn lose(&self) {
        let full = Dir::open(std::path::Path::new("/dev")).and_then(|dir| dir.block_file("full"));
        self.places().file = full.expect("it is always full");
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    fn write(&mut self, place: u32, note: &[u8; LENGTH]) -> Result<(), DiskError> {
        self.file.write_at(&mut [IoSlice::new(note)], u64::from(place) * LENGTH as u64)
    }
}

/// All places are there from the beginning, and a disk that becomes full has room for them.
fn create(dir: &Dir) -> Result<BlockFile, DiskError> {
    let mut file = dir.create_block_file(NAME)?;
    file.write_zeros(0, u64::from(PLACES) * LENGTH as u64)?;
    Ok(file)
}

fn read(dir: &Dir) -> Result<HashMap<Key, Placed>, DiskError> {
    let mut octets = vec![0; PLACES as usize * LENGTH];
    let read = disk::read_at(&dir.file(NAME)?, &mut octets, 0);
    read.map_err(|error| DiskError::new(dir.path().join(NAME), error))?;
    let (notes, _) = octets.as_chunks::<LENGTH>();
    let boot = maildir::boot();
    let left = (0..PLACES).zip(notes).filter_map(|(place, note)| match record::decode(note)? {
        (Word::Noted { boot: noted, note }, key) if noted == boot => {
            Some((key, Placed { place, note, whose: Whose::Left }))
        }
        _ => None,
    });
    Ok(left.collect())
}
