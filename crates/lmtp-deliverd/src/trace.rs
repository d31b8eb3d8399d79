//! What is put on top of a message that goes into a mailbox (RFC 5321, 4.4).

use mail_proto::address::{Address, Domain, ReversePath};
use mail_proto::smtp::Client;

/// The fields of one delivery.
#[derive(Debug)]
pub(crate) struct Trace<'a> {
    /// Who handed the message over.
    pub(crate) client: &'a Client,
    /// Where bounces go.
    pub(crate) sender: &'a ReversePath,
    /// Who gets it, if nobody else does.
    pub(crate) recipient: Option<&'a Address>,
    /// Our name.
    pub(crate) hostname: &'a Domain,
    /// The message's id.
    pub(crate) id: &'a str,
    /// Now, as RFC 5322 writes it.
    pub(crate) date: &'a str,
}

impl Trace<'_> {
    /// The fields in wire form.
    #[must_use]
    pub(crate) fn fields(&self) -> String {
        let Self { sender, hostname, id, date, .. } = self;
        let (delivered_to, receiver) = match self.recipient {
            Some(to) => (format!("Delivered-To: {to}\r\n"), format!(" for <{to}>")),
            None => Default::default(),
        };
        let from = self.from();
        // RFC 3848.
        let with = if self.client.tls.is_some() { "LMTPS" } else { "LMTP" };
        format!(
            "Return-Path: {sender}\r\n\
             {delivered_to}\
             Received: from {from}\r\n\
             \tby {hostname} (Posthorn) with {with}\r\n\
             \tid {id}{receiver};\r\n\
             \t{date}\r\n"
        )
    }

    /// What the peer called itself, where that can stand in a field.
    fn from(&self) -> &str {
        let name = self.client.hello.as_str();
        let plain = |c: char| !c.is_control() && !c.is_whitespace() && !"();<>\"\\".contains(c);
        if !name.is_empty() && name.chars().all(plain) { name } else { "unknown" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(hello: &str, tls: bool, to: Option<&str>) -> String {
        let secured = mail_proto::Secured { version: "TLSv1.3".into(), cipher: "X".into() };
        let client = Client {
            hello: hello.to_owned(),
            extended: true,
            tls: tls.then_some(secured),
            username: None,
        };
        let to = to.map(|to| to.parse().expect("is an address"));
        let trace = Trace {
            client: &client,
            sender: &ReversePath(None),
            recipient: to.as_ref(),
            hostname: &"mx.example.org".parse().expect("is a name"),
            id: "0ABC",
            date: "Sun, 22 Nov 2026 15:47:16 +0100",
        };
        trace.fields()
    }

    #[test]
    fn fields_say_who_when_and_for_whom() {
        let to = Some("\"a b\"@example.org");
        assert_eq!(
            fields("mtad", false, to),
            "Return-Path: <>\r\nDelivered-To: \"a b\"@example.org\r\n\
             Received: from mtad\r\n\tby mx.example.org (Posthorn) with LMTP\r\n\
             \tid 0ABC for <\"a b\"@example.org>;\r\n\tSun, 22 Nov 2026 15:47:16 +0100\r\n"
        );
        assert_eq!(
            fields("mtad", false, None),
            "Return-Path: <>\r\nReceived: from mtad\r\n\
             \tby mx.example.org (Posthorn) with LMTP\r\n\
             \tid 0ABC;\r\n\tSun, 22 Nov 2026 15:47:16 +0100\r\n"
        );
        assert!(fields("[192.0.2.1]", true, to).contains("from [192.0.2.1]\r\n"));
        assert!(fields("mtad", true, to).contains(" with LMTPS\r\n"));
        for forged in ["", "a b", "a;b", "x\r\nSubject:", "(x"] {
            assert!(fields(forged, false, to).contains("Received: from unknown\r\n"), "{forged:?}");
        }
    }
}
