//! What is told of a message without reading it again: its structure, envelope and preview.

use mail_common::charset::Encodings;
use mail_proto::imap::fetch::{Summary, Summing};

/// The first octet says how long a block is.
pub(crate) fn run(octets: &[u8]) {
    let Some((&block, message)) = octets.split_first() else { return };
    let summary = summed(message, usize::from(block).max(1));
    assert_eq!(summary, summed(message, message.len().max(1)), "other blocks, another summary");
    if let Some(summary) = summary {
        assert!(Summary::decode(&summary).is_some(), "what was made cannot be read");
    }
}

fn summed(message: &[u8], block: usize) -> Option<Vec<u8>> {
    let mut summing = Summing::default();
    message.chunks(block).for_each(|block| summing.push(block));
    summing.finish(&Encodings)
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let messages = crate::sessions::files("mail");
    messages.iter().map(|message| [b"\x10", message.as_bytes()].concat()).collect()
}
