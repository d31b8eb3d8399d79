//! Scripts of spools that the writer made, which a fuzzer begins with.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, mpsc};

use mail_common::disk::{self, DiskError};
use mail_common::log::Id;
use mail_proto::address::ReversePath;
use mail_proto::smtp::Recipient;

use super::clear;
use super::script::{self, PIECES};
use crate::open::take;
use crate::record::{BLOCK, Body, Kind};
use crate::recovery::{Directories, Segment, name, survey};
use crate::scan::{self, Found, Record};
use crate::{Letter, Progress, Settings, Spool, SpoolError, State, Then, checkpoint};

/// Octets of a checkpoint's header, and of a piece's.
const HEADER: usize = 28;
const PIECE: usize = 16;

/// What happened to a spool.
type History = fn(&Path) -> Result<(), SpoolError>;

/// Makes some spools in a directory, one after the other, and tells of each in a script.
///
/// # Errors
/// The directory cannot be used.
///
/// # Panics
/// The writer does not do what it is asked.
pub fn seeds(root: &Path) -> Result<Vec<Vec<u8>>, SpoolError> {
    let histories: [History; 4] = [killed, closed, with_both_checkpoints, with_large_bodies];
    let mut seeds = Vec::new();
    for history in histories {
        let (shared, directories, _) = take(root, settings())?;
        drop(shared);
        clear(&directories)?;
        history(root)?;
        seeds.push(tell(&directories)?);
    }
    seeds.extend([sealed(), moved(), beside_others()]);
    Ok(seeds)
}

fn killed(root: &Path) -> Result<(), SpoolError> {
    let spool = open(root)?;
    (0..3).for_each(|number| add(&spool, number, 100));
    progress(&spool, 1);
    wait(|then| spool.finish(id(2), then));
    Ok(())
}

fn closed(root: &Path) -> Result<(), SpoolError> {
    killed(root)?;
    open(root)?.close();
    Ok(())
}

fn with_both_checkpoints(root: &Path) -> Result<(), SpoolError> {
    closed(root)?;
    let spool = open(root)?;
    let mut letter = spool.entry(id(0))?.expect("it was added").letter;
    letter.sender = ReversePath(None);
    wait(|then| spool.change(&letter, then));
    add(&spool, 3, 0);
    spool.close();
    let spool = open(root)?;
    progress(&spool, 0);
    wait(|then| spool.finish(id(3), then));
    Ok(())
}

fn with_large_bodies(root: &Path) -> Result<(), SpoolError> {
    let spool = open(root)?;
    (0..2).for_each(|number| add(&spool, number, 1500));
    spool.close();
    let spool = open(root)?;
    add(&spool, 2, 1500);
    wait(|then| spool.finish(id(1), then));
    Ok(())
}

/// A sync of the first segment failed, and what is live in it was copied.
fn sealed() -> Vec<u8> {
    let mut told = Telling::default();
    told.segment(0, 1);
    told.record(&[Kind::Letter.number(), 0, 0, 0], 1, &letter(0).encode(), b"body");
    told.blocks();
    told.record(&[Kind::Letter.number(), 0, 1, 0], 2, &letter(1).encode(), b"refused");
    told.segment(1, 2);
    told.record(&[Kind::Seal.number(), 0, 255, 0], 1, br#"{"generation":1,"length":8192}"#, b"");
    told.record(&[Kind::MovedLetter.number(), 0, 0, 0], 1, &letter(0).encode(), b"body");
    told.0
}

/// What a cleaner leaves.
fn moved() -> Vec<u8> {
    let states = vec![State::Delivered, State::Waiting(Some("450 later".into()))];
    let progress = Progress { recipients: states, ..Progress::new(&letter(0)) };
    let mut told = Telling::default();
    told.segment(3, 1);
    told.record(&[Kind::Letter.number(), 0, 0, 0], 1, &letter(0).encode(), b"body");
    told.record(&[Kind::Progress.number(), 0, 0, 0], 1, &progress.encode(), b"");
    told.segment(2, 7);
    told.record(&[Kind::MovedLetter.number(), 0, 0, 0], 1, &letter(0).encode(), b"body");
    told.record(&[Kind::MovedProgress.number(), 0, 0, 0], 1, &progress.encode(), b"");
    told.blocks();
    told.record(&[Kind::Letter.number(), 0, 1, 0], 2, &letter(1).encode(), b"");
    told.record(&[Kind::Done.number(), 0, 0, 0], 2, b"", b"");
    told.0
}

/// Among files of others, one with nearly the name of a segment.
fn beside_others() -> Vec<u8> {
    let mut told = Telling::default();
    told.segment(10, 1);
    told.record(&[Kind::Letter.number(), 0, 0, 0], 1, &letter(0).encode(), b"body");
    for name in ["0000000A", "+000000a"] {
        told.0.push(script::FILE);
        told.text(name.as_bytes());
        told.text(b"PHSG");
    }
    told.0
}

fn settings() -> Settings {
    Settings { segment: 1 << 20, small_body: 1000, ..Settings::default() }
}

/// With all that was there before.
fn open(root: &Path) -> Result<Spool, SpoolError> {
    let (spool, recovered) = Spool::open(root, settings())?;
    recovered.for_each(drop);
    Ok(spool)
}

fn id(number: u8) -> Id {
    Id::from_octets(&script::message(number)).expect("it is a message's")
}

pub(super) fn letter(number: u8) -> Letter {
    let to = |address: &str| Recipient::new(address.parse().expect("is an address"));
    Letter {
        id: id(number),
        arrived: 1_795_363_200_000_000,
        sender: ReversePath(Some("bob@example.net".parse().expect("is an address"))),
        recipients: vec![to("ann@example.org"), to("joe@example.com")],
        eight_bit: true,
        ret: None,
        envid: None,
        hold: (number == 1).then(|| "a rule".to_owned()),
    }
}

fn add(spool: &Spool, number: u8, octets: usize) {
    let mut incoming = spool.begin(letter(number));
    let written = incoming.write(vec![b'x'; octets]);
    let message = written.and_then(|_| incoming.finish()).expect("the disk has room");
    wait(|then| spool.commit(Arc::new(message), then));
}

fn progress(spool: &Spool, number: u8) {
    let entry = spool.entry(id(number)).expect("it can be read").expect("it was added");
    let mut progress = entry.progress;
    progress.set(0, State::Waiting(Some("450 later".into())));
    progress.attempts += 1;
    wait(|then| spool.record(id(number), &progress, then));
}

/// Asks for something and waits until it is durable.
fn wait(ask: impl FnOnce(Then)) {
    let (sender, receiver) = mpsc::channel();
    ask(Box::new(move |result| sender.send(result).expect("it is waited for")));
    receiver.recv().expect("it is answered").expect("the disk has room");
}

/// The script of the spool that is here. Its generations are 1 and so on.
fn tell(directories: &Directories) -> Result<Vec<u8>, DiskError> {
    let mut told = Telling::default();
    let survey = survey(directories)?;
    let mut positions = BTreeSet::new();
    for name in [checkpoint::NEWER, checkpoint::OLDER] {
        let file = disk::found(directories.root.file(name))?;
        positions.extend(file.and_then(|file| checkpoint::position(&file).ok()));
    }
    let generations = survey.segments.iter().filter_map(Segment::generation);
    let all: BTreeSet<u64> = generations.chain(positions.iter().map(|p| p.generation)).collect();
    let rank = |generation: u64| all.range(..=generation).count() as u64;
    for segment in &survey.segments {
        let Some(generation) = segment.generation() else { continue };
        told.segment(segment.slot as u8, rank(generation));
        let file = directories.segments.file(name(segment.slot))?;
        let shown = scan::scan(&file, generation, BLOCK..u64::MAX, &mut |found| {
            let Found::Record(record) = found else { panic!("damaged: {found:?}") };
            let body = scan::body(&file, &record).ok().flatten();
            told.found(&record, &body.expect("it was just written"));
        });
        shown.expect("it can be read");
    }
    for (older, name) in [checkpoint::NEWER, checkpoint::OLDER].into_iter().enumerate() {
        if disk::found(directories.root.stat(name))?.is_some() {
            let octets = directories.root.read(name, 1 << 20)?;
            let position = checkpoint::position(octets.as_slice()).expect("it was just written");
            told.checkpoint(older as u8, rank(position.generation), position.offset / BLOCK);
            told.pieces(&octets);
        }
    }
    for id in survey.big {
        told.big(number_of(id.octets()), &directories.big.read(id.as_str(), 1 << 20)?);
    }
    Ok(told.0)
}

fn number_of(id: &[u8; 16]) -> u8 {
    (0..script::MESSAGES).find(|&number| script::message(number) == *id).unwrap_or(u8::MAX)
}

/// A script that grows.
#[derive(Default)]
pub(super) struct Telling(pub(super) Vec<u8>);

impl Telling {
    pub(super) fn segment(&mut self, slot: u8, generation: u64) {
        self.0.extend([script::SEGMENT, slot]);
        self.0.extend(generation.to_le_bytes());
        self.0.push(0);
    }

    fn blocks(&mut self) {
        self.0.push(script::BLOCKS);
    }

    fn found(&mut self, record: &Record, body: &[u8]) {
        if record.offset.is_multiple_of(BLOCK) {
            self.blocks();
        }
        let header = &record.header;
        let number = header.id.map_or(u8::MAX, |id| number_of(id.octets()));
        match header.body {
            Body::Here(..) => {
                self.record(
                    &[header.kind.number(), 0, number, 0],
                    header.commit,
                    &record.text,
                    body,
                );
            }
            Body::Big(length, checksum) => {
                self.record(
                    &[header.kind.number(), 1, number, 9],
                    header.commit,
                    &record.text,
                    body,
                );
                self.0.extend(length.to_le_bytes());
                self.0.extend(u64::from(checksum).to_le_bytes());
            }
        }
    }

    pub(super) fn record(&mut self, head: &[u8; 4], commit: u64, text: &[u8], body: &[u8]) {
        self.0.push(script::RECORD);
        self.0.extend(head);
        self.0.extend(commit.to_le_bytes());
        self.text(text);
        self.text(body);
    }

    fn checkpoint(&mut self, older: u8, generation: u64, block: u64) {
        self.0.extend([script::CHECKPOINT, older]);
        self.0.extend(generation.to_le_bytes());
        self.0.extend((block as u16).to_le_bytes());
    }

    fn pieces(&mut self, octets: &[u8]) {
        let mut rest = octets.get(HEADER..).unwrap_or_default();
        while let Some((head, after)) = rest.split_first_chunk::<PIECE>() {
            let [a, b, c, d, .., l0, l1, l2, l3, _, _, _, _] = *head;
            let kind = PIECES.iter().position(|kind| **kind == [a, b, c, d]);
            let kind = kind.expect("it is one of ours");
            let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
            let (content, after) = after.split_at(length);
            let mut content = content.to_vec();
            if *PIECES[kind] == *b"ROWS" {
                for row in content.as_chunks_mut::<{ checkpoint::ROW }>().0 {
                    row[0] -= b'a';
                }
            }
            self.0.extend([script::PIECE, kind as u8, 0]);
            self.text(&content);
            rest = after;
        }
    }

    fn big(&mut self, number: u8, octets: &[u8]) {
        self.0.extend([script::BIG, number]);
        self.text(octets);
    }

    fn text(&mut self, text: &[u8]) {
        self.0.extend((text.len() as u16).to_le_bytes());
        self.0.extend(text);
    }
}
