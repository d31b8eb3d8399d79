//! INBOXes that stay open between deliveries.

use std::sync::Arc;

use super::super::inboxes::Inboxes;
use super::super::{StoreError, Tidings};
use super::*;

/// Delivers, and returns how many messages wait in `new` at the path of the user's INBOX.
fn delivered(inboxes: &Inboxes, ann: &Ann) -> usize {
    let inbox = inboxes.inbox(&ann.user(), &ann.mail).unwrap();
    let mut message = inbox.append(NewMessage::default()).unwrap();
    message.write(b"text\r\n").unwrap();
    let (_, tidings) = inbox.deliver(message, || ()).unwrap();
    tidings.into_iter().for_each(Tidings::tell);
    ann.names("new").len()
}

#[test]
fn a_mailbox_that_is_moved_away_under_a_delivery_does_not_have_it() {
    let (ann, inboxes) = (Ann::new(), Inboxes::default());
    let inbox = inboxes.inbox(&ann.user(), &ann.mail).unwrap();
    let mut message = inbox.append(NewMessage::default()).unwrap();
    message.write(b"text\r\n").unwrap();
    fs::rename(ann.home(), ann.directory.path().join("away")).unwrap();
    ann.open();
    let error = inbox.deliver(message, || ()).unwrap_err();
    assert!(matches!(error, StoreError::Replaced), "{error}");
    assert_eq!(delivered(&inboxes, &ann), 1);
}

#[test]
fn mail_goes_where_the_path_leads_whatever_is_open() {
    let (ann, inboxes) = (Ann::new(), Inboxes::default());
    assert_eq!((delivered(&inboxes, &ann), delivered(&inboxes, &ann)), (1, 2));
    // Moved away as a whole, and restored from elsewhere.
    fs::rename(ann.home(), ann.directory.path().join("away")).unwrap();
    assert_eq!(delivered(&inboxes, &ann), 1);
    assert!(ann.home().join(".Sent").exists(), "it was made as for a new user");
    fs::remove_dir_all(ann.home()).unwrap();
    fs::rename(ann.directory.path().join("away"), ann.home()).unwrap();
    assert_eq!(delivered(&inboxes, &ann), 3);
    // One of its directories alone.
    fs::rename(ann.home().join("new"), ann.home().join("old")).unwrap();
    assert_eq!(delivered(&inboxes, &ann), 1);
    fs::remove_dir_all(ann.home().join("tmp")).unwrap();
    assert_eq!(delivered(&inboxes, &ann), 2);
}

#[test]
fn what_is_kept_open_is_only_asked_where_its_path_leads_there() {
    let (ann, inboxes) = (Ann::new(), Inboxes::default());
    assert_eq!(delivered(&inboxes, &ann), 1);
    let store = ann.inbox();
    let shown = |store: &Store| store.sync().unwrap().messages.len();
    let (new, away) = (ann.home().join("new"), ann.directory.path().join("away"));
    assert_eq!(shown(&store), 1);
    // One of its directories alone, then all.
    fs::rename(&new, &away).unwrap();
    assert_eq!(shown(&store), 0);
    fs::remove_dir(&new).unwrap();
    fs::rename(&away, &new).unwrap();
    assert_eq!(shown(&store), 1);
    fs::rename(ann.home(), &away).unwrap();
    assert!(matches!(store.sync(), Err(StoreError::NoSuchMailbox(_))));
    assert_eq!(shown(&ann.inbox()), 0);
}

#[test]
fn a_disk_that_is_gone_is_an_error() {
    let (mut ann, inboxes) = (Ann::new(), Inboxes::default());
    let disk = ann.directory.path().join("disk");
    ann.mail.path = format!("{}/%d/%n", disk.display()).try_into().unwrap();
    fs::create_dir(&disk).unwrap();
    let opened = inboxes.inbox(&ann.user(), &ann.mail).unwrap();
    fs::rename(&disk, ann.directory.path().join("unmounted")).unwrap();
    let error = inboxes.inbox(&ann.user(), &ann.mail).unwrap_err();
    assert!(error.is_temporary(), "{error}");
    assert!(!disk.exists());
    fs::rename(ann.directory.path().join("unmounted"), &disk).unwrap();
    let again = inboxes.inbox(&ann.user(), &ann.mail).unwrap();
    assert!(Arc::ptr_eq(&opened, &again));
}

#[test]
fn a_cache_that_was_written_anew_gets_the_next_summary() {
    let (ann, inboxes) = (Ann::new(), Inboxes::default());
    let cache = ann.home().join("posthorn.cache");
    let octets = || fs::metadata(&cache).unwrap().len();
    delivered(&inboxes, &ann);
    let one = octets();
    delivered(&inboxes, &ann);
    assert_eq!(octets(), 2 * one, "the same message, in the file that is open");
    fs::write(ann.home().join("other"), "").unwrap();
    ann.rename("other", "posthorn.cache");
    delivered(&inboxes, &ann);
    assert_eq!(octets(), one);
}

#[test]
fn the_oldest_makes_room() {
    let (ann, inboxes) = (Ann::new(), Inboxes::default());
    let user = |number: usize| {
        let address = format!("u{number}@example.org").parse().unwrap();
        let home = ann.mail.path.path(&address).unwrap();
        // As if it was there: to make one takes long.
        for place in ["cur", "new", "tmp"] {
            fs::create_dir_all(home.join(place)).unwrap();
        }
        User::new(address, home)
    };
    let inbox = |number: usize| inboxes.inbox(&user(number), &ann.mail).unwrap();
    let (first, second) = (inbox(0), inbox(1));
    for number in 2..=Inboxes::KEPT {
        inbox(number);
    }
    assert!(Arc::ptr_eq(&second, &inbox(1)), "it is kept");
    assert!(!Arc::ptr_eq(&first, &inbox(0)), "it was opened anew");
    assert!(!Arc::ptr_eq(&second, &inbox(1)), "it made room");
}
