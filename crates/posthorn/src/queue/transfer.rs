//! `posthorn queue export` and `import`: a directory with two files a message, `ID.eml`, its text
//! as it travels, and `ID.json`, all else that is known of it.
//!
//! `ID.json` is written last: without it a message is not whole.

use std::fmt::Display;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use mail_common::disk::{Dir, DiskError, NewFile};
use mail_spool::admin::protocol::{Answer, Block, LINE, Request};
use mail_spool::admin::{Filter, Item};

use super::connection::Connection;
use super::output::Output;
use super::{Failure, Outcome, plural};
use crate::export_to::new_directory;

pub(super) fn export(
    connection: &mut Connection,
    filter: Filter,
    to: &Path,
    json: bool,
    out: &mut Output,
) -> Result<Outcome, Failure> {
    let dir = new_directory(to)?;
    let mut outcome = Outcome::Done;
    let mut current: Option<Exported> = None;
    let count = connection.ask(&Request::Export { filter }, |answer| match answer {
        Answer::Message(item) => {
            if let Some(done) = current.take() {
                done.finish(&dir)?;
            }
            current = Some(Exported::begin(&dir, *item)?);
            Ok(())
        }
        Answer::Block(Block(octets)) => match &mut current {
            Some(exported) => Ok(exported.text.write(&octets)?),
            None => Ok(()),
        },
        other => outcome.note(&other, json, out),
    })?;
    if let Some(done) = current {
        done.finish(&dir)?;
    }
    dir.sync()?;
    if !json {
        out.line(format_args!("{} exported to {}", plural(count, "message"), to.display()))?;
    }
    Ok(outcome)
}

pub(super) fn import(
    connection: &mut Connection,
    from: &Path,
    json: bool,
    out: &mut Output,
) -> Result<Outcome, Failure> {
    let other = |what: &dyn Display| {
        Failure::Usage(format!("{what}. Name a directory that `posthorn queue export` wrote"))
    };
    let dir = Dir::open(from).map_err(|error| other(&error))?;
    let mut names = exported(&dir).map_err(|error| unreadable(&error))?;
    if names.is_empty() {
        return Err(other(&format_args!("{}: no ID.json is there", from.display())));
    }
    names.sort_unstable();
    let mut outcome = Outcome::Done;
    let mut count = 0;
    for name in names {
        let (item, text) = read(&dir, &name)?;
        let request = Request::Import { message: Box::new(item) };
        count += connection.hand_in(&request, text, |answer| match answer {
            Answer::Done { id, .. } if !json && id != name => {
                out.line(format_args!("{name}: imported as {id}"))
            }
            other => outcome.note(&other, json, out),
        })?;
    }
    if !json {
        out.line(format_args!("{} imported", plural(count, "message")))?;
    }
    Ok(outcome)
}

/// A message that is being written.
struct Exported {
    item: Item,
    text: NewFile,
}

impl Exported {
    fn begin(dir: &Dir, item: Item) -> Result<Self, Failure> {
        let text = dir.create_new(format!("{}.eml", item.id))?;
        Ok(Self { item, text })
    }

    fn finish(self, dir: &Dir) -> Result<(), Failure> {
        let Self { item, mut text } = self;
        text.sync()?;
        text.keep();
        let mut known = dir.create_new(format!("{}.json", item.id))?;
        let line = serde_json::to_string_pretty(&item).map_err(std::io::Error::from)?;
        known.write(line.as_bytes())?;
        known.write(b"\n")?;
        known.sync()?;
        known.keep();
        Ok(())
    }
}

/// The names of the messages that are whole.
fn exported(dir: &Dir) -> Result<Vec<String>, DiskError> {
    let mut names = Vec::new();
    for entry in dir.entries()? {
        let name = entry?.name.to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".json").map(str::to_owned));
    }
    Ok(names)
}

fn read(dir: &Dir, name: &str) -> Result<(Item, fs::File), Failure> {
    let text = dir.file(format!("{name}.eml")).map_err(|error| unreadable(&error))?;
    let known =
        dir.read(format!("{name}.json"), LINE as u64).map_err(|error| unreadable(&error))?;
    let item = serde_json::from_slice(&known)
        .map_err(|error| Failure::Usage(format!("{name}.json: {error}")))?;
    Ok((item, text))
}

/// What is not there was not exported; what is there may be read another time.
fn unreadable(error: &DiskError) -> Failure {
    match error.kind() {
        ErrorKind::NotFound => Failure::Usage(error.to_string()),
        _ => Failure::Temporary(error.to_string()),
    }
}
