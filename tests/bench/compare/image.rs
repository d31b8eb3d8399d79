//! A fresh ext4 file system with a journal, in a file, on a loop device.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use mail_tests::source::workspace;
use tempfile::TempDir;

/// Room for the mailboxes, and inodes for messages of 6 kB and more.
const SIZE: u64 = 8 << 30;
const OCTETS_PER_INODE: &str = "6144";

/// A file system that is there as long as this.
///
/// Its file has no name any more: once nobody has it mounted, the kernel frees loop device and
/// room.
#[derive(Debug)]
pub(crate) struct Image(TempDir);

impl Image {
    pub(crate) fn mount(name: &str) -> io::Result<Self> {
        let file = workspace().join(format!("target/bench-{name}.img"));
        File::create(&file)?.set_len(SIZE)?;
        let directory = tempfile::tempdir()?;
        let mounted =
            run(Command::new("mkfs.ext4").args(["-q", "-F", "-i", OCTETS_PER_INODE]).arg(&file))
                .and_then(|()| {
                    run(Command::new("mount").args(["-o", "loop"]).arg(&file).arg(directory.path()))
                });
        fs::remove_file(&file)?;
        mounted?;
        // Servers that give their rights away must get through.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
        Ok(Self(directory))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if let Err(error) = run(Command::new("umount").arg("--lazy").arg(self.path())) {
            eprintln!("{} stays mounted: {error}", self.path().display());
        }
    }
}

/// Runs a command to its end.
fn run(command: &mut Command) -> io::Result<()> {
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{command:?}: {status}"))) }
}
