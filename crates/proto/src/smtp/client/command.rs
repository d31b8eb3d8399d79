//! What we say, and what a reply to it means.

use super::replies::Reply;
use super::{Outcome, PeerReply};

/// What we say, and are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    /// Not ours, but answered all the same.
    Greeting,
    Ehlo,
    Lhlo,
    Helo,
    StartTls,
    Auth,
    Mail,
    /// RCPT with the recipient of this number.
    Recipient(usize),
    Data,
    /// The final dot of a message.
    Message,
    /// A final dot for nobody: the peer said 354 though it had refused every recipient.
    EmptyMessage,
    /// BDAT with so many octets, and more to come.
    Chunk(usize),
    /// BDAT LAST with so many octets.
    LastChunk(usize),
    Reset,
    Quit,
}

impl Command {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Greeting => "greeting",
            Self::Ehlo => "EHLO",
            Self::Lhlo => "LHLO",
            Self::Helo => "HELO",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::Mail => "MAIL FROM",
            Self::Recipient(_) => "RCPT TO",
            Self::Data => "DATA",
            Self::Message | Self::EmptyMessage => "end of DATA",
            Self::Chunk(_) | Self::LastChunk(_) => "BDAT",
            Self::Reset => "RSET",
            Self::Quit => "QUIT",
        }
    }

    /// Octets of a message that were said with it.
    pub(super) const fn octets(self) -> usize {
        match self {
            Self::Chunk(octets) | Self::LastChunk(octets) => octets,
            _ => 0,
        }
    }
}

/// What a reply means to a recipient. One that asks for more where there is no more is no answer.
pub(super) fn judged(command: Command, reply: &Reply) -> Outcome {
    if (300..400).contains(&reply.code) {
        return Outcome::Lost(format!("unexpected reply {} to {}", reply.code, command.name()));
    }
    Outcome::Replied(PeerReply {
        code: reply.code,
        text: reply.lines.join(" "),
        command: command.name(),
    })
}
