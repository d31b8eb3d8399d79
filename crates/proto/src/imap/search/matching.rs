//! One message held against keys.

use std::sync::Arc;

use super::super::fetch::{Need, Reading, Source, covers};
use super::text::folded;
use super::{Key, body};
use crate::mailbox::{Entry, Snapshot, Uid};
use crate::message::charset::Charsets;
use crate::message::header::{self, Field};
use crate::message::{date, encoded_word};

/// The message that the reading was turned to.
pub(super) struct Matching<'a, S> {
    position: u32,
    entry: Entry,
    snapshot: &'a Snapshot,
    recent_from: Uid,
    pub(super) source: &'a mut S,
    pub(super) reading: &'a mut Reading,
    pub(super) charsets: &'static dyn Charsets,
    /// Its header, once a key asked for it.
    header: Option<Arc<[u8]>>,
}

impl<'a, S: Source> Matching<'a, S> {
    pub(super) fn new(
        (position, entry): (u32, Entry),
        snapshot: &'a Snapshot,
        recent_from: Uid,
        source: &'a mut S,
        reading: &'a mut Reading,
    ) -> Self {
        let charsets = source.charsets();
        Self { position, entry, snapshot, recent_from, source, reading, charsets, header: None }
    }

    /// Whether a prepared key holds. Goes as deep as the parser's limit lets keys be nested.
    pub(super) fn holds(&mut self, key: &Key) -> Result<bool, S::Error> {
        let uid = self.entry.uid;
        Ok(match key {
            Key::And(keys) => {
                for key in keys {
                    if !self.holds(key)? {
                        return Ok(false);
                    }
                }
                true
            }
            Key::Or(keys) => self.holds(&keys.0)? || self.holds(&keys.1)?,
            Key::Not(key) => !self.holds(key)?,
            Key::Positions(positions) => positions.binary_search(&self.position).is_ok(),
            Key::Flag(flag) => self.entry.flags.has(*flag),
            Key::Keyword(name) => {
                self.snapshot.keyword(name).is_some_and(|bit| self.entry.flags.keywords & bit != 0)
            }
            Key::Recent => uid >= self.recent_from,
            Key::Before(day) => self.source.internal_date(uid)?.day() < *day,
            Key::On(day) => self.source.internal_date(uid)?.day() == *day,
            Key::Since(day) => self.source.internal_date(uid)?.day() >= *day,
            Key::SentBefore(day) => self.sent()?.is_some_and(|sent| sent < *day),
            Key::SentOn(day) => self.sent()?.is_some_and(|sent| sent == *day),
            Key::SentSince(day) => self.sent()?.is_some_and(|sent| sent >= *day),
            Key::Larger(size) => self.source.size(uid)? > *size,
            Key::Smaller(size) => self.source.size(uid)? < *size,
            Key::Header(name, text) => self.field_holds(name, text)?,
            Key::Body(text) => body::holds(self, text)?,
            Key::Text(text) => {
                header_holds(&self.header()?, text, self.charsets) || body::holds(self, text)?
            }
        })
    }

    fn header(&mut self) -> Result<Arc<[u8]>, S::Error> {
        if let Some(header) = &self.header {
            return Ok(header.clone());
        }
        let header: Arc<[u8]> = self.reading.header(self.source)?.into();
        self.header = Some(header.clone());
        Ok(header)
    }

    /// The day of the Date field, if there is one that can be read.
    fn sent(&mut self) -> Result<Option<i32>, S::Error> {
        self.with_fields("Date", |fields| {
            let field = header::fields(fields).find(|field| field.is("Date"));
            field.and_then(|field| date::parse(&field.unfolded())).map(date::DateTime::day)
        })
    }

    /// HEADER: of an empty text the field need only be there.
    fn field_holds(&mut self, name: &str, text: &str) -> Result<bool, S::Error> {
        let charsets = self.charsets;
        self.with_fields(name, |fields| {
            header::fields(fields)
                .filter(|field| field.is(name))
                .any(|field| text.is_empty() || value_holds(&field.unfolded(), text, charsets))
        })
    }

    /// Looks at fields among which are all of this name: the summary's, if it has them, else all.
    fn with_fields<T>(&mut self, name: &str, look: impl Fn(&[u8]) -> T) -> Result<T, S::Error> {
        if self.header.is_none()
            && covers(name)
            && let Some(summary) = self.reading.summary(self.source, Need::Header)?
        {
            return Ok(look(summary.fields));
        }
        Ok(look(&self.header()?))
    }
}

/// Whether a header has a folded text, in names or values.
pub(super) fn header_holds(header: &[u8], text: &str, charsets: &dyn Charsets) -> bool {
    text.is_empty()
        || header::fields(header).any(|field| {
            let whole = Field { value: field.raw, ..field };
            value_holds(&whole.unfolded(), text, charsets)
        })
}

fn value_holds(value: &[u8], text: &str, charsets: &dyn Charsets) -> bool {
    folded(&encoded_word::decode(value, charsets)).contains(text)
}
