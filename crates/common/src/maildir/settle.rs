//! What was seen becomes what is known: new messages get UIDs, the UID list is written where it
//! needs it, and the index gets one transaction, or is made.
//!
//! A UID may be shown before its line in the UID list is synced, if a mark was made to last before
//! that says how far UIDs may have been given: after a power cut no lower UID is given again.

use mail_proto::mailbox::Uid;

use super::held::Held;
use super::index::{Change, Marks};
use super::join::{self, Joined, Row};
use super::keywords::{self, Keywords};
use super::known::{Files, IndexFiles};
use super::look::Seen;
use super::looks::Looks;
use super::new_lines::NewLines;
use super::scan::Listed;
use super::tail::Tail;
use super::uidlist::{self, Form, Lists};
use super::{StoreError, making, more, name, tail};
use crate::disk::Lasting;

/// Below this many lines nobody minds lines of messages that are gone.
const FEW_LINES: usize = 64;
/// So many UIDs are reserved at a time.
const RESERVE: Uid = 256;

/// What was seen, and what is made of it.
#[derive(Debug)]
pub(super) struct Settling {
    pub(super) seen: Seen,
    pub(super) joined: Joined,
    /// What is new of messages that have UIDs.
    changes: Vec<Change>,
    /// How many of the rows were there before new messages came.
    new: usize,
    /// Whether new messages wait, for there is no room for their lines.
    pub(super) waiting: bool,
}

/// Where lines are after the UID list was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// It was not, or lines were added at its end.
    InPlace,
    /// Lines are elsewhere.
    Anew,
}

impl Held<'_> {
    /// Makes all lines of the UID list last. Where that fails, the next look reads and lists all, so
    /// as to write it anew.
    pub(super) fn sync_list(&mut self) -> Result<Lists, StoreError> {
        uidlist::sync(&self.folders.control).inspect_err(|_| self.known.files = Files::InDoubt)
    }
}

impl Settling {
    pub(super) fn new(seen: Seen, joined: Joined, changes: Vec<Change>) -> Self {
        let new = joined.rows.len();
        Self { seen, joined, changes, new, waiting: false }
    }

    /// Makes it known. If others write their files at this moment, nothing is done.
    pub(super) fn settle(mut self, held: &mut Held<'_>) -> Result<Lists, StoreError> {
        let form = self.form();
        match self.write(held) {
            Ok(None) => Ok(Lists::Changed),
            Ok(Some(written)) => self.keep(held, written),
            // Without room to write UIDs down, what is old can still be read and, above all,
            // deleted. The new messages wait.
            Err(StoreError::Full { path }) if form == Form::Current => {
                tracing::error!(path = %path.display(), "no space left: new mail is not shown");
                self.waiting = true;
                self.keep(held, Written::InPlace)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes the UID list; `None` where others did. They do that under the same lock, but somebody
    /// may do without: so it is to be what it was, up to the last moment, and then what we made.
    pub(super) fn write(&mut self, held: &mut Held<'_>) -> Result<Option<Written>, StoreError> {
        let lacks = self.joined.rows.iter().any(|row| row.line.is_none());
        let is_current = self.form() == Form::Current && !self.may_not_last();
        let anew = !is_current || lacks || self.is_sparse(held)?;
        if !anew && self.joined.newcomers.is_empty() {
            return Ok(Some(Written::InPlace));
        }
        held.lock.dotlock()?;
        if self.seen.now.list != uidlist::stat(&held.folders.control)? {
            return Ok(None);
        }
        let next = self.uid_next(held);
        if !uidlist::has_room(next, self.joined.newcomers.len()) {
            held.renumber()?;
            return Ok(None);
        }
        let new = self.number(next);
        let written = match anew {
            true => self.write_anew(held, new, next)?,
            false => self.append(held, new)?,
        };
        if written.is_none() {
            // However it looks.
            held.known.files = Files::InDoubt;
        }
        Ok(written)
    }

    /// That of the list that was read.
    fn form(&self) -> Form {
        self.seen.list.as_ref().map_or(Form::Current, |list| list.form)
    }

    /// Whether the list is to be written anew because it could not be synced.
    fn may_not_last(&self) -> bool {
        self.seen.listed == Listed::Both && uidlist::may_not_last(self.seen.now.list)
    }

    /// Whether so many lines are of messages that are gone that the list is to be written anew.
    fn is_sparse(&self, held: &Held<'_>) -> Result<bool, StoreError> {
        if self.seen.listed != Listed::Both {
            return Ok(false);
        }
        let lines = match (&self.seen.list, self.seen.now.list) {
            (Some(list), _) => list.records.len(),
            (None, Some(stat)) => uidlist::count_lines(&held.folders.control, stat.size)?,
            (None, None) => 0,
        };
        let live = self.joined.rows.len() + self.joined.newcomers.len();
        Ok(lines > FEW_LINES && live * 4 < lines * 3)
    }

    /// The next UID, above all that were given.
    pub(super) fn uid_next(&self, held: &Held<'_>) -> Uid {
        let list = self.seen.list.as_ref().map_or(1, |list| list.uid_next);
        let Some(known) = &held.known.index else { return list };
        let reserved = match known.is_of_this_boot() && !held.begins() {
            true => 0,
            // UIDs may have been shown whose lines did not last.
            false => known.head.reserved,
        };
        known.head.uid_next.max(list).max(reserved)
    }

    /// Gives UIDs in order of arrival.
    fn number(&mut self, next: Uid) -> Vec<Row> {
        let listing = &self.seen.listing;
        let arrival = |file: &usize| name::arrival(name::base(listing.file(*file).1));
        self.joined.newcomers.sort_by(|one, other| arrival(one).cmp(&arrival(other)));
        let row = |(uid, file): (Uid, usize)| Row { uid, line: None, file };
        (next..).zip(self.joined.newcomers.drain(..)).map(row).collect()
    }

    fn write_anew(
        &mut self,
        held: &Held<'_>,
        new: Vec<Row>,
        next: Uid,
    ) -> Result<Option<Written>, StoreError> {
        let control = &held.folders.control;
        let list = match self.seen.list.take() {
            Some(list) => Some(list),
            None => uidlist::read(control)?.into_list(),
        };
        let Some(mut list) = list else { return Ok(None) };
        list.uid_next = list.uid_next.max(new.last().map_or(next, |row| row.uid + 1));
        let (listing, rows) = (&self.seen.listing, &self.joined.rows);
        let all = rows.iter().chain(&new);
        let lines = all.map(|row| match list.record(row.uid).filter(|_| row.line.is_some()) {
            Some(record) => uidlist::Row::Old(*record),
            None => uidlist::Row::New(row.uid, name::base(listing.file(row.file).1)),
        });
        let Some(lines) = list.save_over(control, self.seen.now.list, lines)? else {
            return Ok(None);
        };
        self.seen.now.list = uidlist::stat(control)?;
        self.new = rows.len();
        self.joined.rows.extend(new);
        for (row, line) in self.joined.rows.iter_mut().zip(lines) {
            row.line = Some(line);
        }
        list.form = Form::Current;
        self.seen.list = Some(list);
        Ok(Some(Written::Anew))
    }

    /// Adds lines. They need not last where a mark says how far UIDs may have been given.
    fn append(&mut self, held: &Held<'_>, new: Vec<Row>) -> Result<Option<Written>, StoreError> {
        let mut lines = NewLines::default();
        for row in &new {
            lines.push(row.uid, name::base(self.seen.listing.file(row.file).1));
        }
        let lasting = if held.begins() { Lasting::Yes } else { Lasting::No };
        let saved = lines.save(&held.folders.control, lasting);
        let places = saved.inspect_err(|error| self.distrust(lasting, error))?;
        let (before, now) = (self.seen.now.list, uidlist::stat(&held.folders.control)?);
        let grown = before.map(|list| (list.inode, list.size + lines.length()));
        if now.map(|list| (list.inode, list.size)) != grown {
            return Ok(None);
        }
        self.seen.now.list = now;
        self.new = self.joined.rows.len();
        let placed = new.into_iter().zip(places).map(|(row, line)| Row { line: Some(line), ..row });
        self.joined.rows.extend(placed);
        Ok(Some(Written::InPlace))
    }

    /// After an error of a sync, lines that are older may be lost too.
    fn distrust(&self, lasting: Lasting, error: &StoreError) {
        let was_synced = lasting == Lasting::Yes && !matches!(error, StoreError::Full { .. });
        self.seen.now.list.filter(|_| was_synced).into_iter().for_each(uidlist::distrust);
    }

    /// Makes it known, and writes it into the index.
    fn keep(mut self, held: &mut Held<'_>, written: Written) -> Result<Lists, StoreError> {
        held.known.files = Files::AsKnown;
        let mut keywords = self.keywords(held)?;
        if held.begins() {
            return making::make(self, held, keywords);
        }
        let mut marks = self.marks(held);
        let mut changes = std::mem::take(&mut self.changes);
        let new = self.joined.rows.get(self.new..).unwrap_or_default();
        for row in new {
            let line = row.line.unwrap_or_default();
            let (flags, fact, tail) = join::read(&self.seen.listing, row.file, line);
            changes.push(Change::Added { uid: row.uid, flags, fact, tail });
        }
        if held.index().head.marks.more_keywords != marks.more_keywords {
            held.changed_more(&mut changes)?;
        } else if self.seen.listed == Listed::Both && marks.more_keywords.is_some() {
            held.tidy_more()?;
        }
        // Both may have written it.
        marks.more_keywords = more::stat(&held.folders.control)?;
        changes.append(&mut keywords);
        let changes = self.ends(held, changes);
        if written == Written::InPlace && self.reserve(held, &changes)? == Lists::Changed {
            return Ok(Lists::Changed);
        }
        let moved = written == Written::Anew || self.has_moved(held)?;
        self.transact(held, changes, marks, moved)
    }

    /// One transaction, or none where nothing changed.
    fn transact(
        &self,
        held: &mut Held<'_>,
        mut changes: Vec<Change>,
        marks: Marks,
        moved: bool,
    ) -> Result<Lists, StoreError> {
        let is_known = changes.is_empty() && held.index().head.marks == marks;
        if is_known && !moved && held.known.trust == IndexFiles::Sound {
            return Ok(Lists::Same);
        }
        let list = if moved { None } else { marks.list };
        changes.push(Change::Marks(Box::new(Marks { list, ..marks })));
        if let Err(error) = held.transact(changes, Lasting::No) {
            held.warn(&error, "cannot write the index");
        }
        if moved {
            let lines = self.joined.rows.iter().map(|row| row.line.unwrap_or_default());
            let lines: Vec<u32> = lines.collect();
            held.index().renumber_lines(&lines);
            held.index().head.marks = marks;
        }
        if (moved || held.known.trust != IndexFiles::Sound)
            && let Err(error) = held.checkpoint()
        {
            // The log says something else, and what is written next is told from that.
            held.index().head.marks.list = list;
            held.warn(&error, "cannot write the index");
            if held.known.trust != IndexFiles::Sound && self.seen.now.list.is_some() {
                // What was reserved may be in no file any more.
                return held.sync_list();
            }
        }
        Ok(Lists::Same)
    }

    /// Makes a mark last, before others can read of the UIDs that were given, if they are beyond it.
    /// Another's, too, and of messages that are gone already: who appended their lines may have
    /// died before the mark, or syncs nothing.
    fn reserve(&self, held: &mut Held<'_>, changes: &[Change]) -> Result<Lists, StoreError> {
        let after = changes.iter().map(|change| match change {
            Change::Added { uid, .. } => uid.saturating_add(1),
            Change::Next(uid) => *uid,
            _ => 0,
        });
        let given = after.max().unwrap_or_default();
        if given <= held.index().head.reserved {
            return Ok(Lists::Same);
        }
        let mark = Change::Reserved(given.saturating_add(RESERVE));
        if let Err(error) = held.transact(vec![mark], Lasting::Yes) {
            held.warn(&error, "cannot write the index");
            // Then the lines themselves are to last before anybody is shown the UIDs.
            return held.sync_list();
        }
        Ok(Lists::Same)
    }

    /// The UID after the highest one that a message has.
    fn given(&self) -> Uid {
        self.joined.rows.last().map_or(0, |row| row.uid + 1)
    }

    /// What else a transaction says of UIDs.
    fn ends(&self, held: &mut Held<'_>, mut changes: Vec<Change>) -> Vec<Change> {
        let next = self.uid_next(held).max(self.given());
        let index = held.index();
        if next > index.head.uid_next {
            changes.push(Change::Next(next));
        }
        if !index.is_of_this_boot() && self.seen.listed == Listed::Both {
            changes.push(Change::Boot(index.boot()));
        }
        changes
    }

    /// Whether lines are elsewhere in the list that was read.
    fn has_moved(&self, held: &mut Held<'_>) -> Result<bool, StoreError> {
        if self.seen.list.is_none() {
            return Ok(false);
        }
        let mut rows = self.joined.rows.iter().peekable();
        let mut moved = false;
        for fact in held.facts()? {
            while rows.next_if(|row| row.uid < fact.uid()).is_some() {}
            let row = rows.next_if(|row| row.uid == fact.uid());
            moved |= row.is_some_and(|row| row.line != Some(fact.line));
        }
        Ok(moved)
    }

    /// How the files looked when all this was so.
    fn marks(&self, held: &mut Held<'_>) -> Marks {
        let known = held.index().head.marks.looks;
        let looks = match (self.seen.now.looks, known) {
            _ if self.waiting => None,
            (Some(now), Some(known)) => Some(match self.seen.listed {
                Listed::Nothing => known,
                Listed::New => Looks { new: now.new, ..known },
                Listed::Both => now,
            }),
            (now, None) => now,
            (None, _) => None,
        };
        Marks { looks, ..self.seen.now }
    }

    /// What changed with the names of keywords.
    fn keywords(&mut self, held: &mut Held<'_>) -> Result<Vec<Change>, StoreError> {
        let used = self.used_keywords();
        let known = held.known.index.as_ref();
        let names = known.map_or(&[][..], |known| &known.head.keywords);
        let bits = usize::try_from(u64::BITS - used.leading_zeros()).unwrap_or_default();
        let same = known.is_some_and(|known| known.head.marks.keywords == self.seen.now.keywords);
        if same && bits <= names.len() && !held.begins() {
            return Ok(Vec::new());
        }
        let control = &held.folders.control;
        let mut letters = Keywords::read(control)?;
        if self.seen.now.keywords.is_none() && !Keywords::of(names).is_empty() {
            letters = Keywords::of(names);
            held.lock.dotlock()?;
            letters.save(control)?;
            self.seen.now.keywords = keywords::stat(control)?;
        }
        let names = if held.begins() { &[] } else { names };
        Ok(letters.changes(names, used))
    }

    /// The letters in names that are new.
    fn used_keywords(&self) -> u64 {
        let of = |change: &Change| match change {
            Change::Added { flags, .. } | Change::Flagged { flags, .. } => flags.keywords,
            _ => 0,
        };
        let changed = self.changes.iter().fold(0, |used, change| used | of(change));
        let new = match self.changes.is_empty() {
            true => self.joined.rows.as_slice(),
            false => self.joined.rows.get(self.new..).unwrap_or_default(),
        };
        let letters = |row: &Row| {
            let (place, name) = self.seen.listing.file(row.file);
            Tail::of(place, name).0.keywords & tail::LETTERS
        };
        new.iter().fold(changed, |used, row| used | letters(row))
    }
}
