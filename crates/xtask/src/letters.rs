//! Real letters, from Debian's packages: unpacked below `target/letters`, never installed.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::step::{Failure, run, workspace};

/// A package, and a file in it that shows that it was unpacked.
const PACKAGES: [(&str, &str); 2] = [
    ("libpython3.11-testsuite", "usr/lib/python3.11/test/test_email/data/msg_01.txt"),
    ("spamassassin", "usr/share/doc/spamassassin/examples/sample-spam.txt"),
];

/// Fetches what is not there yet.
pub(crate) fn fetch() -> Result<(), Failure> {
    let letters = workspace().join("target/letters");
    for (package, proof) in PACKAGES {
        let unpacked = letters.join(package);
        if !unpacked.join(proof).exists() {
            unpack(package, &unpacked)?;
        }
        if !unpacked.join(proof).exists() {
            return Err(Failure::new(
                format!("{package} has no {proof}"),
                "tests/letters.rs needs Debian 12's packages",
            ));
        }
    }
    Ok(())
}

fn unpack(package: &str, into: &Path) -> Result<(), Failure> {
    let wrong = |error| Failure::new(format!("{}: {error}", into.display()), "make it writable");
    let download = into.with_extension("download");
    let _ = fs::remove_dir_all(&download);
    fs::create_dir_all(&download).map_err(wrong)?;
    let mut get = Command::new("apt-get");
    // As root apt gives downloads to a user who cannot write here.
    get.args(["--quiet=2", "-o", "APT::Sandbox::User=root", "download", package]);
    run(get.current_dir(&download), "apt-get update, then see whether apt knows the package")?;
    for entry in fs::read_dir(&download).map_err(wrong)?.flatten() {
        let mut dpkg = Command::new("dpkg");
        dpkg.arg("-x").arg(entry.path()).arg(into);
        run(&mut dpkg, "remove target/letters and try again")?;
    }
    fs::remove_dir_all(&download).map_err(wrong)
}
