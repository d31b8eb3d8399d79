//! INBOXes that stay open between deliveries.

use std::cell::Cell;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use mail_proto::mailbox::{Change, FlagChange, Flags};

use super::super::inboxes::{Inboxes, KEPT};
use super::super::{
    Delivery, DeliveryId, Doubt, Inbox, Left, Note, Original, StoreError, Tidings, Whole,
};
use super::*;
use crate::disk::Dir;

/// Delivers, and returns how many messages wait in `new` at the path of the user's INBOX.
fn delivered(inboxes: &Inboxes<Box<Inbox>>, ann: &Ann) -> usize {
    let inbox = inboxes.inbox(&ann.user(), &ann.mail, Box::new).unwrap();
    let mut message = inbox.append(None, NewMessage::default()).unwrap();
    message.write(b"text\r\n").unwrap();
    let (_, tidings) = inbox.deliver(message.finish().unwrap(), None, &()).unwrap();
    tidings.into_iter().for_each(Tidings::tell);
    ann.names("new").len()
}

#[test]
fn a_mailbox_that_is_moved_away_under_a_delivery_does_not_have_it() {
    let (ann, inboxes) = (Ann::new(), Inboxes::default());
    let inbox = inboxes.inbox(&ann.user(), &ann.mail, Box::new).unwrap();
    let mut message = inbox.append(None, NewMessage::default()).unwrap();
    message.write(b"text\r\n").unwrap();
    fs::rename(ann.home(), ann.directory.path().join("away")).unwrap();
    ann.open();
    let error = inbox.deliver(message.finish().unwrap(), None, &()).unwrap_err();
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
    let opened = inboxes.inbox(&ann.user(), &ann.mail, Box::new).unwrap();
    fs::rename(&disk, ann.directory.path().join("unmounted")).unwrap();
    let error = inboxes.inbox(&ann.user(), &ann.mail, Box::new).unwrap_err();
    assert!(error.is_temporary(), "{error}");
    assert!(!disk.exists());
    fs::rename(ann.directory.path().join("unmounted"), &disk).unwrap();
    let again = inboxes.inbox(&ann.user(), &ann.mail, Box::new).unwrap();
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
    let inbox = |number: usize| inboxes.inbox(&user(number), &ann.mail, Box::new).unwrap();
    let (first, second) = (inbox(0), inbox(1));
    for number in 2..=KEPT {
        inbox(number);
    }
    assert!(Arc::ptr_eq(&second, &inbox(1)), "it is kept");
    assert!(!Arc::ptr_eq(&first, &inbox(0)), "it was opened anew");
    assert!(!Arc::ptr_eq(&second, &inbox(1)), "it made room");
}

/// Moments of who asks: before anything failed or was forgotten.
const DOUBT: Doubt = Doubt { since: 0, now: 0, oldest: 0 };

fn id(number: usize) -> DeliveryId {
    DeliveryId::parse(&format!("8MoK2mX2A0VhSXz9.{number}")).unwrap()
}

/// A delivery under an id, from its process's own first to its 250.
fn deliver(inboxes: &Inboxes<Box<Inbox>>, ann: &Ann, number: usize) {
    let inbox = inboxes.inbox(&ann.user(), &ann.mail, Box::new).unwrap();
    let mut message = inbox.append(None, NewMessage::default()).unwrap();
    message.write(b"text\r\n").unwrap();
    inbox.deliver(message.finish().unwrap(), Some(&id(number)), &()).unwrap();
}

fn holds(inboxes: &Inboxes<Box<Inbox>>, ann: &Ann, number: usize, doubt: Doubt) -> bool {
    let inbox = inboxes.inbox(&ann.user(), &ann.mail, Box::new).unwrap();
    inboxes.holds_delivery(&inbox, &id(number), doubt).unwrap()
}

fn looks(inboxes: &Inboxes<Box<Inbox>>) -> usize {
    inboxes.deliveries.looks.load(Ordering::Relaxed)
}

#[test]
fn a_mailbox_is_looked_through_once() {
    let (ann, before) = (Ann::new(), Inboxes::default());
    (0..40).for_each(|number| deliver(&before, &ann, number));
    // Some are in `cur`, with flags.
    ann.inbox().recent_from(true).unwrap();
    (40..50).for_each(|number| deliver(&before, &ann, number));
    let inboxes = Inboxes::default();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (ann, inboxes) = (&ann, &inboxes);
            scope.spawn(move || {
                for number in (thread..100).step_by(4) {
                    assert_eq!(holds(inboxes, ann, number, DOUBT), number < 50, "{number}");
                }
            });
        }
    });
    assert_eq!(looks(&inboxes), 1);
    // What its reader deletes does not come again.
    let inbox = ann.inbox();
    inbox.expunge(&uids(&inbox)).unwrap();
    assert!((0..50).all(|number| holds(&inboxes, &ann, number, DOUBT)));
    assert_eq!(looks(&inboxes), 1);
}

#[test]
fn what_happened_since_is_looked_for_anew() {
    let (ann, inboxes) = (Ann::new(), Inboxes::default());
    deliver(&inboxes, &ann, 0);
    assert!(holds(&inboxes, &ann, 0, DOUBT) && !holds(&inboxes, &ann, 1, DOUBT));
    // It got into the mailbox, and failed after that.
    deliver(&inboxes, &ann, 1);
    let failed = Doubt { since: 1, now: 2, oldest: 0 };
    assert!(holds(&inboxes, &ann, 1, failed));
    assert_eq!(looks(&inboxes), 2);
    // That look serves for the others too, and for what failed before it.
    for since in [0, 1, 2] {
        assert!(!holds(&inboxes, &ann, 2, Doubt { since, now: 9, oldest: 0 }));
    }
    assert_eq!(looks(&inboxes), 2);
    assert!(!holds(&inboxes, &ann, 2, Doubt { since: 3, now: 9, oldest: 0 }));
    assert_eq!(looks(&inboxes), 3);
    // What was there is not forgotten with a new look.
    let inbox = ann.inbox();
    inbox.expunge(&uids(&inbox)).unwrap();
    let since = |since| Doubt { since, now: 20, oldest: 0 };
    assert!(!holds(&inboxes, &ann, 2, since(10)));
    assert_eq!(looks(&inboxes), 4);
    assert!(holds(&inboxes, &ann, 0, since(10)) && holds(&inboxes, &ann, 1, since(20)));
    assert_eq!(looks(&inboxes), 4);
    // But of what is not asked for any more.
    let later = Doubt { oldest: id(0).micros() + 1, ..since(30) };
    let other = DeliveryId::parse("8MoK2mX2B0VhSXz9.0").unwrap();
    let inbox = inboxes.inbox(&ann.user(), &ann.mail, Box::new).unwrap();
    assert!(!inboxes.holds_delivery(&inbox, &other, later).unwrap());
    assert!(!holds(&inboxes, &ann, 0, later));
}

#[test]
fn what_is_not_asked_for_is_not_kept_and_found_all_the_same() {
    let (ann, inboxes) = (Ann::new(), Inboxes::default());
    deliver(&inboxes, &ann, 0);
    let later = Doubt { oldest: id(0).micros() + 1, ..DOUBT };
    let other = DeliveryId::parse("8MoK2mX2B0VhSXz9.0").unwrap();
    let inbox = inboxes.inbox(&ann.user(), &ann.mail, Box::new).unwrap();
    assert!(!inboxes.holds_delivery(&inbox, &other, later).unwrap());
    assert!(holds(&inboxes, &ann, 0, later), "whoever asks for it against his word");
    assert_eq!(looks(&inboxes), 2);
}

#[test]
fn another_mailbox_at_the_path_is_looked_through_for_itself() {
    let (ann, inboxes) = (Ann::new(), Inboxes::default());
    let away = ann.directory.path().join("away");
    deliver(&inboxes, &ann, 0);
    assert!(holds(&inboxes, &ann, 0, DOUBT));
    fs::rename(ann.home(), &away).unwrap();
    assert!(!holds(&inboxes, &ann, 0, DOUBT), "it went with its mailbox");
    // What is restored has what it has; and the number of the directory may be the same.
    for _ in 0..3 {
        fs::remove_dir_all(ann.home()).unwrap();
        deliver(&inboxes, &ann, 1);
        assert!(holds(&inboxes, &ann, 1, DOUBT) && !holds(&inboxes, &ann, 0, DOUBT));
        fs::remove_dir_all(ann.home()).unwrap();
        ann.open();
        assert!(!holds(&inboxes, &ann, 1, DOUBT));
    }
    fs::remove_dir_all(ann.home()).unwrap();
    fs::rename(&away, ann.home()).unwrap();
    assert!(holds(&inboxes, &ann, 0, DOUBT) && !holds(&inboxes, &ann, 1, DOUBT));
    // `cur` alone.
    ann.inbox().recent_from(true).unwrap();
    fs::rename(ann.home().join("cur"), &away).unwrap();
    fs::create_dir(ann.home().join("cur")).unwrap();
    assert!(!holds(&inboxes, &ann, 0, DOUBT));
}

#[test]
fn a_mailbox_that_cannot_be_looked_through_is_an_error() {
    let (ann, inboxes) = (Ann::new(), Inboxes::default());
    let inbox = inboxes.inbox(&ann.user(), &ann.mail, Box::new).unwrap();
    fs::rename(ann.home().join("cur"), ann.home().join("away")).unwrap();
    assert!(inboxes.holds_delivery(&inbox, &id(0), DOUBT).is_err());
    fs::rename(ann.home().join("away"), ann.home().join("cur")).unwrap();
    assert!(!inboxes.holds_delivery(&inbox, &id(0), DOUBT).unwrap());
}

#[test]
fn a_mailbox_with_too_many_is_looked_through_each_time() {
    let (ann, inboxes) = (Ann::new(), Inboxes::default());
    ann.open();
    for number in 0..200 {
        let micros = id(0).micros();
        let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
        ann.put(&format!("new/{seconds}.M{rest}D8MoK2mX2A0VhSXz9-{number}.vm"), "text");
    }
    assert!(holds(&inboxes, &ann, 199, DOUBT) && !holds(&inboxes, &ann, 200, DOUBT));
    ann.put(&format!("cur/{}", ann.names("new")[0].replace("-0.", "-200.")), "text");
    assert!(holds(&inboxes, &ann, 200, DOUBT), "it is not remembered that it was not there");
}

/// What is said of a delivery that is about to be seen; and whether it can be taken back.
#[derive(Default)]
struct Noting {
    tmp: Cell<Option<u32>>,
    seen_in_tmp: Cell<bool>,
    is_stuck: bool,
}

impl Note for Noting {
    fn about_to_be_seen(&self, tmp: &Dir) {
        self.tmp.set(Some(tmp.identity().unwrap().checksum()));
        self.seen_in_tmp.set(tmp.stat("noted").is_ok());
    }

    fn was_not_seen(&self) -> bool {
        !self.is_stuck
    }
}

fn noted(inbox: &Inbox, text: &[u8]) -> Whole {
    let mut message = inbox.append(Some("noted"), NewMessage::default()).unwrap();
    message.write(text).unwrap();
    message.finish().unwrap()
}

#[test]
fn a_delivery_that_is_noted_is_in_tmp_until_it_is_in_the_mailbox() {
    let (ann, inboxes) = (Ann::new(), Inboxes::default());
    let inbox = inboxes.inbox(&ann.user(), &ann.mail, Box::new).unwrap();
    let note = Noting::default();
    // What a dead process left is not in the way.
    std::mem::forget(noted(&inbox, b"half of"));
    let (delivery, _) = inbox.deliver(noted(&inbox, b"text\r\n"), Some(&id(0)), &note).unwrap();
    assert_eq!(delivery, Delivery::Made);
    let tmp = note.tmp.get().unwrap();
    assert!(note.seen_in_tmp.get());
    assert_eq!(inbox.left("noted", tmp).unwrap(), Left::Gone);
    assert_eq!(ann.read(&format!("new/{}", ann.names("new")[0])), "text\n");
    // The name is taken.
    let (delivery, _) = inbox.deliver(noted(&inbox, b"same\r\n"), Some(&id(0)), &note).unwrap();
    assert_eq!((delivery, ann.names("tmp").len()), (Delivery::Repeated, 0));
    // It is given up.
    drop(noted(&inbox, b"text\r\n"));
    assert_eq!(ann.names("tmp"), [""; 0]);
    std::mem::forget(noted(&inbox, b"text\r\n"));
    assert_eq!(inbox.left("noted", tmp).unwrap(), Left::There);
    assert_eq!(inbox.left("noted", tmp ^ 1).unwrap(), Left::Elsewhere);
    // Somebody removed the directory: `tmp` is another one.
    fs::remove_dir_all(ann.home().join("tmp")).unwrap();
    drop(noted(&inbox, b"text\r\n"));
    let again = Inboxes::default().inbox(&ann.user(), &ann.mail, Box::new).unwrap();
    assert_eq!(again.left("noted", tmp).unwrap(), Left::Elsewhere);
    again.make_last().unwrap();
}

#[test]
fn what_readers_did_not_see_stays_in_tmp_if_its_note_stays() {
    for is_stuck in [false, true] {
        let (ann, inboxes) = (Ann::new(), Inboxes::default());
        let inbox = inboxes.inbox(&ann.user(), &ann.mail, Box::new).unwrap();
        let message = noted(&inbox, b"text\r\n");
        fs::remove_dir(ann.home().join("new")).unwrap();
        let note = Noting { is_stuck, ..Noting::default() };
        inbox.deliver(message, Some(&id(0)), &note).unwrap_err();
        assert_eq!(ann.names("tmp").len(), usize::from(is_stuck));
        let left = if is_stuck { Left::There } else { Left::Gone };
        assert_eq!(inbox.left("noted", note.tmp.get().unwrap()).unwrap(), left);
    }
}

/// Writes a message into one mailbox, which is given what others need for theirs.
fn written(inbox: &Inbox, text: &[u8]) -> (Whole, Original) {
    let mut message = inbox.append(None, NewMessage::default()).unwrap();
    message.write(text).unwrap();
    let whole = message.finish().unwrap();
    let original = whole.original().unwrap();
    (whole, original)
}

fn put(inbox: &Inbox, whole: Whole) {
    let (delivery, tidings) = inbox.deliver(whole, None, &()).unwrap();
    assert_eq!(delivery, Delivery::Made);
    tidings.into_iter().for_each(Tidings::tell);
}

#[test]
fn one_file_is_a_message_of_each_of_its_mailboxes() {
    let (ann, bob) = (Ann::new(), Ann::new());
    let text = b"Subject: for both\r\n\r\ntext\r\n";
    let open = |ann: &Ann| Inboxes::default().inbox(&ann.user(), &ann.mail, Box::new).unwrap();
    let (anns, bobs) = (open(&ann), open(&bob));
    let (whole, original) = written(&anns, text);
    // Left by a dead process.
    fs::write(bob.home().join("tmp/noted"), "half").unwrap();
    let linked = bobs.link(Some("noted"), &original).unwrap();
    let note = Noting::default();
    let (delivery, tidings) = bobs.deliver(linked, Some(&id(7)), &note).unwrap();
    assert!(note.seen_in_tmp.get());
    assert_eq!(delivery, Delivery::Made);
    tidings.into_iter().for_each(Tidings::tell);
    put(&anns, whole);
    let again = bobs.link(Some("noted"), &original).unwrap();
    assert_eq!(bobs.deliver(again, Some(&id(7)), &()).unwrap().0, Delivery::Repeated);

    let metadata = |ann: &Ann| {
        let [name] = ann.names("new").try_into().unwrap();
        assert!(name.ends_with(",S=24,W=27"), "{name}");
        assert_eq!(ann.names("tmp"), [""; 0]);
        fs::metadata(ann.home().join("new").join(name)).unwrap()
    };
    assert_eq!((metadata(&ann).ino(), metadata(&ann).nlink()), (metadata(&bob).ino(), 2));
    for ann in [&ann, &bob] {
        assert_eq!(uids(&ann.inbox()), [1]);
        let mut summary = Vec::new();
        assert!(ann.inbox().summaries().read(1, &mut summary), "it was made with the message");
        assert!(String::from_utf8_lossy(&summary).contains("for both"));
    }
    // What becomes of one is nothing to the other.
    let flags = NamedFlags { system: Flags::SEEN, keywords: vec!["$Junk".to_owned()] };
    let seen = FlagChange { how: Change::Add, flags };
    ann.inbox().store_flags(&[1], &seen).unwrap();
    ann.inbox().copy(&[1], &ann.open().mailbox("Archive").unwrap()).unwrap();
    ann.inbox().expunge(&[1]).unwrap();
    assert_eq!(super::text(&bob.inbox(), 1).as_bytes(), b"Subject: for both\n\ntext\n");
    let bobs_letter = bob.inbox().sync().unwrap().messages.iter().next().unwrap();
    assert_eq!(bobs_letter.flags, Flags::default());
    let archive = ann.open().mailbox("Archive").unwrap();
    bob.inbox().expunge(&[1]).unwrap();
    assert_eq!(super::text(&archive, 1).as_bytes(), b"Subject: for both\n\ntext\n");
}

#[test]
fn what_its_reader_took_away_already_is_not_linked() {
    let (ann, bob) = (Ann::new(), Ann::new());
    let open = |ann: &Ann| Inboxes::default().inbox(&ann.user(), &ann.mail, Box::new).unwrap();
    let (anns, bobs) = (open(&ann), open(&bob));
    let (whole, original) = written(&anns, b"text\r\n");
    put(&anns, whole);
    put(&bobs, bobs.link(None, &original).unwrap());
    ann.inbox().sync().unwrap();
    ann.inbox().expunge(&[1]).unwrap();
    put(&bobs, bobs.link(None, &original).unwrap());
    assert_eq!(bob.names("new").len(), 2);
    bob.inbox().sync().unwrap();
    bob.inbox().expunge(&[1, 2]).unwrap();
    assert!(bobs.link(None, &original).is_err());
    assert_eq!(bob.names("tmp"), [""; 0]);
}
