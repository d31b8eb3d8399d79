//! `dovecot-uidlist`: which UID a message has.
//!
//! The first line is `3 V<uidvalidity> N<uidnext> G<guid>` with more keys that are kept as they
//! are; then a line for each message, `<uid> [<Key><value>…] :<name without flags>`, UIDs rising.
//! New lines are appended, so `N` may lag behind: the next UID is the greater of `N` and the last
//! UID + 1. Version 1, which Courier's `courierimapuiddb` has too, is `1 <uidvalidity> <uidnext>`
//! and `<uid> <name>`.
//!
//! An appended line that has no line end was being written when the power went: nobody was told
//! of its UID. A line that makes no sense is another matter: the UID in it may be known to
//! clients. Then the next UID jumps ahead ([`JUMP`]), for a gap is allowed and a second use is
//! not.
//!
//! The list may have a million lines. In memory is only where each message's line begins: the whole
//! file is read for a first look, after another program wrote it, and when it is written anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mail_proto::mailbox::Uid;

use crate::disk::{self, Dir, DiskError, Stat};

use super::{StoreError, name};

/// The file.
pub(super) const FILE: &str = "dovecot-uidlist";
/// What Courier has instead.
pub(super) const COURIER: &str = "courierimapuiddb";
/// A larger file is not one of ours: 10 million messages fit.
const LIMIT: u64 = 1 << 30;
/// So much of a list says how long its lines are.
const SAMPLE: usize = 8 << 10;
/// How far UIDs jump ahead where it is not certain which ones were given.
pub(super) const JUMP: Uid = 1000;

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct UidList {
    pub(super) uid_validity: u32,
    /// Greater than every UID ever given.
    pub(super) uid_next: Uid,
    /// Keys of the first line besides V and N, with their values.
    keys: Vec<String>,
    /// In order of UID.
    pub(super) records: Vec<Record>,
    pub(super) form: Form,
    version: u32,
    /// The file.
    text: Vec<u8>,
}

/// Whether the lists that were read are still those on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lists {
    Same,
    Changed,
}

/// One message's line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) uid: Uid,
    /// Where it begins.
    pub(super) line: u32,
    /// Of the name without flags.
    pub(super) hash: u64,
}

/// What a line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line<'text> {
    pub(super) uid: Uid,
    /// What stands between UID and name.
    pub(super) keys: &'text str,
    /// The name without flags.
    pub(super) base: &'text str,
}

/// A line of a list that is written anew.
#[derive(Debug, Clone, Copy)]
pub(super) enum Row<'names> {
    /// As it was.
    Old(Record),
    /// For a message that has none, with the name without flags.
    New(Uid, &'names str),
}

/// Whether lines can be appended to the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Form {
    /// They can.
    Current,
    /// It is of version 1, is not there yet, or ends within a line: it must be written anew.
    #[default]
    Outdated,
    /// So many lines made no sense: it must be written anew, and the old one kept aside.
    Damaged(usize),
}

impl UidList {
    /// A list without messages.
    pub(super) fn new(uid_validity: u32) -> Self {
        let keys = vec![format!("G{}", guid())];
        Self { uid_validity, uid_next: 1, keys, version: 3, ..Self::default() }
    }

    /// Reads a file; `None` where its first line makes no sense.
    pub(super) fn parse(text: Vec<u8>) -> Option<Self> {
        let whole = text.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
        let torn = whole != text.len();
        let mut lines = text.get(..whole)?.split_inclusive(|b| *b == b'\n');
        let first = lines.next()?;
        let mut list = header(std::str::from_utf8(first).ok()?.trim_end())?;
        let (mut damaged, mut start) = (0, first.len());
        for line in lines {
            match (parse_line(line, list.version), u32::try_from(start)) {
                (Some(parsed), Ok(place)) if list.last() < parsed.uid => {
                    let hash = name::hash(parsed.base);
                    list.records.push(Record { uid: parsed.uid, line: place, hash });
                }
                _ => damaged += 1,
            }
            start += line.len();
        }
        list.uid_next = list.uid_next.max(list.last().saturating_add(1));
        if damaged > 0 {
            list.uid_next = list.uid_next.saturating_add(JUMP);
            list.form = Form::Damaged(damaged);
        } else if torn || list.version == 1 {
            list.form = Form::Outdated;
        }
        list.text = text;
        Some(list)
    }

    /// Makes sure that no UID is given twice though the file is lost: the next write is a whole
    /// one.
    pub(super) fn jump(&mut self, form: Form) {
        self.uid_next = self.uid_next.saturating_add(JUMP);
        self.form = form;
    }

    /// Whether it is written as Courier does it, and Dovecot did.
    pub(super) fn is_first_version(&self) -> bool {
        self.version == 1
    }

    /// The record of a UID.
    pub(super) fn record(&self, uid: Uid) -> Option<&Record> {
        let at = self.records.binary_search_by_key(&uid, |record| record.uid).ok()?;
        self.records.get(at)
    }

    /// Writes the whole file anew, with these lines alone, which are in order of UID. Returns where
    /// each begins.
    pub(super) fn save_with<'names>(
        &self,
        dir: &Dir,
        rows: impl Iterator<Item = Row<'names>>,
    ) -> Result<Vec<u32>, StoreError> {
        let now = stat(dir)?;
        self.save_over(dir, now, rows)?.ok_or_else(|| StoreError::Locked(dir.path().join(FILE)))
    }

    /// The same, if the file still is `old` then; `None` if it is not.
    pub(super) fn save_over<'names>(
        &self,
        dir: &Dir,
        mut old: Option<Stat>,
        rows: impl Iterator<Item = Row<'names>>,
    ) -> Result<Option<Vec<u32>>, StoreError> {
        if matches!(self.form, Form::Damaged(_)) {
            set_aside(dir)?;
            // It has another name now, too.
            old = stat(dir)?;
        }
        let (text, places) = self.text_with(dir, rows)?;
        let is_saved = dir.replace_same(FILE, old, text.as_bytes())?;
        if let Some(old) = old.filter(|_| is_saved) {
            distrusted().remove(&(old.device, old.inode));
        }
        Ok(is_saved.then_some(places))
    }

    fn text_with<'names>(
        &self,
        dir: &Dir,
        rows: impl Iterator<Item = Row<'names>>,
    ) -> Result<(String, Vec<u32>), StoreError> {
        let mut text = format!("3 V{} N{}", self.uid_validity, self.uid_next);
        for key in &self.keys {
            text.push(' ');
            text.push_str(key);
        }
        text.push('\n');
        let mut places = Vec::new();
        for row in rows {
            places.push(place(dir, text.len())?);
            let line = match row {
                Row::New(uid, base) => Some(Line { uid, keys: "", base }),
                Row::Old(record) => self.line(record),
            };
            line.expect("a record is of this text").write(&mut text);
        }
        Ok((text, places))
    }

    /// Writes the whole file anew, without messages.
    pub(super) fn save(&self, dir: &Dir) -> Result<(), StoreError> {
        self.save_with(dir, std::iter::empty()).map(|_| ())
    }

    /// The line of a record.
    pub(super) fn line(&self, record: Record) -> Option<Line<'_>> {
        let rest = self.text.get(usize::try_from(record.line).ok()?..)?;
        let end = rest.iter().position(|b| *b == b'\n')?;
        parse_line(rest.get(..=end)?, self.version)
    }

    fn last(&self) -> Uid {
        self.records.last().map_or(0, |record| record.uid)
    }
}

impl Line<'_> {
    pub(super) fn write(&self, text: &mut String) {
        let space = if self.keys.is_empty() { "" } else { " " };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}{space}{} :{}", self.uid, self.keys, self.base);
    }
}

/// What there is on the disk.
#[derive(Debug)]
pub(super) enum Found {
    /// This.
    List(UidList),
    /// Something whose first line makes no sense.
    Nonsense,
    /// No file.
    Nothing,
}

impl Found {
    /// The list, if there is one.
    pub(super) fn into_list(self) -> Option<UidList> {
        match self {
            Self::List(list) => Some(list),
            Self::Nonsense | Self::Nothing => None,
        }
    }
}

/// Reads the list of a mailbox.
pub(super) fn read(dir: &Dir) -> Result<Found, StoreError> {
    let bytes = disk::found(dir.read(FILE, LIMIT))?;
    let list = |bytes| UidList::parse(bytes).map_or(Found::Nonsense, Found::List);
    Ok(bytes.map_or(Found::Nothing, list))
}

/// Reads that of one that was never ours: Dovecot's, else Courier's.
pub(super) fn read_foreign(dir: &Dir) -> Result<Found, StoreError> {
    let found = read(dir)?;
    if !matches!(found, Found::Nothing) {
        return Ok(found);
    }
    let Some(bytes) = disk::found(dir.read(COURIER, LIMIT))? else { return Ok(Found::Nothing) };
    let list = UidList::parse(bytes);
    if list.is_none() {
        tracing::error!(mailbox = %dir.path().display(), "{COURIER} makes no sense");
    }
    Ok(list.map_or(Found::Nothing, Found::List))
}

/// Whether so many UIDs are left. The highest two are never given: 2^32-1 cannot be counted past.
pub(super) fn has_room(next: Uid, messages: usize) -> bool {
    u32::try_from(messages).is_ok_and(|count| count < (Uid::MAX - 1).saturating_sub(next))
}

/// Makes lines last that were appended without that. The list has changed if it is not there any
/// more: none is made. After an error only [another list](may_not_last) lasts.
pub(super) fn sync(dir: &Dir) -> Result<Lists, StoreError> {
    let Some(mut file) = disk::found(dir.append_existing(FILE))? else { return Ok(Lists::Changed) };
    let list = file.stat()?;
    if may_not_last(Some(list)) {
        let error = io::Error::other("an earlier sync of this file failed");
        return Err(StoreError::system(dir.path().join(FILE), error));
    }
    file.sync().inspect_err(|_| distrust(list))?;
    Ok(Lists::Same)
}

/// The sync of a list failed. The system says that once: what it dropped is read from memory for a
/// while, and syncs of the same file succeed without it.
pub(super) fn distrust(list: Stat) {
    distrusted().insert((list.device, list.inode));
}

/// Whether a sync of this list failed: it is to be written anew before its UIDs are shown.
pub(super) fn may_not_last(list: Option<Stat>) -> bool {
    list.is_some_and(|list| distrusted().contains(&(list.device, list.inode)))
}

/// The lists of all mailboxes whose sync failed, by device and inode: a session that was told of the
/// error ends, and all that is known of its mailbox may go with it.
fn distrusted() -> MutexGuard<'static, BTreeSet<(u64, u64)>> {
    static ALL: Mutex<BTreeSet<(u64, u64)>> = Mutex::new(BTreeSet::new());
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// About how many lines a list of this size has, told from its end; exactly if it is small.
pub(super) fn count_lines(dir: &Dir, size: u64) -> Result<usize, StoreError> {
    let mut end = vec![0; SAMPLE];
    let from = size.saturating_sub(SAMPLE as u64);
    let file = dir.file(FILE)?;
    let error = |error| DiskError::new(dir.path().join(FILE), error);
    let count = disk::read_at(&file, &mut end, from).map_err(error)?;
    let end = end.get(..count).unwrap_or_default();
    let lines = end.iter().filter(|b| **b == b'\n').count() as u64;
    let all = size.saturating_mul(lines) / (count as u64).max(1);
    Ok(usize::try_from(all).unwrap_or(usize::MAX).saturating_sub(1))
}

/// What tells one state of the file from another; `None`: there is none.
pub(super) fn stat(dir: &Dir) -> Result<Option<Stat>, StoreError> {
    Ok(disk::found(dir.stat(FILE))?)
}

/// Keeps a damaged file under another name, for whoever wants to look at it.
pub(super) fn set_aside(dir: &Dir) -> Result<(), StoreError> {
    let aside = format!("{FILE}.damaged-{}", crate::time::now_micros());
    disk::found(dir.link(FILE, dir, &aside))?;
    let path = dir.path().display().to_string();
    tracing::error!(mailbox = path, "{FILE} is damaged; it was kept as {aside}");
    Ok(())
}

/// A line, with its end.
pub(super) fn parse_line(line: &[u8], version: u32) -> Option<Line<'_>> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let (uid, rest) = line.split_once(' ')?;
    let uid = uid.parse().ok()?;
    let (keys, name) = match (version, rest.strip_prefix(':')) {
        (1, _) => ("", rest),
        (_, Some(name)) => ("", name),
        _ => rest.split_once(" :")?,
    };
    let base = name::base(name);
    let sound = !base.is_empty() && !base.contains(['/', '\0']) && uid > 0 && uid < Uid::MAX;
    sound.then_some(Line { uid, keys, base })
}

/// An octet's place in the file.
pub(super) fn place(dir: &Dir, octets: usize) -> Result<u32, StoreError> {
    u32::try_from(octets).map_err(|_| StoreError::Damaged {
        path: dir.path().join(FILE),
        what: "it is longer than 4 GiB".to_owned(),
    })
}

fn header(line: &str) -> Option<UidList> {
    let mut words = line.split(' ');
    let version = words.next()?.parse().ok()?;
    let mut list = UidList { uid_next: 1, form: Form::Current, version, ..UidList::default() };
    match version {
        1 => {
            list.uid_validity = words.next()?.parse().ok()?;
            list.uid_next = words.next()?.parse().ok()?;
            list.keys.push(format!("G{}", guid()));
        }
        3 => words.filter(|word| !word.is_empty()).try_for_each(|word| {
            match (word.strip_prefix('V'), word.strip_prefix('N')) {
                (Some(value), _) => list.uid_validity = value.parse().ok()?,
                (_, Some(value)) => list.uid_next = value.parse().ok()?,
                _ => list.keys.push(word.to_owned()),
            }
            Some(())
        })?,
        _ => return None,
    }
    list.uid_next = list.uid_next.max(1);
    (list.uid_validity != 0).then_some(list)
}

fn guid() -> String {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system's random numbers never end");
    bytes.iter().fold(String::with_capacity(32), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::super::new_lines::NewLines;
    use super::*;
    use crate::disk::Lasting;

    /// UID, keys and name.
    type Row = (Uid, String, String);

    fn seen(bytes: &[u8]) -> Option<(Vec<Row>, Uid, Form)> {
        let list = UidList::parse(bytes.to_vec())?;
        let row = |record: &Record| {
            let line = list.line(*record).unwrap();
            assert_eq!((line.uid, name::hash(line.base)), (record.uid, record.hash));
            (record.uid, line.keys.to_owned(), line.base.to_owned())
        };
        Some((list.records.iter().map(row).collect(), list.uid_next, list.form))
    }

    #[test]
    fn reads_both_versions() {
        let row = |uid, keys: &str, base: &str| (uid, keys.to_owned(), base.to_owned());
        let table: [(&str, Vec<Row>, Uid, Form); 8] = [
            ("3 V7 N1 Gabc\n", vec![], 1, Form::Current),
            ("3 V7 N1 Gabc\n4 :a.b\n", vec![row(4, "", "a.b")], 5, Form::Current),
            ("3 V7 N9 Gabc X1\n4 W12 S3 :a.b\n", vec![row(4, "W12 S3", "a.b")], 9, Form::Current),
            ("3 V7 N1\n4 :a :b\n", vec![row(4, "", "a ")], 5, Form::Current),
            ("1 7 9\n3 a.b\n", vec![row(3, "", "a.b")], 9, Form::Outdated),
            ("3 V7 N1\n4 :a\n5 :b", vec![row(4, "", "a")], 5, Form::Outdated),
            (
                "3 V7 N1\n4 :a\nx\n5 :b\n",
                vec![row(4, "", "a"), row(5, "", "b")],
                1006,
                Form::Damaged(1),
            ),
            ("3 V7 N1\n4 :a\n4 :b\n", vec![row(4, "", "a")], 1005, Form::Damaged(1)),
        ];
        for (text, records, next, form) in table {
            assert_eq!(seen(text.as_bytes()), Some((records, next, form)), "{text:?}");
        }
    }

    #[test]
    fn nonsense_is_no_list() {
        for text in
            ["", "\n", "3\n", "3 V0 N1\n", "3 Vx\n", "2 V1 N1\n", "3 V7 N1", "1 7\n", "\0\0\0\0"]
        {
            assert_eq!(seen(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn a_list_that_is_gone_is_not_made_by_who_syncs_it() {
        let directory = tempfile::tempdir().unwrap();
        let dir = Dir::open(directory.path()).unwrap();
        assert_eq!(sync(&dir).unwrap(), Lists::Changed);
        assert_eq!(stat(&dir).unwrap(), None);
        UidList::new(7).save(&dir).unwrap();
        assert_eq!(sync(&dir).unwrap(), Lists::Same);
    }

    #[test]
    fn what_others_wrote_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let dir = Dir::open(directory.path()).unwrap();
        let text = "3 V7 N1 Gabc Pfoo Xbar\n4 W12 G3 :a.b\n5 :c\n";
        let list = UidList::parse(text.as_bytes().to_vec()).unwrap();
        let rows = list.records.iter().map(|record| super::Row::Old(*record));
        let places = list.save_with(&dir, rows.chain([super::Row::New(6, "d")])).unwrap();
        let written = "3 V7 N6 Gabc Pfoo Xbar\n4 W12 G3 :a.b\n5 :c\n6 :d\n";
        assert_eq!(dir.read(FILE, 1000).unwrap(), written.as_bytes());
        let mut lines = NewLines::default();
        lines.push(7, "e");
        lines.push(8, "f");
        let more = lines.save(&dir, Lasting::Yes).unwrap();
        let text = dir.read(FILE, 1000).unwrap();
        assert_eq!(text, format!("{written}7 :e\n8 :f\n").as_bytes());
        let list = UidList::parse(text).unwrap();
        let all: Vec<u32> = list.records.iter().map(|record| record.line).collect();
        assert_eq!(all, [places, more].concat());
    }
}
