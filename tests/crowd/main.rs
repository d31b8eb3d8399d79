//! Ten processes on the same mailboxes, and other programs between them.
//!
//! For a minute (`POSTHORN_TEST_SECONDS`) ten processes deliver, append, flag, copy, move and
//! expunge at random in the same three mailboxes, while mutt, `mv` and `rm` do what they please
//! with the files. Each process tells what it was promised and what it saw. At the end: every
//! letter that somebody was promised and that nobody removed is there; UIDVALIDITY never changed,
//! UIDNEXT never fell, and no UID was ever two messages.

mod ledger;
mod meddler;
mod worker;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ledger::Ledger;
use mail_tests::site::Site;

/// How many processes there are.
const PROCESSES: usize = 10;
/// The mailboxes that all of them use.
const MAILBOXES: [&str; 3] = ["INBOX", "Sent", "Archive"];
/// Says to a process of this test which of the ten it is.
const NUMBER: &str = "CROWD_NUMBER";
/// Says where the site's configuration is.
const SITE: &str = "CROWD_SITE";

fn main() -> ExitCode {
    if let Ok(number) = std::env::var(NUMBER) {
        worker::run(number.parse().expect("the test says it"), span());
        return ExitCode::SUCCESS;
    }
    let site = Site::new(&[]);
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    drop(worker::directory(&site.file()));
    let (workers, readers): (Vec<Child>, Vec<JoinHandle<()>>) =
        (0..PROCESSES).map(|number| spawn(number, &site, &ledger)).unzip();
    let mutts = meddler::run(&site, &ledger, span());
    let mut failed = 0;
    for mut worker in workers {
        failed += usize::from(!worker.wait().is_ok_and(|status| status.success()));
    }
    for reader in readers {
        reader.join().expect("a reader only reads");
    }
    let ledger = ledger.lock().expect("nobody panicked");
    let wrongs = ledger.check(&site);
    println!("figure: {}, mutt {mutts} times", ledger.summary());
    for wrong in wrongs.iter().take(20) {
        println!("{wrong}");
    }
    let passed = failed == 0 && wrongs.is_empty() && mutts > 0;
    println!("{} passed, {} failed", usize::from(passed), usize::from(!passed));
    assert!(failed == 0, "{failed} processes ended otherwise than they should");
    assert!(mutts > 0, "mutt never came to its end");
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn spawn(number: usize, site: &Site, ledger: &Arc<Mutex<Ledger>>) -> (Child, JoinHandle<()>) {
    let mut child = Command::new(std::env::current_exe().expect("a test has a path"))
        .env(NUMBER, number.to_string())
        .env(SITE, site.file())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a test may start itself");
    let said = BufReader::new(child.stdout.take().expect("it is piped"));
    let ledger = Arc::clone(ledger);
    let reader = thread::spawn(move || {
        for line in said.lines() {
            let line = line.expect("workers speak UTF-8");
            ledger.lock().expect("nobody panicked").note(&line);
        }
    });
    (child, reader)
}

fn span() -> Duration {
    let seconds = std::env::var("POSTHORN_TEST_SECONDS").ok();
    Duration::from_secs(seconds.and_then(|text| text.parse().ok()).unwrap_or(60))
}
