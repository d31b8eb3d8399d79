//! The program `spool-history`: does operations to a spool and tells what it promised.

use std::path::Path;
use std::sync::Arc;

use mail_proto::address::ReversePath;
use mail_proto::smtp::Recipient;
use mail_spool::{Letter as Envelope, Settings, Spool, SpoolError};

use super::view::{id_of, try_out};
use super::{Ledger, Letter, Operation, View, text, view};
use crate::outcomes::Outcomes;
use crate::rig::machine;
use crate::rig::promises::{self, Attempt, Patience, print};

/// The local part of the recipient that an admin sets.
pub(super) const SECOND: &str = "second";

/// No history has so many letters.
const FRESH: Letter = 999_999_999;

/// What the command line says.
///
/// # Panics
/// Where something goes wrong that is not the spool's affair.
pub fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["run", directory] => run(Path::new(directory), None, Patience::Once),
        ["run-again", directory] => run(Path::new(directory), None, Patience::Again),
        ["record", machine, boots] => {
            let record = |mounted: &Path, log: &Path| run(mounted, Some(log), Patience::Once);
            machine::record(Path::new(machine), boots.into(), record);
        }
        ["examine", machine, boots] => {
            machine::examine(Path::new(machine), boots.into(), examine);
        }
        ["view", directory] => print(&view(&spool_below(Path::new(directory)))),
        _ => panic!(
            "spool-history run|run-again|view DIRECTORY or record|examine DIRECTORY BOOTS, not \
             {arguments:?}"
        ),
    }
}

/// Opens a spool with small measures, and waits until it has read its log.
pub(super) fn open(path: &Path) -> Result<Spool, SpoolError> {
    let settings = Settings {
        segment: 64 << 10,
        small_body: 12 << 10,
        checkpoint: 48 << 10,
        rest: 0,
        ..Settings::default()
    };
    let (spool, recovered) = Spool::open(path, settings)?;
    recovered.for_each(drop);
    match spool.is_whole() {
        true => Ok(spool),
        // As after a kill: nothing is to be made last of what is not known.
        false => Err(SpoolError::Stopped),
    }
}

/// Takes messages, all at the same time, and waits until it is known what became of each.
pub(super) fn take(spool: &Spool, letters: &[Letter]) -> Result<(), SpoolError> {
    let outcomes = Outcomes::new();
    let begun = letters.iter().try_for_each(|letter| {
        let mut incoming = spool.begin(envelope(*letter, "first"));
        for piece in text(*letter).chunks(1000) {
            incoming.write(piece.to_vec())?;
        }
        spool.commit(Arc::new(incoming.finish()?), outcomes.then());
        Ok(())
    });
    begun.and(outcomes.wait())
}

/// They are done with, all at the same time.
pub(super) fn finish(spool: &Spool, letters: &[Letter]) -> Result<(), SpoolError> {
    let outcomes = Outcomes::new();
    for letter in letters {
        spool.finish(id_of(*letter), outcomes.then());
    }
    outcomes.wait()
}

fn run(directory: &Path, log: Option<&Path>, patience: Patience) {
    let path = spool_below(directory);
    let mut spool = None;
    promises::play::<Ledger>(log, patience, |operation, attempt| {
        go_on(&mut spool, &path, operation, attempt).map_err(|error| error.to_string())
    });
    spool.into_iter().for_each(Spool::close);
}

fn go_on(
    spool: &mut Option<Spool>,
    path: &Path,
    operation: &Operation,
    attempt: Attempt,
) -> Result<(), SpoolError> {
    if *operation == Operation::Reopen {
        spool.take().into_iter().for_each(Spool::close);
    }
    if spool.is_none() {
        *spool = Some(open(path)?);
    }
    act(spool.as_ref().expect("was just opened"), operation, attempt)
}

fn act(spool: &Spool, operation: &Operation, attempt: Attempt) -> Result<(), SpoolError> {
    match operation {
        Operation::Take(letters) => {
            // What was taken in spite of the refusal is not taken twice.
            let missing: Vec<Letter> = match attempt {
                Attempt::First => letters.clone(),
                Attempt::Second => missing(spool, letters)?,
            };
            take(spool, &missing)
        }
        Operation::Defer(letter, attempts) => {
            let Some(mut entry) = spool.entry(id_of(*letter))? else { return Ok(()) };
            entry.progress.attempts = *attempts;
            let outcomes = Outcomes::new();
            spool.record(id_of(*letter), &entry.progress, outcomes.then());
            outcomes.wait()
        }
        Operation::Change(letter) => {
            if spool.entry(id_of(*letter))?.is_none() {
                return Ok(());
            }
            let outcomes = Outcomes::new();
            spool.change(&envelope(*letter, SECOND), outcomes.then());
            outcomes.wait()
        }
        Operation::Finish(letters) => {
            let here = letters.iter().copied().filter(|letter| is_here(spool, *letter));
            finish(spool, &here.collect::<Vec<_>>())
        }
        Operation::Reopen => Ok(()),
    }
}

fn missing(spool: &Spool, letters: &[Letter]) -> Result<Vec<Letter>, SpoolError> {
    let mut missing = Vec::new();
    for letter in letters {
        if spool.entry(id_of(*letter))?.is_none() {
            missing.push(*letter);
        }
    }
    Ok(missing)
}

fn is_here(spool: &Spool, letter: Letter) -> bool {
    let mut here = false;
    spool.rows(|row| here |= row.id == id_of(letter));
    here
}

/// What is there, after a boot. What is not the same for another process, or does not work any
/// more, is a trouble.
fn examine(mounted: &Path) -> View {
    let path = spool_below(mounted);
    let mut found = view(&path);
    if let Err(error) = open(&path).and_then(|spool| {
        try_out(&spool, FRESH)?;
        spool.close();
        Ok(())
    }) {
        found.troubles.push(format!("cannot be used: {error}"));
    }
    let again = view(&path);
    if again.letters != found.letters {
        found.troubles.push(format!("another process sees something else: {again:?}"));
    }
    found
}

fn envelope(letter: Letter, to: &str) -> Envelope {
    let to = format!("{to}@example.org").parse().expect("is an address");
    Envelope {
        id: id_of(letter),
        arrived: 1_795_363_200_000_000 + u64::from(letter),
        sender: ReversePath(None),
        recipients: vec![Recipient::new(to)],
        eight_bit: false,
        ret: None,
        envid: None,
        hold: None,
    }
}

fn spool_below(directory: &Path) -> std::path::PathBuf {
    directory.join("spool")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use mail_spool::record::{HEADER, Header, SegmentHeader, UNIT};

    use super::super::random;
    use super::*;

    #[test]
    fn a_history_comes_by_all_that_a_spool_does() {
        let directory = tempfile::tempdir().expect("is writable");
        let path = spool_below(directory.path());
        let mut spool = None;
        for operation in random(4, 300) {
            go_on(&mut spool, &path, &operation, Attempt::First).expect("the disk is sound");
        }
        spool.into_iter().for_each(Spool::close);
        let (kinds, reused) = found(&path.join("segments"));
        for kind in ["Letter", "Progress", "Done", "MovedLetter", "MovedProgress"] {
            assert!(kinds.contains(kind), "there is no {kind}");
        }
        assert!(reused, "no segment was used again");
        assert!(path.join("checkpoint.old").exists(), "there were no two checkpoints");
        let big = fs::read_dir(path.join("big")).expect("is there");
        assert!(big.count() > 0, "no body is large");
    }

    /// The kinds of records, and whether any is left of an earlier use of its segment.
    fn found(segments: &Path) -> (BTreeSet<String>, bool) {
        let (mut kinds, mut reused) = (BTreeSet::new(), false);
        for entry in fs::read_dir(segments).expect("is there").flatten() {
            let octets = fs::read(entry.path()).expect("can be read");
            let Ok(segment) = SegmentHeader::decode(&octets) else { continue };
            for at in (0..octets.len() - HEADER).step_by(UNIT as usize) {
                let generation = Header::generation_of(&octets[at..]);
                reused |= generation.is_some_and(|generation| generation < segment.generation);
                if let Ok((header, _)) = Header::decode(&octets[at..], segment.generation) {
                    kinds.insert(format!("{:?}", header.kind));
                }
            }
        }
        (kinds, reused)
    }
}
