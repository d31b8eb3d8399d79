//! Directories that neither Dovecot nor we would make, and what is shown of them.

use std::fs;
use std::os::unix::fs::symlink;

use mail_tests::reference::Unpacked;

use super::form::{FORMS, Place};
use super::view::View;

/// A directory of Maildir++, the names that Dovecot and we show, and why they are not the same.
const DIRECTORIES: [(&str, Option<&str>, Option<&str>, &str); 13] = [
    (".Entwürfe", Some("Entwürfe"), Some("Entwürfe"), ""),
    (".b&c", Some("b&c"), Some("b&c"), ""),
    (".d&AOQ", Some("d&AOQ"), Some("d&AOQ"), ""),
    (".e\\zz", Some("e\\zz"), Some("e\\zz"), ""),
    (".f\\41", Some("fA"), Some("fA"), ""),
    (".g\\", Some("g\\"), Some("g\\"), ""),
    (".~h", Some("~h"), Some("~h"), ""),
    (".i.~j", Some("i/~j"), Some("i/~j"), ""),
    (".k\\2fl", Some("k/l"), Some("k\\2fl"), "k/l is another directory: Dovecot cannot open this"),
    (".m..n", Some("m//n"), Some("m/.n"), "no level is empty: clients could not name it"),
    (".o.", Some("o/"), Some("o."), "no level is empty: clients could not name it"),
    (".p\\0aq", Some("p\nq"), Some("p\\0aq"), "no name has a line end in it"),
    (LINK, Some("link"), None, "a link may lead out of the user's directory"),
];
const LINK: &str = ".link";

#[test]
fn what_others_made_is_shown_or_there_is_a_reason() {
    let unpacked = Unpacked::find().unwrap_or_else(|why| panic!("the original is needed: {why}"));
    let place = Place::new(&FORMS[0]);
    for inside in ["cur", "new", "tmp"] {
        fs::create_dir(place.maildir().join(inside)).expect("the site has room");
        for (directory, ..) in DIRECTORIES {
            let directory = place.maildir().join(directory);
            if directory.ends_with(LINK) {
                fs::create_dir_all(place.maildir().join("elsewhere").join(inside)).expect("room");
            } else {
                fs::create_dir_all(directory.join(inside)).expect("the site has room");
            }
        }
    }
    symlink(place.maildir().join("elsewhere"), place.maildir().join(LINK)).expect("room");
    let ours = View::of_ours(&place.directory());
    let theirs = {
        place.give();
        let dovecot = place.dovecot(&unpacked);
        View::of_dovecot(&mut place.login(&dovecot))
    };
    for (directory, shown, by_us, because) in DIRECTORIES {
        assert_eq!(shown == by_us, because.is_empty(), "{directory}: differs, and is said not to");
        for (view, name) in [(&ours, by_us), (&theirs, shown)] {
            assert!(name.is_none_or(|name| view.shows(name)), "{directory}: {view:?}");
        }
        if let Some(name) = by_us {
            assert!(ours.uid_validity(name).is_some(), "{directory}: shown, and not a mailbox");
        }
    }
    assert!(!ours.shows("link"), "{ours:?}");
    let shown = DIRECTORIES.iter().filter(|(_, _, by_us, _)| by_us.is_some()).count();
    assert_eq!(ours.uid_validities().count(), shown + 1, "with INBOX: {ours:?}");
}
