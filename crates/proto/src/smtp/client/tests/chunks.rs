//! Conversations with BDAT, and with several messages under way.

use super::*;

const CHUNKING: &str = "S: 220 hi
C: EHLO mx.example.org
S: 250-peer
S: 250-PIPELINING
S: 250 CHUNKING
";

const OURS: &str = "S: 220 hi
C: LHLO mx.example.org
S: 250-peer
S: 250-PIPELINING
S: 250-CHUNKING
S: 250 XDELIVERID
";

const MAIL: &str = "C: MAIL FROM:<bob@example.net>\n";
const OK: &str = "S: 250 Ok\n";
const TWO_CHUNKS: &str = "C: BDAT 5\nC: one\nC: BDAT 5\nC: two\n";
const ONLY_CHUNK: &str = "C: BDAT 3 LAST\nC: x\n";
const QUIT: &str = "C: QUIT\nS: 221 bye\n-- closed\n";

fn blocks(texts: &[&str]) -> Vec<Answer> {
    let block = |(number, text): (usize, &&str)| {
        let octets = text.as_bytes().to_vec();
        Answer::Body(Block { octets, last: number + 1 == texts.len() })
    };
    texts.iter().enumerate().map(block).collect()
}

fn check(setup: &Setup, envelopes: &[Envelope], message: &[&str], chat: &str) {
    for piece in [1, 7, usize::MAX] {
        let driver = Driver::new(envelopes, blocks(message));
        assert_eq!(play(setup.clone(), driver, chat, piece), chat, "in pieces of {piece}");
    }
}

fn rcpt(names: &[&str]) -> String {
    names.iter().map(|name| format!("C: RCPT TO:<{name}@example.org>\n")).collect()
}

fn our_rcpt(names: &[&str]) -> String {
    let of = |name| format!("C: RCPT TO:<{name}@example.org> XDELIVERID=Q1.{name}\n");
    names.iter().map(of).collect()
}

/// A message for one, who is accepted.
fn accepted(name: &str) -> String {
    [MAIL, &rcpt(&[name]), OK, OK].concat()
}

/// A message in one chunk, behind which the next may follow at once.
fn our_message(names: &[&str]) -> String {
    [MAIL, &our_rcpt(names), ONLY_CHUNK].concat()
}

#[test]
fn a_message_in_one_chunk_as_it_is() {
    let chat = [
        CHUNKING,
        MAIL,
        &rcpt(&["ann", "no"]),
        OK,
        OK,
        "S: 550 5.1.1 No\n",
        "C: BDAT 13 LAST\nC: .dot\nC: \rx\nC: .\n",
        "S: 250 2.0.0 queued\n-- BDAT: 250 2.0.0 queued\n-- RCPT TO: 550 5.1.1 No\n",
        QUIT,
    ];
    check(&smtp(), &[envelope(&["ann", "no"])], &[".dot\r\n\rx\r\n.\r\n"], &chat.concat());
}

#[test]
fn the_last_chunk_waits_for_the_others() {
    let chat = [
        CHUNKING,
        &accepted("ann"),
        TWO_CHUNKS,
        OK,
        OK,
        "C: BDAT 7 LAST\nC: three\n",
        "S: 250 2.0.0 queued\n-- BDAT: 250 2.0.0 queued\n",
        QUIT,
    ];
    let message = ["one\r\n", "two\r\n", "three\r\n"];
    check(&smtp(), &[envelope(&["ann"])], &message, &chat.concat());
    // Without PIPELINING each chunk waits for the one before it.
    let chat = [
        &CHUNKING.replace("S: 250-PIPELINING\n", ""),
        MAIL,
        OK,
        &rcpt(&["ann"]),
        OK,
        "C: BDAT 5\nC: one\n",
        OK,
        "C: BDAT 5\nC: two\n",
        OK,
        "C: BDAT 0 LAST\n",
        "S: 452 4.3.1 full\n-- BDAT: 452 4.3.1 full\n",
        QUIT,
    ];
    check(&smtp(), &[envelope(&["ann"])], &["one\r\n", "two\r\n", ""], &chat.concat());
}

#[test]
fn a_refused_chunk_is_the_last() {
    let chat = [
        CHUNKING,
        &accepted("ann"),
        TWO_CHUNKS,
        "S: 552 5.3.4 too big\nS: 503 5.5.1 failed\n",
        "-- BDAT: 552 5.3.4 too big\n",
        "C: RSET\n",
        MAIL,
        &rcpt(&["bob"]),
        OK,
        OK,
        OK,
        TWO_CHUNKS,
        "S: 250 Ok\nS: 354 what\n-- lost: unexpected reply 354 to BDAT\n-- closed\n",
    ];
    let message = ["one\r\n", "two\r\n", "three\r\n"];
    check(&smtp(), &[envelope(&["ann"]), envelope(&["bob"])], &message, &chat.concat());
}

#[test]
fn nobody_accepted_means_no_chunk() {
    let chat = [
        CHUNKING,
        MAIL,
        &rcpt(&["ann"]),
        "S: 250 Ok\nS: 450 4.2.1 later\n-- RCPT TO: 450 4.2.1 later\n",
        "C: RSET\n",
        MAIL,
        &rcpt(&["bob"]),
        "S: 250 Ok\nS: 550 5.7.1 no\nS: 503 5.5.1 no mail\n-- MAIL FROM: 550 5.7.1 no\n",
        QUIT,
    ];
    check(&smtp(), &[envelope(&["ann"]), envelope(&["bob"])], &["x\r\n"], &chat.concat());
}

#[test]
fn lmtp_answers_the_last_chunk_for_each_recipient() {
    let chat = [
        &CHUNKING.replace("EHLO", "LHLO"),
        MAIL,
        &rcpt(&["ann", "no", "bob"]),
        OK,
        OK,
        "S: 550 5.1.1 No\n",
        OK,
        ONLY_CHUNK,
        "S: 250 2.0.0 ann\nS: 452 4.2.2 bob is full\n",
        "-- BDAT: 250 2.0.0 ann\n-- RCPT TO: 550 5.1.1 No\n-- BDAT: 452 4.2.2 bob is full\n",
        "C: RSET\n",
        MAIL,
        &rcpt(&["eve"]),
        OK,
        OK,
        OK,
        ONLY_CHUNK,
        "-- lost: connection lost at BDAT\n-- vanished\n",
    ];
    let envelopes = [envelope(&["ann", "no", "bob"]), envelope(&["eve"])];
    check(&lmtp(), &envelopes, &["x\r\n"], &chat.concat());
}

#[test]
fn several_messages_go_to_our_own_in_one_flight() {
    let chat = [
        OURS,
        &our_message(&["ann", "bob"]),
        &our_message(&["no"]),
        &our_message(&["eve"]),
        "S: 250 Ok\nS: 250 Ok\nS: 250 Ok\nS: 250 2.0.0 ann\nS: 250 2.0.0 bob\n",
        "S: 250 Ok\nS: 550 5.1.1 no\nS: 503 5.5.1 nobody\n",
        "S: 250 Ok\nS: 250 Ok\nS: 250 2.0.0 eve\n",
        "-- BDAT: 250 2.0.0 ann\n-- BDAT: 250 2.0.0 bob\n",
        "-- RCPT TO: 550 5.1.1 no\n",
        "-- BDAT: 250 2.0.0 eve\n",
        QUIT,
    ];
    let envelopes = [envelope(&["ann", "bob"]), envelope(&["no"]), envelope(&["eve"])];
    check(&lmtp(), &envelopes, &["x\r\n"], &chat.concat());
}

#[test]
fn a_large_message_goes_alone_and_waits_for_its_recipients() {
    let chat = [
        OURS,
        MAIL,
        &our_rcpt(&["ann"]),
        "S: 250 Ok\nS: 250 Ok\n",
        "C: BDAT 5\nC: one\n",
        OK,
        "C: BDAT 5 LAST\nC: two\n",
        MAIL,
        &our_rcpt(&["no"]),
        "S: 250 2.0.0 ann\nS: 250 Ok\nS: 550 5.1.1 no\n",
        "-- BDAT: 250 2.0.0 ann\n",
        "-- RCPT TO: 550 5.1.1 no\n",
        QUIT,
    ];
    check(
        &lmtp(),
        &[envelope(&["ann"]), envelope(&["no"])],
        &["one\r\n", "two\r\n"],
        &chat.concat(),
    );
}

#[test]
fn the_connection_fails_in_the_middle_of_a_window() {
    let said: String = ["ann", "bob", "eve"].map(|name| our_message(&[name])).concat();
    let envelopes = ["ann", "bob", "eve"].map(|name| envelope(&[name]));
    let first = "S: 250 Ok\nS: 250 Ok\nS: 250 2.0.0 ann\nS: 250 Ok\n";
    let table = [
        (
            "S: 421 4.3.2 bye\n",
            "-- BDAT: 250 2.0.0 ann\n-- RCPT TO: 421 4.3.2 bye\n\
             -- lost: the peer hung up with 421 4.3.2 bye\n-- closed\n",
        ),
        (
            "S: oops\n",
            "-- BDAT: 250 2.0.0 ann\n-- lost: what came is no reply at RCPT TO\n\
             -- lost: what came is no reply at RCPT TO\n-- closed\n",
        ),
    ];
    for (word, end) in table {
        check(&lmtp(), &envelopes, &["x\r\n"], &[OURS, &said, first, word, end].concat());
    }
}

#[test]
fn a_message_that_cannot_be_read_harms_no_other() {
    let chat = [
        OURS,
        &our_message(&["ann"]),
        MAIL,
        &our_rcpt(&["bob"]),
        "S: 250 Ok\nS: 250 Ok\nS: 250 2.0.0 ann\nS: 250 Ok\nS: 250 Ok\n",
        "-- BDAT: 250 2.0.0 ann\n-- lost: the message cannot be read\n-- closed\n",
    ]
    .concat();
    let mut driver =
        Driver::new(&[envelope(&["ann"]), envelope(&["bob"])], vec![Answer::Unreadable]);
    driver.blocks = (Ticket(1), blocks(&["x\r\n"]).into());
    assert_eq!(play(lmtp(), driver, &chat, usize::MAX), chat);
}

#[test]
fn news_are_carried_while_replies_are_awaited() {
    let mut client = Client::new(lmtp());
    let mut out = Vec::new();
    let mut hear = |client: &mut Client, words: &str| {
        client.receive(words.as_bytes());
        client.step(&mut out)
    };
    hear(&mut client, "220 hi\r\n");
    let step =
        hear(&mut client, "250-peer\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 XDELIVERID\r\n");
    assert!(matches!(step, Step::Ask(Request::Next { in_flight: 0, .. })));
    for number in 1..=3 {
        client.answer(Answer::Next(Some((Ticket(number), envelope(&["ann"])))));
        assert!(
            matches!(hear(&mut client, ""), Step::Ask(Request::Body(Ticket(n))) if n == number)
        );
        assert!(!client.listens());
        client.answer(Answer::Body(Block { octets: b"x\r\n".to_vec(), last: true }));
        let step = hear(&mut client, "");
        let in_flight = usize::try_from(number).unwrap();
        assert!(matches!(step, Step::Ask(Request::Next { in_flight: n, .. }) if n == in_flight));
        client.answer(Answer::Next(None));
        assert!(matches!(hear(&mut client, ""), Step::Read));
        assert!(client.listens());
    }
    // A reply that ends nothing asks nothing.
    assert!(matches!(hear(&mut client, "250 Ok\r\n"), Step::Read));
    assert!(client.listens());
    let step = hear(&mut client, "250 Ok\r\n250 2.0.0 one\r\n250 Ok\r\n");
    let Step::Ask(Request::Next { reports, in_flight: 2 }) = step else { panic!("{step:?}") };
    assert!(matches!(reports[..], [(Ticket(1), _)]));
    client.answer(Answer::Next(None));
    assert!(matches!(hear(&mut client, "250 Ok\r\n"), Step::Read));
    let tickets: Vec<_> = client.abandon("lost").into_iter().map(|(ticket, _)| ticket).collect();
    assert_eq!(tickets, [Ticket(2), Ticket(3)]);
}

#[test]
fn the_window_has_its_limits() {
    let hello = "220 hi\r\n250-peer\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 XDELIVERID\r\n";
    let table = [(1, 10, 16), (1, 100_000, 11), (60, 10, 3), (120, 10, 1)];
    for (recipients, octets, expected) in table {
        let names: Vec<_> = (0..recipients).map(|n| format!("u{n}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let mut client = Client::new(lmtp());
        client.receive(hello.as_bytes());
        let (mut out, mut begun) = (Vec::new(), 0);
        loop {
            match client.step(&mut out) {
                Step::Ask(Request::Next { .. }) => {
                    begun += 1;
                    client.answer(Answer::Next(Some((Ticket(begun), envelope(&names)))));
                }
                Step::Ask(Request::Body(_)) => {
                    let octets = vec![b'x'; octets];
                    client.answer(Answer::Body(Block { octets, last: true }));
                }
                Step::Read => break,
                step => panic!("{step:?}"),
            }
        }
        assert_eq!(begun, expected, "{recipients} recipients, {octets} octets");
    }
}

#[test]
fn a_peer_that_offers_dsn_is_told_all_and_notifies() {
    let full = Envelope {
        ret: Some(crate::smtp::Return::Headers),
        envid: Some("Q 1".to_owned()),
        recipients: vec![Recipient {
            notify: Some(crate::smtp::Notify { success: true, failure: true, delay: false }),
            original: Some("rfc822;ann@example.com".to_owned()),
            ..Recipient::new("ann@example.org".parse().unwrap())
        }],
        ..envelope(&[])
    };
    let table = [
        (
            Dialect::Smtp,
            "250 DSN\r\n",
            "MAIL FROM:<bob@example.net> RET=HDRS ENVID=Q+201\r\n",
            "RCPT TO:<ann@example.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;ann@example.com\r\n",
            true,
        ),
        (
            Dialect::Smtp,
            "250 HELP\r\n",
            "MAIL FROM:<bob@example.net>\r\n",
            "RCPT TO:<ann@example.org>\r\n",
            false,
        ),
        (
            Dialect::Lmtp,
            "250 DSN\r\n",
            "MAIL FROM:<bob@example.net> RET=HDRS ENVID=Q+201\r\n",
            "RCPT TO:<ann@example.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;ann@example.com\r\n",
            false,
        ),
    ];
    for (dialect, offer, mail, to, notifies) in table {
        let mut client = Client::new(setup(dialect, Tls::Never, false));
        let mut out = Vec::new();
        client.receive(format!("220 hi\r\n250-peer\r\n{offer}").as_bytes());
        assert!(matches!(client.step(&mut out), Step::Ask(_)));
        client.answer(Answer::Next(Some((Ticket(1), full.clone()))));
        out.clear();
        assert!(matches!(client.step(&mut out), Step::Read));
        client.receive(b"250 Ok\r\n");
        assert!(matches!(client.step(&mut out), Step::Read));
        assert_eq!(String::from_utf8(out).unwrap(), format!("{mail}{to}"));
        let reports = client.abandon("closed");
        assert!(matches!(&reports[..], [(_, report)] if report.notifies == notifies));
    }
}
