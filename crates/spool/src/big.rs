//! Bodies above the limit of the segments: a file each, below `big/`.

use std::fs::File;
use std::sync::OnceLock;

use mail_common::disk::{self, Dir, DiskError, NamelessFile};
use mail_common::log::Id;
use tracing::warn;

use crate::Damage;

/// The directory.
#[derive(Debug, Clone)]
pub(crate) struct Big {
    dir: Dir,
}

/// A body on its way there. Dropped before [`finish`](Self::finish) it leaves nothing.
#[derive(Debug)]
pub(crate) struct Arriving {
    dir: Dir,
    id: Id,
    file: NamelessFile,
}

/// A body that is there, durably, but of which no record tells yet: dropped before
/// [`keep`](Self::keep) it is removed.
#[derive(Debug)]
pub(crate) struct Arrived {
    big: Big,
    id: Id,
    fate: OnceLock<Kept>,
}

#[derive(Debug)]
struct Kept;

impl Big {
    pub(crate) fn new(dir: Dir) -> Self {
        Self { dir }
    }

    /// Begins a body.
    pub(crate) fn begin(&self, id: Id) -> Result<Arriving, DiskError> {
        let name = format!("{}{}", id.as_str(), Dir::TEMPORARY);
        let file = self.dir.create_nameless(name)?;
        Ok(Arriving { dir: self.dir.clone(), id, file })
    }

    /// A body. That it is not there is damage, and no trouble that passes.
    pub(crate) fn open(&self, id: Id) -> Result<File, Damage> {
        disk::found(self.dir.file(id.as_str()))?.ok_or(Damage::Cut)
    }

    /// Removes a body of which no record tells. A power cut may bring it back: the next start
    /// removes it again.
    pub(crate) fn remove(&self, id: Id) {
        if let Err(error) = disk::found(self.dir.unlink(id.as_str())) {
            warn!("{id}: its body cannot be removed: {error}");
        }
    }
}

impl Arriving {
    pub(crate) fn write(&mut self, block: &[u8]) -> Result<(), DiskError> {
        self.file.write(block)
    }

    /// Content and name are durable when this returns.
    pub(crate) fn finish(mut self) -> Result<Arrived, DiskError> {
        self.file.sync()?;
        self.file.move_to(&self.dir, self.id.as_str())?;
        let big = Big { dir: self.dir };
        // From here on it is removed if anything fails.
        let arrived = Arrived { big, id: self.id, fate: OnceLock::new() };
        arrived.big.dir.sync()?;
        Ok(arrived)
    }
}

impl Arrived {
    /// A record tells of it.
    pub(crate) fn keep(&self) {
        // That it was said before changes nothing.
        let _ = self.fate.set(Kept);
    }

    pub(crate) fn open(&self) -> Result<File, Damage> {
        self.big.open(self.id)
    }
}

impl Drop for Arrived {
    fn drop(&mut self) {
        if self.fate.get().is_none() {
            self.big.remove(self.id);
        }
    }
}
