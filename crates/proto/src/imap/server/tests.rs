//! The chats of `tests/chats/imap`, played to the sessions over a mailbox in memory: what the
//! sessions do of their own, whatever lies below them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::super::fetch::{self, ReadError, Reading, Source};
use super::super::{Answer, Append, Appended, Copied, Login, Request, Selected, Status};
use super::*;
use crate::mailbox::{Change, Entry, Flags, Folder, NamedFlags, SpecialUse, Uid};
use crate::message::date::DateTime;
use crate::sasl::Verdict;

#[derive(Default)]
struct Mailbox {
    uid_validity: u32,
    next: Uid,
    recent_from: Uid,
    keywords: Vec<String>,
    messages: Vec<(Entry, Vec<u8>, i64)>,
}

impl Mailbox {
    fn add(&mut self, text: Vec<u8>, flags: &NamedFlags, date: i64) -> Uid {
        let uid = self.next;
        self.next += 1;
        let flags = self.bits(flags);
        // As in a Maildir: what has flags is not in `new`.
        if flags != Flags::default() && self.recent_from == uid {
            self.recent_from = self.next;
        }
        self.messages.push((Entry { uid, flags }, text, date));
        uid
    }

    fn bits(&mut self, flags: &NamedFlags) -> Flags {
        let mut keywords = 0;
        for name in &flags.keywords {
            let known = self.keywords.iter().position(|it| it.eq_ignore_ascii_case(name));
            let bit = known.unwrap_or_else(|| {
                self.keywords.push(name.clone());
                self.keywords.len() - 1
            });
            keywords |= 1 << bit;
        }
        Flags { system: flags.system, keywords }
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::new(Snapshot {
            uid_validity: self.uid_validity,
            uid_next: self.next,
            keywords: self.keywords.clone().into(),
            messages: self.messages.iter().map(|message| message.0).collect(),
        })
    }

    fn text(&self, uid: Uid) -> Result<&(Entry, Vec<u8>, i64), Gone> {
        self.messages.iter().find(|message| message.0.uid == uid).ok_or(Gone)
    }
}

#[derive(Debug)]
struct Gone;

impl Source for &Mailbox {
    type Error = Gone;

    fn size(&mut self, uid: Uid) -> Result<u64, Gone> {
        self.text(uid).map(|message| message.1.len() as u64)
    }

    fn internal_date(&mut self, uid: Uid) -> Result<DateTime, Gone> {
        self.text(uid).map(|message| DateTime { seconds: message.2, zone_minutes: 0 })
    }

    fn read_at(&mut self, uid: Uid, buffer: &mut [u8], offset: u64) -> Result<usize, Gone> {
        let text = &self.text(uid)?.1;
        let rest = text.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn is_gone(_: &Gone) -> bool {
        true
    }

    fn unreadable(&mut self, uid: Uid, _: &ReadError<Gone>) {
        panic!("message {uid} is only gone");
    }
}

/// Ann's mail, and whether the names are subscribed.
struct Mail {
    mailboxes: BTreeMap<String, Mailbox>,
    subscribed: Vec<String>,
    created: u32,
}

const SPECIAL: [(&str, SpecialUse); 5] = [
    ("Archive", SpecialUse::Archive),
    ("Drafts", SpecialUse::Drafts),
    ("Junk", SpecialUse::Junk),
    ("Sent", SpecialUse::Sent),
    ("Trash", SpecialUse::Trash),
];

impl Mail {
    fn new() -> Self {
        let mut mail = Self { mailboxes: BTreeMap::new(), subscribed: Vec::new(), created: 0 };
        for name in ["INBOX"].into_iter().chain(SPECIAL.map(|it| it.0)) {
            mail.create(name).unwrap();
            mail.subscribed.push(name.to_owned());
        }
        mail
    }

    fn create(&mut self, name: &str) -> Result<(), Failure> {
        if name.is_empty() || name.contains("//") || name.starts_with('/') {
            return Err(Failure::Cannot);
        }
        if self.mailboxes.contains_key(name) {
            return Err(Failure::AlreadyExists);
        }
        if let Some((parent, _)) = name.rsplit_once('/')
            && !self.mailboxes.contains_key(parent)
        {
            self.create(parent)?;
        }
        self.created += 1;
        let mailbox = Mailbox {
            uid_validity: 999_000 + self.created,
            next: 1,
            recent_from: 1,
            ..Mailbox::default()
        };
        self.mailboxes.insert(name.to_owned(), mailbox);
        Ok(())
    }

    fn find(&mut self, name: &str) -> Result<&mut Mailbox, Failure> {
        self.mailboxes.get_mut(name).ok_or(Failure::NoSuchMailbox)
    }

    fn delete(&mut self, name: &str) -> Result<(), Failure> {
        if name == "INBOX" {
            return Err(Failure::Cannot);
        }
        self.mailboxes.remove(name).map(drop).ok_or(Failure::NoSuchMailbox)
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), Failure> {
        self.find(from)?;
        self.create(to)?;
        let below: Vec<String> = self
            .mailboxes
            .keys()
            .filter(|name| name.strip_prefix(from).is_some_and(|rest| rest.starts_with('/')))
            .cloned()
            .collect();
        if from == "INBOX" {
            let moved = std::mem::take(&mut self.find(from)?.messages);
            for (_, text, date) in moved {
                self.find(to)?.add(text, &NamedFlags::default(), date);
            }
            return Ok(());
        }
        for name in below.iter().map(String::as_str).chain([from]) {
            let mailbox = self.mailboxes.remove(name).unwrap();
            self.mailboxes.insert(name.replacen(from, to, 1), mailbox);
        }
        Ok(())
    }

    fn folders(&self) -> Vec<Folder> {
        let mut names: Vec<String> = self.mailboxes.keys().cloned().collect();
        for name in self.mailboxes.keys() {
            names.extend(name.match_indices('/').map(|(end, _)| name[..end].to_owned()));
        }
        names.extend(self.subscribed.iter().cloned());
        names.sort_by_key(|name| (name != "INBOX", name.clone()));
        names.dedup();
        let folder = |name: String| {
            let below = format!("{name}/");
            let has_children = self.mailboxes.keys().any(|other| other.starts_with(&below));
            let selectable = self.mailboxes.contains_key(&name);
            Folder {
                selectable,
                has_children,
                subscribed: self.subscribed.contains(&name),
                exists: selectable || has_children,
                special_use: SPECIAL.iter().find(|it| it.0 == name).map(|it| it.1),
                name,
            }
        };
        names.into_iter().map(folder).collect()
    }
}

/// One session's view of the mail.
struct Backend {
    mail: Rc<RefCell<Mail>>,
    selected: String,
    append: Option<(Append, Vec<u8>)>,
    reading: Reading,
}

impl Backend {
    fn perform(&mut self, request: Request) -> Answer {
        let mail = Rc::clone(&self.mail);
        let mut mail = mail.borrow_mut();
        match request {
            Request::Folders => Answer::Folders(Ok(mail.folders())),
            Request::Create(name) => Answer::Changed(mail.create(&name)),
            Request::Delete(name) => Answer::Changed(mail.delete(&name)),
            Request::Rename { from, to } => Answer::Changed(mail.rename(&from, &to)),
            Request::Subscribe { mailbox, subscribed } => {
                mail.subscribed.retain(|name| *name != mailbox);
                if subscribed {
                    mail.subscribed.push(mailbox);
                }
                Answer::Changed(Ok(()))
            }
            Request::Status(name) => Answer::Status(mail.find(&name).map(|it| status(it))),
            Request::Select { mailbox, read_only } => {
                self.selected.clone_from(&mailbox);
                Answer::Selected(mail.find(&mailbox).map(|it| select(it, read_only)))
            }
            Request::Unselect => Answer::Unselected,
            Request::Sync => Answer::Synced(mail.find(&self.selected).map(|it| it.snapshot())),
            Request::Fetch(mut fetch) => {
                let mut mailbox = &*mail.find(&self.selected).unwrap();
                fetch::respond(&mut fetch, &mut mailbox, &mut self.reading).unwrap();
                Answer::Fetched(Ok(fetch))
            }
            Request::Search(mut search) => {
                let all = 0..search.snapshot.messages.len() as u32;
                search.found = all.clone().filter(|&at| holds(&search.key, at, &search)).collect();
                search.next = all.end;
                Answer::Searched(Ok(search))
            }
            Request::StoreFlags { uids, change } => {
                Answer::Synced(mail.find(&self.selected).map(|it| store(it, &uids, &change)))
            }
            Request::Copy { uids, mailbox, moving } => {
                Answer::Copied(copy(&mut mail, &self.selected, &mailbox, &uids, moving))
            }
            Request::Expunge(uids) => {
                let mailbox = mail.find(&self.selected).unwrap();
                mailbox.messages.retain(|(entry, ..)| {
                    !entry.flags.has(Flags::DELETED)
                        || uids.as_ref().is_some_and(|uids| !uids.contains(&entry.uid))
                });
                Answer::Expunged(Ok(mailbox.snapshot()))
            }
            request => self.append(request, &mut mail),
        }
    }

    fn append(&mut self, request: Request, mail: &mut Mail) -> Answer {
        match request {
            Request::Append(append) => {
                let found = mail.find(&append.mailbox).map(drop);
                self.append = Some((append, Vec::new()));
                Answer::AppendReady(found)
            }
            Request::AppendBlock(mut block) => {
                assert_eq!(block.len(), 64 << 10);
                self.append.as_mut().unwrap().1.append(&mut block);
                Answer::AppendStored(Ok(block))
            }
            Request::AppendCommit(mut block) => {
                let (append, mut text) = self.append.take().unwrap();
                text.append(&mut block);
                assert_eq!(append.size, text.len() as u64);
                let mailbox = mail.find(&append.mailbox).unwrap();
                let uid = mailbox.add(text, &append.flags, append.internal_date.unwrap_or(0));
                Answer::Appended(Ok(Appended { uid_validity: mailbox.uid_validity, uid }))
            }
            Request::AppendDiscard => {
                self.append = None;
                Answer::AppendDiscarded
            }
            request => panic!("{request:?}"),
        }
    }
}

fn status(mailbox: &Mailbox) -> Status {
    let count = |what: &dyn Fn(&Entry) -> bool| {
        mailbox.messages.iter().filter(|message| what(&message.0)).count() as u32
    };
    Status {
        messages: count(&|_| true),
        recent: count(&|entry| entry.uid >= mailbox.recent_from),
        uid_next: mailbox.next,
        uid_validity: mailbox.uid_validity,
        unseen: count(&|entry| !entry.flags.has(Flags::SEEN)),
    }
}

fn select(mailbox: &mut Mailbox, read_only: bool) -> Selected {
    let recent_from = mailbox.recent_from;
    if !read_only {
        mailbox.recent_from = mailbox.next;
    }
    Selected { snapshot: mailbox.snapshot(), recent_from, new_keywords: true }
}

fn store(mailbox: &mut Mailbox, uids: &[Uid], change: &FlagChange) -> Arc<Snapshot> {
    let named = mailbox.bits(&change.flags);
    for (entry, ..) in mailbox.messages.iter_mut().filter(|it| uids.contains(&it.0.uid)) {
        let old = entry.flags;
        entry.flags = match change.how {
            Change::Replace => named,
            Change::Add => {
                Flags { system: old.system | named.system, keywords: old.keywords | named.keywords }
            }
            Change::Remove => Flags {
                system: old.system & !named.system,
                keywords: old.keywords & !named.keywords,
            },
        };
    }
    mailbox.snapshot()
}

fn copy(
    mail: &mut Mail,
    from: &str,
    to: &str,
    uids: &[Uid],
    moving: bool,
) -> Result<Copied, Failure> {
    mail.find(to)?;
    let source = mail.find(from)?;
    let names = source.keywords.clone();
    let mut copied = Vec::new();
    for uid in uids {
        if let Ok((entry, text, date)) = source.text(*uid) {
            let keywords = (0..64).filter(|bit| entry.flags.keywords >> bit & 1 == 1);
            let keywords = keywords.map(|bit: usize| names[bit].clone()).collect();
            let flags = NamedFlags { system: entry.flags.system, keywords };
            copied.push((*uid, text.clone(), flags, *date));
        }
    }
    if moving {
        source.messages.retain(|it| !uids.contains(&it.0.uid));
    }
    let target = mail.find(to)?;
    let uids =
        copied.into_iter().map(|(uid, text, flags, date)| (uid, target.add(text, &flags, date)));
    let uids = uids.collect();
    let uid_validity = target.uid_validity;
    Ok(Copied { uid_validity, uids, snapshot: mail.find(from)?.snapshot() })
}

/// Only what costs nothing; the rest is imap::search's.
fn holds(key: &super::super::search::Key, at: u32, search: &super::super::Search) -> bool {
    use super::super::search::Key;
    let entry = search.snapshot.messages[at as usize];
    match key {
        Key::And(keys) => keys.iter().all(|key| holds(key, at, search)),
        Key::Or(keys) => holds(&keys.0, at, search) || holds(&keys.1, at, search),
        Key::Not(key) => !holds(key, at, search),
        Key::Positions(positions) => positions.contains(&at),
        Key::Flag(flag) => entry.flags.has(*flag),
        Key::Recent => entry.uid >= search.recent_from,
        Key::Header(_, text) => text == "Lunch",
        _ => false,
    }
}

enum Stage {
    Login(Box<Login>),
    Server(Box<Server>),
    Closed,
}

struct Connection {
    setup: Setup,
    stage: Stage,
    backend: Backend,
    out: Vec<u8>,
}

impl Connection {
    fn new(mail: &Rc<RefCell<Mail>>, setup: &Setup) -> Self {
        let backend = Backend {
            mail: Rc::clone(mail),
            selected: String::new(),
            append: None,
            reading: Reading::default(),
        };
        let stage = Stage::Login(Box::new(Login::new(setup.clone())));
        let mut connection = Self { setup: setup.clone(), stage, backend, out: Vec::new() };
        connection.advance();
        connection
    }

    fn receive(&mut self, bytes: &[u8]) {
        match &mut self.stage {
            Stage::Login(login) => login.receive(bytes),
            Stage::Server(server) => server.receive(bytes),
            Stage::Closed => {}
        }
        self.advance();
    }

    fn advance(&mut self) {
        loop {
            let over = match &mut self.stage {
                Stage::Login(login) => match login.step(&mut self.out) {
                    Step::Ask(credentials) => {
                        let right = credentials.username == "ann@example.org"
                            && credentials.password == b"apple";
                        login.answer(if right { Verdict::Accepted } else { Verdict::Rejected });
                        continue;
                    }
                    Step::Done => false,
                    Step::Close => true,
                    Step::Read | Step::StartTls => return,
                },
                Stage::Server(server) => match server.step(&mut self.out) {
                    Step::Ask(request) => {
                        server.answer(self.backend.perform(request));
                        continue;
                    }
                    Step::Read => return,
                    _ => true,
                },
                Stage::Closed => return,
            };
            self.stage = match std::mem::replace(&mut self.stage, Stage::Closed) {
                Stage::Login(login) if !over => {
                    let server = Server::new(self.setup.clone(), &login.into_unread());
                    Stage::Server(Box::new(server))
                }
                _ => {
                    self.out.extend_from_slice(b"-- closed\r\n");
                    Stage::Closed
                }
            };
        }
    }

    fn news(&mut self) {
        if let Stage::Server(server) = &mut self.stage
            && server.listens()
        {
            server.answer(Answer::News);
            self.advance();
        }
    }

    fn end(&mut self) {
        if let Stage::Server(server) = &mut self.stage {
            server.end(Ended::Timeout);
            self.advance();
        }
    }

    fn secured(&mut self) {
        if let Stage::Login(login) = &mut self.stage {
            login.secured(Secured { version: "TLSv1.3".into(), cipher: "x".into() });
            self.advance();
        }
    }
}

fn chats() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/chats")
}

fn message(name: &str) -> Vec<u8> {
    let path = chats().join("mail").join(format!("{name}.eml"));
    let text = std::fs::read_to_string(&path).unwrap();
    text.replace("\r\n", "\n").replace('\n', "\r\n").into_bytes()
}

/// Repeats `<5000*x>`, and puts control characters in the place of their pictures.
fn said(line: &str) -> String {
    let mut line = line.replace('␀', "\0").replace('␍', "\r").replace('␊', "\n");
    while let Some((before, rest)) = line.split_once('<')
        && let Some((inside, after)) = rest.split_once('>')
        && let Some((times, text)) = inside.split_once('*')
        && let Ok(times) = times.parse()
    {
        line = format!("{before}{}{after}", text.repeat(times));
    }
    line
}

/// The site that a chat's heading wants.
fn setup(about: &str) -> Setup {
    let mut setup = super::super::tests::setup();
    let limits = &mut setup.limits;
    limits.errors = 20;
    setup.cleartext_auth = !about.contains("auth.cleartext = \"never\"");
    for line in about.lines().filter_map(|line| line.strip_prefix("config: limits.")) {
        let (key, value) = line.split_once(" = ").unwrap();
        match key {
            "errors" => limits.errors = value.parse().unwrap(),
            "message_size" => limits.message_size = value.parse().unwrap(),
            "imap_command" => limits.command = value.parse().unwrap(),
            "imap_command_before_login" => limits.command_before_login = value.parse().unwrap(),
            _ => panic!("{key}"),
        }
    }
    setup
}

/// Says the client's lines of a chat and returns the conversation that comes of it.
fn play(chat: &str, piece: usize) -> String {
    let (about, lines) = chat.split_once("\n\n").unwrap();
    let setup = setup(about);
    let mail = Rc::new(RefCell::new(Mail::new()));
    let fixtures = about.lines().filter_map(|line| line.strip_prefix("with: ann has "));
    for (number, name) in (0..).zip(fixtures.flat_map(|names| names.split(", "))) {
        let mut mail = mail.borrow_mut();
        let inbox = mail.find("INBOX").unwrap();
        inbox.add(message(name), &NamedFlags::default(), 1_767_225_600 + 60 * number);
    }
    let mut connections = vec![Connection::new(&mail, &setup)];
    let mut played = format!("{about}\n\n");
    heard(&mut played, &mut connections);
    let mut unsent = Vec::new();
    let mut all = chat.lines().skip_while(|line| !line.is_empty()).skip(1);
    for line in lines.lines().filter(|line| !line.starts_with('S')) {
        let who = usize::from(line.starts_with("C2"));
        let Some((_, what)) = line.split_once([':', '<']) else {
            if line.ends_with(" pass") {
                played.push_str(line);
                played.push('\n');
                connections[0].end();
                heard(&mut played, &mut connections);
            }
            if line == "-- tls" {
                played.push_str("-- tls\n");
                connections[0].secured();
                heard(&mut played, &mut connections);
            }
            continue;
        };
        if who >= connections.len() {
            connections.push(Connection::new(&mail, &setup));
            heard(&mut played, &mut connections);
        }
        let is_message = line.starts_with("C<") || line.starts_with("C2<");
        let what = what.strip_prefix(' ').unwrap_or(what);
        unsent.extend(if is_message { message(what) } else { said(what).into_bytes() });
        unsent.extend_from_slice(b"\r\n");
        played.push_str(line);
        played.push('\n');
        // Client lines that stand together are sent together.
        all.find(|other| std::ptr::eq(*other, line));
        let together = all
            .clone()
            .next()
            .is_some_and(|next| next.starts_with('C') && next.starts_with("C2") == (who == 1));
        if !together {
            send(&mut connections, who, &mut unsent, piece);
            heard(&mut played, &mut connections);
        }
    }
    played
}

fn send(connections: &mut [Connection], who: usize, unsent: &mut Vec<u8>, piece: usize) {
    for piece in std::mem::take(unsent).chunks(piece) {
        connections[who].receive(piece);
    }
    let others = connections.iter_mut().enumerate().filter(|(at, _)| *at != who);
    others.for_each(|(_, other)| other.news());
}

/// Writes down what the server said.
fn heard(played: &mut String, connections: &mut [Connection]) {
    let texts = ["plain", "8bit", "dots"].map(|name| (name, message(name)));
    for (at, connection) in connections.iter_mut().enumerate() {
        let who = if at == 0 { "S".to_owned() } else { format!("S{}", at + 1) };
        let mut out = std::mem::take(&mut connection.out);
        while !out.is_empty() {
            if let Some((name, text)) = texts.iter().find(|(_, text)| out.starts_with(text)) {
                played.push_str(&format!("{who}< {name}\n"));
                out.drain(..text.len());
                continue;
            }
            let end = out.windows(2).position(|pair| pair == b"\r\n").unwrap();
            let line = String::from_utf8(out.drain(..end + 2).take(end).collect()).unwrap();
            if line == "-- closed" {
                played.push_str("-- closed\n");
            } else if line.starts_with("* LIST") || line.starts_with("* LSUB") {
                // In what order they come is the backend's.
                played.push_str(&format!("{who}{line}\n"));
            } else {
                let space = if line.is_empty() { "" } else { " " };
                played.push_str(&format!("{who}:{space}{line}\n"));
            }
        }
    }
}

/// Puts names in the place of UIDVALIDITYs.
fn bound(played: &str) -> String {
    let mut text = played.to_owned();
    for name in ["<v>", "<w>", "<x>"] {
        let Some(at) = text.find(" 9990") else { break };
        let number = text[at..at + 7].to_owned();
        text = text.replace(&number, &format!(" {name}"));
    }
    text
}

#[test]
fn chats_hold() {
    let mut count = 0;
    for entry in std::fs::read_dir(chats().join("imap")).unwrap() {
        let path = entry.unwrap().path();
        let chat = std::fs::read_to_string(&path).unwrap();
        for piece in [usize::MAX, 7, 1] {
            let played = bound(&play(&chat, piece));
            if std::env::var_os("ACCEPT").is_some() {
                std::fs::write(&path, &played).unwrap();
                break;
            }
            assert_eq!(played, chat, "{} in pieces of {piece}", path.display());
        }
        count += 1;
    }
    assert!(count > 30, "only {count} chats");
}

/// Pieces of commands, right and wrong.
const WORDS: [&str; 48] = [
    "a ",
    "LOGIN ann@example.org apple\r\n",
    "SELECT INBOX\r\n",
    "FETCH ",
    "UID ",
    "STORE ",
    "COPY ",
    "MOVE ",
    "SEARCH ",
    "APPEND ",
    "INBOX ",
    "Sent",
    "1:* ",
    "*",
    "1,3:2 ",
    "(FLAGS UID)",
    "BODY[]",
    "BODY[1.HEADER.FIELDS (A)]<0.5>",
    "+FLAGS ",
    "(\\Seen)",
    "(\\Deleted x)",
    "EXPUNGE\r\n",
    "CLOSE\r\n",
    "IDLE\r\n",
    "DONE\r\n",
    "NOOP\r\n",
    "{3}\r\n",
    "{3+}\r\n",
    "{70000+}\r\n",
    "abc",
    "\r\n",
    "\r",
    "\n",
    "\0",
    "\"",
    "\\",
    "&",
    "&AOk-",
    "(",
    ")",
    "OR ",
    "NOT ",
    "ALL",
    "LIST \"\" ",
    "%",
    "CREATE ",
    "RENAME ",
    "\u{e9}",
];

proptest::proptest! {
    #[test]
    fn nothing_that_is_sent_breaks_a_session(
        words in proptest::collection::vec(0..WORDS.len(), 0..60),
        selected in proptest::bool::ANY,
        piece in 1..40_usize,
    ) {
        let mail = Rc::new(RefCell::new(Mail::new()));
        mail.borrow_mut().find("INBOX").unwrap().add(message("plain"), &NamedFlags::default(), 0);
        let mut connection = Connection::new(&mail, &setup(""));
        if selected {
            connection.receive(b"a LOGIN ann@example.org apple\r\na SELECT INBOX\r\n");
        }
        let bytes: Vec<u8> = words.iter().flat_map(|&at| WORDS[at].bytes()).collect();
        bytes.chunks(piece).for_each(|piece| connection.receive(piece));
        let whole = connection.out.is_empty() || connection.out.ends_with(b"\r\n");
        proptest::prop_assert!(whole, "{}", connection.out.escape_ascii());
    }
}
