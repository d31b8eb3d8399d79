//! A place in the bytes of a command, and the small tokens of RFC 3501, 9.
//!
//! Tokens are slices of the command wherever they can be: only a quoted string with a backslash
//! is copied.

use std::borrow::Cow;
use std::ops::Not as _;

use super::Refusal;

/// What stands before us in a command.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    /// How many more levels may be entered.
    depth: usize,
}

/// Begins a quoted string.
const QUOTE: u8 = b'"';

/// Begins a literal.
const BRACE: u8 = b'{';

type Parsed<T> = Result<T, Refusal>;

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], nesting: usize) -> Self {
        Self { rest: bytes, depth: nesting }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Passes over `byte` if it stands here.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let Some(rest) = self.rest.strip_prefix(&[byte]) else {
            return false;
        };
        self.rest = rest;
        true
    }

    pub(super) fn expect(&mut self, byte: u8, otherwise: &'static str) -> Parsed<()> {
        if self.take(byte) { Ok(()) } else { Err(Refusal::Bad(otherwise)) }
    }

    pub(super) fn space(&mut self) -> Parsed<()> {
        self.expect(b' ', "Missing argument")
    }

    pub(super) fn end(&self) -> Parsed<()> {
        if self.is_at_end() { Ok(()) } else { Err(Refusal::Bad("Unexpected argument")) }
    }

    /// Passes over `word`, in any case, if it stands here and no atom goes on behind it.
    pub(super) fn keyword(&mut self, word: &str) -> bool {
        let Some((start, rest)) = self.rest.split_at_checked(word.len()) else {
            return false;
        };
        let goes_on = rest.first().is_some_and(|&byte| is_atom_char(byte));
        if goes_on || !start.eq_ignore_ascii_case(word.as_bytes()) {
            return false;
        }
        self.rest = rest;
        true
    }

    pub(super) fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'a [u8] {
        let length = self.rest.iter().position(|&byte| !accept(byte)).unwrap_or(self.rest.len());
        self.advance(length)
    }

    fn advance(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, &[]));
        self.rest = rest;
        taken
    }

    /// Runs `parse` one level deeper; too deep is refused.
    pub(super) fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth = self.depth.checked_sub(1).ok_or(Refusal::Bad("Nested too deeply"))?;
        let parsed = parse(self);
        self.depth += 1;
        parsed
    }

    pub(super) fn atom(&mut self) -> Parsed<&'a str> {
        ascii(self.take_while(is_atom_char)).ok_or(Refusal::Bad("Expected an atom"))
    }

    pub(super) fn number(&mut self) -> Parsed<u32> {
        u32::try_from(self.number64()?).map_err(|_| Refusal::Bad("Number too large"))
    }

    pub(super) fn number64(&mut self) -> Parsed<u64> {
        let digits = ascii(self.take_while(|byte| byte.is_ascii_digit()));
        let digits = digits.ok_or(Refusal::Bad("Expected a number"))?;
        digits.parse().map_err(|_| Refusal::Bad("Number too large"))
    }

    /// RFC 3501, 9: astring, an atom (with `]` allowed) or a string.
    pub(super) fn astring(&mut self) -> Parsed<Cow<'a, [u8]>> {
        if matches!(self.peek(), Some(QUOTE | BRACE)) {
            return self.string();
        }
        let atom = self.take_while(is_astring_char);
        atom.is_empty()
            .not()
            .then_some(Cow::Borrowed(atom))
            .ok_or(Refusal::Bad("Expected a string"))
    }

    /// RFC 3501, 9: list-mailbox, as an astring but with wildcards.
    pub(super) fn list_mailbox(&mut self) -> Parsed<Cow<'a, [u8]>> {
        if matches!(self.peek(), Some(QUOTE | BRACE)) {
            return self.string();
        }
        let pattern = self.take_while(|byte| is_astring_char(byte) || matches!(byte, b'%' | b'*'));
        if pattern.is_empty() {
            return Err(Refusal::Bad("Expected a mailbox pattern"));
        }
        Ok(Cow::Borrowed(pattern))
    }

    pub(super) fn string(&mut self) -> Parsed<Cow<'a, [u8]>> {
        match self.peek() {
            Some(QUOTE) => self.quoted(),
            Some(BRACE) => self.literal().map(Cow::Borrowed),
            _ => Err(Refusal::Bad("Expected a string")),
        }
    }

    /// RFC 3501, 9: nstring.
    pub(super) fn nstring(&mut self) -> Parsed<Option<Cow<'a, [u8]>>> {
        if self.keyword("NIL") { Ok(None) } else { self.string().map(Some) }
    }

    /// RFC 3501, 9: quoted. Only `"` and `\` may follow a backslash.
    fn quoted(&mut self) -> Parsed<Cow<'a, [u8]>> {
        const OPEN: Refusal = Refusal::Bad("Quoted string does not end");
        self.take(b'"');
        let plain = self.take_while(|byte| byte != b'"' && byte != b'\\');
        if self.take(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_vec();
        while self.take(b'\\') {
            let escaped = self.peek().filter(|byte| matches!(byte, b'"' | b'\\'));
            text.push(escaped.ok_or(Refusal::Bad("Bad escape in a quoted string"))?);
            self.advance(1);
            text.extend_from_slice(self.take_while(|byte| byte != b'"' && byte != b'\\'));
        }
        self.expect(b'"', "Quoted string does not end").map_err(|_| OPEN)?;
        Ok(Cow::Owned(text))
    }

    /// RFC 3501, 9: literal. That its octets are all there is the framing's word.
    fn literal(&mut self) -> Parsed<&'a [u8]> {
        const BAD: &str = "Bad literal";
        self.expect(BRACE, BAD)?;
        let size = self.number()? as usize;
        self.take(b'+');
        self.expect(b'}', BAD)?;
        self.expect(b'\r', BAD)?;
        self.expect(b'\n', BAD)?;
        let text = self.advance(size);
        if text.len() < size {
            return Err(Refusal::Bad(BAD));
        }
        // RFC 3501, 9: CHAR8 is any octet but NUL.
        if text.contains(&0) {
            return Err(Refusal::Bad("NUL in a literal"));
        }
        Ok(text)
    }
}

/// Text that holds something; the bytes must be ASCII already.
fn ascii(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| !text.is_empty())
}

/// RFC 3501, 9: ATOM-CHAR.
pub(super) fn is_atom_char(byte: u8) -> bool {
    is_astring_char(byte) && byte != b']'
}

/// RFC 3501, 9: ASTRING-CHAR.
pub(in crate::imap) fn is_astring_char(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\')
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn astrings() {
        type Found<'a> = Option<(&'a [u8], &'a [u8])>;
        let table: [(&[u8], Found<'_>); 14] = [
            (b"INBOX x", Some((b"INBOX", b" x"))),
            (b"a]b", Some((b"a]b", b""))),
            (b"\"a b\"c", Some((b"a b", b"c"))),
            (b"\"a\\\"b\\\\\"", Some((b"a\"b\\", b""))),
            (b"\"\"", Some((b"", b""))),
            (b"{3}\r\na b)", Some((b"a b", b")"))),
            (b"{3+}\r\na\r\n)", Some((b"a\r\n", b")"))),
            (b"{0}\r\n", Some((b"", b""))),
            (b"{3}\r\na\0b", None),
            (b"{3}\r\nab", None),
            (b"\"a\\n\"", None),
            (b"\"ab", None),
            (b"(", None),
            (b"caf\xc3\xa9", Some((b"caf", b"\xc3\xa9"))),
        ];
        for (bytes, expected) in table {
            let mut cursor = Cursor::new(bytes, 9);
            let parsed = cursor.astring().ok();
            let found = parsed.as_deref().map(|text| (text, cursor.rest()));
            assert_eq!(found, expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn keywords_end_where_atoms_end() {
        assert!(Cursor::new(b"body[", 9).keyword("BODY["));
        assert!(Cursor::new(b"Flags (", 9).keyword("FLAGS"));
        assert!(!Cursor::new(b"FLAGSX", 9).keyword("FLAGS"));
        assert!(!Cursor::new(b"FLAG", 9).keyword("FLAGS"));
    }

    #[test]
    fn numbers_have_a_limit() {
        assert_eq!(Cursor::new(b"4294967295", 9).number(), Ok(u32::MAX));
        assert!(Cursor::new(b"4294967296", 9).number().is_err());
        assert!(Cursor::new(b"99999999999999999999", 9).number64().is_err());
        assert!(Cursor::new(b"x", 9).number().is_err());
    }
}
