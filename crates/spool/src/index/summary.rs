//! What a row says of a letter and what became of it.

use crate::index::Index;
use crate::record::{Body, Header};
use crate::row::{Name, Place, Row, Standing};
use crate::{Letter, Progress, State};

/// The part of a row that letter and progress decide on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) due: u32,
    pub(crate) destination: Name,
    pub(crate) reason: Name,
    pub(crate) sender: Name,
    pub(crate) attempts: u16,
    pub(crate) waiting: u16,
    pub(crate) standing: Standing,
}

/// What a row says of a message; `None`: nobody has tried it.
pub(crate) fn summarise(letter: &Letter, progress: Option<&Progress>, index: &Index) -> Summary {
    let fresh;
    let progress = match progress {
        Some(progress) => progress,
        None => {
            fresh = Progress::new(letter);
            &fresh
        }
    };
    let first = progress.waiting().next().and_then(|place| letter.recipients.get(place));
    let destination = first.map_or("", |recipient| recipient.address.domain().as_str());
    let sender = letter.sender.0.as_ref().map_or("", |address| address.domain().as_str());
    let (destination, sender) = (index.intern(destination), index.intern(sender));
    summary(progress, index, destination, sender)
}

/// What a row says once its message has other progress, if the first recipient that waits has the
/// same domain.
pub(crate) fn again(row: &Row, progress: &Progress, index: &Index) -> Summary {
    summary(progress, index, row.destination, row.sender)
}

/// The row of a letter that stands here.
pub(crate) fn row(letter: &Letter, place: Place, body: Body, summary: &Summary) -> Row {
    let Summary { due, destination, reason, sender, attempts, waiting, standing } = *summary;
    Row {
        id: letter.id,
        letter: place,
        progress: None,
        due,
        destination,
        reason,
        sender,
        size: u32::try_from(body.length()).unwrap_or(u32::MAX),
        attempts,
        waiting,
        standing,
        big: matches!(body, Body::Big(..)),
    }
}

/// Where a record with this header stands.
pub(crate) fn place(slot: u32, offset: u64, header: &Header) -> Option<Place> {
    Place::new(slot, offset, header.span())
}

fn summary(progress: &Progress, index: &Index, destination: Name, sender: Name) -> Summary {
    let tried = progress.attempts.saturating_add(progress.outages);
    let reason = progress.hold.as_deref().unwrap_or_else(|| reason(progress));
    Summary {
        due: seconds(progress.due),
        destination,
        reason: index.intern(reason),
        sender,
        attempts: u16::try_from(tried).unwrap_or(u16::MAX),
        waiting: count(progress.waiting().count()),
        standing: Standing::of(progress),
    }
}

/// Why the first waits of those of whom it is known.
fn reason(progress: &Progress) -> &str {
    let reasons = progress.recipients.iter().filter_map(|state| match state {
        State::Waiting(reason) => reason.as_deref(),
        State::Delivered | State::Failed => None,
    });
    reasons.into_iter().next().unwrap_or_default()
}

/// Nothing is due before its time: part of a second counts as one.
fn seconds(micros: u64) -> u32 {
    u32::try_from(micros.div_ceil(1_000_000)).unwrap_or(u32::MAX)
}

fn count(recipients: usize) -> u16 {
    u16::try_from(recipients).unwrap_or(u16::MAX)
}
