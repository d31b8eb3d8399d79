//! What other servers know of a mailbox that its files' names do not say, read once when we take
//! it over. Nothing here writes.
//!
//! Dovecot keeps flags in the names of files, with three exceptions that only its index has: a
//! flag whose file could not be renamed (read-only, no space: "dirty"), keywords beyond the
//! twenty-six that have a letter, and modseqs. Courier has no letters at all: its keywords are in
//! a directory of their own.
//!
//! What is damaged, or of a version that nobody told us of, is an error that says where; the
//! mailbox opens without it, and the file stays as it is.

pub mod courier;
mod dovecot_index;
mod dovecot_log;
mod fields;
mod picture;
mod replay;

use mail_proto::mailbox::Uid;
use thiserror::Error;

use crate::disk::{Dir, DiskError};

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
        matches!(self, Self::Disk(_))
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

    /// Where a message stands in [`messages`](Self::messages).
    #[must_use]
    pub fn position(&self, uid: Uid) -> Option<usize> {
        self.messages.binary_search_by_key(&uid, |message| message.uid).ok()
    }
}

/// What Dovecot's index in a directory says of a mailbox, if it is there, whole, and of the same
/// UIDVALIDITY. What is wrong with it is logged.
#[must_use]
pub fn known(index: &Dir, uid_validity: u32) -> Option<Imported> {
    let path = index.path().display();
    match dovecot(index) {
        Ok(Some(imported)) if imported.uid_validity == uid_validity => Some(imported),
        Ok(Some(imported)) => {
            let theirs = imported.uid_validity;
            tracing::warn!(%path, theirs, ours = uid_validity, "{INDEX} has another UIDVALIDITY");
            None
        }
        Ok(None) => None,
        Err(error) => {
            tracing::warn!(%path, %error, "nothing is taken from Dovecot's index");
            None
        }
    }
}

/// What Dovecot's index in a directory says; `None`: there is none.
pub fn dovecot(dir: &Dir) -> Result<Option<Imported>, ImportError> {
    // In this order: whatever Dovecot does meanwhile, the logs begin before the index ends.
    let index = read(dir, INDEX, INDEX_LIMIT)?;
    let Some(log) = read(dir, LOG, LOG_LIMIT)? else {
        return match index {
            Some(_) => Err(ImportError::Apart("dovecot.index has no log")),
            None => Ok(None),
        };
    };
    let older = read(dir, OLDER_LOG, LOG_LIMIT)?;
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

fn read(dir: &Dir, name: &str, limit: u64) -> Result<Option<Vec<u8>>, DiskError> {
    match dir.read(name, limit) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
