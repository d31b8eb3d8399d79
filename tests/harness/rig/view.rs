//! What is found in a user's mailboxes, as a new session sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use mail_common::auth::{Auth, User};
use mail_common::config::{self, Mail, Source};
use mail_common::maildir::{Directory, NewMessage, Store, StoreError};
use mail_proto::mailbox::{Flags, Snapshot, Uid};
use serde::{Deserialize, Serialize};

use super::operation::{Letter, Marks, letter_of, text};

/// All mailboxes of the user, and what is wrong with them whatever was promised.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct View {
    /// By name.
    pub mailboxes: BTreeMap<String, Shown>,
    /// Subscribed names.
    pub subscribed: BTreeSet<String>,
    /// What cannot be read, or is no letter.
    pub troubles: Vec<String>,
}

/// One mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Shown {
    /// RFC 9051, 2.3.1.1.
    pub uid_validity: u32,
    /// Greater than every UID.
    pub uid_next: Uid,
    /// HIGHESTMODSEQ (RFC 7162, 3.1.2.1).
    pub modseq: u64,
    /// In order of UID.
    pub messages: Vec<Found>,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Its UID.
    pub uid: Uid,
    /// Which letter it is.
    pub letter: Letter,
    /// Its flags.
    pub marks: Marks,
}

impl View {
    /// Whether another process may see this afterwards: the same, but what only rises may have
    /// risen.
    #[must_use]
    pub fn may_become(&self, other: &Self) -> bool {
        let mut same = self.clone();
        for (name, shown) in &mut same.mailboxes {
            let Some(other) = other.mailboxes.get(name) else { return false };
            shown.uid_next = other.uid_next.max(shown.uid_next);
            shown.modseq = other.modseq.max(shown.modseq);
        }
        same == *other
    }

    /// What another look shows otherwise, for people.
    #[must_use]
    pub fn difference(&self, again: &Self) -> Vec<String> {
        let mut all = Vec::new();
        let names: BTreeSet<&String> =
            self.mailboxes.keys().chain(again.mailboxes.keys()).collect();
        for name in names {
            match (self.mailboxes.get(name), again.mailboxes.get(name)) {
                (Some(before), Some(now)) => all.extend(before.difference(name, now)),
                (Some(_), None) => all.push(format!("{name} is gone")),
                (None, _) => all.push(format!("{name} is new")),
            }
        }
        for name in self.subscribed.symmetric_difference(&again.subscribed) {
            all.push(format!("{name} is subscribed or not"));
        }
        all.extend(again.troubles.iter().filter(|what| !self.troubles.contains(what)).cloned());
        all
    }
}

impl Shown {
    fn difference(&self, name: &str, again: &Self) -> Vec<String> {
        let mut all = Vec::new();
        if (self.uid_validity, self.uid_next) != (again.uid_validity, again.uid_next) {
            all.push(format!(
                "{name}: UIDVALIDITY and UIDNEXT {} {}, then {} {}",
                self.uid_validity, self.uid_next, again.uid_validity, again.uid_next
            ));
        }
        let gone = self.messages.iter().filter(|found| !again.messages.contains(found));
        all.extend(gone.map(|found| format!("{name}: first {found:?}")));
        let new = again.messages.iter().filter(|found| !self.messages.contains(found));
        all.extend(new.map(|found| format!("{name}: then {found:?}")));
        all
    }
}

/// The user's mailboxes below a directory, which holds nothing else.
#[derive(Debug)]
pub struct Mailboxes {
    user: User,
    mail: Mail,
}

impl Mailboxes {
    /// Those of `ann@example.org`.
    ///
    /// # Panics
    /// If the site that is made for it does not hold.
    #[must_use]
    pub fn below(directory: &Path) -> Self {
        let site = tempfile::tempdir().expect("the directory for temporary files is writable");
        let (file, passwd) = (site.path().join("posthorn.toml"), site.path().join("passwd"));
        let text = format!(
            "config_version = 1\nhostname = \"mail.example.org\"\n\
             [mail]\npath = \"{}/%d/%n\"\n[auth]\npasswd = \"{}\"\n",
            directory.display(),
            passwd.display(),
        );
        std::fs::write(&file, text).expect("the site's directory is writable");
        std::fs::write(&passwd, "ann@example.org:{PLAIN}apple\n").expect("so it is");
        let site = config::load(&Source { file, flags: Vec::new() }).expect("the site holds");
        let auth = Auth::open(&site).expect("the passwd-file is readable");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let address = "ann@example.org".parse().expect("is an address");
        let user = runtime.block_on(auth.lookup(&address)).expect("the passwd-file is readable");
        Self { user: user.expect("the site has ann"), mail: site.mail }
    }

    /// The user's directory of mailboxes.
    ///
    /// # Errors
    /// The store's.
    pub fn open(&self) -> Result<Directory, StoreError> {
        Directory::open(&self.user, &self.mail)
    }

    /// Everything that is there.
    #[must_use]
    pub fn view(&self) -> View {
        let mut view = View::default();
        if let Err(error) = self.fill(&mut view) {
            view.troubles.push(format!("the list of mailboxes: {error}"));
        }
        view
    }

    /// Whether INBOX still takes a letter and lets it go; the letter must be new.
    ///
    /// # Errors
    /// The store's.
    pub fn try_out(&self, letter: Letter) -> Result<(), StoreError> {
        let inbox = self.open()?.mailbox("INBOX")?;
        let mut message = inbox.append(NewMessage::default())?;
        message.write(&text(letter))?;
        let uid = message.commit()?.uid;
        if inbox.sync()?.entry(uid).is_none() {
            return Err(StoreError::Gone(uid));
        }
        match inbox.expunge(&[uid])?.entry(uid) {
            None => Ok(()),
            Some(_) => Err(StoreError::Cannot("INBOX, with what was expunged,".to_owned())),
        }
    }

    fn fill(&self, view: &mut View) -> Result<(), StoreError> {
        let directory = self.open()?;
        for folder in directory.folders()? {
            if folder.subscribed {
                view.subscribed.insert(folder.name.clone());
            }
            if !folder.selectable {
                continue;
            }
            match directory.mailbox(&folder.name).and_then(|store| {
                let snapshot = store.sync()?;
                Ok((store, snapshot))
            }) {
                Ok((store, snapshot)) => {
                    let shown = shown(&folder.name, &store, &snapshot, &mut view.troubles);
                    view.mailboxes.insert(folder.name, shown);
                }
                Err(error) => view.troubles.push(format!("{}: {error}", folder.name)),
            }
        }
        Ok(())
    }
}

/// Why a message is no letter.
#[derive(Debug)]
pub enum Unfit {
    /// It could not be read.
    Store(StoreError),
    /// It is something else, of so many octets, or not whole.
    NoLetter(usize),
}

/// Which letter a message is.
///
/// # Errors
/// What is wrong with it.
pub fn letter(store: &Store, uid: Uid) -> Result<Letter, Unfit> {
    let message = store.message(uid).map_err(Unfit::Store)?;
    let length = usize::try_from(message.stored_size()).unwrap_or(usize::MAX);
    if length > LONGEST {
        return Err(Unfit::NoLetter(length));
    }
    let mut stored = vec![0; length];
    let mut filled = 0;
    while let Some(rest) = stored.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match message.read_at(rest, filled as u64).map_err(Unfit::Store)? {
            0 => break,
            count => filled += count,
        }
    }
    letter_of(&stored).ok_or(Unfit::NoLetter(length))
}

/// No letter has so many octets.
const LONGEST: usize = 1 << 20;

fn shown(name: &str, store: &Store, snapshot: &Snapshot, troubles: &mut Vec<String>) -> Shown {
    let mut messages = Vec::new();
    for entry in snapshot.messages.iter() {
        match letter(store, entry.uid) {
            Ok(letter) => {
                let marks = marks(snapshot, entry.flags);
                messages.push(Found { uid: entry.uid, letter, marks });
            }
            Err(Unfit::Store(error)) => {
                troubles.push(format!("{name}, UID {}: {error}", entry.uid));
            }
            Err(Unfit::NoLetter(length)) => {
                let uid = entry.uid;
                troubles.push(format!("{name}, UID {uid}: its {length} octets are no letter"));
            }
        }
    }
    let Snapshot { uid_validity, uid_next, modseq, .. } = *snapshot;
    Shown { uid_validity, uid_next, modseq, messages }
}

fn marks(snapshot: &Snapshot, flags: Flags) -> Marks {
    let bits = flags.keywords;
    let set = snapshot.keywords.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 != 0);
    let mut keywords: Vec<String> = set.map(|(_, name)| name.clone()).collect();
    keywords.sort();
    Marks { system: flags.system, keywords }
}
