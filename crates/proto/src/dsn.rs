//! Delivery status notifications (RFC 3464) in a `multipart/report` (RFC 6522).

use std::fmt::Write as _;

use crate::address::{Address, Domain};

/// What a bounce says. Times are RFC 5322 date-times: the caller has the clock.
#[derive(Debug)]
pub struct Bounce<'a> {
    /// The id under which this notification itself is queued.
    pub id: &'a str,
    /// Who reports.
    pub reporting_mta: &'a Domain,
    /// Now.
    pub date: &'a str,
    /// When the message arrived here.
    pub arrival_date: &'a str,
    /// The message's queue id.
    pub original_id: &'a str,
    /// Who gets this notification: the message's sender.
    pub to: &'a Address,
    /// The recipients that failed.
    pub failures: &'a [FailedRecipient],
    /// The message's header, wire bytes up to and without the empty line; cut to a limit.
    pub header: &'a [u8],
}

/// One recipient that failed.
#[derive(Debug, Clone)]
pub struct FailedRecipient {
    /// The recipient.
    pub recipient: Address,
    /// Such as `5.1.1`.
    pub status: String,
    /// The peer that said no, if one did.
    pub remote_mta: Option<String>,
    /// What it said, or why we gave up: one line.
    pub diagnostic: String,
}

/// Writes the notification: a whole message in wire form, 7-bit but for what the original header
/// and the peers' words hold, which then is declared 8-bit.
#[must_use]
pub fn bounce(bounce: &Bounce<'_>) -> Vec<u8> {
    let boundary = format!("{}/{}", bounce.id, bounce.reporting_mta.as_str().replace('/', "-"));
    let letter = letter(bounce);
    let eight_bit = !letter.is_ascii() || !bounce.header.is_ascii();
    let mut out = Vec::with_capacity(bounce.header.len() + 4096);
    head(bounce, &boundary, eight_bit, &mut out);
    part(&boundary, "text/plain; charset=utf-8", !letter.is_ascii(), &mut out);
    out.extend_from_slice(letter.as_bytes());
    part(&boundary, "message/delivery-status", false, &mut out);
    out.extend_from_slice(status(bounce).as_bytes());
    part(&boundary, "text/rfc822-headers", !bounce.header.is_ascii(), &mut out);
    original_header(bounce.header, &mut out);
    out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    out
}

/// Octets of a line without its CRLF: RFC 5322, 2.1.1.
const LINE: usize = 998;
/// Characters of a peer's words that are passed on.
const DIAGNOSTIC: usize = 2000;
/// Where the lines for people are broken.
const WIDTH: usize = 76;

fn head(bounce: &Bounce<'_>, boundary: &str, eight_bit: bool, out: &mut Vec<u8>) {
    let Bounce { id, reporting_mta, date, to, .. } = bounce;
    let encoding = if eight_bit { "8bit" } else { "7bit" };
    // RFC 3834, 5: what answers by itself says so, and is not answered by itself.
    let head = format!(
        "From: Mail Delivery System <postmaster@{reporting_mta}>\r\n\
         To: <{to}>\r\n\
         Subject: Undelivered mail returned to sender\r\n\
         Date: {date}\r\n\
         Message-ID: <{id}@{reporting_mta}>\r\n\
         Auto-Submitted: auto-replied\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status;\r\n\
         \tboundary=\"{boundary}\"\r\n\
         Content-Transfer-Encoding: {encoding}\r\n\
         \r\n\
         This is a delivery status notification in MIME form.\r\n"
    );
    out.extend_from_slice(head.as_bytes());
}

fn part(boundary: &str, kind: &str, eight_bit: bool, out: &mut Vec<u8>) {
    let encoding = if eight_bit { "8bit" } else { "7bit" };
    let head = format!(
        "\r\n--{boundary}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    );
    out.extend_from_slice(head.as_bytes());
}

/// What a person reads.
fn letter(bounce: &Bounce<'_>) -> String {
    let mut letter = format!(
        "This is the mail system at {}.\r\n\r\n\
         Your message could not be delivered to everybody. It is not tried again.\r\n\
         If you need help, write to <postmaster@{}> and add this notification.\r\n",
        bounce.reporting_mta, bounce.reporting_mta
    );
    for failure in bounce.failures {
        let said = match &failure.remote_mta {
            Some(peer) => format!("{} said: {}", clean(peer), clean(&failure.diagnostic)),
            None => clean(&failure.diagnostic),
        };
        let _ = write!(letter, "\r\n<{}>:\r\n", failure.recipient);
        letter.push_str(&folded("    ", &said, "\r\n    "));
        letter.push_str("\r\n");
    }
    letter
}

/// RFC 3464, 2.2 and 2.3. All of it is ASCII.
fn status(bounce: &Bounce<'_>) -> String {
    let mut status = format!(
        "Reporting-MTA: dns; {}\r\nX-Posthorn-Queue-ID: {}\r\nArrival-Date: {}\r\n",
        bounce.reporting_mta,
        clean(bounce.original_id),
        bounce.arrival_date
    );
    for failure in bounce.failures {
        let (kind, recipient) = typed(&failure.recipient);
        let _ = write!(
            status,
            "\r\nFinal-Recipient: {kind}; {recipient}\r\nAction: failed\r\nStatus: {}\r\n",
            ascii(&clean(&failure.status))
        );
        if let Some(peer) = &failure.remote_mta {
            status.push_str(&folded("Remote-MTA: dns; ", &ascii(&clean(peer)), "\r\n "));
            status.push_str("\r\n");
        }
        // RFC 3464, 2.3.6: a peer's words are `smtp`, our own are not.
        let kind = if failure.remote_mta.is_some() { "smtp" } else { "x-posthorn" };
        let said = ascii(&clean(&failure.diagnostic));
        status.push_str(&folded(&format!("Diagnostic-Code: {kind}; "), &said, "\r\n "));
        status.push_str("\r\n");
    }
    status
}

/// The header, its long lines folded; what no header may hold is masked.
fn original_header(header: &[u8], out: &mut Vec<u8>) {
    for line in header.split(|&b| b == b'\n') {
        let mut line = line.strip_suffix(b"\r").unwrap_or(line);
        while let Some((piece, rest)) =
            line.split_at_checked(LINE - 8).filter(|_| line.len() > LINE)
        {
            push_masked(piece, out);
            out.extend_from_slice(b"\r\n ");
            line = rest;
        }
        if !line.is_empty() {
            push_masked(line, out);
            out.extend_from_slice(b"\r\n");
        }
    }
}

fn push_masked(line: &[u8], out: &mut Vec<u8>) {
    let mask = |&b: &u8| if b == 0 || b == b'\r' { b'?' } else { b };
    out.extend(line.iter().map(mask));
}

/// One line without control characters, of bounded length.
fn clean(text: &str) -> String {
    text.chars().take(DIAGNOSTIC).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}

/// The address type and the address: RFC 6533, 3 for those that are not ASCII.
fn typed(recipient: &Address) -> (&'static str, String) {
    let text = recipient.to_string();
    if text.is_ascii() {
        return ("rfc822", text);
    }
    let encode = |c: char| match c {
        '\\' | '+' | '=' => format!("\\x{{{:X}}}", u32::from(c)),
        c if c.is_ascii() => c.to_string(),
        c => format!("\\x{{{:X}}}", u32::from(c)),
    };
    ("utf-8", text.chars().map(encode).collect())
}

/// Words in lines of about [`WIDTH`] characters; a word longer than that is cut into pieces.
fn folded(start: &str, words: &str, line_break: &str) -> String {
    let mut text = start.to_owned();
    let mut width = start.len();
    for word in words.split_ascii_whitespace() {
        for piece in word.chars().collect::<Vec<_>>().chunks(WIDTH) {
            if width > start.len() && width + 1 + piece.len() > WIDTH {
                text.push_str(line_break);
                width = line_break.len();
            } else if width > start.len() {
                text.push(' ');
            }
            text.extend(piece);
            width += 1 + piece.len();
        }
    }
    text
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use mail_parser::MessageParser;

    use super::*;

    fn failed(recipient: &str, remote: Option<&str>, diagnostic: &str) -> FailedRecipient {
        FailedRecipient {
            recipient: recipient.parse().unwrap(),
            status: "5.1.1".into(),
            remote_mta: remote.map(str::to_owned),
            diagnostic: diagnostic.into(),
        }
    }

    fn written(failures: &[FailedRecipient], header: &[u8]) -> Vec<u8> {
        bounce(&Bounce {
            id: "0abcDEF12345xyzQ",
            reporting_mta: &"mx.example.org".parse().unwrap(),
            date: "Sun, 22 Nov 2026 15:47:16 +0100",
            arrival_date: "Sun, 22 Nov 2026 15:40:00 +0100",
            original_id: "0abcDEF00000xyzQ",
            to: &"bob@example.net".parse().unwrap(),
            failures,
            header,
        })
    }

    fn is_wire_form(message: &[u8]) {
        let text = String::from_utf8_lossy(message).into_owned();
        assert!(text.ends_with("\r\n"));
        for line in text.split_terminator("\r\n") {
            assert!(!line.contains(['\r', '\n', '\0']), "{line:?}");
            assert!(line.len() <= LINE, "{} octets: {line:.50}", line.len());
        }
    }

    #[test]
    fn another_parser_reads_it() {
        let failures = [
            failed("ann@example.org", Some("mx.example.com"), "550 5.1.1 No such user"),
            failed("\"a b\"@example.org", None, "too old"),
        ];
        let header = b"Received: x\r\nSubject: hello\r\nFrom: <bob@example.net>";
        let message = written(&failures, header);
        is_wire_form(&message);
        assert!(message.is_ascii());

        let parsed = MessageParser::default().parse(&message).unwrap();
        let field = parsed.headers().iter().find(|field| field.raw_name() == "Auto-Submitted");
        assert_eq!(field.unwrap().raw_value().trim_ascii(), b"auto-replied");
        assert_eq!(parsed.to().unwrap().first().unwrap().address(), Some("bob@example.net"));
        assert_eq!(parsed.message_id(), Some("0abcDEF12345xyzQ@mx.example.org"));
        let kind = parsed.content_type().unwrap();
        assert_eq!((kind.ctype(), kind.subtype()), ("multipart", Some("report")));
        assert_eq!(kind.attribute("report-type"), Some("delivery-status"));

        let parts: Vec<_> = parsed.parts().skip(1).collect();
        let kinds: Vec<_> = parts
            .iter()
            .map(|part| {
                part.content_type().map(|t| format!("{}/{}", t.ctype(), t.subtype().unwrap()))
            })
            .collect();
        let expected = ["text/plain", "message/delivery-status", "text/rfc822-headers"];
        assert_eq!(kinds, expected.map(|kind| Some(kind.to_owned())));
        let status = String::from_utf8_lossy(parts[1].raw_body()).into_owned();
        assert_eq!(
            status.replace("\r\n", "\n").trim_end(),
            "Reporting-MTA: dns; mx.example.org\n\
             X-Posthorn-Queue-ID: 0abcDEF00000xyzQ\n\
             Arrival-Date: Sun, 22 Nov 2026 15:40:00 +0100\n\n\
             Final-Recipient: rfc822; ann@example.org\n\
             Action: failed\n\
             Status: 5.1.1\n\
             Remote-MTA: dns; mx.example.com\n\
             Diagnostic-Code: smtp; 550 5.1.1 No such user\n\n\
             Final-Recipient: rfc822; \"a b\"@example.org\n\
             Action: failed\n\
             Status: 5.1.1\n\
             Diagnostic-Code: x-posthorn; too old"
        );
        let original = String::from_utf8_lossy(parts[2].raw_body()).into_owned();
        assert_eq!(original.trim_end().as_bytes(), header);
    }

    #[test]
    fn words_of_a_peer_cannot_become_header_fields() {
        let nasty = "550 no\r\nBcc: <victim@example.org>\r\n\r\n--0abcDEF12345xyzQ\0\u{85}x";
        let message = written(&[failed("ann@example.org", Some("a\r\nb: c"), nasty)], b"");
        is_wire_form(&message);
        let text = String::from_utf8_lossy(&message).into_owned();
        assert!(!text.contains("\r\nBcc:") && !text.contains("\r\nb: c"), "{text}");
        assert_eq!(MessageParser::default().parse(&message).unwrap().parts().len(), 4);
    }

    #[test]
    fn lines_stay_within_the_limit_and_eight_bits_are_declared() {
        let long = "x".repeat(100_000);
        let header = [b"Subject: ".as_slice(), long.as_bytes(), b"\r\nX: \xe4\0\r\n\r\n"].concat();
        let failures = [
            failed("ann@example.org", Some(&long), &long),
            failed("jörg@example.org", None, "ä ö"),
        ];
        let message = written(&failures, &header);
        is_wire_form(&message);
        let text = String::from_utf8_lossy(&message).into_owned();
        assert!(text.contains("Content-Transfer-Encoding: 8bit"));
        assert!(text.contains("Final-Recipient: utf-8; j\\x{F6}rg@example.org"));
        assert!(text.contains("Diagnostic-Code: x-posthorn; ? ?"));
    }
}
