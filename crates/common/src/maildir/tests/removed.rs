//! What goes when a mailbox is removed, and what must not go with it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use mail_proto::mailbox::Flags;

use super::super::admit::Newcomer;
use super::super::expunge::Which;
use super::super::flags::Marking;
use super::super::keywords::Room;
use super::super::looks::Looks;
use super::super::tail::Tail;
use super::super::{StoreError, copy};
use super::*;
use crate::config::Layout;

/// Files in the directories of messages.
fn files(path: &Path) -> usize {
    ["new", "cur"].iter().map(|name| names(&path.join(name)).len()).sum()
}

#[test]
fn nobody_is_told_that_mail_came_into_a_mailbox_that_is_being_deleted() {
    let ann = Ann::new();
    let (inbox, directory) = (ann.inbox(), ann.open());
    append(&inbox, "a", 0, &[]);
    for begun in ["before the files came", "after"] {
        directory.create("A").unwrap();
        let target = directory.mailbox("A").unwrap();
        let mut held = target.mailbox.hold().unwrap();
        held.write(1).unwrap();
        let delete = || ann.rename(".A", "tmp/posthorn.delete.x");
        let error = match begun {
            "after" => {
                let newcomer = Newcomer::new("1.a.b", Flags::default(), Tail::Plain);
                let before = Looks::at(&held.folders).unwrap();
                ann.put(".A/new/1.a.b", "text\n");
                delete();
                let newcomers = [newcomer];
                let error = held.admit(&newcomers, before).unwrap_err();
                held.withdraw(&newcomers);
                error
            }
            _ => {
                let originals = copy::originals(&mut inbox.mailbox.hold().unwrap(), &[1]).unwrap();
                delete();
                copy::copy_into(&mut held, originals).unwrap_err()
            }
        };
        assert!(matches!(error, StoreError::Replaced), "{begun}: {error}");
        let gone = ann.home().join("tmp/posthorn.delete.x");
        assert_eq!(files(&gone), 0, "{begun}");
        fs::remove_dir_all(gone).unwrap();
    }
    assert_eq!(uids(&inbox), [1]);
}

#[test]
fn mailboxes_below_stay_though_their_names_are_not_utf8() {
    let table: [(Layout, &[u8], &[&str]); 4] = [
        (Layout::Fs, b"Work/B\xfccher", &[]),
        (Layout::Fs, b"Work/B\xfccher", &["Work/Other"]),
        (Layout::MaildirPlusPlus, b".Work.B\xfccher", &[]),
        (Layout::MaildirPlusPlus, b".Work.B\xfccher", &["Work/Other"]),
    ];
    for (layout, below, others) in table {
        let mut ann = Ann::new();
        ann.mail.layout = layout;
        let directory = ann.open();
        directory.create("Work").unwrap();
        for other in others {
            directory.create(other).unwrap();
        }
        let below = ann.home().join(OsStr::from_bytes(below));
        for name in ["cur", "new", "tmp"] {
            fs::create_dir_all(below.join(name)).unwrap();
        }
        fs::write(below.join("cur/1.a.b:2,S"), "text\n").unwrap();
        let work = directory.mailbox("Work").unwrap();
        append(&work, "a", 0, &[]);
        directory.delete("Work").unwrap();
        assert_eq!(files(&below), 1, "{layout:?}, {others:?}");
        assert!(matches!(directory.mailbox("Work"), Err(StoreError::NoSuchMailbox(_))));
        for other in others {
            directory.mailbox(other).unwrap().sync().unwrap();
        }
        // What only leads there is no mailbox, and stays as well.
        assert!(directory.delete("Work").is_err());
        assert_eq!(files(&below), 1, "{layout:?}, {others:?}");
    }
}

#[test]
fn a_mailbox_that_is_called_like_an_unfinished_file_stays() {
    for (layout, name) in
        [(Layout::Fs, "x.posthorn-tmp"), (Layout::MaildirPlusPlus, "x/posthorn-tmp")]
    {
        let mut ann = Ann::new();
        ann.mail.layout = layout;
        let directory = ann.open();
        directory.create(name).unwrap();
        append(&directory.mailbox(name).unwrap(), "a", 0, &[]);
        ann.inbox().settle().unwrap();
        directory.settle().unwrap();
        assert_eq!(uids(&directory.mailbox(name).unwrap()), [1], "{name}");
    }
}

/// Three messages, and a list of other UIDs that another program may write.
fn three() -> (Ann, String) {
    let ann = Ann::new();
    ann.open();
    let names = ["1.a", "2.a", "3.a"].map(|name| {
        ann.put(&format!("cur/{name}:2,S"), name);
        name
    });
    let list = |validity: u32, [one, two, three]: [&str; 3]| {
        format!("3 V{validity} N4 Gx\n1 :{one}\n2 :{two}\n3 :{three}\n")
    };
    ann.put("dovecot-uidlist", &list(7, names));
    (ann, list(8, ["1.a", "3.a", "2.a"]))
}

fn replace_list(ann: &Ann, list: &str) {
    ann.put("dovecot-uidlist.other", list);
    ann.rename("dovecot-uidlist.other", "dovecot-uidlist");
}

#[test]
fn uids_that_become_those_of_other_messages_meanwhile_take_none_of_these() {
    let (ann, other) = three();
    let inbox = ann.stranger();
    let mut held = inbox.mailbox.hold().unwrap();
    replace_list(&ann, &other);
    let mut removed = Vec::new();
    let error = held.expunge(Which::These(&[1, 2]), &mut removed).unwrap_err();
    assert!(matches!(error, StoreError::Replaced), "{error}");
    drop(held);
    assert_eq!((removed, ann.names("cur").len()), (vec![1], 2));
    assert_eq!((uids(&inbox), text(&inbox, 2)), (vec![2, 3], "3.a".to_owned()));
    assert_eq!(uids(&ann.stranger()), [2, 3]);
}

#[test]
fn flags_do_not_go_to_messages_that_have_the_uid_meanwhile() {
    let (ann, other) = three();
    let inbox = ann.stranger();
    let mut held = inbox.mailbox.hold().unwrap();
    replace_list(&ann, &other);
    let mut marking = Marking::begin(&held).unwrap();
    let mut mark = |uid: Uid| {
        marking.mark(&mut held, uid, |flags, tail| {
            let flags = Flags { system: flags.system | Flags::FLAGGED, ..flags };
            (flags, tail.with_flags(flags))
        })
    };
    mark(1).unwrap();
    let error = mark(2).unwrap_err();
    assert!(matches!(error, StoreError::Replaced), "{error}");
    marking.end(&mut held).unwrap();
    drop(held);
    for store in [&inbox, &ann.stranger()] {
        let snapshot = store.sync().unwrap();
        let flags: Vec<u8> = snapshot.messages.iter().map(|entry| entry.flags.system).collect();
        assert_eq!(flags, [Flags::SEEN | Flags::FLAGGED, Flags::SEEN, Flags::SEEN]);
    }
}

#[test]
fn what_fails_under_another_uidvalidity_is_an_error_and_no_more() {
    let (ann, other) = three();
    let inbox = ann.stranger();
    let mut held = inbox.mailbox.hold().unwrap();
    replace_list(&ann, &other);
    fs::create_dir(ann.home().join("dovecot-keywords")).unwrap();
    let error = held.expunge(Which::These(&[1, 2]), &mut Vec::new()).unwrap_err();
    assert!(matches!(error, StoreError::System { .. }), "{error}");
    assert!(held.bits(&[], Room::ForSome).is_err());
    drop(held);
    fs::remove_dir(ann.home().join("dovecot-keywords")).unwrap();
    assert_eq!(uids(&inbox), [2, 3]);
}
