//! Checkpoints whole, damaged, and made up.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::index::{Effect, Phase, Table};
use crate::recovery::{Directories, recover, survey};
use crate::row::NOTHING;

const STANDINGS: [Standing; 4] =
    [Standing::New, Standing::Deferred, Standing::Held, Standing::GivenUp];

fn row(number: u64, index: &Index) -> Row {
    let place = |slot| Place { slot, unit: number as u32, units: 3 };
    Row {
        id: Id::parse(&format!("{number:09}")).unwrap(),
        letter: place(0),
        progress: (!number.is_multiple_of(3)).then(|| place(1)),
        due: number as u32 ^ 0x5555,
        destination: index.intern(&format!("domain{}.example", number % 1000)),
        reason: index.intern("451 4.7.1 Not now"),
        sender: index.intern("example.org"),
        size: number as u32 * 7,
        attempts: number as u16,
        waiting: 1,
        standing: STANDINGS[number as usize % STANDINGS.len()],
        big: number.is_multiple_of(5),
    }
}

/// What the row of a letter says, with its place.
fn taken(row: Row) -> (Id, Place, Effect) {
    (row.id, row.letter, Effect::Letter(row))
}

fn index(count: u64) -> Index {
    let index = Index::default();
    index.complete(Table::default(), 0, Phase::Complete);
    index.begin_segment(9, 5);
    let applied = (0..count).map(|number| taken(row(number, &index)));
    let _ = index.apply(applied.collect());
    index.reached(8192);
    index
}

/// All rows with what their names say.
fn rows(index: &Index) -> BTreeMap<Id, (Row, [String; 3])> {
    let mut rows = BTreeMap::new();
    index.each(|row| {
        let names = [row.destination, row.reason, row.sender].map(|name| index.name(name));
        let row = Row { destination: NOTHING, reason: NOTHING, sender: NOTHING, ..*row };
        rows.insert(row.id, (row, names));
    });
    rows
}

fn written(index: &Index) -> (tempfile::TempDir, Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    let dir = Dir::open(directory.path()).unwrap();
    write(&dir, index).unwrap();
    let octets = std::fs::read(directory.path().join(NEWER)).unwrap();
    (directory, octets)
}

#[test]
fn rows_come_back() {
    for count in [0, 1, 4096, 10_000] {
        let index = index(count);
        let (_directory, octets) = written(&index);
        // Into an index that knows other names.
        let other = Index::default();
        other.intern("something else");
        other.complete(Table::default(), 0, Phase::Complete);
        let mut found = Vec::new();
        let position = read(&octets[..], &other, |row| found.push(row)).unwrap();
        assert_eq!(position, Position { generation: 5, offset: 8192 });
        let _ = other.apply(found.into_iter().map(taken).collect());
        assert_eq!(rows(&other), rows(&index));
    }
}

#[test]
fn the_one_before_is_kept() {
    let index = index(3);
    let (directory, first) = written(&index);
    let dir = Dir::open(directory.path()).unwrap();
    let file = |name| std::fs::read(directory.path().join(name)).ok();
    assert_eq!(file(OLDER), None);
    index.reached(12_288);
    assert_eq!(index.checkpoints().1, None);
    write(&dir, &index).unwrap();
    assert_eq!(file(OLDER), Some(first.clone()));
    let both = [12_288, 8192].map(|offset| Some(Position { generation: 5, offset }));
    assert_eq!(index.checkpoints(), (both[0], both[1]));
    // One that is known to be damaged does not take the place of the one before.
    index.set_checkpoints(None, both[1]);
    write(&dir, &index).unwrap();
    assert_eq!(file(OLDER), Some(first));
}

#[test]
fn one_is_due_when_the_log_has_grown() {
    let index = index(1000);
    let growth = index.grown();
    assert!(growth < 1000 * 66 * 2);
    assert!(!is_due(&index, 0), "twice the size of the checkpoint");
    index.reached(BLOCK + 2 * 66 * 1000);
    assert!(is_due(&index, 0));
    assert!(!is_due(&index, 1 << 20));
    let (_directory, _) = written(&index);
    assert!(!is_due(&index, 1), "it was just taken");
}

#[test]
fn every_octet_counts() {
    let (_directory, octets) = written(&index(20));
    for at in 0..octets.len() {
        let mut damaged = octets.clone();
        damaged[at] ^= 1 << (at % 8);
        assert!(read(&damaged[..], &Index::default(), |_| panic!("shown")).is_err(), "octet {at}");
        assert!(read(&octets[..at], &Index::default(), |_| panic!("shown")).is_err(), "{at}");
    }
    let longer = [&octets[..], &[0]].concat();
    assert!(read(&longer[..], &Index::default(), |_| ()).is_err());
}

/// As a later build may write it.
#[test]
fn a_standing_that_is_not_known_is_refused() {
    let (_directory, octets) = written(&index(1));
    let (piece, row, end) = (HEADER, HEADER + PIECE, HEADER + PIECE + ROW);
    for octet in 0..=u8::MAX {
        let mut changed = octets.clone();
        changed[end - 2] = octet;
        let checksum = crc32c::crc32c(&changed[piece..row - 4]);
        let checksum = crc32c::crc32c_append(checksum, &changed[row..end]);
        changed[row - 4..row].copy_from_slice(&checksum.to_le_bytes());
        let mut found = Vec::new();
        let result = read(&changed[..], &Index::default(), |row| found.push(row.standing));
        let known = STANDINGS.into_iter().find(|standing| *standing as u8 == octet);
        assert_eq!((result.is_ok(), found), (known.is_some(), known.into_iter().collect()));
    }
}

#[test]
fn a_hundred_thousand_messages_are_found_again() {
    let index = index(100_000);
    let (directory, octets) = written(&index);
    assert!(octets.len() < 7_000_000, "{}", octets.len());
    let (found, expected) = (rows(&recovered(&directory).unwrap()), rows(&index));
    assert_eq!(found.len(), 100_000);
    assert!(found == expected);
}

/// What it holds may be had another time; without it what was done with would come back.
#[test]
fn a_checkpoint_that_cannot_be_read_is_none_that_is_damaged() {
    let (directory, octets) = written(&index(3));
    let [newer, older] = [NEWER, OLDER].map(|name| directory.path().join(name));
    std::fs::remove_file(&newer).unwrap();
    std::fs::create_dir(&newer).unwrap();
    recovered(&directory).unwrap_err();
    std::fs::write(&older, b"damaged").unwrap();
    recovered(&directory).unwrap_err();
    std::fs::write(&older, octets).unwrap();
    assert_eq!(recovered(&directory).unwrap().len(), 3);
}

/// The rows that the checkpoints tell of, where nothing came after them.
fn recovered(directory: &tempfile::TempDir) -> Result<Index, DiskError> {
    for name in ["segments", "big", "corrupt"] {
        std::fs::create_dir_all(directory.path().join(name)).unwrap();
    }
    for (slot, generation) in [(0, 1), (1, 2)] {
        let header = crate::record::SegmentHeader { generation, slot }.encode();
        let path = directory.path().join(format!("segments/{slot:08x}"));
        std::fs::write(&path, header).unwrap();
        std::fs::File::options().write(true).open(path).unwrap().set_len(64 << 20).unwrap();
    }
    let directories = Directories::open(Dir::open(directory.path()).unwrap()).unwrap();
    let survey = survey(&directories).unwrap();
    let index = survey.index();
    recover(&directories, &survey, &index, |slot| index.seal(slot))?;
    Ok(index)
}

proptest! {
    #[test]
    fn no_octets_make_it_panic(octets: Vec<u8>) {
        let _ = read(&octets[..], &Index::default(), |_| ());
    }

    /// Pieces whose checksums hold, but whose content is made up.
    #[test]
    fn no_pieces_make_it_panic(
        pieces in prop::collection::vec((0..4usize, any::<u32>(), any::<Vec<u8>>()), 0..5),
    ) {
        let mut octets = header(Position { generation: 1, offset: BLOCK });
        for (kind, count, content) in pieces {
            let kind = [ROWS, NAMES, END, b"ABCD"][kind];
            let mut piece = kind.to_vec();
            piece.extend(count.to_le_bytes());
            piece.extend((content.len() as u32).to_le_bytes());
            let checksum = crc32c::crc32c_append(crc32c::crc32c(&piece), &content);
            piece.extend(checksum.to_le_bytes());
            octets.extend(piece);
            octets.extend(content);
        }
        let _ = read(&octets[..], &Index::default(), |_| ());
    }
}
