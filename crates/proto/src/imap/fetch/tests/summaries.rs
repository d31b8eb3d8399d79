//! What comes from a summary is what would have come from the message.

use proptest::prelude::*;

use super::super::summary::{HEAD, SUMMARY_LIMIT, VERSION};
use super::*;

/// What is asked for: the names that a summary has, of which the message may have some.
const NAMES: [&str; 5] = ["subject", "TO", "Message-Id", "X-Priority", "Content-Type"];

fn fields(names: &[&str]) -> Item {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    section("FIELDS", &[], SectionText::Fields(names), None)
}

fn listing() -> [Item; 4] {
    [Item::Envelope, fields(&NAMES), Item::BodyStructure, fields(&["Cc"])]
}

/// The answer to [`listing`], made without any summary.
fn from_the_message(message: &[u8]) -> Vec<u8> {
    let (mut source, mut reading) = (Memory::of(&[message]), Reading::default());
    reading.turn_to(1);
    let mut out = b"* 1 FETCH (ENVELOPE ".to_vec();
    let header = reading.header(&mut source).expect("is there");
    envelope::write(&mut out, &header);
    // A name that no summary has, and no message either.
    out.push(b' ');
    out.extend_from_slice(&only(message, &fields(&[&NAMES[..], &["X-Not-There"]].concat())));
    out.extend_from_slice(b" BODYSTRUCTURE ");
    body(&mut out, true, &mut source, &mut reading).expect("is there");
    out.push(b' ');
    out.extend_from_slice(&only(message, &fields(&["Cc", "X-Not-There"])));
    out.extend_from_slice(b")\r\n");
    out
}

fn only(message: &[u8], item: &Item) -> Vec<u8> {
    let mut source = Memory::of(&[message]);
    let (out, _) = answered(&mut source, &[1], std::slice::from_ref(item));
    assert!(source.summaries.is_empty(), "no summary answers this");
    let inner = out.strip_prefix(b"* 1 FETCH (").and_then(|out| out.strip_suffix(b")\r\n"));
    inner.expect("one item of one message").to_vec()
}

/// What a delivery makes, fed with blocks of a size.
fn summed(message: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut summing = Summing::default();
    message.chunks(size).for_each(|block| summing.push(block));
    summing.finish(&Plain)
}

fn check(message: &[u8], size: usize) {
    let expected = from_the_message(message);
    let mut source = Memory::of(&[message]);
    let (first, _) = answered(&mut source, &[1], &listing());
    assert_eq!(first.escape_ascii().to_string(), expected.escape_ascii().to_string());
    let kept = source.summaries.get(&1).cloned();
    assert_eq!(summed(message, size), kept, "{}", message.escape_ascii());
    let whole = Summary::decode(kept.as_deref().expect("it is short")).expect("just made");
    let mut reading = Reading::default();
    reading.turn_to(1);
    let end = reading.end(&mut source).expect("is there");
    assert_eq!(whole.size, Some(end.wire));
    source.messages = vec![(1, Vec::new())];
    source.reads = 0;
    let (again, _) = answered(&mut source, &[1], &listing());
    assert!(again == expected);
    assert_eq!(source.reads, 0);
}

#[test]
fn summaries_answer_as_messages_do() {
    let messages: [&[u8]; 7] = [
        b"",
        b"\n",
        PLAIN,
        NESTED,
        b"Subject: no end",
        b"To: a@b\r\nTo: c@d\r\n e@f\r\n\r\nbody\r\n",
        b"Subject: \0\r\r\nCC : x\n\nbody",
    ];
    for message in messages {
        for size in [1, 7, 1000] {
            check(message, size);
        }
    }
}

fn line() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "",
        "From: Ann <a@b>",
        "To: x:a@b;",
        "cc: =?utf-8?q?x?= <c@d>",
        "Subject: \"quoted\" \\ \u{e9}",
        "Subject : nul \0",
        " folded",
        "\t",
        "\r",
        "no field",
        "X-Priority: 1",
        "Message-ID: <1@b>",
        "Content-Type: multipart/mixed; boundary=a",
        "Content-Type: message/rfc822",
        "Content-Type: text/html; charset=\"x\"",
        "--a",
        "--a--",
    ])
}

proptest! {
    #[test]
    fn any_message_is_summed_up(
        lines in prop::collection::vec((line(), prop::sample::select(vec!["\n", "\r\n"])), 0..40),
        size in 1_usize..50,
    ) {
        let text: String = lines.into_iter().flat_map(|(line, end)| [line, end]).collect();
        check(text.as_bytes(), size);
    }

    #[test]
    fn damaged_summaries_are_refused_or_make_sense(
        position in any::<prop::sample::Index>(), octet in any::<u8>(), cut in any::<prop::sample::Index>(),
    ) {
        let mut encoded = summed(NESTED, 100).expect("it is short");
        let whole = encoded.len();
        encoded.truncate(cut.index(whole + 1).max(1));
        let at = position.index(encoded.len());
        encoded[at] = octet;
        if let Some(summary) = Summary::decode(&encoded) {
            prop_assert_eq!(encoded.len(), whole, "nothing may be cut off");
            prop_assert!(summary.envelope.starts_with(b"("));
            prop_assert_eq!(summary.size.is_some(), summary.structure.is_some());
            prop_assert!(summary.structure.is_some() || summary.preview().is_none());
        }
    }

    #[test]
    fn any_octets_can_be_decoded(
        mut octets in prop::collection::vec(prop_oneof![0_u8..4, b'('..b'*'], 0..60),
    ) {
        if let Some(version) = octets.first_mut() {
            *version = VERSION;
        }
        if let Some(summary) = Summary::decode(&octets) {
            let structure = summary.structure.map_or(0, <[u8]>::len);
            let preview = summary.preview().map_or(0, str::len);
            let all = HEAD + summary.envelope.len() + structure + preview + summary.fields.len();
            prop_assert_eq!(all, octets.len());
        }
    }
}

#[test]
fn a_header_alone_is_summed_up_where_the_message_is_long() {
    let message = [&b"Subject: long\n\n"[..], &b"line\n".repeat(40_000)].concat();
    let mut source = Memory::of(&[&message]);
    answered(&mut source, &[1], &[Item::Envelope]);
    let header = source.summaries[&1].clone();
    assert!(Summary::decode(&header).is_some_and(|summary| summary.structure.is_none()));
    assert!(source.reads < 3, "the message was not read to its end");
    let (out, _) = answered(&mut source, &[1], &listing());
    assert!(out == from_the_message(&message));
    assert_eq!(source.summaries.get(&1), summed(&message, 4096).as_ref());
    assert_ne!(source.summaries[&1], header);
}

#[test]
fn what_is_too_long_is_not_kept() {
    let message = [&b"References: "[..], &b"<id@example.org>\n ".repeat(5000), b"\n\nx"].concat();
    assert!(message.len() > SUMMARY_LIMIT);
    assert_eq!(summed(&message, 4096), None);
    let mut source = Memory::of(&[&message]);
    let (out, _) = answered(&mut source, &[1], &listing());
    assert!(out == from_the_message(&message));
    assert!(source.summaries.is_empty());
}

#[test]
fn messages_within_that_begin_late_are_left_to_the_reader() {
    let text = b"line\n".repeat(40_000);
    let parts = [
        &b"Content-Type: multipart/mixed; boundary=a\n\n--a\n\n"[..],
        &text,
        b"--a\nContent-Type: message/rfc822\n\nSubject: late\n\nx\n--a--\n",
    ];
    let message = parts.concat();
    let made = summed(&message, 4096).expect("the header is there");
    let summary = Summary::decode(&made).expect("just made");
    assert_eq!((summary.structure, summary.size), (None, None));
    check_read(&message);
}

fn check_read(message: &[u8]) {
    let mut source = Memory::of(&[message]);
    let (out, _) = answered(&mut source, &[1], &listing());
    assert!(out == from_the_message(message));
    let summary = Summary::decode(&source.summaries[&1]).expect("just made");
    assert!(summary.structure.is_some_and(|text| text.windows(4).any(|word| word == b"late")));
}
