//! Debian packages that the tests need: plain clients and tools, none of which listens.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::step::{Failure, run};

/// The program and the package that has it.
const CLIENTS: [(&str, &str); 13] = [
    ("curl", "curl"),
    ("swaks", "swaks"),
    ("mbsync", "isync"),
    ("mutt", "mutt"),
    ("fetchmail", "fetchmail"),
    ("msmtp", "msmtp"),
    ("openssl", "openssl"),
    ("systemd-analyze", "systemd"),
    ("strace", "strace"),
    ("qemu-storage-daemon", "qemu-utils"),
    ("mkfs.ext4", "e2fsprogs"),
    ("unshare", "util-linux"),
    ("mount", "mount"),
];

/// What those need besides and do not depend on.
const BESIDES: [&str; 3] = ["ca-certificates", "libnet-ssleay-perl", "libio-socket-ssl-perl"];

const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs what is missing: on Debian as root; elsewhere says what to install.
pub(crate) fn install() -> Result<(), Failure> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if !Path::new("/etc/debian_version").exists() {
        let clients: Vec<_> = CLIENTS.iter().map(|(program, _)| *program).collect();
        return Err(Failure::new(
            format!("the tests need these programs: {}", clients.join(" ")),
            "install them with this system's own tools, then cargo verify",
        ));
    }
    if !is_root() {
        return Err(Failure::new(
            format!("these packages are missing: {names}"),
            format!("apt-get install --no-install-recommends {names}, then cargo verify"),
        ));
    }
    println!("installing {names}");
    let _policy = StartNothing::begin()?;
    run(&mut apt(&["update"]), "see whether this machine reaches its package mirror")?;
    let mut install = apt(&["install", "--yes", "--no-install-recommends"]);
    run(install.args(&missing), "see what apt-get says above")
}

fn missing() -> Vec<&'static str> {
    if !Path::new("/etc/debian_version").exists() {
        let absent = CLIENTS.iter().filter(|(program, _)| !is_in_path(program));
        return absent.map(|(_, package)| *package).collect();
    }
    let packages = CLIENTS.iter().map(|(_, package)| *package).chain(BESIDES);
    packages.filter(|package| !is_installed(package)).collect()
}

fn is_installed(package: &str) -> bool {
    let query = Command::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status}", package])
        .stderr(Stdio::null())
        .output();
    query.is_ok_and(|output| output.stdout == b"installed")
}

fn is_in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn apt(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.arg("--quiet=2").args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// While this lives, no package that is installed starts a service. A policy that somebody else
/// made is left alone.
struct StartNothing {
    ours: bool,
}

impl StartNothing {
    fn begin() -> Result<Self, Failure> {
        if Path::new(POLICY).exists() {
            return Ok(Self { ours: false });
        }
        let wrong = |error| Failure::new(format!("{POLICY}: {error}"), "make it writable");
        fs::write(POLICY, "#!/bin/sh\nexit 101\n").map_err(wrong)?;
        fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755)).map_err(wrong)?;
        Ok(Self { ours: true })
    }
}

impl Drop for StartNothing {
    fn drop(&mut self) {
        if self.ours && fs::remove_file(POLICY).is_err() {
            eprintln!("{POLICY} is still there: remove it");
        }
    }
}
