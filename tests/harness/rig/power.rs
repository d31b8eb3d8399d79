//! The power goes: at every flush of a history, and somewhere between two flushes.
//!
//! The history is recorded once. Then the disk is put together as it was at each flush, and a
//! second time with some of the blocks that were written after it, for a disk may write what it
//! was not told to keep, in any order. Each is mounted, so that ext4's journal is replayed, and
//! looked at by a process that thinks that the machine was started anew.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::histories::Dice;
use super::in_memory;
use super::machine::{self, Boots, Files};
use super::promises::{Harm, LineOf, Promises};
use super::write_log::WriteLog;
use crate::progress::Progress;

/// A history, and the writes that came of it.
#[derive(Debug)]
pub struct Recording<P: Promises> {
    directory: tempfile::TempDir,
    program: PathBuf,
    boots: Boots,
    lines: Vec<LineOf<P>>,
    log: WriteLog,
}

/// What was looked at, and found.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Flushes in the log.
    pub flushes: usize,
    /// Disks that were put together and looked at.
    pub disks: usize,
    /// Answers OK that were held against the last one.
    pub promises: usize,
    /// What was broken, and where.
    pub violations: Vec<String>,
}

/// A disk to look at.
struct Cut<P> {
    what: String,
    directory: tempfile::TempDir,
    ledger: P,
}

/// Disks that are looked at at the same time.
const ABREAST: usize = 2;

const UNSHARE: &str = "unshare is in Debian's package util-linux";

impl<P: Promises> Recording<P> {
    /// Records a history on a disk of so many MiB; `history` is the program that does it, of which
    /// a copy is kept: whoever builds it again meanwhile would otherwise take it away.
    ///
    /// # Panics
    /// If it cannot be done here.
    #[must_use]
    pub fn make(history: &Path, operations: &[P::Operation], mebibytes: u64, boots: Boots) -> Self {
        let directory = tempfile::tempdir().expect("the directory for temporary files is writable");
        let base = directory.path().join("base");
        let files = Files::of(directory.path());
        let program = directory.path().join("history");
        std::fs::copy(history, &program).expect("the directory has room");
        machine::format(&base, mebibytes);
        copy(&base, &files.image);
        let asked = directory.path().join("asked");
        let mut text = Vec::new();
        for operation in operations {
            serde_json::to_writer(&mut text, operation).expect("has no maps with odd keys");
            text.push(b'\n');
        }
        std::fs::write(&asked, text).expect("the directory is writable");
        let mut record = machine::apart(&program);
        record.arg("record").arg(directory.path()).arg(boots.word());
        record.stdin(File::open(&asked).expect("was just written"));
        let mut recording = record.stdout(Stdio::piped()).spawn().expect(UNSHARE);
        let said = BufReader::new(recording.stdout.take().expect("it is piped"));
        let mut progress = Progress::new("operations recorded", operations.len());
        let mut lines: Vec<LineOf<P>> = Vec::new();
        for line in said.lines() {
            let line = line.expect("is text");
            lines.push(serde_json::from_str(&line).expect("is a line"));
            progress.reach(lines.len() / 2);
        }
        let status = recording.wait().expect("it is our child");
        assert!(status.success(), "{record:?}: {status}; it needs root, FUSE and loop devices");
        assert_eq!(lines.len(), operations.len() * 2, "each operation begins and ends");
        let log = WriteLog::read(&files.log);
        Self { directory, program, boots, lines, log }
    }

    /// Lets the power go at so many flushes, spread over the history, and after each of them.
    /// Stops at the first few violations.
    ///
    /// # Panics
    /// If the disks cannot be looked at here.
    #[must_use]
    pub fn cut(&self, flushes: usize) -> Outcome {
        let (cuts, waiting) = sync_channel(ABREAST);
        // Theirs alone: if they all fail, nobody waits for them.
        let waiting = Arc::new(Mutex::new(waiting));
        let outcome = Mutex::new(Outcome::default());
        thread::scope(|scope| {
            for _ in 0..ABREAST {
                let waiting = Arc::clone(&waiting);
                let outcome = &outcome;
                scope.spawn(move || self.look_at_all(&waiting, outcome));
            }
            drop(waiting);
            let found = || outcome.lock().unwrap_or_else(PoisonError::into_inner).violations.len();
            self.put_together(flushes, |cut| found() < ENOUGH && cuts.send(cut).is_ok());
            drop(cuts);
        });
        let mut outcome = outcome.into_inner().unwrap_or_else(PoisonError::into_inner);
        outcome.flushes = self.log.flushes().len();
        outcome.promises = self.lines.len() / 2;
        outcome
    }

    /// Makes the disks, in order, until somebody has seen enough.
    fn put_together(&self, most: usize, mut take: impl FnMut(Cut<P>) -> bool) {
        let disk = self.directory.path().join("disk");
        copy(&self.directory.path().join("base"), &disk);
        let image = File::options().write(true).open(&disk).expect("was just made");
        let flushes = self.log.flushes();
        let step = flushes.len().div_ceil(most.max(1)).max(1);
        let mut dice = Dice::new(flushes.len() as u64);
        let mut ledger = P::new(Harm::PowerCut);
        let (mut applied, mut told) = (0, 0);
        let chosen = flushes.iter().enumerate().step_by(step);
        let mut progress = Progress::new("power cuts", chosen.len());
        for (number, flush) in chosen {
            self.log.apply(applied..flush + 1, &image, || true);
            applied = flush + 1;
            let what = format!("power cut at flush {number}");
            let mut cuts = vec![(what, applied)];
            if let Some(next) = flushes.get(number + 1).filter(|next| **next > applied) {
                cuts.push((format!("power cut after flush {number}"), *next));
            }
            for (what, end) in cuts {
                let at = self.log.entries[end - 1].end;
                told = promised(&self.lines, told, at, &mut ledger);
                let directory = in_memory();
                let copied = Files::of(directory.path()).image;
                copy(&disk, &copied);
                let image = File::options().write(true).open(&copied).expect("was just made");
                self.log.apply(applied..end, &image, || dice.throw(2) == 0);
                let ledger = with_what_began(&self.lines, told, at, &ledger);
                if !take(Cut { what, directory, ledger }) {
                    return;
                }
            }
            progress.step();
        }
    }

    fn look_at_all(&self, waiting: &Mutex<Receiver<Cut<P>>>, outcome: &Mutex<Outcome>) {
        loop {
            let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(cut) = next else { return };
            let found = self.look_at(&cut);
            let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
            outcome.disks += 1;
            let found = found.into_iter().map(|what| format!("{}: {what}", cut.what));
            outcome.violations.extend(found);
        }
    }

    fn look_at(&self, cut: &Cut<P>) -> Vec<String> {
        let mut examine = machine::started_anew(&self.program);
        let output =
            examine.arg("examine").arg(cut.directory.path()).arg(self.boots.word()).output();
        let output = output.expect(UNSHARE);
        if !output.status.success() {
            return vec![format!("{}\n{}", output.status, String::from_utf8_lossy(&output.stderr))];
        }
        let view: P::View = serde_json::from_slice(&output.stdout).expect("is a view");
        cut.ledger.violations(&view)
    }
}

/// More need not be seen.
const ENOUGH: usize = 20;

/// Takes down what was answered when the log was that long. Returns how many lines that are.
fn promised<P: Promises>(lines: &[LineOf<P>], mut told: usize, at: u64, ledger: &mut P) -> usize {
    while let Some([begins, ends]) = lines.get(told..told + 2).filter(|pair| pair[1].at <= at) {
        ledger.take(begins);
        ledger.take(ends);
        told += 2;
    }
    told
}

/// And what was begun and not answered.
fn with_what_began<P: Promises>(lines: &[LineOf<P>], told: usize, at: u64, ledger: &P) -> P {
    let mut ledger = ledger.clone();
    if let Some(begins) = lines.get(told).filter(|line| line.at < at) {
        ledger.take(begins);
    }
    ledger
}

/// Copies an image of which most is empty.
fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("--sparse=always").arg(from).arg(to).status();
    assert!(status.is_ok_and(|status| status.success()), "cp {} {}", from.display(), to.display());
}
