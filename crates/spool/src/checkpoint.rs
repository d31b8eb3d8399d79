//! Checkpoints: all rows at one position of the log, so that the log before it need not be read.
//!
//! One is written while the log goes on. First comes the position; then the rows, some thousand at
//! a time, each as it is when its turn comes; then the names, for a row written before has no name
//! that was made after. So a row may be newer than the position, and replay from there ends right
//! all the same, because every record that made it newer is applied again, and so is every one
//! after that.
//!
//! The header: `PHCK`, version (u32, 1), generation and offset of the position (u64 each), CRC of
//! these 24 octets. Then pieces: `ROWS` or `NAME`, how many (u32), octets (u32), CRC of these 12
//! octets and of the content (u32), content. A row has [`ROW`] octets; a name its number (u32), a
//! length (u16) and its text. The last piece is `END `: how many rows and names there were (u64
//! each). One wrong bit anywhere, and none of it counts.

use std::collections::HashMap;
use std::io;

use mail_common::disk::{self, Dir, DiskError, NewFile};
use mail_common::log::Id;
use thiserror::Error;

use crate::index::{Index, Position};
use crate::record::BLOCK;
use crate::row::{Name, Place, Row, Standing};
use crate::scan::Octets;

/// The newer one.
pub(crate) const NEWER: &str = "checkpoint";
/// The one before.
pub(crate) const OLDER: &str = "checkpoint.old";
/// Octets of a row.
pub(crate) const ROW: usize = 66;

const MAGIC: &[u8; 4] = b"PHCK";
const VERSION: u32 = 1;
const HEADER: usize = 28;
const PIECE: usize = 16;
const ROWS: &[u8; 4] = b"ROWS";
const NAMES: &[u8; 4] = b"NAME";
const END: &[u8; 4] = b"END ";
/// Octets of the longest piece.
const LIMIT: u32 = 4 << 20;
/// Names of a piece.
const SOME_NAMES: usize = 4096;

/// Why a checkpoint does not count.
#[derive(Debug, Error)]
pub(crate) enum BadCheckpoint {
    /// It is none, or not whole, or not what was written.
    #[error("damaged at octet {0}")]
    Damaged(u64),
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
}

/// Whether one is due: the log has grown by this, and by twice the size of a checkpoint.
pub(crate) fn is_due(index: &Index, growth: u64) -> bool {
    let size = index.len() as u64 * ROW as u64;
    index.grown() >= growth.max(2 * size)
}

/// Writes one, and keeps the one before. Durable when this returns; on an error, what was there
/// still serves.
///
/// # Errors
/// The disk is full or broken.
pub(crate) fn write(dir: &Dir, index: &Index) -> Result<(), DiskError> {
    let (position, grown) = index.position();
    write_from(dir, index, position, grown)
}

/// Writes one that begins at a position of the past.
pub(crate) fn write_from(
    dir: &Dir,
    index: &Index,
    position: Position,
    grown: u64,
) -> Result<(), DiskError> {
    // A damaged one must not take the place of the one that serves.
    let keep_newer = index.checkpoints().0.is_some();
    dir.replace_with(NEWER, |file| {
        write_all(file, index, position)?;
        match keep_newer {
            true => disk::found(dir.rename(NEWER, dir, OLDER)).map(|_| ()),
            false => Ok(()),
        }
    })?;
    index.checkpointed(position, grown);
    Ok(())
}

/// Where a checkpoint begins; nothing after its header is looked at.
pub(crate) fn position(source: &(impl Octets + ?Sized)) -> Result<Position, BadCheckpoint> {
    let mut header = [0; HEADER];
    let count = source.read_at(&mut header, 0)?;
    let mut fields = Fields(header.get(..count).unwrap_or_default());
    let found = (|| {
        let magic = fields.take::<4>()?;
        let version = fields.u32()?;
        let position = Position { generation: fields.u64()?, offset: fields.u64()? };
        let holds = fields.u32()? == crc32c::crc32c(header.get(..HEADER - 4)?);
        let known = magic == *MAGIC && version == VERSION && position.offset.is_multiple_of(BLOCK);
        (holds && known).then_some(position)
    })();
    found.ok_or(BadCheckpoint::Damaged(0))
}

/// Reads a checkpoint, and shows its rows once it is known to be whole. The index makes the names.
///
/// # Errors
/// It does not count; nothing was shown.
pub(crate) fn read(
    source: &(impl Octets + ?Sized),
    index: &Index,
    mut see: impl FnMut(Row),
) -> Result<Position, BadCheckpoint> {
    let position = position(source)?;
    let mut names = HashMap::new();
    each_piece(source, &mut |kind, content| match kind {
        NAMES => read_names(content, &mut names),
        ROWS => {
            content.as_chunks::<ROW>().0.iter().all(|row| read_row(row).is_some()).then_some(())
        }
        _ => Some(()),
    })?;
    // Names that no row has are forgotten.
    let mut known: HashMap<Name, Name> = HashMap::new();
    let mut name = |old: Name| {
        let text = || names.get(&old).map_or("", String::as_str);
        *known.entry(old).or_insert_with(|| index.intern(text()))
    };
    each_piece(source, &mut |kind, content| {
        let rows = if kind == ROWS { content.as_chunks::<ROW>().0 } else { &[] };
        for mut row in rows.iter().filter_map(read_row) {
            row.destination = name(row.destination);
            row.reason = name(row.reason);
            row.sender = name(row.sender);
            see(row);
        }
        Some(())
    })?;
    Ok(position)
}

fn write_all(file: &mut NewFile, index: &Index, position: Position) -> Result<(), DiskError> {
    file.write(&header(position))?;
    let (mut rows, mut content) = (0, Vec::new());
    for number in 0.. {
        let Some(some) = index.piece(number) else { break };
        content.clear();
        some.iter().for_each(|row| put_row(&mut content, row));
        rows += some.len() as u64;
        write_piece(file, ROWS, some.len(), &content)?;
    }
    let names = index.name_count();
    for first in (0..names).step_by(SOME_NAMES) {
        let some = first..names.min(first + SOME_NAMES);
        content.clear();
        let count = some.len();
        some.for_each(|number| put_name(&mut content, number as Name, index));
        write_piece(file, NAMES, count, &content)?;
    }
    content.clear();
    content.extend(rows.to_le_bytes());
    content.extend((names as u64).to_le_bytes());
    write_piece(file, END, 0, &content)
}

fn header(position: Position) -> Vec<u8> {
    let mut octets = MAGIC.to_vec();
    octets.extend(VERSION.to_le_bytes());
    octets.extend(position.generation.to_le_bytes());
    octets.extend(position.offset.to_le_bytes());
    octets.extend(crc32c::crc32c(&octets).to_le_bytes());
    octets
}

fn write_piece(
    file: &mut NewFile,
    kind: &[u8; 4],
    count: usize,
    content: &[u8],
) -> Result<(), DiskError> {
    let mut octets = kind.to_vec();
    octets.extend((count as u32).to_le_bytes());
    octets.extend((content.len() as u32).to_le_bytes());
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&octets), content);
    octets.extend(checksum.to_le_bytes());
    file.write(&octets)?;
    file.write(content)
}

/// Sees kind and content of a piece, and says whether it makes sense.
type See<'see> = dyn FnMut(&[u8; 4], &[u8]) -> Option<()> + 'see;

/// Shows the pieces of a checkpoint, each once its checksum holds.
fn each_piece(source: &(impl Octets + ?Sized), see: &mut See<'_>) -> Result<(), BadCheckpoint> {
    let (mut at, mut content) = (HEADER as u64, Vec::new());
    let (mut rows, mut names) = (0, 0);
    loop {
        let (kind, count) = read_piece(source, at, &mut content)?;
        let sense = match &kind {
            ROWS => {
                rows += u64::from(count);
                content.len() == count as usize * ROW
            }
            NAMES => {
                names += u64::from(count);
                true
            }
            END => {
                let mut fields = Fields(&content);
                let end = at + (PIECE + content.len()) as u64;
                (fields.u64(), fields.u64()) == (Some(rows), Some(names)) && source.length()? == end
            }
            _ => false,
        };
        see(&kind, &content).filter(|()| sense).ok_or(BadCheckpoint::Damaged(at))?;
        if kind == *END {
            return Ok(());
        }
        at += (PIECE + content.len()) as u64;
    }
}

fn read_piece(
    source: &(impl Octets + ?Sized),
    at: u64,
    content: &mut Vec<u8>,
) -> Result<([u8; 4], u32), BadCheckpoint> {
    let damaged = || BadCheckpoint::Damaged(at);
    let mut header = [0; PIECE];
    if source.read_at(&mut header, at)? < PIECE {
        return Err(damaged());
    }
    let mut fields = Fields(&header);
    let kind = fields.take::<4>().ok_or_else(damaged)?;
    let count = fields.u32().ok_or_else(damaged)?;
    let length = fields.u32().filter(|&length| length <= LIMIT).ok_or_else(damaged)?;
    let expected = fields.u32().ok_or_else(damaged)?;
    content.resize(length as usize, 0);
    if source.read_at(content, at + PIECE as u64)? < content.len() {
        return Err(damaged());
    }
    let checksum = crc32c::crc32c(header.get(..PIECE - 4).unwrap_or_default());
    let holds = crc32c::crc32c_append(checksum, content) == expected;
    if holds { Ok((kind, count)) } else { Err(damaged()) }
}

fn put_row(content: &mut Vec<u8>, row: &Row) {
    content.extend(row.id.octets());
    let none = Place { slot: 0, unit: 0, units: 0 };
    for place in [row.letter, row.progress.unwrap_or(none)] {
        for number in [place.slot, place.unit, place.units] {
            content.extend(number.to_le_bytes());
        }
    }
    for number in [row.due, row.destination, row.reason, row.sender, row.size] {
        content.extend(number.to_le_bytes());
    }
    content.extend(row.attempts.to_le_bytes());
    content.extend(row.waiting.to_le_bytes());
    content.extend([row.standing as u8, u8::from(row.big)]);
}

fn read_row(octets: &[u8; ROW]) -> Option<Row> {
    let mut fields = Fields(octets);
    let id = Id::from_octets(&fields.take()?)?;
    let letter = fields.place()?;
    let progress = Some(fields.place()?).filter(|place| place.units > 0);
    let (due, destination, reason) = (fields.u32()?, fields.u32()?, fields.u32()?);
    let (sender, size) = (fields.u32()?, fields.u32()?);
    let (attempts, waiting) = (fields.u16()?, fields.u16()?);
    let [standing, big] = fields.take()?;
    let standing = match standing {
        0 => Standing::New,
        1 => Standing::Deferred,
        2 => Standing::Held,
        3 => Standing::GivenUp,
        _ => return None,
    };
    Some(Row {
        id,
        letter,
        progress,
        due,
        destination,
        reason,
        sender,
        size,
        attempts,
        waiting,
        standing,
        big: big != 0,
    })
}

fn put_name(content: &mut Vec<u8>, name: Name, index: &Index) {
    let text = index.name(name);
    content.extend(name.to_le_bytes());
    content.extend((text.len() as u16).to_le_bytes());
    content.extend(text.as_bytes());
}

fn read_names(content: &[u8], names: &mut HashMap<Name, String>) -> Option<()> {
    let mut fields = Fields(content);
    while !fields.0.is_empty() {
        let (name, length) = (fields.u32()?, fields.u16()?);
        let (text, rest) = fields.0.split_at_checked(length.into())?;
        names.insert(name, std::str::from_utf8(text).ok()?.to_owned());
        fields.0 = rest;
    }
    Some(())
}

/// What is left to read.
struct Fields<'octets>(&'octets [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (octets, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*octets)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn place(&mut self) -> Option<Place> {
        Some(Place { slot: self.u32()?, unit: self.u32()?, units: self.u32()? })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
