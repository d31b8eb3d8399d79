//! Lines that end in CRLF, with a limit.
//!
//! RFC 5321, 2.3.8: only CRLF ends a line. A bare CR, a bare LF or a NUL makes a line bad, and it
//! is bad as a whole: guessing where it was meant to end is what smuggling lives on.

use std::ops::Range;

/// Room that is not worth giving back while a line is coming piece by piece.
const LITTLE: usize = 256;

/// Bytes that came from the peer and were not read yet.
///
/// Holds no memory while empty: an idle session costs nothing here.
#[derive(Debug, Default)]
pub struct Input {
    bytes: Vec<u8>,
    start: usize,
    /// Up to here (from `start`) no LF was found: a slow line is not searched again and again.
    searched: usize,
    /// A line that was too long is being passed over.
    skipping: bool,
}

/// What stands at the beginning of the input.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A whole line, without its CRLF: give the range to [`Input::bytes_of`].
    Whole(Range<usize>),
    /// A line that was passed over, and why.
    Bad(BadLine),
    /// No line end yet.
    Partial,
}

/// Why a line was passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadLine {
    /// Longer than the limit, CRLF included.
    TooLong,
    /// A CR without LF, or a LF without CR.
    BareLineEnd,
    /// A NUL byte.
    Nul,
}

impl Input {
    /// Adds what the peer sent.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether nothing is left to read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.unread().is_empty()
    }

    /// All that was not read yet.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// The byte that begins the next line; `None` if it has not come, or if the line under way
    /// has lost its beginning because it is too long.
    #[must_use]
    pub fn next_line_begins_with(&self) -> Option<u8> {
        if self.skipping { None } else { self.unread().first().copied() }
    }

    /// Passes over `count` bytes, or over all when there are fewer.
    pub fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.bytes.len());
        self.searched = 0;
        if self.start == self.bytes.len() {
            *self = Self { skipping: self.skipping, ..Self::default() };
        }
    }

    /// Forgets what was read and gives its memory back. Call before going back to reading from
    /// the peer: an idle session keeps no more than the piece of a line that it holds.
    pub fn compact(&mut self) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.shrink_to(if self.bytes.is_empty() { 0 } else { LITTLE });
    }

    /// Takes all that is unread, for the session that follows this one.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        self.compact();
        std::mem::take(self).bytes
    }

    /// The next line of at most `limit` bytes, CRLF included.
    ///
    /// The line is consumed; its bytes stay readable through [`bytes_of`](Self::bytes_of) until
    /// the input is next changed. What a line too long has after its limit is passed over
    /// without being kept.
    pub fn line(&mut self, limit: usize) -> Line {
        let unread = self.unread();
        let Some(at) = unread.iter().skip(self.searched).position(|&b| b == b'\n') else {
            self.pass_over_if_longer(limit);
            return Line::Partial;
        };
        let end = self.searched + at;
        let whole = self.start..(self.start + end + 1);
        let line = unread.get(..=end).unwrap_or_default();
        let verdict = judge(line, limit, self.skipping);
        self.skipping = false;
        self.start = whole.end;
        self.searched = 0;
        match verdict {
            None => Line::Whole(whole.start..whole.end - 2),
            Some(bad) => Line::Bad(bad),
        }
    }

    fn pass_over_if_longer(&mut self, limit: usize) {
        let length = self.unread().len();
        if self.skipping || length > limit {
            self.skipping = true;
            self.consume(length);
        } else {
            self.searched = length;
        }
    }

    /// The bytes of a line that [`line`](Self::line) just gave.
    #[must_use]
    pub fn bytes_of(&self, range: Range<usize>) -> &[u8] {
        self.bytes.get(range).unwrap_or_default()
    }
}

/// What is wrong with a line that ends in LF.
fn judge(line: &[u8], limit: usize, skipping: bool) -> Option<BadLine> {
    if skipping || line.len() > limit {
        return Some(BadLine::TooLong);
    }
    let Some(text) = line.strip_suffix(b"\r\n") else {
        return Some(BadLine::BareLineEnd);
    };
    if text.contains(&b'\r') {
        return Some(BadLine::BareLineEnd);
    }
    text.contains(&0).then_some(BadLine::Nul)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Found<'a> = Result<&'a str, BadLine>;

    fn lines(pieces: &[&[u8]], limit: usize) -> Vec<Result<String, BadLine>> {
        let mut input = Input::default();
        let mut found = Vec::new();
        for piece in pieces {
            input.push(piece);
            loop {
                match input.line(limit) {
                    Line::Whole(range) => {
                        let text = String::from_utf8(input.bytes_of(range).to_vec());
                        found.push(Ok(text.expect("the tests write ASCII")));
                    }
                    Line::Bad(bad) => found.push(Err(bad)),
                    Line::Partial => break,
                }
            }
            input.compact();
        }
        found
    }

    #[test]
    fn only_crlf_ends_a_line() {
        let table: [(&[u8], &[Found<'_>]); 7] = [
            (b"a\r\nb\r\n", &[Ok("a"), Ok("b")]),
            (b"\r\n", &[Ok("")]),
            (b"a\nb\r\n", &[Err(BadLine::BareLineEnd), Ok("b")]),
            (b"a\rb\r\n", &[Err(BadLine::BareLineEnd)]),
            (b"a\r\r\n", &[Err(BadLine::BareLineEnd)]),
            (b"a\0b\r\n", &[Err(BadLine::Nul)]),
            (b"0123456789\r\nb\r\n", &[Err(BadLine::TooLong), Ok("b")]),
        ];
        for (bytes, expected) in table {
            let expected: Vec<_> = expected.iter().map(|l| l.map(str::to_owned)).collect();
            assert_eq!(lines(&[bytes], 10), expected, "{bytes:?} at once");
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(lines(&single, 10), expected, "{bytes:?} byte by byte");
        }
    }

    #[test]
    fn a_line_too_long_is_not_kept() {
        let mut input = Input::default();
        for _ in 0..1000 {
            input.push(&[b'x'; 100]);
            assert_eq!(input.line(50), Line::Partial);
            input.compact();
            assert!(input.is_empty());
        }
        input.push(b"\r\nNOOP\r\n");
        assert_eq!(input.line(50), Line::Bad(BadLine::TooLong));
        assert!(matches!(input.line(50), Line::Whole(_)));
    }

    #[test]
    fn what_was_read_holds_no_memory() {
        let mut input = Input::default();
        input.push(&b"NOOP\r\n".repeat(10_000));
        while let Line::Whole(_) = input.line(50) {}
        input.compact();
        assert_eq!(input.bytes.capacity(), 0);
        input.push(&b"NOOP\r\nNO".repeat(1000));
        while let Line::Whole(_) = input.line(50) {}
        input.compact();
        assert_eq!(input.unread(), b"NO");
        assert!(input.bytes.capacity() <= LITTLE);
    }
}
