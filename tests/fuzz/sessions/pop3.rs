//! POP3, before and after login.

use std::time::Duration;

use mail_proto::pop3::{Answer, Login, Message, Request, Server, Setup};
use mail_proto::sasl::Verdict;

use super::{End, Talk, opened, same};

/// One message as it is stored, with a dot to be stuffed.
const STORED: &[u8] = b"A: b\r\n\r\n.\r\ntext";

pub(crate) fn pop3(octets: &[u8]) {
    let Some((conditions, piece, octets)) = opened(octets) else { return };
    same(&talk(conditions, piece, octets), &talk(conditions, octets.len(), octets));
}

fn talk(conditions: u8, piece: usize, octets: &[u8]) -> Talk<'_> {
    let setup = Setup {
        hostname: "mx.example.org".parse().expect("is a domain"),
        starttls: conditions & 4 != 0,
        cleartext_auth: true,
        errors: 20,
        patience: Duration::from_secs(600),
    };
    let (mut login, mut talk) = (Login::new(setup.clone()), Talk::new(octets, piece));
    if talk.hold(&mut login, &mut |_| Verdict::Accepted) == End::Done {
        let unread = login.into_unread();
        talk.hold(&mut Server::new(setup, &unread), &mut |request| answer(&request));
    }
    talk
}

fn answer(request: &Request) -> Answer {
    match request {
        Request::Open => Answer::Opened(Ok((1..4).map(message).collect())),
        Request::Load { offset, .. } => {
            let offset = usize::try_from(*offset).unwrap_or(usize::MAX);
            Answer::Loaded(Ok(STORED.get(offset..).unwrap_or_default().to_vec()))
        }
        Request::Update { .. } => Answer::Updated(Ok(())),
    }
}

fn message(uid: u32) -> Message {
    Message { uid, size: STORED.len() as u64, uidl: format!("{uid:08x}00000001") }
}
