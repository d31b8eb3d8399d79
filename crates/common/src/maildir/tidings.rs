//! What others are told of a message that was delivered.
//!
//! The message lasts already, and whoever handed it over need not wait for this: it is done when
//! the 250 is on its way. Killed before, its summary is made by the first who reads the message,
//! `maildirsize` is mended when it is next written anew, and sessions see the message by inotify
//! or at their next look.

use std::sync::Arc;

use super::cache::Writer;
use super::mailbox::Mailbox;
use super::quota::Tally;
use super::scan::Folders;
use super::watch;

/// What is still to be told of one message.
#[derive(Debug)]
#[must_use = "others hear nothing of the message"]
pub struct Tidings {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) folders: Folders,
    pub(super) cache: Arc<Writer>,
    /// By what the cache knows it, and its summary.
    pub(super) summary: Option<(u64, Vec<u8>)>,
    /// As stored.
    pub(super) octets: u64,
}

impl Tidings {
    /// Tells them. News come last: who hears them finds the summary.
    pub fn tell(self) {
        if let Some((key, summary)) = &self.summary {
            self.cache.add(*key, summary);
        }
        let mut tally = Tally::of(&self.mailbox, &self.folders);
        tally.came(self.octets);
        tally.tell();
        watch::tell(self.mailbox.path());
    }
}
