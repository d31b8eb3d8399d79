//! Previews: the first words of a message, for lists (RFC 8970, 3).
//!
//! A preview is one line of at most [`CHARACTERS`]: the beginning of the first text that a reader
//! would be shown, where runs of white space and controls are one space. Of a multipart/alternative
//! the plain form is taken, however late it stands. What is attached is not shown, and neither is
//! what is encrypted: a message that has nothing else has an empty preview.

mod entities;
mod html;
#[cfg(test)]
mod tests;

use self::html::Html;
use crate::message::charset::{self, Charsets};
use crate::message::structure::Part;
use crate::message::transfer;

/// Characters of a preview (RFC 8970, 3: "SHOULD" be no more).
const CHARACTERS: usize = 200;

/// Octets of a preview at most.
pub(super) const OCTETS: usize = CHARACTERS * 4;

/// Octets of a body that are looked at: HTML may have long styles before its first word.
const LOOKED_AT: u64 = 64 * 1024;

/// Octets decoded at a time. Most texts have a whole preview in the first.
const PIECE: usize = 512;

/// How a text begins that is encrypted without saying so in its type.
const ARMOR: &str = "-----BEGIN PGP MESSAGE-----";

/// A preview being made of a part's body, which comes in blocks of any size.
pub(super) struct Preview {
    form: Form,
    transfer: transfer::Decoder,
    charset: Box<dyn charset::Decoder>,
    line: Line,
    octets: Vec<u8>,
    text: String,
}

enum Form {
    Plain,
    Html(Html),
}

/// Whether more of the body is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum More {
    Wanted,
    Enough,
}

/// The part of a message whose text is shown first, if there is one. Goes as deep as the scanner's
/// limits let structures be.
pub(super) fn shown(part: &Part) -> Option<&Part> {
    let attached = part.disposition.as_ref();
    if attached.is_some_and(|(kind, _)| kind.eq_ignore_ascii_case("attachment")) {
        return None;
    }
    match (&*part.media_type, &*part.subtype) {
        ("text", "plain" | "html") => Some(part),
        ("multipart", "encrypted") => None,
        ("multipart", "alternative") => alternative(part),
        ("multipart", _) => part.parts.iter().find_map(shown),
        _ => None,
    }
}

/// Asks each alternative once: else the work would double with each level.
fn alternative(part: &Part) -> Option<&Part> {
    let mut first = None;
    for text in part.parts.iter().filter_map(shown) {
        if text.subtype == "plain" {
            return Some(text);
        }
        first = first.or(Some(text));
    }
    first
}

/// Where the octets of a body end that are looked at, as stored.
pub(super) fn end(part: &Part) -> u64 {
    part.end.stored.min(part.body.stored.saturating_add(LOOKED_AT))
}

impl Preview {
    /// The preview of a part that is [shown].
    pub(super) fn of(part: &Part, charsets: &dyn Charsets) -> Self {
        let charset = part.parameter("charset").unwrap_or(b"utf-8");
        Self {
            form: if part.subtype == "html" { Form::Html(Html::default()) } else { Form::Plain },
            transfer: transfer::Decoder::of(&part.encoding),
            charset: charsets.decoder(charset),
            line: Line::default(),
            octets: Vec::new(),
            text: String::new(),
        }
    }

    /// Takes the next octets, as they are stored.
    pub(super) fn push(&mut self, block: &[u8]) -> More {
        for piece in block.chunks(PIECE) {
            if self.line.is_full() {
                return More::Enough;
            }
            self.transfer.decode(piece, &mut self.octets);
            self.take(false);
        }
        More::Wanted
    }

    /// The body ended here, or enough of it came.
    pub(super) fn finish(mut self) -> String {
        let transfer = std::mem::replace(&mut self.transfer, transfer::Decoder::Identity);
        transfer.finish(&mut self.octets);
        self.take(true);
        if let Form::Html(html) = self.form {
            html.finish(&mut self.line);
        }
        self.line.finish()
    }

    fn take(&mut self, last: bool) {
        self.charset.decode(&self.octets, last, &mut self.text);
        for character in self.text.chars() {
            match &mut self.form {
                Form::Plain => self.line.push(character),
                Form::Html(html) => html.push(character, &mut self.line),
            }
        }
        self.octets.clear();
        self.text.clear();
    }
}

/// Text on one line.
#[derive(Debug, Default)]
struct Line {
    text: String,
    characters: usize,
    /// White space came, which counts once a word follows.
    space: bool,
}

impl Line {
    fn push(&mut self, character: char) {
        if character.is_whitespace() || character.is_control() {
            self.space = true;
            return;
        }
        if std::mem::take(&mut self.space) && self.characters > 0 {
            self.add(' ');
        }
        self.add(character);
    }

    fn add(&mut self, character: char) {
        if !self.is_full() {
            self.text.push(character);
            self.characters += 1;
        }
    }

    fn is_full(&self) -> bool {
        self.characters >= CHARACTERS
    }

    fn finish(mut self) -> String {
        if self.text.starts_with(ARMOR) {
            return String::new();
        }
        self.text.truncate(self.text.trim_end().len());
        self.text
    }
}
