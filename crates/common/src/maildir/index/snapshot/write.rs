//! How a snapshot is written.

use mail_proto::mailbox::{Form, Messages, Piece};

use super::{BLOCK, FILE, Identity, KEYWORDS, Lengths, MAGIC, PLAIN, ROW, SUM, block_length};
use crate::disk::{Dir, DiskError, NewFile};
use crate::maildir::index::frame::put_marks;
use crate::maildir::index::octets::{checksum, put_number, put_text};
use crate::maildir::index::{Fact, Head, Index, Marks, fact, log, source};
use crate::maildir::tail::Tail;

/// Octets that are written at once.
const BUFFER: usize = 256 * 1024;

/// Writes a snapshot that has everything up to a position, durably.
pub(in crate::maildir::index) fn write(
    dir: &Dir,
    index: &Index,
    position: log::Position,
) -> Result<Identity, DiskError> {
    let id = source::random();
    let head = put_head(&index.head, position);
    let vanished = index.vanished.encode();
    let tails = put_tails(&index.facts);
    let length = |section: &[u8]| (section.len() + SUM) as u64;
    let messages = index.messages.len() as u64;
    let hot = index.messages.pieces().iter();
    let hot = hot.map(|piece| block_length(piece.len(), piece.form()) as u64).sum();
    let facts = messages * ROW as u64 + messages.div_ceil(BLOCK as u64) * SUM as u64;
    let lengths = Lengths {
        messages,
        head: length(&head),
        hot,
        vanished: length(&vanished),
        tails: length(&tails),
        facts,
    };
    let mut size = 0;
    dir.replace_with(FILE, |file| {
        let mut out = Out { file, id, offset: 0, buffer: Vec::with_capacity(2 * BUFFER) };
        out.header(lengths);
        out.block(&head)?;
        out.messages(&index.messages)?;
        out.block(&vanished)?;
        out.block(&tails)?;
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

fn put_piece(block: &mut Vec<u8>, piece: &Piece) {
    let count = u16::try_from(piece.len()).unwrap_or(u16::MAX);
    block.extend(count.to_le_bytes());
    block.push(match piece.form() {
        Form::Plain => PLAIN,
        Form::Keywords => KEYWORDS,
    });
    block.extend_from_slice(piece.octets());
}

fn put_row(block: &mut Vec<u8>, fact: &Fact) {
    for number in [fact.hash, fact.modseq, fact.date.cast_unsigned()] {
        block.extend(number.to_le_bytes());
    }
    block.extend(fact.line.to_le_bytes());
    block.extend(fact.size.to_le_bytes());
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
