//! How the keywords that have no letters stay the same in the index and in their file: what we
//! change is written to both, the file first; what others changed in the file is read.

use std::collections::HashSet;

use mail_proto::mailbox::{Flags, Uid};

use super::held::Held;
use super::index::{Change, Index, Marks};
use super::more_keywords::{self, END, FIRST, Lasts, MoreKeywords};
use super::{StoreError, tail};

/// What tells one state of the file from another; `None`: there is none.
pub(super) fn stat(dir: &Dir) -> Result<Option<Stat>, StoreError> {
    match dir.stat(more_keywords::FILE) {
        Ok(stat) => Ok(Some(stat)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl Held<'_> {
    /// The keywords that have no letter, as the file has them; where there is none for this
    /// UIDVALIDITY, as the index has them. The file is read if it is not the one that we know.
    pub(super) fn more(&mut self, uid_validity: u32) -> Result<&mut MoreKeywords, StoreError> {
        let control = &self.folders.control;
        let now = stat(control)?;
        let known = self.known.more.take();
        let same = |more: &More| more.stat == now && more.keywords.uid_validity == uid_validity;
        let more = match known.filter(same) {
            Some(known) => known,
            None => {
                let read = MoreKeywords::read(control, uid_validity)?;
                let index = self.known.index.as_ref();
                let index = index.filter(|index| index.head.uid_validity == uid_validity);
                let lost = || index.map_or_else(|| MoreKeywords::new(uid_validity), in_memory);
                More { stat: now, keywords: read.unwrap_or_else(lost) }
            }
        };
        Ok(&mut self.known.more.insert(more).keywords)
    }

    /// Writes down which messages have keywords without letters, as far as these changes say so.
    pub(super) fn keep_more(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let mut changed = Vec::new();
        let mut lasts = Lasts::Soon;
        for change in changes {
            let (uid, flags) = match change {
                Change::Flagged { uid, flags, .. } => (*uid, *flags),
                Change::Added { uid, flags, .. } if flags.keywords & !tail::LETTERS != 0 => {
                    lasts = Lasts::Now;
                    (*uid, *flags)
                }
                _ => continue,
            };
            let index = self.index();
            let known = index.messages.position(uid).ok().and_then(|at| index.messages.get(at));
            let old = known.map_or(0, |known| known.flags.keywords);
            if (old ^ flags.keywords) & !tail::LETTERS != 0 {
                changed.push((uid, flags.keywords));
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        let mut more = self.more_keywords()?;
        let control = self.folders.control.clone();
        if let Err(error) = self.more(uid_validity)?.save(&control) {
            // It stays in memory, and is written with the next change.
            self.warn(&error, "cannot write keywords that have no letters");
        }
        self.wrote_more()
    }

    /// Forgets messages that are gone.
    pub(super) fn tidy_more(&mut self) -> Result<(), StoreError> {
        let messages = self.index().messages.clone();
        let validity = self.index().head.uid_validity;
        if !self.more(validity)?.has_messages() {
            return Ok(());
        }
        self.change_more(|more, control| {
            more.keep_only(control, |uid| messages.position(uid).is_ok())
        })
    }

    /// Names of files that could not be changed when the mailbox was taken over are changed now,
    /// before anybody changes flags. What is still not possible waits for the next one.
    pub(super) fn name_waiting(&mut self) -> Result<(), StoreError> {
        let head = &self.index().head;
        let (validity, file) = (head.uid_validity, head.marks.more_keywords);
        if file.is_none() || self.more(validity)?.waiting().is_empty() {
            return Ok(());
        }
        let waiting = self.more(validity)?.waiting().clone();
        let mut marking = Marking::begin(self)?;
        let mut named = Vec::new();
        for (uid, flags) in waiting {
            let marked = marking.mark(self, uid, |old, tail| {
                let keywords = flags.keywords | old.keywords & !tail::LETTERS;
                let flags = Flags { keywords, ..flags };
                (flags, tail::with_flags(tail, flags))
            });
            match marked {
                Ok(()) => named.push(uid),
                Err(error) if is_denied(&error) => break,
                Err(error) => tracing::debug!(uid, %error, "flags cannot be taken over yet"),
            }
        }
        let ended = self.change_more(|more, control| more.end_waiting(control, &named));
        if let Err(error) = ended {
            self.warn(&error, "cannot write down that flags are taken over");
        }
        marking.end(self)
    }

    /// Those of changed messages whose names waited: the change is newer, and counts.
    fn no_longer_waiting(&self, changes: &[Change]) -> Vec<Uid> {
        let Some(more) = &self.known.more else { return Vec::new() };
        let waits = |uid: &Uid| more.keywords.waiting().contains_key(uid);
        let changed = changes.iter().filter_map(|change| match change {
            Change::Flagged { uid, .. } => Some(*uid),
            _ => None,
        });
        changed.filter(waits).collect()
    }

    /// Changes the file. Where that fails, it is read again.
    fn change_more<T>(
        &mut self,
        change: impl FnOnce(&mut MoreKeywords, &Dir) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let control = self.folders.control.clone();
        let validity = self.index().head.uid_validity;
        let changed = change(self.more(validity)?, &control);
        if changed.is_err() {
            self.known.more = None;
        }
        self.wrote_more()?;
        changed
    }

    /// The file is as we wrote it.
    fn wrote_more(&mut self) -> Result<(), StoreError> {
        let now = stat(&self.folders.control)?;
        if let Some(more) = &mut self.known.more {
            more.stat = now;
        }
        Ok(())
    }

    /// Reads the file if others wrote it, and corrects what else changed by it. `now` is how the
    /// files look, `letters` what changed of their names.
    pub(super) fn follow_more(
        &mut self,
        now: &mut Marks,
        letters: &[Change],
        changes: &mut Vec<Change>,
    ) -> Result<(), StoreError> {
        let head = &self.index().head;
        let uid_validity = head.uid_validity;
        if head.marks.more_keywords == now.more_keywords {
            return Ok(());
        }
        let control = self.folders.control.clone();
        let Some(more) = MoreKeywords::read(&control, uid_validity)? else {
            let mut more = in_memory(self.index());
            if !more.is_empty() {
                more.save(&control)?;
            }
            now.more_keywords = more_keywords::stat(&control)?;
            return Ok(());
        };
        changes.extend(names(&more, &named(&self.index().head.keywords, letters)));
        let mut told = HashSet::new();
        for change in changes.iter_mut() {
            if let Change::Flagged { uid, flags, .. } | Change::Added { uid, flags, .. } = change {
                *flags = corrected(&more, *uid, *flags);
                told.insert(*uid);
            }
        }
        let wrong = self.index().messages.iter().filter(|entry| !told.contains(&entry.uid));
        let wrong =
            wrong.map(|entry| (entry.uid, entry.flags, corrected(&more, entry.uid, entry.flags)));
        let wrong: Vec<_> = wrong.filter(|(_, old, new)| old != new).collect();
        for (uid, _, flags) in wrong {
            if let Some(live) = self.live(uid)? {
                changes.push(Change::Flagged { uid, flags, tail: live.tail });
            }
        }
        Ok(())
    }
}

/// The flags of a message, with its keywords that have no letter.
pub(super) fn with(more: &MoreKeywords, uid: Uid, flags: Flags) -> Flags {
    Flags { keywords: flags.keywords & tail::LETTERS | more.of(uid), ..flags }
}

/// What the names of bits without letters are, besides those that are known. Bits are named
/// without gaps.
pub(super) fn names(more: &MoreKeywords, known: &[String]) -> Vec<Change> {
    let mut named = (FIRST..END).filter(|bit| more.name(*bit).is_some());
    let last = named.next_back().map_or(0, |bit| bit + 1);
    let name = |bit: usize| match more.name(bit) {
        Some(name) => name.to_owned(),
        None => format!("unknown-{bit}"),
    };
    let is_known = |bit: &usize| match (more.name(*bit), known.get(*bit)) {
        (Some(name), Some(known)) => name == known,
        (None, Some(_)) => true,
        (_, None) => false,
    };
    let first = known.len().min(FIRST);
    let bits = (first..last).filter(|bit| !is_known(bit));
    bits.filter_map(|bit| Some(Change::Keyword(u8::try_from(bit).ok()?, name(bit)))).collect()
}

/// What an index has of a file that is lost.
fn in_memory(index: &Index) -> MoreKeywords {
    let mut more = MoreKeywords::new(index.head.uid_validity);
    for (bit, name) in index.head.keywords.iter().enumerate().skip(FIRST) {
        more.call(bit, name);
    }
    for entry in index.messages.iter() {
        more.put(entry.uid, entry.flags.keywords);
    }
    more
}

/// The names of bits after changes.
pub(super) fn named(known: &[String], changes: &[Change]) -> Vec<String> {
    let mut names = known.to_vec();
    for change in changes {
        let Change::Keyword(bit, name) = change else { continue };
        let bit = usize::from(*bit);
        names.resize(names.len().max(bit + 1), String::new());
        if let Some(place) = names.get_mut(bit) {
            name.clone_into(place);
        }
    }
    names
}

/// The names of bits that have other ones now, or none yet.
pub(super) fn names(more: &MoreKeywords, known: &[String]) -> Vec<Change> {
    let last = (FIRST..END).rev().find(|bit| more.name(*bit).is_some());
    let Some(last) = last else { return Vec::new() };
    let change = |bit: usize| {
        let known = known.get(bit).filter(|name| !name.is_empty());
        let name = match (more.name(bit), known) {
            (Some(name), _) => name.to_owned(),
            (None, Some(_)) => return None,
            // Bits are named without gaps.
            (None, None) => format!("unknown-{bit}"),
        };
        (known != Some(&name)).then(|| Change::Keyword(u8::try_from(bit).unwrap_or_default(), name))
    };
    (0..=last).filter_map(change).collect()
}

/// The flags of a message, with the keywords that the file says.
fn corrected(more: &MoreKeywords, uid: Uid, flags: Flags) -> Flags {
    Flags { keywords: flags.keywords & tail::LETTERS | more.of(uid), ..flags }
}
