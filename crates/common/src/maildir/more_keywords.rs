//! `posthorn.keywords`: the keywords for which there is no letter in a file's name.
//!
//! Names of files have room for 26 keywords, and the numbers of those are in `dovecot-keywords`.
//! The next 38 are bits 26 to 63 of [`Flags::keywords`](mail_proto::mailbox::Flags::keywords);
//! what they are called and which message has which is in this file alone. It is as true as the
//! names of files are: an index that is lost is made from both.
//!
//! Text, in lines:
//!
//! ```text
//! 1 V1795375039 M116
//! K 26 $Forwarded
//! M 17 26,30
//! N 21 FSa
//! ```
//!
//! The first line has the file's version, the UIDVALIDITY that the UIDs are of, and, if clients saw
//! modseqs of another server, a modseq that none of those is above. `K` names a bit,
//! `M` says all that a message has (nothing after the UID: none), `N` what its file's name is yet to
//! say, for it could not be renamed when the mailbox was taken over; of several that speak of the
//! same the last one counts. Changes are appended; when more than half of the lines count no more, the
//! file is written anew. A last line without an end was being written when the power went, and
//! counts for nothing; so does one that makes no sense, which is reported.
//!
//! That the file is there also says that what Dovecot and Courier knew was imported: it is written
//! when that is done, though it may have nothing to say, and later their files are older than ours.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use mail_proto::mailbox::{Flags, Uid};

use crate::disk::{self, Dir, Lasting};

use super::keywords::{Room, is_keyword};
use super::scan::{MessageFile, Place};
use super::tail::Tail;
use super::{StoreError, tail};

/// The file.
pub(super) const FILE: &str = "posthorn.keywords";
/// The first bit; those below have letters.
pub(super) const FIRST: usize = tail::LETTER_COUNT;
/// One more than the last bit.
pub(super) const END: usize = 64;
/// A larger file is not one of ours: ten million messages fit.
const LIMIT: u64 = 1 << 29;
/// Fewer lines are not worth writing anew.
const FEW_LINES: usize = 64;

/// What the file says.
#[derive(Debug)]
pub(super) struct MoreKeywords {
    /// The messages are of this one.
    pub(super) uid_validity: u32,
    /// Clients of the server before us saw none above this.
    pub(super) modseq: u64,
    names: [Option<String>; END - FIRST],
    /// The bits of the messages that have any.
    messages: BTreeMap<Uid, u64>,
    /// The flags that names of files are yet to say.
    waiting: BTreeMap<Uid, Flags>,
    /// In the file, the first one not counted.
    lines: usize,
    form: Form,
}

/// Whether lines can be appended to the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// They can.
    Current,
    /// It is not there yet, or ends within a line: it must be written anew.
    Outdated,
}

impl MoreKeywords {
    /// No keywords.
    pub(super) fn new(uid_validity: u32) -> Self {
        Self {
            uid_validity,
            modseq: 0,
            names: [const { None }; END - FIRST],
            messages: BTreeMap::new(),
            waiting: BTreeMap::new(),
            lines: 0,
            form: Form::Outdated,
        }
    }

    /// Reads the file of a mailbox; `None` where there is none of this UIDVALIDITY.
    pub(super) fn read(dir: &Dir, uid_validity: u32) -> Result<Option<Self>, StoreError> {
        let path = dir.path().display();
        let Some(bytes) = disk::found(dir.read(FILE, LIMIT))? else { return Ok(None) };
        match Self::parse(&bytes) {
            Some((read, damaged)) if read.uid_validity == uid_validity => {
                if damaged > 0 {
                    tracing::error!(mailbox = %path, damaged, "lines of {FILE} make no sense");
                }
                Ok(Some(read))
            }
            Some(_) => Ok(None),
            None => {
                tracing::error!(mailbox = %path, "{FILE} makes no sense");
                Ok(None)
            }
        }
    }

    /// Reads a file, and says how many lines make no sense; `None` if the first one does not.
    pub(super) fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
        let mut lines = bytes.get(..whole)?.split(|b| *b == b'\n');
        let first = std::str::from_utf8(lines.next()?).ok()?;
        let (uid_validity, modseq) = first.split_once(" M").unwrap_or((first, "0"));
        let mut read = Self::new(uid_validity.strip_prefix("1 V")?.parse().ok()?);
        read.modseq = modseq.parse().ok()?;
        if whole == bytes.len() {
            read.form = Form::Current;
        }
        let mut damaged = 0;
        for line in lines.filter(|line| !line.is_empty()) {
            read.lines += 1;
            if std::str::from_utf8(line).ok().and_then(|line| read.line(line)).is_none() {
                damaged += 1;
            }
        }
        Some((read, damaged))
    }

    /// The keyword of a bit.
    pub(super) fn name(&self, bit: usize) -> Option<&str> {
        self.names.get(bit.checked_sub(FIRST)?)?.as_deref()
    }

    /// The bit of a keyword; case does not count (RFC 9051, 2.3.2).
    pub(super) fn bit(&self, keyword: &str) -> Option<usize> {
        let same = |name: &Option<String>| {
            name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(keyword))
        };
        self.names.iter().position(same).map(|place| FIRST + place)
    }

    /// The keywords of a message, as bits.
    pub(super) fn of(&self, uid: Uid) -> u64 {
        self.messages.get(&uid).copied().unwrap_or_default()
    }

    /// Gives keywords bits that are not among `taken`; where all have names, those that are not
    /// taken get other ones. Returns the bits, and the keywords for which there is no room or which
    /// cannot be keywords; then, if all were wanted, none is given any. To last, it needs a
    /// [`save`](Self::save), before any message gets them.
    pub(super) fn give_all<'k>(
        &mut self,
        keywords: &[&'k str],
        taken: u64,
        room: Room,
    ) -> (u64, Vec<&'k str>) {
        let before = self.names.clone();
        let known = keywords.iter().filter_map(|keyword| self.bit(keyword));
        let taken = known.fold(taken, |taken, bit| taken | 1 << bit);
        let (mut bits, mut left) = (0, Vec::new());
        for keyword in keywords {
            match self.give(keyword, taken | bits) {
                Some(bit) => bits |= 1 << bit,
                None => left.push(*keyword),
            }
        }
        if room == Room::ForAll && !left.is_empty() {
            self.names = before;
            return (0, left);
        }
        (bits, left)
    }

    fn give(&mut self, keyword: &str, taken: u64) -> Option<usize> {
        if let Some(known) = self.bit(keyword) {
            return Some(known);
        }
        if !is_keyword(keyword) {
            return None;
        }
        let mut free = (FIRST..END).filter(|bit| taken & (1 << bit) == 0);
        let nameless = free.clone().find(|bit| self.name(*bit).is_none());
        let bit = nameless.or_else(|| free.next())?;
        *self.names.get_mut(bit - FIRST)? = Some(keyword.to_owned());
        Some(bit)
    }

    /// Calls a bit so, as another file does.
    pub(super) fn call(&mut self, bit: usize, keyword: &str) {
        let place = bit.checked_sub(FIRST).and_then(|place| self.names.get_mut(place));
        if let Some(place) = place.filter(|_| is_keyword(keyword)) {
            *place = Some(keyword.to_owned());
        }
    }

    /// Whether there is nothing to say.
    pub(super) fn is_empty(&self) -> bool {
        self.needed() == 0
    }

    /// Whether the file says it all, and lines can be appended.
    pub(super) fn is_written(&self) -> bool {
        self.form == Form::Current
    }

    /// Whether it says anything of messages.
    pub(super) fn has_messages(&self) -> bool {
        !self.messages.is_empty() || !self.waiting.is_empty()
    }

    /// The flags that names of files are yet to say, without keywords that have no letter.
    pub(super) fn waiting(&self) -> &BTreeMap<Uid, Flags> {
        &self.waiting
    }

    /// A name is yet to say these flags.
    pub(super) fn wait(&mut self, uid: Uid, flags: Flags) {
        self.waiting.insert(uid, flags);
    }

    /// These names say all that they are to say.
    pub(super) fn end_waiting(&mut self, dir: &Dir, named: &[Uid]) -> Result<(), StoreError> {
        let before = self.waiting.len();
        self.waiting.retain(|uid, _| !named.contains(uid));
        if self.waiting.len() == before {
            return Ok(());
        }
        self.save(dir)
    }

    /// As [`set`](Self::set), for one message and without writing it down.
    pub(super) fn put(&mut self, uid: Uid, bits: u64) {
        let bits = bits >> FIRST << FIRST;
        if bits == 0 {
            self.messages.remove(&uid);
        } else {
            self.messages.insert(uid, bits);
        }
    }

    /// Gives messages these bits and no others. The caller holds the mailbox's lock.
    pub(super) fn set(
        &mut self,
        dir: &Dir,
        changes: &[(Uid, u64)],
        lasting: Lasting,
    ) -> Result<(), StoreError> {
        let (mut text, mut before) = (String::new(), Vec::new());
        for (uid, bits) in changes {
            let old = self.of(*uid);
            if old != *bits {
                message(&mut text, *uid, *bits);
                before.push((*uid, old));
                self.put(*uid, *bits);
            }
        }
        if before.is_empty() {
            return Ok(());
        }
        let written = self.write(dir, &text, before.len(), lasting);
        if written.is_err() {
            before.iter().rev().for_each(|(uid, bits)| self.put(*uid, *bits));
        }
        written
    }

    /// Forgets messages that are gone, and writes the file anew if it is for the most part about
    /// such. The caller holds the mailbox's lock.
    pub(super) fn keep_only(
        &mut self,
        dir: &Dir,
        lives: impl Fn(Uid) -> bool,
    ) -> Result<(), StoreError> {
        self.messages.retain(|uid, _| lives(*uid));
        self.waiting.retain(|uid, _| lives(*uid));
        if self.lines > FEW_LINES && self.lines > 2 * self.needed() {
            return self.save(dir);
        }
        Ok(())
    }

    /// Writes the whole file anew.
    pub(super) fn save(&mut self, dir: &Dir) -> Result<(), StoreError> {
        let mut text = format!("1 V{}", self.uid_validity);
        if self.modseq > 0 {
            let _ = write!(text, " M{}", self.modseq);
        }
        text.push('\n');
        for (place, name) in self.names.iter().enumerate() {
            if let Some(name) = name {
                let _ = writeln!(text, "K {} {name}", FIRST + place);
            }
        }
        for (uid, bits) in &self.messages {
            message(&mut text, *uid, *bits);
        }
        for (uid, flags) in &self.waiting {
            name(&mut text, *uid, *flags);
        }
        dir.replace_newer(FILE, text.as_bytes())?;
        (self.lines, self.form) = (self.needed(), Form::Current);
        Ok(())
    }

    fn needed(&self) -> usize {
        self.names.iter().flatten().count() + self.messages.len() + self.waiting.len()
    }

    /// Writes down changes that were just made.
    fn write(
        &mut self,
        dir: &Dir,
        text: &str,
        lines: usize,
        lasting: Lasting,
    ) -> Result<(), StoreError> {
        if self.form == Form::Outdated {
            // Without the half of a line at its end, and with these changes.
            return self.save(dir);
        }
        let mut file = dir.append(FILE)?;
        let length = file.length()?;
        if let Err(not_added) = file.add(text.as_bytes(), length, lasting) {
            // Half a line would spoil the next one.
            if not_added.cut.is_err() {
                self.form = Form::Outdated;
            }
            return Err(not_added.error.into());
        }
        self.lines += lines;
        Ok(())
    }

    /// Takes a line in; `None` if it makes no sense.
    fn line(&mut self, line: &str) -> Option<()> {
        let (kind, rest) = line.split_once(' ')?;
        let (number, rest) = rest.split_once(' ')?;
        match kind {
            "K" => {
                let place = number.parse::<usize>().ok()?.checked_sub(FIRST)?;
                let name = Some(rest).filter(|name| is_keyword(name))?;
                *self.names.get_mut(place)? = Some(name.to_owned());
            }
            "M" => {
                let uid = number.parse().ok().filter(|uid| *uid > 0)?;
                let bits = rest.split(',').filter(|bit| !bit.is_empty());
                let bit = |bit: &str| bit.parse().ok().filter(|bit| (FIRST..END).contains(bit));
                let mut bits = bits.map(|number| Some(1 << bit(number)?));
                let bits = bits.try_fold(0, |all, bit: Option<u64>| Some(all | bit?))?;
                self.put(uid, bits);
            }
            "N" => {
                let uid = number.parse().ok().filter(|uid| *uid > 0)?;
                let (flags, plain) = Tail::of(Place::Cur, &format!(":2,{rest}"));
                self.wait(uid, Some(flags).filter(|_| plain == Tail::Plain)?);
            }
            _ => return None,
        }
        Some(())
    }
}

fn message(text: &mut String, uid: Uid, bits: u64) {
    // Writing to a String cannot fail.
    let _ = write!(text, "M {uid} ");
    let mut comma = "";
    for bit in (FIRST..END).filter(|bit| bits & (1 << bit) != 0) {
        let _ = write!(text, "{comma}{bit}");
        comma = ",";
    }
    text.push('\n');
}

fn name(text: &mut String, uid: Uid, flags: Flags) {
    let mut named = MessageFile::default();
    Tail::Plain.locate("", flags, &mut named);
    let _ = writeln!(text, "N {uid} {}", named.name.trim_start_matches(":2,"));
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn temporary() -> (tempfile::TempDir, Dir) {
        let directory = tempfile::tempdir().unwrap();
        let dir = Dir::open(directory.path()).unwrap();
        (directory, dir)
    }

    fn text(dir: &Dir) -> String {
        String::from_utf8(dir.read(FILE, LIMIT).unwrap()).unwrap()
    }

    type Names<'n> = Vec<(usize, &'n str)>;
    type Messages = Vec<(Uid, u64)>;

    fn read(dir: &Dir) -> MoreKeywords {
        MoreKeywords::read(dir, 7).unwrap().unwrap()
    }

    fn messages(file: &MoreKeywords) -> Messages {
        file.messages.iter().map(|(uid, bits)| (*uid, *bits)).collect()
    }

    fn said(file: &MoreKeywords) -> (Names<'_>, Messages) {
        let names = (0..END).filter_map(|bit| Some((bit, file.name(bit)?)));
        (names.collect(), messages(file))
    }

    fn add(file: &mut MoreKeywords, dir: &Dir, keyword: &str) -> Option<usize> {
        let used = file.messages.values().fold(0, |used, bits| used | bits);
        let (bits, left) = file.give_all(&[keyword], used, Room::ForAll);
        file.save(dir).unwrap();
        left.is_empty().then(|| usize::try_from(bits.trailing_zeros()).unwrap())
    }

    #[test]
    fn lines_are_read() {
        let both: u64 = 1 << 26 | 1 << 63;
        let table: [(&str, Option<&str>, Messages, usize); 14] = [
            ("1 V7\n", None, vec![], 0),
            ("1 V7\nK 26 one\nM 3 26,63\n", Some("one"), vec![(3, both)], 0),
            ("1 V7\nM 3 26,63\nM 3 26\n", None, vec![(3, 1 << 26)], 0),
            ("1 V7\nM 3 26,63\nM 3 \n", None, vec![], 0),
            ("1 V7\nK 26 one\nK 26 two\n", Some("two"), vec![], 0),
            ("1 V7\nK 26 one\nM 3 26,6", Some("one"), vec![], 0),
            ("1 V7\nM 3 26\nM 3 25\nM 3 64\nM 3 x\nM 3\n", None, vec![(3, 1 << 26)], 4),
            ("1 V7\nM 0 26\nM 4294967296 26\nM -1 26\n", None, vec![], 3),
            ("1 V7\nK 25 one\nK 64 one\nK 26 a b\nK 26 \n", None, vec![], 4),
            ("1 V7\nK 26 a\0b\nnonsense\nX 1 2\n", None, vec![], 3),
            ("1 V7\n\n\nM 3 26\n", None, vec![(3, 1 << 26)], 0),
            ("1 V7\nM 1 26,26,26\n", None, vec![(1, 1 << 26)], 0),
            ("1 V7\nM 1 ,26,\n", None, vec![(1, 1 << 26)], 0),
            ("1 V7\nm 1 26\n", None, vec![], 1),
        ];
        for (text, name, messages, damaged) in table {
            let (file, wrong) = MoreKeywords::parse(text.as_bytes()).unwrap();
            assert_eq!(file.uid_validity, 7);
            assert_eq!((file.name(26), wrong), (name, damaged), "{text:?}");
            assert_eq!(self::messages(&file), messages, "{text:?}");
        }
        for text in [
            "",
            "\n",
            "1",
            "1 V7",
            "2 V7\n",
            "1 Vx\n",
            "1 V\n",
            "V7\n",
            "1  V7\n",
            "1 V7 Mx\n",
            "1 V7 X\n",
        ] {
            assert!(MoreKeywords::parse(text.as_bytes()).is_none(), "{text:?}");
        }
    }

    #[test]
    fn changes_are_appended() {
        let (_directory, dir) = temporary();
        assert!(MoreKeywords::read(&dir, 7).unwrap().is_none());
        let mut file = MoreKeywords::new(7);
        assert_eq!(add(&mut file, &dir, "one"), Some(26));
        assert_eq!(add(&mut file, &dir, "ONE"), Some(26));
        assert_eq!(add(&mut file, &dir, "a b"), None);
        assert_eq!(add(&mut file, &dir, "two"), Some(27));
        file.set(&dir, &[(1, 1 << 26), (2, 1 << 26 | 1 << 27)], Lasting::Yes).unwrap();
        file.set(&dir, &[(1, 1 << 26), (2, 0)], Lasting::No).unwrap();
        let expected = "1 V7\nK 26 one\nK 27 two\nM 1 26\nM 2 26,27\nM 2 \n";
        assert_eq!(text(&dir), expected);
        assert_eq!((file.of(1), file.of(2)), (1 << 26, 0));
        assert_eq!(said(&read(&dir)), said(&file));
        assert!(MoreKeywords::read(&dir, 8).unwrap().is_none());
        file.modseq = 116;
        file.save(&dir).unwrap();
        assert!(text(&dir).starts_with("1 V7 M116\nK 26 one\n"));
        assert_eq!(said(&read(&dir)), said(&file));
    }

    #[test]
    fn a_torn_line_is_cut_off_before_the_next_one() {
        let (_directory, dir) = temporary();
        dir.replace(FILE, b"1 V7\nM 1 26\nM 2 2").unwrap();
        let mut file = MoreKeywords::read(&dir, 7).unwrap().unwrap();
        file.set(&dir, &[(3, 1 << 63)], Lasting::Yes).unwrap();
        assert_eq!(text(&dir), "1 V7\nM 1 26\nM 3 63\n");
        file.set(&dir, &[(1, 0)], Lasting::Yes).unwrap();
        assert_eq!(text(&dir), "1 V7\nM 1 26\nM 3 63\nM 1 \n");
    }

    #[test]
    fn a_file_of_stale_lines_is_written_anew() {
        let (_directory, dir) = temporary();
        let mut file = MoreKeywords::new(7);
        add(&mut file, &dir, "one");
        for uid in 1..=100 {
            file.set(&dir, &[(uid, 1 << 26)], Lasting::No).unwrap();
        }
        file.keep_only(&dir, |uid| uid > 49).unwrap();
        assert_eq!(text(&dir).lines().count(), 102, "not stale enough");
        file.keep_only(&dir, |uid| uid > 60).unwrap();
        assert_eq!(text(&dir).lines().count(), 42);
        assert_eq!(said(&read(&dir)), said(&file));
    }

    #[test]
    fn bits_are_used_again() {
        let (_directory, dir) = temporary();
        let mut file = MoreKeywords::new(7);
        for number in 0..38 {
            assert_eq!(add(&mut file, &dir, &format!("k{number}")), Some(26 + number));
        }
        file.set(&dir, &[(1, u64::MAX << 26 & !(1 << 40))], Lasting::No).unwrap();
        assert_eq!(add(&mut file, &dir, "late"), Some(40));
        assert_eq!(file.bit("k14"), None);
        file.set(&dir, &[(2, 1 << 40)], Lasting::No).unwrap();
        assert_eq!(add(&mut file, &dir, "too-late"), None);
        assert_eq!(said(&read(&dir)), said(&file));
    }

    #[test]
    fn what_is_refused_uses_up_nothing() {
        let (_directory, dir) = temporary();
        let mut file = MoreKeywords::new(7);
        let many: Vec<String> = (0..39).map(|number| format!("k{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(file.give_all(&many, 0, Room::ForAll), (0, vec!["k38"]));
        assert!(file.is_empty());
        let all = u64::MAX << FIRST;
        assert_eq!(file.give_all(&many, 0, Room::ForSome), (all, vec!["k38"]));
        assert_eq!(
            file.give_all(&["k38", "K0"], all & !(3 << 26), Room::ForAll),
            (3 << 26, vec![])
        );
        assert_eq!((file.name(26), file.name(27)), (Some("k0"), Some("k38")));
        file.save(&dir).unwrap();
        assert_eq!(said(&read(&dir)), said(&file));
    }

    #[test]
    fn names_that_wait_are_kept() {
        let (_directory, dir) = temporary();
        let text = "1 V7\nM 1 26\nN 1 FSaz\nN 3 \n";
        dir.replace(FILE, text.as_bytes()).unwrap();
        let mut file = read(&dir);
        let named = Flags { system: Flags::FLAGGED | Flags::SEEN, keywords: 1 << 25 | 1 };
        assert_eq!(file.waiting().iter().next(), Some((&1, &named)));
        file.save(&dir).unwrap();
        assert_eq!(self::text(&dir), text);
        file.end_waiting(&dir, &[1, 2]).unwrap();
        assert_eq!(self::text(&dir), "1 V7\nM 1 26\nN 3 \n");
        let (_, damaged) = MoreKeywords::parse(b"1 V7\nN 1 x:2\nN 0 S\nN 2\nN 2 SF\n").unwrap();
        assert_eq!(damaged, 4);
    }

    /// Something that happens.
    #[derive(Debug, Clone)]
    enum Step {
        Add(u8),
        Set(Vec<(Uid, u64)>),
        Keep(Uid),
        Save,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let bits = any::<u64>().prop_map(|bits| bits << FIRST);
        let bits = prop_oneof![Just(0), Just(1 << 26), bits];
        let step = prop_oneof![
            3 => any::<u8>().prop_map(Step::Add),
            8 => prop::collection::vec((1..20_u32, bits), 0..4).prop_map(Step::Set),
            1 => (1..20_u32).prop_map(Step::Keep),
            1 => Just(Step::Save),
        ];
        prop::collection::vec(step, 0..40)
    }

    proptest! {
        #[test]
        fn a_cut_leaves_what_was_said_before_it(
            steps in steps(),
            cut in any::<prop::sample::Index>(),
        ) {
            let (_directory, dir) = temporary();
            let mut file = MoreKeywords::new(7);
            // Messages below are gone, and no UID comes back.
            let mut floor = 0;
            for step in steps {
                match step {
                    Step::Add(number) => drop(add(&mut file, &dir, &format!("k{number}"))),
                    Step::Set(mut changes) => {
                        changes.retain(|(uid, _)| *uid >= floor);
                        file.set(&dir, &changes, Lasting::No).unwrap();
                    }
                    Step::Keep(from) => {
                        floor = floor.max(from);
                        file.keep_only(&dir, |uid| uid >= from).unwrap();
                    }
                    Step::Save => file.save(&dir).unwrap(),
                }
                let read = MoreKeywords::read(&dir, 7).unwrap().unwrap_or(MoreKeywords::new(7));
                let (names, mut messages) = said(&read);
                messages.retain(|(uid, _)| *uid >= floor);
                prop_assert_eq!((names, messages), said(&file));
            }
            let Ok(whole) = dir.read(FILE, LIMIT) else { return Ok(()) };
            let cut = cut.index(whole.len() + 1);
            let lines = whole[..cut].split_inclusive(|b| *b == b'\n');
            let prefix: Vec<u8> = lines.filter(|l| l.ends_with(b"\n")).flatten().copied().collect();
            match (MoreKeywords::parse(&whole[..cut]), MoreKeywords::parse(&prefix)) {
                (Some((cut, 0)), Some((prefix, 0))) => prop_assert_eq!(said(&cut), said(&prefix)),
                (None, None) => {}
                other => prop_assert!(false, "{:?}", other),
            }
        }

        #[test]
        fn no_file_is_too_wrong(bytes: Vec<u8>, lines in "(K|M|1)( [0-9,V]{1,12}){0,3}\n?") {
            let _ = MoreKeywords::parse(&bytes);
            let text = format!("1 V7\n{lines}");
            prop_assert!(MoreKeywords::parse(text.as_bytes()).is_some());
        }
    }
}
