//! Patterns as a shell has them: `*` is anything, `?` one character; case does not matter.

use mail_common::glob;
use serde::{Deserialize, Serialize};

/// A pattern.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Glob(String);

impl Glob {
    /// What matches this.
    pub fn new(pattern: impl Into<String>) -> Self {
        Self(pattern.into())
    }

    /// What has this anywhere in it.
    pub fn within(part: &str) -> Self {
        Self(format!("*{part}*"))
    }

    /// Whether all of `text` matches.
    pub(crate) fn matches(&self, text: &str) -> bool {
        glob::matches(&self.0, text, is_same)
    }

    /// The text, if only that matches.
    pub(crate) fn literal(&self) -> Option<&str> {
        Some(self.0.as_str()).filter(|text| !text.contains(['*', '?']))
    }

    /// Of an address: what its domain must match for all of it to match. `None`: that cannot be
    /// told from the domain.
    pub(super) fn domain(&self) -> Option<Self> {
        let (_, domain) = self.0.rsplit_once('@')?;
        Some(Self(domain.to_owned()))
    }
}

fn is_same(wanted: char, found: char) -> bool {
    wanted == '?' || wanted.eq_ignore_ascii_case(&found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let table = [
            ("*", "", true),
            ("*", "ann@example.org", true),
            ("ann@example.org", "Ann@Example.ORG", true),
            ("*@example.org", "ann@example.org", true),
            ("*@example.org", "ann@example.org.net", false),
            ("*@*.example.org", "ann@mx.example.org", true),
            ("*@*.example.org", "ann@example.org", false),
            ("a?c", "abc", true),
            ("a?c", "aüc", true),
            ("a?c", "ac", false),
            ("[a]", "a", false),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(Glob::new(pattern).matches(text), expected, "{pattern} {text}");
        }
        assert!(Glob::within("refused").matches("connection Refused by peer"));
    }

    #[test]
    fn what_is_no_pattern_is_text() {
        assert_eq!(Glob::new("0abc").literal(), Some("0abc"));
        assert_eq!(Glob::new("0ab*").literal(), None);
    }

    #[test]
    fn domains_of_patterns() {
        let domain = |pattern: &str| Glob::new(pattern).domain();
        assert_eq!(domain("ann@example.*"), Some(Glob::new("example.*")));
        assert_eq!(domain("ann*"), None);
    }
}
