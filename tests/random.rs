//! Conversations at random, with the sessions over their daemons' own backends: nothing that is
//! sent breaks a session. What is said comes from the chats, so each new one adds to it.

mod sessions;

use mail_proto::{Ended, Secured};
use mail_tests::chat::{self, Act, Chat, Protocol, Said};
use mail_tests::pure::{Pause, Stage};
use mail_tests::site::Site;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// What no chat says where it may stand here.
const PIECES: [&str; 20] = [
    "\r\n",
    "\r",
    "\n",
    "\0",
    "\"",
    "\\",
    "(",
    ")",
    "<",
    ">",
    "*",
    ":",
    "=",
    ".\r\n",
    "{3}\r\n",
    "{3+}\r\n",
    "{70000+}\r\n",
    "&AOk-",
    "\u{e9}",
    " ",
];

/// How much of a line is said.
#[derive(Debug, Clone, Copy)]
enum Part {
    Whole,
    Before(usize),
    After(usize),
}

#[test]
fn smtp() {
    nothing_breaks(
        Protocol::Smtp,
        "EHLO a.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<ann@example.org>\r\n",
    );
}

#[test]
fn submission() {
    nothing_breaks(
        Protocol::Submission,
        "EHLO a.example\r\nAUTH PLAIN AGFubkBleGFtcGxlLm9yZwBhcHBsZQ==\r\n",
    );
}

#[test]
fn lmtp() {
    nothing_breaks(
        Protocol::Lmtp,
        "LHLO a.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<ann@example.org>\r\n",
    );
}

#[test]
fn pop3() {
    nothing_breaks(Protocol::Pop3, "USER ann@example.org\r\nPASS apple\r\n");
}

#[test]
fn imap() {
    nothing_breaks(Protocol::Imap, "a LOGIN ann@example.org apple\r\na SELECT INBOX\r\n");
}

/// Plays random conversations, half of them after `beginning`.
fn nothing_breaks(protocol: Protocol, beginning: &str) {
    let mut said = lines_of_chats(protocol);
    said.extend(PIECES.map(|piece| piece.as_bytes().to_vec()));
    let part = prop_oneof![
        6 => Just(Part::Whole),
        1 => (0..40_usize).prop_map(Part::Before),
        1 => (0..40_usize).prop_map(Part::After),
    ];
    let conversation = prop::collection::vec((0..said.len(), part), 0..40);
    let strategy = (conversation, any::<bool>(), 1..40_usize);
    // What fails is told here, and becomes a chat.
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&strategy, |(conversation, begun, piece)| {
        let mut bytes = if begun { beginning.as_bytes().to_vec() } else { Vec::new() };
        for (at, part) in conversation {
            let line = &said[at];
            bytes.extend_from_slice(match part {
                Part::Whole => line,
                Part::Before(end) => &line[..end.min(line.len())],
                Part::After(start) => &line[start.min(line.len())..],
            });
        }
        let heard = heard(protocol, &bytes, piece);
        let conversation =
            format!("{}\n-- was answered\n{}", bytes.escape_ascii(), heard.escape_ascii());
        prop_assert!(heard.ends_with(b"\r\n"), "{}", conversation);
        for trouble in ["[UNAVAILABLE]", "[SYS/TEMP]", "4.3.0"] {
            let found = heard.windows(trouble.len()).any(|text| text == trouble.as_bytes());
            prop_assert!(!found, "{}", conversation);
        }
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// What clients say in the chats of a protocol.
fn lines_of_chats(protocol: Protocol) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    for path in protocol.chats() {
        let chat = Chat::read(&path).unwrap_or_else(|mistake| panic!("{mistake}"));
        for act in chat.acts {
            let Act::Say { said, .. } = act else { continue };
            lines.extend(said.into_iter().map(|said| match said {
                Said::Line(line) => [line.as_bytes(), b"\r\n"].concat(),
                Said::Mail(name) => chat::stuffed(&chat::message(&name)),
            }));
        }
    }
    assert!(!lines.is_empty(), "no chats in tests/chats/{}", protocol.folder());
    lines
}

/// Says all of it to a new connection; what came back until the goodbye.
fn heard(protocol: Protocol, bytes: &[u8], piece: usize) -> Vec<u8> {
    let site = Site::new(&[]);
    let mut stage = Some(sessions::over(&site, protocol)());
    let mut out = Vec::new();
    let mut open = advance(&mut stage, &mut out);
    for piece in bytes.chunks(piece) {
        if open {
            stage.as_mut().expect("is put back at once").receive(piece);
            open = advance(&mut stage, &mut out);
        }
    }
    if open {
        stage.as_mut().expect("is put back at once").end(Ended::Timeout);
        assert!(!advance(&mut stage, &mut out), "did not hang up: {}", out.escape_ascii());
    }
    out
}

/// Goes on until the session needs its client; `false`: it hung up.
fn advance(stage: &mut Option<Box<dyn Stage>>, out: &mut Vec<u8>) -> bool {
    loop {
        let current = stage.as_mut().expect("is put back at once");
        match current.advance(out) {
            Pause::Read => return true,
            Pause::Close => return false,
            Pause::StartTls => {
                current.secured(Secured { version: "TLSv1.3".into(), cipher: "x".into() });
            }
            Pause::Done => *stage = stage.take().map(Stage::follower),
        }
    }
}
