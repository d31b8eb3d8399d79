//! The power goes at every flush of a history.
//!
//! The law: what was answered OK is there when the machine is up again, whole and, where a UID was
//! told, under it; what was expunged stays so; no UID that was ever shown belongs to another
//! message, and no modseq falls, though the clock is behind all of them; and all of it can be used.
//! What was not answered is done or not, letter by letter.

use std::path::{Path, PathBuf};
use std::process::Command;

use mail_tests::rig::histories;
use mail_tests::rig::ledger::Ledger;
use mail_tests::rig::machine::Boots;
use mail_tests::rig::power::Recording;
use mail_tests::source::workspace;

const HISTORY: &str = env!("CARGO_BIN_EXE_history");

#[test]
fn what_was_answered_survives_a_power_cut() {
    let (letters, flushes) =
        (number("POSTHORN_TEST_LETTERS", 60), number("POSTHORN_TEST_CUTS", 300));
    survives(1, letters, flushes, Boots::Told);
}

/// The same where a sandbox hides which boot of the machine it is.
#[test]
fn and_where_nobody_tells_that_it_was_one() {
    let flushes = number("POSTHORN_TEST_CUTS", 300) / 3;
    survives(3, number("POSTHORN_TEST_LETTERS", 60) / 3, flushes, Boots::Hidden);
}

fn survives(seed: u64, letters: u32, flushes: u32, boots: Boots) {
    let operations = histories::random(seed, letters);
    let mebibytes = 96 + u64::from(letters) / 20;
    let recording = Recording::<Ledger>::make(Path::new(HISTORY), &operations, mebibytes, boots);
    let outcome = recording.cut(flushes as usize);
    println!("figure: {} operations, {} flushes", outcome.promises, outcome.flushes);
    println!("figure: {} disks after a power cut looked at", outcome.disks);
    println!("figure: {} promises broken", outcome.violations.len());
    assert!(outcome.disks > 0, "nothing was looked at");
    assert!(outcome.violations.is_empty(), "{}", outcome.violations.join("\n"));
}

/// The proof that the test above can fail.
#[test]
fn without_the_sync_of_directories_it_is_noticed() {
    let operations = histories::random(2, 12);
    let outcome = Recording::<Ledger>::make(&mutant(), &operations, 96, Boots::Told).cut(300);
    let lost = outcome
        .violations
        .iter()
        .any(|what| what.contains(": letter ") && what.ends_with(" is gone"));
    assert!(lost, "a build that does not sync directories loses nothing: {outcome:?}");
}

/// `history` without the sync of directories, built now.
fn mutant() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    let feature = "mutant-no-directory-sync";
    cargo.args(["build", "--ignore-rust-version", "-p", "mail-tests", "--bin", "history-mutant"]);
    cargo.args(["--features", feature]).current_dir(workspace());
    let status = cargo.status().expect("cargo runs");
    assert!(status.success(), "{cargo:?}: {status}");
    Path::new(HISTORY).with_file_name("history-mutant")
}

fn number(variable: &str, otherwise: u32) -> u32 {
    let said = std::env::var(variable).ok();
    said.map_or(otherwise, |text| text.parse().expect("is a number"))
}
