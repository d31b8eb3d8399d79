//! What we read of Dovecot's index is what Dovecot itself says over IMAP.
//!
//! A real Dovecot gets random histories over IMAP; at many points the mailbox is looked at over
//! IMAP, and its index and log are read by us.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use mail_common::disk::Dir;
use mail_common::maildir::import::{self, Imported};
use mail_common::maildir::{Directory, Store};
use mail_proto::mailbox::{Entry, Flags};
use mail_tests::client::Client;
use mail_tests::dovecot::{Dovecot, MAIL};
use mail_tests::reference::Unpacked;
use mail_tests::site::Site;

const SETTINGS: &str = "\
mail_location = maildir:{site}/mail/%d/%n
namespace inbox {
  inbox = yes
  separator = /
}
";

/// A new log as often as Dovecot lets us have one, and an index that is written often.
const OFTEN: &str = "\
mail_index_log_rotate_min_size = 4k
mail_index_log_rotate_min_age = 1s
mail_index_log_rotate_max_size = 8k
mail_index_rewrite_min_log_bytes = 1k
mail_index_rewrite_max_log_bytes = 4k
";

#[test]
fn the_index_says_what_imap_says() {
    let Some(unpacked) = unpacked() else { return };
    for (seed, settings) in [(1, ""), (2, OFTEN), (3, OFTEN)] {
        let dovecot = Original::start(&unpacked, settings);
        let (mut chance, mut indexes, mut longer) = (Chance(seed), Vec::new(), 0);
        for round in 0..12 {
            let mut session = Session::select(&dovecot);
            for _ in 0..chance.below(60) {
                step(&mut session, &mut chance);
            }
            drop(session);
            let told = Session::select(&dovecot).view();
            let read = read(&dovecot).view();
            assert_eq!(read, told, "seed {seed}, round {round}");
            indexes.push(fs::read(dovecot.mailbox().join("dovecot.index")).ok());
            longer += longer_ways(&dovecot, &indexes, &told);
        }
        assert!(longer > 12, "{longer}: the logs were hardly read");
    }
}

#[test]
fn flags_that_no_file_has_are_known_as_such() {
    let Some(unpacked) = unpacked() else { return };
    let dovecot = Original::start(&unpacked, "");
    let mut session = Session::select(&dovecot);
    for _ in 0..4 {
        session.append("");
    }
    session.command("NOOP");
    session.command("UID STORE 1 +FLAGS (\\Answered)");
    drop(session);
    let cur = dovecot.mailbox().join("cur");
    own(&cur, 0, 0o555);
    let mut session = Session::select(&dovecot);
    session.command("UID STORE 2,3 +FLAGS (\\Flagged early)");
    session.command("UID STORE 3 -FLAGS (early)");
    drop(session);
    let read = read(&dovecot);
    let dirty: Vec<u32> = read.messages.iter().filter(|m| m.dirty).map(|m| m.uid).collect();
    assert_eq!(dirty, [2, 3], "{:?}", names(&cur));
    assert!(names(&cur).iter().all(|name| !name.ends_with('F')), "no file has heard of it");
    assert_eq!(read.view(), Session::select(&dovecot).view());
    own(&cur, MAIL, 0o700);
}

#[test]
fn forty_keywords_come_over() {
    let Some(unpacked) = unpacked() else { return };
    let dovecot = Original::start(&unpacked, OFTEN);
    let mut session = Session::select(&dovecot);
    for _ in 0..3 {
        session.append("");
    }
    for number in 0..40 {
        session.command(&format!("UID STORE 1:{} +FLAGS (k{number})", 1 + number % 3));
    }
    drop(session);
    let read = read(&dovecot);
    assert_eq!(read.keywords.len(), 40);
    assert_eq!(read.keywords_of(0).count(), 40);
    assert_eq!(read.keywords_of(2).count(), 13);
    assert_eq!(read.view(), Session::select(&dovecot).view());
    let letters = fs::read_to_string(dovecot.mailbox().join("dovecot-keywords"));
    assert_eq!(letters.expect("letters").lines().count(), 26, "the others are in the index alone");
}

#[test]
fn a_mailbox_that_we_take_over_is_as_it_was() {
    let Some(unpacked) = unpacked() else { return };
    let original = Original::start(&unpacked, OFTEN);
    let mut session = Session::select(&original);
    for _ in 0..4 {
        session.append("\\Seen");
    }
    for number in 0..40 {
        session.command(&format!("UID STORE 1:{} +FLAGS (k{number})", 1 + number % 3));
    }
    drop(session);
    let cur = original.mailbox().join("cur");
    own(&cur, 0, 0o555);
    let mut session = Session::select(&original);
    session.command("UID STORE 2,3 +FLAGS (\\Flagged late)");
    session.command("UID STORE 3 -FLAGS (\\Seen k0)");
    drop(session);
    let told = Session::select(&original).view();
    own(&cur, MAIL, 0o700);
    let Original { dovecot, site } = original;
    drop(dovecot);

    let mailbox = || {
        let directory = Directory::open(&site.user("ann"), &site.config().mail).expect("mailboxes");
        directory.mailbox("INBOX").expect("the mailbox")
    };
    let ours = ours(&mailbox());
    assert_eq!((ours.uid_validity, ours.next_uid), (told.uid_validity, told.next_uid));
    assert!(ours.highest_modseq > told.highest_modseq);
    assert_eq!(ours.flags(), told.flags());
    for file in ["posthorn.index", "posthorn.log"] {
        fs::remove_file(site.maildir("ann").join(file)).expect("an index");
    }
    assert_eq!(self::ours(&mailbox()).flags(), told.flags(), "made anew from the files alone");
}

/// A mailbox of ours as Dovecot would say it.
fn ours(store: &Store) -> View {
    let snapshot = store.sync().expect("a mailbox");
    let message = |entry: Entry| {
        let (system, keywords) = (entry.flags.system, entry.flags.keywords);
        let system = Flags::NAMES.iter().filter(|(bit, _)| system & bit != 0);
        let named = snapshot.keywords.iter().enumerate();
        let named = named.filter(|(bit, _)| keywords >> bit & 1 != 0).map(|(_, name)| name.clone());
        let mut flags: Vec<String> =
            system.map(|(_, name)| (*name).to_owned()).chain(named).collect();
        flags.sort();
        (entry.uid, flags, 0)
    };
    View {
        uid_validity: snapshot.uid_validity,
        next_uid: snapshot.uid_next,
        highest_modseq: snapshot.modseq,
        messages: snapshot.messages.iter().map(message).collect(),
    }
}

/// The same again from indexes that were there before, as far as the logs still say all that
/// happened since; how many there were.
fn longer_ways(dovecot: &Original, indexes: &[Option<Vec<u8>>], told: &View) -> usize {
    let file = |name| fs::read(dovecot.mailbox().join(name));
    let (log, older) = (file("dovecot.index.log").expect("a log"), file("dovecot.index.log.2"));
    let older = older.ok();
    let ways =
        indexes.iter().map(|index| import::imported(index.as_deref(), &log, older.as_deref()));
    let ways: Vec<Imported> = ways.flatten().collect();
    for (number, way) in ways.iter().enumerate() {
        assert_eq!(way.view(), *told, "way {number}");
    }
    ways.len()
}

/// A mailbox as both say it.
#[derive(Debug, PartialEq, Eq)]
struct View {
    uid_validity: u32,
    next_uid: u32,
    highest_modseq: u64,
    /// UID, flags in order, modseq.
    messages: Vec<(u32, Vec<String>, u64)>,
}

impl View {
    /// UIDs and flags.
    fn flags(&self) -> Vec<(u32, &[String])> {
        self.messages.iter().map(|(uid, flags, _)| (*uid, flags.as_slice())).collect()
    }
}

trait Viewed {
    fn view(&self) -> View;
}

impl Viewed for Imported {
    fn view(&self) -> View {
        let message = |(position, message): (usize, &import::Message)| {
            let system = Flags::NAMES.iter().filter(|(bit, _)| message.system & bit != 0);
            let system = system.map(|(_, name)| (*name).to_owned());
            let keywords = self.keywords_of(position).map(|number| self.keywords[number].clone());
            let mut flags: Vec<String> = system.chain(keywords).collect();
            flags.sort();
            (message.uid, flags, message.modseq)
        };
        View {
            uid_validity: self.uid_validity,
            next_uid: self.next_uid,
            highest_modseq: self.highest_modseq,
            messages: self.messages.iter().enumerate().map(message).collect(),
        }
    }
}

/// Dovecot with a site of its own.
struct Original {
    /// Before the site, whose files it has open.
    dovecot: Dovecot,
    site: Site,
}

impl Original {
    fn start(unpacked: &Unpacked, more: &str) -> Self {
        let site = Site::new(&[]);
        let dovecot = Dovecot::start(unpacked, &site, &format!("{SETTINGS}{more}"));
        Self { dovecot, site }
    }

    /// The Maildir of ann.
    fn mailbox(&self) -> PathBuf {
        self.site.maildir("ann")
    }
}

/// A session with the mailbox of ann selected.
struct Session {
    client: Client,
    selected: Vec<String>,
}

impl Session {
    fn select(dovecot: &Original) -> Self {
        let mut client = Client::tcp(dovecot.dovecot.imap(), &dovecot.site).expect("a connection");
        client.until("* OK").expect("a greeting");
        let mut session = Self { client, selected: Vec::new() };
        session.command("LOGIN ann@example.org apple");
        session.selected = session.command("SELECT INBOX (CONDSTORE)");
        session
    }

    /// Says a command that must be done; returns what was said of it.
    fn command(&mut self, command: &str) -> Vec<String> {
        let heard = self.client.ask(&format!("x {command}"), "x ").expect("an answer");
        assert!(heard.last().is_some_and(|last| last.starts_with("x OK")), "{command}: {heard:?}");
        heard
    }

    fn append(&mut self, flags: &str) {
        let message = "Subject: hello\r\n\r\nhello\r\n";
        let command = format!("x APPEND INBOX ({flags}) {{{}}}", message.len());
        self.client.ask(&command, "+ ").expect("a go-ahead");
        let heard = self.client.ask(message, "x ").expect("an answer");
        assert!(heard.last().is_some_and(|last| last.starts_with("x OK")), "{heard:?}");
    }

    fn code(&self, code: &str) -> u64 {
        let line = self.selected.iter().find_map(|line| line.split_once(&format!("[{code} ")));
        let value = line.and_then(|(_, rest)| rest.split([']', ' ']).next());
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {code}"))
    }

    fn view(mut self) -> View {
        let fetched = self.command("UID FETCH 1:* (UID FLAGS MODSEQ)");
        // What was changed by the opening itself counts too.
        let number = |line: &str, before: &str| -> u64 {
            let (_, rest) = line.split_once(before).unwrap_or_else(|| panic!("{line}"));
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
            digits.and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("{line}"))
        };
        let message = |line: &String| {
            let flags = line.split_once("FLAGS (").and_then(|(_, rest)| rest.split(')').next());
            let flags = flags.unwrap_or_else(|| panic!("{line}")).split(' ');
            let flags = flags.filter(|flag| !flag.is_empty() && *flag != "\\Recent");
            let mut flags: Vec<String> = flags.map(str::to_owned).collect();
            flags.sort();
            let uid = u32::try_from(number(line, "(UID ")).expect("32 bits");
            (uid, flags, number(line, "MODSEQ ("))
        };
        let narrow = |code| u32::try_from(self.code(code)).expect("32 bits");
        View {
            uid_validity: narrow("UIDVALIDITY"),
            next_uid: narrow("UIDNEXT"),
            highest_modseq: self.code("HIGHESTMODSEQ"),
            messages: fetched.iter().filter(|l| l.contains(" FETCH ")).map(message).collect(),
        }
    }
}

/// Logs out, so that Dovecot has done all it wanted to do when the next one comes.
impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.client.ask("x LOGOUT", "x ");
    }
}

/// One random thing that a client does.
fn step(session: &mut Session, chance: &mut Chance) {
    let flags = chance.flags();
    let uids = format!("{}:{}", 1 + chance.below(60), 1 + chance.below(60));
    match chance.below(12) {
        0..3 => session.append(&flags),
        3..6 => drop(session.command(&format!("UID STORE {uids} +FLAGS ({flags})"))),
        6..8 => drop(session.command(&format!("UID STORE {uids} -FLAGS.SILENT ({flags})"))),
        8 => drop(session.command(&format!("UID STORE {uids} FLAGS ({flags})"))),
        9 => {
            let uid = 1 + chance.below(60);
            session.command(&format!("UID STORE {uid} +FLAGS (\\Deleted)"));
            session.command("EXPUNGE");
        }
        10 => drop(session.command(&format!("UID COPY {} INBOX", 1 + chance.below(60)))),
        _ => drop(session.command("NOOP")),
    }
}

/// Numbers that look random and are the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn flags(&mut self) -> String {
        let system = ["\\Seen", "\\Answered", "\\Flagged", "\\Draft"];
        let mut flags = Vec::new();
        for _ in 0..1 + self.below(3) {
            flags.push(match self.below(3) {
                0 => system[usize::try_from(self.below(4)).expect("small")].to_owned(),
                _ => format!("k{}", self.below(40)),
            });
        }
        flags.join(" ")
    }
}

fn read(dovecot: &Original) -> Imported {
    let dir = Dir::open(&dovecot.mailbox()).expect("a mailbox");
    let read = import::dovecot(&dir).unwrap_or_else(|error| panic!("{error}"));
    read.expect("an index")
}

fn unpacked() -> Option<Unpacked> {
    let found = Unpacked::find();
    if let Err(why) = &found {
        let _ = writeln!(std::io::stderr(), "SKIPPED: no index of a real Dovecot was read: {why}");
    }
    found.ok()
}

fn own(path: &Path, owner: u32, mode: u32) {
    chown(path, Some(owner), Some(owner)).expect("root's tests");
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("root's tests");
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
