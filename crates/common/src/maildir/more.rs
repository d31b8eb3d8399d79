//! The keywords that have no letter, as a mailbox under lock keeps them: what we change is written
//! into their file first, then into the index; what others changed in the file is read. Where the
//! file is lost, what is in memory counts, and is written again.

use mail_proto::mailbox::{Flags, Uid};

use super::StoreError;
use super::flags::Marking;
use super::held::Held;
use super::index::{Change, Index};
use super::keywords::Room;
use super::more_keywords::{self, END, FIRST, MoreKeywords};
use super::tail;
use crate::disk::{self, Dir, Lasting, Stat};

/// What is known of the file.
#[derive(Debug)]
pub(super) struct More {
    stat: Option<Stat>,
    keywords: MoreKeywords,
}

/// What tells one state of the file from another; `None`: there is none.
pub(super) fn stat(dir: &Dir) -> Result<Option<Stat>, StoreError> {
    Ok(disk::found(dir.stat(more_keywords::FILE))?)
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

    /// Gives keywords bits that have no letter. Returns the bits, and the keywords for which there
    /// is no room; then, if all were wanted, none is given any.
    pub(super) fn give_more<'k>(
        &mut self,
        keywords: &[&'k str],
        room: Room,
    ) -> Result<(u64, Vec<&'k str>), StoreError> {
        if keywords.is_empty() {
            return Ok((0, Vec::new()));
        }
        let taken = self.used_keywords();
        self.change_more(|more, control| {
            let (bits, left) = more.give_all(keywords, taken, room);
            if bits != 0 {
                more.save(control)?;
            }
            Ok((bits, left))
        })
    }

    /// Writes down which of the changed messages have which keywords without letters.
    pub(super) fn keep_more(
        &mut self,
        changes: &[Change],
        lasting: Lasting,
    ) -> Result<(), StoreError> {
        let messages = &self.index().messages;
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
        let named = self.no_longer_waiting(changes);
        if changed.is_empty() && named.is_empty() {
            return Ok(());
        }
        self.change_more(|more, control| more.set(control, &changed, lasting))?;
        self.end_waiting(&named)
    }

    /// What the file says that the index does not know; `changes` are those that are known to come.
    pub(super) fn changed_more(&mut self, changes: &mut Vec<Change>) -> Result<(), StoreError> {
        let validity = self.index().head.uid_validity;
        self.more(validity)?;
        let Some(more) = self.known.more.take() else { return Ok(()) };
        let corrected = self.correct(&more.keywords, changes);
        self.known.more = Some(more);
        corrected?;
        self.restore_more(validity)
    }

    /// Writes the file again if it is lost. That it is there says that another server's flags were
    /// taken over, so it may have to be there with nothing in it.
    pub(super) fn restore_more(&mut self, uid_validity: u32) -> Result<(), StoreError> {
        let marks = self.known.index.as_ref().map(|index| index.head.marks);
        let was_there = marks.is_some_and(|marks| marks.more_keywords.is_some());
        let more = self.more(uid_validity)?;
        if more.is_written() || (more.is_empty() && !was_there) {
            return Ok(());
        }
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
                (flags, tail.with_flags(flags))
            });
            match marked {
                Ok(()) => named.push(uid),
                Err(error) if self.uid_validity() != Some(validity) => return Err(error),
                Err(error) if is_denied(&error) => break,
                Err(error) => tracing::debug!(uid, %error, "flags cannot be taken over yet"),
            }
        }
        if let Err(error) = self.end_waiting(&named) {
            self.warn(&error, "cannot write down that flags are taken over");
        }
        marking.end(self)
    }

    /// How many names of files are yet to say what they are to.
    pub(super) fn waiting(&mut self) -> Result<usize, StoreError> {
        let validity = self.index().head.uid_validity;
        Ok(self.more(validity)?.waiting().len())
    }

    /// Writes down that names of files do not wait any more. They last before.
    fn end_waiting(&mut self, named: &[Uid]) -> Result<(), StoreError> {
        if named.is_empty() {
            return Ok(());
        }
        let cur = self.folders.cur.clone();
        self.change_more(|more, control| {
            cur.sync()?;
            more.end_waiting(control, named)
        })
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
    pub(super) fn wrote_more(&mut self) -> Result<(), StoreError> {
        let now = stat(&self.folders.control)?;
        if let Some(more) = &mut self.known.more {
            more.stat = now;
        }
        Ok(())
    }

    /// Corrects changes that are to come, and what else is known, by what the file says.
    fn correct(
        &mut self,
        more: &MoreKeywords,
        changes: &mut Vec<Change>,
    ) -> Result<(), StoreError> {
        let mut named = names(more, &self.index().head.keywords);
        let mut met = Vec::new();
        for change in changes.iter_mut() {
            if let Change::Added { uid, flags, .. } | Change::Flagged { uid, flags, .. } = change {
                *flags = with(more, *uid, *flags);
                met.push(*uid);
            }
        }
        met.sort_unstable();
        let others = self.index().messages.clone();
        for entry in others.iter().filter(|entry| met.binary_search(&entry.uid).is_err()) {
            let flags = with(more, entry.uid, entry.flags);
            if flags != entry.flags
                && let Some(live) = self.live(entry.uid)?
            {
                changes.push(Change::Flagged { uid: entry.uid, flags, tail: live.tail });
            }
        }
        named.append(changes);
        *changes = named;
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

fn is_denied(error: &StoreError) -> bool {
    let StoreError::System { error, .. } = error else { return false };
    error.kind() == std::io::ErrorKind::PermissionDenied
}
