//! `posthorn mailbox export`: messages with all that is known of them, in [a form](super::form)
//! that `import` takes.
//!
//! Mail is opened by a thread that has the rights of its owner; what it opened is read and written
//! by another, which has those of who calls.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use mail_common::disk::{Dir, NewFile};
use mail_common::maildir::{self, Store, StoreError};
use mail_proto::address::Address;
use mail_proto::mailbox::Snapshot;

use super::form::{self, Line};
use super::progress::Progress;
use super::user::{Mailboxes, People, join};
use super::{Failure, Outcome, plural, show};
use crate::export_to::new_directory;

/// Messages that may be open at a time.
const OPEN: usize = 16;
/// Octets that are copied at a time.
const BLOCK: usize = 128 << 10;

/// What is to be written next.
enum Piece {
    Mailbox(form::Mailbox),
    /// Of the mailbox that came last; `file` is not known yet.
    Message(form::Message, maildir::Message),
}

pub(super) fn run(
    people: &People,
    user: &Address,
    mailboxes: &[String],
    to: &Path,
) -> Result<Outcome, Failure> {
    let person = people.with_mail(user)?;
    let to = new_directory(to)?;
    let (sender, pieces) = sync_channel(OPEN);
    let count = thread::scope(|scope| {
        let reading = people.begin(scope, &person, move |all| read(all, mailboxes, &sender));
        let written = Export::begin(to.clone()).and_then(|export| export.write(pieces));
        // Who could not read has said why; the list must not say that all is there.
        let read = join(reading);
        written.and_then(|(export, count)| read.and_then(|()| export.finish()).map(|()| count))
    })?;
    show(format_args!("{} exported to {}", plural(count, "message"), to.path().display()));
    Ok(Outcome::Clean)
}

/// Opens one message after another. That nobody takes them is no error here.
fn read(all: &Mailboxes<'_>, only: &[String], pieces: &SyncSender<Piece>) -> Result<(), Failure> {
    for (name, store) in all.stores(only)? {
        let folders = all.directory.folders()?.into_iter();
        let subscribed =
            folders.filter(|folder| folder.subscribed).any(|folder| folder.name == name);
        let mailbox = form::Mailbox { mailbox: all.levels(&name), exists: true, subscribed };
        let levels = mailbox.mailbox.clone();
        if pieces.send(Piece::Mailbox(mailbox)).is_err() {
            return Ok(());
        }
        let snapshot = store.sync()?;
        for entry in snapshot.messages.iter() {
            let piece = match open(&store, &snapshot, entry.uid, &levels) {
                // Somebody removed it a moment ago.
                Err(StoreError::Gone(_)) => continue,
                other => other?,
            };
            if pieces.send(piece).is_err() {
                return Ok(());
            }
        }
    }
    if only.is_empty() {
        for folder in all.directory.folders()? {
            if folder.subscribed && !folder.selectable {
                let mailbox = all.levels(&folder.name);
                let line = form::Mailbox { mailbox, exists: false, subscribed: true };
                if pieces.send(Piece::Mailbox(line)).is_err() {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

fn open(
    store: &Store,
    snapshot: &Snapshot,
    uid: u32,
    levels: &[String],
) -> Result<Piece, StoreError> {
    let entry = snapshot.entry(uid).ok_or(StoreError::Gone(uid))?;
    let bits = snapshot.keywords.iter().enumerate();
    let keywords = bits.filter(|(bit, _)| entry.flags.keywords >> bit & 1 != 0);
    let line = form::Message {
        mailbox: levels.to_vec(),
        uid,
        flags: form::flag_names(entry.flags),
        keywords: keywords.map(|(_, name)| name.clone()).collect(),
        date: store.internal_date(uid)?,
        file: String::new(),
    };
    Ok(Piece::Message(line, store.message(uid)?))
}

/// An export that is being written.
struct Export {
    dir: Dir,
    list: NewFile,
}

impl Export {
    fn begin(dir: Dir) -> Result<Self, Failure> {
        let list = dir.create_new(format!("{}.unfinished", form::LIST))?;
        Ok(Self { dir, list })
    }

    /// Writes what comes; how many messages that was.
    fn write(mut self, pieces: Receiver<Piece>) -> Result<(Self, usize), Failure> {
        let mut progress = Progress::new("exported");
        let mut mailboxes = 0;
        let mut within: Option<Dir> = None;
        for piece in pieces {
            let line = match piece {
                Piece::Mailbox(mailbox) => {
                    if let Some(done) = within.take() {
                        done.sync()?;
                    }
                    if mailbox.exists {
                        mailboxes += 1;
                        let name = mailboxes.to_string();
                        self.dir.create_dir(&name)?;
                        within = Some(self.dir.subdir(&name)?);
                    }
                    Line::Mailbox(mailbox)
                }
                Piece::Message(mut line, message) => {
                    let name = format!("{}.eml", line.uid);
                    line.file = format!("{mailboxes}/{name}");
                    if let Some(dir) = &within {
                        copy(&message, dir.create_new(&name)?)?;
                    }
                    progress.step();
                    Line::Message(line)
                }
            };
            let text = serde_json::to_string(&line).expect("strings and numbers are JSON");
            self.list.write(text.as_bytes())?;
            self.list.write(b"\n")?;
        }
        if let Some(done) = within {
            done.sync()?;
        }
        Ok((self, progress.count))
    }

    /// Says that all is there.
    fn finish(mut self) -> Result<(), Failure> {
        self.list.sync()?;
        self.list.move_to(&self.dir, form::LIST)?;
        Ok(self.dir.sync()?)
    }
}

/// Writes a message as it is stored, to last.
fn copy(message: &maildir::Message, mut file: NewFile) -> Result<(), Failure> {
    let mut buffer = vec![0; BLOCK];
    let mut offset = 0;
    loop {
        let count = message.read_at(&mut buffer, offset)?;
        let Some(block) = buffer.get(..count).filter(|block| !block.is_empty()) else { break };
        file.write(block)?;
        offset += count as u64;
    }
    file.sync()?;
    file.keep();
    Ok(())
}
