//! A mailbox that another server had becomes ours: what that one knew beyond the names of files
//! goes where it stays, into these names and into `posthorn.keywords`.
//!
//! Names first, `posthorn.keywords` last: that it is there says that all is done. Killed before,
//! the next one does it again, and comes to the same. When the index is made anew later, Dovecot's
//! own index is old, and is not asked again. So what a name could not be made to say (`cur` may be
//! read-only, the name as long as can be) waits in `posthorn.keywords`, and whoever takes the
//! mailbox's lock tries again.

use mail_proto::mailbox::Flags;

use crate::disk::{Dir, DiskError};

use super::held::Held;
use super::import::{self, Known, courier};
use super::index::Index;
use super::join::{Joined, Row};
use super::keywords::{self, Keywords, Room};
use super::look::Seen;
use super::more_keywords::MoreKeywords;
use super::scan::{Folders, MessageFile};
use super::settle::Settling;
use super::tail::Tail;
use super::uidlist::Lists;
use super::{StoreError, more, name, tail};

/// What comes over.
#[derive(Debug)]
struct Takeover {
    known: Known,
    /// Of the keywords, by the numbers that [`Known`] gives them.
    bits: Vec<u64>,
    more: MoreKeywords,
    /// Why names wait.
    trouble: Option<DiskError>,
}

/// What became of a message's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    /// Its name says what it is to say, or waits.
    Done,
    /// Somebody renamed or removed it just now.
    Gone,
}

impl Held<'_> {
    /// What another server knew that is yet to be taken over.
    pub(super) fn to_take_over(&self, seen: &Seen) -> Result<Option<Known>, StoreError> {
        let Some(list) = seen.list.as_ref().filter(|_| self.known.index.is_none()) else {
            return Ok(None);
        };
        if MoreKeywords::read(&self.folders.control, list.uid_validity)?.is_some() {
            return Ok(None);
        }
        let is_foreign = is_foreign(&self.folders)?;
        let mail = is_foreign.then(|| Dir::open(self.mailbox.path())).transpose()?;
        let known = import::known(&self.folders.index, mail.as_ref(), list.uid_validity)?;
        // That its UIDs were taken over is to be written down, too.
        let are_courier_s = is_foreign && list.is_first_version() && seen.now.list.is_none();
        let nothing = are_courier_s.then(|| Known::Courier(courier::Keywords::default()));
        Ok(known.or(nothing))
    }

    /// Takes it over; then the files changed. Before, all messages get lines in the UID list: what
    /// is known of them is written down by UID, and counts under its UIDVALIDITY alone.
    pub(super) fn take_over(
        &mut self,
        known: Known,
        mut settling: Settling,
    ) -> Result<Lists, StoreError> {
        let control = self.folders.control.clone();
        if settling.write(self)?.is_none() {
            return Ok(Lists::Changed);
        }
        let Settling { seen, joined, .. } = settling;
        let Some(list) = &seen.list else { return Ok(Lists::Changed) };
        self.lock.dotlock()?;
        if seen.now.keywords != keywords::stat(&control)? {
            return Ok(Lists::Changed);
        }
        let used = used(&seen, &joined);
        let mut takeover = Takeover::begin(&control, known, list.uid_validity, used)?;
        for row in &joined.rows {
            if takeover.message(self, &seen, row)? == Named::Gone {
                return Ok(Lists::Changed);
            }
        }
        // Once it is written down that all is done, nobody looks for what the names were to say.
        self.folders.cur.sync()?;
        takeover.more.save(&control)?;
        let path = self.mailbox.path().display();
        tracing::info!(mailbox = %path, "flags and keywords of another server are taken over");
        if let Some(error) = takeover.trouble {
            let waiting = takeover.more.waiting().len();
            tracing::error!(mailbox = %path, waiting, %error, "flags of messages wait");
        }
        Ok(Lists::Changed)
    }
}

/// Whether the mailbox was never ours: what Courier has does not say of which UIDVALIDITY or time
/// it is, and it stays there for ever.
pub(super) fn is_foreign(folders: &Folders) -> Result<bool, StoreError> {
    Ok(!Index::has_files(&folders.index) && more::stat(&folders.control)?.is_none())
}

impl Takeover {
    /// Gives keywords letters where names of files can have them, and other bits.
    fn begin(
        control: &Dir,
        known: Known,
        uid_validity: u32,
        used: u64,
    ) -> Result<Self, StoreError> {
        let mut more = MoreKeywords::new(uid_validity);
        more.modseq = known.highest_modseq();
        let mut letters = Keywords::read(control)?;
        let names = known.keywords();
        let mut bits = vec![0; names.iter().map(|(number, _)| number + 1).max().unwrap_or(0)];
        let (before, mut taken) = (letters.clone(), 0);
        for (number, name) in &names {
            // What has no letter with Dovecot is in no name, and letters in names are Dovecot's.
            let used = if matches!(known, Known::Dovecot(_)) { u64::MAX } else { used };
            let (letter, _) = letters.add_all(&[*name], used);
            let bit = match letter.first() {
                Some(letter) => 1 << letter,
                None => more.give_all(&[*name], taken, Room::ForAll).0,
            };
            taken |= bit;
            match bits.get_mut(*number) {
                Some(place) if bit != 0 => *place = bit,
                _ => tracing::warn!(keyword = name, "no room for a keyword of another server"),
            }
        }
        if letters != before {
            letters.save(control)?;
        }
        Ok(Self { known, bits, more, trouble: None })
    }

    fn message(&mut self, held: &Held<'_>, seen: &Seen, row: &Row) -> Result<Named, StoreError> {
        let (place, name) = seen.listing.file(row.file);
        let (named, old) = Tail::of(place, name);
        let base = name::base(name);
        let flags = self.known.flags(row.uid, base, named, &self.bits);
        self.more.put(row.uid, flags.keywords);
        let in_name = Flags { keywords: flags.keywords & tail::LETTERS, ..flags };
        if in_name == named {
            return Ok(Named::Done);
        }
        let mut to = MessageFile::default();
        old.with_flags(in_name).locate(base, in_name, &mut to);
        match held.folders.at(place).rename_new(name, held.folders.at(to.place), &to.name) {
            Ok(()) => {}
            // Were it still there, `cur` would be missing, and another look would not help.
            Err(error) if error.is_missing() && held.folders.at(place).stat(name).is_err() => {
                return Ok(Named::Gone);
            }
            Err(error) => {
                self.more.wait(row.uid, in_name);
                self.trouble = Some(error);
            }
        }
        Ok(Named::Done)
    }
}

/// The letters in names of files.
fn used(seen: &Seen, joined: &Joined) -> u64 {
    joined.rows.iter().fold(0, |used, row| {
        let (place, name) = seen.listing.file(row.file);
        used | Tail::of(place, name).0.keywords
    })
}
