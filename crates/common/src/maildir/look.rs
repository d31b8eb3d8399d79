//! How what is known of a mailbox is brought up to date with its files, under lock.
//!
//! What changed is read and listed, and joined by the hashes of identities:
//!
//! - A file whose identity has a line in the UID list has the UID of that line. But a UID that was
//!   shown and then seen to be gone never comes back, even if its file does (somebody restored a
//!   backup): the file gets a new one.
//! - A file that we know, and whose line got lost while nobody else was given its UID, keeps its
//!   UID: the list is written anew.
//! - A file without a UID gets the next one, in order of arrival. Where the index was damaged, or
//!   cannot be read, and lines of the list may be lost as well (a power cut took what was not
//!   synced), nobody knows which is the next: UIDs jump ahead.
//! - A message without a file is gone. Its line stays until a quarter of all lines is such.
//!
//! A file that a foreign program renames while we list may be missed: before a message counts as
//! gone, it is looked for a second time.

use mail_proto::mailbox::{Messages, Uid};

use super::held::Held;
use super::index::{self, Change, Index, Marks};
use super::join::{self, Before, InNew, Joined, Numbered};
use super::known::{Files, IndexFiles};
use super::listing::Listing;
use super::scan::Listed;
use super::settle::Settling;
use super::takeover::is_foreign;
use super::uidlist::{self, Form, Found, JUMP, Lists, UidList};
use super::{StoreError, leftovers, uid_validity};

/// What was read and listed.
#[derive(Debug)]
pub(super) struct Seen {
    /// How the files looked before.
    pub(super) now: Marks,
    /// The UID list, if it changed.
    pub(super) list: Option<UidList>,
    /// What was listed.
    pub(super) listed: Listed,
    pub(super) listing: Listing,
}

/// Up to where the files tell which UIDs were shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ToldTo {
    /// There are no others.
    TheEnd,
    /// There may be others from this one on: a reserve, under which they were shown without a
    /// synced line, was in what cannot be read any more.
    Below(Uid),
}

impl Held<'_> {
    /// Reads and lists what changed, and makes it known; `now` is how the files look.
    pub(super) fn look(&mut self, now: Marks) -> Result<Lists, StoreError> {
        let (told, had_index) = (self.told_to(&now), self.known.index.is_some());
        let list = self.changed_list(&now)?;
        // Of the UIDs of another UIDVALIDITY, which it was of, nobody is told any more.
        let told = if had_index && self.known.index.is_none() { ToldTo::TheEnd } else { told };
        let listed = self.to_list(list.is_some(), &now);
        if listed == Listed::Both {
            leftovers::remove(&self.folders);
        }
        if listed == Listed::New {
            let listing = self.folders.list(listed)?;
            if let Some((changes, newcomers)) = self.join_new(&listing)? {
                let seen = Seen { now, list, listed, listing };
                let joined = Joined { rows: Vec::new(), newcomers };
                return Settling::new(seen, joined, changes).settle(self);
            }
        }
        let listed = if listed == Listed::New { Listed::Both } else { listed };
        self.look_at_all(Seen { now, list, listed, listing: Listing::default() }, told)
    }

    fn look_at_all(&mut self, mut seen: Seen, told: ToldTo) -> Result<Lists, StoreError> {
        if seen.listed == Listed::Nothing {
            return Settling::new(seen, Joined::default(), Vec::new()).settle(self);
        }
        let known = self.known_lines()?;
        let expected = match (&known, &seen.list) {
            (Some(known), _) => known.clone(),
            // For who looks for the first time, all that have a UID.
            (None, Some(list)) => join::lines(list),
            (None, None) => Vec::new(),
        };
        seen.listing = self.list(&seen.now, &expected)?;
        let nothing = Messages::default();
        let index = self.known.index.as_ref();
        let before = Before {
            known: known.as_deref(),
            messages: index.map_or(&nothing, |index| &index.messages),
            shown_below: index.map_or(0, |index| index.head.uid_next),
            list: seen.list.as_ref(),
        };
        let joined = join::join(&seen.listing, &before);
        if let (ToldTo::Below(uid), Some(list)) = (told, &mut seen.list) {
            self.skip_uids(list, uid, joined.newcomers.len());
        }
        if let Some(known) = self.to_take_over(&seen)? {
            return self.take_over(known, Settling::new(seen, joined, Vec::new()));
        }
        let changes = self.changes(&seen, &joined)?;
        Settling::new(seen, joined, changes).settle(self)
    }

    /// Whether all is to be made from the files, for there is no index to be brought up to date.
    pub(super) fn begins(&self) -> bool {
        self.known.index.is_none() || self.known.trust == IndexFiles::NoFacts
    }

    /// Whether the files tell of all UIDs that were shown; `now` is how they look.
    fn told_to(&self, now: &Marks) -> ToldTo {
        let doubtful = match &self.known.index {
            Some(index) if index.is_of_this_boot() => None,
            Some(index) => Some(index.head.uid_next.max(index.head.reserved))
                .filter(|_| self.known.trust != IndexFiles::Sound),
            None => Index::has_files(&self.folders.index).then_some(1),
        };
        // Under a new UIDVALIDITY none was shown.
        doubtful.filter(|_| now.list.is_some()).map_or(ToldTo::TheEnd, ToldTo::Below)
    }

    /// Goes on above all UIDs that may have been shown: of most the messages are still there, but
    /// have no lines any more.
    fn skip_uids(&self, list: &mut UidList, told: Uid, newcomers: usize) {
        let lost = Uid::try_from(newcomers).unwrap_or(Uid::MAX).saturating_add(JUMP);
        list.uid_next = list.uid_next.max(told).saturating_add(lost);
        tracing::warn!(
            mailbox = %self.mailbox.path().display(),
            uid_next = list.uid_next,
            "the index does not tell any more how far UIDs were given; some are left out"
        );
    }

    /// Directories that are to be listed.
    fn to_list(&self, list_changed: bool, now: &Marks) -> Listed {
        let rebooted = self.known.index.as_ref().is_some_and(|index| !index.is_of_this_boot());
        let doubtful = (self.known.trust, self.known.files) != (IndexFiles::Sound, Files::AsKnown);
        if list_changed || rebooted || doubtful {
            return Listed::Both;
        }
        self.known.to_list(now)
    }

    /// The UID list, if it is not the one that we know.
    fn changed_list(&mut self, now: &Marks) -> Result<Option<UidList>, StoreError> {
        // After a power cut a list may look the same, and lines that were not synced are zeros.
        let same = |known: &index::Index| {
            known.is_of_this_boot() && known.head.marks.list == now.list && now.list.is_some()
        };
        let in_doubt = self.known.files == Files::InDoubt;
        if !in_doubt && !self.begins() && self.known.index.as_ref().is_some_and(same) {
            return Ok(None);
        }
        let found = match self.known.index.is_none() && is_foreign(&self.folders)? {
            true => uidlist::read_foreign(&self.folders.control)?,
            false => uidlist::read(&self.folders.control)?,
        };
        let nonsense = matches!(found, Found::Nonsense);
        let form = if nonsense { Form::Damaged(1) } else { Form::Outdated };
        let path = self.mailbox.path().display();
        let known = self.known.index.as_ref().filter(|_| self.is_of_these(now));
        let list = match (found, known, self.known.trust) {
            (Found::List(list), ..) => list,
            // Sessions know these UIDs: they go on.
            (_, Some(known), IndexFiles::Sound) => {
                tracing::error!(mailbox = %path, "the UID list is lost; it is written from the index");
                let mut list = UidList::new(known.head.uid_validity);
                list.uid_next = known.head.uid_next;
                list.jump(form);
                list
            }
            // Where the index may be behind, nobody knows how many were given since.
            (_, known, _) => {
                let is_lost =
                    nonsense || known.is_some() || index::Index::has_files(&self.folders.index);
                let mut list = UidList::new(uid_validity::next(&self.mailbox.home()?)?);
                list.form = form;
                if is_lost {
                    let new = list.uid_validity;
                    tracing::error!(mailbox = %path, uidvalidity = new, "the UID list is lost");
                }
                list
            }
        };
        let other = |known: &index::Index| known.head.uid_validity != list.uid_validity;
        if self.known.index.as_ref().is_some_and(other) {
            // As a look before this one may have done, which ended before there was a new index.
            if self.former.is_none()
                && self.is_of_these(now)
                && let Err(error) = self.remember()
            {
                self.warn(&error, "keywords without letters are lost with the UIDVALIDITY");
            }
            self.known.forget();
        }
        Ok(Some(list))
    }

    /// Whether what we know is about these directories, and not about others that had their names.
    fn is_of_these(&self, now: &Marks) -> bool {
        let known = self.known.index.as_ref().and_then(|index| index.head.marks.looks);
        let (Some(known), Some(now)) = (known, now.looks) else { return false };
        known.cur.is_same_directory(now.cur)
    }

    /// Lists both directories, and a second time if a message is missing that may have been
    /// renamed meanwhile.
    fn list(&self, now: &Marks, expected: &[Numbered]) -> Result<Listing, StoreError> {
        let before = now.looks.expect("marks that were just taken have looks");
        let mut found: Option<Listing> = None;
        self.folders.looked_through(before, || {
            let mut listing = self.folders.list(Listed::Both)?;
            if let Some(earlier) = &found {
                listing.add_missing(earlier);
            }
            Ok(join::are_all_in(expected, found.insert(listing)))
        })?;
        Ok(found.unwrap_or_default())
    }

    /// What messages we know, in order of hash; `None` where that was not read.
    fn known_lines(&mut self) -> Result<Option<Vec<Numbered>>, StoreError> {
        if self.begins() {
            return Ok(None);
        }
        let mut known: Vec<Numbered> = self
            .facts()?
            .map(|fact| Numbered { hash: fact.hash, uid: fact.uid(), line: fact.line })
            .collect();
        known.sort_unstable();
        Ok(Some(known))
    }

    /// What files say that is not known yet.
    fn changes(&mut self, seen: &Seen, joined: &Joined) -> Result<Vec<Change>, StoreError> {
        if self.begins() {
            return Ok(Vec::new());
        }
        let _ = self.facts()?;
        Ok(join::changes(self.index(), &joined.rows, &seen.listing))
    }

    /// What changed in `new`, and the files there that have no UID; `None` where that cannot be
    /// told from `new` alone.
    fn join_new(&mut self, listing: &Listing) -> Result<Option<InNew>, StoreError> {
        let mut in_new = Vec::with_capacity(self.index().head.in_new.len());
        for uid in self.index().head.in_new.clone() {
            in_new.extend(self.live(uid)?.map(|live| (uid, live.fact)));
        }
        let Some((changes, newcomers)) = join::join_new(self.index(), in_new.into_iter(), listing)
        else {
            return Ok(None);
        };
        // An identity that is in `cur` already is a file with two names, or two messages.
        let mut hashes: Vec<u64> = newcomers.iter().map(|file| listing.hash(*file)).collect();
        hashes.sort_unstable();
        let is_new = hashes.is_empty()
            || !self.facts()?.any(|fact| hashes.binary_search(&fact.hash).is_ok());
        Ok(is_new.then_some((changes, newcomers)))
    }
}
