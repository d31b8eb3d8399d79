//! What lines are read as, and what smtp-proto reads in them.

use proptest::prelude::*;

use super::*;
use crate::smtp::Return;
use crate::smtp::server::tests::setup;

fn read(line: &str, dialect: Dialect) -> Result<Command, Reply> {
    parse(line.as_bytes(), &setup(dialect)).map(|(_, command)| command)
}

fn envelope(sender: &str) -> Envelope {
    let sender = ReversePath(sender.parse().ok());
    Envelope::new(sender)
}

fn to(address: &str) -> Command {
    rcpt(ForwardPath::Address(address.parse().expect("is an address")))
}

fn rcpt(path: ForwardPath) -> Command {
    Command::Rcpt { path, notify: None, original: None, delivery_id: None }
}

#[test]
fn commands() {
    let table = [
        ("EHLO a.b", Command::ExtendedHello("a.b".into())),
        ("ehlo  MY_PC ", Command::ExtendedHello("MY_PC".into())),
        ("EHLO [127.0.0.1]", Command::ExtendedHello("[127.0.0.1]".into())),
        ("EHLO [IPv6:::1]", Command::ExtendedHello("[IPv6:::1]".into())),
        ("HELO a (b) <c>\x01é", Command::Hello("a??b???c???".into())),
        ("STARTTLS", Command::StartTls),
        ("AUTH plain", Command::Auth("plain".into(), None)),
        ("AUTH LOGIN  YQ==", Command::Auth("LOGIN".into(), Some("YQ==".into()))),
        ("Data ", Command::Data),
        ("RSET", Command::Rset),
        ("NOOP what ever", Command::Noop),
        ("VRFY ann", Command::Vrfy),
        ("HELP me", Command::Help),
        ("quit", Command::Quit),
        ("MAIL FROM:<>", Command::Mail(envelope(""))),
        ("mail from:<a@b.c>", Command::Mail(envelope("a@b.c"))),
        ("MAIL FROM: < a@b.c >", Command::Mail(envelope("a@b.c"))),
        ("MAIL  FROM:<a@b.c>  ", Command::Mail(envelope("a@b.c"))),
        (
            "MAIL FROM:<a@b.c> size=10 BODY=8bitmime AUTH=<>",
            Command::Mail(Envelope { size: Some(10), eight_bit: true, ..envelope("a@b.c") }),
        ),
        (
            "MAIL FROM:<a@b.c> BODY=7BIT SIZE=99999999999999999999",
            Command::Mail(Envelope { size: Some(u64::MAX), ..envelope("a@b.c") }),
        ),
        ("RCPT TO:<a@b.c>", to("a@b.c")),
        ("rcpt to: <@x.y:a@b.c>", to("a@b.c")),
        ("RCPT TO:<\"a b\"@[192.0.2.1]>", to("\"a b\"@[192.0.2.1]")),
        ("RCPT TO:<pOSTMASTER>", rcpt(ForwardPath::Postmaster)),
        (
            "MAIL FROM:<> envid=QQ+2B1 RET=hdrs",
            Command::Mail(Envelope {
                ret: Some(Return::Headers),
                envid: Some("QQ+1".into()),
                ..envelope("")
            }),
        ),
        (
            "RCPT TO:<postmaster> ORCPT=rfc822;Ann+2Bx@a.b NOTIFY=success,DELAY",
            Command::Rcpt {
                path: ForwardPath::Postmaster,
                notify: Some(Notify { success: true, failure: false, delay: true }),
                original: Some("rfc822;Ann+x@a.b".into()),
                delivery_id: None,
            },
        ),
        ("BDAT 0", Command::Bdat { size: 0, last: false }),
        ("bdat  10  last ", Command::Bdat { size: 10, last: true }),
        ("BDAT 99999999999999999999", Command::Bdat { size: u64::MAX, last: false }),
    ];
    for (line, expected) in table {
        assert_eq!(read(line, Submission), Ok(expected), "{line}");
    }
}

#[test]
fn refusals() {
    let table = [
        ("", Reply::UNKNOWN_COMMAND),
        (" NOOP", Reply::UNKNOWN_COMMAND),
        ("NOOPS", Reply::UNKNOWN_COMMAND),
        ("XCLIENT A=B", Reply::UNKNOWN_COMMAND),
        ("ETRN a.b", Reply::NOT_OFFERED),
        ("EXPN list", Reply::NOT_OFFERED),
        ("LHLO a.b", Reply::SAY_EHLO),
        ("GET / HTTP/1.1", Reply::NOT_SMTP),
        ("User-Agent: x", Reply::NOT_SMTP),
        ("EHLO", Reply::HELLO_SYNTAX),
        ("DATA x", Reply::NO_ARGUMENTS),
        ("STARTTLS x", Reply::NO_ARGUMENTS),
        ("AUTH", Reply::AUTH_SYNTAX),
        ("AUTH PLAIN a b", Reply::AUTH_SYNTAX),
        ("VRFY", Reply::VRFY_SYNTAX),
        ("MAIL", Reply::MAIL_SYNTAX),
        ("MAIL TO:<a@b.c>", Reply::MAIL_SYNTAX),
        ("MAIL FROM <a@b.c>", Reply::MAIL_SYNTAX),
        ("MAIL FROM:a@b.c", Reply::MAIL_SYNTAX),
        ("MAIL FROM:<a@b.c", Reply::MAIL_SYNTAX),
        ("MAIL FROM:<a@b.c>SIZE=1", Reply::MAIL_SYNTAX),
        ("MAIL FROM:<a>", Reply::SENDER_SYNTAX),
        ("MAIL FROM:<a@b@c>", Reply::SENDER_SYNTAX),
        ("MAIL FROM:<ü@b.c>", Reply::NOT_ASCII),
        ("MAIL FROM:<a@b.c> SIZE=", Reply::BAD_PARAMETER),
        ("MAIL FROM:<a@b.c> SIZE", Reply::BAD_PARAMETER),
        ("MAIL FROM:<a@b.c> SIZE=-1", Reply::BAD_PARAMETER),
        ("MAIL FROM:<a@b.c> SIZE=999999999999999999999", Reply::BAD_PARAMETER),
        ("MAIL FROM:<a@b.c> BODY=BINARYMIME", Reply::BAD_PARAMETER),
        ("MAIL FROM:<a@b.c> AUTH=", Reply::BAD_PARAMETER),
        ("MAIL FROM:<a@b.c> SMTPUTF8", Reply::UNKNOWN_PARAMETER),
        ("MAIL FROM:<a@b.c> RET=BODY", Reply::BAD_PARAMETER),
        ("MAIL FROM:<a@b.c> RET", Reply::BAD_PARAMETER),
        ("MAIL FROM:<a@b.c> RET=FULL RET=FULL", Reply::BAD_PARAMETER),
        ("MAIL FROM:<a@b.c> ENVID=", Reply::BAD_PARAMETER),
        ("MAIL FROM:<a@b.c> ENVID=a+0D+0Ab", Reply::BAD_PARAMETER),
        ("MAIL FROM:<a@b.c> ENVID=a ENVID=a", Reply::BAD_PARAMETER),
        ("MAIL FROM:<a@b.c> NOTIFY=NEVER", Reply::UNKNOWN_PARAMETER),
        ("MAIL FROM:<a@b.c> XOLDEST=1", Reply::UNKNOWN_PARAMETER),
        ("RCPT FROM:<a@b.c>", Reply::RCPT_SYNTAX),
        ("RCPT TO:<>", Reply::RECIPIENT_SYNTAX),
        ("RCPT TO:<root>", Reply::RECIPIENT_SYNTAX),
        ("RCPT TO:<\"\"@b.c>", Reply::RECIPIENT_SYNTAX),
        ("RCPT TO:<a@bücher.example>", Reply::NOT_ASCII),
        ("RCPT TO:<a@b.c> NOTIFY", Reply::BAD_PARAMETER),
        ("RCPT TO:<a@b.c> NOTIFY=NEVER,SUCCESS", Reply::BAD_PARAMETER),
        ("RCPT TO:<a@b.c> NOTIFY=DELAY NOTIFY=DELAY", Reply::BAD_PARAMETER),
        ("RCPT TO:<a@b.c> ORCPT=a@b.c", Reply::BAD_PARAMETER),
        ("RCPT TO:<a@b.c> ORCPT=rfc822;a ORCPT=rfc822;a", Reply::BAD_PARAMETER),
        ("RCPT TO:<a@b.c> RET=FULL", Reply::UNKNOWN_PARAMETER),
        ("RCPT TO:<a@b.c> XDELIVERID=1", Reply::UNKNOWN_PARAMETER),
        ("RCPT TO:<a@b.c>NOTIFY=NEVER", Reply::RCPT_SYNTAX),
        ("BDAT", Reply::BDAT_SYNTAX),
        ("BDAT\t10", Reply::BDAT_SYNTAX),
        ("bdat10 LAST", Reply::BDAT_SYNTAX),
        ("BDAT LAST", Reply::BDAT_SYNTAX),
        ("BDAT -1", Reply::BDAT_SYNTAX),
        ("BDAT +1", Reply::BDAT_SYNTAX),
        ("BDAT 0x10", Reply::BDAT_SYNTAX),
        ("BDAT 10 FIRST", Reply::BDAT_SYNTAX),
        ("BDAT 10 LAST LAST", Reply::BDAT_SYNTAX),
        ("BDAT 100000000000000000000", Reply::BDAT_SYNTAX),
    ];
    for (line, expected) in table {
        assert_eq!(read(line, Submission), Err(expected), "{line}");
    }
    let latin1 = parse(b"RCPT TO:<\xfc@b.c>", &setup(Smtp)).map(|(_, command)| command);
    assert_eq!(latin1, Err(Reply::NOT_ASCII));
}

#[test]
fn each_dialect_has_its_own() {
    let table = [
        (Lmtp, "EHLO a", Err(Reply::SAY_LHLO)),
        (Lmtp, "HELO a", Err(Reply::SAY_LHLO)),
        (Lmtp, "LHLO a", Ok(Command::ExtendedHello("a".into()))),
        (Lmtp, "AUTH PLAIN", Err(Reply::NOT_OFFERED)),
        (Smtp, "AUTH PLAIN", Err(Reply::NOT_OFFERED)),
        (Smtp, "MAIL FROM:<a@b.c> AUTH=<>", Err(Reply::UNKNOWN_PARAMETER)),
        (Inject, "AUTH PLAIN", Err(Reply::NOT_OFFERED)),
        (Inject, "STARTTLS", Err(Reply::NOT_OFFERED)),
        (
            Lmtp,
            "MAIL FROM:<> XOLDEST=0abb",
            Ok(Command::Mail(Envelope { oldest: Some("0abb".into()), ..envelope("") })),
        ),
        (
            Lmtp,
            "RCPT TO:<Postmaster> XDELIVERID=0abcZ.1",
            Ok(Command::Rcpt {
                path: ForwardPath::Postmaster,
                notify: None,
                original: None,
                delivery_id: Some("0abcZ.1".into()),
            }),
        ),
        (Lmtp, "MAIL FROM:<> XOLDEST=1 XOLDEST=1", Err(Reply::BAD_PARAMETER)),
        (Lmtp, "MAIL FROM:<> XOLDEST=a_b", Err(Reply::BAD_PARAMETER)),
        (Lmtp, "MAIL FROM:<> XDELIVERID=1", Err(Reply::UNKNOWN_PARAMETER)),
        (Lmtp, "RCPT TO:<a@b.c> XDELIVERID=1 XDELIVERID=1", Err(Reply::BAD_PARAMETER)),
        (Lmtp, "RCPT TO:<a@b.c> XDELIVERID=a_b", Err(Reply::BAD_PARAMETER)),
        (Lmtp, "RCPT TO:<a@b.c> XDELIVERID", Err(Reply::BAD_PARAMETER)),
    ];
    for (dialect, line, expected) in table {
        assert_eq!(read(line, dialect), expected, "{dialect:?}: {line}");
    }
}

/// What smtp-proto makes of a line, in our terms, where it is right.
fn oracle(line: &str) -> Option<Command> {
    use smtp_proto::{MAIL_BODY_8BITMIME, Request};
    let line = format!("{line}\r\n");
    Some(match Request::parse(&mut line.as_bytes().iter()).ok()? {
        Request::Ehlo { host } => Command::ExtendedHello(host.into()),
        Request::Helo { host } => Command::Hello(host.into()),
        Request::StartTls => Command::StartTls,
        Request::Data => Command::Data,
        Request::Rset => Command::Rset,
        Request::Noop { .. } => Command::Noop,
        Request::Vrfy { .. } => Command::Vrfy,
        Request::Help { .. } => Command::Help,
        Request::Quit => Command::Quit,
        Request::Mail { from } => Command::Mail(Envelope {
            size: (from.size > 0).then_some(from.size as u64),
            eight_bit: from.flags & MAIL_BODY_8BITMIME != 0,
            ..envelope(&from.address)
        }),
        Request::Rcpt { to } => rcpt(ForwardPath::Address(to.address.parse().ok()?)),
        Request::Bdat { chunk_size, is_last } => {
            Command::Bdat { size: chunk_size as u64, last: is_last }
        }
        _ => return None,
    })
}

proptest! {
    #[test]
    fn smtp_proto_reads_the_same(
        word in "(BDAT [0-9]{1,9}( LAST)?|DATA|RSET|QUIT|STARTTLS|NOOP|HELP|VRFY x|(EHLO|HELO) [a-z0-9.-]{1,20})",
        // Up to a length that both allow.
        local in "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]{1,8}(\\.[a-z0-9]{1,8}){0,3}",
        domain in "[a-z0-9]{1,8}(\\.[a-z0-9]{2,8}){1,3}",
        size in 1_u32..,
        body in "(7BIT|8BITMIME)",
        lower in any::<bool>(),
    ) {
        let mail = format!("MAIL FROM:<{local}@{domain}> SIZE={size} BODY={body}");
        let rcpt = format!("RCPT TO:<{local}@{domain}>");
        for line in [word, mail, rcpt, "MAIL FROM:<>".to_owned()] {
            let line = if lower { line.to_ascii_lowercase() } else { line };
            prop_assert_eq!(read(&line, Submission).ok(), oracle(&line), "{}", line);
        }
    }

    #[test]
    fn no_line_panics(line in prop::collection::vec(any::<u8>(), 0..60)) {
        for start in ["", "MAIL FROM:<", "RCPT TO:<", "MAIL FROM:<a@b.c> ENVID=", "RCPT TO:<a@b.c> ORCPT=", "BDAT ", "EHLO ", "AUTH "] {
            let line = [start.as_bytes(), &line].concat();
            for dialect in ALL {
                let _ = parse(&line, &setup(dialect));
            }
        }
    }
}
