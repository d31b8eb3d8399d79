//! The messages that chats use.

use std::fs;

use super::Protocol;

/// What the fields that its way puts on top of a message say of who gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traced {
    /// The chat does not care.
    Somehow,
    /// `alone`: there is a Delivered-To, and a Received that says for whom.
    Alone,
    /// `among others`: nothing.
    AmongOthers,
}

impl Traced {
    /// What stands behind the user in a chat.
    pub(super) const WORDS: [(&str, Self); 3] =
        [(" alone", Self::Alone), (" among others", Self::AmongOthers), ("", Self::Somehow)];

    /// As a chat says it.
    #[must_use]
    pub fn words(self) -> &'static str {
        Self::WORDS
            .into_iter()
            .find_map(|(words, one)| (one == self).then_some(words))
            .unwrap_or("")
    }
}

/// Whether a stored message is the one of this name, as it is delivered to a user of ours.
///
/// # Panics
/// If there is none of this name.
#[must_use]
pub fn is_delivered(stored: &[u8], user: &str, name: &str, traced: Traced) -> bool {
    let rest = without_trace(stored);
    let stored = with_crlf(stored);
    let trace = String::from_utf8_lossy(stored.strip_suffix(rest.as_slice()).unwrap_or(&stored));
    let to = format!("{user}@example.org");
    let says_so = match traced {
        Traced::Somehow => true,
        Traced::Alone => {
            trace.contains(&format!("Delivered-To: {to}\r\n"))
                && trace.contains(&format!("for <{to}>"))
        }
        Traced::AmongOthers => !trace.contains("Delivered-To:") && !trace.contains("for <"),
    };
    says_so && rest == message(name)
}

/// A message of `tests/chats/mail`, with CRLF line ends whatever the file has.
///
/// # Panics
/// If there is none of this name.
#[must_use]
pub fn message(name: &str) -> Vec<u8> {
    let path = super::folder().join("mail").join(name).with_extension("eml");
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    with_crlf(&bytes)
}

/// The message of this name as this protocol has it: a literal, or dot-stuffed with its final dot.
pub(super) fn travelling(name: &str, protocol: Protocol) -> Vec<u8> {
    match protocol {
        Protocol::Imap => message(name),
        _ => stuffed(&message(name)),
    }
}

/// The same, line by line.
pub(crate) fn travelling_lines(name: &str, protocol: Protocol) -> Vec<Vec<u8>> {
    let mail = travelling(name, protocol);
    let lines = mail.strip_suffix(b"\r\n").unwrap_or(&mail).split(|&byte| byte == b'\n');
    lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_vec()).collect()
}

/// A message as DATA and RETR carry it: dots doubled, and the final dot (RFC 5321, 4.5.2).
#[must_use]
pub fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(message.len() + 5);
    for line in message.split_inclusive(|&byte| byte == b'\n') {
        if line.starts_with(b".") {
            stuffed.push(b'.');
        }
        stuffed.extend_from_slice(line);
    }
    if !stuffed.is_empty() && !stuffed.ends_with(b"\r\n") {
        stuffed.extend_from_slice(b"\r\n");
    }
    stuffed.extend_from_slice(b".\r\n");
    stuffed
}

/// A message with CRLF line ends and without the fields that its way through our hands put on
/// top of it: exactly Return-Path, Delivered-To, and those Received that name our host.
#[must_use]
pub fn without_trace(message: &[u8]) -> Vec<u8> {
    let message = with_crlf(message);
    let mut rest = message.as_slice();
    for name in ["return-path:", "delivered-to:"] {
        if let Some((field, after)) = first_field(rest)
            && field.starts_with(name)
        {
            rest = after;
        }
    }
    while let Some((field, after)) = first_field(rest) {
        if !(field.starts_with("received:") && field.contains("by mx.example.org")) {
            break;
        }
        rest = after;
    }
    rest.to_vec()
}

/// The first header field, in lower case, and what stands after it.
fn first_field(message: &[u8]) -> Option<(String, &[u8])> {
    let mut end = 0;
    loop {
        end += message.get(end..)?.iter().position(|&byte| byte == b'\n')? + 1;
        let (field, after) = message.split_at_checked(end)?;
        if !after.starts_with(b" ") && !after.starts_with(b"\t") {
            return Some((String::from_utf8_lossy(field).to_lowercase(), after));
        }
    }
}

fn with_crlf(bytes: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(bytes.len() + bytes.len() / 32);
    let mut last = 0;
    for &byte in bytes {
        if byte == b'\n' && last != b'\r' {
            lines.push(b'\r');
        }
        lines.push(byte);
        last = byte;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_doubled_and_the_end_is_marked() {
        assert_eq!(stuffed(b"a\r\n.b\r\n..\r\n"), b"a\r\n..b\r\n...\r\n.\r\n");
        assert_eq!(stuffed(b"a"), b"a\r\n.\r\n");
        assert_eq!(stuffed(b""), b".\r\n");
    }

    #[test]
    fn trace_fields_go_and_nothing_else() {
        let stored = b"Return-Path: <a@b.c>\nDelivered-To: x\nReceived: from y\n\tby \
            mx.example.org\nReceived: old\nX: 1\n\nb\n";
        assert_eq!(without_trace(stored), b"Received: old\r\nX: 1\r\n\r\nb\r\n");
        for (traced, expected) in
            [(Traced::Somehow, true), (Traced::Alone, false), (Traced::AmongOthers, true)]
        {
            let stored = [b"Return-Path: <a@b.c>\n", message("plain").as_slice()].concat();
            assert_eq!(is_delivered(&stored, "ann", "plain", traced), expected, "{traced:?}");
            let to = "Delivered-To: ann@example.org\nReceived: by mx.example.org\n\tfor \
                <ann@example.org>\n";
            let stored = [to.as_bytes(), &message("plain")].concat();
            let is_hers = traced != Traced::AmongOthers;
            assert_eq!(is_delivered(&stored, "ann", "plain", traced), is_hers, "{traced:?}");
            assert!(!is_delivered(&stored, "ann", "8bit", traced));
            assert_eq!(
                is_delivered(&stored, "bob", "plain", traced),
                traced == Traced::Somehow,
                "{traced:?}"
            );
        }
        let untouched = b"Subject: x\r\n\r\nReturn-Path: y\r\n";
        assert_eq!(without_trace(untouched), untouched);
    }
}
