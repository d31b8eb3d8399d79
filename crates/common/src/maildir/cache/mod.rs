//! `posthorn.cache`: summaries of messages, so that lists and threads are shown without opening
//! every message.
//!
//! The file can be missing, old, damaged or be replaced at any time: then summaries are missing
//! that are made again from the messages. Nothing in it is ever synced, nobody locks it, and no
//! trouble with it is an error of anything.
//!
//! - Who has a new summary appends a [frame](frame), or many at once, with one write. A message
//!   is named by the hash of its base name, so it may be delivered before it has a UID. Of two
//!   frames for one message the later counts.
//! - Who reads knows where each frame is ([`Cache`], one for all sessions of a process) and
//!   follows the file as it grows. Each use checks the CRC and the hash, so the file may be
//!   written over meanwhile. It is read with `pread`, for a map of a file that is truncated kills.
//! - Where a frame should begin and none does, the next one is looked for, up to a limit; what
//!   stands behind that is lost.
//! - When most of the file is single frames or summaries of messages that are gone, it is
//!   [written anew](rewrite): compressed in blocks in order of UIDs, into another file that takes
//!   its place. Killed before that, there is a temporary file that is removed after 36 hours; a
//!   power cut may leave a file without content, which is a cache without summaries. What another
//!   process appends just then may be lost, and is made again.

mod frame;
mod pieces;
mod rewrite;
mod scan;
mod summaries;
mod table;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod writer;

use std::fs::File;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::disk::{self, Dir, DiskError};

use self::scan::Scan;
use self::table::Place;

pub use self::summaries::Summaries;
pub(super) use self::writer::Writer;

/// What a process knows of a mailbox's cache.
#[derive(Debug, Default)]
pub(super) struct Cache {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    scan: Option<Scan>,
    /// Of the files that had the name, the how many-th this is.
    generation: u64,
    /// When it was last tried to write it anew.
    tried: Option<Instant>,
}

/// The file, held by one who reads it.
#[derive(Debug)]
struct Following {
    file: File,
    generation: u64,
}

/// Where a summary is.
enum Sought {
    At(Place),
    Nowhere,
    /// The file is not the one any more that all follow.
    Elsewhere,
}

/// Whether the file is the one that was known.
enum Continued {
    Yes,
    No,
}

pub(super) const NAME: &str = "posthorn.cache";

/// So many single frames are nothing to care about.
const FEW: usize = 64;

/// How long nobody writes the file anew once that was tried.
const PAUSE: Duration = Duration::from_secs(20);

impl Cache {
    /// Opens the file, and takes notice of what it is now. `None`: there is none that can be read.
    fn follow(&self, dir: &Dir) -> Option<Following> {
        let mut known = self.known();
        match followed(known.scan.take(), dir) {
            Ok((file, scan, Continued::Yes)) => {
                known.scan = Some(scan);
                Some(Following { file, generation: known.generation })
            }
            Ok((file, scan, Continued::No)) => {
                known.scan = Some(scan);
                known.generation += 1;
                Some(Following { file, generation: known.generation })
            }
            Err(error) => {
                if !error.is_missing() {
                    tracing::debug!(%error, "no cache");
                }
                None
            }
        }
    }

    /// Where the summary of a message is in a file.
    fn place(&self, following: &Following, hash: u64) -> Sought {
        let known = self.known();
        match &known.scan {
            Some(scan) if known.generation == following.generation => {
                scan.place(hash).map_or(Sought::Nowhere, Sought::At)
            }
            _ => Sought::Elsewhere,
        }
    }

    /// Whether the file should be written anew, in a mailbox of so many messages.
    fn is_due(&self, messages: usize) -> bool {
        let known = self.known();
        let Some(scan) = &known.scan else { return false };
        if scan.is_damaged() {
            return true;
        }
        let sparse = scan.frames() > 2 * messages + FEW;
        let single = scan.single_frames() > FEW && scan.single_octets() > scan.octets() / 4;
        sparse || single
    }

    /// Whether it may be tried now to write the file anew; then it is tried.
    fn may_try(&self) -> bool {
        let mut known = self.known();
        let may = known.tried.is_none_or(|tried| tried.elapsed() >= PAUSE);
        if may {
            known.tried = Some(Instant::now());
        }
        may
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file as it is now.
fn followed(known: Option<Scan>, dir: &Dir) -> disk::Result<(File, Scan, Continued)> {
    let file = dir.file(NAME)?;
    let looked = || -> io::Result<(Scan, Continued)> {
        let (mut scan, continued) = match known {
            Some(scan) if scan.is_of(&file)? => (scan, Continued::Yes),
            _ => (Scan::of(&file)?, Continued::No),
        };
        scan.follow(&file)?;
        Ok((scan, continued))
    };
    match looked() {
        Ok((scan, continued)) => Ok((file, scan, continued)),
        Err(error) => Err(DiskError::new(dir.path().join(NAME), error)),
    }
}

/// Adds summaries of messages, by the hashes of their base names, to the cache of a mailbox.
pub(super) fn add<'s>(dir: &Dir, summaries: impl IntoIterator<Item = (u64, &'s [u8])>) {
    let mut frames = Vec::new();
    for (hash, summary) in summaries {
        frame::append_summary(&mut frames, hash, summary);
    }
    if !frames.is_empty() {
        append(dir, &frames);
    }
}

/// Appends frames with one write.
fn append(dir: &Dir, frames: &[u8]) {
    let appended: disk::Result<()> = dir.append(NAME).and_then(|mut file| file.write(frames));
    if let Err(error) = appended {
        tracing::debug!(%error, "summaries are not kept");
    }
}
