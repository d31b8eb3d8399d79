//! `<name>` binds what stands there the first time and must find the same ever after; it is the
//! only pattern there is. In what a client says, `<5000*x>` is five thousand x. What cannot
//! stand in a line of text is written by its picture: ␀ ␍ ␊.

use std::collections::HashMap;

/// What the names of a chat stand for.
#[derive(Debug, Default)]
pub(crate) struct Names(HashMap<String, String>);

impl Names {
    /// Whether a line is what was expected. Names bind only if all of it is.
    pub(crate) fn matches(&mut self, expected: &str, heard: &str) -> bool {
        let mut bound = HashMap::new();
        if !self.fits(&pieces(expected), heard, &mut bound) {
            return false;
        }
        self.0.extend(bound);
        true
    }

    /// A client's line with its names filled in.
    pub(crate) fn fill(&self, line: &str) -> Vec<u8> {
        let mut filled = String::new();
        for piece in pieces(line) {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Name(name) => match self.0.get(name) {
                    Some(value) => filled.push_str(value),
                    None => filled.extend(["<", name, ">"]),
                },
                Piece::Times(count, text) => filled.push_str(&text.repeat(count)),
            }
        }
        filled.replace('␀', "\0").replace('␍', "\r").replace('␊', "\n").into_bytes()
    }

    fn fits(&self, expected: &[Piece], heard: &str, bound: &mut HashMap<String, String>) -> bool {
        let Some((first, rest)) = expected.split_first() else {
            return heard.is_empty();
        };
        match first {
            Piece::Text(text) => {
                heard.strip_prefix(text).is_some_and(|heard| self.fits(rest, heard, bound))
            }
            Piece::Times(count, text) => heard
                .strip_prefix(&text.repeat(*count))
                .is_some_and(|heard| self.fits(rest, heard, bound)),
            Piece::Name(name) => {
                let known = self.0.get(*name).or_else(|| bound.get(*name)).cloned();
                if let Some(known) = known {
                    return heard
                        .strip_prefix(&known)
                        .is_some_and(|heard| self.fits(rest, heard, bound));
                }
                let ends = heard.char_indices().map(|(at, c)| at + c.len_utf8());
                for (value, after) in ends.map(|end| heard.split_at(end)) {
                    bound.insert((*name).to_owned(), value.to_owned());
                    if self.fits(rest, after, bound) {
                        return true;
                    }
                }
                bound.remove(*name);
                false
            }
        }
    }
}

/// How a line that was heard is written in a chat.
pub(crate) fn written(line: &[u8]) -> String {
    let text: String = match std::str::from_utf8(line) {
        Ok(text) => text.to_owned(),
        // As Latin-1: wrong for people, but no byte is lost.
        Err(_) => line.iter().map(|&byte| char::from(byte)).collect(),
    };
    text.replace('\0', "␀").replace('\r', "␍").replace('\n', "␊")
}

#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Name(&'a str),
    Times(usize, &'a str),
}

fn pieces(line: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut text = line;
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find('<')).map(|at| at + from) {
        let (before, bracket) = text.split_at(at);
        let inside = bracket.split_once('>').map(|(inside, after)| (&inside[1..], after));
        match inside.and_then(|(inside, after)| Some((special(inside)?, after))) {
            Some((piece, after)) => {
                pieces.push(Piece::Text(before));
                pieces.push(piece);
                text = after;
                from = 0;
            }
            None => from = at + 1,
        }
    }
    pieces.push(Piece::Text(text));
    pieces
}

fn special(inside: &str) -> Option<Piece<'_>> {
    if let Some((count, text)) = inside.split_once('*') {
        return Some(Piece::Times(count.parse().ok()?, text));
    }
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let begins = inside.starts_with(|c: char| c.is_ascii_lowercase());
    (begins && inside.chars().all(letters)).then_some(Piece::Name(inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_bind_and_must_match_after() {
        let mut names = Names::default();
        assert!(names.matches("* OK [UIDVALIDITY <v>] Ok", "* OK [UIDVALIDITY 17] Ok"));
        assert!(!names.matches("* OK [UIDVALIDITY <v>] Ok", "* OK [UIDVALIDITY 18] Ok"));
        assert!(names.matches("<v> <x>", "17 a b"));
        assert_eq!(names.fill("FETCH <v> <x> <y>"), b"FETCH 17 a b <y>");
        assert!(!names.matches("<a> <a>", "1 2"));
        assert!(names.matches("<a> <a>", "2 2"));
        assert!(!names.matches("x<z>", "x"));
    }

    #[test]
    fn addresses_are_no_names() {
        let mut names = Names::default();
        assert!(names.matches("to <ann@example.org> <id>", "to <ann@example.org> 7"));
        assert!(!names.matches("to <ann@example.org>", "to <bob@example.org>"));
        assert!(names.matches("<Postmaster>", "<Postmaster>"));
    }

    #[test]
    fn pictures_and_repetitions() {
        let names = Names::default();
        assert_eq!(names.fill("a␀b␍␊c"), b"a\0b\r\nc");
        assert_eq!(names.fill("<3*xy>!"), b"xyxyxy!");
        assert_eq!(written(b"a\0b"), "a␀b");
        assert_eq!(written(b"\xff"), "ÿ");
    }
}
