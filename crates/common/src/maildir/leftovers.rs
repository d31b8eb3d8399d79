//! What dead processes left behind, removed whenever a mailbox is listed whole.
//!
//! The age that counts is that of the last change to anything of the file (ctime): nobody can set
//! it, and a message that is being written for 36 hours is none.

use std::ffi::OsStr;

use crate::disk::{Dir, Kind, Stat};
use crate::time;

use super::StoreError;
use super::scan::Folders;

const OLD: i64 = 36 * 60 * 60;
/// A mailbox is not deeper than this: `posthorn.delete.x`, `cur`, and what others put there.
const DEEPEST: usize = 8;

/// Removes old files from `tmp`, and unfinished new versions of other files. Never fails: it is
/// tried again another time.
pub(super) fn remove(folders: &Folders) {
    let all = |_: &str| true;
    let unfinished = |name: &str| name.ends_with(Dir::TEMPORARY);
    for done in [
        remove_old(&folders.tmp, all),
        remove_old(&folders.control, unfinished),
        remove_old(&folders.index, unfinished),
    ] {
        if let Err(error) = done {
            tracing::warn!(%error, "cannot remove what was left behind");
        }
    }
}

/// How many old files there are.
pub(super) fn old(folders: &Folders) -> Result<usize, StoreError> {
    let mut count = 0;
    for (dir, unfinished) in
        [(&folders.tmp, false), (&folders.control, true), (&folders.index, true)]
    {
        for entry in dir.entries()? {
            let name = entry?.name;
            let ours = name.to_str().is_some_and(|name| name.ends_with(Dir::TEMPORARY));
            if (ours || !unfinished) && dir.stat(&name).is_ok_and(|stat| is_old(&stat)) {
                count += 1;
            }
        }
    }
    Ok(count)
}

/// Removes unfinished new versions of files, however young: nobody writes them now.
pub(super) fn remove_unfinished(dir: &Dir) -> Result<(), StoreError> {
    for entry in dir.entries()? {
        let name = entry?.name;
        if name.to_str().is_some_and(|name| name.ends_with(Dir::TEMPORARY)) {
            dir.unlink(&name)?;
        }
    }
    Ok(())
}

/// Removes a directory with all that is in it.
pub(super) fn remove_tree(dir: &Dir, name: &OsStr) -> Result<(), StoreError> {
    remove_down_to(dir, name, DEEPEST)
}

fn remove_old(dir: &Dir, which: impl Fn(&str) -> bool) -> Result<(), StoreError> {
    for entry in dir.entries()? {
        let entry = entry?;
        if !entry.name.to_str().is_some_and(&which) {
            continue;
        }
        match dir.stat(&entry.name) {
            Ok(stat) if is_old(&stat) => remove_down_to(dir, &entry.name, DEEPEST)?,
            _ => {}
        }
    }
    Ok(())
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

fn is_old(stat: &Stat) -> bool {
    time::now_seconds() - stat.changed.seconds > OLD
}
