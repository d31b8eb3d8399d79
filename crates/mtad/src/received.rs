//! The `Received` field that we put in front of a message (RFC 5321, 4.4), and how many of them
//! a message has already.

use std::fmt::Write as _;
use std::net::IpAddr;

use mail_common::log::Id;
use mail_proto::address::Domain;
use mail_proto::smtp::{Client, Recipient};

/// What a `Received` field tells.
#[derive(Debug)]
pub(crate) struct Trace<'a> {
    /// Who spoke.
    pub(crate) client: &'a Client,
    /// From where, over TCP.
    pub(crate) peer: Option<IpAddr>,
    /// As whom, over a Unix socket.
    pub(crate) uid: Option<u32>,
    /// Our name.
    pub(crate) hostname: &'a Domain,
    /// The message's id.
    pub(crate) id: &'a Id,
    /// For whom it is; named only where there is one, so that nobody learns of Bcc recipients.
    pub(crate) recipients: &'a [Recipient],
    /// Now (RFC 5322, 3.3).
    pub(crate) date: &'a str,
}

impl Trace<'_> {
    /// The field, in wire form.
    pub(crate) fn field(&self) -> String {
        let mut field = "Received: ".to_owned();
        if let Some(peer) = self.peer {
            let _ = write!(field, "from {} ({})\r\n\t", word(&self.client.hello), literal(peer));
        }
        if let Some(tls) = &self.client.tls {
            let (version, cipher) = (word(&tls.version), word(&tls.cipher));
            let _ = write!(field, "(using {version} with cipher {cipher})\r\n\t");
        }
        let by = match self.uid {
            Some(uid) => format!("Posthorn, from userid {uid}"),
            None => "Posthorn".to_owned(),
        };
        let protocol = self.protocol();
        let _ = write!(field, "by {} ({by}) with {protocol} id {}", self.hostname, self.id);
        if let [only] = self.recipients {
            let _ = write!(field, "\r\n\tfor <{}>", only.address);
        }
        let _ = write!(field, "; {}\r\n", self.date);
        field
    }

    /// RFC 3848.
    fn protocol(&self) -> &'static str {
        match (self.client.extended, &self.client.tls, &self.client.username) {
            (false, _, _) => "SMTP",
            (true, None, None) => "ESMTP",
            (true, None, Some(_)) => "ESMTPA",
            (true, Some(_), None) => "ESMTPS",
            (true, Some(_), Some(_)) => "ESMTPSA",
        }
    }
}

/// What a peer called itself, without anything that means something in a header field.
pub(crate) fn word(text: &str) -> String {
    let safe = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '[' | ']' | ':');
    let word: String = text.chars().take(255).map(|c| if safe(c) { c } else { '?' }).collect();
    if word.is_empty() { "unknown".to_owned() } else { word }
}

fn literal(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("[{address}]"),
        IpAddr::V6(address) => format!("[IPv6:{address}]"),
    }
}

/// Counts the `Received` fields of a header that streams by.
#[derive(Debug, Default)]
pub(crate) struct Hops {
    count: usize,
    seen: usize,
    /// The beginning of the line, lower case; no longer than it takes to know it.
    line: Vec<u8>,
    place: Place,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    Header,
    Body,
}

const NAME: &[u8] = b"received:";

impl Hops {
    /// Looks at the next bytes, as far as the header's first `limit` octets go. Returns the
    /// fields counted so far.
    pub(crate) fn count(&mut self, bytes: &[u8], limit: usize) -> usize {
        for &byte in bytes {
            if self.place == Place::Body {
                break;
            }
            self.byte(byte);
            self.seen += 1;
            if self.seen >= limit {
                self.place = Place::Body;
            }
        }
        self.count
    }

    fn byte(&mut self, byte: u8) {
        if byte == b'\n' {
            if self.line == b"\r" {
                self.place = Place::Body;
            }
            return self.line.clear();
        }
        if self.line.len() < NAME.len() {
            self.line.push(byte.to_ascii_lowercase());
            if self.line == NAME {
                self.count += 1;
            }
        }
    }
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use mail_proto::Secured;

    use super::*;

    fn recipients(addresses: &[&str]) -> Vec<Recipient> {
        addresses.iter().map(|text| Recipient::new(text.parse().unwrap())).collect()
    }

    fn client(extended: bool, tls: bool, username: bool) -> Client {
        Client {
            hello: "client.example.net".into(),
            extended,
            tls: tls.then(|| Secured { version: "TLSv1.3".into(), cipher: "TLS_X".into() }),
            username: username.then(|| "ann@example.org".into()),
        }
    }

    #[test]
    fn fields() {
        let id = Id::new();
        let peer = Some("192.0.2.1".parse().unwrap());
        let one = recipients(&["ann@example.org"]);
        let two = recipients(&["ann@example.org", "bob@example.org"]);
        let field = |client: &Client, peer, uid, recipients: &[Recipient]| {
            let hostname = &"mx.example.org".parse().unwrap();
            let date = "Sun, 22 Nov 2026 15:47:16 +0100";
            let trace = Trace { client, peer, uid, hostname, id: &id, recipients, date };
            trace.field().replace(id.as_str(), "ID")
        };
        assert_eq!(
            field(&client(true, true, true), peer, None, &one),
            "Received: from client.example.net ([192.0.2.1])\r\n\
             \t(using TLSv1.3 with cipher TLS_X)\r\n\
             \tby mx.example.org (Posthorn) with ESMTPSA id ID\r\n\
             \tfor <ann@example.org>; Sun, 22 Nov 2026 15:47:16 +0100\r\n"
        );
        assert_eq!(
            field(&client(true, false, false), Some("::1".parse().unwrap()), None, &two),
            "Received: from client.example.net ([IPv6:::1])\r\n\
             \tby mx.example.org (Posthorn) with ESMTP id ID; Sun, 22 Nov 2026 15:47:16 +0100\r\n"
        );
        assert_eq!(
            field(&client(true, false, false), None, Some(1000), &two),
            "Received: by mx.example.org (Posthorn, from userid 1000) with ESMTP id ID; \
             Sun, 22 Nov 2026 15:47:16 +0100\r\n"
        );
        let nasty = Client { hello: "x\r\nBcc: a (b) ;".into(), ..client(false, false, false) };
        assert!(field(&nasty, peer, None, &two).starts_with(
            "Received: from x??Bcc:?a??b??? ([192.0.2.1])\r\n\tby mx.example.org (Posthorn) with SMTP id"
        ));
    }

    #[test]
    fn hops_are_counted_in_the_header_alone() {
        let table: [(&[u8], usize); 7] = [
            (b"", 0),
            (b"Received: a\r\n\tb\r\nRECEIVED:c\r\nX: Received: d\r\n\r\nReceived: e\r\n", 2),
            (b"\r\nReceived: a\r\n", 0),
            (b"X: y\r\n Received: a\r\n", 0),
            (b"Received-SPF: pass\r\n", 0),
            (b"Received: a\r\n\r\n", 1),
            (b"Received: a", 1),
        ];
        for (text, expected) in table {
            for piece in [1, 7, usize::MAX] {
                let mut hops = Hops::default();
                for bytes in text.chunks(piece) {
                    hops.count(bytes, 1000);
                }
                assert_eq!(hops.count, expected, "{text:?} in pieces of {piece}");
            }
        }
        assert_eq!(Hops::default().count(b"Received: a\r\nReceived: b\r\n", 15), 1);
    }
}
