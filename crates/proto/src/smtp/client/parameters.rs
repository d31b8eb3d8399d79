//! What MAIL and RCPT say besides the address.

use std::fmt::Write as _;

use super::hello::Capabilities;
use crate::smtp::{Envelope, Notify, Recipient, Return};

/// The MAIL command for this envelope, with the parameters that the peer knows.
pub(super) fn mail(envelope: &Envelope, offered: Capabilities) -> String {
    let mut line = format!("MAIL FROM:{}", envelope.sender);
    if let (Some(size), true) = (envelope.size, offered.size) {
        let _ = write!(line, " SIZE={size}");
    }
    // Where 8BITMIME is not offered the message goes as it is: every server of today takes
    // it, and the conversion of RFC 6152, 3 would break signatures.
    if envelope.eight_bit && offered.eight_bit {
        line.push_str(" BODY=8BITMIME");
    }
    if let (Some(id), true) = (&envelope.oldest, offered.delivery_ids) {
        let _ = write!(line, " XOLDEST={id}");
    }
    if offered.notifications {
        line.push_str(match envelope.ret {
            Some(Return::Full) => " RET=FULL",
            Some(Return::Headers) => " RET=HDRS",
            None => "",
        });
        if let Some(id) = &envelope.envid {
            line.push_str(" ENVID=");
            xtext(id, &mut line);
        }
    }
    line
}

/// The RCPT command for this recipient, with the parameters that the peer knows.
pub(super) fn recipient(recipient: &Recipient, offered: Capabilities) -> String {
    let mut line = format!("RCPT TO:<{}>", recipient.address);
    if let (Some(id), true) = (&recipient.delivery_id, offered.delivery_ids) {
        let _ = write!(line, " XDELIVERID={id}");
    }
    if !offered.notifications {
        return line;
    }
    if let Some(notify) = recipient.notify {
        line.push_str(" NOTIFY=");
        line.push_str(of_what(notify));
    }
    if let Some((kind, original)) = recipient.original.as_deref().and_then(|o| o.split_once(';')) {
        line.push_str(" ORCPT=");
        xtext(kind, &mut line);
        line.push(';');
        xtext(original, &mut line);
    }
    line
}

/// RFC 3461, 4.1.
fn of_what(notify: Notify) -> &'static str {
    match (notify.success, notify.failure, notify.delay) {
        (false, false, false) => "NEVER",
        (true, false, false) => "SUCCESS",
        (false, true, false) => "FAILURE",
        (false, false, true) => "DELAY",
        (true, true, false) => "SUCCESS,FAILURE",
        (true, false, true) => "SUCCESS,DELAY",
        (false, true, true) => "FAILURE,DELAY",
        (true, true, true) => "SUCCESS,FAILURE,DELAY",
    }
}

/// RFC 3461, 4: what is no printable ASCII, `+` and `=` become `+` and two digits.
fn xtext(text: &str, line: &mut String) {
    for &byte in text.as_bytes() {
        match byte {
            b'+' | b'=' => {}
            b'!'..=b'~' => {
                line.push(char::from(byte));
                continue;
            }
            _ => {}
        }
        let _ = write!(line, "+{byte:02X}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::ReversePath;

    const ALL: Capabilities = Capabilities {
        size: true,
        eight_bit: true,
        delivery_ids: true,
        notifications: true,
        ..Capabilities::NONE
    };

    #[test]
    fn the_peer_is_told_what_it_knows() {
        let full = Envelope {
            size: Some(9),
            eight_bit: true,
            oldest: Some("Q0".to_owned()),
            ret: Some(Return::Headers),
            envid: Some("a+b=c d".to_owned()),
            ..Envelope::new(ReversePath(None))
        };
        let table = [
            (ALL, "MAIL FROM:<> SIZE=9 BODY=8BITMIME XOLDEST=Q0 RET=HDRS ENVID=a+2Bb+3Dc+20d"),
            (
                Capabilities { notifications: true, ..Capabilities::NONE },
                "MAIL FROM:<> RET=HDRS ENVID=a+2Bb+3Dc+20d",
            ),
            (Capabilities { size: true, ..Capabilities::NONE }, "MAIL FROM:<> SIZE=9"),
            (Capabilities::NONE, "MAIL FROM:<>"),
        ];
        for (offered, line) in table {
            assert_eq!(mail(&full, offered), line);
        }
        assert_eq!(mail(&Envelope::new(ReversePath(None)), ALL), "MAIL FROM:<>");
    }

    #[test]
    fn recipients_and_what_their_sender_wants_to_hear() {
        let notify = |success, failure, delay| Some(Notify { success, failure, delay });
        let table = [
            (None, None, ""),
            (notify(false, false, false), None, " NOTIFY=NEVER"),
            (notify(true, true, true), None, " NOTIFY=SUCCESS,FAILURE,DELAY"),
            (notify(false, true, true), None, " NOTIFY=FAILURE,DELAY"),
            (
                notify(true, false, false),
                Some("rfc822;a+b=c@\u{fc}.example"),
                " NOTIFY=SUCCESS ORCPT=rfc822;a+2Bb+3Dc@+C3+BC.example",
            ),
            (None, Some("rfc822;a\r\nDATA"), " ORCPT=rfc822;a+0D+0ADATA"),
            (None, Some("without a type"), ""),
        ];
        for (notify, original, parameters) in table {
            let address = "ann@example.org".parse().unwrap_or_else(|error| panic!("{error}"));
            let original = original.map(str::to_owned);
            let to = Recipient { notify, original, ..Recipient::new(address) };
            assert_eq!(recipient(&to, ALL), format!("RCPT TO:<ann@example.org>{parameters}"));
            assert_eq!(recipient(&to, Capabilities::NONE), "RCPT TO:<ann@example.org>");
            let to = Recipient { delivery_id: Some("Q1.1".to_owned()), ..to };
            let line = format!("RCPT TO:<ann@example.org> XDELIVERID=Q1.1{parameters}");
            assert_eq!(recipient(&to, ALL), line);
            assert_eq!(recipient(&to, Capabilities::NONE), "RCPT TO:<ann@example.org>");
        }
    }
}
