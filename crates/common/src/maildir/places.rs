//! Where a mailbox's files are. A site may keep messages, Dovecot's small text files and the index
//! on different disks (Dovecot's `CONTROL=` and `INDEX=`).

use std::path::{Path, PathBuf};

use super::naming::Naming;

/// The three directories of a mailbox, or of a user; one and the same where the site says nothing
/// else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Places {
    /// `cur`, `new` and `tmp`.
    pub(super) mail: PathBuf,
    /// Of a mailbox, `dovecot-uidlist`, `dovecot-keywords` and their locks; of a user,
    /// `dovecot-uidvalidity`, `subscriptions`, `maildirsize`.
    pub(super) control: PathBuf,
    /// `posthorn.index`, `posthorn.log`, `posthorn.cache` and our locks.
    pub(super) index: PathBuf,
}

impl Places {
    /// All in one directory.
    #[cfg(test)]
    pub(super) fn together(path: &Path) -> Self {
        Self { mail: path.to_owned(), control: path.to_owned(), index: path.to_owned() }
    }

    /// Those of a mailbox, by its directory, where these are the user's.
    pub(super) fn of(&self, directory: &str, naming: &Naming) -> Self {
        let mail = match directory {
            "" => self.mail.clone(),
            directory => self.mail.join(directory),
        };
        let beside = |root: &Path| match (directory, root == self.mail) {
            (_, true) => mail.clone(),
            // Of itself INBOX has no name; the user's directory is the user's there.
            ("", false) => root.join(naming.inbox_beside()),
            (directory, false) => root.join(directory),
        };
        Self { control: beside(&self.control), index: beside(&self.index), mail: mail.clone() }
    }

    /// The same while the messages are in another directory, and what is with them too.
    pub(super) fn moved(&self, mail: &Path) -> Self {
        let beside = |path: &PathBuf| if *path == self.mail { mail } else { path }.to_owned();
        Self { control: beside(&self.control), index: beside(&self.index), mail: mail.to_owned() }
    }

    /// Whether not all is in the messages' directory.
    pub(super) fn are_apart(&self) -> bool {
        self.apart().next().is_some()
    }

    /// The directories that are not the messages' own.
    pub(super) fn apart(&self) -> impl Iterator<Item = &Path> {
        let index = (self.index != self.control).then_some(&self.index);
        let both = [Some(&self.control), index].into_iter().flatten();
        both.map(PathBuf::as_path).filter(|path| *path != self.mail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layout, Mail};

    #[test]
    fn each_mailbox_has_its_directories() {
        let roots = Places { control: "/c/ann".into(), ..Places::together(Path::new("/m/ann")) };
        let table = [
            (Layout::MaildirPlusPlus, "", "/m/ann", "/c/ann/.INBOX"),
            (Layout::MaildirPlusPlus, ".a.b", "/m/ann/.a.b", "/c/ann/.a.b"),
            (Layout::Fs, "", "/m/ann", "/c/ann/INBOX"),
            (Layout::Fs, "a/b", "/m/ann/a/b", "/c/ann/a/b"),
        ];
        for (layout, directory, mail, control) in table {
            let naming = Naming::of(&Mail { layout, ..Mail::default() });
            let places = roots.of(directory, &naming);
            let expected = Places { control: control.into(), ..Places::together(Path::new(mail)) };
            assert_eq!(places, expected, "{directory:?}");
            assert_eq!(places.apart().collect::<Vec<_>>(), [Path::new(control)]);
        }
    }
}
