//! The header of a message on its way into a mailbox: what is taken out, and what is learnt.
//!
//! RFC 5321, 4.4: the server of final delivery removes every `Return-Path` that a message has,
//! for only its own is true. `Delivered-To` stays and is remembered: the same recipient twice is
//! a loop. Everything else passes byte for byte, wherever the blocks that carry it end.
//!
//! The header ends at the first empty line, and also at a line that is neither a field nor the
//! folded rest of one: what stands there is text that somebody forgot to separate, and text is
//! never touched. Only a first line as mbox files have it (`From `, `>From `) does not count.

use std::borrow::Cow;
use std::mem::take;

use mail_proto::address::Address;

/// Octets of a line that are looked at to know what it is: more than any name we look for.
const NAME: usize = 64;

/// Octets of a `Delivered-To` field's value that are kept: more than an address can have.
const VALUE: usize = 1024;

/// A header being read, block by block.
#[derive(Debug)]
pub(crate) struct Header {
    place: Place,
    field: Field,
    /// Octets until the present line.
    passed: usize,
    /// After so many octets it is all text.
    limit: usize,
    /// The value of the `Delivered-To` field under way.
    value: Vec<u8>,
    delivered_to: Vec<String>,
}

#[derive(Debug)]
enum Place {
    /// A line has begun with these bytes, which do not yet tell what it is; most lines are in one
    /// block, and need none of them kept.
    Begun(Vec<u8>),
    /// In a line of the present field.
    Field,
    /// After the header.
    Text,
}

/// What the last line was that began a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    /// There was none.
    None,
    ReturnPath,
    DeliveredTo,
    Other,
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Begins(Field),
    /// Folded from the line before.
    Continues,
    /// Empty, or no line of a header.
    EndsHeader,
}

impl Header {
    /// A header of which at most `limit` octets are looked at.
    #[must_use]
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            place: Place::Begun(Vec::new()),
            field: Field::None,
            passed: 0,
            limit,
            value: Vec::new(),
            delivered_to: Vec::new(),
        }
    }

    /// Takes the next block of the message; appends to `out` what stays of it.
    pub(crate) fn pass(&mut self, block: &[u8], out: &mut Vec<u8>) {
        out.reserve(block.len());
        let mut rest = block;
        while !rest.is_empty() {
            if matches!(self.place, Place::Text) {
                out.extend_from_slice(rest);
                return;
            }
            let end = rest.iter().position(|&b| b == b'\n').map_or(rest.len(), |at| at + 1);
            let (piece, after) = rest.split_at(end);
            self.piece(piece, out);
            rest = after;
        }
    }

    /// The message is over. Appends what was held back.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        if let Place::Begun(begun) = &self.place {
            out.extend_from_slice(begun);
        }
        self.end_field();
        self.place = Place::Text;
    }

    /// Whether a `Delivered-To` field names this recipient. Once the header has passed.
    #[must_use]
    pub(crate) fn was_delivered_to(&self, recipient: &Address) -> bool {
        let recipient = recipient.to_string();
        self.delivered_to.iter().any(|known| known.eq_ignore_ascii_case(&recipient))
    }

    /// A line, or a part of one: the LF can only be its last byte.
    fn piece(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        self.passed += piece.len();
        match &mut self.place {
            Place::Begun(begun) => {
                let begun = joined(take(begun), piece);
                match line(&begun, self.field == Field::None) {
                    Some(line) => self.enter(line, &begun, out),
                    None => self.place = Place::Begun(begun.into_owned()),
                }
            }
            Place::Field => self.keep(piece, out),
            Place::Text => out.extend_from_slice(piece),
        }
        if piece.ends_with(b"\n") && matches!(self.place, Place::Field) {
            self.next_line();
        }
    }

    fn next_line(&mut self) {
        self.place = Place::Begun(Vec::new());
        if self.passed >= self.limit {
            self.end_field();
            self.place = Place::Text;
        }
    }

    /// It is known now what the line is that began with these bytes.
    fn enter(&mut self, line: Line, begun: &[u8], out: &mut Vec<u8>) {
        match line {
            Line::Continues if self.field != Field::None => {
                self.place = Place::Field;
                self.keep(begun, out);
            }
            Line::Continues => {
                // No header, and a first line that would be read as the rest of the field that
                // is put on top: it needs the empty line that it lacks.
                self.place = Place::Text;
                out.extend_from_slice(b"\r\n");
                out.extend_from_slice(begun);
            }
            Line::Begins(field) => {
                self.end_field();
                self.field = field;
                self.place = Place::Field;
                self.keep(begun, out);
            }
            Line::EndsHeader => {
                self.end_field();
                self.place = Place::Text;
                out.extend_from_slice(begun);
            }
        }
    }

    /// Does with bytes what is done with the present field.
    fn keep(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.field == Field::ReturnPath {
            return;
        }
        out.extend_from_slice(bytes);
        if self.field == Field::DeliveredTo {
            let room = VALUE.saturating_sub(self.value.len());
            self.value.extend(bytes.iter().take(room));
        }
    }

    fn end_field(&mut self) {
        if self.field != Field::DeliveredTo {
            return;
        }
        self.field = Field::Other;
        let field = take(&mut self.value);
        let field = String::from_utf8_lossy(&field);
        if let Some((_, value)) = field.split_once(':') {
            let value = value.trim();
            let bare = value.strip_prefix('<').and_then(|v| v.strip_suffix('>')).unwrap_or(value);
            self.delivered_to.push(bare.to_owned());
        }
    }
}

/// A line, of which a block before this piece may have had the beginning.
fn joined(mut begun: Vec<u8>, piece: &[u8]) -> Cow<'_, [u8]> {
    if begun.is_empty() {
        return Cow::Borrowed(piece);
    }
    begun.extend_from_slice(piece);
    Cow::Owned(begun)
}

/// What a line is that begins so; `None` where more of it must be seen.
fn line(begun: &[u8], first: bool) -> Option<Line> {
    // RFC 5322, 2.2 and 4.5.8: a name of printable characters, perhaps blanks, a colon.
    let begun = begun.get(..NAME).unwrap_or(begun);
    let Some(length) = begun.iter().position(|b| !(33..=126).contains(b) || *b == b':') else {
        return (begun.len() == NAME).then_some(Line::Begins(Field::Other));
    };
    let (name, rest) = begun.split_at(length);
    if name.is_empty() {
        return match rest {
            [b' ' | b'\t', ..] => Some(Line::Continues),
            b"\r" => None,
            _ => Some(Line::EndsHeader),
        };
    }
    if first && matches!(name, b"From" | b">From") && rest.starts_with(b" ") {
        return Some(Line::Begins(Field::Other));
    }
    match rest.iter().find(|b| !matches!(b, b' ' | b'\t')) {
        Some(b':') => Some(Line::Begins(named(name))),
        Some(_) => Some(Line::EndsHeader),
        None => (begun.len() == NAME).then_some(Line::EndsHeader),
    }
}

fn named(name: &[u8]) -> Field {
    if name.eq_ignore_ascii_case(b"Return-Path") {
        Field::ReturnPath
    } else if name.eq_ignore_ascii_case(b"Delivered-To") {
        Field::DeliveredTo
    } else {
        Field::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(message: &str, limit: usize, piece: usize) -> (String, Header) {
        let (mut header, mut out) = (Header::new(limit), Vec::new());
        for block in message.as_bytes().chunks(piece) {
            header.pass(block, &mut out);
        }
        header.finish(&mut out);
        (String::from_utf8(out).expect("only whole lines are cut out"), header)
    }

    #[test]
    fn only_return_paths_are_taken_out() {
        let long = format!("{}: x\r\nReturn-Path: <a>\r\n\r\n", "N".repeat(100));
        let long_after = format!("{}: x\r\n\r\n", "N".repeat(100));
        let blanks = format!("A{}: x\r\nReturn-Path: <a>\r\n\r\n", " ".repeat(100));
        let table = [
            ("", ""),
            ("\r\n", "\r\n"),
            ("\r\nReturn-Path: <a>\r\n", "\r\nReturn-Path: <a>\r\n"),
            ("Return-Path: <a>\r\n", ""),
            ("Return-Path: <a>", ""),
            ("Return-Pat", "Return-Pat"),
            ("Return-Path: <a>\r\n\r\nx\r\n", "\r\nx\r\n"),
            ("A: b\r\nreturn-path :\r\n <a>\r\n\t\r\nB: c\r\n\r\nx", "A: b\r\nB: c\r\n\r\nx"),
            ("Return-Path: <a>\r\nReturn-Path: <b>\r\nA: b\r\n", "A: b\r\n"),
            ("A: b\r\n Return-Path: <a>\r\n\r\n", "A: b\r\n Return-Path: <a>\r\n\r\n"),
            ("A: b\r\n\r\nReturn-Path: <a>\r\n", "A: b\r\n\r\nReturn-Path: <a>\r\n"),
            ("Return-Paths: a\r\n\r\n", "Return-Paths: a\r\n\r\n"),
            ("X-Return-Path: a\r\n\r\n", "X-Return-Path: a\r\n\r\n"),
            ("just text\r\nReturn-Path: <a>\r\n", "just text\r\nReturn-Path: <a>\r\n"),
            (
                "A: b\r\nno field\r\nReturn-Path: <a>\r\n",
                "A: b\r\nno field\r\nReturn-Path: <a>\r\n",
            ),
            ("From ann Mon\r\nReturn-Path: <a>\r\n\r\n", "From ann Mon\r\n\r\n"),
            (">From ann Mon\r\nReturn-Path: <a>\r\n\r\n", ">From ann Mon\r\n\r\n"),
            (
                "A: b\r\nFrom ann\r\nReturn-Path: <a>\r\n",
                "A: b\r\nFrom ann\r\nReturn-Path: <a>\r\n",
            ),
            (" folded\r\nReturn-Path: <a>\r\n", "\r\n folded\r\nReturn-Path: <a>\r\n"),
            (": x\r\nReturn-Path: <a>\r\n", ": x\r\nReturn-Path: <a>\r\n"),
            ("\rA\r\nReturn-Path: <a>\r\n", "\rA\r\nReturn-Path: <a>\r\n"),
            ("Ü: x\r\nReturn-Path: <a>\r\n", "Ü: x\r\nReturn-Path: <a>\r\n"),
            ("A: ü\r\nReturn-Path: <ü>\r\n\r\nü", "A: ü\r\n\r\nü"),
            (&long, &long_after),
            (&blanks, &blanks),
        ];
        for (message, expected) in table {
            for piece in 1..=message.len().max(1) {
                let (found, _) = passed(message, 1 << 20, piece);
                assert_eq!(found, expected, "{message:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn deliveries_are_remembered() {
        let table = [
            ("Delivered-To: ann@example.org\r\n\r\n", true),
            ("A: b\r\ndelivered-to:\r\n Ann@EXAMPLE.org\r\n\r\n", true),
            ("Delivered-To: <ann@example.org>", true),
            ("Delivered-To: bob@example.org\r\nDelivered-To: ann@example.org\r\n", true),
            ("Delivered-To: ann@example.org\r\nReturn-Path: <x>\r\n", true),
            ("Delivered-To: bob@example.org\r\n\r\n", false),
            ("Delivered-To: ann@example.org bob@example.org\r\n\r\n", false),
            ("X-Delivered-To: ann@example.org\r\n\r\n", false),
            ("A: b\r\n\r\nDelivered-To: ann@example.org\r\n", false),
        ];
        let ann: Address = "ann@example.org".parse().expect("is an address");
        for (message, expected) in table {
            for piece in 1..=message.len() {
                let (_, header) = passed(message, 1 << 20, piece);
                assert_eq!(header.was_delivered_to(&ann), expected, "{message:?} by {piece}");
            }
        }
    }

    #[test]
    fn a_header_is_looked_at_up_to_its_limit() {
        let message = "A: 1\r\nReturn-Path: <a>\r\nB: 2\r\nReturn-Path: <b>\r\n\r\n";
        for piece in 1..=message.len() {
            let (found, _) = passed(message, 20, piece);
            assert_eq!(found, "A: 1\r\nB: 2\r\nReturn-Path: <b>\r\n\r\n", "by {piece}");
        }
        let (_, header) = passed(&format!("Delivered-To: {}", "x".repeat(9000)), 1 << 20, 100);
        assert!(header.delivered_to.iter().all(|value| value.len() <= VALUE));
    }
}
