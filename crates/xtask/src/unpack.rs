//! Debian packages as files below `target/`, never installed.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::step::{Failure, run};

/// Downloads packages and unpacks them into one folder.
pub(crate) fn unpack(packages: &[&str], into: &Path) -> Result<(), Failure> {
    let wrong = |error| Failure::new(format!("{}: {error}", into.display()), "make it writable");
    let download = into.with_extension("download");
    let _ = fs::remove_dir_all(&download);
    fs::create_dir_all(&download).map_err(wrong)?;
    let mut get = Command::new("apt-get");
    // As root apt gives downloads to a user who cannot write here.
    get.args(["--quiet=2", "-o", "APT::Sandbox::User=root", "download"]).args(packages);
    run(get.current_dir(&download), "apt-get update, then see whether apt knows the packages")?;
    for entry in fs::read_dir(&download).map_err(wrong)?.flatten() {
        let mut dpkg = Command::new("dpkg");
        dpkg.arg("-x").arg(entry.path()).arg(into);
        run(&mut dpkg, &format!("remove {} and try again", into.display()))?;
    }
    fs::remove_dir_all(&download).map_err(wrong)
}
