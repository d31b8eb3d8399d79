//! Frames of the cache: octets that can be told from others by themselves.
//!
//! A frame is a mark (with the version of the file's form), kind and length (8 and 24 bits), the
//! CRC32C of all but mark and CRC, the hash of a message's base name, and the payload. Numbers are
//! little-endian.
//!
//! One kind holds a summary. The other, of files that were written anew, says what is in a block
//! of up to 64 summaries that were compressed together and that follows the frame: its length, its
//! CRC32C, and of each summary hash and length. So a block is found without being read.

use std::ops::Range;

use mail_proto::imap::fetch::SUMMARY_LIMIT;

/// A frame of which all octets are there, and its CRC is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    /// Of a message, by the hash of its base name.
    Summary(u64, &'a [u8]),
    Block(Block),
}

/// What is known of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    /// Octets as they stand in the file, behind the frame.
    pub(super) stored: usize,
    /// Their CRC32C.
    pub(super) crc: u32,
    /// Whose summaries these are, and where each is once the block is decompressed.
    pub(super) entries: Vec<(u64, Range<usize>)>,
}

/// What stands at a place of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A frame, and its octets.
    Frame(Frame<'a>, usize),
    /// The beginning of a frame of so many octets.
    Beginning(usize),
    Nothing,
}

/// Octets before the payload.
pub(super) const HEAD: usize = 20;

/// Summaries in a block.
pub(super) const BLOCK: usize = 64;

/// Octets of a block, be it compressed or not.
pub(super) const BLOCK_LIMIT: usize = BLOCK * SUMMARY_LIMIT;

const MARK: [u8; 4] = [0xf5, b'P', b'C', 1];
const SUMMARY: u8 = 1;
const DIRECTORY: u8 = 2;
const DIRECTORY_HEAD: usize = 8;
const ENTRY: usize = 12;

/// Reads the frame that octets begin with.
pub(super) fn parse(octets: &[u8]) -> Found<'_> {
    let Some((head, rest)) = octets.split_first_chunk::<HEAD>() else {
        let mark = MARK.get(..octets.len()).unwrap_or(&MARK);
        return if octets.starts_with(mark) { Found::Beginning(HEAD) } else { Found::Nothing };
    };
    let [m0, m1, m2, m3, l0, l1, l2, kind, c0, c1, c2, c3, hash @ ..] = *head;
    let length = u32::from_le_bytes([l0, l1, l2, 0]) as usize;
    if [m0, m1, m2, m3] != MARK || length > SUMMARY_LIMIT {
        return Found::Nothing;
    }
    let Some(payload) = rest.get(..length) else { return Found::Beginning(HEAD + length) };
    let crc = crc32c::crc32c(&[l0, l1, l2, kind]);
    let crc = crc32c::crc32c_append(crc32c::crc32c_append(crc, &hash), payload);
    if crc != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Found::Nothing;
    }
    let frame = match kind {
        SUMMARY => Some(Frame::Summary(u64::from_le_bytes(hash), payload)),
        DIRECTORY => block(payload).map(Frame::Block),
        _ => None,
    };
    frame.map_or(Found::Nothing, |frame| Found::Frame(frame, HEAD + length))
}

/// Where the next frame may begin, behind the first octet.
pub(super) fn next(octets: &[u8]) -> Option<usize> {
    let behind = octets.get(1..)?;
    behind.windows(MARK.len()).position(|window| window == MARK).map(|at| at + 1)
}

/// Appends the frame of a summary.
pub(super) fn append_summary(out: &mut Vec<u8>, hash: u64, summary: &[u8]) {
    append(out, SUMMARY, hash, summary);
}

/// Appends a block and the frame before it: compressed octets, and of each summary in it hash and
/// length.
pub(super) fn append_block(out: &mut Vec<u8>, stored: &[u8], entries: &[(u64, u32)]) {
    let length = u32::try_from(stored.len()).expect("a block is 4 MiB at most");
    let mut directory = Vec::with_capacity(DIRECTORY_HEAD + entries.len() * ENTRY);
    directory.extend_from_slice(&length.to_le_bytes());
    directory.extend_from_slice(&crc32c::crc32c(stored).to_le_bytes());
    for (hash, length) in entries {
        directory.extend_from_slice(&hash.to_le_bytes());
        directory.extend_from_slice(&length.to_le_bytes());
    }
    append(out, DIRECTORY, 0, &directory);
    out.extend_from_slice(stored);
}

fn append(out: &mut Vec<u8>, kind: u8, hash: u64, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a payload is 64 KiB at most");
    let [l0, l1, l2, _] = length.to_le_bytes();
    let length = [l0, l1, l2, kind];
    let hash = hash.to_le_bytes();
    let crc = crc32c::crc32c_append(crc32c::crc32c(&length), &hash);
    let crc = crc32c::crc32c_append(crc, payload);
    for part in [&MARK, &length, &crc.to_le_bytes(), &hash[..], payload] {
        out.extend_from_slice(part);
    }
}

fn block(payload: &[u8]) -> Option<Block> {
    let (&[l0, l1, l2, l3, c0, c1, c2, c3], entries) =
        payload.split_first_chunk::<DIRECTORY_HEAD>()?;
    let (entries, rest) = entries.as_chunks::<ENTRY>();
    let stored = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if !rest.is_empty() || entries.len() > BLOCK || stored > BLOCK_LIMIT {
        return None;
    }
    let mut end = 0;
    let place = |&[h0, h1, h2, h3, h4, h5, h6, h7, l0, l1, l2, l3]: &[u8; ENTRY]| {
        let hash = u64::from_le_bytes([h0, h1, h2, h3, h4, h5, h6, h7]);
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let start = end;
        end += length;
        (length <= SUMMARY_LIMIT).then_some((hash, start..end))
    };
    let entries = entries.iter().map(place).collect::<Option<_>>()?;
    Some(Block { stored, crc: u32::from_le_bytes([c0, c1, c2, c3]), entries })
}
