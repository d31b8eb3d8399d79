//! A message as it was taken.

use mail_common::log::Id;
use mail_proto::address::ReversePath;
use mail_proto::smtp::{Notify, Recipient, Return};
use serde::{Deserialize, Serialize};

use crate::text::{self, BadText};

/// A message as it was taken, without its body: never changes, unless an admin changes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Its id, over all daemons.
    pub id: Id,
    /// When it was taken, in microseconds since 1970.
    pub arrived: u64,
    /// Where notifications go.
    pub sender: ReversePath,
    /// Who shall get it, and of what its sender wants to hear.
    pub recipients: Vec<Recipient>,
    /// Whether it may hold octets above 127.
    pub eight_bit: bool,
    /// RET (RFC 3461, 4.3).
    pub ret: Option<Return>,
    /// ENVID (RFC 3461, 4.4), decoded.
    pub envid: Option<String>,
    /// Why it is held from the beginning.
    pub hold: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    arrived: u64,
    /// Empty: nobody.
    sender: String,
    recipients: Vec<StoredRecipient>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    eight_bit: bool,
    /// Whether RET=FULL was said, or RET=HDRS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    full: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    envid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hold: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredRecipient {
    to: String,
    /// The letters of SUCCESS, FAILURE and DELAY; empty: NEVER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    notify: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    original: Option<String>,
}

impl Letter {
    /// One of which its client said no more.
    #[must_use]
    pub fn new(id: Id, arrived: u64, sender: ReversePath, recipients: Vec<Recipient>) -> Self {
        let (eight_bit, ret, envid, hold) = (false, None, None, None);
        Self { id, arrived, sender, recipients, eight_bit, ret, envid, hold }
    }

    /// As a record's text has it. The id stands in the record's header.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let stored = Stored {
            arrived: self.arrived,
            sender: self.sender.0.as_ref().map(ToString::to_string).unwrap_or_default(),
            recipients: self.recipients.iter().map(store).collect(),
            eight_bit: self.eight_bit,
            full: self.ret.map(|ret| ret == Return::Full),
            envid: self.envid.clone(),
            hold: self.hold.clone(),
        };
        text::encode(&stored)
    }

    /// Reads a record's text.
    ///
    /// # Errors
    /// It is not what [`encode`](Self::encode) writes.
    pub fn decode(id: Id, text: &[u8]) -> Result<Self, BadText> {
        let stored: Stored = text::decode(text)?;
        let sender = match stored.sender.as_str() {
            "" => None,
            address => Some(address.parse().map_err(|error| BadText::new(&error))?),
        };
        Ok(Self {
            id,
            arrived: stored.arrived,
            sender: ReversePath(sender),
            recipients: stored.recipients.into_iter().map(restore).collect::<Result<_, _>>()?,
            eight_bit: stored.eight_bit,
            ret: stored.full.map(|full| if full { Return::Full } else { Return::Headers }),
            envid: stored.envid,
            hold: stored.hold,
        })
    }
}

fn store(recipient: &Recipient) -> StoredRecipient {
    let letters = |notify: Notify| {
        let wanted = [('S', notify.success), ('F', notify.failure), ('D', notify.delay)];
        wanted.into_iter().filter_map(|(letter, wanted)| wanted.then_some(letter)).collect()
    };
    StoredRecipient {
        to: recipient.address.to_string(),
        notify: recipient.notify.map(letters),
        original: recipient.original.clone(),
    }
}

fn restore(stored: StoredRecipient) -> Result<Recipient, BadText> {
    let notify = |letters: String| Notify {
        success: letters.contains('S'),
        failure: letters.contains('F'),
        delay: letters.contains('D'),
    };
    Ok(Recipient {
        notify: stored.notify.map(notify),
        original: stored.original,
        ..Recipient::new(stored.to.parse().map_err(|error| BadText::new(&error))?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_go_through_text() {
        let to = |address: &str| Recipient::new(address.parse().expect("is an address"));
        let notify = |success, failure, delay| Some(Notify { success, failure, delay });
        let id = Id::parse("0abc").expect("is an id");
        let recipients = vec![to("ann@example.org")];
        let plain = Letter::new(id, 1_795_363_200_000_000, ReversePath(None), recipients);
        let full = Letter {
            sender: ReversePath(Some("\"b b\"@example.net".parse().expect("is an address"))),
            recipients: vec![
                Recipient { notify: notify(false, false, false), ..to("a@example.org") },
                Recipient { notify: notify(true, false, true), ..to("b@example.org") },
                Recipient { original: Some("rfc822;c+d@x".into()), ..to("c@example.org") },
            ],
            eight_bit: true,
            ret: Some(Return::Headers),
            envid: Some("<x> y".into()),
            hold: Some("mtad.hold.0".into()),
            ..plain.clone()
        };
        for letter in [plain, full] {
            assert_eq!(Letter::decode(id, &letter.encode()).expect("it was written"), letter);
        }
        for text in ["", "{}", r#"{"arrived":1,"sender":"x","recipients":[]}"#] {
            assert!(Letter::decode(id, text.as_bytes()).is_err(), "{text}");
        }
    }
}
