//! What the courier is told of the queue, and how the schedule hears of it.

use mail_common::time;
use mail_proto::address::ReversePath;
use mail_spool::row::Row;

use crate::queue::Entry;
use crate::schedule::{self, Destination, Schedule, Standing, Waiting};

/// What the courier is told of the queue.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// This has just come.
    New(Entry),
    /// This is in the queue.
    Known(Entry, When),
    /// These are in the queue; for none more than one recipient waits.
    Rows(Vec<Row>, When),
}

/// When a message is tried that is in the queue already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// When it is recorded to be due.
    Recorded,
    /// The same; but we have just started, and what fell due meanwhile is spread.
    Left,
    /// Now.
    Now,
}

impl When {
    /// The time, in microseconds since 1970, of what is recorded to be due then.
    pub(super) fn or(self, recorded: u64) -> u64 {
        match self {
            Self::Recorded | Self::Left => recorded,
            Self::Now => time::now_micros().min(recorded),
        }
    }

    pub(super) fn addition(self) -> fn(&mut Schedule, Waiting, u64) {
        match self {
            Self::Recorded | Self::Now => Schedule::add,
            Self::Left => Schedule::add_left,
        }
    }
}

pub(super) fn standing(entry: &Entry) -> Standing {
    match entry.progress.attempts > 0 || entry.progress.outages > 0 {
        true => Standing::Deferred,
        false => Standing::New,
    }
}

pub(super) fn waiting_at(
    entry: &Entry,
    destination: Destination,
    due: u32,
    attempts: u32,
) -> Waiting {
    Waiting {
        id: entry.id,
        destination,
        due,
        arrived: schedule::seconds(entry.letter.arrived),
        sender: hash_of(&entry.letter.sender),
        size: u32::try_from(entry.size).unwrap_or(u32::MAX),
        attempts,
        standing: standing(entry),
        told: entry.progress.delay_told || entry.letter.sender.0.is_none(),
    }
}

fn hash_of(sender: &ReversePath) -> u32 {
    crc32c::crc32c(sender.to_string().as_bytes())
}
