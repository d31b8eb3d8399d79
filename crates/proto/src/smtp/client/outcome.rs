//! What became of a transaction.

/// What became of a transaction: one outcome for each recipient, in the envelope's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// For each recipient.
    pub recipients: Vec<Outcome>,
    /// Whether the peer, where it took the message, took over the duty to notify the sender
    /// (RFC 3461, 5.2.1). If not, a sender who wants to hear of success is told by us that the
    /// message was relayed (5.2.2). An LMTP server answers for each recipient, and leaves
    /// notifications to who asks it.
    pub notifies: bool,
}

/// What became of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The peer answered; 2xx: the message is the peer's now.
    Replied(PeerReply),
    /// There was no final answer: the connection or the peer failed. Temporary. The text says
    /// at which command, for the log and the queue.
    Lost(String),
}

/// A reply of the peer, kept as it came (for DSNs and logs).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerReply {
    /// The three digits.
    pub code: u16,
    /// All lines without their codes, joined by spaces; control characters replaced.
    pub text: String,
    /// The command that was answered: `RCPT TO`, `end of DATA`.
    pub command: &'static str,
}

impl Outcome {
    /// Whether the peer took the message for this recipient.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        matches!(self, Self::Replied(reply) if (200..300).contains(&reply.code))
    }

    /// Whether trying again is of no use. What was refused before MAIL (greeting, EHLO, AUTH)
    /// concerns us and not the message, so that it is never a reason to give the message up.
    /// Neither are 503 to MAIL and 500 to 504 to BDAT: such a peer is at odds with itself or with
    /// us.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        let Self::Replied(reply) = self else { return false };
        match reply.command {
            "MAIL FROM" => reply.code >= 500 && reply.code != 503,
            "RCPT TO" | "DATA" | "end of DATA" => reply.code >= 500,
            "BDAT" => reply.code >= 505,
            _ => false,
        }
    }
}
