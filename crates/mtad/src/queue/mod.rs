//! The queue: what was taken and is not yet done with. `docs/queue.md` has the table of states.
//!
//! One law: from the moment [`Incoming::commit`] returns until [`Queue::finish`], a message is
//! here, whole, whatever is killed or loses its power. Each step below leaves one of the rows of
//! the table behind, and [`Queue::open`] and [`Queue::entries`] know what to do with each.
//!
//! - A message is written under `incoming`, synced, moved to `messages`, and `messages` is synced:
//!   only then it was taken. What is under `incoming` at start was never promised to anybody.
//! - What became of recipients is in `progress`, replaced as a whole. It is written before
//!   anything is built on it, and removed only after the message, so that no recipient is ever
//!   tried again because its result was forgotten first.
//! - What cannot be read goes to `corrupt`, with its bytes, for a person to look at.

mod body;
mod entry;
mod format;
mod incoming;

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mail_common::disk::{self, Dir, DiskError};
use mail_common::log::Id;
use thiserror::Error;
use tracing::{error, warn};

pub(crate) use self::body::Body;
pub(crate) use self::entry::{Entry, Letter, Progress, Recipient, State};
pub(crate) use self::format::Damage;
pub(crate) use self::incoming::Incoming;

/// The queue; one process has it. Plain blocking code, to be called on a pool.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    messages: Dir,
    progress: Dir,
    incoming: Dir,
    corrupt: Dir,
    _lock: Arc<File>,
}

/// Why the queue does not do what it was asked. All of it is temporary: the operator can mend it.
#[derive(Debug, Error)]
pub(crate) enum QueueError {
    /// Another mtad has this queue.
    #[error("{0}: another mtad has this queue")]
    Taken(PathBuf),
    /// The message is not what was written.
    #[error("{id}: {damage}")]
    Damaged {
        /// Which.
        id: Id,
        /// What is wrong with it.
        damage: Damage,
    },
    /// The system said no.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl QueueError {
    /// Whether disk or quota is full.
    #[must_use]
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Disk(error) if error.is_full())
    }
}

impl Queue {
    /// Takes the queue, and clears away what a dead process had begun.
    ///
    /// # Errors
    /// Another process has it, or the directory cannot be used.
    pub(crate) fn open(path: &Path) -> Result<Self, QueueError> {
        let spool = Dir::open_or_create(path)?;
        let lock = spool.lock("lock")?.ok_or_else(|| QueueError::Taken(path.to_owned()))?;
        let below = |name| {
            spool.create_dir(name)?;
            spool.subdir(name)
        };
        let queue = Self {
            messages: below("messages")?,
            progress: below("progress")?,
            incoming: below("incoming")?,
            corrupt: below("corrupt")?,
            _lock: Arc::new(lock),
        };
        queue.clear()?;
        Ok(queue)
    }

    /// All that waits, oldest first. What is damaged is put aside and logged.
    ///
    /// # Errors
    /// The queue cannot be listed at all.
    pub(crate) fn entries(&self) -> Result<Vec<Entry>, QueueError> {
        let mut entries = Vec::new();
        for found in self.messages.entries()? {
            let name = found?.name;
            let entry = id_of(&name).ok_or(Damage::Name).and_then(|id| self.entry(id));
            match entry {
                Ok(entry) => entries.push(entry),
                Err(damage) => self.put_aside(&name, &damage),
            }
        }
        entries.sort_by_key(|a| a.id);
        Ok(entries)
    }

    /// Begins a message. Dropped without [`Incoming::commit`] it leaves no trace.
    ///
    /// # Errors
    /// The disk is full or broken.
    pub(crate) fn begin(&self, letter: Letter) -> Result<Incoming, QueueError> {
        Incoming::begin(&self.incoming, &self.messages, letter)
    }

    /// The message as it travels, our `Received` field in front.
    ///
    /// # Errors
    /// It is gone or damaged.
    pub(crate) fn body(&self, id: &Id) -> Result<Body, QueueError> {
        let file = self.messages.file(id.as_str())?;
        Body::open(file).map_err(|damage| QueueError::Damaged { id: *id, damage })
    }

    /// Writes down what became of recipients. Returns once that survives a power cut.
    ///
    /// # Errors
    /// The disk is full or broken; what was recorded before still holds.
    pub(crate) fn record(&self, id: &Id, progress: &Progress) -> Result<(), QueueError> {
        Ok(self.progress.replace(id.as_str(), &format::encode_progress(progress))?)
    }

    /// Forgets a message that is done with for every recipient; to be called again if it fails.
    ///
    /// # Errors
    /// The disk is broken.
    pub(crate) fn finish(&self, id: &Id) -> Result<(), QueueError> {
        disk::found(self.messages.unlink(id.as_str()))?;
        if self.progress.stat(id.as_str()).is_err_and(|error| error.is_missing()) {
            return Ok(self.messages.sync()?);
        }
        // Were the progress to go first, a power cut could bring back the message alone.
        self.messages.sync()?;
        Ok(self.progress.unlink(id.as_str())?)
    }

    /// Puts a message aside that turned out to be damaged.
    pub(crate) fn quarantine(&self, id: &Id, damage: &Damage) {
        self.put_aside(OsStr::new(id.as_str()), damage);
    }

    /// Whether anything but `self` still has this queue.
    #[cfg(test)]
    #[allow(clippy::used_underscore_binding, reason = "the lock is held, not used")]
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self._lock) > 1
    }

    fn entry(&self, id: Id) -> Result<Entry, Damage> {
        let file = self.messages.file(id.as_str())?;
        let (letter, size) = format::read_letter(file)?;
        if letter.id != id {
            return Err(Damage::Name);
        }
        let progress = match self.progress.read(id.as_str(), format::TEXT_LIMIT.into()) {
            Ok(bytes) => format::decode_progress(&bytes, letter.recipients.len()),
            Err(error) if error.is_missing() => Ok(Progress::new(&letter)),
            Err(error) => Err(error.into()),
        };
        let progress = progress.unwrap_or_else(|damage| {
            // Losing the progress costs second copies; losing the message would cost mail.
            error!("{id}: progress cannot be read, all recipients are tried again: {damage}");
            Progress::new(&letter)
        });
        Ok(Entry { id, letter, size, progress })
    }

    fn put_aside(&self, name: &OsStr, damage: &Damage) {
        let shown = name.to_string_lossy();
        if let Damage::Unreadable(error) = damage {
            // It may be readable tomorrow: it stays where it is.
            return error!("{shown}: cannot be read, left alone: {error}");
        }
        error!("{shown}: damaged, moved to {}: {damage}", self.corrupt.path().display());
        let moved = self.move_aside(name);
        let synced = moved.and_then(|()| self.corrupt.sync()).and_then(|()| self.messages.sync());
        if let Err(error) = synced {
            error!("{shown}: cannot be moved: {error}");
        }
    }

    /// Nothing that was put aside before is replaced: somebody may have put it back half mended.
    fn move_aside(&self, name: &OsStr) -> Result<(), DiskError> {
        let mut target = name.to_owned();
        loop {
            match self.messages.rename_new(name, &self.corrupt, &target) {
                Err(error) if error.is_taken() => target.push(".again"),
                other => return other,
            }
        }
    }

    /// Removes what a dead process left: messages begun, and progress of messages finished.
    fn clear(&self) -> Result<(), QueueError> {
        for found in self.incoming.entries()? {
            let name = found?.name;
            warn!("{}: was not received to its end, removed", name.to_string_lossy());
            self.incoming.unlink(&name)?;
        }
        for found in self.progress.entries()? {
            let name = found?.name;
            let unfinished = name.as_bytes().ends_with(Dir::TEMPORARY.as_bytes());
            let orphan = self.messages.stat(&name).is_err_and(|error| error.is_missing());
            if unfinished || orphan {
                self.progress.unlink(&name)?;
            }
        }
        Ok(())
    }
}

fn id_of(name: &OsStr) -> Option<Id> {
    Id::parse(name.to_str()?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
