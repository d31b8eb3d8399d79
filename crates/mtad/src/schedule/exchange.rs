//! What goes into the schedule, and what comes out of it.

use std::time::Duration;

use mail_common::config::{After, Mtad};
use mail_common::log::Id;

/// Where mail goes, as a number that whoever knows its name gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Destination(pub(crate) u32);

/// One message for one destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) id: Id,
    pub(crate) destination: Destination,
    /// When it is tried next, in seconds since 1970.
    pub(crate) due: u32,
    /// When it was taken, in seconds since 1970.
    pub(crate) arrived: u32,
    /// A hash of its sender.
    pub(crate) sender: u32,
    /// Octets; more than fit are [`u32::MAX`].
    pub(crate) size: u32,
    /// Attempts with this destination so far.
    pub(crate) attempts: u32,
    pub(crate) standing: Standing,
    /// Whether its sender knows that it takes longer than usual, or is not to be told.
    pub(crate) told: bool,
}

/// Whether it was tried before, and is to be tried at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Standing {
    New,
    Deferred,
    /// An admin wants it to go back to its sender: once it is due, whatever its destination is like.
    GivenUp,
}

/// An entry that is handed out; it is here until [`Schedule::ended`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) id: Id,
    pub(crate) destination: Destination,
    /// Attempts with this destination so far; 255 are 255 or more.
    pub(crate) attempts: u8,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Try this one.
    Attempt(Turn),
    /// Try this one, for the destination was dead when it was seen last.
    Probe(Turn),
    /// Give this one up: an admin wants it, or it is too old, and its destination dead.
    Expire(Turn),
    /// Tell the sender of this one that it takes longer than usual: it stands before a dead
    /// destination. It is not handed out; [`Schedule::warned`] says that it is done.
    Warn(Turn),
    /// Nothing for so long.
    Wait(Duration),
    /// Nothing until an entry comes or an attempt ends.
    Idle,
}

/// What an attempt said of its destination; the better word for it is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Feedback {
    /// Nothing: we stopped, or could not read the message.
    Stopped,
    /// There was nobody to talk to, or it wanted no mail at all.
    Unreachable,
    /// The connection was lost.
    Vanished,
    /// It answered, and took nothing.
    Refused,
    /// It took the message for somebody.
    Delivered,
}

/// What the site says of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// Attempts at the same time in all.
    pub(crate) all: usize,
    /// With lmtp-deliverd.
    pub(crate) local: usize,
    /// With any other destination.
    pub(crate) foreign: usize,
    pub(crate) retry_first: Duration,
    pub(crate) retry_max: Duration,
    pub(crate) lifetime: Duration,
    /// After how long a sender is told, if ever.
    pub(crate) delay_warning: Option<Duration>,
}

impl Destination {
    /// lmtp-deliverd.
    pub(crate) const LOCAL: Self = Self(0);
}

impl From<&Mtad> for Settings {
    fn from(mtad: &Mtad) -> Self {
        Self {
            all: mtad.deliveries.get(),
            local: mtad.local_deliveries.get(),
            foreign: mtad.destination_deliveries.get(),
            retry_first: mtad.retry_first.duration(),
            retry_max: mtad.retry_max.duration(),
            lifetime: mtad.lifetime.duration(),
            delay_warning: match mtad.delay_warning {
                After::Never => None,
                After::Span(span) => Some(span.duration()),
            },
        }
    }
}
