//! Files that are written in blocks, at offsets that their owner chooses, and over again.
//!
//! Writing to blocks that were written before, within a length that the file had before, asks
//! nothing of the file system's journal: the sync is one write to the disk and its flush. So such
//! files are filled with zeros ahead of their use. Blocks that are merely reserved do not do: the
//! journal notes the first write to each.
//!
//! The kernel reports what could not be written back once to each open file description. Whoever
//! syncs a file that another thread syncs too needs a description of his own, or he could miss
//! that his octets are lost.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, IoSlice};

use rustix::fs::{Mode, OFlags};

use super::{Dir, Result};

/// A file written in blocks, open for writing. It keeps its name when this is dropped.
#[derive(Debug)]
pub struct BlockFile {
    dir: Dir,
    name: OsString,
    file: File,
    trust: Trust,
}

/// As long as no sync failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    Sound,
    Lost,
}

/// Slices of one call to the system: Linux takes no more.
const SLICES: usize = 1024;
/// Octets of zeros of one call.
const ZEROS: usize = 64 << 10;

impl Dir {
    /// Opens a file to be written in blocks; it must exist.
    pub fn block_file(&self, name: impl AsRef<OsStr>) -> Result<BlockFile> {
        self.open_blocks(name.as_ref(), OFlags::empty())
    }

    /// Creates one; its name must be free, and lasts after [`Dir::sync`].
    pub fn create_block_file(&self, name: impl AsRef<OsStr>) -> Result<BlockFile> {
        self.open_blocks(name.as_ref(), OFlags::CREATE | OFlags::EXCL)
    }

    fn open_blocks(&self, name: &OsStr, flags: OFlags) -> Result<BlockFile> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | flags;
        let file = self.openat(name, flags, Mode::RUSR | Mode::WUSR)?.into();
        Ok(BlockFile { dir: self.clone(), name: name.to_owned(), file, trust: Trust::Sound })
    }
}

impl BlockFile {
    /// Writes all pieces behind each other, in one call to the system where that takes them. The
    /// pieces are used up. On an error any part of it may have been written.
    pub fn write_at(&mut self, mut pieces: &mut [IoSlice<'_>], mut offset: u64) -> Result<()> {
        self.check()?;
        IoSlice::advance_slices(&mut pieces, 0);
        while !pieces.is_empty() {
            let some = pieces.get(..SLICES).unwrap_or(pieces);
            match rustix::io::pwritev(&self.file, some, offset) {
                Ok(0) => return self.fail(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    offset += count as u64;
                    IoSlice::advance_slices(&mut pieces, count);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return self.fail(error.into()),
            }
        }
        Ok(())
    }

    /// Writes zeros up to an offset.
    pub fn write_zeros(&mut self, mut from: u64, to: u64) -> Result<()> {
        let zeros = [0; ZEROS];
        while from < to {
            let count = usize::try_from(to - from).unwrap_or(ZEROS).min(ZEROS);
            let some = zeros.get(..count).unwrap_or(&zeros);
            self.write_at(&mut [IoSlice::new(some)], from)?;
            from += count as u64;
        }
        Ok(())
    }

    /// Makes content and length last. After a failure nothing can be written or synced any more.
    pub fn sync(&mut self) -> Result<()> {
        self.check()?;
        if cfg!(feature = "mutant-no-block-sync") {
            return Ok(());
        }
        self.file.sync_data().or_else(|error| {
            self.trust = Trust::Lost;
            self.fail(error)
        })
    }

    /// How long it is now.
    pub fn length(&self) -> Result<u64> {
        match self.file.metadata() {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) => self.fail(error),
        }
    }

    fn check(&self) -> Result<()> {
        match self.trust {
            Trust::Sound => Ok(()),
            Trust::Lost => self.fail(io::Error::other("an earlier sync of this file failed")),
        }
    }

    fn fail<T>(&self, error: io::Error) -> Result<T> {
        Err(self.dir.error(&self.name, error))
    }
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_written_where_they_belong() {
        let directory = tempfile::tempdir().unwrap();
        let dir = Dir::open(directory.path()).unwrap();
        assert!(dir.block_file("file").unwrap_err().is_missing());
        let mut file = dir.create_block_file("file").unwrap();
        assert!(dir.create_block_file("file").unwrap_err().is_taken());
        file.write_zeros(0, 100_000).unwrap();
        // More pieces than a call takes, some of them empty.
        let pieces: Vec<Vec<u8>> = (0..3000).map(|n: usize| vec![n as u8; n % 7]).collect();
        let mut slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        file.write_at(&mut slices, 4096).unwrap();
        file.write_at(&mut [IoSlice::new(b"")], 0).unwrap();
        file.sync().unwrap();
        drop(file);
        let mut expected = vec![0; 100_000];
        let octets = pieces.concat();
        expected[4096..4096 + octets.len()].copy_from_slice(&octets);
        assert_eq!(dir.read("file", 1 << 20).unwrap(), expected);
        assert_eq!(dir.block_file("file").unwrap().length().unwrap(), 100_000);
    }

    #[test]
    fn no_sync_is_tried_again() {
        let directory = tempfile::tempdir().unwrap();
        let dir = Dir::open(directory.path()).unwrap();
        let mut file = dir.create_block_file("file").unwrap();
        // What cannot be synced: a socket.
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        file.file = std::os::fd::OwnedFd::from(socket).into();
        file.sync().unwrap_err();
        for error in [file.sync(), file.write_zeros(0, 1)].map(Result::unwrap_err) {
            assert!(error.to_string().contains("an earlier sync"), "{error}");
        }
    }
}
