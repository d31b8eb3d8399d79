//! Real letters, from Debian's packages: unpacked below `target/letters`, never installed.

use crate::step::{Failure, workspace};
use crate::unpack::unpack;

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
            unpack(&[package], &unpacked)?;
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
