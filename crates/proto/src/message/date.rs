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

#[cfg(test)]
mod tests {
    use super::*;

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
