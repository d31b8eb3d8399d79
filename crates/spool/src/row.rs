//! What is in memory of a message: where its records stand, and a few numbers.

use mail_common::log::Id;

use crate::Progress;
use crate::index::Summary;
use crate::record::UNIT;

/// Where a record stands. A slot holds another one only once no row points here any more.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// The segment.
    pub slot: u32,
    /// The record's first unit of 64 octets, counted from the segment's beginning.
    pub unit: u32,
    /// How many units it has.
    pub units: u32,
}

/// A word that many rows share; the spool knows what it says.
pub type Name = u32;

/// The name of the empty text.
pub const NOTHING: Name = 0;

/// The name of all texts for which there were no more names: of each, only the letter tells.
pub const OTHERS: Name = 1;

/// A message in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Its id.
    pub id: Id,
    /// Where its letter stands.
    pub letter: Place,
    /// Where its progress stands, if there is any.
    pub progress: Option<Place>,
    /// When it is tried next, in seconds since 1970.
    pub due: u32,
    /// The domain of the first recipient that waits.
    pub destination: Name,
    /// Why it waits.
    pub reason: Name,
    /// Its sender's domain.
    pub sender: Name,
    /// Octets of the body; more than fit are [`u32::MAX`].
    pub size: u32,
    /// Attempts so far.
    pub attempts: u16,
    /// Recipients that wait.
    pub waiting: u16,
    /// How it stands.
    pub standing: Standing,
    /// Whether its body is a file in `big/`.
    pub big: bool,
}

impl Place {
    /// Where a record of so many octets stands; `None`: no segment is that long.
    pub fn new(slot: u32, offset: u64, octets: u64) -> Option<Self> {
        let unit = u32::try_from(offset / UNIT).ok()?;
        let units = u32::try_from(octets.div_ceil(UNIT)).ok()?;
        Some(Self { slot, unit, units })
    }

    /// The record's first octet, counted from the segment's beginning.
    pub fn offset(&self) -> u64 {
        u64::from(self.unit) * UNIT
    }

    /// The first octet behind it.
    pub fn end(&self) -> u64 {
        self.offset() + u64::from(self.units) * UNIT
    }
}

impl Row {
    /// Takes over what letter and progress say of a message.
    pub(crate) fn summarise(&mut self, summary: &Summary) {
        let Summary { due, destination, reason, sender, attempts, waiting, standing } = *summary;
        *self = Self { due, destination, reason, sender, attempts, waiting, standing, ..*self };
    }
}

/// How a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Standing {
    /// Nobody has tried it.
    New = 0,
    /// It was tried.
    Deferred = 1,
    /// It is not tried until somebody releases it.
    Held = 2,
    /// It goes back to its sender when it is due, and needs nobody else for that.
    GivenUp = 3,
}

impl Standing {
    /// How a message stands of which this became.
    pub fn of(progress: &Progress) -> Self {
        match progress {
            Progress { hold: Some(_), .. } => Self::Held,
            Progress { given_up: Some(_), .. } => Self::GivenUp,
            Progress { attempts: 0, outages: 0, .. } => Self::New,
            _ => Self::Deferred,
        }
    }
}
