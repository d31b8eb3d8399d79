//! Files that only who writes them reads, and that nobody finds: they are gone when they are closed.
//!
//! Linux makes such a file without a name (`O_TMPFILE`), and whoever dies leaves nothing. Not every
//! file system can (NFS, some that are stacked). There it has a name for the moment between two
//! calls, and who dies between them leaves it, empty. So all have the same name: it is taken from
//! whatever has it. A file that another one has just made loses it a little earlier than by its
//! maker, who does not need it any more.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::{Dir, DiskError, Result, found};

/// A file without a name, open for writing and for reading. Nothing makes it last.
#[derive(Debug)]
pub struct Scratch {
    dir: Dir,
    name: OsString,
    file: File,
}

/// So often a name that others take meanwhile is wanted for a file.
const TRIES: usize = 1000;

impl Dir {
    /// Creates a file that has no name. Where that is not possible, it has this one for a moment;
    /// whatever has it already is removed.
    pub fn scratch(&self, name: impl AsRef<OsStr>) -> Result<Scratch> {
        let name = self.checked(name.as_ref())?;
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(self, c".", flags, Mode::RUSR | Mode::WUSR) {
            Ok(fd) => fd.into(),
            // What is said where it is unknown; or the directory was removed, which is said again.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT | Errno::PERM) => {
                self.created_and_unlinked(name)?
            }
            Err(error) => return Err(DiskError::new(self.path().to_owned(), error.into())),
        };
        Ok(Scratch { dir: self.clone(), name: name.to_owned(), file })
    }

    fn created_and_unlinked(&self, name: &OsStr) -> Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        for _ in 0..TRIES {
            let created = self.openat(name, flags, Mode::RUSR | Mode::WUSR);
            if !created.as_ref().is_err_and(DiskError::is_taken) {
                let file = created?.into();
                found(self.unlink(name))?;
                return Ok(file);
            }
            found(self.unlink(name))?;
        }
        Err(self.error(name, io::ErrorKind::AlreadyExists.into()))
    }
}

impl Scratch {
    /// Writes all of it at the end.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| self.dir.error(&self.name, error))
    }

    /// Reads as much as fits, or up to the end of the file.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let read = super::read_at(&self.file, buffer, offset);
        read.map_err(|error| self.dir.error(&self.name, error))
    }
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    use super::*;

    fn temporary() -> (tempfile::TempDir, Dir) {
        let directory = tempfile::tempdir().unwrap();
        let dir = Dir::open(directory.path()).unwrap();
        (directory, dir)
    }

    fn count(directory: &Path) -> usize {
        std::fs::read_dir(directory).unwrap().count()
    }

    /// As where the system cannot make it without a name.
    fn fallen_back(dir: &Dir) -> Scratch {
        let name = OsStr::new("x");
        let file = dir.created_and_unlinked(name).unwrap();
        Scratch { dir: dir.clone(), name: name.to_owned(), file }
    }

    #[test]
    fn it_is_read_as_often_as_wanted_and_nobody_finds_it() {
        let (directory, dir) = temporary();
        for mut file in [dir.scratch("x").unwrap(), fallen_back(&dir)] {
            file.write(b"one ").unwrap();
            file.write(b"two").unwrap();
            for (offset, expected) in [(0, "one t"), (4, "two"), (7, ""), (0, "one t")] {
                let mut buffer = [0; 5];
                let count = file.read_at(&mut buffer, offset).unwrap();
                assert_eq!(&buffer[..count], expected.as_bytes());
            }
            let metadata = file.file.metadata().unwrap();
            assert_eq!((metadata.nlink(), metadata.mode() & 0o7777), (0, 0o600));
            assert_eq!(count(directory.path()), 0);
        }
        assert!(dir.scratch("../x").is_err(), "a name is a single component");
    }

    #[test]
    fn what_a_dead_process_left_is_taken_away_by_the_next() {
        let (directory, dir) = temporary();
        dir.create_new("x").unwrap().keep();
        let mut file = fallen_back(&dir);
        file.write(b"text").unwrap();
        assert_eq!(count(directory.path()), 0);
        dir.create_dir("x").unwrap();
        assert!(dir.created_and_unlinked(OsStr::new("x")).is_err());
    }

    #[test]
    fn each_has_a_file_of_its_own() {
        let (directory, dir) = temporary();
        std::thread::scope(|scope| {
            for thread in 0..4_u8 {
                let dir = &dir;
                scope.spawn(move || {
                    for _ in 0..100 {
                        let mut file = fallen_back(dir);
                        file.write(&[thread; 3]).unwrap();
                        let mut buffer = [9; 4];
                        assert_eq!(file.read_at(&mut buffer, 0).unwrap(), 3);
                        assert_eq!(buffer, [thread, thread, thread, 9]);
                    }
                });
            }
        });
        assert_eq!(count(directory.path()), 0);
    }
}
