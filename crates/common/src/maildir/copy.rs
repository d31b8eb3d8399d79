//! Messages are copied: one more hard link where both mailboxes are on one file system, so that a
//! copy costs no space and keeps its INTERNALDATE; else a copy of the bytes.

use mail_proto::mailbox::Uid;

use crate::disk::Dir;

use super::StoreError;
use super::append::located;
use super::held::Held;
use super::known::Looks;
use super::mailbox::{Mailbox, Pin};
use super::name::{self, Marks};
use super::scan::{Folders, Located, Place};

/// A message to copy.
#[derive(Debug)]
struct Original {
    uid: Uid,
    file: Located,
    marks: Marks,
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
    let from = source.folders()?;
    let originals = originals(source, pin, uids)?;
    let mut held = target.hold()?;
    let mut marks = Vec::with_capacity(originals.len());
    for original in &originals {
        marks.push(target_marks(&mut held, original)?);
    }
    held.write(originals.len())?;
    let before = Looks::at(&held.folders)?;
    let mut copies = Vec::with_capacity(originals.len());
    let made = make(&mut held, &from, &originals, &marks, &mut copies).and_then(|()| {
        let files = copies.iter().map(|(_, file): &(Uid, Located)| file.clone()).collect();
        held.admit(files, before)
    });
    let numbers = made.inspect_err(|_| {
        for (_, file) in &copies {
            let _ = held.folders.at(file.place).unlink(&*file.name);
        }
    })?;
    let pairs = copies.iter().map(|(uid, _)| *uid).zip(numbers).collect();
    Ok((held.snapshot().uid_validity, pairs))
}

fn originals(source: &Mailbox, pin: Pin, uids: &[Uid]) -> Result<Vec<Original>, StoreError> {
    source.sync()?;
    let known = source.known();
    pin.check(&known.snapshot())?;
    let original = |uid: &Uid| {
        let file = known.file(*uid)?.clone();
        let marks = Marks::of(&file.name);
        let keywords = known.keyword_names(&marks);
        Some(Original { uid: *uid, file, marks, keywords })
    };
    let mut originals: Vec<Original> = uids.iter().filter_map(original).collect();
    originals.sort_by_key(|original| original.uid);
    originals.dedup_by_key(|original| original.uid);
    Ok(originals)
}

/// The flags of a copy, in the target's letters; keywords that have no room there are left out.
fn target_marks(held: &mut Held<'_>, original: &Original) -> Result<Marks, StoreError> {
    let (keywords, left) = held.letters(&original.keywords)?;
    if !left.is_empty() {
        tracing::warn!(keywords = ?left, "no room for keywords of a copied message");
    }
    let mut marks = original.marks.clone();
    marks.keywords = keywords;
    Ok(marks)
}

/// Makes the files, and makes them last.
fn make(
    held: &mut Held<'_>,
    from: &Folders,
    originals: &[Original],
    marks: &[Marks],
    copies: &mut Vec<(Uid, Located)>,
) -> Result<(), StoreError> {
    for (original, marks) in originals.iter().zip(marks) {
        held.write(originals.len())?;
        let sizes = name::base(&original.file.name).split_once(',').map_or("", |(_, sizes)| sizes);
        let comma = if sizes.is_empty() { "" } else { "," };
        let file = located(&format!("{}{comma}{sizes}", name::unique()), marks);
        if put(from, &original.file, &held.folders, &file)? {
            copies.push((original.uid, file));
        }
    }
    for place in [Place::New, Place::Cur] {
        if copies.iter().any(|(_, file)| file.place == place) {
            held.folders.at(place).sync()?;
        }
    }
    Ok(())
}

/// Makes one copy; whether the original was still there.
fn put(
    from: &Folders,
    source: &Located,
    to: &Folders,
    target: &Located,
) -> Result<bool, StoreError> {
    let mut source = source.clone();
    loop {
        let (dir, into) = (from.at(source.place), to.at(target.place));
        let made = match dir.link(&*source.name, into, &*target.name) {
            Err(error) if !error.is_missing() && !error.is_taken() && !error.is_full() => {
                write_copy(dir, &source.name, to, target)
            }
            other => other.map_err(StoreError::from),
        };
        match made {
            Ok(()) => return Ok(true),
            Err(StoreError::System { error, .. })
                if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        // Its flags were changed, or it is gone.
        match from.find(name::base(&source.name))? {
            Some(found) => source = found,
            None => return Ok(false),
        }
    }
}

fn write_copy(dir: &Dir, name: &str, to: &Folders, target: &Located) -> Result<(), StoreError> {
    let mut source = dir.file(name)?;
    let modified = dir.stat(name)?.modified;
    let mut copy = to.tmp.create_new(name::base(&target.name))?;
    copy.fill(&mut source)?;
    copy.set_modified(modified.seconds)?;
    copy.sync_with_times()?;
    Ok(copy.move_to(to.at(target.place), &*target.name)?)
}
