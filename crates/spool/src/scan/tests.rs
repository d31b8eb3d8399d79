//! Segments whole, damaged, and made up.

use std::cell::RefCell;

use mail_common::log::Id;
use proptest::prelude::*;

use super::window::WINDOW;
use super::*;
use crate::record::Kind;

const GENERATION: u64 = 7;

/// A segment of commits, each with records of so many octets of body; and where each stands.
fn segment(commits: &[Vec<usize>]) -> (Vec<u8>, Vec<Range<usize>>) {
    let mut octets = SegmentHeader { generation: GENERATION, slot: 3 }.encode().to_vec();
    octets.resize(BLOCK as usize, 0);
    let mut places = Vec::new();
    for (number, bodies) in commits.iter().enumerate() {
        for &length in bodies {
            let (text, body) = (format!("text of {length}"), vec![length as u8; length]);
            let header = Header {
                kind: Kind::Letter,
                generation: GENERATION,
                commit: number as u64 + 1,
                id: Id::parse("0abc"),
                text: text.len() as u32,
                body: Body::Here(length as u64, crc32c::crc32c(&body)),
            };
            let from = octets.len();
            octets.extend(header.encode(text.as_bytes()));
            octets.extend(text.as_bytes());
            octets.extend(body);
            octets.resize(octets.len().next_multiple_of(UNIT as usize), 0);
            places.push(from..octets.len());
        }
        octets.resize(octets.len().next_multiple_of(BLOCK as usize), 0);
    }
    (octets, places)
}

fn scanned(octets: &[u8]) -> Vec<Found> {
    let mut all = Vec::new();
    scan(octets, GENERATION, BLOCK..u64::MAX, &mut |found| all.push(found)).unwrap();
    all
}

/// What was found, without texts: `r` a record, `d` damage, `u` unfinished.
fn shape(found: &[Found]) -> Vec<(char, u64)> {
    let shape = |found: &Found| match found {
        Found::Record(record) => ('r', record.offset),
        Found::Damage(range) => ('d', range.start),
        Found::Unfinished(range) => ('u', range.start),
    };
    found.iter().map(shape).collect()
}

#[test]
fn all_records_are_found() {
    // Bodies longer than the window too.
    let commits = vec![vec![0, 100, 5000], vec![WINDOW * 2], vec![1], vec![4096; 70]];
    let (mut octets, places) = segment(&commits);
    octets.resize(octets.len() + 100_000, 0);
    let expected: Vec<_> = places.iter().map(|place| ('r', place.start as u64)).collect();
    assert_eq!(shape(&scanned(&octets)), expected);
    let tail = scan(&octets[..], GENERATION, BLOCK..u64::MAX, &mut |_| ()).unwrap();
    assert_eq!(tail, Tail { end: places.last().unwrap().end as u64, commit: 4, withheld: vec![] });
    // From the second commit on, and up to the third.
    let span = places[3].start as u64..places[4].start as u64;
    let mut found = Vec::new();
    scan(&octets[..], GENERATION, span, &mut |one| found.push(one)).unwrap();
    assert_eq!(shape(&found), expected[3..4]);
    // Of another use of the slot nothing counts.
    let none = scan(&octets[..], GENERATION + 1, BLOCK..u64::MAX, &mut |_| panic!()).unwrap();
    assert_eq!(none.commit, 0);
}

#[test]
fn one_damaged_record_costs_only_itself() {
    let (whole, places) = segment(&[vec![10, 20, 30], vec![40, 50], vec![60]]);
    let all: Vec<_> = places.iter().map(|place| place.start as u64).collect();
    for (hit, place) in places.iter().enumerate() {
        for at in [0, 5, 8, 16, 24, 40, 48, 56, 60, 64] {
            let mut octets = whole.clone();
            octets[place.start + at] ^= 0xff;
            let found = shape(&scanned(&octets));
            let records = found.iter().filter(|(kind, _)| *kind == 'r').map(|&(_, at)| at);
            let expected: Vec<_> = all.iter().copied().filter(|&at| at != all[hit]).collect();
            assert_eq!(records.collect::<Vec<_>>(), expected, "record {hit}, octet {at}");
            let rest = found.iter().find(|(kind, _)| *kind != 'r').copied();
            // Behind the last record nothing was promised.
            let expected = (hit + 1 < all.len()).then_some(('d', all[hit]));
            assert_eq!(rest, expected, "record {hit}, octet {at}");
        }
    }
}

#[test]
fn the_last_commit_may_be_torn() {
    let (whole, places) = segment(&[vec![10], vec![200, 300, 400]]);
    let [_, one, two, three] = &places[..] else { panic!() };
    let (one, two, three) = (one.clone(), two.clone(), three.clone());
    let damaged = |at: usize| {
        let mut octets = whole.clone();
        octets[at] ^= 1;
        shape(&scanned(&octets))[1..].to_vec()
    };
    let at = |range: &Range<usize>| range.start as u64;
    let (first, second, third) = (at(&one), at(&two), at(&three));
    assert_eq!(damaged(one.start), [('u', first), ('r', second), ('r', third)]);
    assert_eq!(damaged(one.start + 150), [('u', first), ('r', second), ('r', third)]);
    assert_eq!(damaged(two.start + 9), [('r', first), ('u', second), ('r', third)]);
    assert_eq!(damaged(three.start + 200), [('r', first), ('r', second), ('u', third)]);
    assert_eq!(damaged(three.start), [('r', first), ('r', second)]);
    // What did not arrive may be zeros still.
    let mut octets = whole.clone();
    octets[one.clone()].fill(0);
    assert_eq!(shape(&scanned(&octets))[1..], [('u', first), ('r', second), ('r', third)]);
    let mut octets = whole.clone();
    octets[two.clone()].fill(0);
    assert_eq!(shape(&scanned(&octets))[1..], [('r', first), ('u', second), ('r', third)]);
    // The same in a commit before is damage.
    let (mut octets, places) = segment(&[vec![10], vec![200, 300], vec![10]]);
    octets[places[1].start] ^= 1;
    octets[places[2].start + 200] ^= 1;
    let found = shape(&scanned(&octets));
    assert_eq!(found[1], ('d', places[1].start as u64));
    // Bodies are not read there.
    assert_eq!(found[2], ('r', places[2].start as u64));
    // A whole commit is missing: that is not how a power cut looks.
    let (mut octets, places) = segment(&[vec![10], vec![10], vec![10]]);
    octets[places[1].start] ^= 1;
    assert_eq!(shape(&scanned(&octets))[1], ('d', places[1].start as u64));
}

#[test]
fn segments_without_header_are_known_by_their_records() {
    let (mut octets, _) = segment(&[vec![10], vec![20]]);
    assert_eq!(used(&octets[..], 3).unwrap(), Use::Sound(GENERATION));
    assert_eq!(used(&octets[..], 4).unwrap(), Use::Headless(Some(GENERATION)));
    octets[8] ^= 1;
    assert_eq!(used(&octets[..], 3).unwrap(), Use::Headless(Some(GENERATION)));
    octets[BLOCK as usize..].fill(1);
    assert_eq!(used(&octets[..], 3).unwrap(), Use::Headless(None));
    for length in [0, 10, 4096, 100_000] {
        assert_eq!(used(&vec![0; length][..], 3).unwrap(), Use::Blank);
    }
}

/// A disk of which some blocks cannot be read.
struct Broken(Vec<u8>, RefCell<Range<u64>>);

fn broken(octets: Vec<u8>, dead: Range<u64>) -> Broken {
    Broken(octets, dead.into())
}

impl Octets for Broken {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let end = offset + buffer.len() as u64;
        let broken = self.1.borrow();
        if offset < broken.end && broken.start < end {
            return Err(io::Error::other("broken"));
        }
        self.0.read_at(buffer, offset)
    }

    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }
}

#[test]
fn what_the_disk_does_not_give_costs_only_itself() {
    let (octets, places) = segment(&[vec![10], vec![9000], vec![20], vec![30]]);
    let dead = places[1].start as u64..places[1].start as u64 + 4096;
    let broken = broken(octets, dead.clone());
    let mut found = Vec::new();
    let tail = scan(&broken, GENERATION, BLOCK..u64::MAX, &mut |one| found.push(one)).unwrap();
    assert_eq!(tail.withheld, [dead.start]);
    let kinds: Vec<_> = shape(&found).iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, ['r', 'd', 'r', 'r']);
    let read = record(&broken, GENERATION, places[1].start as u64..u64::MAX);
    assert!(matches!(read, Err(Damage::Unreadable(_))), "{read:?}");
}

/// Whatever was read before, for a body can be of any length.
#[test]
fn a_block_that_is_not_given_takes_nothing_of_another_with_it() {
    let (octets, places) = segment(&[vec![WINDOW + 1000, 10], vec![20], vec![30]]);
    let [_, ten, twenty, thirty] = &places[..] else { panic!() };
    let dead = (twenty.start as u64)..(twenty.start as u64 + 1);
    let broken = broken(octets, dead.clone());
    let mut found = Vec::new();
    let tail = scan(&broken, GENERATION, BLOCK..u64::MAX, &mut |one| found.push(one)).unwrap();
    assert_eq!(tail.withheld, [dead.start]);
    let records = shape(&found).into_iter().filter(|(kind, _)| *kind == 'r').skip(1);
    let expected = [ten, thirty].map(|place| ('r', place.start as u64));
    assert_eq!(records.collect::<Vec<_>>(), expected);
    // What stands behind a seal is not even asked for.
    let tail = scan(&broken, GENERATION, BLOCK..dead.start, &mut |_| ()).unwrap();
    assert_eq!((tail.end, tail.withheld), (ten.end as u64, vec![]));
}

/// As windows go back to the begin of a long record.
#[test]
fn a_block_that_is_withheld_later_than_another_behind_it_is_remembered() {
    let dead = |blocks: Range<u64>| blocks.start * BLOCK..blocks.end * BLOCK;
    let disk = broken(vec![0; 2 * WINDOW], dead(60..61));
    let mut window = Window::new(&disk, 2 * WINDOW as u64);
    window.at(0, 1).unwrap();
    assert_eq!(window.withheld, [60 * BLOCK].into());
    disk.1.replace(dead(59..61));
    window.at(45 * BLOCK, WINDOW).unwrap();
    assert_eq!(window.withheld, [59 * BLOCK, 60 * BLOCK].into());
}

/// What stands at the place of a record must be that record.
#[test]
fn only_what_a_row_points_to_is_read() {
    let (octets, places) = segment(&[vec![0, 5000]]);
    let id = Id::parse("0abc").unwrap();
    let place = |at: usize| {
        let Range { start, end } = places[at].clone();
        Place::new(3, start as u64, (end - start) as u64).unwrap()
    };
    let read = |of, place| stored(&octets[..], GENERATION, of, place);
    let letter = (id, Part::Letter);
    for at in 0..2 {
        let record = read(letter, place(at)).unwrap();
        assert_eq!((record.offset, record.end()), (place(at).offset(), place(at).end()));
        assert_eq!(record.text, format!("text of {}", [0, 5000][at]).as_bytes());
    }
    let other = (Id::parse("0abd").unwrap(), Part::Letter);
    assert!(matches!(read(other, place(0)), Err(Damage::Other)));
    assert!(matches!(read((id, Part::Progress), place(0)), Err(Damage::Other)));
    let longer = Place { units: place(0).units + 1, ..place(0) };
    assert!(matches!(read(letter, longer), Err(Damage::Other)));
    let shorter = Place { units: place(1).units - 1, ..place(1) };
    assert!(matches!(read(letter, shorter), Err(Damage::Record(NoRecord::Cut))));
    let inside = Place { unit: place(1).unit + 1, ..place(1) };
    assert!(matches!(read(letter, inside), Err(Damage::Record(NoRecord::Magic))));
}

#[test]
fn made_up_texts_do_not_cost_for_ever() {
    let (mut octets, _) = segment(&[vec![10]]);
    octets.resize(BLOCK as usize * 2, 0);
    let mut fake = Header {
        kind: Kind::Letter,
        generation: GENERATION,
        commit: 1,
        id: Id::parse("0abc"),
        text: 16 << 20,
        body: Body::NONE,
    }
    .encode(b"");
    fake[63] ^= 1;
    // As long as texts can be, and 16 thousand of them: a terabyte to be summed up.
    (0..1 << 14).for_each(|_| octets.extend(fake));
    octets.resize(octets.len() + (17 << 20), 0);
    assert_eq!(shape(&scanned(&octets)).len(), 1);
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(
        commits in prop::collection::vec(prop::collection::vec(0..3000usize, 1..5), 1..5),
        garbage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..40),
        cut: prop::sample::Index,
        from in 0..20_000u64,
    ) {
        let (mut octets, places) = segment(&commits);
        for (at, octet) in garbage {
            let at = at.index(octets.len());
            octets[at] = octet;
        }
        octets.truncate(cut.index(octets.len() + 1));
        let places: Vec<_> = places.iter().map(|place| place.start as u64).collect();
        for found in scanned(&octets) {
            if let Found::Record(record) = found {
                prop_assert!(places.contains(&record.offset), "nothing is made up");
            }
        }
        let _ = used(&octets[..], 3);
        let _ = record(&octets[..], GENERATION, from..u64::MAX);
        scan(&octets[..], GENERATION, from..u64::MAX, &mut |_| ()).unwrap();
    }

    #[test]
    fn no_octets_make_it_panic(octets: Vec<u8>, generation: u64, from: u64) {
        scan(&octets[..], generation, from / 2..u64::MAX, &mut |_| ()).unwrap();
        let _ = used(&octets[..], 3);
        let _ = record(&octets[..], generation, from..u64::MAX);
    }

    /// Records whose checksums hold, but whose lengths are made up.
    #[test]
    fn no_lengths_make_it_panic(here: bool, length: u64, text in 0..100u32, generation: u64) {
        let body = if here { Body::Here(length, 1) } else { Body::Big(length, 1) };
        let text = vec![b'x'; text as usize];
        let header = Header {
            kind: Kind::Letter,
            generation,
            commit: u64::MAX,
            id: Id::parse("0abc"),
            text: text.len() as u32,
            body,
        };
        let mut octets = vec![0; BLOCK as usize];
        octets.extend(header.encode(&text));
        octets.extend(text);
        octets.resize(3 * BLOCK as usize, 0);
        scan(&octets[..], generation, BLOCK..u64::MAX, &mut |_| ()).unwrap();
        let _ = used(&octets[..], 3);
    }
}

/// Reads of the first so many fail.
struct Back(Vec<u8>, std::cell::Cell<u32>);

impl Octets for Back {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.1.get().checked_sub(1);
        left.map_or_else(
            || self.0.read_at(buffer, offset),
            |left| {
                self.1.set(left);
                Err(io::Error::other("away"))
            },
        )
    }

    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }
}

#[test]
fn what_nothing_was_read_of_is_not_taken_for_empty() {
    let (mut octets, _) = segment(&[vec![10], vec![20]]);
    let away = |octets: &[u8]| broken(octets.to_vec(), 0..u64::MAX);
    assert!(used(&away(&octets), 3).is_err());
    let header = broken(octets.clone(), 0..BLOCK);
    assert_eq!(used(&header, 3).unwrap(), Use::Headless(Some(GENERATION)));
    // Behind the first record, what is left of an earlier use would be found.
    let begin = broken(octets.clone(), 0..BLOCK + 1);
    assert!(used(&begin, 3).is_err());
    let (mut long, _) = segment(&[vec![10], vec![20]]);
    let second = 2 * BLOCK as usize;
    let text = vec![b'x'; 5000];
    let header = Header {
        kind: Kind::Letter,
        generation: GENERATION + 1,
        commit: 1,
        id: Id::parse("0abc"),
        text: text.len() as u32,
        body: Body::NONE,
    };
    long[..8].fill(1);
    long.resize(3 * BLOCK as usize, 0);
    long.extend_from_within(BLOCK as usize..second);
    let first = [&header.encode(&text)[..], &text].concat();
    long[BLOCK as usize..][..first.len()].copy_from_slice(&first);
    assert_eq!(used(&long[..], 3).unwrap(), Use::Headless(Some(GENERATION + 1)));
    let text = broken(long, second as u64..second as u64 + 1);
    assert!(used(&text, 3).is_err(), "its first record is not all there");
    // Never used: its header says so.
    let blank = broken(vec![0; WINDOW], BLOCK..u64::MAX);
    assert_eq!(used(&blank, 3).unwrap(), Use::Blank);
    // Behind, there is something of an earlier use, and there the disk comes back.
    let (earlier, _) = segment(&[vec![10]]);
    octets.resize(WINDOW, 0);
    octets.extend(&earlier[BLOCK as usize..]);
    octets[..BLOCK as usize].fill(0);
    let header = SegmentHeader { generation: GENERATION + 1, slot: 3 }.encode();
    octets[..header.len()].copy_from_slice(&header);
    let blocks = WINDOW as u32 / BLOCK as u32;
    let back = Back(octets, (1 + blocks).into());
    assert_eq!(used(&back, 3).unwrap(), Use::Sound(GENERATION + 1));
}
