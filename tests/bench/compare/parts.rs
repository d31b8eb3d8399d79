//! What is measured, and in which order.

use std::io;

use clap::ValueEnum;
use mail_tests::reference::Unpacked;

use crate::exchanges::{self, alone, of_bare};
use crate::figures::Figures;
use crate::lines::{Cost, Line, Peer, Speed, Target};
use crate::queue;
use crate::side::Side;

/// A part of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Part {
    /// Deliveries
    Lmtp,
    /// APPEND
    Append,
    /// Opening: with and without an index
    Open,
    /// Memory while open
    Memory,
    /// What clients ask when they have opened a mailbox
    Fetch,
    /// Changes of flags, and expunges
    Flags,
    /// From a delivery to the news of it in IDLE
    News,
    /// Taking mail by SMTP
    Accept,
    /// A million messages that wait
    Queue,
    /// From SMTP into Maildirs
    Mail,
}

/// A mailbox that is filled before.
struct Mailbox {
    user: &'static str,
    messages: u64,
    how: &'static [&'static str],
}

const TEN_THOUSAND: Mailbox = Mailbox { user: "tens", messages: 10_000, how: &[] };
const HUNDRED_THOUSAND: Mailbox = Mailbox { user: "hundreds", messages: 100_000, how: &[] };
/// To be opened only.
const MILLION: Mailbox = Mailbox { user: "million", messages: 1_000_000, how: &["--linked"] };

/// One whose INBOX nobody fills.
const EMPTY: &str = "empty";

/// How often a server is started for one figure.
const STARTS: usize = 3;

impl Part {
    pub(crate) const ALL: [Self; 10] = [
        Self::Lmtp,
        Self::Append,
        Self::Open,
        Self::Memory,
        Self::Fetch,
        Self::Flags,
        Self::News,
        Self::Accept,
        Self::Queue,
        Self::Mail,
    ];

    /// Where `docs/performance.md` tells of it.
    pub(crate) fn chapter(self) -> &'static str {
        match self.peer() {
            Peer::Dovecot => "mailboxes",
            Peer::Postfix | Peer::PostfixAndDovecot => "queue",
        }
    }

    /// Whom it compares us with.
    pub(crate) fn peer(self) -> Peer {
        match self {
            Self::Accept | Self::Queue => Peer::Postfix,
            Self::Mail => Peer::PostfixAndDovecot,
            Self::Lmtp
            | Self::Append
            | Self::Open
            | Self::Memory
            | Self::Fetch
            | Self::Flags
            | Self::News => Peer::Dovecot,
        }
    }

    /// Runs it on both sides.
    pub(crate) fn run(
        self,
        ours: &mut Side,
        theirs: &mut Side,
        unpacked: &Unpacked,
    ) -> io::Result<Vec<Line>> {
        match self {
            Self::Open => opening(ours, theirs),
            Self::Memory => memory(ours, theirs),
            Self::Fetch => fetch(ours, theirs),
            Self::Flags => flags(ours, theirs),
            Self::Lmtp => deliveries(ours, theirs),
            Self::Append => append(ours, theirs),
            Self::News => news(ours, theirs),
            Self::Accept => exchanges::accept(unpacked),
            Self::Queue => queue::queue(),
            Self::Mail => exchanges::mail(unpacked),
        }
    }
}

fn opening(ours: &mut Side, theirs: &mut Side) -> io::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for (mailbox, within) in
        [(&TEN_THOUSAND, None), (&HUNDRED_THOUSAND, Some(1.0)), (&MILLION, Some(5.0))]
    {
        let [(our_first, our_next), (their_first, their_next)] =
            on_both(ours, theirs, |side| open_one(side, mailbox))?;
        let messages = thousands(mailbox.messages);
        lines.push(Line {
            name: format!("open {messages} with a warm index"),
            ours: our_next,
            theirs: Some(their_next),
            target: within.map_or(Target::Nothing, |time| Target::Reach(Speed::Time(time))),
        });
        lines.push(Line {
            name: format!("first open of a foreign Maildir of {messages}, a message"),
            ours: our_first,
            theirs: Some(their_first),
            target: Target::Reach(Speed::Rate(100_000.0)),
        });
    }
    Ok(lines)
}

/// The first open, of a message, and the one after a restart, of the mailbox.
fn open_one(side: &mut Side, mailbox: &Mailbox) -> io::Result<(Cost, Cost)> {
    mailbox.fill(side)?;
    let messages = mailbox.messages as f64;
    let mut first = Vec::new();
    for _ in 0..STARTS {
        side.stop()?;
        side.forget_index(mailbox.user)?;
        side.start()?;
        first.push(select(side, mailbox)?);
    }
    side.imap(Some(mailbox.user), &["command", "UID FETCH 1:* (UID FLAGS)"])?;
    let mut next = Vec::new();
    for _ in 0..STARTS {
        side.restart()?;
        next.push(select(side, mailbox)?);
    }
    side.stop()?;
    let (first, next) = (Figures::median(&first), Figures::median(&next));
    let rate = Speed::Rate(messages / first.time() * 1e3);
    let first = Cost { cpu: Some(first.cpu() / messages), speed: rate };
    let next = timed(&next);
    Ok((first, next))
}

/// SELECT in a server that was just started, after others have logged in and selected: the
/// mailbox is measured, not the start of processes.
fn select(side: &Side, mailbox: &Mailbox) -> io::Result<Figures> {
    side.imap(Some(EMPTY), &["select", "--times", "10"])?;
    let figures = side.imap(Some(mailbox.user), &["select", "--times", "1"])?;
    // Later parts add messages, none takes any away before this one.
    if figures.of("exists") < mailbox.messages as f64 {
        return Err(io::Error::other(format!("{}: {figures:?}", side.name())));
    }
    Ok(figures)
}

fn memory(ours: &mut Side, theirs: &mut Side) -> io::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for mailbox in [&HUNDRED_THOUSAND, &MILLION] {
        let found = on_both(ours, theirs, |side| {
            mailbox.fill(side)?;
            side.start()?;
            let figures = side.imap(Some(mailbox.user), &["memory", "--sessions", "10"])?;
            side.stop()?;
            Ok(figures)
        })?;
        for (sessions, figure) in
            [("one session", "octets_a_message_one"), ("ten sessions", "octets_a_message_all")]
        {
            let [ours, theirs] = found
                .each_ref()
                .map(|found| Cost { cpu: None, speed: Speed::Size(found.of(figure)) });
            lines.push(Line {
                name: format!(
                    "memory, {} open in {sessions}, a message",
                    thousands(mailbox.messages)
                ),
                ours,
                theirs: Some(theirs),
                target: Target::Reach(Speed::Size(100.0)),
            });
        }
    }
    Ok(lines)
}

fn fetch(ours: &mut Side, theirs: &mut Side) -> io::Result<Vec<Line>> {
    let summary = "FETCH 1:* (ENVELOPE BODYSTRUCTURE)";
    let found = on_both(ours, theirs, |side| {
        HUNDRED_THOUSAND.fill(side)?;
        TEN_THOUSAND.fill(side)?;
        side.start()?;
        let all = ["command", "UID FETCH 1:* (UID FLAGS)", "--times", "9"];
        let flags = side.imap(Some(HUNDRED_THOUSAND.user), &all)?;
        let first = side.imap(Some(TEN_THOUSAND.user), &["command", summary])?;
        side.restart()?;
        let again = ["command", summary, "--times", "9"];
        let again = side.imap(Some(TEN_THOUSAND.user), &again)?;
        side.stop()?;
        Ok([flags, first, again])
    })?;
    let line = |name: &str, at: usize, target| Line {
        name: name.to_owned(),
        ours: timed(&found[0][at]),
        theirs: Some(timed(&found[1][at])),
        target,
    };
    let within = |time| Target::Reach(Speed::Time(time));
    Ok(vec![
        line("UIDs and flags of 100,000", 0, within(5.0)),
        line("ENVELOPE and BODYSTRUCTURE of 10,000, first time", 1, Target::Nothing),
        line("ENVELOPE and BODYSTRUCTURE of 10,000, from the cache", 2, within(40.0)),
    ])
}

fn flags(ours: &mut Side, theirs: &mut Side) -> io::Result<Vec<Line>> {
    let found = on_both(ours, theirs, |side| {
        TEN_THOUSAND.fill(side)?;
        HUNDRED_THOUSAND.fill(side)?;
        side.start()?;
        let (few, many) = (Some(TEN_THOUSAND.user), Some(HUNDRED_THOUSAND.user));
        let (set, clear) =
            ("STORE 1:* +FLAGS.SILENT (\\Draft)", "STORE 1:* -FLAGS.SILENT (\\Draft)");
        let flag = ["command", set, "--before", clear, "--times", "3", "--operations", "10000"];
        let flag = side.imap(few, &flag)?;
        let mark = "STORE 1:1000 +FLAGS.SILENT (\\Deleted)";
        let expunge =
            ["command", "EXPUNGE", "--before", mark, "--times", "3", "--operations", "1000"];
        let expunge = side.imap(few, &expunge)?;
        let single = side.imap(many, &["store-after-append", "--times", "40"])?;
        side.stop()?;
        Ok([flag, expunge, single])
    })?;
    let line = |name: &str, at: usize, cost: fn(&Figures) -> Cost, target| Line {
        name: name.to_owned(),
        ours: cost(&found[0][at]),
        theirs: Some(cost(&found[1][at])),
        target,
    };
    let soon = Target::Reach(Speed::Time(0.2));
    Ok(vec![
        line("flag change on 10,000, a message", 0, counted, Target::CpuPart(0.5)),
        line("expunge of 1,000, a message", 1, counted, Target::CpuPart(0.5)),
        line("a single flag change right after an APPEND, at 100,000", 2, timed, soon),
    ])
}

fn deliveries(ours: &mut Side, theirs: &mut Side) -> io::Result<Vec<Line>> {
    let found = on_both(ours, theirs, deliver_all)?;
    let line = |name: &str, at: usize, target| Line {
        name: name.to_owned(),
        ours: counted(&found[0][at]),
        theirs: Some(counted(&found[1][at])),
        target,
    };
    let mut lines = vec![
        line("durable deliveries, 16 connections, 100 users", 0, Target::Times(5.0)),
        line("deliveries into an empty mailbox, 4 connections", 1, Target::Nothing),
        line("deliveries into one of 100,000", 2, Target::As(counted(&found[0][1]))),
    ];
    let bare = [3, 4, 5].map(|at| &found[0][at]);
    for bare in bare {
        let name = format!("bare durable creates on that disk, {} at a time", bare.of("threads"));
        lines.push(alone(&name, bare));
    }
    let name = "durable deliveries, of the bare creates 16 at a time".to_owned();
    lines.push(of_bare(name, &found[0][0], bare[2], Target::Nothing));
    Ok(lines)
}

/// To the crowd, into an empty mailbox, into one of 100,000 that a client has opened before; and,
/// right after the first, what the disk allows 1, 8 and 16 at a time.
fn deliver_all(side: &mut Side) -> io::Result<[Figures; 6]> {
    side.start()?;
    // What a start costs is not what a delivery costs.
    side.deliver(None, &["--pipelining", "--messages", "400"])?;
    let many = ["--pipelining", "--connections", "16", "--messages", "4000"];
    let crowd = repeated(|| side.deliver(None, &many))?;
    let [one, eight, sixteen] = ["1", "8", "16"].map(|threads| side.durable_creates(threads));
    HUNDRED_THOUSAND.fill(side)?;
    let few = ["--pipelining", "--connections", "4", "--messages", "100"];
    let mailboxes = [EMPTY, HUNDRED_THOUSAND.user];
    for user in mailboxes {
        side.imap(Some(user), &["select", "--times", "1"])?;
    }
    // In turns: what is compared are the two.
    let mut runs = [Vec::new(), Vec::new()];
    for _ in 0..3 {
        for (user, runs) in mailboxes.iter().zip(&mut runs) {
            runs.push(side.deliver(Some(user), &few)?);
        }
    }
    side.stop()?;
    let [empty, full] = runs.map(|runs| Figures::median(&runs));
    Ok([crowd, empty, full, one?, eight?, sixteen?])
}

fn append(ours: &mut Side, theirs: &mut Side) -> io::Result<Vec<Line>> {
    let found = on_both(ours, theirs, |side| {
        side.start()?;
        let append = ["append", "--connections", "8", "--messages", "800"];
        let one = repeated(|| side.imap(Some("appended"), &append))?;
        let spread = [&append[..], &["--spread"]].concat();
        let each = repeated(|| side.imap(None, &spread))?;
        side.stop()?;
        Ok([one, each])
    })?;
    let line = |name: &str, at: usize, target| Line {
        name: name.to_owned(),
        ours: counted(&found[0][at]),
        theirs: Some(counted(&found[1][at])),
        target,
    };
    Ok(vec![
        line("APPEND, 8 connections to one mailbox", 0, Target::Times(4.0)),
        line("APPEND, 8 connections to 8 mailboxes", 1, Target::Times(2.0)),
    ])
}

fn news(ours: &mut Side, theirs: &mut Side) -> io::Result<Vec<Line>> {
    let found = on_both(ours, theirs, |side| {
        side.start()?;
        let figures = side.idle("told", 200)?;
        side.stop()?;
        Ok(figures)
    })?;
    let slowest = |figures: &Figures| Cost { cpu: None, speed: Speed::Time(figures.of("p99_ms")) };
    let line = |name: &str, cost: fn(&Figures) -> Cost| Line {
        name: name.to_owned(),
        ours: cost(&found[0]),
        theirs: Some(cost(&found[1])),
        target: Target::Reach(Speed::Time(10.0)),
    };
    Ok(vec![
        line("from a delivery's 250 to the news in IDLE; CPU of both", timed),
        line("the same, the slowest of a hundred", slowest),
    ])
}

/// Three times; the figures in the middle.
fn repeated(mut run: impl FnMut() -> io::Result<Figures>) -> io::Result<Figures> {
    Ok(Figures::median(&[run()?, run()?, run()?]))
}

/// Runs the same on one side, then on the other.
fn on_both<T>(
    ours: &mut Side,
    theirs: &mut Side,
    mut run: impl FnMut(&mut Side) -> io::Result<T>,
) -> io::Result<[T; 2]> {
    Ok([run(ours)?, run(theirs)?])
}

impl Mailbox {
    fn fill(&self, side: &Side) -> io::Result<()> {
        side.fill(self.user, self.messages, self.how)
    }
}

fn counted(figures: &Figures) -> Cost {
    Cost { cpu: Some(figures.cpu()), speed: Speed::Rate(figures.rate()) }
}

fn timed(figures: &Figures) -> Cost {
    Cost { cpu: Some(figures.cpu()), speed: Speed::Time(figures.time()) }
}

fn thousands(messages: u64) -> String {
    if messages == 1_000_000 { "1,000,000".to_owned() } else { format!("{},000", messages / 1000) }
}
