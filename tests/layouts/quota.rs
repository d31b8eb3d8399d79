//! `maildirsize`: Dovecot's quota counts what we change, and ours is what it would count.

use std::fs;

use mail_common::maildir::{Inbox, NewMessage, Tidings};
use mail_tests::reference::Unpacked;

use super::form::{FORMS, Place};
use super::imap::Imap;

const SETTINGS: &str = "\
mail_plugins = listescape quota
protocol imap {
  mail_plugins = listescape quota imap_quota
}
plugin {
  quota = maildir:User quota
  quota_rule = *:storage=1M
}
";

#[test]
fn dovecot_counts_on_with_what_we_count() {
    let unpacked = Unpacked::find().unwrap_or_else(|why| panic!("the original is needed: {why}"));
    for form in FORMS.iter().step_by(4) {
        let place = Place::new(form);
        {
            let dovecot = place.dovecot_with(&unpacked, SETTINGS);
            let mut client = place.login(&dovecot);
            client.ok(&format!("CREATE {}", form.name(&["other"])));
            append(&mut client, "INBOX", 5_000);
            append(&mut client, &form.name(&["other"]), 10_000);
            assert_eq!(used(&mut client), "15", "KiB, rounded up");
        }
        let file = place.control().join("maildirsize");
        let before = fs::read_to_string(&file).expect("Dovecot made it");
        let directory = place.directory();
        let other = directory.mailbox(&form.name(&["other"])).expect("it exists");
        let inbox = directory.mailbox("INBOX").expect("it exists");
        let open = Inbox::open(|| Ok(inbox.clone())).expect("it exists");
        for size in [100_000, 30_000] {
            let mut message = open.append(None, NewMessage::default()).expect("the disk has room");
            message.write(&vec![b'x'; size]).expect("the disk has room");
            let whole = message.finish().expect("the disk has room");
            let (_, tidings) = open.deliver(whole, None, &()).expect("the disk has room");
            tidings.into_iter().for_each(Tidings::tell);
        }
        inbox.sync().expect("it can be read");
        inbox.copy(&[2], &other).expect("the disk has room");
        inbox.expunge(&[1, 3]).expect("it can be removed");
        let after = fs::read_to_string(&file).expect("it is there still");
        assert_eq!(after.strip_prefix(&before).map(|lines| lines.lines().count()), Some(4));
        place.give();
        let dovecot = place.dovecot_with(&unpacked, SETTINGS);
        // 10,000 and twice 100,000 octets.
        assert_eq!(used(&mut place.login(&dovecot)), "206", "KiB: {after}");
    }
}

fn append(client: &mut Imap, mailbox: &str, size: usize) {
    let done = client.literal(&format!("APPEND {mailbox}"), &vec![b'x'; size]);
    assert!(done.status.starts_with("OK"), "{done:?}");
}

/// What the user's mail takes, in KiB, as Dovecot says.
fn used(client: &mut Imap) -> String {
    let lines = client.ok("GETQUOTAROOT INBOX").lines;
    let line = lines.iter().find_map(|line| line.split_once("(STORAGE ")?.1.split(' ').next());
    line.unwrap_or_else(|| panic!("no quota: {lines:?}")).to_owned()
}
