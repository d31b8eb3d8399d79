//! The keywords that have no letter, as a mailbox under lock keeps them.

use mail_proto::mailbox::{Flags, Uid};

use super::StoreError;
use super::held::Held;
use super::index::{Change, Tail};
use super::more_keywords::{self, Lasts, MoreKeywords};
use super::tail;
use crate::disk::{Dir, Stat};

/// What is known of the file.
#[derive(Debug)]
pub(super) struct More {
    stat: Option<Stat>,
    keywords: MoreKeywords,
}

/// What tells one state of the file from another; `None`: there is none.
pub(super) fn stat(dir: &Dir) -> Result<Option<Stat>, StoreError> {
    match dir.stat(more_keywords::FILE) {
        Ok(stat) => Ok(Some(stat)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl Held<'_> {
    /// The keywords that have no letter, as the file has them; none, where there is no file for
    /// this UIDVALIDITY.
    pub(super) fn more(&mut self, uid_validity: u32) -> Result<&mut MoreKeywords, StoreError> {
        let control = &self.folders.control;
        let now = stat(control)?;
        let known = self.known.more.take();
        let same = |more: &More| more.stat == now && more.keywords.uid_validity == uid_validity;
        let more = match known.filter(same) {
            Some(known) => known,
            None => {
                let read = MoreKeywords::read(control, uid_validity)?;
                let keywords = read.unwrap_or_else(|| MoreKeywords::new(uid_validity));
                More { stat: now, keywords }
            }
        };
        Ok(&mut self.known.more.insert(more).keywords)
    }

    /// Gives keywords bits that have no letter. Returns the bits, and the keywords for which there
    /// is no room.
    pub(super) fn add_more<'k>(
        &mut self,
        keywords: &[&'k str],
    ) -> Result<(Vec<usize>, Vec<&'k str>), StoreError> {
        let control = self.folders.control.clone();
        let validity = self.index().head.uid_validity;
        let (mut added, mut left) = (Vec::new(), Vec::new());
        for keyword in keywords {
            match self.more(validity)?.add(&control, keyword)? {
                Some(bit) => added.push(bit),
                None => left.push(*keyword),
            }
            self.wrote_more()?;
        }
        Ok((added, left))
    }

    /// Writes down which of the changed messages have which keywords without letters.
    pub(super) fn keep_more(&mut self, changes: &[Change], lasts: Lasts) -> Result<(), StoreError> {
        let messages = self.index().messages.clone();
        let had = |uid: Uid| {
            let entry = messages.position(uid).ok().and_then(|at| messages.get(at));
            entry.map_or(0, |entry| entry.flags.keywords & !tail::LETTERS)
        };
        let changed = changes.iter().filter_map(|change| match change {
            Change::Added { uid, flags, .. } | Change::Flagged { uid, flags, .. } => {
                let bits = flags.keywords & !tail::LETTERS;
                (bits != had(*uid)).then_some((*uid, bits))
            }
            _ => None,
        });
        let changed: Vec<(Uid, u64)> = changed.collect();
        if changed.is_empty() {
            return Ok(());
        }
        let control = self.folders.control.clone();
        let validity = self.index().head.uid_validity;
        self.more(validity)?.set(&control, &changed, lasts)?;
        self.wrote_more()
    }

    /// What the file says that the index does not know; `changes` are those that are known to come.
    pub(super) fn changed_more(&mut self, changes: &mut Vec<Change>) -> Result<(), StoreError> {
        let validity = self.index().head.uid_validity;
        self.more(validity)?;
        let Some(more) = &self.known.more else { return Ok(()) };
        let more = more.keywords.clone();
        let mut named = names(&more, &self.index().head.keywords);
        let mut met = Vec::new();
        for change in changes.iter_mut() {
            if let Change::Added { uid, flags, .. } | Change::Flagged { uid, flags, .. } = change {
                *flags = with(&more, *uid, *flags);
                met.push(*uid);
            }
        }
        met.sort_unstable();
        let others = self.index().messages.clone();
        for entry in others.iter().filter(|entry| met.binary_search(&entry.uid).is_err()) {
            let flags = with(&more, entry.uid, entry.flags);
            if flags != entry.flags
                && let Some(live) = self.live(entry.uid)?
            {
                let tail: Tail = live.tail;
                changes.push(Change::Flagged { uid: entry.uid, flags, tail });
            }
        }
        named.append(changes);
        *changes = named;
        Ok(())
    }

    /// Forgets messages that are gone.
    pub(super) fn tidy_more(&mut self) -> Result<(), StoreError> {
        let control = self.folders.control.clone();
        let messages = self.index().messages.clone();
        let validity = self.index().head.uid_validity;
        let more = self.more(validity)?;
        if more.messages().next().is_some() {
            more.keep_only(&control, |uid| messages.position(uid).is_ok())?;
            self.wrote_more()?;
        }
        Ok(())
    }

    /// The file is as we wrote it.
    pub(super) fn wrote_more(&mut self) -> Result<(), StoreError> {
        let now = stat(&self.folders.control)?;
        if let Some(more) = &mut self.known.more {
            more.stat = now;
        }
        Ok(())
    }
}

/// The flags of a message, with its keywords that have no letter.
pub(super) fn with(more: &MoreKeywords, uid: Uid, flags: Flags) -> Flags {
    Flags { keywords: flags.keywords & tail::LETTERS | more.of(uid), ..flags }
}

/// What the names of bits without letters are, besides those that are known.
pub(super) fn names(more: &MoreKeywords, known: &[String]) -> Vec<Change> {
    let last = (more_keywords::FIRST..64).rfind(|bit| more.name(*bit).is_some());
    let last = last.map_or(0, |bit| bit + 1);
    let name = |bit: usize| match more.name(bit) {
        Some(name) => name.to_owned(),
        None => format!("unknown-{bit}"),
    };
    let is_known = |bit: &usize| match (more.name(*bit), known.get(*bit)) {
        (Some(name), Some(known)) => name == known,
        (None, Some(_)) => true,
        (_, None) => false,
    };
    let first = known.len().min(more_keywords::FIRST);
    let bits = (first..last).filter(|bit| !is_known(bit));
    bits.filter_map(|bit| Some(Change::Keyword(u8::try_from(bit).ok()?, name(bit)))).collect()
}
