//! Files that others wrote, and perhaps never synced.
//!
//! A file that a script or `cp` put into a mailbox lasts when the system gets to it: some 30 s
//! later, but with gigabytes to write before it, with a slow disk or with a laptop's settings that
//! may be many minutes. Before one more name is promised to last, the content must: so what is
//! young is synced. That costs a flush of the disk also where there is nothing to write; beyond a
//! few files, one for the whole file system is cheaper.

use std::ffi::OsStr;

use rustix::fs::{AtFlags, Statx, StatxFlags};

use super::{Dir, DiskError, Result};
use crate::time;

/// For seconds, more than the system takes to write what nobody syncs, also where it is slow.
const YOUNG: i64 = 60 * 60;

/// So many files are synced one by one.
const FEW: u32 = 8;

/// Files of one file system, which are there already, and of which the young ones are made to last.
#[derive(Debug, Default)]
pub struct YoungFiles(Done);

#[derive(Debug)]
enum Done {
    Each(u32),
    All,
    /// Whatever is tried again looks as if it had worked.
    Failed,
}

impl YoungFiles {
    /// Makes a file's content last, if it is young. After an error it may never last.
    pub fn sync(&mut self, dir: &Dir, name: &str) -> Result<()> {
        if !is_young(dir, name)? {
            return Ok(());
        }
        let failed = |error| DiskError::new(dir.path().join(name), error);
        match self.0 {
            Done::All => Ok(()),
            Done::Failed => Err(failed(rustix::io::Errno::IO.into())),
            Done::Each(count) if count < FEW => {
                self.0 = Done::Each(count + 1);
                dir.file(name)?.sync_data().map_err(failed)
            }
            Done::Each(_) => {
                let synced = rustix::fs::syncfs(dir);
                self.0 = if synced.is_ok() { Done::All } else { Done::Failed };
                synced.map_err(|error| failed(error.into()))
            }
        }
    }
}

impl Default for Done {
    fn default() -> Self {
        Self::Each(0)
    }
}

/// Whether it was made or written within the hour, or by a clock that is ahead.
fn is_young(dir: &Dir, name: &str) -> Result<bool> {
    let what = StatxFlags::MTIME | StatxFlags::CTIME | StatxFlags::BTIME;
    let found = rustix::fs::statx(dir, OsStr::new(name), AtFlags::SYMLINK_NOFOLLOW, what);
    let found = found.map_err(|error| DiskError::new(dir.path().join(name), error.into()))?;
    Ok(is_young_at(written(&found), time::now_seconds()))
}

fn is_young_at(written: i64, now: i64) -> bool {
    written > now - YOUNG
}

/// A copy may have the time of what it was copied from. When the file was made nobody can set; nor
/// when anything changed, but then a rename counts too.
fn written(found: &Statx) -> i64 {
    let is_born = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::BTIME);
    let made = if is_born { found.stx_btime } else { found.stx_ctime };
    made.tv_sec.max(found.stx_mtime.tv_sec)
}

#[cfg(test)]
mod tests {
    use super::is_young_at;

    #[test]
    fn the_system_may_take_minutes_to_write_what_nobody_syncs() {
        let now = 1_795_365_077;
        for (age, is_young) in [(-5, true), (0, true), (61, true), (1800, true), (7200, false)] {
            assert_eq!(is_young_at(now - age, now), is_young, "{age} s");
        }
    }
}
