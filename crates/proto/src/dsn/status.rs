//! What a program reads: `message/delivery-status` (RFC 3464, 2). All of it is ASCII.

use std::fmt::Write as _;

use super::text::{ascii_line, fold};
use super::{Action, LINE, Notification, Told, Words};
use crate::address::Address;

/// Characters of a peer's words that are passed on.
const WORDS: usize = 1000;
/// Octets of a value that is not folded: with its name it fits into a line.
const VALUE: usize = LINE - 50;

pub(super) fn write(notification: &Notification<'_>) -> String {
    let Notification { reporting_mta, original, .. } = notification;
    let mut out = String::new();
    fold("Reporting-MTA: dns; ", &ascii_line(reporting_mta.as_str(), VALUE), "\r\n ", &mut out);
    let _ = write!(out, "X-Posthorn-Queue-ID: {}\r\n", ascii_line(original.id, VALUE));
    if let Some(envid) = original.envid {
        let _ = write!(out, "Original-Envelope-Id: {}\r\n", printable(envid));
    }
    let _ = write!(out, "Arrival-Date: {}\r\n", original.arrival_date);
    for told in notification.recipients {
        out.push_str("\r\n");
        recipient(notification, told, &mut out);
    }
    out
}

fn recipient(notification: &Notification<'_>, told: &Told, out: &mut String) {
    let action = notification.action;
    if let Some(original) = &told.original {
        let _ = write!(out, "Original-Recipient: {}\r\n", printable(original));
    }
    final_recipient(&told.recipient, out);
    let _ = write!(out, "Action: {action}\r\nStatus: {}\r\n", code(&told.status, action));
    if let Some(peer) = &told.remote_mta {
        fold("Remote-MTA: dns; ", &ascii_line(peer, VALUE), "\r\n ", out);
    }
    // RFC 3464, 2.3.6: what a peer replied is `smtp`, our own words are not.
    let (kind, words) = match &told.words {
        Words::Reply(words) => ("smtp", words),
        Words::Ours(words) => ("x-posthorn", words),
    };
    fold(&format!("Diagnostic-Code: {kind}; "), &ascii_line(words, WORDS), "\r\n ", out);
    if let Some(date) = notification.last_attempt {
        let _ = write!(out, "Last-Attempt-Date: {date}\r\n");
    }
    if let Some(until) = notification.retry_until {
        let _ = write!(out, "Will-Retry-Until: {until}\r\n");
    }
}

/// The address type and the address: RFC 6533, 3 for those that are not ASCII.
fn final_recipient(recipient: &Address, out: &mut String) {
    let address = recipient.to_string();
    if address.is_ascii() {
        let _ = write!(out, "Final-Recipient: rfc822; {address}\r\n");
        return;
    }
    let encode = |c: char| match c {
        '\\' | '+' | '=' | ' ' => format!("\\x{{{:X}}}", u32::from(c)),
        c if c.is_ascii() => c.to_string(),
        c => format!("\\x{{{:X}}}", u32::from(c)),
    };
    let encoded: Vec<String> = address.chars().map(encode).collect();
    out.push_str("Final-Recipient: utf-8; ");
    // Only a local part of nothing but escapes is longer than this: there is no right way then.
    for (at, line) in encoded.chunks(VALUE / 10).enumerate() {
        out.push_str(if at == 0 { "" } else { "\r\n " });
        line.iter().for_each(|character| out.push_str(character));
    }
    out.push_str("\r\n");
}

/// A status code as RFC 3463, 2 has it, or what the action alone says.
fn code(status: &str, action: Action) -> String {
    let is_number = |part: &str| {
        (1..=3).contains(&part.len()) && part.bytes().all(|digit| digit.is_ascii_digit())
    };
    let fits = match action {
        Action::Failed => status.starts_with(['4', '5']),
        Action::Delayed => status.starts_with('4'),
        Action::Delivered | Action::Relayed => status.starts_with('2'),
    };
    let parts: Vec<_> = status.split('.').collect();
    if fits && parts.len() == 3 && parts.iter().all(|part| is_number(part)) {
        return status.to_owned();
    }
    match action {
        Action::Failed => "5.0.0",
        Action::Delayed => "4.0.0",
        Action::Delivered | Action::Relayed => "2.0.0",
    }
    .to_owned()
}

/// What a sender wrote in xtext (RFC 3461, 4), decoded; octets that no field may hold stay encoded.
fn printable(text: &str) -> String {
    let mut out = String::new();
    for octet in text.trim_ascii().bytes().take(VALUE / 3) {
        match octet {
            b' '..=b'~' => out.push(char::from(octet)),
            _ => {
                let _ = write!(out, "+{octet:02X}");
            }
        }
    }
    out
}
