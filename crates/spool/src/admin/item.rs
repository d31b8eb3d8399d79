//! A message as an admin sees it: the JSON that `--json` shows, `export` writes and `import` takes.
//!
//! Times are seconds since 1970. The names of fields are promised.

use mail_common::log::Id;
use mail_proto::address::ReversePath;
use mail_proto::smtp::{Notify, Recipient, Return};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Outage, Standing};
use crate::row::{self, Row};
use crate::{Letter, Progress, State};

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its id.
    pub id: String,
    /// How it stands.
    pub standing: Standing,
    /// When it was taken.
    pub arrived: u64,
    /// Octets, with our `Received` field.
    pub size: u64,
    /// Where notifications go; empty: nowhere.
    pub sender: String,
    /// Who shall get it.
    pub recipients: Vec<To>,
    /// Attempts that ended with a peer's word.
    #[serde(default)]
    pub attempts: u32,
    /// Attempts since then that found nobody to talk to.
    #[serde(default)]
    pub outages: u32,
    /// When it is tried next, unless it is held.
    #[serde(default)]
    pub due: u64,
    /// Why it is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<String>,
    /// Why an admin gave it up: at its next attempt it goes back to its sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<String>,
    /// Whether its sender was told that it takes longer than usual.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub delay_told: bool,
    /// Whether it may hold octets above 127.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub eight_bit: bool,
    /// RET (RFC 3461, 4.3): `full` or `headers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ret: Option<Ret>,
    /// ENVID (RFC 3461, 4.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envid: Option<String>,
    /// Whether it is being delivered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub under_way: bool,
    /// Why it is not tried when it is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outage: Option<Outage>,
    /// Where the letter is stored, below the spool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<String>,
}

/// A recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct To {
    /// The address.
    pub address: String,
    /// What became of it.
    pub state: Became,
    /// Why it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// NOTIFY (RFC 3461, 4.1): of what the sender wants to hear; an empty list is NEVER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<Vec<Event>>,
    /// ORCPT (RFC 3461, 4.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<String>,
}

/// What became of a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Became {
    /// It is tried, or tried again.
    Waiting,
    /// Somebody else has the message for it.
    Delivered,
    /// Given up.
    Failed,
}

/// How much comes back with a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ret {
    /// All.
    Full,
    /// The header.
    Headers,
}

/// Of what a sender wants to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// It arrived.
    Success,
    /// It will not.
    Failure,
    /// It takes longer.
    Delay,
}

/// What was to be imported is no message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is no {1}")]
pub(crate) struct BadItem(String, &'static str);

impl Item {
    /// A message of `size` octets; `row` says where it is.
    pub(crate) fn new(letter: &Letter, progress: &Progress, size: u64, row: Option<&Row>) -> Self {
        let pairs = letter.recipients.iter().zip(&progress.recipients);
        Self {
            id: letter.id.to_string(),
            standing: row::Standing::of(progress).into(),
            arrived: letter.arrived / MICROS,
            size,
            sender: letter.sender.0.as_ref().map(ToString::to_string).unwrap_or_default(),
            recipients: pairs.map(|(recipient, state)| To::new(recipient, state)).collect(),
            attempts: progress.attempts,
            outages: progress.outages,
            due: progress.due / MICROS,
            hold: progress.hold.clone(),
            given_up: progress.given_up.clone(),
            delay_told: progress.delay_told,
            eight_bit: letter.eight_bit,
            ret: letter.ret.map(|ret| match ret {
                Return::Full => Ret::Full,
                Return::Headers => Ret::Headers,
            }),
            envid: letter.envid.clone(),
            under_way: false,
            outage: None,
            stored: row.map(place),
        }
    }

    /// The message that this is of.
    ///
    /// # Errors
    /// An address or the id is none.
    pub(crate) fn restore(&self) -> Result<(Letter, Progress), BadItem> {
        let bad = |text: &str, what| BadItem(text.to_owned(), what);
        let sender = match self.sender.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|_| bad(text, "address"))?),
        };
        let recipient = |to: &To| {
            let address = to.address.parse().map_err(|_| bad(&to.address, "address"))?;
            Ok(Recipient {
                notify: to.notify.as_deref().map(notify),
                original: to.original.clone(),
                ..Recipient::new(address)
            })
        };
        let letter = Letter {
            id: Id::parse(&self.id).ok_or_else(|| bad(&self.id, "id"))?,
            arrived: self.arrived.saturating_mul(MICROS),
            sender: ReversePath(sender),
            recipients: self.recipients.iter().map(recipient).collect::<Result<_, _>>()?,
            eight_bit: self.eight_bit,
            ret: self.ret.map(|ret| match ret {
                Ret::Full => Return::Full,
                Ret::Headers => Return::Headers,
            }),
            envid: self.envid.clone(),
            hold: self.hold.clone(),
        };
        let progress = Progress {
            recipients: self.recipients.iter().map(To::state).collect(),
            attempts: self.attempts,
            outages: self.outages,
            due: self.due.saturating_mul(MICROS),
            hold: self.hold.clone(),
            given_up: self.given_up.clone(),
            delay_told: self.delay_told,
        };
        Ok((letter, progress))
    }

    /// Those that wait.
    pub fn waiting(&self) -> impl Iterator<Item = &To> {
        self.recipients.iter().filter(|to| to.state == Became::Waiting)
    }

    /// The first reason why somebody waits.
    pub fn reason(&self) -> Option<&str> {
        self.waiting().find_map(|to| to.reason.as_deref())
    }
}

impl To {
    fn new(recipient: &Recipient, state: &State) -> Self {
        let (state, reason) = match state {
            State::Waiting(reason) => (Became::Waiting, reason.clone()),
            State::Delivered => (Became::Delivered, None),
            State::Failed => (Became::Failed, None),
        };
        let events = |notify: Notify| {
            let wanted = [
                (notify.success, Event::Success),
                (notify.failure, Event::Failure),
                (notify.delay, Event::Delay),
            ];
            wanted.into_iter().filter_map(|(wanted, event)| wanted.then_some(event)).collect()
        };
        Self {
            address: recipient.address.to_string(),
            state,
            reason,
            notify: recipient.notify.map(events),
            original: recipient.original.clone(),
        }
    }

    fn state(&self) -> State {
        match self.state {
            Became::Waiting => State::Waiting(self.reason.clone()),
            Became::Delivered => State::Delivered,
            Became::Failed => State::Failed,
        }
    }
}

const MICROS: u64 = 1_000_000;

fn notify(events: &[Event]) -> Notify {
    Notify {
        success: events.contains(&Event::Success),
        failure: events.contains(&Event::Failure),
        delay: events.contains(&Event::Delay),
    }
}

fn place(row: &Row) -> String {
    if row.big {
        return format!("big/{}", row.id);
    }
    format!("segments/{:08x} at {}", row.letter.slot, row.letter.offset())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn messages_go_through_json_and_back() {
        let text = concat!(
            r#"{"id":"0abc","standing":"held","arrived":1795363200,"size":7,"sender":"","#,
            r#""recipients":[{"address":"ann@example.org","state":"waiting","reason":"450 x","#,
            r#""notify":["success","delay"],"original":"rfc822;a@b"},"#,
            r#"{"address":"\"b b\"@example.org","state":"delivered","notify":[]},"#,
            r#"{"address":"c@example.org","state":"failed"}],"#,
            r#""attempts":3,"outages":1,"due":1795363260,"hold":"spam?","given_up":"no use","#,
            r#""delay_told":true,"eight_bit":true,"ret":"headers","envid":"x"}"#,
        );
        let item: Item = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&item).unwrap(), text);
        let (letter, progress) = item.restore().unwrap();
        assert_eq!(Item::new(&letter, &progress, 7, None), item);
        assert_eq!(item.reason(), Some("450 x"));
        assert_eq!(item.waiting().count(), 1);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let item: Item = serde_json::from_str(
            r#"{"id":"0abc","standing":"new","arrived":1,"size":7,"sender":"a@b","recipients":[]}"#,
        )
        .unwrap();
        assert!(item.restore().is_ok());
        let to = To {
            address: "nobody".into(),
            state: Became::Waiting,
            reason: None,
            notify: None,
            original: None,
        };
        for bad in [
            Item { id: "../x".into(), ..item.clone() },
            Item { sender: "x".into(), ..item.clone() },
            Item { recipients: vec![to], ..item.clone() },
        ] {
            assert!(bad.restore().is_err(), "{bad:?}");
        }
    }
}
