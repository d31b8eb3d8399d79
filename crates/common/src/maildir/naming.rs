//! Names of mailboxes, as clients see them and as directories are called.
//!
//! Maildir++: `A/B` is the directory `.A.B` beside INBOX's `cur`; LAYOUT=fs: `A/B`, one in the
//! other. Directories are spelt in modified UTF-7 (RFC 3501, 5.1.3), or in UTF-8 where the site
//! says so. A character that means something there is written as Dovecot's listescape does, which
//! was tried out with all of ASCII: a backslash and two hex digits in lower case; that is the
//! slash (unless it separates levels for clients too), the backslash itself, a tilde at the
//! beginning of a level, and in Maildir++ the dot; in LAYOUT=fs only the first one of `.` and `..`.
//!
//! Directories that others made may be called what we would never call them (bare UTF-8, a stray
//! `&`). They are shown as they are spelt, and found by being shown.

use mail_proto::imap::syntax::{canonical, utf7};

use crate::config::{Layout, Mail, Names};

/// How mailboxes are called at this site.
#[derive(Debug, Clone)]
pub(super) struct Naming {
    layout: Layout,
    names: Names,
    separator: char,
    prefix: String,
}

/// What a file system takes as one name.
const LONGEST: usize = 255;
/// What fits into a path of 4,096 octets with room for the home and the message's name.
const LONGEST_PATH: usize = 2_000;
/// In LAYOUT=fs, levels below this are not looked at.
pub(super) const DEEPEST: usize = 100;
/// In LAYOUT=fs, what a mailbox itself has in its directory, and the beginnings of such names.
const RESERVED: [&str; 6] = ["cur", "new", "tmp", "subscriptions", "maildirsize", "maildirfolder"];
const RESERVED_BEGINNINGS: [&str; 9] = [
    "posthorn.",
    "subscriptions.",
    "dovecot.index",
    "dovecot.list.index",
    "dovecot.mailbox.log",
    "dovecot-uidlist",
    "dovecot-uidvalidity",
    "dovecot-keywords",
    "courierimap",
];

impl Naming {
    pub(super) fn of(mail: &Mail) -> Self {
        Self {
            layout: mail.layout,
            names: mail.names,
            separator: mail.separator,
            prefix: mail.prefix.clone(),
        }
    }

    /// The separator.
    pub(super) fn separator(&self) -> char {
        self.separator
    }

    /// How directories lie.
    pub(super) fn layout(&self) -> Layout {
        self.layout
    }

    /// What parts the levels of a directory's name.
    pub(super) fn directory_separator(&self) -> char {
        match self.layout {
            Layout::MaildirPlusPlus => '.',
            Layout::Fs => '/',
        }
    }

    /// What stands before a directory's first level.
    pub(super) fn directory_prefix(&self) -> &'static str {
        match self.layout {
            Layout::MaildirPlusPlus => ".",
            Layout::Fs => "",
        }
    }

    /// What INBOX's directory is called where control or index files are kept apart. No other
    /// mailbox has it, nor has it with Dovecot.
    pub(super) fn inbox_beside(&self) -> &'static str {
        match self.layout {
            Layout::MaildirPlusPlus => ".INBOX",
            Layout::Fs => INBOX,
        }
    }

    /// The full name of a mailbox that a client would call `name` were there no prefix.
    pub(super) fn prefixed(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// As it is shown: INBOX in any case, also as the first level, is `INBOX`.
    pub(super) fn canonical(&self, name: &str) -> String {
        canonical(name.to_owned(), self.separator)
    }

    /// The directory of a new mailbox, below the user's: empty for INBOX; `None` where none may
    /// have this name. Dovecot makes even `.` and `..`; other programs would go astray there.
    pub(super) fn new_directory(&self, name: &str) -> Option<String> {
        let astray = name.split(self.separator).any(|level| matches!(level, "." | ".."));
        self.directory(name).filter(|_| !astray)
    }

    /// The directory of a mailbox, below the user's: empty for INBOX; `None` where no mailbox can
    /// have this name.
    pub(super) fn directory(&self, name: &str) -> Option<String> {
        let name = self.canonical(name);
        if name == INBOX {
            return Some(String::new());
        }
        let name = name.strip_prefix(&self.prefix)?;
        let mut levels = Vec::new();
        for level in name.split(self.separator) {
            if level.is_empty() || level.contains(char::is_control) {
                return None;
            }
            levels.push(self.spelt(&self.escape(level)));
        }
        self.joined(&levels).filter(|directory| directory != self.inbox_beside())
    }

    /// Whether in LAYOUT=fs a directory could not be reached.
    pub(super) fn is_too_long(&self, directory: &str) -> bool {
        directory.len() > LONGEST_PATH || directory.split('/').count() > DEEPEST
    }

    /// The name of a directory's mailbox; the opposite of [`directory`](Self::directory).
    pub(super) fn name(&self, directory: &str) -> Option<String> {
        let levels = directory.strip_prefix(self.directory_prefix())?;
        let none = levels.is_empty() || directory == self.inbox_beside();
        if none || levels.contains(char::is_control) {
            return None;
        }
        let levels = self.levels(levels).map(|level| self.shown(&level));
        let mut name = self.prefix.clone();
        for (number, level) in levels.enumerate() {
            if number > 0 {
                name.push(self.separator);
            }
            name.push_str(&level);
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
        let above = ends.filter(move |at| *at > from).filter_map(|at| name.get(..at));
        above.filter(|above| !above.ends_with(self.separator))
    }

    fn joined(&self, levels: &[String]) -> Option<String> {
        match self.layout {
            Layout::MaildirPlusPlus => {
                let directory = format!(".{}", levels.join("."));
                (directory.len() <= LONGEST).then_some(directory)
            }
            Layout::Fs => {
                let fits = levels.iter().all(|level| level.len() <= LONGEST && !is_reserved(level));
                let directory = levels.join("/");
                (fits && !self.is_too_long(&directory)).then_some(directory)
            }
        }
    }

    /// The levels of a directory's name, as spelt. A dot with no level at one of its sides parts
    /// nothing: it belongs to the level.
    fn levels<'path>(&self, path: &'path str) -> impl Iterator<Item = String> + 'path {
        let (mut levels, mut dots) = (Vec::<String>::new(), String::new());
        for part in path.split(self.directory_separator()) {
            match part {
                "" => dots.push('.'),
                part => levels.push(std::mem::take(&mut dots) + part),
            }
        }
        match levels.last_mut() {
            Some(last) => last.push_str(&dots),
            None => levels.push(dots),
        }
        levels.into_iter()
    }

    fn spelt(&self, level: &str) -> String {
        match self.names {
            Names::Utf7 => utf7::encode(level),
            Names::Utf8 => level.to_owned(),
        }
    }

    fn shown(&self, level: &str) -> String {
        let decoded = match self.names {
            Names::Utf7 => utf7::decode(level.as_bytes()),
            Names::Utf8 => Some(level.to_owned()),
        };
        match decoded {
            Some(level) => self.unescape(&level),
            None => self.without_separators(level),
        }
    }

    fn escape(&self, level: &str) -> String {
        let is_path = matches!(level, "." | "..");
        let mut escaped = String::new();
        for (at, c) in level.char_indices() {
            let parts = match c {
                '/' | '\\' => true,
                '.' => self.layout == Layout::MaildirPlusPlus || is_path && at == 0,
                '~' => at == 0,
                _ => false,
            };
            match parts {
                true => push_escaped(&mut escaped, c),
                false => escaped.push(c),
            }
        }
        escaped
    }

    /// What would read as a separator stays escaped.
    fn unescape(&self, level: &str) -> String {
        let mut plain = String::new();
        let mut rest = level;
        while let Some((before, after)) = rest.split_once('\\') {
            plain.push_str(&self.without_separators(before));
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
        plain.push_str(&self.without_separators(rest));
        plain
    }

    /// In LAYOUT=fs a directory may have in its name what separates levels for clients.
    fn without_separators(&self, level: &str) -> String {
        let mut plain = String::new();
        for c in level.chars() {
            match c == self.separator {
                true => push_escaped(&mut plain, c),
                false => plain.push(c),
            }
        }
        plain
    }
}

/// RFC 9051, 5.1: the one name whose case does not count.
pub(super) const INBOX: &str = "INBOX";

/// Whether in LAYOUT=fs a mailbox's own files may be called so.
fn is_reserved(level: &str) -> bool {
    RESERVED.contains(&level)
        || RESERVED_BEGINNINGS.iter().any(|beginning| level.starts_with(beginning))
}

fn push_escaped(text: &mut String, c: char) {
    text.push_str(&format!("\\{:02x}", u32::from(c)));
}

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
        Naming::of(&Mail { separator, prefix: prefix.to_owned(), ..Mail::default() })
    }

    fn fs(separator: char) -> Naming {
        Naming { layout: Layout::Fs, ..naming(separator, "") }
    }

    /// What Dovecot 2.3 with listescape writes (tests/layouts.rs lets it).
    #[test]
    fn names_become_directories_and_names_again() {
        let table = [
            ('/', "", "INBOX", Some("")),
            ('/', "", "inbox", Some("")),
            ('/', "", "Sent", Some(".Sent")),
            ('/', "", "A/B", Some(".A.B")),
            ('/', "", "INBOX/x", Some(".INBOX.x")),
            ('/', "", "www.example.org/a", Some(".www\\2eexample\\2eorg.a")),
            ('/', "", "~a/~b~", Some(".\\7ea.\\7eb~")),
            ('/', "", "a\\b", Some(".a\\5cb")),
            ('/', "", "\\2e", Some(".\\5c2e")),
            ('/', "", "Entwürfe", Some(".Entw&APw-rfe")),
            ('/', "", "R&D", Some(".R&-D")),
            ('/', "", "📮", Some(".&2D3c7g-")),
            ('/', "", ".hidden", Some(".\\2ehidden")),
            ('/', "", "cur", Some(".cur")),
            ('.', "", "A.B", Some(".A.B")),
            ('.', "", "a/b", Some(".a\\2fb")),
            ('.', "INBOX.", "INBOX.Sent.x", Some(".Sent.x")),
            ('.', "INBOX.", "INBOX", Some("")),
            ('.', "INBOX.", "Sent", None),
            ('.', "INBOX.", "INBOX.INBOX", None),
            ('.', "INBOX.", "INBOX.INBOX.x", Some(".INBOX.x")),
            ('/', "", "", None),
            ('/', "", "/", None),
            ('/', "", "a/", None),
            ('/', "", "a//b", None),
            ('/', "", "a/../.", Some(".a.\\2e\\2e.\\2e")),
            ('/', "", "a\nb", None),
            ('/', "", "a\0b", None),
        ];
        for (separator, prefix, name, directory) in table {
            check(&naming(separator, prefix), name, directory);
        }
        let naming = naming('/', "");
        assert_eq!(naming.new_directory("a/b.c").as_deref(), Some(".a.b\\2ec"));
        for astray in ["..", ".", "a/..", "./a", "a//b"] {
            assert_eq!(naming.new_directory(astray), None, "{astray}");
        }
        assert_eq!(naming.directory(&"a".repeat(254)).map(|d| d.len()), Some(255));
        assert_eq!(naming.directory(&"a".repeat(255)), None);
    }

    #[test]
    fn in_fs_levels_are_directories() {
        let table = [
            ('/', "INBOX", Some("")),
            ('/', "A/B", Some("A/B")),
            ('/', "inbox/x", Some("INBOX/x")),
            ('/', "www.example.org/~a", Some("www.example.org/\\7ea")),
            ('/', ".hidden", Some(".hidden")),
            ('/', "../a/./...", Some("\\2e./a/\\2e/...")),
            ('/', "a\\b", Some("a\\5cb")),
            ('/', "Entwürfe", Some("Entw&APw-rfe")),
            ('.', "A.B", Some("A/B")),
            ('.', "a/b", Some("a\\2fb")),
            ('/', "cur", None),
            ('/', "a/new/b", None),
            ('/', "a/tmp", None),
            ('/', "Tmp", Some("Tmp")),
            ('/', "dovecot-uidlist", None),
            ('/', "posthorn.index", None),
            ('/', "posthorn", Some("posthorn")),
            ('/', "subscriptions", None),
        ];
        for (separator, name, directory) in table {
            let canonical = name.replace("inbox/", "INBOX/");
            assert_eq!(fs(separator).directory(name), fs(separator).directory(&canonical));
            check(&fs(separator), &canonical, directory);
        }
        assert!(fs('/').directory(&["l"; 100].join("/")).is_some());
        assert!(fs('/').directory(&["l"; 101].join("/")).is_none());
        assert!(fs('/').directory(&format!("{0}/{0}", "a".repeat(255))).is_some());
        assert!(fs('/').directory(&"a".repeat(256)).is_none());
        assert!(fs('/').directory(&vec!["a".repeat(255); 8].join("/")).is_none());
    }

    #[test]
    fn directories_may_be_utf_8() {
        let naming = Naming { names: Names::Utf8, ..naming('/', "") };
        for (name, directory) in [
            ("Entwürfe/日本", Some(".Entwürfe.日本")),
            ("e\u{301}", Some(".e\u{301}")),
            ("R&D", Some(".R&D")),
            ("a.b", Some(".a\\2eb")),
        ] {
            check(&naming, name, directory);
        }
    }

    /// That this is a name's directory, and, but for INBOX's, the directory's name.
    fn check(naming: &Naming, name: &str, directory: Option<&str>) {
        assert_eq!(naming.directory(name).as_deref(), directory, "{name:?}");
        if let Some(directory) = directory.filter(|directory| !directory.is_empty()) {
            assert_eq!(naming.name(directory).as_deref(), Some(name), "{directory:?}");
        }
    }

    #[test]
    fn what_others_made_is_shown_as_it_is_spelt() {
        let table = [
            (naming('/', ""), ".Entwürfe", Some("Entwürfe")),
            (naming('/', ""), ".a&b", Some("a&b")),
            (naming('/', ""), ".a&AOQ", Some("a&AOQ")),
            (naming('/', ""), ".a\\zz", Some("a\\zz")),
            (naming('/', ""), ".a\\2fb", Some("a\\2fb")),
            (naming('/', ""), ".~x.~y", Some("~x/~y")),
            (naming('/', ""), ".a..b", Some("a/.b")),
            (naming('/', ""), "..a", Some(".a")),
            (naming('/', ""), ".a.", Some("a.")),
            (naming('.', ""), ".a..b", Some("a.\\2eb")),
            (naming('/', ""), ".\\2e\\2e", Some("..")),
            (naming('/', ""), ".", None),
            (naming('/', ""), "x", None),
            (fs('/'), "\\2e./\\2e", Some("../.")),
            (fs('.'), "a.b/c", Some("a\\2eb.c")),
        ];
        for (naming, directory, name) in table {
            assert_eq!(naming.name(directory).as_deref(), name, "{directory:?}");
        }
    }

    #[test]
    fn parents_are_above() {
        let table: [(&str, &str, &[&str]); 5] = [
            ("", "a/b/c", &["a", "a/b"]),
            ("", "a", &[]),
            ("", "/a//b", &["/a"]),
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
        fn any_name_survives(name in "[^\\p{Cc}]{1,60}", separator in "[./]", fs: bool, utf8: bool) {
            let layout = if fs { Layout::Fs } else { Layout::MaildirPlusPlus };
            let names = if utf8 { Names::Utf8 } else { Names::Utf7 };
            let separator = separator.chars().next().unwrap_or('/');
            let naming = Naming { layout, names, ..naming(separator, "") };
            if let Some(directory) = naming.directory(&name) {
                prop_assert!(fs || !directory.contains('/'));
                prop_assert!(!directory.contains('\0'));
                if !directory.is_empty() {
                    prop_assert_eq!(naming.name(&directory), Some(naming.canonical(&name)));
                }
            }
        }
    }
}
