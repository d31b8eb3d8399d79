//! Letters go by, their readers move and delete them, and all the while one daemon or another dies
//! by kill -9.
//!
//! The law: a letter that was answered 250 comes to its mailbox, whole, and once: not a second time
//! after its reader has put it elsewhere or deleted it. One that was not answered may come once or
//! not at all. Only a MOVE that was not answered, because imapd was killed in it, may leave a letter
//! in both mailboxes (RFC 6851 has it so that none is in neither), and a reader who moves it again
//! then has it twice.
//!
//! For two minutes, or as long as `POSTHORN_TEST_SECONDS` says. It is paced by what was done, not
//! by the clock: a daemon dies whenever some more letters were answered.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mail_tests::client::Client;
use mail_tests::mail::{Imap, Pop3, Smtp};
use mail_tests::numbered::{letter, number_of, whole};
use mail_tests::patience;
use mail_tests::progress::Progress;
use mail_tests::rig::histories::Dice;
use mail_tests::suite::Suite;
use mail_tests::wanted::number;

const DAEMONS: [&str; 4] = ["mtad", "lmtp-deliverd", "imapd", "pop3d"];

const SENDERS: usize = 4;

/// Letters that a reader takes at a time.
const HANDFUL: usize = 20;

/// Letters that wait to be read, at most: more would only make the soak a test of long queues.
const BEHIND: usize = 400;

/// Who reads by IMAP, and who by POP3.
const READERS: [&str; 2] = ["ann", "bob"];

/// What is known of the letters to one user.
#[derive(Debug, Default)]
struct Known {
    /// Sent; whether it was answered 250.
    sent: BTreeMap<usize, bool>,
    /// Its reader has seen it and wanted it out of INBOX.
    seen: BTreeSet<usize>,
    /// And was told that it is.
    taken: BTreeSet<usize>,
    /// How many times a MOVE of it was not answered.
    half_moved: BTreeMap<usize, usize>,
    /// What broke the law.
    broken: Vec<String>,
}

/// What all threads share.
#[derive(Debug, Default)]
struct Story {
    next: AtomicUsize,
    done: AtomicBool,
    known: [Mutex<Known>; 2],
}

#[test]
fn nothing_is_lost_and_nothing_comes_twice() {
    let seconds = number("POSTHORN_TEST_SECONDS", 120);
    let mut suite = Suite::start();
    let story = Story::default();
    let (mx, imap, pop3) = (suite.address("mx"), suite.address("imap"), suite.address("pop3"));
    let tls = suite.site.client_tls();
    let mut kills = BTreeMap::new();
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|_| scope.spawn(|| send_on(|| Client::plain(mx, &tls), &story)))
            .collect();
        let readers = [
            scope.spawn(|| read_by_imap(|| Client::plain(imap, &tls), &story)),
            scope.spawn(|| read_by_pop3(|| Client::plain(pop3, &tls), &story)),
        ];
        kill_on(&mut suite, &story, Duration::from_secs(seconds), &mut kills);
        story.done.store(true, Ordering::Relaxed);
        for thread in senders.into_iter().chain(readers) {
            thread.join().expect("does not panic");
        }
    });
    let (letters, answered) = (story.next.load(Ordering::Relaxed), story.answered());
    let taken: usize = story.known.iter().map(|known| lock(known).taken.len()).sum();
    audit(&suite, &story);
    let repeats = suite.log("lmtp-deliverd").matches("(already delivered)").count();
    println!("figure: {seconds} s, killed {kills:?} times");
    println!(
        "figure: {answered} of {letters} letters answered 250, {taken} taken by their readers"
    );
    let halves: usize =
        story.known.iter().map(|known| lock(known).half_moved.values().sum::<usize>()).sum();
    println!("figure: {repeats} repeats recognised, 0 lost, 0 second copies");
    println!("figure: {halves} letters were in a MOVE that was not answered");
}

/// Kills one daemon after the other until the time is over.
fn kill_on(
    suite: &mut Suite,
    story: &Story,
    span: Duration,
    kills: &mut BTreeMap<&'static str, usize>,
) {
    let (mut dice, begun) = (Dice::new(number("POSTHORN_TEST_SEED", 1)), Instant::now());
    let mut progress = Progress::new("seconds", usize::try_from(span.as_secs()).unwrap_or(0));
    while begun.elapsed() < span {
        let target = story.answered() + 10 + dice.throw(200);
        patience::until(|| (story.answered() >= target).then_some(()))
            .unwrap_or_else(|| panic!("no letter is answered any more\n{}", suite.logs()));
        let daemon = DAEMONS[dice.throw(DAEMONS.len())];
        suite.kill(daemon);
        suite.restart(daemon);
        *kills.entry(daemon).or_default() += 1;
        progress.reach(usize::try_from(begun.elapsed().as_secs()).unwrap_or(0));
    }
}

/// Sends letters to one user and the other, over a new connection whenever the old one broke.
fn send_on(connect: impl Fn() -> io::Result<Client>, story: &Story) {
    let mut smtp = None;
    while !story.done.load(Ordering::Relaxed) {
        patience::until(|| story.is_read().then_some(()));
        let number = story.next.fetch_add(1, Ordering::Relaxed);
        let whose = number % READERS.len();
        let to = format!("{}@example.org", READERS[whose]);
        // Known before it can be read.
        lock(&story.known[whose]).sent.insert(number, false);
        let sent = Smtp::kept(&mut smtp, &connect)
            .and_then(|smtp| smtp.send("soak@example.net", &[&to], &letter(number)));
        match sent {
            Ok(_) => {
                lock(&story.known[whose]).sent.insert(number, true);
            }
            Err(_) => smtp = None,
        }
    }
}

/// Moves letters to Archive, or deletes them.
fn read_by_imap(connect: impl Fn() -> io::Result<Client>, story: &Story) {
    let mut dice = Dice::new(2);
    while !story.done.load(Ordering::Relaxed) {
        let mut session = || -> io::Result<()> {
            let mut imap = Imap::login(connect()?, READERS[0])?;
            while !story.done.load(Ordering::Relaxed) {
                let held = imap.select()?.min(HANDFUL);
                imap.wait(held, 1)?;
                let held = held.max(1);
                let letters =
                    (1..=held).map(|at| imap.fetch(at)).collect::<io::Result<Vec<_>>>()?;
                let numbers = story.see(0, &letters);
                if dice.throw(2) == 0 {
                    lock(&story.known[0]).begin_to_move(&numbers);
                    imap.command(&format!("MOVE 1:{held} Archive"))?;
                    lock(&story.known[0]).moved(&numbers);
                } else {
                    imap.command(&format!("STORE 1:{held} +FLAGS.SILENT (\\Deleted)"))?;
                    imap.command("EXPUNGE")?;
                }
                lock(&story.known[0]).taken.extend(numbers);
            }
            Ok(())
        };
        // Whatever breaks here breaks because of a kill: what counts is the law.
        let _ = session();
    }
}

/// Fetches letters and deletes them.
fn read_by_pop3(connect: impl Fn() -> io::Result<Client>, story: &Story) {
    while !story.done.load(Ordering::Relaxed) {
        let session = || -> io::Result<()> {
            let mut pop3 = Pop3::login(connect()?, READERS[1])?;
            let letters = pop3.inbox()?;
            let numbers = story.see(1, &letters);
            for at in 1..=letters.len() {
                pop3.command(&format!("DELE {at}"))?;
            }
            pop3.command("QUIT")?;
            lock(&story.known[1]).taken.extend(numbers);
            Ok(())
        };
        let _ = session();
    }
}

impl Known {
    fn begin_to_move(&mut self, numbers: &[usize]) {
        numbers.iter().for_each(|number| *self.half_moved.entry(*number).or_default() += 1);
    }

    fn moved(&mut self, numbers: &[usize]) {
        for number in numbers {
            self.half_moved.entry(*number).and_modify(|times| *times = times.saturating_sub(1));
        }
    }

    /// How often a letter may be there.
    fn allowed(&self, number: usize) -> usize {
        1 + self.half_moved.get(&number).copied().unwrap_or_default()
    }
}

impl Story {
    /// A reader sees letters in INBOX; returns their numbers.
    fn see(&self, whose: usize, letters: &[Vec<u8>]) -> Vec<usize> {
        let mut known = lock(&self.known[whose]);
        let mut numbers = Vec::new();
        for stored in letters {
            match whole(stored) {
                Ok(number) if known.taken.contains(&number) => {
                    known.broken.push(format!("letter {number} came back after it was taken"));
                }
                Ok(number) if numbers.contains(&number) => {
                    known.broken.push(format!("letter {number} is there twice"));
                }
                Ok(number) => numbers.push(number),
                Err(why) => known.broken.push(why),
            }
        }
        known.seen.extend(&numbers);
        numbers
    }

    /// Whether the readers are not far behind.
    fn is_read(&self) -> bool {
        let seen: usize = self.known.iter().map(|known| lock(known).seen.len()).sum();
        self.done.load(Ordering::Relaxed) || self.answered() < seen + BEHIND
    }

    fn answered(&self) -> usize {
        let answered = |known: &Mutex<Known>| lock(known).sent.values().filter(|yes| **yes).count();
        self.known.iter().map(answered).sum()
    }
}

/// Checks the law once everything has come to an end.
fn audit(suite: &Suite, story: &Story) {
    for (whose, user) in READERS.iter().enumerate() {
        let known = lock(&story.known[whose]);
        let due: BTreeSet<usize> = known
            .sent
            .iter()
            .filter(|(number, answered)| **answered && !known.seen.contains(*number))
            .map(|(number, _)| *number)
            .collect();
        let arrived = || {
            let there: BTreeSet<usize> = everything(suite, user).into_keys().collect();
            due.is_subset(&there).then_some(())
        };
        patience::until_after(patience::PATIENCE * 4, arrived).unwrap_or_else(|| {
            let there: BTreeSet<usize> = everything(suite, user).into_keys().collect();
            let lost: Vec<_> = due.difference(&there).collect();
            panic!("answered 250 and lost to {user}: {lost:?}\n{}", suite.logs())
        });
    }
    // What is on its way may still become a second copy.
    patience::until_after(patience::PATIENCE * 4, || (suite.queued() == Some(0)).then_some(()))
        .unwrap_or_else(|| panic!("the queue does not become empty\n{}", suite.logs()));
    for (whose, user) in READERS.iter().enumerate() {
        let known = lock(&story.known[whose]);
        let mut broken = known.broken.clone();
        for (number, count) in everything(suite, user) {
            if count > known.allowed(number) {
                broken.push(format!("letter {number} is there {count} times"));
            }
        }
        for stored in suite.site.inbox(user) {
            match whole(&stored) {
                Ok(number) if known.taken.contains(&number) => {
                    broken.push(format!("letter {number} is back"));
                }
                Ok(_) => {}
                Err(why) => broken.push(why),
            }
        }
        assert!(broken.is_empty(), "{user}: {}\n{}", broken.join("\n"), suite.logs());
    }
}

/// How often each letter is in a user's INBOX and Archive together.
fn everything(suite: &Suite, user: &str) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    let maildir = suite.site.maildir(user);
    for mailbox in [maildir.clone(), maildir.join(".Archive")] {
        for folder in ["new", "cur"] {
            for entry in std::fs::read_dir(mailbox.join(folder)).into_iter().flatten().flatten() {
                // A reader may take it away meanwhile.
                let Ok(stored) = std::fs::read(entry.path()) else { continue };
                if let Some(number) = number_of(&stored) {
                    *counts.entry(number).or_default() += 1;
                }
            }
        }
    }
    counts
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}
