//! What is in `new` and `cur`.
//!
//! A listing is not a moment: a file that another program renames meanwhile may be seen twice or
//! not at all. What is seen twice under one identity is mended here; what was missed is looked
//! for again by who misses it.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::disk::{self, Dir, Kind, Stat};
use crate::time;

use super::listing::{Listing, Parted};
use super::looks::Looks;
use super::places::Places;
use super::{StoreError, attempts, index, name};

/// Which of the two directories of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Place {
    #[default]
    New,
    Cur,
}

/// Which directories of messages are listed. `cur` never is without `new`, where its files come
/// from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listed {
    Nothing,
    New,
    Both,
}

/// An open mailbox; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Folders {
    /// Where Dovecot's files are: UID list, keywords.
    pub(super) control: Dir,
    /// Where ours are.
    pub(super) index: Dir,
    pub(super) new: Dir,
    pub(super) cur: Dir,
    pub(super) tmp: Dir,
}

/// A message's file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct MessageFile {
    pub(super) place: Place,
    /// The whole name.
    pub(super) name: String,
}

pub(super) const CUR: &str = "cur";

/// Seconds that a program may take from link to unlink.
const LINKING: i64 = 600;

impl Listed {
    fn places(self) -> &'static [Place] {
        match self {
            Self::Nothing => &[],
            Self::New => &[Place::New],
            Self::Both => &[Place::New, Place::Cur],
        }
    }
}

impl Folders {
    /// Opens a mailbox. `tmp` and `new` are made where somebody lost them, and so are the
    /// directories of control and index files; without `cur` it is none.
    pub(super) fn open(places: &Places) -> Result<Self, StoreError> {
        attempts::until_done(&places.mail, || {
            let folders = Messages::open(places)?.with_others(places)?;
            Ok(folders.are_of_one_mailbox()?.then_some(folders))
        })
    }

    /// Whether the directories belong together. Where they are apart they are found by three paths,
    /// and meanwhile the mailbox may have got another name and another mailbox its own.
    pub(super) fn are_of_one_mailbox(&self) -> Result<bool, StoreError> {
        let mail = self.cur.path().parent();
        let together = [&self.control, &self.index].iter().all(|dir| Some(dir.path()) == mail);
        Ok(together || self.are_in_place()?)
    }

    /// The directory of a place.
    pub(super) fn at(&self, place: Place) -> &Dir {
        match place {
            Place::New => &self.new,
            Place::Cur => &self.cur,
        }
    }

    /// Which boot it is for what is here.
    pub(super) fn boot(&self) -> [u8; 16] {
        index::boot_of([&self.control, &self.index, &self.cur])
    }

    /// Lists directories. One identity with two files becomes one file, or two identities.
    pub(super) fn list(&self, listed: Listed) -> Result<Listing, StoreError> {
        let mut listing = Listing::default();
        self.each(listed, |place, name| listing.push(place, name))?;
        listing.settle(|one, other| self.part(one, other))?;
        Ok(listing)
    }

    /// The names of messages in directories, as they are.
    pub(super) fn each(
        &self,
        listed: Listed,
        mut see: impl FnMut(Place, &str),
    ) -> Result<(), StoreError> {
        for place in listed.places() {
            self.at(*place).entries()?.each(|name, kind| {
                if let Some(name) = message_name(name, kind) {
                    see(*place, name);
                }
            })?;
        }
        Ok(())
    }

    /// Looks for a file whose name changed.
    pub(super) fn find(&self, base: &str) -> Result<Option<MessageFile>, StoreError> {
        for place in [Place::Cur, Place::New] {
            for entry in self.at(place).entries()? {
                let entry = entry?;
                let found = entry.name.to_str().filter(|name| name::base(name) == base);
                if let Some(name) = found {
                    return Ok(Some(MessageFile { place, name: name.to_owned() }));
                }
            }
        }
        Ok(None)
    }

    /// Looks for messages with `look`, which lists both directories and says whether it found
    /// all. If it did not, and files may have been renamed meanwhile, one of them may be what it
    /// missed, and it looks a second time. `before` is how the directories looked.
    pub(super) fn looked_through(
        &self,
        before: Looks,
        mut look: impl FnMut() -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        if !look()? && (before.were_recent() || !before.hold(Looks::at(self)?)) {
            look()?;
        }
        Ok(())
    }

    /// Whether the mailbox has the path still under which it was opened: it may have been deleted
    /// or renamed since, and another may be there.
    pub(super) fn are_in_place(&self) -> Result<bool, StoreError> {
        is_in_place(&self.cur)
    }

    /// Whether these are two names of one file.
    pub(super) fn are_one(
        &self,
        one: &MessageFile,
        other: &MessageFile,
    ) -> Result<bool, StoreError> {
        let (one, other) =
            (self.at(one.place).stat(&one.name)?, self.at(other.place).stat(&other.name)?);
        Ok(one.is_file_of(&other))
    }

    /// Two files of one identity. If they are one file with two names, one name goes: that of a
    /// program which died between link and unlink (mutt renames so). One that lives is about to
    /// remove the first name; were we to remove the second, the message would be gone. If they are
    /// two messages, the second gets an identity of its own.
    fn part(&self, first: &MessageFile, second: &MessageFile) -> Result<Parted, StoreError> {
        let dirs = (self.at(first.place), self.at(second.place));
        let stats = (dirs.0.stat(&first.name), dirs.1.stat(&second.name));
        let (one, other) = match stats {
            (Ok(one), Ok(other)) => (one, other),
            // It was renamed while we listed.
            (Err(_), _) => return Ok(Parted::Second),
            (Ok(_), Err(_)) => return Ok(Parted::First),
        };
        if one.is_file_of(&other) {
            if is_left_over(&one, time::now_seconds()) {
                dirs.1.unlink(&second.name)?;
            }
            return Ok(Parted::First);
        }
        let own = name::unique();
        let name = match second.name.split_once(':') {
            Some((_, flags)) => format!("{own}:{flags}"),
            None => own,
        };
        dirs.1.rename_new(&second.name, dirs.1, &name)?;
        dirs.1.sync()?;
        Ok(Parted::Both(MessageFile { place: second.place, name }))
    }
}

/// The directories of a mailbox's messages, open.
#[derive(Debug)]
struct Messages {
    dir: Dir,
    new: Dir,
    cur: Dir,
    tmp: Dir,
}

impl Messages {
    fn open(places: &Places) -> Result<Self, StoreError> {
        let dir = Dir::open(&places.mail)?;
        let cur = dir.subdir(CUR)?;
        let (new, tmp) = (subdir(&dir, "new")?, subdir(&dir, "tmp")?);
        Ok(Self { dir, new, cur, tmp })
    }

    /// Opens those of control and index files.
    fn with_others(self, places: &Places) -> Result<Folders, StoreError> {
        let Self { dir, new, cur, tmp } = self;
        let control = beside(&dir, &places.mail, &places.control)?;
        let index = match places.index == places.control {
            true => control.clone(),
            false => beside(&dir, &places.mail, &places.index)?,
        };
        Ok(Folders { control, index, new, cur, tmp })
    }
}

/// Whether the file got its last name so long ago that nobody is between link and unlink any more.
/// A link counts as a change to the file, and nobody can set that time.
fn is_left_over(stat: &Stat, now: i64) -> bool {
    now.saturating_sub(stat.changed.seconds) > LINKING
}

/// Whether a directory has the path still under which it was opened.
pub(super) fn is_in_place(dir: &Dir) -> Result<bool, StoreError> {
    let open = dir.stat_self()?;
    match std::fs::metadata(dir.path()) {
        Ok(found) => Ok((found.dev(), found.ino()) == (open.device, open.inode)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::system(dir.path().to_owned(), error)),
    }
}

/// The name of a message; what else lies about is passed over.
pub(super) fn message_name(name: &OsStr, kind: Option<Kind>) -> Option<&str> {
    if !matches!(kind, None | Some(Kind::File)) {
        return None;
    }
    let Some(name) = name.to_str() else {
        tracing::warn!(?name, "a message's file name is not UTF-8; it is not shown");
        return None;
    };
    let hidden = name.starts_with(['.', ':']) || name.contains(['\n', '\r']);
    (!hidden).then_some(name)
}

/// The directory at `path`, which may be the mailbox itself.
fn beside(dir: &Dir, mail: &Path, path: &Path) -> Result<Dir, StoreError> {
    match mail == path {
        true => Ok(dir.clone()),
        false => Ok(Dir::open_or_create(path)?),
    }
}

/// Another mailbox has the path now. Trying again may help.
pub(super) fn replaced(path: PathBuf) -> StoreError {
    let error = io::Error::new(io::ErrorKind::ResourceBusy, "another mailbox has this path now");
    StoreError::system(path, error)
}

fn subdir(dir: &Dir, name: &str) -> Result<Dir, StoreError> {
    if let Some(found) = disk::found(dir.subdir(name))? {
        return Ok(found);
    }
    dir.create_dir(name)?;
    Ok(dir.subdir(name)?)
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::super::lock::Lock;
    use super::*;

    #[test]
    fn a_mailbox_that_another_one_replaces_is_not_opened_half() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let places = |name: &str| Places {
            mail: path(&format!("mail/{name}")),
            control: path(&format!("control/{name}")),
            index: path(&format!("control/{name}")),
        };
        let make = |name: &str| {
            std::fs::create_dir_all(places(name).mail.join(CUR)).unwrap();
            Folders::open(&places(name)).unwrap()
        };
        let one = make("one");
        assert!(one.are_of_one_mailbox().unwrap());
        let half = Messages::open(&places("one")).unwrap();
        for root in ["mail", "control"] {
            std::fs::rename(path(root).join("one"), path(root).join("two")).unwrap();
        }
        assert!(!one.are_of_one_mailbox().unwrap(), "its path leads nowhere");
        assert!(Lock::take(&one).unwrap_err().is_temporary());
        let other = make("one");
        let mixed = half.with_others(&places("one")).unwrap();
        assert!(!mixed.are_of_one_mailbox().unwrap());
        assert!(Lock::take(&mixed).unwrap_err().is_temporary());
        assert!(other.are_of_one_mailbox().unwrap());
        Lock::take(&other).unwrap();
        // What is in one directory is opened through it.
        let together = Places::together(&places("two").mail);
        let folders = Folders::open(&together).unwrap();
        std::fs::rename(&together.mail, path("mail/three")).unwrap();
        assert!(folders.are_of_one_mailbox().unwrap());
    }

    #[test]
    fn a_second_name_is_left_over_after_ten_minutes() {
        let directory = tempfile::tempdir().unwrap();
        let stat = Dir::open(directory.path()).unwrap().stat_self().unwrap();
        let changed = stat.changed.seconds;
        for (now, expected) in [
            (changed, false),
            (changed - 5000, false),
            (changed + 600, false),
            (changed + 601, true),
        ] {
            assert_eq!(is_left_over(&stat, now), expected, "{now}");
        }
    }
}
