//! A mailbox gets another UIDVALIDITY: its UIDs are used up, or another program gave it one. The
//! messages are those that they were, and so are the names of their files. But what these cannot
//! say is in `posthorn.keywords` by UID, and UIDs mean nothing any more: it goes along by identity.
//!
//! The index of before is on the disk until the new one is, which is written last. So who finds it
//! beside a list of another UIDVALIDITY, for somebody was killed in between, does the same again.

use std::collections::HashMap;

use mail_proto::mailbox::{Flags, Uid};

use super::StoreError;
use super::held::Held;
use super::keywords::Room;
use super::more_keywords::{END, FIRST, MoreKeywords};

/// What messages had under another UIDVALIDITY that the names of their files do not say.
#[derive(Debug)]
pub(super) struct Former {
    /// The keywords of bits.
    names: Vec<(usize, String)>,
    /// By the hash of the identity.
    messages: HashMap<u64, Unsaid>,
}

/// Of one message.
#[derive(Debug, Clone, Copy)]
struct Unsaid {
    /// Keywords without letters.
    bits: u64,
    /// Flags that the name is yet to say.
    waiting: Option<Flags>,
}

impl Held<'_> {
    /// Remembers what the index, which is about to be forgotten, knows of messages.
    pub(super) fn remember(&mut self) -> Result<(), StoreError> {
        let uid_validity = self.index().head.uid_validity;
        let more = self.more(uid_validity)?;
        if more.is_empty() {
            return Ok(());
        }
        let name = |bit| more.name(bit).map(|name| (bit, name.to_owned()));
        let names = (FIRST..END).filter_map(name).collect();
        let waiting = more.waiting().clone();
        let uids: Vec<(Uid, u64)> = self.facts()?.map(|fact| (fact.uid(), fact.hash)).collect();
        let more = self.more(uid_validity)?;
        let unsaid = |(uid, hash): (Uid, u64)| {
            let (bits, waiting) = (more.of(uid), waiting.get(&uid).copied());
            (bits != 0 || waiting.is_some()).then_some((hash, Unsaid { bits, waiting }))
        };
        let messages = uids.into_iter().filter_map(unsaid).collect();
        self.former = Some(Former { names, messages });
        Ok(())
    }

    /// Writes what is remembered down for messages that have new UIDs, given with the hashes of
    /// their identities.
    pub(super) fn carry_over(
        &mut self,
        uid_validity: u32,
        messages: &[(Uid, u64)],
    ) -> Result<(), StoreError> {
        let Some(former) = self.former.take() else { return Ok(()) };
        let control = self.folders.control.clone();
        let more = self.more(uid_validity)?;
        let taken = messages.iter().fold(0, |taken, (uid, _)| taken | more.of(*uid));
        let bits = former.bits(more, taken);
        let known = messages.iter().filter_map(|(uid, hash)| {
            let unsaid = former.messages.get(hash)?;
            Some((*uid, *unsaid))
        });
        for (uid, unsaid) in known {
            let had = bits.iter().filter(|(old, _)| unsaid.bits & 1 << old != 0);
            let has = had.fold(more.of(uid), |has, (_, new)| has | new);
            more.put(uid, has);
            if let Some(flags) = unsaid.waiting {
                more.wait(uid, flags);
            }
        }
        if let Err(error) = more.save(&control) {
            // It stays in memory, and goes into the index.
            self.warn(&error, "cannot write keywords that have no letters");
        }
        self.wrote_more()
    }
}

impl Former {
    /// The bits of before, and those that their keywords have now: the same ones where these are
    /// free.
    fn bits(&self, more: &mut MoreKeywords, mut taken: u64) -> Vec<(usize, u64)> {
        let mut bits = Vec::with_capacity(self.names.len());
        for (old, name) in &self.names {
            if more.bit(name).is_none() && more.name(*old).is_none() {
                more.call(*old, name);
            }
            let (new, _) = more.give_all(&[name], taken, Room::ForSome);
            taken |= new;
            bits.push((*old, new));
        }
        bits
    }
}
