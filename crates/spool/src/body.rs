//! A message on its way out.

use std::fs::File;
use std::io;
use std::sync::Arc;

use mail_common::disk;

use crate::message::Content;
use crate::{Damage, Message};

/// Octets of a block.
const BLOCK: usize = 64 << 10;

/// A body open for reading. Blocking, unless it is in memory.
///
/// Its checksum is computed along, and the block that would complete a damaged body is not given
/// out: whoever sends on what he reads must not end the message before he has seen the end here.
#[derive(Debug)]
pub struct Body {
    source: Source,
    left: u64,
    found: u32,
    expected: u32,
}

#[derive(Debug)]
pub(crate) enum Source {
    /// A message, and its next octet: in which of its blocks, and where there.
    Memory(Arc<Message>, (usize, usize)),
    /// A file, and the next offset.
    File(Arc<File>, u64),
}

impl Body {
    pub(crate) fn new(source: Source, length: u64, checksum: u32) -> Self {
        Self { source, left: length, found: 0, expected: checksum }
    }

    pub(crate) fn of_message(message: &Arc<Message>) -> Result<Self, Damage> {
        let source = match message.content() {
            Content::Blocks(_) => Source::Memory(Arc::clone(message), (0, 0)),
            Content::Big(file) => Source::File(Arc::new(file.open()?), 0),
        };
        Ok(Self::new(source, message.size(), message.checksum()))
    }

    /// The next block; an empty one is the end.
    ///
    /// # Errors
    /// It cannot be read, or what was read is not what was written: it must not be taken for a
    /// whole body.
    pub fn block(&mut self) -> Result<Vec<u8>, Damage> {
        let block = self.source.block(self.left)?;
        self.left = self.left.checked_sub(block.len() as u64).ok_or(Damage::Checksum)?;
        self.found = crc32c::crc32c_append(self.found, &block);
        if block.is_empty() && self.left > 0 {
            return Err(Damage::Cut);
        }
        if self.left == 0 && self.found != self.expected {
            return Err(Damage::Checksum);
        }
        Ok(block)
    }

    /// All that is left of it, for whoever knows that it is not large.
    ///
    /// # Errors
    /// As [`block`](Self::block).
    pub fn whole(mut self) -> Result<Vec<u8>, Damage> {
        let mut whole = self.block()?;
        loop {
            let block = self.block()?;
            if block.is_empty() {
                return Ok(whole);
            }
            whole.extend_from_slice(&block);
        }
    }

    /// The header: all before the empty line, at most `limit` octets of it.
    ///
    /// # Errors
    /// As [`block`](Self::block).
    pub fn header(mut self, limit: usize) -> Result<Vec<u8>, Damage> {
        let mut header = Vec::new();
        loop {
            let block = self.block()?;
            let seen = header.len().saturating_sub(3);
            header.extend_from_slice(&block);
            let tail = header.get(seen..).unwrap_or_default();
            if let Some(end) = tail.windows(4).position(|four| four == b"\r\n\r\n") {
                header.truncate(seen + end + 2);
                break;
            }
            if block.is_empty() || header.len() >= limit {
                break;
            }
        }
        header.truncate(limit);
        Ok(header)
    }
}

impl Source {
    fn block(&mut self, left: u64) -> io::Result<Vec<u8>> {
        match self {
            Self::Memory(message, next) => {
                let Content::Blocks(memory) = message.content() else { return Ok(Vec::new()) };
                let length = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK);
                Ok(gather(memory.blocks(), next, length))
            }
            Self::File(file, offset) => {
                let length = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK);
                let mut block = vec![0; length];
                if disk::read_at(file, &mut block, *offset)? < length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                *offset += length as u64;
                Ok(block)
            }
        }
    }
}

/// So many octets from there on, however they came: a small message in one piece can be handed
/// over together with others.
fn gather(blocks: &[Vec<u8>], (block, at): &mut (usize, usize), length: usize) -> Vec<u8> {
    let mut octets = Vec::with_capacity(length);
    while octets.len() < length
        && let Some(rest) = blocks.get(*block).and_then(|block| block.get(*at..))
    {
        let taken = rest.len().min(length - octets.len());
        octets.extend_from_slice(rest.get(..taken).unwrap_or_default());
        (*block, *at) = if taken == rest.len() { (*block + 1, 0) } else { (*block, *at + taken) };
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_are_gathered_from_blocks_of_any_size() {
        let blocks = [vec![1; 3], vec![], vec![2; 5], vec![3; 2]];
        let whole = blocks.concat();
        for length in 1..=12 {
            let mut next = (0, 0);
            let mut pieces = vec![gather(&blocks, &mut next, length)];
            while let Some(last) = pieces.last()
                && !last.is_empty()
            {
                pieces.push(gather(&blocks, &mut next, length));
            }
            pieces.pop();
            assert_eq!(pieces.concat(), whole);
            let (_, full) = pieces.split_last().expect("there are some");
            assert!(full.iter().all(|piece| piece.len() == length), "{length}: {pieces:?}");
        }
    }
}
