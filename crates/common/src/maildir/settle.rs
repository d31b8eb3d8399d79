//! What was seen becomes what is known: new messages get UIDs, the UID list is written where it
//! needs it, and the index gets one transaction, or is made.
//!
//! A UID may be shown before its line in the UID list is synced, if a mark was made to last before
//! that says how far UIDs may have been given: after a power cut no lower UID is given again.

mod list;

use mail_proto::mailbox::Uid;

use list::Written;

use super::held::Held;
use super::index::{Change, Marks};
use super::join::{self, Joined, Row};
use super::keywords::{self, Keywords};
use super::known::{Files, IndexFiles};
use super::look::Seen;
use super::looks::Looks;
use super::scan::Listed;
use super::tail::Tail;
use super::uidlist::{self, Form, Lists};
use super::{StoreError, making, more, tail};
use crate::disk::Lasting;

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
