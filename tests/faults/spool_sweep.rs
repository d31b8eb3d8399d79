//! Trouble at every system call of a spool's history: the process is killed, or the call says EIO,
//! ENOSPC or EINTR.
//!
//! The law: what was answered OK holds, what was not is done or not, message by message and whole.
//! An error kills no process and is answered with a refusal or got over.

use std::collections::BTreeMap;
use std::path::Path;

use mail_tests::progress::Progress;
use mail_tests::rig::in_memory;
use mail_tests::rig::promises::{Harm, Promises as _};
use mail_tests::rig::spool::{self, Ledger, Operation};
use mail_tests::rig::strace::{self, Run, Spot, Trouble};

const HISTORY: &str = env!("CARGO_BIN_EXE_spool-history");

const TROUBLES: [Trouble; 4] = [Trouble::Kill, Trouble::Eio, Trouble::Enospc, Trouble::Eintr];

/// All that is done to a spool, in a few operations; letter 7 is a large one.
fn operations() -> Vec<Operation> {
    vec![
        Operation::Take((0..5).collect()),
        Operation::Defer(2, 1),
        Operation::Take(vec![7]),
        Operation::Change(3),
        Operation::Finish(vec![0, 1]),
        Operation::Reopen,
        Operation::Take((10..30).collect()),
        Operation::Finish((10..29).collect()),
        Operation::Defer(2, 2),
        Operation::Finish(vec![7]),
        Operation::Take((30..36).collect()),
    ]
}

#[test]
fn trouble_at_any_system_call_breaks_no_promise() {
    let operations = operations();
    let spots = spots(&operations);
    assert!(!spots.is_empty(), "the history makes no system calls");
    let (mut broken, mut counts) = (Vec::new(), BTreeMap::<String, usize>::new());
    let (mut failed, mut refused) = (0, 0);
    let mut progress = Progress::new("troubles of a spool", spots.len());
    for spot in &spots {
        let (found, run) = trouble(spot, &operations);
        if run.troubled {
            *counts.entry(format!("{:?}", spot.trouble)).or_default() += 1;
        }
        if spot.is_failed_sync() && run.troubled {
            failed += 1;
            refused += usize::from(run.was_refused());
        }
        let at = format!("{:?} at {} {}", spot.trouble, spot.call, spot.number);
        broken.extend(found.into_iter().map(|what| format!("{at}: {what}")));
        progress.step();
    }
    println!("figure: {counts:?}, {} promises broken", broken.len());
    println!("figure: of {failed} runs in which a sync failed, {refused} in which it was told");
    // What was not synced is there nevertheless, while the machine is up. A sync that nobody waits
    // for is the exception.
    assert!(refused > 0 && refused * 4 >= failed * 3, "{refused} of {failed} were told");
    // Threads do not do the same twice; but most of what was counted comes up again.
    assert!(counts.values().sum::<usize>() * 4 >= spots.len() * 3, "{counts:?} of {}", spots.len());
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Threads ahead of the writer do more in one run than in another: of three, the run with the fewest
/// calls tells which all make.
fn spots(operations: &[Operation]) -> Vec<Spot> {
    let count = |_| {
        let directory = in_memory();
        let program = Path::new(HISTORY);
        strace::all_spots::<Ledger>(program, directory.path(), operations, &TROUBLES)
    };
    (0..3).map(count).min_by_key(Vec::len).expect("there were three")
}

/// What is broken after trouble at that spot, and the run.
fn trouble(spot: &Spot, operations: &[Operation]) -> (Vec<String>, Run<Ledger>) {
    let directory = in_memory();
    let run: Run<Ledger> = strace::run(Path::new(HISTORY), directory.path(), operations, spot);
    let mut ledger = Ledger::new(Harm::Killed);
    for line in &run.lines {
        ledger.take(line);
    }
    let mut broken = Vec::new();
    // Before there is a spool the system's loader may fail, and later on the program's own input
    // and output.
    let began = run.lines.len() > 1;
    let own = ["somebody reads this", "can be read"];
    let is_ours = began && !own.iter().any(|words| run.said.contains(words));
    if spot.trouble != Trouble::Kill && !run.status.success() && is_ours {
        broken.push(format!("it died: {} {}", run.status, run.said));
    }
    for when in ["afterwards", "a second time"] {
        let found = ledger.violations(&spool::view(&directory.path().join("spool")));
        broken.extend(found.into_iter().map(|what| format!("{when}: {what}")));
    }
    (broken, run)
}
