//! Deliveries that may be repeated.

use std::fmt;

use crate::log::Id;

/// The id of one delivery: `<queue id>.<number of the recipient>`. Every attempt at it has the
/// same, and no other delivery has it. In order of the queue ids' times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeliveryId {
    queue_id: Id,
    number: u32,
    micros: u64,
}

impl DeliveryId {
    /// Reads one; `None` where it is not of our form. Of several spellings of a number only the
    /// one that we write counts: who spells otherwise may mean something else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (queue_id, spelt) = text.split_once('.')?;
        let queue_id = Id::parse(queue_id)?;
        let micros = queue_id.micros()?;
        let number = spelt.parse::<u32>().ok()?;
        (number.to_string() == spelt).then_some(Self { queue_id, number, micros })
    }

    /// The message's id in the queue.
    #[must_use]
    pub fn queue_id(&self) -> Id {
        self.queue_id
    }

    /// The recipient's number in the message.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// When the message was queued, in microseconds since 1970.
    #[must_use]
    pub fn micros(&self) -> u64 {
        self.micros
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.queue_id, self.number)
    }
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_we_write_is_one() {
        let queue_id = Id::new();
        for number in ["0", "7", "1000", "4294967295"] {
            let text = format!("{queue_id}.{number}");
            let id = DeliveryId::parse(&text).unwrap();
            assert_eq!((id.to_string(), Some(id.micros())), (text, queue_id.micros()));
        }
        let others = ["", ".", ".1", "a.1", "0123abcXYZ", "0123456789abcdefg.1"].map(str::to_owned);
        let endings = ["", ".", ".01", ".+1", ".-1", ".x", ".1.1", ".4294967296", "/../x.1"];
        for text in others.into_iter().chain(endings.map(|ending| format!("{queue_id}{ending}"))) {
            assert_eq!(DeliveryId::parse(&text), None, "{text}");
        }
    }

    #[test]
    fn they_are_in_order_of_time() {
        let texts = ["0VhSXz9Qa0000000.10", "0VhSXz9Qb0000000.2", "0VhSXz9Qbz000000.0"];
        let ids = texts.map(|text| DeliveryId::parse(text).unwrap());
        assert!(ids.is_sorted() && ids[0].micros() < ids[1].micros());
    }
}
