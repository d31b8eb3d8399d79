//! Who has which mailboxes.

use mail_proto::mailbox::{Folder, SpecialUse};

use super::{Store, StoreError};
use crate::auth::User;
use crate::config::Mail;

/// The mailboxes of one user. Names are UTF-8 with the site's separator; `INBOX` in any case is
/// INBOX.
#[derive(Debug, Clone)]
pub struct Directory {}

impl Directory {
    /// The special mailboxes that every user has.
    pub const SPECIAL: [(&'static str, SpecialUse); 5] = [
        ("Archive", SpecialUse::Archive),
        ("Drafts", SpecialUse::Drafts),
        ("Junk", SpecialUse::Junk),
        ("Sent", SpecialUse::Sent),
        ("Trash", SpecialUse::Trash),
    ];

    /// The user's mailboxes. INBOX, and on its first making the special mailboxes, are made (and
    /// subscribed) if missing; a user who deletes a special mailbox later is not given it again.
    pub fn open(user: &User, mail: &Mail) -> Result<Self, StoreError> {
        todo!("{user:?} {mail:?}")
    }

    /// All mailboxes, and names that are only subscribed, in order of name.
    pub fn folders(&self) -> Result<Vec<Folder>, StoreError> {
        todo!()
    }

    /// One mailbox.
    pub fn mailbox(&self, name: &str) -> Result<Store, StoreError> {
        todo!("{name}")
    }

    /// Makes a mailbox, and its parents where they are missing. A separator at the end is allowed.
    pub fn create(&self, name: &str) -> Result<(), StoreError> {
        todo!("{name}")
    }

    /// Removes a mailbox and its messages; mailboxes below it stay.
    pub fn delete(&self, name: &str) -> Result<(), StoreError> {
        todo!("{name}")
    }

    /// Renames a mailbox and those below it. Of INBOX, the messages move to a new mailbox.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        todo!("{from} {to}")
    }

    /// Subscribes or unsubscribes a name, whether a mailbox has it or not.
    pub fn subscribe(&self, name: &str, subscribed: bool) -> Result<(), StoreError> {
        todo!("{name} {subscribed}")
    }
}
