//! Which mail is held: patterns for addresses.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::text;
use crate::glob;

/// What a message must be like to be held. All that is named must hold; one of its recipients is
/// enough.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct HoldRule {
    /// The sender's address; `<>` is the sender of notifications.
    #[serde(deserialize_with = "text::parsed_option", serialize_with = "text::shown_option")]
    pub sender: Option<Pattern>,
    /// A recipient's address.
    #[serde(deserialize_with = "text::parsed_option", serialize_with = "text::shown_option")]
    pub recipient: Option<Pattern>,
    /// A recipient's domain.
    #[serde(deserialize_with = "text::parsed_option", serialize_with = "text::shown_option")]
    pub domain: Option<Pattern>,
}

/// A text in which `*` stands for anything, also nothing. Case is ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

/// Longer than an address can be (RFC 5321, 4.5.3.1) is no pattern for one.
const LONGEST: usize = 320;

/// Why a text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PatternError {
    /// It is empty.
    #[error("write an address, in which * stands for anything")]
    Empty,
    /// No address is so long.
    #[error("no address has more than {LONGEST} octets")]
    Long,
}

impl Pattern {
    /// Whether a text is as the pattern says.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        glob::matches(&self.0, &text.to_lowercase(), |wanted, found| wanted == found)
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        match text.len() {
            0 => Err(PatternError::Empty),
            length if length > LONGEST => Err(PatternError::Long),
            _ => Ok(Self(text.to_lowercase())),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let table = [
            ("ann@example.org", "Ann@Example.ORG", true),
            ("ann@example.org", "ann@example.org.x", false),
            ("*", "", true),
            ("*", "<>", true),
            ("<>", "<>", true),
            ("<>", "a@b.c", false),
            ("*@example.org", "ann@example.org", true),
            ("*@example.org", "ann@sub.example.org", false),
            ("*example.org", "ann@sub.example.org", true),
            ("ann@*", "ann@example.org", true),
            ("ann@*", "joann@example.org", false),
            ("a*n*@*.org", "alan@example.org", true),
            ("a*n*@*.org", "ala@example.org", false),
        ];
        for (pattern, text, expected) in table {
            let parsed: Pattern = pattern.parse().unwrap();
            assert_eq!(parsed.matches(text), expected, "{pattern} {text}");
        }
        assert_eq!("".parse::<Pattern>(), Err(PatternError::Empty));
        assert_eq!("x".repeat(321).parse::<Pattern>(), Err(PatternError::Long));
    }
}
