//! Transactions become part of the picture in memory.
//!
//! Whoever opens a mailbox may find thousands of transactions in the log, most of one message
//! each. So what costs as much for one message as for many is done once for all of them: messages
//! are added and removed, and leave the list of those in `new`, when the last one is applied.

use std::collections::HashSet;

use mail_proto::mailbox::{Entry, Flags, Uid};

use super::frame::TEXT;
use super::octets::Damaged;
use super::{Change, Fact, Head, Index, Marks};
use crate::maildir::scan::Place;
use crate::maildir::tail::Tail;

/// The greatest modseq that there is (RFC 7162, 7: 63 bits).
pub(super) const MODSEQ: u64 = u64::MAX >> 1;

/// More bits than a mailbox has keywords.
const KEYWORDS: u8 = 64;

/// With fewer to take out of a list, each is searched for.
const FEW: usize = 8;

/// Whether a modseq can be that of the next transaction.
pub(super) fn follows(modseq: u64, last: u64) -> bool {
    modseq <= MODSEQ && (modseq > last || last == MODSEQ)
}

/// Whether these changes can be made one after the other.
#[derive(Debug)]
pub(super) struct Check {
    next: Uid,
}

impl Check {
    pub(super) fn new(head: &Head) -> Self {
        Self { next: head.uid_next }
    }

    pub(super) fn change(&mut self, change: &Change) -> Result<(), Damaged> {
        let tail = match change {
            Change::Added { uid, tail, .. } => {
                if *uid == 0 || *uid < self.next {
                    return Err(Damaged);
                }
                self.next = uid.checked_add(1).ok_or(Damaged)?;
                tail
            }
            Change::Next(uid) => {
                self.next = self.next.max(*uid);
                return Ok(());
            }
            Change::Keyword(bit, name) if *bit >= KEYWORDS || name.len() > TEXT => {
                return Err(Damaged);
            }
            Change::Modseqs(modseq) if *modseq > MODSEQ => return Err(Damaged),
            Change::Flagged { tail, .. } => tail,
            _ => return Ok(()),
        };
        match tail {
            Tail::Odd { text, .. } if text.len() > TEXT => Err(Damaged),
            _ => Ok(()),
        }
    }
}

/// An index that transactions are applied to.
#[derive(Debug)]
pub(super) struct Applying<'index> {
    index: &'index mut Index,
    added: Vec<Entry>,
    gone: HashSet<Uid>,
    left_new: Vec<Uid>,
}

impl<'index> Applying<'index> {
    pub(super) fn to(index: &'index mut Index) -> Self {
        Self { index, added: Vec::new(), gone: HashSet::new(), left_new: Vec::new() }
    }

    /// What is known, but for what waits to be done at the end.
    pub(super) fn head(&self) -> &Head {
        &self.index.head
    }

    /// The marks that the log told last.
    pub(super) fn marks(&self) -> &Marks {
        &self.index.logged
    }

    /// One transaction, whose changes were checked.
    pub(super) fn transaction(&mut self, modseq: u64, changes: impl Iterator<Item = Change>) {
        self.index.head.modseq = modseq;
        for change in changes {
            self.change(modseq, change);
        }
    }

    /// Does what waited.
    pub(super) fn finish(mut self) {
        self.index.messages.extend(std::mem::take(&mut self.added));
        let mut gone: Vec<Uid> = self.gone.drain().collect();
        if !gone.is_empty() {
            gone.sort_unstable();
            self.index.messages.remove(&gone);
            self.index.facts.remove(&gone);
        }
        self.leave_new();
    }

    fn change(&mut self, modseq: u64, change: Change) {
        let head = &mut self.index.head;
        match change {
            Change::Added { uid, flags, fact, tail } => self.add(modseq, uid, flags, fact, &tail),
            Change::Flagged { uid, flags, tail } => self.flag(modseq, uid, flags, &tail),
            Change::Gone(uid) => self.remove(modseq, uid),
            Change::Keyword(bit, name) => name_keyword(&mut head.keywords, bit, name),
            Change::Next(uid) => head.uid_next = head.uid_next.max(uid),
            Change::Recent(uid) => head.recent_from = uid,
            Change::Reserved(uid) => head.reserved = uid,
            Change::Modseqs(modseq) => {
                self.index.modseqs_to = self.index.modseqs_to.max(modseq);
            }
            Change::Marks(marks) => (head.marks, self.index.logged) = (*marks, *marks),
            Change::Boot(boot) => {
                head.boot = boot;
                self.index.this_boot |= boot == self.index.boot;
            }
        }
    }

    fn add(&mut self, modseq: u64, uid: Uid, flags: Flags, fact: Fact, tail: &Tail) {
        self.added.push(Entry { uid, flags });
        self.index.facts.add(Fact { uid, modseq, ..fact }, tail);
        self.index.head.uid_next = uid.saturating_add(1);
        if tail.place() == Place::New {
            self.index.head.in_new.push(uid);
        }
    }

    fn flag(&mut self, modseq: u64, uid: Uid, flags: Flags, tail: &Tail) {
        if self.gone.contains(&uid) {
            return;
        }
        if let Ok(at) = self.added.binary_search_by_key(&uid, |entry| entry.uid) {
            if let Some(entry) = self.added.get_mut(at) {
                entry.flags = flags;
            }
        } else if let Ok(position) = self.index.messages.position(uid) {
            self.index.messages.set_flags(position, flags);
        } else {
            return;
        }
        self.index.facts.flagged(uid, modseq, tail);
        if tail.place() == Place::New { self.enter_new(uid) } else { self.left_new.push(uid) }
    }

    fn remove(&mut self, modseq: u64, uid: Uid) {
        let is_there = self.index.messages.position(uid).is_ok()
            || self.added.binary_search_by_key(&uid, |entry| entry.uid).is_ok();
        if is_there && self.gone.insert(uid) {
            self.index.vanished.push(modseq, uid);
            self.left_new.push(uid);
        }
    }

    /// A file went from `cur` to `new`: rare, for no mail program does that.
    fn enter_new(&mut self, uid: Uid) {
        self.leave_new();
        let in_new = &mut self.index.head.in_new;
        if let Err(at) = in_new.binary_search(&uid) {
            in_new.insert(at, uid);
        }
    }

    fn leave_new(&mut self) {
        let in_new = &mut self.index.head.in_new;
        let mut left = std::mem::take(&mut self.left_new);
        if left.len() < FEW {
            for uid in left {
                if let Ok(at) = in_new.binary_search(&uid) {
                    in_new.remove(at);
                }
            }
            return;
        }
        left.sort_unstable();
        in_new.retain(|uid| left.binary_search(uid).is_err());
    }
}

/// The keyword of a bit has this name now.
pub(in crate::maildir) fn name_keyword(keywords: &mut Vec<String>, bit: u8, name: String) {
    let bit = usize::from(bit);
    if keywords.len() <= bit {
        keywords.resize(bit + 1, String::new());
    }
    if let Some(keyword) = keywords.get_mut(bit) {
        *keyword = name;
    }
}
