//! A message whose content lasts, on its way into a mailbox: how it gets its place.
//!
//! What was delivered is never taken back, also when the sync of its directory fails. Another
//! attempt at the same delivery, of this process or of another, may have found the file meanwhile,
//! have synced it, and have said 250: to remove it then is to lose a letter. So the attempt is told
//! of the error and the file stays; who repeats it finds the file, and it is tried again to make
//! it last.
//!
//! # One file for several mailboxes
//!
//! A message for many is the same for all of them, and most of what its delivery costs is to write
//! it and to sync it. So the file of one, once it is synced, may be linked into the mailboxes of the
//! others, as COPY links it: from its descriptor, because its name may be gone already, if its reader
//! was fast. Each of them gets it as a file of its own: it has a name in `tmp` first, which is what
//! a note tells of, then its own name in `new`, and its directory is synced. That sync is enough for
//! ext4 and XFS. The content was made to last under the first name, and belongs to the inode and not
//! to a name; the number of links changes in the same transaction of the journal as the entry does;
//! and transactions last in their order, so who syncs the directory into which it was renamed has
//! synced the link as well.
//!
//! After that the mailboxes have nothing to do with each other. Flags are in names, each has its
//! own, and what is removed is a name. No program of ours changes a message's content.

use std::sync::Arc;

use mail_proto::mailbox::Flags;

use crate::disk::{Dir, NamelessFile, SharedFile};

use super::admit::Newcomer;
use super::cache::{self, Writer};
use super::held::Held;
use super::keywords::Room;
use super::looks::Looks;
use super::mailbox::Mailbox;
use super::name;
use super::scan::{self, Folders};
use super::store::{Located, NewMessage};
use super::tail::Tail;
use super::tidings::Tidings;
use super::{DeliveryId, StoreError};

/// A message that is in a file, lasts, and has no place yet. Dropped, it leaves no trace.
#[derive(Debug)]
pub struct Whole {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) folders: Folders,
    pub(super) file: NamelessFile,
    pub(super) message: NewMessage,
    pub(super) content: Content,
    /// Where a delivery's summary goes.
    pub(super) cache: Arc<Writer>,
}

/// What is known of a message's content.
#[derive(Debug, Clone)]
pub(super) struct Content {
    /// Octets, as stored.
    pub(super) stored: u64,
    /// Octets, with CRLF line ends.
    pub(super) wire: u64,
    /// Its summary.
    pub(super) summary: Option<Vec<u8>>,
}

/// A message that lasts, for the mailboxes of other users: [`Inbox::link`](super::Inbox::link).
#[derive(Debug)]
pub struct Original {
    pub(super) file: SharedFile,
    pub(super) content: Content,
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

impl Whole {
    /// What other mailboxes need in order to have the same file; `None`: it cannot be had.
    #[must_use]
    pub fn original(&self) -> Option<Original> {
        let file = self.file.share().ok()?;
        Some(Original { file, content: self.content.clone() })
    }

    /// As [`Inbox::deliver`](super::Inbox::deliver), wherever the mailbox is now.
    pub(super) fn put(
        mut self,
        id: Option<&DeliveryId>,
        note: &impl Note,
    ) -> Result<(Delivery, Option<Tidings>), StoreError> {
        let unique = id.map_or_else(name::unique, name::of_delivery);
        let file = self.newcomer(&unique, Flags::default()).file;
        let dir = self.folders.at(file.place).clone();
        note.about_to_be_seen(&self.folders.tmp);
        match self.file.try_move_to(&dir, &file.name) {
            Ok(()) => {}
            Err(error) if error.is_taken() && id.is_some() => {
                // Whoever put it there may have died before making that last.
                dir.sync()?;
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
        dir.sync()?;
        let Self { mailbox, folders, cache, content, .. } = self;
        let summary = content.summary.map(|summary| (cache_key(&file), summary));
        let octets = content.stored;
        Ok((Delivery::Made, Some(Tidings { mailbox, folders, cache, summary, octets })))
    }

    /// The message, in its place under a name that begins with `unique`.
    fn newcomer(&self, unique: &str, flags: Flags) -> Newcomer {
        let base = format!("{unique},S={},W={}", self.content.stored, self.content.wire);
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
        summaries.extend(self.content.summary.map(|summary| (cache_key(&newcomer.file), summary)));
        self.file.move_to(held.folders.at(newcomer.file.place), &newcomer.file.name)?;
        Ok(newcomer)
    }
}

/// Puts messages into a mailbox, each with a result of its own.
pub(super) fn commit_all(
    mailbox: &Mailbox,
    messages: Vec<Whole>,
) -> Vec<Result<Located, StoreError>> {
    let count = messages.len();
    let Some(first) = messages.first() else { return Vec::new() };
    let held = mailbox.hold_open(&first.folders).and_then(|mut held| {
        held.write(count)?;
        let before = Looks::at(&held.folders)?;
        Ok((held, before))
    });
    let (mut held, before) = match held {
        Ok(held) => held,
        Err(error) => return vec![Err(error); count],
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
    let mut located = |_| match &admitted {
        Err(error) => Err(error.clone()),
        Ok(_) => {
            let uid = *uids.next().expect("each file has a UID");
            Ok(Located { uid_validity, uid })
        }
    };
    placed.into_iter().map(|placed| placed.and_then(&mut located)).collect()
}

/// By what its summary is found.
fn cache_key(file: &scan::MessageFile) -> u64 {
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
