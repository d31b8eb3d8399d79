//! How the keywords that have no letters stay the same in the index and in their file: what we
//! change is written to both, the file first; what others changed in the file is read.

use std::collections::HashSet;

use mail_proto::mailbox::{Flags, Uid};

use super::held::Held;
use super::index::{Change, Index, Marks};
use super::more_keywords::{self, END, FIRST, Lasts, MoreKeywords};
use super::{StoreError, tail};

impl Held<'_> {
    /// The file; where it is lost, what the index has of it.
    pub(super) fn more_keywords(&mut self) -> Result<MoreKeywords, StoreError> {
        let uid_validity = self.index().head.uid_validity;
        let read = MoreKeywords::read(&self.folders.control, uid_validity)?;
        Ok(read.unwrap_or_else(|| in_memory(self.index())))
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
        more.set(&control, &changed, lasts)?;
        let messages = &self.index().messages;
        more.keep_only(&control, |uid| {
            messages.position(uid).is_ok() || changed.iter().any(|(changed, _)| *changed == uid)
        })?;
        self.index().head.marks.more_keywords = more_keywords::stat(&control)?;
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

/// What an index that may have lost the file has of it.
pub(super) fn in_memory(index: &Index) -> MoreKeywords {
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
