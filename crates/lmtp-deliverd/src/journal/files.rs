//! The journal's files: one is being written, the others wait to be read at a start or to be
//! written again.
//!
//! A file is 3.5 MiB of records at most. It is written with zeros ahead of its use, a quarter of a
//! mebioctet at a time, and used again under a new generation when nothing in it is needed any
//! more: a sync of octets that were there before costs the file system no commit of its journal.
//! Nothing but the records is in it. Its generation is the highest that stands in a record; records
//! of lower ones are left over from earlier uses and do not count. The records go on behind the
//! last that counts.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice};
use std::path::Path;

use mail_common::disk::{self, BlockFile, Dir, DiskError, found};
use tracing::warn;

use super::known::Chapter;
use super::record::{self, Key, LENGTH, Word};

/// Records of a file, where there may be many in all.
const RECORDS: usize = 57_344;

/// Records that room is made for at a time.
const STEP: usize = 4096;

/// Octets that are lost together where the disk cannot be read.
const BLOCK: usize = 4096;

/// The files of one directory. Whoever has them has the lock.
#[derive(Debug)]
pub(super) struct Files {
    dir: Dir,
    _lock: File,
    size: Size,
    current: Option<Current>,
    /// The others, the oldest first.
    others: VecDeque<Other>,
    /// The highest generation that there ever was.
    generation: u64,
    /// A number that no file has yet.
    next_number: u32,
}

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// Records of a file.
    pub(super) records: usize,
    /// Files.
    pub(super) files: usize,
}

#[derive(Debug)]
struct Current {
    file: BlockFile,
    number: u32,
    generation: u64,
    /// Records that are written.
    written: usize,
    /// Records that there is room for.
    room: usize,
    state: CurrentState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CurrentState {
    /// Its name does not last yet.
    New,
    Sound,
    /// Writing or syncing it failed: it is never written again.
    Lost,
}

#[derive(Debug)]
struct Other {
    generation: u64,
    number: u32,
}

/// What a file says.
struct Content {
    chapter: Chapter,
    /// Records up to the last that counts.
    written: usize,
    /// Records that there is room for.
    room: usize,
}

impl Size {
    /// For so many deliveries.
    pub(super) fn of(deliveries: usize) -> Self {
        // One file is being filled, and one may have been emptied for it.
        let records = (deliveries / 2).clamp(1, RECORDS);
        Self { records, files: deliveries.div_ceil(records).max(2) }
    }
}

impl Files {
    /// Opens them, with what they say, the oldest first. `None`: another process has them.
    pub(super) fn open(
        path: &Path,
        size: Size,
    ) -> Result<Option<(Self, VecDeque<Chapter>)>, DiskError> {
        let dir = Dir::open_or_create(path)?;
        let Some(lock) = dir.lock("lock")? else { return Ok(None) };
        let mut found = Vec::new();
        let mut next_number = 0;
        for number in numbers(&dir)? {
            next_number = next_number.max(number.saturating_add(1));
            match read(&dir, number) {
                Ok(content) => found.push((number, content)),
                Err(error) => warn!(%error, "a file of the journal cannot be read"),
            }
        }
        found.sort_by_key(|(_, content)| Reverse(content.chapter.generation()));
        let generation = found.first().map_or(0, |(_, content)| content.chapter.generation());
        let (current, others) = (None, VecDeque::new());
        let mut files = Self { dir, _lock: lock, size, current, others, generation, next_number };
        let chapters = files.take_over(found);
        Ok(Some((files, chapters)))
    }

    /// How many records the current file still takes.
    pub(super) fn room(&self) -> usize {
        self.current.as_ref().map_or(0, |current| self.size.records.saturating_sub(current.written))
    }

    /// Where they are.
    pub(super) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// The generation of the current file.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Begins a file: with one of before `first_needed`, else with a new one, else with the oldest.
    /// Returns the generation of which nothing is left.
    pub(super) fn turn(&mut self, first_needed: u64) -> Result<Option<u64>, DiskError> {
        let free = self.others.front().is_some_and(|other| other.generation < first_needed);
        let full = self.count() >= self.size.files;
        let Some(other) = self.others.pop_front_if(|_| free || full) else {
            let current = self.create()?;
            self.set_current(current);
            return Ok(None);
        };
        let generation = other.generation;
        match self.reuse(&other).or_else(|error| self.create_instead(&other, &error)) {
            Ok(current) => self.set_current(current),
            Err(error) => {
                self.others.push_front(other);
                return Err(error);
            }
        }
        Ok(Some(generation))
    }

    /// Writes records of these keys, no more than there is [`room`](Self::room) for, and makes
    /// them last. After an error the current file is not written again.
    pub(super) fn append(&mut self, keys: &[Key]) -> Result<(), DiskError> {
        let most = self.size.records;
        let Some(current) = &mut self.current else { return Err(lost(&self.dir)) };
        let done = current.append(&self.dir, keys, most);
        if done.is_err() {
            current.state = CurrentState::Lost;
        }
        done
    }

    /// Writes these keys into a new file that takes the place of the current one, which is lost.
    pub(super) fn replace(&mut self, keys: &[Key]) -> Result<(), DiskError> {
        let mut new = self.create()?;
        let number = new.number;
        if let Err(error) = new.append(&self.dir, keys, self.size.records) {
            self.remove(number);
            return Err(error);
        }
        self.generation = new.generation;
        if let Some(lost) = self.current.replace(new) {
            self.remove(lost.number);
        }
        Ok(())
    }

    /// As after a failure.
    #[cfg(test)]
    pub(super) fn lose(&mut self) {
        self.current.iter_mut().for_each(|current| current.state = CurrentState::Lost);
    }

    /// Sorts what was found, the newest first. The newest is written on.
    fn take_over(&mut self, found: Vec<(u32, Content)>) -> VecDeque<Chapter> {
        let mut chapters = VecDeque::new();
        for (number, content) in found {
            let Content { chapter, written, room } = content;
            let generation = chapter.generation();
            let is_newest = generation == self.generation && generation > 0;
            if self.count() >= self.size.files {
                // Fewer are to be kept than before.
                self.remove(number);
                continue;
            }
            if is_newest && self.current.is_none() && written < self.size.records {
                match self.dir.block_file(name(number)) {
                    Ok(file) => {
                        let state = CurrentState::Sound;
                        self.current =
                            Some(Current { file, number, generation, written, room, state });
                    }
                    Err(error) => warn!(%error, "a file of the journal cannot be written"),
                }
            } else {
                self.others.push_front(Other { generation, number });
            }
            if chapter.len() > 0 {
                chapters.push_front(chapter);
            }
        }
        chapters
    }

    fn count(&self) -> usize {
        self.others.len() + usize::from(self.current.is_some())
    }

    fn set_current(&mut self, new: Current) {
        self.generation = new.generation;
        if let Some(Current { generation, number, .. }) = self.current.replace(new) {
            self.others.push_back(Other { generation, number });
        }
    }

    fn create(&mut self) -> Result<Current, DiskError> {
        let number = self.next_number;
        let file = self.dir.create_block_file(name(number))?;
        self.next_number = number.saturating_add(1);
        let generation = self.generation.saturating_add(1);
        Ok(Current { file, number, generation, written: 0, room: 0, state: CurrentState::New })
    }

    /// Where a file was removed, or cannot be opened any more.
    fn create_instead(&mut self, lost: &Other, error: &DiskError) -> Result<Current, DiskError> {
        warn!(%error, "a file of the journal is lost");
        let current = self.create()?;
        self.remove(lost.number);
        Ok(current)
    }

    fn reuse(&self, other: &Other) -> Result<Current, DiskError> {
        let file = self.dir.block_file(name(other.number))?;
        let room = records_in(file.length()?);
        let generation = self.generation.saturating_add(1);
        let (number, state) = (other.number, CurrentState::Sound);
        Ok(Current { file, number, generation, written: 0, room, state })
    }

    /// Removes a file that is not to be read again. That it stays does no harm: it says nothing
    /// that is not true.
    fn remove(&self, number: u32) {
        if let Err(error) = found(self.dir.unlink(name(number))) {
            warn!(%error, "a file of the journal stays");
        }
    }
}

impl Current {
    fn append(&mut self, dir: &Dir, keys: &[Key], most: usize) -> Result<(), DiskError> {
        if self.state == CurrentState::Lost {
            return Err(lost(dir));
        }
        let word = Word::Done { generation: self.generation };
        let records: Vec<u8> = keys.iter().flat_map(|key| record::encode(word, key)).collect();
        let written = self.written + keys.len();
        self.file.write_at(&mut [IoSlice::new(&records)], octets(self.written))?;
        if written > self.room {
            let room = (written + STEP).min(most.max(written));
            self.file.write_zeros(octets(written), octets(room))?;
            self.room = room;
        }
        self.file.sync()?;
        if self.state == CurrentState::New {
            dir.sync()?;
            self.state = CurrentState::Sound;
        }
        self.written = written;
        Ok(())
    }
}

/// Reads a file. What the disk does not give costs the records that stand there.
fn read(dir: &Dir, number: u32) -> Result<Content, DiskError> {
    let name = name(number);
    let at_path = |error| DiskError::new(dir.path().join(&name), error);
    let file = dir.file(&name)?;
    let room = records_in(file.metadata().map_err(at_path)?.len()).min(RECORDS);
    let mut octets = vec![0; room * LENGTH];
    if let Err(error) = read_what_can_be(&file, &mut octets) {
        warn!(error = %at_path(error), "a part of the journal cannot be read");
    }
    Ok(content(&octets))
}

/// Reads a file from its beginning. After an error, what the disk did not give is zeros.
pub(super) fn read_what_can_be(file: &File, octets: &mut [u8]) -> io::Result<()> {
    let read = disk::read_at(file, octets, 0);
    if read.is_err() {
        for (at, block) in octets.chunks_mut(BLOCK).enumerate() {
            if disk::read_at(file, block, (at * BLOCK) as u64).is_err() {
                block.fill(0);
            }
        }
    }
    read.map(|_| ())
}

fn content(octets: &[u8]) -> Content {
    let (records, _) = octets.as_chunks::<LENGTH>();
    let decoded = |(at, octets): (usize, &[u8; LENGTH])| match record::decode(octets)? {
        (Word::Done { generation }, key) => Some((at, generation, key)),
        (Word::Noted { .. }, _) => None,
    };
    let valid: Vec<_> = records.iter().enumerate().filter_map(decoded).collect();
    let generation = valid.iter().map(|(_, generation, _)| *generation).max().unwrap_or(0);
    let mut chapter = Chapter::with_capacity(generation, valid.len());
    let mut written = 0;
    for (at, _, key) in valid.into_iter().filter(|(_, of, _)| *of == generation) {
        chapter.add(key);
        written = at + 1;
    }
    Content { chapter, written, room: records.len() }
}

/// The numbers of all files that there are.
fn numbers(dir: &Dir) -> Result<Vec<u32>, DiskError> {
    let mut numbers = Vec::new();
    for entry in dir.entries()? {
        let entry = entry?;
        let digits = entry.name.to_str().and_then(|name| name.strip_prefix("deliveries."));
        numbers.extend(digits.and_then(|digits| digits.parse::<u32>().ok()));
    }
    Ok(numbers)
}

fn name(number: u32) -> String {
    format!("deliveries.{number}")
}

fn octets(records: usize) -> u64 {
    records as u64 * LENGTH as u64
}

fn records_in(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX) / LENGTH
}

fn lost(dir: &Dir) -> DiskError {
    DiskError::new(dir.path().to_owned(), io::Error::other("writing the journal failed before"))
}
