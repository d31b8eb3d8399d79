//! Deliveries that are repeated after their reader has taken the message away: none comes twice.
//!
//! lmtp-deliverd is traced, and killed before the n-th call of each kind that a delivery makes; then
//! whatever is in the mailbox is deleted or moved away, as its reader would, and a new process gets
//! the delivery again. Where the message had been in the mailbox the repeat must say 250 and deliver
//! nothing, and else it must deliver it. And the same where the repeat is killed, too.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use mail_common::log::Id;
use mail_tests::mail::Smtp;
use mail_tests::patience;
use mail_tests::progress::Progress;
use mail_tests::proxy::{Fault, Proxy};
use mail_tests::site::Site;
use mail_tests::suite::Suite;
use rustix::process::{Pid, Signal, kill_process};

const DAEMON: &str = "lmtp-deliverd";

/// What a delivery asks of the disk: the message's file, what makes it last, the note and the record
/// (`pwritev`), its name, the summary, the log; and a repeat, to see how far the one before it came.
const CALLS: [&str; 10] = [
    "openat",
    "write",
    "fdatasync",
    "fsync",
    "pwritev",
    "renameat2",
    "unlinkat",
    "statx",
    "newfstatat",
    "getdents64",
];

/// A call, and which one of its kind.
type Spot = (&'static str, usize);

/// Behind the note, and before its readers see the message.
const UNSEEN: Spot = ("renameat2", 1);

/// When they see it, and before it lasts.
const SEEN: Spot = ("fsync", 1);

/// How readers take a message away.
#[derive(Debug, Clone, Copy)]
enum Reader {
    Deletes,
    Moves,
}

#[test]
fn a_kill_at_any_call_makes_no_second_copy() {
    sweep(None, &[Reader::Deletes, Reader::Moves]);
}

#[test]
fn nor_does_one_of_the_repeat_of_what_was_not_seen() {
    sweep(Some(UNSEEN), &[Reader::Deletes]);
}

#[test]
fn nor_does_one_of_the_repeat_of_what_was_seen() {
    sweep(Some(SEEN), &[Reader::Moves]);
}

/// One letter for two, in one file: who of them had it before the kill does not get it again, and who
/// had it not gets it.
#[test]
fn nor_does_one_where_two_have_one_file() {
    const CALLS: [&str; 7] =
        ["write", "fdatasync", "fsync", "pwritev", "renameat2", "linkat", "fgetxattr"];
    let mut suite = Suite::of(Site::new(&[]), &[DAEMON]);
    let (mut wrong, mut kills) = (Vec::new(), 0);
    for call in CALLS {
        // Until the delivery makes no more of them.
        for number in 1.. {
            let ids = [delivery_id(), delivery_id()];
            let to = [("ann", ids[0].as_str()), ("bob", ids[1].as_str())];
            let mut copies = [0, 0];
            let mut take = |suite: &Suite| {
                for ((user, _), copies) in to.iter().zip(&mut copies) {
                    *copies += take_away_from(suite, user, Reader::Deletes);
                }
            };
            let warm = [("ann", &*delivery_id()), ("bob", &*delivery_id())];
            deliver_to(&suite, &warm).expect("nothing is in its way");
            take_away_from(&suite, "ann", Reader::Deletes);
            take_away_from(&suite, "bob", Reader::Deletes);
            let spot = format!("inject={call}:signal=KILL:when={number}");
            let tracer = Tracer::attach(&suite, &[&spot]);
            let answer = deliver_to(&suite, &to);
            tracer.end(&mut suite, &ids[0]);
            take(&suite);
            suite.restart(DAEMON);
            deliver_to(&suite, &to).expect("nothing is in its way");
            take(&suite);
            if copies != [1, 1] {
                wrong.push(format!("{call} {number}: {copies:?} copies after {answer:?}"));
            }
            if answer.is_ok() {
                break;
            }
            kills += 1;
        }
    }
    println!("figure: lmtp-deliverd killed before {kills} calls of a delivery to two");
    assert!(kills > 10, "of two deliveries");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whatever call fails, the same process delivers when it does not fail any more, and the next one
/// knows it.
#[test]
fn an_error_at_any_call_loses_nothing() {
    const CALLS: [&str; 6] = ["openat", "fdatasync", "fsync", "pwritev", "renameat2", "statx"];
    let mut suite = Suite::of(Site::new(&[]), &[DAEMON]);
    let mut spots = spots(&mut suite, None);
    spots.retain(|(call, _)| CALLS.contains(call));
    let mut refused = 0;
    for (call, number) in &spots {
        warm_up(&suite);
        let id = delivery_id();
        let tracer = Tracer::attach(&suite, &[&format!("inject={call}:error=EIO:when={number}")]);
        refused += usize::from(deliver(&suite, &id).is_err());
        tracer.detach();
        deliver(&suite, &id).expect("nothing is in its way");
        suite.kill(DAEMON);
        suite.restart(DAEMON);
        deliver(&suite, &id).expect("nothing is in its way");
        assert_eq!(take_away(&suite, Reader::Deletes), 1, "{call} {number}");
    }
    println!("figure: EIO at {} calls of a delivery, {refused} refused", spots.len());
    assert!(refused > 3, "of the file's creation, sync, name and directory");
}

/// The sync of the mailbox fails once, when the reader has seen the letter and takes it away.
#[test]
fn nor_does_a_failed_sync_make_a_second_copy() {
    let mut suite = Suite::of(Site::new(&[]), &[DAEMON]);
    for is_killed in [false, true] {
        warm_up(&suite);
        let id = delivery_id();
        let (call, number) = SEEN;
        let tracer = Tracer::attach(&suite, &[&format!("inject={call}:error=EIO:when={number}")]);
        deliver(&suite, &id).expect_err("it does not last");
        tracer.detach();
        assert_eq!(take_away(&suite, Reader::Deletes), 1, "readers see it");
        if is_killed {
            suite.kill(DAEMON);
            suite.restart(DAEMON);
        }
        deliver(&suite, &id).expect("nothing is in its way");
        assert_eq!(take_away(&suite, Reader::Deletes), 0, "{}", suite.logs());
    }
}

/// Kills an attempt before each call that it makes, where the one before it was killed before the
/// first.
fn sweep(first: Option<Spot>, readers: &[Reader]) {
    let mut suite = Suite::of(Site::new(&[]), &[DAEMON]);
    let spots = spots(&mut suite, first);
    let (mut wrong, mut unanswered) = (Vec::new(), 0);
    let mut progress = Progress::new("calls", spots.len() * readers.len());
    let both = readers.iter().flat_map(|reader| spots.iter().map(move |spot| (*reader, *spot)));
    for (reader, spot) in both {
        let id = delivery_id();
        let (mut copies, mut answers) = (0, Vec::new());
        for spot in first.into_iter().chain([spot]) {
            answers.push(killed(&mut suite, &id, spot));
            copies += take_away(&suite, reader);
            suite.restart(DAEMON);
        }
        unanswered += usize::from(answers.last().is_some_and(io::Result::is_err));
        deliver(&suite, &id).expect("nothing is in its way");
        copies += take_away(&suite, reader);
        if copies != 1 {
            wrong.push(format!("{spot:?}: {copies} copies after {answers:?}, {reader:?}"));
        }
        progress.step();
    }
    println!(
        "figure: lmtp-deliverd killed before {} calls of a delivery, {unanswered} times before its \
         250",
        spots.len()
    );
    assert!(unanswered >= expected(first).len(), "hardly a kill came");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Makes an attempt that is killed before a call.
fn killed(suite: &mut Suite, id: &str, (call, number): Spot) -> io::Result<()> {
    warm_up(suite);
    let tracer = Tracer::attach(suite, &[&format!("inject={call}:signal=KILL:when={number}")]);
    let answer = deliver(suite, id);
    tracer.end(suite, id);
    answer
}

/// Mailbox and journal are there, and the INBOX is open when a delivery begins.
fn warm_up(suite: &Suite) {
    deliver(suite, &delivery_id()).expect("nothing is in its way");
    take_away(suite, Reader::Deletes);
}

/// The journal's own sync fails: it goes on in another file.
#[test]
fn a_record_that_cannot_be_synced_is_written_elsewhere() {
    let mut suite = Suite::of(Site::new(&[]), &[DAEMON]);
    let ids = [delivery_id(), delivery_id(), delivery_id()];
    let [first, second, third] = &ids;
    deliver(&suite, first).expect("nothing is in its way");
    // The first sync of a delivery is of the message's own file.
    let tracer = Tracer::attach(&suite, &["inject=fdatasync:error=EIO:when=2"]);
    deliver(&suite, second).expect("it is in its mailbox");
    deliver(&suite, third).expect("it is in its mailbox");
    tracer.end(&mut suite, third);
    assert_eq!(take_away(&suite, Reader::Deletes), 3);
    assert!(suite.log(DAEMON).contains("is not written any more"), "{}", suite.logs());
    suite.restart(DAEMON);
    for id in &ids {
        deliver(&suite, id).expect("nothing is in its way");
    }
    assert_eq!(take_away(&suite, Reader::Deletes), 0);
}

/// Nothing can be written into the journal: mail is delivered all the same.
#[test]
fn mail_is_delivered_without_a_journal() {
    let mut suite = Suite::of(Site::new(&[]), &[DAEMON]);
    let tracer = Tracer::attach(&suite, &["inject=pwritev:error=ENOSPC"]);
    let id = delivery_id();
    for _ in 0..2 {
        deliver(&suite, &id).expect("it is in its mailbox");
    }
    tracer.end(&mut suite, &id);
    assert!(suite.log(DAEMON).contains("deliveries go on unrecorded"), "{}", suite.logs());
    suite.restart(DAEMON);
    deliver(&suite, &id).expect("nothing is in its way");
    assert_eq!(take_away(&suite, Reader::Deletes), 1, "it was in its mailbox still");
}

/// mtad hears no 250, its reader deletes the letter, and both daemons die.
#[test]
fn what_mtad_repeats_after_its_reader_deleted_it_stays_deleted() {
    let site = Site::new(&[]);
    let proxied = format!("mtad.lmtp = {:?}", site.path("run/proxy.sock"));
    fs::write(site.path("conf.d/proxy.toml"), proxied).expect("the directory is ours");
    let mut suite = Suite::of(site, &[DAEMON, "mtad"]);
    let (at, to) = (suite.site.path("run/proxy.sock"), suite.socket_path("lmtp"));
    // The reply to the message is longer than a step: one of them ends within it.
    let hello = octets_of_hello(&suite);
    let faults: Vec<Fault> = (0..9).map(|step| Fault::CutReply(hello + 40 * step)).collect();
    let proxy = Proxy::start(&at, &to, &faults).expect("the path is short enough");
    let mut smtp = Smtp::hello(suite.connect("mx"), "EHLO").expect("is greeted");
    smtp.send("bob@example.net", &["ann@example.org"], b"Subject: once\r\n\r\nonce\r\n")
        .expect("is taken");
    patience::until(|| (suite.site.inbox("ann").len() == 1).then_some(()))
        .unwrap_or_else(|| panic!("{}", suite.logs()));
    suite.kill("mtad");
    suite.kill(DAEMON);
    assert_eq!(take_away(&suite, Reader::Deletes), 1);
    assert!(proxy.left() > 0, "it went where nothing broke");
    suite.restart(DAEMON);
    suite.restart("mtad");
    patience::until(|| suite.log(DAEMON).contains("(already delivered)").then_some(()))
        .unwrap_or_else(|| panic!("{}", suite.logs()));
    assert_eq!(take_away(&suite, Reader::Deletes), 0, "{}", suite.logs());
}

fn delivery_id() -> String {
    format!("{}.0", Id::new())
}

/// Makes an attempt at a delivery to ann.
fn deliver(suite: &Suite, delivery_id: &str) -> io::Result<()> {
    deliver_to(suite, &[("ann", delivery_id)])
}

/// Makes an attempt at the deliveries of a letter, over LMTP as mtad does.
fn deliver_to(suite: &Suite, recipients: &[(&str, &str)]) -> io::Result<()> {
    let mut lmtp = Smtp::hello(suite.connect("lmtp"), "LHLO")?;
    lmtp.command("MAIL FROM:<bob@example.net>", "250")?;
    for (user, delivery_id) in recipients {
        lmtp.command(&format!("RCPT TO:<{user}@example.org> XDELIVERID={delivery_id}"), "250")?;
    }
    lmtp.command("DATA", "354")?;
    let (_, others) = recipients.split_first().expect("it is for somebody");
    lmtp.command("Subject: again\r\n\r\nand again\r\n.", "250")?;
    others.iter().try_for_each(|_| lmtp.expect("250").map(|_| ()))
}

/// Octets that lmtp-deliverd says before the first MAIL.
fn octets_of_hello(suite: &Suite) -> usize {
    let mut stream = UnixStream::connect(suite.socket_path("lmtp")).expect("it listens");
    stream.write_all(b"LHLO client.example.net\r\n").expect("it reads");
    let mut octets = 0;
    for line in BufReader::new(stream).lines() {
        let line = line.expect("is text");
        octets += line.len() + 2;
        if line.starts_with("250 ") {
            break;
        }
    }
    octets
}

/// Removes all of ann's messages, as their reader would, and returns how many there were.
fn take_away(suite: &Suite, reader: Reader) -> usize {
    take_away_from(suite, "ann", reader)
}

fn take_away_from(suite: &Suite, user: &str, reader: Reader) -> usize {
    let maildir = suite.site.maildir(user);
    let elsewhere = suite.site.path("elsewhere").join(user);
    fs::create_dir_all(&elsewhere).expect("the directory is ours");
    let take = |path: PathBuf| match reader {
        Reader::Deletes => fs::remove_file(path).expect("is there"),
        Reader::Moves => {
            let to = elsewhere.join(path.file_name().expect("it is a file's"));
            fs::rename(path, to).expect("is there");
        }
    };
    let taken = |name: &str| {
        let Ok(entries) = fs::read_dir(maildir.join(name)) else { return 0 };
        entries.map(|entry| take(entry.expect("can be read").path())).count()
    };
    taken("new") + taken("cur")
}

/// Every call that an undisturbed attempt makes on the thread that makes most of its kind, where the
/// one before it was killed before the first.
fn spots(suite: &mut Suite, first: Option<Spot>) -> Vec<Spot> {
    let trace = tempfile::NamedTempFile::new().expect("the directory is writable");
    let to = trace.path().display().to_string();
    let id = delivery_id();
    if let Some(first) = first {
        let _ = killed(suite, &id, first);
        take_away(suite, Reader::Deletes);
        suite.restart(DAEMON);
    }
    warm_up(suite);
    let tracer = Tracer::attach(suite, &[&format!("trace={}", CALLS.join(",")), "-o", &to]);
    deliver(suite, &id).expect("nothing is in its way");
    tracer.end(suite, &id);
    take_away(suite, Reader::Deletes);
    suite.restart(DAEMON);
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let text = fs::read_to_string(trace.path()).expect("strace wrote it");
    // `4711  fsync(3) = 0`
    for line in text.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let name = rest.trim_start().split('(').next().unwrap_or_default();
        *counts.entry((thread, name)).or_default() += 1;
    }
    let most =
        |call: &str| counts.iter().filter(|((_, name), _)| *name == call).map(|(_, n)| *n).max();
    let spots: Vec<_> = CALLS
        .into_iter()
        .flat_map(|call| (1..=most(call).unwrap_or(0)).map(move |number| (call, number)))
        .collect();
    for spot in expected(first) {
        assert!(spots.contains(spot), "{spot:?} is not in {spots:?}:\n{text}");
    }
    spots
}

/// Some of the calls of an attempt, where the one before it was killed before the first.
fn expected(first: Option<Spot>) -> &'static [Spot] {
    match first {
        None => &[UNSEEN, SEEN, ("fdatasync", 2), ("pwritev", 2)],
        // The note is taken back and taken again, the file removed and made again.
        Some(UNSEEN) => &[UNSEEN, SEEN, ("pwritev", 3), ("unlinkat", 1)],
        Some(_) => &[("fsync", 2), ("pwritev", 1)],
    }
}

/// strace, which does something to a daemon's calls until the daemon ends.
struct Tracer(Child);

impl Tracer {
    fn attach(suite: &Suite, options: &[&str]) -> Self {
        let mut strace = Command::new("strace")
            .args(["-f", "-o", "/dev/null", "-p", &suite.process(DAEMON).to_string(), "-e"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace is in Debian's package strace");
        let mut line = String::new();
        let messages = strace.stderr.as_mut().expect("is piped");
        BufReader::new(messages).read_line(&mut line).expect("is text");
        assert!(line.contains("attached"), "strace may not trace here: {line}");
        Self(strace)
    }

    /// Lets the daemon go on without it.
    fn detach(mut self) {
        let strace = Pid::from_child(&self.0);
        kill_process(strace, Signal::TERM).expect("it is our child");
        self.0.wait().expect("is our child");
    }

    /// Kills the daemon, if it was not killed before it told of this delivery.
    fn end(mut self, suite: &mut Suite, id: &str) {
        let told = |suite: &mut Suite| suite.log(DAEMON).contains(id) || !suite.runs(DAEMON);
        patience::until(|| told(suite).then_some(())).unwrap_or_else(|| panic!("{}", suite.logs()));
        suite.kill(DAEMON);
        self.0.wait().expect("is our child");
    }
}
