//! Lanes to a peer that counts what it is given before it answers.

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mail_common::pool::Pool;
use mail_common::serve::{Backend as _, Surroundings};
use mail_proto::address::ReversePath;
use mail_proto::smtp::client::{Outcome, Request, Setup, Tls};
use mail_proto::smtp::{Dialect, Recipient};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio_util::sync::CancellationToken;

use super::carrier::Carrier;
use super::*;
use crate::queue::{Queue, letter};

/// How the peer treats a connection.
#[derive(Clone, Copy)]
struct Manner {
    /// It answers as soon as it has heard so many messages that it did not answer.
    gathers: usize,
    /// It hangs up when it is to answer more than so many, or to hear of more.
    answers: usize,
}

const ANSWERS_EACH: Manner = Manner { gathers: 1, answers: usize::MAX };

/// A lane with its peer. What the peer has heard of comes with the number of the connection.
struct Scene {
    _directory: TempDir,
    lane: Arc<Lane>,
    heard: UnboundedReceiver<(usize, String)>,
}

impl Scene {
    fn new(limit: usize, manner: fn(usize) -> Manner) -> Self {
        let directory = TempDir::new().unwrap();
        let (sender, heard) = mpsc::unbounded_channel();
        let path = directory.path().join("lmtp.sock");
        let listener = UnixListener::bind(&path).unwrap();
        tokio::spawn(async move {
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, number, manner(number), sender.clone()));
            }
        });
        let lane = Arc::new(Lane {
            target: Target::Local(path),
            setup: Setup {
                dialect: Dialect::Lmtp,
                hello: "mx.example.org".parse().unwrap(),
                tls: Tls::Never,
                credentials: None,
            },
            attempts: limit,
            queue: Queue::open(&directory.path().join("spool")).unwrap().0,
            disk: Pool::new("disk", NonZeroUsize::new(2).unwrap()),
            surroundings: Surroundings {
                tls: None,
                connect_tls: None,
                stop: CancellationToken::new(),
                write_patience: Duration::from_secs(5),
            },
            stop: CancellationToken::new(),
            traffic: Mutex::new(Traffic::default()),
        });
        Self { _directory: directory, lane, heard }
    }

    /// A message in the queue.
    fn message(&self, octets: usize) -> Id {
        let letter = letter(Id::new(), mail_common::time::now_micros());
        let mut incoming = self.lane.queue.begin(letter);
        let line = [b"x".repeat(70).as_slice(), b"\r\n"].concat();
        for _ in 0..=octets / line.len() {
            incoming.write(line.clone()).unwrap();
        }
        self.lane.queue.commit_now(incoming.finish().unwrap()).unwrap().id
    }

    fn job(id: Id, to: &str) -> (Job, oneshot::Receiver<Done>) {
        let mut envelope = Envelope::new(ReversePath(None));
        envelope.recipients = vec![Recipient {
            delivery_id: Some(format!("{id}.0")),
            ..Recipient::new(format!("{to}@example.org").parse().unwrap())
        }];
        let (done, told) = oneshot::channel();
        (Job { id, message: None, envelope, done, again: false }, told)
    }

    fn deliver(&self, id: Id, to: &str) -> oneshot::Receiver<Done> {
        let (job, told) = Self::job(id, to);
        Lane::deliver(&self.lane, job);
        told
    }

    fn send(&self, to: &str) -> oneshot::Receiver<Done> {
        self.deliver(self.message(10), to)
    }
}

/// Tells `heard` whose messages came to their end. `None`: the connection has ended.
async fn serve(
    mut stream: UnixStream,
    number: usize,
    manner: Manner,
    heard: UnboundedSender<(usize, String)>,
) -> Option<()> {
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::new(reader);
    let (mut replies, mut to) = ("220 peer\r\n".to_owned(), String::new());
    let (mut gathered, mut answered, mut last_answer) = (0, 0, usize::MAX);
    loop {
        if gathered == 0 || gathered >= manner.gathers {
            answered += gathered;
            gathered = 0;
            if answered > manner.answers {
                replies.truncate(last_answer);
                writer.write_all(replies.as_bytes()).await.ok()?;
                return None;
            }
            writer.write_all(std::mem::take(&mut replies).as_bytes()).await.ok()?;
        }
        let mut line = String::new();
        reader.read_line(&mut line).await.ok().filter(|octets| *octets > 0)?;
        match line.split([' ', ':']).next()?.trim_end() {
            "LHLO" => {
                replies
                    .push_str("250-peer\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 XDELIVERID\r\n");
            }
            "MAIL" if answered >= manner.answers => return None,
            "MAIL" => replies.push_str("250 Ok\r\n"),
            "RCPT" => {
                line.split(['<', '@']).nth(1)?.clone_into(&mut to);
                replies.push_str("250 Ok\r\n");
            }
            "BDAT" => {
                let mut chunk = vec![0; line.split_ascii_whitespace().nth(1)?.parse().ok()?];
                reader.read_exact(&mut chunk).await.ok()?;
                let last = line.ends_with("LAST\r\n");
                let _ = write!(replies, "250 2.0.0 {to}\r\n");
                if last {
                    gathered += 1;
                    if answered + gathered == manner.answers {
                        last_answer = replies.len();
                    }
                    heard.send((number, std::mem::take(&mut to))).ok()?;
                }
            }
            _ => return None,
        }
    }
}

/// What became of the one recipient.
async fn fate(told: oneshot::Receiver<Done>) -> String {
    match told.await.unwrap() {
        Done::Reported { report, .. } => match &report.recipients[..] {
            [Outcome::Replied(reply)] => format!("{} {}", reply.code, reply.text),
            [Outcome::Lost(why)] => format!("lost: {why}"),
            all => panic!("{all:?}"),
        },
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn what_comes_later_goes_behind_what_is_not_answered() {
    let mut scene = Scene::new(1, |_| Manner { gathers: 3, ..ANSWERS_EACH });
    let mut told = Vec::new();
    for name in ["ann", "bob", "eve"] {
        told.push(scene.send(name));
        assert_eq!(scene.heard.recv().await.unwrap(), (0, name.to_owned()));
    }
    let mut fates = Vec::new();
    for told in told {
        fates.push(fate(told).await);
    }
    assert_eq!(fates, ["250 2.0.0 ann", "250 2.0.0 bob", "250 2.0.0 eve"]);
}

#[tokio::test]
async fn the_least_busy_of_four_connections_has_the_next() {
    let mut scene = Scene::new(16, |_| Manner { gathers: 3, ..ANSWERS_EACH });
    let (mut told, mut connections) = (Vec::new(), Vec::new());
    for _ in 0..8 {
        told.push(scene.send("ann"));
        connections.push(scene.heard.recv().await.unwrap().0);
    }
    assert_eq!(connections[..4], [0, 1, 2, 3]);
    connections.sort_unstable();
    assert_eq!(connections, [0, 0, 1, 1, 2, 2, 3, 3]);
}

#[tokio::test]
async fn many_at_once_are_each_carried_once() {
    let mut scene = Scene::new(16, |_| ANSWERS_EACH);
    let names: Vec<_> = (0..200).map(|number| format!("u{number}")).collect();
    let id = scene.message(10);
    let big = scene.message(300_000);
    let told: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(number, name)| scene.deliver(if number % 20 == 3 { big } else { id }, name))
        .collect();
    for (told, name) in told.into_iter().zip(&names) {
        assert_eq!(fate(told).await, format!("250 2.0.0 {name}"));
    }
    let mut heard = Vec::new();
    while let Ok((connection, name)) = scene.heard.try_recv() {
        assert!(connection < 4);
        heard.push(name);
    }
    heard.sort_unstable();
    let mut names = names;
    names.sort_unstable();
    assert_eq!(heard, names);
}

#[tokio::test]
async fn what_a_dead_connection_left_unanswered_is_lost() {
    let mut scene = Scene::new(1, |_| Manner { gathers: 4, answers: 2 });
    let mut told = Vec::new();
    for name in ["ann", "bob", "eve", "joe"] {
        told.push(scene.send(name));
        scene.heard.recv().await.unwrap();
    }
    let mut fates = Vec::new();
    for told in told {
        fates.push(fate(told).await);
    }
    assert_eq!(
        fates,
        [
            "250 2.0.0 ann",
            "250 2.0.0 bob",
            "lost: the connection was lost at MAIL FROM",
            "lost: the connection was lost",
        ]
    );
}

#[tokio::test]
async fn who_hangs_up_while_idle_has_said_nothing() {
    let mut scene = Scene::new(1, |number| match number {
        0 => Manner { gathers: 1, answers: 1 },
        _ => Manner { gathers: 2, ..ANSWERS_EACH },
    });
    assert_eq!(fate(scene.send("ann")).await, "250 2.0.0 ann");
    let [bob, eve] = ["bob", "eve"].map(|name| scene.send(name));
    assert_eq!(fate(bob).await, "250 2.0.0 bob");
    assert_eq!(fate(eve).await, "250 2.0.0 eve");
    let mut connections = Vec::new();
    while let Ok((connection, _)) = scene.heard.try_recv() {
        connections.push(connection);
    }
    assert_eq!(connections, [0, 1, 1]);
}

/// As when its session panics while it listens for more.
#[tokio::test]
async fn a_connection_that_broke_off_is_given_nothing() {
    let mut scene = Scene::new(1, |_| Manner { gathers: 3, ..ANSWERS_EACH });
    let (job, _told) = Scene::job(scene.message(10), "joe");
    let mut broken = Carrier::new(Arc::clone(&scene.lane), "peer".to_owned(), job);
    broken.perform(Request::Next { reports: Vec::new(), in_flight: 0 }).await;
    tokio::select! {
        biased;
        _ = broken.news() => panic!("nothing has come"),
        () = std::future::ready(()) => {}
    }
    drop(broken);
    let mut told = Vec::new();
    for name in ["ann", "bob", "eve"] {
        told.push(scene.send(name));
        assert_eq!(scene.heard.recv().await.unwrap(), (0, name.to_owned()));
    }
}

#[tokio::test]
async fn a_message_that_cannot_be_read_harms_no_other() {
    let scene = Scene::new(1, |_| ANSWERS_EACH);
    let ann = scene.send("ann");
    let nobody = scene.deliver(Id::new(), "nobody");
    let bob = scene.send("bob");
    assert_eq!(fate(ann).await, "250 2.0.0 ann");
    assert_eq!(fate(nobody).await, "lost: the message cannot be read");
    assert_eq!(fate(bob).await, "250 2.0.0 bob");
}

#[tokio::test]
async fn a_stop_begins_nothing_and_breaks_off_in_the_end() {
    let mut scene = Scene::new(1, |_| Manner { gathers: 2, ..ANSWERS_EACH });
    let ann = scene.send("ann");
    scene.heard.recv().await.unwrap();
    scene.lane.stop.cancel();
    assert_eq!(fate(scene.send("eve")).await, "Stopping");
    scene.lane.surroundings.stop.cancel();
    let ann = fate(ann).await;
    assert!(ann.starts_with("lost: this server stops at "), "{ann}");
}
