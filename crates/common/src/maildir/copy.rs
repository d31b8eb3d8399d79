//! Messages are copied: one more hard link where both mailboxes are on one file system, so that a
//! copy costs no space and keeps its INTERNALDATE; else a copy of the bytes.

use std::io;

use mail_proto::mailbox::{Flags, Uid};

use crate::disk::Dir;

use super::StoreError;
use super::admit::Newcomer;
use super::held::Held;
use super::index::Tail;
use super::keywords::Room;
use super::known::Looks;
use super::mailbox::{Mailbox, Pin};
use super::scan::{Folders, Located};
use super::{name, tail};

/// A message to copy.
#[derive(Debug)]
struct Original {
    uid: Uid,
    file: Located,
    flags: Flags,
    tail: Tail,
    date: Option<i64>,
}

/// The messages to copy, and the names of their keywords.
#[derive(Debug)]
struct Originals {
    folders: Folders,
    messages: Vec<Original>,
    keywords: Vec<String>,
}

/// Copies messages with flags and INTERNALDATE, all or none, durably. UIDs that are gone are
/// passed over. Returns the target's UIDVALIDITY, and old and new UIDs.
///
/// "None" is for errors; killed in between, the copies that were made are messages of the target,
/// and the client, who was told nothing, may make them again.
pub(super) fn copy(
    source: &Mailbox,
    pin: Pin,
    uids: &[Uid],
    target: &Mailbox,
) -> Result<(u32, Vec<(Uid, Uid)>), StoreError> {
    let originals = originals(source, pin, uids)?;
    let mut held = target.hold()?;
    let translation = Translation::of(&originals, &mut held)?;
    held.write(originals.messages.len())?;
    let before = Looks::at(&held.folders)?;
    let mut copies = Vec::with_capacity(originals.messages.len());
    let made = make(&mut held, &originals, &translation, &mut copies).and_then(|uids| {
        let numbers = held.admit(&copies, before)?;
        Ok(uids.into_iter().zip(numbers).collect())
    });
    let pairs = made.inspect_err(|_| held.withdraw(&copies))?;
    Ok((held.snapshot().uid_validity, pairs))
}

fn originals(source: &Mailbox, pin: Pin, uids: &[Uid]) -> Result<Originals, StoreError> {
    let mut held = source.hold_of(pin)?;
    let mut uids = uids.to_vec();
    uids.sort_unstable();
    uids.dedup();
    let mut names = held.names()?;
    let mut messages = Vec::with_capacity(uids.len());
    for uid in uids {
        let mut file = Located::default();
        let Some(live) = held.locate(&mut names, uid, &mut file)? else { continue };
        messages.push(Original {
            uid,
            file,
            flags: live.flags,
            tail: live.tail,
            date: live.fact.known_date(),
        });
    }
    let keywords = held.index().head.keywords.clone();
    Ok(Originals { folders: held.into_folders(), messages, keywords })
}

/// Which bit of the target each keyword of the source has.
#[derive(Debug)]
struct Translation {
    bits: Vec<Option<u64>>,
}

impl Translation {
    /// Keywords for which there is no room in the target are left out.
    fn of(originals: &Originals, held: &mut Held<'_>) -> Result<Self, StoreError> {
        let used = originals.messages.iter().fold(0, |used, message| used | message.flags.keywords);
        let names = originals.keywords.iter().enumerate();
        let used: Vec<String> =
            names.filter(|(bit, _)| used & 1 << bit != 0).map(|(_, name)| name.clone()).collect();
        let (_, left) = held.bits(&used, Room::ForSome)?;
        if !left.is_empty() {
            tracing::warn!(keywords = ?left, "no room for keywords of a copied message");
        }
        let known = &held.index().head.keywords;
        let bit = |name: &String| {
            let same = |known: &String| known.eq_ignore_ascii_case(name);
            used.contains(name).then(|| known.iter().position(same)).flatten().map(|bit| 1 << bit)
        };
        Ok(Self { bits: originals.keywords.iter().map(bit).collect() })
    }

    fn flags(&self, flags: Flags) -> Flags {
        let all = self.bits.iter().enumerate();
        let marked = all.filter(|(bit, _)| flags.keywords & 1 << bit != 0);
        let keywords = marked.fold(0, |keywords, (_, bit)| keywords | bit.unwrap_or_default());
        Flags { system: flags.system, keywords }
    }
}

/// Makes the files, which do not last yet. Returns the UIDs of the originals.
fn make(
    held: &mut Held<'_>,
    originals: &Originals,
    translation: &Translation,
    copies: &mut Vec<Newcomer>,
) -> Result<Vec<Uid>, StoreError> {
    let mut uids = Vec::with_capacity(originals.messages.len());
    for original in &originals.messages {
        held.lock.dotlock()?;
        let sizes = name::base(&original.file.name).split_once(',').map_or("", |(_, sizes)| sizes);
        let comma = if sizes.is_empty() { "" } else { "," };
        let flags = translation.flags(original.flags);
        let ending = tail::with_flags(&original.tail, flags);
        let base = format!("{}{comma}{sizes}", name::unique());
        let copy = Newcomer { date: original.date, ..Newcomer::new(&base, flags, ending) };
        if put(&originals.folders, &original.file, &held.folders, &copy.file)? {
            copies.push(copy);
            uids.push(original.uid);
        }
    }
    Ok(uids)
}

/// Makes one copy; whether the original was still there.
pub(super) fn put(
    from: &Folders,
    source: &Located,
    to: &Folders,
    target: &Located,
) -> Result<bool, StoreError> {
    let mut source = source.clone();
    loop {
        let (dir, into) = (from.at(source.place), to.at(target.place));
        let made = match dir.link(&source.name, into, &target.name) {
            Err(error) if !error.is_missing() && !error.is_taken() && !error.is_full() => {
                write_copy(dir, &source.name, to, target)
            }
            other => other.map_err(StoreError::from),
        };
        match made {
            Ok(()) => return Ok(true),
            Err(error) if !is_missing(&error) => return Err(error),
            Err(error) => match from.find(name::base(&source.name))? {
                // It is not missing: the target is, which somebody deletes.
                Some(found) if found == source => return Err(error),
                // Its flags were changed.
                Some(found) => source = found,
                None => return Ok(false),
            },
        }
    }
}

fn is_missing(error: &StoreError) -> bool {
    matches!(error, StoreError::System { error, .. } if error.kind() == io::ErrorKind::NotFound)
}

fn write_copy(dir: &Dir, name: &str, to: &Folders, target: &Located) -> Result<(), StoreError> {
    let mut source = dir.file(name)?;
    let modified = dir.stat(name)?.modified;
    let mut copy = to.tmp.create_new(name::base(&target.name))?;
    copy.fill(&mut source)?;
    copy.set_modified(modified.seconds)?;
    copy.sync_with_times()?;
    Ok(copy.move_to(to.at(target.place), &target.name)?)
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::super::places::Places;
    use super::super::scan::Place;
    use super::*;

    fn mailbox(path: &std::path::Path) -> Folders {
        for name in ["cur", "new", "tmp"] {
            std::fs::create_dir_all(path.join(name)).unwrap();
        }
        Folders::open(&Places::together(path)).unwrap()
    }

    #[test]
    fn a_target_that_is_being_deleted_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        let (source, target) = (mailbox(&from), mailbox(&to));
        std::fs::write(from.join("cur/1.a.b:2,"), "text\n").unwrap();
        std::fs::remove_dir_all(&to).unwrap();
        let located = |name: &str| Located { place: Place::Cur, name: name.to_owned() };
        let error = put(&source, &located("1.a.b:2,"), &target, &located("2.a.b:2,")).unwrap_err();
        assert!(is_missing(&error), "{error}");
        // One that was renamed is found, and one that is gone is passed over.
        let target = mailbox(&to);
        assert!(put(&source, &located("1.a.b:2,S"), &target, &located("2.a.b:2,")).unwrap());
        assert!(!put(&source, &located("3.a.b:2,"), &target, &located("3.a.b:2,")).unwrap());
    }
}
