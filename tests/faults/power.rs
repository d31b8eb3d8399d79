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
use mail_tests::rig::power::{Outcome, Recording};
use mail_tests::rig::promises::Promises;
use mail_tests::rig::spool;
use mail_tests::source::workspace;
use mail_tests::wanted::number;

const HISTORY: &str = env!("CARGO_BIN_EXE_history");
const SPOOL_HISTORY: &str = env!("CARGO_BIN_EXE_spool-history");

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

#[test]
fn what_a_spool_took_survives_a_power_cut() {
    let letters = number("POSTHORN_TEST_LETTERS", 60);
    let operations = spool::random(4, letters);
    let program = Path::new(SPOOL_HISTORY);
    let recording = Recording::<spool::Ledger>::make(program, &operations, 96, Boots::Told);
    judge(&recording.cut(number("POSTHORN_TEST_CUTS", 300)));
}

fn survives(seed: u64, letters: u32, flushes: usize, boots: Boots) {
    let operations = histories::random(seed, letters);
    let mebibytes = 96 + u64::from(letters) / 20;
    let recording = Recording::<Ledger>::make(Path::new(HISTORY), &operations, mebibytes, boots);
    judge(&recording.cut(flushes));
}

fn judge(outcome: &Outcome) {
    println!("figure: {} operations, {} flushes", outcome.promises, outcome.flushes);
    println!("figure: {} disks after a power cut looked at", outcome.disks);
    println!("figure: {} promises broken", outcome.violations.len());
    assert!(outcome.disks > 0, "nothing was looked at");
    assert!(outcome.violations.is_empty(), "{}", outcome.violations.join("\n"));
}

/// The proof that the test above can fail.
#[test]
fn without_the_sync_of_directories_it_is_noticed() {
    let program = mutant("history-mutant", "mutant-no-directory-sync");
    assert_loses::<Ledger>(&program, &histories::random(2, 12));
}

/// The same of the spool.
#[test]
fn without_the_sync_of_commits_it_is_noticed() {
    let program = mutant("spool-mutant", "mutant-no-block-sync");
    assert_loses::<spool::Ledger>(&program, &spool::random(2, 30));
}

fn assert_loses<P: Promises>(mutant: &Path, operations: &[P::Operation]) {
    let outcome = Recording::<P>::make(mutant, operations, 96, Boots::Told).cut(300);
    let lost = outcome
        .violations
        .iter()
        .any(|what| what.contains(": letter ") && what.ends_with(" is gone"));
    assert!(lost, "a build that does not sync loses nothing: {outcome:?}");
}

/// A program without a sync, built now.
fn mutant(program: &str, feature: &str) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--ignore-rust-version", "-p", "mail-tests", "--bin", program]);
    cargo.args(["--features", feature]).current_dir(workspace());
    let status = cargo.status().expect("cargo runs");
    assert!(status.success(), "{cargo:?}: {status}");
    Path::new(HISTORY).with_file_name(program)
}
