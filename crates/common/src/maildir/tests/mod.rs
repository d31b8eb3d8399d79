//! Mailboxes on a real file system, changed by us and by others.

mod confirm;
mod directory;
mod inboxes;
mod index;
mod layout;
mod meddling;
mod moves;
mod removed;
mod store;
mod summaries;
mod takeover;
mod trouble;

use std::fs;
use std::path::{Path, PathBuf};

use mail_proto::mailbox::{NamedFlags, Uid};

use super::mailbox::Mailbox;
use super::places::Places;
use super::{Delivery, DeliveryId, Directory, Inbox, NewMessage, Store, Tidings, name};
use crate::auth::User;
use crate::config::Mail;

/// A user `ann@example.org` below a directory that is removed at the end.
struct Ann {
    directory: tempfile::TempDir,
    mail: Mail,
}

impl Ann {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = format!("{}/%d/%n", directory.path().display());
        let mail = Mail { path: path.try_into().unwrap(), ..Mail::default() };
        Self { directory, mail }
    }

    fn user(&self) -> User {
        let address = "ann@example.org".parse().unwrap();
        let home = self.mail.path.path(&address).unwrap();
        User::new(address, home)
    }

    fn home(&self) -> PathBuf {
        self.directory.path().join("example.org/ann")
    }

    fn open(&self) -> Directory {
        Directory::open(&self.user(), &self.mail).unwrap()
    }

    fn inbox(&self) -> Store {
        self.open().mailbox("INBOX").unwrap()
    }

    /// INBOX as another process knows it: nothing is shared with [`inbox`](Self::inbox).
    fn stranger(&self) -> Store {
        Store::new(Mailbox::apart("INBOX", &Places::together(&self.home()), &self.home()))
    }

    fn forget_index(&self) {
        for name in ["posthorn.index", "posthorn.log"] {
            let _ = fs::remove_file(self.home().join(name));
        }
    }

    /// Puts a file into a mailbox, as another program does.
    fn put(&self, path: &str, content: &str) {
        fs::write(self.home().join(path), content).unwrap();
    }

    /// Renames a file as another program does.
    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.home().join(from), self.home().join(to)).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.home().join(path)).unwrap()
    }

    /// File names in a directory, in order of arrival.
    fn names(&self, path: &str) -> Vec<String> {
        names(&self.home().join(path))
    }
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    // Microseconds in names have no fixed width.
    names.sort_by(|one, other| name::arrival(one).cmp(&name::arrival(other)));
    names
}

fn append(store: &Store, content: &str, system: u8, keywords: &[&str]) -> Uid {
    let keywords = keywords.iter().map(|keyword| (*keyword).to_owned()).collect();
    let flags = NamedFlags { system, keywords };
    let mut message = store.append(NewMessage { flags, ..NewMessage::default() }).unwrap();
    message.write(content.as_bytes()).unwrap();
    message.commit().unwrap().uid
}

fn deliver(store: &Store, content: &str) {
    attempt(store, None, content);
}

fn attempt(store: &Store, id: Option<&DeliveryId>, content: &str) -> Delivery {
    let inbox = Inbox::open(|| Ok(store.clone())).unwrap();
    let mut message = inbox.append(None, NewMessage::default()).unwrap();
    message.write(content.as_bytes()).unwrap();
    let (delivery, tidings) = inbox.deliver(message.finish().unwrap(), id, &()).unwrap();
    tidings.into_iter().for_each(Tidings::tell);
    delivery
}

fn text(store: &Store, uid: Uid) -> String {
    let message = store.message(uid).unwrap();
    let mut buffer = vec![0; 1000];
    let count = message.read_at(&mut buffer, 0).unwrap();
    assert_eq!(count as u64, message.stored_size());
    buffer.truncate(count);
    String::from_utf8(buffer).unwrap()
}

fn uids(store: &Store) -> Vec<Uid> {
    store.sync().unwrap().messages.iter().map(|entry| entry.uid).collect()
}
