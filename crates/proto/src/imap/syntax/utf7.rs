//! Mailbox names in modified UTF-7 (RFC 3501, 5.1.3): printable ASCII stands for itself, `&-` is
//! an ampersand, and the rest is UTF-16 in a base64 of its own between `&` and `-`.
//!
//! Every name has exactly one form. Others are refused: two spellings of one name would be two
//! mailboxes for the client and one for us.

use base64::Engine as _;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

const BASE64: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);

/// The name that the bytes stand for; `None` if they are no modified UTF-7.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<String> {
    let mut name = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, behind)) = rest.split_first() {
        rest = match first {
            b'&' => decode_shifted(behind, &mut name)?,
            0x20..=0x7e => {
                name.push(char::from(first));
                behind
            }
            _ => return None,
        };
    }
    (encode(&name).as_bytes() == bytes).then_some(name)
}

/// Decodes what follows an ampersand; gives what follows its `-`.
fn decode_shifted<'a>(bytes: &'a [u8], name: &mut String) -> Option<&'a [u8]> {
    let end = bytes.iter().position(|&byte| byte == b'-')?;
    let (shifted, rest) = (bytes.get(..end)?, bytes.get(end + 1..)?);
    if shifted.is_empty() {
        name.push('&');
        return Some(rest);
    }
    let utf16 = BASE64.decode(shifted).ok()?;
    let units = utf16.chunks(2).map(|pair| match pair {
        [high, low] => u16::from_be_bytes([*high, *low]),
        // Half a unit becomes half a surrogate pair, which nothing accepts.
        _ => 0xd800,
    });
    for decoded in char::decode_utf16(units) {
        name.push(decoded.ok()?);
    }
    Some(rest)
}

/// The name in modified UTF-7.
#[must_use]
pub fn encode(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let is_plain = |c: char| matches!(c, '\x20'..='\x7e');
        if is_plain(first) {
            text.push(first);
            if first == '&' {
                text.push('-');
            }
            rest = rest.get(1..).unwrap_or_default();
            continue;
        }
        let (shifted, plain) = rest.split_at(rest.find(is_plain).unwrap_or(rest.len()));
        let utf16: Vec<u8> = shifted.encode_utf16().flat_map(u16::to_be_bytes).collect();
        text.push('&');
        BASE64.encode_string(utf16, &mut text);
        text.push('-');
        rest = plain;
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_both_ways() {
        let table = [
            ("INBOX", "INBOX"),
            ("R&D", "R&-D"),
            ("Entwürfe", "Entw&APw-rfe"),
            ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            ("😀", "&2D3eAA-"),
            ("", ""),
        ];
        for (name, text) in table {
            assert_eq!(encode(name), text);
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(name));
        }
    }

    #[test]
    fn what_is_not_the_one_form_is_refused() {
        let table: [&[u8]; 10] = [
            b"R&D",         // no end
            b"caf\xc3\xa9", // raw 8-bit
            b"&AGE-",       // printable ASCII, shifted
            b"&ACY-",       // so is the ampersand
            b"&APw",        // no end
            b"&AP-",        // half a unit
            b"&2D0-",       // half a surrogate pair
            b"&APw-&APw-",  // two shifts where one does
            b"&AP/-",       // not of this base64
            b"a\tb",        // a control character as it is
        ];
        for text in table {
            assert_eq!(decode(text), None, "{}", text.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn every_name_comes_back(name in any::<String>()) {
            let text = encode(&name);
            prop_assert!(text.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
            prop_assert_eq!(decode(text.as_bytes()), Some(name));
        }

        #[test]
        fn every_text_that_decodes_is_the_name_encoded(text in "[&A-Za-z0-9+,/-]{0,12}") {
            if let Some(name) = decode(text.as_bytes()) {
                prop_assert_eq!(encode(&name), text);
            }
        }
    }
}
