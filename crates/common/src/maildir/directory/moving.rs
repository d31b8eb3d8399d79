//! Mailboxes are renamed.
//!
//! One directory is one rename. Where control or index files are apart, no rename takes all
//! directories along at once, and a mailbox without its UID list would get new UIDs. So these files
//! have both places for a while: they are linked to the new one, then the messages are renamed,
//! then the old ones go. Killed in between, the messages find their UID list wherever they are. All
//! that time the mailboxes are locked: a list that is written anew would be so at one place only.

use std::sync::Arc;

use super::super::lock::Lock;
use super::super::mailbox::Mailbox;
use super::super::naming::INBOX;
use super::super::places::Places;
use super::super::scan::Folders;
use super::super::{StoreError, dotlock, uidlist};
use super::Directory;
use super::tree::{Role, Tree};
use crate::config::Layout;
use crate::disk::{self, Dir, Kind};

/// A directory that gets another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) role: Role,
}

impl Directory {
    /// What is to be renamed, those below others first.
    pub(super) fn moves(
        &self,
        tree: &Tree<'_>,
        from: &str,
        to: &str,
    ) -> Result<Vec<Move>, StoreError> {
        let moves = match self.naming.layout() {
            Layout::MaildirPlusPlus => self.moves_beside(tree, from, to)?,
            Layout::Fs => self.moves_inside(tree, from, to)?,
        };
        match moves.is_empty() {
            true => Err(StoreError::NoSuchMailbox(from.to_owned())),
            false => Ok(moves),
        }
    }

    fn moves_beside(&self, tree: &Tree<'_>, from: &str, to: &str) -> Result<Vec<Move>, StoreError> {
        let mut moves = Vec::new();
        for (name, found) in self.all(tree)?.into_iter().rev() {
            if name != from && !self.naming.is_below(&name, from) {
                continue;
            }
            let target = format!("{to}{}", name.strip_prefix(from).unwrap_or_default());
            if self.find(tree, &target)?.is_some() {
                return Err(StoreError::AlreadyExists(target));
            }
            let to = self.naming.directory(&target);
            let to = to.ok_or(StoreError::Cannot(target))?;
            moves.push(Move { from: found.directory, to, role: found.role });
        }
        Ok(moves)
    }

    /// What is below comes along as it is spelt.
    fn moves_inside(&self, tree: &Tree<'_>, from: &str, to: &str) -> Result<Vec<Move>, StoreError> {
        let mut all = self.all(tree)?;
        let top = match all.get(from) {
            Some(found) => found.directory.clone(),
            None => return Ok(Vec::new()),
        };
        let into = self.new_directory(to)?;
        if all.remove(to).is_some_and(|found| tree.remove_between(&found.directory).is_err()) {
            return Err(StoreError::AlreadyExists(to.to_owned()));
        }
        let mut moves = Vec::new();
        for found in tree.all()? {
            let rest = found.directory.strip_prefix(&top);
            let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with('/')) else {
                continue;
            };
            let to = format!("{into}{rest}");
            if self.naming.is_too_long(&to) {
                return Err(StoreError::Cannot(to));
            }
            moves.push(Move { from: found.directory, to, role: found.role });
        }
        moves.sort_by(|one, other| other.from.cmp(&one.from));
        Ok(moves)
    }

    /// RFC 9051, 6.3.6: renaming INBOX moves its messages; INBOX stays, and so does what is below.
    pub(super) fn move_inbox(&self, tree: &Tree<'_>, to: &str) -> Result<(), StoreError> {
        self.make_parents(tree, to)?;
        let directory = self.new_directory(to)?;
        let inbox = self.inbox();
        let mut held = inbox.hold()?;
        let both = tree.make_with(&directory, |target| held.link_all(target))?;
        held.leave_to(both)
    }

    /// Does the rest where INBOX was to be renamed to that mailbox, and somebody was killed. Whether
    /// there is any.
    pub(super) fn finish_inbox(
        &self,
        tree: &Tree<'_>,
        directory: &str,
    ) -> Result<bool, StoreError> {
        let target = Folders::open(&self.roots.of(directory, &self.naming))?;
        let inbox = self.inbox();
        let mut held = inbox.hold()?;
        let both = held.in_both(&target)?;
        if both.is_empty() {
            return Ok(false);
        }
        // It has its name, but perhaps not for long.
        tree.parent(directory)?.0.sync()?;
        held.leave_to(both)?;
        Ok(true)
    }

    fn inbox(&self) -> Arc<Mailbox> {
        Mailbox::of(INBOX, &self.roots.of("", &self.naming), &self.roots.control)
    }
}

impl Tree<'_> {
    /// Renames directories, those below others first: killed in between, the first one is still
    /// there, and the same command does the rest. In LAYOUT=fs the last one takes along what is
    /// below it. Nothing has the new names, and what is above them is there.
    pub(super) fn rename(&self, moves: &[Move]) -> Result<(), StoreError> {
        match (self.naming.layout(), moves.last()) {
            (_, None) => Ok(()),
            (Layout::Fs, Some(top)) => self.rename_together(moves, top),
            (Layout::MaildirPlusPlus, Some(_)) => moves
                .iter()
                .try_for_each(|one| self.rename_together(std::slice::from_ref(one), one)),
        }
    }

    /// Renames `top`, and the control and index files of all mailboxes that go with it.
    fn rename_together(&self, moves: &[Move], top: &Move) -> Result<(), StoreError> {
        let mailboxes = moves.iter().filter(|one| one.role == Role::Mailbox);
        let apart: Vec<(Places, Places)> = mailboxes
            .map(|one| (self.roots.of(&one.from, self.naming), self.roots.of(&one.to, self.naming)))
            .filter(|(from, _)| from.are_apart())
            .collect();
        let mut locks = Vec::with_capacity(apart.len());
        for (from, to) in &apart {
            let mut lock = Lock::take(&Folders::open(from)?)?;
            lock.dotlock()?;
            locks.push(lock);
            for (from, to) in from.apart().zip(to.apart()) {
                link_all(&Dir::open(from)?, &Dir::open_or_create(to)?)?;
            }
        }
        let ((from, name), (to, new_name)) = (self.parent(&top.from)?, self.parent(&top.to)?);
        from.rename_new(name, &to, new_name)?;
        to.sync()?;
        from.sync()?;
        drop(locks);
        for one in moves.iter().filter(|one| one.role == Role::Mailbox) {
            self.forget(&one.from);
        }
        self.prune(&top.from);
        Ok(())
    }
}

/// Gives all files of a directory a name in another one too, durably. What is there is of an
/// attempt that was killed, or of a mailbox that is gone.
fn link_all(from: &Dir, to: &Dir) -> Result<(), StoreError> {
    let dotlock = dotlock::name(uidlist::FILE);
    for entry in from.entries()? {
        let name = entry?.name;
        let passing =
            name.to_str().is_some_and(|name| name == dotlock || name.ends_with(Dir::TEMPORARY));
        if passing || from.stat(&name)?.kind != Kind::File {
            continue;
        }
        disk::found(to.unlink(&name))?;
        from.link(&name, to, &name)?;
    }
    Ok(to.sync()?)
}
