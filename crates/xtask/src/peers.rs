//! The servers that ours are compared with, unpacked below `target/peers` and never installed:
//! Postfix and Dovecot, to which the tests play our chats, and Courier, whose mailboxes we take
//! over.

use std::path::Path;
use std::process::Command;

use crate::step::{Failure, output, workspace};
use crate::unpack::unpack;

/// Packages that can be installed together.
struct Peers {
    packages: &'static [&'static str],
    /// Files that show that they were unpacked.
    proofs: &'static [&'static str],
}

/// Debian installs only one IMAP server.
const ALL: [Peers; 2] = [
    Peers {
        packages: &["postfix", "dovecot-core", "dovecot-imapd", "dovecot-pop3d", "dovecot-lmtpd"],
        proofs: &[
            "usr/lib/postfix/sbin/master",
            "usr/lib/dovecot/imap",
            "usr/lib/dovecot/pop3",
            "usr/lib/dovecot/lmtp",
        ],
    },
    Peers { packages: &["courier-imap", "courier-authlib"], proofs: &["usr/bin/imapd"] },
];

/// Fetches what is not there yet, where there are Debian's packages; without them the tests that
/// need it say that they are skipped.
pub(crate) fn fetch() -> Result<(), Failure> {
    let into = workspace().join("target/peers");
    let there = |peers: &&Peers| peers.proofs.iter().all(|proof| into.join(proof).exists());
    let missing: Vec<&Peers> = ALL.iter().filter(|peers| !there(peers)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !Path::new("/etc/debian_version").exists() {
        println!("no Debian, no servers to compare with");
        return Ok(());
    }
    for peers in missing {
        let libraries = missing_libraries(peers.packages)?;
        let mut packages = peers.packages.to_vec();
        packages.extend(libraries.iter().map(String::as_str));
        unpack(&packages, &into)?;
    }
    Ok(())
}

/// What apt would install besides: the libraries that this machine does not have.
fn missing_libraries(packages: &[&str]) -> Result<Vec<String>, Failure> {
    let mut simulate = Command::new("apt-get");
    simulate.args(["--quiet=2", "--simulate", "--no-install-recommends", "install"]).args(packages);
    let plan = output(&mut simulate, "apt-get update, then see whether apt knows the packages")?;
    Ok(plan.lines().filter_map(missing_library).map(str::to_owned).collect())
}

/// The library that a line of apt's plan installs; of one that is there the old version comes next.
fn missing_library(line: &str) -> Option<&str> {
    let (name, rest) = line.strip_prefix("Inst ")?.split_once(' ')?;
    (name.starts_with("lib") && !rest.starts_with('[')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_libraries_that_are_missing_are_fetched() {
        for (line, expected) in [
            ("Inst libltdl7 (2.4.7-7 Debian:12.15/oldstable [amd64])", Some("libltdl7")),
            ("Inst libgnutls30 [3.7.9-2] (3.7.9-3 Debian:12.15/oldstable [amd64])", None),
            ("Inst exim4-base (4.96-15 Debian:12.15/oldstable [amd64])", None),
            ("Conf libltdl7 (2.4.7-7 Debian:12.15/oldstable [amd64])", None),
        ] {
            assert_eq!(missing_library(line), expected, "{line}");
        }
    }
}
