//! The message on standard input: lines as the local system ends them, made into lines as mail
//! ends them.

use std::io::{self, BufRead};

/// Reads a message line by line.
pub(super) struct Input<R> {
    lines: R,
    dot_ends: bool,
    ended: bool,
}

impl<R: BufRead> Input<R> {
    pub(super) fn new(lines: R, dot_ends: bool) -> Self {
        Self { lines, dot_ends, ended: false }
    }

    /// Appends the next line with CRLF at its end; false at the end of the message.
    ///
    /// A CR that does not end a line would be refused on its way; it becomes a line end, which is
    /// what the terminal or program that wrote it meant.
    pub(super) fn line(&mut self, out: &mut Vec<u8>) -> io::Result<bool> {
        let mut line = Vec::new();
        if self.ended || self.lines.read_until(b'\n', &mut line)? == 0 {
            self.ended = true;
            return Ok(false);
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if self.dot_ends && text == b"." {
            self.ended = true;
            return Ok(false);
        }
        for part in text.split(|&byte| byte == b'\r') {
            out.extend_from_slice(part);
            out.extend_from_slice(b"\r\n");
        }
        Ok(true)
    }

    /// Appends the header with the empty line that ends it (or the whole message, if it has no
    /// body), at most `limit` octets and the line that crosses it.
    pub(super) fn header(&mut self, limit: usize, out: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let before = out.len();
            let more = self.line(out)?;
            let empty = out.get(before..) == Some(b"\r\n");
            if !more || empty || out.len() > limit {
                return Ok(());
            }
        }
    }

    /// Appends about so many octets of what is left; nothing at the end.
    pub(super) fn block(&mut self, size: usize, out: &mut Vec<u8>) -> io::Result<()> {
        while out.len() < size && self.line(out)? {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, dot_ends: bool) -> String {
        let mut input = Input::new(text.as_bytes(), dot_ends);
        let mut out = Vec::new();
        input.block(usize::MAX, &mut out).expect("a slice can be read");
        String::from_utf8(out).expect("the tests write ASCII")
    }

    #[test]
    fn lines_end_in_crlf_and_a_dot_ends_the_message() {
        let table = [
            ("a\nb\n", true, "a\r\nb\r\n"),
            ("a\r\nb", true, "a\r\nb\r\n"),
            ("a\rb\n", true, "a\r\nb\r\n"),
            ("a\n.\nb\n", true, "a\r\n"),
            ("a\n.\nb\n", false, "a\r\n.\r\nb\r\n"),
            ("a\n..\n", true, "a\r\n..\r\n"),
            ("", true, ""),
        ];
        for (text, dot_ends, expected) in table {
            assert_eq!(read(text, dot_ends), expected, "{text:?}, {dot_ends}");
        }
    }

    #[test]
    fn the_header_ends_at_the_empty_line() {
        let mut input = Input::new(&b"To: a@b\n\nbody\n"[..], true);
        let (mut header, mut body) = (Vec::new(), Vec::new());
        input.header(1000, &mut header).expect("a slice can be read");
        input.block(1000, &mut body).expect("a slice can be read");
        assert_eq!(
            (header.as_slice(), body.as_slice()),
            (&b"To: a@b\r\n\r\n"[..], &b"body\r\n"[..])
        );
    }
}
