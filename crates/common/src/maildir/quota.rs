//! `maildirsize`: what a user's mail takes, as Maildir++ keeps it for all programs that hold to a
//! quota. We hold to none yet; but where the file is, others rely on it, and it is kept right.
//!
//! The first line is the quota itself (`1073741824S,1000C`: octets and messages). Each other line
//! is a sum of octets and messages to add: first what there was when the file was written, then
//! one for each change. A file longer than 5,120 octets is written anew from the mailboxes, which
//! mends whatever a crash left out. So a line that cannot be written stops nobody.

use std::path::PathBuf;

use crate::disk::{self, Dir, Kind};

use super::mailbox::Mailbox;
use super::scan::Folders;
use super::{StoreError, name};

/// The file, in the user's directory of control files.
pub(super) const FILE: &str = "maildirsize";
/// From this length on it is written anew.
const LONG: u64 = 5_120;
/// A longer one is none.
const LIMIT: u64 = 1 << 20;

/// A quota file that exists.
#[derive(Debug)]
pub(super) struct Quota {
    control: Dir,
}

/// Octets as stored, and messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Used {
    octets: i64,
    messages: i64,
}

/// What one operation adds and takes away, to be one line.
#[derive(Debug)]
pub(super) struct Tally {
    /// `None`: nobody wants to know.
    quota: Option<Quota>,
    change: Used,
}

impl Tally {
    /// Begins to sum up.
    pub(super) fn of(mailbox: &Mailbox, folders: &Folders) -> Self {
        let quota = mailbox.home_beside(folders).and_then(|control| Quota::open(&control));
        let quota = quota.unwrap_or_else(|error| {
            tracing::warn!(%error, "maildirsize cannot be read");
            None
        });
        Self { quota, change: Used::default() }
    }

    /// The size of a file that is there; 0 where nobody wants to know.
    pub(super) fn size(&self, dir: &Dir, name: &str) -> u64 {
        match self.quota {
            Some(_) => stored(dir, name).ok().flatten().unwrap_or_default(),
            None => 0,
        }
    }

    /// A file of this size came.
    pub(super) fn came(&mut self, size: u64) {
        self.change = self.change.and(Used::one(size));
    }

    /// A file of this size went.
    pub(super) fn went(&mut self, size: u64) {
        let one = Used::one(size);
        self.change = self.change.and(Used { octets: -one.octets, messages: -one.messages });
    }

    /// Writes it down.
    pub(super) fn tell(self) {
        let Some(quota) = self.quota.filter(|_| self.change != Used::default()) else { return };
        if let Err(error) = quota.add(self.change) {
            tracing::warn!(%error, "maildirsize is not kept");
        }
    }
}

impl Quota {
    /// That of a user, if there is one.
    pub(super) fn open(control: &Dir) -> Result<Option<Self>, StoreError> {
        let stat = disk::found(control.stat(FILE))?.filter(|stat| stat.kind == Kind::File);
        Ok(stat.map(|_| Self { control: control.clone() }))
    }

    /// Says what came and went, in one line at the end.
    fn add(&self, change: Used) -> Result<(), StoreError> {
        let line = format!("{} {}\n", change.octets, change.messages);
        // Somebody removed it just now: a line without a quota would be no file of quotas.
        let Some(mut file) = disk::found(self.control.append_existing(FILE))? else {
            return Ok(());
        };
        Ok(file.write(line.as_bytes())?)
    }

    /// Whether it is to be written anew: it is long, or a line makes no sense. One whose quota
    /// makes no sense is not ours to mend.
    pub(super) fn is_due(&self) -> Result<bool, StoreError> {
        let bytes = self.control.read(FILE, LIMIT)?;
        let long = bytes.len() as u64 > LONG;
        Ok(self.limit(&bytes).is_some() && (long || used(&bytes).is_none()))
    }

    /// Whether its lines are not what these mailboxes take.
    pub(super) fn differs(
        &self,
        mailboxes: impl Iterator<Item = PathBuf>,
    ) -> Result<bool, StoreError> {
        let bytes = self.control.read(FILE, LIMIT)?;
        Ok(self.limit(&bytes).is_some() && used(&bytes) != Some(Self::taken(mailboxes)?))
    }

    /// Writes it anew from the messages in these mailboxes.
    pub(super) fn count(&self, mailboxes: impl Iterator<Item = PathBuf>) -> Result<(), StoreError> {
        let bytes = self.control.read(FILE, LIMIT)?;
        let Some(limit) = self.limit(&bytes) else { return Ok(()) };
        let sum = Self::taken(mailboxes)?;
        let text = format!("{limit}\n{} {}\n", sum.octets, sum.messages);
        Ok(self.control.replace(FILE, text.as_bytes())?)
    }

    fn taken(mailboxes: impl Iterator<Item = PathBuf>) -> Result<Used, StoreError> {
        let mut sum = Used::default();
        for mailbox in mailboxes {
            let mailbox = Dir::open(&mailbox)?;
            for place in ["new", "cur"] {
                if let Some(place) = disk::found(mailbox.subdir(place))? {
                    sum = sum.and(sizes(&place)?);
                }
            }
        }
        Ok(sum)
    }

    /// The first line.
    fn limit<'bytes>(&self, bytes: &'bytes [u8]) -> Option<&'bytes str> {
        let line = bytes.split(|byte| *byte == b'\n').next();
        let line = line.and_then(|line| std::str::from_utf8(line).ok()).unwrap_or_default();
        if is_limit(line) {
            return Some(line);
        }
        let path = self.control.path().join(FILE);
        tracing::warn!(path = %path.display(), "the quota makes no sense; the file is left alone");
        None
    }
}

impl Used {
    fn one(size: u64) -> Self {
        Self { octets: i64::try_from(size).unwrap_or(i64::MAX), messages: 1 }
    }

    fn and(self, other: Self) -> Self {
        Self {
            octets: self.octets.saturating_add(other.octets),
            messages: self.messages.saturating_add(other.messages),
        }
    }
}

/// The sum of a file's lines; `None` if one makes no sense.
fn used(bytes: &[u8]) -> Option<Used> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut sum = Used::default();
    for line in text.split_inclusive('\n').skip(1) {
        let (octets, messages) = line.strip_suffix('\n')?.trim().split_once(' ')?;
        let octets = octets.parse().ok()?;
        let messages = messages.trim_start().parse().ok()?;
        sum = sum.and(Used { octets, messages });
    }
    Some(sum)
}

/// Numbers with `S` (octets) or `C` (messages) behind them, parted by commas.
fn is_limit(line: &str) -> bool {
    line.split(',').all(|part| {
        let digits = part.strip_suffix(['S', 'C']).unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// What the messages in a directory take.
fn sizes(dir: &Dir) -> Result<Used, StoreError> {
    let mut sum = Used::default();
    for entry in dir.entries()? {
        let entry = entry?;
        let Some(name) = entry.name.to_str() else { continue };
        if name.starts_with('.') || !matches!(entry.kind, None | Some(Kind::File)) {
            continue;
        }
        if let Some(size) = stored(dir, name)? {
            sum = sum.and(Used::one(size));
        }
    }
    Ok(sum)
}

/// A message's octets; `None` if it is gone.
fn stored(dir: &Dir, name: &str) -> Result<Option<u64>, StoreError> {
    if let Some(size) = name::stored_size(name) {
        return Ok(Some(size));
    }
    Ok(disk::found(dir.stat(name))?.map(|stat| stat.size))
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn with(text: &str) -> (tempfile::TempDir, Dir) {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), text).unwrap();
        let control = Dir::open(directory.path()).unwrap();
        (directory, control)
    }

    #[test]
    fn where_there_is_none_none_is_made() {
        let directory = tempfile::tempdir().unwrap();
        let control = Dir::open(directory.path()).unwrap();
        assert!(Quota::open(&control).unwrap().is_none());
        assert_eq!(control.entries().unwrap().count(), 0);
    }

    #[test]
    fn changes_are_lines() {
        let (_directory, control) = with("1000000S,1000C\n500 2\n");
        let quota = Quota::open(&control).unwrap().unwrap();
        quota.add(Used { octets: 20, messages: 1 }).unwrap();
        quota.add(Used { octets: -500, messages: -2 }).unwrap();
        let bytes = control.read(FILE, 100).unwrap();
        assert_eq!(bytes, b"1000000S,1000C\n500 2\n20 1\n-500 -2\n");
        assert_eq!(used(&bytes), Some(Used { octets: 20, messages: 1 }));
        assert!(!quota.is_due().unwrap());
    }

    #[test]
    fn what_is_long_or_damaged_is_counted_anew() {
        let long = format!("9S\n{}", "1 1\n".repeat(2_000));
        let table = [
            ("0S\n5 1\n", false),
            (long.as_str(), true),
            ("10C,5S\nfive one\n", true),
            ("10C\n5 1\n5", true),
            ("10S", false),
            ("nonsense\n5 1\n5", false),
            ("", false),
            ("-5S\nx\n", false),
        ];
        for (text, due) in table {
            let (directory, control) = with(text);
            let quota = Quota::open(&control).unwrap().unwrap();
            assert_eq!(quota.is_due().unwrap(), due, "{text:.20}");
            let mailbox = directory.path().join("box");
            for place in ["new", "cur"] {
                fs::create_dir_all(mailbox.join(place)).unwrap();
            }
            fs::write(mailbox.join("cur/1.a,S=700:2,S"), "short").unwrap();
            fs::write(mailbox.join("new/2.a"), "four").unwrap();
            fs::write(mailbox.join("new/.hidden"), "none").unwrap();
            quota.count([mailbox].into_iter()).unwrap();
            let first = text.lines().next().unwrap_or_default();
            let expected = match due || text.ends_with('S') || text.starts_with("0S") {
                true => format!("{first}\n704 2\n"),
                false => text.to_owned(),
            };
            assert_eq!(control.read(FILE, 100).unwrap(), expected.as_bytes(), "{text:.20}");
        }
    }
}
