//! The chats, played to the real daemons: in clear, and over TLS from the first word.

use std::path::Path;

use mail_tests::chat::{self, Act, Chat, Connection, Protocol, Said, World, play};
use mail_tests::site::Site;
use mail_tests::suite::Suite;
use mail_tests::trouble::{Trouble, can_happen};

/// A suite made for one chat.
struct Real {
    suite: Suite,
    socket: &'static str,
    /// The one that is spoken to.
    daemon: &'static str,
}

impl World for Real {
    fn connect(&mut self) -> Box<dyn Connection> {
        Box::new(self.suite.connect(self.socket))
    }

    fn inbox(
        &mut self,
        user: &str,
        enough: &mut dyn FnMut(&[Vec<u8>]) -> bool,
    ) -> Option<Vec<Vec<u8>>> {
        Some(self.suite.site.inbox_when(user, enough))
    }

    fn befall(&mut self, trouble: &Trouble) {
        trouble.befall(&self.suite.site);
    }

    fn shut_down(&mut self) {
        let status = self.suite.stop(self.daemon);
        assert!(status.success(), "{}: {status}", self.daemon);
    }
}

#[test]
fn smtp() {
    in_clear(Protocol::Smtp);
}

#[test]
fn submission() {
    in_clear(Protocol::Submission);
}

#[test]
fn submission_over_tls() {
    over_tls(Protocol::Submission, "submissions");
}

#[test]
fn inject() {
    in_clear(Protocol::Inject);
}

#[test]
fn lmtp() {
    in_clear(Protocol::Lmtp);
}

#[test]
fn pop3() {
    in_clear(Protocol::Pop3);
}

#[test]
fn pop3_over_tls() {
    over_tls(Protocol::Pop3, "pop3s");
}

#[test]
fn imap() {
    in_clear(Protocol::Imap);
}

#[test]
fn imap_over_tls() {
    over_tls(Protocol::Imap, "imaps");
}

fn in_clear(protocol: Protocol) {
    let socket = match protocol {
        Protocol::Smtp => "mx",
        other => other.folder(),
    };
    play_all(protocol, socket, |chat| Some(chat.clone()));
}

fn over_tls(protocol: Protocol, socket: &'static str) {
    play_all(protocol, socket, tls_holds_already);
}

fn play_all(protocol: Protocol, socket: &'static str, change: fn(&Chat) -> Option<Chat>) {
    let mut played = 0;
    let mut failures = Vec::new();
    for path in protocol.chats() {
        let chat = Chat::read(&path).unwrap_or_else(|mistake| panic!("{mistake}"));
        let Some(chat) = change(&chat) else { continue };
        if !can_happen(&chat, &path) {
            continue;
        }
        played += 1;
        if let Err(failure) = play_one(&path, &chat, protocol, socket) {
            failures.push(failure);
        }
    }
    assert!(played > 0, "no chats in tests/chats/{}", protocol.folder());
    assert!(failures.is_empty(), "{} of {played} failed\n{}", failures.len(), failures.join("\n"));
}

fn play_one(
    path: &Path,
    chat: &Chat,
    protocol: Protocol,
    socket: &'static str,
) -> Result<(), String> {
    let daemon = match protocol {
        Protocol::Smtp | Protocol::Submission | Protocol::Inject => "mtad",
        Protocol::Lmtp => "lmtp-deliverd",
        Protocol::Pop3 => "pop3d",
        Protocol::Imap => "imapd",
    };
    let daemons = if daemon == "mtad" { vec!["lmtp-deliverd", daemon] } else { vec![daemon] };
    if let Err(mistakes) = Site::new(&chat.heading.config).try_config() {
        return Err(format!("--- {}: {mistakes}", path.display()));
    }
    let mut world = Real { suite: Suite::of(Site::of(&chat.heading), &daemons), socket, daemon };
    let came = play(chat, protocol, &mut world);
    let expected = chat.until_time_passes();
    if came == expected {
        return Ok(());
    }
    let name = path.strip_prefix(chat::folder()).unwrap_or(path).display();
    let logs = world.suite.logs();
    Err(format!("--- {name}, as written\n{expected}--- as it came\n{came}--- logs\n{logs}"))
}

/// The same chat where TLS came first: what offers TLS is not said. `None` where the chat is
/// about what is different then.
fn tls_holds_already(chat: &Chat) -> Option<Chat> {
    let about_tls = chat.heading.without_tls
        || chat.heading.config.iter().any(|line| line.contains("cleartext"))
        || chat.acts.iter().any(|act| match act {
            Act::Tls(_) => true,
            Act::Say { said, .. } => said.iter().any(|said| match said {
                Said::Line(line) => line.contains("STARTTLS") || line.contains("STLS"),
                Said::Mail(_) => false,
            }),
            _ => false,
        });
    if about_tls {
        return None;
    }
    let mut text = String::from("# The same over TLS.\n");
    if chat.heading.small_disk {
        text += "disk: small\n";
    }
    text.push('\n');
    for line in chat.body.lines().filter(|line| !is_offer(line)) {
        let heard = line.starts_with('S');
        text += &if heard { line.replace(" STARTTLS", "") } else { line.to_owned() };
        text.push('\n');
    }
    let same = Chat::parse(&text).expect("was a chat before");
    Some(Chat { heading: chat.heading.clone(), ..same })
}

/// A line that does nothing but offer TLS.
fn is_offer(line: &str) -> bool {
    let said = line.split_once(": ").filter(|_| line.starts_with('S')).map(|(_, said)| said);
    matches!(said, Some("250-STARTTLS" | "STLS"))
}
