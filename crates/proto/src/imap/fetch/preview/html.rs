//! The words of an HTML text, without its tags, styles, scripts and comments.
//!
//! Not a parser of HTML: it knows no more than where words are and where they are not, and goes
//! character by character in memory that is bounded, whatever comes.

use super::Line;
use super::entities;

/// HTML under way.
#[derive(Debug, Default)]
pub(super) struct Html {
    state: State,
}

#[derive(Debug, Clone, Copy, Default)]
enum State {
    #[default]
    Text,
    /// Behind `&`: what came since.
    Entity(Name),
    /// Behind `<`.
    Opened,
    /// Behind `<!`.
    Declaring,
    /// Behind `<!-`.
    Commenting,
    /// In a comment, behind so many `-`.
    Comment(u8),
    /// In a declaration or an instruction.
    Declaration,
    Tag(Tag),
    /// In an element that is not shown, behind so many octets of its closing tag.
    Unseen(&'static str, usize),
}

#[derive(Debug, Clone, Copy)]
struct Tag {
    /// In lower case.
    name: Name,
    kind: Kind,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Opening,
    Closing,
}

/// Where in a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Name,
    Attributes,
    /// Behind `=`.
    Value,
    Quoted(char),
    Unquoted,
    /// Behind `/`.
    Slash,
}

/// Elements whose content nobody sees.
const UNSEEN: [&str; 3] = ["script", "style", "title"];

/// Elements that may stand within a word.
const WITHIN_WORDS: [&str; 26] = [
    "a", "abbr", "b", "bdi", "bdo", "big", "cite", "code", "del", "em", "font", "i", "ins", "kbd",
    "mark", "q", "s", "small", "span", "strike", "strong", "sub", "sup", "tt", "u", "wbr",
];

/// Octets kept of a name: more than those of tags have that matter, and as many as the longest of
/// an entity that is known, numbers too.
const NAME_LIMIT: usize = 8;

/// The beginning of a name in ASCII.
#[derive(Debug, Clone, Copy, Default)]
struct Name {
    octets: [u8; NAME_LIMIT],
    length: usize,
}

impl Name {
    /// Whether there was room.
    fn push(&mut self, character: char) -> bool {
        let Some(octet) = self.octets.get_mut(self.length) else { return false };
        let Ok(value) = u8::try_from(character) else { return false };
        *octet = value;
        self.length += 1;
        true
    }

    fn text(&self) -> &str {
        let octets = self.octets.get(..self.length).unwrap_or_default();
        std::str::from_utf8(octets).unwrap_or_default()
    }
}

impl Html {
    pub(super) fn push(&mut self, character: char, line: &mut Line) {
        self.state = match self.state {
            State::Text => text(character, line),
            State::Entity(name) => entity(name, character, line),
            State::Opened => opened(character, line),
            State::Declaring if character == '-' => State::Commenting,
            // HTML takes `<!-->` for a whole comment.
            State::Commenting if character == '-' => State::Comment(2),
            State::Comment(dashes) => comment(dashes, character),
            State::Declaring | State::Commenting | State::Declaration => declaration(character),
            State::Tag(tag) => tag.then(character, line),
            State::Unseen(element, matched) => unseen(element, matched, character),
        };
    }

    pub(super) fn finish(self, line: &mut Line) {
        match self.state {
            State::Entity(name) => no_entity(name, line),
            State::Opened => line.push('<'),
            _ => {}
        }
    }
}

fn text(character: char, line: &mut Line) -> State {
    match character {
        '<' => return State::Opened,
        '&' => return State::Entity(Name::default()),
        _ => line.push(character),
    }
    State::Text
}

fn entity(mut name: Name, character: char, line: &mut Line) -> State {
    if character == ';' {
        match entities::character(name.text()) {
            Some(meant) => line.push(meant),
            None => {
                no_entity(name, line);
                line.push(';');
            }
        }
        return State::Text;
    }
    let belongs = character.is_ascii_alphanumeric() || (character == '#' && name.length == 0);
    if belongs && name.push(character) {
        return State::Entity(name);
    }
    no_entity(name, line);
    text(character, line)
}

/// What began like an entity is text.
fn no_entity(name: Name, line: &mut Line) {
    line.push('&');
    name.text().chars().for_each(|character| line.push(character));
}

fn opened(character: char, line: &mut Line) -> State {
    let mut name = Name::default();
    let kind = match character {
        '!' => return State::Declaring,
        '?' => return State::Declaration,
        '/' => Kind::Closing,
        _ if character.is_ascii_alphabetic() => {
            name.push(character.to_ascii_lowercase());
            Kind::Opening
        }
        _ => {
            line.push('<');
            return text(character, line);
        }
    };
    State::Tag(Tag { name, kind, place: Place::Name })
}

fn declaration(character: char) -> State {
    if character == '>' { State::Text } else { State::Declaration }
}

fn comment(dashes: u8, character: char) -> State {
    match character {
        '-' => State::Comment(dashes.saturating_add(1)),
        '>' if dashes >= 2 => State::Text,
        _ => State::Comment(0),
    }
}

impl Tag {
    fn then(mut self, character: char, line: &mut Line) -> State {
        self.place = match (self.place, character) {
            (Place::Quoted(quote), _) if character == quote => Place::Attributes,
            (Place::Quoted(quote), _) => Place::Quoted(quote),
            (_, '>') => return self.end(line),
            (Place::Name, _) if character.is_ascii_alphanumeric() => {
                self.name.push(character.to_ascii_lowercase());
                Place::Name
            }
            (Place::Value, '"' | '\'') => Place::Quoted(character),
            (Place::Value, _) if character.is_ascii_whitespace() => Place::Value,
            (Place::Unquoted, _) if character.is_ascii_whitespace() => Place::Attributes,
            (Place::Value | Place::Unquoted, _) => Place::Unquoted,
            (_, '/') => Place::Slash,
            (_, '=') => Place::Value,
            _ => Place::Attributes,
        };
        State::Tag(self)
    }

    fn end(self, line: &mut Line) -> State {
        if !WITHIN_WORDS.contains(&self.name.text()) {
            line.push(' ');
        }
        let unseen = UNSEEN.into_iter().find(|element| *element == self.name.text());
        match unseen {
            Some(element) if self.kind == Kind::Opening && self.place != Place::Slash => {
                State::Unseen(element, 0)
            }
            _ => State::Text,
        }
    }
}

/// Waits for `</`, the element's name, and then for the end of that tag.
fn unseen(element: &'static str, matched: usize, character: char) -> State {
    let mut closing = "</".chars().chain(element.chars());
    let expected = closing.nth(matched);
    if expected == Some(character.to_ascii_lowercase()) {
        if closing.next().is_some() {
            return State::Unseen(element, matched + 1);
        }
        let tag = Tag { name: Name::default(), kind: Kind::Closing, place: Place::Attributes };
        return State::Tag(tag);
    }
    // Only its first octet is `<`, so no other match can be under way.
    State::Unseen(element, usize::from(character == '<'))
}
