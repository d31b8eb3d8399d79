use mail_parser::MessageParser;
use proptest::prelude::*;

use super::*;
use crate::message::charset::tests::Plain;

const HEADER: &[u8] = b"Received: from client.example.net by mx.example.org\r\n\
    Message-ID: <1234@example.net>\r\n\
    Subject: =?utf-8?q?Lunch_at_the_caf=C3=A9?=\r\n\
    From: Bob <bob@example.net>\r\n";
const MESSAGE: &[u8] = b"Subject: Lunch\r\nFrom: Bob <bob@example.net>\r\n\r\nAt noon?\r\n";

fn told(recipient: &str, status: &str, remote: Option<&str>, words: Words) -> Told {
    Told {
        recipient: recipient.parse().unwrap(),
        original: None,
        status: status.to_owned(),
        remote_mta: remote.map(str::to_owned),
        words,
    }
}

fn reply(text: &str) -> Words {
    Words::Reply(text.to_owned())
}

fn ours(text: &str) -> Words {
    Words::Ours(text.to_owned())
}

/// A notification, of which a test says what it is about.
struct Written<'a> {
    action: Action,
    audience: Audience<'a>,
    envid: Option<&'a str>,
    returned: Returned<'a>,
    recipients: Vec<Told>,
}

impl Written<'_> {
    fn of(action: Action, recipients: Vec<Told>) -> Self {
        let (envid, returned) = (None, Returned::Header(HEADER));
        Self { action, audience: Audience::Sender, envid, returned, recipients }
    }

    fn write(&self) -> Vec<u8> {
        let until = "Fri, 27 Nov 2026 15:40:00 +0100";
        Notification {
            action: self.action,
            id: "0abcDEF12345xyzQ",
            reporting_mta: &"mx.example.org".parse().unwrap(),
            date: "Sun, 22 Nov 2026 15:47:16 +0100",
            to: &"bob@example.net".parse().unwrap(),
            audience: self.audience,
            original: Original {
                id: "0abcDEF00000xyzQ",
                arrival_date: "Sun, 22 Nov 2026 15:40:00 +0100",
                envid: self.envid,
                returned: self.returned,
            },
            recipients: &self.recipients,
            last_attempt: Some("Sun, 22 Nov 2026 15:47:15 +0100"),
            retry_until: (self.action == Action::Delayed).then_some(until),
        }
        .write(&Plain)
    }
}

fn failures() -> Vec<Told> {
    let said = reply("550 5.1.1 <ann@example.com>: Recipient address rejected: User unknown here");
    let ann = told("ann@example.com", "5.1.1", Some("mx.example.com"), said);
    vec![
        Told { original: Some("rfc822;ann@example.org".to_owned()), ..ann },
        told("eve@example.org", "5.2.2", None, reply("552 5.2.2 Mailbox full")),
        told("\"a b\"@example.com", "4.4.7", None, ours("connect to mx.example.com:25: timed out")),
    ]
}

#[test]
fn the_whole_text() {
    let relay = || Some("mx.example.com");
    let nobody = ReversePath(None);
    let failed = || Written::of(Action::Failed, failures());
    let one = |action, status, words| {
        Written::of(action, vec![told("ann@example.com", status, relay(), reply(words))])
    };
    let table = [
        (
            "failed",
            Written { envid: Some("<QQ 1+2>"), ..failed() },
            include_str!("golden/failed.txt"),
        ),
        (
            "failed, all of it back",
            Written { returned: Returned::Whole(MESSAGE), ..failed() },
            include_str!("golden/failed-whole.txt"),
        ),
        (
            "failed, for postmaster",
            Written { audience: Audience::Postmaster(&nobody), ..failed() },
            include_str!("golden/failed-postmaster.txt"),
        ),
        (
            "delayed",
            one(Action::Delayed, "4.2.0", "450 4.2.0 Greylisted, come back later"),
            include_str!("golden/delayed.txt"),
        ),
        (
            "delivered",
            Written::of(
                Action::Delivered,
                vec![told("eve@example.org", "2.1.5", None, reply("250 2.1.5 Ok"))],
            ),
            include_str!("golden/delivered.txt"),
        ),
        (
            "relayed",
            one(Action::Relayed, "2.0.0", "250 2.0.0 Ok: queued as 12345"),
            include_str!("golden/relayed.txt"),
        ),
    ];
    for (name, written, expected) in table {
        let found = String::from_utf8(written.write()).unwrap().replace("\r\n", "\n");
        assert_eq!(found, expected, "{name}:\n{found}");
    }
}

#[test]
fn another_parser_reads_it() {
    let whole = Returned::Whole(MESSAGE);
    let table = [(Returned::Header(HEADER), "text/rfc822-headers"), (whole, "message/rfc822")];
    for (returned, third) in table {
        let message = Written { returned, ..Written::of(Action::Failed, failures()) }.write();
        is_wire_form(&message);
        let parsed = MessageParser::default().parse(&message).unwrap();
        let field = |name| parsed.headers().iter().find(|field| field.raw_name() == name).unwrap();
        assert_eq!(field("Auto-Submitted").raw_value().trim_ascii(), b"auto-replied");
        assert_eq!(parsed.to().unwrap().first().unwrap().address(), Some("bob@example.net"));
        assert_eq!(
            parsed.from().unwrap().first().unwrap().address(),
            Some("MAILER-DAEMON@mx.example.org")
        );
        assert_eq!(parsed.message_id(), Some("0abcDEF12345xyzQ@mx.example.org"));
        let kind = parsed.content_type().unwrap();
        assert_eq!((kind.ctype(), kind.subtype()), ("multipart", Some("report")));
        assert_eq!(kind.attribute("report-type"), Some("delivery-status"));
        let kinds: Vec<_> = parsed.parts().skip(1).take(3).map(kind_of).collect();
        assert_eq!(kinds, ["text/plain", "message/delivery-status", third]);

        let status = String::from_utf8(parsed.parts().nth(2).unwrap().raw_body().to_vec()).unwrap();
        let groups: Vec<_> = status.trim_end().split("\r\n\r\n").collect();
        assert_eq!(groups.len(), 4, "{status}");
        let fields = |group: &str| {
            let group = group.replace("\r\n ", " ");
            let fields = group.split("\r\n").map(|field| field.split_once(": ").unwrap());
            fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<Vec<_>>()
        };
        let names = |group| fields(group).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(groups[0]), ["Reporting-MTA", "X-Posthorn-Queue-ID", "Arrival-Date"]);
        let expected = [
            "Original-Recipient",
            "Final-Recipient",
            "Action",
            "Status",
            "Remote-MTA",
            "Diagnostic-Code",
            "Last-Attempt-Date",
        ];
        assert_eq!(names(groups[1]), expected);
        assert!(fields(groups[3]).contains(&("Status".to_owned(), "4.4.7".to_owned())));
    }
}

fn kind_of(part: mail_parser::MessagePart<'_>) -> String {
    let kind = part.content_type().unwrap();
    format!("{}/{}", kind.ctype(), kind.subtype().unwrap())
}

fn is_wire_form(message: &[u8]) {
    let text = String::from_utf8_lossy(message).into_owned();
    assert!(text.ends_with("\r\n"));
    for line in message.split_inclusive(|&octet| octet == b'\n') {
        let line = line.strip_suffix(b"\r\n").expect("ends in CRLF");
        let masked = !line.iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0));
        assert!(masked, "{:?}", String::from_utf8_lossy(line));
        assert!(
            line.len() <= LINE,
            "{} octets: {:.50?}",
            line.len(),
            String::from_utf8_lossy(line)
        );
    }
}

#[test]
fn words_of_a_peer_cannot_become_header_fields() {
    let nasty = "550 no\r\nBcc: <victim@example.org>\r\n\r\n--=_0abcDEF12345xyzQ\0\u{85}x";
    let ann = told("ann@example.org", "5.1.1\r\nBcc: x", Some("a\r\nb: c"), reply(nasty));
    let ann = Told { original: Some(nasty.to_owned()), ..ann };
    let written = Written { envid: Some(nasty), ..Written::of(Action::Failed, vec![ann]) };
    let message = written.write();
    is_wire_form(&message);
    let text = String::from_utf8_lossy(&message).into_owned();
    assert!(!text.contains("\r\nBcc:") && !text.contains("\r\nb: c"), "{text}");
    assert!(text.contains("\r\nStatus: 5.0.0\r\n"), "{text}");
    assert_eq!(MessageParser::default().parse(&message).unwrap().parts().len(), 4);
}

#[test]
fn lines_stay_within_the_limit_and_eight_bits_are_declared() {
    let long = "x".repeat(100_000);
    let header = [b"Subject: ".as_slice(), long.as_bytes(), b"\r\nX: \xe4\0\r\n\r\n"].concat();
    let failures = vec![
        told("ann@example.org", "5.0.0", Some(&long), reply(&long)),
        told("jörg@example.org", "5.0.0", None, ours("ä ö")),
        told(&format!("\"é{}\"@example.org", "+".repeat(240)), "5.0.0", None, ours("")),
    ];
    let header = &header[header.len() - 50_000..];
    let returned = Returned::Header(header);
    let message = Written { returned, ..Written::of(Action::Failed, failures) }.write();
    is_wire_form(&message);
    let text = String::from_utf8_lossy(&message).into_owned();
    assert!(text.contains("Content-Transfer-Encoding: 8bit"));
    assert!(text.contains("Final-Recipient: utf-8; j\\x{F6}rg@example.org"));
    assert!(text.contains("Diagnostic-Code: x-posthorn; ? ?"));
}

#[test]
fn what_comes_back_is_bounded_and_right() {
    let long = [b"A: ".as_slice(), &b"x".repeat(LINE), b"\r\n\r\nbody\r\n"].concat();
    let many = b"Subject: again and again\r\n".repeat(10_000);
    let table: [(&str, Returned<'_>, &str, usize); 8] = [
        ("whole", Returned::Whole(MESSAGE), "message/rfc822", MESSAGE.len()),
        ("8-bit", Returned::Whole(b"A: 1\r\n\r\n\xe4\r\n"), "message/rfc822", 11),
        ("no body", Returned::Whole(b"A: 1\r\n"), "message/rfc822", 6),
        ("long lines", Returned::Whole(&long), "text/rfc822-headers", LINE + 5 + 3),
        ("bare LF", Returned::Whole(b"A: 1\r\n\r\na\nb\r\n"), "text/rfc822-headers", 6),
        ("NUL", Returned::Whole(b"A: 1\r\n\r\n\0\r\n"), "text/rfc822-headers", 6),
        ("much", Returned::Header(&many), "text/rfc822-headers", (64 << 10) / 26 * 26),
        ("none", Returned::Whole(b"\r\n\0\r\n\r\n"), "text/rfc822-headers", 0),
    ];
    for (name, returned, kind, length) in table {
        let (found, content) = original::write(returned);
        assert_eq!((found, content.len()), (kind, length), "{name}");
    }
}

#[test]
fn only_a_name_is_answered() {
    let table = [
        ("Message-ID: <a@b>\r\n", Some("<a@b>")),
        ("A: 1\r\nmessage-id:\r\n <a@b>\r\n", Some("<a@b>")),
        ("Message-ID: a@b\r\n", None),
        ("Message-ID: <a b@c>\r\n", None),
        ("Message-ID: <a@b> <c@d>\r\n", None),
        ("Message-ID: <>\r\n", None),
        ("Message-ID: <\u{e4}@b>\r\n", None),
        ("A: 1\r\n\r\nMessage-ID: <a@b>\r\n", None),
        ("", None),
    ];
    for (header, expected) in table {
        let found = original::message_id(Returned::Whole(header.as_bytes()));
        assert_eq!(found.as_deref(), expected, "{header:?}");
    }
    let long = format!("Message-ID: <{}>\r\n", "x".repeat(LINE));
    assert_eq!(original::message_id(Returned::Header(long.as_bytes())), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_others_say_it_is_one_message(
        local in "\\PC{1,60}",
        words in "(?s).{0,3000}",
        remote in proptest::option::of("(?s).{0,100}"),
        original in proptest::option::of("(?s).{0,600}"),
        envid in proptest::option::of("(?s).{0,1200}"),
        status in "[245]\\.[0-9]{0,4}\\.[0-9]|(?s).{0,10}",
        header in proptest::collection::vec(any::<u8>(), 0..3000),
        choice in 0usize..8,
    ) {
        let recipient = Address::new(&local, "example.org".parse().unwrap());
        prop_assume!(recipient.is_ok());
        let words = if choice % 2 == 0 { Words::Reply(words) } else { Words::Ours(words) };
        let ann = Told { recipient: recipient.unwrap(), original, status, remote_mta: remote, words };
        let actions = [Action::Failed, Action::Delayed, Action::Delivered, Action::Relayed];
        let returned =
            if choice < 4 { Returned::Header(&header) } else { Returned::Whole(&header) };
        let written = Written {
            envid: envid.as_deref(),
            returned,
            ..Written::of(actions[choice % 4], vec![ann])
        };
        let message = written.write();
        is_wire_form(&message);
        let parsed = MessageParser::default().parse(&message).unwrap();
        prop_assert!(parsed.parts().len() >= 4);
        let status = parsed.parts().nth(2).unwrap().raw_body();
        prop_assert!(status.is_ascii());
        let status = String::from_utf8_lossy(status).into_owned();
        prop_assert_eq!(status.trim_end().split("\r\n\r\n").count(), 2);
        for line in status.trim_end().split("\r\n").filter(|line| !line.is_empty()) {
            let is_field = line.starts_with([' ', 'O', 'R', 'X', 'A', 'F', 'S', 'D', 'L', 'W']);
            prop_assert!(is_field && (line.starts_with(' ') || line.contains(": ")), "{}", line);
        }
    }
}
