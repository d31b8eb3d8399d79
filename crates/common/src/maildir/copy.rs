//! Messages are copied: one more hard link where both mailboxes are on one file system, so that a
//! copy costs no space and keeps its INTERNALDATE; else a copy of the bytes.

use mail_proto::mailbox::{Flags, Uid};

use crate::disk::{Dir, YoungFiles};

use super::StoreError;
use super::admit::Newcomer;
use super::held::Held;
use super::keywords::Room;
use super::looks::Looks;
use super::mailbox::{Mailbox, Pin};
use super::scan::{Folders, MessageFile};
use super::tail::Tail;
use super::{attempts, name};

/// A message to copy.
#[derive(Debug)]
struct Source {
    uid: Uid,
    file: MessageFile,
    flags: Flags,
    tail: Tail,
    date: Option<i64>,
}

impl Source {
    fn copied(self, copy: &Newcomer, uid: Uid) -> Copied {
        let hash = |file: &MessageFile| name::hash(name::base(&file.name));
        Copied {
            uid: self.uid,
            copy: uid,
            hashes: (hash(&self.file), hash(&copy.file)),
            flags: self.flags,
            tail: self.tail,
        }
    }
}

/// The messages to copy, and the names of their keywords.
#[derive(Debug)]
pub(super) struct Originals {
    folders: Folders,
    messages: Vec<Source>,
    keywords: Vec<String>,
}

/// A message that was copied.
#[derive(Debug, Clone)]
pub(super) struct Copied {
    /// The original's.
    pub(super) uid: Uid,
    /// The copy's.
    pub(super) copy: Uid,
    /// What stands for both in the index and in the cache, the original first.
    pub(super) hashes: (u64, u64),
    /// What the original had, in the source's bits, and how its name ended.
    pub(super) flags: Flags,
    pub(super) tail: Tail,
}

impl Copied {
    /// The one with that UID, of some in order of UID.
    pub(super) fn find(all: &[Self], uid: Uid) -> Option<&Self> {
        all.binary_search_by_key(&uid, |one| one.uid).ok().and_then(|at| all.get(at))
    }

    /// Old and new UIDs.
    pub(super) fn pairs(all: &[Self]) -> Vec<(Uid, Uid)> {
        all.iter().map(|one| (one.uid, one.copy)).collect()
    }
}

/// Copies messages with flags and INTERNALDATE, all or none, durably. UIDs that are gone are
/// passed over. Returns the target's UIDVALIDITY, and the messages in order of UID.
///
/// "None" is for errors; killed in between, the copies that were made are messages of the target,
/// and the client, who was told nothing, may make them again.
pub(super) fn copy(
    source: &Mailbox,
    pin: Pin,
    uids: &[Uid],
    target: &Mailbox,
) -> Result<(u32, Vec<Copied>), StoreError> {
    let originals = originals(&mut source.hold_of(pin)?, uids)?;
    let mut held = target.hold()?;
    let copied = copy_into(&mut held, originals)?;
    Ok((held.snapshot().uid_validity, copied))
}

/// The same, where the target is held.
pub(super) fn copy_into(
    held: &mut Held<'_>,
    originals: Originals,
) -> Result<Vec<Copied>, StoreError> {
    let used = originals.messages.iter().fold(0, |used, message| used | message.flags.keywords);
    let translation = Translation::new(&originals.keywords, used, held)?;
    held.write(originals.messages.len())?;
    let before = Looks::at(&held.folders)?;
    let mut copies = Vec::with_capacity(originals.messages.len());
    let made = make(held, originals, &translation, &mut copies).and_then(|made| {
        let numbers = held.admit(&copies, before)?;
        let all = made.into_iter().zip(&copies).zip(numbers);
        Ok(all.map(|((original, copy), uid)| original.copied(copy, uid)).collect())
    });
    made.inspect_err(|_| held.withdraw(&copies))
}

/// What is to be copied; UIDs that are gone are passed over.
pub(super) fn originals(held: &mut Held<'_>, uids: &[Uid]) -> Result<Originals, StoreError> {
    let mut uids = uids.to_vec();
    uids.sort_unstable();
    uids.dedup();
    let mut names = held.names()?;
    let mut messages = Vec::with_capacity(uids.len());
    for uid in uids {
        let mut file = MessageFile::default();
        let Some(live) = held.locate(&mut names, uid, &mut file)? else { continue };
        messages.push(Source {
            uid,
            file,
            flags: live.flags,
            tail: live.tail,
            date: live.fact.known_date(),
        });
    }
    let keywords = held.index().head.keywords.clone();
    Ok(Originals { folders: held.folders.clone(), messages, keywords })
}

/// Which bit of the target each keyword of the source has.
#[derive(Debug)]
pub(super) struct Translation {
    bits: Vec<Option<u64>>,
}

impl Translation {
    /// Of the source's keywords whose bits are used. Those for which there is no room in the
    /// target are left out.
    pub(super) fn new(
        keywords: &[String],
        used: u64,
        held: &mut Held<'_>,
    ) -> Result<Self, StoreError> {
        let names = keywords.iter().enumerate();
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
        Ok(Self { bits: keywords.iter().map(bit).collect() })
    }

    /// The same flags in the target.
    pub(super) fn flags(&self, flags: Flags) -> Flags {
        let all = self.bits.iter().enumerate();
        let marked = all.filter(|(bit, _)| flags.keywords & 1 << bit != 0);
        let keywords = marked.fold(0, |keywords, (_, bit)| keywords | bit.unwrap_or_default());
        Flags { system: flags.system, keywords }
    }
}

/// Makes the files, which do not last yet. Returns the originals that were still there.
fn make(
    held: &mut Held<'_>,
    originals: Originals,
    translation: &Translation,
    copies: &mut Vec<Newcomer>,
) -> Result<Vec<Source>, StoreError> {
    let mut made = Vec::with_capacity(originals.messages.len());
    let mut young = YoungFiles::default();
    for original in originals.messages {
        held.lock.dotlock()?;
        let sizes = name::base(&original.file.name).split_once(',').map_or("", |(_, sizes)| sizes);
        let comma = if sizes.is_empty() { "" } else { "," };
        let flags = translation.flags(original.flags);
        let ending = original.tail.with_flags(flags);
        let base = format!("{}{comma}{sizes}", name::unique());
        let copy = Newcomer { date: original.date, ..Newcomer::new(&base, flags, ending) };
        if put(&originals.folders, &original.file, &held.folders, &copy.file, &mut young)? {
            copies.push(copy);
            made.push(original);
        }
    }
    Ok(made)
}

/// Makes one copy, of which all but the name lasts; whether the original was still there. Of what a
/// foreign program put into a mailbox nobody knows whether it was ever synced.
pub(super) fn put(
    from: &Folders,
    source: &MessageFile,
    to: &Folders,
    target: &MessageFile,
    young: &mut YoungFiles,
) -> Result<bool, StoreError> {
    let mut source = source.clone();
    attempts::until_done(from.cur.path(), || {
        let (dir, into) = (from.at(source.place), to.at(target.place));
        let synced = young.sync(dir, &source.name);
        let made = match synced.and_then(|()| dir.link(&source.name, into, &target.name)) {
            Err(error) if !error.is_missing() && !error.is_taken() && !error.is_full() => {
                write_copy(dir, &source.name, to, target)
            }
            other => other.map_err(StoreError::from),
        };
        match made {
            Ok(()) => Ok(Some(true)),
            Err(error) if !error.is_missing() => Err(error),
            Err(error) => match from.find(name::base(&source.name))? {
                // It is not missing: the target is, which somebody deletes.
                Some(found) if found == source => Err(error),
                // Its flags were changed.
                Some(found) => {
                    source = found;
                    Ok(None)
                }
                None => Ok(Some(false)),
            },
        }
    })
}

fn write_copy(dir: &Dir, name: &str, to: &Folders, target: &MessageFile) -> Result<(), StoreError> {
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
        let young = &mut YoungFiles::default();
        let located = |name: &str| MessageFile { place: Place::Cur, name: name.to_owned() };
        let error =
            put(&source, &located("1.a.b:2,"), &target, &located("2.a.b:2,"), young).unwrap_err();
        assert!(error.is_missing(), "{error}");
        // One that was renamed is found, and one that is gone is passed over.
        let target = mailbox(&to);
        assert!(put(&source, &located("1.a.b:2,S"), &target, &located("2.a.b:2,"), young).unwrap());
        assert!(!put(&source, &located("3.a.b:2,"), &target, &located("3.a.b:2,"), young).unwrap());
    }

    /// ext4 gives a file no blocks before it must.
    #[test]
    fn what_nobody_synced_is_synced_before_a_copy_is_promised() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        let (source, target) = (mailbox(&from), mailbox(&to));
        let young = &mut YoungFiles::default();
        // One by one, and then all at once.
        for number in 1..20 {
            let name = format!("{number}.a.b:2,");
            let path = from.join("cur").join(&name);
            std::fs::write(&path, "text\n".repeat(100)).unwrap();
            let waits = waits_for_blocks(&path);
            let file = MessageFile { place: Place::Cur, name };
            assert!(put(&source, &file, &target, &file, young).unwrap());
            if waits.is_none() {
                println!("skipped: filefrag or this file system does not tell");
                return;
            }
            if number <= 9 {
                assert_eq!(waits_for_blocks(&path), Some(false), "{number}");
            }
        }
    }

    fn waits_for_blocks(path: &std::path::Path) -> Option<bool> {
        let output = std::process::Command::new("filefrag").arg("-v").arg(path).output().ok()?;
        let told = String::from_utf8_lossy(&output.stdout);
        told.contains("eof").then(|| told.contains("delalloc"))
    }
}
