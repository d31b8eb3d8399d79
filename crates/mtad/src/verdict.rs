//! What a peer's word means for a recipient.

use std::fmt;

use mail_proto::smtp::client::{Outcome, PeerReply};

use crate::schedule::{Cause, Feedback};

/// Characters of a peer's words that are kept: a reply may have 64 KiB, and each recipient has its
/// line in the log.
const WORDS: usize = 500;

/// What becomes of a recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has the message.
    Sent { text: String, status: String },
    /// It waits for another attempt.
    Deferred { text: String, status: String, cause: Cause },
    /// It will never have it.
    Bounced { text: String, status: String },
}

impl Verdict {
    /// The enhanced status code (RFC 3463).
    pub(crate) fn status(&self) -> &str {
        let (Self::Sent { status, .. }
        | Self::Deferred { status, .. }
        | Self::Bounced { status, .. }) = self;
        status
    }
}

/// Judges what became of a recipient with the peer that the log calls `relay`.
///
/// lmtp-deliverd and we are of one make, so a 5xx of its about the protocol tells that for a moment
/// we are not: it is of another build, while both are replaced. The mail has no part in that, and
/// waits. Of a foreign host such a 5xx stays what it is: nothing says that it will ever understand
/// us.
pub(crate) fn judge(outcome: &Outcome, relay: &str, is_local: bool) -> Verdict {
    let reply = match outcome {
        Outcome::Replied(reply) => reply,
        Outcome::Lost(why) => {
            let (text, status) = (beginning(why).to_owned(), "4.4.2".to_owned());
            let cause = if is_local { Cause::LocalOutage } else { Cause::Peer };
            return Verdict::Deferred { text, status, cause };
        }
    };
    let said = format!("{} {}", reply.code, beginning(&reply.text));
    let status = status(reply);
    if outcome.is_accepted() {
        return Verdict::Sent { text: said, status };
    }
    // A sender is told no paths of ours.
    let host = if is_local { "lmtp-deliverd" } else { relay };
    let text = format!("host {host} said: {said} (in reply to {} command)", reply.command);
    // 421: lmtp-deliverd stops, and comes back.
    let is_outage = is_local && (reply.code == 421 || is_of_protocol(reply, &status));
    if outcome.is_permanent() && !is_outage {
        return Verdict::Bounced { text, status };
    }
    // A refusal before MAIL concerns us: its 5xx is no 5xx for the recipient.
    let status = if reply.code >= 500 { "4.3.0".to_owned() } else { status };
    let cause = if is_outage { Cause::LocalOutage } else { Cause::Peer };
    Verdict::Deferred { text, status, cause }
}

/// What is kept of a peer's words.
fn beginning(words: &str) -> &str {
    let end = words.char_indices().nth(WORDS).map(|(end, _)| end);
    end.and_then(|end| words.get(..end)).unwrap_or(words)
}

/// Whether a refusal speaks of the command and not of the mail: unknown, out of order, with a
/// parameter that the peer does not know (RFC 5321, 4.2.3), or with one that it knows otherwise
/// (RFC 3463, 3.6).
fn is_of_protocol(reply: &PeerReply, status: &str) -> bool {
    matches!(reply.code, 500 | 502 | 503 | 504 | 555) || status.starts_with("5.5.")
}

/// What a transaction said of the destination: the best word for it counts.
pub(crate) fn feedback(outcomes: &[Outcome]) -> Feedback {
    outcomes.iter().map(feedback_of).max().unwrap_or(Feedback::Stopped)
}

fn feedback_of(outcome: &Outcome) -> Feedback {
    match outcome {
        Outcome::Lost(_) => Feedback::Vanished,
        Outcome::Replied(_) if outcome.is_accepted() => Feedback::Delivered,
        // It closes the connection.
        Outcome::Replied(reply) if reply.code == 421 => Feedback::Vanished,
        Outcome::Replied(reply) => match reply.command {
            "MAIL FROM" | "RCPT TO" | "DATA" | "end of DATA" | "BDAT" => Feedback::Refused,
            // It wants nothing from us, whatever the message.
            _ => Feedback::Unreachable,
        },
    }
}

/// The enhanced status code (RFC 3463) that begins a reply, or what its code alone says.
fn status(reply: &PeerReply) -> String {
    let class = reply.code / 100;
    let said = reply.text.split(' ').next().unwrap_or_default();
    let mut parts = said.split('.').map(|part| {
        let is_number = (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        is_number.then_some(part)
    });
    match (parts.next().flatten(), parts.next().flatten(), parts.next().flatten(), parts.next()) {
        (Some(first), Some(_), Some(_), None) if first == class.to_string() => said.to_owned(),
        _ => format!("{class}.0.0"),
    }
}

/// As Postfix logs it.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, status, text) = match self {
            Self::Sent { text, status } => ("sent", status, text),
            Self::Deferred { text, status, .. } => ("deferred", status, text),
            Self::Bounced { text, status } => ("bounced", status, text),
        };
        write!(f, "dsn={status}, status={name} ({text})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: u16, text: &str, command: &'static str) -> Outcome {
        Outcome::Replied(PeerReply { code, text: text.to_owned(), command })
    }

    #[test]
    fn the_best_word_for_a_destination_counts() {
        let lost = || Outcome::Lost("connection lost".to_owned());
        let table = [
            (vec![], Feedback::Stopped),
            (vec![lost()], Feedback::Vanished),
            (vec![said(250, "Ok", "end of DATA"), lost()], Feedback::Delivered),
            (vec![said(550, "No", "RCPT TO"), lost()], Feedback::Refused),
            (vec![said(451, "Later", "end of DATA")], Feedback::Refused),
            (vec![said(452, "Full", "BDAT")], Feedback::Refused),
            (vec![said(421, "Bye", "MAIL FROM")], Feedback::Vanished),
            (vec![said(554, "Go away", "greeting")], Feedback::Unreachable),
        ];
        for (outcomes, expected) in table {
            assert_eq!(feedback(&outcomes), expected, "{outcomes:?}");
        }
    }

    /// What our own server says of a command, and what it says of a mail.
    #[test]
    fn a_build_that_does_not_understand_us_costs_no_mail() {
        let table = [
            (500, "5.5.2 Command not recognized", "RCPT TO", true),
            (502, "5.5.1 Command not offered here", "DATA", true),
            (503, "5.5.1 Bad sequence of commands", "MAIL FROM", true),
            (503, "No valid recipients", "BDAT", true),
            (504, "Parameter not implemented", "MAIL FROM", true),
            (555, "5.5.4 Unsupported parameter", "MAIL FROM", true),
            (555, "5.5.4 Unsupported parameter", "RCPT TO", true),
            (555, "What?", "end of DATA", true),
            (501, "5.5.4 Bad parameter value", "RCPT TO", true),
            (521, "5.5.4 Syntax: BDAT size [LAST]", "BDAT", true),
            (501, "5.1.3 Bad recipient address syntax", "RCPT TO", false),
            (550, "5.1.1 No such user here", "RCPT TO", false),
            (550, "5.6.11 Message contains a bare CR or LF", "end of DATA", false),
            (552, "5.3.4 Message too large", "MAIL FROM", false),
            (554, "5.4.6 Mail is looping", "BDAT", false),
        ];
        for (code, text, command, waits) in table {
            let outcome = said(code, text, command);
            let found = judge(&outcome, "R", true);
            let is_outage = |verdict: &Verdict| {
                let cause = Cause::LocalOutage;
                matches!(verdict, Verdict::Deferred { cause: found, .. } if *found == cause)
            };
            assert_eq!(is_outage(&found), waits, "{found}");
            assert_eq!(matches!(found, Verdict::Bounced { .. }), !waits, "{found}");
            assert_eq!(found.status() == "4.3.0", waits, "{found}");
            // A foreign host means what it says, as before.
            let bounces = matches!(judge(&outcome, "R", false), Verdict::Bounced { .. });
            assert_eq!(bounces, outcome.is_permanent(), "{outcome:?}");
        }
    }

    #[test]
    fn a_long_reply_makes_no_long_line() {
        let long = "\u{e9}".repeat(64 << 10);
        let lost = Outcome::Lost(format!("the peer hung up with 421 {long}"));
        for outcome in [said(451, &long, "RCPT TO"), said(250, &long, "BDAT"), lost] {
            let line = judge(&outcome, "R", false).to_string();
            assert!((WORDS..WORDS + 100).contains(&line.chars().count()), "{line}");
        }
    }

    #[test]
    fn judgements() {
        let lost = Outcome::Lost("connection lost".to_owned());
        let table = [
            (
                said(250, "2.1.5 Ok", "end of DATA"),
                false,
                "dsn=2.1.5, status=sent (250 2.1.5 Ok)",
                None,
            ),
            (
                said(250, "Ok: 1.2", "end of DATA"),
                false,
                "dsn=2.0.0, status=sent (250 Ok: 1.2)",
                None,
            ),
            (
                said(550, "5.1.1 No", "RCPT TO"),
                false,
                "dsn=5.1.1, status=bounced (host R said: 550 5.1.1 No (in reply to RCPT TO command))",
                None,
            ),
            (
                said(450, "5.1.1 odd", "RCPT TO"),
                true,
                "dsn=4.0.0, status=deferred (host lmtp-deliverd said: 450 5.1.1 odd (in reply to RCPT TO command))",
                Some(Cause::Peer),
            ),
            (
                said(554, "5.7.1 go", "greeting"),
                false,
                "dsn=4.3.0, status=deferred (host R said: 554 5.7.1 go (in reply to greeting command))",
                Some(Cause::Peer),
            ),
            (
                said(421, "4.3.2 bye", "MAIL FROM"),
                true,
                "dsn=4.3.2, status=deferred (host lmtp-deliverd said: 421 4.3.2 bye (in reply to MAIL FROM command))",
                Some(Cause::LocalOutage),
            ),
            (
                lost.clone(),
                true,
                "dsn=4.4.2, status=deferred (connection lost)",
                Some(Cause::LocalOutage),
            ),
            (lost, false, "dsn=4.4.2, status=deferred (connection lost)", Some(Cause::Peer)),
        ];
        for (outcome, is_local, line, expected) in table {
            let verdict = judge(&outcome, "R", is_local);
            assert_eq!(verdict.to_string(), line);
            let cause = match verdict {
                Verdict::Deferred { cause, .. } => Some(cause),
                _ => None,
            };
            assert_eq!(cause, expected, "{line}");
        }
    }
}
