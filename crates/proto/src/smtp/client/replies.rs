//! Replies of the peer (RFC 5321, 4.2), read with a generous eye and firm limits.
//!
//! A line may end in a bare LF: what is read here is never passed on as it came, so nothing can
//! be smuggled by it.

/// Octets of a line, and of a reply's whole text, that are kept; what is longer is cut.
const KEPT: usize = 64 << 10;
/// Lines of a reply. RFC 5321, 4.5.3.1.5 knows no limit.
const LINES: usize = 1000;

/// Bytes that came from the peer, as replies.
#[derive(Debug, Default)]
pub(super) struct Replies {
    bytes: Vec<u8>,
    /// The reply whose last line is still to come.
    partial: Option<Reply>,
}

/// A whole reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    /// Three digits, the first 2 to 5.
    pub(super) code: u16,
    /// The lines without their codes; control characters replaced.
    pub(super) lines: Vec<String>,
    octets: usize,
}

/// What came is no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Garbage;

impl Replies {
    /// Adds what the peer sent.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether nothing waits to be read.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.partial.is_none()
    }

    /// The next whole reply, if it is here.
    pub(super) fn next(&mut self) -> Option<Result<Reply, Garbage>> {
        while let Some(line) = self.line() {
            match self.add(&line) {
                Ok(None) => {}
                Ok(Some(reply)) => return Some(Ok(reply)),
                Err(garbage) => return Some(Err(garbage)),
            }
        }
        None
    }

    fn line(&mut self) -> Option<Vec<u8>> {
        let Some(at) = self.bytes.iter().position(|&b| b == b'\n') else {
            self.bytes.truncate(KEPT);
            return None;
        };
        let mut line: Vec<u8> = self.bytes.drain(..=at).collect();
        line.pop();
        line.truncate(KEPT);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Some(line)
    }

    fn add(&mut self, line: &[u8]) -> Result<Option<Reply>, Garbage> {
        let (code, more, text) = split(line).ok_or(Garbage)?;
        let mut reply = self.partial.take().unwrap_or(Reply { code, lines: Vec::new(), octets: 0 });
        // RFC 5321, 4.2.1: the code is the same on every line.
        if reply.code != code || reply.lines.len() == LINES {
            return Err(Garbage);
        }
        if reply.octets < KEPT {
            reply.octets += text.len();
            reply.lines.push(printable(text));
        }
        if !more {
            return Ok(Some(reply));
        }
        self.partial = Some(reply);
        Ok(None)
    }
}

/// Code, whether more lines follow, text.
fn split(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (digits, rest) = line.split_at_checked(3)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    if !(200..600).contains(&code) {
        return None;
    }
    match rest.split_first() {
        // RFC 5321, 4.2: the space may be missing where there is no text.
        None => Some((code, false, b"")),
        Some((b' ', text)) => Some((code, false, text)),
        Some((b'-', text)) => Some((code, true, text)),
        Some(_) => None,
    }
}

fn printable(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], piece: usize) -> Vec<Result<(u16, String), Garbage>> {
        let mut replies = Replies::default();
        let mut found = Vec::new();
        for chunk in bytes.chunks(piece) {
            replies.push(chunk);
            while let Some(reply) = replies.next() {
                found.push(reply.map(|r| (r.code, r.lines.join("|"))));
            }
        }
        found
    }

    #[test]
    fn replies_of_all_kinds() {
        let ok = |code, text: &str| Ok((code, text.to_owned()));
        let table: [(&[u8], Vec<_>); 10] = [
            (b"250 Ok\r\n", vec![ok(250, "Ok")]),
            (b"250-a\r\n250 b\r\n", vec![ok(250, "a|b")]),
            (b"250\r\n", vec![ok(250, "")]),
            (b"250 Ok\n354 go\n", vec![ok(250, "Ok"), ok(354, "go")]),
            (b"550 \x1b[31mno\0\r\n", vec![ok(550, "?[31mno?")]),
            (b"550 gr\xfc\xdf\r\n", vec![ok(550, "gr\u{fffd}\u{fffd}")]),
            (b"250-a\r\n550 b\r\n", vec![Err(Garbage)]),
            (b"hello\r\n", vec![Err(Garbage)]),
            (b"\r\n", vec![Err(Garbage)]),
            (b"999 x\r\n", vec![Err(Garbage)]),
        ];
        for (bytes, expected) in table {
            for piece in [1, 7, usize::MAX] {
                assert_eq!(read(bytes, piece), expected, "{bytes:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn a_long_line_is_cut_and_not_kept() {
        let mut replies = Replies::default();
        replies.push(b"250 ");
        for _ in 0..100 {
            replies.push(&[b'x'; 10_000]);
            assert_eq!(replies.next(), None);
            assert!(replies.bytes.len() <= KEPT);
        }
        replies.push(b"\r\n250 next\r\n");
        let first = replies.next().map(|r| r.map(|r| r.lines.concat().len()));
        assert!(matches!(first, Some(Ok(length)) if length <= KEPT));
        assert!(matches!(replies.next(), Some(Ok(reply)) if reply.lines == ["next"]));
    }

    #[test]
    fn a_reply_without_end_is_garbage_and_bounded() {
        let mut replies = Replies::default();
        let mut found = None;
        for _ in 0..=LINES {
            replies.push(b"250-x\r\n");
            found = replies.next();
        }
        assert_eq!(found, Some(Err(Garbage)));
    }
}
