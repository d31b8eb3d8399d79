//! What a person reads: what happened to whom, who said so, and what to do now.

use std::fmt::Write as _;

use super::text::{fold, one_line};
use super::{Action, Audience, Notification, Told, Words, original};
use crate::message::charset::Charsets;

/// Characters of a peer's words that are passed on.
const WORDS: usize = 1000;
/// Characters of a subject that are shown.
const SUBJECT: usize = 300;

const INDENT: &str = "    ";
const NEXT_LINE: &str = "\r\n    ";

pub(super) fn write(notification: &Notification<'_>, charsets: &dyn Charsets) -> String {
    let Notification { reporting_mta, original, .. } = notification;
    let mut out = String::new();
    fold("", &format!("This is the mail system at {reporting_mta}."), "\r\n", &mut out);
    out.push_str("\r\n");
    fold("", &opening(notification), "\r\n", &mut out);
    out.push_str("\r\n");

    let subject = original::subject(original.returned, charsets).unwrap_or_default();
    if !subject.trim_ascii().is_empty() {
        let line_break = "\r\n             ";
        fold("    Subject: ", &one_line(&subject, SUBJECT), line_break, &mut out);
    }
    let _ = write!(out, "    Sent:    {}\r\n", original.arrival_date);
    for told in notification.recipients {
        out.push_str("\r\n");
        recipient(notification, told, &mut out);
    }
    if is_for_sender_of_failed(notification) {
        let help = format!(
            "If you need help, write to <postmaster@{reporting_mta}> and add this notification."
        );
        out.push_str("\r\n");
        fold("", &help, "\r\n", &mut out);
    }
    out
}

/// Only a sender can do something, and only if it failed.
fn is_for_sender_of_failed(notification: &Notification<'_>) -> bool {
    matches!((notification.audience, notification.action), (Audience::Sender, Action::Failed))
}

fn opening(notification: &Notification<'_>) -> String {
    let message = match notification.audience {
        Audience::Sender => "Your message".to_owned(),
        Audience::Postmaster(sender) => match &sender.0 {
            Some(sender) => format!("This is a copy for postmaster. A message from <{sender}>"),
            None => "This is a copy for postmaster. A message without a sender, most often a \
                     notification,"
                .to_owned(),
        },
    };
    match (notification.action, notification.retry_until) {
        (Action::Failed, _) => format!(
            "{message} could not be delivered to the recipients below. It is not tried again."
        ),
        (Action::Delayed, Some(until)) => format!(
            "{message} has not reached the recipients below yet. It need not be sent again: it is \
             tried until {until}."
        ),
        (Action::Delayed, None) => format!(
            "{message} has not reached the recipients below yet. It need not be sent again: it is \
             still being tried."
        ),
        (Action::Delivered, _) => {
            format!("{message} is in the mailboxes of the recipients below. You asked to be told.")
        }
        (Action::Relayed, _) => format!(
            "{message} went on to the next mail system for the recipients below. You asked to be \
             told when it arrives, but that system does not tell us."
        ),
    }
}

fn recipient(notification: &Notification<'_>, told: &Told, out: &mut String) {
    let address = told.recipient.to_string();
    let _ = write!(out, "<{address}>\r\n");
    let written = told.original.as_deref().and_then(|original| original.split_once(';'));
    if let Some((_, written)) = written.filter(|(_, written)| *written != address) {
        let written = format!("You wrote to {}.", one_line(written, SUBJECT));
        fold(INDENT, &written, NEXT_LINE, out);
    }
    if is_for_sender_of_failed(notification)
        && let Some(advice) = advice(told)
    {
        fold(INDENT, advice, NEXT_LINE, out);
    }
    if notification.action != Action::Delivered {
        let words = one_line(told.words.as_str(), WORDS);
        let words = match (&told.words, &told.remote_mta) {
            (Words::Reply(_), Some(peer)) => format!("{} said: {words}", one_line(peer, SUBJECT)),
            (Words::Reply(_), None) => format!("The mail system said: {words}"),
            (Words::Ours(_), _) => words,
        };
        fold(INDENT, &words, NEXT_LINE, out);
    }
}

/// What can be done about it, by the status code (RFC 3463, 3, and IANA's registry of them).
fn advice(told: &Told) -> Option<&'static str> {
    let (_, code) = told.status.split_once('.')?;
    Some(match code {
        "1.1" => "There is no such mailbox. Look for a mistake in the address.",
        "1.2" => "There is no such mail domain. Look for a mistake behind the @.",
        "1.6" => "The mailbox has moved, and nobody knows where. Ask the recipient another way.",
        "1.10" => "This domain takes no mail at all. Look for a mistake behind the @.",
        "2.1" => "The mailbox takes no mail now. Ask the recipient another way.",
        "2.2" => "The mailbox is full. Send it again later, or ask the recipient another way.",
        "2.3" | "3.4" => "The message is too large. Send less of it, or a link to it.",
        "4.6" => "The message went in a circle. Only those who run the mail systems can mend that.",
        "4.7" => {
            "It was tried for as long as mail may wait here. Send it again if it still matters."
        }
        _ if code.starts_with("7.") => {
            "The message was refused by a rule. The words below may say which one."
        }
        _ => match told.words {
            Words::Reply(_) => "The message was refused. The words below may say why.",
            Words::Ours(_) => return None,
        },
    })
}
