//! `subscriptions`: names that the user subscribed to, as Dovecot keeps them.
//!
//! Version 2 begins with `V\t2` and an empty line; then each line is a name, its levels parted by
//! tabs. Version 1, which has no such beginning, parts them by dots. Names are spelt as their
//! directories, so they stay what they are whatever the separator is.

use std::collections::BTreeSet;

use crate::disk::Dir;

use super::StoreError;
use super::dotlock::Dotlock;
use super::lock::PATIENCE;

const FILE: &str = "subscriptions";
/// Courier's, where a user was taken over.
const COURIER: &str = "courierimapsubscribed";
const LIMIT: u64 = 4 << 20;
const VERSION: &str = "V\t2\n\n";

/// The directories of subscribed names, without their first dot; `INBOX` for INBOX.
pub(super) fn read(home: &Dir) -> Result<BTreeSet<String>, StoreError> {
    match home.read(FILE, LIMIT) {
        Ok(bytes) => return Ok(parse(&String::from_utf8_lossy(&bytes))),
        Err(error) if error.is_missing() => {}
        Err(error) => return Err(error.into()),
    }
    match home.read(COURIER, LIMIT) {
        Ok(bytes) => Ok(parse_courier(&String::from_utf8_lossy(&bytes))),
        Err(error) if error.is_missing() => Ok(BTreeSet::new()),
        Err(error) => Err(error.into()),
    }
}

/// Changes the set, durably. The caller holds the lock on the user's mailboxes.
pub(super) fn change(
    home: &Dir,
    change: impl FnOnce(&mut BTreeSet<String>),
) -> Result<(), StoreError> {
    let _lock = Dotlock::take(home, FILE, PATIENCE)?;
    let old = read(home)?;
    let mut new = old.clone();
    change(&mut new);
    if new != old {
        home.replace_newer(FILE, write(&new).as_bytes())?;
    }
    Ok(())
}

fn parse(text: &str) -> BTreeSet<String> {
    let name = |line: &str| line.split('\t').map(unescape).collect::<Vec<_>>().join(".");
    match text.strip_prefix("V\t2\n") {
        Some(lines) => lines.lines().filter(|line| !line.is_empty()).map(name).collect(),
        None => text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect(),
    }
}

fn parse_courier(text: &str) -> BTreeSet<String> {
    let name = |line: &str| line.strip_prefix("INBOX.").unwrap_or(line).to_owned();
    text.lines().filter(|line| !line.is_empty()).map(name).collect()
}

fn write(names: &BTreeSet<String>) -> String {
    let mut text = VERSION.to_owned();
    for name in names {
        let levels: Vec<String> = name.split('.').map(escape).collect();
        text.push_str(&levels.join("\t"));
        text.push('\n');
    }
    text
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

    #[test]
    fn reads_all_versions_and_writes_the_second() {
        let table = [
            ("V\t2\n\nW\\2eX\tSub\nSent\n", "V\t2\n\nSent\nW\\2eX\tSub\n"),
            ("Sent\nA.B\n", "V\t2\n\nA\tB\nSent\n"),
            ("V\t2\n\n", "V\t2\n\n"),
            ("", "V\t2\n\n"),
            ("V\t2\n\na\u{1}tb\tc\n", "V\t2\n\na\u{1}tb\tc\n"),
        ];
        for (text, written) in table {
            assert_eq!(write(&parse(text)), written, "{text:?}");
        }
        assert_eq!(write(&parse_courier("INBOX\nINBOX.A.B\n")), "V\t2\n\nA\tB\nINBOX\n");
    }

    #[test]
    fn changes_last() {
        let directory = tempfile::tempdir().unwrap();
        let home = Dir::open(directory.path()).unwrap();
        home.replace(COURIER, b"INBOX.Old\n").unwrap();
        change(&home, |names| assert!(names.insert("Sent".to_owned()))).unwrap();
        assert_eq!(home.read(FILE, 100).unwrap(), b"V\t2\n\nOld\nSent\n");
        change(&home, |names| assert!(names.remove("Old"))).unwrap();
        assert_eq!(home.read(FILE, 100).unwrap(), b"V\t2\n\nSent\n");
        assert_eq!(home.entries().unwrap().count(), 2, "no lock is left");
    }
}
