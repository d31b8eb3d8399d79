//! ENVELOPE (RFC 3501, 7.4.2).

use std::borrow::Cow;

use super::super::write;
use crate::message::address_list::{self, Entry, Mailbox};
use crate::message::header;

/// What Dovecot puts where an address lacks a part: NIL there would mean a group.
const MISSING_LOCAL: &[u8] = b"MISSING_MAILBOX";
const MISSING_DOMAIN: &[u8] = b"MISSING_DOMAIN";

/// The fields that are shown. Of several fields of one name the last counts, as with Dovecot.
#[derive(Default)]
struct Fields<'a> {
    date: Text<'a>,
    subject: Text<'a>,
    from: Text<'a>,
    sender: Text<'a>,
    reply_to: Text<'a>,
    to: Text<'a>,
    cc: Text<'a>,
    bcc: Text<'a>,
    in_reply_to: Text<'a>,
    message_id: Text<'a>,
}

type Text<'a> = Option<Cow<'a, [u8]>>;

impl<'a> Fields<'a> {
    fn slot(&mut self, name: &[u8]) -> Option<&mut Text<'a>> {
        let slots = [
            ("date", &mut self.date),
            ("subject", &mut self.subject),
            ("from", &mut self.from),
            ("sender", &mut self.sender),
            ("reply-to", &mut self.reply_to),
            ("to", &mut self.to),
            ("cc", &mut self.cc),
            ("bcc", &mut self.bcc),
            ("in-reply-to", &mut self.in_reply_to),
            ("message-id", &mut self.message_id),
        ];
        let found =
            slots.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()));
        found.map(|(_, slot)| slot)
    }
}

/// Appends the envelope of a header.
pub(super) fn write(out: &mut Vec<u8>, header: &[u8]) {
    let mut fields = Fields::default();
    for field in header::fields(header) {
        if let Some(slot) = fields.slot(field.name) {
            *slot = Some(field.unfolded());
        }
    }
    let from = addresses(fields.from.as_deref());
    out.push(b'(');
    text(out, &fields.date);
    text(out, &fields.subject);
    list(out, &from);
    out.push(b' ');
    // Absent or empty, these two are as From.
    for field in [&fields.sender, &fields.reply_to] {
        let own = addresses(field.as_deref());
        list(out, if own.is_empty() { &from } else { &own });
        out.push(b' ');
    }
    for field in [&fields.to, &fields.cc, &fields.bcc] {
        list(out, &addresses(field.as_deref()));
        out.push(b' ');
    }
    text(out, &fields.in_reply_to);
    write::nstring(out, fields.message_id.as_deref());
    out.push(b')');
}

/// A text and the space behind it.
fn text(out: &mut Vec<u8>, value: &Text) {
    write::nstring(out, value.as_deref());
    out.push(b' ');
}

fn addresses(value: Option<&[u8]>) -> Vec<Entry> {
    value.map(address_list::parse).unwrap_or_default()
}

fn list(out: &mut Vec<u8>, entries: &[Entry]) {
    if entries.is_empty() {
        return out.extend_from_slice(b"NIL");
    }
    out.push(b'(');
    for entry in entries {
        match entry {
            Entry::Mailbox(mailbox) => address(out, mailbox),
            Entry::GroupStart(name) => {
                out.extend_from_slice(b"(NIL NIL ");
                write::string(out, name);
                out.extend_from_slice(b" NIL)");
            }
            Entry::GroupEnd => out.extend_from_slice(b"(NIL NIL NIL NIL)"),
        }
    }
    out.push(b')');
}

fn address(out: &mut Vec<u8>, mailbox: &Mailbox) {
    fn or<'a>(part: &'a [u8], missing: &'a [u8]) -> &'a [u8] {
        if part.is_empty() { missing } else { part }
    }
    out.push(b'(');
    write::nstring(out, mailbox.name.as_deref());
    out.push(b' ');
    write::nstring(out, mailbox.route.as_deref());
    out.push(b' ');
    write::string(out, or(&mailbox.local, MISSING_LOCAL));
    out.push(b' ');
    write::string(out, or(&mailbox.domain, MISSING_DOMAIN));
    out.push(b')');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(header: &str) -> String {
        let mut out = Vec::new();
        write(&mut out, header.as_bytes());
        String::from_utf8(out).unwrap_or_else(|bad| bad.into_bytes().escape_ascii().to_string())
    }

    #[test]
    fn envelopes_are_as_dovecots() {
        let ann = "((\"Ann\" NIL \"a\" \"b\"))";
        let table = [
            ("", "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)".to_owned()),
            (
                "Date: today\nSubject: a \"b\"\nFrom: Ann <a@b>\nMessage-ID: <1@b>\n",
                format!("(\"today\" \"a \\\"b\\\"\" {ann} {ann} {ann} NIL NIL NIL NIL \"<1@b>\")"),
            ),
            (
                "From: Ann <a@b>\nSender: s@b\nReply-To:\nTo: x:;\nCc: c\nBcc: <@d>\n",
                format!(
                    "(NIL NIL {ann} ((NIL NIL \"s\" \"b\")) {ann} \
                     ((NIL NIL \"x\" NIL)(NIL NIL NIL NIL)) ((NIL NIL \"c\" \"MISSING_DOMAIN\")) \
                     ((NIL NIL \"MISSING_MAILBOX\" \"d\")) NIL NIL)"
                ),
            ),
            (
                "Subject:\nIn-Reply-To: <1@b>\r\n\t<2@b>\n",
                "(NIL \"\" NIL NIL NIL NIL NIL NIL \"<1@b>\t<2@b>\" NIL)".to_owned(),
            ),
            (
                "subject: first\nSUBJECT: last\n\nTo: body@x",
                "(NIL \"last\" NIL NIL NIL NIL NIL NIL NIL NIL)".to_owned(),
            ),
            ("Subject: café\n", "(NIL {5}\r\ncafé NIL NIL NIL NIL NIL NIL NIL NIL)".to_owned()),
        ];
        for (header, expected) in table {
            assert_eq!(shown(header), expected, "{header:?}");
        }
    }
}
