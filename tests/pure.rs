//! The chats, played to the sessions with the daemons' own backends: no sockets, no clock, and in
//! pieces of 1, 7 and all bytes.

mod sessions;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use mail_tests::chat::{self, Chat, Connection, Protocol, World, play, record, without_trace};
use mail_tests::pure::Pure;
use mail_tests::site::Site;
use mail_tests::trouble::{Trouble, can_happen};
use sessions::Open;

#[test]
fn every_chat_can_be_played() {
    let mut mistakes = Vec::new();
    for path in Protocol::ALL.into_iter().flat_map(Protocol::chats) {
        match Chat::read(&path) {
            Ok(chat) => match Site::new(&chat.heading.config).try_config() {
                Ok(_) => {}
                Err(wrong) => mistakes.push(format!("{}: {wrong}", path.display())),
            },
            Err(mistake) => mistakes.push(mistake),
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

#[test]
fn smtp() {
    play_all(Protocol::Smtp);
}

#[test]
fn submission() {
    play_all(Protocol::Submission);
}

#[test]
fn inject() {
    play_all(Protocol::Inject);
}

#[test]
fn lmtp() {
    play_all(Protocol::Lmtp);
}

/// More than are delivered at the same time, and all in one piece.
#[test]
fn lmtp_keeps_what_comes_together_in_order() {
    let site = Site::new(&[]);
    let mut stage = sessions::over(&site, Protocol::Lmtp)();
    let mut bytes = String::from("LHLO client.example.net\r\n");
    for number in 0..150 {
        let to = ["ann", "bob"].map(|user| format!("RCPT TO:<{user}@example.org>\r\n"));
        let to = match number % 3 {
            0 => &to[..1],
            1 => &to[1..],
            _ => &to[..],
        };
        let message = format!("Subject: {number:03}\r\n\r\nHello\r\n");
        let (to, size) = (to.concat(), message.len());
        bytes += &format!("MAIL FROM:<>\r\n{to}BDAT {size} LAST\r\n{message}");
    }
    let mut said = Vec::new();
    stage.receive(bytes.as_bytes());
    stage.advance(&mut said);
    let said = String::from_utf8_lossy(&said);
    assert_eq!(said.matches("250 2.0.0 Ok: delivered as ").count(), 200, "{said}");
    for (user, others) in [("ann", 1), ("bob", 0)] {
        let expected: Vec<_> =
            (0..150).filter(|n| n % 3 != others).map(|n| format!("{n:03}")).collect();
        let subject = |mail: &Vec<u8>| {
            let text = String::from_utf8_lossy(mail);
            let found = text.split_once("Subject: ").and_then(|(_, rest)| rest.get(..3));
            found.map(str::to_owned).expect("it has a subject")
        };
        let came: Vec<_> = site.inbox(user).iter().map(subject).collect();
        assert_eq!(came, expected, "{user}");
    }
}

/// The messages of each user: their inodes, and how many names these have.
type Inodes = BTreeMap<&'static str, Vec<(u64, u64)>>;

/// What lmtp-deliverd says to letters for these, and what ann and bob have then.
fn delivered(site: &Site, to: &[&str], letters: &[&str]) -> (String, Inodes) {
    let mut stage = sessions::over(site, Protocol::Lmtp)();
    let mut said = Vec::new();
    let to = to.iter().map(|user| format!("RCPT TO:<{user}@example.org>\r\n"));
    let to: String = to.collect();
    let mut bytes = String::from("LHLO client.example.net\r\n");
    for letter in letters {
        bytes += &format!("MAIL FROM:<>\r\n{to}{letter}");
    }
    for piece in bytes.as_bytes().chunks(60_000) {
        stage.receive(piece);
        stage.advance(&mut said);
    }
    let inode = |path: &PathBuf| fs::metadata(path).map(|file| (file.ino(), file.nlink()));
    let of = |user| {
        let files = site.message_files(user);
        (user, files.iter().map(inode).collect::<Result<_, _>>().expect("they are there"))
    };
    (String::from_utf8_lossy(&said).into_owned(), ["ann", "bob"].map(of).into())
}

/// A letter in one chunk.
fn chunk(text: &str) -> String {
    format!("BDAT {} LAST\r\n{text}", text.len())
}

/// One that is delivered with others, and one that is too large for that.
#[test]
fn lmtp_writes_a_letter_for_several_once() {
    let site = Site::new(&[]);
    let large = "and so on, line after line after line\r\n".repeat(40_000);
    let letters = [
        chunk("Delivered-To: eve@example.org\r\nSubject: small\r\n\r\nHello\r\n"),
        chunk(&format!("Subject: large\r\n\r\n{large}")),
        "DATA\r\nSubject: lines\r\n\r\nHello\r\n.\r\n".to_owned(),
    ];
    let letters = letters.each_ref().map(String::as_str);
    let (said, inodes) = delivered(&site, &["ann", "bob"], &letters);
    assert_eq!(said.matches("250 2.0.0 Ok: delivered as ").count(), 6, "{said}");
    assert_eq!(inodes["ann"], inodes["bob"]);
    assert!(inodes["ann"].iter().all(|(_, names)| *names == 2), "{inodes:?}");
    let [small, large, lines] = site.inbox("bob").try_into().expect("three letters");
    for (mail, end) in [
        (&small, "\nDelivered-To: eve@example.org\nSubject: small\n\nHello\n"),
        (&large, "\nand so on, line after line after line\n"),
        (&lines, "\nSubject: lines\n\nHello\n"),
    ] {
        let mail = String::from_utf8_lossy(mail);
        assert!(mail.starts_with("Return-Path: <>\nReceived: from client"), "{mail:.300}");
        assert!(mail.ends_with(end), "{mail:.300}");
        assert!(!mail.contains("ann@") && !mail.contains("bob@"), "{mail:.300}");
    }
    // To one alone.
    let (_, inodes) = delivered(&site, &["ann"], &letters[..1]);
    assert_eq!(inodes["ann"].last().expect("it came").1, 1);
    let mail = site.inbox("ann").pop().expect("it came");
    let mail = String::from_utf8_lossy(&mail);
    assert!(mail.starts_with("Return-Path: <>\nDelivered-To: ann@example.org\n"), "{mail}");
    assert!(mail.contains(" for <ann@example.org>;"), "{mail}");
}

#[test]
fn lmtp_delivers_to_the_others_when_the_first_cannot_have_it() {
    let site = Site::new(&[]);
    let letters = [chunk("Subject: x\r\n\r\nHello\r\n")];
    let letters = [letters[0].as_str(), "DATA\r\nSubject: x\r\n\r\nHello\r\n.\r\n"];
    assert_eq!(delivered(&site, &["ann"], &letters).1["ann"].len(), 2);
    Trouble::MailboxDamaged("ann".to_owned()).befall(&site);
    let (said, inodes) = delivered(&site, &["ann", "bob", "bob"], &letters);
    assert_eq!(said.matches("451 4.3.0 ").count(), 2, "{said}");
    assert_eq!(said.matches("250 2.0.0 Ok: delivered as ").count(), 4, "{said}");
    let [(first, 2), (second, 2), (third, 2), (fourth, 2)] = inodes["bob"][..] else {
        panic!("each letter has two names: {inodes:?}");
    };
    assert!(first == second && third == fourth && first != third, "{inodes:?}");
}

#[test]
fn lmtp_writes_a_letter_for_each_who_cannot_share_it() {
    let site = Site::new(&[]);
    let letters = [chunk("Subject: x\r\n\r\nHello\r\n")];
    let letters = [letters[0].as_str()];
    let elsewhere = tempfile::tempdir_in("/dev/shm").expect("there is memory");
    let domain = site.maildir("bob").parent().expect("it is below the domain").to_owned();
    fs::create_dir_all(&domain).expect("it is writable");
    symlink(elsewhere.path(), site.maildir("bob")).expect("it is writable");
    let device = |path: &Path| fs::metadata(path).expect("it is there").dev();
    if device(elsewhere.path()) == device(&domain) {
        println!("skipped: there is one file system");
        return;
    }
    let (said, inodes) = delivered(&site, &["ann", "bob"], &letters);
    assert_eq!(said.matches("250 2.0.0 Ok: delivered as ").count(), 2, "{said}");
    assert_eq!((inodes["ann"][0].1, inodes["bob"][0].1), (1, 1));
    let text = |user| site.inbox(user).iter().map(|mail| without_trace(mail)).collect::<Vec<_>>();
    assert_eq!(text("ann"), text("bob"));
    // What is made in this directory is another group's.
    fs::remove_file(site.maildir("bob")).expect("it is writable");
    let (_, inodes) = delivered(&site, &["bob"], &letters);
    assert_eq!(inodes["bob"].len(), 1);
    let passing_on = fs::Permissions::from_mode(0o2700);
    fs::set_permissions(site.maildir("bob").join("tmp"), passing_on).expect("it is ours");
    let (_, inodes) = delivered(&site, &["ann", "bob"], &letters);
    let names = |user: &str| inodes[user].iter().map(|(_, names)| *names).collect::<Vec<_>>();
    assert_eq!((names("ann"), names("bob")), (vec![1, 1], vec![1, 1]));
}

#[test]
fn imap() {
    play_all(Protocol::Imap);
}

#[test]
fn pop3() {
    play_all(Protocol::Pop3);
}

/// A site with one daemon's sessions over it.
struct Sessions {
    site: Site,
    protocol: Protocol,
    piece: usize,
    open: Open,
}

impl World for Sessions {
    fn connect(&mut self) -> Box<dyn Connection> {
        Box::new(Pure::new((self.open)(), self.piece))
    }

    /// Behind mtad's sessions is only its queue.
    fn inbox(
        &mut self,
        user: &str,
        enough: &mut dyn FnMut(&[Vec<u8>]) -> bool,
    ) -> Option<Vec<Vec<u8>>> {
        let has_mailboxes =
            matches!(self.protocol, Protocol::Lmtp | Protocol::Pop3 | Protocol::Imap);
        has_mailboxes.then(|| self.site.inbox_when(user, enough))
    }

    fn befall(&mut self, trouble: &Trouble) {
        trouble.befall(&self.site);
    }

    /// There is no process: each session is told by its connection.
    fn shut_down(&mut self) {}
}

fn play_all(protocol: Protocol) {
    let paths = protocol.chats();
    assert!(!paths.is_empty(), "no chats in tests/chats/{}", protocol.folder());
    // `RECORD=pop3/a,idle`: the chats whose path has one of these in it are written, none played.
    let to_record = env::var("RECORD");
    let mut failures = Vec::new();
    for path in &paths {
        let chat = Chat::read(path).unwrap_or_else(|mistake| panic!("{mistake}"));
        if let Err(mistakes) = Site::new(&chat.heading.config).try_config() {
            failures.push(format!("--- {}: {mistakes}", path.display()));
            continue;
        }
        if !can_happen(&chat, path) {
            continue;
        }
        if let Ok(wanted) = &to_record {
            if wanted.split(',').any(|part| path.to_string_lossy().contains(part)) {
                write(path, &record(&chat, protocol, &mut world(&chat, protocol, usize::MAX)));
            }
            continue;
        }
        let pieces: &[usize] =
            if chat.heading.one_piece { &[usize::MAX] } else { &[1, 7, usize::MAX] };
        for &piece in pieces {
            let came = play(&chat, protocol, &mut world(&chat, protocol, piece));
            if came != chat.body {
                failures.push(differs(path, piece, &chat.body, &came));
                break;
            }
        }
    }
    let (failed, all) = (failures.len(), paths.len());
    assert!(failures.is_empty(), "{failed} of {all} failed\n{}", failures.join("\n"));
}

fn world(chat: &Chat, protocol: Protocol, piece: usize) -> Sessions {
    let site = Site::of(&chat.heading);
    let open = sessions::over(&site, protocol);
    Sessions { site, protocol, piece, open }
}

/// Writes a chat's conversation anew below its heading.
fn write(path: &Path, body: &str) {
    let text = fs::read_to_string(path).expect("was just read");
    let (heading, _) = text.split_once("\n\n").expect("is a chat");
    fs::write(path, format!("{heading}\n\n{body}")).expect("chats can be written");
}

fn differs(path: &Path, piece: usize, written: &str, came: &str) -> String {
    let name = path.strip_prefix(chat::folder()).unwrap_or(path).display();
    let pieces = if piece == usize::MAX { "all".to_owned() } else { piece.to_string() };
    format!("--- {name} in pieces of {pieces}, as written\n{written}--- as it came\n{came}")
}
