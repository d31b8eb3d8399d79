//! The directories of a user's mailboxes: found, made, removed.
//!
//! Maildir++ has all of them in the user's directory, LAYOUT=fs one in the other; there, a
//! directory without `cur` is only a way to others. Where the site keeps control and index files
//! apart, each mailbox has directories of the same name for these.
//!
//! Only the messages' directory says whether there is a mailbox. So it comes last when a mailbox
//! is made, and goes first when one is removed; what is killed in between leaves control files of
//! no mailbox, which are removed when one of that name is made.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use super::super::naming::{DEEPEST, Naming};
use super::super::places::Places;
use super::super::quota::Quota;
use super::super::scan::Folders;
use super::super::{StoreError, leftovers, name, uid_validity, uidlist};
use crate::config::Layout;
use crate::disk::{self, Dir, DiskError, Kind};

/// The directories of a user, open.
#[derive(Debug)]
pub(super) struct Tree<'user> {
    pub(super) roots: &'user Places,
    pub(super) naming: &'user Naming,
    /// The user's directory.
    pub(super) mail: Dir,
    /// The user's directory of control files, if there is one.
    pub(super) control: Option<Dir>,
}

/// A directory below the user's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// From the user's directory on.
    pub(super) directory: String,
    pub(super) role: Role,
}

/// What a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It has messages.
    Mailbox,
    /// It leads to others.
    Between,
}

/// The three directories of a mailbox, the one that makes it a mailbox last.
pub(super) const INSIDE: [&str; 3] = ["tmp", "new", "cur"];
/// Dovecot and Courier want it in every mailbox of Maildir++ but INBOX.
const MARK: &str = "maildirfolder";
/// How mailboxes are called that are being made or removed.
const UNFINISHED: [&str; 2] = ["posthorn.create.", "posthorn.delete."];

impl<'user> Tree<'user> {
    /// Opens them.
    pub(super) fn open(roots: &'user Places, naming: &'user Naming) -> Result<Self, StoreError> {
        let mail = Dir::open(&roots.mail)?;
        let control = match roots.control == roots.mail {
            true => Some(mail.clone()),
            false => disk::found(Dir::open(&roots.control))?,
        };
        Ok(Self { roots, naming, mail, control })
    }

    /// The directory of control files, made if it is missing.
    pub(super) fn control(&self) -> Result<Dir, StoreError> {
        match &self.control {
            Some(control) => Ok(control.clone()),
            None => Ok(Dir::open_or_create(&self.roots.control)?),
        }
    }

    /// The user's quota file, if there is one.
    pub(super) fn quota(&self) -> Result<Option<Quota>, StoreError> {
        self.control.as_ref().map_or(Ok(None), Quota::open)
    }

    /// All directories but INBOX's.
    pub(super) fn all(&self) -> Result<Vec<Found>, StoreError> {
        let mut found = Vec::new();
        match self.naming.layout() {
            Layout::Fs => walk(&self.mail, "", DEEPEST, &mut found)?,
            Layout::MaildirPlusPlus => {
                for name in shown(&self.mail, directories(&self.mail)?) {
                    if name.starts_with('.') && self.is_mailbox(&name)? {
                        found.push(Found { directory: name, role: Role::Mailbox });
                    }
                }
            }
        }
        Ok(found)
    }

    /// Whether there is a mailbox.
    pub(super) fn is_mailbox(&self, directory: &str) -> Result<bool, StoreError> {
        match descend(&self.mail, directory) {
            Ok(inside) => has_messages(&inside),
            Err(error) if is_none(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a mailbox with a UIDVALIDITY of its own. What is above it is there.
    pub(super) fn make(&self, directory: &str) -> Result<(), StoreError> {
        self.make_with(directory, |_| Ok(()))
    }

    /// The same for one that is not empty: `put` puts its messages in, durably, before it has its
    /// name. Where the name leads to others already, it is a mailbox before that.
    pub(super) fn make_with<T>(
        &self,
        directory: &str,
        put: impl FnOnce(&Folders) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let (parent, name) = self.parent(directory)?;
        // It leads to others, or is what somebody left.
        if let Some(inside) = disk::found(parent.subdir(name))? {
            self.fill(&inside, directory)?;
            return put(&Folders::open(&self.roots.of(directory, self.naming))?);
        }
        let tmp = self.mail.subdir("tmp")?;
        let temporary = format!("posthorn.create.{}", name::unique());
        tmp.create_dir(&temporary)?;
        let inside = tmp.subdir(&temporary)?;
        let places = self.roots.of(directory, self.naming).moved(inside.path());
        let made = self.fill(&inside, directory).and_then(|()| put(&Folders::open(&places)?));
        let done = made.inspect_err(|_| {
            // If not now, it is removed as a leftover.
            let _ = leftovers::remove_tree(&tmp, temporary.as_ref());
        })?;
        tmp.rename_new(&temporary, &parent, name)?;
        parent.sync()?;
        Ok(done)
    }

    /// Whether a mailbox lacks the mark that its layout has for mailboxes.
    pub(super) fn lacks_mark(&self, directory: &str) -> Result<bool, StoreError> {
        if self.naming.layout() != Layout::MaildirPlusPlus {
            return Ok(false);
        }
        Ok(disk::found(descend(&self.mail, directory)?.stat(MARK))?.is_none())
    }

    /// Marks a mailbox as one.
    pub(super) fn mark(&self, directory: &str) -> Result<(), StoreError> {
        Ok(descend(&self.mail, directory)?.replace(MARK, b"")?)
    }

    /// What programs that died left of mailboxes that they made or removed. The caller holds the
    /// lock of those who do.
    pub(super) fn leftovers(&self) -> Result<Vec<String>, StoreError> {
        let Some(tmp) = disk::found(self.mail.subdir("tmp"))? else { return Ok(Vec::new()) };
        let names = directories(&tmp)?.into_iter().filter_map(|name| name.into_string().ok());
        let is_unfinished = |name: &String| UNFINISHED.iter().any(|start| name.starts_with(start));
        Ok(names.filter(is_unfinished).collect())
    }

    /// Removes one of them.
    pub(super) fn remove_leftover(&self, name: &str) -> Result<(), StoreError> {
        leftovers::remove_tree(&self.mail.subdir("tmp")?, name.as_ref())
    }

    /// Removes a mailbox; those below it stay.
    pub(super) fn remove(&self, directory: &str) -> Result<(), StoreError> {
        let (parent, name) = self.parent(directory)?;
        let inside = parent.subdir(name)?;
        let tmp = self.mail.subdir("tmp")?;
        let temporary = format!("posthorn.delete.{}", name::unique());
        if self.naming.layout() == Layout::Fs && !below(&inside)?.is_empty() {
            empty(&inside, &tmp, &temporary)?;
        } else {
            parent.rename_new(name, &tmp, &temporary)?;
            parent.sync()?;
        }
        tmp.sync()?;
        // It is gone for all who look; what cannot be removed now is removed as a leftover.
        if let Err(error) = leftovers::remove_tree(&tmp, temporary.as_ref()) {
            tracing::warn!(%error, "cannot remove a deleted mailbox");
        }
        self.forget(directory);
        self.prune(directory);
        Ok(())
    }

    /// Removes a directory that leads nowhere.
    pub(super) fn remove_between(&self, directory: &str) -> Result<(), DiskError> {
        let (parent, name) = self.parent(directory)?;
        parent.remove_dir(name)?;
        parent.sync()
    }

    /// Removes the control and index files of a mailbox that is gone.
    pub(super) fn forget(&self, directory: &str) {
        for path in self.roots.of(directory, self.naming).apart() {
            let done = match Dir::open(path) {
                Ok(dir) => clear(&dir).and_then(|()| Ok(dir.sync()?)),
                Err(error) if error.is_missing() => continue,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = done {
                tracing::warn!(%error, "cannot remove the files of a deleted mailbox");
            }
        }
        for root in self.roots.apart() {
            remove_empty(root, Some(directory));
        }
    }

    /// Removes what is above a directory that is gone and leads nowhere any more.
    pub(super) fn prune(&self, directory: &str) {
        let above = directory.rsplit_once('/').map(|(above, _)| above);
        remove_empty(&self.roots.mail, above);
    }

    /// The directory that a mailbox's is in, and how it is called there.
    pub(super) fn parent<'path>(&self, path: &'path str) -> Result<(Dir, &'path str), DiskError> {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        Ok((descend(&self.mail, above)?, name))
    }

    /// Makes a mailbox of a directory.
    fn fill(&self, inside: &Dir, directory: &str) -> Result<(), StoreError> {
        let [tmp, new, cur] = INSIDE;
        inside.create_dir(tmp)?;
        inside.create_dir(new)?;
        if self.naming.layout() == Layout::MaildirPlusPlus {
            inside.replace(MARK, b"")?;
        }
        let places = self.roots.of(directory, self.naming);
        for apart in places.apart() {
            clear(&Dir::open_or_create(apart)?)?;
        }
        let control = match places.control == places.mail {
            true => inside.clone(),
            false => Dir::open(&places.control)?,
        };
        uidlist::UidList::new(uid_validity::next(&self.control()?)?).save(&control)?;
        Ok(inside.create_dir(cur)?)
    }
}

/// A directory below another, however deep.
fn descend(root: &Dir, path: &str) -> Result<Dir, DiskError> {
    let mut levels = path.split('/').filter(|level| !level.is_empty());
    levels.try_fold(root.clone(), |dir, level| dir.subdir(level))
}

fn walk(dir: &Dir, path: &str, depth: usize, found: &mut Vec<Found>) -> Result<(), StoreError> {
    for name in shown(dir, below(dir)?) {
        let inside = match dir.subdir(&name) {
            Ok(inside) => inside,
            Err(error) if is_none(&error) => continue,
            Err(error) => return Err(error.into()),
        };
        let slash = if path.is_empty() { "" } else { "/" };
        let directory = format!("{path}{slash}{name}");
        let role = if has_messages(&inside)? { Role::Mailbox } else { Role::Between };
        match depth.checked_sub(1) {
            Some(depth) => walk(&inside, &directory, depth, found)?,
            None => tracing::warn!(path = %inside.path().display(), "mailboxes too deep to show"),
        }
        found.push(Found { directory, role });
    }
    Ok(())
}

/// In LAYOUT=fs, the directories in a mailbox's that are not its own.
fn below(dir: &Dir) -> Result<Vec<OsString>, StoreError> {
    let mut names = directories(dir)?;
    names.retain(|name| !INSIDE.iter().any(|inside| name == inside));
    Ok(names)
}

/// The names of directories, and of what may be one; also such as are not shown, for nobody may
/// remove them unseen.
fn directories(dir: &Dir) -> Result<Vec<OsString>, StoreError> {
    let mut names = Vec::new();
    for entry in dir.entries()? {
        let entry = entry?;
        if matches!(entry.kind, None | Some(Kind::Directory)) {
            names.push(entry.name);
        }
    }
    Ok(names)
}

/// Those that are UTF-8.
fn shown(dir: &Dir, names: Vec<OsString>) -> impl Iterator<Item = String> {
    names.into_iter().filter_map(|name| {
        let not_shown = |name: OsString| {
            let path = dir.path().join(name);
            tracing::warn!(path = %path.display(), "a directory's name is not UTF-8; not shown");
        };
        name.into_string().map_err(not_shown).ok()
    })
}

fn has_messages(inside: &Dir) -> Result<bool, StoreError> {
    let cur = disk::found(inside.stat("cur"))?;
    Ok(cur.is_some_and(|stat| stat.kind == Kind::Directory))
}

/// Moves all that is a mailbox's own away, so that others can stay below it.
fn empty(inside: &Dir, tmp: &Dir, temporary: &str) -> Result<(), StoreError> {
    tmp.create_dir(temporary)?;
    let gone = tmp.subdir(temporary)?;
    inside.rename_new("cur", &gone, "cur")?;
    inside.sync()?;
    let others = below(inside)?;
    for entry in inside.entries()? {
        let name = entry?.name;
        if !others.contains(&name) {
            inside.rename_new(&name, &gone, &name)?;
        }
    }
    Ok(inside.sync()?)
}

/// Removes the files in a directory.
fn clear(dir: &Dir) -> Result<(), StoreError> {
    for entry in dir.entries()? {
        let name = entry?.name;
        if dir.stat(&name)?.kind != Kind::Directory {
            dir.unlink(&name)?;
        }
    }
    Ok(())
}

/// Removes a directory and those above it, up to the root, as far as they are empty. One that a
/// crash brings back leads nowhere still.
fn remove_empty(root: &Path, directory: Option<&str>) {
    let Ok(root) = Dir::open(root) else { return };
    let mut path = directory;
    while let Some(directory) = path {
        let (above, name) = directory.rsplit_once('/').unwrap_or(("", directory));
        let removed = descend(&root, above).and_then(|dir| dir.remove_dir(name));
        if removed.is_err_and(|error| !error.is_missing()) {
            return;
        }
        path = (!above.is_empty()).then_some(above);
    }
}

/// No such name, or no directory, or a link.
fn is_none(error: &DiskError) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory};
    error.is_missing() || matches!(error.kind(), InvalidFilename | NotADirectory)
}
