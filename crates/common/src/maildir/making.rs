//! The index is made from the files of a mailbox: when we look at it for the first time, or the
//! index is lost.

use mail_proto::mailbox::{Flags, Uid};

use super::held::Held;
use super::index::{self, Change, Fact, Head, Index, Marks};
use super::join;
use super::known::IndexFiles;
use super::scan::Place;
use super::settle::Settling;
use super::tail::Tail;
use super::uidlist::Lists;
use super::{StoreError, more};

/// Makes the index. What a process knew before it lost the index is kept, also where this fails.
pub(super) fn make(
    settling: Settling,
    held: &mut Held<'_>,
    letters: Vec<Change>,
) -> Result<Lists, StoreError> {
    let uid_validity = settling.seen.list.as_ref().map_or(0, |list| list.uid_validity);
    held.restore_more(uid_validity)?;
    let rows = settling.joined.rows.iter();
    let messages: Vec<(Uid, u64)> =
        rows.map(|row| (row.uid, settling.seen.listing.hash(row.file))).collect();
    held.carry_over(uid_validity, &messages)?;
    let old = held.known.index.take();
    let made = make_behind(old.as_ref(), settling, uid_validity, held, letters);
    if made.is_err() {
        held.known.index = old;
    }
    made
}

/// Makes it so that nothing goes back behind an old one.
fn make_behind(
    old: Option<&Index>,
    settling: Settling,
    uid_validity: u32,
    held: &mut Held<'_>,
    letters: Vec<Change>,
) -> Result<Lists, StoreError> {
    // Clients of the server before us saw some, too.
    let fresh = index::modseq_after(held.more(uid_validity)?.modseq);
    let modseq = old.map_or(fresh, |old| old.fresh_modseq().max(fresh));
    let mut making =
        Making { settling, uid_validity, modseq, messages: Vec::new(), names: Vec::new() };
    making.read();
    making.name(held, letters)?;
    making.finish(held, old)
}

/// An index that is being made.
#[derive(Debug)]
struct Making {
    settling: Settling,
    uid_validity: u32,
    modseq: u64,
    messages: Vec<(Uid, Flags, Fact, Tail)>,
    /// The names of keywords' bits.
    names: Vec<String>,
}

impl Making {
    /// Reads the names of all files.
    fn read(&mut self) {
        let (listing, modseq) = (&self.settling.seen.listing, self.modseq);
        let message = |row: &join::Row| {
            let line = row.line.unwrap_or_default();
            let (flags, mut fact, tail) = join::read(listing, row.file, line);
            fact.modseq = modseq;
            (row.uid, flags, fact, tail)
        };
        self.messages = self.settling.joined.rows.iter().map(message).collect();
    }

    /// Names the bits, and gives messages those that are not in names of files.
    fn name(&mut self, held: &mut Held<'_>, letters: Vec<Change>) -> Result<(), StoreError> {
        let more = held.more(self.uid_validity)?;
        for (uid, flags, ..) in &mut self.messages {
            *flags = more::with(more, *uid, *flags);
        }
        for change in more::names(more, &[]).into_iter().chain(letters) {
            if let Change::Keyword(bit, name) = change {
                index::name_keyword(&mut self.names, bit, name);
            }
        }
        self.settling.seen.now.more_keywords = more::stat(&held.folders.control)?;
        Ok(())
    }

    /// Makes it known, and writes it.
    fn finish(self, held: &mut Held<'_>, old: Option<&Index>) -> Result<Lists, StoreError> {
        let (head, list) = (self.head(held, old), self.settling.seen.now.list);
        held.known.index = Some(Index::new(head, self.messages.into_iter()));
        if let Err(error) = held.checkpoint() {
            held.known.trust = IndexFiles::Lost;
            held.warn(&error, "cannot write the index");
            if list.is_some() {
                // Lines may be there that were appended under a reserve that is lost.
                return held.sync_list();
            }
        }
        Ok(Lists::Same)
    }

    fn head(&self, held: &Held<'_>, old: Option<&Index>) -> Head {
        let given = self.messages.last().map_or(0, |(uid, ..)| uid + 1);
        let shown = old.map_or(0, |old| old.head.uid_next.max(old.head.reserved));
        let uid_next = self.settling.uid_next(held).max(given).max(shown);
        let first_new = self.messages.iter().find(|(.., tail)| tail.place() == Place::New);
        let now = &self.settling.seen.now;
        Head {
            uid_validity: self.uid_validity,
            uid_next,
            reserved: uid_next,
            modseq: self.modseq,
            recent_from: match old {
                Some(old) => old.head.recent_from,
                None => first_new.map_or(uid_next, |(uid, ..)| *uid),
            },
            keywords: self.names.clone(),
            marks: Marks { looks: now.looks.filter(|_| !self.settling.waiting), ..*now },
            in_new: Vec::new(),
            boot: held.folders.boot(),
        }
    }
}
