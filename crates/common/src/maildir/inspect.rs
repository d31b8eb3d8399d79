//! A look at a mailbox's files that changes none of them and makes none.

use std::collections::HashMap;

use mail_proto::mailbox::Uid;

use super::index::{self, FactsRead, Reader};
use super::known::Known;
use super::maintenance::{has_other_size, wrong_with};
use super::present::Present;
use super::scan::message_name;
use super::uidlist::{self, Found, UidList};
use super::{Finding, Store, StoreError, cache, dotlock, keywords, leftovers, more_keywords, name};
use crate::disk::{self, Dir};

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// What is wrong with the files.
    pub findings: Vec<Finding>,
    /// UIDVALIDITY, where the list of UIDs says it.
    pub uid_validity: Option<u32>,
    /// How the index is.
    pub index: IndexState,
    /// The files besides the messages, with their octets.
    pub files: Vec<(&'static str, u64)>,
    /// Who holds the lock of Dovecot's files: what is in it, `pid:host`.
    pub locked_by: Option<String>,
}

/// How an index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexState {
    /// There is none: it is made when the mailbox is opened.
    Missing,
    /// It can be read.
    Sound,
    /// It cannot: it is made anew when the mailbox is opened.
    Broken,
}

/// A longer lock file says nothing.
const LOCK_LIMIT: u64 = 1000;

impl Store {
    /// Looks at all files, without a lock and without a change. Whether the index is what the
    /// messages are is not among what this sees.
    pub fn inspect(&self) -> Result<Inspection, StoreError> {
        let present = self.mailbox.present()?;
        let found = present.control.as_ref().map(uidlist::read).transpose()?;
        let found = found.unwrap_or(Found::Nothing);
        let mut findings = Vec::from_iter(wrong_with(&found));
        // It may be that nobody opened the mailbox yet.
        let no_list = findings.pop_if(|finding| *finding == Finding::NoList);
        let list = found.into_list();
        let uid_validity = list.as_ref().map(|list| list.uid_validity);
        let index = present.index.as_ref().map_or(Ok(IndexState::Missing), index_state)?;
        if index == IndexState::Broken {
            findings.push(Finding::NoIndex);
        }
        let old = leftovers::old(&present)?;
        findings.extend((old > 0).then_some(Finding::Leftovers(old)));
        let in_cur = messages(&present, &list.unwrap_or_default(), &mut findings)?;
        if in_cur > 0 && findings.is_empty() {
            findings.extend(no_list);
        }
        let locked_by = present.control.as_ref().map(lock).transpose()?.flatten();
        let files = sizes(&present)?;
        Ok(Inspection { findings, uid_validity, index, files, locked_by })
    }

    /// Looks for what is wrong, as [`inspect`](Self::inspect) does and more closely, and mends it.
    /// New mail that nobody has seen is not wrong.
    pub fn mend(&self) -> Result<Vec<Finding>, StoreError> {
        let Inspection { mut findings, uid_validity, .. } = self.inspect()?;
        if findings.iter().any(|finding| matches!(finding, Finding::Leftovers(_))) {
            leftovers::remove(&self.mailbox.folders()?);
        }
        let snapshot = self.sync()?;
        if uid_validity.is_some_and(|before| before != snapshot.uid_validity) {
            findings.push(Finding::NewUidValidity(snapshot.uid_validity));
        }
        for finding in self.sync_whole()? {
            if !findings.contains(&finding) && !matches!(finding, Finding::Unnumbered(_)) {
                findings.push(finding);
            }
        }
        Ok(findings)
    }
}

/// Whether all of the index can be read.
fn index_state(dir: &Dir) -> Result<IndexState, StoreError> {
    let exists = |name| disk::found(dir.stat(name)).map(|stat| stat.is_some());
    if !exists(index::SNAPSHOT)? && !exists(index::LOG)? {
        return Ok(IndexState::Missing);
    }
    let mut known = Known::default();
    // What another process writes at this moment may be read half: then it is read again.
    for _ in 0..2 {
        if known.follow(dir, index::boot(), Reader::Free)?
            && let Some(index) = &mut known.index
            && index.read_facts(dir)? == FactsRead::Yes
        {
            return Ok(IndexState::Sound);
        }
        known = Known::default();
    }
    Ok(IndexState::Broken)
}

/// How many files are in `cur`; what is wrong with them and those in `new` is added.
fn messages(
    present: &Present,
    list: &UidList,
    findings: &mut Vec<Finding>,
) -> Result<usize, StoreError> {
    let uids: HashMap<u64, Uid> = list.records.iter().map(|row| (row.hash, row.uid)).collect();
    let mut hashes = Vec::new();
    let mut in_cur = 0;
    let mut sizes = Vec::new();
    for dir in [present.new.as_ref(), Some(&present.cur)].into_iter().flatten() {
        in_cur = 0;
        for entry in dir.entries()? {
            let entry = entry?;
            let Some(name) = message_name(&entry.name, entry.kind) else { continue };
            in_cur += 1;
            let hash = name::hash(name::base(name));
            hashes.push(hash);
            sizes.extend(uids.get(&hash).filter(|_| has_other_size(dir, name)));
        }
    }
    hashes.sort_unstable();
    let twice = hashes.windows(2).filter(|pair| pair.first() == pair.last()).count();
    findings.extend((twice > 0).then_some(Finding::Duplicates(twice)));
    sizes.sort_unstable();
    findings.extend(sizes.into_iter().map(Finding::OtherSize));
    Ok(in_cur)
}

fn sizes(present: &Present) -> Result<Vec<(&'static str, u64)>, StoreError> {
    let Present { control, index, .. } = present;
    let mut files = Vec::new();
    for (dir, name) in [
        (control, uidlist::FILE),
        (control, keywords::FILE),
        (index, index::SNAPSHOT),
        (index, index::LOG),
        (index, cache::NAME),
        (control, more_keywords::FILE),
    ] {
        let Some(dir) = dir else { continue };
        files.extend(disk::found(dir.stat(name))?.map(|stat| (name, stat.size)));
    }
    Ok(files)
}

fn lock(control: &Dir) -> Result<Option<String>, StoreError> {
    let bytes = disk::found(control.read(dotlock::name(uidlist::FILE), LOCK_LIMIT))?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()))
}
