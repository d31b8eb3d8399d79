//! mtad before an lmtp-deliverd that is slow, silent, cut off at each octet, or talks garbage.
//!
//! The law: a letter that was answered 250 waits whole, and is in its mailbox once, as soon as a
//! right lmtp-deliverd stands there. What stands there is at the path of `mtad.lmtp`: a proxy before
//! the real one, or a peer that the test plays. Nothing waits for a pause to pass: the tests have
//! mtad try again over its control socket, as `posthorn queue flush` does.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use mail_tests::chat::without_trace;
use mail_tests::mail::Smtp;
use mail_tests::patience::{self, PATIENCE};
use mail_tests::proxy::{Fault, Proxy};
use mail_tests::sink::Sink;
use mail_tests::site::Site;
use mail_tests::suite::{Suite, binary};

#[test]
fn a_cut_after_any_octet_to_mtad_loses_and_doubles_nothing() {
    cut_everywhere("to mtad", Fault::CutReply, |[_, replies]| replies);
}

#[test]
fn nor_does_one_after_any_octet_to_lmtp_deliverd() {
    cut_everywhere("to lmtp-deliverd", Fault::CutRequest, |[requests, _]| requests);
}

#[test]
fn an_octet_at_a_time_is_enough() {
    let suite = suite(&["lmtp-deliverd", "mtad"]);
    // More than mtad has connections: whichever it opens is slow.
    let proxy = proxy(&suite, &[Fault::Dribble; 16]);
    let mut smtp = Smtp::hello(suite.connect("mx"), "EHLO").expect("is greeted");
    let lines = [1, 2, 4, 8];
    for lines in lines {
        send(&mut smtp, lines, lines);
    }
    until_empty(&suite);
    assert!(proxy.left() < 16, "nothing was slow");
    for user in ["ann", "bob"] {
        let found = inbox(&suite, user, |number| letter(number, number));
        assert_eq!(found, lines.map(|number| (number, 1)).into(), "{user}\n{}", suite.logs());
    }
}

/// Cuts a connection after each number of octets that go one way while a letter is delivered to two.
fn cut_everywhere(name: &str, fault: fn(usize) -> Fault, way: fn([usize; 2]) -> usize) {
    let mut suite = suite(&["lmtp-deliverd", "mtad"]);
    let undisturbed = proxy(&suite, &[]);
    let mut letters = Letters::default();
    letters.send(&suite, 1);
    until_empty(&suite);
    let octets = way(undisturbed.carried());
    // Away, so that all that comes waits: each cut befalls a connection that carries a letter.
    suite.stop("mtad");
    fs::remove_file(peer(&suite)).expect("the proxy bound it");
    suite.restart("mtad");
    letters.send(&suite, octets + 1);
    let faults: Vec<Fault> = (0..=octets).map(fault).collect();
    let proxy = proxy(&suite, &faults);
    let mut control = Control::open(&suite);
    while proxy.left() > 0 {
        let (before, end) = (proxy.left(), Instant::now() + PATIENCE);
        while proxy.left() == before {
            assert!(Instant::now() < end, "{before} cuts befell nobody\n{}", suite.logs());
            letters.flush(&mut control, &suite);
        }
    }
    until_empty(&suite);
    for user in ["ann", "bob"] {
        let found = inbox(&suite, user, |number| letter(number, 1));
        let expected = (0..letters.sent).map(|number| (number, 1)).collect();
        assert_eq!(found, expected, "{user}\n{}", suite.logs());
    }
    let repeats = suite.log("lmtp-deliverd").matches("(already delivered)").count();
    println!("figure: cut after each of {octets} octets {name}: {repeats} repeats recognised");
    assert!(octets > 200, "of a whole conversation");
}

/// Letters of one size that were answered 250.
#[derive(Default)]
struct Letters {
    sent: usize,
    /// The ids of those that may still wait.
    waiting: VecDeque<String>,
}

impl Letters {
    fn send(&mut self, suite: &Suite, count: usize) {
        let mut smtp = Smtp::hello(suite.connect("mx"), "EHLO").expect("is greeted");
        for _ in 0..count {
            self.waiting.push_back(send(&mut smtp, self.sent, 1));
            self.sent += 1;
        }
    }

    /// Has one of those that wait tried now, which probes lmtp-deliverd if mtad takes it for dead.
    fn flush(&mut self, control: &mut Control, suite: &Suite) {
        let Some(id) = self.waiting.pop_front() else { return self.send(suite, 1) };
        if control.flush(&id) {
            self.waiting.push_back(id);
        }
    }
}

/// What a peer does wrong.
struct Garbage {
    /// When: after which word of mtad's; none is at once.
    at: &'static str,
    said: Vec<u8>,
    then: Then,
    /// What mtad's log says of it.
    told: &'static str,
}

/// What it does after that.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    HangsUp,
    /// Answers what mtad says, as others do, up to the end of the message.
    GoesOn,
}

#[test]
fn whatever_a_peer_says_the_letter_waits_and_comes_once() {
    let mut suite = suite(&["mtad"]);
    let played = Played::start(&suite);
    let mut smtp = Smtp::hello(suite.connect("mx"), "EHLO").expect("is greeted");
    let mut control = Control::open(&suite);
    let all = garbage();
    let count = all.len();
    for (number, garbage) in all.into_iter().enumerate() {
        let told = garbage.told;
        played.play(garbage);
        let id = send(&mut smtp, number, 1);
        let line = patience::until(|| {
            control.flush(&id);
            deferral(&suite, &id, told)
        });
        let line = line.unwrap_or_else(|| panic!("{number}: no {told:?}\n{}", suite.logs()));
        let plain = |c: char| !c.is_control() && c != '\u{fffd}';
        assert!(line.len() < 1000 && line.chars().all(plain), "{number}: {line}");
        // So that only the next letter meets the next garbage.
        patience::until(|| queue(&suite, &["hold", &id]).status.success().then_some(()))
            .unwrap_or_else(|| panic!("{number}: {id} cannot be held\n{}", suite.logs()));
        let text = queue(&suite, &["cat", &id]).stdout;
        assert!(text.ends_with(&letter(number, 1)), "{number}: {}", show(&text));
        assert!(suite.runs("mtad"), "{number}: mtad ended\n{}", suite.logs());
    }
    assert_eq!(suite.queued(), Some(count as u64), "{}", suite.logs());
    played.leave(&suite);
    suite.restart("lmtp-deliverd");
    let _proxy = proxy(&suite, &[]);
    assert!(queue(&suite, &["release", "--all"]).status.success());
    until_empty(&suite);
    for user in ["ann", "bob"] {
        let found = inbox(&suite, user, |number| letter(number, 1));
        assert_eq!(found, (0..count).map(|number| (number, 1)).collect(), "{user}");
    }
}

/// It takes connections and says nothing. Its own mail waits for it, and no other.
#[test]
fn a_silent_peer_holds_up_no_other_mail() {
    let sink = Sink::start();
    let mut suite = suite_with(
        &["mtad"],
        &format!(
            "domains.relay = {{ \"branch.example\" = {{ next_hop = \"{}\" }} }}",
            sink.address()
        ),
    );
    let silent = UnixListener::bind(peer(&suite)).expect("nobody is there");
    let mut smtp = Smtp::hello(suite.connect("mx"), "EHLO").expect("is greeted");
    let id = send(&mut smtp, 0, 1);
    let taken = silent.accept().expect("mtad comes");
    let elsewhere = smtp.send("bob@example.net", &["eve@branch.example"], &letter(1, 1));
    elsewhere.expect("is taken");
    assert_eq!(sink.arrived(1).len(), 1, "{}", suite.logs());
    let told = String::from_utf8_lossy(&queue(&suite, &["show", &id]).stdout).into_owned();
    assert!(told.contains("being delivered"), "{told}");
    fs::remove_file(peer(&suite)).expect("was bound");
    suite.restart("lmtp-deliverd");
    let _proxy = proxy(&suite, &[]);
    drop((taken, silent));
    until_empty(&suite);
    for user in ["ann", "bob"] {
        assert_eq!(inbox(&suite, user, |number| letter(number, 1)), [(0, 1)].into(), "{user}");
    }
}

/// It does not even greet, and mtad is told to stop: the letter waits for the next process.
#[test]
fn a_silent_peer_holds_up_no_stop() {
    let mut suite = suite(&["mtad"]);
    let silent = UnixListener::bind(peer(&suite)).expect("nobody is there");
    let mut smtp = Smtp::hello(suite.connect("mx"), "EHLO").expect("is greeted");
    send(&mut smtp, 0, 1);
    let _taken = silent.accept().expect("mtad comes");
    assert!(suite.stop("mtad").success(), "{}", suite.logs());
    assert_eq!(suite.queued(), Some(1), "{}", suite.logs());
}

/// Everything that is no answer, or none to what was asked.
fn garbage() -> Vec<Garbage> {
    use Then::{GoesOn, HangsUp};
    const NO_REPLY: [&str; 4] = [
        "what came is no reply at greeting",
        "what came is no reply at LHLO",
        "what came is no reply at MAIL FROM",
        "what came is no reply at end of DATA",
    ];
    let noise: Vec<u8> =
        (0..5000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let noise = || noise.clone();
    let endless_line = || vec![b'2'; 10 << 20];
    let endless_reply = |code: &str| format!("{code}-and\r\n").repeat(100_000).into_bytes();
    let words = |text: &str| text.as_bytes().to_vec();
    let table = [
        ("", noise(), HangsUp, NO_REPLY[0]),
        ("", endless_line(), HangsUp, "the connection was lost"),
        ("", endless_reply("220"), HangsUp, NO_REPLY[0]),
        ("", words("999 peer\r\n"), GoesOn, NO_REPLY[0]),
        ("", words("250 Nonsense\r\n250 More\r\n250 More of it\r\n"), GoesOn, "out of turn"),
        (
            "",
            words("220 a\r\n250 b\r\n250 c\r\n250 d\r\n354 e\r\n250 f\r\n"),
            GoesOn,
            "out of turn",
        ),
        ("LHLO", noise(), HangsUp, NO_REPLY[1]),
        ("LHLO", words("250-peer\r\n550 peer\r\n"), GoesOn, NO_REPLY[1]),
        ("LHLO", words("500 5.5.1 This is no LMTP\r\n"), GoesOn, "500 5.5.1 This is no LMTP"),
        ("MAIL", endless_reply("250"), HangsUp, NO_REPLY[2]),
        ("MAIL", words("354 go\r\n"), GoesOn, "unexpected reply 354 to MAIL FROM"),
        ("MAIL", words("250 Ok\r\n250 Ok\r\n250 Ok\r\n"), GoesOn, "unexpected reply 250 to DATA"),
        ("RCPT", words("334 go\r\n"), GoesOn, "unexpected reply 334 to RCPT TO"),
        ("RCPT", words(""), HangsUp, "lost at RCPT TO"),
        ("RCPT", words("555 5.5.4 Unsupported parameter\r\n"), GoesOn, "555 5.5.4 Unsupported"),
        ("DATA", words("250 Ok\r\n"), GoesOn, "unexpected reply 250 to DATA"),
        ("DATA", words("502 5.5.1 Not offered\r\n"), GoesOn, "502 5.5.1 Not offered"),
        (".", noise(), HangsUp, NO_REPLY[3]),
        (".", words("354 more\r\n"), HangsUp, "unexpected reply 354 to end of DATA"),
        (".", words("\r\n250 Ok\r\n"), GoesOn, NO_REPLY[3]),
        (".", words("25"), HangsUp, "lost at end of DATA"),
        (".", words("451 \0\x1b[2J\x07\r\n"), HangsUp, "said: 451 ??[2J?"),
        (".", format!("451 {}\r\n", "no ".repeat(30_000)).into_bytes(), HangsUp, "said: 451 no no"),
    ];
    let table = table.map(|(at, said, then, told)| Garbage { at, said, then, told });
    table.into()
}

/// A peer in lmtp-deliverd's place.
struct Played(Arc<Mutex<Garbage>>);

impl Played {
    fn start(suite: &Suite) -> Self {
        let listener = UnixListener::bind(peer(suite)).expect("nobody is there");
        let garbage = Garbage { at: "", said: Vec::new(), then: Then::HangsUp, told: "" };
        let played = Self(Arc::new(Mutex::new(garbage)));
        let script = Arc::clone(&played.0);
        // Ends with the test's process: a thread that waits to accept costs nothing.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let script = Arc::clone(&script);
                thread::spawn(move || play(&stream, &script));
            }
        });
        played
    }

    fn play(&self, garbage: Garbage) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = garbage;
    }

    fn leave(self, suite: &Suite) {
        fs::remove_file(peer(suite)).expect("was bound");
    }
}

/// One connection.
fn play(stream: &UnixStream, script: &Mutex<Garbage>) -> io::Result<()> {
    let mut word = String::new();
    let mut lines = BufReader::new(stream);
    let mut is_message = false;
    loop {
        if !is_message || word == "." {
            let (said, then) = answer(&word, script);
            (&*stream).write_all(&said)?;
            if then == Then::HangsUp {
                return stream.shutdown(Shutdown::Both);
            }
            is_message = said.starts_with(b"354") && word == "DATA";
        }
        let mut line = Vec::new();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let line = String::from_utf8_lossy(&line);
        word = line.trim_end().split([' ', ':']).next().unwrap_or_default().to_owned();
    }
}

fn answer(word: &str, script: &Mutex<Garbage>) -> (Vec<u8>, Then) {
    let garbage = script.lock().unwrap_or_else(PoisonError::into_inner);
    if garbage.at == word {
        return (garbage.said.clone(), garbage.then);
    }
    let said = match word {
        "" => "220 peer\r\n",
        "LHLO" => "250-peer\r\n250-PIPELINING\r\n250 XDELIVERID\r\n",
        "DATA" => "354 go\r\n",
        "." => return (Vec::new(), Then::HangsUp),
        _ => "250 Ok\r\n",
    };
    (said.as_bytes().to_vec(), Then::GoesOn)
}

/// mtad's control socket.
struct Control(BufReader<UnixStream>);

impl Control {
    fn open(suite: &Suite) -> Self {
        let path = suite.site.config().run.mtad_control();
        Self(BufReader::new(UnixStream::connect(path).expect("mtad listens")))
    }

    /// Has a message tried now; says whether it may still wait.
    fn flush(&mut self, id: &str) -> bool {
        let request = format!(
            "{{\"do\":\"change\",\"action\":\"flush\",\"filter\":{{\"ids\":[\"{id}\"]}}}}\n"
        );
        self.0.get_mut().write_all(request.as_bytes()).expect("mtad lives");
        let mut waits = true;
        loop {
            let mut line = String::new();
            let count = self.0.read_line(&mut line).expect("mtad lives");
            assert!(count > 0 && !line.starts_with("{\"error\""), "{id}: {line}");
            waits &= !line.contains("not in the queue");
            if line.starts_with("{\"end\"") {
                return waits;
            }
        }
    }
}

/// Daemons of a site where lmtp-deliverd is looked for at [`peer`].
fn suite(daemons: &[&str]) -> Suite {
    suite_with(daemons, "")
}

fn suite_with(daemons: &[&str], line: &str) -> Suite {
    let site = Site::new(&[]);
    let lines = format!("mtad.lmtp = {:?}\n{line}\n", site.path("run/peer.sock"));
    fs::write(site.path("conf.d/peer.toml"), lines).expect("the directory is ours");
    Suite::of(site, daemons)
}

/// Where mtad looks for lmtp-deliverd.
fn peer(suite: &Suite) -> PathBuf {
    suite.site.path("run/peer.sock")
}

/// The real lmtp-deliverd stands there, behind a proxy.
fn proxy(suite: &Suite, faults: &[Fault]) -> Proxy {
    Proxy::start(&peer(suite), &suite.socket_path("lmtp"), faults).expect("nobody is there")
}

/// Sends a letter to ann and bob; returns its id.
fn send(smtp: &mut Smtp, number: usize, lines: usize) -> String {
    let to = ["ann@example.org", "bob@example.org"];
    let sender = format!("letter-{number:05}@example.net");
    let reply = smtp.send(&sender, &to, &letter(number, lines)).expect("is taken");
    reply.rsplit(' ').next().expect("names the id").to_owned()
}

fn letter(number: usize, lines: usize) -> Vec<u8> {
    let body = ".All work and no play makes Jack a dull boy.\r\n".repeat(lines);
    format!("Subject: letter\r\nX-Number: {number:05}\r\n\r\n{body}end of {number:05}\r\n")
        .into_bytes()
}

/// How often each letter is in an INBOX. All are as they were sent.
fn inbox(suite: &Suite, user: &str, sent: fn(usize) -> Vec<u8>) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for stored in suite.site.inbox(user) {
        let message = without_trace(&stored);
        let text = String::from_utf8_lossy(&message);
        let number =
            text.split_once("X-Number: ").and_then(|(_, rest)| rest.get(..5)?.parse().ok());
        let number = number.unwrap_or_else(|| panic!("half a letter:\n{}", show(&stored)));
        assert!(message == sent(number), "letter {number} is not whole:\n{}", show(&stored));
        *counts.entry(number).or_default() += 1;
    }
    counts
}

fn until_empty(suite: &Suite) {
    patience::until(|| (suite.queued() == Some(0)).then_some(()))
        .unwrap_or_else(|| panic!("the queue does not become empty\n{}", suite.logs()));
}

/// The line of mtad's log that says why a message goes on waiting for ann.
fn deferral(suite: &Suite, id: &str, why: &str) -> Option<String> {
    let log = suite.log("mtad");
    let wanted = |line: &&str| {
        ["status=deferred", "to=<ann@", id, why].iter().all(|part| line.contains(part))
    };
    log.lines().find(wanted).map(str::to_owned)
}

/// `posthorn queue`, as an admin calls it.
fn queue(suite: &Suite, words: &[&str]) -> Output {
    let mut command = Command::new(binary("posthorn"));
    command.arg("queue").args(words).arg("--config").arg(suite.site.file());
    command.output().expect("posthorn is built")
}

fn show(message: &[u8]) -> String {
    String::from_utf8_lossy(message.get(..500).unwrap_or(message)).into_owned()
}
