//! `posthorn mailbox status`: what there is to know of mailboxes.

use mail_common::maildir::{IndexState, Store};
use mail_proto::address::Address;
use mail_proto::mailbox::{Flags, Snapshot};

use super::table::{Aligned, Table};
use super::user::People;
use super::{Failure, Outcome, show};

pub(super) fn run(
    people: &People,
    user: &Address,
    mailboxes: &[String],
) -> Result<Outcome, Failure> {
    let person = people.with_mail(user)?;
    people.as_owner(&person, |all| {
        for (number, (name, store)) in all.stores(mailboxes)?.iter().enumerate() {
            if number > 0 {
                show("");
            }
            show(status(name, store)?);
        }
        Ok(Outcome::Clean)
    })
}

/// The index is told of as it was before this looked into the mailbox.
fn status(name: &str, store: &Store) -> Result<Table, Failure> {
    let inspection = store.inspect()?;
    let snapshot = store.sync()?;
    let messages = &snapshot.messages;
    let recent_from = store.recent_from(false)?;
    let recent = messages.iter().rev().take_while(|entry| entry.uid >= recent_from).count();
    let mut table = Table::new(&[Aligned::Left, Aligned::Left], &["mailbox", name]);
    let mut row = |what: &str, value: String| table.row(vec![what.to_owned(), value]);
    row("UIDVALIDITY", snapshot.uid_validity.to_string());
    row("UIDNEXT", snapshot.uid_next.to_string());
    row("HIGHESTMODSEQ", snapshot.modseq.to_string());
    row("messages", messages.len().to_string());
    row("recent", recent.to_string());
    row("unseen", (messages.len() - messages.with_flag(Flags::SEEN)).to_string());
    row("deleted", messages.with_flag(Flags::DELETED).to_string());
    for (keyword, count) in keywords(&snapshot) {
        row(&format!("keyword {keyword}"), count.to_string());
    }
    row("index", index(inspection.index).to_owned());
    for (file, octets) in inspection.files {
        row(file, format!("{octets} octets"));
    }
    if let Some(holder) = inspection.locked_by {
        row("dovecot-uidlist.lock", format!("held by {holder}"));
    }
    for finding in inspection.findings {
        row("found", format!("{finding}: see `posthorn mailbox fsck`"));
    }
    Ok(table)
}

/// Each keyword that the mailbox knows, and how many messages have it.
fn keywords(snapshot: &Snapshot) -> Vec<(&String, usize)> {
    let count = |bit: usize| {
        let messages = snapshot.messages.iter();
        messages.filter(|entry| entry.flags.keywords >> bit & 1 != 0).count()
    };
    snapshot.keywords.iter().enumerate().map(|(bit, name)| (name, count(bit))).collect()
}

fn index(state: IndexState) -> &'static str {
    match state {
        IndexState::Missing => "there was none; it is made when the mailbox is opened",
        IndexState::Sound => "sound",
        IndexState::Broken => "could not be read; it is made anew when the mailbox is opened",
    }
}
