//! The protocols' sessions: octets in, in pieces. The first octet says under which conditions, the
//! second how long a piece is.
//!
//! The world behind a session says yes to nearly everything, and the same however the octets come:
//! so must the session.

mod imap;
mod pop3;
mod smtp;

use std::path::Path;

use mail_proto::{Ended, Secured, Session, Step};

pub(crate) use imap::imap;
pub(crate) use pop3::pop3;
pub(crate) use smtp::{client, lmtp, smtp, submission};

/// How a conversation ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The octets were at their end; or the session hung up.
    Closed,
    /// Another session takes over.
    Done,
}

/// A conversation under way.
struct Talk<'octets> {
    octets: &'octets [u8],
    piece: usize,
    out: Vec<u8>,
    /// TLS was negotiated: what had come with the command was not said.
    secured: bool,
    /// Steps that are left.
    patience: usize,
}

impl<'octets> Talk<'octets> {
    fn new(octets: &'octets [u8], piece: usize) -> Self {
        let patience = 1000 + octets.len() * 100;
        Self { octets, piece: piece.max(1), out: Vec::new(), secured: false, patience }
    }

    /// Says all octets, and at their end that there will be no more.
    fn hold<S: Session>(
        &mut self,
        session: &mut S,
        backend: &mut dyn FnMut(S::Request) -> S::Answer,
    ) -> End {
        let mut over = false;
        loop {
            self.patience = self.patience.checked_sub(1).expect("it comes to an end");
            match session.step(&mut self.out) {
                Step::Ask(request) => session.answer(backend(request)),
                Step::StartTls => {
                    self.secured = true;
                    session.secured(Secured { version: "TLSv1.3".into(), cipher: "x".into() });
                }
                Step::Read if over => return End::Closed,
                Step::Read if self.octets.is_empty() => {
                    over = true;
                    session.end(Ended::Timeout);
                }
                Step::Read => {
                    let (piece, rest) = self.octets.split_at(self.piece.min(self.octets.len()));
                    self.octets = rest;
                    session.receive(piece);
                }
                Step::Done => return End::Done,
                Step::Close => return End::Closed,
            }
        }
    }
}

/// Conditions, length of a piece, octets.
fn opened(octets: &[u8]) -> Option<(u8, usize, &[u8])> {
    let (&conditions, octets) = octets.split_first()?;
    let (&piece, octets) = octets.split_first()?;
    Some((conditions, piece.into(), octets))
}

/// Two conversations of the same octets in other pieces are the same.
fn same(one: &Talk<'_>, other: &Talk<'_>) {
    if !one.secured && !other.secured {
        let shown = |talk: &Talk<'_>| talk.out.escape_ascii().to_string();
        assert_eq!(shown(one), shown(other), "other pieces, other replies");
    }
}

/// What clients say in the chats of a folder, in pieces of 7 octets.
pub(crate) fn chats(folder: &str) -> Vec<Vec<u8>> {
    let said = |text: &str| {
        let lines = text.lines().filter_map(|line| line.strip_prefix("C:"));
        let lines = lines.map(|line| format!("{}\r\n", line.strip_prefix(' ').unwrap_or(line)));
        lines.collect::<String>().into_bytes()
    };
    files(folder).iter().map(|chat| [b"\x01\x07".to_vec(), said(chat)].concat()).collect()
}

/// What servers say in the chats of these folders.
pub(crate) fn replies(folders: &[&str]) -> Vec<Vec<u8>> {
    let said = |text: &str| {
        let lines = text.lines().filter_map(|line| line.strip_prefix("S: "));
        lines.map(|line| format!("{line}\r\n")).collect::<String>().into_bytes()
    };
    let chats = folders.iter().flat_map(|folder| files(folder));
    chats.map(|chat| [b"\x01\x07".to_vec(), said(&chat)].concat()).collect()
}

/// The texts of a folder of `tests/chats`.
pub(crate) fn files(folder: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../chats").join(folder);
    let entries = path.read_dir().expect("the folder is there");
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths.iter().filter_map(|path| std::fs::read(path).ok()).map(lossless).collect()
}

/// Octets above 127 as characters, one each: they are counted as such in messages.
fn lossless(octets: Vec<u8>) -> String {
    String::from_utf8(octets).unwrap_or_else(|error| error.as_bytes().escape_ascii().to_string())
}
