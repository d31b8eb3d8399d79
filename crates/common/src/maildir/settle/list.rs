//! The UID list is written: lines are added at its end, or it is written anew.

use mail_proto::mailbox::Uid;

use super::Settling;
use crate::disk::Lasting;
use crate::maildir::held::Held;
use crate::maildir::join::Row;
use crate::maildir::known::Files;
use crate::maildir::new_lines::NewLines;
use crate::maildir::scan::Listed;
use crate::maildir::uidlist::{self, Form};
use crate::maildir::{StoreError, name};

/// Below this many lines nobody minds lines of messages that are gone.
const FEW_LINES: usize = 64;

/// Where lines are after the UID list was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::maildir) enum Written {
    /// It was not, or lines were added at its end.
    InPlace,
    /// Lines are elsewhere.
    Anew,
}

impl Settling {
    /// Writes the UID list; `None` where others did. They do that under the same lock, but somebody
    /// may do without: so it is to be what it was, up to the last moment, and then what we made.
    pub(in crate::maildir) fn write(
        &mut self,
        held: &mut Held<'_>,
    ) -> Result<Option<Written>, StoreError> {
        let lacks = self.joined.rows.iter().any(|row| row.line.is_none());
        let is_current = self.form() == Form::Current && !self.may_not_last();
        let next = self.uid_next(held);
        let anew = !is_current || lacks || self.lags(next) || self.is_sparse(held)?;
        if !anew && self.joined.newcomers.is_empty() {
            return Ok(Some(Written::InPlace));
        }
        held.lock.dotlock()?;
        if self.seen.now.list != uidlist::stat(&held.folders.control)? {
            return Ok(None);
        }
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
    pub(super) fn form(&self) -> Form {
        self.seen.list.as_ref().map_or(Form::Current, |list| list.form)
    }

    /// Whether the list does not say that this UID is the next, and no line will: then only the
    /// index does, and who finds that lost, in another process, would give UIDs below it, where
    /// those who were shown it know that no message is.
    fn lags(&self, next: Uid) -> bool {
        let is_behind = self.seen.list.as_ref().is_some_and(|list| list.uid_next < next);
        is_behind && self.joined.newcomers.is_empty()
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
    pub(in crate::maildir) fn uid_next(&self, held: &Held<'_>) -> Uid {
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
        let lines = match list.save_over(control, self.seen.now.list, lines) {
            Ok(Some(lines)) => lines,
            Ok(None) => return Ok(None),
            Err(error) => {
                self.seen.list = Some(list);
                return Err(error);
            }
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
        let places = lines.save(&held.folders.control, lasting)?;
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
}
