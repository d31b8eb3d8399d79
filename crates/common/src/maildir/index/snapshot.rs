//! `posthorn.index`: a mailbox at one moment.
//!
//! A header of fixed length, then sections, each in blocks with a checksum: the head; UIDs and
//! flags; what was expunged; odd tails; facts. Whoever opens a mailbox reads the first three. The
//! checksums are of the snapshot's id and of the place in it too.
//!
//! The file is replaced by rename and never changed, so its id and its length say that it is the
//! one that was read before.

use std::fs::File;
use std::io;
use std::sync::Arc;

use mail_proto::mailbox::{Entry, Flags, Messages, Uid};

use super::frame::{TEXT, put_marks, read_marks};
use super::octets::{Damaged, Input, checksum, put_number, put_text};
use super::source::{self, Source};
use super::{Fact, Head, Index, Marks, Tail, Vanished, apply, fact, log};
use crate::disk::{Dir, DiskError, NewFile};
use crate::maildir::StoreError;

/// The name of the file.
pub(super) const FILE: &str = "posthorn.index";

const MAGIC: &[u8; 8] = b"PHN-IDX\n";

/// Octets of the header: magic, version, their checksum; id, number of messages, lengths of the
/// five sections; their checksum.
const HEADER: usize = 76;

/// Messages, or facts, of a block.
const BLOCK: usize = 1024;

/// Octets of a fact.
const ROW: usize = 32;

/// Octets of a checksum.
const SUM: usize = 4;

/// Octets that are written at once.
const BUFFER: usize = 256 * 1024;

/// Which snapshot is in the file.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Identity {
    /// A random number; 0 for one that was never written.
    pub(super) id: u64,
    /// Its octets.
    pub(super) size: u64,
}

/// A snapshot that was read, but for facts and tails.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) identity: Identity,
    pub(super) position: log::Position,
    pub(super) head: Head,
    pub(super) messages: Messages,
    pub(super) vanished: Vanished,
    /// Where tails and facts follow.
    source: Source,
    lengths: Lengths,
}

/// What the header says.
#[derive(Debug, Clone, Copy)]
struct Lengths {
    messages: u64,
    head: u64,
    hot: u64,
    vanished: u64,
    tails: u64,
    facts: u64,
}

/// What stops the reading.
#[derive(Debug)]
pub(super) enum Trouble {
    Damaged,
    System(io::Error),
}

impl Lengths {
    fn fields(self) -> [u64; 6] {
        [self.messages, self.head, self.hot, self.vanished, self.tails, self.facts]
    }

    /// Octets of the whole file; `None` where that cannot be.
    fn total(self) -> Option<u64> {
        let [_, sections @ ..] = self.fields();
        let blocks = self.messages.div_ceil(BLOCK as u64);
        let rows = self.messages.checked_mul(ROW as u64)?.checked_add(blocks * SUM as u64)?;
        if rows != self.facts {
            return None;
        }
        sections.iter().try_fold(HEADER as u64, |sum, length| sum.checked_add(*length))
    }
}

/// Reads the snapshot; `None` if there is none that is whole (what is damaged is logged).
pub(super) fn read(dir: &Dir) -> Result<Option<Snapshot>, StoreError> {
    let Some((file, stat)) = source::open(dir, FILE)? else { return Ok(None) };
    match parse(dir, file, stat.size) {
        Ok(snapshot) => Ok(Some(snapshot?)),
        Err(Trouble::Damaged) => {
            log_damage(dir);
            Ok(None)
        }
        Err(Trouble::System(error)) => Err(DiskError::new(dir.path().join(FILE), error).into()),
    }
}

/// Says that the file is not what it should be.
pub(super) fn log_damage(dir: &Dir) {
    let path = dir.path().join(FILE);
    tracing::warn!(path = %path.display(), "damaged; it is made anew from the Maildir");
}

fn parse(dir: &Dir, file: File, size: u64) -> Result<Result<Snapshot, StoreError>, Trouble> {
    let mut source = Source::new(file, 0, size);
    let header = source.take(HEADER)?.ok_or(Damaged)?;
    let rest = match source::check_magic(dir, FILE, header, MAGIC) {
        Ok(rest) => rest?,
        Err(newer) => return Ok(Err(newer)),
    };
    let (id, lengths) = read_header(rest)?;
    if lengths.total() != Some(size) {
        return Err(Trouble::Damaged);
    }
    let (position, head) = read_head(section(&mut source, id, lengths.head)?)?;
    let messages = read_messages(&mut source, id, lengths, head.uid_next)?;
    let vanished = Vanished::decode(section(&mut source, id, lengths.vanished)?)?;
    if vanished.newest() > head.modseq {
        return Err(Trouble::Damaged);
    }
    let identity = Identity { id, size };
    Ok(Ok(Snapshot { identity, position, head, messages, vanished, source, lengths }))
}

fn read_header(octets: &[u8]) -> Result<(u64, Lengths), Damaged> {
    let mut input = Input::new(octets);
    let id = input.fixed_u64()?;
    let mut next = || input.fixed_u64();
    let (messages, head, hot) = (next()?, next()?, next()?);
    let (vanished, tails, facts) = (next()?, next()?, next()?);
    let covered = octets.get(..HEADER - 16 - SUM).ok_or(Damaged)?;
    if input.fixed_u32()? != checksum(id, 0, covered) {
        return Err(Damaged);
    }
    Ok((id, Lengths { messages, head, hot, vanished, tails, facts }))
}

/// A section of one block.
fn section(source: &mut Source, id: u64, length: u64) -> Result<&[u8], Trouble> {
    let length = usize::try_from(length).map_err(|_| Damaged)?;
    block(source, id, length)
}

/// What stands before the checksum of a block; `length` is that of both.
fn block(source: &mut Source, id: u64, length: usize) -> Result<&[u8], Trouble> {
    let offset = source.offset();
    let octets = source.take(length)?.ok_or(Damaged)?;
    let (octets, sum) = octets.split_last_chunk::<SUM>().ok_or(Damaged)?;
    if checksum(id, offset, octets) != u32::from_le_bytes(*sum) {
        return Err(Trouble::Damaged);
    }
    Ok(octets)
}

fn read_head(octets: &[u8]) -> Result<(log::Position, Head), Damaged> {
    let mut input = Input::new(octets);
    let position = log::Position { log: input.fixed_u64()?, offset: input.fixed_u64()? };
    let mut head = Head {
        uid_validity: input.fixed_u32()?,
        uid_next: input.fixed_u32()?,
        reserved: input.fixed_u32()?,
        recent_from: input.fixed_u32()?,
        modseq: input.fixed_u64()?,
        boot: input.array()?,
        marks: read_marks(&mut input, &Marks::default())?,
        ..Head::default()
    };
    for _ in 0..input.number()? {
        head.keywords.push(input.text(TEXT)?.to_owned());
    }
    let (count, mut last) = (input.number()?, 0u32);
    for _ in 0..count {
        last = last.checked_add(input.small()?).ok_or(Damaged)?;
        head.in_new.push(last);
    }
    let rises = head.in_new.is_sorted_by(|one, next| one < next);
    let fits = input.is_empty() && head.modseq <= apply::MODSEQ && head.keywords.len() <= 64;
    if rises && fits { Ok((position, head)) } else { Err(Damaged) }
}

fn put_head(head: &Head, position: log::Position) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(position.log.to_le_bytes());
    out.extend(position.offset.to_le_bytes());
    for number in [head.uid_validity, head.uid_next, head.reserved, head.recent_from] {
        out.extend(number.to_le_bytes());
    }
    out.extend(head.modseq.to_le_bytes());
    out.extend(head.boot);
    put_marks(&mut out, &head.marks, &Marks::default());
    put_number(&mut out, head.keywords.len() as u64);
    head.keywords.iter().for_each(|keyword| put_text(&mut out, keyword));
    put_number(&mut out, head.in_new.len() as u64);
    let mut last = 0;
    for uid in &head.in_new {
        put_number(&mut out, uid.wrapping_sub(last).into());
        last = *uid;
    }
    out
}

/// UIDs and flags: blocks of how many, whether keywords follow, UIDs, system flags, keywords.
fn read_messages(
    source: &mut Source,
    id: u64,
    lengths: Lengths,
    uid_next: Uid,
) -> Result<Messages, Trouble> {
    let end = source.offset().checked_add(lengths.hot).ok_or(Damaged)?;
    let mut pieces: Vec<Arc<[Entry]>> = Vec::new();
    let (mut last, mut count) = (0, 0);
    while source.offset() < end {
        let head = source.peek(3)?.and_then(|octets| octets.first_chunk()).ok_or(Damaged)?;
        let [low, high, form] = *head;
        let messages = usize::from(u16::from_le_bytes([low, high]));
        let octets = block(source, id, block_length(messages, form == KEYWORDS))?;
        let piece = read_piece(octets, messages, form)?;
        let rises = piece.is_sorted_by(|one, next| one.uid < next.uid);
        let first = piece.first().ok_or(Damaged)?.uid;
        if !rises || first <= last {
            return Err(Trouble::Damaged);
        }
        last = piece.last().map_or(last, |entry| entry.uid);
        count += messages as u64;
        pieces.push(piece);
    }
    let whole = source.offset() == end && count == lengths.messages;
    if !whole || last >= uid_next.max(1) {
        return Err(Trouble::Damaged);
    }
    Ok(pieces.into_iter().collect())
}

const PLAIN: u8 = 0;
const KEYWORDS: u8 = 1;

fn block_length(messages: usize, keywords: bool) -> usize {
    3 + messages * (5 + 8 * usize::from(keywords)) + SUM
}

fn read_piece(octets: &[u8], messages: usize, form: u8) -> Result<Arc<[Entry]>, Damaged> {
    let mut input = Input::new(octets);
    input.take(3)?;
    let (uids, _) = input.take(messages * 4)?.as_chunks::<4>();
    let system = input.take(messages)?.iter();
    let entry = |uid: &[u8; 4], system: u8, keywords: u64| Entry {
        uid: Uid::from_le_bytes(*uid),
        flags: Flags { system, keywords },
    };
    let both = uids.iter().zip(system);
    match form {
        PLAIN => Ok(both.map(|(uid, system)| entry(uid, *system, 0)).collect()),
        KEYWORDS => {
            let (keywords, _) = input.take(messages * 8)?.as_chunks::<8>();
            let all = both.zip(keywords);
            let entry = |((uid, system), keywords): ((_, &u8), &[u8; 8])| {
                entry(uid, *system, u64::from_le_bytes(*keywords))
            };
            Ok(all.map(entry).collect())
        }
        _ => Err(Damaged),
    }
}

impl Snapshot {
    /// Reads the facts, in order of UID; `number` gives what stands for an odd tail.
    pub(super) fn read_facts(
        self,
        number: impl FnMut(&Tail) -> u32,
        mut put: impl FnMut(Fact),
    ) -> Result<(), Trouble> {
        let Self { identity, head, mut source, lengths, messages, .. } = self;
        let octets = section(&mut source, identity.id, lengths.tails)?;
        let mut odd = read_tails(octets, number)?.into_iter().peekable();
        let mut in_new = head.in_new.iter().peekable();
        let (mut entries, mut left) = (messages.iter(), messages.len());
        while !source.is_over() {
            let count = left.min(BLOCK);
            let (rows, _) = block(&mut source, identity.id, count * ROW + SUM)?.as_chunks::<ROW>();
            for (row, entry) in rows.iter().zip(&mut entries) {
                let is_in_new = in_new.next_if_eq(&&entry.uid).is_some();
                let plain = if is_in_new { Fact::NEW } else { Fact::PLAIN };
                let tail = odd.next_if(|(uid, _)| *uid == entry.uid).map_or(plain, |(_, odd)| odd);
                put(Fact { uid: entry.uid, tail, ..read_row(row)? });
            }
            left -= count;
        }
        Ok(())
    }
}

fn read_row(row: &[u8; ROW]) -> Result<Fact, Damaged> {
    let mut input = Input::new(row);
    let (hash, modseq) = (input.fixed_u64()?, input.fixed_u64()?);
    let date = input.fixed_u64()?.cast_signed();
    let (line, size) = (input.fixed_u32()?, input.fixed_u32()?);
    Ok(Fact { modseq, date, size, ..Fact::new(hash, line) })
}

fn read_tails(
    octets: &[u8],
    mut number: impl FnMut(&Tail) -> u32,
) -> Result<Vec<(Uid, u32)>, Damaged> {
    let (mut input, mut uid, mut odd) = (Input::new(octets), 0u32, Vec::new());
    while !input.is_empty() {
        uid = uid.checked_add(input.small()?).ok_or(Damaged)?;
        let in_new = input.octet()? == 1;
        odd.push((uid, number(&Tail::Odd { in_new, text: input.text(TEXT)?.into() })));
    }
    Ok(odd)
}

/// Writes a snapshot that has everything up to a position, durably.
pub(super) fn write(
    dir: &Dir,
    index: &Index,
    position: log::Position,
) -> Result<Identity, DiskError> {
    let id = source::random();
    let sections = [
        put_head(&index.head, position),
        Vec::new(),
        index.vanished.encode(),
        put_tails(&index.facts),
    ];
    let length = |section: &[u8]| (section.len() + SUM) as u64;
    let [head, _, vanished, tails] = sections.each_ref().map(|section| length(section));
    let messages = index.messages.len() as u64;
    let hot = index.messages.pieces().iter();
    let hot = hot.map(|piece| block_length(piece.len(), has_keywords(piece)) as u64).sum();
    let facts = messages * ROW as u64 + messages.div_ceil(BLOCK as u64) * SUM as u64;
    let lengths = Lengths { messages, head, hot, vanished, tails, facts };
    let [head, _, vanished, tails] = &sections;
    let mut size = 0;
    dir.replace_with(FILE, |file| {
        let mut out = Out { file, id, offset: 0, buffer: Vec::with_capacity(2 * BUFFER) };
        out.header(lengths);
        out.block(head)?;
        out.messages(&index.messages)?;
        out.block(vanished)?;
        out.block(tails)?;
        out.facts(&index.facts)?;
        size = out.offset;
        out.flush()
    })?;
    Ok(Identity { id, size })
}

fn put_tails(facts: &fact::Facts) -> Vec<u8> {
    let (mut out, mut last) = (Vec::new(), 0);
    for fact in facts.iter().filter(|fact| fact.tail >= Fact::ODD) {
        if let Tail::Odd { in_new, text } = facts.tail(fact) {
            put_number(&mut out, fact.uid.wrapping_sub(last).into());
            out.push(u8::from(in_new));
            put_text(&mut out, &text);
            last = fact.uid;
        }
    }
    out
}

fn has_keywords(piece: &[Entry]) -> bool {
    piece.iter().any(|entry| entry.flags.keywords != 0)
}

/// A snapshot that is being written.
struct Out<'file> {
    file: &'file mut NewFile,
    id: u64,
    offset: u64,
    buffer: Vec<u8>,
}

impl Out<'_> {
    fn header(&mut self, lengths: Lengths) {
        self.buffer.extend(source::magic(MAGIC));
        self.buffer.extend(self.id.to_le_bytes());
        lengths.fields().iter().for_each(|field| self.buffer.extend(field.to_le_bytes()));
        let covered = self.buffer.get(16..).unwrap_or_default();
        let sum = checksum(self.id, 0, covered);
        self.buffer.extend(sum.to_le_bytes());
        self.offset = self.buffer.len() as u64;
    }

    fn block(&mut self, octets: &[u8]) -> Result<(), DiskError> {
        let sum = checksum(self.id, self.offset, octets);
        self.buffer.extend_from_slice(octets);
        self.buffer.extend(sum.to_le_bytes());
        self.offset += (octets.len() + SUM) as u64;
        if self.buffer.len() < BUFFER { Ok(()) } else { self.flush() }
    }

    fn messages(&mut self, messages: &Messages) -> Result<(), DiskError> {
        let mut block = Vec::new();
        for piece in messages.pieces() {
            block.clear();
            put_piece(&mut block, piece);
            self.block(&block)?;
        }
        Ok(())
    }

    fn facts(&mut self, facts: &fact::Facts) -> Result<(), DiskError> {
        let mut block = Vec::with_capacity(BLOCK * ROW);
        for fact in facts.iter() {
            put_row(&mut block, fact);
            if block.len() == BLOCK * ROW {
                self.block(&block)?;
                block.clear();
            }
        }
        if block.is_empty() { Ok(()) } else { self.block(&block) }
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        self.file.write(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

fn put_piece(block: &mut Vec<u8>, piece: &[Entry]) {
    let keywords = has_keywords(piece);
    let count = u16::try_from(piece.len()).unwrap_or(u16::MAX);
    block.extend(count.to_le_bytes());
    block.push(if keywords { KEYWORDS } else { PLAIN });
    piece.iter().for_each(|entry| block.extend(entry.uid.to_le_bytes()));
    block.extend(piece.iter().map(|entry| entry.flags.system));
    if keywords {
        piece.iter().for_each(|entry| block.extend({ entry.flags.keywords }.to_le_bytes()));
    }
}

fn put_row(block: &mut Vec<u8>, fact: &Fact) {
    for number in [fact.hash, fact.modseq, fact.date.cast_unsigned()] {
        block.extend(number.to_le_bytes());
    }
    block.extend(fact.line.to_le_bytes());
    block.extend(fact.size.to_le_bytes());
}

impl From<Damaged> for Trouble {
    fn from(_: Damaged) -> Self {
        Self::Damaged
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}
