//! What a person may want to know of a spool.

use std::fmt;
use std::ops::Range;

use mail_common::log::Id;

use crate::row::Place;

/// Octets of a segment that were not what they must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// The segment's slot.
    pub slot: u32,
    /// Its generation.
    pub generation: u64,
    /// The octets, from its beginning.
    pub range: Range<u64>,
}

/// Something that a person may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A process has the spool, and what it writes just now may look unfinished.
    Running,
    /// A checkpoint does not hold.
    Checkpoint {
        /// Its file.
        name: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The header of a segment is damaged.
    Segment {
        /// Its slot.
        slot: u32,
        /// As its records say; `None`: there are none.
        generation: Option<u64>,
    },
    /// Records are damaged.
    Damage {
        /// Where.
        stretch: Stretch,
        /// Whose message is the first, if that can be read.
        letter: Option<String>,
    },
    /// The last commit of a segment is not whole: most likely it was promised to nobody.
    Unfinished {
        /// Where.
        stretch: Stretch,
        /// Whose message is the first, if that can be read.
        letter: Option<String>,
    },
    /// The disk does not give a part of a segment.
    Withheld {
        /// Its slot.
        slot: u32,
        /// Where the first block of it begins.
        offset: u64,
        /// How many blocks.
        blocks: usize,
    },
    /// A record is whole, but makes no sense.
    Text {
        /// Of which message.
        id: Id,
        /// Where.
        stretch: Stretch,
        /// What is wrong.
        why: String,
    },
    /// The body of a message is not what was written.
    Body {
        /// Of which message.
        id: Id,
    },
    /// The letter of a message is nowhere.
    Lost {
        /// Of which message.
        id: Id,
    },
    /// The progress of a message is nowhere: it is tried for all recipients.
    LostProgress {
        /// Of which message.
        id: Id,
    },
    /// The body of a message should be in `big/`, and is not.
    BigMissing {
        /// Of which message.
        id: Id,
    },
    /// Something that is of no spool: nobody reads it.
    Stranger {
        /// Its name.
        name: String,
    },
    /// A body in `big/` is of no message.
    Orphan {
        /// Its name.
        id: Id,
    },
}

impl Stretch {
    /// A record.
    pub(crate) fn of(place: Place, generation: u64) -> Self {
        Self { slot: place.slot, generation, range: place.offset()..place.end() }
    }
}

impl Finding {
    /// Whether mail may be lost, or sent twice.
    #[must_use]
    pub fn is_harm(&self) -> bool {
        !matches!(
            self,
            Self::Running
                | Self::Stranger { .. }
                | Self::Segment { generation: Some(_), .. }
                | Self::Orphan { .. }
        )
    }

    /// The octets that it is about.
    pub(crate) fn stretch(&self) -> Option<&Stretch> {
        match self {
            Self::Damage { stretch, .. }
            | Self::Unfinished { stretch, .. }
            | Self::Text { stretch, .. } => Some(stretch),
            _ => None,
        }
    }
}

impl fmt::Display for Stretch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slot, generation, range } = self;
        let Range { start, end } = range;
        write!(f, "segment {slot:08x}, generation {generation}, octets {start} to {end}")
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running => {
                f.write_str("a process has this spool: what it writes now may look damaged")
            }
            Self::Stranger { name } => write!(f, "{name}: not of a spool, and read by nobody"),
            Self::Checkpoint { name, why } => write!(f, "{name}: {why}"),
            Self::Segment { slot, generation: Some(generation) } => {
                write!(
                    f,
                    "segment {slot:08x}: its header is damaged; its records are of generation {generation}"
                )
            }
            Self::Segment { slot, generation: None } => {
                write!(f, "segment {slot:08x}: damaged, there is no record in it")
            }
            Self::Damage { stretch, letter } => {
                write!(f, "{stretch}: damaged{}", Whose(letter.as_deref()))
            }
            Self::Unfinished { stretch, letter } => {
                let whose = Whose(letter.as_deref());
                write!(f, "{stretch}: not whole{whose}; most likely never answered 250")
            }
            Self::Withheld { slot, offset, blocks } => {
                write!(
                    f,
                    "segments/{slot:08x}: the disk does not give {blocks} of its blocks, the first at \
                     octet {offset}: mail that stands there is missing until a start can read it"
                )
            }
            Self::Text { id, stretch, why } => write!(f, "{id}: {stretch}: {why}"),
            Self::Body { id } => write!(f, "{id}: its body is damaged"),
            Self::Lost { id } => write!(f, "{id}: its letter is damaged or gone"),
            Self::LostProgress { id } => {
                write!(
                    f,
                    "{id}: its progress is damaged or gone; it is tried for all recipients again"
                )
            }
            Self::BigMissing { id } => write!(f, "{id}: its body is not in big/"),
            Self::Orphan { id } => write!(f, "big/{id}: of no message"),
        }
    }
}

/// `, beginning with <whose>`, where that is known.
struct Whose<'text>(Option<&'text str>);

impl fmt::Display for Whose<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |letter| write!(f, ", beginning with {letter}"))
    }
}
