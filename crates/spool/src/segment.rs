//! The files of the log.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use mail_common::disk::{self, BlockFile, Dir, DiskError};
use mail_common::lock;

use crate::record::BLOCK;
use crate::recovery::name;

/// Files that are kept open for reading when nobody reads them.
const OPEN: usize = 64;
/// Octets of zeros between two syncs: what others wait for on the same disk.
const STEP: u64 = 4 << 20;

/// The files of the log, by their slots.
#[derive(Debug)]
pub(crate) struct Segments {
    dir: Dir,
    open: Mutex<HashMap<u32, Arc<File>>>,
    #[cfg(test)]
    pub(crate) faults: faults::Faults,
}

/// A segment open for writing.
#[derive(Debug)]
pub(crate) struct Segment {
    /// The number in its name.
    pub(crate) slot: u32,
    /// How far it was written to before.
    pub(crate) length: u64,
    pub(crate) file: BlockFile,
}

impl Segments {
    pub(crate) fn new(dir: Dir) -> Self {
        Self {
            dir,
            open: Mutex::default(),
            #[cfg(test)]
            faults: faults::Faults::default(),
        }
    }

    /// A slot to read from. While anybody has it the slot is not used again.
    pub(crate) fn reader(&self, slot: u32) -> Result<Arc<File>, DiskError> {
        let mut open = self.open();
        if let Some(file) = open.get(&slot) {
            return Ok(Arc::clone(file));
        }
        if open.len() >= OPEN {
            open.retain(|_, file| Arc::strong_count(file) > 1);
        }
        let file = Arc::new(self.dir.file(name(slot))?);
        open.insert(slot, Arc::clone(&file));
        Ok(file)
    }

    /// Whether somebody reads from a slot.
    pub(crate) fn is_read(&self, slot: u32) -> bool {
        self.open().get(&slot).is_some_and(|file| Arc::strong_count(file) > 1)
    }

    /// Makes a slot that is new, or replaces one that is not trusted any more.
    /// So many octets must stay free.
    pub(crate) fn create(&self, slot: u32, length: u64, spare: u64) -> Result<Segment, DiskError> {
        disk::found(self.dir.unlink(name(slot)))?;
        let file = self.dir.create_block_file(name(slot))?;
        let mut segment = Segment { slot, length: 0, file };
        let made = self.extend(&mut segment, length, spare).and_then(|()| self.dir.sync());
        made.inspect_err(|_| {
            // On a full disk it would be in the way; else the next attempt removes it.
            let _ = self.dir.unlink(name(slot));
        })?;
        // Whoever reads from here on opens the new file.
        self.open().remove(&slot);
        Ok(segment)
    }

    /// Opens a slot to be used again, filled up to a length if so many octets stay free.
    pub(crate) fn reuse(&self, slot: u32, length: u64, spare: u64) -> Result<Segment, DiskError> {
        let file = self.dir.block_file(name(slot))?;
        let old = file.length()? / BLOCK * BLOCK;
        let mut segment = Segment { slot, length: old, file };
        self.extend(&mut segment, length, spare)?;
        Ok(segment)
    }

    /// Removes a slot that holds nothing any more. Whoever reads from it can read on.
    pub(crate) fn remove(&self, slot: u32) -> Result<(), DiskError> {
        self.dir.unlink(name(slot))?;
        self.open().remove(&slot);
        Ok(())
    }

    /// Of a slot.
    pub(crate) fn error(&self, slot: u32, error: io::Error) -> DiskError {
        DiskError::new(self.dir.path().join(name(slot)), error)
    }

    /// Writes zeros ahead.
    fn extend(&self, segment: &mut Segment, length: u64, spare: u64) -> Result<(), DiskError> {
        if segment.length >= length {
            return Ok(());
        }
        #[cfg(test)]
        let spare = spare << (self.faults.spared.load(std::sync::atomic::Ordering::SeqCst) * 40);
        if self.dir.room()? < length - segment.length + spare {
            return Err(self.error(segment.slot, io::ErrorKind::StorageFull.into()));
        }
        #[cfg(test)]
        self.faults.zeros(|error| self.error(segment.slot, error))?;
        while segment.length < length {
            let end = length.min(segment.length + STEP);
            segment.file.write_zeros(segment.length, end)?;
            segment.file.sync()?;
            segment.length = end;
        }
        Ok(())
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u32, Arc<File>>> {
        // Each change of the map is one step.
        lock(&self.open)
    }
}

/// What goes wrong in tests.
#[cfg(test)]
pub(crate) mod faults {
    use std::io;
    use std::sync::atomic::{AtomicU32, Ordering};

    use mail_common::disk::DiskError;

    #[derive(Debug, Default)]
    pub(crate) struct Faults {
        /// How many of the next fail.
        pub(crate) zeros: AtomicU32,
        pub(crate) writes: AtomicU32,
        pub(crate) syncs: AtomicU32,
        pub(crate) panics: AtomicU32,
        /// 1: the disk has nothing but what is spared.
        pub(crate) spared: AtomicU32,
    }

    impl Faults {
        pub(crate) fn zeros(
            &self,
            error: impl FnOnce(io::Error) -> DiskError,
        ) -> Result<(), DiskError> {
            assert!(fail(&self.panics, || ()).is_ok(), "as the test wants it");
            fail(&self.zeros, || error(io::ErrorKind::StorageFull.into()))
        }

        pub(crate) fn write(
            &self,
            error: impl FnOnce(io::Error) -> DiskError,
        ) -> Result<(), DiskError> {
            fail(&self.writes, || error(io::ErrorKind::StorageFull.into()))
        }

        pub(crate) fn sync(
            &self,
            error: impl FnOnce(io::Error) -> DiskError,
        ) -> Result<(), DiskError> {
            fail(&self.syncs, || error(io::Error::other("injected")))
        }
    }

    fn fail<E>(left: &AtomicU32, error: impl FnOnce() -> E) -> Result<(), E> {
        let less = |left: u32| left.checked_sub(1);
        match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less) {
            Ok(_) => Err(error()),
            Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn segments() -> (tempfile::TempDir, Segments) {
        let directory = tempfile::tempdir().unwrap();
        let segments = Segments::new(Dir::open(directory.path()).unwrap());
        (directory, segments)
    }

    #[test]
    fn slots_are_made_and_used_again() {
        let (directory, segments) = segments();
        let made = segments.create(11, 8192, 0).unwrap();
        assert_eq!((made.slot, made.length), (11, 8192));
        std::fs::write(directory.path().join("0000000b"), vec![7; 10_000]).unwrap();
        let again = segments.reuse(11, 4096, 0).unwrap();
        assert_eq!(again.length, 8192, "whole blocks that were written");
        assert_eq!(segments.reuse(11, 16_384, 0).unwrap().length, 16_384);
        let octets = std::fs::read(directory.path().join("0000000b")).unwrap();
        assert!(octets[..8192].iter().all(|&octet| octet == 7));
        assert!(octets[8192..].iter().all(|&octet| octet == 0));
        segments.create(11, 4096, 0).unwrap();
        assert_eq!(std::fs::read(directory.path().join("0000000b")).unwrap(), [0; 4096]);
    }

    #[test]
    fn who_reads_is_known() {
        let (_directory, segments) = segments();
        for slot in 0..OPEN as u32 + 2 {
            segments.create(slot, 4096, 0).unwrap();
        }
        let reader = segments.reader(0).unwrap();
        for slot in 1..OPEN as u32 + 2 {
            segments.reader(slot).unwrap();
            assert!(!segments.is_read(slot));
        }
        assert!(segments.is_read(0), "what is not read was forgotten first");
        assert!(segments.open().len() < OPEN);
        drop(reader);
        assert!(!segments.is_read(0));
    }

    #[test]
    fn what_cannot_be_made_leaves_nothing() {
        let (directory, segments) = segments();
        segments.faults.zeros.store(1, std::sync::atomic::Ordering::SeqCst);
        assert!(segments.create(1, 4096, 0).unwrap_err().is_full());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        assert!(segments.create(1, 4096, 1 << 60).unwrap_err().is_full());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        segments.create(1, 4096, 0).unwrap();
    }
}
