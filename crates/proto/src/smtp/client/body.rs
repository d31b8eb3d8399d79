//! The message on its way: dots stuffed (RFC 5321, 4.5.2) while it streams by.

/// Where in a line the last block ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Body {
    /// After a line end, or before the first byte.
    #[default]
    LineStart,
    /// Somewhere else.
    InLine,
    /// After a CR.
    AfterReturn,
    /// After a LF that had no CR before it. Our queue holds none, but a peer that takes one for
    /// a line end must not see a dot alone on such a line.
    AfterBareFeed,
}

impl Body {
    /// Appends a block, dots stuffed.
    pub(super) fn block(&mut self, block: &[u8], out: &mut Vec<u8>) {
        out.reserve(block.len() + 16);
        for line in block.split_inclusive(|&b| b == b'\n') {
            if line.first() == Some(&b'.') && matches!(self, Self::LineStart | Self::AfterBareFeed)
            {
                out.push(b'.');
            }
            out.extend_from_slice(line);
            *self = self.after(line);
        }
    }

    /// Appends the end: a line end where it is missing, and the final dot.
    pub(super) fn end(self, out: &mut Vec<u8>) {
        if self != Self::LineStart {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
    }

    fn after(self, line: &[u8]) -> Self {
        match line {
            [.., b'\r', b'\n'] => Self::LineStart,
            [b'\n'] if self == Self::AfterReturn => Self::LineStart,
            [.., b'\n'] => Self::AfterBareFeed,
            [.., b'\r'] => Self::AfterReturn,
            _ => Self::InLine,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stuffed(bytes: &[u8], piece: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let mut body = Body::default();
        for block in bytes.chunks(piece) {
            body.block(block, &mut out);
        }
        body.end(&mut out);
        out
    }

    #[test]
    fn dots_and_ends() {
        let table: [(&[u8], &[u8]); 9] = [
            (b"", b".\r\n"),
            (b"a", b"a\r\n.\r\n"),
            (b"a\r\n", b"a\r\n.\r\n"),
            (b".\r\n", b"..\r\n.\r\n"),
            (b"a.\r\n.b\r\n..", b"a.\r\n..b\r\n...\r\n.\r\n"),
            (b"\r\n.\r\n", b"\r\n..\r\n.\r\n"),
            (b"a\n.\r\n", b"a\n..\r\n.\r\n"),
            (b"a\r", b"a\r\r\n.\r\n"),
            (b"a\n", b"a\n\r\n.\r\n"),
        ];
        for (bytes, expected) in table {
            for piece in [1, 7, usize::MAX] {
                assert_eq!(stuffed(bytes, piece), expected, "{bytes:?} in pieces of {piece}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_was_stuffed_can_be_unstuffed(lines in "(\\.{0,3}[ab]{0,3}\r\n){0,9}", piece in 1usize..9) {
            let sent = stuffed(lines.as_bytes(), piece);
            let text = String::from_utf8(sent).unwrap_or_default();
            let text = text.strip_suffix(".\r\n").unwrap_or_default();
            let read: String = text
                .split_inclusive("\r\n")
                .map(|line| line.strip_prefix('.').unwrap_or(line))
                .collect();
            prop_assert_eq!(read, lines);
        }
    }
}
