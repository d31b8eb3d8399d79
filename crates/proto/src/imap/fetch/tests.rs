//! FETCH over messages in memory.

mod summaries;

use std::collections::HashMap;
use std::sync::Arc;

use super::super::{Fetch, Progress};
use super::*;
use crate::mailbox::{Flags, Snapshot, Uid};
use crate::message::charset::Charsets;
use crate::message::charset::tests::Plain;
use crate::message::date::DateTime;

/// Messages by UID; 0 octets more than `readable` can be read.
struct Memory {
    messages: Vec<(Uid, Vec<u8>)>,
    readable: u64,
    unreadable: Vec<(Uid, ReadError<Lost>)>,
    summaries: HashMap<Uid, Vec<u8>>,
    reads: usize,
}

/// The UID of a message that cannot be read.
const DAMAGED: Uid = 99;

#[derive(Debug, Clone, PartialEq)]
enum Lost {
    Gone,
    Damaged,
}

impl Memory {
    fn of(messages: &[&[u8]]) -> Self {
        let messages = (1..).zip(messages).map(|(uid, text)| (uid, text.to_vec())).collect();
        Self {
            messages,
            readable: u64::MAX,
            unreadable: Vec::new(),
            summaries: HashMap::new(),
            reads: 0,
        }
    }

    fn text(&self, uid: Uid) -> Result<&[u8], Lost> {
        if uid == DAMAGED {
            return Err(Lost::Damaged);
        }
        let found = self.messages.iter().find(|(known, _)| *known == uid);
        found.map(|(_, text)| text.as_slice()).ok_or(Lost::Gone)
    }
}

impl Source for Memory {
    type Error = Lost;

    fn size(&mut self, uid: Uid) -> Result<u64, Lost> {
        self.text(uid).map(|text| text.len() as u64)
    }

    fn internal_date(&mut self, uid: Uid) -> Result<DateTime, Lost> {
        self.text(uid).map(|_| DateTime { seconds: 1_795_358_836, zone_minutes: 60 })
    }

    fn read_at(&mut self, uid: Uid, buffer: &mut [u8], offset: u64) -> Result<usize, Lost> {
        self.reads += 1;
        let readable = self.readable;
        let text = self.text(uid)?;
        let text = &text[..text.len().min(usize::try_from(readable).unwrap_or(usize::MAX))];
        let rest = text.get(usize::try_from(offset).expect("small")..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn summary(&mut self, uid: Uid, summary: &mut Vec<u8>) -> bool {
        let Some(kept) = self.summaries.get(&uid) else { return false };
        summary.clone_from(kept);
        true
    }

    fn keep_summary(&mut self, uid: Uid, summary: &[u8]) {
        self.summaries.insert(uid, summary.to_vec());
    }

    fn charsets(&self) -> &'static dyn Charsets {
        &Plain
    }

    fn is_gone(error: &Lost) -> bool {
        *error == Lost::Gone
    }

    fn unreadable(&mut self, uid: Uid, error: &ReadError<Lost>) {
        self.unreadable.push((uid, error.clone()));
    }
}

fn section(name: &str, part: &[u32], text: SectionText, partial: Option<(u64, u64)>) -> Item {
    Item::Section(Section { name: name.to_owned(), part: part.to_vec(), text, partial, peek: true })
}

fn question(uids: &[Uid], items: &[Item]) -> Fetch {
    let flags = Flags { system: Flags::SEEN, keywords: 1 };
    let messages = uids.iter().map(|&uid| Entry { uid, flags }).collect();
    Fetch {
        positions: (0..u32::try_from(uids.len()).expect("small")).collect(),
        snapshot: Arc::new(Snapshot {
            uid_validity: 1,
            uid_next: 100,
            modseq: 0,
            keywords_full: false,
            keywords: ["Work".to_owned()].into(),
            messages,
        }),
        recent_from: 2,
        items: items.into(),
        out: Vec::new(),
        seen: [].into(),
        progress: Progress::default(),
    }
}

/// Asks until all is answered; each answer's output is taken away, as the loop does.
fn answered(source: &mut Memory, uids: &[Uid], items: &[Item]) -> (Vec<u8>, Progress) {
    answered_with(&mut Reading::default(), source, uids, items)
}

fn answered_with(
    reading: &mut Reading,
    source: &mut Memory,
    uids: &[Uid],
    items: &[Item],
) -> (Vec<u8>, Progress) {
    let mut fetch = question(uids, items);
    let mut all = Vec::new();
    while fetch.progress.message < uids.len() {
        respond(&mut fetch, source, reading).expect("the source is whole");
        assert!(fetch.out.len() <= ANSWER + 1024, "an answer fits its buffer");
        all.append(&mut fetch.out);
    }
    (all, fetch.progress)
}

fn shown(message: &[u8], items: &[Item]) -> String {
    let (out, _) = answered(&mut Memory::of(&[message]), &[1], items);
    String::from_utf8(out).expect("the tests are UTF-8")
}

const PLAIN: &[u8] = b"From: a@b\nsubject: hello\nX-Y: 1\n 2\n\nline one\nline two\n";

const NESTED: &[u8] = b"Subject: outer\nContent-Type: multipart/mixed; boundary=a\n\npreamble\n\
--a\nContent-Type: text/html; charset=utf-8\nContent-Disposition: inline\n\n<p>one</p>\n\
--a\nContent-Type: message/rfc822\nContent-Description: forwarded\n\n\
Subject: inner\nFrom: c@d\nContent-Type: multipart/alternative; boundary=b\n\n\
--b\n\ninner one\n--b\nContent-Type: image/png\nContent-ID: <i@d>\n\
Content-Transfer-Encoding: base64\n\nAAAA\n--b--\n--a--\n";

#[test]
fn small_items() {
    let (out, progress) = answered(
        &mut Memory::of(&[PLAIN, PLAIN]),
        &[1, 2],
        &[Item::Flags, Item::Uid, Item::InternalDate, Item::Size],
    );
    let expected = "* 1 FETCH (FLAGS (\\Seen Work) UID 1 INTERNALDATE \"22-Nov-2026 15:47:16 +0100\" \
        RFC822.SIZE 54)\r\n* 2 FETCH (FLAGS (\\Recent \\Seen Work) UID 2 INTERNALDATE \
        \"22-Nov-2026 15:47:16 +0100\" RFC822.SIZE 54)\r\n";
    assert_eq!(String::from_utf8_lossy(&out), expected);
    assert_eq!(progress, Progress { message: 2, ..Progress::default() });
}

#[test]
fn structures_are_legal() {
    let nil = "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)";
    let table = [
        (
            PLAIN.to_vec(),
            "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 20 2 NIL NIL NIL NIL)"
                .to_owned(),
        ),
        (
            NESTED.to_vec(),
            "((\"text\" \"html\" (\"charset\" \"utf-8\") NIL NIL \"7bit\" 10 0 NIL (\"inline\" NIL) \
             NIL NIL)(\"message\" \"rfc822\" NIL NIL \"forwarded\" \"7bit\" 193 (NIL \"inner\" \
             ((NIL NIL \"c\" \"d\")) ((NIL NIL \"c\" \"d\")) ((NIL NIL \"c\" \"d\")) NIL NIL NIL NIL \
             NIL) ((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 9 0 NIL NIL NIL \
             NIL)(\"image\" \"png\" NIL \"<i@d>\" NIL \"base64\" 4 NIL NIL NIL NIL) \"alternative\" \
             (\"boundary\" \"b\") NIL NIL NIL) 13 NIL NIL NIL NIL) \"mixed\" (\"boundary\" \"a\") NIL \
             NIL NIL)"
                .to_owned(),
        ),
        (
            b"Content-Type: multipart/mixed; boundary=a\n\nnothing".to_vec(),
            "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0 NIL NIL NIL NIL) \
             \"mixed\" (\"boundary\" \"a\") NIL NIL NIL)"
                .to_owned(),
        ),
        (
            b"Content-Type: message/rfc822\nContent-Language: en, de\nContent-MD5: x\n\n".to_vec(),
            format!(
                "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 0 {nil} (\"text\" \"plain\" \
                 (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0 NIL NIL NIL NIL) 0 \"x\" NIL \
                 (\"en\" \"de\") NIL)"
            ),
        ),
    ];
    for (message, expected) in table {
        let expected = format!("* 1 FETCH (BODYSTRUCTURE {expected})\r\n");
        assert_eq!(shown(&message, &[Item::BodyStructure]), expected);
    }
    let plain =
        "* 1 FETCH (BODY (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 20 2))";
    assert_eq!(shown(PLAIN, &[Item::Body]).trim_end(), plain);
}

#[test]
fn sections() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let table: [(&[u8], &[u32], SectionText, &str); 25] = [
        (
            PLAIN,
            &[],
            SectionText::All,
            "From: a@b\nsubject: hello\nX-Y: 1\n 2\n\nline one\nline two\n",
        ),
        (PLAIN, &[], SectionText::Header, "From: a@b\nsubject: hello\nX-Y: 1\n 2\n\n"),
        (PLAIN, &[], SectionText::Text, "line one\nline two\n"),
        (PLAIN, &[], SectionText::Fields(names(&["x-y", "From"])), "From: a@b\nX-Y: 1\n 2\n\n"),
        (PLAIN, &[], SectionText::Fields(names(&["None"])), "\n"),
        (PLAIN, &[], SectionText::FieldsNot(names(&["x-y"])), "From: a@b\nsubject: hello\n\n"),
        (PLAIN, &[1], SectionText::All, "line one\nline two\n"),
        (PLAIN, &[1], SectionText::Mime, "From: a@b\nsubject: hello\nX-Y: 1\n 2\n\n"),
        (PLAIN, &[1], SectionText::Header, ""),
        (PLAIN, &[2], SectionText::All, ""),
        (PLAIN, &[1, 1], SectionText::All, ""),
        (NESTED, &[1], SectionText::All, "<p>one</p>"),
        (
            NESTED,
            &[1],
            SectionText::Mime,
            "Content-Type: text/html; charset=utf-8\nContent-Disposition: inline\n\n",
        ),
        (NESTED, &[1], SectionText::Text, ""),
        (
            NESTED,
            &[2],
            SectionText::Mime,
            "Content-Type: message/rfc822\nContent-Description: forwarded\n\n",
        ),
        (
            NESTED,
            &[2],
            SectionText::Header,
            "Subject: inner\nFrom: c@d\nContent-Type: multipart/alternative; boundary=b\n\n",
        ),
        (NESTED, &[2], SectionText::Fields(names(&["SUBJECT"])), "Subject: inner\n\n"),
        (NESTED, &[2, 1], SectionText::All, "inner one"),
        (NESTED, &[2, 2], SectionText::All, "AAAA"),
        (
            NESTED,
            &[2, 2],
            SectionText::Mime,
            "Content-Type: image/png\nContent-ID: <i@d>\nContent-Transfer-Encoding: base64\n\n",
        ),
        (NESTED, &[2, 3], SectionText::All, ""),
        (NESTED, &[0], SectionText::All, ""),
        (NESTED, &[4_294_967_295], SectionText::All, ""),
        (
            b"Content-Type: message/rfc822\n\nSubject: i\n\nin",
            &[1],
            SectionText::Header,
            "Subject: i\n\n",
        ),
        (b"Content-Type: message/rfc822\n\nSubject: i\n\nin", &[1, 1], SectionText::All, "in"),
    ];
    for (message, part, text, expected) in table {
        let item = section("BODY[x]", part, text, None);
        let expected = expected.replace('\n', "\r\n");
        let expected = match expected.len() {
            0 => "* 1 FETCH (BODY[x] \"\")\r\n".to_owned(),
            length => format!("* 1 FETCH (BODY[x] {{{length}}}\r\n{expected})\r\n"),
        };
        assert_eq!(shown(message, std::slice::from_ref(&item)), expected, "{item:?}");
    }
}

#[test]
fn partial_sections() {
    let table = [
        ((0, 4), "{4}\r\nline"),
        ((5, 100), "{15}\r\none\r\nline two\r\n"),
        ((8, 1), "{1}\r\n\r"),
        ((9, 1), "{1}\r\n\n"),
        ((20, 5), "\"\""),
        ((1000, 5), "\"\""),
        ((u64::MAX, u64::MAX), "\"\""),
    ];
    for (partial, expected) in table {
        let item = section("BODY[TEXT]<0>", &[], SectionText::Text, Some(partial));
        let expected = format!("* 1 FETCH (BODY[TEXT]<0> {expected})\r\n");
        assert_eq!(shown(PLAIN, &[item]), expected, "{partial:?}");
    }
}

#[test]
fn big_messages_come_in_many_answers_and_pieces() {
    let line: &[u8] = b"0123456789 0123456789 0123456789\n\0\n";
    let message = [b"Subject: big\n\n", line.repeat(40_000).as_slice()].concat();
    let wire: Vec<u8> = message
        .iter()
        .flat_map(|octet| match octet {
            b'\n' => b"\r\n".to_vec(),
            0 => vec![0x80],
            octet => vec![*octet],
        })
        .collect();
    let items = [
        section("BODY[]", &[], SectionText::All, None),
        section("BODY[HEADER]", &[], SectionText::Header, None),
        section("RFC822", &[], SectionText::All, None),
    ];
    let (out, _) = answered(&mut Memory::of(&[&message]), &[1], &items);
    let length = wire.len();
    let expected = [
        format!("* 1 FETCH (BODY[] {{{length}}}\r\n").as_bytes(),
        &wire,
        b" BODY[HEADER] {16}\r\nSubject: big\r\n\r\n",
        format!(" RFC822 {{{length}}}\r\n").as_bytes(),
        &wire,
        b")\r\n",
    ]
    .concat();
    assert!(out == expected, "{} octets, not {}", out.len(), expected.len());

    let mut joined = Vec::new();
    let mut source = Memory::of(&[&message]);
    let mut reading = Reading::default();
    for first in (0..length as u64).step_by(9_999) {
        let item = section("B", &[], SectionText::All, Some((first, 9_999)));
        let (out, _) = answered_with(&mut reading, &mut source, &[1], &[item]);
        let start = out.windows(2).position(|pair| pair == b"\r\n").expect("a literal") + 2;
        joined.extend_from_slice(&out[start..out.len() - 3]);
    }
    assert!(joined == wire);
}

#[test]
fn messages_that_cannot_be_read_are_passed_over() {
    let items = [Item::Uid, section("BODY[]", &[], SectionText::All, None)];
    let mut source = Memory { messages: vec![(2, b"x".to_vec())], ..Memory::of(&[]) };
    let (out, progress) = answered(&mut source, &[1, 2, DAMAGED], &items);
    assert_eq!(String::from_utf8_lossy(&out), "* 2 FETCH (UID 2 BODY[] {1}\r\nx)\r\n");
    assert_eq!((progress.missing, progress.unreadable), (1, 1));
    assert_eq!(source.unreadable, [(DAMAGED, ReadError::Source(Lost::Damaged))]);
}

#[test]
fn a_message_that_shrinks_ends_the_connection() {
    let message = vec![b'x'; 3 * ANSWER];
    let items = [section("BODY[]", &[], SectionText::All, None)];
    let mut fetch = question(&[1], &items);
    let mut source = Memory::of(&[&message]);
    let mut reading = Reading::default();
    respond(&mut fetch, &mut source, &mut reading).expect("the source is whole");
    source.readable = 10;
    reading.rest();
    fetch.out.clear();
    let broken = respond(&mut fetch, &mut source, &mut reading);
    assert_eq!(broken, Err(ReadError::Short(1)));
}
