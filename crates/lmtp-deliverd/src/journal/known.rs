//! What is known of deliveries, in memory.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use mail_common::log::Id;
use mail_common::maildir::Doubt;

use super::notes::{Placed, Whose};
use super::record::{Key, Noted};

/// How far a clock may be set back, or two of its readings be apart, without anything being unsure,
/// in microseconds.
pub(super) const CLOCK_STEP: u64 = 5_000_000;

/// What is known of deliveries. Those that are recorded stand in chapters, one for each file.
#[derive(Debug)]
pub(super) struct Known {
    /// Of those that are not recorded.
    states: BTreeMap<Key, State>,
    /// The oldest first; the last one is being written.
    chapters: VecDeque<Chapter>,
    /// Notes of deliveries that are not recorded.
    noted: HashMap<Key, Placed>,
    /// So many states are kept.
    limit: usize,
    /// Ids queued up to here may have been attempted even if they are not known.
    unsure_until: u64,
    /// So may those queued later than now: the clock was set back since.
    unsure_from: u64,
    /// Rises whenever an attempt fails or something is forgotten.
    moment: u64,
    /// When something was forgotten last.
    forgot: u64,
    /// The oldest message that mtad said it has, in microseconds since 1970.
    oldest: u64,
}

/// What one file holds.
#[derive(Debug)]
pub(super) struct Chapter {
    generation: u64,
    keys: HashSet<Key>,
    /// The newest message of all.
    newest: Option<Id>,
}

/// How an attempt stands to those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// There was none.
    First,
    /// There may have been one, and it may have put the message into its mailbox: who looks there
    /// as late as this knows.
    MaybeRepeat(Doubt),
    /// There was one, and readers were about to see the message. If they did, it may not last yet;
    /// if not, it stands as above.
    Noted(Noted, Doubt),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    UnderWay,
    /// Done, but it could not be recorded.
    Done,
    /// At this moment.
    Failed(u64),
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    Failed,
    /// Failed, and what is noted of it is true.
    Left,
}

/// What begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    /// An attempt.
    Attempt(Standing),
    /// Nothing: it was done before.
    Done,
    /// Nothing yet: another attempt is under way.
    Wait,
}

impl Known {
    /// What is known at a start: what files say, the oldest first, and notes say.
    pub(super) fn new(
        chapters: VecDeque<Chapter>,
        noted: HashMap<Key, Placed>,
        limit: usize,
        unsure_until: u64,
    ) -> Self {
        let states = BTreeMap::new();
        let (unsure_from, moment, forgot, oldest) = (u64::MAX, 0, 0, 0);
        Self { states, chapters, noted, limit, unsure_until, unsure_from, moment, forgot, oldest }
    }

    /// What the clock says, in microseconds since 1970: now, and of the start of this process. If it
    /// said otherwise before, one of the two was wrong.
    pub(super) fn clock(&mut self, now: u64, started: u64) {
        self.unsure_until = self.unsure_until.max(started.saturating_add(CLOCK_STEP));
        self.unsure_from = now.saturating_add(CLOCK_STEP);
    }

    /// So many states are kept from now on.
    #[cfg(test)]
    pub(super) fn limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Begins an attempt if it can begin. `micros` is when its message was queued.
    pub(super) fn begin(&mut self, key: Key, micros: u64) -> Begun {
        let begun = self.stands(&key, micros);
        if let Begun::Attempt(_) = begun {
            self.states.insert(key, State::UnderWay);
        }
        begun
    }

    /// Whether an attempt is.
    pub(super) fn is_under_way(&self, key: &Key) -> bool {
        self.states.get(key) == Some(&State::UnderWay)
    }

    /// What an attempt would be that begins now.
    pub(super) fn stands(&self, key: &Key, micros: u64) -> Begun {
        let since = match self.states.get(key) {
            Some(State::UnderWay) => return Begun::Wait,
            Some(State::Done) => return Begun::Done,
            _ if self.is_recorded(key) => return Begun::Done,
            // It may have got the message into the mailbox, after whoever looked last.
            Some(State::Failed(moment)) => *moment,
            None => self.forgot,
        };
        let doubt = Doubt { since, now: self.moment, oldest: self.oldest };
        let standing = match self.noted.get(key) {
            Some(noted) => Standing::Noted(noted.note, doubt),
            None if self.is_new(micros) && !self.states.contains_key(key) => Standing::First,
            None => Standing::MaybeRepeat(doubt),
        };
        Begun::Attempt(standing)
    }

    /// An attempt ended.
    pub(super) fn end(&mut self, key: Key, outcome: Outcome) {
        match outcome {
            Outcome::Done if self.is_recorded(&key) => self.states.remove(&key),
            Outcome::Done => self.states.insert(key, State::Done),
            Outcome::Failed | Outcome::Left => {
                self.moment += 1;
                self.states.insert(key, State::Failed(self.moment))
            }
        };
        self.forget_states();
    }

    /// A note was taken.
    pub(super) fn note(&mut self, key: Key, noted: Placed) {
        self.noted.insert(key, noted);
    }

    /// The note of a delivery.
    pub(super) fn noted(&self, key: &Key) -> Option<Placed> {
        self.noted.get(key).copied()
    }

    /// The attempt that took the note is over.
    pub(super) fn leave(&mut self, key: &Key) {
        self.noted.entry(*key).and_modify(|noted| noted.whose = Whose::Left);
    }

    /// A note was taken back.
    pub(super) fn unnote(&mut self, key: &Key) {
        self.noted.remove(key);
    }

    /// They were recorded in the file of this generation, the newest that there is. Returns places
    /// among the notes that are free now.
    pub(super) fn recorded(&mut self, generation: u64, keys: &[Key]) -> Vec<u32> {
        if self.chapters.back().is_none_or(|chapter| chapter.generation != generation) {
            self.chapters.push_back(Chapter::new(generation));
        }
        let Some(chapter) = self.chapters.back_mut() else { return Vec::new() };
        for key in keys {
            chapter.add(*key);
            if self.states.get(key) == Some(&State::Done) {
                self.states.remove(key);
            }
        }
        keys.iter().filter_map(|key| self.noted.remove(key)).map(|noted| noted.place).collect()
    }

    /// What stands in the file of this generation.
    pub(super) fn keys_of(&self, generation: u64) -> Vec<Key> {
        let chapter = self.chapters.iter().find(|chapter| chapter.generation == generation);
        chapter.map(|chapter| chapter.keys.iter().copied().collect()).unwrap_or_default()
    }

    /// What stood in one file stands in another one now.
    pub(super) fn moved(&mut self, from: u64, to: u64) {
        let chapter = self.chapters.iter_mut().find(|chapter| chapter.generation == from);
        chapter.into_iter().for_each(|chapter| chapter.generation = to);
    }

    /// The file of this generation is gone. What it alone said is looked for in mailboxes.
    pub(super) fn forget(&mut self, generation: u64) {
        let Some(at) = self.chapters.iter().position(|c| c.generation == generation) else {
            return;
        };
        let Some(chapter) = self.chapters.remove(at) else { return };
        self.unsure_of(chapter.newest);
    }

    /// mtad has no message any more that is older than this one. Returns places among the notes that
    /// are free now.
    pub(super) fn forget_before(&mut self, oldest: Id) -> Vec<u32> {
        self.oldest = self.oldest.max(oldest.micros().unwrap_or_default());
        // The last one is being written.
        while self.chapters.len() > 1
            && let Some(first) = self.chapters.front()
            && first.newest < Some(oldest)
        {
            let generation = first.generation;
            self.forget(generation);
        }
        let states = &self.states;
        let under_way = |key: &Key| states.get(key) == Some(&State::UnderWay);
        let is_over = |key: &Key, _: &mut Placed| key.queue_id() < oldest && !under_way(key);
        self.noted.extract_if(is_over).map(|(_, noted)| noted.place).collect()
    }

    /// Files of generations before this one hold nothing that is needed.
    pub(super) fn first_generation(&self) -> u64 {
        self.chapters.front().map_or(u64::MAX, |chapter| chapter.generation)
    }

    fn is_recorded(&self, key: &Key) -> bool {
        // What comes a second time mostly comes soon.
        self.chapters.iter().rev().any(|chapter| chapter.keys.contains(key))
    }

    /// Whether nobody can have attempted it before us but we would know.
    fn is_new(&self, micros: u64) -> bool {
        micros > self.unsure_until && micros <= self.unsure_from
    }

    /// Forgets the oldest states, down to the limit.
    fn forget_states(&mut self) {
        while self.states.len() > self.limit {
            let over = |state: &State| *state != State::UnderWay;
            let oldest = self.states.iter().find(|(_, state)| over(state)).map(|(key, _)| *key);
            let Some(oldest) = oldest else { return };
            self.states.remove(&oldest);
            self.unsure_of(Some(oldest.queue_id()));
        }
    }

    /// What became of attempts up to this message is forgotten, so no earlier look tells of them.
    fn unsure_of(&mut self, id: Option<Id>) {
        self.moment += 1;
        self.forgot = self.moment;
        let micros = id.and_then(|id| id.micros()).unwrap_or_default();
        self.unsure_until = self.unsure_until.max(micros);
    }
}

impl Chapter {
    pub(super) fn new(generation: u64) -> Self {
        Self { generation, keys: HashSet::new(), newest: None }
    }

    /// With room for so many.
    pub(super) fn with_capacity(generation: u64, count: usize) -> Self {
        Self { generation, keys: HashSet::with_capacity(count), newest: None }
    }

    pub(super) fn add(&mut self, key: Key) {
        self.newest = self.newest.max(Some(key.queue_id()));
        self.keys.insert(key);
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn contains(&self, key: &Key) -> bool {
        self.keys.contains(key)
    }
}
