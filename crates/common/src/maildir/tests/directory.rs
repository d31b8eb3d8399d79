//! The mailboxes of a user.

use mail_proto::mailbox::{Change, FlagChange, Flags};

use super::super::StoreError;
use super::*;

/// Name, and letters: `s`electable, `c`hildren, su`b`scribed, `e`xists, special `u`se.
fn listed(directory: &Directory) -> Vec<(String, String)> {
    let letters = |folder: &mail_proto::mailbox::Folder| {
        let known = [
            (folder.selectable, 's'),
            (folder.has_children, 'c'),
            (folder.subscribed, 'b'),
            (folder.exists, 'e'),
            (folder.special_use.is_some(), 'u'),
        ];
        known.iter().filter(|(set, _)| *set).map(|(_, letter)| *letter).collect()
    };
    let folders = directory.folders().unwrap();
    folders.iter().map(|folder| (folder.name.clone(), letters(folder))).collect()
}

fn listed_without_special(directory: &Directory) -> Vec<(String, String)> {
    let mut listed = listed(directory);
    listed.retain(|(_, letters)| !letters.contains('u'));
    listed
}

fn row(name: &str, letters: &str) -> (String, String) {
    (name.to_owned(), letters.to_owned())
}

#[test]
fn a_new_user_has_the_special_mailboxes_once() {
    let ann = Ann::new();
    let directory = ann.open();
    let special = ["Archive", "Drafts", "INBOX", "Junk", "Sent", "Trash"];
    let rows = special.map(|name| row(name, if name == "INBOX" { "sbe" } else { "sbeu" }));
    assert_eq!(listed(&directory), rows);
    directory.delete("Junk").unwrap();
    directory.subscribe("Junk", false).unwrap();
    let directory = ann.open();
    assert!(!listed(&directory).contains(&row("Junk", "sbeu")));
    assert_eq!(listed(&directory).len(), 5);
    assert_eq!(ann.read("subscriptions"), "V\t2\n\nArchive\nDrafts\nSent\nTrash\n");
    assert_eq!(ann.names("tmp"), [""; 0]);
}

#[test]
fn without_the_disk_there_is_no_mail() {
    let ann = Ann::new();
    let gone = ann.directory.path().to_owned();
    fs::remove_dir(&gone).unwrap();
    let error = Directory::open(&ann.user(), &ann.mail).unwrap_err();
    assert!(error.is_temporary() && !gone.exists(), "{error}");
    fs::create_dir(&gone).unwrap();
    ann.open();
}

#[test]
fn a_foreign_maildir_is_taken_as_it_is() {
    let ann = Ann::new();
    for path in ["cur", "new", "tmp", ".Old.2019/cur", ".Stray", ".Gel&APY-scht/cur"] {
        fs::create_dir_all(ann.home().join(path)).unwrap();
    }
    ann.put("subscriptions", "Old.2019\nGone\n");
    ann.put("dovecot-uidlist", "3 V77 N1 Gabc\n5 :1.a.b\n9 W12 :2.a.b\n");
    ann.put("cur/1.a.b:2,S", "x");
    ann.put("new/3.a.b", "z");
    let directory = ann.open();
    let expected = [
        row("Gelöscht", "se"),
        row("Gone", "b"),
        row("INBOX", "sbe"),
        row("Old", "ce"),
        row("Old/2019", "sbe"),
    ];
    assert_eq!(listed(&directory), expected);
    let snapshot = directory.mailbox("inbox").unwrap().sync().unwrap();
    assert_eq!((snapshot.uid_validity, snapshot.uid_next), (77, 11));
    assert_eq!(snapshot.messages.iter().map(|m| m.uid).collect::<Vec<_>>(), [5, 10]);
    let list = ann.read("dovecot-uidlist");
    assert_eq!(list, "3 V77 N1 Gabc\n5 :1.a.b\n9 W12 :2.a.b\n10 :3.a.b\n");
}

#[test]
fn mailboxes_are_made_with_their_parents() {
    let ann = Ann::new();
    let directory = ann.open();
    directory.create("a/www.example.org/c/").unwrap();
    let rows = [
        row("INBOX", "sbe"),
        row("a", "sce"),
        row("a/www.example.org", "sce"),
        row("a/www.example.org/c", "se"),
    ];
    assert_eq!(listed_without_special(&directory), rows);
    assert_eq!(
        ann.names(".a.www\\2eexample\\2eorg.c"),
        ["cur", "dovecot-uidlist", "maildirfolder", "new", "tmp"]
    );
    let table = [
        ("a", "AlreadyExists"),
        ("inbox", "AlreadyExists"),
        ("", "Cannot"),
        ("a//b", "Cannot"),
        ("../x", "Cannot"),
        ("a\u{7f}", "Cannot"),
    ];
    for (name, expected) in table {
        let error = directory.create(name).unwrap_err();
        assert!(format!("{error:?}").starts_with(expected), "{name:?}: {error:?}");
    }
    assert!(matches!(directory.create(&"ü".repeat(200)), Err(StoreError::Cannot(_))));
}

#[test]
fn deleting_leaves_what_is_below() {
    let ann = Ann::new();
    let directory = ann.open();
    directory.create("a/b").unwrap();
    let old = directory.mailbox("a").unwrap();
    append(&old, "x", 0, &[]);
    let validity = old.sync().unwrap().uid_validity;
    directory.delete("a").unwrap();
    let rows = [row("INBOX", "sbe"), row("a", "ce"), row("a/b", "se")];
    assert_eq!(listed_without_special(&directory), rows);
    assert!(matches!(old.sync(), Err(StoreError::NoSuchMailbox(_))));
    assert!(matches!(directory.delete("a"), Err(StoreError::NoSuchMailbox(_))));
    assert!(matches!(directory.delete("Inbox"), Err(StoreError::Cannot(_))));
    directory.create("a").unwrap();
    let snapshot = old.sync().unwrap();
    assert!(snapshot.uid_validity > validity && snapshot.messages.is_empty());
}

#[test]
fn renaming_takes_along_what_is_below() {
    let ann = Ann::new();
    let directory = ann.open();
    directory.create("a/b/c").unwrap();
    let uid = append(&directory.mailbox("a/b").unwrap(), "x", 0, &[]);
    directory.create("ab").unwrap();
    directory.rename("a", "x/y").unwrap();
    let rows = [
        row("INBOX", "sbe"),
        row("ab", "se"),
        row("x", "sce"),
        row("x/y", "sce"),
        row("x/y/b", "sce"),
        row("x/y/b/c", "se"),
    ];
    assert_eq!(listed_without_special(&directory), rows);
    assert_eq!(text(&directory.mailbox("x/y/b").unwrap(), uid), "x");
    let table = [
        ("x", "x/z", "Cannot"),
        ("x", "ab", "AlreadyExists"),
        ("x", "INBOX", "AlreadyExists"),
        ("no", "new", "NoSuchMailbox"),
        ("x", "..", "Cannot"),
    ];
    for (from, to, expected) in table {
        let error = directory.rename(from, to).unwrap_err();
        assert!(format!("{error:?}").starts_with(expected), "{from} {to}: {error:?}");
    }
}

#[test]
fn renaming_inbox_moves_its_messages() {
    let ann = Ann::new();
    let (directory, inbox) = (ann.open(), ann.inbox());
    append(&inbox, "a", Flags::SEEN, &["$Junk"]);
    deliver(&inbox, "b");
    inbox.sync().unwrap();
    directory.rename("INBOX", "old/mail").unwrap();
    let old = directory.mailbox("old/mail").unwrap();
    assert_eq!((uids(&old), uids(&inbox)), (vec![1, 2], vec![]));
    assert_eq!(text(&old, 2), "b");
    assert_eq!(old.sync().unwrap().keywords.as_ref(), ["$Junk"]);
    assert_eq!(inbox.sync().unwrap().uid_next, 3);
}

/// Killed when it had its name, and a message was still in both.
#[test]
fn a_renaming_of_inbox_that_was_killed_is_done_when_it_is_repeated() {
    let ann = Ann::new();
    let (directory, inbox) = (ann.open(), ann.inbox());
    for content in ["a", "b"] {
        append(&inbox, content, Flags::SEEN, &[]);
    }
    directory.rename("INBOX", "old").unwrap();
    let names = ann.names(".old/cur");
    for name in &names {
        let [old, back] = [".old/cur", "cur"].map(|place| ann.home().join(place).join(name));
        fs::hard_link(old, back).unwrap();
    }
    // A client was faster, and read one there.
    let answered = names[0].replace(":2,S", ":2,RS");
    ann.rename(&format!(".old/cur/{}", names[0]), &format!(".old/cur/{answered}"));
    append(&inbox, "new", 0, &[]);
    let refused = directory.rename("INBOX", "INBOX").unwrap_err();
    assert!(matches!(refused, StoreError::AlreadyExists(_)), "{refused}");
    assert_eq!(uids(&inbox).len(), 3);
    directory.rename("INBOX", "old").unwrap();
    assert_eq!(text(&inbox, *uids(&inbox).first().unwrap()), "new");
    assert_eq!(uids(&inbox).len(), 1);
    assert_eq!(uids(&directory.mailbox("old").unwrap()), [1, 2]);
    let refused = directory.rename("INBOX", "old").unwrap_err();
    assert!(matches!(refused, StoreError::AlreadyExists(_)), "{refused}");
    assert_eq!(uids(&inbox).len(), 1);
}

#[test]
fn names_are_subscribed_without_mailboxes() {
    let ann = Ann::new();
    let directory = ann.open();
    for (name, subscribed) in [("later/on", true), ("a.b", true), ("gone", true), ("gone", false)] {
        directory.subscribe(name, subscribed).unwrap();
    }
    let rows = [row("INBOX", "sbe"), row("a.b", "b"), row("later/on", "b")];
    assert_eq!(listed_without_special(&directory), rows);
    assert!(ann.read("subscriptions").ends_with("\nlater\ton\na\\2eb\n"));
    assert!(matches!(directory.subscribe("a//b", true), Err(StoreError::Cannot(_))));
}

#[test]
fn links_are_no_mailboxes() {
    let ann = Ann::new();
    let directory = ann.open();
    std::os::unix::fs::symlink(ann.home(), ann.home().join(".link")).unwrap();
    assert!(matches!(directory.mailbox("link"), Err(StoreError::NoSuchMailbox(_))));
    assert_eq!(listed_without_special(&directory), [row("INBOX", "sbe")]);
}

#[test]
fn who_names_messages_of_a_deleted_mailbox_does_not_touch_another_of_its_name() {
    let ann = Ann::new();
    let directory = ann.open();
    directory.create("A").unwrap();
    let old = directory.mailbox("A").unwrap();
    append(&old, "old", 0, &[]);
    let old = old.clone().pinned(old.sync().unwrap().uid_validity);
    directory.delete("A").unwrap();
    directory.create("B").unwrap();
    append(&directory.mailbox("B").unwrap(), "new", Flags::DELETED, &[]);
    directory.rename("B", "A").unwrap();
    let flags = NamedFlags { system: Flags::DELETED, ..NamedFlags::default() };
    let change = FlagChange { how: Change::Add, flags };
    for error in [
        old.expunge(&[1]).unwrap_err(),
        old.expunge_deleted(None).unwrap_err(),
        old.store_flags(&[1], &change).unwrap_err(),
        old.copy(&[1], &ann.inbox()).unwrap_err(),
        old.message(1).unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::Replaced), "{error}");
    }
    let new = directory.mailbox("A").unwrap();
    assert_eq!(text(&new, 1), "new");
    assert_eq!(old.sync().unwrap().uid_validity, new.sync().unwrap().uid_validity);
}
