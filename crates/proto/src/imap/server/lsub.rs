//! LSUB (RFC 3501, 6.3.9).

use std::collections::BTreeSet;

use super::{Failure, List, Request, Server, Telling, Turn, Waiting, pattern, reply};
use crate::mailbox::Folder;

impl Server {
    pub(super) fn lsub(&mut self, tag: String, list: List) -> Turn {
        self.ask(Waiting::Lsub { tag, list }, Request::Folders)
    }

    pub(super) fn lsubbed(
        &mut self,
        tag: String,
        list: &List,
        folders: Result<Vec<Folder>, Failure>,
        out: &mut Vec<u8>,
    ) -> Turn {
        let mut folders = match folders {
            Ok(folders) => folders,
            Err(failure) => return self.finish(tag, reply::failure(failure), Telling::ALL, out),
        };
        // Evolution finds no mailboxes at all if INBOX is not subscribed.
        folders.retain(|folder| folder.subscribed || folder.name == "INBOX");
        let pattern = self.full_pattern(list);
        let separator = self.setup.separator;
        for folder in &folders {
            if pattern::matches(&pattern, &folder.name, separator) {
                let attribute: &[u8] = if folder.selectable { b"" } else { b"\\Noselect" };
                out.extend_from_slice(b"* LSUB (");
                self.write_folder(attribute, &folder.name, out);
            }
        }
        for parent in unsubscribed_parents(&folders, &pattern, separator) {
            self.write_folder(b"* LSUB (\\Noselect", parent, out);
        }
        self.finish(tag, "OK Lsub completed.", Telling::ALL, out)
    }
}

/// RFC 3501, 6.3.9: where `%` stops above a subscribed mailbox, its parent is shown in its place.
fn unsubscribed_parents<'a>(
    subscribed: &'a [Folder],
    pattern: &str,
    separator: char,
) -> BTreeSet<&'a str> {
    let mut parents = BTreeSet::new();
    if !pattern.contains('%') {
        return parents;
    }
    let names: BTreeSet<&str> = subscribed.iter().map(|folder| folder.name.as_str()).collect();
    for name in &names {
        if pattern::matches(pattern, name, separator) {
            continue;
        }
        for (end, _) in name.match_indices(separator) {
            let parent = name.get(..end).unwrap_or_default();
            if !names.contains(parent) && pattern::matches(pattern, parent, separator) {
                parents.insert(parent);
            }
        }
    }
    parents
}
