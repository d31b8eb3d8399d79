//! Paths with `%d`, `%n` and `%u` in them.

use std::path::PathBuf;

use mail_proto::address::Address;
use serde::{Deserialize, Serialize};

/// A path with `%d` (domain), `%n` (local part) and `%u` (both) in it, as in Dovecot. Two users
/// never have the same path; `%%` is a percent sign.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathTemplate(String);

/// What a directory's name may have (NAME_MAX).
const LONGEST_COMPONENT: usize = 255;

impl PathTemplate {
    /// The path for an address, in lower case; `None` where a part of the address cannot be one
    /// component of a path (`/`, NUL, `.` and `..`).
    #[must_use]
    pub fn path(&self, address: &Address) -> Option<PathBuf> {
        let local = address.local().to_lowercase();
        let domain = address.domain().as_str();
        let both = format!("{local}@{domain}");
        if ![local.as_str(), domain, both.as_str()].into_iter().all(is_component) {
            return None;
        }
        let mut path = String::new();
        let mut chars = self.0.chars();
        while let Some(c) = chars.next() {
            match c {
                '%' => match chars.next() {
                    Some('d') => path.push_str(domain),
                    Some('n') => path.push_str(&local),
                    Some('u') => path.push_str(&both),
                    _ => path.push('%'),
                },
                c => path.push(c),
            }
        }
        Some(path.into())
    }

    /// The directory that all of its paths are below.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        let mut fixed = String::new();
        let mut chars = self.0.chars();
        while let Some(c) = chars.next() {
            if c == '%' && chars.next() != Some('%') {
                break;
            }
            fixed.push(c);
        }
        fixed.truncate(fixed.rfind('/').unwrap_or_default() + 1);
        fixed.into()
    }
}

fn is_component(text: &str) -> bool {
    let fits = (1..=LONGEST_COMPONENT).contains(&text.len());
    fits && !matches!(text, "." | "..") && !text.contains(['/', '\0'])
}

impl Default for PathTemplate {
    fn default() -> Self {
        Self("/var/mail/%d/%n".to_owned())
    }
}

impl TryFrom<String> for PathTemplate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err(format!("{text:?} does not begin with /"));
        }
        let mut letters = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                continue;
            }
            match chars.next() {
                Some(letter @ ('d' | 'n' | 'u' | '%')) => letters.push(letter),
                Some(letter) => return Err(format!("%{letter} is none of %d, %n, %u")),
                None => return Err("a % stands at the end; write %% for a percent sign".into()),
            }
        }
        let differs = letters.contains('u') || (letters.contains('n') && letters.contains('d'));
        if differs {
            Ok(Self(text))
        } else {
            Err("all users need paths of their own: %d/%n".into())
        }
    }
}

impl From<PathTemplate> for String {
    fn from(template: PathTemplate) -> Self {
        template.0
    }
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use std::path::Path;

    use mail_proto::address::Domain;

    use super::*;

    fn address(local: &str) -> Address {
        let domain: Domain = "Example.Org".parse().unwrap();
        Address::new(local, domain).unwrap()
    }

    #[test]
    fn paths() {
        let table = [
            ("/var/mail/%d/%n", "Ann", Some("/var/mail/example.org/ann")),
            ("/m/%u/Maildir", "ann", Some("/m/ann@example.org/Maildir")),
            ("/m%%/%d/%n", "a%nb", Some("/m%/example.org/a%nb")),
            ("/m/%d/%n", "..", None),
            ("/m/%d/%n", ".", None),
            ("/m/%d/%n", "../bob", None),
            ("/m/%d/%n", "a/b", None),
            ("/m/%u", "..", None),
        ];
        for (template, local, expected) in table {
            let template = PathTemplate::try_from(template.to_owned()).unwrap();
            assert_eq!(template.path(&address(local)), expected.map(PathBuf::from), "{local}");
        }
        let template = PathTemplate::default();
        assert_eq!(template.path(&address(&"x".repeat(250))), None, "too long for %u");
    }

    #[test]
    fn roots() {
        let table = [
            ("/var/mail/%d/%n", "/var/mail/"),
            ("/m%%/x%u/y", "/m%/"),
            ("/%d/%n", "/"),
            ("/%u", "/"),
        ];
        for (template, root) in table {
            let template = PathTemplate::try_from(template.to_owned()).unwrap();
            assert_eq!(template.root(), Path::new(root));
        }
    }

    #[test]
    fn templates_that_would_mix_users_are_refused() {
        for text in ["mail/%d/%n", "/mail/%d", "/mail/%n", "/mail/%h/%u", "/mail/%u%", ""] {
            assert!(PathTemplate::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
