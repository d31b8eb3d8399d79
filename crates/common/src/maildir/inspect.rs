//! A look at a mailbox's files that changes none of them.

use std::collections::HashMap;

use mail_proto::mailbox::Uid;

use super::index::{FactsRead, Reader};
use super::known::Known;
use super::scan::{Folders, message_name};
use super::uidlist::{self, Form, Found, UidList};
use super::{Finding, Store, StoreError, keywords, leftovers, more_keywords, name};
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

const FILES: [&str; 6] = [
    uidlist::FILE,
    keywords::FILE,
    "posthorn.index",
    "posthorn.log",
    "posthorn.cache",
    more_keywords::FILE,
];
const LOCK: &str = "dovecot-uidlist.lock";
/// A longer lock file says nothing.
const LOCK_LIMIT: u64 = 1000;

impl Store {
    /// Looks at all files, without a lock and without a change. Whether the index is what the
    /// messages are is not among what this sees.
    pub fn inspect(&self) -> Result<Inspection, StoreError> {
        let folders = self.mailbox.folders()?;
        let (mut findings, mut uid_validity) = (Vec::new(), None);
        let list = match uidlist::read(&folders.control)? {
            Found::List(list) => {
                uid_validity = Some(list.uid_validity);
                if let Form::Damaged(lines) = list.form {
                    findings.push(Finding::ListDamaged(lines));
                }
                list
            }
            Found::Nonsense => {
                findings.push(Finding::ListDamaged(1));
                UidList::default()
            }
            Found::Nothing => UidList::default(),
        };
        let index = index_state(&folders)?;
        if index == IndexState::Broken {
            findings.push(Finding::NoIndex);
        }
        let old = leftovers::old(&folders)?;
        findings.extend((old > 0).then_some(Finding::Leftovers(old)));
        let seen = messages(&folders, &list, &mut findings)?;
        if uid_validity.is_none() && seen > 0 && findings.is_empty() {
            findings.push(Finding::NoList);
        }
        let (files, locked_by) = (sizes(&folders)?, lock(&folders.control)?);
        Ok(Inspection { findings, uid_validity, index, files, locked_by })
    }

    /// Looks for what is wrong, as [`inspect`](Self::inspect) and [`check`](Self::check) do, and
    /// mends it. New mail that nobody has seen is not wrong.
    pub fn mend(&self) -> Result<Vec<Finding>, StoreError> {
        let Inspection { mut findings, uid_validity, .. } = self.inspect()?;
        if findings.iter().any(|finding| matches!(finding, Finding::Leftovers(_))) {
            leftovers::remove(&self.mailbox.folders()?);
        }
        let snapshot = self.sync()?;
        if uid_validity.is_some_and(|before| before != snapshot.uid_validity) {
            findings.push(Finding::NewUidValidity(snapshot.uid_validity));
        }
        for finding in self.check()? {
            if !findings.contains(&finding) && !matches!(finding, Finding::Unnumbered(_)) {
                findings.push(finding);
            }
        }
        Ok(findings)
    }
}

/// Whether all of the index can be read.
fn index_state(folders: &Folders) -> Result<IndexState, StoreError> {
    let exists = |name| disk::found(folders.index.stat(name)).map(|stat| stat.is_some());
    if !exists("posthorn.index")? && !exists("posthorn.log")? {
        return Ok(IndexState::Missing);
    }
    let mut known = Known::default();
    // What another process writes at this moment may be read half: then it is read again.
    for _ in 0..2 {
        if known.follow(folders, Reader::Free)?
            && let Some(index) = &mut known.index
            && index.read_facts(&folders.index)? == FactsRead::Yes
        {
            return Ok(IndexState::Sound);
        }
        known = Known::default();
    }
    Ok(IndexState::Broken)
}

/// How many files are in `cur`; what is wrong with them and those in `new` is added.
fn messages(
    folders: &Folders,
    list: &UidList,
    findings: &mut Vec<Finding>,
) -> Result<usize, StoreError> {
    let uids: HashMap<u64, Uid> = list.records.iter().map(|row| (row.hash, row.uid)).collect();
    let mut hashes = Vec::new();
    let mut in_cur = 0;
    let mut sizes = Vec::new();
    for dir in [&folders.new, &folders.cur] {
        in_cur = 0;
        for entry in dir.entries()? {
            let entry = entry?;
            let Some(name) = message_name(&entry.name, entry.kind) else { continue };
            in_cur += 1;
            let hash = name::hash(name::base(name));
            hashes.push(hash);
            let (Some(size), Some(uid)) = (name::stored_size(name), uids.get(&hash)) else {
                continue;
            };
            if dir.stat(name).is_ok_and(|stat| stat.size != size) {
                sizes.push(*uid);
            }
        }
    }
    hashes.sort_unstable();
    let twice = hashes.windows(2).filter(|pair| pair.first() == pair.last()).count();
    findings.extend((twice > 0).then_some(Finding::Duplicates(twice)));
    sizes.sort_unstable();
    findings.extend(sizes.into_iter().map(Finding::OtherSize));
    Ok(in_cur)
}

fn sizes(folders: &Folders) -> Result<Vec<(&'static str, u64)>, StoreError> {
    let mut files = Vec::new();
    for name in FILES {
        let dir = if name.starts_with("dovecot") || name == more_keywords::FILE {
            &folders.control
        } else {
            &folders.index
        };
        files.extend(disk::found(dir.stat(name))?.map(|stat| (name, stat.size)));
    }
    Ok(files)
}

fn lock(control: &Dir) -> Result<Option<String>, StoreError> {
    let bytes = disk::found(control.read(LOCK, LOCK_LIMIT))?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()))
}
