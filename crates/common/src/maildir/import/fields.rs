//! Numbers at fixed places, little-endian, in files that may say anything.

pub(super) fn u8_at(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(part(bytes, at, 2)?.try_into().ok()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(part(bytes, at, 4)?.try_into().ok()?))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(part(bytes, at, 8)?.try_into().ok()?))
}

/// A number of 32 bits that says a size or a place.
pub(super) fn size_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32_at(bytes, at)?).ok()
}

/// A number of 16 bits that says a size or a place.
pub(super) fn short_at(bytes: &[u8], at: usize) -> Option<usize> {
    u16_at(bytes, at).map(usize::from)
}

/// So many octets from `at` on, if they are all there.
pub(super) fn part(bytes: &[u8], at: usize, length: usize) -> Option<&[u8]> {
    bytes.get(at..at.checked_add(length)?)
}

/// The UID ranges in a list of them, each `size` octets long, of which the first eight are the
/// range's ends; with those octets.
pub(super) fn ranges(bytes: &[u8], size: usize) -> impl Iterator<Item = Option<(u32, u32, &[u8])>> {
    bytes.chunks(size).map(move |chunk| {
        let (first, last) = (u32_at(chunk, 0)?, u32_at(chunk, 4)?);
        (chunk.len() == size && 0 < first && first <= last).then_some((first, last, chunk))
    })
}

/// The next multiple of `to`.
pub(super) fn aligned(number: usize, to: usize) -> usize {
    number.div_ceil(to).saturating_mul(to)
}
