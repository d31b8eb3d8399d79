//! Reading what `posthorn mailbox export` wrote.

use std::io::{BufRead as _, BufReader, Read as _};

use mail_common::disk::{Dir, DiskError};

use super::super::Failure;
use super::super::form::{self, Line};
use super::{LARGEST, Letter, Piece, Pieces, Refused, wire};

/// A longer line is none.
const LONGEST: u64 = 1 << 20;

pub(super) fn read(dir: &Dir, pieces: &mut Pieces) -> Result<(), Failure> {
    let place = dir.path().join(form::LIST).display().to_string();
    let wrong = |what: &dyn std::fmt::Display| Failure::Usage(format!("{place}: {what}"));
    let mut list = BufReader::new(dir.file(form::LIST).map_err(|error| wrong(&error))?);
    for number in 1_usize.. {
        let mut text = Vec::new();
        list.by_ref().take(LONGEST).read_until(b'\n', &mut text).map_err(|error| wrong(&error))?;
        if text.is_empty() {
            break;
        }
        let line = serde_json::from_slice(&text)
            .map_err(|error| wrong(&format_args!("line {number}: {error}. Export once more")))?;
        let sent = match line {
            Line::Mailbox(mailbox) => pieces.send(Piece::Mailbox(mailbox)),
            Line::Message(message) => send(dir, message, pieces),
        };
        if let Err(Refused) = sent {
            break;
        }
    }
    Ok(())
}

fn send(dir: &Dir, message: form::Message, pieces: &mut Pieces) -> Result<(), Refused> {
    let stored = match content(dir, &message.file) {
        Ok(stored) => stored,
        Err(error) => {
            pieces.unreadable(&error);
            return Ok(());
        }
    };
    let flags = message.named_flags();
    let letter =
        Letter { mailbox: message.mailbox, flags, date: message.date, wire: wire(&stored) };
    pieces.send(Piece::Letter(letter))
}

/// What a file below the export has. No name leads out of it.
fn content(dir: &Dir, file: &str) -> Result<Vec<u8>, DiskError> {
    let (mailbox, name) = file.split_once('/').unwrap_or((".", file));
    dir.subdir(mailbox)?.read(name, LARGEST)
}
