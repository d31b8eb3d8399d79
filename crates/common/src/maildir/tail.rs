//! How a message's file name ends, told from its flags where it can be.

use mail_proto::mailbox::Flags;

use super::name;
use super::scan::{MessageFile, Place};

/// How a message's file name goes on behind the base name, and where the file is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Tail {
    /// In `new`, without a tail.
    New,
    /// In `cur`, with `:2,` and the letters of its flags in ASCII order.
    Plain,
    /// Otherwise: letters that we do not know, in another order, no tail in `cur`, one in `new`.
    Odd {
        /// In `new`, not in `cur`.
        in_new: bool,
        /// From the colon on; may be empty.
        text: Box<str>,
    },
}

/// Letters in file names that stand for keywords: `a` to `z`.
pub(super) const LETTER_COUNT: usize = 26;
/// The bits of those keywords; the others are in `posthorn.keywords`.
pub(super) const LETTERS: u64 = (1 << LETTER_COUNT) - 1;

/// What flags stand behind.
const BEGINNING: &str = ":2,";

/// The letters of system flags, in ASCII order.
const SYSTEM: [(u8, char); 5] = [
    (Flags::DRAFT, 'D'),
    (Flags::FLAGGED, 'F'),
    (Flags::ANSWERED, 'R'),
    (Flags::SEEN, 'S'),
    (Flags::DELETED, 'T'),
];

impl Tail {
    /// The flags in a file's name, and how it ends.
    pub(super) fn of(place: Place, name: &str) -> (Flags, Self) {
        let text = name.get(name::base(name).len()..).unwrap_or_default();
        if text.is_empty() && place == Place::New {
            return (Flags::default(), Self::New);
        }
        if let (Place::Cur, Some(flags)) = (place, plain(text)) {
            return (flags, Self::Plain);
        }
        let Odd { flags, .. } = Odd::of(text);
        (flags, Self::Odd { in_new: place == Place::New, text: text.into() })
    }

    /// The same for a message that had these flags: its keywords without letters stay.
    pub(super) fn of_message(place: Place, name: &str, had: Flags) -> (Flags, Self) {
        let (mut flags, tail) = Self::of(place, name);
        flags.keywords |= had.keywords & !LETTERS;
        (flags, tail)
    }

    /// The file of a message, given the beginning of its name; `file` is used again, whatever it
    /// was.
    pub(super) fn locate(&self, base: &str, flags: Flags, file: &mut MessageFile) {
        file.name.clear();
        file.name.push_str(base);
        file.place = self.place();
        match self {
            Self::New => {}
            Self::Plain => {
                file.name.push_str(BEGINNING);
                push_letters(flags, &mut file.name);
            }
            Self::Odd { text, .. } => file.name.push_str(text),
        }
    }

    /// Where the file of a message is.
    pub(super) fn place(&self) -> Place {
        match self {
            Self::New | Self::Odd { in_new: true, .. } => Place::New,
            Self::Plain | Self::Odd { in_new: false, .. } => Place::Cur,
        }
    }

    /// How it ends when the message has other flags: it is in `cur` then, and what others put into
    /// its name is kept.
    pub(super) fn with_flags(&self, flags: Flags) -> Self {
        let Self::Odd { text, .. } = self else { return Self::Plain };
        let Odd { others: mut letters, rest, .. } = Odd::of(text);
        if letters.is_empty() && rest.is_empty() {
            return Self::Plain;
        }
        push_letters(flags, &mut letters);
        let mut letters: Vec<char> = letters.chars().collect();
        letters.sort_unstable();
        letters.dedup();
        let text = [BEGINNING, &String::from_iter(letters), rest].concat();
        Self::Odd { in_new: false, text: text.into() }
    }

    /// Whether others wrote the same into both, whatever flags they say and wherever the files are.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let bare = |tail: &Self| tail.with_flags(Flags::default());
        self == other || bare(self) == bare(other)
    }

    /// How it ends when only its place changes from `new` to `cur`: there each name says of flags,
    /// if only that there are none.
    pub(super) fn in_cur(&self) -> Self {
        match self {
            Self::New | Self::Plain => Self::Plain,
            Self::Odd { text, .. } if plain(text).is_some() => Self::Plain,
            Self::Odd { text, .. } if text.contains(':') => {
                Self::Odd { in_new: false, text: text.clone() }
            }
            Self::Odd { .. } => Self::Plain,
        }
    }
}

/// The flags of a tail that is as we write it.
fn plain(text: &str) -> Option<Flags> {
    let letters = text.strip_prefix(BEGINNING)?;
    let mut flags = Flags::default();
    let mut last = '\0';
    for letter in letters.chars() {
        if letter <= last || !take(letter, &mut flags) {
            return None;
        }
        last = letter;
    }
    Some(flags)
}

/// What a tail says that is not as we write it.
#[derive(Debug)]
struct Odd<'text> {
    flags: Flags,
    /// Letters that others gave a meaning (`P`, passed), kept as they are.
    others: String,
    /// From a second comma on, kept as it is.
    rest: &'text str,
}

impl<'text> Odd<'text> {
    fn of(text: &'text str) -> Self {
        let (_, letters) = text.split_once(BEGINNING).unwrap_or_default();
        let (letters, rest) = letters.split_at(letters.find(',').unwrap_or(letters.len()));
        let mut flags = Flags::default();
        let others = letters.chars().filter(|letter| !take(*letter, &mut flags)).collect();
        Self { flags, others, rest }
    }
}

/// Takes in the flag that a letter stands for; whether it is one of ours.
fn take(letter: char, flags: &mut Flags) -> bool {
    match SYSTEM.iter().find(|(_, known)| *known == letter) {
        Some((bit, _)) => flags.system |= bit,
        None if letter.is_ascii_lowercase() => {
            flags.keywords |= 1 << (u32::from(letter) - u32::from('a'));
        }
        None => return false,
    }
    true
}

/// The letters of flags, in ASCII order.
fn push_letters(flags: Flags, name: &mut String) {
    for (bit, letter) in SYSTEM {
        if flags.system & bit != 0 {
            name.push(letter);
        }
    }
    let mut keywords = flags.keywords & LETTERS;
    while keywords != 0 {
        let letter = u8::try_from(keywords.trailing_zeros()).unwrap_or_default();
        name.push(char::from(b'a' + letter));
        keywords &= keywords - 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_flags() {
        let table = [
            (Place::New, "1.a", Tail::New),
            (Place::Cur, "1.a:2,", Tail::Plain),
            (Place::Cur, "1.a:2,DFRSTabz", Tail::Plain),
            (Place::Cur, "1.a", Tail::Odd { in_new: false, text: "".into() }),
            (Place::New, "1.a:2,S", Tail::Odd { in_new: true, text: ":2,S".into() }),
            (Place::Cur, "1.a:2,PS", Tail::Odd { in_new: false, text: ":2,PS".into() }),
            (Place::Cur, "1.a:2,TS", Tail::Odd { in_new: false, text: ":2,TS".into() }),
            (Place::Cur, "1.a:2,S,x", Tail::Odd { in_new: false, text: ":2,S,x".into() }),
        ];
        for (place, name, expected) in table {
            let (flags, tail) = Tail::of(place, name);
            assert_eq!(tail, expected, "{name}");
            assert_eq!(flags, Odd::of(name).flags, "{name}");
            let mut file = MessageFile { place: Place::New, name: "old".to_owned() };
            tail.locate("1.a", flags, &mut file);
            assert_eq!(file, MessageFile { place, name: name.to_owned() });
        }
    }

    #[test]
    fn flags_are_read_and_written_in_order() {
        let table = [
            ("1.a", 0, 0, "1.a:2,"),
            ("1.a:2,", 0, 0, "1.a:2,"),
            ("1.a:2,S", Flags::SEEN, 0, "1.a:2,S"),
            ("1.a:2,SFba", Flags::SEEN | Flags::FLAGGED, 3, "1.a:2,FSab"),
            ("1.a:2,TRDz", Flags::DELETED | Flags::ANSWERED | Flags::DRAFT, 1 << 25, "1.a:2,DRTz"),
            ("1.a:2,PSX", Flags::SEEN, 0, "1.a:2,PSX"),
            ("1.a:2,S,foo", Flags::SEEN, 0, "1.a:2,S,foo"),
            ("1.a:1,S", 0, 0, "1.a:2,"),
        ];
        for (name, system, keywords, written) in table {
            let (flags, tail) = Tail::of(Place::Cur, name);
            assert_eq!(flags, Flags { system, keywords }, "{name}");
            let mut file = MessageFile::default();
            tail.with_flags(flags).locate("1.a", flags, &mut file);
            assert_eq!(file, MessageFile { place: Place::Cur, name: written.to_owned() });
        }
    }

    #[test]
    fn what_others_wrote_is_kept() {
        let seen = Flags { system: Flags::SEEN, keywords: 1 << 30 };
        let table = [("1.a:2,PX", ":2,PSX"), ("1.a:2,FP,x", ":2,PS,x")];
        for (name, text) in table {
            let (_, tail) = Tail::of(Place::Cur, name);
            let expected = Tail::Odd { in_new: false, text: text.into() };
            assert_eq!(tail.with_flags(seen), expected, "{name}");
        }
        assert_eq!(Tail::of(Place::Cur, "1.a:2,TF").1.with_flags(seen), Tail::Plain);
        assert_eq!(Tail::of(Place::New, "1.a:1,x").1.in_cur(), Tail::of(Place::Cur, "1.a:1,x").1);
    }
}
