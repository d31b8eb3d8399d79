//! A file system on a disk whose writes are logged, and a file system after a power cut.
//!
//! Each runs in a world of its own, made by `unshare`: what it mounts nobody else sees, and when
//! its first process ends, however that happens, the kernel ends all others, unmounts everything
//! and frees the loop devices. So there is nothing to clean up, and nothing that stays behind.
//!
//! The disk is a file, exported as another file by `qemu-storage-daemon` with its driver
//! `blklogwrites`, below a loop device, for the kernel's own device-mapper may not be there. The
//! loop device must not write directly: with `direct-io=on` the export was seen to damage ext4.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;

use super::promises::print;
use crate::patience;

/// The files of a machine, in a directory.
#[derive(Debug, Clone)]
pub struct Files {
    /// The disk.
    pub image: PathBuf,
    /// The log of what was written to it.
    pub log: PathBuf,
    /// The disk, as a file that logs.
    exported: PathBuf,
    /// Where it is mounted.
    mounted: PathBuf,
    boot_id: PathBuf,
}

/// Whether processes can see that the machine was started anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boots {
    /// The kernel tells.
    Told,
    /// A sandbox hides it, as `ProcSubset=pid` of systemd does.
    Hidden,
}

/// A process that is killed when it is dropped.
#[derive(Debug)]
struct Running(Child);

/// The kernel's name for the time since the machine was started.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

impl Boots {
    /// As the command line says it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Told => "told",
            Self::Hidden => "hidden",
        }
    }

    fn hide(self) {
        if self == Self::Hidden {
            let mut cover = Command::new("mount");
            cover.args(["--no-mtab", "-t", "tmpfs", "none", "/proc/sys"]);
            run(&mut cover, "mount in a world of its own");
            assert!(!Path::new(BOOT_ID).exists(), "/proc/sys is hidden");
        }
    }
}

impl From<&str> for Boots {
    fn from(word: &str) -> Self {
        if word == Self::Hidden.word() { Self::Hidden } else { Self::Told }
    }
}

impl Files {
    /// Those of a directory.
    #[must_use]
    pub fn of(directory: &Path) -> Self {
        let file = |name| directory.join(name);
        Self {
            image: file("image"),
            log: file("log"),
            exported: file("exported"),
            mounted: file("mounted"),
            boot_id: file("boot_id"),
        }
    }
}

/// A program in a world of its own.
#[must_use]
pub fn apart(program: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(WORLD).arg(program);
    command
}

/// A program in a world of its own that was started just now.
///
/// # Panics
/// If nobody knows when this machine was started.
#[must_use]
pub fn started_anew(program: &Path) -> Command {
    let uptime = fs::read_to_string("/proc/uptime").expect("Linux tells");
    let seconds = uptime.split('.').next().expect("there is a first part");
    let mut command = Command::new("unshare");
    command.args(WORLD).args(["--time", &format!("--boottime=-{seconds}")]).arg(program);
    command
}

const WORLD: [&str; 6] =
    ["--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// Makes a file with an empty ext4.
///
/// # Panics
/// If that does not work.
pub fn format(image: &Path, mebibytes: u64) {
    let file = fs::File::create(image).expect("the directory is writable");
    file.set_len(mebibytes << 20).expect("the disk has room");
    // All is written before the log begins, and nothing later on by the kernel.
    let options = ["-q", "-F", "-b", "4096", "-E", "lazy_itable_init=0,lazy_journal_init=0"];
    run(Command::new("mkfs.ext4").args(options).arg(image), "Debian's package e2fsprogs");
}

/// In a world of its own: starts the disk, mounts it, and lets `act` do something there; the log
/// of the disk is its second argument.
///
/// # Panics
/// If a part of that is missing.
pub fn record(directory: &Path, boots: Boots, act: impl FnOnce(&Path, &Path)) {
    boots.hide();
    let files = Files::of(directory);
    for empty in [&files.log, &files.exported] {
        fs::File::create(empty).expect("the directory is writable");
    }
    fs::create_dir(&files.mounted).expect("so it is");
    let mut disk = Running::disk(&files);
    // The file is there before it is the disk.
    let length = |path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    let whole = length(&files.image);
    patience::until(|| (length(&files.exported) == whole).then_some(()))
        .expect("qemu-storage-daemon exports the disk by FUSE");
    mount(&files.exported, &files.mounted);
    act(&files.mounted, &files.log);
    unmount(&files.mounted);
    disk.end();
}

/// In a world of its own: mounts the image, after a boot, and prints what `look` finds there.
///
/// # Panics
/// If it cannot be mounted.
pub fn examine<V: Serialize>(directory: &Path, boots: Boots, look: impl FnOnce(&Path) -> V) {
    let files = Files::of(directory);
    fs::create_dir(&files.mounted).expect("the directory is writable");
    fs::write(&files.boot_id, "11111111-2222-4333-8444-555555555555\n").expect("so it is");
    let bind = ["--no-mtab", "--bind"];
    let mut bind_boot_id = Command::new("mount");
    run(bind_boot_id.args(bind).arg(&files.boot_id).arg(BOOT_ID), "mount in a world of its own");
    boots.hide();
    mount(&files.image, &files.mounted);
    print(&look(&files.mounted));
}

fn mount(image: &Path, mounted: &Path) {
    let options = ["--no-mtab", "-t", "ext4", "-o", "loop"];
    run(Command::new("mount").args(options).arg(image).arg(mounted), "root, and loop devices");
}

/// What a mailbox has done behind our back, a sync or a cache that is written anew, comes to its end
/// first.
fn unmount(mounted: &Path) {
    let mut umount = Command::new("umount");
    umount.arg(mounted).stderr(Stdio::null());
    let ended = || umount.status().is_ok_and(|status| status.success()).then_some(());
    patience::until(ended).expect("nobody uses it for ever");
}

fn run(command: &mut Command, needs: &str) {
    let status = command.status();
    let done = status.as_ref().is_ok_and(ExitStatus::success);
    assert!(done, "{command:?}: {status:?}; it needs {needs}");
}

impl Running {
    fn disk(files: &Files) -> Self {
        let path = |path: &Path| path.display().to_string();
        // What qemu keeps need not survive this machine.
        let file = "cache.no-flush=on,driver=file";
        let mut command = Command::new("qemu-storage-daemon");
        command
            .args(["--blockdev", &format!("{file},node-name=data,filename={}", path(&files.image))])
            .args(["--blockdev", &format!("{file},node-name=log,filename={}", path(&files.log))])
            .args(["--blockdev", "driver=blklogwrites,node-name=disk,file=data,log=log"])
            .arg("--export")
            .arg(format!(
                "type=fuse,id=disk,node-name=disk,writable=on,mountpoint={}",
                path(&files.exported)
            ));
        let child = command.stdin(Stdio::null()).spawn();
        Self(child.expect("qemu-storage-daemon is in Debian's package qemu-utils"))
    }

    /// Lets it write its log to the end.
    fn end(&mut self) {
        let pid = Pid::from_child(&self.0);
        kill_process(pid, Signal::TERM).expect("it runs");
        let status = self.0.wait().expect("it is our child");
        assert!(status.success(), "qemu-storage-daemon: {status}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
