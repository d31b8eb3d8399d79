//! Mailboxes are listed once more after our own changes.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use mail_proto::mailbox::{Change, FlagChange, Flags, NamedFlags};

use super::super::confirm::{Confirmed, Queue, confirm};
use super::super::index;
use super::super::looks::{Look, Looks, Trust};
use super::*;
use crate::disk::Lasting;

/// Nothing is in doubt for longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until nothing can be hidden any more, and lists.
pub(super) fn settle(ann: &Ann) {
    let stranger = ann.stranger();
    let folders = stranger.mailbox.folders().unwrap();
    wait_until(|| !Looks::at(&folders).unwrap().were_recent());
    stranger.sync().unwrap();
    wait_until(|| {
        let is_in_doubt = ann.stranger().mailbox.is_in_doubt().unwrap();
        if is_in_doubt {
            confirm(&ann.stranger().mailbox).unwrap();
        }
        !is_in_doubt
    });
}

fn wait_until(mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "it never is");
        thread::sleep(Duration::from_millis(5));
    }
}

/// What was done to files since our last change left no trace in time stamps.
fn hide(ann: &Ann) {
    let folders = ann.stranger().mailbox.folders().unwrap();
    let ours = |look: Look| Look { trust: Trust::RecentByUs, ..look };
    let looks = Looks::at(&folders).unwrap();
    let looks = Looks { new: ours(looks.new), cur: ours(looks.cur) };
    let mut index = index::Index::open(&folders.index, folders.boot()).unwrap().unwrap();
    let marks = index::Marks { looks: Some(looks), ..index.head.marks };
    let change = index::Change::Marks(Box::new(marks));
    index.write(&folders.index, vec![change], Lasting::No).unwrap();
}

fn flag(store: &Store, uid: Uid, system: u8) {
    let flags = NamedFlags { system, keywords: Vec::new() };
    store.store_flags(&[uid], &FlagChange { how: Change::Add, flags }).unwrap();
}

fn log_length(ann: &Ann) -> u64 {
    fs::metadata(ann.home().join("posthorn.log")).unwrap().len()
}

#[test]
fn a_mailbox_is_confirmed_once_for_all_processes() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    append(&inbox, "a", 0, &["$Forwarded"]);
    append(&inbox, "b", 0, &[]);
    settle(&ann);
    deliver(&inbox, "c");
    settle(&ann);
    assert_eq!(uids(&inbox), [1, 2, 3]);
    flag(&inbox, 2, Flags::SEEN);
    assert!(inbox.mailbox.is_in_doubt().unwrap());
    let known = inbox.sync().unwrap();
    settle(&ann);
    assert!(!inbox.mailbox.is_in_doubt().unwrap());
    assert_eq!(inbox.sync().unwrap(), known);
    let length = log_length(&ann);
    assert_eq!(confirm(&ann.stranger().mailbox).unwrap(), Confirmed::Yes);
    assert_eq!(log_length(&ann), length);
}

#[test]
fn nothing_is_listed_while_more_may_be_hidden() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    append(&inbox, "a", Flags::SEEN, &[]);
    settle(&ann);
    let begun = Instant::now();
    flag(&inbox, 1, Flags::FLAGGED);
    let confirmed = confirm(&ann.stranger().mailbox).unwrap();
    // A slow machine proves nothing.
    if begun.elapsed() < Duration::from_millis(80) {
        assert_eq!(confirmed, Confirmed::NotYet);
    }
    assert!(inbox.mailbox.is_in_doubt().unwrap() || begun.elapsed() > Duration::from_millis(80));
}

#[test]
fn what_was_hidden_is_found() {
    let hidden: [(&str, &[Uid], u8); 4] = [
        ("flags", &[1, 2], Flags::SEEN | Flags::ANSWERED),
        ("gone", &[2], 0),
        ("came", &[1, 2, 3], Flags::SEEN),
        ("odd", &[1, 2], Flags::SEEN),
    ];
    for (what, expected, system) in hidden {
        let ann = Ann::new();
        let inbox = ann.inbox();
        append(&inbox, "a", Flags::SEEN, &[]);
        append(&inbox, "b", Flags::SEEN, &[]);
        settle(&ann);
        let cur = ann.home().join("cur");
        let first = ann.names("cur").into_iter().min().unwrap();
        let renamed = |tail: &str| cur.join(format!("{}:2,{tail}", name::base(&first)));
        match what {
            "flags" => fs::rename(cur.join(&first), renamed("RS")).unwrap(),
            "odd" => fs::rename(cur.join(&first), renamed("PS")).unwrap(),
            "gone" => fs::remove_file(cur.join(&first)).unwrap(),
            _ => fs::write(cur.join("1.other.host:2,F"), "other").unwrap(),
        }
        hide(&ann);
        assert_eq!(uids(&inbox), [1, 2], "{what}: it is hidden");
        settle(&ann);
        assert_eq!(uids(&inbox), expected, "{what}");
        let snapshot = inbox.sync().unwrap();
        let flags = snapshot.messages.get(0).filter(|entry| entry.uid == 1);
        assert_eq!(flags.map_or(0, |entry| entry.flags.system), system, "{what}");
        flag(&inbox, 2, Flags::FLAGGED);
        assert_eq!(uids(&ann.stranger()), expected, "{what}");
    }
}

#[test]
fn the_thread_lists_what_nobody_has_open_any_more() {
    let ann = Ann::new();
    append(&ann.inbox(), "a", Flags::SEEN, &[]);
    settle(&ann);
    let inbox = ann.stranger();
    flag(&inbox, 1, Flags::FLAGGED);
    let queue = Queue::begin();
    queue.ask(&inbox.mailbox);
    drop(inbox);
    let reader = ann.stranger();
    wait_until(|| !reader.mailbox.is_in_doubt().unwrap());
    assert_eq!(uids(&reader), [1]);
}
