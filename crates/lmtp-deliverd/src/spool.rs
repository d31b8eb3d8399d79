//! A message between its arrival and its deliveries: each recipient needs all of it.
//!
//! Small ones stay in memory. What is longer goes to one file without a name beside the
//! mailboxes, so that a thousand recipients cost one descriptor and no memory, and a crash leaves
//! nothing behind. It need not be synced: before the deliveries nothing was promised.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use mail_common::disk::{Dir, DiskError, NewFile};
use mail_common::log::Id;

/// Octets of a message that are kept in memory.
pub const IN_MEMORY: usize = 1 << 20;

/// Octets that are read from the file at a time.
const BLOCK: usize = 256 << 10;

/// A message being gathered, then read as often as needed. All of it blocks.
#[derive(Debug)]
pub struct Spool {
    /// Where the file goes if there is one.
    directory: PathBuf,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Memory(Vec<u8>),
    Disk { writer: NewFile, reader: File },
}

impl Spool {
    /// An empty one; a long message goes into `directory`.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), place: Place::Memory(Vec::new()) }
    }

    /// Adds bytes at the end.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        match &mut self.place {
            Place::Memory(gathered) if gathered.len() + bytes.len() <= IN_MEMORY => {
                gathered.extend_from_slice(bytes);
            }
            Place::Memory(gathered) => {
                let (mut writer, reader) = nameless(&self.directory)?;
                writer.write(gathered)?;
                writer.write(bytes)?;
                self.place = Place::Disk { writer, reader };
            }
            Place::Disk { writer, .. } => writer.write(bytes)?,
        }
        Ok(())
    }

    /// Gives all of it, block by block, to `take`, whose error ends it.
    pub fn read<E>(&self, mut take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E>
    where
        E: From<Unreadable>,
    {
        let reader = match &self.place {
            Place::Memory(gathered) => return take(gathered),
            Place::Disk { reader, .. } => reader,
        };
        let (mut block, mut offset) = (vec![0; BLOCK], 0);
        loop {
            let count = match reader.read_at(&mut block, offset) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Unreadable(error).into()),
            };
            take(block.get(..count).unwrap_or_default())?;
            offset += count as u64;
        }
    }
}

/// What was spooled cannot be read again.
#[derive(Debug, thiserror::Error)]
#[error("cannot read what was spooled: {0}")]
pub struct Unreadable(io::Error);

/// A file that is gone when it is closed, open for writing and for reading.
fn nameless(directory: &Path) -> Result<(NewFile, File), DiskError> {
    let directory = Dir::open_or_create(directory)?;
    let name = format!(".lmtp-{}", Id::new());
    let writer = directory.create_new(&name)?;
    let reader = directory.file(&name)?;
    directory.unlink(&name)?;
    Ok((writer, reader))
}
