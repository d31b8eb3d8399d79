//! `posthorn mailbox fsck`: what is wrong with mailboxes, and mending it.

use mail_common::maildir::Finding;

use super::user::{Mailboxes, People};
use super::{Failure, Outcome, Whose, plural, show};

pub(super) fn run(people: &People, whose: &Whose, dry_run: bool) -> Result<Outcome, Failure> {
    people.each(whose, |mailboxes, user| {
        let mut report = Report { user, dry_run, outcome: Outcome::Clean };
        report.whole(mailboxes, &whose.mailboxes)?;
        let stores = mailboxes.stores(&whose.mailboxes)?;
        for (name, store) in &stores {
            let findings = if dry_run { store.inspect()?.findings } else { store.mend()? };
            findings.iter().for_each(|finding| report.tell(name, finding));
        }
        if report.outcome == Outcome::Clean {
            show(format_args!("{user}: {}: nothing is wrong", plural(stores.len(), "mailbox")));
        }
        Ok(report.outcome)
    })
}

/// What was found so far.
struct Report<'user> {
    user: &'user str,
    dry_run: bool,
    outcome: Outcome,
}

impl Report<'_> {
    /// What is wrong with a user's directory; of mailboxes that are named, with those alone.
    fn whole(&mut self, mailboxes: &Mailboxes<'_>, only: &[String]) -> Result<(), Failure> {
        let directory = &mailboxes.directory;
        let findings = match self.dry_run || !only.is_empty() {
            true => directory.inspect()?,
            false => directory.mend()?,
        };
        for (mailbox, finding) in findings {
            if only.is_empty() {
                self.tell(mailbox.as_deref().unwrap_or("all mailboxes"), &finding);
            }
        }
        Ok(())
    }

    fn tell(&mut self, mailbox: &str, finding: &Finding) {
        let user = self.user;
        let (outcome, done) = match finding.remedy() {
            None => (Outcome::Left, "left alone: look at it yourself".to_owned()),
            Some(remedy) if self.dry_run => (Outcome::Left, format!("to do: {remedy}")),
            Some(remedy) => (Outcome::Mended, remedy.to_owned()),
        };
        show(format_args!("{user}: {mailbox}: {finding}: {done}"));
        self.outcome = self.outcome.max(outcome);
    }
}
