//! SMTP and LMTP: how fast messages are taken.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use tokio::task::JoinSet;

use crate::meter::Meter;
use crate::report::Report;
use crate::target::{Address, Target, User};
use crate::wire::Wire;

/// How often to look whether all have arrived: reading the directories costs a little.
const OFTEN: Duration = Duration::from_millis(100);

/// How every message ends.
const END: &[u8] = b"\r\n.\r\n";

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// One reply to a message.
    Smtp,
    /// A reply for each recipient.
    Lmtp,
}

/// How to send.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Connections at a time
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Messages in all
    #[arg(long, default_value_t = 1000)]
    messages: u64,
    /// Octets of a message
    #[arg(long, default_value_t = 4096)]
    size: usize,
    /// Recipients of a message, taken from the users in turn
    #[arg(long, default_value_t = 1)]
    recipients: usize,
    /// What comes between two messages
    #[arg(long, value_enum, default_value_t = Between::Nothing)]
    between: Between,
    /// Send MAIL, RCPT and DATA at once
    #[arg(long)]
    pipelining: bool,
    /// The clock runs until all are in Maildirs below this directory
    #[arg(long)]
    until_in: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Between {
    /// The next MAIL
    Nothing,
    /// RSET
    Rset,
    /// QUIT and a new connection
    Connection,
}

/// What all connections share.
struct Job {
    target: Target,
    users: Vec<User>,
    options: Options,
    dialect: Dialect,
    /// Octets behind the header, with the final dot.
    body: Vec<u8>,
    next: Cell<u64>,
    times: RefCell<Vec<Duration>>,
}

/// Sends them all.
pub(crate) async fn run(target: &Target, options: &Options, dialect: Dialect) -> io::Result<()> {
    let job = Rc::new(Job {
        target: target.clone(),
        users: target.users()?,
        options: options.clone(),
        dialect,
        body: body(options.size),
        next: Cell::new(0),
        times: RefCell::default(),
    });
    let before = options.until_in.as_deref().map_or(0, messages_below);
    let meter = Meter::start(&target.pids);
    let mut lanes = JoinSet::new();
    for _ in 0..options.connections {
        lanes.spawn_local(lane(Rc::clone(&job)));
    }
    while let Some(lane) = lanes.join_next().await {
        lane.map_err(io::Error::other)??;
    }
    let copies = options.messages * options.recipients as u64;
    if let Some(top) = &options.until_in {
        while messages_below(top) < before + copies {
            tokio::time::sleep(OFTEN).await;
        }
    }
    let spent = meter.stop();
    let name = if dialect == Dialect::Lmtp { "lmtp" } else { "smtp" };
    let report = Report::new(name, options.messages, spent, job.times.take());
    report.with("copies", copies as f64).print();
    Ok(())
}

/// Messages that nobody has seen yet, in the Maildirs below a directory.
fn messages_below(top: &Path) -> u64 {
    let homes = fs::read_dir(top).into_iter().flatten().flatten();
    let count = |new: PathBuf| fs::read_dir(new).into_iter().flatten().count() as u64;
    homes.map(|home| count(home.path().join("new"))).sum()
}

/// One connection after the other until all messages are sent.
async fn lane(job: Rc<Job>) -> io::Result<()> {
    while job.next.get() < job.options.messages {
        let mut peer = Peer::hello(&job.target.to, job.dialect).await?;
        peer.pipelining = job.options.pipelining;
        while let Some(number) = job.take() {
            let recipients = job.recipients(number);
            let begun = Instant::now();
            peer.transaction(&recipients, number, &job.body).await?;
            job.times.borrow_mut().push(begun.elapsed());
            match job.options.between {
                Between::Nothing => {}
                Between::Rset => peer.ask(b"RSET\r\n", 1, b'2').await?,
                Between::Connection => break,
            }
        }
        peer.ask(b"QUIT\r\n", 1, b'2').await?;
    }
    Ok(())
}

impl Job {
    /// The number of the next message.
    fn take(&self) -> Option<u64> {
        let number = self.next.get();
        self.next.set(number + 1);
        (number < self.options.messages).then_some(number)
    }

    fn recipients(&self, number: u64) -> Vec<&str> {
        let first = number as usize * self.options.recipients;
        let nth = |at: usize| self.users[(first + at) % self.users.len()].address.as_str();
        (0..self.options.recipients).map(nth).collect()
    }
}

/// The server, greeted.
pub(crate) struct Peer {
    wire: Wire,
    dialect: Dialect,
    pipelining: bool,
    /// Used again for every message.
    out: Vec<u8>,
}

impl Peer {
    pub(crate) async fn hello(to: &Address, dialect: Dialect) -> io::Result<Self> {
        let wire = Wire::connect(to).await?;
        let mut peer = Self { wire, dialect, pipelining: false, out: Vec::new() };
        peer.replies(1, b'2').await?;
        let word = if dialect == Dialect::Lmtp { "LHLO" } else { "EHLO" };
        peer.ask(format!("{word} client.example.net\r\n").as_bytes(), 1, b'2').await?;
        Ok(peer)
    }

    /// Sends a message to its end. Its header takes the place of the beginning of `body`.
    pub(crate) async fn transaction(
        &mut self,
        recipients: &[&str],
        number: u64,
        body: &[u8],
    ) -> io::Result<()> {
        self.envelope(recipients).await?;
        let header = format!(
            "From: <sender@sender.example>\r\nTo: <{}>\r\nSubject: message {number}\r\n\
             Message-ID: <{number}@sender.example>\r\n\
             Date: Mon, 01 Jan 2024 00:00:00 +0000\r\n\r\n",
            recipients.first().copied().unwrap_or_default()
        );
        self.out.clear();
        self.out.extend_from_slice(header.as_bytes());
        self.out.extend_from_slice(&body[header.len().min(body.len() - END.len())..]);
        self.wire.send(&self.out).await?;
        let replies = if self.dialect == Dialect::Lmtp { recipients.len() } else { 1 };
        self.replies(replies, b'2').await
    }

    async fn envelope(&mut self, recipients: &[&str]) -> io::Result<()> {
        let mut commands = vec!["MAIL FROM:<sender@sender.example>\r\n".to_owned()];
        commands.extend(recipients.iter().map(|address| format!("RCPT TO:<{address}>\r\n")));
        if self.pipelining {
            self.wire.send((commands.concat() + "DATA\r\n").as_bytes()).await?;
            self.replies(commands.len(), b'2').await?;
            return self.replies(1, b'3').await;
        }
        for command in commands {
            self.ask(command.as_bytes(), 1, b'2').await?;
        }
        self.ask(b"DATA\r\n", 1, b'3').await
    }

    async fn ask(&mut self, octets: &[u8], replies: usize, class: u8) -> io::Result<()> {
        self.wire.send(octets).await?;
        self.replies(replies, class).await
    }

    /// Hears so many replies, all of this class.
    async fn replies(&mut self, count: usize, class: u8) -> io::Result<()> {
        let mut heard = 0;
        while heard < count {
            let line = self.wire.line().await?;
            if line.first() != Some(&class) {
                let said = String::from_utf8_lossy(line).into_owned();
                return Err(io::Error::other(format!("the server said {said:?}")));
            }
            heard += usize::from(line.get(3) != Some(&b'-'));
        }
        Ok(())
    }
}

/// A message of that size, header and all, of which the beginning gives way to the real header;
/// it ends with the dot.
pub(crate) fn body(size: usize) -> Vec<u8> {
    const LINE: &[u8] = b"Somebody sits at a window and writes to a friend of the long summer.\r\n";
    let mut body: Vec<u8> = LINE.iter().copied().cycle().take(size.saturating_sub(2)).collect();
    body.extend_from_slice(END);
    body
}
