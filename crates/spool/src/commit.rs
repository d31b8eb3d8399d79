//! What one write puts into a segment: records behind each other, in whole blocks.
//!
//! Only headers and texts are put together here; bodies are written from where they are.

use std::io::IoSlice;
use std::ops::Range;

use mail_common::log::Id;

use crate::record::{BLOCK, Body, Header, Kind, SegmentHeader};
use crate::row::Place;

/// A commit that is laid out; used again for the next, so that its memory is.
#[derive(Debug, Default)]
pub(crate) struct Commit {
    header: Option<SegmentHeader>,
    number: u64,
    /// Where in the segment the write begins.
    start: u64,
    /// Octets of the write so far.
    length: u64,
    /// Headers, texts, and the zeros between records, behind each other.
    heads: Vec<u8>,
    /// Which part of `heads` comes before the body of which work.
    bodies: Vec<(usize, usize)>,
}

/// A record to be laid out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) kind: Kind,
    /// `None` for a seal.
    pub(crate) id: Option<Id>,
    pub(crate) text: &'a [u8],
    pub(crate) body: Body,
    /// Whose octets are the body.
    pub(crate) of: usize,
}

impl Commit {
    /// Begins a commit at an offset of a segment; at its beginning with the segment's header.
    pub(crate) fn begin(&mut self, segment: SegmentHeader, number: u64, start: u64) {
        self.heads.clear();
        self.bodies.clear();
        (self.header, self.number, self.start, self.length) = (Some(segment), number, start, 0);
        if start == 0 {
            self.heads.extend_from_slice(&segment.encode());
            self.heads.resize(BLOCK as usize, 0);
            self.length = BLOCK;
        }
    }

    /// Lays out a record behind those before, and says where.
    pub(crate) fn add(&mut self, record: Record<'_>) -> Place {
        let segment = self.header.expect("a commit was begun");
        let header = Header {
            kind: record.kind,
            generation: segment.generation,
            commit: self.number,
            id: record.id,
            text: u32::try_from(record.text.len()).expect("texts are within their limit"),
            body: record.body,
        };
        let at = self.start + self.length;
        self.heads.extend_from_slice(&header.encode(record.text));
        self.heads.extend_from_slice(record.text);
        let span = header.span();
        let behind = record.body.behind();
        if behind > 0 {
            self.bodies.push((self.heads.len(), record.of));
        }
        self.pad(span - header.body_offset() - behind);
        self.length += span;
        Place::new(segment.slot, at, span).expect("segments are short")
    }

    /// Where the next record would begin, counted from the beginning of the segment.
    pub(crate) fn end(&self) -> u64 {
        self.start + self.length
    }

    /// Fills up the last block, and says where the next commit can begin.
    pub(crate) fn finish(&mut self) -> u64 {
        let whole = self.length.next_multiple_of(BLOCK);
        self.pad(whole - self.length);
        self.length = whole;
        self.end()
    }

    /// All pieces, in order; `blocks` are those of the body of a work.
    pub(crate) fn slices<'a>(
        &'a self,
        blocks: impl Fn(usize) -> &'a [Vec<u8>],
    ) -> Vec<IoSlice<'a>> {
        let mut slices = Vec::with_capacity(2 * self.bodies.len() + 1);
        let mut written = 0;
        for &(end, of) in &self.bodies {
            slices.push(IoSlice::new(self.piece(written..end)));
            slices.extend(blocks(of).iter().map(|block| IoSlice::new(block)));
            written = end;
        }
        slices.push(IoSlice::new(self.piece(written..self.heads.len())));
        slices
    }

    fn piece(&self, range: Range<usize>) -> &[u8] {
        self.heads.get(range).expect("ends of pieces are within")
    }

    fn pad(&mut self, zeros: u64) {
        let zeros = usize::try_from(zeros).expect("less than a block");
        self.heads.resize(self.heads.len() + zeros, 0);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SEGMENT: SegmentHeader = SegmentHeader { generation: 7, slot: 3 };

    #[test]
    fn records_follow_each_other_in_whole_blocks() {
        let bodies = [vec![vec![b'a'; 100], vec![b'b'; 50]], vec![], vec![vec![b'c'; 64]]];
        let id = Id::parse("0abc");
        let record = |kind, text, length, of| {
            let body = Body::Here(length, 1);
            Record { kind, id, text, body, of }
        };
        let records = [
            record(Kind::Letter, &b"{letter}"[..], 150, 0),
            record(Kind::Done, b"", 0, 1),
            record(Kind::MovedLetter, b"x", 64, 2),
        ];
        let mut commit = Commit::default();
        for start in [0, BLOCK * 2] {
            commit.begin(SEGMENT, 9, start);
            let places: Vec<_> = records.iter().map(|record| commit.add(*record)).collect();
            let end = commit.end();
            assert_eq!(commit.finish(), if start == 0 { 2 * BLOCK } else { 3 * BLOCK });
            let slices = commit.slices(|of| &bodies[of]);
            let slices: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            let octets = [vec![0; start as usize], slices].concat();
            assert_eq!(octets.len() as u64 % BLOCK, 0);
            if start == 0 {
                assert_eq!(SegmentHeader::decode(&octets), Ok(SEGMENT));
            }
            let mut at = start.max(if start == 0 { BLOCK } else { 0 });
            for (record, place) in records.iter().zip(places) {
                assert_eq!((place.slot, place.offset()), (3, at));
                let (header, text) = Header::decode(&octets[at as usize..], 7).unwrap();
                assert_eq!((header.kind, header.commit, text), (record.kind, 9, record.text));
                let body = (at + header.body_offset()) as usize;
                let body = &octets[body..body + header.body.length() as usize];
                assert_eq!(body, bodies[record.of].concat());
                assert_eq!(place.end(), at + header.span());
                at += header.span();
            }
            assert_eq!(at, end);
        }
    }
}
