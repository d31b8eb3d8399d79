//! Who is told of what.

use std::fmt;

use mail_common::config::PostmasterCopy;
use mail_proto::address::{Address, Domain, ReversePath};
use mail_proto::dsn::{Action, Told};
use mail_proto::smtp::Notify;

use super::Fate;

/// Recipients that one notification is about: it shall be no larger than mail may be.
const RECIPIENTS: usize = 500;

/// What the site says of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'a> {
    /// Who reports.
    pub(crate) hostname: &'a Domain,
    /// The domains of our mailboxes.
    pub(crate) local: &'a [Domain],
    /// Of what postmaster gets a copy.
    pub(crate) copies: &'a [PostmasterCopy],
}

/// A notification to be written and queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Planned {
    /// Who gets it.
    pub(crate) to: Address,
    /// As whom.
    pub(crate) audience: Audience,
    /// What became of the recipients.
    pub(crate) action: Action,
    /// The recipients that it is about; at least one.
    pub(crate) recipients: Vec<Told>,
}

impl Planned {
    /// Whether it tells a sender that its message failed.
    pub(crate) fn bounces(&self) -> bool {
        (self.audience, self.action) == (Audience::Sender, Action::Failed)
    }
}

/// As Postfix calls it in the log.
impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let audience = match self.audience {
            Audience::Sender => "sender",
            Audience::Postmaster => "postmaster",
        };
        let kind = match self.action {
            Action::Failed => "non-delivery",
            Action::Delayed => "delay",
            Action::Delivered | Action::Relayed => "delivery status",
        };
        write!(f, "{audience} {kind} notification")
    }
}

/// As whom somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// As the message's sender.
    Sender,
    /// As the one who looks after this host.
    Postmaster,
}

/// One notification for all recipients of one kind, if they are not too many: what the sender is
/// told first, then the copies for postmaster, who gets them whatever NOTIFY says.
pub(crate) fn plan(sender: &ReversePath, fates: &[Fate], rules: &Rules<'_>) -> Vec<Planned> {
    let sender = sender.0.as_ref().filter(|sender| !rules.is_notifier(sender));
    let mut planned = Vec::new();
    if let Some(to) = sender {
        for action in [Action::Failed, Action::Delayed, Action::Delivered, Action::Relayed] {
            let wanted = of_kind(fates, action).filter(|fate| wants(fate.notify, action));
            planned.extend(notifications(to, Audience::Sender, action, wanted));
        }
    }
    planned.extend(copies(sender.is_some(), fates, rules));
    planned
}

/// Whether a sender wants to hear of this. One that said nothing hears of what goes wrong
/// (RFC 3461, 4.1).
pub(crate) fn wants(notify: Option<Notify>, action: Action) -> bool {
    let silent = Notify { success: false, failure: true, delay: true };
    let notify = notify.unwrap_or(silent);
    match action {
        Action::Failed => notify.failure,
        Action::Delayed => notify.delay,
        Action::Delivered | Action::Relayed => notify.success,
    }
}

fn copies(has_sender: bool, fates: &[Fate], rules: &Rules<'_>) -> Vec<Planned> {
    let kinds = [
        (Action::Failed, true, PostmasterCopy::Bounce),
        (Action::Failed, false, PostmasterCopy::DoubleBounce),
        (Action::Delayed, true, PostmasterCopy::Delay),
    ];
    let Ok(to) = Address::new("postmaster", rules.hostname.clone()) else { return Vec::new() };
    let wanted =
        kinds.into_iter().filter(|(_, of, copy)| *of == has_sender && rules.copies.contains(copy));
    let copies = wanted.flat_map(|(action, ..)| {
        // What postmaster could not be told without a sender, it is not told again.
        let told = |fate: &&Fate| has_sender || !rules.is_postmaster(&fate.told.recipient);
        notifications(&to, Audience::Postmaster, action, of_kind(fates, action).filter(told))
    });
    copies.collect()
}

fn of_kind(fates: &[Fate], action: Action) -> impl Iterator<Item = &Fate> {
    fates.iter().filter(move |fate| fate.action == action)
}

fn notifications<'a>(
    to: &Address,
    audience: Audience,
    action: Action,
    fates: impl Iterator<Item = &'a Fate>,
) -> Vec<Planned> {
    let all: Vec<_> = fates.map(|fate| fate.told.clone()).collect();
    let groups = all.chunks(RECIPIENTS).map(<[Told]>::to_vec);
    groups.map(|recipients| Planned { to: to.clone(), audience, action, recipients }).collect()
}

impl Rules<'_> {
    fn is_postmaster(&self, address: &Address) -> bool {
        self.is_one_of(&["postmaster", "mailer-daemon"], address)
    }

    /// Whether mail from this address is a notification of ours that came back.
    fn is_notifier(&self, address: &Address) -> bool {
        self.is_one_of(&["mailer-daemon", "double-bounce"], address)
    }

    fn is_one_of(&self, names: &[&str], address: &Address) -> bool {
        let here = address.domain() == self.hostname || self.local.contains(address.domain());
        here && names.iter().any(|name| address.local().eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use mail_proto::dsn::Words;

    use super::*;

    const ALL: [PostmasterCopy; 3] =
        [PostmasterCopy::Bounce, PostmasterCopy::Delay, PostmasterCopy::DoubleBounce];
    const ACTIONS: [Action; 4] =
        [Action::Failed, Action::Delayed, Action::Delivered, Action::Relayed];

    fn fate(recipient: &str, action: Action, notify: Option<Notify>) -> Fate {
        let told = Told {
            recipient: recipient.parse().unwrap(),
            original: None,
            status: "5.0.0".to_owned(),
            remote_mta: None,
            words: Words::Ours("x".to_owned()),
        };
        Fate { number: 0, action, notify, told }
    }

    /// `S`, `F` and `D` as NOTIFY has them; `-`: NEVER; empty: nothing was said.
    fn notify(letters: &str) -> Option<Notify> {
        let has = |letter| letters.contains(letter);
        (!letters.is_empty()).then(|| Notify {
            success: has('S'),
            failure: has('F'),
            delay: has('D'),
        })
    }

    fn planned(sender: &str, fates: &[Fate], copies: &[PostmasterCopy]) -> Vec<Planned> {
        let sender = ReversePath::from_path(sender).unwrap().0;
        let local = ["example.org".parse().unwrap()];
        let hostname = "mx.example.org".parse().unwrap();
        plan(&sender, fates, &Rules { hostname: &hostname, local: &local, copies })
    }

    /// `who action recipient recipient`.
    fn shown(planned: &[Planned]) -> Vec<String> {
        let shown = planned.iter().map(|one| {
            let recipients = one.recipients.iter().map(|told| told.recipient.to_string());
            let recipients: Vec<_> = recipients.collect();
            format!("{} {} {}", one.to, one.action, recipients.join(" "))
        });
        shown.collect()
    }

    #[test]
    fn senders_are_told_what_they_asked_for() {
        // NOTIFY, and whether it is told of: failed, delayed, delivered, relayed.
        let table = [
            ("", [true, true, false, false]),
            ("-", [false, false, false, false]),
            ("F", [true, false, false, false]),
            ("D", [false, true, false, false]),
            ("S", [false, false, true, true]),
            ("FD", [true, true, false, false]),
            ("SF", [true, false, true, true]),
            ("SD", [false, true, true, true]),
            ("SFD", [true, true, true, true]),
        ];
        for (letters, expected) in table {
            for (action, is_told) in ACTIONS.into_iter().zip(expected) {
                let fates = [fate("ann@example.com", action, notify(letters))];
                let told = format!("bob@example.net {action} ann@example.com");
                let expected = if is_told { vec![told] } else { Vec::new() };
                let found = planned("<bob@example.net>", &fates, &[]);
                assert_eq!(shown(&found), expected, "NOTIFY={letters} {action}");
            }
        }
    }

    #[test]
    fn senders_that_would_loop_are_told_nothing() {
        let table = [
            ("<bob@example.net>", true),
            ("<mailer-daemon@example.net>", true),
            ("<postmaster@mx.example.org>", true),
            ("<>", false),
            ("<MAILER-DAEMON@mx.example.org>", false),
            ("<mailer-daemon@example.org>", false),
            ("<Double-Bounce@mx.example.org>", false),
        ];
        for (sender, is_told) in table {
            for (action, letters) in ACTIONS.into_iter().flat_map(|a| [(a, "SFD"), (a, "")]) {
                let found = planned(sender, &[fate("x@y.z", action, notify(letters))], &[]);
                let expected = is_told && (letters == "SFD" || action < Action::Delivered);
                assert_eq!(!found.is_empty(), expected, "{sender} {action} {letters}");
            }
        }
    }

    #[test]
    fn recipients_of_one_kind_stand_in_one_notification() {
        let fates = [
            fate("a@example.com", Action::Failed, None),
            fate("b@example.com", Action::Relayed, notify("S")),
            fate("c@example.com", Action::Failed, notify("F")),
            fate("d@example.com", Action::Failed, notify("-")),
            fate("e@example.org", Action::Delivered, notify("SF")),
        ];
        let expected = [
            "bob@example.net failed a@example.com c@example.com",
            "bob@example.net delivered e@example.org",
            "bob@example.net relayed b@example.com",
            "postmaster@mx.example.org failed a@example.com c@example.com d@example.com",
        ];
        assert_eq!(shown(&planned("<bob@example.net>", &fates, &ALL)), expected);
    }

    #[test]
    fn a_notification_has_a_limit() {
        let to = |n| fate(&format!("a{n}@example.com"), Action::Failed, None);
        let fates: Vec<_> = (0..=RECIPIENTS).map(to).collect();
        let found = planned("<bob@example.net>", &fates, &ALL);
        let counts: Vec<_> = found.iter().map(|one| one.recipients.len()).collect();
        assert_eq!(counts, [RECIPIENTS, 1, RECIPIENTS, 1]);
    }

    #[test]
    fn postmaster_gets_copies_by_rule() {
        use PostmasterCopy::{Bounce, Delay, DoubleBounce};
        let table = [
            ("<bob@example.net>", Action::Failed, Some(Bounce)),
            ("<bob@example.net>", Action::Delayed, Some(Delay)),
            ("<bob@example.net>", Action::Delivered, None),
            ("<bob@example.net>", Action::Relayed, None),
            ("<>", Action::Failed, Some(DoubleBounce)),
            ("<mailer-daemon@example.org>", Action::Failed, Some(DoubleBounce)),
            ("<>", Action::Delayed, None),
            ("<>", Action::Delivered, None),
        ];
        for (sender, action, kind) in table {
            for copy in ALL {
                let fates = [fate("x@y.z", action, notify("-"))];
                let found = shown(&planned(sender, &fates, &[copy]));
                let copied = format!("postmaster@mx.example.org {action} x@y.z");
                let expected = if kind == Some(copy) { vec![copied] } else { Vec::new() };
                assert_eq!(found, expected, "{sender} {action} {copy:?}");
            }
        }
    }

    /// Nothing that is sent ever arrives: each notification becomes a message of its own that
    /// fails in turn, as the one of whoever has the most to say.
    #[test]
    fn no_loop_is_possible() {
        let people = [
            "bob@example.net",
            "postmaster@mx.example.org",
            "PostMaster@example.org",
            "MAILER-DAEMON@mx.example.org",
            "double-bounce@example.org",
        ];
        for (sender, recipient) in people.iter().flat_map(|s| people.iter().map(move |r| (s, r))) {
            for action in ACTIONS {
                let fates = [fate(recipient, action, notify("SFD"))];
                let mut sent = planned(&format!("<{sender}>"), &fates, &ALL);
                let mut generations = 0;
                while !sent.is_empty() {
                    generations += 1;
                    assert!(generations <= 2, "{sender} to {recipient}: {:?}", shown(&sent));
                    let failed = sent.iter().flat_map(|one| {
                        let to = one.to.to_string();
                        ACTIONS
                            .map(|action| planned("<>", &[fate(&to, action, notify("SFD"))], &ALL))
                    });
                    sent = failed.flatten().collect();
                }
            }
        }
    }
}
