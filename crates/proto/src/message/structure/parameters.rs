//! The values of Content-Type and Content-Disposition: tokens, quoted strings, comments,
//! parameters (RFC 2045, 5.1; RFC 2183, 2).
//!
//! Read as leniently as can be without guessing: what follows a value and is not understood is
//! passed over up to the next semicolon. The continuations and charsets of RFC 2231 stay as they
//! are, for clients want to see what was sent.

use super::Parameters;

/// Parameters beyond these are not kept: no honest field has a tenth of them.
const PARAMETERS: usize = 128;

/// A Content-Type that is one.
pub(super) struct ContentType {
    pub(super) media_type: String,
    pub(super) subtype: String,
    pub(super) parameters: Parameters,
}

/// Reads a Content-Type; `None`: it says nothing valid, and the default counts (RFC 2045, 5.2).
pub(super) fn content_type(value: &[u8]) -> Option<ContentType> {
    let mut text = Text { rest: value };
    let media_type = text.token()?;
    text.skip_blank();
    text.take(b'/')?;
    let subtype = text.token()?;
    Some(ContentType { media_type, subtype, parameters: text.parameters() })
}

/// Reads a Content-Disposition.
pub(super) fn disposition(value: &[u8]) -> Option<(String, Parameters)> {
    let mut text = Text { rest: value };
    Some((text.token()?, text.parameters()))
}

/// The first token of a value, in lower case.
pub(super) fn token(value: &[u8]) -> Option<String> {
    Text { rest: value }.token()
}

struct Text<'a> {
    rest: &'a [u8],
}

impl Text<'_> {
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        self.rest = self.rest.strip_prefix(&[wanted])?;
        Some(())
    }

    /// Passes over white space and comments, which may be nested.
    fn skip_blank(&mut self) {
        let mut depth = 0_usize;
        while let Some(&octet) = self.rest.first() {
            match octet {
                b'(' => depth += 1,
                b')' if depth > 0 => depth -= 1,
                b'\\' if depth > 0 => {
                    self.next();
                }
                b' ' | b'\t' | b'\r' | b'\n' => {}
                _ if depth > 0 => {}
                _ => return,
            }
            self.next();
        }
    }

    /// A token, in lower case; blank before it is passed over.
    fn token(&mut self) -> Option<String> {
        self.skip_blank();
        let length = self.rest.iter().take_while(|octet| is_token_char(**octet)).count();
        let (token, rest) = self.rest.split_at(length);
        self.rest = rest;
        (length > 0).then(|| String::from_utf8_lossy(token).to_ascii_lowercase())
    }

    fn parameters(&mut self) -> Parameters {
        let mut parameters = Parameters::new();
        while parameters.len() < PARAMETERS && self.next_parameter() {
            parameters.extend(self.parameter());
        }
        parameters
    }

    /// Goes behind the next semicolon.
    fn next_parameter(&mut self) -> bool {
        self.skip_blank();
        while let Some(octet) = self.next() {
            if octet == b';' {
                return true;
            }
        }
        false
    }

    fn parameter(&mut self) -> Option<(String, Vec<u8>)> {
        let name = self.token()?;
        self.skip_blank();
        self.take(b'=')?;
        self.skip_blank();
        let value = if self.take(b'"').is_some() { self.quoted() } else { self.unquoted() };
        Some((name, value))
    }

    /// The rest of a quoted string; one that does not end goes to the end of the value.
    fn quoted(&mut self) -> Vec<u8> {
        let mut value = Vec::new();
        while let Some(octet) = self.next() {
            match octet {
                b'"' => break,
                b'\\' => value.extend(self.next()),
                b'\r' | b'\n' => {}
                _ => value.push(octet),
            }
        }
        value
    }

    /// A token; but where more follows than a token, all up to the semicolon: many write
    /// `filename=my file.txt` and boundaries with `=` in them.
    fn unquoted(&mut self) -> Vec<u8> {
        let whole = self.rest;
        let length = whole.iter().take_while(|octet| is_token_char(**octet)).count();
        let (token, rest) = whole.split_at(length);
        self.rest = rest;
        self.skip_blank();
        if length > 0 && self.rest.first().is_none_or(|octet| *octet == b';') {
            return token.to_vec();
        }
        let length = whole.iter().take_while(|octet| **octet != b';').count();
        let (value, rest) = whole.split_at(length);
        self.rest = rest;
        value.trim_ascii_end().to_vec()
    }
}

/// RFC 2045, 5.1, and 8-bit octets besides.
fn is_token_char(octet: u8) -> bool {
    let special = matches!(
        octet,
        b'(' | b')'
            | b'<'
            | b'>'
            | b'@'
            | b','
            | b';'
            | b':'
            | b'\\'
            | b'"'
            | b'/'
            | b'['
            | b']'
            | b'?'
            | b'='
    );
    !special && octet > b' ' && octet != 0x7f
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> String {
        let Some(read) = content_type(value.as_bytes()) else {
            return "invalid".to_owned();
        };
        let parameters: String = read
            .parameters
            .iter()
            .map(|(name, value)| format!(" {name}=[{}]", String::from_utf8_lossy(value)))
            .collect();
        format!("{}/{}{parameters}", read.media_type, read.subtype)
    }

    #[test]
    fn content_types_are_read_leniently() {
        let table = [
            ("text/plain", "text/plain"),
            (" TEXT / HTML ;Charset=UTF-8 ", "text/html charset=[UTF-8]"),
            (
                "text/plain; charset=\"iso-8859-1\"; format=flowed",
                "text/plain charset=[iso-8859-1] format=[flowed]",
            ),
            ("text/plain (what (ever)\\)) ; charset=a(b)c", "text/plain charset=[a(b)c]"),
            ("text/plain; charset=us-ascii (Plain text)", "text/plain charset=[us-ascii]"),
            ("multipart/mixed; boundary=\"a\\\"b;c\"", "multipart/mixed boundary=[a\"b;c]"),
            ("multipart/mixed; boundary=----=_Part_1", "multipart/mixed boundary=[----=_Part_1]"),
            ("application/pdf; name=my file.pdf; x=y", "application/pdf name=[my file.pdf] x=[y]"),
            (
                "a/b; filename*0*=utf-8''%41; filename*1=b",
                "a/b filename*0*=[utf-8''%41] filename*1=[b]",
            ),
            ("a/b;;; ; x=1;", "a/b x=[1]"),
            ("a/b; x; y=; z=\"open", "a/b y=[] z=[open]"),
            ("a/b junk; x=1", "a/b x=[1]"),
            ("text", "invalid"),
            ("text/", "invalid"),
            ("/plain", "invalid"),
            ("", "invalid"),
            ("(text/plain", "invalid"),
        ];
        for (value, expected) in table {
            assert_eq!(shown(value), expected, "{value:?}");
        }
    }

    #[test]
    fn parameters_have_a_limit() {
        let value = format!("a/b{}", ";x=y".repeat(1000));
        assert_eq!(content_type(value.as_bytes()).unwrap().parameters.len(), PARAMETERS);
    }
}
