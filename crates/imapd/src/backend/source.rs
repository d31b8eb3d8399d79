//! Messages of a mailbox, for FETCH and SEARCH.

use mail_common::charset::Encodings;
use mail_common::maildir::{Message, Store, StoreError, Summaries};
use mail_common::time::zone_minutes;
use mail_proto::imap::fetch::{ReadError, Source};
use mail_proto::mailbox::Uid;
use mail_proto::message::charset::Charsets;
use mail_proto::message::date::DateTime;
use tracing::warn;

/// The messages of a mailbox. The one that was last read stays open between questions.
#[derive(Debug)]
pub(super) struct Messages {
    store: Store,
    summaries: Summaries,
    open: Option<(Uid, Message)>,
}

impl Messages {
    pub(super) fn new(store: Store) -> Self {
        Self { summaries: store.summaries(), store, open: None }
    }

    /// A question was answered.
    pub(super) fn settle(&mut self) {
        self.summaries.settle();
    }

    /// A command is done: keeps nothing open.
    pub(super) fn rest(&mut self) {
        self.open = None;
        self.summaries.rest();
    }

    fn message(&mut self, uid: Uid) -> Result<&Message, StoreError> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != uid) {
            self.open = None;
            self.open = Some((uid, self.store.message(uid)?));
        }
        let (_, message) = self.open.as_ref().expect("it was opened above");
        Ok(message)
    }
}

impl Source for Messages {
    type Error = StoreError;

    fn size(&mut self, uid: Uid) -> Result<u64, StoreError> {
        self.summaries.size(uid)
    }

    fn internal_date(&mut self, uid: Uid) -> Result<DateTime, StoreError> {
        let seconds = self.store.internal_date(uid)?;
        Ok(DateTime { seconds, zone_minutes: zone_minutes(seconds) })
    }

    fn read_at(&mut self, uid: Uid, buffer: &mut [u8], offset: u64) -> Result<usize, StoreError> {
        self.message(uid)?.read_at(buffer, offset)
    }

    fn summary(&mut self, uid: Uid, summary: &mut Vec<u8>) -> bool {
        self.summaries.read(uid, summary)
    }

    fn keep_summary(&mut self, uid: Uid, summary: &[u8]) {
        self.summaries.keep(uid, summary);
    }

    fn charsets(&self) -> &'static dyn Charsets {
        &Encodings
    }

    fn is_gone(error: &StoreError) -> bool {
        matches!(error, StoreError::Gone(_))
    }

    fn unreadable(&mut self, uid: Uid, error: &ReadError<StoreError>) {
        warn!(uid, %error, "cannot read a message");
    }
}
