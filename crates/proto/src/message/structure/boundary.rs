//! Boundaries (RFC 2046, 5.1.1).

use super::Part;

/// Boundaries longer than this are none: the RFC allows 70 octets.
pub(super) const BOUNDARY_LIMIT: usize = 256;

/// A line that ends a part.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Delimiter {
    /// Which of the boundaries, in the order in which they were given.
    pub(super) level: usize,
    /// Whether no further part follows (`--boundary--`).
    pub(super) closing: bool,
}

/// The boundary that a multipart says it has.
pub(super) fn of(part: &Part) -> Option<Vec<u8>> {
    let boundary = part.parameter("boundary")?.trim_ascii_end();
    (!boundary.is_empty() && boundary.len() <= BOUNDARY_LIMIT).then(|| boundary.to_vec())
}

/// Which of the boundaries, innermost last, a line is.
///
/// It is enough that the boundary stands at the beginning of the line, and one boundary may begin
/// with another: a line that is nothing but a boundary (and white space) is that one, else the
/// longest counts, and of equal ones the innermost.
pub(super) fn find<'a>(
    boundaries: impl DoubleEndedIterator<Item = Option<&'a [u8]>> + ExactSizeIterator,
    line: &[u8],
) -> Option<Delimiter> {
    let text = line.strip_prefix(b"--")?.trim_ascii_end();
    let mut best = None;
    let mut best_rank = (false, 0);
    for (level, boundary) in boundaries.enumerate().rev() {
        let Some(boundary) = boundary else { continue };
        let Some(rest) = text.strip_prefix(boundary) else { continue };
        let rank = (rest.is_empty() || rest == b"--", boundary.len());
        if rank > best_rank {
            best_rank = rank;
            best = Some(Delimiter { level, closing: rest.starts_with(b"--") });
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_held_against_all_boundaries() {
        let open = |level| Some(Delimiter { level, closing: false });
        let close = |level| Some(Delimiter { level, closing: true });
        let table: [(&[&str], &str, Option<Delimiter>); 14] = [
            (&["a"], "--a", open(0)),
            (&["a"], "--a--", close(0)),
            (&["a"], "--a \t", open(0)),
            (&["a"], "--a-- ", close(0)),
            (&["a"], "-a", None),
            (&["a"], "x--a", None),
            (&["a"], "--b", None),
            (&["a"], "--abc", open(0)),
            (&["a", "ab"], "--ab", open(1)),
            (&["ab", "a"], "--ab", open(0)),
            (&["a", "ab"], "--abc", open(1)),
            (&["a", "ab"], "--ab--", close(1)),
            (&["a", "a"], "--a", open(1)),
            (&["a", "a"], "--a--", close(1)),
        ];
        for (boundaries, line, expected) in table {
            let found = find(boundaries.iter().map(|b| Some(b.as_bytes())), line.as_bytes());
            assert_eq!(found, expected, "{line:?} of {boundaries:?}");
        }
        assert_eq!(find([Some(&b"a"[..]), None].into_iter(), b"--a"), open(0));
    }
}
