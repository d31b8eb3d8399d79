//! Records and segment headers as `docs/spool.md` lays them out. Pure: octets in, values out.
//!
//! Nothing here trusts a length before its checksum holds, for a reader meets what a power cut or
//! a dying disk left: the header's CRC covers the text, so a record counts only if both are whole,
//! and the body has a CRC of its own, so that a scan need not read bodies.

use mail_common::log::Id;
use thiserror::Error;

/// Octets of a record's header.
pub const HEADER: usize = 64;
/// Records begin on a multiple of this.
pub const UNIT: u64 = 64;
/// Commits begin on a multiple of this, and so does the first.
pub const BLOCK: u64 = 4096;
/// Octets of a text: 100,000 recipients of 300 octets.
pub const TEXT_LIMIT: u32 = 32 << 20;

const MAGIC: &[u8; 4] = b"PHR2";
const SEGMENT_MAGIC: &[u8; 4] = b"PHSG";
const VERSION: u32 = 1;
const IN_BIG: u8 = 1;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A message.
    Letter,
    /// What became of one so far.
    Progress,
    /// A message is done with.
    Done,
    /// A live letter, copied or changed.
    MovedLetter,
    /// A live progress, copied.
    MovedProgress,
    /// A segment's sync failed.
    Seal,
}

/// What a record is of its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Letter,
    Progress,
}

/// Where a record's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// Behind the text: its length and CRC.
    Here(u64, u32),
    /// In `big/`: its length and CRC.
    Big(u64, u32),
}

/// A record's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What it is.
    pub kind: Kind,
    /// Of its segment.
    pub generation: u64,
    /// Of which it is part.
    pub commit: u64,
    /// Of which message; `None` in a seal.
    pub id: Option<Id>,
    /// Octets of the text.
    pub text: u32,
    /// The body.
    pub body: Body,
}

/// A segment's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Which use of a slot it is.
    pub generation: u64,
    /// The number in its name.
    pub slot: u32,
}

/// Why octets are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NoRecord {
    /// Nothing begins here.
    #[error("no record begins here")]
    Magic,
    /// Of an earlier use of the slot.
    #[error("of an earlier use of the segment")]
    Generation,
    /// It goes on beyond what there is.
    #[error("it is cut short")]
    Cut,
    /// Header or text is not what was written.
    #[error("the checksum of its envelope does not hold")]
    Checksum,
    /// The checksum holds, but this version does not know it.
    #[error("not a record of this version")]
    Unknown,
}

impl Body {
    /// None.
    pub const NONE: Self = Self::Here(0, 0);

    /// Its octets, wherever it is.
    #[must_use]
    pub fn length(self) -> u64 {
        match self {
            Self::Here(length, _) | Self::Big(length, _) => length,
        }
    }

    /// Its octets behind the text: one in `big/` has none there.
    #[must_use]
    pub fn behind(self) -> u64 {
        match self {
            Self::Here(length, _) => length,
            Self::Big(..) => 0,
        }
    }

    /// Its checksum.
    #[must_use]
    pub fn checksum(self) -> u32 {
        match self {
            Self::Here(_, checksum) | Self::Big(_, checksum) => checksum,
        }
    }
}

impl Header {
    /// Octets of the whole record, up to where the next can begin.
    #[must_use]
    pub fn span(&self) -> u64 {
        span(u64::from(self.text), self.body)
    }

    /// Where the body begins, counted from the header.
    #[must_use]
    pub fn body_offset(&self) -> u64 {
        HEADER as u64 + u64::from(self.text)
    }

    /// The octets of the header in front of this text.
    #[must_use]
    pub fn encode(&self, text: &[u8]) -> [u8; HEADER] {
        let mut octets = [0; HEADER];
        let mut rest = octets.as_mut_slice();
        let flags = if matches!(self.body, Body::Big(..)) { IN_BIG } else { 0 };
        put(&mut rest, MAGIC);
        put(&mut rest, &[self.kind.number(), flags, 0, 0]);
        put(&mut rest, &self.generation.to_le_bytes());
        put(&mut rest, &self.commit.to_le_bytes());
        put(&mut rest, self.id.as_ref().map_or(&[0; 16], Id::octets).as_slice());
        put(&mut rest, &self.text.to_le_bytes());
        put(&mut rest, &[0; 4]);
        put(&mut rest, &self.body.length().to_le_bytes());
        put(&mut rest, &self.body.checksum().to_le_bytes());
        let checksum = checksum(self.generation, &octets, text);
        octets[HEADER - 4..].copy_from_slice(&checksum.to_le_bytes());
        octets
    }

    /// Reads the header at the beginning of `octets`, which must reach at least to the end of the
    /// text, and says where the text is.
    ///
    /// # Errors
    /// It is no record of this generation.
    pub fn decode(octets: &[u8], generation: u64) -> Result<(Self, &[u8]), NoRecord> {
        let (header, rest) = octets.split_first_chunk::<HEADER>().ok_or(NoRecord::Cut)?;
        let length = Self::text_length(header, generation)?;
        let text = rest.get(..length as usize).ok_or(NoRecord::Cut)?;
        let mut fields = header.as_slice();
        let _magic = take::<4>(&mut fields);
        let [kind, flags, _, _] = take(&mut fields);
        let _generation = take::<8>(&mut fields);
        let commit = u64::from_le_bytes(take(&mut fields));
        let id = take::<16>(&mut fields);
        let _lengths = take::<8>(&mut fields);
        let length_of_body = u64::from_le_bytes(take(&mut fields));
        let body_checksum = u32::from_le_bytes(take(&mut fields));
        if u32::from_le_bytes(take(&mut fields)) != checksum(generation, header, text) {
            return Err(NoRecord::Checksum);
        }
        let kind = Kind::of(kind).ok_or(NoRecord::Unknown)?;
        let body = match flags {
            0 => Body::Here(length_of_body, body_checksum),
            IN_BIG => Body::Big(length_of_body, body_checksum),
            _ => return Err(NoRecord::Unknown),
        };
        let id = Id::from_octets(&id);
        if id.is_none() && kind != Kind::Seal {
            return Err(NoRecord::Unknown);
        }
        Ok((Self { kind, generation, commit, id, text: length, body }, text))
    }

    /// Of which generation a header says that it is; `None`: it is no header.
    #[must_use]
    pub fn generation_of(octets: &[u8]) -> Option<u64> {
        let mut fields = octets.first_chunk::<HEADER>()?.as_slice();
        if take::<4>(&mut fields) != *MAGIC {
            return None;
        }
        let _kind_and_flags = take::<4>(&mut fields);
        Some(u64::from_le_bytes(take(&mut fields)))
    }

    /// How many octets after a header its text has, for whoever reads the header first. Not yet to
    /// be trusted, but within its limit.
    ///
    /// # Errors
    /// No record of this generation begins so.
    pub fn text_length(header: &[u8; HEADER], generation: u64) -> Result<u32, NoRecord> {
        let mut fields = header.as_slice();
        if take::<4>(&mut fields) != *MAGIC {
            return Err(NoRecord::Magic);
        }
        let _kind_and_flags = take::<4>(&mut fields);
        if u64::from_le_bytes(take(&mut fields)) != generation {
            return Err(NoRecord::Generation);
        }
        let _commit_and_id = take::<24>(&mut fields);
        match u32::from_le_bytes(take(&mut fields)) {
            length @ 0..=TEXT_LIMIT => Ok(length),
            _ => Err(NoRecord::Checksum),
        }
    }
}

impl Kind {
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Letter => 1,
            Self::Progress => 2,
            Self::Done => 3,
            Self::MovedLetter => 4,
            Self::MovedProgress => 5,
            Self::Seal => 6,
        }
    }

    /// `None`: no row points to such a record.
    pub(crate) const fn part(self) -> Option<Part> {
        match self {
            Self::Letter | Self::MovedLetter => Some(Part::Letter),
            Self::Progress | Self::MovedProgress => Some(Part::Progress),
            Self::Done | Self::Seal => None,
        }
    }

    fn of(number: u8) -> Option<Self> {
        let all = [
            Self::Letter,
            Self::Progress,
            Self::Done,
            Self::MovedLetter,
            Self::MovedProgress,
            Self::Seal,
        ];
        all.into_iter().find(|kind| kind.number() == number)
    }
}

impl SegmentHeader {
    /// The first octets of a segment; zeros follow up to [`BLOCK`].
    #[must_use]
    pub fn encode(&self) -> [u8; 24] {
        let mut octets = [0; 24];
        let mut rest = octets.as_mut_slice();
        put(&mut rest, SEGMENT_MAGIC);
        put(&mut rest, &VERSION.to_le_bytes());
        put(&mut rest, &self.generation.to_le_bytes());
        put(&mut rest, &self.slot.to_le_bytes());
        let checksum = crc32c::crc32c(&octets[..20]);
        octets[20..].copy_from_slice(&checksum.to_le_bytes());
        octets
    }

    /// Reads the first octets of a segment.
    ///
    /// # Errors
    /// They are none: it was never used, or is damaged.
    pub fn decode(octets: &[u8]) -> Result<Self, NoRecord> {
        let header = octets.first_chunk::<24>().ok_or(NoRecord::Cut)?;
        let mut fields = header.as_slice();
        if take::<4>(&mut fields) != *SEGMENT_MAGIC {
            return Err(NoRecord::Magic);
        }
        let version = u32::from_le_bytes(take(&mut fields));
        let generation = u64::from_le_bytes(take(&mut fields));
        let slot = u32::from_le_bytes(take(&mut fields));
        if u32::from_le_bytes(take(&mut fields)) != crc32c::crc32c(&header[..20]) {
            return Err(NoRecord::Checksum);
        }
        // No other could follow the last one, so nobody writes it.
        let is_known = version == VERSION && generation < u64::MAX;
        is_known.then_some(Self { generation, slot }).ok_or(NoRecord::Unknown)
    }
}

/// Octets of a record with a text of so many, up to where the next can begin.
pub(crate) fn span(text: u64, body: Body) -> u64 {
    (HEADER as u64 + text + body.behind()).next_multiple_of(UNIT)
}

/// Of a header and its text.
fn checksum(generation: u64, header: &[u8; HEADER], text: &[u8]) -> u32 {
    let seed = crc32c::crc32c(&generation.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(seed, &header[..HEADER - 4]), text)
}

/// Writes octets, which fit.
fn put(rest: &mut &mut [u8], octets: &[u8]) {
    let (place, after) = std::mem::take(rest).split_at_mut(octets.len());
    place.copy_from_slice(octets);
    *rest = after;
}

/// Reads octets, which are there.
fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (octets, after) = rest.split_first_chunk().expect("a header has its length");
    *rest = after;
    *octets
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn header(kind: Kind, text: &[u8], body: Body) -> Header {
        let (id, text) = (Id::parse("0abc"), text.len() as u32);
        Header { kind, generation: 7, commit: 9, id, text, body }
    }

    #[test]
    fn records_go_through_octets() {
        let table = [
            (Kind::Letter, &b"{}"[..], Body::Here(100, 5), 192),
            (Kind::MovedLetter, b"x", Body::Big(u64::MAX, 6), 128),
            (Kind::Progress, &[b'x'; 64], Body::NONE, 128),
            (Kind::Done, b"", Body::NONE, 64),
        ];
        for (kind, text, body, span) in table {
            let header = header(kind, text, body);
            assert_eq!(header.span(), span, "{kind:?}");
            let octets = [header.encode(text).as_slice(), text].concat();
            assert_eq!(Header::decode(&octets, 7), Ok((header, text)));
            assert_eq!(Header::decode(&octets, 8), Err(NoRecord::Generation));
        }
    }

    #[test]
    fn every_bit_counts() {
        let text = b"text";
        let octets =
            [header(Kind::Letter, text, Body::NONE).encode(text).as_slice(), text].concat();
        for bit in 0..octets.len() * 8 {
            let mut damaged = octets.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&damaged, 7).is_err(), "bit {bit}");
        }
        for length in 0..octets.len() {
            assert_eq!(Header::decode(&octets[..length], 7), Err(NoRecord::Cut), "{length}");
        }
    }

    #[test]
    fn segments_have_a_header() {
        let header = SegmentHeader { generation: 3, slot: 4 };
        let octets = header.encode();
        assert_eq!(SegmentHeader::decode(&octets), Ok(header));
        assert_eq!(SegmentHeader::decode(&[0; 24]), Err(NoRecord::Magic));
        let last = SegmentHeader { generation: u64::MAX, slot: 4 };
        assert_eq!(SegmentHeader::decode(&last.encode()), Err(NoRecord::Unknown));
        for bit in 0..octets.len() * 8 {
            let mut damaged = octets;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&damaged).is_err(), "bit {bit}");
        }
    }
}
