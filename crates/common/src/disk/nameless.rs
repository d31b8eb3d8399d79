//! Files that have no name until they are whole.
//!
//! Linux makes a file in a directory without an entry there (`O_TMPFILE`), and gives it a name
//! later, which must be free. Who dies before leaves nothing. And it is less work: no entry is
//! made in one directory and taken out again, and a link does not wait for the lock that all
//! renames between two directories of a file system share.
//!
//! Link count and entry are one transaction of the file system's journal, as the two entries of a
//! rename are: content that was synced before is as safe here as there, and the name lasts with
//! the sync of its directory.
//!
//! That a sync of a file counts while it has no name is known of ext4 and XFS, whose journal takes
//! the inode like any other. Btrfs logs no inode without links, so that its content could be lost
//! with the next power cut although it was synced; ZFS makes up for it by waiting for all that is
//! under way when the file gets its name; NFS has no such files. There, and where we do not know,
//! the file has a name in the first directory and is renamed.
//!
//! A name has one use, for who asks for it: it tells a later process whether the file got its final
//! name before its own process died. That is [`Dir::create_in_sight`].

mod shared;

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, CWD, FsWord, Mode, OFlags};
use rustix::io::Errno;

pub use shared::SharedFile;

use super::{Dir, DiskError, NewFile, Result, found};

/// A file that was just created and has no name that counts. Dropped before
/// [`move_to`](Self::move_to), it is gone.
#[derive(Debug)]
pub struct NamelessFile(Form);

#[derive(Debug)]
enum Form {
    Nameless(NewFile),
    Named(NewFile),
}

/// The file systems of which it is known, as `statfs(2)` calls them: ext4 (and its elders), XFS.
const SURE: [FsWord; 2] = [0xef53, 0x5846_5342];

/// Whether this process can give names to such files.
static POSSIBLE: AtomicBool = AtomicBool::new(true);

impl Dir {
    /// Creates a file without a name. Where that is not possible, it has this one meanwhile.
    pub fn create_nameless(&self, name: impl AsRef<OsStr>) -> Result<NamelessFile> {
        let name = name.as_ref();
        if POSSIBLE.load(Ordering::Relaxed) && self.is_sure() {
            let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
            match rustix::fs::openat(self, c".", flags, Mode::RUSR | Mode::WUSR) {
                Ok(fd) => {
                    let file = NewFile::without_name(self.clone(), name, fd.into());
                    return Ok(NamelessFile(Form::Nameless(file)));
                }
                // What is said where it is unknown; or the directory was removed, which is said
                // again below.
                Err(
                    Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT | Errno::PERM,
                ) => {}
                Err(error) => return Err(DiskError::new(self.path().to_owned(), error.into())),
            }
        }
        Ok(NamelessFile(Form::Named(self.create_new(name)?)))
    }

    /// Creates a file that has this name until it gets its final one. Whatever has it already was
    /// left by a dead process, and is removed: the caller sees to it that no other has the same.
    pub fn create_in_sight(&self, name: impl AsRef<OsStr>) -> Result<NamelessFile> {
        let name = name.as_ref();
        match self.create_new(name) {
            Err(error) if error.is_taken() => found(self.unlink(name))?,
            file => return Ok(NamelessFile(Form::Named(file?))),
        };
        Ok(NamelessFile(Form::Named(self.create_new(name)?)))
    }

    /// Whether what is synced here lasts without a name.
    fn is_sure(&self) -> bool {
        rustix::fs::fstatfs(self).is_ok_and(|found| SURE.contains(&found.f_type))
    }
}

impl NamelessFile {
    /// As [`NewFile::write`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file().write(bytes)
    }

    /// As [`NewFile::set_modified`].
    pub fn set_modified(&mut self, seconds: i64) -> Result<()> {
        self.file().set_modified(seconds)
    }

    /// As [`NewFile::sync`].
    pub fn sync(&mut self) -> Result<()> {
        self.file().sync()
    }

    /// As [`NewFile::sync_with_times`].
    pub fn sync_with_times(&mut self) -> Result<()> {
        self.file().sync_with_times()
    }

    /// As [`NewFile::move_to`].
    pub fn move_to(mut self, dir: &Dir, name: impl AsRef<OsStr>) -> Result<()> {
        self.try_move_to(dir, name)
    }

    /// As [`move_to`](Self::move_to), but on an error it is what it was.
    pub fn try_move_to(&mut self, dir: &Dir, name: impl AsRef<OsStr>) -> Result<()> {
        match &mut self.0 {
            Form::Nameless(file) => file.link_to(dir, name.as_ref(), link),
            Form::Named(file) => file.try_move_to(dir, name.as_ref()),
        }
    }

    /// Leaves it to others to remove it, if it has a name.
    pub fn leave(self) {
        match self.0 {
            Form::Nameless(file) | Form::Named(file) => file.keep(),
        }
    }

    fn file(&mut self) -> &mut NewFile {
        match &mut self.0 {
            Form::Nameless(file) | Form::Named(file) => file,
        }
    }
}

/// Gives a file one more name, which may be its first.
fn link(file: &File, dir: &Dir, name: &OsStr) -> rustix::io::Result<()> {
    // Linux before 6.10 lets only root name a file by its descriptor: others go through `/proc`.
    match rustix::fs::linkat(file, c"", dir, name, AtFlags::EMPTY_PATH) {
        Err(Errno::NOENT | Errno::INVAL | Errno::PERM) => {}
        other => return other,
    }
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let linked = rustix::fs::linkat(CWD, &path, dir, name, AtFlags::SYMLINK_FOLLOW);
    if linked.is_err() && !Path::new(&path).exists() {
        // There is no `/proc` here: from now on files have names.
        POSSIBLE.store(false, Ordering::Relaxed);
    }
    linked
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::*;

    fn temporary() -> (tempfile::TempDir, Dir, Dir) {
        let directory = tempfile::tempdir().unwrap();
        let dir = Dir::open(directory.path()).unwrap();
        for name in ["tmp", "new"] {
            dir.create_dir(name).unwrap();
        }
        let (tmp, new) = (dir.subdir("tmp").unwrap(), dir.subdir("new").unwrap());
        (directory, tmp, new)
    }

    /// Either form, for what both must do.
    fn forms(tmp: &Dir) -> [NamelessFile; 2] {
        [tmp.create_nameless("nameless").unwrap(), tmp.create_in_sight("named").unwrap()]
    }

    fn names(dir: &Dir) -> usize {
        dir.entries().unwrap().count()
    }

    #[test]
    fn it_comes_whole_and_replaces_nothing() {
        let (_directory, tmp, new) = temporary();
        for (number, mut file) in forms(&tmp).into_iter().enumerate() {
            let name = number.to_string();
            file.write(b"text").unwrap();
            file.sync().unwrap();
            assert_eq!(names(&new), number);
            file.move_to(&new, &name).unwrap();
            assert_eq!(new.read(&name, 10).unwrap(), b"text");
            assert_eq!(names(&tmp), usize::from(number == 0), "only the other form's");
        }
        for mut file in forms(&tmp) {
            file.write(b"other").unwrap();
            let error = file.move_to(&new, "0").unwrap_err();
            assert!(error.is_taken(), "{error}");
        }
        assert_eq!((new.read("0", 10).unwrap().as_slice(), names(&new)), (&b"text"[..], 2));
        assert_eq!(names(&tmp), 0);
    }

    #[test]
    fn dropped_it_leaves_nothing() {
        let (_directory, tmp, _new) = temporary();
        for mut file in forms(&tmp) {
            file.write(b"text").unwrap();
        }
        assert_eq!(names(&tmp), 0);
    }

    #[test]
    fn one_in_sight_is_there_until_it_has_its_final_name() {
        let (_directory, tmp, new) = temporary();
        let mut file = tmp.create_in_sight("x").unwrap();
        file.write(b"half").unwrap();
        file.leave();
        assert_eq!(tmp.read("x", 10).unwrap(), b"half");
        let mut file = tmp.create_in_sight("x").unwrap();
        file.write(b"all").unwrap();
        new.create_new("taken").unwrap().keep();
        assert!(file.try_move_to(&new, "taken").unwrap_err().is_taken());
        assert_eq!(tmp.read("x", 10).unwrap(), b"all");
        file.try_move_to(&new, "free").unwrap();
        drop(file);
        assert_eq!((names(&tmp), new.read("free", 10).unwrap().as_slice()), (0, &b"all"[..]));
        tmp.create_dir("directory").unwrap();
        assert!(tmp.create_in_sight("directory").is_err());
    }

    #[test]
    fn its_name_is_a_single_component() {
        let (_directory, tmp, new) = temporary();
        for file in forms(&tmp) {
            assert!(file.move_to(&new, "../tmp/x").is_err());
        }
        assert_eq!(names(&tmp), 0);
    }
}
