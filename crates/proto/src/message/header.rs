//! Header fields (RFC 5322, 2.2): an iteration over the octets of a header, with CRLF or LF.

use std::borrow::Cow;

/// A field, with what stands in the header of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name, as written. Empty for a line that is no field.
    pub name: &'a [u8],
    /// What follows the colon, line ends and white space included.
    pub value: &'a [u8],
    /// All of it, with its last line end.
    pub raw: &'a [u8],
}

impl<'a> Field<'a> {
    /// Whether it has this name.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value on one line (RFC 5322, 2.2.3), without white space around it.
    #[must_use]
    pub fn unfolded(&self) -> Cow<'a, [u8]> {
        let value = self.value.trim_ascii();
        if !value.iter().any(|octet| is_line_end(*octet)) {
            return Cow::Borrowed(value);
        }
        Cow::Owned(value.iter().copied().filter(|octet| !is_line_end(*octet)).collect())
    }
}

fn is_line_end(octet: u8) -> bool {
    matches!(octet, b'\r' | b'\n')
}

/// The fields of a header, up to its empty line or its end.
#[must_use]
pub fn fields(header: &[u8]) -> Fields<'_> {
    Fields { rest: header }
}

/// See [`fields`].
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        if self.rest.is_empty() || self.rest.starts_with(b"\n") || self.rest.starts_with(b"\r\n") {
            return None;
        }
        let (raw, rest) = self.rest.split_at(field_length(self.rest));
        self.rest = rest;
        let colon = raw.iter().position(|octet| *octet == b':').filter(|colon| {
            // RFC 5322, 4.5: obsolete syntax has white space before the colon.
            raw.get(..*colon).is_some_and(|name| is_name(name.trim_ascii_end()))
        });
        let Some(colon) = colon else { return Some(Field { name: b"", value: raw, raw }) };
        let (name, value) = raw.split_at(colon);
        Some(Field { name: name.trim_ascii_end(), value: value.get(1..)?, raw })
    }
}

/// The octets of the first field: its line, and those that go on with white space.
fn field_length(text: &[u8]) -> usize {
    let mut length = 0;
    while let Some(at) = text.iter().skip(length).position(|octet| *octet == b'\n') {
        length += at + 1;
        if !matches!(text.get(length), Some(b' ' | b'\t')) {
            return length;
        }
    }
    text.len()
}

fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found() {
        let table: [(&str, &[(&str, &str)]); 9] = [
            ("", &[]),
            ("\nA: 1\n", &[]),
            ("A: 1\nB:2\n\nC: 3\n", &[("A", "1"), ("B", "2")]),
            ("A: 1\r\nB:2\r\n\r\nC: 3\r\n", &[("A", "1"), ("B", "2")]),
            ("A: 1\n 2\r\n\t3\nB:", &[("A", "1 2\t3"), ("B", "")]),
            ("A : 1\n", &[("A", "1")]),
            ("no field\nA: 1\n", &[("", "no field"), ("A", "1")]),
            ("no field: 1\n: 2\n", &[("", "no field: 1"), ("", ": 2")]),
            (" begins folded: 1\nA: 1", &[("", "begins folded: 1"), ("A", "1")]),
        ];
        for (header, expected) in table {
            let found: Vec<_> = fields(header.as_bytes())
                .map(|field| {
                    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
                    (text(field.name), text(&field.unfolded()))
                })
                .collect();
            let expected: Vec<_> =
                expected.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            assert_eq!(found, expected, "{header:?}");
        }
    }

    #[test]
    fn raw_fields_are_the_header() {
        let header = b"A: 1\r\n 2\r\nno field\nB: 3\n";
        let raw: Vec<u8> = fields(header).flat_map(|field| field.raw).copied().collect();
        assert_eq!(raw, header);
    }
}
