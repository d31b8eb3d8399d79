//! Tells senders what became of their messages, and postmaster what nobody else hears of.
//!
//! [`plan`] decides from plain values who is told of what: it is a table, and its tests show all of
//! it. [`compose`] writes what it planned, and [`send`] puts that into the queue.
//!
//! No loop is possible. Every notification has the null sender, and is itself about a message
//! whose sender is an address. So what fails without a sender is at most one notification old, and
//! becomes at most one copy for postmaster; a copy that fails is mail for postmaster without a
//! sender, and of that nobody is told. What comes back from outside to an address of ours that only
//! stands in notifications (`MAILER-DAEMON`, `double-bounce`) counts as without a sender too.

mod compose;
mod plan;
mod send;

use mail_common::config::After;
use mail_proto::dsn::{Action, Told, Words};
use mail_proto::smtp::Notify;
use mail_proto::smtp::client::Outcome;

pub(crate) use self::plan::{Audience, Planned, Rules, plan, wants};
pub(crate) use self::send::send;

/// What a sender is told where it is ours to mend.
const OUR_TROUBLE: &str = "This system cannot pass it on now; its postmaster can mend that.";

/// Characters of a peer's words that are kept for a notification.
const WORDS: usize = 1000;

/// What became of a recipient, as far as somebody may want to hear of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fate {
    /// Its place in the letter, from 0.
    pub(crate) number: usize,
    /// What became of it.
    pub(crate) action: Action,
    /// NOTIFY (RFC 3461, 4.1), if its sender said it.
    pub(crate) notify: Option<Notify>,
    /// Who it is, and why.
    pub(crate) told: Told,
}

/// What a peer's "yes" means for a sender who asked for SUCCESS (RFC 3461, 5.2.2 and 6.2).
/// `notifies`: the next hop offers DSN, was told what the sender asked for, and does it from now on.
pub(crate) fn success(is_local: bool, notifies: bool) -> Option<Action> {
    match (is_local, notifies) {
        (true, _) => Some(Action::Delivered),
        (false, false) => Some(Action::Relayed),
        (false, true) => None,
    }
}

/// When the senders of a message that still waits are to be told so, in microseconds since 1970.
pub(crate) fn delay_due(arrived: u64, delay_warning: After) -> Option<u64> {
    match delay_warning {
        After::Never => None,
        After::Span(span) => {
            let micros = u64::try_from(span.duration().as_micros()).unwrap_or(u64::MAX);
            Some(arrived.saturating_add(micros))
        }
    }
}

/// Why, as the peer said it. Of paths of ours nobody is told.
pub(crate) fn words(outcome: &Outcome, is_local: bool) -> Words {
    match outcome {
        Outcome::Replied(reply) => {
            let text: String = reply.text.chars().take(WORDS).collect();
            Words::Reply(format!("{} {text}", reply.code))
        }
        Outcome::Lost(_) if is_local => our_trouble(),
        Outcome::Lost(why) => Words::Ours(why.chars().take(WORDS).collect()),
    }
}

/// Why, where it is ours to mend.
pub(crate) fn our_trouble() -> Words {
    Words::Ours(OUR_TROUBLE.to_owned())
}

/// The host that spoke, of a `relay=` such as `mx.example.com[192.0.2.1]:25`.
pub(crate) fn remote_mta(relay: &str, outcome: &Outcome, is_local: bool) -> Option<String> {
    let spoke = !is_local && matches!(outcome, Outcome::Replied(_));
    let name = relay.split('[').next().filter(|name| !name.is_empty()).unwrap_or(relay);
    spoke.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use mail_common::config::Span;
    use mail_proto::smtp::client::PeerReply;

    use super::*;

    #[test]
    fn what_success_means() {
        let table = [
            (true, true, Some(Action::Delivered)),
            (true, false, Some(Action::Delivered)),
            (false, false, Some(Action::Relayed)),
            (false, true, None),
        ];
        for (is_local, notifies, expected) in table {
            assert_eq!(success(is_local, notifies), expected, "{is_local} {notifies}");
        }
    }

    #[test]
    fn delays() {
        let hours = |hours| After::Span(Span::hours(hours));
        assert_eq!(delay_due(1_000_000, hours(4)), Some(14_401_000_000));
        assert_eq!(delay_due(u64::MAX - 1, hours(4)), Some(u64::MAX));
        assert_eq!(delay_due(0, After::Never), None);
    }

    #[test]
    fn a_sender_is_told_the_peer_s_words_and_no_paths_of_ours() {
        let replied =
            Outcome::Replied(PeerReply { code: 550, text: "5.1.1 No".into(), command: "RCPT TO" });
        let lost = Outcome::Lost("connect to /run/x: refused".into());
        let reply = || Words::Reply("550 5.1.1 No".into());
        let relay = "mx.example.com[192.0.2.1]:25";
        let table = [
            (&replied, relay, false, reply(), Some("mx.example.com")),
            (&replied, "[192.0.2.1]:25", false, reply(), Some("[192.0.2.1]:25")),
            (&replied, "/run/x", true, reply(), None),
            (&lost, "none", false, Words::Ours("connect to /run/x: refused".into()), None),
            (&lost, "/run/x", true, our_trouble(), None),
        ];
        for (outcome, relay, is_local, said, remote) in table {
            assert_eq!(words(outcome, is_local), said, "{outcome:?}");
            assert_eq!(remote_mta(relay, outcome, is_local).as_deref(), remote, "{relay}");
        }
    }
}
