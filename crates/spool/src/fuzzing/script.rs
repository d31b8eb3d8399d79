//! A spool as a fuzzer writes it: checksums, lengths and paddings are right where the script does
//! not say otherwise, so that a mutation of it is more than one further damaged record.
//!
//! A script is steps, an octet each with what belongs to it; numbers are little-endian, and texts
//! have their length in front (u16). What is missing at the end is nought.
//!
//! | step | what | with |
//! |---|---|---|
//! | 0 | a segment begins | slot (u8), generation (u64), 1: its header is missing (u8) |
//! | 1 | a record | kind, flags, message, lies (u8 each), commit (u64), text, body, and so many lies |
//! | 2 | zeros up to the next block | |
//! | 3 | octets | them |
//! | 4 | zeros | units (u8) |
//! | 5 | the file ends earlier | by so many octets (u16) |
//! | 6 | damage | where (u32), what is changed (u8) |
//! | 7 | a checkpoint begins | 1: the older (u8), generation (u64), block (u16) |
//! | 8 | a piece of it | rows, names, end or nothing (u8), by how many its count is wrong (u8), content |
//! | 9 | a body in `big/` | message (u8), octets |
//! | 10 | a file among the segments | name, octets |
//!
//! A lie is a bit: 1, another length of the body (u64); 2, another length of the text (u32); 4,
//! another generation (u64); 8, another checksum of the body (u32).

use mail_common::disk::{self, Dir, DiskError};
use mail_common::log::Id;

use crate::checkpoint;
use crate::record::{BLOCK, HEADER, SegmentHeader, UNIT};
use crate::recovery::{Directories, name};

pub(super) const SEGMENT: u8 = 0;
pub(super) const RECORD: u8 = 1;
pub(super) const BLOCKS: u8 = 2;
const OCTETS: u8 = 3;
const ZEROS: u8 = 4;
const CUT: u8 = 5;
const DAMAGE: u8 = 6;
pub(super) const CHECKPOINT: u8 = 7;
pub(super) const PIECE: u8 = 8;
pub(super) const BIG: u8 = 9;
pub(super) const FILE: u8 = 10;
const STEPS: u8 = 11;

/// Kinds of a checkpoint's pieces.
pub(super) const PIECES: [&[u8; 4]; 4] = [b"ROWS", b"NAME", b"END ", b"NONE"];
/// Messages that a script speaks of by number.
pub(super) const MESSAGES: u8 = 8;
/// Octets of the longest file.
const LIMIT: usize = 1 << 20;

/// Writes the files of a script.
pub(super) fn lay(directories: &Directories, script: &[u8]) -> Result<(), DiskError> {
    let mut laying = Laying::new(directories);
    let mut rest = Rest(script);
    while let Some(step) = rest.next() {
        laying.step(step % STEPS, &mut rest)?;
    }
    laying.end_file()
}

/// The id of a message: 0 to 7; what is above is none.
pub(super) fn message(number: u8) -> [u8; 16] {
    match number {
        0..MESSAGES => {
            let mut octets = [0; 16];
            octets[0] = b'a' + number;
            octets
        }
        other => [other; 16],
    }
}

/// What is left of a script.
struct Rest<'script>(&'script [u8]);

impl<'script> Rest<'script> {
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn some(&mut self, length: usize) -> &'script [u8] {
        let (some, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        some
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut octets = [0; N];
        octets.iter_mut().zip(self.some(N)).for_each(|(octet, &given)| *octet = given);
        octets
    }

    fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.take())
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn text(&mut self) -> &'script [u8] {
        let length = self.u16();
        self.some(length.into())
    }
}

/// Files that are being written.
struct Laying<'spool> {
    directories: &'spool Directories,
    file: Option<(&'spool Dir, String)>,
    octets: Vec<u8>,
    generation: u64,
    rows: u64,
    names: u64,
}

impl<'spool> Laying<'spool> {
    fn new(directories: &'spool Directories) -> Self {
        Self { directories, file: None, octets: Vec::new(), generation: 0, rows: 0, names: 0 }
    }

    fn step(&mut self, step: u8, rest: &mut Rest<'_>) -> Result<(), DiskError> {
        match step {
            SEGMENT => self.begin_segment(rest)?,
            RECORD => self.record(rest),
            BLOCKS => self.fill(BLOCK),
            OCTETS => self.octets.extend(rest.text()),
            ZEROS => self.octets.resize(self.octets.len() + usize::from(rest.u8()) * 64, 0),
            CUT => self.octets.truncate(self.octets.len().saturating_sub(rest.u16().into())),
            DAMAGE => self.damage(rest),
            CHECKPOINT => self.begin_checkpoint(rest)?,
            PIECE => self.piece(rest),
            BIG => self.big(rest)?,
            FILE => self.odd_file(rest)?,
            _ => {}
        }
        self.octets.truncate(LIMIT);
        Ok(())
    }

    /// Writes the file that was begun. What was said before any was begun is lost.
    fn end_file(&mut self) -> Result<(), DiskError> {
        let octets = std::mem::take(&mut self.octets);
        match self.file.take() {
            Some((dir, name)) => write(dir, &name, &octets),
            None => Ok(()),
        }
    }

    fn begin_segment(&mut self, rest: &mut Rest<'_>) -> Result<(), DiskError> {
        self.end_file()?;
        let (slot, generation) = (u32::from(rest.u8()), rest.u64());
        self.file = Some((&self.directories.segments, name(slot)));
        self.generation = generation;
        if rest.u8() != 1 {
            self.octets.extend(SegmentHeader { generation, slot }.encode());
        }
        self.octets.resize(BLOCK as usize, 0);
        Ok(())
    }

    fn record(&mut self, rest: &mut Rest<'_>) {
        let [kind, flags, number, lies] = rest.take();
        let (commit, text, body) = (rest.u64(), rest.text(), rest.text());
        let mut lie = |bit: u8| (lies & bit != 0).then(|| rest.u64());
        let body_length = lie(1).unwrap_or(body.len() as u64);
        let text_length = lie(2).map_or(text.len() as u32, |lie| lie as u32);
        let generation = lie(4).unwrap_or(self.generation);
        let body_checksum = lie(8).map_or_else(|| crc32c::crc32c(body), |lie| lie as u32);
        let mut header = Vec::with_capacity(HEADER);
        header.extend(b"PHR2");
        header.extend([kind, flags, 0, 0]);
        header.extend(generation.to_le_bytes());
        header.extend(commit.to_le_bytes());
        header.extend(message(number));
        header.extend(text_length.to_le_bytes());
        header.extend([0; 4]);
        header.extend(body_length.to_le_bytes());
        header.extend(body_checksum.to_le_bytes());
        let checksum = crc32c::crc32c(&generation.to_le_bytes());
        let checksum = crc32c::crc32c_append(checksum, &header);
        header.extend(crc32c::crc32c_append(checksum, text).to_le_bytes());
        self.octets.extend(header);
        self.octets.extend(text);
        if flags & 1 == 0 {
            self.octets.extend(body);
        }
        self.fill(UNIT);
    }

    fn fill(&mut self, unit: u64) {
        self.octets.resize(self.octets.len().next_multiple_of(unit as usize), 0);
    }

    fn damage(&mut self, rest: &mut Rest<'_>) {
        let (at, change) = (rest.u32() as usize, rest.u8());
        let length = self.octets.len().max(1);
        if let Some(octet) = self.octets.get_mut(at % length) {
            *octet ^= change;
        }
    }

    fn begin_checkpoint(&mut self, rest: &mut Rest<'_>) -> Result<(), DiskError> {
        self.end_file()?;
        let name = if rest.u8() == 1 { checkpoint::OLDER } else { checkpoint::NEWER };
        self.file = Some((&self.directories.root, name.to_owned()));
        (self.rows, self.names) = (0, 0);
        self.octets.extend(b"PHCK");
        self.octets.extend(1_u32.to_le_bytes());
        self.octets.extend(rest.u64().to_le_bytes());
        self.octets.extend((u64::from(rest.u16()) * BLOCK).to_le_bytes());
        let checksum = crc32c::crc32c(&self.octets);
        self.octets.extend(checksum.to_le_bytes());
        Ok(())
    }

    fn piece(&mut self, rest: &mut Rest<'_>) {
        let kind = PIECES[usize::from(rest.u8()) % PIECES.len()];
        let wrong_by = rest.u8();
        let mut content = rest.text().to_vec();
        let count = match kind {
            b"ROWS" => {
                let rows = content.as_chunks_mut::<{ checkpoint::ROW }>().0;
                rows.iter_mut().for_each(number_to_id);
                self.rows += rows.len() as u64;
                rows.len() as u32
            }
            b"NAME" => {
                let names = count_names(&content);
                self.names += u64::from(names);
                names
            }
            b"END " => {
                content = [self.rows.to_le_bytes(), self.names.to_le_bytes()].concat();
                0
            }
            _ => 0,
        };
        let mut piece = kind.to_vec();
        piece.extend(count.wrapping_add(wrong_by.into()).to_le_bytes());
        piece.extend((content.len() as u32).to_le_bytes());
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&piece), &content);
        piece.extend(checksum.to_le_bytes());
        self.octets.extend(piece);
        self.octets.extend(content);
    }

    fn big(&mut self, rest: &mut Rest<'_>) -> Result<(), DiskError> {
        let (id, octets) = (Id::from_octets(&message(rest.u8())), rest.text());
        match id {
            Some(id) => write(&self.directories.big, id.as_str(), octets),
            None => Ok(()),
        }
    }

    fn odd_file(&mut self, rest: &mut Rest<'_>) -> Result<(), DiskError> {
        let (name, octets) = (rest.text(), rest.text());
        let fits = |name: &&str| !name.contains(['/', '\0']) && (1..100).contains(&name.len());
        let name = std::str::from_utf8(name).ok().filter(fits);
        match name.filter(|name| ![".", ".."].contains(name)) {
            Some(name) => write(&self.directories.segments, name, octets),
            None => Ok(()),
        }
    }
}

/// The last one that has a name is there.
fn write(dir: &Dir, name: &str, octets: &[u8]) -> Result<(), DiskError> {
    disk::found(dir.unlink(name))?;
    let mut file = dir.create_new(name)?;
    file.write(octets)?;
    file.keep();
    Ok(())
}

/// In a script, a row begins with the number of its message.
fn number_to_id(row: &mut [u8; checkpoint::ROW]) {
    if let Some(id) = row.first_chunk_mut::<16>()
        && id[0] < MESSAGES
    {
        *id = message(id[0]);
    }
}

fn count_names(content: &[u8]) -> u32 {
    let (mut rest, mut count) = (Rest(content), 0);
    while !rest.0.is_empty() {
        let _name = rest.u32();
        let _text = rest.text();
        count += 1;
    }
    count
}
