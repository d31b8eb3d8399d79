//! Summaries of messages, from delivery to the session that reads them.

use mail_proto::imap::fetch::{Summary, Summing};

use super::super::StoreError;
use super::*;
use crate::charset::Encodings;

const LETTER: &str = "Subject: hello\r\nTo: ann@example.org\r\n\r\nline\r\n";

fn fields(store: &Store, uid: Uid) -> Option<String> {
    let mut summary = b"not a summary".to_vec();
    let is_there = store.summaries().read(uid, &mut summary);
    let decoded = Summary::decode(&summary);
    assert_eq!(is_there, decoded.is_some());
    decoded.map(|summary| String::from_utf8(summary.fields.to_vec()).unwrap())
}

#[test]
fn delivery_makes_the_summary() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    deliver(&inbox, LETTER);
    let second = append(&inbox, LETTER, 0, &["Work"]);
    assert_eq!(uids(&inbox), [1, second]);
    for uid in [1, second] {
        assert_eq!(fields(&inbox, uid).unwrap(), "Subject: hello\nTo: ann@example.org\n");
    }
    assert_eq!(fields(&inbox, 3), None);
    let mut summary = Vec::new();
    inbox.summaries().read(1, &mut summary);
    let summary = Summary::decode(&summary).unwrap();
    assert_eq!(summary.size, Some(LETTER.len() as u64));
    assert_eq!(summary.size, Some(inbox.size(1).unwrap()));
}

#[test]
fn previews_are_in_utf_8_whatever_the_letter_is_in() {
    let table = [
        ("utf-8", "8bit", "Grüße", "Grüße"),
        ("iso-8859-1", "quoted-printable", "Gr=FC=DFe", "Grüße"),
        ("iso-2022-jp", "7bit", "\x1b$B%+\x1b(B", "カ"),
        ("gb2312", "base64", "1tA=", "中"),
        ("x-nobody-knows", "base64", "w7z/", "ü\u{fffd}"),
    ];
    for (charset, encoding, text, expected) in table {
        let ann = Ann::new();
        let inbox = ann.inbox();
        let kind = format!("Content-Type: text/plain; charset={charset}");
        let letter = format!("{kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{text}\r\n");
        deliver(&inbox, &letter);
        assert_eq!(uids(&inbox), [1]);
        let mut summary = Vec::new();
        assert!(inbox.summaries().read(1, &mut summary));
        let summary = Summary::decode(&summary).unwrap();
        assert_eq!(summary.preview(), Some(expected), "{charset}");
    }
}

#[test]
fn copies_have_it_too() {
    let ann = Ann::new();
    let directory = ann.open();
    directory.create("Other").unwrap();
    let (inbox, other) = (ann.inbox(), directory.mailbox("Other").unwrap());
    append(&inbox, LETTER, 0, &[]);
    ann.put("new/1.foreign", "Subject: foreign\n\n");
    let (_, pairs) = inbox.copy(&uids(&inbox), &other).unwrap();
    assert_eq!(pairs, [(1, 1), (2, 2)]);
    assert!(fields(&other, 1).is_some());
    assert_eq!(fields(&other, 2), None, "nobody made one");
}

#[test]
fn sizes_are_known_without_reading() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    ann.put("new/1.foreign", "Subject: foreign\n\n");
    ann.put("new/2.foreign", "Subject: foreign\n\n");
    assert_eq!(uids(&inbox), [1, 2]);
    let mut summing = Summing::default();
    summing.push(&[b'x'; 1000]);
    let mut summaries = inbox.summaries();
    summaries.keep(1, &summing.finish(&Encodings).unwrap());
    summaries.settle();
    assert_eq!(summaries.size(1).unwrap(), 1000, "as the summary says");
    assert_eq!(summaries.size(2).unwrap(), 20, "counted");
    assert_eq!((inbox.size(1).unwrap(), inbox.size(2).unwrap()), (1000, 20));
    assert!(matches!(summaries.size(3), Err(StoreError::Gone(3))));
}

#[test]
fn a_session_adds_what_is_missing() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    ann.put("new/1.foreign", "Subject: foreign\n\n");
    assert_eq!(uids(&inbox), [1]);
    let mut summaries = inbox.summaries();
    let mut summary = Vec::new();
    assert!(!summaries.read(1, &mut summary));
    summaries.keep(1, b"summary");
    summaries.keep(9, b"nobody's");
    summaries.settle();
    assert!(summaries.read(1, &mut summary));
    assert_eq!(summary, b"summary");
    // Read by another process, which has the file renamed by a third.
    ann.rename("new/1.foreign", "cur/1.foreign:2,S");
    let mut summaries = inbox.summaries();
    assert!(summaries.read(1, &mut summary));
    let elsewhere = inbox.clone().pinned(77);
    assert!(!elsewhere.summaries().read(1, &mut summary), "another mailbox");
}
