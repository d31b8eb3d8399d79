//! Where a command begins and ends: lines, and literals between them (RFC 3501, 4.3; RFC 7888).
//!
//! A command is gathered where it lies, in the input, and read there. Two things must not lie
//! there: the message of an APPEND, which its owner takes out block by block
//! ([`Commands::move_octets`]), and what is refused anyway. Of a refused command the rest is
//! passed over without being kept, non-synchronising literals included: their octets would
//! otherwise be taken for commands, and whoever wrote the message would command the mailbox.
//!
//! After a refused synchronising literal nothing should follow, but some clients send it all the
//! same. [`Refused::unasked`] says how much may come, so that it is not held against them.

use super::Refusal;
use crate::line::{Input, Line};

/// Digits, `+` and braces of the longest literal header we look for behind a passed-over line.
const HEADER: usize = 32;

/// The longest tag that is sent back.
const TAG: usize = 256;

/// What stands at the beginning of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Framed {
    /// A whole command: read [`Commands::bytes`], then call [`Commands::done`].
    Command,
    /// The command so far ends in the header of a literal: read [`Commands::bytes`], then call
    /// [`Commands::gather`], [`Commands::begin_message`] or [`Commands::refuse`].
    Announced(Literal),
    /// A command that was passed over, and why.
    Refused(Refused),
    /// More must be received.
    Partial,
}

/// The header of a literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Literal {
    /// Its octets.
    pub size: u64,
    /// Whether the client waits for our `+`.
    pub synchronizing: bool,
}

/// A command that was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its tag, or `*`.
    pub tag: String,
    /// Why.
    pub why: Refusal,
    /// Octets that a client may send although it was not told to.
    pub unasked: u64,
}

/// Bytes from the client, cut into commands.
#[derive(Debug, Default)]
pub struct Commands {
    input: Input,
    /// Octets of the command that were looked at.
    scanned: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Looking for the end of the line that begins there.
    Line { start: usize },
    /// The literal reaches to there.
    Literal { end: usize },
    /// The line ended in a literal's header.
    Announced(Literal),
    /// The command is complete.
    Whole,
    /// What is left of a refused command's line is passed over; its end so far is kept.
    PassLine { refused: Refused, tail: Vec<u8> },
    /// So much is left of a refused command's literal.
    PassLiteral { refused: Refused, left: u64 },
    /// The refused command is over.
    Passed(Refused),
}

impl Default for State {
    fn default() -> Self {
        Self::Line { start: 0 }
    }
}

impl Commands {
    /// What the client sent before there was a session to take it.
    #[must_use]
    pub fn new(unread: &[u8]) -> Self {
        let mut commands = Self::default();
        commands.receive(unread);
        commands
    }

    /// Adds what the client sent.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.input.push(bytes);
    }

    /// Whether nothing is left to read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.input.is_empty()
    }

    /// Forgets what was read. Call before going back to reading from the peer.
    pub fn compact(&mut self) {
        self.input.compact();
    }

    /// Takes all that is unread.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        self.input.take()
    }

    /// The next command, of at most `limit` octets with its literals.
    pub fn next(&mut self, limit: usize) -> Framed {
        loop {
            let goes_on = match &self.state {
                State::Line { start } => self.scan_line(*start, limit),
                State::Literal { end } => self.scan_literal(*end),
                State::Announced(literal) => return Framed::Announced(*literal),
                State::Whole => return Framed::Command,
                State::PassLine { .. } => self.pass_line(),
                State::PassLiteral { .. } => self.pass_literal(),
                State::Passed(refused) => {
                    let refused = refused.clone();
                    self.state = State::default();
                    return Framed::Refused(refused);
                }
            };
            if !goes_on {
                return Framed::Partial;
            }
        }
    }

    /// The command, or its part up to a literal's header; without the CRLF behind it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.input.unread().get(..self.scanned.saturating_sub(2)).unwrap_or_default()
    }

    /// The command was read: the next one may come.
    pub fn done(&mut self) {
        self.input.consume(self.scanned);
        self.scanned = 0;
        self.state = State::default();
    }

    /// The announced literal belongs to the command; `false`: it does not fit, and is refused.
    pub fn gather(&mut self, literal: Literal, limit: usize) -> bool {
        let end =
            usize::try_from(literal.size).ok().and_then(|size| self.scanned.checked_add(size));
        match end.filter(|&end| end <= limit) {
            Some(end) => self.state = State::Literal { end },
            None => self.refuse(Refusal::TOO_LONG),
        }
        self.state_is_literal()
    }

    fn state_is_literal(&self) -> bool {
        matches!(self.state, State::Literal { .. })
    }

    /// The announced literal is a message: the command so far is read, and the message's octets
    /// come next, through [`move_octets`](Self::move_octets).
    pub fn begin_message(&mut self) {
        self.done();
    }

    /// Moves at most `count` unread octets into `block`; returns how many.
    pub fn move_octets(&mut self, count: usize, block: &mut Vec<u8>) -> usize {
        let unread = self.input.unread();
        let octets = unread.get(..count).unwrap_or(unread);
        let moved = octets.len();
        block.extend_from_slice(octets);
        self.input.consume(moved);
        moved
    }

    /// Passes over the command, whose literal was announced or whose message was begun.
    pub fn refuse(&mut self, why: Refusal) {
        let literal = match self.state {
            State::Announced(literal) => Some(literal),
            _ => None,
        };
        self.pass_over(why, literal);
    }

    /// Passes over `left` octets of a message and the rest of its command.
    pub fn refuse_message(&mut self, tag: String, why: Refusal, left: u64) {
        let refused = Refused { tag, why, unasked: 0 };
        self.state = State::PassLiteral { refused, left };
    }

    /// A line that is no command (a SASL response); `Some(None)`: a bad one was passed over.
    pub fn line(&mut self, limit: usize) -> Option<Option<Vec<u8>>> {
        match self.input.line(limit) {
            Line::Whole(range) => Some(Some(self.input.bytes_of(range).to_vec())),
            Line::Bad(_) => Some(None),
            Line::Partial => None,
        }
    }

    /// Whether the next line is `word`, in any case; passes over it if so. `None`: it is not yet
    /// known.
    pub fn line_is(&mut self, word: &str) -> Option<bool> {
        let unread = self.input.unread();
        let end = unread.iter().take(word.len() + 2).position(|&byte| byte == b'\n');
        let Some(end) = end else {
            return (unread.len() >= word.len() + 2).then_some(false);
        };
        let line = unread.get(..end).unwrap_or_default();
        let is_word =
            line.strip_suffix(b"\r").is_some_and(|line| line.eq_ignore_ascii_case(word.as_bytes()));
        if is_word {
            self.input.consume(end + 1);
        }
        Some(is_word)
    }

    /// Looks for the end of a line; `false`: it is not here yet.
    fn scan_line(&mut self, start: usize, limit: usize) -> bool {
        let unread = self.input.unread();
        let found = unread.iter().skip(self.scanned).position(|&byte| byte == b'\n');
        let Some(at) = found else {
            self.scanned = unread.len();
            if self.scanned <= limit {
                return false;
            }
            let tail = last(unread.get(start..).unwrap_or_default());
            let refused = self.refused(Refusal::TOO_LONG, None);
            self.done();
            self.state = State::PassLine { refused, tail };
            return true;
        };
        self.scanned += at + 1;
        let line = unread.get(start..self.scanned).unwrap_or_default();
        let literal = announced(line);
        match judge(line).or((self.scanned > limit).then_some(Refusal::TOO_LONG)) {
            Some(why) => self.pass_over(why, literal),
            None => self.state = literal.map_or(State::Whole, State::Announced),
        }
        true
    }

    fn scan_literal(&mut self, end: usize) -> bool {
        if self.input.unread().len() < end {
            return false;
        }
        self.scanned = end;
        self.state = State::Line { start: end };
        true
    }

    /// Refuses what was looked at so far, and a literal behind it.
    fn pass_over(&mut self, why: Refusal, literal: Option<Literal>) {
        let refused = self.refused(why, literal);
        self.done();
        self.state = match literal {
            Some(Literal { size, synchronizing: false }) => {
                State::PassLiteral { refused, left: size }
            }
            _ => State::Passed(refused),
        };
    }

    fn refused(&self, why: Refusal, literal: Option<Literal>) -> Refused {
        let unasked = literal.filter(|literal| literal.synchronizing).map_or(0, |it| it.size);
        Refused { tag: tag(self.input.unread()), why, unasked }
    }

    fn pass_line(&mut self) -> bool {
        let State::PassLine { refused, tail } = &mut self.state else {
            return true;
        };
        let unread = self.input.unread();
        let end = unread.iter().position(|&byte| byte == b'\n').map(|at| at + 1);
        tail.extend_from_slice(unread.get(..end.unwrap_or(unread.len())).unwrap_or_default());
        *tail = last(tail);
        if end.is_some() {
            let refused = refused.clone();
            self.state = match announced(tail) {
                Some(Literal { size, synchronizing: false }) => {
                    State::PassLiteral { refused, left: size }
                }
                _ => State::Passed(refused),
            };
        }
        let passed = end.unwrap_or(unread.len());
        self.input.consume(passed);
        end.is_some()
    }

    fn pass_literal(&mut self) -> bool {
        let State::PassLiteral { refused, left } = &mut self.state else {
            return true;
        };
        let here = self.input.unread().len();
        let passed = usize::try_from(*left).unwrap_or(usize::MAX).min(here);
        *left -= passed as u64;
        let is_over = *left == 0;
        if is_over {
            self.state = State::PassLine { refused: refused.clone(), tail: Vec::new() };
        }
        self.input.consume(passed);
        is_over
    }
}

/// What is wrong with a line that ends in LF.
fn judge(line: &[u8]) -> Option<Refusal> {
    let Some(text) = line.strip_suffix(b"\r\n") else {
        return Some(Refusal::Bad("Line does not end in CRLF"));
    };
    if text.contains(&b'\r') {
        return Some(Refusal::Bad("CR within a line"));
    }
    text.contains(&0).then_some(Refusal::Bad("NUL within a line"))
}

/// The literal whose header stands before a line's end.
fn announced(line: &[u8]) -> Option<Literal> {
    let text = line.strip_suffix(b"\n")?;
    let text = text.strip_suffix(b"\r").unwrap_or(text).strip_suffix(b"}")?;
    let (text, synchronizing) = match text.strip_suffix(b"+") {
        Some(text) => (text, false),
        None => (text, true),
    };
    let digits = text.rsplit(|&byte| byte == b'{').next().filter(|it| it.len() < text.len())?;
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // What does not fit is far beyond every limit.
    let size = std::str::from_utf8(digits).ok()?.parse().unwrap_or(u64::MAX);
    Some(Literal { size, synchronizing })
}

/// The last bytes of a line, enough for a literal's header.
fn last(bytes: &[u8]) -> Vec<u8> {
    bytes.get(bytes.len().saturating_sub(HEADER)..).unwrap_or_default().to_vec()
}

/// The tag at the beginning of a command, or `*` where there is none that can be sent back.
#[must_use]
pub fn tag(command: &[u8]) -> String {
    let end = command.iter().take(TAG + 1).position(|byte| matches!(byte, b' ' | b'\r' | b'\n'));
    let end = end.unwrap_or(if command.len() > TAG { 0 } else { command.len() });
    let tag = command.get(..end).unwrap_or_default();
    let valid = !tag.is_empty() && tag.iter().all(|&byte| super::is_tag_char(byte));
    let text = std::str::from_utf8(tag).ok().filter(|_| valid);
    text.unwrap_or("*").to_owned()
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out of pieces, gathering every literal.
    fn framed(pieces: &[&[u8]], limit: usize) -> Vec<String> {
        let mut commands = Commands::default();
        let mut found = Vec::new();
        for piece in pieces {
            commands.receive(piece);
            loop {
                match commands.next(limit) {
                    Framed::Command => {
                        found.push(commands.bytes().escape_ascii().to_string());
                        commands.done();
                    }
                    Framed::Announced(literal) => {
                        if commands.gather(literal, limit) && literal.synchronizing {
                            found.push("+".to_owned());
                        }
                    }
                    Framed::Refused(refused) => {
                        found.push(format!("{} {} {}", refused.tag, refused.why, refused.unasked));
                    }
                    Framed::Partial => break,
                }
            }
            commands.compact();
            assert!(commands.input.unread().len() <= limit.max(1) + piece.len());
        }
        assert!(commands.is_empty(), "{commands:?}");
        found
    }

    #[test]
    fn commands_in_any_split() {
        let table: [(&[u8], &[&str]); 12] = [
            (b"a NOOP\r\nb NOOP\r\n", &["a NOOP", "b NOOP"]),
            (b"a X {3}\r\na\r\n {2+}\r\n\n\n\r\n", &["+", "a X {3}\\r\\na\\r\\n {2+}\\r\\n\\n\\n"]),
            (b"a X {0}\r\n\r\n", &["+", "a X {0}\\r\\n"]),
            (b"\r\n", &[""]),
            (b"a NOOP\nb NOOP\r\n", &["a BAD Line does not end in CRLF 0", "b NOOP"]),
            (b"a NO\rOP\r\n", &["a BAD CR within a line 0"]),
            (b"a NO\0OP\r\nb NOOP\r\n", &["a BAD NUL within a line 0", "b NOOP"]),
            (b"a X {99}\r\nb NOOP\r\n", &["a BAD Command too long 99", "b NOOP"]),
            (
                b"a X {42+}\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\nb DELETE x\r\n {3+}\r\n\r\n\n\r\nc NOOP\r\n",
                &["a BAD Command too long 0", "c NOOP"],
            ),
            (
                b"a xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx {12+}\r\nb DELETE x\r\n\r\nc NOOP\r\n",
                &["a BAD Command too long 0", "c NOOP"],
            ),
            (
                b"a {12+}\nb DELETE x\r\n\r\nc NOOP\r\n",
                &["a BAD Line does not end in CRLF 0", "c NOOP"],
            ),
            (b"(x) {5}x\r\n{} {x} {+}\r\n", &["(x) {5}x", "{} {x} {+}"]),
        ];
        for (bytes, expected) in table {
            for size in [1, 2, 3, 7, bytes.len()] {
                let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
                let found = framed(&pieces, 40);
                assert_eq!(found, expected, "{} in pieces of {size}", bytes.escape_ascii());
            }
        }
    }

    #[test]
    fn what_is_passed_over_is_not_kept() {
        let mut commands = Commands::new(b"a X {18446744073709551615+}\r\n");
        assert!(matches!(commands.next(50), Framed::Announced(_)));
        assert!(!commands.gather(Literal { size: u64::MAX, synchronizing: false }, 50));
        for _ in 0..100 {
            commands.receive(&[b'x'; 1000]);
            assert_eq!(commands.next(50), Framed::Partial);
            assert!(commands.is_empty());
        }
    }

    #[test]
    fn a_word_on_its_own() {
        let table: [(&[u8], Option<bool>); 7] = [
            (b"DONE\r\n", Some(true)),
            (b"done\r\nx", Some(true)),
            (b"DON", None),
            (b"DONE\r", None),
            (b"DONE\n", Some(false)),
            (b"a IDLE\r\n", Some(false)),
            (b"\r\n", Some(false)),
        ];
        for (bytes, expected) in table {
            assert_eq!(Commands::new(bytes).line_is("DONE"), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn tags() {
        for (command, expected) in [("a1 NOOP", "a1"), ("+ NOOP", "*"), ("", "*"), ("a*b x", "*")] {
            assert_eq!(tag(command.as_bytes()), expected);
        }
    }
}
