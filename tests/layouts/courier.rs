//! Mailboxes that Courier served: a client sees the same after we took them over, and others see
//! what we change then.
//!
//! A real Courier gets random histories over IMAP, in several sessions: messages with flags,
//! keywords and dates, copies, expunges, deliveries, folders that come, go and get other names,
//! subscriptions. Then we serve the same Maildir, then Dovecot, then Courier again.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use mail_tests::chat::Connection as _;
use mail_tests::client::Client;
use mail_tests::courier::Courier;
use mail_tests::dovecot::{Dovecot, give};
use mail_tests::reference::Unpacked;
use mail_tests::site::Site;
use mail_tests::suite::Suite;
use mail_tests::view::View;

/// Courier has UTF-8 in the names of directories since version 1.0 (Courier-IMAP 5.0).
const OURS: [&str; 3] =
    ["mail.names = \"utf-8\"", "mail.separator = \".\"", "mail.prefix = \"INBOX.\""];

const SETTINGS: &str = "\
mail_location = maildir:{site}/mail/%d/%n:UTF-8
namespace inbox {
  inbox = yes
  separator = .
  prefix = INBOX.
}
";

#[test]
fn what_courier_served_we_serve_and_others_after_us() {
    handed_over(1);
}

#[test]
fn another_history_of_courier() {
    handed_over(2);
}

/// From Courier to us, and on to Courier and Dovecot.
fn handed_over(seed: u64) {
    let unpacked = Unpacked::find().unwrap_or_else(|why| panic!("the original is needed: {why}"));
    let site = Site::new(&OURS.map(str::to_owned));
    let maildir = site.maildir("ann");
    for name in ["cur", "new", "tmp"] {
        fs::create_dir_all(maildir.join(name)).expect("the site has room");
    }
    let mut history = History::new(seed, maildir.clone());
    history.begin(&mut Session::courier(&unpacked, &site, &maildir));
    for _ in 0..2 {
        history.go_on(&mut Session::courier(&unpacked, &site, &maildir), 40);
    }
    let before = seen(&mut Session::courier(&unpacked, &site, &maildir));
    assert!(is_rich(&before), "{before:#?}");

    let mut suite = Suite::of(site, &["imapd"]);
    let taken = seen(&mut Session::ours(&suite));
    assert_eq!(before.difference(&taken), "", "{:#?}", history.steps);
    for _ in 0..2 {
        history.go_on(&mut Session::ours(&suite), 40);
    }
    let ours = seen(&mut Session::ours(&suite));
    assert_ne!(ours, taken, "nothing was changed");
    suite.stop("imapd");

    let again = seen(&mut Session::courier(&unpacked, &suite.site, &maildir));
    let files = without_what_courier_keeps(&ours);
    let difference = files.difference(&without_what_courier_keeps(&again));
    assert_eq!(difference, "", "Courier: {:#?}", history.steps);

    give(&suite.site.path("mail")).expect("root may");
    let dovecot = Dovecot::start(&unpacked, &suite.site, SETTINGS);
    let theirs = seen(&mut Session::dovecot(&dovecot, &suite.site));
    assert_eq!(ours.difference(&theirs), "", "Dovecot: {:#?}", history.steps);
}

/// A session in which the user's mailboxes can be named.
struct Session {
    client: Client,
    courier: Option<Courier>,
}

impl Session {
    fn courier(unpacked: &Unpacked, site: &Site, maildir: &Path) -> Self {
        let (courier, client) = Courier::start(unpacked, site, maildir)
            .unwrap_or_else(|error| panic!("cargo xtask peers fetches Courier: {error}"));
        Self { client, courier: Some(courier) }
    }

    fn ours(suite: &Suite) -> Self {
        Self::logged_in(suite.connect("imap"))
    }

    fn dovecot(dovecot: &Dovecot, site: &Site) -> Self {
        Self::logged_in(Client::tcp(dovecot.imap(), site).expect("it is up"))
    }

    fn logged_in(mut client: Client) -> Self {
        client.until("* OK").expect("a greeting");
        let mut session = Self { client, courier: None };
        session.ok("LOGIN ann@example.org apple");
        session
    }

    /// What is said of a command; the tagged line is the last.
    fn command(&mut self, command: &str) -> Vec<String> {
        let heard = self.client.ask(&format!("x {command}"), "x ");
        heard.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// The same for one that must succeed.
    fn ok(&mut self, command: &str) -> Vec<String> {
        let heard = self.command(command);
        assert!(heard.last().is_some_and(|last| last.starts_with("x OK")), "{command}: {heard:?}");
        heard
    }

    fn append(&mut self, command: &str, letter: &str) {
        let told = format!("x {command} {{{}}}", letter.len());
        self.client.ask(&told, "+ ").unwrap_or_else(|error| panic!("{command}: {error}"));
        let heard = self.client.ask(letter, "x ").expect("an answer");
        assert!(heard.last().is_some_and(|last| last.starts_with("x OK")), "{command}: {heard:?}");
    }

    /// All mailboxes.
    fn names(&mut self) -> BTreeSet<String> {
        let lines = self.ok("LIST \"\" \"*\"");
        let selectable = lines.iter().filter(|line| !is_unselectable(line));
        selectable.filter_map(|line| named(line)).collect()
    }

    /// What is subscribed; Courier names what is above it too.
    fn subscribed(&mut self) -> BTreeSet<String> {
        let lines = self.ok("LSUB \"\" \"*\"");
        let of_courier = self.courier.is_some();
        let named = lines.iter().filter(|line| !of_courier || !is_unselectable(line));
        let mut names: BTreeSet<String> = named.filter_map(|line| self::named(line)).collect();
        // We show it as subscribed always.
        names.remove("INBOX");
        names
    }
}

fn is_unselectable(line: &str) -> bool {
    line.to_lowercase().contains("\\noselect")
}

/// The name in a LIST or LSUB response.
fn named(line: &str) -> Option<String> {
    Some(line.rsplit_once("\".\" ")?.1.trim_matches('"').to_owned())
}

/// What was asked for is done, and what Courier is yet to write is written.
impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.client.ask("x LOGOUT", "x ");
        let _ = self.client.hang_up();
    }
}

/// What a client sees of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mailbox {
    /// UIDVALIDITY and UIDNEXT.
    numbers: (u32, u32),
    messages: Vec<Message>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Message {
    uid: u32,
    /// Which letter it is.
    subject: String,
    flags: BTreeSet<String>,
    date: String,
    size: u32,
}

fn seen(session: &mut Session) -> View<Mailbox> {
    let (names, subscribed) = (session.names(), session.subscribed());
    let mailboxes =
        names.into_iter().map(|name| (name.clone(), Mailbox::of(session, &name))).collect();
    View { mailboxes, subscribed }
}

/// As Courier sees what others did: it has UIDs, keywords and subscriptions in files of its own.
fn without_what_courier_keeps(view: &View<Mailbox>) -> View<Mailbox> {
    let mut view = view.clone();
    view.subscribed.clear();
    for mailbox in view.mailboxes.values_mut() {
        mailbox.numbers = (0, 0);
        for message in &mut mailbox.messages {
            message.uid = 0;
            message.flags.retain(|flag| flag.starts_with('\\'));
        }
        mailbox.messages.sort();
    }
    view
}

/// Whether there is some of all that may get lost.
fn is_rich(view: &View<Mailbox>) -> bool {
    let messages = || view.mailboxes.values().flat_map(|mailbox| &mailbox.messages);
    let flagged = |system| {
        messages().filter(|one| one.flags.iter().any(|f| f.starts_with('\\') == system)).count()
    };
    let counts = [messages().count(), flagged(true), flagged(false), view.mailboxes.len()];
    counts.iter().zip([10, 5, 5, 3]).all(|(count, least)| *count >= least)
        && !view.subscribed.is_empty()
}

impl Mailbox {
    fn of(session: &mut Session, name: &str) -> Self {
        // Courier gives UIDs when it is opened.
        let selected = session.ok(&format!("EXAMINE \"{name}\""));
        let mut messages = Vec::new();
        if !selected.iter().any(|line| line == "* 0 EXISTS") {
            let items = "(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (SUBJECT)])";
            let fetched = session.ok(&format!("UID FETCH 1:* {items}"));
            let mut lines = fetched.iter();
            while let Some(line) = lines.next() {
                if line.contains(" FETCH (") {
                    messages.push(Message::of(line, &mut lines));
                }
            }
        }
        session.ok("CLOSE");
        let lines = session.ok(&format!("STATUS \"{name}\" (UIDVALIDITY UIDNEXT)"));
        let line = lines.iter().find(|line| line.starts_with("* STATUS ")).expect("a status");
        Self { numbers: (number(line, "UIDVALIDITY "), number(line, "UIDNEXT ")), messages }
    }
}

impl Message {
    /// The items may come in any order; the literal's lines are those behind the first one.
    fn of<'l>(line: &str, lines: &mut impl Iterator<Item = &'l String>) -> Self {
        let mut text = line.to_owned();
        while !text.ends_with(')') {
            text += "\n";
            text += lines.next().expect("a response has an end");
        }
        let between = |from: &str, to: &str| {
            let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("no {from} in {text}"));
            rest.split(to).next().unwrap_or_default().to_owned()
        };
        let flags = between("FLAGS (", ")");
        let flags = flags.split_whitespace().filter(|flag| *flag != "\\Recent");
        Self {
            uid: number(&text, "UID "),
            subject: between("Subject: ", "\n"),
            flags: flags.map(str::to_owned).collect(),
            date: between("INTERNALDATE \"", "\"").trim_start_matches([' ', '0']).to_owned(),
            size: number(&text, "RFC822.SIZE "),
        }
    }
}

fn number(text: &str, before: &str) -> u32 {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}"));
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

/// What happens to the mailboxes. The same seed makes the same choices.
struct History {
    random: u64,
    letters: u32,
    maildir: PathBuf,
    /// Everything so far, for who has to find out what went wrong.
    steps: Vec<String>,
}

const FOLDERS: [&str; 5] =
    ["INBOX.Sent", "INBOX.Lists", "INBOX.Lists.rust", "INBOX.Entw&APw-rfe", "INBOX.Work"];
const FLAGS: [&str; 5] = ["\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"];
const KEYWORDS: [&str; 6] = ["$Forwarded", "$Junk", "NonJunk", "work", "$label1", "MixedCase"];

impl History {
    fn new(seed: u64, maildir: PathBuf) -> Self {
        Self { random: seed, letters: 0, maildir, steps: Vec::new() }
    }

    fn begin(&mut self, session: &mut Session) {
        for name in FOLDERS {
            self.say(session, &format!("CREATE \"{name}\""));
        }
    }

    fn go_on(&mut self, session: &mut Session, steps: usize) {
        for _ in 0..steps {
            let names: Vec<String> = session.names().into_iter().collect();
            match self.below(20) {
                0..4 => self.folders(session, &names),
                4 => self.subscribe(session, "SUBSCRIBE"),
                5 => self.subscribe(session, "UNSUBSCRIBE"),
                6 => self.subscribe(session, "SUBSCRIBE"),
                7..12 => self.append(session, &names),
                12..14 => self.deliver(),
                _ => self.within(session, &names),
            }
        }
    }

    /// Much of this may be refused.
    fn say(&mut self, session: &mut Session, command: &str) {
        let heard = session.command(command);
        self.steps.push(format!("{command}: {}", heard.last().expect("an answer")));
    }

    /// A folder comes, goes, or gets another name.
    fn folders(&mut self, session: &mut Session, names: &[String]) {
        let (one, other) = (self.one_of(&FOLDERS), self.one_of(&FOLDERS));
        let there = |name: &str| names.iter().any(|known| known == name);
        let alone = |name: &str| !name.starts_with("INBOX.Lists");
        match (there(one), there(other)) {
            (false, _) => self.say(session, &format!("CREATE \"{one}\"")),
            // Courier hangs up halfway where it keeps an ACL for what is below.
            (true, false) if alone(one) && alone(other) => {
                self.say(session, &format!("RENAME \"{one}\" \"{other}\""));
            }
            (true, _) if self.below(4) == 0 => self.say(session, &format!("DELETE \"{one}\"")),
            (true, _) => {}
        }
    }

    fn subscribe(&mut self, session: &mut Session, command: &str) {
        let name = self.one_of(&FOLDERS);
        self.say(session, &format!("{command} \"{name}\""));
    }

    fn append(&mut self, session: &mut Session, names: &[String]) {
        let (name, flags) = (self.one_of(names).clone(), self.flags());
        let date = match self.below(3) {
            0 => String::new(),
            day => format!(" \"{:2}-Feb-2024 10:11:12 +0000\"", day * 7),
        };
        let command = format!("APPEND \"{name}\" ({flags}){date}");
        let letter = self.letter("\r\n");
        session.append(&command, &letter);
        self.steps.push(format!("{command} letter {}", self.letters));
    }

    /// As another program does, without a word to the server.
    fn deliver(&mut self) {
        let letter = self.letter("\n");
        let name = format!("{}.M{}P77.other", 1_770_000_000 + self.letters, self.letters);
        let new = self.maildir.join("new").join(name);
        fs::write(new, letter).expect("the site has room");
        self.steps.push(format!("delivery of letter {}", self.letters));
    }

    /// A few commands with a mailbox selected.
    fn within(&mut self, session: &mut Session, names: &[String]) {
        let name = self.one_of(names).clone();
        self.say(session, &format!("SELECT \"{name}\""));
        for _ in 0..1 + self.below(4) {
            let first = 1 + self.below(9);
            let set = format!("{first}:{}", first + self.below(9));
            match self.below(6) {
                0 => self.say(session, "EXPUNGE"),
                1 => {
                    let target = self.one_of(names).clone();
                    self.say(session, &format!("UID COPY {set} \"{target}\""));
                }
                how => {
                    let sign = ["", "+", "+", "-"][how as usize % 4];
                    let flags = self.flags();
                    self.say(session, &format!("UID STORE {set} {sign}FLAGS ({flags})"));
                }
            }
        }
        // Not CLOSE, which would remove too much.
        session.ok(&format!("EXAMINE \"{name}\""));
        session.ok("CLOSE");
    }

    fn letter(&mut self, end: &str) -> String {
        self.letters += 1;
        let lines = self.below(9) as usize;
        let number = self.letters;
        let body = format!("A line of text.{end}").repeat(lines);
        format!("Subject: letter {number}{end}From: a@example.org{end}{end}{body}")
    }

    fn flags(&mut self) -> String {
        let bits = self.below(1 << 11) & self.below(1 << 11);
        let all = FLAGS.iter().chain(&KEYWORDS).enumerate();
        let chosen = all.filter(|(at, _)| bits & (1 << at) != 0);
        chosen.map(|(_, flag)| *flag).collect::<Vec<_>>().join(" ")
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let at = self.below(all.len() as u64) as usize;
        all.get(at).expect("there are some")
    }

    /// xorshift64*: as random as a history needs.
    fn below(&mut self, limit: u64) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }
}
