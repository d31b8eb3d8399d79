//! That the fuzzer's laws can be held: seeds, and some thousand mutations of them.

use proptest::prelude::*;
use proptest::sample::Index as Pick;
use tempfile::TempDir;

use super::seeds::{Telling, letter};
use super::*;
use crate::fsck::{Finding, fsck};
use crate::record::Kind;

/// What is done to a script.
#[derive(Debug, Clone)]
enum Mutation {
    Change(Pick, u8),
    Insert(Pick, Vec<u8>),
    Remove(Pick, usize),
    Repeat(Pick, Pick, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let octets = prop::collection::vec(any::<u8>(), 1..6);
    prop_oneof![
        3 => (any::<Pick>(), prop_oneof![0..12u8, any::<u8>()])
            .prop_map(|(at, octet)| Mutation::Change(at, octet)),
        1 => (any::<Pick>(), octets).prop_map(|(at, octets)| Mutation::Insert(at, octets)),
        1 => (any::<Pick>(), 1..100usize).prop_map(|(at, count)| Mutation::Remove(at, count)),
        1 => (any::<Pick>(), any::<Pick>(), 1..300usize)
            .prop_map(|(from, to, count)| Mutation::Repeat(from, to, count)),
    ]
}

fn mutate(script: &mut Vec<u8>, mutation: &Mutation) {
    let length = script.len();
    let at = |pick: &Pick| pick.index(length + 1);
    match mutation {
        Mutation::Change(place, octet) => {
            if let Some(changed) = script.get_mut(at(place)) {
                *changed = *octet;
            }
        }
        Mutation::Insert(place, octets) => {
            script.splice(at(place)..at(place), octets.iter().copied());
        }
        Mutation::Remove(place, count) => {
            script.drain(at(place)..(at(place) + count).min(length));
        }
        Mutation::Repeat(from, to, count) => {
            let octets = script[at(from)..(at(from) + count).min(length)].to_vec();
            script.splice(at(to)..at(to), octets);
        }
    }
}

/// In memory where that can be: it is written a thousand times.
fn directory() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap()
}

/// What `fsck` says of a script's spool.
fn looked(directory: &TempDir, script: &[u8]) -> (crate::Summary, Vec<Finding>) {
    let (shared, directories, _) = take(directory.path(), Settings::default()).unwrap();
    drop(shared);
    clear(&directories).unwrap();
    script::lay(&directories, script).unwrap();
    let mut findings = Vec::new();
    let summary = fsck(directory.path(), &mut |finding| findings.push(finding)).unwrap();
    (summary, findings)
}

#[test]
fn scripts_lay_what_the_writer_wrote() {
    let directory = directory();
    let seeds = seeds(directory.path()).unwrap();
    let told = seeds.iter().map(|seed| {
        let (summary, findings) = looked(&directory, seed);
        assert!(findings.is_empty(), "{findings:#?}");
        (summary.messages, summary.records)
    });
    let told: Vec<_> = told.collect();
    assert_eq!(told, [(2, 3), (2, 3), (2, 4), (2, 2), (1, 1), (1, 1), (1, 1)]);
}

#[test]
fn the_laws_hold_for_mutations_of_what_was_written() {
    let directory = directory();
    let seeds = seeds(directory.path()).unwrap();
    for seed in &seeds {
        run(directory.path(), seed).unwrap();
    }
    let mutations = prop::collection::vec(mutation(), 1..6);
    // A failure becomes a test of its own.
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() };
    proptest!(config, |(seed in 0..seeds.len(), mutations in mutations)| {
        let mut script = seeds[seed].clone();
        mutations.iter().for_each(|mutation| mutate(&mut script, mutation));
        run(directory.path(), &script).unwrap();
    });
}

/// Where a row of the checkpoint points stands a record whose text is no envelope: a start does
/// not read it.
#[test]
fn fsck_names_what_only_a_reader_would_meet() {
    let directory = directory();
    let mut script = seeds(directory.path()).unwrap().swap_remove(1);
    let envelope = script.windows(10).position(|octets| octets == b"{\"arrived\"").unwrap();
    script[envelope] = b'!';
    run(directory.path(), &script).unwrap();
    let (summary, findings) = looked(&directory, &script);
    assert_eq!(summary.messages, 2);
    assert!(matches!(*findings, [Finding::Text { .. }]), "{findings:#?}");
}

/// Bodies that say they have more octets than any disk.
#[test]
fn fsck_adds_up_whatever_it_is_told() {
    let directory = directory();
    let mut told = Telling::default();
    told.segment(0, 1);
    for number in 0..2 {
        told.record(&[Kind::Letter.number(), 1, number, 1], 1, &letter(number).encode(), b"");
        told.0.extend(u64::MAX.to_le_bytes());
    }
    run(directory.path(), &told.0).unwrap();
    let (summary, findings) = looked(&directory, &told.0);
    assert_eq!((summary.big, summary.big_octets), (2, u64::MAX));
    assert!(matches!(*findings, [Finding::BigMissing { .. }, Finding::BigMissing { .. }]));
}

/// The octets behind the last record, up to where a next one would begin, are not in the file.
#[test]
fn the_last_padding_may_be_missing() {
    let directory = directory();
    let mut told = Telling::default();
    told.segment(0, 1);
    told.record(&[Kind::Letter.number(), 0, 0, 0], 1, &letter(0).encode(), b"body");
    told.0.extend([5, 2, 0]);
    run(directory.path(), &told.0).unwrap();
    told.segment(1, 7);
    run(directory.path(), &told.0).unwrap();
}
