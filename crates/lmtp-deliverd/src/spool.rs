//! A message between its arrival and its deliveries: each recipient needs all of it.
//!
//! Small ones stay in memory. What is longer goes to one file without a name beside the
//! mailboxes, so that a thousand recipients cost one descriptor and no memory, and a crash leaves
//! nothing behind but, where files cannot do without a name, one empty file that the next one
//! takes away. It need not be synced: before the deliveries nothing was promised.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mail_common::disk::{Dir, DiskError, Scratch};

use crate::disks::{Disk, OnDisk};

/// Octets of a message that are kept in memory.
const IN_MEMORY: usize = 1 << 20;

/// Octets that are read from the file at a time.
const BLOCK: usize = 256 << 10;

/// The name of the file for a moment, where it must have one.
const NAME: &str = ".lmtp-spool";

/// A message being gathered, then read as often as needed. What is on the disk blocks.
#[derive(Debug)]
pub(crate) struct Spool {
    /// Where the file goes if there is one. It is not made: the disk may not be mounted.
    directory: PathBuf,
    disk: Arc<Disk>,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Memory(Vec<u8>),
    Disk(OnDisk<Scratch>),
}

impl Spool {
    /// An empty one; a long message goes into `directory`, which is on this disk.
    #[must_use]
    pub(crate) fn new(directory: &Path, disk: &Arc<Disk>) -> Self {
        let (directory, disk) = (directory.to_owned(), Arc::clone(disk));
        Self { directory, disk, place: Place::Memory(Vec::new()) }
    }

    /// Whether so many octets more stay in memory, and adding them does not block.
    pub(crate) fn keeps_in_memory(&self, octets: usize) -> bool {
        matches!(&self.place, Place::Memory(gathered) if gathered.len() + octets <= IN_MEMORY)
    }

    /// Adds bytes at the end.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        let stays = self.keeps_in_memory(bytes.len());
        match &mut self.place {
            Place::Memory(gathered) if stays => gathered.extend_from_slice(bytes),
            Place::Memory(gathered) => {
                let mut file = Dir::open(&self.directory)?.scratch(NAME)?;
                file.write(gathered)?;
                file.write(bytes)?;
                self.place = Place::Disk(OnDisk::new(file, &self.disk));
            }
            Place::Disk(file) => file.write(bytes)?,
        }
        Ok(())
    }

    /// Takes all of it at once, and keeps it in memory whatever its size.
    pub(crate) fn keep(&mut self, message: Vec<u8>) {
        self.place = Place::Memory(message);
    }

    /// Gives all of it, block by block, to `take`, whose error ends it.
    pub(crate) fn read<E>(&self, mut take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E>
    where
        E: From<Unreadable>,
    {
        let file = match &self.place {
            Place::Memory(gathered) => return take(gathered),
            Place::Disk(file) => file,
        };
        let (mut block, mut offset) = (vec![0; BLOCK], 0);
        loop {
            let count = file.read_at(&mut block, offset).map_err(Unreadable)?;
            if count == 0 {
                return Ok(());
            }
            take(block.get(..count).unwrap_or_default())?;
            offset += count as u64;
        }
    }
}

/// What was spooled cannot be read again.
#[derive(Debug, thiserror::Error)]
#[error("cannot read what was spooled: {0}")]
pub(crate) struct Unreadable(DiskError);

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use mail_common::pool::Pool;

    use super::*;
    use crate::disks::Disks;

    fn in_directory(directory: &Path) -> Spool {
        let pool = Pool::new("test", NonZeroUsize::MIN);
        Spool::new(directory, &Disks::new(NonZeroUsize::MIN, pool).spool)
    }

    fn read(spool: &Spool) -> Vec<u8> {
        let mut all = Vec::new();
        let read = spool.read(|block| {
            all.extend_from_slice(block);
            Ok::<_, Unreadable>(())
        });
        read.expect("what was written can be read");
        all
    }

    #[test]
    fn what_goes_in_comes_out_as_often_as_needed() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let block: Vec<u8> = (0..100_000u32).map(|n| n.to_le_bytes()[0]).collect();
        for (blocks, on_disk) in [(0, false), (1, false), (10, false), (11, true), (40, true)] {
            let mut spool = in_directory(directory.path());
            for _ in 0..blocks {
                spool.write(&block).expect("there is room");
            }
            assert_eq!(matches!(spool.place, Place::Disk(_)), on_disk);
            assert_eq!(spool.keeps_in_memory(0), !on_disk);
            for _ in 0..2 {
                assert_eq!(read(&spool), block.repeat(blocks), "{blocks} blocks");
            }
            let names = std::fs::read_dir(directory.path()).expect("is a directory").count();
            assert_eq!(names, 0, "the file has no name");
        }
    }

    #[test]
    fn an_error_of_the_reader_ends_it() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut spool = in_directory(directory.path());
        spool.write(&vec![b'x'; 3 * IN_MEMORY]).expect("there is room");
        let mut blocks = 0;
        let read = spool.read(|_| {
            blocks += 1;
            Err(Unreadable(DiskError::new(PathBuf::new(), std::io::ErrorKind::Other.into())))
        });
        assert!(read.is_err());
        assert_eq!(blocks, 1);
    }
}
