//! What can go wrong around a server, done to the real files of a site.
//!
//! Permissions do not bind root, who runs these tests in CI: what cannot be read or written here
//! is of another kind than is expected (a directory for a file), is not there, or is full.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::chat::Chat;
use crate::patience;
use crate::rig::machine;
use crate::site::Site;

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The passwd-file cannot be read.
    PasswdUnreadable,
    /// There is not a byte left for mail and queue: only on a [`SmallDisk`].
    DiskFull,
    /// This user's INBOX is no Maildir any more.
    MailboxDamaged(String),
    /// Somebody removed all messages from this user's INBOX.
    MessagesGone(String),
    /// The files of this user's messages cannot be read.
    MessagesUnreadable(String),
}

impl Trouble {
    /// The trouble that a chat calls so.
    #[must_use]
    pub fn called(text: &str) -> Option<Self> {
        let user = text.split_once("'s ").map(|(user, _)| user.to_owned()).unwrap_or_default();
        let all = [
            Self::PasswdUnreadable,
            Self::DiskFull,
            Self::MailboxDamaged(user.clone()),
            Self::MessagesGone(user.clone()),
            Self::MessagesUnreadable(user),
        ];
        all.into_iter().find(|trouble| trouble.to_string() == text)
    }

    /// Does it.
    ///
    /// # Panics
    /// If it cannot be done.
    pub fn befall(&self, site: &Site) {
        let done = match self {
            Self::PasswdUnreadable => make_directory_of(&site.path("passwd")),
            Self::DiskFull => SMALL.iter().try_for_each(|name| fill(&site.path(name))),
            Self::MailboxDamaged(user) => {
                let cur = site.maildir(user).join("cur");
                fs::remove_dir_all(&cur).and_then(|()| fs::write(&cur, "no directory"))
            }
            Self::MessagesGone(user) => {
                site.message_files(user).iter().try_for_each(fs::remove_file)
            }
            Self::MessagesUnreadable(user) => {
                site.message_files(user).iter().try_for_each(|path| make_directory_of(path))
            }
        };
        done.unwrap_or_else(|error| panic!("{self}: {error}"));
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PasswdUnreadable => write!(f, "the passwd-file cannot be read"),
            Self::DiskFull => write!(f, "the disk is full"),
            Self::MailboxDamaged(user) => write!(f, "{user}'s mailbox is damaged"),
            Self::MessagesGone(user) => write!(f, "{user}'s messages are gone"),
            Self::MessagesUnreadable(user) => write!(f, "{user}'s messages cannot be read"),
        }
    }
}

/// The directories of a site that can be small disks.
pub(crate) const SMALL: [&str; 2] = ["mail", "spool"];

/// A file system of 1 MiB at a directory, unmounted when it is dropped.
#[derive(Debug)]
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Only root can.
    pub(crate) fn mount(at: &Path) -> io::Result<Self> {
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(at))?;
        Ok(Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a session may hold a file open.
        if let Err(error) = run(Command::new("umount").arg("--lazy").arg(&self.0)) {
            eprintln!("{} stays mounted: {error}", self.0.display());
        }
    }
}

/// An ext4 on a file, mounted at a directory, unmounted when it is dropped.
#[derive(Debug)]
pub struct Ext4 {
    image: PathBuf,
    at: PathBuf,
}

impl Ext4 {
    /// Makes it and mounts it; only root can, where there are loop devices.
    ///
    /// # Errors
    /// If it cannot be mounted.
    pub fn mount(image: &Path, at: &Path) -> io::Result<Self> {
        machine::format(image, 16);
        run(&mut mounting(image, at))?;
        Ok(Self { image: image.to_owned(), at: at.to_owned() })
    }

    /// Lets it be away for a moment, in which the machine goes on.
    ///
    /// # Panics
    /// If somebody has it in use for too long.
    pub fn mount_again(&self) {
        patience::until(|| run(Command::new("umount").arg(&self.at)).ok()).expect("nobody uses it");
        run(&mut mounting(&self.image, &self.at)).expect("it was mounted before");
    }
}

fn mounting(image: &Path, at: &Path) -> Command {
    let mut command = Command::new("mount");
    command.args(["-t", "ext4", "-o", "loop"]).arg(image).arg(at);
    command
}

impl Drop for Ext4 {
    fn drop(&mut self) {
        if let Err(error) = run(Command::new("umount").arg("--lazy").arg(&self.at)) {
            eprintln!("{} stays mounted: {error}", self.at.display());
        }
    }
}

/// Whether a chat's troubles can happen here; if not, it says so aloud.
///
/// # Panics
/// If nothing can be said at all.
#[must_use]
pub fn can_happen(chat: &Chat, path: &Path) -> bool {
    if !chat.heading.small_disk {
        return true;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let Err(error) = SmallDisk::mount(directory.path()) else {
        return true;
    };
    // Not with eprintln!, which nobody sees where a test passes.
    let name = path.file_name().unwrap_or_default().display();
    let said = writeln!(io::stderr(), "SKIPPED: {name}: no small disk can be mounted: {error}");
    said.expect("standard error is open");
    false
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(io::Error::other(said.into_owned())) }
}

/// What was a file is a directory of the same name.
fn make_directory_of(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    fs::create_dir(path)
}

/// Writes until not a byte more goes in.
fn fill(directory: &Path) -> io::Result<()> {
    let mut file = File::create(directory.join("filler"))?;
    let mut block = vec![0; 64 << 10];
    while !block.is_empty() {
        match file.write(&block) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                block.truncate(block.len() / 2);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
