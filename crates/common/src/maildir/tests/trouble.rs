//! What dying programs, damage, and many at once do to a mailbox.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use mail_proto::mailbox::{Change, FlagChange, Flags};
use proptest::prelude::*;

use super::super::flags::Marking;
use super::super::index::{self, Index};
use super::super::join;
use super::super::listing::Listing;
use super::super::mailbox::Mailbox;
use super::super::places::Places;
use super::super::scan::Listed;
use super::super::tail::Tail;
use super::super::uidlist::UidList;
use super::*;
use crate::disk::{Dir, Lasting};

#[test]
fn a_lost_list_is_written_from_memory_without_reusing_a_uid() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    append(&inbox, "a", 0, &[]);
    let validity = inbox.sync().unwrap().uid_validity;
    fs::remove_file(ann.home().join("dovecot-uidlist")).unwrap();
    assert_eq!(uids(&inbox), [1]);
    assert_eq!(inbox.sync().unwrap().uid_validity, validity);
    assert!(append(&inbox, "b", 0, &[]) > 1000);
    assert_eq!(uids(&ann.stranger()), uids(&inbox));
}

#[test]
fn a_lost_list_is_written_from_the_index() {
    let ann = Ann::new();
    for content in ["a", "b"] {
        append(&ann.inbox(), content, 0, &[]);
    }
    let validity = ann.stranger().sync().unwrap().uid_validity;
    ann.put("dovecot-uidlist", "nonsense\n");
    let stranger = ann.stranger();
    assert_eq!((stranger.sync().unwrap().uid_validity, uids(&stranger)), (validity, vec![1, 2]));
    assert_eq!(ann.read("dovecot-uidlist").lines().count(), 3);
}

#[test]
fn without_memory_a_lost_list_means_a_greater_uidvalidity() {
    let ann = Ann::new();
    append(&ann.inbox(), "a", 0, &[]);
    let validity = ann.stranger().sync().unwrap().uid_validity;
    ann.forget_index();
    ann.put("dovecot-uidlist", "nonsense\n");
    let stranger = ann.stranger();
    assert!(stranger.sync().unwrap().uid_validity > validity);
    assert_eq!(uids(&stranger), [1]);
    let kept: Vec<String> =
        ann.names("").into_iter().filter(|name| name.contains("damaged")).collect();
    assert_eq!(ann.read(&kept[0]), "nonsense\n");
}

#[test]
fn a_damaged_line_costs_one_uid_and_no_other() {
    let ann = Ann::new();
    ann.open();
    for name in ["1.a", "2.a", "3.a"] {
        ann.put(&format!("cur/{name}:2,S"), name);
    }
    ann.put("dovecot-uidlist", "3 V7 N1 Gx\n1 :1.a\n\u{0}garbage\n3 :3.a\n");
    let inbox = ann.inbox();
    assert_eq!(uids(&inbox), [1, 3, 1004]);
    assert_eq!(text(&inbox, 1004), "2.a");
    assert_eq!(inbox.sync().unwrap().uid_validity, 7);
    assert_eq!(ann.read("dovecot-uidlist"), "3 V7 N1005 Gx\n1 :1.a\n3 :3.a\n1004 :2.a\n");
}

#[test]
fn half_a_line_is_as_none() {
    let ann = Ann::new();
    ann.open();
    ann.put("cur/1.a:2,", "a");
    ann.put("new/2.a", "b");
    ann.put("dovecot-uidlist", "3 V7 N1 Gx\n1 :1.a\n2 :2.");
    let inbox = ann.inbox();
    assert_eq!(uids(&inbox), [1, 2]);
    assert_eq!(ann.read("dovecot-uidlist"), "3 V7 N3 Gx\n1 :1.a\n2 :2.a\n");
}

/// A mailbox of one message, and this next UID.
fn with_next(uid: Uid) -> Ann {
    let ann = Ann::new();
    ann.open();
    ann.put("cur/1.a:2,", "a");
    ann.put("dovecot-uidlist", &format!("3 V7 N{uid} Gx\n1 :1.a\n"));
    ann
}

#[test]
fn uids_that_are_used_up_begin_again() {
    let ann = with_next(4_294_967_293);
    let inbox = ann.inbox();
    assert_eq!(inbox.sync().unwrap().uid_next, 4_294_967_293);
    assert_eq!(append(&inbox, "b", 0, &[]), 2);
    assert!(inbox.sync().unwrap().uid_validity > 7);
    assert_eq!(uids(&inbox), [1, 2]);
}

/// And the power was cut meanwhile, which took a part of the log.
#[test]
fn uids_that_are_used_up_begin_again_after_a_power_cut() {
    let ann = with_next(4_294_967_200);
    append(&ann.inbox(), "b", 0, &[]);
    let dir = Dir::open(&ann.home()).unwrap();
    let mut index = Index::open(&dir, [1; 16]).unwrap().unwrap();
    index.write(&dir, vec![index::Change::Boot([1; 16])], Lasting::No).unwrap();
    let log = ann.home().join("posthorn.log");
    let torn = fs::metadata(&log).unwrap().len();
    index.write(&dir, vec![index::Change::Next(4_294_967_250)], Lasting::No).unwrap();
    fs::OpenOptions::new().write(true).open(&log).unwrap().set_len(torn + 5).unwrap();
    ann.put("new/1795365077.M1P1.host", "Subject: c\n\n");
    let inbox = ann.stranger();
    assert!(inbox.sync().unwrap().uid_validity > 7);
    assert_eq!(uids(&inbox), [1, 2, 3]);
}

/// The keywords of a message.
fn keywords(store: &Store, uid: Uid) -> Vec<String> {
    let snapshot = store.sync().unwrap();
    let bits = snapshot.entry(uid).unwrap().flags.keywords;
    let names = snapshot.keywords.iter().enumerate();
    let mut names: Vec<String> =
        names.filter(|(bit, _)| bits >> bit & 1 != 0).map(|(_, name)| name.clone()).collect();
    names.sort();
    names
}

#[test]
fn keywords_without_letters_go_along_to_another_uidvalidity() {
    let ann = Ann::new();
    let all: Vec<String> = (10..45).map(|number| format!("k{number}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let inbox = ann.inbox();
    assert_eq!(append(&inbox, "without", 0, &[]), 1);
    assert_eq!(append(&inbox, "all", 0, &all), 2);
    assert_eq!(append(&inbox, "some", 0, &all[24..28]), 3);
    inbox.expunge(&[1]).unwrap();
    let first = inbox.sync().unwrap().uid_validity;
    let list = ann.read("dovecot-uidlist");
    let (_, rest) = list.split_once(" G").unwrap();
    ann.put("dovecot-uidlist", &format!("3 V{first} N4294967293 G{rest}"));
    assert_eq!(append(&inbox, "another", 0, &all[30..31]), 3);
    let second = inbox.sync().unwrap().uid_validity;
    assert!(second > first);
    let expected = [&all[..], &all[24..28], &all[30..31]];
    let check = |store: &Store| {
        let found = uids(store).into_iter().map(|uid| keywords(store, uid));
        assert!(found.eq(expected.map(<[&str]>::to_vec)), "{:?}", uids(store));
    };
    check(&inbox);
    check(&ann.stranger());
    // Another program gives a new one; or we did, and were killed.
    ann.put("dovecot-uidlist", &format!("3 V{} N8 Gx\n", second + 7));
    check(&ann.stranger());
    ann.forget_index();
    check(&ann.stranger());
    assert_eq!(uids(&ann.stranger()), [8, 9, 10]);
}

#[test]
fn locks_of_the_dead_do_not_hold() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let dead = child.id();
    child.wait().unwrap();
    ann.put("dovecot-uidlist.lock", &format!("{dead}:{host}"));
    append(&inbox, "a", 0, &[]);
    ann.put("dovecot-uidlist.lock", "1:elsewhere");
    let old = SystemTime::now() - Duration::from_secs(121);
    for file in ["dovecot-uidlist.lock", "dovecot-uidlist"] {
        fs::File::options()
            .write(true)
            .open(ann.home().join(file))
            .and_then(|file| file.set_modified(old))
            .unwrap();
    }
    append(&inbox, "b", 0, &[]);
    assert!(!ann.home().join("dovecot-uidlist.lock").exists());
}

#[test]
fn a_lock_that_one_of_us_left_does_not_hold() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    append(&inbox, "a", 0, &[]);
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    // Its number belongs to another process by now.
    ann.put("posthorn.lock", &format!("1:{host}"));
    let [file, lock] = ["posthorn.lock", "dovecot-uidlist.lock"].map(|name| ann.home().join(name));
    fs::hard_link(file, &lock).unwrap();
    append(&inbox, "b", 0, &[]);
    assert!(!lock.exists());
    assert_eq!(ann.read("posthorn.lock"), format!("{}:{host}", std::process::id()));
}

#[test]
fn what_a_dead_program_left_does_no_harm() {
    let ann = Ann::new();
    ann.open();
    ann.put("tmp/1.half", "half a mess");
    ann.put("new/3.a", "one");
    ann.put("cur/3.a:2,S", "another");
    let inbox = ann.inbox();
    assert_eq!(uids(&inbox).len(), 2, "two messages");
    assert_eq!(ann.names("new").len() + ann.names("cur").len(), 2);
    assert_eq!(ann.names("tmp"), ["1.half"], "it is not old yet");
}

/// Mutt renames by link and unlink, and holds no lock of ours.
#[test]
fn who_looks_between_link_and_unlink_takes_no_name_away() {
    let ann = Ann::new();
    ann.open();
    ann.put("new/2.a", "both");
    let inbox = ann.inbox();
    fs::hard_link(ann.home().join("new/2.a"), ann.home().join("cur/2.a:2,S")).unwrap();
    assert_eq!(uids(&inbox), [1], "one file with two names");
    let seen = NamedFlags { system: Flags::SEEN, ..NamedFlags::default() };
    inbox.store_flags(&[1], &FlagChange { how: Change::Add, flags: seen }).unwrap();
    fs::remove_file(ann.home().join("new/2.a")).unwrap();
    assert_eq!(uids(&inbox), [1]);
    assert_eq!(text(&inbox, 1), "both");
    assert_eq!(ann.names("cur"), ["2.a:2,S"]);
}

#[test]
fn flags_that_another_program_sets_meanwhile_are_kept() {
    let ann = Ann::new();
    ann.open();
    ann.put("new/1.a", "x");
    let mailbox = Mailbox::apart("INBOX", &Places::together(&ann.home()), &ann.home());
    let mut held = mailbox.hold().unwrap();
    ann.rename("new/1.a", "cur/1.a:2,F");
    let mut marking = Marking::begin(&held).unwrap();
    let answered = |flags: Flags, tail: &Tail| {
        let system = flags.system | Flags::ANSWERED;
        let flags = Flags { system, ..flags };
        (flags, tail.with_flags(flags))
    };
    marking.mark(&mut held, 1, answered).unwrap();
    marking.end(&mut held).unwrap();
    assert_eq!(ann.names("cur"), ["1.a:2,FR"]);
    let flags = held.snapshot().messages.get(0).unwrap().flags;
    assert!(flags.has(Flags::FLAGGED | Flags::ANSWERED));
}

/// A file that is renamed while it is listed may be missed, also by who looks for the first time:
/// it must not lose its UID for that.
#[test]
fn a_first_look_misses_what_has_a_uid() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    append(&inbox, "a", 0, &[]);
    let list = UidList::parse(ann.read("dovecot-uidlist").into_bytes()).unwrap();
    let lines = join::lines(&list);
    assert!(!join::are_all_in(&lines, &Listing::default()));
    let folders =
        Mailbox::apart("INBOX", &Places::together(&ann.home()), &ann.home()).folders().unwrap();
    let listing = folders.list(Listed::Both).unwrap();
    assert!(join::are_all_in(&lines, &listing));
}

#[test]
fn lines_of_the_gone_are_dropped_at_a_quarter() {
    let ann = Ann::new();
    ann.open();
    let mut list = "3 V7 N1 Gx\n".to_owned();
    for uid in 1..=100 {
        list.push_str(&format!("{uid} :{uid}.a\n"));
        ann.put(&format!("cur/{uid}.a:2,S"), "x");
    }
    ann.put("dovecot-uidlist", &list);
    let inbox = ann.inbox();
    let all: Vec<u32> = (1..=100).collect();
    inbox.expunge(&all[80..]).unwrap();
    inbox.sync().unwrap();
    assert_eq!(ann.read("dovecot-uidlist").lines().count(), 101);
    inbox.expunge(&all[70..]).unwrap();
    deliver(&inbox, "x");
    inbox.sync().unwrap();
    assert_eq!(ann.read("dovecot-uidlist").lines().count(), 72);
    assert_eq!(*uids(&inbox).last().unwrap(), 101);
}

#[test]
fn many_at_once_never_share_a_uid() {
    let ann = Ann::new();
    ann.open();
    let stores: Vec<Store> = (0..3).map(|_| ann.stranger()).collect();
    let work = |number: usize, store: &Store| {
        let mut mine = BTreeMap::new();
        for n in 0..12 {
            let content = format!("{number}-{n}");
            if n % 3 == 0 {
                deliver(store, &content);
            } else {
                mine.insert(append(store, &content, Flags::SEEN, &[]), content);
            }
            let snapshot = store.sync().unwrap();
            for entry in snapshot.messages.iter() {
                let added = Change::Add;
                let flags = NamedFlags { system: Flags::FLAGGED, ..NamedFlags::default() };
                if entry.uid % 5 == 0 {
                    store.store_flags(&[entry.uid], &FlagChange { how: added, flags }).unwrap();
                }
            }
        }
        mine
    };
    let work = &work;
    let told: Vec<BTreeMap<Uid, String>> = std::thread::scope(|scope| {
        let threads: Vec<_> = stores
            .iter()
            .enumerate()
            .map(|(n, store)| scope.spawn(move || work(n, store)))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let all = ann.stranger();
    assert_eq!(uids(&all), (1..=36).collect::<Vec<_>>());
    for (uid, content) in told.into_iter().flatten() {
        assert_eq!(text(&all, uid), content, "{uid}");
    }
    for store in &stores {
        assert_eq!(uids(store), uids(&all));
    }
}

/// What may happen to a mailbox.
#[derive(Debug, Clone)]
enum Event {
    /// By one of two processes.
    Append(usize),
    Deliver(usize),
    Sync(usize),
    Expunge(usize, usize),
    Flag(usize, usize),
    /// By another program.
    Put,
    Remove(usize),
    Mark(usize),
    /// A process dies and another begins.
    Restart(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let which = 0usize..2;
    prop_oneof![
        which.clone().prop_map(Event::Append),
        which.clone().prop_map(Event::Deliver),
        which.clone().prop_map(Event::Sync),
        (which.clone(), any::<usize>()).prop_map(|(w, n)| Event::Expunge(w, n)),
        (which.clone(), any::<usize>()).prop_map(|(w, n)| Event::Flag(w, n)),
        Just(Event::Put),
        any::<usize>().prop_map(Event::Remove),
        any::<usize>().prop_map(Event::Mark),
        which.prop_map(Event::Restart),
    ]
}

/// Two processes, and what sessions were shown so far.
struct World {
    ann: Ann,
    stores: Vec<Store>,
    shown: BTreeMap<Uid, String>,
    validity: u32,
    count: usize,
    removed: BTreeSet<String>,
}

impl World {
    fn new() -> Self {
        let ann = Ann::new();
        ann.open();
        let stores = vec![ann.stranger(), ann.stranger()];
        let validity = stores[0].sync().unwrap().uid_validity;
        let (shown, removed) = (BTreeMap::new(), BTreeSet::new());
        Self { ann, stores, shown, validity, count: 0, removed }
    }

    fn happen(&mut self, event: &Event) {
        self.count += 1;
        let content = format!("message {}", self.count);
        match event {
            Event::Append(which) => _ = append(&self.stores[*which], &content, Flags::SEEN, &[]),
            Event::Deliver(which) => deliver(&self.stores[*which], &content),
            Event::Sync(which) => self.look(*which),
            Event::Expunge(which, n) => {
                let uids = uids(&self.stores[*which]);
                if let Some(uid) = uids.get(n % uids.len().max(1)) {
                    self.stores[*which].expunge(&[*uid]).unwrap();
                }
            }
            Event::Flag(which, n) => {
                let uids = uids(&self.stores[*which]);
                let flags = NamedFlags { system: Flags::FLAGGED, keywords: vec!["k".to_owned()] };
                let change = FlagChange { how: Change::Add, flags };
                let some = &uids[..n % (uids.len() + 1)];
                self.stores[*which].store_flags(some, &change).unwrap();
            }
            Event::Put => self.ann.put(&format!("new/{}.foreign", self.count), &content),
            Event::Remove(n) => {
                if let Some(path) = self.some_file(*n) {
                    self.removed.insert(fs::read_to_string(&path).unwrap());
                    fs::remove_file(path).unwrap();
                }
            }
            Event::Mark(n) => {
                if let Some(path) = self.some_file(*n) {
                    let name = path.file_name().unwrap().to_str().unwrap();
                    let base = name.split(':').next().unwrap();
                    let target = self.ann.home().join("cur").join(format!("{base}:2,RS"));
                    fs::rename(path, target).unwrap();
                }
            }
            Event::Restart(which) => self.stores[*which] = self.ann.stranger(),
        }
        self.look(self.count % 2);
    }

    fn some_file(&self, n: usize) -> Option<PathBuf> {
        let paths = ["new", "cur"].map(|dir| {
            let path = self.ann.home().join(dir);
            names(&path).into_iter().map(move |name| path.join(name))
        });
        let paths: Vec<PathBuf> = paths.into_iter().flatten().collect();
        paths.get(n % paths.len().max(1)).cloned()
    }

    /// A UID shown once never names another message, and UIDVALIDITY stays.
    fn look(&mut self, which: usize) {
        let store = &self.stores[which];
        let snapshot = store.sync().unwrap();
        assert_eq!(snapshot.uid_validity, self.validity);
        assert!(snapshot.messages.iter().is_sorted_by(|a, b| a.uid < b.uid));
        for entry in snapshot.messages.iter() {
            assert!(entry.uid < snapshot.uid_next);
            let content = text(store, entry.uid);
            assert!(!self.removed.contains(&content));
            let known = self.shown.entry(entry.uid).or_insert_with(|| content.clone());
            assert_eq!(*known, content, "UID {}", entry.uid);
        }
        let files = self.ann.names("new").len() + self.ann.names("cur").len();
        assert_eq!(snapshot.messages.len(), files, "all are shown");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn uids_name_one_message_whatever_happens(
        events in prop::collection::vec(event(), 1..25),
    ) {
        let mut world = World::new();
        for event in &events {
            world.happen(event);
        }
    }
}
