//! Trouble at the n-th system call of an operation, for every n: the process is killed, or the
//! call says EIO, ENOSPC or EINTR.
//!
//! The law: what was answered OK holds, what was not is done or not, letter by letter and whole.
//! An error kills no process, is answered with NO or is got over, and afterwards the same process
//! can do the same. After a kill the next process can.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use mail_proto::mailbox::Flags;
use mail_tests::progress::Progress;
use mail_tests::rig::in_memory;
use mail_tests::rig::ledger::Ledger;
use mail_tests::rig::operation::{Letter, Line, Marks, Operation, Said};
use mail_tests::rig::promises::{Harm, Promises as _};
use mail_tests::rig::strace::{self, Spot, Trouble};
use mail_tests::rig::view::{Mailboxes, View};

/// What a run told.
type Run = strace::Run<Ledger>;

const HISTORY: &str = env!("CARGO_BIN_EXE_history");

const TROUBLES: [Trouble; 4] = [Trouble::Kill, Trouble::Eio, Trouble::Enospc, Trouble::Eintr];

/// No operation here has so many letters.
const FRESH: Letter = 1_000_000;

#[test]
fn a_delivery() {
    sweep(&letters_in("INBOX", 1..3), &["INBOX"], &deliver("INBOX", 10));
}

#[test]
fn a_delivery_into_a_mailbox_that_nobody_looked_at() {
    sweep(&[], &[], &deliver("INBOX", 10));
}

#[test]
fn a_delivery_to_two_in_one_file() {
    let mailboxes = ["INBOX", "Archive"].map(str::to_owned);
    let mut before = letters_in("INBOX", 1..3);
    before.extend(letters_in("Archive", 3..5));
    let both = Operation::DeliverToBoth { mailboxes, letter: 10 };
    sweep(&before, &["INBOX", "Archive"], &both);
}

#[test]
fn what_another_program_delivered() {
    let mut before = letters_in("INBOX", 1..3);
    let foreign = Operation::Foreign { mailbox: "INBOX".to_owned(), letter: 10 };
    before.extend([foreign, deliver("INBOX", 11)]);
    sweep(&before, &[], &look("INBOX"));
}

#[test]
fn an_append_with_flags() {
    sweep(&letters_in("INBOX", 1..3), &["INBOX"], &append("INBOX", 10, Flags::SEEN, &["Work"]));
}

#[test]
fn an_append_after_a_delivery() {
    let mut before = letters_in("Sent", 1..3);
    before.push(deliver("Sent", 3));
    sweep(&before, &[], &append("Sent", 10, 0, &[]));
}

#[test]
fn an_expunge() {
    let expunge = Operation::Expunge { mailbox: "INBOX".to_owned(), letters: vec![2, 3, 5] };
    sweep(&letters_in("INBOX", 1..7), &["INBOX"], &expunge);
}

#[test]
fn a_copy() {
    let mut before = letters_in("INBOX", 1..4);
    before.extend(letters_in("Archive", 4..6));
    let (from, to) = ("INBOX".to_owned(), "Archive".to_owned());
    sweep(&before, &["INBOX", "Archive"], &Operation::Copy { from, to, letters: vec![1, 2, 3] });
}

#[test]
fn a_move() {
    let mut before = letters_in("INBOX", 1..4);
    before.push(append("INBOX", 4, Flags::FLAGGED, &["Work"]));
    before.extend(letters_in("Archive", 5..7));
    let (from, to) = ("INBOX".to_owned(), "Archive".to_owned());
    sweep(&before, &["INBOX", "Archive"], &Operation::Move { from, to, letters: vec![1, 3, 4] });
}

#[test]
fn a_change_of_flags() {
    let marks = marks(Flags::FLAGGED, &["later"]);
    let mark = Operation::Mark { mailbox: "INBOX".to_owned(), letters: vec![1, 3], marks };
    sweep(&letters_in("INBOX", 1..4), &["INBOX"], &mark);
}

#[test]
fn a_claim_of_what_is_recent() {
    let before: Vec<Operation> = (1..4).map(|letter| deliver("INBOX", letter)).collect();
    sweep(&before, &["INBOX"], &Operation::Claim { mailbox: "INBOX".to_owned() });
}

#[test]
fn a_uid_list_written_anew() {
    let mut before: Vec<Operation> = (1..81).map(|letter| deliver("INBOX", letter)).collect();
    let letters = (1..75).collect();
    before.push(look("INBOX"));
    before.push(Operation::Expunge { mailbox: "INBOX".to_owned(), letters });
    sweep(&before, &[], &append("INBOX", 100, 0, &[]));
}

#[test]
fn a_mailbox_made() {
    sweep(&[], &[], &Operation::Create { mailbox: "Lists/Rust".to_owned() });
}

#[test]
fn a_mailbox_deleted() {
    let mailbox = "Lists".to_owned();
    let mut before = vec![Operation::Create { mailbox: mailbox.clone() }];
    before.extend(letters_in("Lists", 1..4));
    sweep(&before, &["Lists"], &Operation::Delete { mailbox });
}

#[test]
fn mailboxes_renamed() {
    let mut before = vec![Operation::Create { mailbox: "Lists/Rust".to_owned() }];
    before.extend(letters_in("Lists", 1..3));
    before.extend(letters_in("Lists/Rust", 3..5));
    let (from, to) = ("Lists".to_owned(), "Old/Lists".to_owned());
    sweep(&before, &["Lists", "Lists/Rust"], &Operation::Rename { from, to });
}

#[test]
fn the_letters_of_inbox_moved() {
    let (from, to) = ("INBOX".to_owned(), "Old".to_owned());
    sweep(&letters_in("INBOX", 1..4), &["INBOX"], &Operation::Rename { from, to });
}

#[test]
fn a_subscription() {
    let mailbox = "Lists".to_owned();
    sweep(&[], &[], &Operation::Subscribe { mailbox, subscribed: true });
}

/// Sweeps one operation. Before it, other processes have done what is `before`, and its own
/// process looks at the mailboxes that are `known`.
fn sweep(before: &[Operation], known: &[&str], operation: &Operation) {
    let directory = in_memory();
    let home = directory.path().join("home");
    std::fs::create_dir(&home).expect("the directory is writable");
    let mut ledger = Ledger::new(Harm::Killed);
    let made: Run = strace::undisturbed(Path::new(HISTORY), &home, before);
    assert!(made.status.success(), "{}", made.said);
    take(&mut ledger, &made.lines);
    let mut operations: Vec<Operation> = known.iter().map(|name| look(name)).collect();
    let swept = operations.len();
    operations.push(operation.clone());
    age(&home);
    let sweep = Sweep { directory: directory.path(), home, ledger, operations };
    let first = sweep.copy("first");
    let history = Path::new(HISTORY);
    let spots = strace::spots::<Ledger>(history, &first, &sweep.operations, swept, &TROUBLES);
    assert!(!spots.is_empty(), "{operation:?} makes no system calls");
    let mut broken = Vec::new();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut progress = Progress::new("troubles of this operation", spots.len());
    let (mut failed, mut refused) = (0, 0);
    for spot in &spots {
        *counts.entry(format!("{:?}", spot.trouble)).or_default() += 1;
        let (found, run) = sweep.trouble(spot);
        if spot.is_failed_sync() {
            failed += 1;
            refused += usize::from(run.was_refused());
        }
        let at = format!("{:?} at {} {}", spot.trouble, spot.call, spot.number);
        broken.extend(found.into_iter().map(|what| format!("{at}: {what}")));
        progress.step();
    }
    println!("figure: {operation:?}: {counts:?}, {} promises broken", broken.len());
    println!("figure: of {failed} runs in which a sync failed, {refused} in which it was told");
    // What was not synced is there nevertheless, while the machine is up.
    assert!(refused > 0 || !brings_letters(operation), "a sync that fails is nobody's trouble");
    assert!(broken.is_empty(), "{operation:?}\n{}", broken.join("\n"));
}

/// An operation being swept.
struct Sweep<'directory> {
    directory: &'directory Path,
    home: PathBuf,
    /// What was promised in the home.
    ledger: Ledger,
    /// The last of them is swept.
    operations: Vec<Operation>,
}

impl Sweep<'_> {
    /// A copy of the home; the one that had its name before is gone.
    fn copy(&self, name: &str) -> PathBuf {
        let copy = self.directory.join(name);
        let _ = std::fs::remove_dir_all(&copy);
        let status = Command::new("cp").arg("-a").arg(&self.home).arg(&copy).status();
        assert!(status.is_ok_and(|status| status.success()), "cp");
        copy
    }

    /// What is broken after trouble at that spot, and the run.
    fn trouble(&self, spot: &Spot) -> (Vec<String>, Run) {
        let home = self.copy("troubled");
        let history = Path::new(HISTORY);
        let run: Run = strace::run(history, &home, &self.operations, spot);
        let mut ledger = self.ledger.clone();
        take(&mut ledger, &run.lines);
        let mut broken = complaints(spot, &run);
        broken.extend(found(&home, &ledger, "afterwards"));
        match spot.trouble {
            Trouble::Kill => broken.extend(self.next_process(&home, &mut ledger)),
            _ => broken.extend(self.left_behind(&home)),
        }
        (broken, run)
    }

    /// What is broken when the next process does again what was not answered.
    fn next_process(&self, home: &Path, ledger: &mut Ledger) -> Vec<String> {
        let run: Run = strace::undisturbed(Path::new(HISTORY), home, &self.operations);
        take(ledger, &run.lines);
        let mut broken = Vec::new();
        if !is_over(&run) {
            let last = run.lines.last();
            broken.push(format!("the next process cannot do it: {last:?} {}", run.said));
        }
        broken.extend(found(home, ledger, "when done again"));
        broken.extend(self.left_behind(home));
        broken
    }

    /// What is still in INBOX when its renaming was done again.
    fn left_behind(&self, home: &Path) -> Vec<String> {
        let last = self.operations.last();
        let is_renamed = |operation: &&Operation| matches!(operation, Operation::Rename { from, .. } if from == "INBOX");
        let Some(_) = last.filter(is_renamed) else { return Vec::new() };
        let left = Mailboxes::below(home).view().mailboxes.remove("INBOX");
        let left = left.into_iter().flat_map(|inbox| inbox.messages);
        left.map(|message| format!("INBOX: letter {} was left behind", message.letter)).collect()
    }
}

/// Whether its OK says that letters are in a mailbox, to last.
fn brings_letters(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::Deliver { .. }
            | Operation::DeliverToBoth { .. }
            | Operation::Append { .. }
            | Operation::Copy { .. }
            | Operation::Move { .. }
    )
}

/// What is wrong with the process itself.
fn complaints(spot: &Spot, run: &Run) -> Vec<String> {
    let mut broken = Vec::new();
    if !run.troubled {
        broken.push("the trouble did not come: the run is not the one that was counted".to_owned());
    }
    if spot.trouble == Trouble::Kill {
        return broken;
    }
    if !run.status.success() {
        broken.push(format!("it died: {} {}", run.status, run.said));
        return broken;
    }
    if !is_over(run) {
        broken.push(format!("it cannot do it when the trouble is over: {:?}", run.lines.last()));
    }
    broken
}

/// Whether there is nothing left to do. Who was not told that INBOX has another name, and repeats
/// it, is told that the name is taken.
fn is_over(run: &Run) -> bool {
    match run.lines.last().map(|line| &line.said) {
        Some(Said::Done(_)) => true,
        Some(Said::Refused(why)) => why == "mailbox \"Old\" exists already",
        _ => false,
    }
}

/// What two sessions find, and whether the mailbox can be used.
fn found(home: &Path, ledger: &Ledger, when: &str) -> Vec<String> {
    let mailboxes = Mailboxes::below(home);
    let view: View = mailboxes.view();
    let mut broken = ledger.violations(&view);
    let again = mailboxes.view();
    if !view.may_become(&again) {
        broken.push(format!("a second look shows something else: {again:?}"));
    }
    if let Err(error) = mailboxes.try_out(FRESH) {
        broken.push(format!("INBOX cannot be used: {error}"));
    }
    broken.into_iter().map(|what| format!("{when}: {what}")).collect()
}

/// What the store does depends on what changed a moment ago; here that is always nothing.
fn age(path: &Path) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).expect("it is ours") {
            age(&entry.expect("it is ours").path());
        }
    }
    let file = std::fs::File::open(path).expect("it is ours");
    let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    file.set_modified(long_ago).expect("it is ours");
}

fn take(ledger: &mut Ledger, lines: &[Line]) {
    for line in lines {
        ledger.take(line);
    }
}

fn letters_in(mailbox: &str, letters: std::ops::Range<Letter>) -> Vec<Operation> {
    letters.map(|letter| append(mailbox, letter, Flags::SEEN, &[])).collect()
}

fn append(mailbox: &str, letter: Letter, system: u8, keywords: &[&str]) -> Operation {
    let marks = marks(system, keywords);
    Operation::Append { mailbox: mailbox.to_owned(), letter, marks }
}

fn deliver(mailbox: &str, letter: Letter) -> Operation {
    Operation::Deliver { mailbox: mailbox.to_owned(), letter, identified: true }
}

fn look(mailbox: &str) -> Operation {
    Operation::Look { mailbox: mailbox.to_owned() }
}

fn marks(system: u8, keywords: &[&str]) -> Marks {
    Marks { system, keywords: keywords.iter().map(|&keyword| keyword.to_owned()).collect() }
}
