//! Files are joined with UIDs, by the hashes of their identities. No file is touched here.

use mail_proto::mailbox::{Flags, Messages, Uid};

use super::index::{Change, Fact, Index};
use super::listing::Listing;
use super::tail::Tail;
use super::uidlist::UidList;

/// A message's line in the UID list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Numbered {
    /// Of its identity.
    pub(super) hash: u64,
    pub(super) uid: Uid,
    pub(super) line: u32,
}

/// What is known of UIDs before files are joined with them.
#[derive(Debug)]
pub(super) struct Before<'known> {
    /// What messages we know, in order of hash; `None` where that was not read.
    pub(super) known: Option<&'known [Numbered]>,
    /// Messages that are known at all.
    pub(super) messages: &'known Messages,
    /// UIDs below this one may have been shown.
    pub(super) shown_below: Uid,
    /// The UID list, if it changed.
    pub(super) list: Option<&'known UidList>,
}

/// A file that has a UID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) uid: Uid,
    /// Where its line is; `None`: it has none.
    pub(super) line: Option<u32>,
    /// Its number in the listing.
    pub(super) file: usize,
}

/// The files that have UIDs, in order of UID, and those that have none.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Joined {
    pub(super) rows: Vec<Row>,
    pub(super) newcomers: Vec<usize>,
}

/// Joins all files of a mailbox with UIDs.
pub(super) fn join(listing: &Listing, before: &Before<'_>) -> Joined {
    let listed = before.list.map(lines);
    let (mut known, mut lines) =
        (before.known.unwrap_or_default().iter().peekable(), listed.iter().flatten().peekable());
    let mut joined = Joined::default();
    for file in 0..listing.len() {
        let hash = listing.hash(file);
        while known.next_if(|known| known.hash < hash).is_some() {}
        while lines.next_if(|line| line.hash < hash).is_some() {}
        let known = known.next_if(|known| known.hash == hash).copied();
        // Of two lines for one identity, the later one counts.
        let mut line = None;
        while let Some(later) = lines.next_if(|line| line.hash == hash) {
            line = Some(*later);
        }
        match before.choose(known, line) {
            Some((uid, line)) => joined.rows.push(Row { uid, line, file }),
            None => joined.newcomers.push(file),
        }
    }
    joined.rows.sort_unstable_by_key(|row| row.uid);
    joined
}

/// Whether all these have files.
pub(super) fn are_all_in(expected: &[Numbered], listing: &Listing) -> bool {
    let mut file = 0;
    expected.iter().all(|expected| {
        while file < listing.len() && listing.hash(file) < expected.hash {
            file += 1;
        }
        file < listing.len() && listing.hash(file) == expected.hash
    })
}

/// The lines of a list, in order of hash.
pub(super) fn lines(list: &UidList) -> Vec<Numbered> {
    let numbered = list.records.iter().map(|record| Numbered {
        hash: record.hash,
        uid: record.uid,
        line: record.line,
    });
    let mut lines: Vec<Numbered> = numbered.collect();
    lines.sort_unstable();
    lines
}

impl Before<'_> {
    /// The UID of a file, and where its line is.
    fn choose(
        &self,
        known: Option<Numbered>,
        line: Option<Numbered>,
    ) -> Option<(Uid, Option<u32>)> {
        let Some(list) = self.list else {
            return known.map(|known| (known.uid, Some(known.line)));
        };
        if let Some(line) = line {
            let is_same = match (self.known, known) {
                (Some(_), known) => known.is_some_and(|known| known.uid == line.uid),
                (None, _) => self.messages.position(line.uid).is_ok(),
            };
            if line.uid >= self.shown_below || is_same {
                return Some((line.uid, Some(line.line)));
            }
        }
        // Nobody else may have got its UID meanwhile.
        known.filter(|known| list.record(known.uid).is_none()).map(|known| (known.uid, None))
    }
}

/// A message as its file says it.
pub(super) fn read(listing: &Listing, file: usize, line: u32) -> (Flags, Fact, Tail) {
    let (place, name) = listing.file(file);
    let (flags, tail) = Tail::of(place, name);
    (flags, Fact::named(listing.hash(file), line, name), tail)
}

/// What rows, with lines, say that the index, whose facts were read, does not know. Keywords that
/// are not in names stay.
pub(super) fn changes(index: &Index, rows: &[Row], listing: &Listing) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut rows = rows.iter().peekable();
    for (entry, old) in index.facts() {
        let Some(row) = rows.next_if(|row| row.uid == entry.uid) else {
            changes.push(Change::Gone(entry.uid));
            continue;
        };
        let (place, name) = listing.file(row.file);
        let (flags, tail) = Tail::of_message(place, name, entry.flags);
        if flags != entry.flags || tail != index.tail(old) {
            changes.push(Change::Flagged { uid: row.uid, flags, tail });
        }
    }
    for row in rows {
        let (flags, fact, tail) = read(listing, row.file, row.line.unwrap_or_default());
        changes.push(Change::Added { uid: row.uid, flags, fact, tail });
    }
    changes
}

/// What changed in `new`, and the files there that have no UID.
pub(super) type InNew = (Vec<Change>, Vec<usize>);

/// The same for files in `new` alone; `None` where messages are missing from it.
pub(super) fn join_new(
    index: &Index,
    facts: impl Iterator<Item = (Uid, Fact)>,
    listing: &Listing,
) -> Option<InNew> {
    let mut changes = Vec::new();
    let mut is_known = vec![false; listing.len()];
    for (uid, fact) in facts {
        let file = listing.find(fact.hash)?;
        *is_known.get_mut(file)? = true;
        let (place, name) = listing.file(file);
        let old = index.messages.position(uid).ok().and_then(|at| index.messages.get(at))?.flags;
        let (flags, tail) = Tail::of_message(place, name, old);
        if flags != old || tail != index.tail(&fact) {
            changes.push(Change::Flagged { uid, flags, tail });
        }
    }
    let newcomers = is_known.iter().enumerate().filter(|(_, known)| !**known);
    Some((changes, newcomers.map(|(file, _)| file).collect()))
}
