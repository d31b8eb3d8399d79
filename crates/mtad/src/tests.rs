//! From the queue to a peer that follows a script, over real sockets and a real spool.

mod notifications;
mod peers;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mail_common::config::{self, Source};
use mail_common::log::Id;
use mail_common::serve::Backend as _;
use mail_proto::address::ReversePath;
use mail_proto::smtp::{Accepted, Answer, Client, Envelope, Failure, Recipient, Request};
use tempfile::TempDir;
use tokio::io::{
    self, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
    BufReader,
};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::queue::{Letter, Progress, State};
use crate::route::{Route, Trust};

const LETTER: &[u8] = b"Subject: hello\r\n\r\n.dot\r\n";

/// A site with mtad in it; its peers are the test's.
pub(crate) struct Scene {
    directory: TempDir,
    mtad: Arc<Mtad>,
    stop: CancellationToken,
    courier: Option<tokio::task::JoinHandle<Result<(), StartError>>>,
}

impl Scene {
    pub(crate) fn new(more: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path();
        let users = "ann@example.org:{PLAIN}apple\nbob@example.org:{PLAIN}banana\n";
        std::fs::write(path.join("passwd"), users).unwrap();
        std::fs::write(path.join("posthorn.toml"), config_text(path, more)).unwrap();
        let mtad = Self::start(path);
        let stop = CancellationToken::new();
        Self { directory, mtad, stop, courier: None }
    }

    fn start(path: &Path) -> Arc<Mtad> {
        let source = Source { file: path.join("posthorn.toml"), flags: Vec::new() };
        let site = config::load(&source).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        Arc::new(Mtad::start(Arc::new(site)).unwrap())
    }

    /// As after the end of the process: nothing of it is left.
    async fn restart(mut self) -> Self {
        self.stop().await;
        self.again()
    }

    /// A new process, after the end of the one before.
    pub(crate) fn again(self) -> Self {
        let Self { directory, mtad, .. } = self;
        drop(mtad);
        let (mtad, stop) = (Self::start(directory.path()), CancellationToken::new());
        Self { directory, mtad, stop, courier: None }
    }

    fn reload(&self, more: &str) {
        let file = self.directory.path().join("posthorn.toml");
        std::fs::write(&file, config_text(self.directory.path(), more)).unwrap();
        let source = Source { file, flags: Vec::new() };
        self.mtad.reload(Arc::new(config::load(&source).unwrap())).unwrap();
    }

    fn surroundings(&self) -> Surroundings {
        Surroundings {
            tls: None,
            connect_tls: None,
            stop: self.stop.clone(),
            write_patience: Duration::from_secs(5),
        }
    }

    fn run(&mut self) {
        let background = Arc::clone(&self.mtad).background(self.surroundings());
        self.courier = Some(tokio::spawn(background));
    }

    /// A courier that does not run by itself, and has read nothing of what was left.
    pub(crate) fn courier(&self) -> Courier {
        let Beginning { arriving, .. } = lock(&self.mtad.beginning).take().unwrap();
        Courier::new(Arc::clone(&self.mtad), arriving, &self.surroundings())
    }

    async fn stop(&mut self) {
        self.stop.cancel();
        self.courier.take().unwrap().await.unwrap().unwrap();
    }

    pub(crate) fn send(&self, sender: &str, recipients: &[&str]) -> Id {
        self.send_as(sender, recipients, |_| ())
    }

    /// As a peer of ours does it.
    async fn hand_in(&self, sender: &str, recipient: &str) -> Id {
        let (_, mut connection) = self.mtad.session(Role::Mx, None, None, false);
        let recipients = vec![Recipient::new(recipient.parse().unwrap())];
        let sender = ReversePath::from_path(sender).unwrap().0;
        let envelope = Envelope { recipients, ..Envelope::new(sender) };
        connection.perform(Request::Begin { client: Client::default(), envelope }).await;
        let Answer::Committed(outcomes) =
            connection.perform(Request::Commit(LETTER.to_vec())).await
        else {
            panic!("another answer")
        };
        let [Ok(Accepted::Queued(id))] = outcomes.as_slice() else { panic!("{outcomes:?}") };
        Id::parse(id).unwrap()
    }

    /// What an admin's tool does to the queue.
    pub(crate) async fn change(
        &self,
        id: Id,
        change: impl FnOnce(&mut Progress),
        changed: Changed,
    ) {
        let mut progress = self.mtad.queue.entry(id).unwrap().unwrap().progress;
        change(&mut progress);
        self.mtad.queue.record(id, &progress).await.unwrap();
        self.mtad.changes.lock().unwrap().push(changed);
        self.mtad.changed.notify_one();
    }

    pub(crate) async fn until(&self, wanted: impl Fn(&[Entry]) -> bool) {
        for _ in 0..400 {
            if wanted(&self.waiting()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the queue has: {:?}", self.waiting());
    }

    /// A letter of which a test says more.
    fn send_as(&self, sender: &str, recipients: &[&str], more: impl FnOnce(&mut Letter)) -> Id {
        let entry = self.commit(sender, recipients, more);
        let id = entry.id;
        self.mtad.enqueue(entry);
        id
    }

    pub(crate) fn commit(
        &self,
        sender: &str,
        recipients: &[&str],
        more: impl FnOnce(&mut Letter),
    ) -> Entry {
        let recipients = recipients.iter().map(|to| Recipient::new(to.parse().unwrap())).collect();
        let sender = ReversePath::from_path(sender).unwrap().0;
        let now = mail_common::time::now_micros();
        let mut letter = Letter::new(Id::new(), now, sender, recipients);
        more(&mut letter);
        let mut incoming = self.mtad.queue.begin(letter);
        incoming.write(LETTER.to_vec()).unwrap();
        self.mtad.queue.commit_now(incoming.finish().unwrap()).unwrap()
    }

    /// The same behind a TCP port, as a next hop.
    pub(crate) async fn server(script: Script) -> (String, mpsc::UnboundedReceiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (heard, letters) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, script, connection, heard.clone()));
            }
        });
        (address, letters)
    }

    pub(crate) fn deliverd(&self, script: Script) -> mpsc::UnboundedReceiver<String> {
        let listener = UnixListener::bind(self.directory.path().join("lmtp.sock")).unwrap();
        let (heard, letters) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, script, connection, heard.clone()));
            }
        });
        letters
    }

    pub(crate) fn waiting(&self) -> Vec<Entry> {
        let mut ids = Vec::new();
        self.mtad.queue.spool().rows(|row| ids.push(row.id));
        ids.sort_unstable();
        ids.into_iter().filter_map(|id| self.mtad.queue.entry(id).unwrap()).collect()
    }

    pub(crate) async fn until_empty(&self) {
        self.until(<[Entry]>::is_empty).await;
    }
}

fn config_text(path: &Path, more: &str) -> String {
    let path = path.display();
    format!(
        "config_version = 1\n\
         hostname = 'mx.example.org'\n\
         domains.local = ['example.org']\n\
         auth.passwd = '{path}/passwd'\n\
         limits.drain = '5s'\n\
         mtad.spool = '{path}/spool'\n\
         mtad.lmtp = '{path}/lmtp.sock'\n\
         run.directory = '{path}/run'\n\
         {more}\n"
    )
}

/// What the peer does with the connection of this number, counted from 0.
pub(crate) type Script = fn(connection: usize) -> Manner;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Takes everything but for bob.
    NoBob,
    /// Tells senders itself, and takes everything but for bob.
    Notifies,
    /// Hangs up in the middle of the message.
    DropsInData,
    /// Says nothing more once the message has come.
    Silent,
    /// Takes one message, and hangs up as soon as the next begins.
    OneMessage,
    /// Tells when a message begins, and takes it half a second later.
    Slow,
    /// Takes messages in chunks, as lmtp-deliverd does, but for ann, whose mailbox is full.
    FullAnn,
    /// Takes the first message for all but eve, and the others for everybody.
    EveLater,
    /// Is of another build, which knows no XDELIVERID at RCPT; replaced when MAIL comes again.
    OtherBuild,
}

/// An LMTP or SMTP server of few words. What it was given goes to `heard`, envelope first.
async fn serve(
    stream: impl AsyncRead + AsyncWrite,
    script: Script,
    connection: usize,
    heard: mpsc::UnboundedSender<String>,
) {
    let (manner, mut taken) = (script(connection), 0);
    let (mut letter, mut rcpts) = (String::new(), Vec::new());
    // LMTP has a reply to a message for each of its recipients.
    let mut is_lmtp = false;
    let (reader, mut writer) = io::split(stream);
    let mut lines = BufReader::new(reader).lines();
    writer.write_all(b"220 peer\r\n").await.unwrap();
    while let Ok(Some(line)) = lines.next_line().await {
        let verb = line.split([' ', ':']).next().unwrap_or_default();
        let reply = match verb {
            "EHLO" if manner == Manner::FullAnn => "250-peer\r\n250 CHUNKING".to_owned(),
            "LHLO" if manner == Manner::FullAnn => {
                "250-peer\r\n250-CHUNKING\r\n250 XDELIVERID".to_owned()
            }
            "EHLO" if manner == Manner::Notifies => "250-peer\r\n250 DSN".to_owned(),
            "EHLO" => "250-peer\r\n250 PIPELINING".to_owned(),
            "LHLO" => {
                is_lmtp = true;
                "250-peer\r\n250-PIPELINING\r\n250 XDELIVERID".to_owned()
            }
            "MAIL" if manner == Manner::OneMessage && taken > 0 => return,
            "MAIL" if manner == Manner::OtherBuild && !letter.is_empty() => return,
            "MAIL" => {
                // Which message is the oldest depends on when it was looked for.
                let line = line.split(" XOLDEST=").next().unwrap_or_default();
                (letter, rcpts) = (format!("{line}\n"), Vec::new());
                "250 Ok".to_owned()
            }
            "RCPT" if manner == Manner::OtherBuild => "555 5.5.4 Unsupported parameter".to_owned(),
            "RCPT" if line.contains("bob@") => "550 5.1.1 no bob".to_owned(),
            "RCPT" => {
                let _ = writeln!(letter, "{line}");
                rcpts.push(line);
                "250 Ok".to_owned()
            }
            "DATA" if rcpts.is_empty() => "503 no recipients".to_owned(),
            "DATA" => {
                if manner == Manner::Slow {
                    heard.send("DATA".to_owned()).unwrap();
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                writer.write_all(b"354 go\r\n").await.unwrap();
                loop {
                    match lines.next_line().await {
                        Ok(Some(_)) if manner == Manner::DropsInData => return,
                        Ok(Some(line)) if line == "." && manner == Manner::Silent => {
                            return std::future::pending().await;
                        }
                        Ok(Some(line)) if line == "." => break,
                        Ok(Some(line)) => letter.push_str(&(line + "\n")),
                        // Without its final dot it is no message.
                        _ => return,
                    }
                }
                taken += 1;
                heard.send(letter.clone()).unwrap();
                let later =
                    |to: &str| manner == Manner::EveLater && taken == 1 && to.contains("<eve@");
                let replies = rcpts.iter().map(|to| match later(to) {
                    true => "452 4.2.2 later",
                    false => "250 2.0.0 taken",
                });
                let of_it = if is_lmtp { rcpts.len() } else { 1 };
                replies.take(of_it).collect::<Vec<_>>().join("\r\n")
            }
            "BDAT" => {
                let octets = line.split(' ').nth(1).unwrap().parse().unwrap();
                let mut chunk = vec![0; octets];
                lines.get_mut().read_exact(&mut chunk).await.unwrap();
                letter.push_str(std::str::from_utf8(&chunk).unwrap());
                match (line.ends_with(" LAST"), letter.contains("RCPT TO:<ann@")) {
                    (false, _) => "250 Ok".to_owned(),
                    (true, true) => "452 4.2.2 mailbox full".to_owned(),
                    (true, false) => {
                        heard.send(letter.clone()).unwrap();
                        "250 2.0.0 taken".to_owned()
                    }
                }
            }
            _ => "221 bye".to_owned(),
        };
        if writer.write_all(format!("{reply}\r\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

fn expected(sender: &str, id: &Id, number: usize, to: &str) -> String {
    format!(
        "MAIL FROM:{sender}\nRCPT TO:<{to}> XDELIVERID={id}.{number}\n\
         Subject: hello\n\n..dot\n"
    )
}

#[tokio::test]
async fn each_local_recipient_gets_it_once() {
    let mut scene = Scene::new("");
    let mut letters = scene.deliverd(|_| Manner::NoBob);
    scene.run();
    let id = scene.send("<x@example.net>", &["ann@example.org", "eve@example.org"]);
    let expected = format!(
        "MAIL FROM:<x@example.net>\nRCPT TO:<ann@example.org> XDELIVERID={id}.0\n\
         RCPT TO:<eve@example.org> XDELIVERID={id}.1\nSubject: hello\n\n..dot\n"
    );
    assert_eq!(letters.recv().await.unwrap(), expected);
    scene.until_empty().await;
    scene.stop().await;
    assert!(letters.try_recv().is_err());
}

#[tokio::test]
async fn a_mailbox_that_is_full_holds_up_its_own_mail_only() {
    let mut scene = Scene::new("mtad.retry_first = '1s'\nmtad.retry_max = '1s'");
    let mut letters = scene.deliverd(|n| if n == 0 { Manner::EveLater } else { Manner::NoBob });
    scene.run();
    let id = scene.send("<x@example.net>", &["eve@example.org", "ann@example.org"]);
    let first = letters.recv().await.unwrap();
    assert!(first.contains("RCPT TO:<ann@example.org>"), "{first}");
    let is_recorded = |waiting: &[Entry]| match waiting {
        [one] => matches!(one.progress.recipients[..], [State::Waiting(Some(_)), State::Delivered]),
        _ => false,
    };
    scene.until(is_recorded).await;
    let again = letters.recv().await.unwrap();
    assert_eq!(again, expected("<x@example.net>", &id, 0, "eve@example.org"));
    scene.until_empty().await;
    scene.stop().await;
    assert!(letters.try_recv().is_err());
}

#[tokio::test]
async fn more_recipients_than_one_transaction_takes() {
    let mut scene = Scene::new("");
    let mut letters = scene.deliverd(|_| Manner::NoBob);
    scene.run();
    scene.send("<x@example.net>", &["ann@example.org"; 101]);
    let letters = [letters.recv().await.unwrap(), letters.recv().await.unwrap()];
    let mut recipients = letters.map(|letter| letter.matches("RCPT TO:").count());
    recipients.sort_unstable();
    assert_eq!(recipients, [1, 100]);
    scene.until_empty().await;
    scene.stop().await;
}

#[tokio::test]
async fn a_refusal_is_told_to_the_sender_in_one_bounce() {
    let mut scene = Scene::new("");
    let mut letters = scene.deliverd(|_| Manner::NoBob);
    scene.run();
    let to = ["bob@example.org", "ann@example.org", "bob@example.org"];
    let id = scene.send("<ann@example.org>", &to);
    let first = letters.recv().await.unwrap();
    assert_eq!(first, expected("<ann@example.org>", &id, 1, "ann@example.org"));
    let bounce = letters.recv().await.unwrap();
    assert!(bounce.starts_with("MAIL FROM:<>\n"), "{bounce}");
    assert!(bounce.contains("\nRCPT TO:<ann@example.org> XDELIVERID="), "{bounce}");
    assert_eq!(bounce.matches("\nStatus: 5.1.1\n").count(), 2, "{bounce}");
    assert!(bounce.contains("\nSubject: hello\n") && !bounce.contains("dot"), "{bounce}");
    scene.until_empty().await;
    scene.stop().await;
    assert!(letters.try_recv().is_err());
}

#[tokio::test]
async fn a_bounce_is_never_bounced() {
    let mut scene = Scene::new("");
    let mut letters = scene.deliverd(|_| Manner::NoBob);
    scene.run();
    scene.send("<>", &["bob@example.org"]);
    scene.until_empty().await;
    scene.stop().await;
    assert!(letters.try_recv().is_err());
}

#[tokio::test]
async fn deliverd_may_come_later_and_die_in_between() {
    let mut scene = Scene::new("");
    scene.run();
    let id = scene.send("<x@example.net>", &["ann@example.org"]);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut letters =
        scene.deliverd(|n| if n == 0 { Manner::DropsInData } else { Manner::OneMessage });
    let found = letters.recv().await.unwrap();
    assert_eq!(found, expected("<x@example.net>", &id, 0, "ann@example.org"));
    // The connection that is kept turns out to be dead: a new one is tried at once.
    let id = scene.send("<x@example.net>", &["ann@example.org"]);
    let found = tokio::time::timeout(Duration::from_millis(700), letters.recv()).await;
    assert_eq!(found.unwrap().unwrap(), expected("<x@example.net>", &id, 0, "ann@example.org"));
    scene.until_empty().await;
    scene.stop().await;
}

#[tokio::test]
async fn what_waits_survives_a_restart_and_a_reload_tries_it_again() {
    let mut scene = Scene::new("");
    let mut letters = scene.deliverd(|_| Manner::NoBob);
    scene.run();
    let id = scene.send("<x@example.net>", &["y@foreign.example", "ann@example.org"]);
    letters.recv().await.unwrap();
    let reason = "no next hop is configured (mtad.next_hop)";
    let expected = [State::Waiting(Some(reason.to_owned())), State::Delivered];
    while scene.waiting()[0].progress.recipients != expected {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut scene = scene.restart().await;
    scene.run();
    // The courier is there once it has looked at what was left.
    tokio::time::sleep(Duration::from_millis(50)).await;
    scene.reload("mtad.next_hop = '127.0.0.1:1'");
    loop {
        let entry = scene.waiting().pop().unwrap();
        assert_eq!(entry.id, id);
        let first = entry.progress.recipients[0].clone();
        if matches!(first, State::Waiting(Some(why)) if why.contains("connect to 127.0.0.1:1")) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    scene.stop().await;
    assert!(letters.try_recv().is_err(), "ann has it already");
}

#[tokio::test]
async fn each_destination_is_tried_for_itself() {
    let (branch, mut branch_letters) = Scene::server(|_| Manner::NoBob).await;
    let (hop, mut hop_letters) = Scene::server(|_| Manner::NoBob).await;
    let mut scene = Scene::new(&format!(
        "domains.relay = {{ 'branch.example' = {{ next_hop = '{branch}' }}, \
         'gone.example' = {{ next_hop = '127.0.0.1:1' }} }}\n\
         mtad.next_hop = '{hop}'\nmtad.retry_first = '1s'\nmtad.retry_max = '1s'"
    ));
    let mut letters = scene.deliverd(|_| Manner::NoBob);
    scene.run();
    let to = ["ann@example.org", "a@branch.example", "b@gone.example", "c@else.example"];
    scene.send("<x@example.net>", &to);
    let found = [&mut letters, &mut branch_letters, &mut hop_letters];
    for (letters, to) in found.into_iter().zip([to[0], to[1], to[3]]) {
        let letter = letters.recv().await.unwrap();
        assert_eq!(letter.matches("RCPT TO:").count(), 1, "{letter}");
        assert!(letter.contains(&format!("RCPT TO:<{to}>")), "{letter}");
    }
    // One waits, and is tried again and again, and the others have no part in it.
    loop {
        let entry = scene.waiting().pop().unwrap();
        let states = &entry.progress.recipients;
        let others = [0, 1, 3].map(|number| states[number] == State::Delivered);
        let trouble = matches!(&states[2], State::Waiting(Some(why)) if why.contains("connect"));
        if entry.progress.attempts >= 2 && others == [true; 3] && trouble {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    scene.stop().await;
    for letters in [&mut letters, &mut branch_letters, &mut hop_letters] {
        assert!(letters.try_recv().is_err());
    }
}

/// Mail that is on its way does not go to the new next hop as well.
#[tokio::test]
async fn a_reload_makes_no_second_copy() {
    let (slow, mut slow_letters) = Scene::server(|_| Manner::Slow).await;
    let (hop, mut hop_letters) = Scene::server(|_| Manner::NoBob).await;
    let mut scene = Scene::new(&format!("mtad.next_hop = '{slow}'"));
    scene.run();
    scene.send("<x@example.net>", &["a@else.example"]);
    let begun = slow_letters.recv().await.unwrap();
    assert_eq!(begun, "DATA");
    scene.reload(&format!("mtad.next_hop = '{hop}'"));
    scene.send("<x@example.net>", &["b@else.example"]);
    assert!(hop_letters.recv().await.unwrap().contains("RCPT TO:<b@"));
    assert!(slow_letters.recv().await.unwrap().contains("RCPT TO:<a@"));
    scene.until_empty().await;
    scene.stop().await;
    assert!(hop_letters.try_recv().is_err());
}

#[tokio::test]
async fn what_is_too_old_comes_back() {
    let mut scene = Scene::new(
        "mtad.next_hop = '127.0.0.1:1'\nmtad.retry_first = '1s'\nmtad.retry_max = '1s'\n\
         mtad.lifetime = '1s'",
    );
    let mut letters = scene.deliverd(|_| Manner::NoBob);
    scene.run();
    // More than one is tried at once: the destination is dead before the last has its turn.
    let count = 12;
    for _ in 0..count {
        scene.send("<ann@example.org>", &["x@foreign.example"]);
    }
    for _ in 0..count {
        let bounce = letters.recv().await.unwrap();
        assert!(bounce.contains("\nStatus: 4.4.7\n"), "{bounce}");
        assert!(
            bounce.contains("\nDiagnostic-Code: x-posthorn; connect to 127.0.0.1:1"),
            "{bounce}"
        );
    }
    scene.until_empty().await;
    scene.stop().await;
}

#[tokio::test]
async fn held_mail_waits_until_it_is_released() {
    let mut scene = Scene::new("mtad.hold = [{ sender = '*@spam.example' }]");
    let mut letters = scene.deliverd(|_| Manner::NoBob);
    scene.run();
    let id = scene.hand_in("<eve@spam.example>", "ann@example.org").await;
    let other = scene.send("<x@example.net>", &["ann@example.org"]);
    let expected_other = expected("<x@example.net>", &other, 0, "ann@example.org");
    assert_eq!(letters.recv().await.unwrap(), expected_other);
    scene.until(|waiting| waiting.len() == 1).await;
    let mut scene = scene.restart().await;
    scene.run();
    scene.until(|waiting| waiting.len() == 1).await;
    let [entry] = scene.waiting().try_into().unwrap();
    assert_eq!((entry.id, entry.progress.hold.as_deref()), (id, Some("mtad.hold.0")));
    scene.change(id, |progress| progress.hold = None, Changed::Due(id)).await;
    let expected_held = expected("<eve@spam.example>", &id, 0, "ann@example.org");
    let received = letters.recv().await.unwrap();
    let (envelope, letter) = received.split_once("Received: ").unwrap();
    assert!(expected_held.starts_with(envelope), "{received}");
    assert!(letter.ends_with("\nSubject: hello\n\n..dot\n"), "{received}");
    scene.until_empty().await;
    scene.stop().await;
}

#[tokio::test]
async fn what_an_admin_gives_up_goes_back_without_an_attempt() {
    let mut scene = Scene::new("");
    scene.run();
    let id = scene.send("<ann@example.org>", &["bob@example.org"]);
    scene.until(|waiting| waiting.iter().any(|one| one.progress.outages > 0)).await;
    let give_up = |progress: &mut Progress| progress.given_up = Some("wrong address".to_owned());
    scene.change(id, give_up, Changed::Due(id)).await;
    scene.until(|waiting| waiting.len() == 1 && waiting[0].id != id).await;
    let mut letters = scene.deliverd(|_| Manner::NoBob);
    let notification = letters.recv().await.unwrap();
    assert!(notification.contains("wrong address"), "{notification}");
    scene.until_empty().await;
    scene.stop().await;
}

#[tokio::test]
async fn a_damaged_message_is_held_and_never_delivered() {
    for to in ["ann@example.org", "bob@example.org"] {
        held_and_never_delivered(to).await;
    }
}

async fn held_and_never_delivered(to: &str) {
    let mut scene = Scene::new("");
    scene.run();
    let id = scene.send("<x@example.net>", &[to]);
    scene.stop().await;
    // What is still in memory would not be read.
    let segment = scene.directory.path().join("spool/segments/00000000");
    let mut octets = std::fs::read(&segment).unwrap();
    let at = octets.windows(LETTER.len()).position(|window| window == LETTER).unwrap();
    octets[at + 20] ^= 1;
    std::fs::write(&segment, octets).unwrap();
    let mut scene = scene.again();
    let mut letters = scene.deliverd(|_| Manner::NoBob);
    scene.run();
    let damaged =
        |one: &Entry| one.progress.hold.as_deref().is_some_and(|why| why.contains("damaged"));
    scene.until(|waiting| waiting.iter().all(|one| one.id == id && damaged(one))).await;
    scene.stop().await;
    assert!(letters.try_recv().is_err());
}

/// Until all is known nobody may forget what he remembers of deliveries.
#[tokio::test]
async fn a_queue_that_cannot_be_read_ends_the_process_and_loses_nothing() {
    let mut scene = Scene::new("");
    scene.run();
    let old = scene.send("<x@example.net>", &["y@foreign.example"]);
    scene.stop().await;
    let older = scene.directory.path().join("spool/checkpoint.old");
    std::os::unix::fs::symlink("checkpoint.old", &older).unwrap();
    let mut scene = scene.again();
    let new = scene.send("<x@example.net>", &["y@foreign.example"]);
    assert_eq!(scene.mtad.queue.oldest(), None);
    scene.run();
    let ended = scene.courier.take().unwrap().await.unwrap().unwrap_err();
    assert!(ended.what.contains("cannot be read"), "{ended}");
    std::fs::remove_file(&older).unwrap();
    let scene = scene.again();
    assert!(scene.mtad.queue.spool().is_whole());
    assert_eq!(scene.waiting().iter().map(|entry| entry.id).collect::<Vec<_>>(), [old, new]);
    assert_eq!(scene.mtad.queue.oldest(), Some(old));
}

/// Else it would refuse all mail until somebody starts it anew.
#[tokio::test]
async fn a_panic_of_the_queue_ends_the_process() {
    let mut scene = Scene::new("");
    scene.run();
    let old = scene.send("<x@example.net>", &["y@foreign.example"]);
    let progress = scene.waiting().remove(0).progress;
    let spool = scene.mtad.queue.spool();
    spool.record(old, &progress, Box::new(|_| panic!("as the test wants it")));
    let ended = scene.courier.take().unwrap().await.unwrap().unwrap_err();
    assert!(ended.what.contains("the queue broke off"), "{ended}");
    let scene = scene.again();
    assert!(scene.mtad.queue.spool().is_whole());
    assert_eq!(scene.waiting().iter().map(|entry| entry.id).collect::<Vec<_>>(), [old]);
}

#[tokio::test]
async fn what_is_broken_off_by_our_stop_is_not_given_up() {
    let soon = "mtad.retry_first = '1s'\nmtad.retry_max = '1s'\nmtad.lifetime = '1s'";
    let mut scene = Scene::new(soon);
    let _letters = scene.deliverd(|_| Manner::Silent);
    scene.run();
    let id = scene.send("<ann@example.org>", &["ann@example.org"]);
    tokio::time::sleep(Duration::from_millis(300)).await;
    // The transaction is broken off a second later.
    scene.stop().await;
    let [entry] = scene.waiting().try_into().unwrap();
    assert_eq!(entry.id, id);
    assert!(!entry.progress.is_done());
}

#[tokio::test]
async fn what_is_done_with_is_recorded_before_we_stop() {
    let mut scene = Scene::new("");
    let mut letters = scene.deliverd(|_| Manner::NoBob);
    scene.mtad.queue.faults.finishes.store(1, Ordering::SeqCst);
    scene.run();
    scene.send("<x@example.net>", &["ann@example.org"]);
    letters.recv().await.unwrap();
    while scene.mtad.queue.faults.finishes.load(Ordering::SeqCst) > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let scene = scene.restart().await;
    assert!(scene.mtad.queue.spool().is_whole() && scene.waiting().is_empty());
}

#[tokio::test]
async fn routes() {
    use Failure::{BadDomain, NoSuchUser, RelayDenied};
    let branch = "domains.relay = { 'branch' = { next_hop = 'mx.example.com:25' } }";
    let scene = Scene::new(branch);
    let table = [
        ("anybody@branch", Ok(()), Ok(())),
        ("ann@example.org", Ok(()), Ok(())),
        ("ANN+x@Example.ORG", Ok(()), Ok(())),
        ("nobody@example.org", Err(NoSuchUser), Err(NoSuchUser)),
        ("postmaster@example.org", Ok(()), Ok(())),
        ("PostMaster@mx.example.org", Ok(()), Ok(())),
        ("MAILER-DAEMON@mx.example.org", Ok(()), Ok(())),
        ("ann@mx.example.org", Err(RelayDenied), Ok(())),
        ("x@foreign.example", Err(RelayDenied), Ok(())),
        ("x@[192.0.2.1]", Err(RelayDenied), Err(BadDomain)),
        ("root@localhost", Err(RelayDenied), Err(BadDomain)),
    ];
    let routes = scene.mtad.routes();
    for (to, stranger, trusted) in table {
        let to = &to.parse().unwrap();
        assert_eq!(routes.accepts(to, Trust::Stranger).await, stranger, "{to}");
        assert_eq!(routes.accepts(to, Trust::Trusted).await, trusted, "{to}");
    }
}

#[tokio::test]
async fn postmasters() {
    let local = |to: &str| Route::Local(to.parse().unwrap());
    let foreign = |to: &str| Route::Foreign { to: to.parse().unwrap(), next_hop: None };
    let branch = "mtad.next_hop = 'mx.example.org:25'\n\
                  domains.relay = { 'branch.example' = { next_hop = 'mx.example.com:26' } }";
    let relayed = Route::Foreign {
        to: "postmaster@branch.example".parse().unwrap(),
        next_hop: "mx.example.com:26".to_owned().try_into().ok(),
    };
    let table = [
        ("", "postmaster@example.org", Route::NoPostmaster),
        ("mtad.postmaster = 'ann@example.org'", "postmaster@example.org", local("ann@example.org")),
        (
            "mtad.postmaster = 'ann@example.org'",
            "Postmaster@mx.example.org",
            local("ann@example.org"),
        ),
        (
            "mtad.postmaster = 'x@foreign.example'",
            "postmaster@example.org",
            foreign("x@foreign.example"),
        ),
        ("mtad.postmaster = 'nobody@example.org'", "postmaster@example.org", Route::NoPostmaster),
        (
            "mtad.postmaster = 'ann@example.org'",
            "MAILER-DAEMON@mx.example.org",
            local("ann@example.org"),
        ),
        ("", "ann@example.org", local("ann@example.org")),
        (branch, "postmaster@branch.example", relayed),
        ("", "x@foreign.example", foreign("x@foreign.example")),
    ];
    for (more, to, expected) in table {
        let scene = Scene::new(more);
        let found = scene.mtad.routes().find(&to.parse().unwrap()).await.unwrap();
        assert_eq!(found, expected, "{to} with {more:?}");
    }
}
