//! `posthorn mailbox fsck`: what is wrong with mailboxes, and mending it.

use mail_common::maildir::{Directory, Finding};

use super::user::People;
use super::{Failure, Outcome, Whose, plural, show};

pub(super) fn run(people: &People, whose: &Whose, dry_run: bool) -> Result<Outcome, Failure> {
    people.each(whose, |mailboxes, user| {
        let mut report = Report { user, dry_run, outcome: Outcome::Clean };
        let directory = &mailboxes.directory;
        if whose.mailboxes.is_empty() {
            report.whole(directory)?;
        }
        let names = mailboxes.names(&whose.mailboxes)?;
        for name in &names {
            let findings = match dry_run {
                true => directory.inspect_mailbox(name)?.findings,
                false => directory.mailbox(name)?.mend()?,
            };
            findings.iter().for_each(|finding| report.tell(name, finding));
        }
        if report.outcome == Outcome::Clean {
            show(format_args!("{user}: {}: nothing is wrong", plural(names.len(), "mailbox")));
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
    /// What is wrong with a user's directory.
    fn whole(&mut self, directory: &Directory) -> Result<(), Failure> {
        let findings = if self.dry_run { directory.inspect()? } else { directory.mend()? };
        for (mailbox, finding) in findings {
            self.tell(mailbox.as_deref().unwrap_or("all mailboxes"), &finding);
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
