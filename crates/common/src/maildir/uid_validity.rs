//! UIDVALIDITY for new mailboxes: greater than any that the user's mailboxes ever had.
//!
//! `dovecot-uidvalidity` in the user's directory holds the last one given in eight hex digits, and
//! an empty file beside it has it in its name: `dovecot-uidvalidity.6b0318d7`. Renaming that file
//! is how Dovecot and we do not get the same one. It is not enough among many: who lists the
//! directory during a rename may see neither name and make one of its own. So our processes take
//! a lock besides.

use crate::disk::{self, Dir};
use crate::time;

use super::{StoreError, lock};

pub(super) const LOCK: &str = "posthorn.uidvalidity.lock";
const FILE: &str = "dovecot-uidvalidity";
/// So often another program, which does not take our lock, may be faster.
const ATTEMPTS: usize = 100;

/// Gives the next UIDVALIDITY of a user, durably.
pub(super) fn next(home: &Dir) -> Result<u32, StoreError> {
    let _lock = lock::kernel(home, LOCK)?;
    give(home)
}

fn give(home: &Dir) -> Result<u32, StoreError> {
    for _ in 0..ATTEMPTS {
        let last = last_named(home)?;
        let named = last.as_ref().map_or(0, |(value, _)| *value);
        let least = named.max(last_written(home)?);
        let now = u32::try_from(time::now_micros() / 1_000_000).unwrap_or(u32::MAX - 1);
        // The clock alone is not enough: it may have been set back.
        let next = least.checked_add(1).unwrap_or(1).max(now).max(1);
        if advance(home, last.map(|(_, name)| name), next)? {
            home.replace(FILE, format!("{next:08x}").as_bytes())?;
            return Ok(next);
        }
    }
    Err(StoreError::Locked(home.path().join(FILE)))
}

/// Whether it was us who took it.
fn advance(home: &Dir, last: Option<String>, next: u32) -> Result<bool, StoreError> {
    let taken = match last {
        Some(last) => home.rename_new(last, home, named(next)),
        None => home.create_new(named(next)).map(crate::disk::NewFile::keep),
    };
    match taken {
        Ok(()) => Ok(true),
        Err(error) if error.is_missing() || error.is_taken() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn named(value: u32) -> String {
    format!("{FILE}.{value:08x}")
}

/// The last one that is in a name, and that name, which others may have spelt otherwise.
fn last_named(home: &Dir) -> Result<Option<(u32, String)>, StoreError> {
    let mut last = None;
    for entry in home.entries()? {
        let Ok(name) = entry?.name.into_string() else { continue };
        let digits = name.strip_prefix(FILE).and_then(|rest| rest.strip_prefix('.'));
        last = last.max(digits.and_then(parse).map(|value| (value, name)));
    }
    Ok(last)
}

fn last_written(home: &Dir) -> Result<u32, StoreError> {
    let Some(bytes) = disk::found(home.read(FILE, 1024))? else { return Ok(0) };
    let written = parse(String::from_utf8_lossy(&bytes).trim_end());
    if written.is_none() {
        let path = home.path().join(FILE);
        tracing::warn!(path = %path.display(), "no UIDVALIDITY; it is written anew");
    }
    Ok(written.unwrap_or_default())
}

fn parse(digits: &str) -> Option<u32> {
    let whole = digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    whole.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_greater_than_all_before() {
        let directory = tempfile::tempdir().unwrap();
        let home = Dir::open(directory.path()).unwrap();
        let first = next(&home).unwrap();
        let second = next(&home).unwrap();
        assert!(first < second);
        home.unlink(FILE).unwrap();
        let third = next(&home).unwrap();
        assert!(second < third);
        home.replace(FILE, b"f0000000").unwrap();
        assert_eq!(next(&home).unwrap(), 0xf000_0001, "what was written counts too");
        home.replace(FILE, b"nonsense").unwrap();
        assert_eq!(next(&home).unwrap(), 0xf000_0002);
        home.rename(named(0xf000_0002), &home, format!("{FILE}.F000000A")).unwrap();
        assert_eq!(next(&home).unwrap(), 0xf000_000b, "however it is written");
        home.stat(named(0xf000_000b)).unwrap();
        assert_eq!(home.entries().unwrap().count(), 3);
    }

    #[test]
    fn nobody_tries_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let home = Dir::open(directory.path()).unwrap();
        directory.close().unwrap();
        assert!(give(&home).unwrap_err().is_temporary());
    }

    #[test]
    fn threads_never_get_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let home = Dir::open(directory.path()).unwrap();
        let ask = || (0..20).map(|_| next(&home).unwrap()).collect::<Vec<_>>();
        let mut all: Vec<u32> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
