//! `cargo xtask long NAME`: what takes too long for `cargo verify`, with its figures kept.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::Command;

use clap::ValueEnum;

use crate::step::{self, Failure, cargo, watch, workspace};
use crate::{bench, fuzz, packages, peers};

/// The long runs that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    /// kill -9 of each daemon in turn while 5,000 letters are under way
    Faults,
    /// The power goes a thousand times in a history of 10,000 letters, of mailboxes and of a queue
    Power,
    /// Ten processes and other programs on the same mailboxes: ten minutes
    Crowd,
    /// 500 users' Maildirs go from Dovecot to us and back: ten minutes
    Interop,
    /// Trouble at every system call of every operation, one operation after the other
    Sweep,
    /// Letters go by, and one daemon or another dies: half an hour
    Soak,
    /// Octets that nobody would write to what reads those of others: ten minutes for each target
    Fuzz,
    /// Our daemons, Postfix and Dovecot under the same loads: lmtp, append, open, memory, fetch, flags, news, accept, queue, mail
    Bench,
}

/// Runs it, or these parts of it, and appends command, commit, date and figures to
/// `docs/long-runs.md`.
pub(crate) fn run(name: Name, parts: &[String]) -> Result<(), Failure> {
    let run = Run::now(name, parts);
    prepare(name)?;
    let figures = match name {
        Name::Faults => figures(test("faults").env("POSTHORN_TEST_LETTERS", "5000"))?,
        Name::Power => figures(
            test("power").env("POSTHORN_TEST_LETTERS", "10000").env("POSTHORN_TEST_CUTS", "1000"),
        )?,
        Name::Crowd => figures(test("crowd").env("POSTHORN_TEST_SECONDS", "600"))?,
        Name::Interop => figures(test("interop").env("POSTHORN_TEST_HISTORIES", "500"))?,
        Name::Sweep => figures(&mut test("sweep"))? + &figures(&mut test("spool_sweep"))?,
        Name::Soak => figures(test("soak").env("POSTHORN_TEST_SECONDS", "1800"))?,
        Name::Fuzz => fuzz::run(parts)?,
        Name::Bench => bench::compare(parts, &run.stamp())?,
    };
    println!("{figures}");
    run.keep(&figures)
}

/// Sees to the programs that the tests start; the comparison and the fuzzer build their own.
fn prepare(name: Name) -> Result<(), Failure> {
    if matches!(name, Name::Bench | Name::Fuzz) {
        return Ok(());
    }
    packages::install()?;
    peers::fetch()?;
    let mut build = cargo(&["build", "--ignore-rust-version", "--workspace", "--bins"]);
    step::run(&mut build, "mend what the compiler names above")
}

/// What a run is remembered by.
struct Run {
    name: String,
    command: String,
    commit: String,
    date: String,
}

impl Run {
    fn now(name: Name, parts: &[String]) -> Self {
        let name = name.to_possible_value().expect("none is hidden").get_name().to_owned();
        Self {
            command: [&["cargo xtask long", &name], &*strs(parts)].concat().join(" "),
            name,
            commit: said(&["git", "rev-parse", "--short", "HEAD"]),
            date: said(&["date", "--utc", "+%F %R"]),
        }
    }

    fn stamp(&self) -> String {
        format!("{} UTC, commit {}, `{}`.", self.date, self.commit, self.command)
    }

    fn keep(&self, figures: &str) -> Result<(), Failure> {
        let Self { name, command, commit, date } = self;
        let entry = format!("\n## {name}, {date} UTC, {commit}\n\n`{command}`\n\n{figures}");
        let path = workspace().join("docs/long-runs.md");
        let wrong =
            |error| Failure::new(format!("{}: {error}", path.display()), "make it writable");
        let mut file = OpenOptions::new().append(true).create(true).open(&path).map_err(wrong)?;
        file.write_all(entry.as_bytes()).map_err(wrong)
    }
}

fn test(name: &str) -> Command {
    let mut test = cargo(&["test", "--ignore-rust-version", "-p", "mail-tests", "--test", name]);
    test.args(["--", "--nocapture", "--test-threads=1"]);
    test
}

/// The figures of a test, as a list. All that it says is shown.
fn figures(test: &mut Command) -> Result<String, Failure> {
    let mut list = String::new();
    watch(test, "run it alone and look at what it shows", |line| {
        println!("{line}");
        if let Some(figure) = figure(line) {
            list += &format!("- {figure}\n");
        }
    })?;
    if list.is_empty() {
        return Err(Failure::new("the run printed no figures", "see what the test prints"));
    }
    Ok(list)
}

/// What follows `figure: ` at the beginning of a line, or behind the test's name, which stands on a
/// line that is not ended before the test is.
fn figure(line: &str) -> Option<&str> {
    let (before, figure) = line.split_once("figure: ")?;
    (before.is_empty() || before.ends_with(" ... ")).then_some(figure)
}

fn strs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

fn said(words: &[&str]) -> String {
    let (program, arguments) = words.split_first().expect("a command has a name");
    let output = Command::new(program).args(arguments).current_dir(workspace()).output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_behind_a_name_too() {
        let table = [
            ("figure: 7 letters", Some("7 letters")),
            ("test one ... figure: 7 letters", Some("7 letters")),
            ("7 letters", None),
            ("no figure: none", None),
        ];
        for (line, expected) in table {
            assert_eq!(figure(line), expected, "{line}");
        }
    }
}
