//! The parameters of MAIL and RCPT by which a sender says what it wants to hear of its message
//! (RFC 3461, 4): RET, ENVID, NOTIFY, ORCPT.
//!
//! What a sender writes here will stand in the notifications that others get. RFC 3461 lets only
//! printable ASCII through xtext (4.2, 4.4), and so it is here: no value can hold a line end.

use crate::smtp::{Notify, Return};

/// RFC 3461, 4.4 and 4.2: octets that these values may have.
const ENVID: usize = 100;
const ORCPT: usize = 500;

/// RFC 3461, 4.3.
pub(super) fn ret(value: &str) -> Option<Return> {
    match value.to_ascii_uppercase().as_str() {
        "FULL" => Some(Return::Full),
        "HDRS" => Some(Return::Headers),
        _ => None,
    }
}

/// RFC 3461, 4.4.
pub(super) fn envid(value: &str) -> Option<String> {
    if value.len() > ENVID {
        return None;
    }
    xtext(value)
}

/// RFC 3461, 4.1. A word may stand there twice; NEVER stands alone.
pub(super) fn notify(value: &str) -> Option<Notify> {
    let mut notify = Notify { success: false, failure: false, delay: false };
    if value.eq_ignore_ascii_case("NEVER") {
        return Some(notify);
    }
    for word in value.split(',') {
        match word.to_ascii_uppercase().as_str() {
            "SUCCESS" => notify.success = true,
            "FAILURE" => notify.failure = true,
            "DELAY" => notify.delay = true,
            _ => return None,
        }
    }
    Some(notify)
}

/// RFC 3461, 4.2: `rfc822;ann@example.org`, the address in xtext.
pub(super) fn original(value: &str) -> Option<String> {
    let (kind, address) = value.split_once(';').filter(|_| value.len() <= ORCPT)?;
    // RFC 5322, 3.2.3: an atom.
    let atom = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b);
    if kind.is_empty() || !kind.bytes().all(atom) {
        return None;
    }
    Some(format!("{kind};{}", xtext(address)?))
}

/// Decodes xtext (RFC 3461, 4) that means something printable, and not nothing.
fn xtext(encoded: &str) -> Option<String> {
    let mut bytes = encoded.bytes();
    let mut decoded = String::with_capacity(encoded.len());
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'+' => hexadecimal(bytes.next()?)? << 4 | hexadecimal(bytes.next()?)?,
            b'=' => return None,
            b'!'..=b'~' => byte,
            _ => return None,
        };
        if !matches!(byte, b' '..=b'~') {
            return None;
        }
        decoded.push(char::from(byte));
    }
    (!decoded.is_empty()).then_some(decoded)
}

/// RFC 3461, 4: digits and capitals.
fn hexadecimal(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_that_are_taken() {
        assert_eq!(ret("full"), Some(Return::Full));
        assert_eq!(ret("HDRS"), Some(Return::Headers));
        let table = [
            ("NEVER", [false, false, false]),
            ("success", [true, false, false]),
            ("FAILURE,DELAY", [false, true, true]),
            ("DELAY,DELAY,SUCCESS,FAILURE", [true, true, true]),
        ];
        for (value, [success, failure, delay]) in table {
            assert_eq!(notify(value), Some(Notify { success, failure, delay }), "{value}");
        }
        let table = [
            ("QQ314159", "QQ314159"),
            ("a+20b+2Bc+3Dd", "a b+c=d"),
            ("+2B0D+2B0A", "+0D+0A"),
            ("~;<>!\"", "~;<>!\""),
        ];
        for (value, expected) in table {
            assert_eq!(envid(value).as_deref(), Some(expected), "{value}");
            let both = original(&format!("rfc822;{value}"));
            assert_eq!(both, Some(format!("rfc822;{expected}")), "{value}");
        }
        assert_eq!(original("x-400;/C+3Dus;/").as_deref(), Some("x-400;/C=us;/"));
    }

    #[test]
    fn values_that_are_refused() {
        for value in ["", "BODY", "FULL,HDRS", "FULL "] {
            assert_eq!(ret(value), None, "{value:?}");
        }
        for value in ["", ",", "NEVER,DELAY", "DELAY,", ",DELAY", "DELAY;FAILURE", "ALWAYS"] {
            assert_eq!(notify(value), None, "{value:?}");
        }
        let table = [
            "", "+", "+2", "+2b", "+ 2", "a=b", "a b", "+00", "+0D+0A", "+0A", "+09", "+7F",
            "+C3+BC", "ü", "a\tb",
        ];
        for value in table {
            assert_eq!(envid(value), None, "{value:?}");
            assert_eq!(original(&format!("rfc822;{value}")), None, "{value:?}");
        }
        for value in ["ann@a.b", ";ann@a.b", "rfc 822;a", "rfc822,a", "(x);a", "ü;a"] {
            assert_eq!(original(value), None, "{value:?}");
        }
    }

    #[test]
    fn values_have_limits() {
        assert_eq!(envid(&"x".repeat(100)).map(|value| value.len()), Some(100));
        assert_eq!(envid(&"x".repeat(101)), None);
        let original_of = |length| original(&format!("rfc822;{}", "x".repeat(length)));
        assert_eq!(original_of(493).map(|value| value.len()), Some(500));
        assert_eq!(original_of(494), None);
    }

    proptest! {
        #[test]
        fn what_is_decoded_is_printable(value in "\\PC{0,20}|[+0-9A-F=;]{0,20}") {
            for decoded in [xtext(&value), original(&value), envid(&value)].into_iter().flatten() {
                prop_assert!(decoded.bytes().all(|b| (b' '..=b'~').contains(&b)), "{}", decoded);
            }
        }

        #[test]
        fn what_was_encoded_comes_out_again(text in "[ -~]{1,30}") {
            let encode = |c: char| match c {
                '+' | '=' | ' ' => format!("+{:02X}", u32::from(c)),
                c => c.to_string(),
            };
            let encoded: String = text.chars().map(encode).collect();
            prop_assert_eq!(xtext(&encoded), Some(text));
        }
    }
}
