//! Postfix and Dovecot, to which the tests play our chats: unpacked below `target/peers`, never
//! installed.

use std::path::Path;
use std::process::Command;

use crate::step::{Failure, output, workspace};
use crate::unpack::unpack;

const PEERS: [&str; 5] =
    ["postfix", "dovecot-core", "dovecot-imapd", "dovecot-pop3d", "dovecot-lmtpd"];

/// Files that show that they were unpacked.
const PROOFS: [&str; 4] = [
    "usr/lib/postfix/sbin/master",
    "usr/lib/dovecot/imap",
    "usr/lib/dovecot/pop3",
    "usr/lib/dovecot/lmtp",
];

/// Fetches what is not there yet, where there are Debian's packages; without them the tests that
/// need it say that they are skipped.
pub(crate) fn fetch() -> Result<(), Failure> {
    let peers = workspace().join("target/peers");
    if PROOFS.iter().all(|proof| peers.join(proof).exists()) {
        return Ok(());
    }
    if !Path::new("/etc/debian_version").exists() {
        println!("no Debian, no Postfix and Dovecot to compare with");
        return Ok(());
    }
    let libraries = missing_libraries()?;
    let mut packages = PEERS.to_vec();
    packages.extend(libraries.iter().map(String::as_str));
    unpack(&packages, &peers)
}

/// What apt would install besides: the libraries that this machine does not have.
fn missing_libraries() -> Result<Vec<String>, Failure> {
    let mut simulate = Command::new("apt-get");
    simulate.args(["--quiet=2", "--simulate", "--no-install-recommends", "install"]).args(PEERS);
    let plan = output(&mut simulate, "apt-get update, then see whether apt knows the packages")?;
    let named = plan.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
    let libraries = named.filter(|name| name.starts_with("lib"));
    Ok(libraries.map(str::to_owned).collect())
}
