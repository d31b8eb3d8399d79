//! Notes of deliveries whose message readers are about to see, or see already, and that are not
//! recorded yet.
//!
//! A note is written and never synced: it is for the next process after one that was killed, to
//! which the system shows what was written, and not for the time after a power cut. So each has the
//! boot of the machine in it, and counts in no other. See the journal's own page for what it is
//! good for.

use std::collections::{HashMap, HashSet};
use std::io::{self, IoSlice};
use std::sync::{Mutex, MutexGuard, PoisonError};

use mail_common::disk::{BlockFile, Dir, DiskError, found};
use mail_common::maildir;
use tracing::{error, warn};

use super::files;
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
    /// `None`: there cannot be one.
    file: Option<BlockFile>,
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
    /// says. What cannot be read or written is made anew; if that is not possible either, no notes
    /// are taken.
    pub(super) fn open(
        dir: &Dir,
        is_recorded: impl Fn(&Key) -> bool,
    ) -> (Self, HashMap<Key, Placed>) {
        let mut octets = vec![0; PLACES as usize * LENGTH];
        let read = read(dir, &mut octets).and_then(|()| dir.block_file(NAME));
        let file = found(read).unwrap_or_else(|error| {
            warn!(%error, "the notes of deliveries are made anew");
            None
        });
        let file = file.or_else(|| create(dir, &octets));
        let mut left = left(&octets);
        left.retain(|key, _| !is_recorded(key));
        let taken: HashSet<u32> = left.values().map(|left| left.place).collect();
        let free = (0..PLACES).filter(|place| !taken.contains(place)).collect();
        (Self { places: Mutex::new(Places { file, free }) }, left)
    }

    /// Takes a note; `None` where that was not possible, and then there is none.
    pub(super) fn take(&self, key: &Key, note: Noted) -> Option<Placed> {
        let mut places = self.places();
        places.file.as_ref()?;
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
        self.places().file = Some(full.expect("it is always full"));
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    fn write(&mut self, place: u32, note: &[u8; LENGTH]) -> Result<(), DiskError> {
        let Some(file) = &mut self.file else {
            return Err(DiskError::new(NAME.into(), io::ErrorKind::NotFound.into()));
        };
        file.write_at(&mut [IoSlice::new(note)], u64::from(place) * LENGTH as u64)
    }
}

/// Makes the file, with what could be read of the one before. All places are there from the
/// beginning, and a disk that becomes full has room for them.
fn create(dir: &Dir, octets: &[u8]) -> Option<BlockFile> {
    let made = found(dir.unlink(NAME)).and_then(|_| dir.create_block_file(NAME));
    let mut file =
        made.inspect_err(|error| error!(%error, "deliveries go on without notes")).ok()?;
    if let Err(error) = file.write_at(&mut [IoSlice::new(octets)], 0) {
        warn!(%error, "there may be no room for notes of deliveries");
    }
    Some(file)
}

/// What cannot be read stays zeros.
fn read(dir: &Dir, octets: &mut [u8]) -> Result<(), DiskError> {
    let read = files::read_what_can_be(&dir.file(NAME)?, octets);
    read.map_err(|error| DiskError::new(dir.path().join(NAME), error))
}

/// Notes of this boot.
fn left(octets: &[u8]) -> HashMap<Key, Placed> {
    let (notes, _) = octets.as_chunks::<LENGTH>();
    let boot = maildir::boot();
    let left = (0..PLACES).zip(notes).filter_map(|(place, note)| match record::decode(note)? {
        (Word::Noted { boot: noted, note }, key) if noted == boot => {
            Some((key, Placed { place, note, whose: Whose::Left }))
        }
        _ => None,
    });
    left.collect()
}
