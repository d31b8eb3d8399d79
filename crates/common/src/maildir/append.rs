//! How a message comes in: written into `tmp`, synced, renamed into its place, the directory
//! synced. Killed before the rename, there is a file in `tmp` that nobody shows and that the next
//! session after 36 hours removes; after it, the message is there.

use std::sync::Arc;

use mail_proto::imap::fetch::Summing;

use crate::disk::{self, NewFile};

use super::StoreError;
use super::cache;
use super::held::Held;
use super::known::Looks;
use super::lines::ToStored;
use super::mailbox::Mailbox;
use super::name::{self, Marks};
use super::scan::{self, Folders, Place};
use super::store::{Located, NewMessage};
use super::watch;

/// A message being added. Dropped without a [`commit`](Self::commit) it leaves no trace.
#[derive(Debug)]
pub struct Appending {
    mailbox: Arc<Mailbox>,
    folders: Folders,
    file: NewFile,
    lines: ToStored,
    /// Stored octets that wait to be written.
    waiting: Vec<u8>,
    message: NewMessage,
    summing: Summing,
}

/// What became of a delivery. Either way it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The message is in the mailbox now.
    Made,
    /// It was there already: an earlier attempt had come so far.
    Repeated,
}

/// Octets are written in pieces of about this size.
const PIECE: usize = 64 * 1024;

impl Appending {
    pub(super) fn begin(mailbox: &Arc<Mailbox>, message: NewMessage) -> Result<Self, StoreError> {
        let folders = mailbox.folders()?;
        let file = folders.tmp.create_new(name::unique())?;
        let mailbox = Arc::clone(mailbox);
        let lines = ToStored::default();
        let (waiting, summing) = (Vec::new(), Summing::default());
        Ok(Self { mailbox, folders, file, lines, waiting, message, summing })
    }

    /// Takes wire bytes; CRLF is stored as LF.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.lines.convert(bytes, &mut self.waiting);
        if self.waiting.len() >= PIECE {
            self.flush()?;
        }
        Ok(())
    }

    /// Puts it into the mailbox. When this returns, it survives a power cut.
    pub fn commit(mut self) -> Result<Located, StoreError> {
        self.finish()?;
        let mailbox = Arc::clone(&self.mailbox);
        let mut held = mailbox.hold()?;
        let marks = new_marks(&mut held, &self.message)?;
        held.write(1)?;
        let before = Looks::at(&held.folders)?;
        let file = self.place(&name::unique(), &marks);
        self.put(&file)?;
        let place = file.place;
        let added = file.name.clone();
        let uids = held.admit(vec![file], before).inspect_err(|_| {
            // Nobody gets a UID for it, so nobody is told that it is there.
            let _ = held.folders.at(place).unlink(&*added);
        });
        let uid = uids?.first().copied().expect("one file has one UID");
        Ok(Located { uid_validity: held.snapshot().uid_validity, uid })
    }

    /// As [`commit`](Self::commit), for delivery: the message waits in `new`, no UID is given yet.
    ///
    /// All attempts at one delivery want the same name, and a name that is taken is never
    /// replaced: what has it is the message, whole, for it was synced before it got it.
    pub fn deliver(mut self) -> Result<Delivery, StoreError> {
        self.finish()?;
        let marks = match self.message.flags.keywords.as_slice() {
            [] => Marks::new(self.message.flags.system, 0),
            _ => new_marks(&mut self.mailbox.hold()?, &self.message)?,
        };
        let id = self.message.delivery_id.take();
        let file = self.place(&id.as_ref().map_or_else(name::unique, name::of_delivery), &marks);
        let dir = self.folders.at(file.place).clone();
        let mailbox = Arc::clone(&self.mailbox);
        match self.put(&file) {
            Ok(()) => {
                watch::tell(mailbox.path());
                Ok(Delivery::Made)
            }
            Err(error) if error.is_taken() && id.is_some() => {
                // Whoever put it there may have died before making that last.
                dir.sync()?;
                Ok(Delivery::Repeated)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the content last.
    fn finish(&mut self) -> Result<(), StoreError> {
        self.lines.finish(&mut self.waiting);
        self.flush()?;
        match self.message.internal_date {
            Some(seconds) => {
                self.file.set_modified(seconds)?;
                Ok(self.file.sync_with_times()?)
            }
            None => Ok(self.file.sync()?),
        }
    }

    /// Where it goes, under a name that begins with `unique`.
    fn place(&self, unique: &str, marks: &Marks) -> scan::Located {
        located(&format!("{unique},S={},W={}", self.lines.stored, self.lines.wire), marks)
    }

    /// Gives the file its place, durably.
    fn put(self, file: &scan::Located) -> disk::Result<()> {
        if let Some(summary) = self.summing.finish() {
            cache::add(&self.folders.dir, name::hash(name::base(&file.name)), &summary);
        }
        let dir = self.folders.at(file.place);
        self.file.move_to(dir, &*file.name)?;
        dir.sync().inspect_err(|_| {
            let _ = dir.unlink(&*file.name);
        })
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.summing.push(&self.waiting);
        self.file.write(&self.waiting)?;
        self.waiting.clear();
        Ok(())
    }
}

/// Where a new message goes: without flags it waits in `new`, where it is recent.
pub(super) fn located(base: &str, marks: &Marks) -> scan::Located {
    if *marks == Marks::default() {
        return scan::Located { place: Place::New, name: base.into() };
    }
    scan::Located { place: Place::Cur, name: format!("{base}:{marks}").into() }
}

/// The flags of a new message. A keyword for which there is no room is left out: the message is
/// worth more.
fn new_marks(held: &mut Held<'_>, message: &NewMessage) -> Result<Marks, StoreError> {
    let (keywords, left) = held.letters(&message.flags.keywords)?;
    if !left.is_empty() {
        tracing::warn!(keywords = ?left, "no room for keywords of a new message");
    }
    Ok(Marks::new(message.flags.system, keywords))
}
