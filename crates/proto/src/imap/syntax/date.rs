//! Dates, as arguments of SEARCH and APPEND (RFC 3501, 9).

use super::Refusal;
use super::cursor::Cursor;
use crate::message::date::{days_of, month};

const BAD_DATE: Refusal = Refusal::Bad("Invalid date");

/// date: `1-Feb-1994`, quoted or not; days since 1970-01-01.
pub(super) fn date(cursor: &mut Cursor<'_>) -> Result<i32, Refusal> {
    let quoted = cursor.take(b'"');
    let days = day(cursor)?;
    if quoted && !cursor.take(b'"') {
        return Err(BAD_DATE);
    }
    i32::try_from(days).map_err(|_| BAD_DATE)
}

/// date-time: `"22-Nov-2026 15:47:16 +0100"`; seconds since 1970-01-01 00:00 UTC.
pub(super) fn date_time(cursor: &mut Cursor<'_>) -> Result<i64, Refusal> {
    const BAD: &str = "Invalid date";
    cursor.expect(b'"', BAD)?;
    // date-day-fixed: a day below 10 stands behind a space.
    cursor.take(b' ');
    let days = day(cursor)?;
    cursor.expect(b' ', BAD)?;
    let hour = below(cursor, 24)?;
    cursor.expect(b':', BAD)?;
    let minute = below(cursor, 60)?;
    cursor.expect(b':', BAD)?;
    let second = below(cursor, 61)?;
    cursor.expect(b' ', BAD)?;
    let west = cursor.take(b'-');
    if !west {
        cursor.expect(b'+', BAD)?;
    }
    let zone = below(cursor, 10_000)?;
    cursor.expect(b'"', BAD)?;
    let ahead = (zone / 100 * 60 + zone % 100) * 60 * if west { -1 } else { 1 };
    Ok(days * 86_400 + hour * 3600 + minute * 60 + second - ahead)
}

/// Day, month and year; days since 1970-01-01.
fn day(cursor: &mut Cursor<'_>) -> Result<i64, Refusal> {
    let day = u8::try_from(below(cursor, 32)?).map_err(|_| BAD_DATE)?;
    cursor.expect(b'-', "Invalid date")?;
    let month = month(cursor.take_while(|byte| byte.is_ascii_alphabetic())).ok_or(BAD_DATE)?;
    cursor.expect(b'-', "Invalid date")?;
    days_of(below(cursor, 10_000)?, month, day).ok_or(BAD_DATE)
}

fn below(cursor: &mut Cursor<'_>, limit: u32) -> Result<i64, Refusal> {
    let number = cursor.number().ok().filter(|&number| number < limit);
    number.map(i64::from).ok_or(BAD_DATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let table = [
            ("1-Jan-1970", Some(0)),
            ("\"22-nov-2026\"", Some(20_779)),
            ("01-Feb-1970", Some(31)),
            ("31-Apr-2026", None),
            ("1-Foo-2026", None),
            ("\"1-Jan-1970", None),
            ("1-Jan", None),
            ("1-Jan-19700", None),
        ];
        for (text, expected) in table {
            assert_eq!(date(&mut Cursor::new(text.as_bytes(), 9)).ok(), expected, "{text}");
        }
    }

    #[test]
    fn date_times() {
        let table = [
            ("\" 1-Jan-1970 00:00:00 +0000\"", Some(0)),
            ("\"22-Nov-2026 15:47:16 +0100\"", Some(1_795_358_836)),
            ("\"22-Nov-2026 11:17:16 -0330\"", Some(1_795_358_836)),
            ("\"1-Jan-1970 00:00:00 +0000\"", Some(0)),
            ("\"22-Nov-2026 24:00:00 +0000\"", None),
            ("\"22-Nov-2026 15:47 +0000\"", None),
            ("\"22-Nov-2026 15:47:16 GMT\"", None),
            ("22-Nov-2026", None),
        ];
        for (text, expected) in table {
            assert_eq!(date_time(&mut Cursor::new(text.as_bytes(), 9)).ok(), expected, "{text}");
        }
    }
}
