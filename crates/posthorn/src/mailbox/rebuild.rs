//! `posthorn mailbox rebuild`: indexes made anew from the messages.

use mail_proto::address::Address;

use super::user::People;
use super::{Failure, Outcome, plural, show};

pub(super) fn run(
    people: &People,
    user: &Address,
    mailboxes: &[String],
) -> Result<Outcome, Failure> {
    let person = people.with_mail(user)?;
    people.as_owner(&person, |all| {
        for (name, store) in all.stores(mailboxes)? {
            for finding in store.rebuild()? {
                let done = finding.remedy().unwrap_or("left alone");
                show(format_args!("{name}: {finding}: {done}"));
            }
            let count = store.sync()?.messages.len();
            show(format_args!("{name}: made anew from {}", plural(count, "message")));
        }
        Ok(Outcome::Clean)
    })
}
