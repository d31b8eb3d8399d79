//! How files that were put into `new` or `cur` become messages whose UIDs last.

use mail_proto::mailbox::{Flags, Uid};

use super::held::Held;
use super::index::{Change, Fact};
use super::known::Files;
use super::looks::Looks;
use super::new_lines::NewLines;
use super::quota::Tally;
use super::scan::{MessageFile, Place};
use super::tail::Tail;
use super::{StoreError, name};
use crate::disk::Lasting;

/// A file in its place, whose content lasts.
#[derive(Debug, Clone)]
pub(super) struct Newcomer {
    pub(super) file: MessageFile,
    pub(super) flags: Flags,
    pub(super) tail: Tail,
    /// INTERNALDATE, where it is known.
    pub(super) date: Option<i64>,
}

impl Newcomer {
    /// A file with a name that begins so. Without flags it waits in `new`, where others look for
    /// what is new.
    pub(super) fn new(base: &str, flags: Flags, tail: Tail) -> Self {
        let tail = if flags == Flags::default() && tail == Tail::Plain { Tail::New } else { tail };
        let mut file = MessageFile::default();
        tail.locate(base, flags, &mut file);
        Self { file, flags, tail, date: None }
    }
}

impl Held<'_> {
    /// Gives UIDs to files that are in their places, and makes both last. `before` is how the
    /// directories looked before the files came; [`write`](Self::write) was called before that.
    pub(super) fn admit(
        &mut self,
        newcomers: &[Newcomer],
        before: Looks,
    ) -> Result<Vec<Uid>, StoreError> {
        if newcomers.is_empty() {
            return Ok(Vec::new());
        }
        self.uid_validity().ok_or(StoreError::Replaced)?;
        let first = self.index().head.uid_next;
        let uids: Vec<Uid> = (first..).take(newcomers.len()).collect();
        let mut lines = NewLines::default();
        for (uid, newcomer) in uids.iter().zip(newcomers) {
            lines.push(*uid, name::base(&newcomer.file.name));
        }
        let admitted =
            self.keep(&lines, newcomers).and_then(|lines| match self.folders.are_in_place()? {
                true => Ok(lines),
                // DELETE takes no lock of a mailbox, and may have been first.
                false => Err(StoreError::Replaced),
            });
        let lines = admitted.inspect_err(|_| self.known.files = Files::InDoubt)?;
        self.wrote_files()?;
        let changes = uids.iter().zip(newcomers).zip(lines);
        let changes: Vec<Change> =
            changes.map(|((uid, newcomer), line)| newcomer.added(*uid, line)).collect();
        if let Err(error) = self.keep_more(&changes, Lasting::Yes) {
            // The messages are worth more.
            self.warn(&error, "cannot keep keywords of new messages");
        }
        self.record(changes, before);
        let mut tally = Tally::of(self.mailbox, &self.folders);
        for Newcomer { file, .. } in newcomers {
            tally.came(tally.size(self.folders.at(file.place), &file.name));
        }
        tally.tell();
        Ok(uids)
    }

    /// Makes names and lines last; returns where each line begins.
    ///
    /// The lines are written before the directories are synced: a file system with a journal takes
    /// them along, and the sync of the list then has its content to write and nothing else. That of
    /// a directory is a whole commit each time, whatever was synced just before.
    fn keep(&self, lines: &NewLines, newcomers: &[Newcomer]) -> Result<Vec<u32>, StoreError> {
        let places: Vec<Place> = newcomers.iter().map(|newcomer| newcomer.file.place).collect();
        let mut added = lines.add(&self.folders.control)?;
        match self.sync_places(&places) {
            Ok(()) => added.last(),
            Err(error) => {
                added.withdraw();
                Err(error)
            }
        }
    }

    /// Makes what was renamed, linked or unlinked in these directories last.
    pub(super) fn sync_places(&self, places: &[Place]) -> Result<(), StoreError> {
        for place in [Place::New, Place::Cur] {
            if places.contains(&place) {
                self.folders.at(place).sync()?;
            }
        }
        Ok(())
    }

    /// Takes files away again that nobody was told of.
    pub(super) fn withdraw(&self, newcomers: &[Newcomer]) {
        for newcomer in newcomers {
            let _ = self.folders.at(newcomer.file.place).unlink(&newcomer.file.name);
        }
    }
}

impl Newcomer {
    fn added(&self, uid: Uid, line: u32) -> Change {
        let base = name::base(&self.file.name);
        let mut fact = Fact::named(name::hash(base), line, base);
        fact.date = self.date.unwrap_or(Fact::UNKNOWN_DATE);
        Change::Added { uid, flags: self.flags, fact, tail: self.tail.clone() }
    }
}
