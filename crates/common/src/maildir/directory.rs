//! Who has which mailboxes.
//!
//! A mailbox comes and goes by one rename: it is made below the user's `tmp` and renamed to its
//! name, and renamed to `tmp` before it is removed. Killed in between, there is a whole mailbox or
//! none, and a leftover in `tmp`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mail_proto::mailbox::{Folder, SpecialUse};

use super::mailbox::Mailbox;
use super::naming::{INBOX, Naming};
use super::places::Places;
use super::scan::Folders;
use super::{Store, StoreError, leftovers, lock, name, subscriptions, uid_validity, uidlist};
use crate::auth::User;
use crate::config::Mail;
use crate::disk::{Dir, DiskError, Kind};

/// The mailboxes of one user. Names are UTF-8 with the site's separator; `INBOX` in any case is
/// INBOX.
#[derive(Debug, Clone)]
pub struct Directory {
    home: Arc<Path>,
    naming: Naming,
}

/// Held by who makes, removes or renames mailboxes.
const LOCK: &str = "posthorn.folders.lock";
/// The three directories of a mailbox, the one that makes it a mailbox last.
const INSIDE: [&str; 3] = ["tmp", "new", "cur"];
/// Dovecot and Courier want it in every mailbox but INBOX.
const MARK: &str = "maildirfolder";

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
    /// The directory where all mail is must be there: a site whose disk is not mounted has no
    /// empty mailboxes, it has a temporary error.
    pub fn open(user: &User, mail: &Mail) -> Result<Self, StoreError> {
        let directory = Self { home: user.home().into(), naming: Naming::of(mail) };
        match std::fs::symlink_metadata(user.home().join("cur")) {
            Ok(_) => return Ok(directory),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(system(user.home().join("cur"), error)),
        }
        must_exist(&root(user, mail))?;
        directory.make_first()?;
        Ok(directory)
    }

    /// All mailboxes, and names that are only subscribed, in order of name.
    pub fn folders(&self) -> Result<Vec<Folder>, StoreError> {
        let home = self.home()?;
        let mut folders = BTreeMap::new();
        self.add(&mut folders, INBOX.to_owned());
        for (_, name) in self.mailboxes(&home)? {
            self.add(&mut folders, name);
        }
        let subscribed = subscriptions::read(&home)?;
        for directory in subscribed {
            let Some(name) = self.subscribed_name(&directory) else { continue };
            let folder = folders.entry(name).or_insert_with_key(|name| nothing(name));
            folder.subscribed = true;
        }
        Ok(folders.into_values().collect())
    }

    /// One mailbox.
    pub fn mailbox(&self, name: &str) -> Result<Store, StoreError> {
        let home = self.home()?;
        let name = self.naming.canonical(name);
        let path = match self.find(&home, &name)? {
            Some(directory) => self.home.join(directory),
            None => return Err(StoreError::NoSuchMailbox(name)),
        };
        Ok(Store::new(Mailbox::of(&name, &Places::together(&path), &self.home)))
    }

    /// Makes a mailbox, and its parents where they are missing. A separator at the end is allowed.
    pub fn create(&self, name: &str) -> Result<(), StoreError> {
        let name = name.strip_suffix(self.naming.separator()).unwrap_or(name);
        let name = self.naming.canonical(name);
        let home = self.home()?;
        let directory = self.new_directory(&name)?;
        let _lock = self.lock(&home)?;
        if self.find(&home, &name)?.is_some() {
            return Err(StoreError::AlreadyExists(name));
        }
        self.make_parents(&home, &name)?;
        make(&home, &directory)
    }

    /// Removes a mailbox and its messages; mailboxes below it stay.
    pub fn delete(&self, name: &str) -> Result<(), StoreError> {
        let name = self.naming.canonical(name);
        let home = self.home()?;
        let _lock = self.lock(&home)?;
        match self.find(&home, &name)?.as_deref() {
            None => Err(StoreError::NoSuchMailbox(name)),
            Some("") => Err(StoreError::Cannot(name)),
            Some(directory) => remove(&home, directory),
        }
    }

    /// Renames a mailbox and those below it. Of INBOX, the messages move to a new mailbox.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let to = to.strip_suffix(self.naming.separator()).unwrap_or(to);
        let (from, to) = (self.naming.canonical(from), self.naming.canonical(to));
        let home = self.home()?;
        self.new_directory(&to)?;
        let _lock = self.lock(&home)?;
        if self.find(&home, &to)?.is_some() {
            return Err(StoreError::AlreadyExists(to));
        }
        if from == INBOX {
            return self.move_inbox(&home, &to);
        }
        if self.naming.is_below(&to, &from) {
            return Err(StoreError::Cannot(to));
        }
        self.rename_all(&home, &from, &to)
    }

    /// Subscribes or unsubscribes a name, whether a mailbox has it or not.
    pub fn subscribe(&self, name: &str, subscribed: bool) -> Result<(), StoreError> {
        let name = self.naming.canonical(name);
        let home = self.home()?;
        let _lock = self.lock(&home)?;
        let directory = match self.find(&home, &name)? {
            Some(directory) => directory,
            None => self.new_directory(&name).or_else(|error| {
                let known = subscriptions::read(&home)?;
                let shown = |known: &String| self.subscribed_name(known).as_ref() == Some(&name);
                let stale = known.into_iter().find(shown).ok_or(error)?;
                Ok::<String, StoreError>(format!(".{stale}"))
            })?,
        };
        let entry = match directory.strip_prefix('.') {
            Some(levels) => levels.to_owned(),
            None => INBOX.to_owned(),
        };
        subscriptions::change(&home, |names| {
            match subscribed {
                true => names.insert(entry),
                false => names.remove(&entry),
            };
        })
    }

    fn home(&self) -> Result<Dir, StoreError> {
        Ok(Dir::open(&self.home)?)
    }

    fn lock(&self, home: &Dir) -> Result<File, StoreError> {
        lock::kernel(home, LOCK)
    }

    /// The first making of a user's mail. `cur` comes last: without it, all is tried again.
    fn make_first(&self) -> Result<(), StoreError> {
        let home = Dir::open_or_create(&self.home)?;
        let _lock = self.lock(&home)?;
        if home.stat("cur").is_ok() {
            return Ok(());
        }
        home.create_dir("tmp")?;
        let mut names = Vec::new();
        for (special, _) in Self::SPECIAL {
            let name = self.naming.prefixed(special);
            let directory = self.new_directory(&name)?;
            if self.find(&home, &name)?.is_none() {
                make(&home, &directory)?;
            }
            names.extend(directory.strip_prefix('.').map(str::to_owned));
        }
        subscriptions::change(&home, |subscribed| subscribed.extend(names))?;
        for inside in INSIDE {
            home.create_dir(inside)?;
        }
        Ok(())
    }

    /// Directories and names of all mailboxes but INBOX.
    fn mailboxes(&self, home: &Dir) -> Result<Vec<(String, String)>, StoreError> {
        let mut mailboxes = Vec::new();
        for entry in home.entries()? {
            let entry = entry?;
            let directory = entry.name.to_str().filter(|name| name.starts_with('.'));
            let Some(directory) = directory else { continue };
            if !matches!(entry.kind, None | Some(Kind::Directory)) || !is_mailbox(home, directory)?
            {
                continue;
            }
            if let Some(name) = self.naming.name(directory) {
                mailboxes.push((directory.to_owned(), self.naming.canonical(&name)));
            }
        }
        Ok(mailboxes)
    }

    /// The directory of a mailbox that exists; empty for INBOX.
    fn find(&self, home: &Dir, name: &str) -> Result<Option<String>, StoreError> {
        if let Some(directory) = self.naming.directory(name)
            && (directory.is_empty() || is_mailbox(home, &directory)?)
        {
            return Ok(Some(directory));
        }
        let mailboxes = self.mailboxes(home)?;
        Ok(mailboxes.into_iter().find(|(_, shown)| shown == name).map(|(directory, _)| directory))
    }

    /// The directory that a name would have.
    fn new_directory(&self, name: &str) -> Result<String, StoreError> {
        self.naming.directory(name).ok_or_else(|| StoreError::Cannot(name.to_owned()))
    }

    fn subscribed_name(&self, entry: &str) -> Option<String> {
        if entry.eq_ignore_ascii_case(INBOX) {
            return Some(INBOX.to_owned());
        }
        let name = self.naming.name(&format!(".{entry}"))?;
        Some(self.naming.canonical(&name))
    }

    /// Adds a mailbox, and the names above it.
    fn add(&self, folders: &mut BTreeMap<String, Folder>, name: String) {
        for parent in self.naming.parents(&name) {
            let parent = parent.to_owned();
            let folder = folders.entry(parent).or_insert_with_key(|name| nothing(name));
            folder.exists = true;
            folder.has_children = true;
        }
        let special = Self::SPECIAL.iter().find(|(special, _)| {
            name.strip_suffix(special).is_some_and(|prefix| self.naming.prefixed("") == prefix)
        });
        let subscribed = name == INBOX;
        let folder = folders.entry(name).or_insert_with_key(|name| nothing(name));
        folder.exists = true;
        folder.selectable = true;
        // Some clients show no mail at all if INBOX is not.
        folder.subscribed = subscribed;
        folder.special_use = special.map(|(_, special_use)| *special_use);
    }

    /// Real mailboxes: a client may want to put mail into them.
    fn make_parents(&self, home: &Dir, name: &str) -> Result<(), StoreError> {
        for parent in self.naming.parents(name) {
            if self.find(home, parent)?.is_none() {
                make(home, &self.new_directory(parent)?)?;
            }
        }
        Ok(())
    }

    /// Those below go first: killed in between, `from` is still there, and the same command does
    /// the rest.
    fn rename_all(&self, home: &Dir, from: &str, to: &str) -> Result<(), StoreError> {
        let mut moves = Vec::new();
        for (directory, name) in self.mailboxes(home)? {
            if name == from || self.naming.is_below(&name, from) {
                let target = format!("{to}{}", name.strip_prefix(from).unwrap_or_default());
                let into = self.new_directory(&target)?;
                if self.find(home, &target)?.is_some() {
                    return Err(StoreError::AlreadyExists(target));
                }
                moves.push((name, directory, into));
            }
        }
        if moves.is_empty() {
            return Err(StoreError::NoSuchMailbox(from.to_owned()));
        }
        self.make_parents(home, to)?;
        moves.sort_by(|(a, ..), (b, ..)| b.cmp(a));
        for (_, directory, into) in moves {
            home.rename_new(&directory, home, &into)?;
        }
        Ok(home.sync()?)
    }

    /// RFC 9051, 6.3.6: renaming INBOX moves its messages; INBOX stays, and so does what is below.
    fn move_inbox(&self, home: &Dir, to: &str) -> Result<(), StoreError> {
        self.make_parents(home, to)?;
        let directory = self.new_directory(to)?;
        make(home, &directory)?;
        let target = Folders::open(&Places::together(&self.home.join(&directory)))?;
        Mailbox::of(INBOX, &Places::together(&self.home), &self.home).hold()?.move_all(&target)
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

fn is_mailbox(home: &Dir, directory: &str) -> Result<bool, StoreError> {
    let inside = match home.subdir(directory) {
        Ok(inside) => inside,
        Err(error) if is_none(&error) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    match inside.stat("cur") {
        Ok(stat) => Ok(stat.kind == Kind::Directory),
        Err(error) if error.is_missing() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// No such name, or no directory, or a link.
fn is_none(error: &DiskError) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory};
    error.is_missing() || matches!(error.kind(), InvalidFilename | NotADirectory)
}

/// Makes a mailbox with a UIDVALIDITY of its own.
fn make(home: &Dir, directory: &str) -> Result<(), StoreError> {
    let tmp = home.subdir("tmp")?;
    let temporary = format!("posthorn.create.{}", name::unique());
    tmp.create_dir(&temporary)?;
    let inside = tmp.subdir(&temporary)?;
    for name in INSIDE {
        inside.create_dir(name)?;
    }
    inside.replace(MARK, b"")?;
    uidlist::UidList::new(uid_validity::next(home)?).save(&inside)?;
    tmp.rename_new(&temporary, home, directory)?;
    Ok(home.sync()?)
}

fn remove(home: &Dir, directory: &str) -> Result<(), StoreError> {
    let tmp = home.subdir("tmp")?;
    let temporary = format!("posthorn.delete.{}", name::unique());
    home.rename_new(directory, &tmp, &temporary)?;
    home.sync()?;
    tmp.sync()?;
    // It is gone for all who look; what cannot be removed now is removed as a leftover.
    if let Err(error) = leftovers::remove_tree(&tmp, temporary.as_ref()) {
        tracing::warn!(%error, "cannot remove a deleted mailbox");
    }
    Ok(())
}

/// The directory that is there if the site's disk is: what the homes of all users have in common.
fn root(user: &User, mail: &Mail) -> PathBuf {
    let other = "posthorn@root.invalid".parse().ok().and_then(|other| mail.path.path(&other));
    let common = other.map(|other| common(user.home(), &other)).unwrap_or_default();
    // A home of its own in the user database: the directory that it is in.
    let own = mail.path.path(user.address()).is_none_or(|path| path != user.home());
    if own || common.parent().is_none() {
        return user.home().parent().map(Path::to_owned).unwrap_or_default();
    }
    common
}

fn common(one: &Path, other: &Path) -> PathBuf {
    let both = one.components().zip(other.components());
    both.take_while(|(one, other)| one == other).map(|(one, _)| one).collect()
}

fn must_exist(root: &Path) -> Result<(), StoreError> {
    match std::fs::metadata(root) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(system(root.to_owned(), io::ErrorKind::NotADirectory.into())),
        Err(error) => Err(system(root.to_owned(), error)),
    }
}

fn system(path: PathBuf, error: io::Error) -> StoreError {
    StoreError::System { path, error }
}
