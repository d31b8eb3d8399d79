//! What the index adds to a mailbox, and what its loss does not take away.

use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use mail_proto::mailbox::{Change, FlagChange, Flags, Snapshot};
use rustix::fs::inotify;

use super::super::held::Held;
use super::super::index::{self, Index};
use super::super::looks::Looks;
use super::super::{Finding, StoreError, more_keywords, uidlist};
use super::*;
use crate::disk::{Dir, Lasting};

fn add(system: u8) -> FlagChange {
    FlagChange { how: Change::Add, flags: NamedFlags { system, ..NamedFlags::default() } }
}

fn keyword(name: &str) -> FlagChange {
    let flags = NamedFlags { system: 0, keywords: vec![name.to_owned()] };
    FlagChange { how: Change::Add, flags }
}

/// What one session saw; what it sees next must follow from it.
#[derive(Debug, Default)]
struct Witness {
    last: Option<std::sync::Arc<Snapshot>>,
}

impl Witness {
    fn look(&mut self, store: &Store) {
        let now = store.sync().unwrap();
        if let Some(last) = &self.last {
            assert_eq!(now.uid_validity, last.uid_validity);
            assert!(now.uid_next >= last.uid_next, "{} < {}", now.uid_next, last.uid_next);
            assert!(now.modseq >= last.modseq, "{} < {}", now.modseq, last.modseq);
            for entry in now.messages.iter().filter(|entry| entry.uid < last.uid_next) {
                let before = last.entry(entry.uid);
                let before = before.unwrap_or_else(|| panic!("UID {} came back", entry.uid));
                assert!(entry.flags.has(before.flags.system), "flags of {} went", entry.uid);
            }
        }
        self.last = Some(now);
    }
}

/// A file of the index is deleted, cut, or overwritten.
fn spoil(ann: &Ann, n: usize) {
    let file = ["posthorn.index", "posthorn.log"][n % 2];
    let path = ann.home().join(file);
    let _ = match n / 2 % 4 {
        0 => fs::remove_file(path),
        1 => fs::OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(n as u64)),
        2 => fs::write(path, vec![n as u8; 5000]),
        _ => fs::write(path, []),
    };
}

#[test]
fn the_index_may_be_spoilt_while_a_hundred_sessions_are_open() {
    let ann = Ann::new();
    let shared = ann.inbox();
    let apart = [ann.stranger(), ann.stranger()];
    // More than all sessions together remove, whoever comes first.
    for n in 0..100 {
        append(&shared, &format!("message {n}"), if n < 20 { 0 } else { Flags::SEEN }, &[]);
    }
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let sessions: Vec<_> = (0..100)
            .map(|n| {
                let store = if n < 60 { shared.clone() } else { apart[n % 2].clone() };
                scope.spawn(move || session(&store, n))
            })
            .collect();
        let spoiling = scope.spawn(|| {
            let mut n = 0;
            while !over.load(Ordering::Relaxed) {
                spoil(&ann, n);
                n += 1;
                thread::yield_now();
            }
        });
        let all: Vec<_> = sessions.into_iter().map(thread::ScopedJoinHandle::join).collect();
        over.store(true, Ordering::Relaxed);
        spoiling.join().unwrap();
        for one in all {
            one.unwrap();
        }
    });
    let seen = shared.sync().unwrap();
    for store in apart.iter().chain([&ann.stranger()]) {
        let other = store.sync().unwrap();
        assert_eq!(other.messages, seen.messages);
        assert_eq!((other.uid_validity, other.uid_next), (seen.uid_validity, seen.uid_next));
    }
    let files = ann.names("new").len() + ann.names("cur").len();
    assert_eq!(seen.messages.len(), files);
}

fn session(store: &Store, n: usize) {
    let mut witness = Witness::default();
    for round in 0..4 {
        witness.look(store);
        match (n + round) % 5 {
            0 => _ = append(store, &format!("{n} {round}"), Flags::SEEN, &[]),
            1 => deliver(store, &format!("{n} {round}")),
            2 => {
                let uids = uids(store);
                store.store_flags(&uids[..uids.len().min(3)], &add(Flags::FLAGGED)).unwrap();
            }
            3 => {
                let uids = uids(store);
                store.expunge(&uids[uids.len() / 2..][..1]).unwrap();
            }
            _ => {
                let uids = uids(store);
                let uid = uids[n % uids.len()];
                match store.message(uid) {
                    Ok(_) | Err(StoreError::Gone(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
    witness.look(store);
}

/// Delivery takes no lock: it may come between a change of ours and our look at the directory.
#[test]
fn what_is_delivered_during_a_change_of_ours_is_seen_at_the_next_look() {
    let ann = Ann::new();
    let there = ann.inbox();
    append(&there, "a", 0, &[]);
    // They rest for so long that what is listed is sure.
    for place in ["new", "cur"] {
        let dir = fs::File::open(ann.home().join(place)).unwrap();
        dir.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    }
    assert_eq!(uids(&there), [1]);
    let mailbox = Mailbox::apart("INBOX", &Places::together(&ann.home()), &ann.home());
    let mut held = mailbox.hold().unwrap();
    let before = Looks::at(&held.folders).unwrap();
    fs::remove_file(ann.home().join("new").join(&ann.names("new")[0])).unwrap();
    ann.put("new/2.b", "b");
    held.record(vec![index::Change::Gone(1)], before);
    drop(held);
    for store in [there, Store::new(mailbox), ann.stranger()] {
        assert_eq!(uids(&store), [2]);
    }
}

#[test]
fn sessions_that_add_at_the_same_time_share_the_work() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    let told: Vec<(Uid, String)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|n| {
                let inbox = &inbox;
                scope.spawn(move || {
                    let text = |round| format!("{n} {round}");
                    let one = |round| (append(inbox, &text(round), 0, &["k"]), text(round));
                    (0..8).map(one).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(uids(&inbox), (1..=64).collect::<Vec<_>>());
    for (uid, content) in &told {
        assert_eq!(text(&inbox, *uid), *content);
    }
    let list = ann.read("dovecot-uidlist");
    assert_eq!(list.lines().count(), 65);
    assert_eq!(uids(&ann.stranger()), uids(&inbox));
}

#[test]
fn a_message_begun_before_its_mailbox_was_replaced_is_refused() {
    let ann = Ann::new();
    let directory = ann.open();
    directory.create("A").unwrap();
    let old = directory.mailbox("A").unwrap();
    let mut message = old.append(NewMessage::default()).unwrap();
    message.write(b"x").unwrap();
    directory.rename("A", "B").unwrap();
    directory.create("A").unwrap();
    assert!(matches!(message.commit(), Err(StoreError::Replaced)));
    assert_eq!(uids(&directory.mailbox("A").unwrap()), []);
    assert_eq!(uids(&directory.mailbox("B").unwrap()), []);
}

#[test]
fn messages_are_recent_for_one_session_whatever_their_flags() {
    let ann = Ann::new();
    let (here, there) = (ann.inbox(), ann.stranger());
    append(&here, "a", Flags::SEEN, &[]);
    deliver(&here, "b");
    assert_eq!((here.recent_from(false).unwrap(), there.recent_from(false).unwrap()), (1, 1));
    assert_eq!(there.recent_from(true).unwrap(), 1);
    assert_eq!((here.recent_from(true).unwrap(), there.recent_from(false).unwrap()), (3, 3));
    append(&there, "c", Flags::SEEN, &[]);
    assert_eq!(here.recent_from(false).unwrap(), 3);
    assert_eq!(ann.stranger().recent_from(true).unwrap(), 3);
    assert_eq!(here.recent_from(true).unwrap(), 4);
}

#[test]
fn modseqs_tell_what_changed_and_went() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    for content in ["a", "b", "c"] {
        append(&inbox, content, Flags::SEEN, &[]);
    }
    let first = inbox.sync().unwrap().modseq;
    let second = inbox.store_flags(&[2], &add(Flags::FLAGGED)).unwrap().modseq;
    assert!(second > first);
    assert_eq!(inbox.changed_since(first).unwrap(), [2]);
    assert_eq!((inbox.modseq(2).unwrap(), inbox.modseq(3).unwrap()), (second, first));
    let change = add(Flags::ANSWERED);
    let (snapshot, refused) = inbox.store_flags_unchanged(&[1, 2], &change, first).unwrap();
    assert_eq!(refused, [2]);
    assert!(snapshot.entry(1).unwrap().flags.has(Flags::ANSWERED));
    assert!(!snapshot.entry(2).unwrap().flags.has(Flags::ANSWERED));
    let third = snapshot.modseq;
    inbox.expunge(&[1]).unwrap();
    let stranger = ann.stranger();
    assert_eq!(stranger.vanished_since(third).unwrap(), Some(vec![1]));
    assert_eq!(stranger.changed_since(first).unwrap(), [2]);
    assert_eq!(stranger.sync().unwrap().modseq, inbox.sync().unwrap().modseq);
}

#[test]
fn a_quiet_mailbox_needs_no_lock_and_no_new_transaction() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    append(&inbox, "a", 0, &[]);
    super::confirm::settle(&ann);
    let log = ann.home().join("posthorn.log");
    let before = fs::metadata(&log).unwrap().len();
    fs::remove_file(ann.home().join("posthorn.lock")).unwrap();
    for store in [&inbox, &ann.stranger()] {
        assert_eq!(uids(store), [1]);
        assert_eq!(store.recent_from(false).unwrap(), 1);
    }
    assert_eq!(fs::metadata(&log).unwrap().len(), before);
    assert!(!ann.home().join("posthorn.lock").exists());
}

#[test]
fn uids_that_were_shown_are_not_given_again_after_a_power_cut() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    append(&inbox, "a", 0, &[]);
    deliver(&inbox, "b");
    assert_eq!(uids(&inbox), [1, 2]);
    // The cut took the end of the list, and what the log had not made last.
    let list = ann.read("dovecot-uidlist");
    let cut = list.rfind("2 :").unwrap();
    ann.put("dovecot-uidlist", &list[..cut]);
    let gone = ann.names("new").pop().unwrap();
    fs::remove_file(ann.home().join("new").join(gone)).unwrap();
    deliver(&ann.stranger(), "c");
    let stranger = ann.stranger();
    assert!(*uids(&stranger).last().unwrap() > 2, "{:?}", uids(&stranger));
}

/// A power cut takes the end of the log, of the UID list, and a message. What stays says how far
/// UIDs may have been given.
#[test]
fn after_another_boot_uids_go_on_behind_the_reserved_ones() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    append(&inbox, "a", 0, &[]);
    deliver(&inbox, "b");
    assert_eq!(uids(&inbox), [1, 2]);
    let files = ["posthorn.index", "posthorn.log", "dovecot-uidlist"];
    let lasting = files.map(|file| fs::read(ann.home().join(file)).unwrap());
    deliver(&inbox, "c");
    assert_eq!(uids(&inbox), [1, 2, 3]);
    let lost = ann.names("new").pop().unwrap();
    fs::remove_file(ann.home().join("new").join(lost)).unwrap();
    drop(inbox);
    for (file, bytes) in files.iter().zip(lasting) {
        fs::write(ann.home().join(file), bytes).unwrap();
    }
    let dir = Dir::open(&ann.home()).unwrap();
    let boot = index::boot_of([&dir, &dir, &dir]);
    let mut index = Index::open(&dir, boot).unwrap().unwrap();
    let reserved = index.head.reserved;
    assert!(reserved > 3);
    index.write(&dir, vec![index::Change::Boot([1; 16])], Lasting::No).unwrap();
    deliver(&ann.stranger(), "d");
    assert_eq!(uids(&ann.stranger()), [1, 2, reserved]);
}

/// What says how far UIDs may have been given was in the index alone, and a session was told.
#[test]
fn the_list_says_which_uid_is_next_where_it_is_not_behind_its_last_line() {
    let ann = Ann::new();
    append(&ann.inbox(), "a", 0, &[]);
    ann.put("new/1795365077.M1P1.host", "Subject: b\n\n");
    assert_eq!(uids(&ann.stranger()), [1, 2]);
    let dir = Dir::open(&ann.home()).unwrap();
    let mut index = Index::open(&dir, [1; 16]).unwrap().unwrap();
    index.write(&dir, vec![index::Change::Boot([1; 16])], Lasting::No).unwrap();
    let inbox = ann.stranger();
    let next = inbox.sync().unwrap().uid_next;
    assert!(next > 3, "there was no reserve");
    ann.forget_index();
    ann.put("new/1795365078.M1P1.host", "Subject: c\n\n");
    let there = uids(&ann.stranger());
    assert_eq!((&there[..2], there.len()), (&[1, 2][..], 3));
    assert!(there[2] >= next, "{} < {next}", there[2]);
    assert_eq!(uids(&inbox), there);
}

/// A power cut takes lines of the UID list, and the file that had their reserve cannot be read.
#[test]
fn after_another_boot_uids_jump_ahead_where_the_reserve_is_lost() {
    for spoilt in ["posthorn.index", "posthorn.log"] {
        let ann = Ann::new();
        append(&ann.inbox(), "a", 0, &[]);
        let dir = Dir::open(&ann.home()).unwrap();
        let mut index = Index::open(&dir, [1; 16]).unwrap().unwrap();
        index.write(&dir, vec![index::Change::Boot([1; 16])], Lasting::No).unwrap();
        index.checkpoint(&dir).unwrap();
        assert!(index.head.reserved <= 2);
        // More than UIDs jump ahead for a line.
        for number in 0..1100 {
            ann.put(&format!("new/{}.M1P1.host", 1_795_365_077 + number), "Subject: b\n\n");
        }
        assert_eq!(uids(&ann.stranger()).last(), Some(&1101));
        let list = ann.read("dovecot-uidlist");
        ann.put("dovecot-uidlist", &list[..list.find("\n2 :").unwrap() + 1]);
        let mut bytes = fs::read(ann.home().join(spoilt)).unwrap();
        bytes[60..].fill(0);
        fs::write(ann.home().join(spoilt), bytes).unwrap();
        let uids = uids(&ann.stranger());
        assert_eq!((uids[0], uids.len()), (1, 1101), "{spoilt}");
        assert!(uids[1] > 1101, "{spoilt}: {} names two messages", uids[1]);
        assert!(uids[1] < 10_000, "{spoilt}: {}", uids[1]);
    }
}

/// The list is lost, and of the index the log, which had more UIDs than UIDs jump ahead.
#[test]
fn without_list_and_log_all_uids_are_new() {
    let ann = Ann::new();
    append(&ann.inbox(), "a", 0, &[]);
    let validity = ann.stranger().sync().unwrap().uid_validity;
    for number in 0..1100 {
        ann.put(&format!("new/{}.M1P1.host", 1_795_365_077 + number), "Subject: b\n\n");
    }
    assert_eq!(uids(&ann.stranger()).last(), Some(&1101));
    for file in ["dovecot-uidlist", "posthorn.log"] {
        fs::remove_file(ann.home().join(file)).unwrap();
    }
    let now = ann.stranger().sync().unwrap();
    assert_eq!(now.messages.len(), 1101);
    assert!(now.uid_validity > validity, "{}", now.messages.last().unwrap().uid);
}

/// Who gave the UID died, or syncs nothing.
#[test]
fn uids_that_another_gave_are_within_a_reserve_before_they_are_shown() {
    let ann = Ann::new();
    append(&ann.inbox(), "a", 0, &[]);
    ann.put("new/1795365077.M1P1.host", "Subject: b\n\n");
    ann.put("dovecot-uidlist", &(ann.read("dovecot-uidlist") + "2 :1795365077.M1P1.host\n"));
    assert_eq!(uids(&ann.stranger()), [1, 2]);
    let index = Index::open(&Dir::open(&ann.home()).unwrap(), [1; 16]).unwrap().unwrap();
    assert!(index.head.reserved > 2, "{}", index.head.reserved);
}

/// Another gave UIDs and removed the messages: all that is shown of them is which UID is next.
#[test]
fn the_next_uid_is_within_a_reserve_before_it_is_shown() {
    let ann = Ann::new();
    append(&ann.inbox(), "a", 0, &[]);
    let lines = "2 :1795365077.M1P1.host\n3 :1795365077.M2P1.host\n";
    ann.put("dovecot-uidlist", &(ann.read("dovecot-uidlist") + lines));
    assert_eq!(ann.stranger().sync().unwrap().uid_next, 4);
    let index = Index::open(&Dir::open(&ann.home()).unwrap(), [1; 16]).unwrap().unwrap();
    assert!(index.head.reserved >= 4, "{}", index.head.reserved);
}

/// There is no index, none can be written, and the list was not synced with its last lines. To sync
/// it, it is opened for writing, which the system tells of; nothing is written.
#[test]
fn lines_last_before_they_are_shown_where_no_index_can_be_written() {
    let ann = Ann::new();
    append(&ann.inbox(), "a", 0, &[]);
    ann.forget_index();
    fs::create_dir(ann.home().join("posthorn.index")).unwrap();
    let list = ann.read("dovecot-uidlist");
    let events = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
    let synced = inotify::WatchFlags::CLOSE_WRITE;
    inotify::add_watch(&events, ann.home().join("dovecot-uidlist"), synced).unwrap();
    assert_eq!(uids(&ann.stranger()), [1]);
    assert_eq!(ann.read("dovecot-uidlist"), list);
    let mut buffer = [std::mem::MaybeUninit::uninit(); 1024];
    assert!(inotify::Reader::new(&events, &mut buffer).next().is_ok(), "it was not synced");
}

/// Whether INBOX can be held while files of its control directory cannot be made to last.
fn holds_without_sync(ann: &Ann, inbox: &Store) -> bool {
    let mut folders = inbox.mailbox.folders().unwrap();
    folders.control = Dir::without_sync(&ann.home());
    let held = Held::take(&inbox.mailbox, inbox.mailbox.known(), folders);
    held.inspect_err(|error| assert!(error.is_temporary(), "{error}")).is_ok()
}

/// The system says once that a sync failed. What could not be written is in its memory only, whoever
/// syncs the file later, and whichever session it is.
#[test]
fn a_list_that_could_not_be_synced_is_written_anew_before_its_uids_are_shown() {
    let inode = |ann: &Ann| fs::metadata(ann.home().join("dovecot-uidlist")).unwrap().ino();
    for (is_open, comes) in [(false, false), (false, true), (true, true)] {
        let ann = Ann::new();
        drop(ann.open());
        let inbox = ann.stranger();
        append(&inbox, "a", 0, &[]);
        ann.forget_index();
        fs::create_dir(ann.home().join("posthorn.index")).unwrap();
        if comes {
            deliver(&inbox, "b");
        }
        let (list, inbox) = (inode(&ann), if is_open { inbox } else { ann.stranger() });
        assert!(!holds_without_sync(&ann, &inbox), "{is_open} {comes}");
        assert_eq!(inode(&ann), list);
        let shown = uids(&ann.stranger());
        assert_eq!(shown.len(), if comes { 2 } else { 1 });
        let new = inode(&ann);
        assert_ne!(new, list, "{is_open} {comes}");
        assert_eq!([uids(&ann.stranger()), uids(&inbox)], [shown.clone(), shown]);
        assert_eq!(inode(&ann), new, "once");
    }
}

/// A power cut leaves zeros where lines of the UID list were that had not been synced, and the file
/// as long as it was.
#[test]
fn after_another_boot_lines_that_are_zeros_are_written_again() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    append(&inbox, "a", 0, &[]);
    deliver(&inbox, "b");
    super::confirm::settle(&ann);
    assert_eq!(uids(&inbox), [1, 2]);
    drop(inbox);
    let path = ann.home().join("dovecot-uidlist");
    let mut list = fs::read(&path).unwrap();
    let lost = ann.read("dovecot-uidlist").rfind("2 :").unwrap();
    list[lost..].fill(0);
    fs::write(&path, list).unwrap();
    let dir = Dir::open(&ann.home()).unwrap();
    let boot = index::boot_of([&dir, &dir, &dir]);
    let mut index = Index::open(&dir, boot).unwrap().unwrap();
    let reserved = index.head.reserved;
    // For the index it is as it was.
    let list = uidlist::stat(&dir).unwrap();
    let marks = Box::new(index::Marks { list, ..index.head.marks });
    let changes = vec![index::Change::Marks(marks), index::Change::Boot([1; 16])];
    index.write(&dir, changes, Lasting::No).unwrap();
    deliver(&ann.stranger(), "c");
    assert_eq!(uids(&ann.stranger()), [1, 2, reserved]);
    assert!(!ann.read("dovecot-uidlist").contains('\0'));
    ann.forget_index();
    assert_eq!(uids(&ann.stranger()), [1, 2, reserved], "the list has all of them");
}

/// The same for modseqs, with a clock that is behind all that clients saw.
#[test]
fn after_another_boot_modseqs_go_on_above_those_that_were_shown() {
    let ann = Ann::new();
    append(&ann.inbox(), "a", 0, &[]);
    ann.forget_index();
    let validity = ann.inbox().sync().unwrap().uid_validity;
    ann.forget_index();
    // Another server's were far ahead.
    let ahead = 1_u64 << 60;
    ann.put("posthorn.keywords", &format!("1 V{validity} M{ahead}\n"));
    let inbox = ann.stranger();
    assert!(inbox.sync().unwrap().modseq > ahead);
    // The power cut takes changes of which nothing is left.
    inbox.store_flags(&[1], &add(Flags::DRAFT)).unwrap();
    let files = ["posthorn.index", "posthorn.log"];
    let lasting = files.map(|file| fs::read(ann.home().join(file)).unwrap());
    let mut shown = 0;
    for how in [Change::Add, Change::Remove, Change::Add, Change::Remove] {
        let change = FlagChange { how, ..add(Flags::SEEN) };
        shown = inbox.store_flags(&[1], &change).unwrap().modseq.max(shown);
    }
    drop(inbox);
    for (file, bytes) in files.iter().zip(lasting) {
        fs::write(ann.home().join(file), bytes).unwrap();
    }
    let dir = Dir::open(&ann.home()).unwrap();
    let boot = index::boot_of([&dir, &dir, &dir]);
    let mut index = Index::open(&dir, boot).unwrap().unwrap();
    index.write(&dir, vec![index::Change::Boot([1; 16])], Lasting::No).unwrap();
    let (one, other) = (ann.stranger(), ann.stranger());
    let now = one.sync().unwrap().modseq;
    assert!(now > shown, "{now} {shown}");
    assert_eq!(other.sync().unwrap().modseq, now);
    let next = other.store_flags(&[1], &add(Flags::FLAGGED)).unwrap().modseq;
    assert_eq!(next, now + 1, "the clock is not asked");
}

#[test]
fn a_line_that_got_lost_is_written_again() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    for content in ["a", "b", "c"] {
        append(&inbox, content, 0, &[]);
    }
    let list = ann.read("dovecot-uidlist");
    ann.put("dovecot-uidlist", &list[..list.rfind("3 :").unwrap()]);
    for store in [&ann.stranger(), &inbox] {
        assert_eq!(uids(store), [1, 2, 3]);
        assert_eq!(text(store, 3), "c");
    }
    assert_eq!(ann.read("dovecot-uidlist").lines().count(), 4);
}

#[test]
fn a_refused_change_uses_up_no_letter() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    append(&inbox, "a", 0, &["first"]);
    let many = (0..100).map(|n| format!("k{n}")).collect();
    let flags = NamedFlags { system: 0, keywords: many };
    let change = FlagChange { how: Change::Add, flags };
    assert!(matches!(inbox.store_flags(&[1], &change), Err(StoreError::Keywords(_))));
    assert_eq!(ann.read("dovecot-keywords"), "0 first\n");
    assert_eq!(inbox.sync().unwrap().keywords.as_ref(), ["first"]);
}

#[test]
fn what_is_wrong_is_found_and_mended() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    for content in ["a", "b", "c"] {
        append(&inbox, content, Flags::SEEN, &[]);
    }
    assert_eq!(inbox.sync_whole().unwrap(), []);
    let names = ann.names("cur");
    fs::remove_file(ann.home().join("cur").join(&names[0])).unwrap();
    ann.rename(&format!("cur/{}", names[1]), &format!("cur/{}T", names[1]));
    ann.put(&format!("cur/{}", names[2]), "longer than it says");
    ann.put("new/1.a", "new");
    let found = ann.stranger().sync_whole().unwrap();
    let differs = Finding::IndexDiffers { missing: 1, gone: 1, flags: 1 };
    assert_eq!(found, [Finding::Unnumbered(1), differs, Finding::OtherSize(3)]);
    spoil(&ann, 4);
    assert_eq!(ann.stranger().sync_whole().unwrap(), [Finding::NoIndex, Finding::OtherSize(3)]);
    let before = inbox.sync().unwrap();
    assert_eq!(inbox.rebuild().unwrap(), []);
    let after = inbox.sync().unwrap();
    assert_eq!((&after.messages, after.uid_next), (&before.messages, before.uid_next));
    assert!(after.modseq > before.modseq);
}

#[test]
fn a_settled_mailbox_has_no_file_of_ours() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    for content in ["a", "b", "c"] {
        append(&inbox, content, Flags::SEEN, &["$Junk"]);
    }
    inbox.expunge(&[3]).unwrap();
    let validity = inbox.sync().unwrap().uid_validity;
    let settled = inbox.settle().unwrap();
    assert_eq!(settled.findings, []);
    assert_eq!(settled.snapshot.messages.len(), 2);
    let ours = |name: &String| name.starts_with("posthorn") && !name.contains("folders");
    let left: Vec<String> = ann.names("").into_iter().filter(ours).collect();
    assert_eq!(left, ["posthorn.uidvalidity.lock"]);
    let list = ann.read("dovecot-uidlist");
    assert!(list.starts_with(&format!("3 V{validity} N4 G")), "{list}");
    assert_eq!(list.lines().count(), 3);
    assert_eq!(uids(&ann.stranger()), [1, 2]);
}

#[test]
fn more_keywords_than_letters_stay_with_us() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    append(&inbox, "a", 0, &[]);
    append(&inbox, "b", 0, &[]);
    for n in 0..30 {
        inbox.store_flags(&[1], &keyword(&format!("k{n}"))).unwrap();
    }
    let all = (1 << 30) - 1;
    for store in [&inbox, &ann.stranger()] {
        let snapshot = store.sync().unwrap();
        assert_eq!({ snapshot.entry(1).unwrap().flags.keywords }, all);
        assert_eq!(snapshot.keywords.len(), 30);
    }
    ann.forget_index();
    let stranger = ann.stranger();
    assert_eq!({ stranger.sync().unwrap().entry(1).unwrap().flags.keywords }, all);
    assert!(ann.read(more_keywords::FILE).contains("K 26 k26\n"));
    let (_, pairs) = stranger.copy(&[1], &ann.open().mailbox("Sent").unwrap()).unwrap();
    assert_eq!(pairs, [(1, 1)]);
    let sent = ann.open().mailbox("Sent").unwrap().sync().unwrap();
    assert_eq!({ sent.entry(1).unwrap().flags.keywords }, all);
    let settled = stranger.settle().unwrap();
    assert_eq!(settled.findings.len(), 4);
}
