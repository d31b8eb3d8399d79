//! What the system knows of a file without opening it.

use rustix::fs::{FileType, Statx, StatxFlags};

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A plain file.
    File,
    /// A directory.
    Directory,
    /// Anything else: links, sockets, devices.
    Other,
}

/// A time stamp of a file, with nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Stamp {
    /// Seconds since 1970.
    pub seconds: i64,
    /// And this much.
    pub nanoseconds: u32,
}

/// What the system knows of a file without opening it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Its octets.
    pub size: u64,
    /// Its file system.
    pub device: u64,
    /// Which file it is there.
    pub inode: u64,
    /// When its content changed.
    pub modified: Stamp,
    /// When anything of it changed, names included; nobody can set this.
    pub changed: Stamp,
}

/// What tells a file or directory from all others: also from one that gets its number after it is
/// gone, where the file system says when a file was made; and, where that is known, from itself after
/// its file system was mounted anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    device: (u32, u32),
    inode: u64,
    born: Option<Stamp>,
    mounted: u64,
}

impl Identity {
    /// What the system says of a file, and which mounting of its file system this is.
    pub(super) fn new(found: &Statx, mounted: u64) -> Self {
        let said = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::BTIME);
        let (seconds, nanoseconds) = (found.stx_btime.tv_sec, found.stx_btime.tv_nsec);
        Self {
            device: (found.stx_dev_major, found.stx_dev_minor),
            inode: found.stx_ino,
            born: said.then_some(Stamp { seconds, nanoseconds }),
            mounted,
        }
    }

    /// Whether no other will ever have the same: ext4, XFS, Btrfs and ZFS say when a file was made.
    #[must_use]
    pub fn is_sure(&self) -> bool {
        self.born.is_some()
    }

    /// The same in 32 bits, for files: it must not change within a boot of the machine.
    #[must_use]
    pub fn checksum(&self) -> u32 {
        let born = self.born.unwrap_or_default();
        let (seconds, nanoseconds) = (born.seconds.cast_unsigned(), born.nanoseconds.into());
        let numbers = [self.inode, seconds, nanoseconds, self.mounted];
        let devices = [self.device.0, self.device.1].map(u32::to_le_bytes);
        let device = crc32c::crc32c(devices.as_flattened());
        crc32c::crc32c_append(device, numbers.map(u64::to_le_bytes).as_flattened())
    }
}

impl Stat {
    /// Whether both are of one file.
    #[must_use]
    pub fn is_file_of(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// A later time than the file's, where now is none, in whole seconds.
    pub(super) fn newer(&self) -> Option<i64> {
        let old = self.modified.seconds;
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec;
        (now <= old).then_some(old.saturating_add(1))
    }
}

impl From<FileType> for Kind {
    fn from(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Directory,
            _ => Self::Other,
        }
    }
}

impl From<rustix::fs::Stat> for Stat {
    fn from(stat: rustix::fs::Stat) -> Self {
        let stamp = |seconds, nanoseconds| Stamp {
            seconds,
            nanoseconds: u32::try_from(nanoseconds).unwrap_or_default(),
        };
        Self {
            kind: FileType::from_raw_mode(stat.st_mode).into(),
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            device: stat.st_dev,
            inode: stat.st_ino,
            modified: stamp(stat.st_mtime, stat.st_mtime_nsec),
            changed: stamp(stat.st_ctime, stat.st_ctime_nsec),
        }
    }
}
