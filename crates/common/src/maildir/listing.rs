//! The names that were found in `new` and `cur`.
//!
//! A mailbox may hold a million messages, so names are in one piece of text, and what joins them
//! with UIDs is the hash of the identity.

use super::name;
use super::scan::{MessageFile, Place};

/// The files of a mailbox, in order of the hashes of their identities; each identity once.
#[derive(Debug, Default)]
pub(super) struct Listing {
    text: String,
    files: Vec<File>,
}

/// One file: its name's place in the text.
#[derive(Debug, Clone, Copy)]
struct File {
    hash: u64,
    start: usize,
    length: u16,
    place: Place,
}

impl Listing {
    /// Adds a file; afterwards [`settle`](Self::settle) is due.
    pub(super) fn push(&mut self, place: Place, name: &str) {
        // The system allows no longer names than 255 octets.
        let Ok(length) = u16::try_from(name.len()) else { return };
        let hash = name::hash(name::base(name));
        self.files.push(File { hash, start: self.text.len(), length, place });
        self.text.push_str(name);
    }

    /// Puts the files in order. Of two with one identity, `part` says what becomes of them.
    pub(super) fn settle<E>(
        &mut self,
        part: impl Fn(&MessageFile, &MessageFile) -> Result<Parted, E>,
    ) -> Result<(), E> {
        let mut separate = Vec::new();
        self.files.sort_by_key(|file| (file.hash, file.place));
        let mut settled: Vec<File> = Vec::with_capacity(self.files.len());
        for file in &self.files {
            let Some(last) = settled.last_mut().filter(|last| last.hash == file.hash) else {
                settled.push(*file);
                continue;
            };
            let (one, other) = (self.located(last), self.located(file));
            if one == other {
                continue;
            }
            match part(&one, &other)? {
                Parted::First => {}
                Parted::Second => *last = *file,
                Parted::Both(other) => separate.push(other),
            }
        }
        self.files = settled;
        for located in &separate {
            self.push(located.place, &located.name);
        }
        if !separate.is_empty() {
            self.files.sort_by_key(|file| file.hash);
        }
        Ok(())
    }

    /// Adds those of an earlier listing whose identity is not in this one.
    pub(super) fn add_missing(&mut self, earlier: &Self) {
        let missing: Vec<usize> =
            (0..earlier.len()).filter(|n| self.find(earlier.hash(*n)).is_none()).collect();
        for number in missing {
            let (place, name) = earlier.file(number);
            self.push(place, name);
        }
        self.files.sort_by_key(|file| file.hash);
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// The number of the file with this identity.
    pub(super) fn find(&self, hash: u64) -> Option<usize> {
        self.files.binary_search_by_key(&hash, |file| file.hash).ok()
    }

    /// The hash of a file's identity.
    pub(super) fn hash(&self, number: usize) -> u64 {
        self.files.get(number).map_or(0, |file| file.hash)
    }

    /// Where a file is, and its name.
    pub(super) fn file(&self, number: usize) -> (Place, &str) {
        self.files.get(number).map_or((Place::New, ""), |file| (file.place, self.name(file)))
    }

    fn name(&self, file: &File) -> &str {
        self.text.get(file.start..file.start + usize::from(file.length)).unwrap_or_default()
    }

    fn located(&self, file: &File) -> MessageFile {
        MessageFile { place: file.place, name: self.name(file).to_owned() }
    }
}

/// What becomes of two files with one identity.
#[derive(Debug)]
pub(super) enum Parted {
    /// The first is the message.
    First,
    /// The second is the message.
    Second,
    /// They are two messages: the second has an identity of its own now.
    Both(MessageFile),
}
