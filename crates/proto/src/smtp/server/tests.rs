//! The session against a scripted world. What a conversation looks like, the chats tell; here is
//! what they cannot: which questions are asked, failures of the world, memory, any split.

mod batch;

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::sasl::Verdict;
use crate::smtp::{Accepted, Dialect, Failure, Limits, Transaction};

/// The fixture of the tests: what listeners of the tests' site are told.
pub(in crate::smtp) fn setup(dialect: Dialect) -> Setup {
    Setup {
        dialect,
        hostname: "mx.example.org".parse().expect("is a name"),
        limits: Limits {
            message_size: 200_000,
            recipients: 3,
            command_line: 2048,
            errors: 10,
            patience: Duration::from_secs(300),
        },
        starttls: matches!(dialect, Dialect::Smtp | Dialect::Submission),
        cleartext_auth: false,
        delivery_ids: dialect == Dialect::Lmtp,
    }
}

/// What answers, and what it was asked.
#[derive(Default)]
struct World {
    /// Fails these.
    begin: Option<Failure>,
    store: Option<Failure>,
    commit: Option<Failure>,
    recipients: usize,
    asked: String,
}

impl World {
    fn perform(&mut self, request: Request) -> Answer {
        match request {
            Request::Verify(credentials) => {
                self.note(&format!("verify {}", credentials.username));
                let verdict = match credentials.password.as_slice() {
                    b"apple" => Verdict::Accepted,
                    b"later" => Verdict::Unavailable,
                    _ => Verdict::Rejected,
                };
                Answer::Verified { username: credentials.username, verdict }
            }
            Request::Sender { sender, .. } => {
                self.note(&format!("sender {sender}"));
                let spam = sender.to_string().contains("spam");
                let outcome = if spam { Err(Failure::SenderNotYours) } else { Ok(()) };
                Answer::Sender(outcome)
            }
            Request::Route { recipient, .. } => {
                self.note(&format!("route {}", recipient.address));
                let known = ["ann", "bob", "postmaster"].contains(&recipient.address.local());
                let outcome = if known { Ok(()) } else { Err(Failure::NoSuchUser) };
                Answer::Routed { recipient, outcome }
            }
            Request::Begin { client, envelope } => {
                self.recipients = envelope.recipients.len();
                self.note(&format!("begin {client:?} {envelope:?}"));
                Answer::Begun(self.begin.map_or(Ok(()), Err))
            }
            Request::Store(block) => {
                self.note(&format!("store {}", block.len()));
                Answer::Stored(self.store.map_or(Ok(block), Err))
            }
            Request::Commit(block) => {
                self.note(&format!("commit {:?}", String::from_utf8_lossy(&block)));
                Answer::Committed(vec![self.outcome(&block); self.recipients])
            }
            Request::Discard => {
                self.note("discard");
                Answer::Discarded
            }
            Request::Deliver(transactions) => {
                self.note(&format!("batch {}", transactions.len()));
                let outcomes =
                    transactions.iter().map(|Transaction { envelope, message, .. }| {
                        self.note(&format!("message {:?}", String::from_utf8_lossy(message)));
                        vec![self.outcome(message); envelope.recipients.len()]
                    });
                Answer::Delivered(outcomes.collect())
            }
        }
    }

    fn outcome(&self, message: &[u8]) -> Result<Accepted, Failure> {
        if message.starts_with(b"loop") {
            return Err(Failure::Loop);
        }
        self.commit.map_or(Ok(Accepted::Queued("ID".into())), Err)
    }

    fn note(&mut self, what: &str) {
        writeln!(self.asked, "{what}").expect("writing to a string");
    }
}

fn tls() -> Secured {
    Secured { version: "TLSv1.3".into(), cipher: "TLS_AES_256_GCM_SHA384".into() }
}

/// Goes on until the session wants to read or ends; whether it wants to read.
fn settle(server: &mut Server, world: &mut World, out: &mut Vec<u8>) -> bool {
    loop {
        match server.step(out) {
            Step::Ask(request) => {
                let answer = world.perform(request);
                server.answer(answer);
            }
            Step::StartTls => {
                out.extend_from_slice(b"-- tls\n");
                server.secured(tls());
            }
            Step::Read => return true,
            Step::Close => {
                out.extend_from_slice(b"-- closed\n");
                return false;
            }
            Step::Done => unreachable!("SMTP is one session"),
        }
        assert!(server.out.capacity() == 0, "the caller's buffer went back");
    }
}

/// Plays bytes to a session; returns what it said.
fn converse(mut server: Server, world: &mut World, bytes: &[u8], piece: usize) -> String {
    let mut out = Vec::new();
    let mut open = settle(&mut server, world, &mut out);
    for piece in bytes.chunks(piece) {
        if !open {
            break;
        }
        server.receive(piece);
        open = settle(&mut server, world, &mut out);
        if open {
            let longest = server.longest_line();
            assert!(server.input.unread().len() <= longest, "the input stays within its limit");
        }
    }
    String::from_utf8(out).expect("we speak ASCII").replace("\r\n", "\n")
}

fn smtp() -> Server {
    Server::new(setup(Dialect::Smtp))
}

/// The codes of what was said, without the greeting and without inner lines.
fn codes(said: &str) -> String {
    let last = said.lines().skip(1).filter(|line| line.as_bytes().get(3) != Some(&b'-'));
    last.map(|line| if line.starts_with("--") { "closed" } else { &line[..3] })
        .collect::<Vec<_>>()
        .join(" ")
}

const ENVELOPE: &str = "EHLO a.b\r\nMAIL FROM:<c@d.e> SIZE=99 BODY=8BITMIME\r\n\
    RCPT TO:<ann@example.org>\r\nRCPT TO:<Postmaster>\r\nRCPT TO:<nobody@example.org>\r\nDATA\r\n";

#[test]
fn a_message_is_asked_about_begun_and_committed() {
    let mut world = World::default();
    let bytes = format!("{ENVELOPE}Subject: x\r\n\r\n..\r\n.\r\nQUIT\r\n");
    let said = converse(smtp(), &mut world, bytes.as_bytes(), 5);
    assert_eq!(codes(&said), "250 250 250 250 550 354 250 221 closed", "{said}");
    let asked: Vec<_> = world.asked.lines().collect();
    assert_eq!(
        asked[..3],
        ["sender <c@d.e>", "route ann@example.org", "route postmaster@mx.example.org"]
    );
    assert!(asked[4].contains("hello: \"a.b\", extended: true, tls: None"), "{}", asked[4]);
    assert!(asked[4].contains("size: Some(99), eight_bit: true"), "{}", asked[4]);
    assert_eq!(asked[5..], ["commit \"Subject: x\\r\\n\\r\\n.\\r\\n\""]);
}

#[test]
fn a_long_message_travels_in_blocks() {
    let mut world = World::default();
    let bytes = format!("{ENVELOPE}{}.\r\nNOOP\r\n", "0123456789abcd\r\n".repeat(10_000));
    let said = converse(smtp(), &mut world, bytes.as_bytes(), 10_000);
    assert!(said.ends_with("250 2.0.0 Ok: queued as ID\n250 2.0.0 Ok\n"), "{said}");
    let asked: Vec<_> = world.asked.lines().skip(5).map(|line| &line[..8]).collect();
    assert_eq!(asked, ["store 65", "store 65", "commit \""]);
}

const CHUNKED: &str = "EHLO a.b\r\nMAIL FROM:<c@d.e>\r\nRCPT TO:<ann@example.org>\r\n";

/// A chunk with its command.
fn chunk(content: &str, last: bool) -> String {
    let last = if last { " LAST" } else { "" };
    format!("BDAT {}{last}\r\n{content}", content.len())
}

/// The first words of what was asked, without the transaction's beginning.
fn asked_of_messages(world: &World) -> String {
    let words = world.asked.lines().filter_map(|line| line.split(' ').next());
    words.filter(|word| !["sender", "route"].contains(word)).collect::<Vec<_>>().join(" ")
}

#[test]
fn chunks_are_one_message() {
    let mut world = World::default();
    let chunks = [chunk("Subject: x\r", false), chunk("\n\r\n.\r\n", false), chunk("", false)];
    let bytes = format!("{CHUNKED}{}{}QUIT\r\n", chunks.concat(), chunk("..", true));
    let said = converse(smtp(), &mut world, bytes.as_bytes(), 5);
    assert_eq!(codes(&said), "250 250 250 250 250 250 250 221 closed", "{said}");
    let last = world.asked.lines().last();
    assert_eq!(last, Some("commit \"Subject: x\\r\\n\\r\\n.\\r\\n..\\r\\n\""));
    assert_eq!(asked_of_messages(&world), "begin commit");
}

#[test]
fn chunks_are_stored_in_blocks_wherever_they_end() {
    let mut world = World::default();
    let piece = chunk(&"0123456789abcd\r\n".repeat(1000), false);
    let bytes = format!("{CHUNKED}{}BDAT 0 LAST\r\nNOOP\r\n", piece.repeat(10));
    let said = converse(smtp(), &mut world, bytes.as_bytes(), 10_000);
    assert!(said.ends_with("250 2.0.0 Ok: queued as ID\n250 2.0.0 Ok\n"), "{said}");
    assert_eq!(asked_of_messages(&world), "begin store store commit");
}

#[test]
fn what_is_refused_of_chunks_is_swallowed_up_to_the_last() {
    let mail = "MAIL FROM:<f@g.h>\r\n";
    let big = "x".repeat(150_000);
    let full = Some(Failure::DiskFull);
    let none = World::default;
    let begin = |begin| World { begin, ..World::default() };
    let store = |store| World { store, ..World::default() };
    let commit = |commit| World { commit, ..World::default() };
    let (two, three) = (chunk(mail, false), chunk(mail, true));
    let table = [
        // The world's failures.
        (begin(full), format!("{two}{two}{three}{mail}"), "452 452 452 250", "begin"),
        (begin(full), format!("{three}{mail}"), "452 250", "begin"),
        (
            store(full),
            format!("{}{two}{three}{mail}", chunk(&big, false)),
            "452 452 452 250",
            "begin store discard",
        ),
        (commit(full), format!("{two}{three}{mail}"), "250 452 250", "begin commit"),
        // Too big: at once, together, and with its last line end.
        (none(), format!("{}{three}", chunk(&big.repeat(2), false)), "552 552", ""),
        (none(), format!("{}{mail}", chunk(&big.repeat(2), true)), "552 250", ""),
        (
            none(),
            format!("{0}{0}{three}{mail}", chunk(&big, false)),
            "250 552 552 250",
            "begin store store discard",
        ),
        (none(), chunk(&"x".repeat(199_999), true), "552", "begin store store store discard"),
        // Other commands than BDAT and RSET.
        (
            none(),
            format!("{two}DATA\r\n{mail}RCPT TO:<bob@example.org>\r\n{three}{mail}"),
            "250 503 503 503 250 250",
            "begin commit",
        ),
        (none(), format!("{two}RSET\r\n{three}{mail}"), "250 250 503 250", "begin discard"),
        (none(), format!("{two}EHLO a\r\n{three}{mail}"), "250 250 503 250", "begin discard"),
        (begin(full), format!("{two}RSET\r\n{mail}"), "452 250 250", "begin"),
        // It cannot be told where the next command begins.
        (none(), format!("BDAT 5 FAST\r\n{mail}"), "521 closed", ""),
        (none(), format!("{two}BDAT 4294967296\r\n{mail}"), "250 552 closed", "begin"),
    ];
    for (mut world, bytes, expected, asked) in table {
        let bytes = format!("{CHUNKED}{bytes}");
        let said = converse(smtp(), &mut world, bytes.as_bytes(), 4096);
        assert_eq!(codes(&said), format!("250 250 250 {expected}"), "{said}");
        assert_eq!(asked_of_messages(&world), asked);
    }
}

#[test]
fn a_bare_line_end_in_a_chunk_ends_the_session() {
    for content in ["a\nb\r\n", "a\rb\r\n", "a\r", "\n"] {
        for end in [chunk("", true), format!("{}BDAT 0\r\n", chunk("b", false))] {
            let mut world = World::default();
            let bytes = format!("{CHUNKED}{}{end}NOOP\r\n", chunk(content, false));
            let said = converse(smtp(), &mut world, bytes.as_bytes(), 3);
            assert!(
                said.ends_with(
                    "550 5.6.11 Message contains a bare CR or LF; lines end in \
                CRLF\n-- closed\n"
                ),
                "{content:?} {said}"
            );
            assert_eq!(asked_of_messages(&world), "begin discard");
        }
    }
}

#[test]
fn chunks_that_nobody_wants_are_never_commands() {
    let chunk = chunk("QUIT\r\n", true);
    let table = [
        (String::new(), "503 250"),
        ("EHLO a.b\r\n".into(), "250 503 250"),
        ("EHLO a.b\r\nMAIL FROM:<>\r\n".into(), "250 250 554 250"),
    ];
    for (before, expected) in table {
        let mut world = World::default();
        let bytes = format!("{before}{chunk}NOOP\r\n");
        assert_eq!(codes(&converse(smtp(), &mut world, bytes.as_bytes(), 2)), expected);
        assert_eq!(asked_of_messages(&world), "");
    }
}

#[test]
fn what_is_announced_costs_nothing() {
    let (mut server, mut world, mut out) = (smtp(), World::default(), Vec::new());
    server.receive(format!("{CHUNKED}BDAT 200000 LAST\r\nx").as_bytes());
    assert!(settle(&mut server, &mut world, &mut out));
    let Stage::Chunked(incoming) = &server.stage else { panic!("a chunk is coming") };
    assert!(incoming.body.room() <= 64);
}

#[test]
fn what_the_sender_wants_to_hear_is_in_the_envelope() {
    let mut world = World::default();
    let bytes = "EHLO a.b\r\nMAIL FROM:<c@d.e> RET=HDRS ENVID=a+2Bb\r\n\
        RCPT TO:<ann@example.org> NOTIFY=FAILURE ORCPT=rfc822;x@y.z\r\n\
        RCPT TO:<bob@example.org>\r\nDATA\r\n";
    converse(smtp(), &mut world, bytes.as_bytes(), 9);
    let begun = world.asked.lines().last().expect("it was begun");
    for part in [
        "ret: Some(Headers), envid: Some(\"a+b\")",
        "notify: Some(Notify { success: false, failure: true, delay: false }), \
            original: Some(\"rfc822;x@y.z\")",
        "notify: None, original: None",
    ] {
        assert!(begun.contains(part), "{begun}");
    }
}

#[test]
fn failures_of_the_world_end_the_message_and_not_the_session() {
    let long = format!("{ENVELOPE}{}.\r\nNOOP\r\n", "0123456789abcd\r\n".repeat(10_000));
    let full = Some(Failure::DiskFull);
    let begun = format!("{ENVELOPE}NOOP\r\n");
    let table = [
        (World { begin: full, ..World::default() }, &begun, "452 250", ""),
        (World { store: full, ..World::default() }, &long, "354 452 250", "store discard"),
        (World { commit: full, ..World::default() }, &long, "354 452 250", "store store commit"),
    ];
    for (mut world, bytes, expected, asked) in table {
        let said = converse(smtp(), &mut world, bytes.as_bytes(), 4096);
        let expected = format!("250 250 250 250 550 {expected}");
        assert_eq!(codes(&said), expected, "{said}");
        let words: Vec<_> = world
            .asked
            .lines()
            .skip(5)
            .map(|line| line.split(' ').next().expect("has a first word"))
            .collect();
        assert_eq!(words.join(" "), asked);
    }
}

#[test]
fn lmtp_replies_for_each_recipient_whatever_happens() {
    let rest = "MAIL FROM:<>\r\nRCPT TO:<ann@example.org>\r\nRCPT TO:<x@example.org>\r\n\
        RCPT TO:<bob@example.org>\r\nDATA\r\n";
    let big = "0123456789abcd\r\n".repeat(20_000);
    let table = [
        ("Hi\r\n", None, "250 250 250"),
        ("a\nb\r\n", None, "550 550 closed"),
        (&*big, None, "552 552 250"),
        ("Hi\r\n", Some(Failure::DiskFull), "452 452 250"),
    ];
    for (message, commit, expected) in table {
        let mut world = World { commit, ..World::default() };
        let bytes = format!("LHLO a\r\n{rest}{message}.\r\nNOOP\r\n");
        let server = Server::new(setup(Dialect::Lmtp));
        let said = converse(server, &mut world, bytes.as_bytes(), 1000);
        assert_eq!(codes(&said), format!("250 250 250 550 250 354 {expected}"), "{said}");
    }
}

#[test]
fn an_answer_that_lacks_recipients_is_a_temporary_failure() {
    let mut server = Server::new(setup(Dialect::Lmtp));
    let mut world = World::default();
    let mut out = Vec::new();
    server.receive(b"LHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<ann@a.b>\r\nRCPT TO:<bob@a.b>\r\nDATA\r\n");
    settle(&mut server, &mut world, &mut out);
    world.recipients = 1;
    server.receive(b".\r\n");
    settle(&mut server, &mut world, &mut out);
    let said = String::from_utf8(out).expect("ASCII");
    assert!(said.ends_with("queued as ID\r\n451 4.3.0 Temporary local problem; try later\r\n"));
}

#[test]
fn nothing_before_tls_counts_after_it() {
    let mut world = World::default();
    let mut server = Server::new(setup(Dialect::Submission));
    let mut out = Vec::new();
    settle(&mut server, &mut world, &mut out);
    server.receive(b"EHLO a.b\r\nSTARTTLS\r\n");
    assert!(matches!(server.step(&mut out), Step::StartTls));
    // A loop that reads too much changes nothing.
    server.receive(b"NOOP\r\n");
    server.secured(tls());
    out.clear();
    assert!(settle(&mut server, &mut world, &mut out));
    assert_eq!(out, b"");
    let rest = b"MAIL FROM:<a@b.c>\r\nEHLO a.b\r\nSTARTTLS\r\nAUTH PLAIN AGFubgBhcHBsZQ==\r\n\
        MAIL FROM:<a@b.c>\r\nRCPT TO:<ann@example.org>\r\nDATA\r\n.\r\n";
    server.receive(rest);
    settle(&mut server, &mut world, &mut out);
    let said = format!("\n{}", String::from_utf8(out).expect("ASCII").replace("\r\n", "\n"));
    assert_eq!(codes(&said), "503 250 503 235 250 250 354 250", "{said}");
    assert!(said.contains("AUTH PLAIN LOGIN") && !said.contains("STARTTLS"), "{said}");
    assert!(world.asked.contains("TLSv1.3") && world.asked.contains("username: Some(\"ann\")"));
}

#[test]
fn what_follows_starttls_in_the_clear_is_never_executed() {
    for extra in ["NOOP\r\n", "N", "\r\n"] {
        let bytes = format!("EHLO a.b\r\nSTARTTLS\r\n{extra}");
        let mut world = World::default();
        let said = converse(smtp(), &mut world, bytes.as_bytes(), usize::MAX);
        assert_eq!(codes(&said), "250 503 closed", "{said}");
    }
}

#[test]
fn implicit_tls_holds_from_the_greeting_on() {
    let mut server = Server::new(setup(Dialect::Submission));
    server.secured(tls());
    let said = converse(server, &mut World::default(), b"EHLO a.b\r\nQUIT\r\n", 3);
    assert!(said.starts_with("220 mx.example.org ESMTP\n250-"), "{said}");
    assert!(said.contains("AUTH PLAIN LOGIN") && !said.contains("STARTTLS"), "{said}");
}

#[test]
fn an_end_comes_at_any_time_and_takes_no_message() {
    let all = format!("{ENVELOPE}a\r\n.\r\n");
    let body_begins = ENVELOPE.len();
    for (why, code) in [(Ended::Timeout, "421 4.4.2 "), (Ended::Shutdown, "421 4.3.2 ")] {
        for length in 0..all.len() - 1 {
            let mut world = World::default();
            let (mut server, mut out) = (smtp(), Vec::new());
            if length > 0 {
                server.receive(&all.as_bytes()[..length]);
                settle(&mut server, &mut world, &mut out);
            }
            server.end(why);
            out.clear();
            assert!(!settle(&mut server, &mut world, &mut out));
            let said = String::from_utf8(out).expect("ASCII");
            assert!(said.starts_with(code) && said.ends_with("\r\n-- closed\n"), "{said}");
            assert!(!world.asked.contains("commit"));
            assert_eq!(world.asked.contains("begin"), length >= body_begins);
        }
    }
}

#[test]
fn an_end_among_chunks_takes_no_message() {
    let chunks = [chunk("a\r\n", false), chunk("b\r\n", true)].concat();
    for (dialect, hello) in [(Dialect::Smtp, "EHLO a"), (Dialect::Lmtp, "LHLO a")] {
        let mail = format!("{hello}\r\nMAIL FROM:<>\r\nRCPT TO:<ann@example.org>\r\n");
        for message in [&chunks, &chunk("a\r\n", true)] {
            for length in 0..message.len() {
                let (mut server, mut world) = (Server::new(setup(dialect)), World::default());
                let mut out = Vec::new();
                server.receive(mail.as_bytes());
                server.receive(&message.as_bytes()[..length]);
                settle(&mut server, &mut world, &mut out);
                server.end(Ended::Timeout);
                out.clear();
                assert!(!settle(&mut server, &mut world, &mut out));
                let said = String::from_utf8(out).expect("ASCII");
                assert!(said.starts_with("421 4.4.2 "), "{said}");
                let asked = asked_of_messages(&world);
                assert!(["", "begin"].contains(&asked.as_str()), "{asked}");
            }
        }
    }
}

#[test]
fn a_message_that_was_committed_is_told_before_the_goodbye() {
    let (mut server, mut world, mut out) = (smtp(), World::default(), Vec::new());
    server.receive(format!("{ENVELOPE}.\r\nNOOP\r\n").as_bytes());
    let answer = loop {
        match server.step(&mut out) {
            Step::Ask(request @ Request::Commit(_)) => break world.perform(request),
            Step::Ask(request) => {
                let answer = world.perform(request);
                server.answer(answer);
            }
            step => panic!("{step:?} before the commit"),
        }
    };
    server.answer(answer);
    server.end(Ended::Shutdown);
    out.clear();
    assert!(!settle(&mut server, &mut world, &mut out));
    assert_eq!(codes(&format!("\n{}", String::from_utf8_lossy(&out))), "250 421 closed");
}

#[test]
fn errors_are_counted_until_a_message_is_taken() {
    let wrong = "X\r\n".repeat(9);
    let bytes = format!("{wrong}{ENVELOPE}.\r\n");
    let said = converse(smtp(), &mut World::default(), bytes.as_bytes(), 9);
    assert!(said.ends_with("550 5.1.1 No such user here\n421 4.7.0 Too many errors\n-- closed\n"));

    let known = ENVELOPE.replace("RCPT TO:<nobody@example.org>\r\n", "");
    let bytes = format!("{wrong}{known}.\r\n{wrong}QUIT\r\n");
    let said = converse(smtp(), &mut World::default(), bytes.as_bytes(), 9);
    assert!(said.ends_with("221 2.0.0 Bye\n-- closed\n"), "{said}");
}

#[test]
fn who_speaks_tls_in_the_clear_is_told_at_once() {
    let said = converse(smtp(), &mut World::default(), b"\x16\x03\x01\x02\x00\x01", 1);
    assert_eq!(codes(&said), "421 closed");
    let bytes = [b"x".repeat(5000).as_slice(), b"\x16\r\nNOOP\r\n"].concat();
    for piece in [1, 2500, 5000, usize::MAX] {
        assert_eq!(codes(&converse(smtp(), &mut World::default(), &bytes, piece)), "500 250");
    }
}

#[test]
fn a_verdict_that_is_not_known_now_is_temporary() {
    let setup = Setup { cleartext_auth: true, ..setup(Dialect::Submission) };
    // ann with `later`, `wrong`, `apple`.
    let bytes = b"EHLO a.b\r\nAUTH PLAIN AGFubgBsYXRlcg==\r\nAUTH PLAIN AGFubgB3cm9uZw==\r\n\
        AUTH PLAIN AGFubgBhcHBsZQ==\r\n";
    let mut world = World::default();
    let said = converse(Server::new(setup), &mut world, bytes, 10);
    assert_eq!(codes(&said), "250 454 535 235", "{said}");
    assert_eq!(world.asked, "verify ann\n".repeat(3));
}

#[test]
fn local_programs_need_neither_auth_nor_tls() {
    let setup = Setup { starttls: true, cleartext_auth: true, ..setup(Dialect::Inject) };
    let bytes = format!("{ENVELOPE}.\r\nAUTH PLAIN\r\nSTARTTLS\r\nLHLO a\r\n");
    let said = converse(Server::new(setup), &mut World::default(), bytes.as_bytes(), 10);
    assert_eq!(codes(&said), "250 250 250 250 550 354 250 502 502 500", "{said}");
    assert!(!said.contains("250-STARTTLS") && !said.contains("AUTH PLAIN"), "{said}");
}

#[test]
fn an_auth_line_may_be_longer_than_a_command() {
    let long = format!("EHLO a.b\r\nAUTH PLAIN\r\n{}\r\nNOOP\r\n", "A".repeat(12_288 - 2));
    let longer = long.replace("\r\nNOOP", "A\r\nNOOP");
    for (bytes, expected) in [(long, "250 334 501 250"), (longer, "250 334 500 250")] {
        let setup = Setup { cleartext_auth: true, ..setup(Dialect::Submission) };
        let said = converse(Server::new(setup), &mut World::default(), bytes.as_bytes(), 1000);
        assert_eq!(codes(&said), expected, "{said}");
    }
}

#[test]
fn an_idle_session_holds_no_buffers() {
    let (mut server, mut world) = (smtp(), World::default());
    let mut out = Vec::with_capacity(4096);
    server.receive(format!("{ENVELOPE}{}.\r\n", "a\r\n".repeat(1000)).as_bytes());
    settle(&mut server, &mut world, &mut out);
    assert_eq!(server.input.unread(), b"");
    assert!(server.out.capacity() == 0 && matches!(server.turn, Turn::Command));
    assert!(size_of::<Server>() <= 768, "{}", size_of::<Server>());
}

/// Pieces of conversations, right and wrong, in any order.
fn phrase() -> impl Strategy<Value = Vec<u8>> {
    let phrases: Vec<&[u8]> = vec![
        b"EHLO a.b\r\n",
        b"LHLO a\r\n",
        b"MAIL FROM:<>\r\n",
        b"MAIL FROM:<spam@b.c>\r\n",
        b"MAIL FROM:<a@b.c> SIZE=300000\r\n",
        b"RCPT TO:<ann@example.org>\r\n",
        b"RCPT TO:<bob@example.org>\r\n",
        b"RCPT TO:<nobody@example.org>\r\n",
        b"DATA\r\n",
        b"DATA\r\n",
        b"BDAT 0 LAST\r\n",
        b"BDAT 5\r\nab\r\nc",
        b"BDAT 6\r\nQUIT\r\n",
        b"BDAT 3 LAST\r\n.\r\n",
        b"BDAT 6 LAST\r\nloop\r\n",
        b"MAIL FROM:<>\r\nRCPT TO:<ann@example.org>\r\nBDAT 4 LAST\r\none",
        b"MAIL FROM:<>\r\nRCPT TO:<ann@example.org>\r\nBDAT 4 LAST\r\nloop",
        b"MAIL FROM:<>\r\nRCPT TO:<bob@example.org>\r\n",
        b"BDAT 2 LAST\r\na\n",
        b"BDAT 199999\r\n",
        b"BDAT 250000 LAST\r\n",
        b"BDAT x\r\n",
        b"Subject: x\r\n\r\n..\r\n.\r\n",
        b".\r\n",
        b"\r\n.\r\n",
        b"a\n.\r\n",
        b"\r\n.\r\r\n.\r\n",
        b"RSET\r\n",
        b"NOOP\r\n",
        b"AUTH LOGIN YW5u\r\n",
        b"AUTH PLAIN\r\n",
        b"AGFubgBhcHBsZQ==\r\n",
        b"*\r\n",
        b"VR\0FY\r\n",
        b"X\rY\r\n",
        b"\x16",
        b"QUIT\r\n",
    ];
    prop_oneof![
        9 => prop::sample::select(phrases).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..40),
        1 => (2000_usize..3000).prop_map(|n| [b"x".repeat(n).as_slice(), b"\r\n"].concat()),
    ]
}

proptest! {
    #[test]
    fn any_split_gives_the_same_conversation(
        phrases in prop::collection::vec(phrase(), 0..25),
        dialect in prop::sample::select(vec![
            Dialect::Smtp, Dialect::Submission, Dialect::Inject, Dialect::Lmtp,
        ]),
        piece in 1_usize..50,
    ) {
        let play = |piece| {
            let setup = Setup { cleartext_auth: true, starttls: false, ..setup(dialect) };
            let mut world = World::default();
            let said = converse(Server::new(setup), &mut world, &phrases.concat(), piece);
            // How much is delivered at once depends on what has come; its order does not.
            let of_messages = |line: &&str| line.starts_with("commit") || line.starts_with("mess");
            let asked: Vec<_> = world.asked.lines().filter(of_messages).map(str::to_owned).collect();
            let others = if dialect == Dialect::Lmtp { String::new() } else { world.asked };
            (said, asked, others)
        };
        prop_assert_eq!(play(piece), play(usize::MAX));
    }
}
