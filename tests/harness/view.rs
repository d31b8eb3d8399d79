//! What a client sees of a user's mailboxes, to be compared with what it sees later.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

/// All that a client sees. What it sees of one mailbox is for who looks to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View<Mailbox> {
    /// By name.
    pub mailboxes: BTreeMap<String, Mailbox>,
    /// Names.
    pub subscribed: BTreeSet<String>,
}

impl<Mailbox: Debug + PartialEq> View<Mailbox> {
    /// What is not the same, for people.
    #[must_use]
    pub fn difference(&self, now: &Self) -> String {
        let mut text = String::new();
        if self.subscribed != now.subscribed {
            text += &format!("subscribed {:?}, now {:?}\n", self.subscribed, now.subscribed);
        }
        let names: BTreeSet<&String> = self.mailboxes.keys().chain(now.mailboxes.keys()).collect();
        for name in names {
            let (before, after) = (self.mailboxes.get(name), now.mailboxes.get(name));
            if before != after {
                text += &format!("{name}: {before:#?}\nnow {after:#?}\n");
            }
        }
        text
    }
}
