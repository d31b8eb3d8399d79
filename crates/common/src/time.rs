//! The wall clock, and dates as mail writes them.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in microseconds since 1970.
#[must_use]
pub fn now_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// `Sun, 22 Nov 2026 15:47:16 +0100` (RFC 5322, 3.3) in the local zone, of seconds since 1970.
#[must_use]
pub fn rfc5322(seconds: i64) -> String {
    todo!("{seconds}")
}

/// `22-Nov-2026 15:47:16 +0100` (RFC 3501, date-time) in the local zone.
#[must_use]
pub fn imap_date_time(seconds: i64) -> String {
    todo!("{seconds}")
}
