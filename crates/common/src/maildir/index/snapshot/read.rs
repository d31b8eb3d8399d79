//! How a snapshot is read.

use std::fs::File;
use std::io;
use std::sync::Arc;

use mail_proto::mailbox::{Entry, Flags, Messages, Uid};

use super::{
    BLOCK, FILE, HEADER, Identity, KEYWORDS, Lengths, MAGIC, PLAIN, ROW, SUM, block_length,
};
use crate::disk::{Dir, DiskError};
use crate::maildir::StoreError;
use crate::maildir::index::frame::{TEXT, read_marks};
use crate::maildir::index::octets::{Damaged, Input, checksum};
use crate::maildir::index::source::{self, Source};
use crate::maildir::index::{Fact, Head, Marks, Tail, Vanished, apply, log};

/// A snapshot that was read, but for facts and tails.
#[derive(Debug)]
pub(in crate::maildir::index) struct Snapshot {
    pub(in crate::maildir::index) identity: Identity,
    pub(in crate::maildir::index) position: log::Position,
    pub(in crate::maildir::index) head: Head,
    pub(in crate::maildir::index) messages: Messages,
    pub(in crate::maildir::index) vanished: Vanished,
    /// Where tails and facts follow.
    source: Source,
    lengths: Lengths,
}

/// What stops the reading.
#[derive(Debug)]
pub(in crate::maildir::index) enum Trouble {
    Damaged,
    System(io::Error),
}

/// Reads the snapshot; `None` if there is none that is whole (what is damaged is logged).
pub(in crate::maildir::index) fn read(dir: &Dir) -> Result<Option<Snapshot>, StoreError> {
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
pub(in crate::maildir::index) fn log_damage(dir: &Dir) {
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
        if messages > BLOCK {
            return Err(Trouble::Damaged);
        }
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
    pub(in crate::maildir::index) fn read_facts(
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
