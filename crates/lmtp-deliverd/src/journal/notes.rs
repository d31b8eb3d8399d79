//! Notes of deliveries whose message readers see, and that are not recorded yet.
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

use super::record::{self, Key, LENGTH, Word};

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

impl Notes {
    /// Opens them, with those that a process of this boot left behind and that say what no record
    /// says.
    pub(super) fn open(
        dir: &Dir,
        is_recorded: impl Fn(&Key) -> bool,
    ) -> Result<(Self, HashMap<Key, u32>), DiskError> {
        let file = match found(dir.block_file(NAME))? {
            Some(file) => file,
            None => create(dir)?,
        };
        let mut left = read(dir)?;
        left.retain(|key, _| !is_recorded(key));
        let taken: HashSet<u32> = left.values().copied().collect();
        let free = (0..PLACES).filter(|place| !taken.contains(place)).collect();
        Ok((Self { places: Mutex::new(Places { file, free }) }, left))
    }

    /// Takes a note. Returns its place.
    pub(super) fn take(&self, key: &Key) -> Option<u32> {
        let mut places = self.places();
        let place = places.free.pop()?;
        let note = record::encode(Word::Visible { boot: maildir::boot() }, key);
        if let Err(error) = places.write(place, &note) {
            warn!(%error, "cannot note a delivery");
        }
        Some(place)
    }

    /// What stands at these places may be written over.
    pub(super) fn free(&self, places: impl IntoIterator<Item = u32>) {
        self.places().free.extend(places);
    }

    /// Takes a note back.
    pub(super) fn erase(&self, place: u32) {
        let mut places = self.places();
        match places.write(place, &[0; LENGTH]) {
            Ok(()) => places.free.push(place),
            // It is not written over either: that would fail as well.
            Err(error) => warn!(%error, "cannot take back the note of a delivery"),
        }
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

fn read(dir: &Dir) -> Result<HashMap<Key, u32>, DiskError> {
    let mut octets = vec![0; PLACES as usize * LENGTH];
    let read = disk::read_at(&dir.file(NAME)?, &mut octets, 0);
    read.map_err(|error| DiskError::new(dir.path().join(NAME), error))?;
    let (notes, _) = octets.as_chunks::<LENGTH>();
    let boot = maildir::boot();
    let left = (0..PLACES).zip(notes).filter_map(|(place, note)| match record::decode(note)? {
        (Word::Visible { boot: noted }, key) if noted == boot => Some((key, place)),
        _ => None,
    });
    Ok(left.collect())
}
