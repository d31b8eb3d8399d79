//! The memory that bodies are in: counted, and used again.
//!
//! Fresh memory costs the clearing of its pages, more than a quarter of all work at 64 kB a
//! message. So blocks come back here, and go out again to those who receive.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use mail_common::lock;

/// What is kept for later: this many blocks, and none that is larger or smaller.
const KEPT: usize = 256;
const LARGEST: usize = 128 << 10;
const SMALLEST: usize = 2 << 10;

/// The memory that bodies are in.
#[derive(Debug)]
pub(crate) struct Blocks {
    /// Octets from which on bodies go to the disk while they are received.
    limit: usize,
    held: AtomicUsize,
    free: Mutex<Vec<Vec<u8>>>,
}

impl Blocks {
    /// Three quarters of `memory` octets may be held: what is in flight needs the rest.
    pub(crate) fn new(memory: usize) -> Self {
        Self { limit: memory / 4 * 3, held: AtomicUsize::new(0), free: Mutex::default() }
    }

    /// Whether bodies must go to the disk at once.
    pub(crate) fn is_short(&self) -> bool {
        self.held.load(Ordering::Relaxed) >= self.limit
    }

    /// Counts a block that is kept.
    pub(crate) fn hold(&self, block: &Vec<u8>) {
        self.held.fetch_add(block.capacity(), Ordering::Relaxed);
    }

    /// An empty block, with the memory of an old one if there is one.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.free().pop().unwrap_or_default()
    }

    /// Takes back blocks that were held.
    pub(crate) fn give_back(&self, blocks: Vec<Vec<u8>>) {
        let octets = blocks.iter().map(Vec::capacity).sum();
        self.held.fetch_sub(octets, Ordering::Relaxed);
        let mut free = self.free();
        let room = KEPT.saturating_sub(free.len());
        let useful =
            blocks.into_iter().filter(|block| (SMALLEST..=LARGEST).contains(&block.capacity()));
        free.extend(useful.take(room).map(|mut block| {
            block.clear();
            block
        }));
    }

    fn free(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        // Whoever panicked while holding it left whole blocks behind.
        lock(&self.free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_counted_and_used_again() {
        let blocks = Blocks::new(100_000);
        let block = vec![1; 60_000];
        let memory = block.as_ptr();
        blocks.hold(&block);
        assert!(!blocks.is_short());
        let second = vec![2; 20_000];
        blocks.hold(&second);
        assert!(blocks.is_short(), "above three quarters");
        blocks.give_back(vec![block]);
        assert!(!blocks.is_short());
        let again = blocks.take();
        assert_eq!((again.len(), again.as_ptr()), (0, memory));
        assert_eq!(blocks.take().capacity(), 0, "there was one");
        blocks.give_back(vec![second]);
        assert_eq!(blocks.held.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_is_kept_has_a_limit() {
        let blocks = Blocks::new(1 << 30);
        let held: Vec<_> = (0..KEPT + 10).map(|_| Vec::with_capacity(SMALLEST)).collect();
        let odd = [Vec::with_capacity(LARGEST + 1), Vec::with_capacity(1)];
        let all: Vec<_> = odd.into_iter().chain(held).collect();
        all.iter().for_each(|block| blocks.hold(block));
        blocks.give_back(all);
        let sizes: Vec<_> = blocks.free().iter().map(Vec::capacity).collect();
        assert_eq!(sizes, [SMALLEST; KEPT]);
    }
}
