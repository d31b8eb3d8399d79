//! SEARCH over messages in memory.

use std::sync::Arc;

use super::super::fetch::{ReadError, Summary};
use super::*;
use crate::mailbox::{Entry, Flags, Snapshot, Uid};
use crate::message::charset::Charsets;
use crate::message::charset::tests::Plain;
use crate::message::date::DateTime;

/// Messages with UIDs from 1; the day of INTERNALDATE is the UID. Counts what is read.
struct Memory {
    messages: Vec<Vec<u8>>,
    reads: usize,
}

#[derive(Debug)]
struct Gone;

impl Source for Memory {
    type Error = Gone;

    fn size(&mut self, uid: Uid) -> Result<u64, Gone> {
        Ok(self.messages[uid as usize - 1].len() as u64)
    }

    fn internal_date(&mut self, uid: Uid) -> Result<DateTime, Gone> {
        Ok(DateTime { seconds: i64::from(uid) * 86_400, zone_minutes: 0 })
    }

    fn read_at(&mut self, uid: Uid, buffer: &mut [u8], offset: u64) -> Result<usize, Gone> {
        self.reads += 1;
        let text = &self.messages[uid as usize - 1];
        if text == b"gone" {
            return Err(Gone);
        }
        let rest = text.get(usize::try_from(offset).expect("small")..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn summary(&mut self, _uid: Uid, _summary: &mut Vec<u8>) -> bool {
        false
    }

    fn keep_summary(&mut self, uid: Uid, summary: &[u8]) {
        assert!(Summary::decode(summary).is_some(), "message {uid} has a summary");
    }

    fn charsets(&self) -> &'static dyn Charsets {
        &Plain
    }

    fn is_gone(_error: &Gone) -> bool {
        true
    }

    fn unreadable(&mut self, uid: Uid, _error: &ReadError<Gone>) {
        panic!("message {uid} is only gone");
    }
}

const FIRST: &[u8] =
    b"From: Ann <a@b>\nSubject: =?iso-8859-1?q?Gr=FC=DFe?= aus\n =?utf-8?q?K=C3=B6ln?=\n\
Date: Fri, 2 Jan 1970 23:30:00 -0500\nX-Empty:\n\nplain text\n";

const SECOND: &[u8] = b"From: bob@b\nContent-Type: multipart/mixed; boundary=a\n\nthe preamble\n\
--a\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\n\
Caf=E9 au la=\nit\n--a\nContent-Type: text/html; charset=utf-8\n\
Content-Transfer-Encoding: base64\n\nPGI+w5xCRVI8L2I+\n--a\n\
Content-Type: application/pdf; name=\"invoice.pdf\"\n\nbinary words\n--a\n\
Content-Type: message/rfc822\n\nSubject: forwarded letter\n\ninner words\n--a--\n";

fn found(key: Key) -> (Vec<u32>, usize) {
    let messages = vec![FIRST.to_vec(), SECOND.to_vec(), b"gone".to_vec()];
    let mut source = Memory { messages, reads: 0 };
    let entry = |uid, system, keywords| Entry { uid, flags: Flags { system, keywords } };
    let snapshot = Snapshot {
        uid_validity: 1,
        uid_next: 4,
        modseq: 0,
        keywords_full: false,
        keywords: ["Work".to_owned()].into(),
        messages: [entry(1, Flags::SEEN, 0), entry(2, 0, 1), entry(3, Flags::DELETED, 0)]
            .into_iter()
            .collect(),
    };
    let snapshot = Arc::new(snapshot);
    let mut search = Search { snapshot, recent_from: 3, key, next: 0, found: Vec::new() };
    let mut reading = Reading::default();
    while search.next < 3 {
        advance(&mut search, &mut source, &mut reading);
    }
    (search.found, source.reads)
}

#[test]
fn keys_find_their_messages() {
    let header = |name: &str, text: &str| Key::Header(name.to_owned(), text.to_owned());
    let body = |text: &str| Key::Body(text.to_owned());
    let text = |text: &str| Key::Text(text.to_owned());
    let not = |key| Key::Not(Box::new(key));
    let table: [(Key, &[u32]); 40] = [
        (Key::And(vec![]), &[0, 1, 2]),
        (Key::Positions(vec![0, 2]), &[0, 2]),
        (Key::Flag(Flags::SEEN), &[0]),
        (not(Key::Flag(Flags::SEEN)), &[1, 2]),
        (Key::Keyword("work".to_owned()), &[1]),
        (Key::Keyword("play".to_owned()), &[]),
        (Key::Recent, &[2]),
        (Key::Or(Box::new((Key::Flag(Flags::SEEN), Key::Recent))), &[0, 2]),
        (Key::And(vec![Key::Flag(Flags::SEEN), Key::Recent]), &[]),
        (Key::Before(2), &[0]),
        (Key::On(2), &[1]),
        (Key::Since(2), &[1, 2]),
        (Key::Larger(300), &[1]),
        (Key::Smaller(10), &[2]),
        // The zone's day counts: in UTC it is the third already.
        (Key::SentOn(1), &[0]),
        (Key::SentBefore(2), &[0]),
        (Key::SentSince(2), &[]),
        (header("from", "ANN"), &[0]),
        (header("From", "b"), &[0, 1]),
        (header("Subject", "grÜße AUS köln"), &[0]),
        (header("X-Empty", ""), &[0]),
        (header("X-None", ""), &[]),
        (header("Date", "jan"), &[0]),
        (body("PLAIN T"), &[0]),
        (body("Ann"), &[]),
        (body("café au lait"), &[1]),
        (body("über"), &[1]),
        (body("invoice.pdf"), &[1]),
        (body("binary"), &[]),
        (body("forwarded"), &[1]),
        (body("inner words"), &[1]),
        (body("preamble"), &[]),
        (body(""), &[0, 1, 2]),
        (text("ann"), &[0]),
        (text("subject: grüße"), &[0]),
        (text("multipart/MIXED"), &[1]),
        (text("plain text"), &[0]),
        (text("nowhere"), &[]),
        (not(body("plain text")), &[1]),
        (not(Key::And(vec![])), &[]),
    ];
    for (key, expected) in table {
        assert_eq!(found(key.clone()).0, expected, "{key:?}");
    }
}

#[test]
fn nothing_is_read_without_need() {
    let dear = || Key::Text("nowhere".to_owned());
    let (_, reads) = found(Key::And(vec![dear(), Key::Flag(Flags::FLAGGED)]));
    assert_eq!(reads, 0);
    let (_, reads) = found(Key::Or(Box::new((dear(), Key::Not(Box::new(Key::Recent))))));
    assert_eq!(reads, 1, "only the recent one");
}
