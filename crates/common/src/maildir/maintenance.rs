//! What an admin asks of one mailbox: to look for what is wrong with it, to make its index anew, to
//! leave it as another server expects it.

use std::fmt;
use std::sync::Arc;

use mail_proto::mailbox::{Difference, Messages, Snapshot, Uid};

use super::held::Held;
use super::index::{self, Reader};
use super::keywords::Keywords;
use super::known::{self, Files, IndexFiles, Known};
use super::scan::MessageFile;
use super::store::MAILDROP_LOCK;
use super::takeover::is_foreign;
use super::uidlist::{self, Form, Found, Row, UidList};
use super::{Store, StoreError, cache, leftovers, lock, more_keywords, name, tail};
use crate::disk::{self, Dir};

/// Something that was found in a mailbox. Whatever can be mended is, by the time this is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// There was no index, or none that could be read; it was made from the messages.
    NoIndex,
    /// The index did not fit the messages.
    IndexDiffers {
        /// Messages that were not in it.
        missing: usize,
        /// Messages in it that are gone.
        gone: usize,
        /// Messages with other flags.
        flags: usize,
    },
    /// The list of UIDs was not there; it was written anew.
    NoList,
    /// So many lines of the list of UIDs made no sense; it was kept aside and written anew.
    ListDamaged(usize),
    /// So many messages had no UID; they have one now.
    Unnumbered(usize),
    /// The mailbox got a new UIDVALIDITY: clients fetch all of it again.
    NewUidValidity(u32),
    /// A file's size is not the one that its name says.
    OtherSize(Uid),
    /// Keywords that have no place in the names of files, with how many messages have each:
    /// another server will not know them.
    KeywordWithoutLetter(String, usize),
    /// Of so many messages, flags that another server had wait: the names of their files cannot be
    /// changed.
    FlagsWait(usize),
    /// So many files have the identity of another file.
    Duplicates(usize),
    /// So many files and directories that programs left unfinished.
    Leftovers(usize),
    /// A mailbox of Maildir++ without its mark `maildirfolder`.
    NoMark,
    /// `maildirsize` is not what the messages take.
    QuotaDiffers,
}

/// How a mailbox was left to another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// What is in it.
    pub snapshot: Arc<Snapshot>,
    /// What was found on the way, and what another server will not know.
    pub findings: Vec<Finding>,
}

impl Finding {
    /// What was done about it, or is done by who mends; `None`: nothing can be.
    #[must_use]
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::NoIndex => Some("made from the messages"),
            Self::IndexDiffers { .. } | Self::NoMark => Some("mended"),
            Self::NoList | Self::QuotaDiffers => Some("written anew"),
            Self::ListDamaged(_) => Some("kept aside and written anew"),
            Self::Unnumbered(_) => Some("numbered"),
            Self::NewUidValidity(_) => Some("clients fetch all messages again"),
            Self::Duplicates(_) => Some("two messages get two identities, two names become one"),
            Self::Leftovers(_) => Some("removed"),
            Self::OtherSize(_) | Self::KeywordWithoutLetter(..) | Self::FlagsWait(_) => None,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoIndex => write!(f, "no index that can be read"),
            Self::IndexDiffers { missing, gone, flags } => write!(
                f,
                "index: {missing} messages were missing, {gone} are gone, {flags} have other flags"
            ),
            Self::NoList => write!(f, "no list of UIDs"),
            Self::ListDamaged(lines) => write!(f, "list of UIDs: {lines} damaged lines"),
            Self::Unnumbered(count) => write!(f, "{count} messages had no UID"),
            Self::NewUidValidity(new) => write!(f, "new UIDVALIDITY {new}"),
            Self::OtherSize(uid) => {
                write!(f, "UID {uid}: the file has not the size that its name says")
            }
            Self::KeywordWithoutLetter(keyword, count) => {
                write!(f, "keyword {keyword} of {count} messages has no letter")
            }
            Self::FlagsWait(count) => {
                write!(f, "flags of {count} messages wait: the names of their files cannot change")
            }
            Self::Duplicates(count) => write!(f, "{count} files have the identity of another"),
            Self::Leftovers(count) => write!(f, "{count} leftovers of programs that died"),
            Self::NoMark => write!(f, "no maildirfolder"),
            Self::QuotaDiffers => write!(f, "maildirsize is not what the messages take"),
        }
    }
}

/// How things stood before anybody looked closer.
#[derive(Debug)]
struct Before {
    /// What was wrong with the list of UIDs.
    list: Option<Finding>,
    uid_validity: u32,
    uid_next: Uid,
    messages: Option<Messages>,
}

impl Store {
    /// Lists all of the mailbox, which mends it as every opening does. Says what was wrong.
    pub(super) fn sync_whole(&self) -> Result<Vec<Finding>, StoreError> {
        let before = self.before()?;
        let mut held = self.mailbox.hold()?;
        held.look_again()?;
        let mut findings = before.findings(&held.snapshot());
        held.check_sizes(&mut findings)?;
        let waiting = held.waiting()?;
        findings.extend((waiting > 0).then_some(Finding::FlagsWait(waiting)));
        Ok(findings)
    }

    /// Makes the index anew from the messages, and forgets the cache.
    pub fn rebuild(&self) -> Result<Vec<Finding>, StoreError> {
        let before = self.before()?;
        let mut held = self.mailbox.hold()?;
        held.known.trust = IndexFiles::NoFacts;
        held.look_again()?;
        remove(&held.folders.index, cache::NAME)?;
        Ok(before.findings(&held.snapshot()))
    }

    /// Mends the mailbox, leaves everything as Dovecot expects it, and no file of ours but one that
    /// has the only copy of flags that wait. No session of ours may have the mailbox open: it would make them again.
    pub fn settle(&self) -> Result<Settled, StoreError> {
        let mut findings = self.mend()?;
        let mut held = self.mailbox.hold()?;
        held.write(0)?;
        let snapshot = held.snapshot();
        findings.extend(without_letters(&snapshot));
        held.write_for_others()?;
        leftovers::remove(&held.folders);
        let more = (held.waiting()? == 0).then_some(more_keywords::FILE);
        held.known.forget();
        let folders = held.into_folders();
        let files = [index::SNAPSHOT, index::LOG, cache::NAME];
        for file in files.into_iter().chain(more) {
            remove(&folders.index, file)?;
            remove(&folders.control, file)?;
        }
        for lock in [lock::LOCK, MAILDROP_LOCK] {
            remove(&folders.index, lock)?;
        }
        leftovers::remove_unfinished(&folders.index)?;
        leftovers::remove_unfinished(&folders.control)?;
        Ok(Settled { snapshot, findings })
    }

    fn before(&self) -> Result<Before, StoreError> {
        let folders = self.mailbox.folders()?;
        let mut known = Known::default();
        let has_index = known.follow(&folders.index, folders.boot(), Reader::Free)?;
        let index = known.index.filter(|_| has_index);
        let found = match is_foreign(&folders)? {
            true => uidlist::read_foreign(&folders.control)?,
            false => uidlist::read(&folders.control)?,
        };
        let list = wrong_with(&found);
        let UidList { uid_validity, uid_next, .. } = found.into_list().unwrap_or_default();
        let messages = index.map(|index| index.messages);
        Ok(Before { list, uid_validity, uid_next, messages })
    }
}

impl Before {
    fn findings(&self, after: &Snapshot) -> Vec<Finding> {
        let mut findings = Vec::from_iter(self.list.clone());
        if self.uid_validity != after.uid_validity {
            findings.push(Finding::NewUidValidity(after.uid_validity));
        }
        let numbered = after.messages.iter().rev().take_while(|entry| entry.uid >= self.uid_next);
        match numbered.count() {
            0 => {}
            count => findings.push(Finding::Unnumbered(count)),
        }
        match &self.messages {
            None => findings.push(Finding::NoIndex),
            Some(messages) => findings.extend(differences(messages, &after.messages)),
        }
        findings
    }
}

/// What is wrong with what was found as the list of UIDs.
pub(super) fn wrong_with(found: &Found) -> Option<Finding> {
    match found {
        Found::List(UidList { form: Form::Damaged(lines), .. }) => {
            Some(Finding::ListDamaged(*lines))
        }
        Found::List(_) => None,
        Found::Nonsense => Some(Finding::ListDamaged(1)),
        Found::Nothing => Some(Finding::NoList),
    }
}

fn differences(before: &Messages, after: &Messages) -> Option<Finding> {
    let (mut missing, mut gone, mut flags) = (0, 0, 0);
    for difference in before.differences(after) {
        *match difference {
            Difference::New(_) => &mut missing,
            Difference::Gone(_) => &mut gone,
            Difference::Flags { .. } => &mut flags,
        } += 1;
    }
    (missing + gone + flags > 0).then_some(Finding::IndexDiffers { missing, gone, flags })
}

fn without_letters(snapshot: &Snapshot) -> Vec<Finding> {
    let names = snapshot.keywords.iter().enumerate();
    let more = names.filter(|(bit, _)| tail::LETTERS >> bit == 0);
    let count = |bit: usize| {
        let has = |entry: &mail_proto::mailbox::Entry| entry.flags.keywords >> bit & 1 != 0;
        snapshot.messages.iter().filter(has).count()
    };
    more.map(|(bit, name)| (name, count(bit)))
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| Finding::KeywordWithoutLetter(name.clone(), count))
        .collect()
}

impl Held<'_> {
    /// Lists everything, whatever the time stamps say.
    fn look_again(&mut self) -> Result<(), StoreError> {
        self.look_until_same(|held| {
            let now = known::marks(&held.folders)?;
            held.known.files = Files::InDoubt;
            held.look(now)
        })
    }

    fn check_sizes(&mut self, findings: &mut Vec<Finding>) -> Result<(), StoreError> {
        let mut names = self.names()?;
        let mut file = MessageFile::default();
        let uids: Vec<Uid> = self.index().messages.iter().map(|entry| entry.uid).collect();
        for uid in uids {
            if self.locate(&mut names, uid, &mut file)?.is_none() {
                continue;
            }
            if has_other_size(self.folders.at(file.place), &file.name) {
                findings.push(Finding::OtherSize(uid));
            }
        }
        Ok(())
    }

    /// Writes the list of UIDs and the keywords whole, with nothing left out and nothing more.
    fn write_for_others(&mut self) -> Result<(), StoreError> {
        let control = self.folders.control.clone();
        if let Found::List(mut list) = uidlist::read(&control)? {
            list.uid_next = list.uid_next.max(self.index().head.uid_next);
            let messages = &self.index().messages;
            let live = list.records.iter().filter(|record| messages.position(record.uid).is_ok());
            list.save_with(&control, live.map(|record| Row::Old(*record)))?;
        }
        let letters = Keywords::of(&self.index().head.keywords);
        if !letters.is_empty() {
            letters.save(&control)?;
        }
        Ok(())
    }
}

/// Whether a message's file has not the size that its name says.
pub(super) fn has_other_size(dir: &Dir, name: &str) -> bool {
    let said = name::stored_size(name);
    said.is_some_and(|size| dir.stat(name).is_ok_and(|stat| stat.size != size))
}

/// Removes a file, if there is one.
pub(super) fn remove(dir: &Dir, name: &str) -> Result<(), StoreError> {
    disk::found(dir.unlink(name))?;
    Ok(())
}
