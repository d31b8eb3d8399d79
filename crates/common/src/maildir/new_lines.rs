//! Lines that are appended to the UID list.

use mail_proto::mailbox::Uid;

use super::StoreError;
use super::uidlist::{FILE, Line, distrust, place};
use crate::disk::{AppendFile, Dir, Lasting};

/// Lines for new messages, to be appended in one piece.
#[derive(Debug, Default)]
pub(super) struct NewLines {
    text: String,
    starts: Vec<usize>,
}

/// Lines at the end of the file, which may not last yet.
#[derive(Debug)]
pub(super) struct AddedLines {
    file: AppendFile,
    /// The file's length before.
    length: u64,
    /// Where each line begins.
    starts: Vec<u32>,
}

impl NewLines {
    /// Octets of all.
    pub(super) fn length(&self) -> u64 {
        self.text.len() as u64
    }

    /// Adds a line.
    pub(super) fn push(&mut self, uid: Uid, base: &str) {
        self.starts.push(self.text.len());
        Line { uid, keys: "", base }.write(&mut self.text);
    }

    /// Appends them to the file, which is whole, and makes them last if that is wanted. Returns
    /// where each begins.
    pub(super) fn save(&self, dir: &Dir, lasting: Lasting) -> Result<Vec<u32>, StoreError> {
        let added = self.add(dir)?;
        match lasting {
            Lasting::Yes => added.last(),
            Lasting::No => Ok(added.starts),
        }
    }

    /// Appends them to the file, which is whole.
    pub(super) fn add(&self, dir: &Dir) -> Result<AddedLines, StoreError> {
        let file = dir.append(FILE)?;
        let length = file.length()?;
        let end = usize::try_from(length).unwrap_or(usize::MAX);
        let starts: Result<Vec<u32>, StoreError> =
            self.starts.iter().map(|start| place(dir, end.saturating_add(*start))).collect();
        let mut added = AddedLines { file, length, starts: starts? };
        let done = added.file.add(self.text.as_bytes(), length, Lasting::No);
        done.map_err(|not_added| not_added.error)?;
        Ok(added)
    }
}

impl AddedLines {
    /// Makes them last; they are gone if that fails, and those before them may be. Returns where
    /// each begins.
    pub(super) fn last(mut self) -> Result<Vec<u32>, StoreError> {
        match self.file.sync() {
            Ok(()) => Ok(self.starts),
            Err(error) => {
                self.withdraw();
                // Without room the list cannot be written anew either.
                let list = self.file.stat().ok().filter(|_| !error.is_full());
                list.into_iter().for_each(distrust);
                Err(error.into())
            }
        }
    }

    /// Takes them away again.
    ///
    /// Half a line would spoil the next one, and a whole one that is not on the disk would be
    /// shown to clients. Where even this fails, the next reader sees a line without an end, or one
    /// that a power cut may take back.
    pub(super) fn withdraw(&mut self) {
        let _ = self.file.cut(self.length);
    }
}
