//! `posthorn mailbox settle`: mailboxes as Dovecot expects them, before it takes them back.

use mail_common::maildir::{Finding, IndexState};

use super::user::{Mailboxes, People};
use super::{Failure, Outcome, Whose, complain, plural, running, show};

pub(super) fn run(people: &People, whose: &Whose) -> Result<Outcome, Failure> {
    let daemons = running::daemons(&people.config);
    for daemon in &daemons {
        complain(&format_args!(
            "{} runs (process {}): it makes what is settled its own again. Stop the daemons \
             (`systemctl stop mail.target`) and settle once more",
            daemon.name, daemon.process
        ));
    }
    let outcome = people.each(whose, |mailboxes, user| one(mailboxes, user, &whose.mailboxes))?;
    show("Start Dovecot with the mail_location that it had. Its own index files may stay; with");
    show("maildir_very_dirty_syncs = yes it would not look at all changes: begin with no.");
    Ok(if daemons.is_empty() { outcome } else { Outcome::Left })
}

fn one(mailboxes: &Mailboxes<'_>, user: &str, only: &[String]) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::Clean;
    let stores = mailboxes.stores(only)?;
    for (name, store) in &stores {
        let settled = store.settle()?;
        for finding in &settled.findings {
            let (worst, done) = match finding {
                Finding::KeywordWithoutLetter(..) => (Outcome::Left, "Dovecot will not know it"),
                other => match other.remedy() {
                    Some(remedy) => (Outcome::Mended, remedy),
                    None => (Outcome::Left, "left alone"),
                },
            };
            outcome = outcome.max(worst);
            show(format_args!("{user}: {name}: {finding}: {done}"));
        }
        let count = settled.snapshot.messages.len();
        show(format_args!("{user}: {name}: settled, {}", plural(count, "message")));
    }
    if only.is_empty() {
        mailboxes.directory.settle()?;
    }
    for (name, store) in &stores {
        if store.inspect()?.index != IndexState::Missing {
            outcome = Outcome::Left;
            show(format_args!("{user}: {name}: somebody has it open: our index is there again"));
        }
    }
    Ok(outcome)
}
