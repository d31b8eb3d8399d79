//! Delivery status notifications (RFC 3464) in a `multipart/report` (RFC 6522).
//!
//! Three parts: words for a person, fields for a program, and what came back of the message. What
//! peers, senders and the message itself said goes into all three, so each piece of it is made
//! harmless where it is written: one line of bounded length, ASCII where the grammar asks for it,
//! and whatever could end a line or a part is masked.

mod letter;
mod original;
mod status;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod text;

use std::fmt;

use crate::address::{Address, Domain, ReversePath};
use crate::message::charset::Charsets;

/// What a notification says. Times are RFC 5322 date-times: the caller has the clock.
#[derive(Debug)]
pub struct Notification<'a> {
    /// What became of the recipients.
    pub action: Action,
    /// The id under which this notification itself is queued.
    pub id: &'a str,
    /// Who reports.
    pub reporting_mta: &'a Domain,
    /// Now.
    pub date: &'a str,
    /// Who gets this notification.
    pub to: &'a Address,
    /// As whom.
    pub audience: Audience<'a>,
    /// The message that it is about.
    pub original: Original<'a>,
    /// The recipients that it is about.
    pub recipients: &'a [Told],
    /// When they were tried last, if they were.
    pub last_attempt: Option<&'a str>,
    /// Until when they are tried again, if they are.
    pub retry_until: Option<&'a str>,
}

/// What became of a recipient (RFC 3464, 2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// It will not have the message.
    Failed,
    /// It does not have the message yet.
    Delayed,
    /// The message is in its mailbox.
    Delivered,
    /// The message went on to a host that does not notify.
    Relayed,
}

/// As whom somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience<'a> {
    /// As the message's sender.
    Sender,
    /// As the one who looks after this host, about a message of this sender.
    Postmaster(&'a ReversePath),
}

/// The message that a notification is about.
#[derive(Debug)]
pub struct Original<'a> {
    /// Its queue id.
    pub id: &'a str,
    /// When it arrived here.
    pub arrival_date: &'a str,
    /// ENVID (RFC 3461, 4.4), decoded.
    pub envid: Option<&'a str>,
    /// What goes back of it.
    pub returned: Returned<'a>,
}

/// What goes back of a message.
#[derive(Debug, Clone, Copy)]
pub enum Returned<'a> {
    /// Its header: wire bytes up to and without the empty line, or cut to a limit.
    Header(&'a [u8]),
    /// All its wire bytes. If its lines are not as RFC 5321, 4.5.3.1.6 wants them, its header.
    Whole(&'a [u8]),
}

/// One recipient, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The recipient.
    pub recipient: Address,
    /// ORCPT (RFC 3461, 4.2), decoded: `rfc822;ann@example.org`.
    pub original: Option<String>,
    /// Such as `5.1.1` (RFC 3463).
    pub status: String,
    /// The host that spoke, if one did and it is not ours.
    pub remote_mta: Option<String>,
    /// Why it is so.
    pub words: Words,
}

/// Who said why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Words {
    /// A peer, in an SMTP or LMTP reply: `550 5.1.1 No such user`.
    Reply(String),
    /// We: `connection timed out`.
    Ours(String),
}

impl Words {
    /// Without saying who said so.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Reply(text) | Self::Ours(text) => text,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Delivered => "delivered",
            Self::Relayed => "relayed",
        })
    }
}

impl Notification<'_> {
    /// Writes it: a whole message in wire form, 7-bit but for what the message and the peers'
    /// words hold, which then is declared 8-bit.
    #[must_use]
    pub fn write(&self, charsets: &dyn Charsets) -> Vec<u8> {
        let letter = letter::write(self, charsets);
        let (kind, original) = original::write(self.original.returned);
        let eight_bit = !letter.is_ascii() || !original.is_ascii();
        // RFC 2045, 6.7: in no encoding of a part a line can begin like this.
        let boundary: String = self.id.chars().filter(char::is_ascii_alphanumeric).collect();
        let boundary = format!("=_{boundary}");

        let mut out = Vec::with_capacity(original.len() + 4096);
        out.extend_from_slice(self.header(&boundary, eight_bit).as_bytes());
        part(&boundary, "text/plain; charset=utf-8", letter.as_bytes(), &mut out);
        part(&boundary, "message/delivery-status", status::write(self).as_bytes(), &mut out);
        part(&boundary, kind, &original, &mut out);
        out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        out
    }

    fn header(&self, boundary: &str, eight_bit: bool) -> String {
        let Self { id, reporting_mta, date, to, .. } = self;
        // RFC 3834, 5: what comes of itself says so, and is not answered by itself.
        let (subject, submitted) = match (self.audience, self.action) {
            (Audience::Postmaster(_), Action::Delayed) => {
                ("Postmaster copy: delayed mail", "auto-generated")
            }
            (Audience::Postmaster(_), _) => ("Postmaster copy: undelivered mail", "auto-generated"),
            (_, Action::Failed) => ("Undelivered mail returned to sender", "auto-replied"),
            (_, Action::Delayed) => ("Delayed mail (still being tried)", "auto-replied"),
            (_, Action::Delivered) => ("Your mail was delivered", "auto-replied"),
            (_, Action::Relayed) => ("Your mail went on to another system", "auto-replied"),
        };
        let thread = original::message_id(self.original.returned)
            .map(|id| format!("In-Reply-To: {id}\r\nReferences: {id}\r\n"))
            .unwrap_or_default();
        let encoding = encoding(eight_bit);
        format!(
            "From: Mail Delivery System <MAILER-DAEMON@{reporting_mta}>\r\n\
             To: <{to}>\r\n\
             Subject: {subject}\r\n\
             Date: {date}\r\n\
             Message-ID: <{id}@{reporting_mta}>\r\n\
             {thread}\
             Auto-Submitted: {submitted}\r\n\
             MIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type=delivery-status;\r\n\
             \tboundary=\"{boundary}\"\r\n\
             Content-Transfer-Encoding: {encoding}\r\n\
             \r\n\
             This is a delivery status notification in MIME form.\r\n"
        )
    }
}

/// Octets of a line without its CRLF: RFC 5322, 2.1.1.
const LINE: usize = 998;

fn part(boundary: &str, kind: &str, content: &[u8], out: &mut Vec<u8>) {
    let encoding = encoding(!content.is_ascii());
    let head = format!(
        "\r\n--{boundary}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(content);
}

fn encoding(eight_bit: bool) -> &'static str {
    if eight_bit { "8bit" } else { "7bit" }
}
