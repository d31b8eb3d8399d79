//! Spans of time: `30s`, `5m`, `4h`, `5d`, and for some things `never`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A span of time, at least a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(Duration);

/// After how long something is done, if ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum After {
    /// It is not done: `never`.
    Never,
    /// After so long.
    Span(Span),
}

impl Span {
    /// So many seconds.
    #[must_use]
    pub const fn seconds(count: u64) -> Self {
        Self(Duration::from_secs(count))
    }

    /// So many minutes.
    #[must_use]
    pub const fn minutes(count: u64) -> Self {
        Self::seconds(count * 60)
    }

    /// So many hours.
    #[must_use]
    pub const fn hours(count: u64) -> Self {
        Self::minutes(count * 60)
    }

    /// As std has it.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }
}

/// Longer than anybody waits, and short enough for every clock.
const LONGEST: u64 = 3650 * DAY;

const NEVER: &str = "never";

const DAY: u64 = 24 * 60 * 60;

/// The units, the longest first.
const UNITS: [(char, u64); 4] = [('d', DAY), ('h', 60 * 60), ('m', 60), ('s', 1)];

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no span of time: write 30s, 5m, 4h or 5d");
        let unit = UNITS.iter().find(|(letter, _)| text.ends_with(*letter)).ok_or_else(wrong)?;
        let count: u64 =
            text.strip_suffix(unit.0).unwrap_or_default().parse().map_err(|_| wrong())?;
        match count.checked_mul(unit.1) {
            Some(0) => Err("a span of time is at least 1s; there is no \"unlimited\"".into()),
            Some(seconds) if seconds <= LONGEST => Ok(Self::seconds(seconds)),
            _ => Err("a span of time is at most 3650d".into()),
        }
    }
}

impl TryFrom<String> for After {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            NEVER => Ok(Self::Never),
            _ => Span::try_from(text).map(Self::Span).map_err(|why| format!("{why}, or {NEVER}")),
        }
    }
}

impl From<After> for String {
    fn from(after: After) -> Self {
        match after {
            After::Never => NEVER.to_owned(),
            After::Span(span) => span.into(),
        }
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

/// In the longest unit that has no rest.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (letter, unit) =
            UNITS.into_iter().find(|(_, unit)| seconds.is_multiple_of(*unit)).unwrap_or(('s', 1));
        write!(f, "{}{letter}", seconds / unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        let table = [
            ("30s", Some(("30s", 30))),
            ("90s", Some(("90s", 90))),
            ("120s", Some(("2m", 120))),
            ("5m", Some(("5m", 300))),
            ("4h", Some(("4h", 14_400))),
            ("5d", Some(("5d", 432_000))),
            ("0s", None),
            ("5", None),
            ("m", None),
            ("5 m", None),
            ("-5m", None),
            ("5mm", None),
            ("5 minutes", None),
            ("3651d", None),
            ("99999999999999999999d", None),
            ("9999999999999999999d", None),
            ("", None),
        ];
        for (text, expected) in table {
            let span = Span::try_from(text.to_owned()).ok();
            let found = span.map(|span| (span.to_string(), span.duration().as_secs()));
            assert_eq!(found, expected.map(|(shown, n)| (shown.to_owned(), n)), "{text}");
        }
    }

    #[test]
    fn some_things_are_never_done() {
        for (text, expected) in [
            ("4h", Ok(After::Span(Span::hours(4)))),
            ("never", Ok(After::Never)),
            ("no", Err("\"no\" is no span of time: write 30s, 5m, 4h or 5d, or never".to_owned())),
        ] {
            let after = After::try_from(text.to_owned());
            assert_eq!(after, expected);
            assert!(after.is_err() || after.is_ok_and(|after| String::from(after) == text));
        }
    }
}
