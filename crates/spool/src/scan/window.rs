//! The part of a segment that was read last.

use std::collections::BTreeSet;
use std::io;

use super::Octets;
use crate::record::BLOCK;

/// Octets of a window; longer texts make it grow.
pub(super) const WINDOW: usize = 256 << 10;
/// What stands in the window for what the disk does not give.
const UNREADABLE: u8 = 0xff;

/// What was read last.
pub(super) struct Window<'source, S: ?Sized> {
    source: &'source S,
    /// Nothing is read from here on.
    end: u64,
    start: u64,
    octets: Vec<u8>,
    /// Where the blocks begin that were not given. Windows overlap, and go back to the begin of a
    /// long record.
    pub(super) withheld: BTreeSet<u64>,
    /// Why the last of them was not.
    pub(super) error: Option<io::Error>,
}

impl<'source, S: Octets + ?Sized> Window<'source, S> {
    pub(super) fn new(source: &'source S, end: u64) -> Self {
        Self { source, end, start: 0, octets: Vec::new(), withheld: BTreeSet::new(), error: None }
    }

    /// So many octets from here; `None`: there are less.
    pub(super) fn at(&mut self, offset: u64, length: usize) -> Option<&[u8]> {
        let inside = offset.checked_sub(self.start).and_then(|from| usize::try_from(from).ok());
        let end = inside.and_then(|from| from.checked_add(length));
        if end.is_none_or(|end| end > self.octets.len()) {
            self.fill(offset, length);
        }
        let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.octets.get(from..from.checked_add(length)?)
    }

    /// Begins with a block, so that one that is not given takes nothing of the next with it, and
    /// can be asked for again.
    fn fill(&mut self, offset: u64, length: usize) {
        self.start = offset - offset % BLOCK;
        let end = offset.saturating_add(length as u64);
        let end = end.max(self.start.saturating_add(WINDOW as u64)).min(self.end);
        let length = usize::try_from(end.saturating_sub(self.start)).unwrap_or(0);
        self.octets.resize(length, 0);
        let count = self.source.read_at(&mut self.octets, self.start);
        let count = count.unwrap_or_else(|_| self.fill_by_blocks());
        self.octets.truncate(count);
    }

    /// Where a part cannot be read, the rest can.
    fn fill_by_blocks(&mut self) -> usize {
        let mut filled = 0;
        for block in self.octets.chunks_mut(BLOCK as usize) {
            let at = self.start + filled as u64;
            match self.source.read_at(block, at) {
                Ok(count) => {
                    filled += count;
                    if count < block.len() {
                        break;
                    }
                }
                Err(error) => {
                    self.withheld.insert(at);
                    self.error = Some(error);
                    block.fill(UNREADABLE);
                    filled += block.len();
                }
            }
        }
        filled
    }
}
