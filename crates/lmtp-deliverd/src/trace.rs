//! What is put on top of a message that goes into a mailbox (RFC 5321, 4.4).

use mail_proto::address::{Address, Domain, ReversePath};
use mail_proto::smtp::Client;

/// The fields of one delivery.
#[derive(Debug)]
pub struct Trace<'a> {
    /// Who handed the message over.
    pub client: &'a Client,
    /// Where bounces go.
    pub sender: &'a ReversePath,
    /// Who gets it.
    pub recipient: &'a Address,
    /// Our name.
    pub hostname: &'a Domain,
    /// The message's id.
    pub id: &'a str,
    /// Now, as RFC 5322 writes it.
    pub date: &'a str,
}

impl Trace<'_> {
    /// The fields in wire form.
    #[must_use]
    pub fn fields(&self) -> String {
        let Self { sender, recipient, hostname, id, date, .. } = self;
        let from = self.from();
        // RFC 3848.
        let with = if self.client.tls.is_some() { "LMTPS" } else { "LMTP" };
        format!(
            "Return-Path: {sender}\r\n\
             Delivered-To: {recipient}\r\n\
             Received: from {from}\r\n\
             \tby {hostname} (Posthorn) with {with}\r\n\
             \tid {id} for <{recipient}>;\r\n\
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

    fn fields(hello: &str, tls: bool) -> String {
        let secured = mail_proto::Secured { version: "TLSv1.3".into(), cipher: "X".into() };
        let client = Client {
            hello: hello.to_owned(),
            extended: true,
            tls: tls.then_some(secured),
            username: None,
        };
        let trace = Trace {
            client: &client,
            sender: &ReversePath(None),
            recipient: &"\"a b\"@example.org".parse().expect("is an address"),
            hostname: &"mx.example.org".parse().expect("is a name"),
            id: "0ABC",
            date: "Sun, 22 Nov 2026 15:47:16 +0100",
        };
        trace.fields()
    }

    #[test]
    fn fields_say_who_when_and_for_whom() {
        assert_eq!(
            fields("mtad", false),
            "Return-Path: <>\r\nDelivered-To: \"a b\"@example.org\r\n\
             Received: from mtad\r\n\tby mx.example.org (Posthorn) with LMTP\r\n\
             \tid 0ABC for <\"a b\"@example.org>;\r\n\tSun, 22 Nov 2026 15:47:16 +0100\r\n"
        );
        assert!(fields("[192.0.2.1]", true).contains("from [192.0.2.1]\r\n"));
        assert!(fields("mtad", true).contains(" with LMTPS\r\n"));
        for forged in ["", "a b", "a;b", "x\r\nSubject:", "(x"] {
            assert!(fields(forged, false).contains("Received: from unknown\r\n"), "{forged:?}");
        }
    }
}
