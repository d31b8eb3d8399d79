//! Somebody writes the UID list without the lock, in the moment in which we do.

use std::fs;

use mail_proto::mailbox::Flags;

use super::super::admit::Newcomer;
use super::super::held::Held;
use super::super::index::Marks;
use super::super::known;
use super::super::looks::Looks;
use super::super::tail::Tail;
use super::super::uidlist::Lists;
use super::*;

/// How the files look, but for the list, which is as it was known.
fn marks_with_known_list(held: &mut Held<'_>) -> Marks {
    let list = held.index().head.marks.list;
    Marks { list, ..known::marks(&held.folders).unwrap() }
}

/// A mailbox of so many messages.
fn mailbox(messages: u32) -> (Ann, Store) {
    let ann = Ann::new();
    ann.open();
    let mut list = "3 V7 N1 Gx\n".to_owned();
    for uid in 1..=messages {
        ann.put(&format!("cur/{uid}.a:2,S"), "text");
        list.push_str(&format!("{uid} :{uid}.a\n"));
    }
    ann.put("dovecot-uidlist", &list);
    let inbox = ann.stranger();
    assert_eq!(uids(&inbox).len(), messages as usize);
    (ann, inbox)
}

#[test]
fn a_list_that_is_damaged_when_it_is_to_be_written_anew() {
    for content in ["nonsense\n", "3 V7 N1 Gx\n1 :1.a\n"] {
        let (ann, inbox) = mailbox(100);
        let mut held = inbox.mailbox.hold().unwrap();
        held.lock.dotlock().unwrap();
        for uid in uids_of(&held).iter().rev().take(40) {
            fs::remove_file(ann.home().join(format!("cur/{uid}.a:2,S"))).unwrap();
        }
        let now = marks_with_known_list(&mut held);
        ann.put("dovecot-uidlist", content);
        assert_eq!(held.look(now).unwrap(), Lists::Changed, "{content:?}");
        held.refresh().unwrap();
        let left = uids_of(&held);
        drop(held);
        assert_eq!(uids(&ann.stranger()), left);
        let lines = ann.read("dovecot-uidlist").lines().count();
        assert_eq!(lines, left.len() + 1, "{content:?}: it is written from memory");
    }
}

#[test]
fn a_line_that_comes_when_ours_are_to_be_written() {
    let (ann, inbox) = mailbox(3);
    let mut held = inbox.mailbox.hold().unwrap();
    held.lock.dotlock().unwrap();
    ann.put("new/5.a", "ours");
    ann.put("new/4.a", "theirs");
    let now = marks_with_known_list(&mut held);
    let list = ann.read("dovecot-uidlist");
    ann.put("dovecot-uidlist", &format!("{list}4 :4.a\n"));
    assert_eq!(held.look(now).unwrap(), Lists::Changed);
    held.refresh().unwrap();
    assert_eq!(uids_of(&held), [1, 2, 3, 4, 5]);
    drop(held);
    let stranger = ann.stranger();
    assert_eq!((text(&stranger, 4), text(&stranger, 5)), ("theirs".to_owned(), "ours".to_owned()));
}

fn uids_of(held: &Held<'_>) -> Vec<Uid> {
    held.snapshot().messages.iter().map(|entry| entry.uid).collect()
}

#[test]
fn uids_that_dovecot_gave_before_we_had_its_lock_are_not_given_again() {
    let (ann, inbox) = mailbox(1);
    let mut held = inbox.mailbox.hold().unwrap();
    ann.put("cur/2.a:2,S", "text");
    ann.put("dovecot-uidlist", "3 V7 N3 Gx\n1 :1.a\n2 :2.a\n");
    held.lock.dotlock().unwrap();
    held.write(1).unwrap();
    let before = Looks::at(&held.folders).unwrap();
    ann.put("new/3.a", "text");
    let newcomer = Newcomer::new("3.a", Flags::default(), Tail::Plain);
    assert_eq!(held.admit(&[newcomer], before).unwrap(), [3]);
    drop(held);
    assert_eq!(uids(&inbox), [1, 2, 3]);
    assert_eq!(uids(&ann.stranger()), [1, 2, 3]);
}
