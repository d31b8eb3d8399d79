//! How the file is looked through, and followed as it grows.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use crate::disk;

use super::frame::{self, Found, Frame};
use super::table::{Place, Table};

/// A file, as far as it was looked through. It is not kept open: a mailbox that is idle holds no
/// descriptor.
#[derive(Debug)]
pub(super) struct Scan {
    identity: Identity,
    /// All before this was looked at.
    at: u64,
    table: Table,
    /// Summaries found so far, also those that others took the place of.
    frames: usize,
    single_frames: usize,
    single_octets: u64,
    /// Octets that are no frames.
    garbage: u64,
}

/// Which file it is. An inode that becomes free is soon another file's, which then begins with
/// another frame.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    beginning: Vec<u8>,
}

/// Octets read at a time.
const PIECE: usize = 256 * 1024;
/// Octets read behind a block, where another one begins.
const SMALL_PIECE: usize = 4 * 1024;
/// Beyond so many octets of garbage nobody looks for frames.
const GARBAGE_LIMIT: u64 = 1 << 20;
/// More summaries than any mailbox can use.
const FRAMES_LIMIT: usize = 16 << 20;

impl Scan {
    /// At the beginning of a file.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        Ok(Self {
            identity: Identity::of(file)?,
            at: 0,
            table: Table::default(),
            frames: 0,
            single_frames: 0,
            single_octets: 0,
            garbage: 0,
        })
    }

    /// Whether this is still the file, and nothing was cut off that was looked at.
    pub(super) fn is_of(&self, file: &File) -> io::Result<bool> {
        Ok(self.at > 0 && file.metadata()?.len() >= self.at && Identity::of(file)? == self.identity)
    }

    /// Looks at what came since the last time.
    pub(super) fn follow(&mut self, file: &File) -> io::Result<()> {
        let size = file.metadata()?.len();
        let mut buffer = Vec::new();
        let mut wanted = PIECE;
        let before = self.frames;
        while self.at < size && !self.is_damaged() {
            buffer.resize(wanted, 0);
            let count = disk::read_at(file, &mut buffer, self.at)?;
            let octets = buffer.get(..count).unwrap_or_default();
            let end = self.at + count as u64;
            let taken = self.take(octets, size);
            if taken == 0 && (count < wanted || wanted == PIECE) {
                break;
            }
            // Behind a block there is another one, mostly.
            wanted = if self.at > end { SMALL_PIECE } else { PIECE };
        }
        if self.frames > before {
            self.table.take_in();
        }
        Ok(())
    }

    pub(super) fn place(&self, hash: u64) -> Option<Place> {
        self.table.place(hash)
    }

    /// Where it ends, as far as it was looked at.
    pub(super) fn octets(&self) -> u64 {
        self.at
    }

    /// Summaries, those included that others took the place of.
    pub(super) fn frames(&self) -> usize {
        self.frames
    }

    /// Summaries that are not in blocks.
    pub(super) fn single_frames(&self) -> usize {
        self.single_frames
    }

    /// What these take up.
    pub(super) fn single_octets(&self) -> u64 {
        self.single_octets
    }

    /// Whether it is not worth while to look on.
    pub(super) fn is_damaged(&self) -> bool {
        self.garbage > GARBAGE_LIMIT || self.frames > FRAMES_LIMIT
    }

    /// Takes the frames that octets begin with; how many octets these are.
    fn take(&mut self, octets: &[u8], size: u64) -> u64 {
        let start = self.at;
        loop {
            let passed = usize::try_from(self.at - start).unwrap_or(usize::MAX);
            let Some(rest) = octets.get(passed..).filter(|rest| !rest.is_empty()) else { break };
            let is_last = self.at + rest.len() as u64 >= size;
            match frame::parse(rest) {
                Found::Frame(Frame::Summary(hash, _), length) => self.single(hash, length),
                Found::Frame(Frame::Block(block), length)
                    if self.at + (length + block.stored) as u64 <= size =>
                {
                    for (slot, (hash, _)) in block.entries.iter().enumerate() {
                        self.table.add(*hash, Place::in_block(self.at, slot));
                    }
                    self.frames += block.entries.len();
                    self.at += (length + block.stored) as u64;
                }
                Found::Beginning(_) if !is_last || frame::next(rest).is_none() => break,
                _ => self.pass_over(frame::next(rest).unwrap_or(rest.len())),
            }
        }
        self.at - start
    }

    fn single(&mut self, hash: u64, length: usize) {
        self.table.add(hash, Place::single(self.at));
        self.frames += 1;
        self.single_frames += 1;
        self.single_octets += length as u64;
        self.at += length as u64;
    }

    fn pass_over(&mut self, octets: usize) {
        self.garbage += octets as u64;
        self.at += octets as u64;
    }
}

impl Identity {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let mut beginning = vec![0; frame::HEAD];
        let count = disk::read_at(file, &mut beginning, 0)?;
        beginning.truncate(count);
        Ok(Self { device: metadata.dev(), inode: metadata.ino(), beginning })
    }
}
