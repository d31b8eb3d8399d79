//! kill -9 of each daemon in turn while letters are under way.
//!
//! The law: a letter that was answered 250 is in its mailbox afterwards, once and whole. One that
//! was not answered may be there or not, but never half and never twice.
//!
//! That no letter comes twice does not follow from the queue: between the rename into the mailbox
//! and mtad's own record there is always a moment after which mtad repeats the delivery. It holds
//! because lmtp-deliverd knows the repeat, from its journal; and where it was killed before it could
//! record the delivery, it finds the letter in the mailbox, which here nobody empties. Where
//! somebody does: `repeats.rs`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use mail_common::log::Id;
use mail_tests::client::Client;
use mail_tests::mail::{Imap, Pop3, Smtp};
use mail_tests::numbered::{letter, whole};
use mail_tests::patience;
use mail_tests::progress::Progress;
use mail_tests::proxy::{Fault, Proxy};
use mail_tests::site::Site;
use mail_tests::suite::Suite;
use mail_tests::wanted::number;

const SENDERS: usize = 4;

const KILLS: usize = 9;

#[test]
fn killing_lmtp_deliverd_loses_nothing() {
    let copies = kill_while_letters_are_under_way("lmtp-deliverd");
    println!("figure: lmtp-deliverd killed: {copies} second copies");
    assert_eq!(copies, 0, "it finds what it had delivered");
}

#[test]
fn killing_mtad_loses_nothing() {
    let copies = kill_while_letters_are_under_way("mtad");
    println!("figure: mtad killed: {copies} second copies");
    assert_eq!(copies, 0, "lmtp-deliverd remembers what it delivered");
}

#[test]
fn killing_imapd_loses_and_doubles_nothing() {
    let copies = kill_while_letters_are_under_way("imapd");
    assert_eq!(copies, 0, "imapd delivers nothing");
    println!("figure: imapd killed: no second copies");
}

#[test]
fn killing_pop3d_loses_and_doubles_nothing() {
    let copies = kill_while_letters_are_under_way("pop3d");
    assert_eq!(copies, 0, "pop3d delivers nothing");
    println!("figure: pop3d killed: no second copies");
}

/// One delivery, again and again: at once, to a process that knows nothing of it, and after its
/// reader has seen and marked it.
#[test]
fn a_delivery_repeated_is_there_once() {
    let mut suite = Suite::of(Site::new(&[]), &["lmtp-deliverd", "imapd"]);
    let id = Id::new();
    let held = |suite: &Suite| suite.site.inbox("ann").len();
    // The log is written behind the reply, and a process that is killed may not come so far.
    let told = |suite: &Suite, times: usize| {
        let log = || suite.log("lmtp-deliverd");
        let repeats = || log().matches("status=sent (already delivered)").count();
        patience::until(|| (repeats() >= times).then_some(()))
            .unwrap_or_else(|| panic!("{}", log()));
        assert_eq!(repeats(), times, "{}", log());
    };
    for _ in 0..2 {
        hand_over(&suite, &format!("{id}.0"));
        assert_eq!(held(&suite), 1);
    }
    told(&suite, 1);
    suite.kill("lmtp-deliverd");
    suite.restart("lmtp-deliverd");
    hand_over(&suite, &format!("{id}.0"));
    assert_eq!(held(&suite), 1, "it is in new");
    told(&suite, 2);
    let mut imap = Imap::login(suite.connect("imaps"), "ann").expect("may log in");
    imap.select().expect("INBOX is there");
    imap.command("STORE 1 +FLAGS (\\Seen)").expect("can be marked");
    suite.kill("lmtp-deliverd");
    suite.restart("lmtp-deliverd");
    hand_over(&suite, &format!("{id}.0"));
    assert_eq!(held(&suite), 1, "it is in cur, with flags");
    told(&suite, 3);
    hand_over(&suite, &format!("{id}.1"));
    assert_eq!(held(&suite), 2, "another recipient is another delivery");
    for _ in 0..2 {
        hand_over(&suite, "foreign");
    }
    assert_eq!(held(&suite), 4, "what is no id of ours says nothing");
}

/// The connection to lmtp-deliverd breaks at one place after the other: every letter arrives.
#[test]
fn a_local_delivery_that_breaks_off_is_tried_again() {
    let cuts = [0, 1, 30, 60, 90, 130, 200, 1000, 20_000];
    let mut faults: Vec<Fault> = cuts.into_iter().map(Fault::CutRequest).collect();
    faults.extend([0, 1, 20, 100, 180, 250, 300, 350].map(Fault::CutReply));
    faults.push(Fault::Dribble);
    let site = Site::new(&[]);
    let proxied = format!("mtad.lmtp = {:?}", site.path("run/proxy.sock"));
    std::fs::write(site.path("conf.d/proxy.toml"), proxied).expect("the directory is ours");
    let suite = Suite::of(site, &["lmtp-deliverd", "mtad", "imapd"]);
    let (at, to) = (suite.site.path("run/proxy.sock"), suite.socket_path("lmtp"));
    let proxy = Proxy::start(&at, &to, &faults).expect("the path is short enough");
    let mut smtp = Smtp::hello(suite.connect("mx"), "EHLO").expect("is greeted");
    let mut ledger = BTreeMap::new();
    for number in 0..20 {
        let sender = format!("letter-{number}@example.net");
        smtp.send(&sender, &["ann@example.org"], &letter(number)).expect("is taken");
        ledger.insert(number, true);
    }
    let copies = audit(&suite, &ledger);
    let befell = faults.len() - proxy.left();
    assert!(befell > 1, "nothing broke");
    println!("figure: {befell} broken connections: {copies} second copies");
    assert_eq!(copies, 0, "lmtp-deliverd remembers what it delivered");
}

/// Makes an attempt at a delivery, over LMTP as mtad does.
fn hand_over(suite: &Suite, delivery_id: &str) {
    let mut lmtp = Smtp::hello(suite.connect("lmtp"), "LHLO").expect("is greeted");
    let to = format!("RCPT TO:<ann@example.org> XDELIVERID={delivery_id}");
    let letter = "Subject: again\r\n\r\nand again\r\n.";
    let mail = "MAIL FROM:<bob@example.net>";
    let steps = [(mail, "250"), (to.as_str(), "250"), ("DATA", "354")];
    for (line, reply) in steps.into_iter().chain([(letter, "250")]) {
        lmtp.command(line, reply).expect("is taken");
    }
}

/// Which letters were answered 250, by number.
type Ledger = Mutex<BTreeMap<usize, bool>>;

/// Returns how many letters are there a second time.
fn kill_while_letters_are_under_way(daemon: &str) -> usize {
    let letters = number("POSTHORN_TEST_LETTERS", 200);
    let mut suite = Suite::start();
    let ledger = Ledger::default();
    let next = AtomicUsize::new(0);
    let done = AtomicBool::new(false);
    let mx = suite.address("mx");
    let imap = suite.address("imap");
    let pop3 = suite.address("pop3");
    let tls = suite.site.client_tls();
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|_| scope.spawn(|| send_all(|| Client::plain(mx, &tls), &next, letters, &ledger)))
            .collect();
        scope.spawn(|| read_on(|| Client::plain(imap, &tls), || Client::plain(pop3, &tls), &done));
        let mut progress = Progress::new("letters", letters);
        // A kill whenever another tenth of the letters was answered.
        for tenth in 1..=KILLS {
            let so_far = || ledger.lock().unwrap_or_else(PoisonError::into_inner).len();
            patience::until(|| (so_far() >= letters * tenth / (KILLS + 1)).then_some(()))
                .unwrap_or_else(|| panic!("only {} letters went\n{}", so_far(), suite.logs()));
            suite.kill(daemon);
            suite.restart(daemon);
            progress.reach(so_far());
        }
        for sender in senders {
            sender.join().expect("does not panic");
        }
        done.store(true, Ordering::Relaxed);
    });
    let ledger = ledger.into_inner().unwrap_or_else(PoisonError::into_inner);
    let answered = ledger.values().filter(|answered| **answered).count();
    let copies = audit(&suite, &ledger);
    // Nor does a session that was killed keep the maildrop to itself.
    let pop3 = Pop3::login(suite.connect("pop3s"), "ann").and_then(|mut pop3| pop3.inbox());
    let read = counts(&pop3.expect("can be read"));
    assert!(ledger.iter().all(|(number, answered)| !answered || read.contains_key(number)));
    println!("figure: {daemon} killed {KILLS} times: {answered} of {letters} letters answered 250");
    let repeats = suite.log("lmtp-deliverd").matches("(already delivered)").count();
    println!("figure: {daemon} killed {KILLS} times: {repeats} repeats recognised");
    copies
}

/// Sends letters until none is left, over a new connection whenever the old one broke.
fn send_all(
    connect: impl Fn() -> std::io::Result<Client>,
    next: &AtomicUsize,
    letters: usize,
    ledger: &Ledger,
) {
    let mut smtp = None;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= letters {
            return;
        }
        let sent = Smtp::kept(&mut smtp, &connect).and_then(|smtp| {
            let sender = format!("letter-{number}@example.net");
            smtp.send(&sender, &["ann@example.org"], &letter(number))
        });
        if sent.is_err() {
            smtp = None;
        }
        ledger.lock().unwrap_or_else(PoisonError::into_inner).insert(number, sent.is_ok());
    }
}

/// Reads the mailbox over and over, so that imapd and pop3d have work to be killed in.
fn read_on(
    imap: impl Fn() -> std::io::Result<Client>,
    pop3: impl Fn() -> std::io::Result<Client>,
    done: &AtomicBool,
) {
    while !done.load(Ordering::Relaxed) {
        // Whatever breaks here breaks because of the kill: what counts is the audit.
        let _ = imap().and_then(|client| Imap::login(client, "ann")?.inbox(0));
        let _ = pop3().and_then(|client| Pop3::login(client, "ann")?.inbox());
    }
}

/// Checks the law; returns how many letters are there a second time.
fn audit(suite: &Suite, ledger: &BTreeMap<usize, bool>) -> usize {
    let promised: Vec<usize> =
        ledger.iter().filter(|(_, answered)| **answered).map(|(number, _)| *number).collect();
    let complete = |inbox: &[Vec<u8>]| {
        if inbox.len() < promised.len() {
            return false;
        }
        let counts = counts(inbox);
        promised.iter().all(|number| counts.contains_key(number))
    };
    // What is on its way may still become a second copy.
    patience::until(|| (suite.queued() == Some(0)).then_some(()))
        .unwrap_or_else(|| panic!("the queue does not become empty\n{}", suite.logs()));
    let stored = suite.site.inbox_when("ann", complete);
    let there = counts(&stored);
    let lost: Vec<_> = promised.iter().filter(|number| !there.contains_key(number)).collect();
    assert!(lost.is_empty(), "answered 250 and lost: {lost:?}\n{}", suite.logs());
    // What a client reads is what is stored.
    let mut imap = Imap::login(suite.connect("imaps"), "ann").expect("may log in");
    let read = imap.inbox(promised.len()).expect("can be read");
    let copies: usize = counts(&read).values().map(|count| count - 1).sum();
    println!("figure: {} letters read back whole", read.len());
    copies
}

/// How often each letter is there. Every message must be one of ours, whole.
fn counts(inbox: &[Vec<u8>]) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for stored in inbox {
        let number = whole(stored).unwrap_or_else(|why| panic!("{why}"));
        *counts.entry(number).or_default() += 1;
    }
    counts
}
