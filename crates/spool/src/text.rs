//! The texts of records: JSON, so that a person can read them.

use std::fmt::Display;

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// The checksum of a text holds, its content does not.
#[derive(Debug, Error)]
#[error("cannot be understood: {0}")]
pub struct BadText(String);

impl BadText {
    pub(crate) fn new(why: &dyn Display) -> Self {
        Self(why.to_string())
    }
}

pub(crate) fn encode(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("strings and numbers have a JSON form")
}

pub(crate) fn decode<T: DeserializeOwned>(text: &[u8]) -> Result<T, BadText> {
    serde_json::from_slice(text).map_err(|error| BadText::new(&error))
}

/// How long the text is that stands at the beginning, whatever follows; `None`: there is none.
pub(crate) fn length(octets: &[u8]) -> Option<usize> {
    let mut values =
        serde_json::Deserializer::from_slice(octets).into_iter::<serde::de::IgnoredAny>();
    values.next()?.ok()?;
    Some(values.byte_offset())
}
