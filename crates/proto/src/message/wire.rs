//! Stored octets become wire octets: every LF gets its CR (files hold LF, protocols CRLF), and a
//! NUL, which IMAP cannot carry, becomes 0x80 as with Dovecot.

use super::structure::Place;

/// How far a message was turned into its wire form. It can stop and go on at any octet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    /// The next octet to read, and what number on the wire it has; between a CR that was added
    /// and its LF, the CR is already counted.
    pub at: Place,
    /// The last octet given was a CR: a LF now needs none.
    after_cr: bool,
}

impl Cursor {
    /// At the beginning of a line.
    #[must_use]
    pub fn at_line(at: Place) -> Self {
        Self { at, after_cr: false }
    }

    /// Takes stored octets and gives their wire form, piece by piece, until `limit` wire octets
    /// were given or the block is used up. Returns the wire octets given.
    pub fn advance(&mut self, block: &[u8], limit: u64, mut give: impl FnMut(&[u8])) -> u64 {
        let mut rest = block;
        let mut given = 0;
        while given < limit && !rest.is_empty() {
            let room = usize::try_from(limit - given).unwrap_or(usize::MAX);
            let window = rest.get(..room).unwrap_or(rest);
            let (text, at_line_end) = self.text_before_bare_lf(window);
            give(text);
            rest = rest.get(text.len()..).unwrap_or_default();
            self.at.stored += text.len() as u64;
            given += text.len() as u64;
            self.after_cr = text.last().map_or(self.after_cr, |octet| *octet == b'\r');
            if at_line_end && given < limit {
                give(b"\r");
                given += 1;
                self.after_cr = true;
            }
        }
        self.at.wire += given;
        given
    }

    /// Takes stored octets without giving their wire form.
    pub fn pass(&mut self, block: &[u8]) {
        let Some(last) = block.last() else { return };
        let length = block.len() as u64;
        self.at.stored += length;
        self.at.wire += length + bare_line_ends(block, self.after_cr);
        self.after_cr = *last == b'\r';
    }

    /// The octets up to the first LF that has no CR, and whether there was one.
    fn text_before_bare_lf<'a>(&self, text: &'a [u8]) -> (&'a [u8], bool) {
        let mut searched = 0;
        let mut after_cr = self.after_cr;
        while let Some(found) = text.iter().skip(searched).position(|octet| *octet == b'\n') {
            let at = searched + found;
            if let Some(before) = at.checked_sub(1).filter(|_| found > 0) {
                after_cr = text.get(before) == Some(&b'\r');
            }
            if !after_cr {
                return (text.get(..at).unwrap_or_default(), true);
            }
            searched = at + 1;
            after_cr = false;
        }
        (text, false)
    }
}

/// How many LFs of a block have no CR before them, be it as the last octet of the block before.
#[must_use]
pub fn bare_line_ends(block: &[u8], after_cr: bool) -> u64 {
    let is_lf = |octet: &u8| *octet == b'\n';
    let all = block.iter().filter(|octet| is_lf(octet)).count();
    let behind = block.get(1..).unwrap_or_default();
    let crlf = block.iter().zip(behind).filter(|(a, b)| **a == b'\r' && is_lf(b)).count();
    let split = usize::from(after_cr && block.first().is_some_and(is_lf));
    (all - crlf - split) as u64
}

/// Appends wire octets, NULs made sendable.
pub fn append(out: &mut Vec<u8>, text: &[u8]) {
    let start = out.len();
    out.extend_from_slice(text);
    if text.contains(&0) {
        for octet in out.iter_mut().skip(start).filter(|octet| **octet == 0) {
            *octet = 0x80;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn converted(stored: &[u8], block: usize, step: u64) -> Vec<u8> {
        let mut cursor = Cursor::default();
        let mut out = Vec::new();
        while let Some(rest) = stored.get(cursor.at.stored as usize..).filter(|r| !r.is_empty()) {
            let block = rest.get(..block).unwrap_or(rest);
            cursor.advance(block, step, |text| append(&mut out, text));
            assert_eq!(cursor.at.wire, out.len() as u64);
        }
        out
    }

    #[test]
    fn line_ends_become_crlf() {
        let table: [(&[u8], &[u8]); 11] = [
            (b"", b""),
            (b"a\nb\n", b"a\r\nb\r\n"),
            (b"a\r\nb\r\n", b"a\r\nb\r\n"),
            (b"a\r\nb\nc", b"a\r\nb\r\nc"),
            (b"\n\n\r\n\n", b"\r\n\r\n\r\n\r\n"),
            (b"a\r\n\nb", b"a\r\n\r\nb"),
            (b"a\rb\n\r", b"a\rb\r\n\r"),
            (b"a\r\r\n", b"a\r\r\n"),
            (b"\r", b"\r"),
            (b"a\rb\n", b"a\rb\r\n"),
            (b"a\0b", b"a\x80b"),
        ];
        for (stored, wire) in table {
            assert_eq!(converted(stored, usize::MAX, u64::MAX), wire, "{stored:?}");
        }
    }

    proptest! {
        #[test]
        fn it_can_stop_anywhere(
            stored in "[a\\r\\n\\x00]{0,40}", block in 1_usize..5, step in 1_u64..5,
        ) {
            let whole = converted(stored.as_bytes(), usize::MAX, u64::MAX);
            prop_assert_eq!(converted(stored.as_bytes(), block, step), whole);
        }
    }
}
