//! `cargo verify`: everything that must hold before a change is taken.

use std::time::Instant;

use crate::step::{Failure, cargo, run, watch_all};
use crate::{chats, letters, packages, peers};

/// Stops at the first step that fails. Prints the test runner's closing lines last.
pub(crate) fn verify() -> Result<(), Failure> {
    let begun = Instant::now();
    step("packages that the tests need", packages::install)?;
    step("real letters", letters::fetch)?;
    step("servers to compare with", peers::fetch)?;
    step("build", || {
        let mut build = cargo(&["build", "--ignore-rust-version", "--workspace", "--bins"]);
        run(&mut build, "mend what the compiler names above")
    })?;
    step("format", || {
        let mut fmt = cargo(&["fmt", "--all", "--", "--check"]);
        run(&mut fmt, "cargo fmt --all, and look at what it changed")
    })?;
    step("lints", || {
        let mut clippy = cargo(&["clippy", "--ignore-rust-version", "--workspace"]);
        clippy.args(["--all-targets", "--", "-D", "warnings"]);
        run(&mut clippy, "mend what clippy names above")
    })?;
    step("a chat for each command and reply", chats::find_gaps)?;
    let mut closing = Vec::new();
    let outcome = step("tests", || tests(&mut closing));
    println!("\n=== the test runner's closing lines");
    for line in &closing {
        println!("{line}");
    }
    outcome?;
    println!("\nverified in {:.0} s", begun.elapsed().as_secs_f64());
    Ok(())
}

fn step(name: &str, work: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    println!("=== {name}");
    let begun = Instant::now();
    work()?;
    println!("=== {name}: {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}

/// Every test, to the end even if one fails; keeps the lines that name a test binary and its
/// result.
fn tests(closing: &mut Vec<String>) -> Result<(), Failure> {
    let next = "cargo test --ignore-rust-version -p PACKAGE, with the package that failed";
    let test = cargo(&["test", "--ignore-rust-version", "--workspace", "--no-fail-fast"]);
    watch_all(test, next, |line| {
        println!("{line}");
        if ["     Running ", "   Doc-tests ", "test result: "].iter().any(|s| line.starts_with(s)) {
            closing.push(line.to_owned());
        }
    })
}
