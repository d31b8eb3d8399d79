//! Deliveries that mtad repeats.
//!
//! mtad repeats a delivery whose 250 it did not hear, or could not write down before it died; and
//! the message may be in its mailbox all the same. So each delivery has an id that all attempts
//! at it share, and before an attempt writes anything it is known whether there was one before:
//!
//! - An id in our memory was delivered: 250 at once. Or its attempt failed, and how far it had
//!   come is not known: the mailbox is looked through.
//! - An id that is not in it, but so old that a process before us may have had it, or that we
//!   have forgotten it: the mailbox is looked through. Ids begin with the time at which their
//!   message was queued, so one moment tells these from the others: the start of this process, a
//!   little later for a clock that was set back meanwhile, and from then on the newest id that
//!   was forgotten. The oldest is forgotten first, so it is never later than it must be.
//!   (Where a clock was set back further, a name that is taken in `new` is what still tells.)
//! - Any other id is new. So it is for all mail in quiet times, whose delivery must not take
//!   longer in a large mailbox; only the others pay for a look through one.
//!
//! An attempt can begin while another one at the same delivery is still at work: mtad may have
//! died and be back before we notice. It waits for the other's end. That holds a thread, but only
//! while another thread works on what is waited for. An attempt of another process does not wait:
//! both want the same file name, which is never replaced and never taken back, so whoever comes
//! second finds the message and makes it last.
//!
//! The mailbox is found by the file's name, of which the id is a part: in `new`, or in `cur` with
//! whatever flags. It needs no record of ours, so there is none that could be lost or contradict
//! the mailbox. What it cannot see is a message that its reader has moved to another mailbox or
//! deleted before the repeat came, in the moment between a death and the next start: that one
//! comes a second time. `dovecot-uidlist` would remember some of those for a while, but a line in
//! it may have outlived a power cut that its message did not, and then a letter would be lost,
//! which is worse. A record of our own, synced with each delivery, comes with the segments of
//! the spool.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use mail_common::auth::User;
use mail_common::maildir::DeliveryId;

/// Deliveries that are remembered. mtad has at most a few dozen under way at a time.
const REMEMBERED: usize = 16_384;

/// How far a clock may have been set back while we started, in microseconds.
const CLOCK_STEP: u64 = 5_000_000;

/// Which deliveries were attempted, as far as is remembered.
#[derive(Debug)]
pub(crate) struct Attempts {
    memory: Mutex<Memory>,
    ended: Condvar,
}

/// An attempt under way. Dropped without [`delivered`](Self::delivered) it has failed.
#[derive(Debug)]
pub(crate) struct Attempt<'attempts> {
    attempts: &'attempts Attempts,
    key: Key,
    standing: Standing,
    outcome: State,
}

/// A delivery, and whose mailbox it is for: should anybody give one id to two, both get theirs.
type Key = (DeliveryId, String);

#[derive(Debug)]
struct Memory {
    states: BTreeMap<Key, State>,
    limit: usize,
    /// Ids queued up to here may have been attempted even if they are not in `states`.
    unsure_until: u64,
}

/// How an attempt stands to those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// There was none.
    First,
    /// There may have been one, and it may have put the message into its mailbox.
    MaybeRepeat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    UnderWay,
    Delivered,
    Failed,
}

impl Attempts {
    /// Those of a process that starts now, in microseconds since 1970.
    #[must_use]
    pub(crate) fn new(now: u64) -> Self {
        Self::remembering(REMEMBERED, now)
    }

    fn remembering(limit: usize, now: u64) -> Self {
        let unsure_until = now.saturating_add(CLOCK_STEP);
        let memory = Memory { states: BTreeMap::new(), limit, unsure_until };
        Self { memory: Mutex::new(memory), ended: Condvar::new() }
    }

    /// Begins an attempt, once no other one at the same delivery is under way; `None`: it was
    /// delivered.
    pub(crate) fn begin(&self, id: &DeliveryId, user: &User) -> Option<Attempt<'_>> {
        self.begin_at((id.clone(), user.address().to_string()))
    }

    fn begin_at(&self, key: Key) -> Option<Attempt<'_>> {
        let under_way = |memory: &mut Memory| memory.states.get(&key) == Some(&State::UnderWay);
        let waited = self.ended.wait_while(self.memory(), under_way);
        let mut memory = waited.unwrap_or_else(PoisonError::into_inner);
        let standing = match memory.states.get(&key) {
            Some(State::Delivered) => return None,
            None if key.0.micros() > memory.unsure_until => Standing::First,
            _ => Standing::MaybeRepeat,
        };
        memory.states.insert(key.clone(), State::UnderWay);
        Some(Attempt { attempts: self, key, standing, outcome: State::Failed })
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// How it stands to those before it.
    #[must_use]
    pub(crate) fn standing(&self) -> Standing {
        self.standing
    }

    /// The message is in its mailbox, and stays there in a power cut.
    pub(crate) fn delivered(mut self) {
        self.outcome = State::Delivered;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut memory = self.attempts.memory();
        memory.states.insert(self.key.clone(), self.outcome);
        memory.forget();
        drop(memory);
        self.attempts.ended.notify_all();
    }
}

impl Memory {
    /// Forgets the oldest, down to the limit.
    fn forget(&mut self) {
        while self.states.len() > self.limit {
            let over = |state: &State| *state != State::UnderWay;
            let oldest = self.states.iter().find(|(_, state)| over(state)).map(|(key, _)| key);
            let Some(oldest) = oldest.cloned() else { return };
            self.states.remove(&oldest);
            self.unsure_until = self.unsure_until.max(oldest.0.micros());
        }
    }
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use mail_common::log::Id;
    use mail_common::time::now_micros;

    use super::*;

    fn key(number: usize, mailbox: &str) -> Key {
        // Later than any process that runs now, each later than the one before.
        let text = format!("z{number:08}0000000.0");
        (DeliveryId::parse(&text).unwrap(), mailbox.to_owned())
    }

    fn ann(number: usize) -> Key {
        key(number, "ann@example.org")
    }

    fn standing(attempts: &Attempts, key: Key) -> Option<Standing> {
        attempts.begin_at(key).map(|attempt| attempt.standing())
    }

    #[test]
    fn what_was_delivered_is_not_delivered_again() {
        let attempts = Attempts::new(now_micros());
        let attempt = attempts.begin_at(ann(1)).unwrap();
        assert_eq!(attempt.standing(), Standing::First);
        attempt.delivered();
        assert!(attempts.begin_at(ann(1)).is_none());
        assert_eq!(standing(&attempts, ann(2)), Some(Standing::First));
        assert_eq!(standing(&attempts, key(1, "bob@example.org")), Some(Standing::First));
    }

    #[test]
    fn of_what_failed_nobody_knows_how_far_it_came() {
        let attempts = Attempts::new(now_micros());
        drop(attempts.begin_at(ann(1)));
        let second = attempts.begin_at(ann(1)).unwrap();
        assert_eq!(second.standing(), Standing::MaybeRepeat);
        second.delivered();
        assert!(attempts.begin_at(ann(1)).is_none());
    }

    #[test]
    fn what_was_queued_before_we_started_may_have_been_delivered() {
        let id = DeliveryId::parse(&format!("{}.0", Id::new())).unwrap();
        let queued = id.micros();
        let table = [
            (queued + 3_600_000_000, Standing::MaybeRepeat),
            (queued, Standing::MaybeRepeat),
            // The clock may have been set back as much as this, and not more.
            (queued - CLOCK_STEP, Standing::MaybeRepeat),
            (queued - CLOCK_STEP - 1, Standing::First),
        ];
        for (start, expected) in table {
            let found = standing(&Attempts::new(start), (id.clone(), String::new()));
            assert_eq!(found, Some(expected), "{start} {queued}");
        }
    }

    #[test]
    fn the_oldest_is_forgotten_and_then_looked_for() {
        let attempts = Attempts::remembering(3, now_micros());
        let under_way = attempts.begin_at(ann(0)).unwrap();
        for number in [3, 2, 5, 4, 1, 6] {
            attempts.begin_at(ann(number)).unwrap().delivered();
        }
        assert_eq!(attempts.memory().states.len(), 3);
        assert!(attempts.begin_at(ann(5)).is_none() && attempts.begin_at(ann(6)).is_none());
        drop(under_way);
        for number in [0, 1, 2, 3, 4] {
            let found = standing(&attempts, ann(number));
            assert_eq!(found, Some(Standing::MaybeRepeat), "{number}");
        }
        assert_eq!(standing(&attempts, ann(7)), Some(Standing::First));
    }

    #[test]
    fn an_attempt_waits_for_the_other_one_s_end() {
        for (delivers, expected) in [(true, None), (false, Some(Standing::MaybeRepeat))] {
            let attempts = Attempts::new(now_micros());
            let first = attempts.begin_at(ann(1)).unwrap();
            thread::scope(|scope| {
                let second = scope.spawn(|| standing(&attempts, ann(1)));
                thread::sleep(Duration::from_millis(50));
                assert!(!second.is_finished(), "it waits");
                assert_eq!(standing(&attempts, ann(2)), Some(Standing::First));
                if delivers {
                    first.delivered();
                } else {
                    drop(first);
                }
                assert_eq!(second.join().unwrap(), expected);
            });
        }
    }

    #[test]
    fn a_panic_ends_an_attempt() {
        let attempts = Attempts::new(now_micros());
        let died = thread::scope(|scope| {
            let work = || {
                let _attempt = attempts.begin_at(ann(1));
                panic!("in the middle of it");
            };
            scope.spawn(work).join()
        });
        assert!(died.is_err());
        assert_eq!(standing(&attempts, ann(1)), Some(Standing::MaybeRepeat));
    }
}
