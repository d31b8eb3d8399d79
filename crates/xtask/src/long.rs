//! `cargo xtask long NAME`: what takes too long for `cargo verify`, with its figures kept.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::Command;

use clap::ValueEnum;

use crate::step::{Failure, cargo, output, workspace};

/// The long runs that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    /// kill -9 of each daemon in turn while 5,000 letters are under way
    Faults,
}

/// Runs it and appends command, commit, date and figures to `docs/long-runs.md`.
pub(crate) fn run(name: Name) -> Result<(), Failure> {
    let Name::Faults = name;
    let arguments = ["test", "--ignore-rust-version", "-p", "mail-tests", "--test", "faults"];
    let mut test = cargo(&arguments);
    test.args(["--", "--nocapture", "--test-threads=1"]).env("POSTHORN_TEST_LETTERS", "5000");
    let text = output(&mut test, "run it alone and look at the daemons' logs that it shows")?;
    let figures: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("figure: ")).collect();
    if figures.is_empty() {
        return Err(Failure::new("the run printed no figures", "see tests/faults.rs"));
    }
    let commit = said(&["git", "rev-parse", "--short", "HEAD"]);
    let date = said(&["date", "--utc", "+%F %R"]);
    let mut entry = format!("\n## faults, {date} UTC, {commit}\n\n`cargo xtask long faults`\n\n");
    for figure in figures {
        entry += &format!("- {figure}\n");
        println!("{figure}");
    }
    let path = workspace().join("docs/long-runs.md");
    let wrong = |error| Failure::new(format!("{}: {error}", path.display()), "make it writable");
    let mut file = OpenOptions::new().append(true).create(true).open(&path).map_err(wrong)?;
    file.write_all(entry.as_bytes()).map_err(wrong)
}

fn said(words: &[&str]) -> String {
    let (program, arguments) = words.split_first().expect("a command has a name");
    let output = Command::new(program).args(arguments).current_dir(workspace()).output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
