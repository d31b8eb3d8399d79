//! The chats, played to Postfix and Dovecot: the originals are right until we can say why not.
//!
//! A chat that says nothing of the reference claims that they do the same; one that says
//! `reference: differs, because ...` claims that they do not. Either is checked.
//!
//! `POSTHORN_TEST_CHATS=imap/fetch cargo test -p mail-tests --test reference -- --nocapture` plays
//! those whose names have this in them, and shows what differs.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use mail_tests::chat::{self, Chat, Protocol};
use mail_tests::reference::{Originals, Outcome, SPOKEN, Unpacked, compare};

/// What came of the chats of one protocol.
#[derive(Default)]
struct Row {
    same: usize,
    differ: usize,
    wrong: usize,
    unsteady: usize,
}

#[test]
fn chats_are_as_postfix_and_dovecot_would_have_them() {
    let unpacked = match Unpacked::find() {
        Ok(unpacked) => unpacked,
        Err(why) => {
            say(&format!("SKIPPED: no chat was compared with Postfix and Dovecot: {why}"));
            return;
        }
    };
    let mut table: BTreeMap<&str, Row> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (config, chats) in by_configuration() {
        let mut originals =
            Originals::start(&unpacked, &config).unwrap_or_else(|error| panic!("{error}"));
        for (protocol, path, chat) in chats {
            let row = table.entry(protocol.folder()).or_default();
            match judge(protocol, &path, &chat, &mut originals) {
                Verdict::Same => row.same += 1,
                Verdict::Differs => row.differ += 1,
                // What an original does can depend on when its clock ticks between two commands.
                Verdict::Wrong(why) => match judge(protocol, &path, &chat, &mut originals) {
                    Verdict::Wrong(again) => {
                        row.wrong += 1;
                        wrong.push(format!("{why}\nand at the second attempt\n{again}"));
                    }
                    _ => {
                        row.unsteady += 1;
                        say(&format!("only at the second attempt as claimed:\n{why}"));
                    }
                },
            }
        }
    }
    show(&table);
    assert!(wrong.is_empty(), "{} claims are wrong\n{}", wrong.len(), wrong.join("\n"));
}

type Chats = Vec<(Protocol, PathBuf, Chat)>;

/// The originals are started once for all chats with the same `config:` lines.
fn by_configuration() -> BTreeMap<Vec<String>, Chats> {
    let mut all: BTreeMap<Vec<String>, Chats> = BTreeMap::new();
    let only = only();
    for protocol in SPOKEN {
        for path in protocol.chats() {
            if !name(&path).contains(&only) {
                continue;
            }
            let chat = Chat::read(&path).unwrap_or_else(|mistake| panic!("{mistake}"));
            all.entry(chat.heading.config.clone()).or_default().push((protocol, path, chat));
        }
    }
    all
}

/// What a chat's name must have in it.
fn only() -> String {
    std::env::var("POSTHORN_TEST_CHATS").unwrap_or_default()
}

enum Verdict {
    /// As claimed.
    Same,
    /// As claimed.
    Differs,
    /// Not as claimed.
    Wrong(String),
}

fn judge(protocol: Protocol, path: &Path, chat: &Chat, originals: &mut Originals) -> Verdict {
    let name = name(path);
    let played =
        originals.begin_chat(&chat.heading).and_then(|()| compare(chat, protocol, originals));
    let claims_same = chat.heading.claims_same();
    match played {
        Ok(Outcome::Same) if claims_same => Verdict::Same,
        Ok(Outcome::Differs(conversation)) if !claims_same => {
            if !only().is_empty() {
                println!("--- {name}: differs, as it says\n{conversation}");
            }
            Verdict::Differs
        }
        Ok(Outcome::Same) => {
            Verdict::Wrong(format!("--- {name}: claims to differ and is the same"))
        }
        Ok(Outcome::Differs(conversation)) => {
            Verdict::Wrong(format!("--- {name}: claims to be the same\n{conversation}"))
        }
        Err(error) => Verdict::Wrong(format!("--- {name}: {error}")),
    }
}

fn name(path: &Path) -> String {
    path.strip_prefix(chat::folder()).unwrap_or(path).display().to_string()
}

/// Says it although the test passes: the runner keeps what `println!` says to itself.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

fn show(table: &BTreeMap<&str, Row>) {
    let mut text =
        format!("\n{:12}{:>6}{:>8}{:>7}{:>10}\n", "chats", "same", "differ", "wrong", "unsteady");
    for (protocol, row) in table {
        let Row { same, differ, wrong, unsteady } = row;
        text += &format!("{protocol:12}{same:>6}{differ:>8}{wrong:>7}{unsteady:>10}\n");
    }
    say(&text);
}
