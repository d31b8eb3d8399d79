//! Letters on their whole way.

use std::io::Write;
use std::process::{Command, Stdio};

use mail_tests::chat::without_trace;
use mail_tests::mail::{Imap, Pop3, Smtp};
use mail_tests::sink::{Absent, Sink};
use mail_tests::suite::{Suite, binary};

const LETTER: &[u8] = b"From: Bob <bob@example.org>\r\n\
    To: Ann <ann@example.org>\r\n\
    Subject: Lunch\r\n\
    Date: Thu, 01 Jan 2026 12:00:00 +0000\r\n\
    Message-ID: <lunch@example.org>\r\n\
    \r\n\
    .At noon?\r\n";

fn submit(suite: &Suite, user: &str, recipients: &[&str], letter: &[u8]) -> String {
    let mut smtp = Smtp::login(suite.connect("submissions"), user).expect("may log in");
    smtp.send(&format!("{user}@example.org"), recipients, letter).expect("is taken")
}

fn text(message: &[u8]) -> String {
    String::from_utf8_lossy(message).into_owned()
}

#[test]
fn a_letter_goes_from_submission_to_imap_and_pop3() {
    let suite = Suite::start();
    let reply = submit(&suite, "bob", &["ann@example.org"], LETTER);

    let mut imap = Imap::login(suite.connect("imaps"), "ann").expect("may log in");
    let read = imap.inbox(1).expect("arrives");
    assert_eq!(read.len(), 1);
    assert_eq!(text(&without_trace(&read[0])), text(LETTER));
    let stored = text(&read[0]);
    assert!(stored.starts_with("Return-Path: <bob@example.org>\r\n"), "{stored}");
    assert!(stored.contains("\r\nDelivered-To: ann@example.org\r\n"), "{stored}");

    let mut pop3 = Pop3::login(suite.connect("pop3s"), "ann").expect("may log in");
    assert_eq!(pop3.inbox().expect("is there").len(), 1);

    // One id from the 250 to the mailbox.
    let id = reply.rsplit(' ').next().expect("names the queue id");
    assert!(stored.contains(&format!("id {id}")), "{reply}\n{stored}");
    for daemon in ["mtad", "lmtp-deliverd"] {
        assert!(suite.log(daemon).contains(id), "{daemon} does not log {id}");
    }
}

#[test]
fn idle_tells_of_new_mail() {
    let suite = Suite::start();
    let mut imap = Imap::login(suite.connect("imap"), "ann").expect("may log in");
    let held = imap.select().expect("has an INBOX");
    assert_eq!(held, 0);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| imap.wait(0, 1));
        submit(&suite, "bob", &["ann@example.org"], LETTER);
        waiting.join().expect("does not panic").expect("is told");
    });
}

#[test]
fn a_letter_to_two_arrives_once_for_each() {
    let suite = Suite::transport(&[]);
    submit(&suite, "bob", &["ann@example.org", "bob@example.org"], LETTER);
    for user in ["ann", "bob"] {
        let inbox = suite.site.inbox_when(user, |inbox| !inbox.is_empty());
        assert_eq!(inbox.len(), 1, "{user}");
    }
}

#[test]
fn foreign_mail_goes_to_the_next_hop() {
    let sink = Sink::start();
    let suite = with_next_hop(sink.address());
    submit(&suite, "bob", &["carl@example.net", "ann@example.org"], LETTER);
    let arrived = sink.arrived(1);
    assert_eq!(arrived.len(), 1, "{}", suite.logs());
    assert_eq!(arrived[0].sender, "<bob@example.org>");
    assert_eq!(arrived[0].recipients, ["<carl@example.net>"]);
    assert_eq!(text(&without_trace(&arrived[0].message)), text(LETTER));
    assert_eq!(suite.site.inbox_when("ann", |inbox| !inbox.is_empty()).len(), 1);
}

#[test]
fn a_stranger_does_not_relay() {
    let suite = Suite::transport(&[]);
    let mut smtp = Smtp::hello(suite.connect("mx"), "EHLO").expect("is greeted");
    let refused = smtp.send("eve@example.net", &["carl@example.com"], LETTER);
    let why = refused.expect_err("is not for us").to_string();
    assert!(why.contains("554 5.7.1"), "{why}");
}

#[test]
fn what_the_next_hop_refuses_comes_back_to_its_sender() {
    let sink = Sink::start();
    let suite = with_next_hop(sink.address());
    submit(&suite, "bob", &["refused@example.net"], LETTER);
    let inbox = suite.site.inbox_when("bob", |inbox| !inbox.is_empty());
    let dsn = text(inbox.first().expect("a notification comes back"));
    for part in [
        "Return-Path: <>",
        "multipart/report",
        "report-type=delivery-status",
        "message/delivery-status",
        "Final-Recipient: rfc822; refused@example.net",
        "Action: failed",
        "Status: 5.1.1",
        "550 5.1.1 No such person",
        "Subject: Lunch",
    ] {
        assert!(dsn.contains(part), "no {part:?} in\n{dsn}");
    }
    assert!(sink.arrived(0).is_empty());
}

#[test]
fn a_next_hop_that_is_down_gets_it_later() {
    let absent = Absent::new();
    let mut suite = with_next_hop(absent.address());
    submit(&suite, "bob", &["carl@example.net"], LETTER);
    let deferred = || suite.log("mtad").contains("status=deferred").then_some(());
    mail_tests::patience::until(deferred).expect("the log says that it waits");
    // It waits through a restart too.
    suite.stop("mtad");
    suite.restart("mtad");
    let sink = absent.appear();
    assert_eq!(sink.arrived(1).len(), 1, "{}", suite.logs());
    assert!(suite.site.inbox("bob").is_empty(), "nobody was told of trouble that passed");
}

#[test]
fn mail_waits_for_local_delivery() {
    let mut suite = Suite::transport(&[]);
    suite.kill("lmtp-deliverd");
    submit(&suite, "bob", &["ann@example.org"], LETTER);
    suite.kill("mtad");
    suite.restart("mtad");
    suite.restart("lmtp-deliverd");
    let inbox = suite.site.inbox_when("ann", |inbox| !inbox.is_empty());
    assert_eq!(inbox.len(), 1);
    assert_eq!(text(&without_trace(&inbox[0])), text(LETTER));
}

#[test]
fn daemons_stop_when_they_are_asked() {
    let mut suite = Suite::start();
    let mut imap = Imap::login(suite.connect("imap"), "ann").expect("may log in");
    imap.select().expect("has an INBOX");
    for daemon in ["imapd", "pop3d", "mtad", "lmtp-deliverd"] {
        let status = suite.stop(daemon);
        assert!(status.success(), "{daemon}: {status}\n{}", suite.log(daemon));
    }
    // RFC 3501, 7.1.5: the session was told.
    let said = imap.command("NOOP").expect_err("is over").to_string();
    assert!(said.contains("* BYE"), "{said}");
}

#[test]
fn programs_send_mail_with_sendmail() {
    let suite = Suite::transport(&[]);
    sendmail(&suite, &["-t", "-i", "-f", "bob@example.org"]);
    let inbox = suite.site.inbox_when("ann", |inbox| !inbox.is_empty());
    let stored = text(inbox.first().expect("arrives"));
    assert!(stored.ends_with("\n\n.At noon?\n"), "{stored}");
    assert!(stored.contains("Subject: Lunch\n"), "{stored}");
}

#[test]
fn a_sender_hears_of_a_success_that_it_asked_for() {
    let suite = Suite::transport(&[]);
    let asked = ["-N", "success", "-R", "full", "-V", "report 42"];
    sendmail(&suite, &[&["-t", "-i", "-f", "bob@example.org"], &asked[..]].concat());
    let inbox = suite.site.inbox_when("bob", |inbox| !inbox.is_empty());
    let told = text(inbox.first().expect("a notification comes"));
    for part in [
        "Return-Path: <>",
        "Subject: Your mail was delivered",
        "Original-Envelope-Id: report 42",
        "Final-Recipient: rfc822; ann@example.org",
        "Action: delivered",
        "Content-Type: text/rfc822-headers",
    ] {
        assert!(told.contains(part), "no {part:?} in\n{told}");
    }
    assert_eq!(suite.site.inbox_when("ann", |inbox| !inbox.is_empty()).len(), 1);
}

/// Hands the letter in as a local program does.
fn sendmail(suite: &Suite, arguments: &[&str]) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let sendmail = folder.path().join("sendmail");
    std::os::unix::fs::symlink(binary("posthorn"), &sendmail).expect("an empty directory");
    let mut child = Command::new(&sendmail)
        .args(arguments)
        .arg("-C")
        .arg(suite.site.file())
        .stdin(Stdio::piped())
        .spawn()
        .expect("is a program");
    let letter = text(LETTER).replace("\r\n", "\n");
    child.stdin.take().expect("is piped").write_all(letter.as_bytes()).expect("reads it");
    assert!(child.wait().expect("is our child").success(), "{}", suite.logs());
}

fn with_next_hop(address: std::net::SocketAddr) -> Suite {
    Suite::transport(&[&format!("mtad.next_hop = \"{address}\"")])
}
