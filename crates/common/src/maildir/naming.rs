//! Names of mailboxes, as clients see them and as directories are called.
//!
//! Maildir++: `A/B` is the directory `.A.B` beside INBOX's `cur`, in modified UTF-7 (RFC 3501,
//! 5.1.3). A character that means something there is written as Dovecot's listescape does:
//! a backslash and two hex digits; that is the dot (unless it separates levels for clients too),
//! the slash, the backslash itself, and a tilde at the beginning.
//!
//! Directories that others made may be called what we would never call them (bare UTF-8, a stray
//! `&`). They are shown as they are spelt, and found by being shown.

use mail_proto::imap::syntax::{canonical, utf7};

use crate::config::Mail;

/// How mailboxes are called at this site.
#[derive(Debug, Clone)]
pub(super) struct Naming {
    separator: char,
    prefix: String,
}

/// What a file system takes as one name.
const LONGEST: usize = 255;

impl Naming {
    pub(super) fn of(mail: &Mail) -> Self {
        Self { separator: mail.separator, prefix: mail.prefix.clone() }
    }

    /// The separator.
    pub(super) fn separator(&self) -> char {
        self.separator
    }

    /// The full name of a mailbox that a client would call `name` were there no prefix.
    pub(super) fn prefixed(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// As it is shown: INBOX in any case, also as the first level, is `INBOX`.
    pub(super) fn canonical(&self, name: &str) -> String {
        canonical(name.to_owned(), self.separator)
    }

    /// The directory of a mailbox: empty for INBOX; `None` where no mailbox can have this name.
    pub(super) fn directory(&self, name: &str) -> Option<String> {
        let name = self.canonical(name);
        if name == INBOX {
            return Some(String::new());
        }
        let name = name.strip_prefix(&self.prefix)?;
        let mut directory = String::new();
        for (number, level) in name.split(self.separator).enumerate() {
            if matches!(level, "" | "." | "..") || level.contains(char::is_control) {
                return None;
            }
            directory.push('.');
            directory.push_str(&utf7::encode(&self.escape(level, number == 0)));
        }
        (directory.len() <= LONGEST).then_some(directory)
    }

    /// The name of a directory's mailbox; the opposite of [`directory`](Self::directory).
    pub(super) fn name(&self, directory: &str) -> Option<String> {
        let levels = directory.strip_prefix('.')?;
        if levels.is_empty() || levels.contains(char::is_control) {
            return None;
        }
        let mut name = self.prefix.clone();
        for (number, level) in levels.split('.').enumerate() {
            if number > 0 {
                name.push(self.separator);
            }
            let shown = utf7::decode(level.as_bytes()).map(|level| self.unescape(&level));
            name.push_str(shown.as_deref().unwrap_or(level));
        }
        Some(name)
    }

    /// Whether `child` is somewhere below `parent`.
    pub(super) fn is_below(&self, child: &str, parent: &str) -> bool {
        child.strip_prefix(parent).is_some_and(|rest| rest.starts_with(self.separator))
    }

    /// The names above a name, from the top.
    pub(super) fn parents<'name>(&self, name: &'name str) -> impl Iterator<Item = &'name str> {
        let from = if name.starts_with(&self.prefix) { self.prefix.len() } else { 0 };
        let ends = name.match_indices(self.separator).map(|(at, _)| at);
        ends.filter(move |at| *at >= from).filter_map(|at| name.get(..at))
    }

    fn escape(&self, level: &str, first: bool) -> String {
        let mut escaped = String::new();
        for (at, c) in level.char_indices() {
            let leads = c == '~' && first && at == 0;
            if leads || matches!(c, '.' | '/' | '\\') {
                escaped.push_str(&format!("\\{:02x}", u32::from(c)));
            } else {
                escaped.push(c);
            }
        }
        escaped
    }

    /// What would read as a separator stays escaped.
    fn unescape(&self, level: &str) -> String {
        let mut plain = String::new();
        let mut rest = level;
        while let Some((before, after)) = rest.split_once('\\') {
            plain.push_str(before);
            match escaped(after) {
                Some((c, after)) if c != self.separator && !c.is_control() => {
                    plain.push(c);
                    rest = after;
                }
                _ => {
                    plain.push('\\');
                    rest = after;
                }
            }
        }
        plain.push_str(rest);
        plain
    }
}

/// RFC 9051, 5.1: the one name whose case does not count.
pub(super) const INBOX: &str = "INBOX";

/// The character of two hex digits, and what follows them.
fn escaped(text: &str) -> Option<(char, &str)> {
    let (digits, rest) = text.split_at_checked(2)?;
    let hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
    let byte = u8::from_str_radix(digits, 16).ok().filter(|byte| hex && byte.is_ascii())?;
    Some((char::from(byte), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naming(separator: char, prefix: &str) -> Naming {
        Naming { separator, prefix: prefix.to_owned() }
    }

    #[test]
    fn names_become_directories_and_names_again() {
        let table = [
            ('/', "", "INBOX", Some("")),
            ('/', "", "inbox", Some("")),
            ('/', "", "Sent", Some(".Sent")),
            ('/', "", "A/B", Some(".A.B")),
            ('/', "", "INBOX/x", Some(".INBOX.x")),
            ('/', "", "www.example.org/a", Some(".www\\2eexample\\2eorg.a")),
            ('/', "", "~a/~b", Some(".\\7ea.~b")),
            ('/', "", "a\\b", Some(".a\\5cb")),
            ('/', "", "\\2e", Some(".\\5c2e")),
            ('/', "", "Entwürfe", Some(".Entw&APw-rfe")),
            ('/', "", "R&D", Some(".R&-D")),
            ('/', "", "📮", Some(".&2D3c7g-")),
            ('/', "", ".hidden", Some(".\\2ehidden")),
            ('.', "", "A.B", Some(".A.B")),
            ('.', "", "a/b", Some(".a\\2fb")),
            ('.', "INBOX.", "INBOX.Sent.x", Some(".Sent.x")),
            ('.', "INBOX.", "INBOX", Some("")),
            ('.', "INBOX.", "Sent", None),
            ('/', "", "", None),
            ('/', "", "/", None),
            ('/', "", "a/", None),
            ('/', "", "a//b", None),
            ('/', "", "a/../b", None),
            ('/', "", "..", None),
            ('/', "", "a\nb", None),
            ('/', "", "a\0b", None),
        ];
        for (separator, prefix, name, directory) in table {
            let naming = naming(separator, prefix);
            assert_eq!(naming.directory(name).as_deref(), directory, "{name:?}");
            if let Some(directory @ [_, ..]) = directory.map(str::as_bytes) {
                let directory = std::str::from_utf8(directory).expect("was a str");
                assert_eq!(naming.name(directory).as_deref(), Some(name), "{directory:?}");
            }
        }
        let naming = naming('/', "");
        assert_eq!(naming.directory(&"a".repeat(254)).map(|d| d.len()), Some(255));
        assert_eq!(naming.directory(&"a".repeat(255)), None);
    }

    #[test]
    fn what_others_made_is_shown_as_it_is_spelt() {
        let table = [
            (".Entwürfe", Some("Entwürfe")),
            (".a&b", Some("a&b")),
            (".a&AOQ", Some("a&AOQ")),
            (".a\\zz", Some("a\\zz")),
            (".a\\2fb", Some("a\\2fb")),
            (".", None),
            ("x", None),
        ];
        for (directory, name) in table {
            assert_eq!(naming('/', "").name(directory).as_deref(), name, "{directory:?}");
        }
    }

    #[test]
    fn parents_are_above() {
        let table: [(&str, &str, &[&str]); 4] = [
            ("", "a/b/c", &["a", "a/b"]),
            ("", "a", &[]),
            ("INBOX/", "INBOX/a/b", &["INBOX/a"]),
            ("INBOX/", "INBOX", &[]),
        ];
        for (prefix, name, parents) in table {
            let naming = naming('/', prefix);
            assert_eq!(naming.parents(name).collect::<Vec<_>>(), parents, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_name_survives(name in "[^\\p{Cc}]{1,60}") {
            let naming = naming('/', "");
            if let Some(directory) = naming.directory(&name) {
                prop_assert!(!directory.contains(['/', '\0']));
                if !directory.is_empty() {
                    prop_assert_eq!(naming.name(&directory), Some(naming.canonical(&name)));
                }
            }
        }
    }
}
