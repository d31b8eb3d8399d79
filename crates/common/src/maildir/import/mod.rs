//! What other servers know of a mailbox that its files' names do not say, read once when we take
//! it over. Nothing here writes.
//!
//! Dovecot keeps flags in the names of files, with three exceptions that only its index has: a
//! flag whose file could not be renamed (read-only, no space: "dirty"), keywords beyond the
//! twenty-six that have a letter, and modseqs. Courier has no letters at all: its keywords are in
//! a directory of their own.
//!
//! What is damaged, or of a version that nobody told us of, is an error that says where; the
//! mailbox opens without it, and the file stays as it is. But what cannot be read says nothing of
//! what is in it, and is asked only once: the mailbox does not open before it can.

pub(in crate::maildir) mod courier;
mod dovecot_index;
mod dovecot_log;
mod fields;
mod picture;
mod replay;

use std::{fs, io};

use mail_proto::mailbox::{Flags, Uid};
use thiserror::Error;

use super::tail::LETTERS;
use crate::disk::{self, Dir, DiskError};

use self::dovecot_log::Log;
use self::picture::What;
use self::replay::{Limits, Replay};

const INDEX: &str = "dovecot.index";
const LOG: &str = "dovecot.index.log";
const OLDER_LOG: &str = "dovecot.index.log.2";
/// A larger index is none: ten million messages fit.
const INDEX_LIMIT: u64 = 1 << 30;
/// Dovecot begins a new log at 1 MB.
const LOG_LIMIT: u64 = 1 << 28;

/// What Dovecot's index and log say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Imported {
    /// RFC 9051, 2.3.1.1; 0 if the index does not know it.
    pub uid_validity: u32,
    /// Greater than every UID in it.
    pub next_uid: Uid,
    /// No message and no expunge has a higher one (RFC 7162, 3.1.2.1); 0: there are none.
    pub highest_modseq: u64,
    /// The keywords, some perhaps of no message.
    pub keywords: Vec<String>,
    /// In order of UID.
    pub messages: Vec<Message>,
    /// So many words for each message, whose bits are its keywords.
    stride: usize,
    bits: Vec<u64>,
}

/// A message in [`Imported`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// Its UID.
    pub uid: Uid,
    /// Bits of [`Flags::system`](mail_proto::mailbox::Flags::system).
    pub system: u8,
    /// Whether these flags and keywords count, for its file's name has not heard of them yet.
    pub dirty: bool,
    /// When it changed last (RFC 7162); 0: unknown.
    pub modseq: u64,
}

/// Why there is nothing to import.
#[derive(Debug, Error)]
pub enum ImportError {
    /// A file says what we do not understand, or what cannot be.
    #[error("{file}, octet {at}: {what}")]
    Damaged {
        /// The file's name.
        file: &'static str,
        /// Where in it.
        at: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// The files do not belong together.
    #[error("{0}")]
    Apart(&'static str),
    /// The system does not let us read them.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl ImportError {
    /// Whether trying again later may help.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Disk(error) if !is_nonsense(error))
    }
}

impl Imported {
    /// The keywords of a message, as numbers in [`keywords`](Self::keywords).
    pub fn keywords_of(&self, position: usize) -> impl Iterator<Item = usize> {
        let from = position.saturating_mul(self.stride);
        let words = self.bits.get(from..from.saturating_add(self.stride)).unwrap_or_default();
        let bit = |number: &usize| {
            words.get(number / 64).is_some_and(|word| word & (1 << (number % 64)) != 0)
        };
        (0..self.keywords.len()).filter(bit)
    }

    /// Of each keyword, whether any message has it.
    fn used(&self) -> Vec<bool> {
        let mut all = vec![0; self.stride];
        for bits in self.bits.chunks(self.stride.max(1)) {
            all.iter_mut().zip(bits).for_each(|(all, bits)| *all |= bits);
        }
        let bit =
            |number: usize| all.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 != 0);
        (0..self.keywords.len()).map(bit).collect()
    }

    /// Where a message stands in [`messages`](Self::messages).
    #[must_use]
    pub fn position(&self, uid: Uid) -> Option<usize> {
        self.messages.binary_search_by_key(&uid, |message| message.uid).ok()
    }
}

/// What another server knew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    /// Dovecot.
    Dovecot(Imported),
    /// Courier.
    Courier(courier::Keywords),
}

/// What another server knew of a mailbox of this UIDVALIDITY. `index` is where Dovecot had its
/// index, `mail` the Maildir, if Courier is to be asked. What is wrong with its files is logged; an
/// error if they cannot be read now.
pub(super) fn known(
    index: &Dir,
    mail: Option<&Dir>,
    uid_validity: u32,
) -> Result<Option<Known>, DiskError> {
    let known = match dovecot(index) {
        Ok(Some(imported)) if imported.uid_validity == uid_validity => {
            return Ok(Some(Known::Dovecot(imported)));
        }
        Ok(Some(imported)) => {
            let (path, theirs) = (index.path().display(), imported.uid_validity);
            tracing::warn!(%path, theirs, ours = uid_validity, "{INDEX} has another UIDVALIDITY");
            return Ok(None);
        }
        // Where Dovecot was not, Courier may have been.
        Ok(None) => mail.map_or_else(|| Ok(courier::Keywords::default()), courier::read),
        Err(error) => Err(error),
    };
    match known {
        Ok(keywords) if keywords.is_empty() => Ok(None),
        Ok(keywords) => Ok(Some(Known::Courier(keywords))),
        Err(ImportError::Disk(error)) if !is_nonsense(&error) => Err(error),
        Err(error) => {
            let path = mail.unwrap_or(index).path().display();
            tracing::warn!(%path, %error, "flags of another server are not taken over");
            Ok(None)
        }
    }
}

/// Whether what the system says means that no server wrote this. A link may lead to what one did.
fn is_nonsense(error: &DiskError) -> bool {
    match error.kind() {
        io::ErrorKind::FileTooLarge | io::ErrorKind::IsADirectory => true,
        io::ErrorKind::NotADirectory => {
            fs::symlink_metadata(error.path()).is_ok_and(|found| found.is_file())
        }
        _ => false,
    }
}

impl Known {
    /// The keywords that messages have, with the numbers that [`flags`](Self::flags) knows them by.
    pub(in crate::maildir) fn keywords(&self) -> Vec<(usize, &str)> {
        let (names, used) = match self {
            Self::Dovecot(imported) => (&imported.keywords, imported.used()),
            Self::Courier(keywords) => (keywords.names(), keywords.used()),
        };
        let names = names.iter().map(String::as_str).enumerate();
        names.zip(used).filter(|(_, used)| *used).map(|(name, _)| name).collect()
    }

    /// The flags of a message whose file's name says these. `bits` are the bits of the keywords,
    /// by their numbers; 0 for those that have none.
    pub(in crate::maildir) fn flags(
        &self,
        uid: Uid,
        base: &str,
        named: Flags,
        bits: &[u64],
    ) -> Flags {
        let union = |numbers: &mut dyn Iterator<Item = usize>| {
            numbers.fold(0, |all, number| all | bits.get(number).copied().unwrap_or_default())
        };
        let imported = match self {
            Self::Courier(keywords) => {
                let more = union(&mut keywords.of(base));
                return Flags { keywords: named.keywords | more, ..named };
            }
            Self::Dovecot(imported) => imported,
        };
        let Some(position) = imported.position(uid) else { return named };
        let keywords = union(&mut imported.keywords_of(position));
        match imported.messages.get(position) {
            Some(message) if message.dirty => Flags { system: message.system, keywords },
            // Of the letters, the name knows more: another program may have changed them.
            _ => Flags { keywords: named.keywords | keywords & !LETTERS, ..named },
        }
    }

    /// No modseq that clients saw is above this one; 0: they saw none.
    pub(in crate::maildir) fn highest_modseq(&self) -> u64 {
        match self {
            Self::Dovecot(imported) => imported.highest_modseq,
            Self::Courier(_) => 0,
        }
    }
}

/// What Dovecot's index in a directory says; `None`: there is none.
pub fn dovecot(dir: &Dir) -> Result<Option<Imported>, ImportError> {
    // In this order: whatever Dovecot does meanwhile, the logs begin before the index ends.
    let index = disk::found(dir.read(INDEX, INDEX_LIMIT))?;
    let Some(log) = disk::found(dir.read(LOG, LOG_LIMIT))? else {
        return match index {
            Some(_) => Err(ImportError::Apart("dovecot.index has no log")),
            None => Ok(None),
        };
    };
    let older = disk::found(dir.read(OLDER_LOG, LOG_LIMIT))?;
    imported(index.as_deref(), &log, older.as_deref()).map(Some)
}

/// What the files say: `dovecot.index`, `dovecot.index.log`, `dovecot.index.log.2`.
pub fn imported(
    index: Option<&[u8]>,
    log: &[u8],
    older: Option<&[u8]>,
) -> Result<Imported, ImportError> {
    let damaged = |file| move |(at, what): (usize, What)| ImportError::Damaged { file, at, what };
    let log = Log::read(log).map_err(damaged(LOG))?;
    let index = index.map(dovecot_index::read).transpose().map_err(damaged(INDEX))?;
    let older = older.map(Log::read).transpose().map_err(damaged(OLDER_LOG))?;
    let older = older.filter(|older| older.id == log.id && older.number == log.previous);
    let index = index.filter(|index| log.previous != 0 || index.log == log.number);
    if index.as_ref().is_some_and(|index| index.id != log.id) {
        return Err(ImportError::Apart("dovecot.index and its log are not of the same mailbox"));
    }
    let number = index.as_ref().map(|index| index.log);
    let (head, tail) = index.as_ref().map_or((0, 0), |index| (index.head, index.tail));
    let mut replay = index.map_or_else(Replay::new, Replay::of);
    // A log that has one before it begins where everything has reached the files.
    let past = |head| Limits { head, tail: usize::MAX };
    let at_log = number == Some(log.number);
    match older {
        _ if at_log || log.previous == 0 => {}
        Some(older) if number == Some(older.number) => {
            replay.follow(&older, past(head)).map_err(damaged(OLDER_LOG))?;
        }
        Some(older) if older.previous == 0 => {
            replay = Replay::new();
            replay.follow(&older, past(0)).map_err(damaged(OLDER_LOG))?;
        }
        _ => return Err(ImportError::Apart("the log that dovecot.index goes on with is gone")),
    }
    let (head, tail) = if at_log { (head, tail) } else { (0, 0) };
    let limits = Limits { head, tail: tail.max(log.tail()) };
    replay.follow(&log, limits).map_err(damaged(LOG))?;
    finished(replay)
}

fn finished(replay: Replay) -> Result<Imported, ImportError> {
    let (highest_modseq, picture) = replay.finish().map_err(ImportError::Apart)?;
    let (uid_validity, next_uid) = (picture.uid_validity, picture.next_uid);
    let (keywords, messages, bits, stride) = picture.finish();
    Ok(Imported { uid_validity, next_uid, highest_modseq, keywords, messages, stride, bits })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
