//! Whole connections with a peer that answers as dice fall, and keeps books.
//!
//! Each reply names the message or the recipient that it is for, so that an answer given to
//! somebody else shows; the peer takes a message only whole, and only where it may.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Pseudo-random numbers (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).unwrap()
    }

    fn one_in(&mut self, limit: usize) -> bool {
        self.below(limit) == 0
    }
}

/// What the peer offers.
#[derive(Debug, Clone, Copy)]
struct Offer {
    lmtp: bool,
    pipelining: bool,
    chunking: bool,
    ours: bool,
}

/// What goes wrong on the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    /// It is lost after so many octets of the peer's.
    Cut(usize),
    /// Instead of the reply of this number comes something else, or 421.
    Garbage(usize),
    Closing(usize),
    /// Some messages cannot be read.
    Unreadable,
}

#[derive(Debug)]
enum Stage {
    Between,
    Open,
    Lines,
    Chunk {
        left: usize,
        last: bool,
    },
    /// A chunk was refused.
    Failed,
    Gone,
}

/// The peer.
struct Peer {
    offer: Offer,
    trouble: Trouble,
    dice: Dice,
    stage: Stage,
    input: Vec<u8>,
    said: Vec<u8>,
    replies: usize,
    /// Whose message it is, from MAIL on.
    sender: String,
    recipients: Vec<String>,
    message: Vec<u8>,
    refuses: bool,
    taken: BTreeMap<String, Vec<u8>>,
}

impl Peer {
    fn reply(&mut self, code: u16, text: &str) {
        if matches!(self.stage, Stage::Gone) {
            return;
        }
        self.replies += 1;
        let line = match self.trouble {
            Trouble::Garbage(number) if number == self.replies => "oops\r\n".to_owned(),
            Trouble::Closing(number) if number == self.replies => {
                self.stage = Stage::Gone;
                "421 4.3.2 closing\r\n".to_owned()
            }
            _ if self.dice.one_in(4) => format!("{code}-some\r\n{code} {text}\r\n"),
            _ => format!("{code} {text}\r\n"),
        };
        self.said.extend_from_slice(line.as_bytes());
    }

    /// Hears one flight of the client's.
    fn hear(&mut self, flight: &[u8]) {
        assert!(self.offer.pipelining || self.said.is_empty() || flight.is_empty());
        let unread = !self.said.is_empty();
        self.input.extend_from_slice(flight);
        let mut commands = 0;
        loop {
            match self.stage {
                Stage::Gone => return,
                Stage::Lines => {
                    let end = self.input.windows(3).position(|three| three == b".\r\n");
                    let Some(end) = end.filter(|_| self.input.ends_with(b"\r\n.\r\n")) else {
                        return;
                    };
                    assert!(end > 0);
                    self.lines();
                }
                Stage::Chunk { left, last } => {
                    let come = left.min(self.input.len());
                    self.message.extend(self.input.drain(..come));
                    self.stage = Stage::Chunk { left: left - come, last };
                    if left > come {
                        return;
                    }
                    self.chunk(last);
                }
                _ => {
                    let Some(end) = self.input.iter().position(|&byte| byte == b'\n') else {
                        return;
                    };
                    let line = self.input.drain(..=end).collect();
                    let line = String::from_utf8(line).unwrap();
                    commands += 1;
                    assert!(self.offer.pipelining || commands == 1, "{line} was not waited for");
                    if line.starts_with("MAIL") && !self.offer.ours {
                        assert!(!unread, "a transaction before the last one ended");
                    }
                    self.command(line.trim_end());
                }
            }
        }
    }

    fn command(&mut self, line: &str) {
        let name = line.split([' ', ':']).next().unwrap();
        let tag = line.split(['<', '@']).nth(1).unwrap_or_default().to_owned();
        match (name, &self.stage) {
            ("LHLO", _) if self.offer.lmtp => self.hello(),
            ("EHLO", _) if !self.offer.lmtp => self.hello(),
            ("RSET", _) => {
                self.stage = Stage::Between;
                self.recipients.clear();
                self.reply(250, "reset");
            }
            ("MAIL", Stage::Between) if self.dice.one_in(8) => self.reply(451, &tag),
            ("MAIL", Stage::Between) => {
                self.stage = Stage::Open;
                self.recipients.clear();
                self.message.clear();
                self.refuses = self.dice.one_in(6);
                self.reply(250, &tag);
                self.sender = tag;
            }
            ("MAIL", stage) => panic!("MAIL in {stage:?}"),
            ("RCPT", Stage::Open) if self.dice.one_in(3) => self.reply(550, &tag),
            ("RCPT", Stage::Open) => {
                self.reply(250, &tag);
                self.recipients.push(tag);
            }
            ("DATA", Stage::Open) if !self.recipients.is_empty() && self.refuses => {
                let sender = self.sender.clone();
                self.reply(451, &sender);
            }
            ("DATA", Stage::Open) if !self.recipients.is_empty() => {
                self.reply(354, "go");
                self.stage = Stage::Lines;
            }
            ("BDAT", _) => {
                let octets = line.split(' ').nth(1).unwrap().parse().unwrap();
                let last = line.ends_with(" LAST");
                if let Stage::Failed = self.stage {
                    assert!(!last, "an end behind a refused chunk");
                }
                self.stage = match self.stage {
                    Stage::Between | Stage::Failed => {
                        assert!(self.offer.ours || !last, "an end for nobody");
                        self.refuses = true;
                        Stage::Chunk { left: octets, last }
                    }
                    _ => Stage::Chunk { left: octets, last },
                };
            }
            ("QUIT", _) => {
                self.reply(221, "bye");
                self.stage = Stage::Gone;
            }
            _ => self.reply(503, "sequence"),
        }
    }

    fn hello(&mut self) {
        let offer = self.offer;
        let words = [
            (offer.pipelining, "PIPELINING"),
            (offer.chunking, "CHUNKING"),
            (offer.ours, "XDELIVERID"),
            (true, "DSN"),
        ];
        let mut lines = "250-peer\r\n".to_owned();
        for (_, word) in words.iter().filter(|(offered, _)| *offered) {
            let _ = write!(lines, "250-{word}\r\n");
        }
        self.said.extend_from_slice(lines.as_bytes());
        self.said.extend_from_slice(b"250 HELP\r\n");
    }

    fn lines(&mut self) {
        let text = String::from_utf8(std::mem::take(&mut self.input)).unwrap();
        let lines = text.strip_suffix(".\r\n").unwrap().split_inclusive("\r\n");
        let lines = lines.map(|line| line.strip_prefix('.').unwrap_or(line));
        self.message = lines.collect::<String>().into_bytes();
        self.stage = Stage::Between;
        self.end();
    }

    fn chunk(&mut self, last: bool) {
        let sender = self.sender.clone();
        match (last, self.recipients.is_empty() || self.sender.is_empty()) {
            (true, true) => {
                assert!(self.offer.ours, "an end for nobody");
                self.stage = Stage::Between;
                self.reply(503, "nobody");
            }
            (true, false) => {
                self.stage = Stage::Between;
                self.end();
            }
            (false, true) => panic!("a chunk for nobody"),
            (false, false) if self.refuses => {
                self.stage = Stage::Failed;
                self.reply(452, &sender);
            }
            (false, false) => {
                self.stage = Stage::Open;
                self.reply(250, "more");
            }
        }
    }

    /// The message is here.
    fn end(&mut self) {
        let recipients = std::mem::take(&mut self.recipients);
        if self.offer.lmtp {
            for recipient in recipients {
                let taken = !self.dice.one_in(4);
                self.reply(if taken { 250 } else { 452 }, &recipient);
                self.take(taken, &recipient);
            }
            return;
        }
        let taken = !self.dice.one_in(4);
        let sender = self.sender.clone();
        self.reply(if taken { 250 } else { 552 }, &sender);
        for recipient in recipients {
            self.take(taken, &recipient);
        }
    }

    fn take(&mut self, taken: bool, recipient: &str) {
        if taken && !matches!(self.stage, Stage::Gone) {
            let before = self.taken.insert(recipient.to_owned(), self.message.clone());
            assert_eq!(before, None, "{recipient} has it twice");
        }
    }
}

/// What is carried in a run: for each ticket the number of recipients and the blocks.
struct Letters {
    recipients: Vec<usize>,
    blocks: Vec<VecDeque<Option<Block>>>,
    begun: usize,
}

impl Letters {
    fn thrown(most: usize, dice: &mut Dice, trouble: Trouble) -> Self {
        let count = 1 + dice.below(most);
        let recipients = (0..count).map(|_| 1 + dice.below(4)).collect();
        let blocks = (0..count).map(|ticket| Self::blocks(ticket, dice, trouble)).collect();
        Self { recipients, blocks, begun: 0 }
    }

    fn text(ticket: usize) -> String {
        format!("Subject: {ticket}\r\n\r\n.dot\r\n..\r\nend of {ticket}\r\n")
    }

    fn blocks(ticket: usize, dice: &mut Dice, trouble: Trouble) -> VecDeque<Option<Block>> {
        let text = Self::text(ticket);
        let size = if dice.one_in(3) { 1 + dice.below(30) } else { text.len() };
        let mut blocks: VecDeque<_> = text
            .as_bytes()
            .chunks(size)
            .map(|octets| Some(Block { octets: octets.to_vec(), last: false }))
            .collect();
        if dice.one_in(4) {
            blocks.push_back(Some(Block { octets: Vec::new(), last: false }));
        }
        if let Some(Some(block)) = blocks.back_mut() {
            block.last = true;
        }
        if trouble == Trouble::Unreadable && dice.one_in(6) {
            let place = dice.below(blocks.len());
            blocks[place] = None;
        }
        blocks
    }

    fn next(&mut self) -> Option<(Ticket, Envelope)> {
        let ticket = self.begun;
        let recipients = *self.recipients.get(ticket)?;
        self.begun += 1;
        let sender = format!("s{ticket}@example.net").parse().unwrap();
        let to = |n| Recipient::new(format!("t{ticket}r{n}@example.org").parse().unwrap());
        let mut envelope = Envelope::new(ReversePath(Some(sender)));
        envelope.recipients = (0..recipients).map(to).collect();
        Some((Ticket(ticket as u64), envelope))
    }

    fn block(&mut self, Ticket(ticket): Ticket) -> Answer {
        let blocks = &mut self.blocks[usize::try_from(ticket).unwrap()];
        blocks.pop_front().unwrap().map_or(Answer::Unreadable, Answer::Body)
    }
}

/// Plays a connection; says how many octets the peer said.
fn run(seed: u64, most: usize, offer: Offer, trouble: Trouble) -> usize {
    let mut dice = Dice(seed);
    let mut letters = Letters::thrown(most, &mut dice, trouble);
    let mut peer = Peer {
        offer,
        trouble,
        dice: Dice(seed ^ 1),
        stage: Stage::Between,
        input: Vec::new(),
        said: b"220 hi\r\n".to_vec(),
        replies: 0,
        sender: String::new(),
        recipients: Vec::new(),
        message: Vec::new(),
        refuses: false,
        taken: BTreeMap::new(),
    };
    let mut client = Client::new(if offer.lmtp { lmtp() } else { smtp() });
    let (mut reports, mut out, mut heard) = (Vec::new(), Vec::new(), 0);
    loop {
        match client.step(&mut out) {
            Step::Ask(Request::Next { reports: told, in_flight }) => {
                reports.extend(told);
                assert_eq!(letters.begun, reports.len() + in_flight);
                let now = in_flight == 0 || !dice.one_in(3);
                client.answer(Answer::Next(if now { letters.next() } else { None }));
            }
            Step::Ask(Request::Body(ticket)) => client.answer(letters.block(ticket)),
            Step::Read => {
                peer.hear(&std::mem::take(&mut out));
                if client.listens() && dice.one_in(2) && letters.begun < letters.recipients.len() {
                    client.answer(Answer::Next(letters.next()));
                    continue;
                }
                let gone = matches!(peer.stage, Stage::Gone);
                assert!(gone || !peer.said.is_empty(), "both sides wait");
                let mut octets = (1 + dice.below(200)).min(peer.said.len());
                if let Trouble::Cut(at) = trouble {
                    octets = octets.min(at - heard);
                }
                if octets == 0 {
                    break;
                }
                heard += octets;
                client.receive(&peer.said.drain(..octets).collect::<Vec<_>>());
            }
            Step::Close => break,
            step => panic!("{step:?}"),
        }
    }
    peer.hear(&out);
    reports.extend(client.abandon("over"));
    check_books(&letters, &peer, reports);
    heard
}

/// Each recipient of each message begun has one outcome, and it is its own.
fn check_books(letters: &Letters, peer: &Peer, reports: Vec<(Ticket, Report)>) {
    assert_eq!(reports.len(), letters.begun);
    let reports: BTreeMap<_, _> = reports.into_iter().collect();
    assert_eq!(reports.len(), letters.begun);
    for (Ticket(ticket), report) in reports {
        let number = usize::try_from(ticket).unwrap();
        assert_eq!(report.recipients.len(), letters.recipients[number]);
        assert!(peer.trouble != Trouble::None || report.notifies != peer.offer.lmtp);
        for (place, outcome) in report.recipients.iter().enumerate() {
            let tag = format!("t{ticket}r{place}");
            let taken = peer.taken.get(&tag);
            if let Some(message) = taken {
                assert_eq!(String::from_utf8_lossy(message), Letters::text(number));
            }
            match outcome {
                Outcome::Replied(reply) => {
                    let whose = reply.text.rsplit(' ').next().unwrap();
                    let own = whose == tag || whose == format!("s{ticket}");
                    assert!(own || reply.code == 421, "{tag} was told {reply:?}");
                    assert_eq!(outcome.is_accepted(), taken.is_some(), "{tag}: {reply:?}");
                }
                Outcome::Lost(why) => {
                    assert!(peer.trouble != Trouble::None, "{tag} lost: {why}");
                }
            }
        }
    }
    assert!(peer.trouble != Trouble::None || letters.begun == letters.recipients.len());
}

fn offers() -> impl Iterator<Item = Offer> {
    (0..16).map(|bits| Offer {
        lmtp: bits & 1 > 0,
        pipelining: bits & 2 > 0,
        chunking: bits & 4 > 0,
        ours: bits & 8 > 0,
    })
}

proptest! {
    #[test]
    fn each_recipient_has_its_own_answer(seed in any::<u64>()) {
        for offer in offers() {
            run(seed, 24, offer, Trouble::None);
            run(seed, 24, offer, Trouble::Unreadable);
        }
    }

    #[test]
    fn whatever_comes_instead_of_a_reply(seed in any::<u64>(), number in 1usize..60) {
        for offer in offers() {
            run(seed, 24, offer, Trouble::Garbage(number));
            run(seed, 24, offer, Trouble::Closing(number));
        }
    }
}

#[test]
fn the_connection_is_lost_at_each_octet() {
    for seed in 0..3 {
        for offer in offers() {
            for at in 0..run(seed, 4, offer, Trouble::None) {
                run(seed, 4, offer, Trouble::Cut(at));
            }
        }
    }
}
