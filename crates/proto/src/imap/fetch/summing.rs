//! Summaries of messages while they are written.

use std::convert::Infallible;

use super::preview::{self, Preview};
use super::reading::header_length;
use super::summary;
use crate::message::charset::Charsets;
use crate::message::structure::{Limits, Part, Scanner};

/// Makes the summary of a message that comes in blocks, in memory that is bounded.
///
/// The beginning of the message is kept, for the headers in it and the preview; where the message's own header is
/// longer, or a message within begins behind, the summary has to be made by reading.
#[derive(Debug)]
pub struct Summing {
    scanner: Scanner,
    beginning: Vec<u8>,
    length: u64,
}

/// Octets kept of a message.
const KEPT: usize = 128 * 1024;

impl Default for Summing {
    fn default() -> Self {
        let scanner = Scanner::new(Limits::default());
        Self { scanner, beginning: Vec::new(), length: 0 }
    }
}

impl Summing {
    /// Takes the next octets, as they are stored.
    pub fn push(&mut self, block: &[u8]) {
        let room = KEPT.saturating_sub(self.beginning.len());
        self.beginning.extend_from_slice(block.get(..room).unwrap_or(block));
        self.length += block.len() as u64;
        self.scanner.push(block);
    }

    /// The message ended here: its summary, if there can be one.
    #[must_use]
    pub fn finish(self, charsets: &dyn Charsets) -> Option<Vec<u8>> {
        let Self { scanner, beginning, length } = self;
        let is_all = beginning.len() as u64 == length;
        let header = match header_length(&beginning, &mut 0) {
            Some(length) => beginning.get(..length)?,
            None if is_all => beginning.as_slice(),
            None => return None,
        };
        let structure = scanner.finish();
        let structure = has_headers_within(&structure, &beginning).then_some(structure);
        let preview =
            structure.as_ref().and_then(|whole| kept_preview(whole, &beginning, charsets));
        let mut header_of = |part: &Part| Ok(kept_header(part, &beginning).unwrap_or_default());
        let mut encoded = Vec::new();
        let (structure, preview) = (structure.as_ref(), preview.as_deref());
        let written: Result<bool, Infallible> =
            summary::write(&mut encoded, header, structure, preview, &mut header_of);
        let Ok(fits) = written;
        fits.then_some(encoded)
    }
}

/// Whether the headers of all messages within were kept. Goes as deep as the scanner's limits let
/// structures be.
fn has_headers_within(part: &Part, beginning: &[u8]) -> bool {
    part.message().is_none_or(|message| kept_header(message, beginning).is_some())
        && part.parts.iter().all(|part| has_headers_within(part, beginning))
}

fn kept_header(part: &Part, beginning: &[u8]) -> Option<Vec<u8>> {
    let from = usize::try_from(part.header.stored).ok()?;
    let to = usize::try_from(part.body.stored).ok()?;
    beginning.get(from..to).map(<[u8]>::to_vec)
}

/// The preview, unless its text was not kept.
fn kept_preview(message: &Part, beginning: &[u8], charsets: &dyn Charsets) -> Option<String> {
    let Some(part) = preview::shown(message) else { return Some(String::new()) };
    let from = usize::try_from(part.body.stored).ok()?;
    let to = usize::try_from(preview::end(part)).ok()?;
    let mut preview = Preview::of(part, charsets);
    preview.push(beginning.get(from..to)?);
    Some(preview.finish())
}
