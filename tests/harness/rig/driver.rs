//! The program `history`: does operations to mailboxes and tells what it promised.
//!
//! [`promises::play`] says how it is told what to do, and tells.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mail_common::maildir::{
    DeliveryId, Directory, Inbox, NewMessage, Original, Store, StoreError, Tidings,
};
use mail_proto::mailbox::{Change, FlagChange, NamedFlags, Uid};

use super::ledger::Ledger;
use super::machine;
use super::operation::{Answer, Letter, Marks, Operation, text};
use super::promises::{self, Attempt, Patience, print};
use super::view::{self, Mailboxes, View};

/// Does operations, and remembers what a client would.
#[derive(Debug)]
pub struct Driver {
    directory: Directory,
    home: PathBuf,
    known: BTreeMap<String, Known>,
}

/// No history has so many letters.
const FRESH: Letter = 4_000_000_000;

/// No clock says so many microseconds.
const AHEAD: u64 = 1 << 60;

/// What a client knows of a mailbox.
#[derive(Debug, Default)]
struct Known {
    uid_validity: u32,
    letters: BTreeMap<Uid, Letter>,
}

/// What the command line says.
///
/// # Panics
/// Where something goes wrong that is not the mailboxes' affair.
pub fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["run", mail] => Driver::new(Path::new(mail)).run(None, Patience::Once),
        ["run-again", mail] => Driver::new(Path::new(mail)).run(None, Patience::Again),
        ["record", machine, boots] => machine::record(Path::new(machine), boots.into(), record),
        ["examine", machine, boots] => machine::examine(Path::new(machine), boots.into(), examine),
        ["view", mail] => print(&Mailboxes::below(Path::new(mail)).view()),
        _ => panic!(
            "history run|run-again|view DIRECTORY or record|examine DIRECTORY BOOTS, not {arguments:?}"
        ),
    }
}

fn record(mail: &Path, log: &Path) {
    let mut driver = Driver::new(mail);
    driver.let_modseqs_be_ahead();
    driver.run(Some(log), Patience::Once);
}

/// What is there, after a boot. What is not the same for another process, or does not work any
/// more, is a trouble.
fn examine(mail: &Path) -> View {
    let mailboxes = Mailboxes::below(mail);
    let mut view = mailboxes.view();
    let again = view_again(mail);
    if !view.may_become(&again) {
        let difference = view.difference(&again).join("; ");
        view.troubles.push(format!("another process sees something else: {difference}"));
    }
    if let Err(error) = mailboxes.try_out(FRESH) {
        view.troubles.push(format!("INBOX cannot be used: {error}"));
    }
    view
}

fn view_again(mail: &Path) -> View {
    let this = std::env::current_exe().expect("a program has a path");
    let output = Command::new(this).arg("view").arg(mail).stderr(Stdio::inherit()).output();
    let output = output.expect("history can be started");
    assert!(output.status.success(), "history view: {}", output.status);
    serde_json::from_slice(&output.stdout).expect("is a view")
}

impl Driver {
    /// For the mailboxes below a directory.
    ///
    /// # Panics
    /// If they cannot be opened.
    #[must_use]
    pub fn new(mail: &Path) -> Self {
        let directory = Mailboxes::below(mail).open().expect("the mailboxes can be opened");
        let home = mail.join("example.org/ann");
        Self { directory, home, known: BTreeMap::new() }
    }

    /// Leaves the mailboxes, which nobody looked at yet, as a server would have whose modseqs are
    /// far above the microseconds since 1970: as if the clock were behind.
    ///
    /// # Panics
    /// If they cannot be changed.
    pub fn let_modseqs_be_ahead(&self) {
        let put = |path: PathBuf, text: &str| {
            let mut file = fs::File::create(path).expect("the home is writable");
            file.write_all(text.as_bytes()).expect("so it is");
            file.sync_all().expect("so it is");
        };
        put(self.home.join("dovecot-uidlist"), "3 V7 N1 G0123456789abcdef0123456789abcdef\n");
        let special = Directory::SPECIAL.map(|(name, _)| self.home.join(format!(".{name}")));
        for mailbox in special.iter().chain([&self.home]) {
            let list = fs::read_to_string(mailbox.join("dovecot-uidlist"));
            let list = list.expect("a mailbox has a UID list");
            let uid_validity = list.split(' ').nth(1).expect("UIDVALIDITY is the second word");
            put(mailbox.join("posthorn.keywords"), &format!("1 {uid_validity} M{AHEAD}\n"));
            let directory = fs::File::open(mailbox).expect("is there");
            directory.sync_all().expect("can be synced");
        }
    }

    /// Does what its standard input says, to the end.
    ///
    /// # Panics
    /// If that is no operation.
    pub fn run(&mut self, log: Option<&Path>, patience: Patience) {
        promises::play::<Ledger>(log, patience, |operation, attempt| {
            let done = self.act(operation);
            let done = match attempt {
                Attempt::First => done,
                Attempt::Second => done.or_else(|error| already(operation, error)),
            };
            done.map_err(|error| error.to_string())
        });
    }

    fn act(&mut self, operation: &Operation) -> Result<Answer, StoreError> {
        match operation {
            Operation::Deliver { mailbox, letter, identified } => {
                self.deliver(mailbox, *letter, *identified)
            }
            Operation::DeliverToBoth { mailboxes, letter } => {
                self.deliver_to_both(mailboxes, *letter)
            }
            Operation::Foreign { mailbox, letter } => {
                self.put(mailbox, *letter);
                Ok(Answer::default())
            }
            Operation::Append { mailbox, letter, marks } => self.append(mailbox, *letter, marks),
            Operation::Expunge { mailbox, letters } => {
                self.store(mailbox)?.expunge(&self.uids(mailbox, letters))?;
                Ok(Answer::default())
            }
            Operation::Copy { from, to, letters } => {
                let uids = self.uids(from, letters);
                let (uid_validity, pairs) = self.store(from)?.copy(&uids, &self.store(to)?)?;
                Ok(self.copied(from, to, uid_validity, &pairs))
            }
            Operation::Move { from, to, letters } => {
                let uids = self.uids(from, letters);
                let (uid_validity, pairs, _) =
                    self.store(from)?.move_to(&uids, &self.store(to)?)?;
                Ok(self.copied(from, to, uid_validity, &pairs))
            }
            Operation::Mark { mailbox, letters, marks } => {
                let change = FlagChange { how: Change::Replace, flags: named(marks) };
                self.store(mailbox)?.store_flags(&self.uids(mailbox, letters), &change)?;
                Ok(Answer::default())
            }
            Operation::Claim { mailbox } => {
                self.store(mailbox)?.recent_from(true)?;
                Ok(Answer::default())
            }
            Operation::Look { mailbox } => self.look(mailbox),
            Operation::Create { mailbox } => self.done(Directory::create, mailbox),
            Operation::Delete { mailbox } => {
                self.known.remove(mailbox);
                self.done(Directory::delete, mailbox)
            }
            Operation::Rename { from, to } => {
                // What is below goes too: a client asks anew.
                self.known.clear();
                self.directory.rename(from, to)?;
                Ok(Answer::default())
            }
            Operation::Subscribe { mailbox, subscribed } => {
                self.directory.subscribe(mailbox, *subscribed)?;
                Ok(Answer::default())
            }
        }
    }

    fn done(
        &self,
        act: fn(&Directory, &str) -> Result<(), StoreError>,
        mailbox: &str,
    ) -> Result<Answer, StoreError> {
        act(&self.directory, mailbox)?;
        Ok(Answer::default())
    }

    fn deliver(
        &self,
        mailbox: &str,
        letter: Letter,
        identified: bool,
    ) -> Result<Answer, StoreError> {
        let id = format!("8MoK2mX2A0VhSXz9.{letter}");
        let delivery_id = if identified { DeliveryId::parse(&id) } else { None };
        let inbox = Inbox::open(|| self.store(mailbox))?;
        let mut message = inbox.append(None, NewMessage::default())?;
        message.write(&text(letter))?;
        let (_, tidings) = inbox.deliver(message.finish()?, delivery_id.as_ref(), &())?;
        tidings.into_iter().for_each(Tidings::tell);
        Ok(Answer::default())
    }

    /// As lmtp-deliverd does: the second mailbox has a file of its own where it can have no link.
    fn deliver_to_both(
        &self,
        mailboxes: &[String; 2],
        letter: Letter,
    ) -> Result<Answer, StoreError> {
        let delivery_id = DeliveryId::parse(&format!("8MoK2mX2A0VhSXz9.{letter}"));
        let in_tmp = format!("{letter}.both");
        let write = |inbox: &Inbox| {
            let mut appending = inbox.append(Some(&in_tmp), NewMessage::default())?;
            appending.write(&text(letter))?;
            appending.finish()
        };
        let [first, second] = mailboxes;
        let first = Inbox::open(|| self.store(first))?;
        let whole = write(&first)?;
        let original = whole.original();
        first.deliver(whole, delivery_id.as_ref(), &())?.1.into_iter().for_each(Tidings::tell);
        let second = Inbox::open(|| self.store(second))?;
        let link = |original: Original| second.link(Some(&in_tmp), &original).ok();
        let whole = original.and_then(link).map_or_else(|| write(&second), Ok)?;
        second.deliver(whole, delivery_id.as_ref(), &())?.1.into_iter().for_each(Tidings::tell);
        Ok(Answer::default())
    }

    /// As a delivery agent does that knows what a power cut is.
    fn put(&self, mailbox: &str, letter: Letter) {
        let home = match mailbox {
            "INBOX" => self.home.clone(),
            mailbox => self.home.join(format!(".{}", mailbox.replace('/', "."))),
        };
        let name = format!("1700000000.M{letter}P1.foreign");
        let mut stored = text(letter);
        stored.retain(|&byte| byte != b'\r');
        let done = || {
            let mut file = fs::File::create(home.join("tmp").join(&name))?;
            file.write_all(&stored)?;
            file.sync_all()?;
            fs::rename(home.join("tmp").join(&name), home.join("new").join(&name))?;
            fs::File::open(home.join("new"))?.sync_all()
        };
        done().expect("a foreign program may write");
    }

    fn append(
        &mut self,
        mailbox: &str,
        letter: Letter,
        marks: &Marks,
    ) -> Result<Answer, StoreError> {
        let internal_date = Some(1_000_000_000 + i64::from(letter));
        let message = NewMessage { flags: named(marks), internal_date };
        let mut message = self.store(mailbox)?.append(message)?;
        message.write(&text(letter))?;
        let located = message.commit()?;
        let known = self.known(mailbox, located.uid_validity);
        known.letters.insert(located.uid, letter);
        Ok(Answer {
            uid_validity: Some(located.uid_validity),
            uids: vec![(letter, located.uid)],
            ..Answer::default()
        })
    }

    fn copied(&mut self, from: &str, to: &str, uid_validity: u32, pairs: &[(Uid, Uid)]) -> Answer {
        let old = self.known.get(from).map(|known| known.letters.clone()).unwrap_or_default();
        let new: Vec<(Letter, Uid)> = pairs
            .iter()
            .map(|(original, copy)| (*old.get(original).expect("was copied"), *copy))
            .collect();
        let known = self.known(to, uid_validity);
        known.letters.extend(new.iter().map(|(letter, uid)| (*uid, *letter)));
        Answer { uid_validity: Some(uid_validity), uids: new, ..Answer::default() }
    }

    /// Shows all UIDs, but tells only of those that were not shown before.
    fn look(&mut self, mailbox: &str) -> Result<Answer, StoreError> {
        let store = self.store(mailbox)?;
        let snapshot = store.sync()?;
        let known = self.known(mailbox, snapshot.uid_validity);
        let mut uids = Vec::new();
        for entry in snapshot.messages.iter() {
            if known.letters.contains_key(&entry.uid) {
                continue;
            }
            let letter = match view::letter(&store, entry.uid) {
                Ok(letter) => letter,
                Err(view::Unfit::Store(StoreError::Gone(_))) => continue,
                Err(view::Unfit::Store(error)) => return Err(error),
                Err(view::Unfit::NoLetter(length)) => {
                    panic!("{mailbox}, UID {}: its {length} octets are no letter", entry.uid)
                }
            };
            uids.push((letter, entry.uid));
        }
        known.letters.extend(uids.iter().map(|(letter, uid)| (*uid, *letter)));
        let (uid_validity, uid_next) = (Some(snapshot.uid_validity), Some(snapshot.uid_next));
        Ok(Answer { uid_validity, uid_next, modseq: Some(snapshot.modseq), uids })
    }

    fn store(&self, mailbox: &str) -> Result<Store, StoreError> {
        self.directory.mailbox(mailbox)
    }

    /// What is known of a mailbox of this UIDVALIDITY.
    fn known(&mut self, mailbox: &str, uid_validity: u32) -> &mut Known {
        let known = self.known.entry(mailbox.to_owned()).or_default();
        if known.uid_validity != uid_validity {
            *known = Known { uid_validity, letters: BTreeMap::new() };
        }
        known
    }

    /// The UIDs that letters have as far as the client was told.
    fn uids(&self, mailbox: &str, letters: &[Letter]) -> Vec<Uid> {
        let known = self.known.get(mailbox).into_iter().flat_map(|known| &known.letters);
        known.filter(|(_, letter)| letters.contains(letter)).map(|(uid, _)| *uid).collect()
    }
}

/// That it is done already is fine for who tries a second time. Of INBOX it says nothing: letters
/// that were not moved when the first attempt ended are still there.
fn already(operation: &Operation, error: StoreError) -> Result<Answer, StoreError> {
    match (operation, &error) {
        (Operation::Rename { from, .. }, _) if from == "INBOX" => Err(error),
        (Operation::Create { .. } | Operation::Rename { .. }, StoreError::AlreadyExists(_))
        | (Operation::Delete { .. } | Operation::Rename { .. }, StoreError::NoSuchMailbox(_)) => {
            Ok(Answer::default())
        }
        _ => Err(error),
    }
}

fn named(marks: &Marks) -> NamedFlags {
    NamedFlags { system: marks.system, keywords: marks.keywords.clone() }
}
