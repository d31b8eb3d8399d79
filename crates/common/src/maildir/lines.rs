//! Line ends: CRLF on the wire, LF in the file, as Dovecot and mutt expect.
//!
//! Only what can be undone is done: a CRLF behind another CR stays as it is, for a reader that
//! makes CRLF of every LF without a CR before it then finds every octet as it came. A bare LF is
//! kept, and is a CRLF when it is read.

/// Takes the CR out of CRLF, over any number of pieces, and counts.
#[derive(Debug, Default)]
pub(super) struct ToStored {
    last: Last,
    /// Octets so far, as stored.
    pub(super) stored: u64,
    /// Octets so far, with CRLF line ends.
    pub(super) wire: u64,
}

/// What came last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Last {
    #[default]
    Other,
    /// A CR that is held back: a LF may follow.
    HeldCr,
    /// A CR that was written, for another followed.
    Cr,
}

impl ToStored {
    /// Adds what is to be stored of `bytes` to `out`.
    pub(super) fn convert(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        let before = out.len();
        out.reserve(bytes.len());
        while let Some((first, rest)) = bytes.split_first() {
            bytes = match first {
                b'\n' => {
                    self.end_line(out);
                    rest
                }
                b'\r' => {
                    self.carriage_return(out);
                    rest
                }
                _ => self.text(bytes, out),
            };
        }
        self.stored += (out.len() - before) as u64;
    }

    /// Adds what is still held back: the message ends here.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        if self.last == Last::HeldCr {
            out.push(b'\r');
            self.stored += 1;
            self.wire += 1;
        }
        self.last = Last::Other;
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        // Behind a CR that was written, a LF is all that is still to come of a line end.
        self.wire += if self.last == Last::Cr { 1 } else { 2 };
        out.push(b'\n');
        self.last = Last::Other;
    }

    fn carriage_return(&mut self, out: &mut Vec<u8>) {
        self.last = match self.last {
            Last::Other => Last::HeldCr,
            Last::HeldCr => {
                out.extend_from_slice(b"\r\r");
                self.wire += 2;
                Last::Cr
            }
            Last::Cr => {
                out.push(b'\r');
                self.wire += 1;
                Last::Cr
            }
        };
    }

    /// Takes what stands before the next CR or LF; returns what is left.
    fn text<'bytes>(&mut self, bytes: &'bytes [u8], out: &mut Vec<u8>) -> &'bytes [u8] {
        if self.last == Last::HeldCr {
            out.push(b'\r');
            self.wire += 1;
        }
        self.last = Last::Other;
        let end = bytes.iter().position(|b| matches!(b, b'\r' | b'\n')).unwrap_or(bytes.len());
        let (text, rest) = bytes.split_at(end);
        out.extend_from_slice(text);
        self.wire += text.len() as u64;
        rest
    }
}

#[cfg(test)]
mod tests {
    use mail_proto::message::wire::Cursor;
    use proptest::prelude::*;

    use super::*;

    fn stored(pieces: &[&[u8]]) -> (Vec<u8>, u64, u64) {
        let (mut lines, mut out) = (ToStored::default(), Vec::new());
        for piece in pieces {
            lines.convert(piece, &mut out);
        }
        lines.finish(&mut out);
        (out, lines.stored, lines.wire)
    }

    #[test]
    fn crlf_becomes_lf() {
        let table: [(&[u8], &[u8]); 9] = [
            (b"", b""),
            (b"a\r\nb\r\n", b"a\nb\n"),
            (b"a\nb", b"a\nb"),
            (b"a\rb\r", b"a\rb\r"),
            (b"\r\n\r\n", b"\n\n"),
            (b"a\r\r\n", b"a\r\r\n"),
            (b"\r\r\r\nx", b"\r\r\r\nx"),
            (b"\r\rx\r\n", b"\r\rx\n"),
            (b"\n\r", b"\n\r"),
        ];
        for (wire, expected) in table {
            assert_eq!(stored(&[wire]).0, expected, "{wire:?}");
        }
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter_and_reading_gives_back_what_came(
            bytes in prop::collection::vec(prop::sample::select(vec![b'a', b'\r', b'\n']), 0..40),
            cut in 0usize..40,
        ) {
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            let (text, octets, wire) = stored(&[first, second]);
            prop_assert_eq!(&text, &stored(&[&bytes]).0);
            prop_assert_eq!(octets, text.len() as u64);
            let mut cursor = Cursor::default();
            let (first, second) = text.split_at(cut.min(text.len()));
            cursor.pass(first);
            cursor.pass(second);
            prop_assert_eq!(cursor.at.wire, wire);
            let shown = crlf(&text);
            prop_assert_eq!(shown.len() as u64, wire);
            prop_assert_eq!(shown, crlf(&bytes), "only bare LFs are mended");
        }
    }

    fn crlf(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for byte in bytes {
            if *byte == b'\n' && out.last() != Some(&b'\r') {
                out.push(b'\r');
            }
            out.push(*byte);
        }
        out
    }
}
