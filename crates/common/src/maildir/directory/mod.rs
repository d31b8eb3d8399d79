//! Who has which mailboxes.
//!
//! A mailbox comes and goes by one rename: it is made below the user's `tmp` and renamed to its
//! name, and renamed to `tmp` before it is removed. Killed in between, there is a whole mailbox or
//! none, and a leftover in `tmp`.

mod first;
mod maintenance;
mod moving;
mod subscribed;
mod tree;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use mail_proto::mailbox::{Folder, SpecialUse};

pub use self::first::Owner;
use self::tree::{Found, Role, Tree};
use super::mailbox::Mailbox;
use super::naming::{INBOX, Naming};
use super::places::Places;
use super::quota::Quota;
use super::{Store, StoreError, lock};
use crate::auth::User;
use crate::config::Mail;

/// The mailboxes of one user. Names are UTF-8 with the site's separator; `INBOX` in any case is
/// INBOX.
///
/// Errors are [`NoSuchMailbox`](StoreError::NoSuchMailbox) if a name is to be one of a mailbox and
/// is not; [`AlreadyExists`](StoreError::AlreadyExists) if it is not to be one and is;
/// [`Cannot`](StoreError::Cannot) if no mailbox can have the name, if INBOX is to be deleted, or if a
/// mailbox is to be renamed to a name below its own;
/// [`Subscriptions`](StoreError::Subscriptions) if there is no room for one more;
/// [`Address`](StoreError::Address) if the user's address cannot be in a path. All else is temporary.
#[derive(Debug, Clone)]
pub struct Directory {
    roots: Arc<Places>,
    naming: Naming,
}

/// Held by who makes, removes or renames mailboxes.
const LOCK: &str = "posthorn.folders.lock";

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
    ///
    /// The directories where all mail is, and all control files, must be there: a site whose disk
    /// is not mounted has no empty mailboxes, it has a temporary error.
    pub fn open(user: &User, mail: &Mail) -> Result<Self, StoreError> {
        let roots = Arc::new(first::roots(user, mail)?);
        let directory = Self { roots, naming: Naming::of(mail) };
        first::make(&directory, user, mail)?;
        Ok(directory)
    }

    /// Where a user's INBOX is, whether it is there or not.
    pub(super) fn inbox_places(user: &User, mail: &Mail) -> Result<Places, StoreError> {
        Ok(first::roots(user, mail)?.of("", &Naming::of(mail)))
    }

    /// All mailboxes, and names that are only subscribed, in order of name.
    pub fn folders(&self) -> Result<Vec<Folder>, StoreError> {
        let tree = self.tree()?;
        let mut folders = BTreeMap::new();
        self.add(&mut folders, INBOX.to_owned(), Role::Mailbox);
        for (name, found) in self.all(&tree)? {
            self.add(&mut folders, name, found.role);
        }
        for name in self.subscribed(&tree)? {
            let folder = folders.entry(name).or_insert_with_key(|name| nothing(name));
            folder.subscribed = true;
        }
        Ok(folders.into_values().collect())
    }

    /// One mailbox.
    pub fn mailbox(&self, name: &str) -> Result<Store, StoreError> {
        let tree = self.tree()?;
        let name = self.naming.canonical(name);
        match self.find(&tree, &name)? {
            Some(directory) => Ok(self.store(&tree, &name, &directory)),
            None => Err(StoreError::NoSuchMailbox(name)),
        }
    }

    /// One mailbox, to put mail into. A name that has only mailboxes below it is made one first:
    /// its user sees it and may take it for one (Outlook does).
    pub fn mailbox_for_mail(&self, name: &str) -> Result<Store, StoreError> {
        match self.mailbox(name) {
            Err(StoreError::NoSuchMailbox(_)) if self.leads_to_others(name)? => {
                match self.create(name) {
                    Ok(()) | Err(StoreError::AlreadyExists(_)) => self.mailbox(name),
                    Err(error) => Err(error),
                }
            }
            other => other,
        }
    }

    /// Makes a mailbox, and its parents where they are missing. A separator at the end is allowed.
    pub fn create(&self, name: &str) -> Result<(), StoreError> {
        let name = name.strip_suffix(self.naming.separator()).unwrap_or(name);
        let name = self.naming.canonical(name);
        let tree = self.tree()?;
        let directory = self.new_directory(&name)?;
        let _lock = self.lock(&tree)?;
        if self.find(&tree, &name)?.is_some() {
            return Err(StoreError::AlreadyExists(name));
        }
        self.make_parents(&tree, &name)?;
        tree.make(&directory)
    }

    /// Removes a mailbox and its messages; mailboxes below it stay, and its name leads to them.
    pub fn delete(&self, name: &str) -> Result<(), StoreError> {
        let name = self.naming.canonical(name);
        let tree = self.tree()?;
        let _lock = self.lock(&tree)?;
        match self.find(&tree, &name)?.as_deref() {
            None => self.delete_between(&tree, name),
            Some("") => Err(StoreError::Cannot(name)),
            Some(directory) => {
                tree.remove(directory)?;
                self.count_anew(&tree)
            }
        }
    }

    /// Renames a mailbox and those below it. Of INBOX, the messages move to a new mailbox.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let to = to.strip_suffix(self.naming.separator()).unwrap_or(to);
        let (from, to) = (self.naming.canonical(from), self.naming.canonical(to));
        let tree = self.tree()?;
        self.new_directory(&to)?;
        let _lock = self.lock(&tree)?;
        if let Some(directory) = self.find(&tree, &to)? {
            let is_repeat = from == INBOX && self.finish_inbox(&tree, &directory)?;
            return if is_repeat { Ok(()) } else { Err(StoreError::AlreadyExists(to)) };
        }
        if from == INBOX {
            return self.move_inbox(&tree, &to);
        }
        if self.naming.is_below(&to, &from) {
            return Err(StoreError::Cannot(to));
        }
        let moves = self.moves(&tree, &from, &to)?;
        self.make_parents(&tree, &to)?;
        tree.rename(&moves)
    }

    /// Subscribes or unsubscribes a name, whether a mailbox has it or not.
    pub fn subscribe(&self, name: &str, subscribed: bool) -> Result<(), StoreError> {
        let name = self.naming.canonical(name);
        let tree = self.tree()?;
        let _lock = self.lock(&tree)?;
        let entry = match self.find(&tree, &name)? {
            Some(directory) => self.entry(&directory),
            None => self.entry_of_none(&tree, &name)?,
        };
        self.change_subscriptions(&tree, &[entry], subscribed)
    }

    /// The levels of a mailbox's name by its directory in Maildir++ (`.A.B`), as this and Dovecot
    /// spell it.
    #[must_use]
    pub fn levels_of(directory: &str) -> Option<Vec<String>> {
        let mail = Mail::default();
        let name = Naming::of(&mail).name(directory)?;
        Some(name.split(mail.separator).map(str::to_owned).collect())
    }

    /// Whose the user's directory is; where there is none yet, that of the nearest one above it.
    pub fn owner(user: &User) -> Result<Owner, StoreError> {
        first::owner(user)
    }

    fn tree(&self) -> Result<Tree<'_>, StoreError> {
        Tree::open(&self.roots, &self.naming)
    }

    fn lock(&self, tree: &Tree<'_>) -> Result<File, StoreError> {
        lock::kernel(&tree.mail, LOCK)
    }

    fn store(&self, tree: &Tree<'_>, name: &str, directory: &str) -> Store {
        if let Err(error) = self.keep_quota_file(tree) {
            tracing::warn!(%error, "maildirsize cannot be written anew");
        }
        let places = self.roots.of(directory, &self.naming);
        Store::new(Mailbox::of(name, &places, &self.roots.control))
    }

    /// The directory of a mailbox that exists; empty for INBOX.
    fn find(&self, tree: &Tree<'_>, name: &str) -> Result<Option<String>, StoreError> {
        if let Some(directory) = self.naming.directory(name)
            && (directory.is_empty() || tree.is_mailbox(&directory)?)
        {
            return Ok(Some(directory));
        }
        let found = self.all(tree)?.remove(name);
        Ok(found.filter(|found| found.role == Role::Mailbox).map(|found| found.directory))
    }

    /// All directories but INBOX's, by name. Of two that are shown alike, only the one that we
    /// would have made can be reached.
    fn all(&self, tree: &Tree<'_>) -> Result<BTreeMap<String, Found>, StoreError> {
        let mut all = BTreeMap::new();
        for found in tree.all()? {
            let Some(name) = self.naming.name(&found.directory) else {
                if found.role == Role::Mailbox {
                    let path = self.roots.mail.join(&found.directory);
                    tracing::warn!(path = %path.display(), "a mailbox that has no name; not shown");
                }
                continue;
            };
            let name = self.naming.canonical(&name);
            let ours = self.naming.directory(&name);
            if name != INBOX
                && (ours.as_ref() == Some(&found.directory) || !all.contains_key(&name))
            {
                all.insert(name, found);
            }
        }
        Ok(all)
    }

    /// The directory that a new mailbox would have.
    fn new_directory(&self, name: &str) -> Result<String, StoreError> {
        self.naming.new_directory(name).ok_or_else(|| StoreError::Cannot(name.to_owned()))
    }

    /// Adds a mailbox, and the names above it.
    fn add(&self, folders: &mut BTreeMap<String, Folder>, name: String, role: Role) {
        for parent in self.naming.parents(&name) {
            let parent = parent.to_owned();
            let folder = folders.entry(parent).or_insert_with_key(|name| nothing(name));
            folder.exists = true;
            folder.has_children = true;
        }
        let special = Self::SPECIAL.iter().find(|(special, _)| {
            name.strip_suffix(special).is_some_and(|prefix| self.naming.prefixed("") == prefix)
        });
        let inbox = name == INBOX;
        let folder = folders.entry(name).or_insert_with_key(|name| nothing(name));
        folder.exists = true;
        if role == Role::Mailbox {
            folder.selectable = true;
            folder.special_use = special.map(|(_, special_use)| *special_use);
        }
        // Some clients show no mail at all if INBOX is not.
        folder.subscribed = inbox;
    }

    /// Real mailboxes: a client may want to put mail into them.
    fn make_parents(&self, tree: &Tree<'_>, name: &str) -> Result<(), StoreError> {
        for parent in self.naming.parents(name) {
            // There is none for what is below a prefix of INBOX and is called INBOX.
            let Some(directory) = self.naming.new_directory(parent) else { continue };
            if self.find(tree, parent)?.is_none() {
                tree.make(&directory)?;
            }
        }
        Ok(())
    }

    /// Whether it is above mailboxes, and none itself.
    fn leads_to_others(&self, name: &str) -> Result<bool, StoreError> {
        let name = self.naming.canonical(name);
        let all = self.all(&self.tree()?)?;
        Ok(all.keys().any(|other| *other == name || self.naming.is_below(other, &name)))
    }

    /// In LAYOUT=fs there may be a directory in which no mailbox is: it can be deleted too.
    fn delete_between(&self, tree: &Tree<'_>, name: String) -> Result<(), StoreError> {
        let all = self.all(tree)?;
        let between =
            all.get(&name).filter(|_| !all.keys().any(|other| self.naming.is_below(other, &name)));
        match between.map(|found| tree.remove_between(&found.directory)) {
            None => Err(StoreError::NoSuchMailbox(name)),
            Some(Err(error)) if error.is_taken() => Err(StoreError::Cannot(name)),
            Some(done) => Ok(done?),
        }
    }

    /// Writes the user's quota file anew, if there is one and it is time to.
    fn keep_quota_file(&self, tree: &Tree<'_>) -> Result<(), StoreError> {
        match tree.quota()? {
            Some(quota) if quota.is_due()? => self.count(tree, &quota),
            _ => Ok(()),
        }
    }

    /// Writes the user's quota file anew, if there is one.
    fn count_anew(&self, tree: &Tree<'_>) -> Result<(), StoreError> {
        match tree.quota()? {
            Some(quota) => self.count(tree, &quota),
            None => Ok(()),
        }
    }

    fn count(&self, tree: &Tree<'_>, quota: &Quota) -> Result<(), StoreError> {
        quota.count(self.paths(tree)?)
    }

    /// Where the messages of all mailboxes are.
    fn paths(&self, tree: &Tree<'_>) -> Result<impl Iterator<Item = PathBuf>, StoreError> {
        let found = self.all(tree)?.into_values();
        let mailboxes = found.filter(|found| found.role == Role::Mailbox);
        let below = mailboxes.map(|found| self.roots.mail.join(found.directory));
        Ok(std::iter::once(self.roots.mail.clone()).chain(below))
    }
}

/// A name that no mailbox has.
fn nothing(name: &str) -> Folder {
    Folder {
        name: name.to_owned(),
        selectable: false,
        has_children: false,
        subscribed: false,
        exists: false,
        special_use: None,
    }
}
