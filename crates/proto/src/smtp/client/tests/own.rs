//! The client against our own LMTP server. What becomes of a recipient is written in its name, so
//! each answer can be held against the recipient that it was given to.

use proptest::prelude::*;

use super::*;
use crate::smtp::{self, Accepted, Failure, Limits, Server};

/// What is to become of a message: all that follows MAIL, for each recipient, in blocks of
/// so many octets.
#[derive(Debug, Clone)]
struct Letter {
    refused: bool,
    recipients: Vec<char>,
    octets: usize,
    block: usize,
}

impl Letter {
    fn envelope(&self, ticket: usize) -> Envelope {
        let sender = if self.refused { "spam" } else { "bob" };
        let to = |(place, fate): (usize, &char)| Recipient {
            delivery_id: Some(format!("q{ticket}.{place}")),
            ..Recipient::new(format!("{fate}{place}@example.org").parse().unwrap())
        };
        Envelope {
            recipients: self.recipients.iter().enumerate().map(to).collect(),
            oldest: Some("q0".to_owned()),
            ..Envelope::new(ReversePath(Some(format!("{sender}@example.net").parse().unwrap())))
        }
    }

    fn text(&self, ticket: usize) -> Vec<u8> {
        let line = format!("{ticket:08}\r\n");
        line.repeat(self.octets.div_ceil(line.len())).into_bytes()
    }

    fn blocks(&self, ticket: usize) -> Vec<Block> {
        let text = self.text(ticket);
        let mut blocks: Vec<_> = text.chunks(self.block).map(<[u8]>::to_vec).collect();
        let end = blocks.pop().unwrap_or_default();
        let mut blocks: Vec<_> =
            blocks.into_iter().map(|octets| Block { octets, last: false }).collect();
        blocks.push(Block { octets: end, last: true });
        blocks
    }

    fn expected(&self) -> Vec<(u16, &'static str)> {
        let of = |fate: &char| match fate {
            _ if self.refused => (553, "MAIL FROM"),
            'n' => (550, "RCPT TO"),
            'f' => (452, "BDAT"),
            _ => (250, "BDAT"),
        };
        self.recipients.iter().map(of).collect()
    }
}

fn letters() -> impl Strategy<Value = Vec<Letter>> {
    let fates = prop::collection::vec(prop::sample::select(vec!['a', 'a', 'n', 'f']), 1..4);
    let octets = prop_oneof![4 => 0usize..500, 1 => 100_000usize..200_000];
    let block = prop_oneof![4 => Just(64usize << 10), 1 => 7usize..90];
    let letter = (prop::bool::weighted(0.1), fates, octets, block).prop_map(
        |(refused, recipients, octets, block)| Letter {
            refused,
            recipients,
            octets,
            block: if octets > 1_000 { 64 << 10 } else { block },
        },
    );
    prop::collection::vec(letter, 1..40)
}

fn server() -> Server {
    Server::new(smtp::Setup {
        dialect: Dialect::Lmtp,
        hostname: "mx.example.org".parse().unwrap(),
        limits: Limits {
            message_size: 1 << 20,
            recipients: 10,
            command_line: 2048,
            errors: u32::MAX,
            patience: Duration::from_secs(300),
        },
        starttls: false,
        cleartext_auth: false,
        delivery_ids: true,
    })
}

/// What the server's mailboxes have got, and the message under way.
#[derive(Default)]
struct Mailboxes {
    taken: Vec<(String, Vec<u8>)>,
    begun: Option<(Envelope, Vec<u8>)>,
    /// The most messages that came together.
    together: usize,
}

impl Mailboxes {
    fn perform(&mut self, request: smtp::Request) -> smtp::Answer {
        match request {
            smtp::Request::Sender { sender, .. } => {
                let spam = sender.to_string().contains("spam");
                smtp::Answer::Sender(if spam { Err(Failure::SenderNotYours) } else { Ok(()) })
            }
            smtp::Request::Route { recipient, .. } => {
                let known = !recipient.address.local().starts_with('n');
                let outcome = if known { Ok(()) } else { Err(Failure::NoSuchUser) };
                smtp::Answer::Routed { recipient, outcome }
            }
            smtp::Request::Begin { envelope, .. } => {
                self.begun = Some((envelope, Vec::new()));
                smtp::Answer::Begun(Ok(()))
            }
            smtp::Request::Store(block) => {
                self.begun.as_mut().unwrap().1.extend_from_slice(&block);
                smtp::Answer::Stored(Ok(Vec::new()))
            }
            smtp::Request::Commit(block) => {
                let (envelope, mut message) = self.begun.take().unwrap();
                message.extend_from_slice(&block);
                smtp::Answer::Committed(self.take(&envelope, &message))
            }
            smtp::Request::Deliver(transactions) => {
                self.together = self.together.max(transactions.len());
                let take = |one: &smtp::Transaction| self.take(&one.envelope, &one.message);
                smtp::Answer::Delivered(transactions.iter().map(take).collect())
            }
            other => panic!("{other:?}"),
        }
    }

    fn take(&mut self, envelope: &Envelope, message: &[u8]) -> Vec<Result<Accepted, Failure>> {
        let mut outcomes = Vec::new();
        for recipient in &envelope.recipients {
            let name = recipient.address.local();
            if name.starts_with('f') {
                outcomes.push(Err(Failure::DiskFull));
                continue;
            }
            let id = recipient.delivery_id.clone().unwrap();
            self.taken.push((format!("{id}/{name}"), message.to_vec()));
            outcomes.push(Ok(Accepted::Delivered(id)));
        }
        outcomes
    }
}

/// Carries all letters over one connection whose pieces are so large.
fn carry(letters: &[Letter], piece: usize) -> (Vec<(Ticket, Report)>, Mailboxes) {
    let (mut client, mut server) = (Client::new(lmtp()), server());
    let (mut reports, mut mailboxes) = (Vec::new(), Mailboxes::default());
    let (mut begun, mut blocks) = (0, VecDeque::new());
    let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
    loop {
        let step = client.step(&mut to_server);
        match step {
            Step::Ask(Request::Next { reports: told, .. }) => {
                reports.extend(told);
                let letter = letters.get(begun).map(|letter| {
                    blocks = letter.blocks(begun).into();
                    (Ticket(begun as u64), letter.envelope(begun))
                });
                begun += usize::from(letter.is_some());
                client.answer(Answer::Next(letter));
                continue;
            }
            Step::Ask(Request::Body(Ticket(ticket))) => {
                assert_eq!(ticket + 1, begun as u64);
                client.answer(Answer::Body(blocks.pop_front().unwrap()));
                continue;
            }
            Step::Read => {}
            _ => return (reports, mailboxes),
        }
        let came = to_server.len().min(piece);
        server.receive(&to_server.drain(..came).collect::<Vec<_>>());
        while let Step::Ask(request) = server.step(&mut to_client) {
            server.answer(mailboxes.perform(request));
        }
        let came = to_client.len().min(piece);
        client.receive(&to_client.drain(..came).collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn each_message_has_the_answer_that_is_its_own(
        letters in letters(),
        piece in prop::sample::select(vec![41, 1_000, 70_000, usize::MAX]),
    ) {
        let (reports, mailboxes) = carry(&letters, piece);
        prop_assert_eq!(reports.len(), letters.len());
        let mut wanted = Vec::new();
        for (number, ((ticket, report), letter)) in reports.iter().zip(&letters).enumerate() {
            prop_assert_eq!(*ticket, Ticket(number as u64));
            let said = |outcome: &Outcome| match outcome {
                Outcome::Replied(reply) => (reply.code, reply.command),
                Outcome::Lost(why) => panic!("lost: {why}"),
            };
            let said: Vec<_> = report.recipients.iter().map(said).collect();
            let expected = letter.expected();
            prop_assert_eq!(&said, &expected);
            for (place, _) in expected.iter().enumerate().filter(|(_, (code, _))| *code == 250) {
                let fate = letter.recipients[place];
                wanted.push((format!("q{number}.{place}/{fate}{place}"), letter.text(number)));
            }
        }
        prop_assert!(mailboxes.taken == wanted);
    }
}

#[test]
fn what_is_in_the_window_is_delivered_together() {
    let letter = Letter { refused: false, recipients: vec!['a'], octets: 100, block: 1 << 16 };
    let (reports, mailboxes) = carry(&vec![letter; 40], usize::MAX);
    assert_eq!(reports.len(), 40);
    assert_eq!(mailboxes.together, 16);
}
