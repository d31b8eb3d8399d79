//! Encoded words in header fields (RFC 2047, with the language of RFC 2231, 5).

use super::charset::Charsets;
use super::transfer;

/// The text of an unfolded field value: encoded words decoded, the rest as UTF-8.
#[must_use]
pub fn decode(value: &[u8], charsets: &dyn Charsets) -> String {
    let mut text = String::new();
    let mut rest = value;
    let mut after_word = false;
    while let Some(at) = find(rest, b"=?") {
        let (before, from_word) = rest.split_at(at);
        let Some((word, behind)) = Word::first(from_word) else {
            text.push_str(&String::from_utf8_lossy(before));
            text.push_str("=?");
            rest = from_word.get(2..).unwrap_or_default();
            after_word = false;
            continue;
        };
        // RFC 2047, 6.2: white space between two encoded words is not shown.
        if !(after_word && before.iter().all(u8::is_ascii_whitespace)) {
            text.push_str(&String::from_utf8_lossy(before));
        }
        word.decode_into(&mut text, charsets);
        rest = behind;
        after_word = true;
    }
    text.push_str(&String::from_utf8_lossy(rest));
    text
}

struct Word<'a> {
    charset: &'a [u8],
    encoding: u8,
    text: &'a [u8],
}

impl<'a> Word<'a> {
    /// The encoded word that a text begins with, and what follows it.
    fn first(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (charset, rest) = split(text.strip_prefix(b"=?")?, b"?")?;
        let (&encoding, rest) = rest.split_first()?;
        let (text, behind) = split(rest.strip_prefix(b"?")?, b"?=")?;
        let known = matches!(encoding, b'B' | b'b' | b'Q' | b'q');
        let sane = !charset.is_empty() && charset.iter().chain(text).all(|octet| *octet > b' ');
        (known && sane).then_some((Self { charset, encoding, text }, behind))
    }

    fn decode_into(&self, out: &mut String, charsets: &dyn Charsets) {
        let octets = match self.encoding {
            b'B' | b'b' => transfer::base64(self.text),
            _ => transfer::q(self.text),
        };
        // RFC 2231, 5: `charset*language`.
        let charset = self.charset.split(|octet| *octet == b'*').next().unwrap_or_default();
        charsets.decoder(charset).decode(&octets, true, out);
    }
}

fn split<'a>(text: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    // A word has at most 75 octets; some write longer ones, nobody unbounded ones.
    let found = find(text.get(..WORD_LIMIT).unwrap_or(text), at)?;
    let (before, rest) = text.split_at(found);
    Some((before, rest.get(at.len()..)?))
}

const WORD_LIMIT: usize = 1024;

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::super::charset::tests::Plain;
    use super::*;

    #[test]
    fn encoded_words_are_decoded() {
        let table = [
            ("plain", "plain"),
            ("=?utf-8?q?caf=C3=A9?=", "café"),
            ("=?UTF-8?B?Y2Fmw6k=?= au lait", "café au lait"),
            ("=?iso-8859-1?Q?caf=E9_au?= lait", "café au lait"),
            ("=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
            ("=?utf-8?q?a?=  x =?utf-8?q?b?=", "a  x b"),
            ("=?utf-8*en?q?a?=", "a"),
            ("=?utf-8?x?a?=", "=?utf-8?x?a?="),
            ("=?utf-8?q?a", "=?utf-8?q?a"),
            ("=?utf-8?q?a b?=", "=?utf-8?q?a b?="),
            ("=?=?utf-8?q?a?=", "=?a"),
            ("1 =? 2 ?= 3", "1 =? 2 ?= 3"),
        ];
        for (value, expected) in table {
            assert_eq!(decode(value.as_bytes(), &Plain), expected, "{value:?}");
        }
    }
}
