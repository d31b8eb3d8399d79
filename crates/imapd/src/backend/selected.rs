//! The selected mailbox.

use std::sync::Arc;

use mail_common::maildir::{Directory, Store, StoreError, Watch};
use mail_proto::imap::fetch::{self, Item, Reading};
use mail_proto::imap::{Answer, Copied, Fetch, Request, Search, Selected, search};
use mail_proto::mailbox::{Flags, Snapshot, Uid};
use tracing::warn;

use super::source::Messages;
use super::work::tell;

/// The selected mailbox, and the message at hand in it.
#[derive(Debug)]
pub(super) struct Selection {
    store: Store,
    /// From the first IDLE until the session changes something: the system's word on each of our
    /// own changes would cost as much as the change.
    watch: Option<Watch>,
    messages: Messages,
    reading: Reading,
}

impl Selection {
    /// Opens a mailbox for a session.
    pub(super) fn open(
        directory: &Directory,
        name: &str,
        read_only: bool,
    ) -> Result<(Self, Selected), StoreError> {
        let store = directory.mailbox(name)?;
        let recent_from = store.recent_from(!read_only)?;
        let snapshot = store.sync()?;
        // The client names messages of this mailbox, not of another that may get its name.
        let store = store.pinned(snapshot.uid_validity);
        let selection = Self {
            messages: Messages::new(store.clone()),
            store,
            watch: None,
            reading: Reading::default(),
        };
        Ok((selection, Selected { snapshot, recent_from }))
    }

    /// What tells of changes since the last look.
    pub(super) fn watch(&mut self) -> Option<&mut Watch> {
        self.watch.as_mut()
    }

    /// Answers a question about this mailbox.
    pub(super) fn answer(&mut self, request: Request, directory: &Directory) -> Answer {
        match request {
            Request::Sync => Answer::Synced(tell(self.store.sync())),
            Request::Listen => Answer::Synced(tell(self.listen())),
            Request::Fetch(fetch) => self.fetch(fetch),
            Request::Search(search) => self.search(search),
            request => self.change(request, directory),
        }
    }

    /// Answers what changes this mailbox.
    fn change(&mut self, request: Request, directory: &Directory) -> Answer {
        self.watch = None;
        match request {
            Request::StoreFlags { uids, change } => {
                Answer::Synced(tell(self.store.store_flags(&uids, &change)))
            }
            Request::Copy { uids, mailbox, moving } => {
                Answer::Copied(tell(self.copy(directory, &uids, &mailbox, moving)))
            }
            Request::Expunge(uids) => Answer::Expunged(tell(self.expunge(uids.as_deref()))),
            request => unreachable!("{request:?} is not about the selected mailbox"),
        }
    }

    /// How the mailbox looks now. It is watched from before the look, so that no change falls
    /// between the two.
    fn listen(&mut self) -> Result<Arc<Snapshot>, StoreError> {
        self.watch.get_or_insert_with(|| self.store.watch());
        self.store.sync()
    }

    fn fetch(&mut self, mut fetch: Box<Fetch>) -> Answer {
        let done = fetch::respond(&mut fetch, &mut self.messages, &mut self.reading);
        self.messages.settle();
        if let Err(error) = done {
            warn!(%error, "a message ended while it was sent");
            return Answer::FetchBroken;
        }
        if fetch.progress.message == fetch.positions.len() {
            self.rest(fetch.items.iter().any(is_piece));
        }
        Answer::Fetched(Ok(fetch))
    }

    fn search(&mut self, mut search: Box<Search>) -> Answer {
        search::advance(&mut search, &mut self.messages, &mut self.reading);
        self.messages.settle();
        if search.next as usize == search.snapshot.messages.len() {
            self.rest(false);
        }
        Answer::Searched(Ok(search))
    }

    /// A command is done, and the session may sleep now. A client that fetches a message in
    /// pieces comes back for the next one.
    fn rest(&mut self, in_pieces: bool) {
        self.messages.rest();
        if in_pieces {
            self.reading.rest();
        } else {
            self.reading = Reading::default();
        }
    }

    fn copy(
        &self,
        directory: &Directory,
        uids: &[Uid],
        mailbox: &str,
        moving: bool,
    ) -> Result<Copied, StoreError> {
        let target = directory.mailbox_for_mail(mailbox)?;
        if moving {
            let (uid_validity, uids, snapshot) = self.store.move_to(uids, &target)?;
            return Ok(Copied { uid_validity, uids, snapshot });
        }
        let before = self.store.sync()?;
        let (uid_validity, uids) = self.store.copy(uids, &target)?;
        // The copies are made: that there are no news now does not change it.
        let snapshot = self.store.sync().unwrap_or(before);
        Ok(Copied { uid_validity, uids, snapshot })
    }

    fn expunge(&self, uids: Option<&[Uid]>) -> Result<Arc<Snapshot>, StoreError> {
        let snapshot = self.store.sync()?;
        // Mostly there is nothing to remove (CLOSE), and no lock to be waited for.
        if snapshot.messages.with_flag(Flags::DELETED) == 0 {
            return Ok(snapshot);
        }
        self.store.expunge_deleted(uids)
    }
}

fn is_piece(item: &Item) -> bool {
    matches!(item, Item::Section(section) if section.partial.is_some())
}
