//! One of the ten.

use std::collections::HashMap;
use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use mail_common::auth::{Auth, User};
use mail_common::config::{self, Source};
use mail_common::maildir::{Directory, Inbox, NewMessage, Store, StoreError, Tidings};
use mail_proto::mailbox::{Change, FlagChange, Flags, NamedFlags, Snapshot, Uid};

use super::{MAILBOXES, SITE};

struct Worker {
    directory: Directory,
    number: usize,
    random: u64,
    letters: u32,
    /// What this one saw of each mailbox.
    seen: HashMap<&'static str, Seen>,
}

#[derive(Default)]
struct Seen {
    uid_next: Uid,
    letters: HashMap<Uid, String>,
}

/// Does what it does for so long.
pub(crate) fn run(number: usize, span: Duration) {
    let site = std::env::var_os(SITE).expect("the test says it");
    let mut worker = Worker {
        directory: directory(Path::new(&site)),
        number,
        random: 0x9E37_79B9 + number as u64,
        letters: 0,
        seen: HashMap::new(),
    };
    let end = Instant::now() + span;
    let (mut operations, mut refused) = (0, 0);
    while Instant::now() < end {
        operations += 1;
        match worker.step() {
            Ok(()) => {}
            // A client is told to come again; nothing was promised.
            Err(StoreError::Locked(_)) => refused += 1,
            Err(error) => panic!("{number}: {error}"),
        }
    }
    println!("did {operations} {refused}");
}

/// The user's mailboxes.
pub(crate) fn directory(site: &Path) -> Directory {
    let source = Source { file: site.to_owned(), flags: Vec::new() };
    let site = config::load(&source).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    Directory::open(&ann(&site), &site.mail).expect("mailboxes can be made")
}

/// Every letter in any of the mailboxes.
pub(crate) fn letters(site: &Path) -> HashSet<String> {
    let directory = directory(site);
    let mut letters = HashSet::new();
    for name in MAILBOXES {
        let store = directory.mailbox(name).expect("it was there all the time");
        let snapshot = store.sync().expect("it can be read");
        for entry in snapshot.messages.iter() {
            letters.insert(letter(&store, entry.uid).expect("what is shown can be read"));
        }
    }
    letters
}

fn ann(site: &config::Site) -> User {
    let auth = Auth::open(site).expect("the passwd-file is readable");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let address = "ann@example.org".parse().expect("is an address");
    let found = runtime.expect("a runtime").block_on(auth.lookup(&address));
    found.expect("the passwd-file is readable").expect("the site has ann")
}

/// The first line of a message says which letter it is.
fn letter(store: &Store, uid: Uid) -> Result<String, StoreError> {
    let mut buffer = [0; 64];
    let count = store.message(uid)?.read_at(&mut buffer, 0)?;
    let text = String::from_utf8_lossy(buffer.get(..count).unwrap_or_default()).into_owned();
    let line = text.lines().next().unwrap_or_default();
    Ok(line.trim_start_matches("Subject: ").to_owned())
}

impl Worker {
    fn step(&mut self) -> Result<(), StoreError> {
        let name = self.mailbox();
        let store = self.directory.mailbox(name)?;
        // Some are deliverers more than readers.
        let most = if self.number < 3 { 20 } else { 10 };
        match self.below(most) {
            0 => {
                let snapshot = self.look(name, &store)?;
                self.expunge(&store, &snapshot)?;
            }
            1 => {
                let snapshot = self.look(name, &store)?;
                self.transfer(&store, &snapshot, true)?;
            }
            2 => {
                let snapshot = self.look(name, &store)?;
                self.transfer(&store, &snapshot, false)?;
            }
            3..6 => {
                let snapshot = self.look(name, &store)?;
                self.flag(&store, &snapshot)?;
            }
            6 => {
                store.recent_from(true)?;
                self.look(name, &store)?;
            }
            7 => self.append(name, &store)?,
            _ => self.deliver(&store)?,
        }
        Ok(())
    }

    /// Looks at a mailbox, and tells of UIDs that this one had not seen.
    fn look(&mut self, name: &'static str, store: &Store) -> Result<Snapshot, StoreError> {
        let snapshot = Snapshot::clone(&*store.sync()?);
        let seen = self.seen.entry(name).or_default();
        assert!(seen.uid_next <= snapshot.uid_next, "{name}: UIDNEXT fell");
        seen.uid_next = snapshot.uid_next;
        for entry in snapshot.messages.iter() {
            assert!(entry.uid < snapshot.uid_next, "{name}: UIDNEXT is too low");
            if seen.letters.contains_key(&entry.uid) {
                continue;
            }
            match letter(store, entry.uid) {
                Ok(letter) => {
                    println!("uid {name} {} {} {letter}", snapshot.uid_validity, entry.uid);
                    seen.letters.insert(entry.uid, letter);
                }
                Err(StoreError::Gone(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(snapshot)
    }

    fn expunge(&mut self, store: &Store, snapshot: &Snapshot) -> Result<(), StoreError> {
        let uids = self.choose(snapshot, 2);
        for uid in &uids {
            match letter(store, *uid) {
                Ok(letter) => println!("out {letter}"),
                Err(StoreError::Gone(_)) => {}
                Err(error) => return Err(error),
            }
        }
        store.expunge(&uids).map(drop)
    }

    fn transfer(
        &mut self,
        store: &Store,
        snapshot: &Snapshot,
        moving: bool,
    ) -> Result<(), StoreError> {
        let uids = self.choose(snapshot, 3);
        let target = self.mailbox();
        let (_, pairs) = store.copy(&uids, &self.directory.mailbox(target)?)?;
        if moving {
            let copied: Vec<Uid> = pairs.iter().map(|(old, _)| *old).collect();
            store.expunge(&copied)?;
        }
        Ok(())
    }

    fn flag(&mut self, store: &Store, snapshot: &Snapshot) -> Result<(), StoreError> {
        let uids = self.choose(snapshot, 6);
        let how = if self.below(2) == 0 { Change::Add } else { Change::Remove };
        let keywords = match self.below(3) {
            0 => vec![format!("keyword{}", self.below(5))],
            _ => Vec::new(),
        };
        let system = if self.below(2) == 0 { Flags::SEEN } else { Flags::FLAGGED };
        store.store_flags(&uids, &FlagChange { how, flags: NamedFlags { system, keywords } })?;
        Ok(())
    }

    fn append(&mut self, name: &'static str, store: &Store) -> Result<(), StoreError> {
        let letter = self.letter();
        let flags = NamedFlags { system: Flags::SEEN, keywords: Vec::new() };
        let mut appending = store.append(NewMessage { flags, ..NewMessage::default() })?;
        appending.write(format!("Subject: {letter}\r\n\r\nappended\r\n").as_bytes())?;
        let located = appending.commit()?;
        println!("uid {name} {} {} {letter}", located.uid_validity, located.uid);
        println!("in {letter}");
        Ok(())
    }

    fn deliver(&mut self, store: &Store) -> Result<(), StoreError> {
        let letter = self.letter();
        let inbox = Inbox::open(|| Ok(store.clone()))?;
        let mut appending = inbox.append(None, NewMessage::default())?;
        appending.write(format!("Subject: {letter}\r\n\r\ndelivered\r\n").as_bytes())?;
        let (_, tidings) = inbox.deliver(appending.finish()?, None, &())?;
        tidings.into_iter().for_each(Tidings::tell);
        println!("in {letter}");
        Ok(())
    }

    fn letter(&mut self) -> String {
        self.letters += 1;
        format!("{}-{}", self.number, self.letters)
    }

    fn choose(&mut self, snapshot: &Snapshot, most: usize) -> Vec<Uid> {
        let count = snapshot.messages.len();
        let first = self.below(count.max(1) as u64) as usize;
        let wanted = 1 + self.below(most as u64) as usize;
        snapshot.messages.iter_from(first).take(wanted).map(|entry| entry.uid).collect()
    }

    fn mailbox(&mut self) -> &'static str {
        let at = self.below(MAILBOXES.len() as u64 + 2) as usize;
        MAILBOXES.get(at).copied().unwrap_or("INBOX")
    }

    /// xorshift64*: as random as this needs.
    fn below(&mut self, limit: u64) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }
}
