//! One file for several directories.
//!
//! Who writes the same into many directories writes and syncs it once, and links it into the
//! others: from its descriptor, for its first name may be gone by then. A file that has no name
//! any more cannot get one; nor is it known of other file systems than ext4 and XFS that one sync is
//! enough for all names: then, and wherever else the system refuses (other file systems, another
//! project's quota, too many links), the caller writes a file of its own.
//!
//! A file has one owner, one group and one access list. So it goes only into directories where a
//! new one would have got the same: they have the same owner and group, and neither gives access
//! lists to what is made in it.

use std::ffi::OsStr;
use std::fs::File;
use std::io;

use rustix::fs::Mode;
use rustix::io::Errno;

use super::{Form, NamelessFile, link};
use crate::disk::{Dir, DiskError, NewFile, Result, found};

/// A file that may go into more directories.
#[derive(Debug)]
pub struct SharedFile {
    file: File,
    /// Of the directory that it was made in.
    rights: Rights,
}

/// What decides whose a new file is.
#[derive(Debug, PartialEq, Eq)]
struct Rights {
    owner: u32,
    group: u32,
    passes_group_on: bool,
}

impl NamelessFile {
    /// A hold on it that outlasts its names. What is to last must be synced before. An error where
    /// its directory has rules of its own for new files.
    pub fn share(&self) -> Result<SharedFile> {
        let (Form::Nameless(file) | Form::Named(file)) = &self.0;
        let rights = Rights::of(file.directory())?;
        Ok(SharedFile { file: file.handle()?, rights })
    }
}

impl Dir {
    /// As [`create_in_sight`](Self::create_in_sight), but the file is another name of one that is
    /// somewhere else. An error too where a new file would not be whose that one is.
    pub fn link_in_sight(
        &self,
        name: impl AsRef<OsStr>,
        shared: &SharedFile,
    ) -> Result<NamelessFile> {
        let name = self.checked(name.as_ref())?;
        if !self.is_sure() {
            return Err(self.error(name, io::ErrorKind::Unsupported.into()));
        }
        if Rights::of(self)? != shared.rights {
            return Err(self.error(name, io::ErrorKind::PermissionDenied.into()));
        }
        let file = shared.file.try_clone().map_err(|error| self.error(name, error))?;
        match link(&file, self, name) {
            Err(Errno::EXIST) => {
                found(self.unlink(name))?;
                link(&file, self, name)
            }
            linked => linked,
        }
        .map_err(|error| self.error(name, error.into()))?;
        Ok(NamelessFile(Form::Named(NewFile::new(self.clone(), name, file))))
    }
}

impl Rights {
    fn of(dir: &Dir) -> Result<Self> {
        let error = |errno: Errno| DiskError::new(dir.path().to_owned(), errno.into());
        match rustix::fs::fgetxattr(dir, c"system.posix_acl_default", &mut [0; 0]) {
            Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(error(errno)),
            Ok(_) => return Err(error(Errno::PERM)),
        }
        let stat = rustix::fs::fstat(dir).map_err(error)?;
        let passes_group_on = Mode::from_raw_mode(stat.st_mode).contains(Mode::SGID);
        Ok(Self { owner: stat.st_uid, group: stat.st_gid, passes_group_on })
    }
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    fn temporary() -> (tempfile::TempDir, [Dir; 2]) {
        let directory = tempfile::tempdir().unwrap();
        let dir = Dir::open(directory.path()).unwrap();
        let dirs = ["one", "two"].map(|name| {
            dir.create_dir(name).unwrap();
            dir.subdir(name).unwrap()
        });
        (directory, dirs)
    }

    fn written(dir: &Dir) -> NamelessFile {
        let mut file = dir.create_in_sight("x").unwrap();
        file.write(b"text").unwrap();
        file.sync().unwrap();
        file
    }

    #[test]
    fn it_is_one_file_with_two_names() {
        let (_directory, [one, two]) = temporary();
        for nameless in [false, true] {
            let mut file = match nameless {
                true => one.create_nameless("x").unwrap(),
                false => one.create_in_sight("x").unwrap(),
            };
            file.write(b"text").unwrap();
            file.sync().unwrap();
            let shared = file.share().unwrap();
            // What a dead process left is in the way of nobody.
            two.create_new("y").unwrap().keep();
            let second = two.link_in_sight("y", &shared).unwrap();
            file.move_to(&one, "first").unwrap();
            second.move_to(&two, "second").unwrap();
            let inode = |dir: &Dir, name| fs::metadata(dir.path().join(name)).unwrap();
            let (first, second) = (inode(&one, "first"), inode(&two, "second"));
            assert_eq!((first.ino(), first.nlink()), (second.ino(), 2));
            for (dir, name) in [(&one, "first"), (&two, "second")] {
                assert_eq!(dir.read(name, 10).unwrap(), b"text");
                assert_eq!(dir.entries().unwrap().count(), 1);
                dir.unlink(name).unwrap();
            }
        }
    }

    #[test]
    fn it_is_for_file_systems_that_are_known() {
        let Ok(directory) = tempfile::tempdir_in("/dev/shm") else { return };
        let dir = Dir::open(directory.path()).unwrap();
        let file = written(&dir);
        assert_eq!(dir.link_in_sight("y", &file.share().unwrap()).is_ok(), dir.is_sure());
    }

    #[test]
    fn dropped_it_takes_only_its_own_name_along() {
        let (_directory, [one, two]) = temporary();
        let file = written(&one);
        drop(two.link_in_sight("y", &file.share().unwrap()).unwrap());
        assert_eq!(two.entries().unwrap().count(), 0);
        file.move_to(&one, "first").unwrap();
        assert_eq!(one.read("first", 10).unwrap(), b"text");
    }

    #[test]
    fn one_without_any_name_gets_none() {
        let (_directory, [one, two]) = temporary();
        let file = written(&one);
        let shared = file.share().unwrap();
        file.move_to(&one, "first").unwrap();
        one.unlink("first").unwrap();
        assert!(two.link_in_sight("y", &shared).unwrap_err().is_missing());
        assert_eq!(two.entries().unwrap().count(), 0);
    }

    #[test]
    fn nobody_gets_a_file_of_others() {
        let (_directory, [one, two]) = temporary();
        let file = written(&one);
        let shared = file.share().unwrap();
        let passing_on = Permissions::from_mode(0o2700);
        fs::set_permissions(two.path(), passing_on).unwrap();
        assert!(two.link_in_sight("y", &shared).is_err());
        fs::set_permissions(two.path(), Permissions::from_mode(0o700)).unwrap();
        let other = Rights { owner: shared.rights.owner + 1, ..shared.rights };
        assert!(two.link_in_sight("y", &SharedFile { rights: other, ..shared }).is_err());
        assert_eq!(two.entries().unwrap().count(), 0);
    }

    /// An access list for new files, as the kernel keeps it: version 2; owner, user 4711, group,
    /// mask, others.
    #[test]
    fn nobody_gets_a_file_with_an_access_list_of_others() {
        let (_directory, [one, two]) = temporary();
        let entry = |tag: u16, id: u32| {
            [tag.to_le_bytes().to_vec(), vec![6, 0], id.to_le_bytes().to_vec()].concat()
        };
        let none = u32::MAX;
        let list = [entry(1, none), entry(2, 4711), entry(4, none), entry(16, none)].concat();
        let list = [2_u32.to_le_bytes().to_vec(), list, entry(32, none)].concat();
        let flags = rustix::fs::XattrFlags::empty();
        if rustix::fs::fsetxattr(&two, c"system.posix_acl_default", &list, flags).is_err() {
            println!("skipped: this file system has no access lists");
            return;
        }
        let file = written(&one);
        assert!(two.link_in_sight("y", &file.share().unwrap()).is_err());
        assert!(two.create_in_sight("y").unwrap().share().is_err());
    }
}
