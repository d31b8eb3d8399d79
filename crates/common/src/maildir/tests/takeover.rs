//! What another server knew comes over, once; keywords without letters stay.

use std::os::unix::fs::symlink;

use mail_proto::mailbox::{Change, FlagChange, Flags};

use super::super::Finding;
use super::super::held::Held;
use super::*;
use crate::disk::Dir;

const NEW: &str = "posthorn.keywords";

/// UIDs with system flags and the names of their keywords, in order.
fn flags(store: &Store) -> Vec<(Uid, u8, Vec<String>)> {
    let snapshot = store.sync().unwrap();
    let message = |entry: mail_proto::mailbox::Entry| {
        let bits = entry.flags.keywords;
        let named = snapshot.keywords.iter().enumerate();
        let named = named.filter(|(bit, _)| bits & 1 << bit != 0).map(|(_, name)| name.clone());
        let mut named: Vec<String> = named.collect();
        named.sort();
        (entry.uid, entry.flags.system, named)
    };
    snapshot.messages.iter().map(message).collect()
}

fn change(store: &Store, uid: Uid, how: Change, keywords: &[&str]) {
    let keywords = keywords.iter().map(|keyword| (*keyword).to_owned()).collect();
    let flags = NamedFlags { system: 0, keywords };
    store.store_flags(&[uid], &FlagChange { how, flags }).unwrap();
}

fn forty() -> Vec<String> {
    (0..40).map(|number| format!("k{number}")).collect()
}

/// A mailbox with two messages, of which the first has forty keywords.
fn with_forty() -> Ann {
    let ann = Ann::new();
    let store = ann.inbox();
    append(&store, "one\r\n", 0, &[]);
    append(&store, "two\r\n", Flags::SEEN, &[]);
    let names = forty();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    change(&store, 1, Change::Add, &names);
    ann
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

#[test]
fn forty_keywords_survive_the_index() {
    let ann = with_forty();
    let expected = [(1, 0, sorted(forty())), (2, Flags::SEEN, vec![])];
    assert_eq!(flags(&ann.inbox()), expected);
    assert_eq!(ann.read("dovecot-keywords").lines().count(), 26);
    assert_eq!(ann.read(NEW).lines().count(), 16);
    for lost in ["posthorn.index", "posthorn.log"] {
        fs::remove_file(ann.home().join(lost)).unwrap();
    }
    assert_eq!(flags(&ann.inbox()), expected, "made anew");
}

#[test]
fn their_file_may_be_lost_while_the_index_knows_it() {
    let ann = with_forty();
    let store = ann.inbox();
    let expected = flags(&store);
    fs::remove_file(ann.home().join(NEW)).unwrap();
    assert_eq!(flags(&store), expected);
    assert_eq!(ann.read(NEW).lines().count(), 16, "written from memory");
}

#[test]
fn their_file_may_be_changed_by_others() {
    let ann = with_forty();
    let store = ann.inbox();
    let before = store.sync().unwrap().modseq;
    let text = ann.read(NEW).replace("K 26 k26", "K 26 other");
    let text: String = text
        .lines()
        .filter(|line| !line.starts_with('M'))
        .fold(String::new(), |text, line| text + line + "\n");
    ann.put(NEW, &format!("{text}M 2 26\n"));
    let mut kept = forty();
    kept.truncate(26);
    let expected = [(1, 0, sorted(kept)), (2, Flags::SEEN, vec!["other".to_owned()])];
    assert_eq!(flags(&store), expected);
    assert!(store.sync().unwrap().modseq > before);
}

#[test]
fn keywords_without_letters_come_and_go() {
    let ann = with_forty();
    let store = ann.inbox();
    change(&store, 2, Change::Add, &["k39", "k0"]);
    change(&store, 1, Change::Remove, &["k39", "k30"]);
    let target = ann.open();
    target.create("Other").unwrap();
    let other = target.mailbox("Other").unwrap();
    store.copy(&[2], &other).unwrap();
    assert_eq!(flags(&store)[1].2, ["k0", "k39"]);
    assert_eq!(flags(&store)[0].2.len(), 38);
    assert_eq!(flags(&other)[0].2, ["k0", "k39"]);
    let copied = append(&store, "three\r\n", 0, &["k39"]);
    for name in ["posthorn.index", "posthorn.log"] {
        fs::remove_file(ann.home().join(name)).unwrap();
    }
    let again = ann.inbox();
    assert_eq!(flags(&again)[1].2, ["k0", "k39"]);
    assert_eq!(flags(&again)[2], (copied, 0, vec!["k39".to_owned()]));
    let many: Vec<String> = (0..30).map(|number| format!("more{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let all = NamedFlags { system: 0, keywords: many.iter().map(|k| (*k).to_owned()).collect() };
    assert!(store.store_flags(&[1], &FlagChange { how: Change::Add, flags: all }).is_err());
    change(&store, 1, Change::Add, &many[..20]);
    assert_eq!(flags(&store)[0].2.len(), 58);
}

/// A mailbox of Courier's, with messages in these files, a list of UIDs, and one of keywords.
fn of_courier(files: &[&str], uids: Option<&str>, keywords: Option<&str>) -> Ann {
    let ann = Ann::new();
    drop(ann.open());
    files.iter().for_each(|file| ann.put(file, "hi\n"));
    fs::remove_file(ann.home().join("dovecot-uidlist")).ok();
    if let Some(uids) = uids {
        ann.put("courierimapuiddb", uids);
    }
    if let Some(keywords) = keywords {
        fs::create_dir(ann.home().join("courierimapkeywords")).unwrap();
        ann.put("courierimapkeywords/:list", keywords);
    }
    ann
}

/// One whose only message has a keyword that only Courier knows.
fn with_home() -> Ann {
    let (uids, keywords) = ("1 77 9\n3 1231.M1P1.host\n", "Home\n\n1231.M1P1.host:0\n");
    of_courier(&["cur/1231.M1P1.host:2,"], Some(uids), Some(keywords))
}

#[test]
fn courier_s_keywords_come_over_once() {
    let ann = of_courier(
        &["cur/1231.M1P1.host,S=3:2,S", "cur/1232.M1P1.host,S=3:2,"],
        Some("1 77 9\n3 1231.M1P1.host,S=3\n5 1232.M1P1.host,S=3\n"),
        Some("Home\n$Junk\n\n1231.M1P1.host,S=3:0 1\n"),
    );
    ann.put("courierimapkeywords/1232.M1P1.host,S=3", "Work\n");
    let junk = ["$Junk", "Home"].map(str::to_owned).to_vec();
    let store = ann.inbox();
    assert_eq!(flags(&store), [(3, Flags::SEEN, junk.clone()), (5, 0, vec!["Work".to_owned()])]);
    assert_eq!(ann.names("cur"), ["1231.M1P1.host,S=3:2,Sab", "1232.M1P1.host,S=3:2,c"]);
    change(&store, 5, Change::Remove, &["Work"]);
    drop(store);
    for name in ["posthorn.index", "posthorn.log"] {
        fs::remove_file(ann.home().join(name)).unwrap();
    }
    assert_eq!(flags(&ann.inbox()), [(3, Flags::SEEN, junk), (5, 0, vec![])], "they are old now");
}

/// Its list of UIDs is lost, or nobody ever opened the mailbox with it.
#[test]
fn courier_s_keywords_come_over_without_its_uids() {
    let many: String = (0..40).map(|number| format!("k{number}\n")).collect();
    let numbers: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    let list = format!("{many}\n1231.M1P1.host,S=3:{}\n", numbers.join(" "));
    let files = ["cur/1231.M1P1.host,S=3:2,S", "new/1232.M1P1.host,S=3"];
    let ann = of_courier(&files, None, Some(&list));
    let expected = [(1, Flags::SEEN, sorted(forty())), (2, 0, vec![])];
    let store = ann.inbox();
    assert_eq!(flags(&store), expected);
    let uid_validity = store.sync().unwrap().uid_validity;
    ann.forget_index();
    assert_eq!(flags(&ann.stranger()), expected);
    assert_eq!(ann.stranger().sync().unwrap().uid_validity, uid_validity);
}

/// What Courier had once is old, whatever is lost of what we had since.
#[test]
fn courier_is_asked_for_nothing_once_a_mailbox_is_ours() {
    for with_keywords in [false, true] {
        let take_over = || {
            let files = ["1", "2", "3"].map(|number| format!("cur/123{number}.M1P1.host:2,"));
            let files = files.each_ref().map(String::as_str);
            let keywords = Some("Home\n\n1231.M1P1.host:0\n").filter(|_| with_keywords);
            let ann = of_courier(&files, Some("1 77 9\n3 1231.M1P1.host\n"), keywords);
            let store = ann.inbox();
            assert_eq!(uids(&store), [3, 9, 10]);
            assert_eq!(store.sync().unwrap().uid_validity, 77);
            change(&store, 3, Change::Remove, &["Home"]);
            store.expunge(&[9]).unwrap();
            ann
        };
        for lost in [&["posthorn.log"][..], &["posthorn.index", "posthorn.log"]] {
            for list in [None, Some(""), Some("nonsense\n"), Some("3 V99 N7 Gx\n")] {
                let ann = take_over();
                lost.iter().for_each(|name| fs::remove_file(ann.home().join(name)).unwrap());
                match list {
                    Some(list) => ann.put("dovecot-uidlist", list),
                    None => fs::remove_file(ann.home().join("dovecot-uidlist")).unwrap(),
                }
                let found = flags(&ann.stranger());
                assert_eq!(found.len(), 2, "{lost:?} {list:?}");
                assert!(found.iter().all(|(_, _, keywords)| keywords.is_empty()), "{found:?}");
                let now = ann.stranger().sync().unwrap();
                assert_ne!(now.uid_validity, 77, "{lost:?} {list:?} {with_keywords}");
            }
        }
    }
}

/// A disk that fails for a moment, rights, a link that leads nowhere: they are asked only once.
#[test]
fn what_cannot_be_read_now_is_not_lost() {
    for name in ["courierimapkeywords", "courierimapkeywords/:list", "dovecot.index.log"] {
        let ann = with_home();
        let (file, aside) = (ann.home().join(name), ann.home().join("aside"));
        let is_there = fs::rename(&file, &aside).is_ok();
        symlink(&file, &file).unwrap();
        for _ in 0..2 {
            let error = ann.stranger().sync().unwrap_err();
            assert!(error.is_temporary() && error.to_string().contains(name), "{name}: {error}");
        }
        fs::remove_file(&file).unwrap();
        if is_there {
            fs::rename(&aside, &file).unwrap();
        }
        assert_eq!(flags(&ann.stranger()), [(3, 0, vec!["Home".to_owned()])], "{name}");
    }
}

#[test]
fn what_no_server_wrote_is_left_alone() {
    let ann = with_home();
    let keywords = ann.home().join("courierimapkeywords");
    fs::remove_dir_all(&keywords).unwrap();
    ann.put("courierimapkeywords", "a note");
    assert_eq!(flags(&ann.stranger()), [(3, 0, vec![])]);
    assert_eq!(ann.read("courierimapkeywords"), "a note");
    let ann = with_home();
    let keywords = ann.home().join("courierimapkeywords");
    fs::remove_file(keywords.join(":list")).unwrap();
    fs::create_dir(keywords.join(":list")).unwrap();
    assert_eq!(flags(&ann.stranger()), [(3, 0, vec![])]);
}

#[test]
fn names_that_cannot_be_changed_are_changed_later() {
    // With two letters more it would be too long.
    let base = format!("1231.M1P1.{}", "x".repeat(241));
    let (uids, keywords) = (format!("1 77 9\n3 {base}\n"), format!("Home\n$Junk\n\n{base}:0 1\n"));
    let ann = of_courier(&[&format!("cur/{base}:2,")], Some(&uids), Some(&keywords));
    assert_eq!(flags(&ann.inbox()), [(3, 0, vec![])]);
    assert_eq!(ann.read(NEW), "1 V77\nN 3 ab\n");
    ann.inbox().expunge(&[]).unwrap();
    assert_eq!(ann.read(NEW), "1 V77\nN 3 ab\n", "still not possible");
    ann.forget_index();
    // What can be said is, before anybody changes flags.
    ann.put(NEW, "1 V77\nN 3 a\n");
    let store = ann.stranger();
    change(&store, 3, Change::Remove, &["$Junk"]);
    assert_eq!(flags(&store), [(3, 0, vec!["Home".to_owned()])]);
    assert_eq!(ann.names("cur"), [format!("{base}:2,a")]);
    assert_eq!(ann.read(NEW), "1 V77\n");
    change(&store, 3, Change::Remove, &["Home"]);
    assert_eq!(flags(&ann.stranger()), [(3, 0, vec![])], "once");
}

#[test]
fn who_settles_keeps_what_waits() {
    let ann = Ann::new();
    drop(ann.open());
    let base = format!("1231.M1P1.{}", "x".repeat(241));
    ann.put(&format!("cur/{base}:2,"), "hi\n");
    let validity = ann.inbox().sync().unwrap().uid_validity;
    ann.put(NEW, &format!("1 V{validity}\nN 1 ab\n"));
    let waits = Finding::FlagsWait(1);
    assert!(ann.stranger().sync_whole().unwrap().contains(&waits));
    assert!(ann.stranger().settle().unwrap().findings.contains(&waits));
    assert_eq!(ann.read(NEW), format!("1 V{validity}\nN 1 ab\n"));
    assert!(!ann.home().join("posthorn.index").exists());
    ann.put(NEW, &format!("1 V{validity}\nN 1 a\n"));
    assert!(!ann.stranger().settle().unwrap().findings.contains(&waits));
    assert_eq!(ann.names("cur"), [format!("{base}:2,a")]);
    assert!(!ann.home().join(NEW).exists());
}

/// Holds INBOX, whose `cur` cannot be synced. Whether that succeeds.
fn holds_without_sync(ann: &Ann) -> bool {
    let inbox = ann.stranger();
    let mut folders = inbox.mailbox.folders().unwrap();
    folders.cur = Dir::without_sync(&ann.home().join("cur"));
    Held::take(&inbox.mailbox, inbox.mailbox.known(), folders).is_ok()
}

#[test]
fn names_last_before_it_is_written_down_that_they_are_changed() {
    let ann = with_home();
    assert!(!holds_without_sync(&ann));
    assert_eq!(ann.names("cur"), ["1231.M1P1.host:2,a"]);
    assert!(!ann.home().join(NEW).exists());
    assert_eq!(flags(&ann.stranger()), [(3, 0, vec!["Home".to_owned()])]);
    let waits = "1 V77\nN 3 Sa\n";
    ann.put(NEW, waits);
    assert!(holds_without_sync(&ann));
    assert_eq!(ann.names("cur"), ["1231.M1P1.host:2,Sa"]);
    assert_eq!(ann.read(NEW), waits);
    assert!(ann.stranger().expunge(&[]).is_ok());
    assert_eq!(ann.read(NEW), "1 V77\n");
}

#[test]
fn a_change_of_ours_is_newer_than_what_waits() {
    let ann = Ann::new();
    let base = format!("1231.M1P1.{}", "x".repeat(240));
    drop(ann.open());
    ann.put(&format!("cur/{base}:2,S"), "hi\n");
    let store = ann.inbox();
    let validity = store.sync().unwrap().uid_validity;
    ann.put(NEW, &format!("1 V{validity}\nN 1 Sabc\n"));
    assert_eq!(flags(&store), [(1, Flags::SEEN, vec![])]);
    let seen = NamedFlags { system: Flags::SEEN, keywords: vec![] };
    store.store_flags(&[1], &FlagChange { how: Change::Remove, flags: seen }).unwrap();
    assert_eq!(flags(&store), [(1, 0, vec![])]);
    assert_eq!(ann.read(NEW), format!("1 V{validity}\n"));
}

#[test]
fn a_renamed_inbox_takes_its_keywords_along() {
    let ann = with_forty();
    let before = flags(&ann.inbox());
    let directory = ann.open();
    directory.rename("INBOX", "Old").unwrap();
    let old = directory.mailbox("Old").unwrap();
    assert_eq!(flags(&old), before);
    append(&old, "three\r\n", 0, &["k39"]);
    for lost in ["posthorn.index", "posthorn.log"] {
        fs::remove_file(ann.home().join(".Old").join(lost)).unwrap();
    }
    let again = ann.open().mailbox("Old").unwrap();
    assert_eq!(flags(&again)[..2], before);
    assert_eq!(flags(&again)[2], (3, 0, vec!["k39".to_owned()]));
    assert_eq!(flags(&ann.inbox()), []);
    append(&ann.inbox(), "four\r\n", 0, &["k39"]);
    assert_eq!(flags(&ann.inbox())[0].2, ["k39"]);
}

#[test]
fn keywords_of_one_command_do_not_take_each_other_s_bits() {
    let ann = Ann::new();
    let store = ann.inbox();
    append(&store, "one\r\n", 0, &[]);
    append(&store, "two\r\n", 0, &[]);
    let names: Vec<String> = (0..64).map(|number| format!("k{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    change(&store, 1, Change::Add, &names);
    assert_eq!(flags(&store)[0].2.len(), 64);
    change(&store, 1, Change::Remove, &["k40", "k41"]);
    // Of two bits that are free, one is wanted as it is called.
    change(&store, 2, Change::Add, &["new", "k40"]);
    assert_eq!(flags(&store)[1].2, ["k40", "new"]);
    let refused = NamedFlags { system: 0, keywords: vec!["more".to_owned()] };
    let refused = store.store_flags(&[2], &FlagChange { how: Change::Add, flags: refused });
    assert!(refused.is_err());
    assert_eq!(flags(&store)[1].2, ["k40", "new"]);
    assert_eq!(flags(&ann.stranger())[0].2.len(), 62);
}
