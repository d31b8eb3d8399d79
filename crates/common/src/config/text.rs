//! Values that are read from text, and numbers that have a least value.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// For fields whose type reads itself from text.
pub(super) fn parsed<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: Display>,
    D: Deserializer<'de>,
{
    Text::deserialize(deserializer).map(|text| text.value)
}

/// [`parsed`] for a list: a mistake names its element.
pub(super) fn parsed_list<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: FromStr<Err: Display>,
    D: Deserializer<'de>,
{
    let texts = Vec::<Text<T>>::deserialize(deserializer)?;
    Ok(texts.into_iter().map(|text| text.value).collect())
}

/// [`parsed`] for a value that may be absent.
pub(super) fn parsed_option<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: FromStr<Err: Display>,
    D: Deserializer<'de>,
{
    parsed(deserializer).map(Some)
}

/// [`parsed`] for the keys of a table.
pub(super) fn parsed_keys<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
where
    K: FromStr<Err: Display> + Ord,
    V: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let texts = BTreeMap::<String, V>::deserialize(deserializer)?;
    let parsed = texts.into_iter().map(|(text, value)| match text.parse() {
        Ok(key) => Ok((key, value)),
        Err(error) => Err(de::Error::custom(format_args!("{text:?}: {error}"))),
    });
    parsed.collect()
}

/// Nobody is ever without a limit: 0 is refused wherever it could be taken for one.
pub(super) fn at_least<'de, const LEAST: u64, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: TryFrom<u64>,
    D: Deserializer<'de>,
{
    let number = u64::deserialize(deserializer)?;
    let number = Some(number).filter(|&number| number >= LEAST);
    number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| {
        de::Error::custom(format_args!("write a number from {LEAST}; there is no \"unlimited\""))
    })
}

/// Shows a value as the text that it is read from.
pub(super) fn shown<S: Serializer>(value: &impl Display, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

/// [`shown`] for a list.
pub(super) fn shown_list<T: Display, S: Serializer>(
    values: &[T],
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_seq(values.iter().map(ToString::to_string))
}

/// [`shown`] for the keys of a table.
pub(super) fn shown_keys<K: Display, V: Serialize, S: Serializer>(
    values: &BTreeMap<K, V>,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_map(values.iter().map(|(key, value)| (key.to_string(), value)))
}

/// [`shown`] for a value that may be absent.
pub(super) fn shown_option<T: Display, S: Serializer>(
    value: &Option<T>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => to.collect_str(value),
        None => to.serialize_none(),
    }
}

struct Text<T> {
    value: T,
}

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor(PhantomData))
    }
}

struct TextVisitor<T>(PhantomData<T>);

impl<T: FromStr<Err: Display>> de::Visitor<'_> for TextVisitor<T> {
    type Value = Text<T>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<T>, E> {
        let value = text.parse().map_err(|error| E::custom(format_args!("{text:?}: {error}")))?;
        Ok(Text { value })
    }
}
