//! A segment that is not written to any more because a write or sync failed, as the record says it
//! that stands at the beginning of the next.

use serde::{Deserialize, Serialize};

use crate::text::{self, BadText};

/// A segment that is not written to any more because a write or sync failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seal {
    /// Of the segment.
    pub(crate) generation: u64,
    /// Where the last good commit ended: what stands from here on counts for nothing.
    pub(crate) length: u64,
}

impl Seal {
    /// As a record's text has it.
    pub(crate) fn encode(&self) -> Vec<u8> {
        text::encode(self)
    }

    /// Reads a record's text.
    ///
    /// # Errors
    /// It is not what [`encode`](Self::encode) writes.
    pub(crate) fn decode(text: &[u8]) -> Result<Self, BadText> {
        text::decode(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seals_go_through_text() {
        let seal = Seal { generation: 7, length: 8192 };
        assert_eq!(seal.encode(), br#"{"generation":7,"length":8192}"#);
        assert_eq!(Seal::decode(&seal.encode()).expect("it was written"), seal);
        assert!(Seal::decode(b"{}").is_err());
    }
}
