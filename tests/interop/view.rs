//! What a client sees of a user's mailboxes.

use std::collections::BTreeSet;

use mail_tests::view::View;

use super::imap::Imap;

/// What it sees of one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mailbox {
    uid_validity: String,
    uid_next: String,
    messages: Vec<Message>,
}

#[derive(Debug, PartialEq, Eq)]
struct Message {
    uid: String,
    /// Without `\Recent`, which is a session's.
    flags: BTreeSet<String>,
    date: String,
    size: String,
    /// Which letter it is.
    subject: String,
}

/// What this client sees now. Nothing is changed by looking.
pub(crate) fn of(client: &mut Imap) -> View<Mailbox> {
    let mailboxes = names(client, "LIST \"\" \"*\"")
        .into_iter()
        .filter_map(|name| {
            let mailbox = mailbox(client, &name)?;
            Some((name, mailbox))
        })
        .collect();
    let mut subscribed = names(client, "LSUB \"\" \"*\"");
    // We show INBOX as subscribed always: some clients show no mail otherwise.
    subscribed.remove("INBOX");
    View { mailboxes, subscribed }
}

/// How many messages there are.
pub(crate) fn messages(view: &View<Mailbox>) -> usize {
    view.mailboxes.values().map(|mailbox| mailbox.messages.len()).sum()
}

/// Names of LIST responses that can be selected, or of LSUB responses.
fn names(client: &mut Imap, command: &str) -> BTreeSet<String> {
    let done = client.ok(command);
    let unselectable = |line: &str| line.to_ascii_lowercase().contains("\\noselect");
    let lines = done.lines.iter().filter(|line| line.starts_with("* L"));
    lines
        .filter(|line| line.starts_with("* LSUB") || !unselectable(line))
        .map(|line| {
            let name = line.rsplit_once(" \"/\" ").expect("the separator is /").1;
            name.trim_matches('"').to_owned()
        })
        .collect()
}

/// `None`: it cannot be selected. Dovecot lists some that are only parents as if they could.
fn mailbox(client: &mut Imap, name: &str) -> Option<Mailbox> {
    let selected = client.command(&format!("EXAMINE \"{name}\""));
    if !selected.status.starts_with("OK") {
        return None;
    }
    let code = |code: &str| {
        let found = selected.lines.iter().find_map(|line| line.split_once(code));
        let (_, value) = found.unwrap_or_else(|| panic!("{name}: no {code}: {selected:?}"));
        value.split(']').next().unwrap_or_default().to_owned()
    };
    let (uid_validity, uid_next) = (code("[UIDVALIDITY "), code("[UIDNEXT "));
    let mut messages = Vec::new();
    if !selected.lines.iter().any(|line| line == "* 0 EXISTS") {
        let items = "(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (SUBJECT)])";
        let fetched = client.ok(&format!("UID FETCH 1:* {items}"));
        let mut lines = fetched.lines.iter();
        while let Some(line) = lines.next() {
            if !line.contains(" FETCH (") {
                continue;
            }
            messages.push(message(line, lines.next().map_or("", String::as_str)));
        }
    }
    // Dovecot hangs up if the next mailbox to be selected does not exist.
    client.ok("UNSELECT");
    Some(Mailbox { uid_validity, uid_next, messages })
}

fn message(line: &str, subject: &str) -> Message {
    let behind = |item: &str| line.split_once(item).map_or("", |(_, rest)| rest);
    let word = |item: &str| behind(item).split([' ', ')']).next().unwrap_or_default().to_owned();
    let flags = behind("FLAGS (").split(')').next().unwrap_or_default().split_whitespace();
    let date = behind("INTERNALDATE \"").split('"').next().unwrap_or_default();
    Message {
        uid: word("UID "),
        flags: flags.filter(|flag| *flag != "\\Recent").map(str::to_owned).collect(),
        date: date.trim_start_matches([' ', '0']).to_owned(),
        size: word("RFC822.SIZE "),
        subject: subject.to_owned(),
    }
}
