//! Replies, and how many mistakes a client may make.

use super::syntax::Refusal;

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
