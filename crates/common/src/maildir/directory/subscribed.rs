//! Which names a user subscribed to.

use super::super::StoreError;
use super::super::naming::INBOX;
use super::super::subscriptions;
use super::Directory;
use super::tree::Tree;

impl Directory {
    /// The names that are subscribed.
    pub(super) fn subscribed(&self, tree: &Tree<'_>) -> Result<Vec<String>, StoreError> {
        let entries = self.entries(tree)?;
        Ok(entries.iter().filter_map(|entry| self.subscribed_name(entry)).collect())
    }

    /// Adds or removes entries, durably.
    pub(super) fn change_subscriptions(
        &self,
        tree: &Tree<'_>,
        entries: &[String],
        subscribed: bool,
    ) -> Result<(), StoreError> {
        let separator = self.naming.directory_separator();
        subscriptions::change(&tree.control()?, &tree.mail, separator, entries, subscribed)
    }

    /// How a mailbox is called there, by its directory.
    pub(super) fn entry(&self, directory: &str) -> String {
        match directory {
            "" => INBOX.to_owned(),
            directory => directory
                .strip_prefix(self.naming.directory_prefix())
                .unwrap_or(directory)
                .to_owned(),
        }
    }

    /// The same of a name that no mailbox has: the entry that is shown so, or a new one.
    pub(super) fn entry_of_none(&self, tree: &Tree<'_>, name: &str) -> Result<String, StoreError> {
        let entries = self.entries(tree)?;
        let shown = |entry: &String| self.subscribed_name(entry).as_deref() == Some(name);
        match entries.into_iter().find(shown) {
            Some(entry) => Ok(entry),
            None => self.new_directory(name).map(|directory| self.entry(&directory)),
        }
    }

    fn entries(&self, tree: &Tree<'_>) -> Result<Vec<String>, StoreError> {
        let separator = self.naming.directory_separator();
        subscriptions::read(tree.control.as_ref(), &tree.mail, separator)
    }

    fn subscribed_name(&self, entry: &str) -> Option<String> {
        if entry.eq_ignore_ascii_case(INBOX) {
            return Some(INBOX.to_owned());
        }
        let name = self.naming.name(&format!("{}{entry}", self.naming.directory_prefix()))?;
        Some(self.naming.canonical(&name))
    }
}
