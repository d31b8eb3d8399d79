//! Where a user's mail is, and how it is made for one who has none.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::super::StoreError;
use super::super::places::Places;
use super::Directory;
use super::tree::INSIDE;
use crate::auth::User;
use crate::config::{Mail, PathTemplate};
use crate::disk::Dir;

/// A user's directories.
pub(super) fn roots(user: &User, mail: &Mail) -> Result<Places, StoreError> {
    let path = |template: &Option<PathTemplate>| match template {
        None => Ok(user.home().to_owned()),
        Some(template) => {
            let path = template.path(user.address());
            path.ok_or_else(|| StoreError::Address(user.address().to_string()))
        }
    };
    let (control, index) = (path(&mail.control)?, path(&mail.index)?);
    Ok(Places { mail: user.home().to_owned(), control, index })
}

/// Whose a user's mail is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The user of the system.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Whether there are mailboxes at all.
    pub has_mail: bool,
}

/// Whose the nearest directory is that exists.
pub(super) fn owner(user: &User) -> Result<Owner, StoreError> {
    let has_mail = !is_missing(&user.home().join("cur"))?;
    for path in user.home().ancestors() {
        match std::fs::metadata(path) {
            Ok(found) => return Ok(Owner { uid: found.uid(), gid: found.gid(), has_mail }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::system(path.to_owned(), error)),
        }
    }
    Err(StoreError::system(user.home().to_owned(), io::ErrorKind::NotFound.into()))
}

/// Makes INBOX and the special mailboxes of a user who has none.
pub(super) fn make(directory: &Directory, user: &User, mail: &Mail) -> Result<(), StoreError> {
    for (template, path) in
        [(&mail.control, &directory.roots.control), (&mail.index, &directory.roots.index)]
    {
        if let Some(template) = template
            && is_missing(path)?
        {
            must_exist(&root(template, user, path))?;
        }
    }
    let home = user.home();
    if !is_missing(&home.join("cur"))? {
        return Ok(());
    }
    must_exist(&root(&mail.path, user, home))?;
    Dir::open_or_create(home)?;
    make_mailboxes(directory)
}

/// `cur` comes last: without it, all is tried again.
fn make_mailboxes(directory: &Directory) -> Result<(), StoreError> {
    let tree = directory.tree()?;
    let _lock = directory.lock(&tree)?;
    if tree.mail.stat("cur").is_ok() {
        return Ok(());
    }
    tree.mail.create_dir("tmp")?;
    let mut entries = Vec::new();
    for (special, _) in Directory::SPECIAL {
        let name = directory.naming.prefixed(special);
        let inside = directory.new_directory(&name)?;
        if directory.find(&tree, &name)?.is_none() {
            tree.make(&inside)?;
        }
        entries.push(directory.entry(&inside));
    }
    directory.change_subscriptions(&tree, &entries, true)?;
    for inside in INSIDE {
        tree.mail.create_dir(inside)?;
    }
    Ok(())
}

/// The directory that is there if the site's disk is: what the paths of all users have in common.
fn root(template: &PathTemplate, user: &User, path: &Path) -> PathBuf {
    let other = "posthorn@root.invalid".parse().ok().and_then(|other| template.path(&other));
    let common = other.map(|other| common(path, &other)).unwrap_or_default();
    // A home of its own in the user database: the directory that it is in.
    let own = template.path(user.address()).is_none_or(|expected| expected != path);
    if own || common.parent().is_none() {
        return path.parent().map(Path::to_owned).unwrap_or_default();
    }
    common
}

fn common(one: &Path, other: &Path) -> PathBuf {
    let both = one.components().zip(other.components());
    both.take_while(|(one, other)| one == other).map(|(one, _)| one).collect()
}

fn is_missing(path: &Path) -> Result<bool, StoreError> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(StoreError::system(path.to_owned(), error)),
    }
}

fn must_exist(root: &Path) -> Result<(), StoreError> {
    match std::fs::metadata(root) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(StoreError::system(root.to_owned(), io::ErrorKind::NotADirectory.into())),
        Err(error) => Err(StoreError::system(root.to_owned(), error)),
    }
}
