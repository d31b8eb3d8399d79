//! How a message comes in: written into a file that has no name, synced, given its name, the
//! directory synced. Killed before it has its name, there is nothing; after it, the message is
//! there. (Where files must have names, it is in `tmp` meanwhile. Nobody shows it there, and the
//! next session after 36 hours removes what a dead process left. So is a delivery that is noted,
//! because from that the next process sees how far it came: [`Note`].)
//!
//! What was delivered is never taken back, also when the sync of its directory fails. Another
//! attempt at the same delivery, of this process or of another, may have found the file meanwhile,
//! have synced it, and have said 250: to remove it then is to lose a letter. So the attempt is told
//! of the error and the file stays; who repeats it finds the file, and it is tried again to make
//! it last.

use std::mem::take;
use std::sync::Arc;

use mail_proto::imap::fetch::Summing;
use mail_proto::mailbox::Flags;

use crate::charset::Encodings;
use crate::disk::{self, Dir, NamelessFile};

use super::StoreError;
use super::admit::Newcomer;
use super::cache::{self, Writer};
use super::held::Held;
use super::index::Tail;
use super::keywords::Room;
use super::known::Looks;
use super::lines::ToStored;
use super::mailbox::Mailbox;
use super::name;
use super::scan::{self, Folders};
use super::store::{Located, NewMessage};
use super::tidings::Tidings;

/// A message being added. Dropped without a [`commit`](Self::commit) it leaves no trace.
#[derive(Debug)]
pub struct Appending {
    mailbox: Arc<Mailbox>,
    folders: Folders,
    file: NamelessFile,
    lines: ToStored,
    /// Stored octets that wait to be written.
    waiting: Vec<u8>,
    message: NewMessage,
    summing: Summing,
    /// What came of it.
    summary: Option<Vec<u8>>,
    /// Where a delivery's summary goes.
    cache: Arc<Writer>,
}

/// What became of a delivery. Either way it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The message is in the mailbox now.
    Made,
    /// It was there already: an earlier attempt had come so far.
    Repeated,
}

/// What is noted of a delivery for the process after one that is killed. Killed between these two,
/// or after the first, readers have seen the message if its file is not in `tmp` any more.
pub trait Note {
    /// The file lasts, and goes from this `tmp` into the mailbox next.
    fn about_to_be_seen(&self, tmp: &Dir);

    /// It did not. Whether that is noted; if not, the file has to stay in `tmp`.
    fn was_not_seen(&self) -> bool;
}

/// Nothing is.
impl Note for () {
    fn about_to_be_seen(&self, _tmp: &Dir) {}

    fn was_not_seen(&self) -> bool {
        true
    }
}

/// Octets are written in pieces of about this size.
const PIECE: usize = 64 * 1024;

impl Appending {
    /// `create` creates the file, in `tmp`.
    pub(super) fn begin(
        mailbox: &Arc<Mailbox>,
        message: NewMessage,
        create: impl FnOnce(&Dir) -> disk::Result<NamelessFile>,
    ) -> Result<Self, StoreError> {
        let folders = mailbox.folders()?;
        let file = create(&folders.tmp)?;
        let cache = Arc::new(Writer::of(&folders.index));
        Ok(Self::new(mailbox, folders, file, message, cache))
    }

    /// As [`begin`](Self::begin), where mailbox and file are open.
    pub(super) fn new(
        mailbox: &Arc<Mailbox>,
        folders: Folders,
        file: NamelessFile,
        message: NewMessage,
        cache: Arc<Writer>,
    ) -> Self {
        let mailbox = Arc::clone(mailbox);
        let lines = ToStored::default();
        let (waiting, summing) = (Vec::new(), Summing::default());
        Self { mailbox, folders, file, lines, waiting, message, summing, summary: None, cache }
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
        let mailbox = Arc::clone(&self.mailbox);
        let coming = mailbox.commits.announce();
        self.finish()?;
        coming.join(&mailbox, self)
    }

    /// As [`commit`](Self::commit), for delivery: the message waits in `new`, no UID is given yet.
    ///
    /// All attempts at one delivery want the same name, and a name that is taken is never
    /// replaced: what has it is the message, whole, for it was synced before it got it. After an
    /// error it may be there all the same.
    pub fn deliver(self) -> Result<Delivery, StoreError> {
        let (delivery, tidings) = self.put(&(), Dir::sync)?;
        tidings.into_iter().for_each(Tidings::tell);
        Ok(delivery)
    }

    /// As [`deliver`](Self::deliver), with what is left to be told of a message that came.
    pub(super) fn put(
        mut self,
        note: &impl Note,
        sync: impl FnOnce(&Dir) -> disk::Result<()>,
    ) -> Result<(Delivery, Option<Tidings>), StoreError> {
        self.finish()?;
        let flags = match self.message.flags.keywords.as_slice() {
            [] => Flags { system: self.message.flags.system, keywords: 0 },
            _ => flags(&mut self.mailbox.hold()?, &self.message)?,
        };
        let id = self.message.delivery_id.take();
        let unique = id.as_ref().map_or_else(name::unique, name::of_delivery);
        let file = self.newcomer(&unique, flags).file;
        let dir = self.folders.at(file.place).clone();
        note.about_to_be_seen(&self.folders.tmp);
        match self.file.try_move_to(&dir, &file.name) {
            Ok(()) => {}
            Err(error) if error.is_taken() && id.is_some() => {
                // Whoever put it there may have died before making that last.
                sync(&dir)?;
                return Ok((Delivery::Repeated, None));
            }
            Err(error) => {
                // Without its file, the note would say that the message was seen.
                if !note.was_not_seen() {
                    self.file.leave();
                }
                return Err(error.into());
            }
        }
        sync(&dir)?;
        let summary = self.summary.map(|summary| (cache_key(&file), summary));
        let Self { mailbox, folders, cache, lines, .. } = self;
        let octets = lines.stored;
        Ok((Delivery::Made, Some(Tidings { mailbox, folders, cache, summary, octets })))
    }

    /// Makes the content last.
    fn finish(&mut self) -> Result<(), StoreError> {
        self.lines.finish(&mut self.waiting);
        self.flush()?;
        self.summary = take(&mut self.summing).finish(&Encodings);
        match self.message.internal_date {
            Some(seconds) => {
                self.file.set_modified(seconds)?;
                Ok(self.file.sync_with_times()?)
            }
            None => Ok(self.file.sync()?),
        }
    }

    /// The message, in its place under a name that begins with `unique`.
    fn newcomer(&self, unique: &str, flags: Flags) -> Newcomer {
        let base = format!("{unique},S={},W={}", self.lines.stored, self.lines.wire);
        let date = self.message.internal_date;
        Newcomer { date, ..Newcomer::new(&base, flags, Tail::Plain) }
    }

    /// Gives the file its place, which is not durable yet.
    fn place(
        self,
        held: &mut Held<'_>,
        summaries: &mut Vec<(u64, Vec<u8>)>,
    ) -> Result<Newcomer, StoreError> {
        if !self.folders.are_in_place()? {
            // The mailbox was renamed meanwhile, and another has its name.
            return Err(StoreError::Replaced);
        }
        let flags = flags(held, &self.message)?;
        let newcomer = self.newcomer(&name::unique(), flags);
        summaries.extend(self.summary.map(|summary| (cache_key(&newcomer.file), summary)));
        self.file.move_to(held.folders.at(newcomer.file.place), &newcomer.file.name)?;
        Ok(newcomer)
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.summing.push(&self.waiting);
        self.file.write(&self.waiting)?;
        self.waiting.clear();
        Ok(())
    }
}

/// Puts messages into a mailbox, each with a result of its own.
pub(super) fn commit_all(
    mailbox: &Mailbox,
    messages: Vec<Appending>,
) -> Vec<Result<Located, StoreError>> {
    let count = messages.len();
    let held = match messages.first() {
        Some(message) => mailbox.hold_open(&message.folders),
        None => return Vec::new(),
    };
    let held = held.and_then(|mut held| held.write(count).map(|()| held));
    let mut held = match held {
        Ok(held) => held,
        Err(error) => return (0..count).map(|_| Err(error.clone())).collect(),
    };
    let before = match Looks::at(&held.folders) {
        Ok(before) => before,
        Err(error) => return (0..count).map(|_| Err(error.clone())).collect(),
    };
    let mut summaries = Vec::with_capacity(count);
    let placed: Vec<Result<Newcomer, StoreError>> =
        messages.into_iter().map(|message| message.place(&mut held, &mut summaries)).collect();
    cache::add(&held.folders.index, summaries.iter().map(|(key, summary)| (*key, &**summary)));
    let newcomers: Vec<Newcomer> = placed.iter().flatten().cloned().collect();
    let admitted = held.admit(&newcomers, before).inspect_err(|_| {
        // Nobody gets a UID for them, so nobody is told that they are there.
        held.withdraw(&newcomers);
    });
    let uid_validity = held.snapshot().uid_validity;
    let mut uids = admitted.as_deref().unwrap_or_default().iter();
    let located = |_| match (&admitted, uids.next()) {
        (Err(error), _) => Err(error.clone()),
        (Ok(_), uid) => {
            let uid = *uid.expect("each file has a UID");
            Ok(Located { uid_validity, uid })
        }
    };
    let mut located = located;
    placed.into_iter().map(|placed| placed.and_then(&mut located)).collect()
}

/// By what its summary is found.
fn cache_key(file: &scan::Located) -> u64 {
    name::hash(name::base(&file.name))
}

/// The flags of a new message. A keyword for which there is no room is left out: the message is
/// worth more.
fn flags(held: &mut Held<'_>, message: &NewMessage) -> Result<Flags, StoreError> {
    let (keywords, left) = held.bits(&message.flags.keywords, Room::ForSome)?;
    if !left.is_empty() {
        tracing::warn!(keywords = ?left, "no room for keywords of a new message");
    }
    Ok(Flags { system: message.flags.system, keywords })
}
