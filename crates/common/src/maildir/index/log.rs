//! `posthorn.log`: the transactions since the snapshot.
//!
//! A header says which log it is and which position it follows; then come the frames. A frame is
//! its length, its checksum and its body (see [`frame`](super::frame)). The checksum is one of log
//! and offset too: what a file system brings back from elsewhere is no frame here.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::octets::{Input, checksum};
use super::source;
use crate::disk::{Dir, DiskError, Kind, Stat};
use crate::maildir::StoreError;

use source::Source;

/// The name of the file.
pub(in crate::maildir) const FILE: &str = "posthorn.log";

const MAGIC: &[u8; 8] = b"PHN-LOG\n";

/// Octets of the header: magic, version, their checksum; id; log and offset that it follows;
/// their checksum.
pub(super) const HEADER: u64 = 44;

/// The longest body, in octets.
const BODY: usize = 1 << 30;

/// A place in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Position {
    /// Which log: a random number.
    pub(super) log: u64,
    /// Octets from its beginning.
    pub(super) offset: u64,
}

/// A log whose header is whole.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    /// How it looked when it was opened.
    pub(super) stat: Stat,
    id: u64,
    follows: Position,
}

/// The frames from a position on.
#[derive(Debug)]
pub(super) struct Frames {
    source: Source,
    log: u64,
}

impl Position {
    /// One that no log has.
    pub(super) fn nowhere() -> Self {
        Self { log: source::random(), offset: 0 }
    }
}

impl Log {
    /// Opens the log; `None` if there is none whose header is whole.
    pub(super) fn open(dir: &Dir) -> Result<Option<Self>, StoreError> {
        let Some((file, stat)) = source::open(dir, FILE)? else { return Ok(None) };
        let mut header = [0; HEADER as usize];
        if stat.kind != Kind::File || stat.size < HEADER {
            return Ok(None);
        }
        if let Err(error) = file.read_exact_at(&mut header, 0) {
            return source::unless_short(dir, FILE, error).map(|()| None);
        }
        let Ok(rest) = source::check_magic(dir, FILE, &header, MAGIC)? else { return Ok(None) };
        Ok(read_header(rest).map(|(id, follows)| Self { file, stat, id, follows }))
    }

    /// Begins a new log, durably.
    pub(super) fn begin(dir: &Dir, follows: Position) -> Result<(Position, Stat), DiskError> {
        let log = source::random();
        dir.replace(FILE, &header(log, follows))?;
        Ok((Position { log, offset: HEADER }, dir.stat(FILE)?))
    }

    /// Where to read on for who has everything up to a position; `None`: this log does not fit.
    pub(super) fn after(&self, position: Position) -> Option<Position> {
        if self.id == position.log {
            return (HEADER..=self.stat.size).contains(&position.offset).then_some(position);
        }
        (self.follows == position).then_some(Position { log: self.id, offset: HEADER })
    }

    /// The frames from an offset on.
    pub(super) fn frames(self, offset: u64) -> Frames {
        Frames { source: Source::new(self.file, offset, self.stat.size), log: self.id }
    }
}

impl Frames {
    /// The next body; `None` at the end and where there is no frame that is whole.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, std::io::Error> {
        let (log, offset) = (self.log, self.source.offset());
        let Some(head) = self.source.peek(8)? else { return Ok(None) };
        let mut head = Input::new(head);
        let (Ok(length), Ok(expected)) = (head.fixed_u32(), head.fixed_u32()) else {
            return Ok(None);
        };
        let whole = (length as usize).saturating_add(8);
        if length as usize > BODY {
            return Ok(None);
        }
        let Some(octets) = self.source.peek(whole)? else { return Ok(None) };
        let body = octets.get(8..).unwrap_or_default();
        Ok((checksum(log, offset, body) == expected).then_some(body))
    }

    /// Passes over the frame that was read last.
    pub(super) fn pass(&mut self, body: usize) {
        self.source.pass(body + 8);
    }

    /// Where the next frame begins.
    pub(super) fn offset(&self) -> u64 {
        self.source.offset()
    }

    /// Whether nothing follows.
    pub(super) fn are_over(&self) -> bool {
        self.source.is_over()
    }
}

/// A body as it is written at a position; `None` if it is too long.
pub(super) fn frame(position: Position, body: &[u8]) -> Option<Vec<u8>> {
    if body.len() > BODY {
        return None;
    }
    let mut out = Vec::with_capacity(body.len() + 8);
    out.extend(u32::try_from(body.len()).ok()?.to_le_bytes());
    out.extend(checksum(position.log, position.offset, body).to_le_bytes());
    out.extend_from_slice(body);
    Some(out)
}

fn header(log: u64, follows: Position) -> Vec<u8> {
    let mut out = source::magic(MAGIC);
    for number in [log, follows.log, follows.offset] {
        out.extend(number.to_le_bytes());
    }
    let check = checksum(log, 0, out.get(16..).unwrap_or_default());
    out.extend(check.to_le_bytes());
    out
}

fn read_header(octets: &[u8]) -> Option<(u64, Position)> {
    let mut input = Input::new(octets);
    let id = input.fixed_u64().ok()?;
    let follows = Position { log: input.fixed_u64().ok()?, offset: input.fixed_u64().ok()? };
    let expected = input.fixed_u32().ok()?;
    (checksum(id, 0, octets.get(..24)?) == expected).then_some((id, follows))
}
