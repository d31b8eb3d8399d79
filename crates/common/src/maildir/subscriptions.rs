//! `subscriptions`: names that the user subscribed to, as Dovecot keeps them.
//!
//! Version 2 begins with `V\t2` and an empty line; then each line is a name, its levels parted by
//! tabs. Version 1, which has no such beginning, parts them as directories do: by dots in
//! Maildir++, by slashes in LAYOUT=fs. Names are spelt as their directories, so they stay what they
//! are whatever the separator and the prefix are. A file keeps its version, its order, and lines
//! that say nothing to us. One of another version is left alone.
//!
//! An entry is the directory of a mailbox without its first dot; `INBOX` is INBOX's.

use crate::disk::Dir;

use super::StoreError;
use super::dotlock::Dotlock;

const FILE: &str = "subscriptions";
/// Courier's, where a user was taken over.
const COURIER: &str = "courierimapsubscribed";
/// What is longer is not read; so it is not written either.
const LIMIT: u64 = 4 << 20;
const VERSION_2: &[u8] = b"V\t2\n\n";

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Subscriptions {
    version: Version,
    /// Without line ends.
    lines: Vec<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// The entries, in the file's order. `separator` is between the levels of a directory's name.
/// `control` may not be there yet.
pub(super) fn read(
    control: Option<&Dir>,
    mail: &Dir,
    separator: char,
) -> Result<Vec<String>, StoreError> {
    let file = match control {
        Some(control) => Subscriptions::read(control, mail),
        None => Subscriptions::read_courier(mail),
    };
    match file {
        Ok(file) => Ok(file.entries(separator).flatten().collect()),
        Err(StoreError::Damaged { path, what }) => {
            tracing::warn!(path = %path.display(), "{what}; it is left alone");
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

/// Adds or removes entries, durably. The caller holds the lock on the user's mailboxes.
pub(super) fn change(
    control: &Dir,
    mail: &Dir,
    separator: char,
    entries: &[String],
    subscribed: bool,
) -> Result<(), StoreError> {
    let _lock = Dotlock::take(control, FILE, None)?;
    let old = Subscriptions::read(control, mail)?;
    let mut new = old.clone();
    for entry in entries {
        match subscribed {
            true => new.insert(entry, separator),
            false => new.remove(entry, separator),
        }
    }
    if new == old {
        return Ok(());
    }
    let text = new.text();
    if text.len() as u64 > LIMIT {
        return Err(StoreError::Subscriptions);
    }
    Ok(control.replace_newer(FILE, &text)?)
}

impl Subscriptions {
    fn read(control: &Dir, mail: &Dir) -> Result<Self, StoreError> {
        match control.read(FILE, LIMIT) {
            Ok(bytes) => Self::parse(&bytes).ok_or_else(|| {
                damaged(control, FILE, "subscriptions of a version that we do not know")
            }),
            Err(error) if error.is_missing() => Self::read_courier(mail),
            Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
                Err(damaged(control, FILE, "more than 4 MiB of subscriptions"))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What Courier left, to be kept in a file of our own from now on.
    fn read_courier(mail: &Dir) -> Result<Self, StoreError> {
        match mail.read(COURIER, LIMIT) {
            Ok(bytes) => Ok(Self::parse_courier(&bytes)),
            Err(error) if error.is_missing() => {
                Ok(Self { version: Version::Two, lines: Vec::new() })
            }
            Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
                Err(damaged(mail, COURIER, "more than 4 MiB of subscriptions"))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (version, lines) = match bytes.strip_prefix(b"V\t") {
            None => (Version::One, bytes),
            Some(rest) => (Version::Two, rest.strip_prefix(b"2\n")?),
        };
        let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        Some(Self { version, lines: lines.map(<[u8]>::to_vec).collect() })
    }

    fn parse_courier(bytes: &[u8]) -> Self {
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let levels = |line: &[u8]| {
            let name = line.strip_prefix(b"INBOX.").unwrap_or(line);
            name.iter().map(|byte| if *byte == b'.' { b'\t' } else { *byte }).collect()
        };
        Self { version: Version::Two, lines: lines.map(levels).collect() }
    }

    /// What the lines mean; `None` for one that is not UTF-8.
    fn entries(&self, separator: char) -> impl Iterator<Item = Option<String>> {
        self.lines.iter().map(move |line| {
            let line = std::str::from_utf8(line).ok()?;
            Some(match self.version {
                Version::One => line.to_owned(),
                Version::Two => {
                    let levels: Vec<String> = line.split('\t').map(unescape).collect();
                    levels.join(separator.encode_utf8(&mut [0; 4]))
                }
            })
        })
    }

    fn insert(&mut self, entry: &str, separator: char) {
        if self.entries(separator).any(|other| other.as_deref() == Some(entry)) {
            return;
        }
        let line = match self.version {
            Version::One => entry.to_owned(),
            Version::Two => entry.split(separator).map(escape).collect::<Vec<_>>().join("\t"),
        };
        self.lines.push(line.into_bytes());
    }

    fn remove(&mut self, entry: &str, separator: char) {
        let kept: Vec<bool> =
            self.entries(separator).map(|other| other.as_deref() != Some(entry)).collect();
        let mut kept = kept.into_iter();
        self.lines.retain(|_| kept.next().unwrap_or(true));
    }

    fn text(&self) -> Vec<u8> {
        let mut text = match self.version {
            Version::One => Vec::new(),
            Version::Two => VERSION_2.to_vec(),
        };
        for line in &self.lines {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        text
    }
}

fn damaged(dir: &Dir, file: &str, what: &str) -> StoreError {
    StoreError::Damaged { path: dir.path().join(file), what: what.to_owned() }
}

/// Dovecot's escapes for what would part levels and lines.
const ESCAPES: [(char, char); 4] = [('\u{1}', '1'), ('\t', 't'), ('\n', 'n'), ('\r', 'r')];

fn escape(level: &str) -> String {
    let mut escaped = String::new();
    for c in level.chars() {
        match ESCAPES.iter().find(|(plain, _)| *plain == c) {
            Some((_, code)) => escaped.extend(['\u{1}', *code]),
            None => escaped.push(c),
        }
    }
    escaped
}

fn unescape(level: &str) -> String {
    let mut plain = String::new();
    let mut chars = level.chars();
    while let Some(c) = chars.next() {
        let code = if c == '\u{1}' { chars.next() } else { None };
        match code {
            None => plain.push(c),
            Some(code) => {
                let known = ESCAPES.iter().find(|(_, other)| *other == code);
                plain.push(known.map_or(code, |(c, _)| *c));
            }
        }
    }
    plain
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &[u8], separator: char) -> Vec<String> {
        Subscriptions::parse(text).unwrap().entries(separator).flatten().collect()
    }

    fn changed(text: &[u8], separator: char, add: &str, remove: &str) -> Vec<u8> {
        let mut file = Subscriptions::parse(text).unwrap();
        file.insert(add, separator);
        file.remove(remove, separator);
        file.text()
    }

    /// A file, the separator, its entries, and the file with `A.B` added and `Sent` removed.
    type Row<'a> = (&'a [u8], char, &'a [&'a str], &'a [u8]);

    #[test]
    fn a_file_keeps_its_version_and_order() {
        let table: [Row; 7] = [
            (
                b"V\t2\n\nW\\2eX\tSub\nSent\n",
                '.',
                &["W\\2eX.Sub", "Sent"],
                b"V\t2\n\nW\\2eX\tSub\nA\tB\n",
            ),
            (b"Sent\nx.y\n", '.', &["Sent", "x.y"], b"x.y\nA.B\n"),
            (b"V\t2\n\nSent\nx\ty\n", '/', &["Sent", "x/y"], b"V\t2\n\nx\ty\nA.B\n"),
            (b"x/y\n", '/', &["x/y"], b"x/y\nA.B\n"),
            (b"", '.', &[], b"A.B\n"),
            (b"V\t2\n\nA\tB\n\na\x01tb\tc", '.', &["A.B", "a\tb.c"], b"V\t2\n\nA\tB\na\x01tb\tc\n"),
            (b"V\t2\n\n\xff\nSent\n", '.', &["Sent"], b"V\t2\n\n\xff\nA\tB\n"),
        ];
        for (text, separator, expected, after) in table {
            assert_eq!(entries(text, separator), expected, "{}", text.escape_ascii());
            assert_eq!(
                changed(text, separator, "A.B", "Sent").escape_ascii().to_string(),
                after.escape_ascii().to_string()
            );
        }
        assert_eq!(Subscriptions::parse(b"V\t3\n\nx\n"), None);
    }

    #[test]
    fn changes_last() {
        let directory = tempfile::tempdir().unwrap();
        let home = Dir::open(directory.path()).unwrap();
        home.replace(COURIER, b"INBOX\nINBOX.Old.x\n").unwrap();
        change(&home, &home, '.', &["Sent".to_owned()], true).unwrap();
        assert_eq!(home.read(FILE, 100).unwrap(), b"V\t2\n\nINBOX\nOld\tx\nSent\n");
        change(&home, &home, '.', &["Old.x".to_owned()], false).unwrap();
        assert_eq!(home.read(FILE, 100).unwrap(), b"V\t2\n\nINBOX\nSent\n");
        assert_eq!(home.entries().unwrap().count(), 2, "no lock is left");
    }

    #[test]
    fn an_unknown_version_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let home = Dir::open(directory.path()).unwrap();
        home.replace(FILE, b"V\t3\n\nSent\n").unwrap();
        assert_eq!(read(Some(&home), &home, '.').unwrap(), [""; 0]);
        let error = change(&home, &home, '.', &["x".to_owned()], true).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        assert_eq!(home.read(FILE, 100).unwrap(), b"V\t3\n\nSent\n");
    }

    #[test]
    fn what_could_not_be_read_again_is_not_written() {
        let directory = tempfile::tempdir().unwrap();
        let home = Dir::open(directory.path()).unwrap();
        let change =
            |name: &str, subscribed| change(&home, &home, '.', &[name.to_owned()], subscribed);
        let room = usize::try_from(LIMIT).unwrap() - VERSION_2.len() - "Sent\n\n".len();
        change("Sent", true).unwrap();
        let error = change(&"x".repeat(room + 1), true).unwrap_err();
        assert!(matches!(error, StoreError::Subscriptions), "{error}");
        assert!(!error.is_temporary());
        change(&"x".repeat(room), true).unwrap();
        assert_eq!(read(Some(&home), &home, '.').unwrap().len(), 2, "as many as can be");
        assert!(matches!(change("y", true), Err(StoreError::Subscriptions)));
        change("Sent", false).unwrap();
        change("y", true).unwrap();
    }
}
