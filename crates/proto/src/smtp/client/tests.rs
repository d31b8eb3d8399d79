//! Conversations: `S:` is what the peer says, in pieces of 1, 7 and all bytes; all other lines
//! are what comes of it.

mod chunks;
mod model;
mod own;

use std::fmt::Write as _;

use super::*;
use crate::address::ReversePath;
use crate::smtp::Recipient;

const LETTER: &[u8] = b"Subject: x\r\n\r\n.dot\r\nend";

fn setup(dialect: Dialect, tls: Tls, credentials: bool) -> Setup {
    Setup {
        dialect,
        hello: "mx.example.org".parse().unwrap(),
        tls,
        credentials: credentials
            .then(|| Credentials { username: "ann".into(), password: b"apple".to_vec() }),
    }
}

fn smtp() -> Setup {
    setup(Dialect::Smtp, Tls::Never, false)
}

fn lmtp() -> Setup {
    setup(Dialect::Lmtp, Tls::Never, false)
}

fn envelope(recipients: &[&str]) -> Envelope {
    let recipient = |local| Recipient {
        delivery_id: Some(format!("Q1.{local}")),
        ..Recipient::new(format!("{local}@example.org").parse().unwrap())
    };
    Envelope {
        recipients: recipients.iter().map(recipient).collect(),
        size: Some(23),
        eight_bit: true,
        ..Envelope::new(ReversePath(Some("bob@example.net".parse().unwrap())))
    }
}

/// What the driver does: the envelopes to come, and how their message reads. The tickets count
/// the envelopes.
struct Driver {
    envelopes: VecDeque<Envelope>,
    given: u64,
    message: Vec<Answer>,
    /// What is left of the message asked for last.
    blocks: (Ticket, VecDeque<Answer>),
}

impl Driver {
    fn new(envelopes: &[Envelope], message: Vec<Answer>) -> Self {
        let envelopes = envelopes.iter().cloned().collect();
        Self { envelopes, given: 0, message, blocks: (Ticket(0), VecDeque::new()) }
    }

    fn perform(&mut self, request: Request, heard: &mut String) -> Answer {
        match request {
            Request::Next { reports, .. } => {
                tell(&reports, heard);
                self.given += 1;
                let ticket = Ticket(self.given);
                Answer::Next(self.envelopes.pop_front().map(|envelope| (ticket, envelope)))
            }
            Request::Body(ticket) => {
                if self.blocks.0 != ticket {
                    assert!(self.blocks.1.is_empty(), "two messages at once");
                    let message = self.message.iter().map(|answer| match answer {
                        Answer::Body(block) => Answer::Body(block.clone()),
                        _ => Answer::Unreadable,
                    });
                    self.blocks = (ticket, message.collect());
                }
                self.blocks.1.pop_front().unwrap()
            }
        }
    }
}

/// The letter in pieces.
fn letter(piece: usize) -> Vec<Answer> {
    let count = LETTER.len().div_ceil(piece);
    let block = |(number, octets): (usize, &[u8])| {
        Answer::Body(Block { octets: octets.to_vec(), last: number + 1 == count })
    };
    LETTER.chunks(piece).enumerate().map(block).collect()
}

fn tell(reports: &[(Ticket, Report)], heard: &mut String) {
    for outcome in reports.iter().flat_map(|(_, report)| &report.recipients) {
        let _ = match outcome {
            Outcome::Replied(r) => writeln!(heard, "-- {}: {} {}", r.command, r.code, r.text),
            Outcome::Lost(why) => writeln!(heard, "-- lost: {why}"),
        };
    }
}

/// Plays the `S:` lines of a chat, and returns the chat that came of it.
fn play(setup: Setup, mut driver: Driver, chat: &str, piece: usize) -> String {
    let mut client = Client::new(setup);
    let mut peer = chat.lines().filter(|line| !line.starts_with("--")).peekable();
    let mut heard = String::new();
    let mut out = Vec::new();
    loop {
        let step = client.step(&mut out);
        if let Step::Ask(request) = step {
            client.answer(driver.perform(request, &mut heard));
            continue;
        }
        for line in String::from_utf8(std::mem::take(&mut out)).unwrap().split_terminator("\r\n") {
            let _ = writeln!(heard, "C: {line}");
            while peer.next_if(|line| line.starts_with("C: ")).is_some() {}
        }
        match step {
            Step::StartTls => {
                heard.push_str("-- tls\n");
                client.secured(Secured { version: String::new(), cipher: String::new() });
            }
            Step::Read => {
                let mut said = String::new();
                while let Some(line) = peer.next_if(|line| line.starts_with("S: ")) {
                    let _ = writeln!(heard, "{line}");
                    let _ = write!(said, "{}\r\n", &line[3..]);
                }
                if said.is_empty() {
                    tell(&client.abandon("connection lost"), &mut heard);
                    heard.push_str("-- vanished\n");
                    return heard;
                }
                feed(&mut client, said.as_bytes(), piece, &mut driver, &mut heard);
            }
            Step::Ask(_) | Step::Done | Step::Close => {
                tell(&client.abandon("closed"), &mut heard);
                heard.push_str("-- closed\n");
                return heard;
            }
        }
    }
}

/// Gives the bytes in pieces; while more are to come the client may only read on.
fn feed(client: &mut Client, said: &[u8], piece: usize, driver: &mut Driver, heard: &mut String) {
    let mut pieces = said.chunks(piece).peekable();
    while let Some(bytes) = pieces.next() {
        client.receive(bytes);
        if pieces.peek().is_none() {
            return;
        }
        let mut out = Vec::new();
        match client.step(&mut out) {
            Step::Read => assert!(out.is_empty(), "spoke before all was said"),
            Step::Close => return,
            Step::Ask(request) => {
                let answer = driver.perform(request, heard);
                client.answer(answer);
            }
            step => panic!("{step:?} before all was said"),
        }
    }
}

fn check(setup: &Setup, envelopes: &[Envelope], chat: &str) {
    for piece in [1, 7, usize::MAX] {
        let driver = Driver::new(envelopes, letter(piece));
        assert_eq!(play(setup.clone(), driver, chat, piece), chat, "in pieces of {piece}");
    }
}

#[test]
fn a_letter_without_pipelining() {
    check(
        &smtp(),
        &[envelope(&["ann", "nobody"])],
        "\
S: 220 hi
C: EHLO mx.example.org
S: 250-peer
S: 250 SIZE 1000
C: MAIL FROM:<bob@example.net> SIZE=23
S: 250 Ok
C: RCPT TO:<ann@example.org>
S: 250 Ok
C: RCPT TO:<nobody@example.org>
S: 550-5.1.1 No
S: 550 5.1.1 such user
C: DATA
S: 354 go
C: Subject: x
C: 
C: ..dot
C: end
C: .
S: 250 2.0.0 queued
-- end of DATA: 250 2.0.0 queued
-- RCPT TO: 550 5.1.1 No 5.1.1 such user
C: QUIT
S: 221 bye
-- closed
",
    );
}

#[test]
fn lmtp_answers_each_recipient() {
    check(
        &lmtp(),
        &[envelope(&["ann", "nobody", "bob"]), envelope(&["ann"])],
        "\
S: 220 hi
C: LHLO mx.example.org
S: 250-peer
S: 250-PIPELINING
S: 250-8BITMIME
S: 250 XDELIVERID
C: MAIL FROM:<bob@example.net> BODY=8BITMIME
C: RCPT TO:<ann@example.org> XDELIVERID=Q1.ann
C: RCPT TO:<nobody@example.org> XDELIVERID=Q1.nobody
C: RCPT TO:<bob@example.org> XDELIVERID=Q1.bob
C: DATA
S: 250 Ok
S: 250 Ok
S: 550 5.1.1 No
S: 250 Ok
S: 354 go
C: Subject: x
C: 
C: ..dot
C: end
C: .
S: 250 2.0.0 ann
S: 452 4.2.2 bob is full
-- end of DATA: 250 2.0.0 ann
-- RCPT TO: 550 5.1.1 No
-- end of DATA: 452 4.2.2 bob is full
C: MAIL FROM:<bob@example.net> BODY=8BITMIME
C: RCPT TO:<ann@example.org> XDELIVERID=Q1.ann
C: DATA
S: 250 Ok
S: 250 Ok
S: 354 go
C: Subject: x
C: 
C: ..dot
C: end
C: .
-- lost: connection lost at end of DATA
-- vanished
",
    );
}

#[test]
fn all_refused_and_then_the_next_letter() {
    check(
        &lmtp(),
        &[envelope(&["no"]), envelope(&["ann"])],
        "\
S: 220 hi
C: LHLO mx.example.org
S: 250-peer
S: 250 PIPELINING
C: MAIL FROM:<bob@example.net>
C: RCPT TO:<no@example.org>
C: DATA
S: 250 Ok
S: 550 5.1.1 No
S: 503 5.5.1 no recipients
-- RCPT TO: 550 5.1.1 No
C: RSET
C: MAIL FROM:<bob@example.net>
C: RCPT TO:<ann@example.org>
C: DATA
S: 250 Ok
S: 250 Ok
S: 250 Ok
S: 451 4.3.0 not now
-- DATA: 451 4.3.0 not now
C: QUIT
S: 221 bye
-- closed
",
    );
}

#[test]
fn mail_refused_and_354_all_the_same() {
    check(
        &smtp(),
        &[envelope(&["ann"])],
        "\
S: 220 hi
C: EHLO mx.example.org
S: 250-peer
S: 250 PIPELINING
C: MAIL FROM:<bob@example.net>
C: RCPT TO:<ann@example.org>
C: DATA
S: 550 5.7.1 not you
S: 250 Ok
S: 354 go
C: .
S: 250 thanks for nothing
-- MAIL FROM: 550 5.7.1 not you
C: QUIT
S: 221 bye
-- closed
",
    );
    check(
        &lmtp(),
        &[envelope(&["no"])],
        "\
S: 220 hi
C: LHLO mx.example.org
S: 250-peer
S: 250 PIPELINING
C: MAIL FROM:<bob@example.net>
C: RCPT TO:<no@example.org>
C: DATA
S: 250 Ok
S: 550 No
S: 354 go
-- RCPT TO: 550 No
-- closed
",
    );
}

#[test]
fn a_peer_that_knows_helo_only() {
    check(
        &smtp(),
        &[],
        "\
S: 220 hi
C: EHLO mx.example.org
S: 500 what?
C: HELO mx.example.org
S: 250 hello
C: QUIT
S: 221 bye
-- closed
",
    );
}

#[test]
fn a_connection_that_carries_no_mail_tells_one_transaction_why() {
    let required = setup(Dialect::Smtp, Tls::Required, false);
    let login = setup(Dialect::Smtp, Tls::Never, true);
    let hello = "S: 220 hi\nC: EHLO mx.example.org\n";
    let table = [
        (smtp(), "S: 554 go away\n-- greeting: 554 go away\n-- closed\n".to_owned()),
        (smtp(), "S: 421 busy\n-- greeting: 421 busy\n-- closed\n".to_owned()),
        (
            smtp(),
            "S: SSH-2.0-x\n-- lost: what came is no reply at greeting\n-- closed\n".to_owned(),
        ),
        (
            lmtp(),
            "S: 220 hi\nC: LHLO mx.example.org\nS: 500 what?\n-- LHLO: 500 what?\n-- closed\n"
                .to_owned(),
        ),
        (
            required,
            format!("{hello}S: 250 peer\n-- lost: the peer offers no STARTTLS\n-- closed\n"),
        ),
        (
            login,
            format!(
                "{hello}S: 250-peer\nS: 250 AUTH PLAIN\n-- lost: no TLS, and so no AUTH\n-- closed\n"
            ),
        ),
    ];
    for (setup, chat) in table {
        check(&setup, &[envelope(&["ann"])], &chat);
    }
}

#[test]
fn tls_forgets_what_was_offered_before() {
    check(
        &setup(Dialect::Smtp, Tls::Offered, true),
        &[envelope(&["ann"])],
        "\
S: 220 hi
C: EHLO mx.example.org
S: 250-peer
S: 250-PIPELINING
S: 250 STARTTLS
C: STARTTLS
S: 220 go
-- tls
C: EHLO mx.example.org
S: 250-peer
S: 250 AUTH LOGIN PLAIN
C: AUTH PLAIN AGFubgBhcHBsZQ==
S: 235 Ok
C: MAIL FROM:<bob@example.net>
S: 451 4.7.1 later
-- MAIL FROM: 451 4.7.1 later
C: QUIT
S: 221 bye
-- closed
",
    );
}

#[test]
fn auth_login_and_its_refusal() {
    check(
        &setup(Dialect::Smtp, Tls::Required, true),
        &[envelope(&["ann"])],
        "\
S: 220 hi
C: EHLO mx.example.org
S: 250-peer
S: 250 STARTTLS
C: STARTTLS
S: 220 go
-- tls
C: EHLO mx.example.org
S: 250-peer
S: 250 AUTH LOGIN
C: AUTH LOGIN
S: 334 VXNlcm5hbWU6
C: YW5u
S: 334 UGFzc3dvcmQ6
C: YXBwbGU=
S: 535 5.7.8 no
-- AUTH: 535 5.7.8 no
-- closed
",
    );
}

#[test]
fn bytes_in_clear_after_starttls_end_the_connection() {
    let chat = "\
S: 220 hi
C: EHLO mx.example.org
S: 250-peer
S: 250 STARTTLS
C: STARTTLS
S: 220 go
S: 250 injected
-- lost: bytes in clear after the reply to STARTTLS
-- closed
";
    let driver = Driver::new(&[envelope(&["ann"])], Vec::new());
    let setup = setup(Dialect::Smtp, Tls::Offered, false);
    assert_eq!(play(setup, driver, chat, usize::MAX), chat);
}

#[test]
fn starttls_refused_goes_on_in_clear_where_tls_was_only_offered() {
    check(
        &setup(Dialect::Smtp, Tls::Offered, false),
        &[],
        "\
S: 220 hi
C: EHLO mx.example.org
S: 250-peer
S: 250 STARTTLS
C: STARTTLS
S: 454 not now
C: QUIT
S: 221 bye
-- closed
",
    );
}

#[test]
fn the_peer_closes_with_421_at_any_point() {
    let hello = "S: 220 hi\nC: EHLO mx.example.org\nS: 250 peer\nC: MAIL FROM:<bob@example.net>\n";
    let first = "C: RCPT TO:<ann@example.org>\n";
    let second = "S: 250 Ok\nC: RCPT TO:<bob@example.org>\n";
    let data = "S: 550 no\nC: DATA\n";
    let table = [
        format!("{hello}S: 421 x\n-- MAIL FROM: 421 x\n-- MAIL FROM: 421 x\n-- closed\n"),
        format!(
            "{hello}S: 250 Ok\n{first}S: 421 x\n-- RCPT TO: 421 x\n-- RCPT TO: 421 x\n-- closed\n"
        ),
        format!(
            "{hello}S: 250 Ok\n{first}{second}{data}S: 421 x\n\
             -- DATA: 421 x\n-- RCPT TO: 550 no\n-- closed\n"
        ),
        format!(
            "{hello}S: 250 Ok\n{first}{second}{data}S: 250 what\n\
             -- lost: unexpected reply 250 to DATA\n-- RCPT TO: 550 no\n-- closed\n"
        ),
    ];
    for chat in table {
        check(&smtp(), &[envelope(&["ann", "bob"])], &chat);
    }
}

#[test]
fn a_message_that_cannot_be_read_gets_no_final_dot() {
    let chat = "\
S: 220 hi
C: EHLO mx.example.org
S: 250-peer
S: 250 PIPELINING
C: MAIL FROM:<bob@example.net>
C: RCPT TO:<ann@example.org>
C: DATA
S: 250 Ok
S: 250 Ok
S: 354 go
C: half
-- lost: the message cannot be read
-- closed
";
    let half = Block { octets: b"half".to_vec(), last: false };
    let message = vec![Answer::Body(half), Answer::Unreadable];
    let driver = Driver::new(&[envelope(&["ann"])], message);
    assert_eq!(play(smtp(), driver, chat, usize::MAX), chat);
}

#[test]
fn silence_and_shutdown_leave_no_doubt() {
    let table = [
        (Ended::Timeout, "the peer was silent for too long at MAIL FROM"),
        (Ended::Shutdown, "this server stops at MAIL FROM"),
    ];
    for (why, text) in table {
        let mut client = Client::new(smtp());
        client.receive(b"220 hi\r\n");
        let mut out = Vec::new();
        assert!(matches!(client.step(&mut out), Step::Read));
        client.receive(b"250 peer\r\n");
        assert!(matches!(client.step(&mut out), Step::Ask(Request::Next { in_flight: 0, .. })));
        client.answer(Answer::Next(Some((Ticket(7), envelope(&["ann"])))));
        assert!(matches!(client.step(&mut out), Step::Read));
        client.end(why);
        assert!(matches!(client.step(&mut out), Step::Close));
        let reports = client.abandon("closed");
        let recipients = vec![Outcome::Lost(text.to_owned())];
        assert_eq!(reports, [(Ticket(7), Report { recipients, notifies: false })]);
        assert_eq!(client.abandon("closed"), []);
    }
}

/// Nobody took the letter: RCPT was not even said.
#[test]
fn answers_before_the_question_are_no_answers() {
    let chat = "\
S: 220 hi
C: EHLO mx.example.org
S: 250 peer
C: MAIL FROM:<bob@example.net>
S: 250 Ok
S: 250 Ok
S: 354 go
S: 250 taken
-- lost: the peer spoke out of turn
-- closed
";
    let driver = Driver::new(&[envelope(&["ann"])], Vec::new());
    assert_eq!(play(smtp(), driver, chat, usize::MAX), chat);
}

/// Only a refusal is believed: by it nobody takes a letter of which half was heard.
#[test]
fn a_refusal_in_the_middle_of_a_message_is_of_that_message() {
    let table = [
        ("552 5.3.4 too big", "end of DATA: 552 5.3.4 too big"),
        ("421 bye", "end of DATA: 421 bye"),
        ("250 taken", "lost: the peer spoke out of turn"),
        ("354 go on", "lost: the peer spoke out of turn"),
    ];
    for (early, outcome) in table {
        let chat = format!(
            "\
S: 220 hi
C: EHLO mx.example.org
S: 250 peer
C: MAIL FROM:<bob@example.net>
S: 250 Ok
C: RCPT TO:<ann@example.org>
S: 250 Ok
C: DATA
S: 354 go
S: {early}
-- {outcome}
-- closed
"
        );
        check(&smtp(), &[envelope(&["ann"])], &chat);
    }
}

/// Else it would wait for ever, and be asked to end without end.
#[test]
fn silence_and_shutdown_before_the_first_message_end_it_too() {
    let table = [
        (Ended::Timeout, "the peer was silent for too long at greeting"),
        (Ended::Shutdown, "this server stops at greeting"),
    ];
    for (why, text) in table {
        let mut client = Client::new(smtp());
        let mut out = Vec::new();
        assert!(matches!(client.step(&mut out), Step::Read));
        client.end(why);
        assert!(matches!(client.step(&mut out), Step::Ask(Request::Next { in_flight: 0, .. })));
        client.answer(Answer::Next(Some((Ticket(7), envelope(&["ann"])))));
        assert!(matches!(client.step(&mut out), Step::Close));
        let recipients = vec![Outcome::Lost(text.to_owned())];
        let reports = client.abandon("closed");
        assert_eq!(reports, [(Ticket(7), Report { recipients, notifies: false })]);
    }
}

#[test]
fn many_recipients_go_in_groups() {
    let names: Vec<_> = (0..250).map(|n| format!("u{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let rcpts = |range: std::ops::Range<usize>| -> String {
        range.map(|n| format!("C: RCPT TO:<u{n}@example.org>\n")).collect()
    };
    let mail = "C: MAIL FROM:<bob@example.net>\n";
    let hello = "S: 220 hi\nC: EHLO mx.example.org\nS: 250-peer\nS: 250 PIPELINING\n";
    let chat = [
        hello.to_owned(),
        mail.to_owned(),
        rcpts(0..100),
        "S: 250 Ok\n".repeat(101),
        rcpts(100..200),
        "S: 250 Ok\n".repeat(100),
        rcpts(200..250),
        "C: DATA\n".to_owned(),
        "S: 250 Ok\n".repeat(50),
        "S: 552 5.3.4 too big\n".to_owned(),
        "-- DATA: 552 5.3.4 too big\n".repeat(250),
        "C: QUIT\nS: 221 bye\n-- closed\n".to_owned(),
    ];
    check(&smtp(), &[envelope(&names)], &chat.concat());
}

#[test]
fn only_words_about_the_message_are_permanent() {
    let replied =
        |code, command| Outcome::Replied(PeerReply { code, text: String::new(), command });
    let table = [
        (replied(250, "end of DATA"), true, false),
        (replied(550, "RCPT TO"), false, true),
        (replied(450, "RCPT TO"), false, false),
        (replied(250, "BDAT"), true, false),
        (replied(552, "BDAT"), false, true),
        (replied(502, "BDAT"), false, false),
        (replied(550, "MAIL FROM"), false, true),
        (replied(503, "MAIL FROM"), false, false),
        (replied(554, "greeting"), false, false),
        (replied(535, "AUTH"), false, false),
        (Outcome::Lost(String::new()), false, false),
    ];
    for (outcome, accepted, permanent) in table {
        assert_eq!((outcome.is_accepted(), outcome.is_permanent()), (accepted, permanent));
    }
}
