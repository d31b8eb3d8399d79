//! The log of a disk's writes, in the form of dm-log-writes, and the disk as it was at any moment.
//!
//! A log is a superblock (magic `0x6a736677736872`, version, number of entries, sector size) and
//! entries, each a sector with first sector, number of sectors, flags and length of data, followed
//! by the data; all numbers are little endian and of 64 bits, the superblock's last one of 32. What
//! was written before a flush is on the disk when the flush is in the log; what came after the last
//! flush may be there or not, block by block.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What was written to a disk, in order.
#[derive(Debug)]
pub struct WriteLog {
    file: File,
    /// In order.
    pub entries: Vec<Entry>,
}

/// One write, or flush.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Where on the disk, in octets.
    to: u64,
    /// Where its data is in the log, and how long.
    from: u64,
    length: u64,
    flags: u64,
    /// How long the log was when it was in it.
    pub end: u64,
}

/// The log's unit.
const SECTOR: u64 = 512;
/// What a disk writes whole or not at all: with less, ext4 does not survive, for its superblock is
/// two sectors with one checksum.
const BLOCK: u64 = 4096;
const MAGIC: u64 = 0x006a_7366_7773_6872;
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;

impl WriteLog {
    /// Reads a log that was finished.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn read(path: &Path) -> Self {
        let file = File::open(path).expect("the log is there");
        let [magic, version, count, sector] = numbers(&file, 0);
        assert_eq!((magic, version), (MAGIC, 1), "magic and version of the log");
        assert_eq!(sector & 0xffff_ffff, SECTOR, "the log's sectors");
        let mut at = SECTOR;
        let entries = (0..count).map(|_| {
            let [to, sectors, flags, _] = numbers(&file, at);
            // What was discarded is not in the log.
            let length = if flags & DISCARD == 0 { sectors * SECTOR } else { 0 };
            let from = at + SECTOR;
            at = from + length;
            Entry { to: to * SECTOR, from, length, flags, end: at }
        });
        let entries = entries.collect();
        Self { file, entries }
    }

    /// Where the flushes are among the entries.
    #[must_use]
    pub fn flushes(&self) -> Vec<usize> {
        let flushes = self.entries.iter().enumerate();
        flushes.filter(|(_, entry)| entry.flags & (FLUSH | FUA) != 0).map(|(at, _)| at).collect()
    }

    /// Writes to the image of the disk what entries wrote, of that the blocks that are chosen.
    ///
    /// # Panics
    /// If there are not so many, or the image cannot be written.
    pub fn apply(&self, entries: Range<usize>, image: &File, mut chosen: impl FnMut() -> bool) {
        for entry in &self.entries[entries] {
            for at in (0..entry.length).step_by(BLOCK as usize) {
                if chosen() {
                    let mut block = [0; BLOCK as usize];
                    let length = BLOCK.min(entry.length - at) as usize;
                    let block = &mut block[..length];
                    self.file.read_exact_at(block, entry.from + at).expect("it was counted");
                    image.write_all_at(block, entry.to + at).expect("the image is writable");
                }
            }
        }
    }
}

fn numbers(file: &File, at: u64) -> [u64; 4] {
    let mut octets = [0; 32];
    file.read_exact_at(&mut octets, at).expect("the log is as long as it says");
    let number = |at: usize| u64::from_le_bytes(octets[at..at + 8].try_into().expect("are eight"));
    [number(0), number(8), number(16), number(24)]
}
