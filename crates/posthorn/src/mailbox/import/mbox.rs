//! Reading an mbox file, of the kind that can be told apart (`mboxrd`).
//!
//! A message begins with a line `From <sender> <date>` at the file's beginning or behind an empty
//! line; that empty line is not the message's. `>From `, with any number of `>`, was quoted with
//! one `>` more. Dates without a zone are UTC. `Status`, `X-Status` and `X-Keywords` are flags, and
//! stay in the header.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};

use mail_proto::mailbox::{Flags, NamedFlags};
use mail_proto::message::date;

use super::super::Failure;
use super::{LARGEST, Letter, Piece, Pieces, Refused, wire};

const STATUS: [(u8, u8); 5] = [
    (b'R', Flags::SEEN),
    (b'A', Flags::ANSWERED),
    (b'F', Flags::FLAGGED),
    (b'D', Flags::DELETED),
    (b'T', Flags::DRAFT),
];

pub(super) fn read(file: &File, pieces: &mut Pieces) -> Result<(), Failure> {
    let mut messages = Messages { lines: BufReader::new(file), next: None };
    if !messages.begin().map_err(|error| failed(&error))? {
        return Err(Failure::Usage(
            "this is no mbox file: it does not begin with `From ` and a date. Name an export, a \
             Maildir or an mbox file"
                .to_owned(),
        ));
    }
    while let Some(read) = messages.read().map_err(|error| failed(&error))? {
        match read {
            Read::Letter(letter) => {
                if let Err(Refused) = pieces.send(Piece::Letter(letter)) {
                    break;
                }
            }
            Read::TooLarge => pieces.unreadable(&"a message of more than 256 MiB is left out"),
        }
    }
    Ok(())
}

fn failed(error: &io::Error) -> Failure {
    Failure::Temporary(format!("the mbox file: {error}. Run this again when it can be read"))
}

/// A file's messages, one after another.
struct Messages<R> {
    lines: R,
    /// The date of the message that begins here.
    next: Option<i64>,
}

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    Letter(Letter),
    TooLarge,
}

impl<R: BufRead> Messages<R> {
    /// Reads the first line; whether it begins a message.
    fn begin(&mut self) -> io::Result<bool> {
        let mut line = Vec::new();
        self.line(&mut line)?;
        self.next = beginning(&line);
        Ok(self.next.is_some())
    }

    /// Reads a message, and the line with which the next one begins.
    fn read(&mut self) -> io::Result<Option<Read>> {
        let Some(date) = self.next.take() else { return Ok(None) };
        let (mut stored, mut line) = (Vec::new(), Vec::new());
        let mut too_large = false;
        let mut blank = None;
        while self.line(&mut line)? {
            if let (Some(_), Some(date)) = (blank, beginning(&line)) {
                self.next = Some(date);
                break;
            }
            let start = stored.len();
            too_large |= (start + line.len()) as u64 > LARGEST;
            if !too_large {
                stored.extend_from_slice(unquoted(&line));
            }
            blank = matches!(line.as_slice(), b"\n" | b"\r\n").then_some(start);
        }
        // The empty line between two messages is nobody's.
        stored.truncate(blank.unwrap_or(stored.len()));
        if too_large {
            return Ok(Some(Read::TooLarge));
        }
        let flags = flags(&stored);
        let mailbox = vec!["INBOX".to_owned()];
        Ok(Some(Read::Letter(Letter { mailbox, flags, date, wire: wire(&stored) })))
    }

    /// A line with its end; a piece of one that is too long to be read at once.
    fn line(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        line.clear();
        Ok(self.lines.by_ref().take(LARGEST).read_until(b'\n', line)? > 0)
    }
}

/// The date in a line that begins a message: `From a@b.c Thu Jan  1 00:00:00 2026`, perhaps with a
/// zone before or behind the year.
fn beginning(line: &[u8]) -> Option<i64> {
    let rest = std::str::from_utf8(line.strip_prefix(b"From ")?).ok()?;
    let words: Vec<&str> = rest.split_ascii_whitespace().collect();
    let month = words.iter().skip(1).position(|word| date::month(word.as_bytes()).is_some())? + 1;
    let (month, rest) = words.split_at_checked(month)?.1.split_first()?;
    let [day, time, rest @ ..] = rest else { return None };
    let is_year =
        |word: &&&str| word.len() == 4 && word.bytes().all(|octet| octet.is_ascii_digit());
    let year = rest.iter().find(is_year)?;
    let zone = rest.iter().find(|word| *word != year).copied().unwrap_or("+0000");
    Some(date::parse(format!("{day} {month} {year} {time} {zone}").as_bytes())?.seconds)
}

/// The line without one `>` where that was put before `From `.
fn unquoted(line: &[u8]) -> &[u8] {
    let quotes = line.iter().take_while(|octet| **octet == b'>').count();
    match line.get(quotes..).is_some_and(|rest| quotes > 0 && rest.starts_with(b"From ")) {
        true => line.get(1..).unwrap_or_default(),
        false => line,
    }
}

/// What a message's header says of flags.
fn flags(stored: &[u8]) -> NamedFlags {
    let mut flags = NamedFlags::default();
    let lines = stored.split(|octet| *octet == b'\n');
    for line in lines.take_while(|line| !matches!(*line, b"" | b"\r")) {
        let Some(colon) = line.iter().position(|octet| *octet == b':') else { continue };
        let (name, value) = line.split_at(colon);
        if name.eq_ignore_ascii_case(b"Status") || name.eq_ignore_ascii_case(b"X-Status") {
            let set = STATUS.iter().filter(|(letter, _)| value.contains(letter));
            flags.system = set.fold(flags.system, |system, (_, bit)| system | bit);
        } else if name.eq_ignore_ascii_case(b"X-Keywords") {
            let words = String::from_utf8_lossy(value.get(1..).unwrap_or_default()).into_owned();
            flags.keywords.extend(
                words.split([' ', '\t', '\r', ',']).filter(|w| !w.is_empty()).map(str::to_owned),
            );
        }
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Option<Vec<Letter>> {
        let mut messages = Messages { lines: text.as_bytes(), next: None };
        if !messages.begin().ok()? {
            return None;
        }
        let mut letters = Vec::new();
        while let Some(Read::Letter(letter)) = messages.read().ok()? {
            letters.push(letter);
        }
        Some(letters)
    }

    #[test]
    fn messages_are_told_apart() {
        let text = "From a@b.c Thu Jan  1 00:00:10 2026\nStatus: RO\nX-Status: AF\n\
                    X-Keywords: $Work x\n\n>From me\n>>From you\nFrom here on\n\nFrom nobody\n\n\
                    From - Thu Jan 1 01:00:20 +0100 2026\nSubject: two\n\nlast\n\n";
        let letters = all(text).unwrap_or_default();
        let [one, two] = letters.as_slice() else { panic!("two messages: {letters:?}") };
        assert_eq!((one.date, two.date), (1_767_225_610, 1_767_225_620));
        assert_eq!(one.flags.system, Flags::SEEN | Flags::ANSWERED | Flags::FLAGGED);
        assert_eq!(one.flags.keywords, ["$Work", "x"]);
        let body = "\r\n\r\nFrom me\r\n>From you\r\nFrom here on\r\n\r\nFrom nobody\r\n";
        assert!(one.wire.ends_with(body.as_bytes()), "{}", String::from_utf8_lossy(&one.wire));
        assert_eq!(two.wire, b"Subject: two\r\n\r\nlast\r\n");
    }

    #[test]
    fn what_is_no_mbox_is_none() {
        for text in ["", "Subject: x\n\n", "From me\n", "From a Thu Foo 1 00:00:00 2026\n"] {
            assert!(all(text).is_none(), "{text}");
        }
    }
}
