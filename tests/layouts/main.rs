//! Every form in which Dovecot keeps a user's mailboxes, made by Dovecot and read by us, changed by
//! us and read by Dovecot: names, subscriptions, UIDVALIDITY, messages.
//!
//! Debian's Dovecot with listescape makes mailboxes with names of all kinds in Maildir++ and
//! LAYOUT=fs, with either separator, in modified UTF-7 and in UTF-8, with control and index files
//! beside the messages and apart. What we see of them must be what it sees. Then we make, rename,
//! remove and subscribe, and it must see what we see.

mod courier;
mod foreign;
mod form;
#[path = "../interop/imap.rs"]
mod imap;
mod names;
mod quota;
mod view;

use mail_common::maildir::{Directory, NewMessage};
use mail_tests::reference::Unpacked;

use form::{FORMS, Form, Place};
use view::View;

#[test]
fn what_dovecot_makes_we_see_and_what_we_make_it_sees() {
    let unpacked = Unpacked::find().unwrap_or_else(|why| panic!("the original is needed: {why}"));
    for form in &FORMS {
        let place = Place::new(form);
        let before = made_by_dovecot(&place, &unpacked);
        let directory = place.directory();
        let ours = View::of_ours(&directory);
        assert_eq!(ours.difference(&before), [""; 0], "{form:?}: we do not see what Dovecot made");
        change(form, &directory);
        let ours = View::of_ours(&directory);
        assert!(!ours.difference(&before).is_empty(), "{form:?}: nothing was changed");
        let theirs = seen_by_dovecot(&place, &unpacked, &before);
        assert_eq!(
            ours.difference(&theirs),
            [""; 0],
            "{form:?}: Dovecot does not see what we made"
        );
    }
}

/// Mailboxes of all names, some subscribed, some with mail.
fn made_by_dovecot(place: &Place, unpacked: &Unpacked) -> View {
    let dovecot = place.dovecot(unpacked);
    let mut client = place.login(&dovecot);
    for (number, name) in names::of(place.form).iter().enumerate() {
        let quoted = view::quoted(name);
        client.ok(&format!("CREATE {quoted}"));
        if number % 2 == 0 {
            client.ok(&format!("SUBSCRIBE {quoted}"));
        }
        for _ in 0..number % 3 {
            let done = client.literal(&format!("APPEND {quoted} (\\Seen key)"), MESSAGE);
            assert!(done.status.starts_with("OK"), "{name}: {done:?}");
        }
    }
    client.ok("SUBSCRIBE INBOX");
    View::of_dovecot(&mut client)
}

const MESSAGE: &[u8] = b"Subject: x\r\n\r\ntext\r\n";

/// All that may be done with mailboxes.
fn change(form: &Form, directory: &Directory) {
    let name = |levels: &[&str]| form.name(levels);
    let done = |done: Result<(), _>, what: &str| done.unwrap_or_else(|e| panic!("{what}: {e}"));
    done(directory.create(&name(&["new ~", "~Ä\\", "Ö&~"])), "create");
    done(directory.create(&name(&["INBOX", "neu"])), "create below INBOX");
    done(directory.rename(&name(&["tree"]), &name(&["R&D", "~moved", "tree"])), "rename a tree");
    done(directory.rename(&name(&["Entwürfe"]), &name(&["draft", "e\u{301}"])), "rename");
    done(directory.rename(&name(&["b\\c"]), &name(&["\\2e\\5c"])), "rename a backslash");
    done(directory.delete(&name(&["100%"])), "delete");
    done(directory.delete(&name(&["parent"])), "delete a parent");
    done(directory.delete(&name(&["other", "child"])), "delete a child");
    done(directory.subscribe(&name(&["Entwürfe"]), false), "unsubscribe");
    done(directory.subscribe(&name(&["draft", "e\u{301}"]), true), "subscribe");
    done(directory.subscribe(&name(&["~x"]), true), "subscribe a tilde");
    done(directory.subscribe(&name(&["R&D", "~moved", "tree", "日本"]), true), "subscribe");
    for levels in [&["INBOX", "neu"][..], &["R&D", "~moved", "tree", "日本"], &["~x"]] {
        let store = directory.mailbox(&name(levels)).expect("it exists");
        let mut message = store.append(NewMessage::default()).expect("the disk has room");
        message.write(MESSAGE).expect("the disk has room");
        message.commit().expect("the disk has room");
    }
    let tree = directory.mailbox(&name(&["R&D", "~moved", "tree"])).expect("it exists");
    let gone = tree.sync().expect("it can be read").messages.iter().next().map(|m| m.uid);
    tree.expunge(&[gone.expect("it has mail")]).expect("it can be removed");
    done(directory.rename("INBOX", &name(&["old", "INBOX"])), "rename INBOX");
}

/// What it sees; and what it makes then has a UIDVALIDITY of its own.
fn seen_by_dovecot(place: &Place, unpacked: &Unpacked, before: &View) -> View {
    place.give();
    let dovecot = place.dovecot(unpacked);
    let mut client = place.login(&dovecot);
    let seen = View::of_dovecot(&mut client);
    let name = place.form.name(&["made last"]);
    client.ok(&format!("CREATE {}", view::quoted(&name)));
    let last = View::of_dovecot(&mut client);
    let greatest = seen.uid_validities().max().max(before.uid_validities().max());
    assert!(last.uid_validity(&name) > greatest, "{:?}", place.form);
    seen
}
