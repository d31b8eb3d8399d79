//! Replies, and how many mistakes a client may make.

use super::Failure;
use super::syntax::Refusal;
use crate::Ended;

/// A tagged reply.
pub(super) fn tagged(out: &mut Vec<u8>, tag: &str, text: &str) {
    for part in [tag, " ", text, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// An untagged response.
pub(super) fn untagged(out: &mut Vec<u8>, text: &str) {
    tagged(out, "*", text);
}

/// A refusal as the tagged reply.
pub(super) fn refusal(out: &mut Vec<u8>, tag: &str, refusal: Refusal) {
    let (kind, text) = match refusal {
        Refusal::Bad(text) => ("BAD ", text),
        Refusal::No(text) => ("NO ", text),
    };
    for part in [tag, " ", kind, text, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// RFC 2971, 3.2.
pub(super) fn id(out: &mut Vec<u8>, tag: &str) {
    untagged(out, "ID (\"name\" \"Posthorn\")");
    tagged(out, tag, "OK ID completed.");
}

/// RFC 3501, 6.1.3: BYE comes before the tagged OK.
pub(super) fn logout(out: &mut Vec<u8>, tag: &str) {
    untagged(out, "BYE Logging out");
    tagged(out, tag, "OK Logout completed.");
}

/// What a failure is to the client, with the code of RFC 5530.
pub(super) fn failure(failure: Failure) -> &'static str {
    match failure {
        Failure::NoSuchMailbox => "NO [NONEXISTENT] Mailbox doesn't exist",
        Failure::AlreadyExists => "NO [ALREADYEXISTS] Mailbox already exists",
        Failure::Cannot => "NO [CANNOT] Mailbox name not allowed",
        Failure::Limit => "NO [LIMIT] Too many keywords, levels or subscriptions",
        Failure::OverQuota => "NO [OVERQUOTA] Quota exceeded",
        Failure::Unavailable => "NO [UNAVAILABLE] Temporary internal error, try again later",
    }
}

/// Likewise, where the mailbox is one to put a message in (RFC 3501, 6.3.11 and 6.4.7).
pub(super) fn failure_of_target(it: Failure) -> &'static str {
    match it {
        Failure::NoSuchMailbox => "NO [TRYCREATE] Mailbox doesn't exist",
        other => failure(other),
    }
}

/// The end that the client did not ask for.
pub(super) fn goodbye(out: &mut Vec<u8>, why: Ended) {
    untagged(
        out,
        match why {
            Ended::Timeout => "BYE Disconnected for inactivity.",
            Ended::Shutdown => "BYE Server shutting down.",
        },
    );
}

/// Counts BAD replies in a row.
///
/// Some clients send a literal that was refused before they were told to send it. Those octets
/// are answered with BADs too, but they are not held against the client.
#[derive(Debug, Default)]
pub(super) struct Mistakes {
    in_a_row: u32,
    forgiven: u64,
}

impl Mistakes {
    /// A literal of so many octets was refused; they may come all the same.
    pub(super) fn forgive(&mut self, octets: u64) {
        self.forgiven = octets;
    }

    /// A command was right.
    pub(super) fn end_row(&mut self) {
        *self = Self::default();
    }

    /// A command of so many octets was wrong; whether it was one too many.
    pub(super) fn count(&mut self, octets: usize, limit: u32) -> bool {
        if self.forgiven > 0 {
            self.forgiven = self.forgiven.saturating_sub(octets as u64);
            return false;
        }
        self.in_a_row += 1;
        self.in_a_row >= limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_that_nobody_asked_for_are_forgiven() {
        let mut mistakes = Mistakes::default();
        assert!(!mistakes.count(10, 2));
        mistakes.forgive(25);
        assert!(!mistakes.count(10, 2) && !mistakes.count(10, 2) && !mistakes.count(10, 2));
        assert!(mistakes.count(10, 2));
        mistakes.end_row();
        assert!(!mistakes.count(10, 2));
    }
}
