//! Content transfer encodings (RFC 2045, 6), decoded as leniently as can be: this is for looking
//! into messages, not for checking them.

/// A decoder under way: takes a body in blocks of any size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoder {
    /// 7bit, 8bit, binary, and what nobody knows.
    Identity,
    /// base64: bits that do not make an octet yet, and their number.
    Base64 {
        /// The bits.
        bits: u32,
        /// How many of them count.
        count: u32,
    },
    /// quoted-printable: an escape that is not complete.
    QuotedPrintable(Vec<u8>),
}

impl Decoder {
    /// For an encoding by its name in lower case.
    #[must_use]
    pub fn of(encoding: &str) -> Self {
        match encoding {
            "base64" => Self::Base64 { bits: 0, count: 0 },
            "quoted-printable" => Self::QuotedPrintable(Vec::new()),
            _ => Self::Identity,
        }
    }

    /// Appends what a block decodes to.
    pub fn decode(&mut self, block: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Identity => out.extend_from_slice(block),
            Self::Base64 { bits, count } => {
                block.iter().for_each(|octet| push_base64(bits, count, *octet, out));
            }
            Self::QuotedPrintable(escape) => {
                block.iter().for_each(|octet| push_quoted_printable(escape, *octet, out));
            }
        }
    }

    /// Appends what an escape that did not come to its end stands for: itself.
    pub fn finish(self, out: &mut Vec<u8>) {
        if let Self::QuotedPrintable(escape) = self {
            out.extend_from_slice(&escape);
        }
    }
}

/// Octets outside the alphabet are passed over (RFC 2045, 6.8), padding ends a group.
fn push_base64(bits: &mut u32, count: &mut u32, octet: u8, out: &mut Vec<u8>) {
    let Some(value) = base64_value(octet) else {
        if octet == b'=' {
            (*bits, *count) = (0, 0);
        }
        return;
    };
    *bits = (*bits << 6 | u32::from(value)) & 0xfff;
    *count += 6;
    if *count >= 8 {
        *count -= 8;
        out.push((*bits >> *count & 0xff) as u8);
    }
}

fn base64_value(octet: u8) -> Option<u8> {
    Some(match octet {
        b'A'..=b'Z' => octet - b'A',
        b'a'..=b'z' => octet - b'a' + 26,
        b'0'..=b'9' => octet - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

/// RFC 2045, 6.7: `=XX` is an octet, `=` at the end of a line joins it with the next. An escape
/// that is neither stands for itself.
fn push_quoted_printable(escape: &mut Vec<u8>, octet: u8, out: &mut Vec<u8>) {
    if escape.is_empty() && octet != b'=' {
        return out.push(octet);
    }
    escape.push(octet);
    match escape.as_slice() {
        [_, b'\n'] | [_, b'\r', b'\n'] => escape.clear(),
        [_] | [_, b'\r'] => {}
        [_, first] if first.is_ascii_hexdigit() => {}
        [_, first, second] => {
            match (hex(*first), hex(*second)) {
                (Some(high), Some(low)) => out.push(high << 4 | low),
                _ => out.extend_from_slice(escape),
            }
            escape.clear();
        }
        _ => out.append(escape),
    }
}

fn hex(octet: u8) -> Option<u8> {
    char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Decodes base64 as a whole.
#[must_use]
pub fn base64(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    Decoder::of("base64").decode(text, &mut out);
    out
}

/// Decodes the Q encoding of encoded words (RFC 2047, 4.2).
#[must_use]
pub fn q(text: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> =
        text.iter().map(|octet| if *octet == b'_' { b' ' } else { *octet }).collect();
    let mut out = Vec::with_capacity(text.len());
    let mut decoder = Decoder::of("quoted-printable");
    decoder.decode(&spaced, &mut out);
    decoder.finish(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_decoded_in_any_blocks() {
        let table: [(&str, &[u8], &[u8]); 14] = [
            ("7bit", b"a=20b", b"a=20b"),
            ("base64", b"aGVsbG8=", b"hello"),
            ("base64", b"aGVs\r\nbG8=\r\n", b"hello"),
            ("base64", b"aGVsbG8", b"hello"),
            ("base64", b"aGk=aGk=", b"hihi"),
            ("base64", b"a!G*k=", b"hi"),
            ("base64", b"/+8=", b"\xff\xef"),
            ("quoted-printable", b"a=20b", b"a b"),
            ("quoted-printable", b"a=\r\nb=\nc", b"abc"),
            ("quoted-printable", b"caf=C3=a9", b"caf\xc3\xa9"),
            ("quoted-printable", b"1=2", b"1=2"),
            ("quoted-printable", b"a=zz=", b"a=zz="),
            ("quoted-printable", b"a=2z", b"a=2z"),
            ("quoted-printable", b"a=\rb", b"a=\rb"),
        ];
        for (encoding, body, expected) in table {
            for size in [1, 2, 3, 100] {
                let mut decoder = Decoder::of(encoding);
                let mut out = Vec::new();
                body.chunks(size).for_each(|block| decoder.decode(block, &mut out));
                decoder.finish(&mut out);
                assert_eq!(out, expected, "{encoding} {:?} by {size}", body.escape_ascii());
            }
        }
        assert_eq!(q(b"a_b=5F"), b"a b_");
    }
}
