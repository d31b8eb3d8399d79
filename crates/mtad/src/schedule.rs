//! When a message is tried next: a plain function of now and the entries. It knows no clock.

use std::collections::BTreeMap;
use std::time::Duration;

use mail_common::config::Mtad;
use mail_common::log::Id;

use crate::queue::Entry;

/// All that waits, by the time at which it is due.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    waiting: BTreeMap<(u64, Id), Entry>,
}

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Try this one.
    Attempt(Entry),
    /// Nothing for so long.
    Wait(Duration),
    /// Nothing until something new comes.
    Idle,
}

/// Why a message goes on waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// A peer said "later", or cannot be reached: the configured pauses.
    Peer,
    /// lmtp-deliverd is not there. It is ours and comes back in seconds, so it is asked again in
    /// seconds; only a long outage is met with long pauses.
    LocalOutage,
    /// We stop: nothing was learnt, and the next process tries at once.
    Stopping,
}

/// The first pause of a local outage.
const OUTAGE_PAUSE: Duration = Duration::from_secs(1);

impl Schedule {
    /// Adds an entry, to be tried when it is due. A time further away than the longest pause comes
    /// of a clock that was set back, and counts as now.
    pub(crate) fn add(&mut self, entry: Entry, now: u64, settings: &Mtad) {
        let latest = now + micros(settings.retry_max.duration()) * 2;
        let due = if entry.progress.due > latest { now } else { entry.progress.due };
        self.waiting.insert((due, entry.id), entry);
    }

    /// Makes everything due: what made it wait may be mended.
    pub(crate) fn make_all_due(&mut self, now: u64) {
        for ((due, id), entry) in std::mem::take(&mut self.waiting) {
            self.waiting.insert((due.min(now), id), entry);
        }
    }

    /// What is to be done now.
    pub(crate) fn next(&mut self, now: u64) -> Action {
        let Some(first) = self.waiting.first_entry() else { return Action::Idle };
        let (due, _) = *first.key();
        if due <= now {
            return Action::Attempt(first.remove());
        }
        Action::Wait(Duration::from_micros(due - now))
    }
}

/// Notes an attempt that left recipients waiting, and decides when the next one is due.
pub(crate) fn defer(entry: &mut Entry, cause: Cause, now: u64, settings: &Mtad) {
    let progress = &mut entry.progress;
    let pause = match cause {
        Cause::Stopping => Duration::ZERO,
        Cause::LocalOutage => {
            progress.outages = progress.outages.saturating_add(1);
            doubled(OUTAGE_PAUSE, progress.outages, settings.retry_first.duration())
        }
        Cause::Peer => {
            progress.outages = 0;
            progress.attempts = progress.attempts.saturating_add(1);
            let first = settings.retry_first.duration();
            doubled(first, progress.attempts, settings.retry_max.duration())
        }
    };
    let count = progress.attempts.wrapping_add(progress.outages);
    progress.due = now + jittered(micros(pause), &entry.id, count);
}

/// Whether a message that still waits has waited for too long. It was tried at least once, for
/// a clock that jumps must not bounce the queue.
pub(crate) fn is_expired(entry: &Entry, now: u64, settings: &Mtad) -> bool {
    let age = now.saturating_sub(entry.letter.arrived);
    let tried = entry.progress.attempts > 0 || entry.progress.outages > 0;
    tried && age >= micros(settings.lifetime.duration())
}

/// `first`, doubled with each further time, up to `max`.
fn doubled(first: Duration, times: u32, max: Duration) -> Duration {
    let factor = 1u32.checked_shl(times.saturating_sub(1)).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(max)
}

/// Up to a tenth more, so that what failed together does not come back together. The id is random
/// enough.
fn jittered(pause: u64, id: &Id, count: u32) -> u64 {
    let spread = crc32c::crc32c_append(count, id.as_str().as_bytes());
    pause + pause / 10 * u64::from(spread % 1000) / 1000
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX / 4)
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use mail_common::config::Span;
    use mail_proto::address::ReversePath;

    use super::*;
    use crate::queue::{Letter, Progress};

    const SECOND: u64 = 1_000_000;
    const NOW: u64 = 1_795_363_200 * SECOND;

    fn settings() -> Mtad {
        Mtad {
            retry_first: Span::minutes(5),
            retry_max: Span::hours(4),
            lifetime: Span::hours(120),
            ..Mtad::default()
        }
    }

    fn entry(id: &str, due: u64) -> Entry {
        let id = Id::parse(id).unwrap();
        let letter = Letter {
            id,
            arrived: NOW,
            sender: ReversePath(None),
            recipients: vec!["ann@example.org".parse().unwrap()],
            eight_bit: false,
        };
        let progress = Progress { due, ..Progress::new(&letter) };
        Entry { id, letter, size: 1, progress }
    }

    #[test]
    fn the_first_due_is_first() {
        let mut schedule = Schedule::default();
        assert_eq!(schedule.next(NOW), Action::Idle);
        for (id, due) in [("b", NOW + 5 * SECOND), ("a", NOW), ("c", NOW - 1), ("d", NOW)] {
            schedule.add(entry(id, due), NOW, &settings());
        }
        for id in ["c", "a", "d"] {
            let Action::Attempt(entry) = schedule.next(NOW) else { panic!("{id} is due") };
            assert_eq!(entry.id.as_str(), id);
        }
        assert_eq!(schedule.next(NOW), Action::Wait(Duration::from_secs(5)));
        assert!(matches!(schedule.next(NOW + 5 * SECOND), Action::Attempt(_)));
        assert_eq!(schedule.next(NOW + 5 * SECOND), Action::Idle);
    }

    #[test]
    fn all_can_be_made_due() {
        let mut schedule = Schedule::default();
        schedule.add(entry("a", NOW + 5 * SECOND), NOW, &settings());
        schedule.add(entry("b", NOW - SECOND), NOW, &settings());
        schedule.make_all_due(NOW);
        for id in ["b", "a"] {
            let Action::Attempt(entry) = schedule.next(NOW) else { panic!("{id} is due") };
            assert_eq!(entry.id.as_str(), id);
        }
    }

    #[test]
    fn a_clock_set_back_delays_nothing() {
        let mut schedule = Schedule::default();
        schedule.add(entry("a", NOW + 365 * 86_400 * SECOND), NOW, &settings());
        assert!(matches!(schedule.next(NOW), Action::Attempt(_)));
    }

    #[test]
    fn pauses_grow_and_are_bounded() {
        let table = [
            (Cause::Peer, [300, 600, 1200, 2400, 4800, 9600, 14_400, 14_400, 14_400]),
            (Cause::LocalOutage, [1, 2, 4, 8, 16, 32, 64, 128, 256]),
            (Cause::Stopping, [0; 9]),
        ];
        for (cause, pauses) in table {
            let mut entry = entry("a", NOW);
            for pause in pauses {
                defer(&mut entry, cause, NOW, &settings());
                let range = pause * SECOND..=pause * SECOND * 11 / 10;
                let found = entry.progress.due - NOW;
                assert!(range.contains(&found), "{cause:?}: {found} is not in {range:?}");
            }
        }
        let mut entry = entry("a", NOW);
        entry.progress.attempts = u32::MAX;
        defer(&mut entry, Cause::Peer, NOW, &settings());
        assert!(entry.progress.due - NOW <= 4 * 3600 * SECOND * 11 / 10);
    }

    #[test]
    fn an_outage_does_not_count_as_a_refusal() {
        let mut entry = entry("a", NOW);
        for _ in 0..20 {
            defer(&mut entry, Cause::LocalOutage, NOW, &settings());
        }
        assert!(entry.progress.due - NOW <= 330 * SECOND);
        defer(&mut entry, Cause::Peer, NOW, &settings());
        assert!(entry.progress.due - NOW <= 330 * SECOND);
        assert_eq!((entry.progress.attempts, entry.progress.outages), (1, 0));
    }

    #[test]
    fn different_messages_come_back_at_different_times() {
        let due: std::collections::HashSet<u64> = (0..50)
            .map(|n| {
                let mut entry = entry(&format!("id{n}"), NOW);
                defer(&mut entry, Cause::Peer, NOW, &settings());
                entry.progress.due
            })
            .collect();
        assert!(due.len() > 40);
    }

    #[test]
    fn only_what_is_old_and_was_tried_expires() {
        let later = NOW + 120 * 3600 * SECOND;
        let table = [(1, later, true), (1, later - 1, false), (0, later, false), (1, 0, false)];
        for (attempts, now, expected) in table {
            let mut entry = entry("a", NOW);
            entry.progress.attempts = attempts;
            assert_eq!(is_expired(&entry, now, &settings()), expected, "{attempts} {now}");
        }
    }
}
