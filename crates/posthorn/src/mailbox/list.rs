//! `posthorn mailbox list`: all mailboxes of a user.

use mail_common::maildir::{Store, StoreError};
use mail_proto::address::Address;
use mail_proto::mailbox::{Flags, Folder, SpecialUse};
use serde_json::json;

use super::table::{Aligned, Table};
use super::user::{Mailboxes, People};
use super::{Failure, Outcome, show};

/// A mailbox's figures.
struct Figures {
    messages: usize,
    unseen: usize,
    /// Octets of all messages, with CRLF line ends.
    octets: u64,
}

pub(super) fn run(people: &People, user: &Address, json: bool) -> Result<Outcome, Failure> {
    let person = people.with_mail(user)?;
    people.as_owner(&person, |mailboxes| {
        let rows = rows(mailboxes)?;
        if json {
            rows.iter().for_each(|(folder, figures)| show(line(folder, figures.as_ref())));
        } else {
            show(table(&rows));
        }
        Ok(Outcome::Clean)
    })
}

fn rows(mailboxes: &Mailboxes<'_>) -> Result<Vec<(Folder, Option<Figures>)>, Failure> {
    let mut rows = Vec::new();
    for folder in mailboxes.directory.folders()? {
        let figures = match folder.selectable {
            true => Some(figures(&mailboxes.directory.mailbox(&folder.name)?)?),
            false => None,
        };
        rows.push((folder, figures));
    }
    Ok(rows)
}

fn figures(store: &Store) -> Result<Figures, Failure> {
    let snapshot = store.sync()?;
    let mut octets = 0;
    for entry in snapshot.messages.iter() {
        match store.size(entry.uid) {
            Ok(size) => octets += size,
            // Somebody removed it a moment ago.
            Err(StoreError::Gone(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let messages = snapshot.messages.len();
    Ok(Figures { messages, unseen: messages - snapshot.messages.with_flag(Flags::SEEN), octets })
}

fn line(folder: &Folder, figures: Option<&Figures>) -> serde_json::Value {
    json!({
        "mailbox": folder.name,
        "selectable": folder.selectable,
        "messages": figures.map(|figures| figures.messages),
        "unseen": figures.map(|figures| figures.unseen),
        "octets": figures.map(|figures| figures.octets),
        "special_use": folder.special_use.map(SpecialUse::attribute),
        "subscribed": folder.subscribed,
    })
}

fn table(rows: &[(Folder, Option<Figures>)]) -> Table {
    use Aligned::{Left, Right};
    let head = ["mailbox", "messages", "unseen", "octets", "use", "subscribed"];
    let mut table = Table::new(&[Left, Right, Right, Right, Left, Left], &head);
    for (folder, figures) in rows {
        let figure = |which: fn(&Figures) -> u64| {
            figures.as_ref().map_or("-".to_owned(), |figures| which(figures).to_string())
        };
        table.row(vec![
            folder.name.clone(),
            figure(|figures| figures.messages as u64),
            figure(|figures| figures.unseen as u64),
            figure(|figures| figures.octets),
            folder.special_use.map_or("", SpecialUse::attribute).to_owned(),
            if folder.subscribed { "yes" } else { "no" }.to_owned(),
        ]);
    }
    table
}
