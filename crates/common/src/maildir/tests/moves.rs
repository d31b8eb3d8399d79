//! Messages move to another mailbox while others change them.

use std::fs;
use std::sync::Barrier;

use mail_proto::mailbox::{Change, FlagChange, Flags, NamedFlags, Uid};

use super::super::Store;
use super::super::moves::Move;
use super::{Ann, append, text, uids};

fn add(system: u8, keywords: &[&str]) -> FlagChange {
    let keywords = keywords.iter().map(|keyword| (*keyword).to_owned()).collect();
    FlagChange { how: Change::Add, flags: NamedFlags { system, keywords } }
}

/// A mailbox as another process knows it.
fn stranger(store: &Store) -> Store {
    Store::new(store.mailbox.stranger())
}

/// The flags of a message, by name.
fn flags(store: &Store, uid: Uid) -> (u8, Vec<String>) {
    let snapshot = store.sync().unwrap();
    let flags = snapshot.messages.get(snapshot.messages.position(uid).unwrap()).unwrap().flags;
    let names = snapshot.keywords.iter().enumerate();
    let names = names.filter(|(bit, _)| flags.keywords >> bit & 1 != 0);
    (flags.system, names.map(|(_, name)| name.clone()).collect())
}

#[test]
fn flags_that_come_while_messages_move_come_along() {
    let ann = Ann::new();
    let (inbox, sent) = (ann.inbox(), ann.open().mailbox("Sent").unwrap());
    for number in 0..100 {
        append(&inbox, &number.to_string(), Flags::SEEN, &[]);
    }
    let (all, other, start) = (uids(&inbox), stranger(&inbox), Barrier::new(2));
    let told = std::thread::scope(|scope| {
        let flagging = scope.spawn(|| {
            start.wait();
            let flagged = |uid: &Uid| {
                let change = add(Flags::FLAGGED, &["late"]);
                let told = other.store_flags(&[*uid], &change).unwrap();
                told.messages.position(*uid).is_ok()
            };
            all.iter().copied().filter(flagged).collect::<Vec<Uid>>()
        });
        start.wait();
        let (_, pairs, _) = inbox.move_to(&all, &sent).unwrap();
        let told = flagging.join().unwrap();
        let moved = |uid: &Uid| pairs.iter().find(|(old, _)| old == uid).unwrap().1;
        told.iter().map(moved).collect::<Vec<Uid>>()
    });
    assert_eq!((uids(&inbox).len(), uids(&sent).len()), (0, 100));
    for uid in told {
        let expected = (Flags::SEEN | Flags::FLAGGED, vec!["late".to_owned()]);
        assert_eq!(flags(&sent, uid), expected, "{uid}");
    }
}

/// Begins to move messages of INBOX.
fn begin<'store>(inbox: &'store Store, uids: &[Uid], target: &'store Store) -> Move<'store> {
    Move::begin(&inbox.mailbox, inbox.pin, uids, &target.mailbox).unwrap()
}

#[test]
fn what_other_programs_change_meanwhile_is_carried() {
    let ann = Ann::new();
    let (inbox, sent) = (ann.inbox(), ann.open().mailbox("Sent").unwrap());
    append(&sent, "other", 0, &["first"]);
    let many: Vec<String> = (0..30).map(|number| format!("k{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    append(&inbox, "1", Flags::SEEN, &many);
    for text in ["2", "3", "4"] {
        append(&inbox, text, Flags::SEEN, &["k0", "k1"]);
    }
    let before = ann.names("cur");
    let moving = begin(&inbox, &[1, 2, 3], &sent);
    // mutt knows nothing of our locks; P is a letter that we do not know.
    for (number, letters) in [(0, "FS"), (1, "FPSb"), (2, "")] {
        let (base, _) = before[number].split_once(":2,").unwrap();
        ann.rename(&format!("cur/{}", before[number]), &format!("cur/{base}:2,{letters}"));
    }
    let copies = ann.names(".Sent/cur");
    let draft = copies[2].replace(":2,S", ":2,DS");
    ann.rename(&format!(".Sent/cur/{}", copies[2]), &format!(".Sent/cur/{draft}"));
    let moved = moving.finish().unwrap();
    assert_eq!(moved.messages.len(), 3);
    assert_eq!((uids(&inbox), uids(&sent)), (vec![4], vec![1, 2, 3, 4]));
    let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    // Its name said nothing any more of what has letters.
    assert_eq!(flags(&sent, 2), (Flags::SEEN | Flags::FLAGGED, named(&many[26..])));
    let all = Flags::SEEN | Flags::FLAGGED | Flags::DRAFT;
    assert_eq!(flags(&sent, 3), (all, named(&["k1"])));
    assert_eq!(flags(&sent, 4), (0, vec![]));
    assert!(ann.names(".Sent/cur")[2].contains(":2,DFPS"), "{:?}", ann.names(".Sent/cur"));
}

/// INBOX with three messages, Sent without any, and the names of the files in INBOX.
fn three(ann: &Ann) -> (Store, Store, Vec<String>) {
    let (inbox, sent) = (ann.inbox(), ann.open().mailbox("Sent").unwrap());
    for text in ["a", "b", "c"] {
        append(&inbox, text, Flags::SEEN, &[]);
    }
    (inbox, sent, ann.names("cur"))
}

#[test]
fn of_what_others_took_away_no_copy_stays() {
    let ann = Ann::new();
    let (inbox, sent, names) = three(&ann);
    let moving = begin(&inbox, &[1, 2, 3], &sent);
    fs::remove_file(ann.home().join("cur").join(&names[0])).unwrap();
    ann.rename(&format!("cur/{}", names[1]), &format!(".Trash/cur/{}", names[1]));
    let moved = moving.finish().unwrap();
    assert_eq!((moved.messages.len(), uids(&inbox)), (1, vec![]));
    assert_eq!((uids(&sent), text(&sent, 3).as_str()), (vec![3], "c"));
}

#[test]
fn what_cannot_go_stays_alone() {
    let ann = Ann::new();
    let (inbox, sent, names) = three(&ann);
    let moving = begin(&inbox, &[1, 2, 3], &sent);
    // Nobody unlinks a directory.
    fs::remove_file(ann.home().join("cur").join(&names[1])).unwrap();
    fs::create_dir(ann.home().join("cur").join(&names[1])).unwrap();
    assert!(moving.finish().unwrap_err().is_temporary());
    assert_eq!(uids(&sent), [1], "the first one went");
    fs::remove_dir(ann.home().join("cur").join(&names[1])).unwrap();
    assert_eq!(text(&inbox, 3), "c");
}

#[test]
fn a_mailbox_moves_into_itself() {
    let ann = Ann::new();
    let inbox = ann.inbox();
    append(&inbox, "a", Flags::SEEN, &["kept"]);
    append(&inbox, "b", 0, &[]);
    let (_, pairs, _) = inbox.move_to(&[1, 2], &inbox).unwrap();
    assert_eq!((pairs, uids(&inbox)), (vec![(1, 3), (2, 4)], vec![3, 4]));
    assert_eq!(flags(&inbox, 3), (Flags::SEEN, vec!["kept".to_owned()]));
}

/// Four movers, two of them as other processes, in both directions at once, and one who sets
/// flags: nobody waits for ever, and each message is in one place.
#[test]
fn moves_in_both_directions_at_once() {
    let ann = Ann::new();
    let (one, other) = (ann.inbox(), ann.open().mailbox("Sent").unwrap());
    let all: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    for (number, content) in all.iter().enumerate() {
        append(if number % 2 == 0 { &one } else { &other }, content, Flags::SEEN, &["kept"]);
    }
    let start = Barrier::new(5);
    let ways = [
        (one.clone(), other.clone()),
        (other.clone(), one.clone()),
        (stranger(&one), stranger(&other)),
        (stranger(&other), stranger(&one)),
    ];
    std::thread::scope(|scope| {
        for (from, to) in &ways {
            scope.spawn(|| {
                start.wait();
                for _ in 0..12 {
                    let some: Vec<Uid> = uids(from).into_iter().take(15).collect();
                    from.move_to(&some, to).unwrap();
                }
            });
        }
        start.wait();
        for _ in 0..12 {
            one.store_flags(&uids(&one), &add(Flags::FLAGGED, &["late"])).unwrap();
        }
    });
    let mut found = Vec::new();
    for store in [&one, &other] {
        for uid in uids(store) {
            found.push(text(store, uid));
            assert!(flags(store, uid).1.contains(&"kept".to_owned()));
        }
    }
    found.sort_by_key(|text| text.parse::<u32>().unwrap());
    assert_eq!(found, all);
}
