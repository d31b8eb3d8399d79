//! The wall clock, and dates as mail writes them.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// Now, in microseconds since 1970.
#[must_use]
pub fn now_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Now, in seconds since 1970.
#[must_use]
pub fn now_seconds() -> i64 {
    seconds(now_micros())
}

/// The whole seconds in so many microseconds.
#[must_use]
pub fn seconds(micros: u64) -> i64 {
    i64::try_from(micros / 1_000_000).expect("a millionth of any u64 fits")
}

/// `Sun, 22 Nov 2026 15:47:16 +0100` (RFC 5322, 3.3) in the local zone, of seconds since 1970.
#[must_use]
pub fn rfc5322(seconds: i64) -> String {
    rfc5322_in(seconds, TimeZone::system())
}

/// `Sun Nov 22 15:47:16`, as Postfix's mailq has it, in the local zone, of seconds since 1970.
#[must_use]
pub fn short(seconds: i64) -> String {
    short_in(seconds, TimeZone::system())
}

/// How many minutes the local zone's clock is ahead of UTC, `seconds` after 1970.
#[must_use]
pub fn zone_minutes(seconds: i64) -> i16 {
    zone_minutes_in(seconds, TimeZone::system())
}

/// `2026-11-22T15:47:16.123456+01:00` (RFC 3339): now, in the local zone.
pub(crate) fn rfc3339_now() -> impl std::fmt::Display {
    Zoned::now().strftime("%Y-%m-%dT%H:%M:%S.%6f%:z").to_string()
}

fn rfc5322_in(seconds: i64, zone: TimeZone) -> String {
    local(seconds, zone).strftime("%a, %-d %b %Y %H:%M:%S %z").to_string()
}

fn short_in(seconds: i64, zone: TimeZone) -> String {
    local(seconds, zone).strftime("%a %b %e %H:%M:%S").to_string()
}

fn zone_minutes_in(seconds: i64, zone: TimeZone) -> i16 {
    // No zone is more than 26 hours from UTC.
    i16::try_from(local(seconds, zone).offset().seconds() / 60).unwrap_or_default()
}

/// Dates have four digits for the year: what lies before 1 or after 9999 is 1970.
fn local(seconds: i64, zone: TimeZone) -> Zoned {
    let moment = Timestamp::from_second(seconds).unwrap_or_default().to_zoned(zone.clone());
    if (1..=9999).contains(&moment.year()) { moment } else { Timestamp::UNIX_EPOCH.to_zoned(zone) }
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let table = [
            (1_795_358_836, "Sun, 22 Nov 2026 15:47:16 +0100"),
            (1_782_907_200, "Wed, 1 Jul 2026 14:00:00 +0200"),
            (0, "Thu, 1 Jan 1970 01:00:00 +0100"),
            (i64::MAX, "Thu, 1 Jan 1970 01:00:00 +0100"),
            (i64::MIN, "Thu, 1 Jan 1970 01:00:00 +0100"),
            (-86_400, "Wed, 31 Dec 1969 01:00:00 +0100"),
        ];
        for (seconds, rfc5322) in table {
            assert_eq!(rfc5322_in(seconds, berlin.clone()), rfc5322);
        }
        assert_eq!(short_in(1_782_907_200, berlin.clone()), "Wed Jul  1 14:00:00");
        assert_eq!(zone_minutes_in(1_782_907_200, berlin.clone()), 120);
        assert_eq!(zone_minutes_in(i64::MIN, berlin), 60);
        assert_eq!(rfc5322_in(0, TimeZone::UTC), "Thu, 1 Jan 1970 00:00:00 +0000");
    }
}
