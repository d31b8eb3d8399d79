//! Where in the cache the summary of each message is: 16 octets a message.

/// Where a summary is: in a frame of its own, or as one of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(u64);

/// Places by hashes.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// In order of hashes, each once.
    entries: Vec<(u64, Place)>,
    /// What came later, likewise once it was [taken in](Self::take_in).
    newer: Vec<(u64, Place)>,
}

const SLOT_BITS: u32 = 7;
const SINGLE: u64 = (1 << SLOT_BITS) - 1;

impl Place {
    /// A frame of its own, at an offset of the file.
    pub(super) fn single(offset: u64) -> Self {
        Self(offset << SLOT_BITS | SINGLE)
    }

    /// One of the summaries of the block at an offset.
    pub(super) fn in_block(offset: u64, slot: usize) -> Self {
        Self(offset << SLOT_BITS | (slot as u64 & SINGLE))
    }

    pub(super) fn offset(self) -> u64 {
        self.0 >> SLOT_BITS
    }

    /// Which one of the block, if it is in one.
    pub(super) fn slot(self) -> Option<usize> {
        let slot = self.0 & SINGLE;
        (slot != SINGLE).then_some(slot as usize)
    }
}

impl Table {
    /// A message's summary is there now.
    pub(super) fn add(&mut self, hash: u64, place: Place) {
        self.newer.push((hash, place));
    }

    /// Makes what was added be found.
    pub(super) fn take_in(&mut self) {
        settle(&mut self.newer);
        if self.newer.len() > self.entries.len() / 8 {
            self.entries.append(&mut self.newer);
            settle(&mut self.entries);
            self.entries.shrink_to_fit();
            self.newer = Vec::new();
        }
    }

    pub(super) fn place(&self, hash: u64) -> Option<Place> {
        let within = |entries: &[(u64, Place)]| {
            let found = entries.binary_search_by_key(&hash, |(hash, _)| *hash).ok()?;
            entries.get(found).map(|(_, place)| *place)
        };
        within(&self.newer).or_else(|| within(&self.entries))
    }
}

/// Brings entries into order; of those with one hash, the last stays.
fn settle(entries: &mut Vec<(u64, Place)>) {
    entries.sort_by_key(|(hash, _)| *hash);
    entries.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            *kept = *later;
        }
        same
    });
}
