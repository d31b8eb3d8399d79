//! Summaries read from the file, in pieces that hold many where they are wanted in order.

use std::fs::File;
use std::ops::Range;

use crate::disk;

use super::frame::{self, BLOCK_LIMIT, Found, Frame};
use super::table::Place;

/// What one reader has in memory of a file.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    piece: Vec<u8>,
    piece_at: u64,
    /// The block that was last decompressed.
    block_at: Option<u64>,
    block: Vec<u8>,
    entries: Vec<(u64, Range<usize>)>,
}

const FIRST_PIECE: usize = 8 * 1024;
const LARGEST_PIECE: usize = 256 * 1024;

impl Pieces {
    /// The summary at a place, if the one of this hash is there and is whole.
    pub(super) fn summary(&mut self, file: &File, hash: u64, place: Place) -> Option<&[u8]> {
        let Some(slot) = place.slot() else { return self.single(file, hash, place.offset()) };
        if self.block_at != Some(place.offset()) {
            self.block_at = None;
            self.load_block(file, place.offset())?;
            self.block_at = Some(place.offset());
        }
        let (_, range) = self.entries.get(slot).filter(|(found, _)| *found == hash)?;
        self.block.get(range.clone())
    }

    fn single(&mut self, file: &File, hash: u64, offset: u64) -> Option<&[u8]> {
        let length = self.frame_length(file, offset)?;
        match frame::parse(self.octets(file, offset, length)?) {
            Found::Frame(Frame::Summary(found, summary), _) if found == hash => Some(summary),
            _ => None,
        }
    }

    fn load_block(&mut self, file: &File, offset: u64) -> Option<()> {
        let length = self.frame_length(file, offset)?;
        let Found::Frame(Frame::Block(block), _) = frame::parse(self.octets(file, offset, length)?)
        else {
            return None;
        };
        let total = block.entries.last().map_or(0, |(_, range)| range.end);
        let mut plain = std::mem::take(&mut self.block);
        let stored = self.octets(file, offset + length as u64, block.stored)?;
        if crc32c::crc32c(stored) != block.crc || total > BLOCK_LIMIT {
            return None;
        }
        plain.resize(total, 0);
        let count = zstd::bulk::decompress_to_buffer(stored, &mut plain).ok()?;
        self.block = plain;
        self.entries = block.entries;
        (count == total).then_some(())
    }

    /// The octets of the frame at an offset.
    fn frame_length(&mut self, file: &File, offset: u64) -> Option<usize> {
        match frame::parse(self.octets(file, offset, frame::HEAD)?) {
            Found::Frame(_, length) | Found::Beginning(length) => Some(length),
            Found::Nothing => None,
        }
    }

    /// Octets of the file.
    fn octets(&mut self, file: &File, offset: u64, count: usize) -> Option<&[u8]> {
        let end = self.piece_at + self.piece.len() as u64;
        if offset < self.piece_at || offset + count as u64 > end {
            // Who reads on where the last piece ends, wants more.
            let goes_on = (self.piece_at..=end).contains(&offset);
            let size = if goes_on { self.piece.len() * 2 } else { 0 };
            let size = size.clamp(FIRST_PIECE, LARGEST_PIECE).max(count);
            self.piece.resize(size, 0);
            let read = disk::read_at(file, &mut self.piece, offset).unwrap_or_default();
            self.piece.truncate(read);
            self.piece_at = offset;
        }
        let within = usize::try_from(offset - self.piece_at).ok()?;
        self.piece.get(within..within + count)
    }
}
