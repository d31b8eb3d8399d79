//! What dead processes left behind, removed whenever a mailbox is listed whole.
//!
//! The age that counts is that of the last change to anything of the file (ctime): nobody can set
//! it, and a message that is being written for 36 hours is none.

use std::ffi::{OsStr, OsString};

use crate::disk::{Dir, Kind, Stat};
use crate::time;

use super::StoreError;
use super::present::Present;
use super::scan::Folders;

const OLD: i64 = 36 * 60 * 60;
/// A mailbox is not deeper than this: `posthorn.delete.x`, `cur`, and what others put there.
const DEEPEST: usize = 8;

/// Removes old files from `tmp`, and unfinished new versions of other files. Never fails: it is
/// tried again another time.
pub(super) fn remove(folders: &Folders) {
    remove_at(folders, time::now_seconds());
}

/// How many old files there are.
pub(super) fn old(present: &Present) -> Result<usize, StoreError> {
    let now = time::now_seconds();
    let Present { tmp, control, index, .. } = present;
    Spot::all(tmp.as_ref(), control.as_ref(), index.as_ref())
        .try_fold(0, |count, spot| Ok(count + spot.old(now)?.len()))
}

/// Removes unfinished new versions of files, however young: nobody writes them now.
pub(super) fn remove_unfinished(dir: &Dir) -> Result<(), StoreError> {
    let spot = Spot { dir, what: What::Unfinished };
    spot.remove(spot.found(|_| true)?)
}

/// Removes a directory with all that is in it.
pub(super) fn remove_tree(dir: &Dir, name: &OsStr) -> Result<(), StoreError> {
    remove_down_to(dir, name, DEEPEST)
}

/// A directory that has leftovers.
#[derive(Debug, Clone, Copy)]
struct Spot<'dir> {
    dir: &'dir Dir,
    what: What,
}

/// What may be a leftover there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// All, directories with what is in them: it is a `tmp`.
    All,
    /// Unfinished new versions of files. A directory of such a name is somebody's mailbox.
    Unfinished,
}

fn remove_at(folders: &Folders, now: i64) {
    for spot in Spot::of(folders) {
        if let Err(error) = spot.old(now).and_then(|old| spot.remove(old)) {
            tracing::warn!(%error, "cannot remove what was left behind");
        }
    }
}

impl<'dir> Spot<'dir> {
    fn of(folders: &'dir Folders) -> impl Iterator<Item = Self> {
        Self::all(Some(&folders.tmp), Some(&folders.control), Some(&folders.index))
    }

    /// Those of a mailbox, each once.
    fn all(
        tmp: Option<&'dir Dir>,
        control: Option<&'dir Dir>,
        index: Option<&'dir Dir>,
    ) -> impl Iterator<Item = Self> {
        let is_control = |index: &&Dir| control.is_some_and(|dir| dir.path() == index.path());
        let unfinished = control.into_iter().chain(index.filter(|index| !is_control(index)));
        let unfinished = unfinished.map(|dir| Self { dir, what: What::Unfinished });
        tmp.map(|dir| Self { dir, what: What::All }).into_iter().chain(unfinished)
    }

    /// What nobody changed for so long that nobody will.
    fn old(self, now: i64) -> Result<Vec<OsString>, StoreError> {
        self.found(|stat| now.saturating_sub(stat.changed.seconds) > OLD)
    }

    fn found(self, which: impl Fn(&Stat) -> bool) -> Result<Vec<OsString>, StoreError> {
        let mut found = Vec::new();
        for entry in self.dir.entries()? {
            let name = entry?.name;
            if self.what.may_be(&name)
                && let Ok(stat) = self.dir.stat(&name)
                && self.what.is(&stat)
                && which(&stat)
            {
                found.push(name);
            }
        }
        Ok(found)
    }

    fn remove(self, found: Vec<OsString>) -> Result<(), StoreError> {
        for name in found {
            match self.what {
                What::All => remove_tree(self.dir, &name)?,
                What::Unfinished => self.dir.unlink(&name)?,
            }
        }
        Ok(())
    }
}

impl What {
    fn may_be(self, name: &OsStr) -> bool {
        self == Self::All || name.to_str().is_some_and(|name| name.ends_with(Dir::TEMPORARY))
    }

    fn is(self, stat: &Stat) -> bool {
        self == Self::All || stat.kind == Kind::File
    }
}

fn remove_down_to(dir: &Dir, name: &OsStr, depth: usize) -> Result<(), StoreError> {
    if dir.stat(name)?.kind != Kind::Directory {
        return Ok(dir.unlink(name)?);
    }
    let inside = dir.subdir(name)?;
    for entry in inside.entries()? {
        if depth == 0 {
            break;
        }
        remove_down_to(&inside, &entry?.name, depth - 1)?;
    }
    Ok(dir.remove_dir(name)?)
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::places::Places;
    use super::*;

    #[test]
    fn what_is_old_is_removed_and_no_mailbox() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for name in ["cur", "new", "tmp/posthorn.delete.x/cur", ".x.posthorn-tmp/cur"] {
            fs::create_dir_all(path(name)).unwrap();
        }
        let files = ["tmp/1.a.b", "tmp/posthorn.delete.x/cur/2.a.b", "a.1-1.posthorn-tmp"];
        let others = ["dovecot-uidlist", ".x.posthorn-tmp/cur/3.a.b"];
        for name in files.iter().chain(&others) {
            fs::write(path(name), "").unwrap();
        }
        let folders = Folders::open(&Places::together(directory.path())).unwrap();
        let left = |now| Spot::of(&folders).map(|spot| spot.old(now).unwrap().len()).sum::<usize>();
        let now = time::now_seconds();
        for (now, expected) in [(now - 5000, 0), (now + OLD - 5000, 0), (now + OLD + 1, 3)] {
            assert_eq!(left(now), expected, "{now}");
        }
        remove_at(&folders, now);
        assert!(files.iter().all(|name| path(name).exists()), "they are young");
        remove_at(&folders, now + OLD + 1);
        assert!(!files.iter().any(|name| path(name).exists()));
        assert_eq!(fs::read_dir(path("tmp")).unwrap().count(), 0);
        fs::write(path("b.1-1.posthorn-tmp"), "").unwrap();
        remove_unfinished(&folders.control).unwrap();
        assert!(!path("b.1-1.posthorn-tmp").exists());
        assert!(others.iter().all(|name| path(name).exists()), "it is a mailbox");
    }
}
