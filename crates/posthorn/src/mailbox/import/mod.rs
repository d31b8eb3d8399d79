//! `posthorn mailbox import`: messages from an export, a Maildir or an mbox file.
//!
//! Nothing is brought twice, and no list is kept of what was: a message that the mailbox holds
//! already is known by its INTERNALDATE, its size and its octets. All three appear with it by one
//! rename, so that whoever is killed at any moment runs it again, and it goes on where it was.
//! Copies that are equal are counted: of two here and three there, one is brought. What a user has
//! moved away or deleted since comes again.

mod exported;
mod maildir;
mod mbox;

use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use mail_common::disk::Dir;
use mail_common::maildir::{NewMessage, Store, StoreError};
use mail_proto::address::Address;
use mail_proto::mailbox::{NamedFlags, Uid};
use mail_proto::message::wire::Cursor;

use super::progress::Progress;
use super::user::{Mailboxes, People, join};
use super::{Failure, Outcome, complain, form, plural, show};

/// A larger message is none.
const LARGEST: u64 = 256 << 20;
/// Messages that wait to be written.
const WAITING: usize = 4;

/// What is to be brought next.
enum Piece {
    Mailbox(form::Mailbox),
    Letter(Letter),
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Letter {
    /// The levels of the name of its mailbox.
    mailbox: Vec<String>,
    flags: NamedFlags,
    /// INTERNALDATE, in seconds since 1970.
    date: i64,
    /// Its octets, with CRLF line ends.
    wire: Vec<u8>,
}

/// Where a source's pieces go, and what could not be read.
struct Pieces {
    sender: SyncSender<Piece>,
    unreadable: usize,
}

/// Nobody takes pieces any more: who did has failed, and says why.
struct Refused;

/// What all of it came to.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    brought: usize,
    there: usize,
}

pub(super) fn run(
    people: &People,
    user: &Address,
    from: &Path,
    mailbox: Option<&str>,
) -> Result<Outcome, Failure> {
    let person = people.find(user)?;
    let source = Source::of(from)?;
    let (sender, pieces) = sync_channel(WAITING);
    let mut pieces_of = Pieces { sender, unreadable: 0 };
    let (read, brought, unreadable) = thread::scope(|scope| {
        let bringing = people.begin(scope, &person, move |all| bring(all, mailbox, &pieces));
        let read = source.read(&mut pieces_of);
        let Pieces { sender, unreadable } = pieces_of;
        drop(sender);
        (read, join(bringing), unreadable)
    });
    let Counts { brought, there } = brought?;
    read?;
    show(format_args!("{} imported, {there} were there already", plural(brought, "message")));
    if unreadable == 0 {
        return Ok(Outcome::Clean);
    }
    complain(&format_args!(
        "{} could not be read, see above: run this again when they can",
        plural(unreadable, "message")
    ));
    Ok(Outcome::Left)
}

/// What there is to import.
enum Source {
    Export(Dir),
    Maildir(Dir),
    Mbox(std::fs::File),
}

impl Source {
    fn of(path: &Path) -> Result<Self, Failure> {
        let wrong = |what: &dyn std::fmt::Display| {
            Failure::Usage(format!(
                "{}: {what}. Name an export, a Maildir or an mbox file",
                path.display()
            ))
        };
        if !std::fs::metadata(path).map_err(|error| wrong(&error))?.is_dir() {
            let file = std::fs::File::open(path).map_err(|error| wrong(&error))?;
            return Ok(Self::Mbox(file));
        }
        let dir = Dir::open(path).map_err(|error| wrong(&error))?;
        if dir.stat(form::LIST).is_ok() {
            return Ok(Self::Export(dir));
        }
        if dir.stat("cur").is_ok() {
            return Ok(Self::Maildir(dir));
        }
        Err(wrong(&format_args!("there is neither {} nor cur in it", form::LIST)))
    }

    fn read(&self, pieces: &mut Pieces) -> Result<(), Failure> {
        match self {
            Self::Export(dir) => exported::read(dir, pieces),
            Self::Maildir(dir) => maildir::read(dir, pieces),
            Self::Mbox(file) => mbox::read(file, pieces),
        }
    }
}

impl Pieces {
    fn send(&self, piece: Piece) -> Result<(), Refused> {
        self.sender.send(piece).map_err(|_| Refused)
    }

    /// Tells of a message that does not come.
    fn unreadable(&mut self, what: &dyn std::fmt::Display) {
        self.unreadable += 1;
        complain(what);
    }
}

/// Puts what comes into the mailboxes.
fn bring(
    all: &Mailboxes<'_>,
    only: Option<&str>,
    pieces: &Receiver<Piece>,
) -> Result<Counts, Failure> {
    let mut targets: HashMap<String, Target> = HashMap::new();
    let mut counts = Counts::default();
    let mut progress = Progress::new("imported");
    for piece in pieces {
        match piece {
            Piece::Mailbox(mailbox) if only.is_none() => prepare(all, &mailbox)?,
            Piece::Mailbox(_) => {}
            Piece::Letter(letter) => {
                let name = match only {
                    Some(name) => name.to_owned(),
                    None => all.name(&letter.mailbox),
                };
                let target = match targets.get_mut(&name) {
                    Some(target) => target,
                    None => targets.entry(name.clone()).or_insert(Target::open(all, &name)?),
                };
                match target.holds(&letter)? {
                    true => counts.there += 1,
                    false => {
                        target.add(&letter)?;
                        counts.brought += 1;
                    }
                }
                progress.step();
            }
        }
    }
    Ok(counts)
}

/// Makes a mailbox that is missing, and subscribes to it; what a user has unsubscribed here stays
/// so if it was so there.
fn prepare(all: &Mailboxes<'_>, mailbox: &form::Mailbox) -> Result<(), Failure> {
    let name = all.name(&mailbox.mailbox);
    if mailbox.exists {
        make(all, &name)?;
    }
    let folders = all.directory.folders()?;
    let known = folders.iter().any(|folder| folder.name == name && folder.subscribed);
    if mailbox.subscribed && !known {
        all.directory.subscribe(&name, true)?;
    }
    Ok(())
}

fn make(all: &Mailboxes<'_>, name: &str) -> Result<(), Failure> {
    if all.directory.mailbox(name).is_ok() {
        return Ok(());
    }
    match all.directory.create(name) {
        Ok(()) | Err(StoreError::AlreadyExists(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A mailbox that messages are brought into.
struct Target {
    store: Store,
    /// Messages that it had, by INTERNALDATE and size; each is taken out when its like comes.
    had: HashMap<(i64, u64), Vec<Uid>>,
}

impl Target {
    fn open(all: &Mailboxes<'_>, name: &str) -> Result<Self, Failure> {
        make(all, name)?;
        let store = all.directory.mailbox(name)?;
        let snapshot = store.sync()?;
        let mut had: HashMap<(i64, u64), Vec<Uid>> = HashMap::new();
        for entry in snapshot.messages.iter() {
            let uid = entry.uid;
            let date = store.internal_date(uid);
            match date.and_then(|date| Ok((date, store.size(uid)?))) {
                Ok(likeness) => had.entry(likeness).or_default().push(uid),
                Err(StoreError::Gone(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Self { store, had })
    }

    /// Whether it had this message.
    fn holds(&mut self, letter: &Letter) -> Result<bool, Failure> {
        let likeness = (letter.date, letter.wire.len() as u64);
        let Some(alike) = self.had.get_mut(&likeness) else { return Ok(false) };
        for at in 0..alike.len() {
            let Some(uid) = alike.get(at) else { break };
            if content(&self.store, *uid)?.is_some_and(|wire| wire == letter.wire) {
                alike.remove(at);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds it, to last.
    fn add(&self, letter: &Letter) -> Result<(), Failure> {
        let (flags, internal_date) = (letter.flags.clone(), Some(letter.date));
        let message = NewMessage { flags, internal_date };
        let mut appending = self.store.append(message)?;
        appending.write(&letter.wire)?;
        appending.commit()?;
        Ok(())
    }
}

/// A message's octets with CRLF line ends; `None` if it is gone.
fn content(store: &Store, uid: Uid) -> Result<Option<Vec<u8>>, Failure> {
    let message = match store.message(uid) {
        Err(StoreError::Gone(_)) => return Ok(None),
        other => other?,
    };
    let mut stored = vec![0; usize::try_from(message.stored_size()).unwrap_or_default()];
    let mut at = 0;
    while let Some(rest) = stored.get_mut(at..).filter(|rest| !rest.is_empty()) {
        match message.read_at(rest, at as u64)? {
            0 => return Ok(None),
            count => at += count,
        }
    }
    Ok(Some(wire(&stored)))
}

/// With CRLF line ends.
fn wire(stored: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(stored.len() + stored.len() / 16);
    Cursor::default().advance(stored, u64::MAX, |text| wire.extend_from_slice(text));
    wire
}
