//! Numbers and texts as the index writes them.
//!
//! Numbers of fixed width are little-endian. The others have seven bits in each octet, the lowest
//! first, and the eighth says that more follow; signed ones are doubled first, with the sign as
//! the lowest bit.

use thiserror::Error;

/// Octets that say nothing that could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("damaged")]
pub(super) struct Damaged;

type Result<T> = std::result::Result<T, Damaged>;

/// Octets that are read from the beginning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many are left.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Damaged)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn octet(&mut self) -> Result<u8> {
        self.array().map(|[octet]| octet)
    }

    pub(super) fn fixed_u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn fixed_u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn number(&mut self) -> Result<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let octet = self.octet()?;
            let bits = u64::from(octet & 0x7f);
            if bits << shift >> shift != bits {
                return Err(Damaged);
            }
            number |= bits << shift;
            if octet & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Damaged)
    }

    pub(super) fn small(&mut self) -> Result<u32> {
        self.number()?.try_into().map_err(|_| Damaged)
    }

    pub(super) fn signed(&mut self) -> Result<i64> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// A text of at most `limit` octets.
    pub(super) fn text(&mut self, limit: usize) -> Result<&'a str> {
        let length = usize::try_from(self.number()?).map_err(|_| Damaged)?;
        if length > limit {
            return Err(Damaged);
        }
        std::str::from_utf8(self.take(length)?).map_err(|_| Damaged)
    }
}

pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

pub(super) fn put_signed(out: &mut Vec<u8>, number: i64) {
    put_number(out, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// The checksum of octets that are only right at this place of this file: what is left of an
/// older file, or stands elsewhere, has another one.
pub(super) fn checksum(file: u64, offset: u64, octets: &[u8]) -> u32 {
    let mut place = [0; 16];
    let (first, second) = place.split_at_mut(8);
    first.copy_from_slice(&file.to_le_bytes());
    second.copy_from_slice(&offset.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&place), octets)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_that_are_too_long_are_none() {
        let table: [&[u8]; 5] = [
            &[],
            &[0x80],
            &[0xff; 9],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
            &[0x80; 11],
        ];
        for octets in table {
            assert_eq!(Input::new(octets).number(), Err(Damaged), "{octets:?}");
        }
        assert_eq!(Input::new(&[0x80, 0x80, 0x80, 0x80, 0x10]).small(), Err(Damaged));
        assert_eq!(Input::new(&[3, b'a', b'b']).text(9), Err(Damaged));
        assert_eq!(Input::new(&[2, b'a', b'b']).text(1), Err(Damaged));
        assert_eq!(Input::new(&[1, 0xff]).text(1), Err(Damaged));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(number: u64, signed: i64, text: String) {
            for number in [number, number >> 40, u64::MAX] {
                let mut out = Vec::new();
                put_number(&mut out, number);
                put_signed(&mut out, signed);
                put_signed(&mut out, i64::MIN);
                put_text(&mut out, &text);
                let mut input = Input::new(&out);
                prop_assert_eq!(input.number(), Ok(number));
                prop_assert_eq!(input.signed(), Ok(signed));
                prop_assert_eq!(input.signed(), Ok(i64::MIN));
                prop_assert_eq!(input.text(text.len()), Ok(&*text));
                prop_assert!(input.is_empty());
            }
        }
    }
}
