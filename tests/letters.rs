//! Real letters go through unchanged.
//!
//! Every `msg_*.txt` of Debian's `libpython3.11-testsuite` and SpamAssassin's two samples, sent to
//! port 25 with CRLF line ends, read by IMAP and POP3: equal byte for byte but for exactly
//! Return-Path, Delivered-To, Received and a final line end. A Return-Path that a letter brings
//! along is removed: final delivery writes its own (RFC 5321, 4.4).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mail_common::charset::Encodings;
use mail_proto::imap::fetch::{self, Item, ReadError, Reading, Section, SectionText, Summing};
use mail_proto::imap::{Fetch, Progress};
use mail_proto::mailbox::{Entry, Flags, Snapshot, Uid};
use mail_proto::message::charset::Charsets;
use mail_proto::message::date::DateTime;
use mail_tests::chat::without_trace;
use mail_tests::mail::{Imap, Pop3, Smtp};
use mail_tests::source::workspace;
use mail_tests::suite::Suite;

#[test]
fn real_letters_arrive_as_they_were() {
    let files = files();
    let suite = Suite::start();
    let mut smtp = Smtp::hello(suite.connect("mx"), "EHLO").expect("is greeted");
    for (number, path) in files.iter().enumerate() {
        let sender = format!("letter-{number}@example.net");
        smtp.send(&sender, &["ann@example.org"], &wire_form(path))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    suite.site.inbox_when("ann", |inbox| inbox.len() == files.len());
    let mut imap = Imap::login(suite.connect("imaps"), "ann").expect("may log in");
    compare("IMAP", &files, &imap.inbox(files.len()).expect("can be read"));
    drop(imap);
    let mut pop3 = Pop3::login(suite.connect("pop3s"), "ann").expect("may log in");
    compare("POP3", &files, &pop3.inbox().expect("can be read"));
}

#[test]
fn summaries_of_real_letters_answer_as_the_letters() {
    for path in files() {
        let stored = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for text in [stored, wire_form(&path)] {
            let mut letter = Letter { text: Some(text.clone()), summary: None };
            let expected = listing(&mut letter);
            for size in [100, 4096, usize::MAX] {
                let mut summing = Summing::default();
                text.chunks(size).for_each(|block| summing.push(block));
                let summary = summing.finish(&Encodings);
                assert!(summary.is_some() && summary == letter.summary, "{}", path.display());
            }
            letter.text = None;
            assert!(listing(&mut letter) == expected, "{}", path.display());
        }
    }
}

/// A letter in memory, and the summary of it that was kept.
struct Letter {
    /// `None`: it cannot be read.
    text: Option<Vec<u8>>,
    summary: Option<Vec<u8>>,
}

impl fetch::Source for Letter {
    type Error = &'static str;

    fn size(&mut self, _uid: Uid) -> Result<u64, Self::Error> {
        Err("not asked for")
    }

    fn internal_date(&mut self, _uid: Uid) -> Result<DateTime, Self::Error> {
        Err("not asked for")
    }

    fn read_at(&mut self, _: Uid, buffer: &mut [u8], at: u64) -> Result<usize, Self::Error> {
        let text = self.text.as_ref().ok_or("cannot be read")?;
        let rest = text.get(usize::try_from(at).expect("small")..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn summary(&mut self, _uid: Uid, summary: &mut Vec<u8>) -> bool {
        let kept = self.summary.as_deref();
        summary.clear();
        summary.extend_from_slice(kept.unwrap_or_default());
        kept.is_some()
    }

    fn keep_summary(&mut self, _uid: Uid, summary: &[u8]) {
        self.summary = Some(summary.to_vec());
    }

    fn charsets(&self) -> &'static dyn Charsets {
        &Encodings
    }

    fn is_gone(_error: &Self::Error) -> bool {
        false
    }

    fn unreadable(&mut self, _uid: Uid, error: &ReadError<Self::Error>) {
        panic!("{error}");
    }
}

/// What a client asks for to show a list of messages.
fn listing(letter: &mut Letter) -> Vec<u8> {
    let names = ["From", "To", "Subject", "Date", "Message-ID", "References", "Content-Type"];
    let fields = Section {
        name: "BODY[HEADER.FIELDS (...)]".to_owned(),
        part: Vec::new(),
        text: SectionText::Fields(names.map(str::to_owned).to_vec()),
        partial: None,
        peek: true,
    };
    let flags = Flags { system: 0, keywords: 0 };
    let snapshot = Snapshot {
        uid_validity: 1,
        uid_next: 2,
        modseq: 1,
        keywords: [].into(),
        keywords_full: false,
        messages: [Entry { uid: 1, flags }].into_iter().collect(),
    };
    let mut fetch = Fetch {
        positions: [0].into(),
        snapshot: Arc::new(snapshot),
        recent_from: 2,
        items: [Item::Envelope, Item::BodyStructure, Item::Section(fields)].into(),
        out: Vec::new(),
        seen: [].into(),
        progress: Progress::default(),
    };
    while fetch.progress.message == 0 {
        fetch::respond(&mut fetch, letter, &mut Reading::default()).expect("does not shrink");
    }
    fetch.out
}

fn compare(way: &str, files: &[PathBuf], read: &[Vec<u8>]) {
    let by_number: BTreeMap<usize, &Vec<u8>> =
        read.iter().map(|message| (number(message), message)).collect();
    assert_eq!(read.len(), files.len(), "{way}: as many as were sent");
    assert_eq!(by_number.len(), files.len(), "{way}: each once");
    for (number, path) in files.iter().enumerate() {
        let expected = without_return_path(&wire_form(path));
        let came = without_trace(by_number[&number]);
        assert!(
            came == expected || came == [&expected, b"\r\n".as_slice()].concat(),
            "{way}: {}\n--- as sent\n{}\n--- as read\n{}",
            path.display(),
            String::from_utf8_lossy(&expected),
            String::from_utf8_lossy(by_number[&number]),
        );
    }
}

/// From the Return-Path that delivery wrote.
fn number(message: &[u8]) -> usize {
    let text = String::from_utf8_lossy(message);
    let sender = text.strip_prefix("Return-Path: <letter-").and_then(|rest| rest.split_once('@'));
    let (number, _) = sender.unwrap_or_else(|| panic!("no Return-Path of ours on\n{text}"));
    number.parse().expect("we wrote it")
}

fn wire_form(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut wire = Vec::with_capacity(bytes.len() * 2);
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(line) => {
                wire.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
                wire.extend_from_slice(b"\r\n");
            }
            None => wire.extend_from_slice(line),
        }
    }
    wire
}

fn without_return_path(message: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(message.len());
    let (mut header, mut dropping) = (true, false);
    for line in message.split_inclusive(|&byte| byte == b'\n') {
        let folded = line.starts_with(b" ") || line.starts_with(b"\t");
        header &= line != b"\r\n";
        let begins = line.get(..12).is_some_and(|b| b.eq_ignore_ascii_case(b"return-path:"));
        dropping = header && (begins || (dropping && folded));
        if !dropping {
            kept.extend_from_slice(line);
        }
    }
    kept
}

fn files() -> Vec<PathBuf> {
    let letters = workspace().join("target/letters");
    let python = letters.join("libpython3.11-testsuite/usr/lib/python3.11/test/test_email/data");
    let samples = letters.join("spamassassin/usr/share/doc/spamassassin/examples");
    let mut files = Vec::new();
    for folder in [&python, &samples] {
        let entries = fs::read_dir(folder).unwrap_or_else(|error| {
            panic!("{}: {error}: `cargo xtask letters` fetches them", folder.display())
        });
        files.extend(entries.flatten().map(|entry| entry.path()).filter(|path| is_letter(path)));
    }
    files.sort();
    assert!(files.len() > 40, "only {} letters: cargo xtask letters", files.len());
    files
}

fn is_letter(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let text = path.extension().is_some_and(|extension| extension == "txt");
    text && (name.starts_with("msg_") || name.starts_with("sample-"))
}
