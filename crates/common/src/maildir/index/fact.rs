//! What is known of each message besides its flags.

use std::collections::HashMap;

use mail_proto::mailbox::{Messages, Uid};

use crate::maildir::name;
use crate::maildir::tail::Tail;

/// What is known of a message besides its flags. 40 octets, for a mailbox may hold a million.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::maildir) struct Fact {
    /// `name::hash` of its base name.
    pub(in crate::maildir) hash: u64,
    /// The transaction that last changed it (RFC 7162, 3.1).
    pub(in crate::maildir) modseq: u64,
    /// INTERNALDATE in seconds since 1970; [`Fact::UNKNOWN_DATE`] until somebody asked.
    pub(in crate::maildir) date: i64,
    /// Where its line begins in the UID list.
    pub(in crate::maildir) line: u32,
    /// Octets with CRLF line ends; [`Fact::UNKNOWN_SIZE`] until somebody asked, or if there are
    /// more than this can say.
    pub(in crate::maildir) size: u32,
    /// Which [`Tail`]: 0 in `new`, 1 plain, above: odd ones, in the index's list.
    pub(super) tail: u32,
    /// Whose this is; 0 before the index has it.
    pub(super) uid: Uid,
}

impl Fact {
    /// Nobody asked for the date yet.
    pub(in crate::maildir) const UNKNOWN_DATE: i64 = i64::MIN;
    /// Nobody asked for the size yet.
    pub(in crate::maildir) const UNKNOWN_SIZE: u32 = u32::MAX;

    /// Of a message whose date and size nobody asked for yet.
    pub(in crate::maildir) fn new(hash: u64, line: u32) -> Self {
        let (date, size) = (Self::UNKNOWN_DATE, Self::UNKNOWN_SIZE);
        Self { hash, modseq: 0, date, line, size, tail: 0, uid: 0 }
    }

    /// The same for one whose file has this name, which may say the size.
    pub(in crate::maildir) fn named(hash: u64, line: u32, name: &str) -> Self {
        let mut fact = Self::new(hash, line);
        if let Some(size) = name::wire_size(name) {
            fact.set_size(size);
        }
        fact
    }

    /// Whose this is.
    pub(in crate::maildir) fn uid(&self) -> Uid {
        self.uid
    }

    /// INTERNALDATE, if somebody asked for it before.
    pub(in crate::maildir) fn known_date(&self) -> Option<i64> {
        Some(self.date).filter(|date| *date != Self::UNKNOWN_DATE)
    }

    /// Octets with CRLF line ends, if they are known.
    pub(in crate::maildir) fn known_size(&self) -> Option<u64> {
        Some(self.size).filter(|size| *size != Self::UNKNOWN_SIZE).map(u64::from)
    }

    /// It has so many octets with CRLF line ends.
    pub(in crate::maildir) fn set_size(&mut self, size: u64) {
        self.size = u32::try_from(size).unwrap_or(Self::UNKNOWN_SIZE);
    }
}

/// The facts of all messages: read when somebody first asks, and until then what became of them
/// since the snapshot.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    rows: Rows,
    tails: Tails,
}

#[derive(Debug, Clone)]
enum Rows {
    /// In the snapshot; and what happened since, in order, but for what went.
    OnDisk(Vec<Since>),
    Read(Vec<Vec<Fact>>),
}

/// Facts in order of UID, in pieces that are not empty.
#[derive(Debug, Default)]
pub(super) struct Pieces(Vec<Vec<Fact>>);

#[derive(Debug, Clone)]
enum Since {
    Added(Fact),
    Flagged { uid: Uid, modseq: u64, tail: u32 },
    Line(Uid, u32),
}

/// Facts of a full piece: 40 KiB.
const PIECE: usize = 1024;

impl Facts {
    /// Those of a snapshot, not read yet.
    pub(super) fn on_disk() -> Self {
        Self { rows: Rows::OnDisk(Vec::new()), tails: Tails::default() }
    }

    /// Of no message.
    pub(super) fn empty() -> Self {
        Self { rows: Rows::Read(Vec::new()), tails: Tails::default() }
    }

    pub(super) fn are_read(&self) -> bool {
        matches!(self.rows, Rows::Read(_))
    }

    /// They are in a snapshot that has all that is known.
    pub(super) fn forget(&mut self) {
        *self = Self::on_disk();
    }

    /// Takes the facts that a snapshot has, in order of UID; `messages` are those that there are
    /// now. Whether all of them have facts.
    #[must_use]
    pub(super) fn take(&mut self, pieces: Pieces, messages: &Messages) -> bool {
        let Rows::OnDisk(since) = std::mem::replace(&mut self.rows, Rows::Read(pieces.0)) else {
            return true;
        };
        for what in since {
            match what {
                Since::Added(fact) if messages.position(fact.uid).is_ok() => self.push(fact),
                Since::Added(_) => {}
                Since::Flagged { uid, modseq, tail } => self.change(uid, |fact| {
                    (fact.modseq, fact.tail) = (modseq, tail);
                }),
                Since::Line(uid, line) => self.change(uid, |fact| fact.line = line),
            }
        }
        let messages = messages.iter().map(|entry| entry.uid);
        let complete = self.iter().map(|fact| fact.uid).eq(messages);
        if !complete {
            self.forget();
        }
        complete
    }

    /// Whose, if it is known.
    pub(super) fn find(&self, uid: Uid) -> Option<&Fact> {
        let Rows::Read(pieces) = &self.rows else { return None };
        let (piece, at) = place(pieces, uid)?;
        pieces.get(piece)?.get(at)
    }

    /// Those that were read, in order of UID.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Fact> + Clone {
        let pieces = match &self.rows {
            Rows::Read(pieces) => pieces.as_slice(),
            Rows::OnDisk(_) => &[],
        };
        pieces.iter().flatten()
    }

    /// A message came.
    pub(super) fn add(&mut self, fact: Fact, tail: &Tail) {
        let fact = Fact { tail: self.tails.number(tail), ..fact };
        match &mut self.rows {
            Rows::OnDisk(since) => since.push(Since::Added(fact)),
            Rows::Read(_) => self.push(fact),
        }
    }

    /// A message has other flags.
    pub(super) fn flagged(&mut self, uid: Uid, modseq: u64, tail: &Tail) {
        let tail = self.tails.number(tail);
        match &mut self.rows {
            Rows::OnDisk(since) => since.push(Since::Flagged { uid, modseq, tail }),
            Rows::Read(_) => {
                self.change(uid, |fact| (fact.modseq, fact.tail) = (modseq, tail));
            }
        }
    }

    /// Messages have other lines in the UID list.
    pub(super) fn move_lines(&mut self, lines: impl Iterator<Item = (Uid, u32)>) {
        if let Rows::OnDisk(since) = &mut self.rows {
            since.extend(lines.map(|(uid, line)| Since::Line(uid, line)));
            return;
        }
        for (uid, line) in lines {
            self.change(uid, |fact| fact.line = line);
        }
    }

    /// Changes what was read of a message.
    pub(super) fn change(&mut self, uid: Uid, change: impl FnOnce(&mut Fact)) {
        let Rows::Read(pieces) = &mut self.rows else { return };
        let Some((piece, at)) = place(pieces, uid) else { return };
        if let Some(fact) = pieces.get_mut(piece).and_then(|piece| piece.get_mut(at)) {
            change(fact);
            fact.uid = uid;
        }
    }

    /// Messages went; their UIDs rise.
    pub(super) fn remove(&mut self, uids: &[Uid]) {
        // What is on the disk is compared with the messages when it is read.
        let Rows::Read(pieces) = &mut self.rows else { return };
        let mut uids = uids;
        for piece in pieces.iter_mut() {
            let Some(last) = piece.last() else { continue };
            let (here, rest) = uids.split_at(uids.partition_point(|uid| *uid <= last.uid));
            uids = rest;
            match here {
                [] => {}
                [uid] => {
                    if let Ok(at) = piece.binary_search_by_key(uid, |fact| fact.uid) {
                        piece.remove(at);
                    }
                }
                _ => piece.retain(|fact| here.binary_search(&fact.uid).is_err()),
            }
        }
        pieces.retain(|piece| !piece.is_empty());
        let count: usize = pieces.iter().map(Vec::len).sum();
        if pieces.len() > 2 * count.div_ceil(PIECE) {
            for fact in std::mem::take(pieces).into_iter().flatten() {
                push(pieces, fact);
            }
        }
    }

    pub(super) fn tail(&self, fact: &Fact) -> Tail {
        self.tails.tail(fact.tail)
    }

    /// What stands for a tail.
    pub(super) fn tail_number(&mut self, tail: &Tail) -> u32 {
        self.tails.number(tail)
    }

    fn push(&mut self, fact: Fact) {
        if let Rows::Read(pieces) = &mut self.rows {
            push(pieces, fact);
        }
    }
}

/// The odd tails, each once.
#[derive(Debug, Clone, Default)]
struct Tails {
    odd: Vec<Tail>,
    numbers: HashMap<Tail, u32>,
}

impl Fact {
    pub(super) const NEW: u32 = 0;
    pub(super) const PLAIN: u32 = 1;
    pub(super) const ODD: u32 = 2;
}

impl Tails {
    fn number(&mut self, tail: &Tail) -> u32 {
        match tail {
            Tail::New => Fact::NEW,
            Tail::Plain => Fact::PLAIN,
            Tail::Odd { .. } => self.odd_number(tail),
        }
    }

    fn odd_number(&mut self, tail: &Tail) -> u32 {
        if let Some(number) = self.numbers.get(tail) {
            return *number;
        }
        let next = u32::try_from(self.odd.len()).unwrap_or(u32::MAX);
        let number = next.saturating_add(Fact::ODD);
        self.odd.push(tail.clone());
        self.numbers.insert(tail.clone(), number);
        number
    }

    fn tail(&self, number: u32) -> Tail {
        match number {
            Fact::NEW => Tail::New,
            Fact::PLAIN => Tail::Plain,
            odd => self.odd.get((odd - Fact::ODD) as usize).cloned().unwrap_or(Tail::Plain),
        }
    }
}

impl Pieces {
    /// One more, above the others.
    pub(super) fn push(&mut self, fact: Fact) {
        push(&mut self.0, fact);
    }
}

fn place(pieces: &[Vec<Fact>], uid: Uid) -> Option<(usize, usize)> {
    let begins_before = |piece: &Vec<Fact>| piece.first().is_some_and(|fact| fact.uid <= uid);
    let piece = pieces.partition_point(begins_before).checked_sub(1)?;
    let at = pieces.get(piece)?.binary_search_by_key(&uid, |fact| fact.uid).ok()?;
    Some((piece, at))
}

fn push(pieces: &mut Vec<Vec<Fact>>, fact: Fact) {
    match pieces.last_mut() {
        Some(last) if last.len() < PIECE => last.push(fact),
        Some(_) => {
            let mut piece = Vec::with_capacity(PIECE);
            piece.push(fact);
            pieces.push(piece);
        }
        None => pieces.push(vec![fact]),
    }
}
