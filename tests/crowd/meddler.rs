//! Other programs at the same files: mutt, and whoever uses `mv` and `rm`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use mail_tests::progress::Progress;
use mail_tests::site::Site;

use super::ledger::Ledger;

/// All are tagged, then flagged, then written; and out again.
const MUTT: &str = "push \"T~A<enter>;w!<sync-mailbox><quit>\"";
const MUTTRC: &str = "set quit=yes delete=yes move=no mbox_type=Maildir wait_key=no\n";

/// Meddles for so long; returns how often mutt came to its end.
pub(crate) fn run(site: &Site, ledger: &Mutex<Ledger>, span: Duration) -> usize {
    let begun = Instant::now();
    let end = begun + span;
    let mut progress = Progress::new("seconds", span.as_secs() as usize);
    fs::write(site.path("muttrc"), MUTTRC).expect("the site has room");
    thread::scope(|scope| {
        let mutts = scope.spawn(|| {
            let mut mutts = 0;
            while Instant::now() < end {
                mutts += usize::from(mutt(site));
            }
            mutts
        });
        let mut turn = 0;
        while Instant::now() < end {
            turn += 1;
            meddle(site, ledger, turn);
            progress.reach(begun.elapsed().as_secs() as usize);
            // People and their scripts are slower than we.
            thread::sleep(Duration::from_millis(20));
        }
        mutts.join().expect("it counts only")
    })
}

fn meddle(site: &Site, ledger: &Mutex<Ledger>, turn: usize) {
    let home = site.maildir("ann");
    let boxes = [home.clone(), home.join(".Sent"), home.join(".Archive")];
    let mailbox = boxes.get(turn % 3).expect("three");
    let other = boxes.get((turn + 1) % 3).expect("three");
    let Some(file) = files(&mailbox.join("cur")).into_iter().nth(turn % 5) else { return };
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match turn % 4 {
        // Whoever is slower finds nothing: that is what the others are tested for.
        0 => drop(fs::rename(&file, other.join("cur").join(&name))),
        1 if !name.contains('F') => drop(fs::rename(&file, file.with_file_name(name + "F"))),
        2 => {
            if let Ok(text) = fs::read_to_string(&file) {
                let subject = text.lines().next().unwrap_or_default();
                let letter = subject.trim_start_matches("Subject: ");
                ledger.lock().expect("nobody panicked").note(&format!("out {letter}"));
                drop(fs::remove_file(&file));
            }
        }
        _ => deliver(mailbox, ledger, turn),
    }
}

fn deliver(mailbox: &Path, ledger: &Mutex<Ledger>, turn: usize) {
    let name = format!("{}.M{turn}P1.other", 1_770_000_000 + turn);
    let letter = format!("other-{turn}");
    let text = format!("Subject: {letter}\n\nfrom elsewhere\n");
    fs::write(mailbox.join("tmp").join(&name), text).expect("there is room");
    let (from, to) = (mailbox.join("tmp").join(&name), mailbox.join("new").join(&name));
    fs::rename(from, to).expect("the name is new");
    ledger.lock().expect("nobody panicked").note(&format!("in {letter}"));
}

fn mutt(site: &Site) -> bool {
    let command = format!(
        "mutt -n -F {} -f {} -e '{MUTT}'",
        site.path("muttrc").display(),
        site.maildir("ann").display()
    );
    // It wants a terminal; and where it finds the mailbox changed under it, it waits for a person.
    let status = Command::new("timeout")
        .args(["3", "script", "-qec", &command, "/dev/null"])
        .env("TERM", "linux")
        .env("HOME", site.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}
