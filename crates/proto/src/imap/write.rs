//! Responses as bytes: the small forms of RFC 3501, 9, appended to an output buffer.
//!
//! These run once or more for every message of a FETCH, so nothing here allocates or formats.

use std::sync::LazyLock;

use super::syntax;
use crate::mailbox::Flags;
use crate::message::date::{DateTime, MONTHS};

/// Quoted strings longer than this are sent as literals: some clients keep short lines only.
const QUOTED_LIMIT: usize = 1024;

/// A decimal number.
pub fn number(out: &mut Vec<u8>, value: u64) {
    if value >= EIGHT_DIGITS {
        number(out, value / EIGHT_DIGITS);
        out.extend_from_slice(&(digits(value % EIGHT_DIGITS) | ZEROS).to_le_bytes());
        return;
    }
    let digits = digits(value);
    let leading = (digits.trailing_zeros() / 8).min(7);
    out.extend_from_slice(&((digits | ZEROS) >> (8 * leading)).to_le_bytes());
    out.truncate(out.len() - leading as usize);
}

const EIGHT_DIGITS: u64 = 100_000_000;
const ZEROS: u64 = u64::from_le_bytes(*b"00000000");

/// The eight digits of a number below 10^8, from 0 to 9, the first in the lowest octet. All are
/// found at once: halves of four digits, then quarters of two, each in its own part of the word,
/// and divided by multiplication with the rounded inverse (`x * 10486 >> 20` is `x / 100` up to
/// 43698, `x * 103 >> 10` is `x / 10` up to 178).
fn digits(value: u64) -> u64 {
    let halves = (value / 10_000) | ((value % 10_000) << 32);
    let hundreds = ((halves * 10_486) >> 20) & 0x7f_0000_007f;
    let quarters = hundreds | ((halves - 100 * hundreds) << 16);
    let tens = ((quarters * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((quarters - 10 * tens) << 8)
}

/// A string: quoted where that is possible, else a literal.
///
/// 8-bit text, line ends and long strings travel as literals: clients stop at an unescaped quote
/// or a raw 8-bit octet within quotes. A NUL cannot travel at all; 0x80 takes its place, as with
/// Dovecot.
pub fn string(out: &mut Vec<u8>, text: &[u8]) {
    if text.len() > QUOTED_LIMIT || !text.iter().all(|&octet| quotable(octet)) {
        return literal(out, text);
    }
    out.push(b'"');
    for &octet in text {
        if matches!(octet, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(octet);
    }
    out.push(b'"');
}

/// RFC 3501, 9: QUOTED-CHAR is 7-bit and neither NUL, CR nor LF.
fn quotable(octet: u8) -> bool {
    octet < 0x80 && !matches!(octet, 0 | b'\r' | b'\n')
}

/// A literal with its length before it.
pub fn literal(out: &mut Vec<u8>, text: &[u8]) {
    literal_length(out, text.len() as u64);
    let start = out.len();
    out.extend_from_slice(text);
    for octet in out.iter_mut().skip(start).filter(|octet| **octet == 0) {
        *octet = 0x80;
    }
}

/// What stands before a literal: `{length}` and CRLF. Exactly `length` octets must follow.
pub fn literal_length(out: &mut Vec<u8>, length: u64) {
    out.push(b'{');
    number(out, length);
    out.extend_from_slice(b"}\r\n");
}

/// An astring: an atom where that is possible, else a string.
pub fn astring(out: &mut Vec<u8>, text: &[u8]) {
    let is_atom = !text.is_empty()
        && !text.eq_ignore_ascii_case(b"NIL")
        && text.iter().all(|&octet| syntax::is_astring_char(octet));
    if is_atom {
        out.extend_from_slice(text);
    } else {
        string(out, text);
    }
}

/// A string, or NIL where there is none.
pub fn nstring(out: &mut Vec<u8>, text: Option<&[u8]>) {
    match text {
        Some(text) => string(out, text),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// A parenthesised list of flags: `\Recent`, system flags, then keywords by their names.
pub fn flags(out: &mut Vec<u8>, flags: Flags, keywords: &[String], recent: bool) {
    let system: &[u8] = SYSTEM.get(usize::from(flags.system)).map_or(b"", |names| names);
    out.push(b'(');
    if recent {
        out.extend_from_slice(b"\\Recent");
    }
    if recent && !system.is_empty() {
        out.push(b' ');
    }
    out.extend_from_slice(system);
    let mut is_first = !recent && system.is_empty();
    let mut bits = flags.keywords;
    while bits != 0 {
        if let Some(name) = keywords.get(bits.trailing_zeros() as usize) {
            if !is_first {
                out.push(b' ');
            }
            is_first = false;
            out.extend_from_slice(name.as_bytes());
        }
        bits &= bits - 1;
    }
    out.push(b')');
}

/// The names of system flags, for each set of them.
static SYSTEM: LazyLock<[Box<[u8]>; 32]> = LazyLock::new(|| {
    std::array::from_fn(|set| {
        let names = Flags::NAMES.iter().filter(|(bit, _)| set & usize::from(*bit) != 0);
        let names: Vec<&str> = names.map(|(_, name)| *name).collect();
        names.join(" ").into_bytes().into()
    })
});

/// A date-time in quotes (RFC 3501, 9): `"22-Nov-2026 15:47:16 +0100"`, a day below 10 after a
/// space.
pub fn date_time(out: &mut Vec<u8>, at: DateTime) {
    let civil = at.civil();
    out.push(b'"');
    if civil.day < 10 {
        out.push(b' ');
    }
    number(out, u64::from(civil.day));
    out.push(b'-');
    let month = MONTHS.get(usize::from(civil.month) - 1).expect("a civil month is 1 to 12");
    out.extend_from_slice(month.as_bytes());
    out.push(b'-');
    let year = u64::try_from(civil.year.clamp(0, 9999)).unwrap_or_default();
    two_digits(out, year / 100);
    two_digits(out, year % 100);
    let second = u64::from(civil.second_of_day);
    for (before, value) in [(b' ', second / 3600), (b':', second / 60 % 60), (b':', second % 60)] {
        out.push(before);
        two_digits(out, value);
    }
    out.extend_from_slice(if at.zone_minutes < 0 { b" -" } else { b" +" });
    let zone = u64::from(at.zone_minutes.unsigned_abs());
    two_digits(out, zone / 60);
    two_digits(out, zone % 60);
    out.push(b'"');
}

fn two_digits(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&[value / 10 % 10, value % 10].map(|digit| b'0' + digit as u8));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        out.escape_ascii().to_string()
    }

    #[test]
    fn numbers_are_decimal() {
        let near_powers = (0..20).flat_map(|power| {
            let power = 10_u64.pow(power);
            [power - 1, power, power + 1, power / 8 * 9]
        });
        let steps = (0..EIGHT_DIGITS).step_by(9973);
        for value in near_powers.chain(steps).chain([4_294_967_295, u64::MAX]) {
            assert_eq!(written(|out| number(out, value)), value.to_string());
        }
    }

    #[test]
    fn strings_are_quoted_or_literals() {
        let table: [(&[u8], &[u8]); 8] = [
            (b"", b"\"\""),
            (b"a b", b"\"a b\""),
            (b"a\"b\\c", b"\"a\\\"b\\\\c\""),
            (b"tab\there", b"\"tab\there\""),
            (b"caf\xc3\xa9", b"{5}\r\ncaf\xc3\xa9"),
            (b"a\r\nb", b"{4}\r\na\r\nb"),
            (b"a\nb", b"{3}\r\na\nb"),
            (b"a\0b", b"{3}\r\na\x80b"),
        ];
        for (text, expected) in table {
            assert_eq!(written(|out| string(out, text)), expected.escape_ascii().to_string());
        }
        assert!(written(|out| string(out, &[b'x'; 1024])).starts_with("\\\"x"));
        assert!(written(|out| string(out, &[b'x'; 1025])).starts_with("{1025}\\r\\n"));
    }

    #[test]
    fn astrings_are_atoms_where_they_can_be() {
        let table: [(&[u8], &str); 7] = [
            (b"INBOX", "INBOX"),
            (b"a]b", "a]b"),
            (b"", "\\\"\\\""),
            (b"nil", "\\\"nil\\\""),
            (b"a b", "\\\"a b\\\""),
            (b"100%", "\\\"100%\\\""),
            (b"{1}", "\\\"{1}\\\""),
        ];
        for (text, expected) in table {
            assert_eq!(written(|out| astring(out, text)), expected);
        }
        assert_eq!(written(|out| nstring(out, None)), "NIL");
    }

    #[test]
    fn flags_have_their_names() {
        let keywords = ["$Label1".to_owned(), "Work".to_owned()];
        let table = [
            (Flags::default(), false, "()"),
            (Flags::default(), true, "(\\\\Recent)"),
            (
                Flags { system: Flags::SEEN | Flags::ANSWERED, keywords: 0b10 },
                false,
                "(\\\\Answered \\\\Seen Work)",
            ),
            (Flags { system: 0, keywords: 0b1011 }, true, "(\\\\Recent $Label1 Work)"),
        ];
        for (shown, recent, expected) in table {
            assert_eq!(written(|out| flags(out, shown, &keywords, recent)), expected);
        }
    }

    #[test]
    fn dates_are_in_their_zone() {
        let table = [
            (0, 0, " 1-Jan-1970 00:00:00 +0000"),
            (1_795_358_836, 60, "22-Nov-2026 15:47:16 +0100"),
            (1_795_358_836, -210, "22-Nov-2026 11:17:16 -0330"),
            (-1, 0, "31-Dec-1969 23:59:59 +0000"),
        ];
        for (seconds, zone_minutes, expected) in table {
            let text = written(|out| date_time(out, DateTime { seconds, zone_minutes }));
            assert_eq!(text, format!("\\\"{expected}\\\""));
        }
    }
}
