//! The spool as its owner sees it.

use std::fs::File;
use std::sync::{Arc, Mutex};

use mail_common::log::Id;

use crate::ahead::{Ahead, Lost};
use crate::alarm::Alarm;
use crate::big::Big;
use crate::blocks::Blocks;
use crate::index::{self, Effect, Index, Phase, Summary};
use crate::open::Owner;
use crate::read::Stored;
use crate::record::Body as Field;
use crate::row::{Name, Place, Row};
use crate::segment::Segments;
use crate::upkeep::Upkeep;
use crate::work::{Octets, Queue, Work};
use crate::writer::Counts;
use crate::{Body, Incoming, Letter, Message, Progress, Settings, SpoolError, Then};

/// The spool; one process has it. Cheap to clone; its threads end with the last clone.
#[derive(Debug, Clone)]
pub struct Spool(Arc<Owner>);

/// A message in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As it was taken.
    pub letter: Letter,
    /// Octets of the body as it travels.
    pub size: u64,
    /// What became of it.
    pub progress: Progress,
}

/// What the threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) segments: Segments,
    pub(crate) index: Arc<Index>,
    pub(crate) queue: Queue,
    pub(crate) ahead: Ahead,
    pub(crate) upkeep: Upkeep,
    pub(crate) lost: Lost,
    pub(crate) big: Big,
    pub(crate) blocks: Arc<Blocks>,
    pub(crate) counts: Counts,
    pub(crate) alarm: Alarm,
    /// Until it is given back.
    pub(crate) lock: Mutex<Option<File>>,
}

impl Spool {
    /// Begins a message.
    #[must_use]
    pub fn begin(&self, letter: Letter) -> Incoming {
        let Shared { settings, blocks, big, .. } = &*self.0.shared;
        Incoming::new(letter, settings.small_body, blocks, big)
    }

    /// Takes a message: `then` hears of it once it would survive a power cut, or that it was not
    /// taken: the disk is full or broken, or the queue too long.
    pub fn commit(&self, message: Arc<Message>, then: Then) {
        let summary = index::summarise(&message.letter, None, self.index());
        let row = index::row(&message.letter, Place::default(), message.body_field(), &summary);
        let (id, effect) = (message.letter.id, Effect::Letter(row));
        let octets = Octets::Message(message);
        self.0.shared.queue.push(Work { id, octets, effect, then });
    }

    /// Replaces what is known of what became of a message. That there is no such message is said at
    /// once.
    pub fn record(&self, id: Id, progress: &Progress, then: Then) {
        match self.0.shared.summarise(id, progress) {
            Ok(summary) => {
                let octets = Octets::text_only(progress.encode());
                let effect = Effect::Progress(None, summary);
                self.0.shared.queue.push(Work { id, octets, effect, then });
            }
            Err(error) => then(Err(error)),
        }
    }

    /// A message is done with for all its recipients. One that is not here is so already.
    pub fn finish(&self, id: Id, then: Then) {
        if self.0.shared.row(id).is_none() {
            return then(Ok(()));
        }
        let octets = Octets::text_only(Vec::new());
        self.0.shared.queue.push_patient(Work { id, octets, effect: Effect::Done(None), then });
    }

    /// Replaces the envelope of a message. It must have as many recipients as before: what became
    /// of them is told by their places.
    pub fn change(&self, letter: &Letter, then: Then) {
        match self.changed(letter) {
            Ok((octets, effect)) => {
                self.0.shared.queue.push(Work { id: letter.id, octets, effect, then });
            }
            Err(error) => then(Err(error)),
        }
    }

    /// A message as it is recorded; `None`: not here.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn entry(&self, id: Id) -> Result<Option<Entry>, SpoolError> {
        self.0.shared.entry(id)
    }

    /// The body of a message as it travels, our `Received` field in front. It can be read to its
    /// end even if the message is finished meanwhile.
    ///
    /// # Errors
    /// It cannot be read, or is not here.
    pub fn body(&self, id: Id) -> Result<Body, SpoolError> {
        self.0.shared.body(id)
    }

    /// The row of a message.
    #[must_use]
    pub fn row(&self, id: Id) -> Option<Row> {
        self.0.shared.row(id)
    }

    /// Shows all messages, in no order; those that come and go meanwhile may be shown or not.
    pub fn rows(&self, see: impl FnMut(&Row)) {
        self.index().each(see);
    }

    /// Whether what was there at start could be read; waits until that is known. If it could not,
    /// older messages are missing until the next start.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.index().wait().is_read()
    }

    /// Whether all of it could be; waits until that is known. If not, some older messages are
    /// missing, which a later start may find, or what became of them is.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.index().wait() == Phase::Complete
    }

    /// Has `tell` called if one of the spool's threads panics, on that thread. Nothing is taken or
    /// written any more then, so the process should end; the next finds all that was promised.
    pub fn when_broken(&self, tell: impl FnOnce() + Send + 'static) {
        self.0.shared.alarm.watch(Box::new(tell));
    }

    /// Whether one of the spool's threads panicked.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.0.shared.alarm.is_raised()
    }

    /// How many messages there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What a name of a row says.
    #[must_use]
    pub fn name(&self, name: Name) -> String {
        self.index().name(name)
    }

    /// What was written since the start.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.0.shared.counts
    }

    pub(crate) fn new(owner: Owner) -> Self {
        Self(Arc::new(owner))
    }

    pub(crate) fn owner(&self) -> &Owner {
        &self.0
    }

    fn index(&self) -> &Index {
        &self.0.shared.index
    }

    fn changed(&self, letter: &Letter) -> Result<(Octets, Effect), SpoolError> {
        let (id, shared) = (letter.id, &self.0.shared);
        let Stored { row, body, field } = shared.stored(id)?;
        let damaged = |damage| SpoolError::Damaged { id, damage };
        let octets = match field {
            Field::Here(..) => body.whole().map_err(damaged)?,
            Field::Big(..) => Vec::new(),
        };
        let progress = shared.progress(&row, letter).map_err(damaged)?;
        let progress = progress.ok_or(SpoolError::Unknown(id))?;
        let summary = index::summarise(letter, Some(&progress), self.index());
        let row = index::row(letter, Place::default(), field, &summary);
        let octets = Octets::Own { text: letter.encode(), body: field, octets };
        Ok((octets, Effect::MovedLetter(None, row)))
    }
}

impl Shared {
    /// What the row of a message says once this is recorded.
    pub(crate) fn summarise(&self, id: Id, progress: &Progress) -> Result<Summary, SpoolError> {
        let row = self.row(id).ok_or(SpoolError::Unknown(id))?;
        if progress.recipients.len() == 1 {
            return Ok(index::again(&row, progress, &self.index));
        }
        match self.letter(id) {
            Ok(letter) => Ok(index::summarise(&letter, Some(progress), &self.index)),
            // What became of it is recorded all the same. Its destination may then be another than
            // the row says; who tries it there reads the letter.
            Err(SpoolError::Damaged { .. }) => Ok(index::again(&row, progress, &self.index)),
            Err(error) => Err(error),
        }
    }

    /// A sync of this slot failed.
    pub(crate) fn seal(&self, slot: u32) {
        self.lost.add(slot);
        self.index.seal(slot);
    }
}
