//! What an admin does to a message. Plain: a message goes in, what is to be written comes out.

use mail_common::log::Id;
use mail_proto::address::Address;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Letter, Progress, State};

/// What is to be done to messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is not tried until it is released.
    Hold {
        /// Why.
        reason: String,
    },
    /// It is tried again, now.
    Release,
    /// It is forgotten, and nobody is told.
    Delete,
    /// It begins anew: what waits is tried now, as if it had just come, held or not.
    Requeue,
    /// It is due now.
    Flush,
    /// It goes back to its sender.
    Bounce {
        /// What the sender is told.
        reason: String,
    },
    /// A recipient that waits is another.
    EditRecipient {
        /// The address that it has.
        old: String,
        /// The address that it gets.
        new: String,
    },
}

/// What an action comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Another progress.
    Record(Progress),
    /// Another letter and another progress.
    Rewrite(Letter, Progress),
    /// The message is done with.
    Finish,
}

/// What the scheduler has to know of a message, of which all that it knew is old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// It is due.
    Due(Id),
    /// It is held, or not here any more.
    Withdrawn(Id),
}

/// Why nothing was done to a message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Refusal {
    /// It is on its way: a moment later it is done with, or waits again.
    #[error("it is being delivered now: try again when that is over")]
    BeingDelivered,
    /// It went meanwhile, or never was here.
    #[error("not in the queue")]
    Gone,
    /// It is so already.
    #[error("{0}")]
    NotNeeded(&'static str),
    /// No such recipient waits.
    #[error("{0} does not wait for it")]
    NoSuchRecipient(String),
    /// The address is none.
    #[error("{0:?} is no address")]
    NoAddress(String),
    /// The spool said no.
    #[error("{0}")]
    Trouble(String),
}

/// Characters of a reason that are kept.
const REASON: usize = 500;

impl Action {
    /// What it comes to for a message, `now` microseconds after 1970.
    ///
    /// # Errors
    /// Nothing is to be done.
    pub(crate) fn plan(
        &self,
        letter: &Letter,
        progress: &Progress,
        now: u64,
    ) -> Result<Effect, Refusal> {
        let mut new = Progress { due: now, ..progress.clone() };
        match self {
            Self::Hold { .. } if progress.hold.is_some() => {
                return Err(Refusal::NotNeeded("it is held already"));
            }
            Self::Hold { reason } => {
                let hold = Some(short(reason));
                let held = Progress { hold, ..progress.clone() };
                return Ok(Effect::Record(held));
            }
            Self::Release if progress.hold.is_none() => {
                return Err(Refusal::NotNeeded("it is not held"));
            }
            Self::Release => new.hold = None,
            Self::Flush if progress.hold.is_some() => {
                return Err(Refusal::NotNeeded("it is held: release it"));
            }
            Self::Flush => {}
            Self::Delete => return Ok(Effect::Finish),
            Self::Requeue => begin_anew(&mut new),
            Self::Bounce { reason } => (new.hold, new.given_up) = (None, Some(short(reason))),
            Self::EditRecipient { old, new: address } => {
                let letter = readdressed(letter, &mut new, old, address)?;
                return Ok(Effect::Rewrite(letter, new));
            }
        }
        Ok(Effect::Record(new))
    }

    /// What is said of a message to which it was done.
    pub fn done(&self) -> &'static str {
        match self {
            Self::Hold { .. } => "held",
            Self::Release => "released",
            Self::Delete => "deleted",
            Self::Requeue => "requeued",
            Self::Flush => "due now",
            Self::Bounce { .. } => "given up",
            Self::EditRecipient { .. } => "readdressed",
        }
    }

    /// Whether it takes mail from whom it was for.
    pub fn takes_mail_away(&self) -> bool {
        matches!(self, Self::Delete | Self::Bounce { .. })
    }
}

impl Refusal {
    /// Whether there is nothing to do: who did not name the message need not hear of it.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self, Self::Gone | Self::NotNeeded(_) | Self::NoSuchRecipient(_))
    }
}

impl Effect {
    /// What the scheduler hears when this was done to a message.
    pub(super) fn changed(&self, id: Id) -> Changed {
        match self {
            Self::Record(progress) | Self::Rewrite(_, progress) => Changed::of(id, progress),
            Self::Finish => Changed::Withdrawn(id),
        }
    }
}

impl Changed {
    /// Of a message of which this became.
    pub(super) fn of(id: Id, progress: &Progress) -> Self {
        match progress.hold {
            Some(_) => Self::Withdrawn(id),
            None => Self::Due(id),
        }
    }

    /// Of which message.
    pub fn id(self) -> Id {
        match self {
            Self::Due(id) | Self::Withdrawn(id) => id,
        }
    }
}

fn begin_anew(progress: &mut Progress) {
    (progress.attempts, progress.outages) = (0, 0);
    (progress.hold, progress.given_up) = (None, None);
    for state in &mut progress.recipients {
        if matches!(state, State::Waiting(_)) {
            *state = State::Waiting(None);
        }
    }
}

/// The place of a recipient stays: results are known by it. What the sender called the recipient
/// is kept for notifications (RFC 3461, 5.2.7).
fn readdressed(
    letter: &Letter,
    progress: &mut Progress,
    old: &str,
    new: &str,
) -> Result<Letter, Refusal> {
    let no_address = |text: &str| Refusal::NoAddress(text.to_owned());
    let from: Address = old.parse().map_err(|_| no_address(old))?;
    let to: Address = new.parse().map_err(|_| no_address(new))?;
    let mut letter = letter.clone();
    let states = progress.recipients.iter_mut();
    let waiting = letter.recipients.iter_mut().zip(states);
    let mut found = false;
    for (recipient, state) in waiting {
        if recipient.address == from && matches!(state, State::Waiting(_)) {
            found = true;
            *state = State::Waiting(None);
            recipient.original.get_or_insert_with(|| format!("rfc822;{from}"));
            recipient.address = to.clone();
        }
    }
    if found { Ok(letter) } else { Err(Refusal::NoSuchRecipient(old.to_owned())) }
}

fn short(reason: &str) -> String {
    reason.chars().filter(|c| !c.is_control()).take(REASON).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use mail_proto::address::ReversePath;
    use mail_proto::smtp::Recipient;

    use super::*;

    const NOW: u64 = 1_795_363_200_000_000;

    fn letter() -> Letter {
        let to = |address: &str| Recipient::new(address.parse().unwrap());
        Letter::new(
            Id::parse("0abc").unwrap(),
            NOW - 1_000_000,
            ReversePath(None),
            vec![to("ann@example.org"), to("bob@example.org")],
        )
    }

    fn waiting() -> Progress {
        Progress {
            recipients: vec![State::Delivered, State::Waiting(Some("450 x".into()))],
            attempts: 3,
            outages: 1,
            due: NOW + 5_000_000,
            ..Progress::new(&letter())
        }
    }

    fn held() -> Progress {
        Progress { hold: Some("spam?".into()), ..waiting() }
    }

    fn edit(old: &str, new: &str) -> Action {
        Action::EditRecipient { old: old.into(), new: new.into() }
    }

    #[test]
    fn what_actions_come_to() {
        let hold = || Action::Hold { reason: "spam?\n".into() };
        let bounce = || Action::Bounce { reason: "no".into() };
        let due = || Progress { due: NOW, ..waiting() };
        let anew = Progress {
            recipients: vec![State::Delivered, State::Waiting(None)],
            attempts: 0,
            outages: 0,
            ..due()
        };
        let given_up = Progress { given_up: Some("no".into()), ..due() };
        let table = [
            (hold(), waiting(), Ok(Effect::Record(held()))),
            (hold(), held(), Err(Refusal::NotNeeded("it is held already"))),
            (Action::Release, held(), Ok(Effect::Record(due()))),
            (Action::Release, waiting(), Err(Refusal::NotNeeded("it is not held"))),
            (Action::Flush, waiting(), Ok(Effect::Record(due()))),
            (Action::Flush, held(), Err(Refusal::NotNeeded("it is held: release it"))),
            (Action::Delete, held(), Ok(Effect::Finish)),
            (Action::Requeue, held(), Ok(Effect::Record(anew))),
            (bounce(), held(), Ok(Effect::Record(given_up))),
        ];
        for (action, progress, expected) in table {
            assert_eq!(action.plan(&letter(), &progress, NOW), expected, "{action:?}");
        }
    }

    #[test]
    fn what_is_not_held_and_not_gone_is_due() {
        let id = letter().id;
        let table = [
            (Effect::Record(waiting()), Changed::Due(id)),
            (Effect::Record(held()), Changed::Withdrawn(id)),
            (Effect::Rewrite(letter(), waiting()), Changed::Due(id)),
            (Effect::Rewrite(letter(), held()), Changed::Withdrawn(id)),
            (Effect::Finish, Changed::Withdrawn(id)),
        ];
        for (effect, expected) in table {
            assert_eq!(effect.changed(id), expected, "{effect:?}");
        }
    }

    #[test]
    fn a_recipient_that_waits_gets_another_address() {
        let effect = edit("bob@EXAMPLE.org", "eve@example.net").plan(&letter(), &held(), NOW);
        let Ok(Effect::Rewrite(new, progress)) = effect else {
            panic!("{effect:?}");
        };
        assert_eq!(new.recipients[0], letter().recipients[0]);
        assert_eq!(new.recipients[1].address.to_string(), "eve@example.net");
        assert_eq!(new.recipients[1].original.as_deref(), Some("rfc822;bob@example.org"));
        assert_eq!(progress.recipients[1], State::Waiting(None));
        assert_eq!((progress.due, progress.hold), (NOW, held().hold));
        let table = [
            (edit("ann@example.org", "x@y.z"), Refusal::NoSuchRecipient("ann@example.org".into())),
            (edit("nobody", "x@y.z"), Refusal::NoAddress("nobody".into())),
            (edit("bob@example.org", "x"), Refusal::NoAddress("x".into())),
        ];
        for (action, expected) in table {
            assert_eq!(action.plan(&letter(), &waiting(), NOW), Err(expected), "{action:?}");
        }
    }
}
