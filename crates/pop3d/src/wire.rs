//! Messages are stored with LF; POP3 sends CRLF (RFC 1939, 3).

/// Puts a CR before each LF that has none, wherever the blocks end.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    /// The last byte was a CR.
    after_cr: bool,
}

impl Wire {
    /// Appends a stored block in wire form: at most twice as long.
    pub(crate) fn write(&mut self, stored: &[u8], out: &mut Vec<u8>) {
        for piece in stored.split_inclusive(|&b| b == b'\n') {
            let Some(text) = piece.strip_suffix(b"\n") else {
                out.extend_from_slice(piece);
                self.after_cr = piece.ends_with(b"\r");
                return;
            };
            out.extend_from_slice(text);
            let has_cr = if text.is_empty() { self.after_cr } else { text.ends_with(b"\r") };
            out.extend_from_slice(if has_cr { b"\n" } else { b"\r\n" });
            self.after_cr = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_ends_in_crlf() {
        let table = [
            ("", ""),
            ("a\n", "a\r\n"),
            ("a\r\n", "a\r\n"),
            ("\n\n", "\r\n\r\n"),
            ("a\r\n\nb", "a\r\n\r\nb"),
            ("a\rb\n\r", "a\rb\r\n\r"),
            ("a\r\r\n", "a\r\r\n"),
        ];
        for (stored, expected) in table {
            for piece in 1..=stored.len().max(1) {
                let (mut wire, mut out) = (Wire::default(), Vec::new());
                for block in stored.as_bytes().chunks(piece) {
                    wire.write(block, &mut out);
                }
                assert_eq!(String::from_utf8_lossy(&out), expected, "{stored:?} by {piece}");
            }
        }
    }
}
