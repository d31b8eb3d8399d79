//! What a client sees of a user's mailboxes.

use std::collections::BTreeMap;

use mail_common::maildir::Directory;
use mail_proto::imap::syntax::utf7;

use super::imap::Imap;

/// All names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct View(BTreeMap<String, Seen>);

/// What is seen of one.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    exists: bool,
    subscribed: bool,
    /// Where it can be selected: UIDVALIDITY, UIDNEXT, messages.
    mailbox: Option<(u32, u32, u32)>,
}

impl View {
    /// What we see.
    pub(crate) fn of_ours(directory: &Directory) -> Self {
        let folders = directory.folders().expect("they can be listed");
        let seen = folders.into_iter().map(|folder| {
            let mailbox = folder.selectable.then(|| {
                let store = directory.mailbox(&folder.name).expect("it can be opened");
                let now = store.sync().expect("it can be read");
                let messages = u32::try_from(now.messages.len()).expect("there are few");
                (now.uid_validity, now.uid_next, messages)
            });
            let (exists, subscribed) = (folder.exists, folder.subscribed);
            (folder.name, Seen { exists, subscribed, mailbox })
        });
        Self(seen.collect())
    }

    /// What Dovecot shows.
    pub(crate) fn of_dovecot(client: &mut Imap) -> Self {
        let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
        for line in client.ok("LIST \"\" \"*\"").lines {
            let (attributes, name) = listed(&line);
            let status = (!attributes.contains("\\Noselect")).then(|| status(client, &name));
            let mailbox = status.flatten();
            seen.insert(name, Seen { exists: true, mailbox, ..Seen::default() });
        }
        for line in client.ok("LSUB \"\" \"*\"").lines {
            seen.entry(listed(&line).1).or_default().subscribed = true;
        }
        Self(seen)
    }

    /// What differs, for people.
    pub(crate) fn difference(&self, other: &Self) -> Vec<String> {
        let names = self.0.keys().chain(other.0.keys().filter(|name| !self.0.contains_key(*name)));
        let pairs = names.map(|name| (name, self.0.get(name), other.0.get(name)));
        let different = pairs.filter(|(_, ours, others)| ours != others);
        different.map(|(name, ours, others)| format!("{name:?}: {ours:?}, {others:?}")).collect()
    }

    /// The UIDVALIDITY of a mailbox.
    pub(crate) fn uid_validity(&self, name: &str) -> Option<u32> {
        self.0.get(name)?.mailbox.map(|(uid_validity, ..)| uid_validity)
    }

    /// Those of all.
    pub(crate) fn uid_validities(&self) -> impl Iterator<Item = u32> {
        self.0.values().filter_map(|seen| seen.mailbox.map(|(uid_validity, ..)| uid_validity))
    }

    /// Whether there is this name.
    pub(crate) fn shows(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

/// A name as an argument.
pub(crate) fn quoted(name: &str) -> String {
    let escaped = utf7::encode(name).replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

/// The attributes and the name in a response to LIST or LSUB.
fn listed(line: &str) -> (&str, String) {
    let parts = line.split_once('(').and_then(|(_, rest)| rest.split_once(") "));
    let (attributes, rest) = parts.unwrap_or_else(|| panic!("no list: {line}"));
    let (_, name) = rest.split_once(' ').unwrap_or_else(|| panic!("no name: {line}"));
    let name = match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\\\"", "\"").replace("\\\\", "\\"),
        None => name.to_owned(),
    };
    (attributes, utf7::decode(name.as_bytes()).unwrap_or_else(|| panic!("no UTF-7: {line}")))
}

/// UIDVALIDITY, UIDNEXT, messages; `None` where it says that there is no such mailbox.
fn status(client: &mut Imap, name: &str) -> Option<(u32, u32, u32)> {
    let command = format!("STATUS {} (UIDVALIDITY UIDNEXT MESSAGES)", quoted(name));
    let done = client.command(&command);
    if !done.status.starts_with("OK") {
        return None;
    }
    let line = done.lines.last().unwrap_or_else(|| panic!("{name}: {done:?}"));
    let number = |key: &str| {
        let after = line.rsplit_once(&format!("{key} "))?.1;
        let digits = after.split([' ', ')']).next()?;
        digits.parse().ok()
    };
    Some((number("UIDVALIDITY")?, number("UIDNEXT")?, number("MESSAGES")?))
}
