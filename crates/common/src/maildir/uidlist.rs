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

use std::fmt::Write as _;

use mail_proto::mailbox::Uid;

use crate::disk::{Dir, Stat};

use super::StoreError;

/// The file.
pub(super) const FILE: &str = "dovecot-uidlist";
/// What Courier has instead.
pub(super) const COURIER: &str = "courierimapuiddb";
/// A larger file is not one of ours: 10 million messages fit.
const LIMIT: u64 = 1 << 30;
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
}

/// One message's line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) uid: Uid,
    /// What stands between UID and name.
    keys: Box<str>,
    /// The name without flags.
    pub(super) base: Box<str>,
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
        let guid = format!("G{}", guid());
        Self {
            uid_validity,
            uid_next: 1,
            keys: vec![guid],
            records: Vec::new(),
            form: Form::Outdated,
        }
    }

    /// Reads a file; `None` where its first line makes no sense.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
        let torn = whole != bytes.len();
        let mut lines = bytes.get(..whole)?.split_inclusive(|b| *b == b'\n');
        let first = std::str::from_utf8(lines.next()?).ok()?.trim_end();
        let (mut list, version) = header(first)?;
        let mut damaged = 0;
        for line in lines {
            let record = std::str::from_utf8(line).ok().and_then(|line| record(line, version));
            match record {
                Some(record) if list.last() < record.uid => list.records.push(record),
                _ => damaged += 1,
            }
        }
        list.uid_next = list.uid_next.max(list.last().saturating_add(1));
        if damaged > 0 {
            list.uid_next = list.uid_next.saturating_add(JUMP);
            list.form = Form::Damaged(damaged);
        } else if torn || version == 1 {
            list.form = Form::Outdated;
        }
        Some(list)
    }

    /// Takes a new message in. The caller made sure that UIDs are left.
    pub(super) fn add(&mut self, base: &str) -> Uid {
        let uid = self.uid_next;
        self.records.push(Record { uid, keys: "".into(), base: base.into() });
        self.uid_next += 1;
        uid
    }

    /// Leaves out all lines but those of the given UIDs, which are in order.
    pub(super) fn keep_only(&mut self, uids: impl Iterator<Item = Uid>) {
        let mut uids = uids.peekable();
        self.records.retain(|record| uids.next_if(|uid| *uid == record.uid).is_some());
    }

    /// Makes sure that no UID is given twice though the file is lost: the next write is a whole
    /// one.
    pub(super) fn jump(&mut self, form: Form) {
        self.uid_next = self.uid_next.saturating_add(JUMP);
        self.form = form;
    }

    /// Whether so many UIDs are left. The highest two are never given: 2^32-1 cannot be counted
    /// past.
    pub(super) fn has_room(&self, messages: usize) -> bool {
        u32::try_from(messages)
            .is_ok_and(|count| count < (Uid::MAX - 1).saturating_sub(self.uid_next))
    }

    /// Makes the last `count` records last: appended where that is possible.
    pub(super) fn save_new(&mut self, dir: &Dir, count: usize) -> Result<(), StoreError> {
        if self.form != Form::Current {
            return self.save(dir);
        }
        let mut lines = String::new();
        for record in self.records.iter().skip(self.records.len() - count) {
            record.write(&mut lines);
        }
        let mut file = dir.append(FILE)?;
        let length = file.length()?;
        let written = file.write(lines.as_bytes()).and_then(|()| file.sync());
        if written.is_err() {
            // Half a line would spoil the next one, and a whole one that is not on the disk would
            // be shown to clients. Where even this fails, the next reader sees a line without an
            // end, or one that a power cut may take back.
            let _ = file.cut(length);
        }
        Ok(written?)
    }

    /// Writes the whole file anew.
    pub(super) fn save(&mut self, dir: &Dir) -> Result<(), StoreError> {
        if matches!(self.form, Form::Damaged(_)) {
            set_aside(dir)?;
        }
        let mut text = format!("3 V{} N{}", self.uid_validity, self.uid_next);
        for key in &self.keys {
            text.push(' ');
            text.push_str(key);
        }
        text.push('\n');
        for record in &self.records {
            record.write(&mut text);
        }
        dir.replace_newer(FILE, text.as_bytes())?;
        self.form = Form::Current;
        Ok(())
    }

    fn last(&self) -> Uid {
        self.records.last().map_or(0, |record| record.uid)
    }
}

impl Record {
    fn write(&self, text: &mut String) {
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

/// Reads the list of a mailbox: Dovecot's, else Courier's.
pub(super) fn read(dir: &Dir) -> Result<Found, StoreError> {
    match dir.read(FILE, LIMIT) {
        Ok(bytes) => return Ok(UidList::parse(&bytes).map_or(Found::Nonsense, Found::List)),
        Err(error) if error.is_missing() => {}
        Err(error) => return Err(error.into()),
    }
    match dir.read(COURIER, LIMIT) {
        Ok(bytes) => Ok(UidList::parse(&bytes).map_or(Found::Nothing, Found::List)),
        Err(error) if error.is_missing() => Ok(Found::Nothing),
        Err(error) => Err(error.into()),
    }
}

/// What tells one state of the file from another; `None`: there is none.
pub(super) fn stat(dir: &Dir) -> Result<Option<Stat>, StoreError> {
    match dir.stat(FILE) {
        Ok(stat) => Ok(Some(stat)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Keeps a damaged file under another name, for whoever wants to look at it.
pub(super) fn set_aside(dir: &Dir) -> Result<(), StoreError> {
    let aside = format!("{FILE}.damaged-{}", crate::time::now_micros());
    match dir.link(FILE, dir, &aside) {
        Err(error) if !error.is_missing() => return Err(error.into()),
        _ => {}
    }
    let path = dir.path().display().to_string();
    tracing::error!(mailbox = path, "{FILE} is damaged; it was kept as {aside}");
    Ok(())
}

fn header(line: &str) -> Option<(UidList, u32)> {
    let mut words = line.split(' ');
    let version = words.next()?.parse().ok()?;
    let mut list = UidList {
        uid_validity: 0,
        uid_next: 1,
        keys: Vec::new(),
        records: Vec::new(),
        form: Form::Current,
    };
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
    (list.uid_validity != 0).then_some((list, version))
}

fn record(line: &str, version: u32) -> Option<Record> {
    let line = line.strip_suffix('\n')?;
    let (uid, rest) = line.split_once(' ')?;
    let uid = uid.parse().ok()?;
    let (keys, name) = match (version, rest.strip_prefix(':')) {
        (1, _) => ("", rest),
        (_, Some(name)) => ("", name),
        _ => rest.split_once(" :")?,
    };
    let base = super::name::base(name);
    let sound = !base.is_empty() && !base.contains(['/', '\0']) && uid > 0 && uid < Uid::MAX;
    sound.then(|| Record { uid, keys: keys.into(), base: base.into() })
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
    use super::*;

    /// UID, keys and name.
    type Row = (Uid, String, String);

    fn seen(bytes: &[u8]) -> Option<(Vec<Row>, Uid, Form)> {
        let list = UidList::parse(bytes)?;
        let row = |r: &Record| (r.uid, r.keys.to_string(), r.base.to_string());
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
    fn what_others_wrote_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let dir = Dir::open(directory.path()).unwrap();
        let text = "3 V7 N1 Gabc Pfoo Xbar\n4 W12 G3 :a.b\n5 :c\n";
        let mut list = UidList::parse(text.as_bytes()).unwrap();
        list.save(&dir).unwrap();
        let written = "3 V7 N6 Gabc Pfoo Xbar\n4 W12 G3 :a.b\n5 :c\n";
        assert_eq!(dir.read(FILE, 1000).unwrap(), written.as_bytes());
        assert_eq!(list.add("d"), 6);
        list.save_new(&dir, 1).unwrap();
        assert_eq!(dir.read(FILE, 1000).unwrap(), format!("{written}6 :d\n").as_bytes());
    }
}
