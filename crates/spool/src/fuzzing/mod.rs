//! The reader under a fuzzer: lays out a spool as a script says, and holds what a start and `fsck`
//! find in it to their laws. `docs/testing.md` tells how it is run.
//!
//! The reader is the one that mtad has, without its threads, so that the same octets always take
//! the same way through it.

mod laws;
mod script;
mod seeds;

use std::path::Path;

use mail_common::disk::DiskError;

use crate::SpoolError;
use crate::open::take;
use crate::recovery::Directories;
use crate::settings::Settings;

pub use seeds::seeds;

/// Lays out the spool of this script in a directory, and looks at it as a start and as `fsck` do.
/// The directory is for this alone, and empty again afterwards but for what every spool has.
///
/// # Errors
/// The directory cannot be used.
///
/// # Panics
/// A law is broken.
pub fn run(root: &Path, script: &[u8]) -> Result<(), SpoolError> {
    let (shared, directories, _) = take(root, Settings::default())?;
    drop(shared);
    clear(&directories)?;
    script::lay(&directories, script)?;
    laws::hold(root, &directories)
}

/// Removes all that a script has laid, or a start has left.
fn clear(directories: &Directories) -> Result<(), DiskError> {
    let Directories { root, segments, big, corrupt } = directories;
    for dir in [root, segments, big, corrupt] {
        for entry in dir.entries()? {
            let name = entry?.name;
            let is_file = !["segments", "big", "corrupt"].iter().any(|dir| name == *dir);
            if is_file && !["format", "lock"].iter().any(|file| name == *file) {
                dir.unlink(name)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
