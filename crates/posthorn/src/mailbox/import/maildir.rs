//! Reading a Maildir and those below it (Maildir++), which stay as they are.

use std::collections::HashMap;
use std::fmt;

use mail_common::disk::{self, Dir, DiskError, Kind};
use mail_common::maildir::Directory;
use mail_proto::mailbox::{Flags, NamedFlags};

use super::super::{Failure, form};
use super::{LARGEST, Letter, Piece, Pieces, Refused, wire};

/// A longer `dovecot-uidlist` or `dovecot-keywords` is none.
const LIMIT: u64 = 1 << 30;

const LETTERS: [(char, u8); 5] = [
    ('D', Flags::DRAFT),
    ('F', Flags::FLAGGED),
    ('R', Flags::ANSWERED),
    ('S', Flags::SEEN),
    ('T', Flags::DELETED),
];

/// Where a message is.
struct Found<'dirs> {
    dir: &'dirs Dir,
    name: String,
    uid: u32,
}

pub(super) fn read(dir: &Dir, pieces: &mut Pieces) -> Result<(), Failure> {
    let mut mailboxes = vec![(vec!["INBOX".to_owned()], dir.clone())];
    let mut names: Vec<_> = dir.entries().map_err(unreadable)?.flatten().collect();
    names.sort_by(|one, other| one.name.cmp(&other.name));
    for entry in names {
        let Some(name) = entry.name.to_str().filter(|name| name.starts_with('.')) else { continue };
        let Ok(inside) = dir.subdir(name) else { continue };
        if let Some(levels) = Directory::levels_of(name)
            && inside.stat("cur").is_ok_and(|stat| stat.kind == Kind::Directory)
        {
            mailboxes.push((levels, inside));
        }
    }
    for (levels, mailbox) in mailboxes {
        let line = form::Mailbox { mailbox: levels.clone(), exists: true, subscribed: true };
        let sent = pieces.send(Piece::Mailbox(line));
        match sent.map(|()| messages(&mailbox, &levels, pieces)) {
            Err(Refused) | Ok(Ok(Err(Refused))) => return Ok(()),
            Ok(Ok(Ok(()))) => {}
            Ok(Err(error)) => return Err(unreadable(error)),
        }
    }
    Ok(())
}

/// All messages of a mailbox, in the order of their UIDs, or of their coming.
fn messages(
    mailbox: &Dir,
    levels: &[String],
    pieces: &mut Pieces,
) -> Result<Result<(), Refused>, DiskError> {
    let list = text(mailbox, "dovecot-uidlist")?;
    let uids = uids(&list);
    let keywords = text(mailbox, "dovecot-keywords")?;
    let keywords: Vec<(char, &str)> = keywords.lines().filter_map(keyword).collect();
    let mut found = Vec::new();
    let dirs = [mailbox.subdir("new"), mailbox.subdir("cur")];
    for dir in dirs.iter().flatten() {
        for entry in dir.entries()? {
            let entry = entry?;
            let Ok(name) = entry.name.into_string() else { continue };
            if name.starts_with('.') || !matches!(entry.kind, None | Some(Kind::File)) {
                continue;
            }
            let uid = uids.get(base(&name)).copied().unwrap_or(u32::MAX);
            found.push(Found { dir, name, uid });
        }
    }
    found.sort_by(|one, other| one.order().cmp(&other.order()));
    for message in found {
        match message.letter(levels, &keywords) {
            Ok(letter) => match pieces.send(Piece::Letter(letter)) {
                Ok(()) => {}
                Err(Refused) => return Ok(Err(Refused)),
            },
            Err(error) => pieces.unreadable(&error),
        }
    }
    Ok(Ok(()))
}

impl Found<'_> {
    fn order(&self) -> (u32, u64, &str) {
        let digits = self.name.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        (self.uid, digits.parse().unwrap_or(u64::MAX), &self.name)
    }

    fn letter(&self, levels: &[String], keywords: &[(char, &str)]) -> Result<Letter, DiskError> {
        let date = self.dir.stat(&self.name)?.modified.seconds;
        let wire = wire(&self.dir.read(&self.name, LARGEST)?);
        Ok(Letter { mailbox: levels.to_vec(), flags: flags(&self.name, keywords), date, wire })
    }
}

/// What a file's name says: `…:2,FSab`.
fn flags(name: &str, keywords: &[(char, &str)]) -> NamedFlags {
    let letters = name.split_once(":2,").map_or("", |(_, letters)| letters);
    let letters = letters.split(',').next().unwrap_or_default();
    let system = LETTERS.iter().filter(|(letter, _)| letters.contains(*letter));
    let keywords = keywords.iter().filter(|(letter, _)| letters.contains(*letter));
    NamedFlags {
        system: system.fold(0, |system, (_, bit)| system | bit),
        keywords: keywords.map(|(_, name)| (*name).to_owned()).collect(),
    }
}

/// A line of `dovecot-keywords`: `0 $Work` is what `a` means.
fn keyword(line: &str) -> Option<(char, &str)> {
    let (number, name) = line.split_once(' ')?;
    let number: u8 = number.parse().ok()?;
    (number < 26 && !name.is_empty()).then_some((char::from(b'a' + number), name))
}

/// The UIDs in a `dovecot-uidlist`, by identity.
fn uids(list: &str) -> HashMap<&str, u32> {
    let line = |line: &'_ str| -> Option<u32> { line.split(' ').next()?.parse().ok() };
    let lines = list.lines().skip(1);
    lines.filter_map(|text| Some((text.split_once(" :")?.1, line(text)?))).collect()
}

/// A message's identity: its file's name without flags.
fn base(name: &str) -> &str {
    name.split(':').next().unwrap_or(name)
}

/// A file that may be missing.
fn text(dir: &Dir, name: &str) -> Result<String, DiskError> {
    let bytes = disk::found(dir.read(name, LIMIT))?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn unreadable(error: impl fmt::Display) -> Failure {
    Failure::Temporary(format!("{error}. Run this again when it can be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_flags_and_keywords() {
        let keywords: Vec<_> =
            ["0 $Work", "1 x", "26 no", "junk"].into_iter().filter_map(keyword).collect();
        let named = flags("1.M2.h,S=3:2,FSa,b", &keywords);
        assert_eq!(named.system, Flags::FLAGGED | Flags::SEEN);
        assert_eq!(named.keywords, ["$Work"]);
        assert_eq!(flags("1.M2.h", &keywords), NamedFlags::default());
    }

    #[test]
    fn lists_have_uids() {
        let list = uids("3 V1 N9 Gx\n7 :1.a\n8 W12 :2.b\nnonsense\n");
        assert_eq!((list.get("1.a"), list.get("2.b"), list.len()), (Some(&7), Some(&8), 2));
    }
}
