//! Which mounting of a file system it is.
//!
//! A disk can be away while the machine goes on: a volume that was detached, paths that were all
//! lost, an XFS that shut itself down. What was not synced is lost then as with a power cut, and the
//! file system comes back from its journal, with the same device number, under the same boot. That
//! takes an unmount and a mount; and for each mount ext4 and XFS make a directory of their own,
//! `/sys/fs/ext4/sda1`. Within a boot the kernel gives no two of these the same inode number, and it
//! is the same for all processes, whatever their mount namespaces: a sandbox mounts what is mounted
//! already once more, which gives new numbers to its mounts, but this is the file system's own.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::{major, minor};

use super::Dir;

/// The file systems that tell.
const TELL: [&str; 2] = ["/sys/fs/ext4", "/sys/fs/xfs"];

/// That of an open file or directory. As long as it is open, its file system stays mounted.
#[derive(Debug)]
pub(super) struct Descriptor {
    fd: OwnedFd,
    mounting: OnceLock<Mounting>,
}

/// On which device it is, and what number the mounting of that has.
#[derive(Debug, Clone, Copy, Default)]
struct Mounting {
    device: u64,
    number: u64,
}

impl Dir {
    /// Which mounting of its file system this is: under one boot of the machine no other has this
    /// number, and all processes see it; 0 where nobody tells. Only the first answer costs much.
    #[must_use]
    pub fn mounted(&self) -> u64 {
        self.fd.mounting(Mounting::of).number
    }

    /// The same, which costs less where it is on the device that another one is on.
    #[must_use]
    pub fn mounted_beside(&self, other: &Self) -> u64 {
        let other = other.fd.mounting(Mounting::of);
        let of = |device| if device == other.device { other } else { Mounting::of(device) };
        self.fd.mounting(of).number
    }
}

impl Descriptor {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self { fd, mounting: OnceLock::new() }
    }

    fn mounting(&self, of: impl FnOnce(u64) -> Mounting) -> Mounting {
        let found = || {
            rustix::fs::fstat(&self.fd).map_or_else(|_| Mounting::default(), |stat| of(stat.st_dev))
        };
        *self.mounting.get_or_init(found)
    }
}

impl Mounting {
    fn of(device: u64) -> Self {
        Self { device, number: number(device) }
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The number of what is mounted from a device now; 0 where nobody tells: another file system, or
/// no `/sys`.
fn number(device: u64) -> u64 {
    let (major, minor) = (major(device), minor(device));
    let Ok(link) = fs::read_link(format!("/sys/dev/block/{major}:{minor}")) else { return 0 };
    let Some(name) = link.file_name() else { return 0 };
    let told = TELL.iter().find_map(|all| fs::metadata(Path::new(all).join(name)).ok());
    told.map_or(0, |told| told.ino())
}
