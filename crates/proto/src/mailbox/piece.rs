//! A piece of a mailbox's messages, in columns.
//!
//! First the UIDs, four octets each, little-endian and rising; then an octet for each one's system
//! flags; then, where any of them has one, eight octets for each one's keywords. That is five
//! octets a message for most, and just how the index keeps them on the disk: what is read from
//! there is checked and then used where it lies. So pieces may lie in octets that they share with
//! others; one that changes becomes a copy with octets of its own. What was read stays until the
//! last piece of it has changed: that is at worst five octets a message more.

use std::sync::Arc;

use super::{Entry, Flags, Uid};

/// Messages in order of UID: at least one, at most [`Piece::FULL`]. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Piece {
    /// The columns are a part of these.
    octets: Arc<Vec<u8>>,
    start: usize,
    count: usize,
    form: Form,
}

/// Which columns there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// UIDs and system flags: no message has a keyword.
    Plain,
    /// Keywords besides.
    Keywords,
}

/// The columns of a piece, at hand.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Columns<'a> {
    uids: &'a [[u8; 4]],
    system: &'a [u8],
    keywords: &'a [[u8; 8]],
}

/// A piece that grows.
#[derive(Debug, Default)]
pub(super) struct Growing {
    uids: Vec<u8>,
    system: Vec<u8>,
    /// Empty, as long as no message has any.
    keywords: Vec<u8>,
}

impl Piece {
    /// Messages of a full one.
    pub const FULL: usize = 1024;

    /// The piece of so many messages that begins at `start`; `None` if those octets are none.
    #[must_use]
    pub fn within(octets: &Arc<Vec<u8>>, start: usize, count: usize, form: Form) -> Option<Self> {
        let piece = Self { octets: Arc::clone(octets), start, count, form };
        let columns = piece.columns();
        let whole = (1..=Self::FULL).contains(&count) && columns.uids.len() == count;
        (whole && columns.rise()).then_some(piece)
    }

    /// How many octets so many messages take.
    #[must_use]
    pub fn size(count: usize, form: Form) -> usize {
        match form {
            Form::Plain => 5 * count,
            Form::Keywords => 13 * count,
        }
    }

    /// How many messages: never 0.
    #[allow(clippy::len_without_is_empty, reason = "none is empty")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Which columns it has.
    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }

    /// The columns, one behind the other.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        let rest = self.octets.get(self.start..).unwrap_or_default();
        rest.get(..Self::size(self.count, self.form)).unwrap_or_default()
    }

    /// The first message.
    #[must_use]
    pub fn first(&self) -> Option<Entry> {
        self.columns().get(0)
    }

    /// The last message.
    #[must_use]
    pub fn last(&self) -> Option<Entry> {
        self.columns().get(self.count - 1)
    }

    /// Whether both are one piece and not only alike.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.octets, &other.octets) && self.start == other.start
    }

    /// All, in order of UID.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = Entry> + Clone + use<'_> {
        let columns = self.columns();
        (0..self.count).filter_map(move |at| columns.get(at))
    }

    pub(super) fn columns(&self) -> Columns<'_> {
        let (uids, rest) = self.octets().split_at_checked(4 * self.count).unwrap_or_default();
        let (system, keywords) = rest.split_at_checked(self.count).unwrap_or_default();
        Columns { uids: uids.as_chunks().0, system, keywords: keywords.as_chunks().0 }
    }

    /// Gives the message at a position other flags.
    pub(super) fn set_flags(&mut self, at: usize, flags: Flags) {
        let Some(old) = self.columns().get(at).map(|entry| entry.flags) else { return };
        if old.keywords == flags.keywords {
            self.set_system(at, flags.system);
            return;
        }
        let mut growing = Growing::default();
        for (position, entry) in self.iter().enumerate() {
            growing.push(if position == at { Entry { flags, ..entry } } else { entry });
        }
        if let Some(piece) = growing.take() {
            *self = piece;
        }
    }

    fn set_system(&mut self, at: usize, system: u8) {
        if Arc::get_mut(&mut self.octets).is_none() {
            (self.octets, self.start) = (Arc::new(self.octets().to_vec()), 0);
        }
        let place = self.start + 4 * self.count + at;
        let octets = Arc::get_mut(&mut self.octets);
        if let Some(octet) = octets.and_then(|octets| octets.get_mut(place)) {
            *octet = system;
        }
    }
}

impl Columns<'_> {
    pub(super) fn get(&self, at: usize) -> Option<Entry> {
        let (uid, system) = (self.uids.get(at)?, *self.system.get(at)?);
        let keywords = self.keywords.get(at).map_or(0, |octets| u64::from_le_bytes(*octets));
        Some(Entry { uid: Uid::from_le_bytes(*uid), flags: Flags { system, keywords } })
    }

    /// Where a UID stands, or would.
    pub(super) fn position(&self, uid: Uid) -> Result<usize, usize> {
        self.uids.binary_search_by_key(&uid, |octets| Uid::from_le_bytes(*octets))
    }

    /// How many messages from a position on are those of another piece from one there on. It may
    /// stop too soon where there are keywords.
    pub(super) fn alike(&self, at: usize, other: Self, there: usize) -> usize {
        if self.keywords.len() + other.keywords.len() > 0 {
            return 0;
        }
        let uids = common(from(self.uids, at), from(other.uids, there));
        uids.min(common(from(self.system, at), from(other.system, there)))
    }

    /// The first that lacks a system flag.
    pub(super) fn first_without(&self, flag: u8) -> Option<usize> {
        self.system.iter().position(|system| system & flag == 0)
    }

    /// The keywords that any of them has.
    pub(super) fn keywords(&self) -> u64 {
        self.keywords.iter().fold(0, |all, octets| all | u64::from_le_bytes(*octets))
    }

    /// How many have the system flag of a bit. Of at most a piece: this is done for all messages
    /// whenever a mailbox is opened.
    pub(super) fn with_bit(&self, bit: usize) -> u16 {
        let counted = self.system.iter().map(|system| u16::from(system >> bit & 1));
        counted.fold(0, u16::wrapping_add)
    }

    /// Whether the UIDs rise. Without a way out before the end, for there is none as a rule.
    fn rise(&self) -> bool {
        let next = self.uids.iter().skip(1);
        let rise = |(one, next): (&[u8; 4], &[u8; 4])| {
            Uid::from_le_bytes(*one) < Uid::from_le_bytes(*next)
        };
        self.uids.iter().zip(next).map(rise).fold(true, |all, one| all & one)
    }
}

fn from<T>(column: &[T], at: usize) -> &[T] {
    column.get(at..).unwrap_or_default()
}

/// How many are the same in both from the beginning on.
fn common<T: PartialEq>(one: &[T], other: &[T]) -> usize {
    let (parts, others) = (one.chunks_exact(STRIDE), other.chunks_exact(STRIDE));
    let whole = STRIDE * parts.zip(others).take_while(|(one, other)| one == other).count();
    let rest = from(one, whole).iter().zip(from(other, whole));
    whole + rest.take_while(|(one, other)| one == other).count()
}

/// So many are compared at once.
const STRIDE: usize = 64;

impl Growing {
    /// Goes on where a piece ends.
    pub(super) fn from(piece: &Piece) -> Self {
        let columns = piece.columns();
        Self {
            uids: columns.uids.as_flattened().to_vec(),
            system: columns.system.to_vec(),
            keywords: columns.keywords.as_flattened().to_vec(),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.system.len() >= Piece::FULL
    }

    /// One more, whose UID is above the others.
    pub(super) fn push(&mut self, entry: Entry) {
        let before = self.system.len();
        self.uids.extend_from_slice(&entry.uid.to_le_bytes());
        self.system.push(entry.flags.system);
        if entry.flags.keywords != 0 || !self.keywords.is_empty() {
            self.keywords.resize(8 * before, 0);
            self.keywords.extend_from_slice(&{ entry.flags.keywords }.to_le_bytes());
        }
    }

    /// What has grown, if it is anything; then the next one can grow.
    pub(super) fn take(&mut self) -> Option<Piece> {
        let count = self.system.len();
        if count == 0 {
            return None;
        }
        let form = if self.keywords.is_empty() { Form::Plain } else { Form::Keywords };
        let octets = [&*self.uids, &self.system, &self.keywords].concat();
        self.uids.clear();
        self.system.clear();
        self.keywords.clear();
        Some(Piece { octets: Arc::new(octets), start: 0, count, form })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn grown(entries: &[Entry]) -> Option<Piece> {
        let mut growing = Growing::default();
        entries.iter().for_each(|entry| growing.push(*entry));
        growing.take()
    }

    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        let one = (1u32..100, 0u8..32, prop_oneof![4 => Just(0), 1 => any::<u64>()]);
        prop::collection::vec(one, 1..200).prop_map(|steps| {
            let mut last = 0;
            let entry = |(step, system, keywords)| {
                last += step;
                Entry { uid: last, flags: Flags { system, keywords } }
            };
            steps.into_iter().map(entry).collect()
        })
    }

    #[test]
    fn five_octets_are_enough_without_keywords() {
        let plain = |uid| Entry { uid, flags: Flags { system: 31, keywords: 0 } };
        let mut all: Vec<Entry> = (1..=100).map(plain).collect();
        assert_eq!(grown(&all).map(|piece| piece.octets().len()), Some(500));
        all.push(Entry { uid: 200, flags: Flags { system: 0, keywords: 1 } });
        assert_eq!(grown(&all).map(|piece| piece.octets().len()), Some(1313));
    }

    #[test]
    fn octets_that_are_no_piece_make_none() {
        let octets = |uids: &[Uid]| {
            let mut octets: Vec<u8> = uids.iter().flat_map(|uid| uid.to_le_bytes()).collect();
            octets.resize(5 * uids.len(), 0);
            Arc::new(octets)
        };
        let many: Vec<Uid> = (1..=1025).collect();
        let (good, full) = (octets(&[1, 2, 300]), octets(&many));
        let table = [
            (&good, 0, 3, Form::Plain, true),
            (&full, 0, 1025, Form::Plain, false),
            (&good, 0, 0, Form::Plain, false),
            (&good, 0, 3, Form::Keywords, false),
            (&good, 1, 3, Form::Plain, false),
            (&good, 16, 1, Form::Plain, false),
            (&good, usize::MAX, 1, Form::Plain, false),
            (&octets(&[1, 1]), 0, 2, Form::Plain, false),
            (&octets(&[2, 1]), 0, 2, Form::Plain, false),
        ];
        for (octets, start, count, form, expected) in table {
            let piece = Piece::within(octets, start, count, form);
            assert_eq!(piece.is_some(), expected, "{start} {count} {form:?}");
        }
    }

    proptest! {
        #[test]
        fn columns_are_entries(
            entries in entries(), at in 0usize..200, system in 0u8..32, keywords in 0u64..3,
        ) {
            let Some(mut piece) = grown(&entries) else { return Ok(()) };
            prop_assert!(piece.iter().eq(entries.iter().copied()));
            // The same, where it lies among other octets.
            let around = Arc::new([b"before", piece.octets(), b"behind"].concat());
            let within = Piece::within(&around, 6, piece.len(), piece.form());
            let Some(mut within) = within else { return Err(TestCaseError::fail("it is none")) };
            prop_assert!(within.iter().eq(entries.iter().copied()) && !within.is(&piece));
            let alike = piece.columns().alike(0, within.columns(), 0);
            prop_assert!(piece.form() == Form::Keywords || alike == entries.len());
            // A change of one, which leaves other clones as they are.
            let (before, mut plain) = (within.clone(), entries.clone());
            let flags = Flags { system, keywords };
            if let Some(entry) = plain.get_mut(at) {
                entry.flags = flags;
            }
            for changed in [&mut piece, &mut within] {
                changed.set_flags(at, flags);
                prop_assert!(changed.iter().eq(plain.iter().copied()));
            }
            prop_assert!(before.iter().eq(entries.iter().copied()));
        }
    }
}
