//! How a snapshot is read.

use std::fs::File;
use std::io;
use std::sync::Arc;

use mail_proto::mailbox::{Form, Messages, Piece, Uid};

use super::{
    BLOCK, FILE, HEADER, Identity, KEYWORDS, Lengths, MAGIC, PIECE_HEADER, PLAIN, ROW, SUM,
    block_length,
};
use crate::disk::{Dir, DiskError};
use crate::maildir::StoreError;
use crate::maildir::index::frame::{TEXT, read_marks};
use crate::maildir::index::octets::{Damaged, Input, checksum};
use crate::maildir::index::source::{self, Source};
use crate::maildir::index::{Fact, Head, Marks, Vanished, apply, log};
use crate::maildir::tail::Tail;

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
    Ok(checked(octets, id, offset)?)
}

/// What stands before the checksum of a block at an offset.
fn checked(octets: &[u8], id: u64, offset: u64) -> Result<&[u8], Damaged> {
    let (octets, sum) = octets.split_last_chunk::<SUM>().ok_or(Damaged)?;
    let is_whole = checksum(id, offset, octets) == u32::from_le_bytes(*sum);
    if is_whole { Ok(octets) } else { Err(Damaged) }
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

/// UIDs and flags: blocks of how many, whether keywords follow, UIDs, system flags, keywords. They
/// are used where they lie in what was read.
fn read_messages(
    source: &mut Source,
    id: u64,
    lengths: Lengths,
    uid_next: Uid,
) -> Result<Messages, Trouble> {
    let length = usize::try_from(lengths.hot).map_err(|_| Damaged)?;
    let offset = source.offset();
    let octets = Arc::new(source.take_all(length)?.ok_or(Damaged)?);
    let (mut pieces, mut at, mut last) = (Vec::new(), 0, 0);
    while at < length {
        let (count, form) = read_form(octets.get(at..).unwrap_or_default())?;
        let end = at + block_length(count, form);
        checked(octets.get(at..end).ok_or(Damaged)?, id, offset + at as u64)?;
        let piece = Piece::within(&octets, at + PIECE_HEADER, count, form).ok_or(Damaged)?;
        if piece.first().is_none_or(|first| first.uid <= last) {
            return Err(Trouble::Damaged);
        }
        last = piece.last().map_or(last, |entry| entry.uid);
        pieces.push(piece);
        at = end;
    }
    let messages: Messages = pieces.into_iter().collect();
    if messages.len() as u64 != lengths.messages || last >= uid_next.max(1) {
        return Err(Trouble::Damaged);
    }
    Ok(messages)
}

/// How a block of messages begins.
fn read_form(octets: &[u8]) -> Result<(usize, Form), Damaged> {
    let mut input = Input::new(octets);
    let count = input.array().map(u16::from_le_bytes)?;
    let form = match input.octet()? {
        PLAIN => Form::Plain,
        KEYWORDS => Form::Keywords,
        _ => return Err(Damaged),
    };
    Ok((count.into(), form))
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
