//! One mailbox.

use std::sync::Arc;
use std::time::Duration;

use mail_proto::mailbox::{Change, FlagChange, Flags};

use super::super::flags::Marking;
use super::super::mailbox::Mailbox;
use super::super::places::Places;
use super::super::{Delivery, DeliveryId, StoreError};
use super::*;
use crate::disk::Dir;

fn change(how: Change, system: u8, keywords: &[&str]) -> FlagChange {
    let keywords = keywords.iter().map(|keyword| (*keyword).to_owned()).collect();
    FlagChange { how, flags: NamedFlags { system, keywords } }
}

#[test]
fn a_message_goes_in_and_comes_out() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    assert_eq!(uids(&inbox), []);
    let mut message = inbox
        .append(NewMessage { internal_date: Some(1_000_000_000), ..NewMessage::default() })
        .unwrap();
    message.write(b"A: b\r").unwrap();
    message.write(b"\n\r\nx\n").unwrap();
    let located = message.commit().unwrap();
    let snapshot = inbox.sync().unwrap();
    assert_eq!((located.uid, located.uid_validity), (1, snapshot.uid_validity));
    assert_eq!(text(&inbox, 1), "A: b\n\nx\n");
    assert_eq!(inbox.size(1).unwrap(), 11);
    assert_eq!(inbox.internal_date(1).unwrap(), 1_000_000_000);
    assert!(ann.names("new")[0].ends_with(",S=8,W=11"));
    assert_eq!(ann.names("tmp"), [""; 0]);
    assert!(Arc::ptr_eq(&snapshot, &ann.inbox().sync().unwrap()), "nothing changed");
}

#[test]
fn a_message_given_up_leaves_no_trace() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    let mut message = inbox.append(NewMessage::default()).unwrap();
    message.write(&[b'x'; 100_000]).unwrap();
    drop(message);
    assert_eq!((ann.names("tmp"), ann.names("new")), (Vec::new(), Vec::new()));
    assert_eq!(uids(&inbox), []);
}

fn delivery_id(number: usize) -> DeliveryId {
    DeliveryId::parse(&format!("8MoK2mX2A0VhSXz9.{number}")).unwrap()
}

#[test]
fn a_delivery_repeated_is_there_once() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    assert_eq!(attempt(&inbox, Some(&delivery_id(0)), "one\n"), Delivery::Made);
    let first = ann.names("new");
    assert_eq!(attempt(&inbox, Some(&delivery_id(0)), "two\n"), Delivery::Repeated);
    assert_eq!(ann.names("new"), first);
    assert_eq!(ann.read(&format!("new/{}", first[0])), "one\n", "it is not replaced");
    assert_eq!(ann.names("tmp"), [""; 0]);
    assert_eq!(attempt(&inbox, Some(&delivery_id(1)), "one\n"), Delivery::Made);
    deliver(&inbox, "one\n");
    assert_eq!(ann.names("new").len(), 3, "other deliveries are other messages");
}

#[test]
fn attempts_at_the_same_time_make_one_message() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    let id = delivery_id(0);
    let outcomes: Vec<Delivery> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| attempt(&inbox, Some(&id), "x\n"))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Delivery::Made).count(), 1);
    assert_eq!((ann.names("new").len(), ann.names("tmp").len()), (1, 0));
}

#[test]
fn an_attempt_that_died_is_not_in_the_way() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    let id = delivery_id(0);
    let mut message = inbox.append(NewMessage::default()).unwrap();
    message.write(b"half of i").unwrap();
    std::mem::forget(message);
    assert!(!inbox.holds_delivery(&id).unwrap(), "never half");
    assert_eq!(attempt(&inbox, Some(&id), "x\n"), Delivery::Made);
}

#[test]
fn what_another_attempt_confirmed_is_not_taken_back() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    let id = delivery_id(0);
    let mut message = inbox.append(NewMessage::default()).unwrap();
    message.write(b"x\n").unwrap();
    let mut whole = message.finish().unwrap();
    whole.folders.new = Dir::without_sync(&ann.home().join("new"));
    let failed = whole.put(Some(&id), &());
    assert!(failed.unwrap_err().is_temporary());
    // Of another process, that did not know of the first and can sync.
    assert_eq!(attempt(&inbox, Some(&id), "x\n"), Delivery::Repeated);
    assert_eq!(ann.names("new").len(), 1, "somebody was told that it is there");
    assert!(inbox.holds_delivery(&id).unwrap());
    assert_eq!(attempt(&inbox, Some(&id), "x\n"), Delivery::Repeated);
}

#[test]
fn a_delivery_is_found_wherever_its_reader_put_it() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    let holds = |number| inbox.holds_delivery(&delivery_id(number)).unwrap();
    assert!(!holds(1));
    attempt(&inbox, Some(&delivery_id(1)), "one\n");
    attempt(&inbox, Some(&delivery_id(11)), "eleven\n");
    assert!(holds(1) && holds(11) && !holds(0) && !holds(2) && !holds(111));
    inbox.recent_from(true).unwrap();
    assert_eq!(ann.names("new"), [""; 0]);
    assert!(holds(1) && holds(11));
    inbox.store_flags(&[1, 2], &change(Change::Add, Flags::SEEN, &["$Junk"])).unwrap();
    assert!(ann.names("cur")[0].ends_with(":2,Sa"));
    assert!(holds(1) && holds(11));
    // Another host name, and no sizes: whoever restores a backup may call it so.
    let name = ann.names("cur")[0].clone();
    let (word, _) = name.split_once("-1.").unwrap();
    ann.rename(&format!("cur/{name}"), &format!("cur/{word}-1.elsewhere:2,"));
    assert!(holds(1));
    // What is gone, or in another mailbox, is not here.
    inbox.expunge(&[2]).unwrap();
    assert!(!holds(11) && holds(1));
}

#[test]
fn delivered_messages_get_uids_in_order_of_arrival() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    for content in ["one", "two", "three"] {
        deliver(&inbox, content);
    }
    assert_eq!(uids(&inbox), [1, 2, 3]);
    assert_eq!(text(&inbox, 2), "two");
    ann.put("new/10.M5P1.other", "old");
    ann.put("new/10.M40P1.other", "older");
    assert_eq!(uids(&inbox), [1, 2, 3, 4, 5]);
    assert_eq!(text(&inbox, 4), "old");
    let list = ann.read("dovecot-uidlist");
    assert!(list.ends_with("\n4 :10.M5P1.other\n5 :10.M40P1.other\n"), "{list}");
}

#[test]
fn flags_are_in_file_names() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    append(&inbox, "x", 0, &[]);
    append(&inbox, "y", Flags::SEEN, &["$Junk"]);
    let snapshot =
        inbox.store_flags(&[1, 2, 9], &change(Change::Add, Flags::FLAGGED, &["foo"])).unwrap();
    assert_eq!(snapshot.keywords.as_ref(), ["$Junk", "foo"]);
    assert_eq!(
        snapshot.messages.get(0).unwrap().flags,
        Flags { system: Flags::FLAGGED, keywords: 2 }
    );
    // Names of one second are in no order: their microseconds have no leading zeros.
    let is_there = |end: &str| ann.names("cur").iter().any(|name| name.ends_with(end));
    assert!(is_there(":2,Fb") && is_there(":2,FSab"), "{:?}", ann.names("cur"));
    assert_eq!(ann.read("dovecot-keywords"), "0 $Junk\n1 foo\n");
    inbox.store_flags(&[2], &change(Change::Replace, Flags::DELETED, &[])).unwrap();
    inbox.store_flags(&[1], &change(Change::Remove, Flags::FLAGGED, &["FOO", "no"])).unwrap();
    assert!(is_there(":2,") && is_there(":2,T"), "{:?}", ann.names("cur"));
    let many: Vec<String> = (0..70).map(|n| format!("k{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let error = inbox.store_flags(&[1], &change(Change::Add, 0, &many)).unwrap_err();
    assert!(matches!(error, StoreError::Keywords(_)), "{error}");
}

#[test]
fn recent_messages_are_claimed_once() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    deliver(&inbox, "x");
    append(&inbox, "y", Flags::SEEN, &[]);
    assert_eq!(inbox.recent_from(false).unwrap(), 1);
    assert_eq!(inbox.recent_from(true).unwrap(), 1);
    assert_eq!(ann.names("new"), [""; 0]);
    assert_eq!(inbox.recent_from(true).unwrap(), 3);
    deliver(&inbox, "z");
    assert_eq!(inbox.recent_from(false).unwrap(), 3);
}

#[test]
fn expunged_uids_never_come_back() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    for content in ["a", "b", "c"] {
        append(&inbox, content, Flags::SEEN, &[]);
    }
    let kept = ann.names("cur")[2].clone();
    let open = inbox.message(3).unwrap();
    let snapshot = inbox.expunge(&[3, 1, 7]).unwrap();
    assert_eq!(snapshot.messages.len(), 1);
    assert_eq!(snapshot.uid_next, 4);
    assert!(matches!(inbox.message(3), Err(StoreError::Gone(3))));
    let mut buffer = [0; 9];
    assert_eq!(open.read_at(&mut buffer, 0).unwrap(), 1, "what is open can be read to its end");
    ann.put(&format!("cur/{kept}"), "c");
    assert_eq!(uids(&inbox), [2, 4], "a restored file is a new message");
}

#[test]
fn who_takes_deleted_away_saves_the_message() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    for content in ["a", "b", "c", "d"] {
        append(&inbox, content, Flags::DELETED, &[]);
    }
    let mailbox = Mailbox::apart("INBOX", &Places::together(&ann.home()), &ann.home());
    // Somebody else takes it away while the other waits for the lock.
    let mut held = mailbox.hold().unwrap();
    let waiting = std::thread::spawn({
        let inbox = inbox.clone();
        move || inbox.expunge_deleted(Some(&[1, 2, 3])).unwrap()
    });
    std::thread::sleep(Duration::from_millis(100));
    let mut marking = Marking::begin(&held).unwrap();
    let kept = Flags::default();
    marking.mark(&mut held, 2, |_, tail| (kept, tail.with_flags(kept))).unwrap();
    marking.end(&mut held).unwrap();
    drop(held);
    waiting.join().unwrap();
    assert_eq!(uids(&inbox), [2, 4]);
    inbox.expunge_deleted(None).unwrap();
    assert_eq!(uids(&inbox), [2]);
}

#[test]
fn copies_keep_flags_and_dates() {
    let ann = Ann::new();
    let (inbox, sent) = (ann.inbox(), ann.open().mailbox("Sent").unwrap());
    append(&sent, "other", 0, &["first"]);
    append(&inbox, "a", Flags::SEEN, &["second"]);
    let mut message =
        inbox.append(NewMessage { internal_date: Some(1234), ..NewMessage::default() }).unwrap();
    message.write(b"b\r\n").unwrap();
    message.commit().unwrap();
    let (validity, pairs) = inbox.copy(&[2, 1, 2, 99], &sent).unwrap();
    let snapshot = sent.sync().unwrap();
    assert_eq!(validity, snapshot.uid_validity);
    assert_eq!(pairs, [(1, 2), (2, 3)]);
    assert_eq!(snapshot.keywords.as_ref(), ["first", "second"]);
    assert_eq!(snapshot.messages.get(1).unwrap().flags, Flags { system: Flags::SEEN, keywords: 2 });
    assert_eq!((sent.internal_date(3).unwrap(), sent.size(3).unwrap()), (1234, 3));
    let (_, pairs) = inbox.copy(&[1], &inbox).unwrap();
    assert_eq!(pairs, [(1, 3)]);
    inbox.expunge(&[1, 2]).unwrap();
    assert_eq!(text(&sent, 3), "b\n");
}

#[test]
fn what_others_do_is_seen() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    for content in ["a", "b", "c"] {
        append(&inbox, content, Flags::SEEN, &[]);
    }
    let names = ann.names("cur");
    ann.rename(&format!("cur/{}", names[0]), &format!("cur/{}RPx", names[0]));
    fs::remove_file(ann.home().join("cur").join(&names[1])).unwrap();
    assert_eq!(text(&inbox, 1), "a", "found under its new name");
    let snapshot = inbox.sync().unwrap();
    let flags = Flags { system: Flags::SEEN | Flags::ANSWERED, keywords: 1 << 23 };
    assert_eq!(snapshot.messages.get(0).unwrap().flags, flags);
    assert_eq!(uids(&inbox), [1, 3]);
    ann.rename(&format!("cur/{}", names[2]), &format!("cur/{}T", names[2]));
    let snapshot = inbox.store_flags(&[3], &change(Change::Add, Flags::FLAGGED, &[])).unwrap();
    assert!(snapshot.messages.get(1).unwrap().flags.has(Flags::FLAGGED | Flags::DELETED));
    inbox.store_flags(&[1], &change(Change::Add, Flags::DRAFT, &[])).unwrap();
    assert!(ann.names("cur")[0].ends_with(":2,DPRSx"), "others' letters are kept");
}

#[test]
fn sizes_are_counted_where_names_do_not_say() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    ann.put("new/1.a.b", "x\r\ny\nz");
    ann.put("new/2.a.b,S=3,W=9", "x\ny\nz\n");
    assert_eq!(uids(&inbox), [1, 2]);
    assert_eq!(inbox.size(1).unwrap(), 7);
    inbox.message(2).unwrap();
    assert_eq!(inbox.size(2).unwrap(), 9, "six octets and three line ends");
}

#[test]
fn a_quota_file_hears_of_what_comes_and_goes() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    ann.put("maildirsize", "1000S\n0 0\n");
    append(&inbox, "abc", Flags::SEEN, &[]);
    deliver(&inbox, "abcdef");
    inbox.copy(&[1], &ann.open().mailbox("Sent").unwrap()).unwrap();
    inbox.expunge(&uids(&inbox)).unwrap();
    assert_eq!(ann.read("maildirsize"), "1000S\n0 0\n3 1\n6 1\n3 1\n-9 -2\n");
}

#[test]
fn one_session_has_the_maildrop() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    let held = inbox.lock_maildrop().unwrap();
    assert!(held.is_some() && inbox.lock_maildrop().unwrap().is_none());
    drop(held);
    assert!(inbox.lock_maildrop().unwrap().is_some());
}

#[tokio::test]
async fn news_wake_who_waits() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    let mut watch = inbox.watch();
    let soon = Duration::from_secs(10);
    let quiet = tokio::time::timeout(Duration::from_millis(50), watch.changed()).await;
    assert!(quiet.is_err(), "nothing happened");
    deliver(&inbox, "x");
    tokio::time::timeout(soon, watch.changed()).await.unwrap();
    ann.put("new/1.a.b", "x");
    let given_up = tokio::time::timeout(Duration::ZERO, watch.changed()).await;
    assert!(given_up.is_err());
    tokio::time::timeout(soon, watch.changed()).await.unwrap();
}
