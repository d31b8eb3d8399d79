//! `posthorn queue trace`: where a message is and what became of it, in one command.
//!
//! All daemons write a message's id into each line of their logs that is about it; a line that
//! names two ids tells which came of which. So: the ids of all lines that have what was asked for,
//! or an id found before; then all lines that have one of these; and what the queue knows of them.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use mail_common::config::Site;
use mail_common::log::Id;
use mail_common::time;
use mail_spool::admin::protocol::{Answer, Request};
use mail_spool::admin::{Filter, Glob, Item};
use serde::Serialize;

use super::connection::Connection;
use super::form::plain;
use super::output::Output;
use super::show::{all, exactly};
use super::{Failure, Outcome, complain};

/// What is traced, and where.
#[derive(Args)]
pub(super) struct Arguments {
    /// A message's id, the address of a sender or recipient, or other text of its log lines
    #[arg(value_name = "ID|ADDRESS")]
    what: String,
    /// Read this log; else the journal, or the logs of `posthorn try`
    #[arg(long, value_name = "FILE")]
    log: Vec<PathBuf>,
    /// Go back so far in the journal
    #[arg(long, value_name = "SPAN", default_value = "7d", value_parser = super::selection::seconds)]
    since: u64,
}

/// The daemons whose journal is read.
const UNITS: [&str; 4] = ["mtad", "lmtp-deliverd", "imapd", "pop3d"];

/// Messages that are followed.
const IDS: usize = 1000;

/// Lines that are shown.
const LINES: usize = 100_000;

/// Octets of a line.
const LINE: u64 = 64 << 10;

const UNKNOWN: &str = "nothing is known of it: not in the queue, and not in the log; --since looks \
    further back in the journal, --log in another file";

/// Where lines come from.
enum Source {
    Files(Vec<PathBuf>),
    Journal { since: i64 },
}

pub(super) fn run(site: &Site, arguments: &Arguments, json: bool) -> Result<Outcome, Failure> {
    let source = source(site, arguments);
    let mut ids: HashSet<Id> = Id::parse(&arguments.what).into_iter().collect();
    if arguments.what.contains('@') {
        // The line about one that just came does not name its recipients. Who cannot be asked now
        // is asked again below.
        let waits = in_queue(site, of_address(&arguments.what)).unwrap_or_default();
        ids.extend(waits.iter().filter_map(|item| Id::parse(&item.id)).take(IDS));
    }
    let lines = source.about(&arguments.what, &mut ids)?;
    if ids.len() >= IDS {
        complain(&format_args!("more than {IDS} messages: not all are shown. Name one by its id"));
    }
    let mut out = Output::new();
    for line in &lines {
        match json {
            true => out.json(&Line { log: line })?,
            false => out.line(line)?,
        }
    }
    let mut known: Vec<_> = ids.iter().map(ToString::to_string).collect();
    known.sort_unstable();
    let waits = if known.is_empty() { Ok(Vec::new()) } else { in_queue(site, [exactly(&known)]) };
    let outcome = match waits {
        Ok(items) => show(items, lines.is_empty(), json, &mut out)?,
        Err(failure) => {
            out.flush()?;
            complain(&format_args!("the queue cannot be asked: {failure}"));
            Outcome::Refused
        }
    };
    out.flush()?;
    Ok(outcome)
}

/// A line of a log, with `--json`.
#[derive(Serialize)]
struct Line<'a> {
    log: &'a str,
}

/// Shows what waits, and says so if nothing does.
fn show(
    items: Vec<Item>,
    no_lines: bool,
    json: bool,
    out: &mut Output,
) -> Result<Outcome, Failure> {
    let now = time::now_micros() / 1_000_000;
    let unknown = items.is_empty() && no_lines;
    match (items.is_empty(), no_lines) {
        (true, _) if json => {}
        (true, true) => out.line(UNKNOWN)?,
        (true, false) => out.line("not in the queue: the lines above say what became of it")?,
        (false, _) => {}
    }
    for item in items {
        match json {
            true => out.json(&Answer::Message(Box::new(item)))?,
            false => out.line(format_args!("\nin the queue:\n{}", all(&item, now).trim_end()))?,
        }
    }
    Ok(if unknown { Outcome::Refused } else { Outcome::Done })
}

/// The messages that somebody sent, or gets.
fn of_address(address: &str) -> [Filter; 2] {
    let address = || vec![Glob::new(address)];
    [
        Filter { senders: address(), ..Filter::default() },
        Filter { recipients: address(), ..Filter::default() },
    ]
}

/// The messages in the queue that are meant. It is not kept while logs are read: mtad may be about
/// to start.
fn in_queue(site: &Site, filters: impl IntoIterator<Item = Filter>) -> Result<Vec<Item>, Failure> {
    let mut connection = Connection::open(site)?;
    let mut items = Vec::new();
    let mut asked = Ok(0);
    for filter in filters {
        asked = asked.and_then(|_| {
            connection.ask(&Request::List { filter }, |answer| {
                if let Answer::Message(item) = answer {
                    items.push(*item);
                }
                Ok(())
            })
        });
    }
    connection.close();
    asked.map(|_| items)
}

fn source(site: &Site, arguments: &Arguments) -> Source {
    if !arguments.log.is_empty() {
        return Source::Files(arguments.log.clone());
    }
    match trial_logs(&site.run.directory) {
        logs if logs.is_empty() => {
            let back = i64::try_from(arguments.since).unwrap_or(i64::MAX);
            Source::Journal { since: time::now_seconds().saturating_sub(back) }
        }
        logs => Source::Files(logs),
    }
}

/// The logs that `posthorn try` has written beside its run directory.
fn trial_logs(run: &Path) -> Vec<PathBuf> {
    let Some(directory) = run.parent().map(|directory| directory.join("log")) else {
        return Vec::new();
    };
    let logs = UNITS.iter().map(|name| directory.join(format!("{name}.log")));
    logs.filter(|path| fs::metadata(path).is_ok_and(|found| found.is_file())).collect()
}

impl Source {
    /// The lines about something, about messages with these ids, and about those that they name,
    /// which become known.
    fn about(&self, what: &str, ids: &mut HashSet<Id>) -> Result<Vec<String>, Failure> {
        let is_about = |line: &str, ids: &HashSet<Id>| {
            line.contains(what) || ids_of(line).any(|id| ids.contains(&id))
        };
        self.each(&mut |line| {
            if ids.len() < IDS && is_about(line, ids) {
                ids.extend(ids_of(line));
            }
        })?;
        let mut lines = Vec::new();
        self.each(&mut |line| {
            if lines.len() < LINES && is_about(line, ids) {
                lines.push(plain(line));
            }
        })?;
        if let Self::Files(_) = self {
            // Each begins with its time; the lines of one moment stay as they were.
            lines.sort_by(|a, b| moment(a).cmp(moment(b)));
        }
        Ok(lines)
    }

    fn each(&self, see: &mut dyn FnMut(&str)) -> Result<(), Failure> {
        match self {
            Self::Files(paths) => {
                for path in paths {
                    let file = File::open(path)
                        .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
                    lines(BufReader::new(file), see)?;
                }
                Ok(())
            }
            Self::Journal { since } => journal(*since, see),
        }
    }
}

fn journal(since: i64, see: &mut dyn FnMut(&str)) -> Result<(), Failure> {
    let missing = |error: std::io::Error| {
        Failure::Usage(format!("journalctl: {error}. Name the log with --log FILE"))
    };
    let mut process = Command::new("journalctl")
        .args(["--quiet", "--no-pager", "--output=short-iso-precise"])
        .arg(format!("--since=@{since}"))
        .args(UNITS.iter().flat_map(|unit| ["--unit", unit]))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(missing)?;
    if let Some(stdout) = process.stdout.take() {
        lines(BufReader::new(stdout), see)?;
    }
    // What it has to complain of it has said.
    process.wait().map_err(missing).map(drop)
}

/// Lines that are too long are cut; octets that are no text are shown as such.
fn lines(mut from: impl BufRead, see: &mut dyn FnMut(&str)) -> Result<(), Failure> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let count = std::io::Read::take(&mut from, LINE).read_until(b'\n', &mut line)?;
        if count == 0 {
            return Ok(());
        }
        if line.ends_with(b"\n") {
            line.pop();
        }
        see(&String::from_utf8_lossy(&line));
    }
}

/// The ids of messages in a line. A session has one of its own, which is no message's.
fn ids_of(line: &str) -> impl Iterator<Item = Id> {
    const LENGTH: usize = 16;
    let words = line.split(|c: char| !c.is_ascii_alphanumeric());
    let named = std::iter::once("").chain(words.clone()).zip(words);
    named
        .filter(|(before, word)| word.len() == LENGTH && *before != "session")
        .filter_map(|(_, word)| Id::parse(word).filter(|id| id.micros().is_some_and(is_ours)))
}

/// Words of sixteen letters are seldom a time since this program is there.
fn is_ours(micros: u64) -> bool {
    const YEAR_2025: u64 = 1_735_689_600_000_000;
    (YEAR_2025..=time::now_micros().saturating_add(86_400_000_000)).contains(&micros)
}

fn moment(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_in_lines() {
        let (id, other) = (Id::new(), Id::new());
        let table = [
            (format!("{id}: from=<a@b>, size=1 session={other} peer=::1"), vec![id]),
            (format!("<{other}> parent={id}"), vec![other, id]),
            (format!("delivered XDELIVERID={id}.0"), vec![id]),
            ("aaaaaaaaaaaaaaaa 0000000000000000 short".to_owned(), vec![]),
            (format!("{id}{other}"), vec![]),
        ];
        for (line, expected) in table {
            assert_eq!(ids_of(&line).collect::<Vec<_>>(), expected, "{line}");
        }
    }

    #[test]
    fn logs_are_read_line_by_line() {
        let mut seen = Vec::new();
        let long = "x".repeat(70_000);
        let text = format!("a\n\u{fffd}\n{long}\nlast");
        let read = lines(text.as_bytes(), &mut |line| seen.push(line.len()));
        assert!(read.is_ok());
        assert_eq!(seen, [1, 3, 65_536, 70_000 - 65_536, 4]);
    }
}
