//! What a process knows of a mailbox.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mail_proto::mailbox::{Entry, Flags, Messages, Snapshot, Uid};

use crate::disk::Dir;

use super::StoreError;
use super::index::{Fact, Followed, Index, Marks, Reader};
use super::looks::{Hidden, Looks};
use super::more::{self, More};
use super::scan::{Folders, Listed};
use super::tail::Tail;
use super::{keywords, tail, uidlist};

/// What is known of a mailbox. A million messages take little more than what [`Index`] takes.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// `None`: nobody looked yet.
    pub(super) index: Option<Index>,
    /// Whether what is known counts more than the files of the index.
    pub(super) trust: IndexFiles,
    /// Whether the mailbox's files are what the index says of them.
    pub(super) files: Files,
    /// When it was last asked for a listing.
    asked: Option<Instant>,
    /// `None`: nobody needed them yet.
    pub(super) more: Option<More>,
    snapshot: Arc<Snapshot>,
}

/// Whether the index's files can be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum IndexFiles {
    /// They can.
    #[default]
    Sound,
    /// They are not what we knew: they are to be written anew from memory.
    Lost,
    /// As [`Lost`](Self::Lost), and what messages are besides UIDs and flags was not read yet.
    NoFacts,
}

/// Whether the mailbox's files are what the index says of them, as long as they look the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Files {
    /// They are.
    #[default]
    AsKnown,
    /// The messages may not be, however the directories look: both are to be listed.
    Unlisted,
    /// They may not be, however they look: all are to be read again.
    InDoubt,
}

/// A message as it is known.
#[derive(Debug, Clone)]
pub(super) struct Live {
    pub(super) uid: Uid,
    pub(super) flags: Flags,
    pub(super) fact: Fact,
    pub(super) tail: Tail,
}

/// Whoever has a mailbox in doubt asks for a listing no more often than this.
const ASK: Duration = Duration::from_secs(1);

impl Known {
    /// The picture for sessions.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }

    /// Takes in what others wrote, without a lock. Whether that is all there is to know: nothing
    /// changed but by what the index says.
    pub(super) fn catch_up(&mut self, folders: &Folders) -> Result<bool, StoreError> {
        let boot = folders.boot();
        if !self.follow(&folders.index, boot, Reader::Free)? {
            return Ok(false);
        }
        let mut holds = self.holds(&marks(folders)?);
        if !holds && self.follow(&folders.index, boot, Reader::Free)? {
            // Somebody may have written just between our two looks.
            holds = self.holds(&marks(folders)?);
        }
        // After another boot modseqs jump first.
        if self.index.as_ref().is_some_and(Index::is_of_this_boot) {
            self.picture();
        }
        Ok(holds)
    }

    /// Reads what others wrote into the index. Whether there is one that counts. `boot` is which
    /// this is: file systems may be mounted anew under a process that lives on.
    pub(super) fn follow(
        &mut self,
        dir: &Dir,
        boot: [u8; 16],
        reader: Reader,
    ) -> Result<bool, StoreError> {
        match &mut self.index {
            Some(index) => index.boots(boot),
            None => self.index = Index::open(dir, boot)?,
        }
        match &mut self.index {
            Some(index) => Ok(index.follow(dir, reader)? != Followed::Lost),
            None => Ok(false),
        }
    }

    /// Whether nothing changed since the index was written; `now` is how the files look.
    pub(super) fn holds(&self, now: &Marks) -> bool {
        let Some(index) = &self.index else { return false };
        let marks = &index.head.marks;
        (self.trust, self.files) == (IndexFiles::Sound, Files::AsKnown)
            && index.is_of_this_boot()
            && (marks.list, marks.keywords, marks.more_keywords)
                == (now.list, now.keywords, now.more_keywords)
            && self.to_list(now) == Listed::Nothing
    }

    /// Directories that have to be listed.
    pub(super) fn to_list(&self, now: &Marks) -> Listed {
        let then = self.index.as_ref().and_then(|index| index.head.marks.looks);
        let (Some(then), Some(now)) = (then, now.looks) else { return Listed::Both };
        match (then.new.holds(now.new), then.cur.holds(now.cur)) {
            (true, true) => Listed::Nothing,
            (false, true) => Listed::New,
            (_, false) => Listed::Both,
        }
    }

    /// Whether changes by others may be hidden behind ours.
    pub(super) fn hidden(&self) -> Hidden {
        let looks = self.index.as_ref().and_then(|index| index.head.marks.looks);
        looks.map_or(Hidden::None, |looks| looks.new.hidden().max(looks.cur.hidden()))
    }

    /// Whether it is time to ask for a listing because of that.
    pub(super) fn asks(&mut self) -> bool {
        let asks = self.asked.is_none_or(|asked| asked.elapsed() >= ASK);
        if !asks || self.hidden() == Hidden::None {
            return false;
        }
        self.asked = Some(Instant::now());
        true
    }

    /// It is another mailbox now.
    pub(super) fn forget(&mut self) {
        self.index = None;
        self.trust = IndexFiles::Sound;
        self.files = Files::AsKnown;
        self.asked = None;
        self.more = None;
    }

    /// The first UID that no session was told of as recent.
    pub(super) fn recent_from(&self) -> Uid {
        self.index.as_ref().map_or(1, |index| index.head.recent_from)
    }

    /// Whether nobody looked at the mailbox yet.
    pub(super) fn is_unread(&self) -> bool {
        self.index.is_none()
    }

    /// A message, if it is there; `None` where the facts have to be read for it.
    pub(super) fn live(&self, uid: Uid) -> Option<Option<Live>> {
        let Some(index) = &self.index else { return Some(None) };
        let entry = index.messages.position(uid).ok().and_then(|at| index.messages.get(at));
        let Some(Entry { flags, .. }) = entry else { return Some(None) };
        let live = |fact| Live { uid, flags, tail: index.tail(&fact), fact };
        Some(index.fact(uid)?.map(live))
    }

    /// Makes the picture for sessions; the old one stays if it is the same.
    pub(super) fn picture(&mut self) {
        let Some(index) = &self.index else { return };
        let (head, old) = (&index.head, &*self.snapshot);
        let is_same = (old.uid_validity, old.uid_next, &*old.keywords)
            == (head.uid_validity, head.uid_next, &*head.keywords)
            && (old.modseq == head.modseq || are_one(&old.messages, &index.messages));
        if is_same {
            return;
        }
        let keywords = match *old.keywords == *head.keywords {
            true => Arc::clone(&old.keywords),
            false => head.keywords.as_slice().into(),
        };
        self.snapshot = Arc::new(Snapshot {
            uid_validity: head.uid_validity,
            uid_next: head.uid_next,
            modseq: head.modseq,
            keywords,
            keywords_full: has_no_room(index),
            messages: index.messages.clone(),
        });
    }
}

/// Whether no keyword can be added: all have names, and those without letters, which may be given
/// anew, are on messages.
fn has_no_room(index: &Index) -> bool {
    let named = index.head.keywords.iter().filter(|name| !name.is_empty());
    let others = !tail::LETTERS;
    named.count() == u64::BITS as usize && index.messages.keywords(others) == others
}

/// Whether no message changed: transactions may be about other things.
fn are_one(one: &Messages, other: &Messages) -> bool {
    let (one, other) = (one.pieces(), other.pieces());
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.is(other))
}

/// How all files look now.
pub(super) fn marks(folders: &Folders) -> Result<Marks, StoreError> {
    Ok(Marks {
        looks: Some(Looks::at(folders)?),
        list: uidlist::stat(&folders.control)?,
        keywords: keywords::stat(&folders.control)?,
        more_keywords: more::stat(&folders.control)?,
    })
}
