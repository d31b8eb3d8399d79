//! What goes when a mailbox is removed, and what must not go with it.

use super::super::admit::Newcomer;
use super::super::index::Tail;
use super::super::known::Looks;
use super::super::{StoreError, copy};
use super::*;

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
                let newcomer = Newcomer::new("1.a.b", Default::default(), Tail::Plain);
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
