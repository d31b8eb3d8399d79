//! Dates: the calendar, and the Date field of a message (RFC 5322, 3.3 and 4.3).

/// The names of the months, as mail and IMAP write them.
pub const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const DAY: i64 = 86_400;

/// A moment, and the zone in which it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DateTime {
    /// Seconds since 1970-01-01 00:00 UTC.
    pub seconds: i64,
    /// How far the zone's clock is ahead of UTC.
    pub zone_minutes: i16,
}

/// A day of the calendar, and the time within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// Such as 2026.
    pub year: i64,
    /// From 1.
    pub month: u8,
    /// From 1.
    pub day: u8,
    /// Seconds since midnight.
    pub second_of_day: u32,
}

impl DateTime {
    /// What the zone's clock and calendar show.
    #[must_use]
    pub fn civil(self) -> Civil {
        let local = self.local_seconds();
        let (year, month, day) = civil_of(local.div_euclid(DAY));
        let second_of_day =
            u32::try_from(local.rem_euclid(DAY)).expect("a day has fewer seconds than u32 holds");
        Civil { year, month, day, second_of_day }
    }

    /// Days since 1970-01-01 in its zone: what SEARCH compares ("disregarding time and
    /// timezone", RFC 3501, 6.4.4).
    #[must_use]
    pub fn day(self) -> i32 {
        let days = self.local_seconds().div_euclid(DAY);
        i32::try_from(days).unwrap_or(if days < 0 { i32::MIN } else { i32::MAX })
    }

    fn local_seconds(self) -> i64 {
        // Far outside any calendar the clock stands still.
        self.seconds.clamp(-FAR, FAR).saturating_add(i64::from(self.zone_minutes) * 60)
    }
}

/// About 30,000 years: more than any date that is written with four digits.
const FAR: i64 = 1_000_000_000_000;

/// Days since 1970-01-01 of a day of the Gregorian calendar; `None`: there is no such day.
#[must_use]
pub fn days_of(year: i64, month: u8, day: u8) -> Option<i64> {
    if !(0..=9999).contains(&year) || !(1..=12).contains(&month) || day == 0 {
        return None;
    }
    let days = days_unchecked(year, month, day);
    // A 31st of April would come back as the first of May.
    (civil_of(days) == (year, month, day)).then_some(days)
}

/// Counts years from March, so that the leap day is a year's last; 400 years are 146,097 days.
fn days_unchecked(year: i64, month: u8, day: u8) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The reverse of [`days_unchecked`].
fn civil_of(days: i64) -> (i64, u8, u8) {
    let from_march = days + 719_468;
    let era = from_march.div_euclid(146_097);
    let day_of_era = from_march.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let small = |value: i64| u8::try_from(value).expect("months and days are small");
    (year, small(month), small(day))
}

/// The month of a name, from 1; case does not count.
#[must_use]
pub fn month(name: &[u8]) -> Option<u8> {
    let at = MONTHS.iter().position(|month| month.as_bytes().eq_ignore_ascii_case(name))?;
    u8::try_from(at + 1).ok()
}

/// Reads the value of a Date field, with the obsolete forms (RFC 5322, 4.3). An unknown or
/// missing zone counts as UTC, as the RFC wants it of the military ones.
#[must_use]
pub fn parse(value: &[u8]) -> Option<DateTime> {
    let mut words = Words { rest: value };
    let mut first = words.next()?;
    if !first.first()?.is_ascii_digit() {
        // The day of the week, and its comma.
        first = words.next()?;
    }
    let day = u8::try_from(number(first)?).ok()?;
    let month = month(words.next()?)?;
    let days = days_of(year(words.next()?)?, month, day)?;
    let (hours, minutes) = (number(words.next()?)?, number(words.time()?)?);
    let seconds = words.time().map_or(Some(0), number)?;
    // RFC 5322, 3.3: 60 is a leap second.
    if hours > 23 || minutes > 59 || seconds > 60 {
        return None;
    }
    let zone_minutes = words.next().and_then(zone).unwrap_or_default();
    let local = days * DAY + hours * 3600 + minutes * 60 + seconds;
    Some(DateTime { seconds: local - i64::from(zone_minutes) * 60, zone_minutes })
}

/// Words between white space, comments and commas. A time's colons begin words of their own.
struct Words<'a> {
    rest: &'a [u8],
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        self.skip_blank();
        let end = |octet: &u8| octet.is_ascii_whitespace() || matches!(octet, b',' | b'(' | b':');
        let length = self.rest.iter().take_while(|octet| !end(octet)).count();
        let (word, rest) = self.rest.split_at(length);
        self.rest = rest;
        (length > 0).then_some(word)
    }

    /// What follows a colon.
    fn time(&mut self) -> Option<&'a [u8]> {
        self.skip_blank();
        self.rest = self.rest.strip_prefix(b":")?;
        self.next()
    }

    fn skip_blank(&mut self) {
        let mut depth = 0_usize;
        while let Some((&octet, rest)) = self.rest.split_first() {
            match octet {
                b'(' => depth += 1,
                b')' if depth > 0 => depth -= 1,
                _ if depth > 0 || octet == b',' || octet.is_ascii_whitespace() => {}
                _ => return,
            }
            self.rest = rest;
        }
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || digits.len() > 4 {
        return None;
    }
    digits.iter().try_fold(0, |value, digit| {
        digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0'))
    })
}

/// RFC 5322, 4.3: two digits below 50 are of this century, three count from 1900.
fn year(digits: &[u8]) -> Option<i64> {
    let year = number(digits)?;
    Some(match digits.len() {
        1 | 2 if year < 50 => year + 2000,
        1..=3 => year + 1900,
        _ => year,
    })
}

fn zone(word: &[u8]) -> Option<i16> {
    const NAMED: [(&str, i16); 8] = [
        ("EDT", -4),
        ("EST", -5),
        ("CDT", -5),
        ("CST", -6),
        ("MDT", -6),
        ("MST", -7),
        ("PDT", -7),
        ("PST", -8),
    ];
    let minutes = |digits| {
        let value = i16::try_from(number(digits)?).ok()?;
        Some(value / 100 * 60 + value % 100)
    };
    match word.split_first()? {
        (b'+', digits) => minutes(digits),
        (b'-', digits) => minutes(digits).map(|minutes| -minutes),
        _ => {
            let (_, hours) =
                NAMED.iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()))?;
            Some(hours * 60)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_fields_are_read() {
        let table = [
            ("Sun, 22 Nov 2026 15:47:16 +0100", Some((1_795_358_836, 60))),
            ("22 Nov 2026 15:47:16 +0100", Some((1_795_358_836, 60))),
            ("Sun , 22 NOV 26 14 : 47 : 16 GMT", Some((1_795_358_836, 0))),
            ("Sun, 22 Nov 2026 09:47:16 EST (comment)", Some((1_795_358_836, -300))),
            ("(x)Sun,(y)22(z)Nov 2026 14:47:16 Z", Some((1_795_358_836, 0))),
            ("Thu, 1 Jan 1970 00:00 -0000", Some((0, 0))),
            ("1 Jan 70 00:00:00", Some((0, 0))),
            ("1 Jan 100 00:00:00 +0000", Some((946_684_800, 0))),
            ("1 Jan 1970 00:00:00 -0330", Some((12_600, -210))),
            ("1 Jan 1970 00:00:00 PST", Some((28_800, -480))),
            ("1 Jan 1970 00:00:00 nonsense", Some((0, 0))),
            ("30 Jun 2015 23:59:60 +0000", Some((1_435_708_800, 0))),
            ("31 Apr 2026 00:00:00 +0000", None),
            ("1 Jan 1970 24:00:00 +0000", None),
            ("1 Foo 1970 00:00:00 +0000", None),
            ("1 Jan 1970", None),
            ("yesterday", None),
            ("", None),
            ("(", None),
        ];
        for (value, expected) in table {
            let expected =
                expected.map(|(seconds, zone_minutes)| DateTime { seconds, zone_minutes });
            assert_eq!(parse(value.as_bytes()), expected, "{value:?}");
        }
    }

    #[test]
    fn days_are_those_of_the_zone() {
        let at = |zone_minutes| DateTime { seconds: 20_779 * DAY + 23 * 3600, zone_minutes }.day();
        assert_eq!((at(0), at(60), at(-1440)), (20_779, 20_780, 20_778));
    }

    #[test]
    fn days_and_calendar_agree() {
        let table = [
            ((1970, 1, 1), Some(0)),
            ((2000, 2, 29), Some(11_016)),
            ((2026, 11, 22), Some(20_779)),
            ((1900, 2, 29), None),
            ((2026, 4, 31), None),
            ((2026, 0, 1), None),
            ((2026, 13, 1), None),
            ((2026, 1, 0), None),
            ((10_000, 1, 1), None),
        ];
        for ((year, month, day), expected) in table {
            assert_eq!(days_of(year, month, day), expected, "{year}-{month}-{day}");
        }
        for days in (-800_000..800_000).step_by(97) {
            let (year, month, day) = civil_of(days);
            assert_eq!(days_unchecked(year, month, day), days);
        }
    }
}
