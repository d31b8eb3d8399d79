//! What an admin asks of all mailboxes of a user together.

use super::super::mailbox::Mailbox;
use super::super::maintenance::remove;
use super::super::{Finding, Inspection, Store, StoreError, leftovers, uid_validity};
use super::tree::{Role, Tree};
use super::{Directory, LOCK};

impl Directory {
    /// Looks for what is wrong with the user's directory; changes nothing and makes nothing. With
    /// a mailbox's name, where it is about one.
    pub fn inspect(&self) -> Result<Vec<(Option<String>, Finding)>, StoreError> {
        let tree = self.tree()?;
        let mut findings = Vec::new();
        for (name, _) in self.unmarked(&tree)? {
            findings.push((Some(name), Finding::NoMark));
        }
        if let Some(quota) = tree.quota()?
            && quota.differs(self.paths(&tree)?)?
        {
            findings.push((None, Finding::QuotaDiffers));
        }
        let lock = tree.mail.stat(LOCK).is_ok().then(|| self.lock(&tree)).transpose()?;
        let left = tree.leftovers()?.len();
        drop(lock);
        findings.extend((left > 0).then_some((None, Finding::Leftovers(left))));
        Ok(findings)
    }

    /// [`Store::inspect`](Store::inspect) of one mailbox, which is not opened for it.
    pub fn inspect_mailbox(&self, name: &str) -> Result<Inspection, StoreError> {
        let tree = self.tree()?;
        let name = self.naming.canonical(name);
        let directory = self.find(&tree, &name)?;
        let directory = directory.ok_or_else(|| StoreError::NoSuchMailbox(name.clone()))?;
        let places = self.roots.of(&directory, &self.naming);
        Store::new(Mailbox::of(&name, &places, &self.roots.control)).inspect()
    }

    /// As [`inspect`](Self::inspect), and mends it.
    pub fn mend(&self) -> Result<Vec<(Option<String>, Finding)>, StoreError> {
        let findings = self.inspect()?;
        if findings.is_empty() {
            return Ok(findings);
        }
        let tree = self.tree()?;
        let _lock = self.lock(&tree)?;
        for (_, directory) in self.unmarked(&tree)? {
            tree.mark(&directory)?;
        }
        for leftover in tree.leftovers()? {
            tree.remove_leftover(&leftover)?;
        }
        if findings.iter().any(|(_, finding)| *finding == Finding::QuotaDiffers) {
            self.count_anew(&tree)?;
        }
        Ok(findings)
    }

    /// Leaves no file of ours that is the user's and no mailbox's. None of ours may serve the user.
    pub fn settle(&self) -> Result<(), StoreError> {
        let tree = self.tree()?;
        let _lock = self.lock(&tree)?;
        for leftover in tree.leftovers()? {
            tree.remove_leftover(&leftover)?;
        }
        if let Some(control) = &tree.control {
            leftovers::remove_unfinished(control)?;
            remove(control, uid_validity::LOCK)?;
        }
        remove(&tree.mail, LOCK)
    }

    /// Mailboxes without the mark of their layout, and their directories.
    fn unmarked(&self, tree: &Tree<'_>) -> Result<Vec<(String, String)>, StoreError> {
        let mut unmarked = Vec::new();
        for (name, found) in self.all(tree)? {
            if found.role == Role::Mailbox && tree.lacks_mark(&found.directory)? {
                unmarked.push((name, found.directory));
            }
        }
        Ok(unmarked)
    }
}
