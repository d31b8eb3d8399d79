//! Mailboxes in LAYOUT=fs, in UTF-8, and with control and index files apart.

use std::sync::Mutex;
use std::sync::mpsc::TryRecvError;

use mail_proto::mailbox::Flags;

use super::super::{Finding, IndexState, Inspection, StoreError};
use super::*;
use crate::config::{Layout, Names};

impl Ann {
    /// Other ways to keep mail, in the same place.
    fn with(change: impl FnOnce(&mut Mail)) -> Self {
        let mut ann = Self::new();
        change(&mut ann.mail);
        ann
    }

    /// With control and index files beside the site's mail.
    fn apart(layout: Layout) -> Self {
        let mut ann = Self::new();
        for (name, place) in [("control", &mut ann.mail.control), ("index", &mut ann.mail.index)] {
            let root = ann.directory.path().join(name);
            fs::create_dir(&root).unwrap();
            *place = Some(format!("{}/%d/%n", root.display()).try_into().unwrap());
        }
        ann.mail.layout = layout;
        ann
    }

    /// All files and directories of the user in one of the site's directories, but for messages'.
    fn tree(&self, root: &str) -> Vec<String> {
        let path = self.directory.path().join(root);
        let mut found = Vec::new();
        walk(&path.join("example.org/ann"), "", &mut found);
        found.sort();
        found
    }
}

fn walk(path: &Path, shown: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if ["cur", "new", "tmp"].contains(&name.as_str()) {
            continue;
        }
        let shown = format!("{shown}/{name}");
        match entry.file_type().unwrap().is_dir() {
            true => {
                found.push(format!("{shown}/"));
                walk(&entry.path(), &shown, found);
            }
            false => found.push(shown),
        }
    }
}

/// The names of mailboxes that can be selected, without the special ones.
fn selectable(directory: &Directory) -> Vec<String> {
    let mut folders = directory.folders().unwrap();
    folders.retain(|folder| folder.selectable && folder.special_use.is_none());
    folders.into_iter().map(|folder| folder.name).collect()
}

/// Those that only lead to others.
fn between(directory: &Directory) -> Vec<String> {
    let mut folders = directory.folders().unwrap();
    folders.retain(|folder| folder.exists && !folder.selectable);
    folders.into_iter().map(|folder| folder.name).collect()
}

#[test]
fn in_fs_mailboxes_are_in_each_other() {
    let ann = Ann::with(|mail| mail.layout = Layout::Fs);
    let directory = ann.open();
    directory.create("a.b/~c").unwrap();
    assert_eq!(selectable(&directory), ["INBOX", "a.b", "a.b/~c"]);
    assert_eq!(ann.names("a.b/\\7ec"), ["cur", "dovecot-uidlist", "new", "tmp"]);
    append(&directory.mailbox("a.b/~c").unwrap(), "x", 0, &[]);
    append(&directory.mailbox("a.b").unwrap(), "y", Flags::SEEN, &[]);
    directory.subscribe("a.b/~c", true).unwrap();
    assert!(ann.read("subscriptions").ends_with("\na.b\t\\7ec\n"));
    directory.delete("a.b").unwrap();
    assert_eq!(
        (selectable(&directory), between(&directory)),
        (vec!["INBOX".to_owned(), "a.b/~c".to_owned()], vec!["a.b".to_owned()],)
    );
    assert_eq!(ann.names("a.b"), ["\\7ec"], "files of the deleted mailbox are gone");
    assert_eq!(uids(&directory.mailbox("a.b/~c").unwrap()), [1]);
    assert!(matches!(directory.delete("a.b"), Err(StoreError::NoSuchMailbox(_))));
    directory.create("a.b").unwrap();
    assert_eq!(uids(&directory.mailbox("a.b").unwrap()), [0; 0]);
    directory.delete("a.b").unwrap();
    directory.delete("a.b/~c").unwrap();
    assert_eq!(between(&directory), [""; 0], "what leads nowhere is gone too");
    for name in ["cur", "a/new", "tmp/x", "dovecot-uidlist", "posthorn.index"] {
        assert!(matches!(directory.create(name), Err(StoreError::Cannot(_))), "{name}");
    }
}

#[test]
fn in_fs_what_is_below_is_renamed_in_one_step() {
    let ann = Ann::with(|mail| mail.layout = Layout::Fs);
    let directory = ann.open();
    directory.create("a/b/c").unwrap();
    directory.delete("a").unwrap();
    let uid = append(&directory.mailbox("a/b").unwrap(), "x", 0, &[]);
    fs::create_dir_all(ann.home().join("a/b/Übrig/cur")).unwrap();
    fs::create_dir_all(ann.home().join("empty/deep")).unwrap();
    assert_eq!(between(&directory), ["a", "empty", "empty/deep"]);
    for (from, to, expected) in [
        ("a", "a/b/x", "Cannot"),
        ("a/b", "empty", "AlreadyExists"),
        ("a/b", "Sent", "AlreadyExists"),
        ("no", "new", "Cannot"),
        ("no", "other", "NoSuchMailbox"),
    ] {
        let error = directory.rename(from, to).unwrap_err();
        assert!(format!("{error:?}").starts_with(expected), "{from} {to}: {error:?}");
    }
    directory.rename("a/b", "empty/deep").unwrap();
    let rows = ["INBOX", "empty", "empty/deep", "empty/deep/c", "empty/deep/Übrig"];
    assert_eq!(selectable(&directory), rows);
    assert_eq!(text(&directory.mailbox("empty/deep").unwrap(), uid), "x");
    assert_eq!(between(&directory), [""; 0]);
    directory.rename("INBOX", "old").unwrap();
    std::os::unix::fs::symlink(ann.home().join("old"), ann.home().join("link")).unwrap();
    assert!(matches!(directory.mailbox("link"), Err(StoreError::NoSuchMailbox(_))));
    fs::create_dir_all(ann.home().join("foreign/cur")).unwrap();
    fs::create_dir_all(ann.home().join("nowhere")).unwrap();
    assert_eq!(between(&directory), ["nowhere"]);
    directory.delete("nowhere").unwrap();
    directory.delete("foreign").unwrap();
    assert!(!ann.home().join("nowhere").exists() && !ann.home().join("foreign").exists());
}

#[test]
fn control_and_index_files_are_where_the_site_wants_them() {
    for (layout, inbox, ab, cd) in [
        (Layout::MaildirPlusPlus, "/.INBOX/", "/.a.b/", "/.c\\2ed/"),
        (Layout::Fs, "/INBOX/", "/a/b/", "/c.d/"),
    ] {
        let ann = Ann::apart(layout);
        let directory = ann.open();
        for special in Directory::SPECIAL {
            directory.delete(special.0).unwrap();
        }
        directory.create("a/b").unwrap();
        directory.create("c.d").unwrap();
        for name in ["INBOX", "a/b", "c.d"] {
            append(&directory.mailbox(name).unwrap(), "x", Flags::SEEN, &["k"]);
        }
        let control = ann.tree("control");
        for mailbox in [inbox, ab, cd] {
            assert!(control.contains(&mailbox.to_owned()), "{control:?}");
            for file in ["dovecot-uidlist", "dovecot-keywords"] {
                assert!(control.contains(&format!("{mailbox}{file}")), "{control:?}");
            }
            assert!(ann.tree("index").contains(&format!("{mailbox}posthorn.lock")));
        }
        for file in ["/dovecot-uidvalidity", "/subscriptions"] {
            assert!(control.contains(&file.to_owned()), "{control:?}");
        }
        let mail = ann.tree("");
        let ours = |name: &&String| name.contains("dovecot") || name.contains("subscriptions");
        assert_eq!(mail.iter().filter(ours).count(), 0, "{mail:?}");
    }
}

#[test]
fn control_and_index_files_move_along() {
    for layout in [Layout::MaildirPlusPlus, Layout::Fs] {
        let ann = Ann::apart(layout);
        let directory = ann.open();
        directory.create("a/b").unwrap();
        let old = directory.mailbox("a/b").unwrap();
        append(&old, "x", 0, &[]);
        append(&old, "y", Flags::SEEN, &["Key"]);
        old.expunge(&[1]).unwrap();
        let before = old.sync().unwrap();
        directory.rename("a", "x/y").unwrap();
        let new = directory.mailbox("x/y/b").unwrap();
        let after = new.sync().unwrap();
        assert_eq!(
            (after.uid_validity, after.uid_next, &after.keywords),
            (before.uid_validity, before.uid_next, &before.keywords)
        );
        assert_eq!(uids(&new), [2]);
        assert_eq!(append(&new, "z", 0, &[]), 3);
        assert!(matches!(old.sync(), Err(StoreError::NoSuchMailbox(_))));
        for root in ["control", "index"] {
            let stale = |name: &String| name.starts_with("/a/") || name.starts_with("/.a");
            assert!(!ann.tree(root).iter().any(stale), "{:?}", ann.tree(root));
        }
        directory.create("a/b").unwrap();
        let another = directory.mailbox("a/b").unwrap().sync().unwrap();
        assert!(another.uid_validity > after.uid_validity && another.messages.is_empty());
        directory.delete("x/y/b").unwrap();
        for root in ["", "control", "index"] {
            let stale = |name: &String| name.contains("y/b") || name.contains("y.b");
            assert!(!ann.tree(root).iter().any(stale), "{:?}", ann.tree(root));
        }
    }
}

#[test]
fn what_a_killed_rename_left_does_no_harm() {
    for layout in [Layout::MaildirPlusPlus, Layout::Fs] {
        let ann = Ann::apart(layout);
        let directory = ann.open();
        directory.create("a").unwrap();
        append(&directory.mailbox("a").unwrap(), "x", 0, &[]);
        let validity = directory.mailbox("a").unwrap().sync().unwrap().uid_validity;
        // Killed when the list was linked; it was written anew since.
        let (old, new) = match layout {
            Layout::MaildirPlusPlus => (".a", ".b"),
            Layout::Fs => ("a", "b"),
        };
        let control = ann.directory.path().join("control/example.org/ann");
        fs::create_dir(control.join(new)).unwrap();
        fs::write(control.join(new).join("dovecot-uidlist"), "3 V5 N9\n").unwrap();
        directory.rename("a", "b").unwrap();
        let after = directory.mailbox("b").unwrap().sync().unwrap();
        assert_eq!((after.uid_validity, after.messages.len()), (validity, 1));
        // Killed before the old list was removed.
        fs::create_dir(control.join(old)).unwrap();
        fs::hard_link(
            control.join(new).join("dovecot-uidlist"),
            control.join(old).join("dovecot-uidlist"),
        )
        .unwrap();
        directory.create("a").unwrap();
        let another = directory.mailbox("a").unwrap().sync().unwrap();
        assert!(another.uid_validity > validity);
        assert_eq!(directory.mailbox("b").unwrap().sync().unwrap().uid_validity, validity);
    }
}

#[test]
fn who_only_looks_makes_nothing() {
    let ann = Ann::apart(Layout::MaildirPlusPlus);
    let directory = ann.open();
    ann.put("cur/1.a.b:2,S", "text\n");
    let path = |name: &str| ann.directory.path().join(name);
    let lost = ["control/example.org", "index/example.org"];
    let inside = ["new", "tmp", ".Sent/new", ".Sent/tmp"];
    lost.iter().for_each(|name| fs::remove_dir_all(path(name)).unwrap());
    inside.iter().for_each(|name| fs::remove_dir_all(ann.home().join(name)).unwrap());
    assert_eq!(directory.inspect().unwrap(), []);
    assert_eq!(directory.folders().unwrap().len(), 1 + Directory::SPECIAL.len());
    for (name, findings) in [("INBOX", vec![Finding::NoList]), ("Sent", Vec::new())] {
        let seen = directory.inspect_mailbox(name).unwrap();
        let index = IndexState::Missing;
        let (uid_validity, files, locked_by) = (None, Vec::new(), None);
        assert_eq!(seen, Inspection { findings, uid_validity, index, files, locked_by });
    }
    let error = directory.inspect_mailbox("None").unwrap_err();
    assert!(matches!(error, StoreError::NoSuchMailbox(_)), "{error}");
    let is_there = || {
        let lost = lost.iter().map(|name| path(name));
        lost.chain(inside.iter().map(|name| ann.home().join(name))).any(|path| path.exists())
    };
    assert!(!is_there());
    directory.mailbox("INBOX").unwrap().mend().unwrap();
    assert!(is_there());
    assert_eq!(directory.inspect_mailbox("INBOX").unwrap().findings, []);
}

#[test]
fn without_the_disk_of_control_files_there_is_no_mail() {
    let ann = Ann::apart(Layout::MaildirPlusPlus);
    ann.open();
    let (here, away) = (ann.directory.path().join("control"), ann.directory.path().join("away"));
    fs::rename(&here, &away).unwrap();
    let error = Directory::open(&ann.user(), &ann.mail).unwrap_err();
    assert!(error.is_temporary() && !here.exists(), "{error}");
    fs::rename(&away, &here).unwrap();
    ann.open();
}

#[test]
fn directories_may_be_spelt_in_utf_8() {
    let ann = Ann::with(|mail| mail.names = Names::Utf8);
    let directory = ann.open();
    directory.create("Entwürfe/R&D").unwrap();
    directory.subscribe("Entwürfe/R&D", true).unwrap();
    assert!(ann.home().join(".Entwürfe.R&D/cur").is_dir());
    assert!(ann.read("subscriptions").ends_with("\nEntwürfe\tR&D\n"));
    assert_eq!(selectable(&directory), ["Entwürfe", "Entwürfe/R&D", "INBOX"].map(str::to_owned));
}

#[test]
fn of_two_directories_that_are_shown_alike_ours_is_meant() {
    let ann = Ann::new();
    let directory = ann.open();
    for path in [".~x/cur", ".\\7ex/cur", ".Entwürfe/cur", ".\\41/cur"] {
        fs::create_dir_all(ann.home().join(path)).unwrap();
    }
    ann.put(".\\7ex/cur/1.a", "ours");
    ann.put(".~x/cur/1.a", "theirs");
    assert_eq!(selectable(&directory), ["A", "Entwürfe", "INBOX", "~x"]);
    assert_eq!(text(&directory.mailbox("~x").unwrap(), 1), "ours");
    directory.delete("~x").unwrap();
    assert_eq!(text(&directory.mailbox("~x").unwrap(), 1), "theirs");
}

#[test]
fn a_name_that_leads_to_mailboxes_becomes_one_when_mail_comes() {
    for layout in [Layout::MaildirPlusPlus, Layout::Fs] {
        let ann = Ann::with(|mail| mail.layout = layout);
        let directory = ann.open();
        directory.create("a/b").unwrap();
        directory.delete("a").unwrap();
        assert!(matches!(directory.mailbox("a"), Err(StoreError::NoSuchMailbox(_))));
        append(&directory.mailbox_for_mail("a").unwrap(), "x", 0, &[]);
        assert_eq!(uids(&directory.mailbox("a").unwrap()), [1]);
        let error = directory.mailbox_for_mail("nothing").unwrap_err();
        assert!(matches!(error, StoreError::NoSuchMailbox(_)));
    }
}

#[test]
fn a_quota_file_is_counted_anew_when_it_is_due() {
    for layout in [Layout::MaildirPlusPlus, Layout::Fs] {
        let ann = Ann::with(|mail| mail.layout = layout);
        let directory = ann.open();
        directory.create("a/b").unwrap();
        deliver(&directory.mailbox("INBOX").unwrap(), "four");
        deliver(&directory.mailbox("a/b").unwrap(), "seven!!");
        assert!(!ann.home().join("maildirsize").exists());
        ann.put("maildirsize", "1000S\ndamaged\n");
        directory.mailbox("INBOX").unwrap();
        assert_eq!(ann.read("maildirsize"), "1000S\n11 2\n");
        directory.delete("a/b").unwrap();
        assert_eq!(ann.read("maildirsize"), "1000S\n4 1\n");
    }
}

#[test]
fn a_quota_file_is_kept_right() {
    for ann in [Ann::new(), Ann::apart(Layout::Fs)] {
        let directory = ann.open();
        directory.create("a").unwrap();
        let (inbox, a) = (ann.inbox(), directory.mailbox("a").unwrap());
        ann.put("cur/1.foreign:2,T", "without a size");
        inbox.sync().unwrap();
        let control = ann
            .mail
            .control
            .as_ref()
            .map_or(ann.home(), |template| template.path(ann.user().address()).unwrap());
        let file = control.join("maildirsize");
        fs::write(&file, "1000S\n14 1\n").unwrap();
        let expect = |last: &str| {
            let text = fs::read_to_string(&file).unwrap();
            assert_eq!(text.lines().last(), Some(last), "{text}");
        };
        deliver(&inbox, "four");
        expect("4 1");
        let uid = append(&inbox, "line\r\n", Flags::SEEN, &["k"]);
        expect("5 1");
        inbox.copy(&[1, uid], &a).unwrap();
        expect("19 2");
        inbox.expunge_deleted(None).unwrap();
        expect("-14 -1");
        inbox.expunge(&[uid, 77]).unwrap();
        expect("-5 -1");
        a.expunge(&[77]).unwrap();
        expect("-5 -1");
        directory.rename("INBOX", "b").unwrap();
        expect("-5 -1");
    }
}

#[test]
fn of_many_who_make_a_mailbox_one_does() {
    for ann in [Ann::new(), Ann::with(|mail| mail.layout = Layout::Fs), Ann::apart(Layout::Fs)] {
        ann.open();
        let make = || {
            let directory = ann.open();
            let made = directory.create("a/b/c").is_ok();
            (made, directory.mailbox("a/b/c").unwrap().sync().unwrap().uid_validity)
        };
        let all: Vec<(bool, u32)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(make)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(all.iter().filter(|(made, _)| *made).count(), 1, "{all:?}");
        let one = all.first().unwrap().1;
        assert!(all.iter().all(|(_, uid_validity)| *uid_validity == one), "{all:?}");
        let others = ["a", "a/b"].map(|name| ann.open().mailbox(name).unwrap().sync().unwrap());
        assert!(others.iter().all(|other| other.uid_validity < one), "each has its own");
    }
}

#[test]
fn who_looks_while_mailboxes_change_names_mixes_none() {
    for layout in [Layout::MaildirPlusPlus, Layout::Fs] {
        let ann = Ann::apart(layout);
        let directory = ann.open();
        let (alive, ends) = std::sync::mpsc::sync_channel::<()>(0);
        let ends = Mutex::new(ends);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while ends.lock().unwrap().try_recv() == Err(TryRecvError::Empty) {
                        // As another process, one each time.
                        let Ok(store) = directory.mailbox("a") else { continue };
                        let _ = Store::new(store.mailbox.stranger()).recent_from(true);
                    }
                });
            }
            let moved = (0..20).map(|number| {
                directory.create("a").unwrap();
                let store = directory.mailbox("a").unwrap();
                deliver(&store, &number.to_string());
                let uid_validity = store.sync().unwrap().uid_validity;
                directory.rename("a", &format!("b{number}")).unwrap();
                uid_validity
            });
            let moved: Vec<u32> = moved.collect();
            drop(alive);
            for (number, uid_validity) in moved.into_iter().enumerate() {
                let store = directory.mailbox(&format!("b{number}")).unwrap();
                let snapshot = store.sync().unwrap();
                assert_eq!((snapshot.uid_validity, uids(&store)), (uid_validity, vec![1]));
                assert_eq!(text(&store, 1), number.to_string());
            }
        });
    }
}
