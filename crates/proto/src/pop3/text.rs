//! A message as RETR and TOP send it: a text of several lines that ends with a dot.

/// How much of a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it (RETR).
    Whole,
    /// The header and so many lines of the body (TOP).
    Top(u64),
}

/// A message being written, block by block, wherever the blocks end.
///
/// * RFC 1939, 3: a dot is put before a dot that begins a line, and a line `.` ends it all.
/// * The last line gets its CRLF if it has none, and a header without an end gets its empty line:
///   Outlook Express waits for it.
/// * NUL becomes 0x80: no client copes with it, Outlook hangs.
#[derive(Debug)]
pub(super) struct Text {
    extent: Extent,
    part: Part,
    line: Line,
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Header,
    /// So many lines of it were sent.
    Body(u64),
}

/// What the present line holds so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// Nothing.
    Empty,
    /// A CR alone.
    Cr,
    /// Something that does not end in CR.
    Text,
    /// Something and a CR.
    TextCr,
}

impl Text {
    pub(super) fn new(extent: Extent) -> Self {
        Self { extent, part: Part::Header, line: Line::Empty }
    }

    /// Writes a block. Returns whether enough was written, though the message may go on.
    pub(super) fn add(&mut self, block: &[u8], out: &mut Vec<u8>) -> bool {
        for piece in block.split_inclusive(|&b| b == b'\n') {
            if self.is_enough() {
                return true;
            }
            if self.line == Line::Empty && piece.first() == Some(&b'.') {
                out.push(b'.');
            }
            let start = out.len();
            out.extend_from_slice(piece);
            out.iter_mut().skip(start).filter(|b| **b == 0).for_each(|b| *b = 0x80);
            match piece.strip_suffix(b"\n") {
                Some(text) => self.end_line(text),
                None => self.line = self.line.and(piece),
            }
        }
        self.is_enough()
    }

    /// Writes what is missing at the end, and the dot.
    pub(super) fn finish(mut self, out: &mut Vec<u8>) {
        if self.line != Line::Empty {
            out.extend_from_slice(b"\r\n");
            self.end_line(b"");
        }
        if self.part == Part::Header {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
    }

    fn end_line(&mut self, text: &[u8]) {
        let empty = matches!(self.line.and(text), Line::Empty | Line::Cr);
        match &mut self.part {
            Part::Header if empty => self.part = Part::Body(0),
            Part::Header => {}
            Part::Body(lines) => *lines += 1,
        }
        self.line = Line::Empty;
    }

    fn is_enough(&self) -> bool {
        match (self.extent, &self.part) {
            (Extent::Top(wanted), Part::Body(sent)) => *sent >= wanted,
            _ => false,
        }
    }
}

impl Line {
    /// With more of the line, which has no LF.
    fn and(self, text: &[u8]) -> Self {
        match (self, text) {
            (_, b"") => self,
            (Self::Empty, b"\r") => Self::Cr,
            (_, [.., b'\r']) => Self::TextCr,
            _ => Self::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(extent: Extent, message: &str, piece: usize) -> String {
        let (mut text, mut out) = (Text::new(extent), Vec::new());
        for block in message.as_bytes().chunks(piece) {
            if text.add(block, &mut out) {
                break;
            }
        }
        text.finish(&mut out);
        String::from_utf8_lossy(&out).replace('\u{fffd}', "<80>")
    }

    #[test]
    fn messages_are_written_so_that_they_can_be_read_again() {
        let whole = Extent::Whole;
        let table = [
            (whole, "A: b\r\n\r\nx\r\n", "A: b\r\n\r\nx\r\n.\r\n"),
            (whole, "A: b\r\n\r\nx", "A: b\r\n\r\nx\r\n.\r\n"),
            (whole, "A: b\r\n\r\nx\r", "A: b\r\n\r\nx\r\r\n.\r\n"),
            (whole, "A: b\r\n\r\n", "A: b\r\n\r\n.\r\n"),
            (whole, "A: b\r\n", "A: b\r\n\r\n.\r\n"),
            (whole, "A: b", "A: b\r\n\r\n.\r\n"),
            (whole, "", "\r\n.\r\n"),
            (whole, "\r", "\r\r\n.\r\n"),
            (whole, "\r\n.\r\n..\r\n.x", "\r\n..\r\n...\r\n..x\r\n.\r\n"),
            (whole, ".A: b\r\n\r\n", "..A: b\r\n\r\n.\r\n"),
            (whole, "\r\nx.\r\n", "\r\nx.\r\n.\r\n"),
            (whole, "\r\n\0x\0\r\n", "\r\n<80>x<80>\r\n.\r\n"),
            (whole, "\r\nx\n.\r\n", "\r\nx\n..\r\n.\r\n"),
            (Extent::Top(0), "A: b\r\n\r\nx\r\ny\r\n", "A: b\r\n\r\n.\r\n"),
            (Extent::Top(1), "A: b\r\n\r\nx\r\ny\r\n", "A: b\r\n\r\nx\r\n.\r\n"),
            (Extent::Top(9), "A: b\r\n\r\nx\r\ny", "A: b\r\n\r\nx\r\ny\r\n.\r\n"),
            (Extent::Top(2), "A: b\r\n\r\n\r\n.\r\nz\r\n", "A: b\r\n\r\n\r\n..\r\n.\r\n"),
            (Extent::Top(0), "A: b", "A: b\r\n\r\n.\r\n"),
        ];
        for (extent, message, expected) in table {
            for piece in 1..=message.len().max(1) {
                let found = sent(extent, message, piece);
                assert_eq!(found, expected, "{extent:?} of {message:?} in pieces of {piece}");
            }
        }
    }
}
