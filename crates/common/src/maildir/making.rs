//! The index is made from the files of a mailbox: when we look at it for the first time, or the
//! index is lost.
//!
//! A mailbox that we never had is taken over: what another server knew of it that its files' names
//! do not say is read once, and written down where it is kept from then on. That `posthorn.keywords`
//! is there says that this was done.

use mail_proto::mailbox::{Flags, Uid};

use super::flags::Marking;
use super::held::Held;
use super::import;
use super::index::{self, Change, Fact, Head, Index, Marks, Tail};
use super::join;
use super::keywords::Keywords;
use super::known::IndexFiles;
use super::more_keywords::Lasts;
use super::scan::Place;
use super::settle::Settling;
use super::{StoreError, more, tail};

/// Makes the index. What a process knew before it lost the index is kept.
pub(super) fn make(
    settling: Settling,
    held: &mut Held<'_>,
    letters: Vec<Change>,
) -> Result<(), StoreError> {
    let old = held.known.index.take();
    let uid_validity = settling.seen.list.as_ref().map_or(0, |list| list.uid_validity);
    let other = match (&old, settling.seen.now.more_keywords) {
        (None, None) => other_server(held, uid_validity)?,
        _ => None,
    };
    let seen = old.as_ref().map_or(0, |old| old.head.modseq);
    let seen = seen.max(other.as_ref().map_or(0, import::Known::highest_modseq));
    let mut making = Making {
        settling,
        uid_validity,
        modseq: index::next_modseq(seen),
        messages: Vec::new(),
        names: Vec::new(),
        renamed: Vec::new(),
    };
    making.read();
    if let Some(other) = &other {
        making.take_over(other, held)?;
    }
    making.name(held, letters)?;
    let renamed = making.finish(held, old.as_ref())?;
    rename(held, &renamed)
}

/// What another server knew of a mailbox that we never had.
fn other_server(held: &Held<'_>, uid_validity: u32) -> Result<Option<import::Known>, StoreError> {
    let mail = Dir::open(held.mailbox.path())?;
    Ok(import::known(&held.folders.index, &mail, uid_validity))
}

/// An index that is being made.
#[derive(Debug)]
struct Making {
    settling: Settling,
    uid_validity: u32,
    modseq: u64,
    messages: Vec<(Uid, Flags, Fact, Tail)>,
    /// The names of keywords' bits.
    names: Vec<String>,
    /// Messages whose names do not say yet what another server knew.
    renamed: Vec<(Uid, Flags)>,
}

impl Making {
    /// Reads the names of all files.
    fn read(&mut self) {
        let (listing, modseq) = (&self.settling.seen.listing, self.modseq);
        let message = |row: &join::Row| {
            let line = row.line.unwrap_or_default();
            let (flags, mut fact, tail) = join::read(listing, row.file, line);
            fact.modseq = modseq;
            (row.uid, flags, fact, tail)
        };
        self.messages = self.settling.joined.rows.iter().map(message).collect();
    }

    /// Takes over what another server knew.
    fn take_over(&mut self, other: &import::Known, held: &mut Held<'_>) -> Result<(), StoreError> {
        let control = held.folders.control.clone();
        let bits = self.bits(other, held)?;
        let mut more = Vec::new();
        let rows = self.settling.joined.rows.iter();
        for (row, (uid, named, ..)) in rows.zip(&self.messages) {
            let (_, file) = self.settling.seen.listing.file(row.file);
            let flags = other.flags(*uid, name::base(file), *named, &bits);
            let letters = Flags { keywords: flags.keywords & tail::LETTERS, ..flags };
            if letters != *named {
                self.renamed.push((*uid, flags));
            }
            if flags.keywords & !tail::LETTERS != 0 {
                more.push((*uid, flags.keywords & !tail::LETTERS));
            }
        }
        let kept = held.more(self.uid_validity)?;
        kept.set(&control, &more, Lasts::Now)?;
        kept.save(&control)?;
        held.wrote_more()
    }

    /// The bits of another server's keywords, by its numbers.
    fn bits(&mut self, other: &import::Known, held: &mut Held<'_>) -> Result<Vec<u64>, StoreError> {
        let control = held.folders.control.clone();
        let used = self.messages.iter().fold(0, |used, (_, flags, ..)| used | flags.keywords);
        let mut letters = Keywords::read(&control)?;
        let known = letters.clone();
        let mut bits = Vec::new();
        for (number, keyword) in other.keywords() {
            let letter = match other {
                import::Known::Dovecot(_) => letters.letter(keyword),
                import::Known::Courier(_) => letters.add_all(&[keyword], used).0.first().copied(),
            };
            let bit = match letter {
                Some(letter) => Some(letter),
                None => held.more(self.uid_validity)?.add(&control, keyword)?,
            };
            held.wrote_more()?;
            bits.resize(bits.len().max(number + 1), 0);
            if let (Some(place), Some(bit)) = (bits.get_mut(number), bit) {
                *place = 1 << bit;
            }
        }
        if letters != known {
            held.lock.dotlock()?;
            letters.save(&control)?;
            self.settling.seen.now.keywords = keywords::stat(&control)?;
            let names = letters.changes(&[], 0);
            self.named(names);
        }
        Ok(bits)
    }

    /// Names the bits, and gives messages those that are not in names of files.
    fn name(&mut self, held: &mut Held<'_>, letters: Vec<Change>) -> Result<(), StoreError> {
        let more = held.more(self.uid_validity)?;
        for (uid, flags, ..) in &mut self.messages {
            *flags = more::with(more, *uid, *flags);
        }
        let names = more::names(more, &[]);
        let earlier = std::mem::take(&mut self.names);
        self.named(names);
        self.named(letters);
        self.settling.seen.now.more_keywords = more::stat(&held.folders.control)?;
        Ok(())
    }

    fn named(&mut self, names: impl IntoIterator<Item = Change>) {
        for name in names {
            let Change::Keyword(bit, name) = name else { continue };
            let bit = usize::from(bit);
            self.names.resize(self.names.len().max(bit + 1), String::new());
            if let Some(place) = self.names.get_mut(bit) {
                *place = name;
            }
        }
    }

    /// Makes it known, and writes it.
    fn finish(
        self,
        held: &mut Held<'_>,
        old: Option<&Index>,
    ) -> Result<Vec<(Uid, Flags)>, StoreError> {
        let head = self.head(held, old);
        held.known.index = Some(Index::new(head, self.messages.into_iter()));
        if let Err(error) = held.checkpoint() {
            held.known.trust = IndexFiles::Lost;
            held.warn(&error, "cannot write the index");
        }
        Ok(self.renamed)
    }

    fn head(&self, held: &Held<'_>, old: Option<&Index>) -> Head {
        let given = self.messages.last().map_or(0, |(uid, ..)| uid + 1);
        let shown = old.map_or(0, |old| old.head.uid_next.max(old.head.reserved));
        let uid_next = self.settling.uid_next(held).max(given).max(shown);
        let first_new = self.messages.iter().find(|(.., tail)| tail::place(tail) == Place::New);
        let now = &self.settling.seen.now;
        Head {
            uid_validity: self.uid_validity,
            uid_next,
            reserved: uid_next,
            modseq: self.modseq,
            recent_from: match old {
                Some(old) => old.head.recent_from,
                None => first_new.map_or(uid_next, |(uid, ..)| *uid),
            },
            keywords: self.names.clone(),
            marks: Marks { looks: now.looks.filter(|_| !self.settling.waiting), ..*now },
            in_new: Vec::new(),
            boot: index::boot(),
        }
    }
}

/// Lets names say what another server knew: from now on they count.
fn rename(held: &mut Held<'_>, renamed: &[(Uid, Flags)]) -> Result<(), StoreError> {
    if renamed.is_empty() {
        return Ok(());
    }
    let mut marking = Marking::begin(held)?;
    let done = renamed.iter().try_for_each(|(uid, flags)| {
        marking.mark(held, *uid, |_, old| (*flags, tail::with_flags(old, *flags)))
    });
    marking.end(held).and(done)
}
