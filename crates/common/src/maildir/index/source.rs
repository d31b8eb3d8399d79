//! What snapshot and log have in common: how they begin, and how they are read.
//!
//! They are read with pread through a buffer that is used again and again: a snapshot of a
//! million messages goes through a part of the processor's cache, and nothing is mapped into
//! memory that others could cut off.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::io::Errno;

use super::octets::{Damaged, Input};
use crate::disk::{self, Dir, DiskError, Kind, Stat};
use crate::maildir::StoreError;

/// The version of both files that this program reads and writes.
const VERSION: u32 = 1;

/// Octets that are read at once.
const BUFFER: usize = 128 * 1024;

/// A part of a file that is read from its beginning to its end.
#[derive(Debug)]
pub(super) struct Source {
    file: File,
    offset: u64,
    end: u64,
    buffer: Vec<u8>,
    /// What is read but not passed over yet.
    begin: usize,
    filled: usize,
}

impl Source {
    pub(super) fn new(file: File, offset: u64, end: u64) -> Self {
        Self { file, offset, end, buffer: Vec::new(), begin: 0, filled: 0 }
    }

    /// Where the octets stand that come next.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn is_over(&self) -> bool {
        self.offset >= self.end
    }

    /// The next octets, without passing over them; `None` if there are fewer.
    pub(super) fn peek(&mut self, count: usize) -> io::Result<Option<&[u8]>> {
        let left = self.end.saturating_sub(self.offset);
        if count as u64 > left || !self.fill(count, left)? {
            return Ok(None);
        }
        Ok(self.buffer.get(self.begin..self.begin + count))
    }

    /// The next octets, which are passed over; `None` if there are fewer.
    pub(super) fn take(&mut self, count: usize) -> io::Result<Option<&[u8]>> {
        if self.peek(count)?.is_none() {
            return Ok(None);
        }
        self.pass(count);
        Ok(self.buffer.get(self.begin - count..self.begin))
    }

    /// The next octets, to be kept; they are passed over. `None` if there are fewer.
    pub(super) fn take_all(&mut self, count: usize) -> io::Result<Option<Vec<u8>>> {
        if count as u64 > self.end.saturating_sub(self.offset) {
            return Ok(None);
        }
        let mut taken = vec![0; count];
        let at_hand = self.buffer.get(self.begin..self.filled).unwrap_or_default();
        let here = at_hand.len().min(count);
        let (begun, rest) = taken.split_at_mut(here);
        begun.copy_from_slice(at_hand.get(..here).unwrap_or_default());
        match self.file.read_exact_at(rest, self.offset + here as u64) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return unless_unreadable(error).map(|()| None),
        }
        self.begin += here;
        self.offset += count as u64;
        Ok(Some(taken))
    }

    /// Passes over octets that were looked at.
    pub(super) fn pass(&mut self, count: usize) {
        self.begin += count;
        self.offset += count as u64;
    }

    /// Whether so many are in the buffer now; `left` are in the file.
    fn fill(&mut self, count: usize, left: u64) -> io::Result<bool> {
        if self.filled.saturating_sub(self.begin) >= count {
            return Ok(true);
        }
        self.buffer.copy_within(self.begin..self.filled, 0);
        self.filled -= self.begin;
        self.begin = 0;
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(BUFFER).max(count);
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        // No more than what is needed now: a place behind it may be one that cannot be read.
        while self.filled < count {
            let Some(room) = self.buffer.get_mut(self.filled..wanted) else { return Ok(false) };
            match self.file.read_at(room, self.offset + self.filled as u64) {
                Ok(0) => return Ok(false),
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return unless_unreadable(error).map(|()| false),
            }
        }
        Ok(true)
    }
}

/// Opens a file; `None` if there is none, or something else has its name.
pub(super) fn open(dir: &Dir, name: &str) -> Result<Option<(File, Stat)>, StoreError> {
    // A link is never followed, and is replaced like any damaged file.
    match stat(dir, name)? {
        Some(stat) if stat.kind == Kind::File => {}
        _ => return Ok(None),
    }
    let Some(file) = legible(dir.file(name))? else { return Ok(None) };
    let stat = rustix::fs::fstat(&file);
    let stat = stat.map_err(|error| DiskError::new(dir.path().join(name), error.into()))?;
    Ok(Some((file, stat.into())))
}

/// How a file looks, if it is there.
pub(super) fn stat(dir: &Dir, name: &str) -> Result<Option<Stat>, StoreError> {
    legible(dir.stat(name))
}

/// What is there. What the disk does not give back any more is as good as deleted.
fn legible<T>(result: disk::Result<T>) -> Result<Option<T>, StoreError> {
    disk::found(result).or_else(|error| {
        let (path, error) = error.into_parts();
        let error = match unless_unreadable(error) {
            Ok(()) => return Ok(None),
            Err(error) => error,
        };
        Err(DiskError::new(path, error).into())
    })
}

/// A file that has a place that cannot be read is damaged there; other trouble is the system's.
fn unless_unreadable(error: io::Error) -> io::Result<()> {
    match Errno::from_io_error(&error) {
        Some(Errno::IO | Errno::UCLEAN) => {
            tracing::error!(%error, "a file of an index cannot be read; it is made anew");
            Ok(())
        }
        _ => Err(error),
    }
}

/// How a file begins: magic, version, and their checksum. All versions ever begin so.
pub(super) fn magic(magic: &[u8; 8]) -> Vec<u8> {
    let mut out = magic.to_vec();
    out.extend(VERSION.to_le_bytes());
    out.extend(crc32c::crc32c(&out).to_le_bytes());
    out
}

/// What follows the version; `Err(Damaged)` if the file does not begin as it should. A file that
/// a newer program wrote is an error: it is whole, and not ours to replace.
pub(super) fn check_magic<'a>(
    dir: &Dir,
    name: &str,
    octets: &'a [u8],
    magic: &[u8; 8],
) -> Result<Result<&'a [u8], Damaged>, StoreError> {
    let Some((version, rest)) = version(octets, magic) else { return Ok(Err(Damaged)) };
    if version == VERSION {
        return Ok(Ok(rest));
    }
    let what = format!(
        "has version {version}, and this program knows {VERSION}; go back to the newer program, \
         or remove the file (it is then made anew from the Maildir)"
    );
    Err(StoreError::Damaged { path: dir.path().join(name), what })
}

fn version<'a>(octets: &'a [u8], magic: &[u8; 8]) -> Option<(u32, &'a [u8])> {
    let (begin, rest) = octets.split_first_chunk::<16>()?;
    let mut input = Input::new(begin);
    let is_ours = input.array::<8>().ok()? == *magic;
    let (version, expected) = (input.fixed_u32().ok()?, input.fixed_u32().ok()?);
    let whole = crc32c::crc32c(begin.first_chunk::<12>()?) == expected;
    (is_ours && whole).then_some((version, rest))
}

/// A file that ends too early, or cannot be read, is damaged; other trouble is the system's.
pub(super) fn unless_short(dir: &Dir, name: &str, error: io::Error) -> Result<(), StoreError> {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return Ok(());
    }
    unless_unreadable(error).map_err(|error| DiskError::new(dir.path().join(name), error).into())
}

/// A number that nothing else has.
pub(super) fn random() -> u64 {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system's random numbers never end");
    u64::from_ne_bytes(bytes)
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing is behind the end of the stack: there the memory answers EIO.
    #[test]
    fn what_stands_before_a_place_that_cannot_be_read_is_read() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let stack = maps.lines().find(|line| line.ends_with("[stack]")).unwrap();
        let (_, end) = stack.split_once(' ').unwrap().0.split_once('-').unwrap();
        let end = u64::from_str_radix(end, 16).unwrap();
        let memory = File::open("/proc/self/mem").unwrap();
        let mut source = Source::new(memory, end - 4096, end + 4096);
        for _ in 0..4096 / 8 {
            assert_eq!(source.take(8).unwrap().map(<[u8]>::len), Some(8));
        }
        assert_eq!(source.take(8).unwrap(), None);
        assert!(!source.is_over());
    }

    /// Where a process has no memory, the file that is its memory answers EIO.
    #[test]
    fn what_the_disk_does_not_give_back_is_damage() {
        let broken = || Source::new(File::open("/proc/self/mem").unwrap(), 0, 1 << 20);
        let error = broken().file.read_at(&mut [0; 8], 0).unwrap_err();
        assert_eq!(Errno::from_io_error(&error), Some(Errno::IO));
        assert_eq!(broken().peek(8).unwrap(), None);
        assert_eq!(broken().take(8).unwrap(), None);
        assert_eq!(broken().take_all(8).unwrap(), None);
        let dir = Dir::open(std::path::Path::new("/")).unwrap();
        for (errno, is_damage) in [(Errno::IO, true), (Errno::UCLEAN, true), (Errno::MFILE, false)]
        {
            let error = || std::io::Error::from(errno);
            assert_eq!(unless_short(&dir, "x", error()).is_ok(), is_damage, "{errno}");
            let opened = legible::<()>(Err(DiskError::new("x".into(), error())));
            assert_eq!(opened.is_ok_and(|found| found.is_none()), is_damage, "{errno}");
        }
    }
}
