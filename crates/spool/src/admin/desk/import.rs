//! Takes messages in that were exported.

use std::io;
use std::sync::Arc;

use mail_common::log::Id;
use tracing::info;

use super::{Desk, Parts, Say, Stop, done, refused, wait};
use crate::admin::protocol::{Block, Part};
use crate::admin::{BadItem, Changed, Claim, Item, Refusal};
use crate::{Letter, Message, Progress, State};

impl Desk {
    /// Takes a message; how many that is.
    pub(super) fn import(
        &self,
        who: u32,
        item: &Item,
        text: &mut Text<'_>,
        say: Say<'_>,
    ) -> Result<u64, Stop> {
        let bad = |error: BadItem| Stop::Trouble(format!("{}: {error}", item.id));
        let (mut letter, progress) = still_waiting(item.restore().map_err(bad)?);
        if letter.recipients.is_empty() {
            return Err(Stop::Trouble(format!("{}: nobody waits for it", item.id)));
        }
        if self.is_here(&letter, item.size) {
            say(refused(letter.id, &Refusal::NotNeeded("it is here already")))?;
            return Ok(0);
        }
        let claim = self.place_for(letter.id);
        let id = claim.id();
        letter.id = id;
        // Killed before its progress is durable, it waits for a person, and is not tried.
        letter.hold = letter.hold.or_else(|| progress.given_up.clone());
        let is_fresh = progress == Progress::new(&letter);
        let message = self.receive(letter, text)?;
        wait(|then| self.spool.commit(message, then))?;
        let changed = Changed::of(id, &progress);
        let recorded = match is_fresh {
            true => Ok(()),
            false => wait(|then| self.spool.record(id, &progress, then)),
        };
        (self.tell)(changed);
        drop(claim);
        recorded?;
        info!("{id}: imported by uid {who}, was {}", item.id);
        say(done(id, "imported".to_owned()))?;
        Ok(1)
    }

    /// Whether it is the same message that has its id here: an import may be done twice.
    fn is_here(&self, letter: &Letter, size: u64) -> bool {
        let seconds = |micros: u64| micros / 1_000_000;
        self.spool.entry(letter.id).ok().flatten().is_some_and(|here| {
            here.size == size
                && here.letter.sender == letter.sender
                && seconds(here.letter.arrived) == seconds(letter.arrived)
        })
    }

    /// Its old place, if that is free.
    fn place_for(&self, id: Id) -> Claim {
        let claim = self.under_way.change(id).filter(|_| self.spool.row(id).is_none());
        claim.or_else(|| self.under_way.change(Id::new())).expect("a new id is nobody else's")
    }

    fn receive(&self, letter: Letter, text: &mut Text<'_>) -> Result<Arc<Message>, Stop> {
        let mut incoming = self.spool.begin(letter);
        loop {
            let block = text.next()?;
            if block.is_empty() {
                return Ok(Arc::new(incoming.finish()?));
            }
            incoming.write(block)?;
        }
    }
}

/// The text of a message that is imported, as it comes.
pub(super) struct Text<'a> {
    pub(super) parts: Parts<'a>,
    pub(super) is_over: bool,
}

impl Text<'_> {
    /// The next block; an empty one is the end.
    pub(super) fn next(&mut self) -> io::Result<Vec<u8>> {
        let Part { block: Block(block) } = (self.parts)()?;
        self.is_over = block.is_empty();
        Ok(block)
    }
}

/// Who has got a message already does not get it again. Where there are such, the others' places
/// in the list change, and what is known of deliveries under its id must not be taken for theirs:
/// it gets another, the same each time.
fn still_waiting((mut letter, mut progress): (Letter, Progress)) -> (Letter, Progress) {
    let waits: Vec<bool> =
        progress.recipients.iter().map(|state| matches!(state, State::Waiting(_))).collect();
    if !waits.contains(&false) {
        return (letter, progress);
    }
    letter.id = id_without(letter.id, &waits);
    let (mut left, mut states) = (waits.iter(), waits.iter());
    letter.recipients.retain(|_| left.next() == Some(&true));
    progress.recipients.retain(|_| states.next() == Some(&true));
    (letter, progress)
}

/// The id that a message gets for those that wait: made when the old one was, so far as that tells,
/// and as if by chance, but the same each time, so that an import may be done twice.
fn id_without(old: Id, waits: &[bool]) -> Id {
    let waits: Vec<u8> = waits.iter().map(|&waits| waits.into()).collect();
    let chance = crc32c::crc32c_append(crc32c::crc32c(old.octets()), &waits) & 0xfff_ffff;
    let new = old.as_str().get(..9).and_then(|made| Id::parse(&format!("{made}{chance:07x}")));
    new.unwrap_or_else(Id::new)
}
