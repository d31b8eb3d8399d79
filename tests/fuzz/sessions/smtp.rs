//! SMTP and its relatives, from both sides.

use std::collections::BTreeSet;
use std::time::Duration;

use mail_proto::address::Domain;
use mail_proto::sasl::{Credentials, Verdict};
use mail_proto::smtp::client::{self, Block, Client, Report, Ticket, Tls};
use mail_proto::smtp::{
    Accepted, Answer, Dialect, Envelope, Failure, Limits, Recipient, Request, Server, Setup,
    Transaction,
};

use super::{Talk, opened, same};

pub(crate) fn smtp(octets: &[u8]) {
    server(Dialect::Smtp, octets);
}

pub(crate) fn submission(octets: &[u8]) {
    server(Dialect::Submission, octets);
}

pub(crate) fn lmtp(octets: &[u8]) {
    server(Dialect::Lmtp, octets);
}

fn server(dialect: Dialect, octets: &[u8]) {
    let Some((conditions, piece, octets)) = opened(octets) else { return };
    let mut talk = Talk::new(octets, piece);
    talk.hold(&mut Server::new(setup(dialect, conditions)), &mut answer);
    let mut whole = Talk::new(octets, octets.len());
    whole.hold(&mut Server::new(setup(dialect, conditions)), &mut answer);
    same(&talk, &whole);
}

fn setup(dialect: Dialect, conditions: u8) -> Setup {
    Setup {
        dialect,
        hostname: domain(),
        limits: Limits {
            message_size: if conditions & 2 == 0 { 1 << 20 } else { 200 },
            recipients: 3,
            command_line: 2048,
            errors: 20,
            patience: Duration::from_secs(300),
        },
        starttls: conditions & 4 != 0,
        cleartext_auth: true,
        delivery_ids: conditions & 1 != 0,
    }
}

fn domain() -> Domain {
    "mx.example.org".parse().expect("is a domain")
}

fn answer(request: Request) -> Answer {
    match request {
        Request::Verify(Credentials { username, password }) => {
            let verdict = match password.as_slice() {
                b"" => Verdict::Unavailable,
                b"wrong" => Verdict::Rejected,
                _ => Verdict::Accepted,
            };
            Answer::Verified { username, verdict }
        }
        Request::Sender { .. } => Answer::Sender(Ok(())),
        Request::Route { recipient, .. } => {
            let outcome = outcome(&recipient);
            Answer::Routed { recipient, outcome }
        }
        Request::Begin { .. } => Answer::Begun(Ok(())),
        Request::Store(block) => Answer::Stored(Ok(block.into_iter().take(0).collect())),
        Request::Commit(_) => Answer::Committed(vec![Ok(Accepted::Queued("0abc".into())); 3]),
        Request::Discard => Answer::Discarded,
        Request::Deliver(transactions) => {
            Answer::Delivered(transactions.iter().map(delivered).collect())
        }
    }
}

fn outcome(recipient: &Recipient) -> Result<(), Failure> {
    if recipient.address.to_string().contains("nobody") { Err(Failure::NoSuchUser) } else { Ok(()) }
}

fn delivered(transaction: &Transaction) -> Vec<Result<Accepted, Failure>> {
    let each = transaction.envelope.recipients.iter();
    each.map(|_| Ok(Accepted::Delivered("0abc".into()))).collect()
}

/// A server's replies, to a client that has three messages: of each it is told once what became of
/// it.
pub(crate) fn client(octets: &[u8]) {
    let Some((conditions, piece, octets)) = opened(octets) else { return };
    let dialect = if conditions & 1 == 0 { Dialect::Smtp } else { Dialect::Lmtp };
    let tls = match conditions & 6 {
        0 => Tls::Never,
        2 => Tls::Offered,
        _ => Tls::Required,
    };
    let credentials = (conditions & 8 != 0)
        .then(|| Credentials { username: "ann".into(), password: b"apple".to_vec() });
    let setup = client::Setup { dialect, hello: domain(), tls, credentials };
    let (mut client, mut post) = (Client::new(setup), Post::default());
    Talk::new(octets, piece).hold(&mut client, &mut |request| post.answer(request));
    post.told(client.abandon("the end"));
    assert_eq!(post.reported.len() as u64, post.given, "a message of which nothing is known");
}

/// The messages to be carried.
#[derive(Default)]
struct Post {
    given: u64,
    reported: BTreeSet<Ticket>,
    blocks: u32,
}

impl Post {
    fn answer(&mut self, request: client::Request) -> client::Answer {
        match request {
            client::Request::Next { reports, .. } => {
                self.told(reports);
                client::Answer::Next((self.given < 3).then(|| self.next()))
            }
            client::Request::Body(_) => {
                self.blocks += 1;
                let octets = b".A: b\r\n\r\n..\r\nx".to_vec();
                client::Answer::Body(Block { octets, last: self.blocks.is_multiple_of(2) })
            }
        }
    }

    fn next(&mut self) -> (Ticket, Envelope) {
        self.given += 1;
        let to = |address: &str| Recipient::new(address.parse().expect("is an address"));
        let mut envelope = Envelope::new(mail_proto::address::ReversePath(None));
        envelope.recipients = vec![to("ann@example.org"), to("bob@example.org")];
        envelope.eight_bit = true;
        (Ticket(self.given), envelope)
    }

    fn told(&mut self, reports: Vec<(Ticket, Report)>) {
        for (ticket, _) in reports {
            assert!(self.reported.insert(ticket), "told twice of {ticket:?}");
        }
    }
}
