//! The cache written anew: summaries of the messages that are there, in blocks that are
//! compressed, in the order in which they will be asked for.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::disk::{self, Dir, DiskError, NewFile};

use super::frame::{self, BLOCK};
use super::pieces::Pieces;
use super::scan::Scan;
use super::{Cache, NAME, Sought};

/// A new file being filled.
struct Rewriting {
    file: NewFile,
    /// Summaries that wait until there are enough for a block.
    plain: Vec<u8>,
    entries: Vec<(u64, u32)>,
}

const LEVEL: i32 = 3;
const PIECE: usize = 256 * 1024;

impl Cache {
    /// Writes the file anew, with the summaries of the messages whose base names have these
    /// hashes, in this order.
    pub(in super::super) fn rewrite(
        &self,
        dir: &Dir,
        hashes: impl IntoIterator<Item = u64>,
    ) -> disk::Result<()> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let Some(old) = self.follow(dir) else { return Ok(()) };
        let end = self.sound_end();
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{NAME}.{}-{count}{}", std::process::id(), Dir::TEMPORARY);
        let file = dir.create_new(name)?;
        let mut new = Rewriting { file, plain: Vec::new(), entries: Vec::new() };
        let mut pieces = Pieces::default();
        for hash in hashes {
            let place = match self.place(&old, hash) {
                Sought::At(place) => place,
                Sought::Nowhere => continue,
                // Somebody else was faster.
                Sought::Elsewhere => return Ok(()),
            };
            if let Some(summary) = pieces.summary(&old.file, hash, place) {
                new.add(dir, hash, summary)?;
            }
        }
        new.end_block(dir)?;
        if let Some(end) = end {
            new.copy_tail(dir, &old.file, end)?;
        }
        new.file.move_over(dir, NAME)?;
        self.follow(dir);
        Ok(())
    }

    /// Where that begins of the file which nobody looked at yet, if it is worth while to look.
    fn sound_end(&self) -> Option<u64> {
        let known = self.known();
        known.scan.as_ref().filter(|scan| !scan.is_damaged()).map(Scan::octets)
    }
}

impl Rewriting {
    fn add(&mut self, dir: &Dir, hash: u64, summary: &[u8]) -> disk::Result<()> {
        let Ok(length) = u32::try_from(summary.len()) else { return Ok(()) };
        self.plain.extend_from_slice(summary);
        self.entries.push((hash, length));
        if self.entries.len() == BLOCK { self.end_block(dir) } else { Ok(()) }
    }

    fn end_block(&mut self, dir: &Dir) -> disk::Result<()> {
        if self.entries.is_empty() {
            return Ok(());
        }
        let error = |error: io::Error| DiskError::new(dir.path().join(NAME), error);
        let stored = zstd::bulk::compress(&self.plain, LEVEL).map_err(error)?;
        let mut frames = Vec::with_capacity(stored.len() + 1024);
        frame::append_block(&mut frames, &stored, &self.entries);
        self.plain.clear();
        self.entries.clear();
        self.file.write(&frames)
    }

    /// Copies what was appended to the old file meanwhile.
    fn copy_tail(&mut self, dir: &Dir, old: &File, mut from: u64) -> disk::Result<()> {
        let mut piece = vec![0; PIECE];
        loop {
            let error = |error: io::Error| DiskError::new(dir.path().join(NAME), error);
            let count = disk::read_at(old, &mut piece, from).map_err(error)?;
            if count == 0 {
                return Ok(());
            }
            self.file.write(piece.get(..count).unwrap_or_default())?;
            from += count as u64;
        }
    }
}
