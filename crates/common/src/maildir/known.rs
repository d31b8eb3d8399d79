//! What a process knows of a mailbox.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use mail_proto::mailbox::{Entry, Flags, Snapshot, Uid};

use crate::disk::Stat;

use super::StoreError;
use super::keywords::{self, Keywords};
use super::name::{self, Marks};
use super::scan::{Folders, Listing, Located, Look, Place};
use super::uidlist::{self, UidList};

/// What is known of a mailbox.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) list: UidList,
    pub(super) list_stat: Option<Stat>,
    pub(super) keywords: Keywords,
    pub(super) keywords_stat: Option<Stat>,
    /// How `new` and `cur` looked; `None`: nobody looked yet.
    pub(super) looks: Option<Looks>,
    /// In order of UID.
    live: Vec<Live>,
    /// The highest UID that anybody was shown.
    shown: Uid,
    /// The first UID that no session was told of as recent.
    pub(super) unclaimed: Uid,
    /// Sizes that had to be counted.
    pub(super) sizes: HashMap<Uid, u64>,
    snapshot: Arc<Snapshot>,
}

/// How both directories look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Looks {
    pub(super) new: Look,
    pub(super) cur: Look,
}

/// A message that is there.
#[derive(Debug, Clone)]
pub(super) struct Live {
    pub(super) uid: Uid,
    pub(super) file: Located,
}

impl Known {
    /// The picture for sessions.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }

    /// The file of a message.
    pub(super) fn file(&self, uid: Uid) -> Option<&Located> {
        let position = self.position(uid)?;
        self.live.get(position).map(|live| &live.file)
    }

    /// All messages, in order of UID.
    pub(super) fn live(&self) -> &[Live] {
        &self.live
    }

    /// The first UID that no session was told of as recent.
    pub(super) fn recent_from(&self) -> Uid {
        let new = self.live.iter().find(|live| live.file.place == Place::New);
        new.map_or(self.list.uid_next, |live| live.uid).max(self.unclaimed)
    }

    /// Messages whose files are in `new`.
    pub(super) fn uids_in_new(&self) -> Vec<Uid> {
        let new = self.live.iter().filter(|live| live.file.place == Place::New);
        new.map(|live| live.uid).collect()
    }

    /// The letters of those keywords that have one, as bits.
    pub(super) fn known_letters(&self, keywords: &[String]) -> u64 {
        keywords.iter().fold(0, |bits, keyword| bits | self.snapshot.keyword(keyword).unwrap_or(0))
    }

    /// The names of the keywords in a file's name.
    pub(super) fn keyword_names(&self, marks: &Marks) -> Vec<String> {
        let names = self.snapshot.keywords.iter().enumerate();
        let marked = names.filter(|(bit, _)| marks.keywords & (1 << bit) != 0);
        marked.map(|(_, name)| name.clone()).collect()
    }

    fn position(&self, uid: Uid) -> Option<usize> {
        self.live.binary_search_by_key(&uid, |live| live.uid).ok()
    }

    /// Whether nothing changed since it was read.
    pub(super) fn holds(&self, folders: &Folders) -> Result<bool, StoreError> {
        let Some(looks) = self.looks else { return Ok(false) };
        Ok(looks.hold(Looks::at(folders)?)
            && self.list_stat == uidlist::stat(&folders.control)?
            && self.keywords_stat == keywords::stat(&folders.control)?)
    }

    /// Whether nobody looked at the mailbox yet.
    pub(super) fn is_unread(&self) -> bool {
        self.list.uid_validity == 0
    }

    /// Takes a list that was read. Within one UIDVALIDITY, the next UID never goes down.
    pub(super) fn take_list(&mut self, mut list: UidList) {
        if list.uid_validity == self.list.uid_validity {
            list.uid_next = list.uid_next.max(self.list.uid_next);
            self.list = list;
        } else {
            *self = Self { list, ..Self::default() };
        }
    }

    /// Joins files with UIDs: the messages that have one, and the files that need one.
    pub(super) fn join(&self, listing: Listing) -> (Vec<Live>, Vec<Located>) {
        let records = self.list.records.iter();
        // Of two lines for one identity, the later one counts.
        let uids: HashMap<&str, Uid> = records.map(|record| (&*record.base, record.uid)).collect();
        let (mut live, mut newcomers) = (Vec::with_capacity(listing.len()), Vec::new());
        for (base, file) in listing {
            match uids.get(&*base) {
                Some(uid) if *uid > self.shown || self.file(*uid).is_some() => {
                    live.push(Live { uid: *uid, file });
                }
                _ => newcomers.push(file),
            }
        }
        live.sort_unstable_by_key(|live| live.uid);
        (live, newcomers)
    }

    /// Whether a listing has all messages; for who looks for the first time, all that have a UID.
    pub(super) fn are_all_in(&self, listing: &Listing) -> bool {
        let mut live = self.live.iter().map(|live| name::base(&live.file.name));
        let mut listed = self.list.records.iter().map(|record| &*record.base);
        let is_first = self.live.is_empty();
        live.all(|base| listing.contains_key(base))
            && (!is_first || listed.all(|base| listing.contains_key(base)))
    }

    /// These are the messages now.
    pub(super) fn show(&mut self, live: Vec<Live>) {
        self.live = live;
        self.picture();
    }

    /// These messages came, with UIDs above all others.
    pub(super) fn add(&mut self, live: Vec<Live>) {
        self.live.extend(live);
    }

    /// A message has another file name now.
    pub(super) fn moved(&mut self, uid: Uid, file: Located) {
        let live = self.position(uid).and_then(|position| self.live.get_mut(position));
        if let Some(live) = live {
            live.file = file;
        }
    }

    /// These messages are gone.
    pub(super) fn remove(&mut self, uids: &HashSet<Uid>) {
        self.live.retain(|live| !uids.contains(&live.uid));
        self.sizes.retain(|uid, _| !uids.contains(uid));
    }

    /// Directories that have to be listed.
    pub(super) fn changed_places(&self, now: Looks) -> Vec<Place> {
        let holds = |place| self.looks.is_some_and(|looks| looks.of(place).holds(now.of(place)));
        [Place::New, Place::Cur].into_iter().filter(|place| !holds(*place)).collect()
    }

    /// The files in the other directories.
    pub(super) fn files_outside(&self, places: &[Place]) -> Listing {
        let outside = self.live.iter().filter(|live| !places.contains(&live.file.place));
        outside.map(|live| (name::base(&live.file.name).into(), live.file.clone())).collect()
    }

    /// Whether it is about these directories, and not about others that had their names.
    pub(super) fn is_of(&self, folders: &Folders) -> Result<bool, StoreError> {
        let Some(looks) = self.looks else { return Ok(false) };
        Ok(looks.cur.is_same_directory(Look::at(&folders.cur)?))
    }

    /// Keywords that file names use.
    pub(super) fn used_keywords(&self) -> u64 {
        self.live.iter().fold(0, |used, live| used | Marks::of(&live.file.name).keywords)
    }

    /// Makes the picture for sessions; the old one stays if it is the same.
    pub(super) fn picture(&mut self) {
        let mut used = 0;
        let entry = |live: &Live| {
            let marks = Marks::of(&live.file.name);
            used |= marks.keywords;
            let flags = Flags { system: marks.system, keywords: marks.keywords };
            Entry { uid: live.uid, flags }
        };
        let messages = self.live.iter().map(entry).collect();
        let names = self.keywords.shown(used);
        let keywords = match self.snapshot.keywords.as_ref() == names {
            true => Arc::clone(&self.snapshot.keywords),
            false => names.into(),
        };
        let snapshot = Snapshot {
            uid_validity: self.list.uid_validity,
            uid_next: self.list.uid_next,
            modseq: 0,
            keywords,
            messages,
        };
        self.shown = self.shown.max(self.live.last().map_or(0, |live| live.uid));
        if *self.snapshot != snapshot {
            self.snapshot = Arc::new(snapshot);
        }
    }
}

impl Looks {
    /// How both look now.
    pub(super) fn at(folders: &Folders) -> Result<Self, StoreError> {
        Ok(Self { new: Look::at(&folders.new)?, cur: Look::at(&folders.cur)? })
    }

    /// How both look after a change of ours; `before` is how they looked just before it.
    pub(super) fn after_ours(self, before: Self, folders: &Folders) -> Result<Self, StoreError> {
        Ok(Self {
            new: self.new.after_ours(before.new, &folders.new)?,
            cur: self.cur.after_ours(before.cur, &folders.cur)?,
        })
    }

    /// Whether neither has to be listed again; `now` is how they look now.
    pub(super) fn hold(self, now: Self) -> bool {
        self.new.holds(now.new) && self.cur.holds(now.cur)
    }

    /// Whether one had changed just before.
    pub(super) fn were_recent(self) -> bool {
        self.new.was_recent() || self.cur.was_recent()
    }

    fn of(self, place: Place) -> Look {
        match place {
            Place::New => self.new,
            Place::Cur => self.cur,
        }
    }
}
