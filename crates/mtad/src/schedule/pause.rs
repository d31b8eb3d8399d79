//! How long a message waits between attempts, and when it has waited for too long.

use std::time::Duration;

use mail_common::config::Mtad;

use super::Settings;
use super::entries;
use crate::queue::Entry;

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

/// The part of its lifetime for which a message must have been tried: one over this.
const EARNEST: u32 = 10;

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
    progress.due = now + jittered(micros(pause), entry.id.octets(), count);
}

/// Whether a message that still waits has waited for too long: it is old, and was tried again and
/// again for a good part of that time. A clock that jumps makes all messages old, and bounces none.
pub(crate) fn is_expired(entry: &Entry, now: u64, settings: &Mtad) -> bool {
    let (progress, lifetime) = (&entry.progress, settings.lifetime.duration());
    let age = now.saturating_sub(entry.letter.arrived);
    let (first, max) = (settings.retry_first.duration(), settings.retry_max.duration());
    let waited = between(first, progress.attempts, max).saturating_add(between(
        OUTAGE_PAUSE,
        progress.outages,
        first,
    ));
    age >= micros(lifetime) && waited >= lifetime / EARNEST
}

/// The same of one that stands before a dead destination, at a time in seconds since 1970.
pub(super) fn is_over(entry: &entries::Entry, now: u32, settings: &Settings) -> bool {
    let Settings { retry_first, retry_max, lifetime, .. } = *settings;
    let age = u64::from(now.saturating_sub(entry.arrived));
    // More than is counted: 18 hours, or 255 attempts.
    let countless = entry.waited == u16::MAX || entry.attempts == u8::MAX;
    let waited = between(retry_first, entry.attempts.into(), retry_max)
        .saturating_add(Duration::from_secs(entry.waited.into()));
    age >= lifetime.as_secs() && (countless || waited >= lifetime / EARNEST)
}

/// `first`, doubled with each further time, up to `max`.
pub(super) fn doubled(first: Duration, times: u32, max: Duration) -> Duration {
    let factor = 1u32.checked_shl(times.saturating_sub(1)).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(max)
}

/// Up to a tenth more, so that what failed together does not come back together.
pub(super) fn jittered(pause: u64, name: &[u8], count: u32) -> u64 {
    let spread = crc32c::crc32c_append(count, name);
    pause + pause / 10 * u64::from(spread % 1000) / 1000
}

pub(super) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX / 4)
}

/// The time that lies between so many attempts, at least.
fn between(first: Duration, attempts: u32, max: Duration) -> Duration {
    let pauses = attempts.saturating_sub(1);
    let growing = pauses.min(u32::BITS);
    let grown: Duration = (1..=growing).map(|times| doubled(first, times, max)).sum();
    grown.saturating_add(max.saturating_mul(pauses - growing))
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use mail_common::config::Span;
    use mail_common::log::Id;

    use super::super::SECOND;
    use super::*;
    use crate::queue::{Progress, letter};

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
        let letter = letter(id, NOW);
        let progress = Progress { due, ..Progress::new(&letter) };
        Entry { id, letter, size: 1, progress, message: None }
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
    fn only_what_is_old_and_was_tried_in_earnest_expires() {
        let later = NOW + 120 * 3600 * SECOND;
        let year = NOW + 365 * 24 * 3600 * SECOND;
        // (attempts, outages): 12 hours are 5, 10, 20, 40, 80, 160 minutes and twice 4 hours.
        let table = [
            (9, 0, later, true),
            (9, 0, later - 1, false),
            (9, 0, 0, false),
            (8, 0, year, false),
            (1, 0, year, false),
            (0, 0, year, false),
            (u32::MAX, 0, later, true),
            (0, 100, year, false),
            (0, 200, later, true),
        ];
        for (attempts, outages, now, expected) in table {
            let mut entry = entry("a", NOW);
            (entry.progress.attempts, entry.progress.outages) = (attempts, outages);
            let found = is_expired(&entry, now, &settings());
            assert_eq!(found, expected, "{attempts} {outages} {now}");
        }
    }

    #[test]
    fn a_short_life_needs_two_attempts() {
        let second = Span::seconds(1);
        let short =
            Mtad { retry_first: second, retry_max: second, lifetime: second, ..Mtad::default() };
        let mut entry = entry("a", NOW);
        for (attempts, expected) in [(1, false), (2, true)] {
            entry.progress.attempts = attempts;
            assert_eq!(is_expired(&entry, NOW + SECOND, &short), expected, "{attempts}");
        }
    }

    #[test]
    fn before_a_dead_destination_its_probes_count() {
        let settings = Settings::from(&settings());
        let later = u32::try_from(NOW / SECOND).unwrap() + 120 * 3600;
        let table = [
            (0, 0, later, false),
            (0, 43_199, later, false),
            (0, 43_200, later, true),
            (0, 43_200, later - 1, false),
            (8, 1800, later, false),
            (8, 18_000, later, true),
            (0, u16::MAX, later, true),
            (u8::MAX, 0, later, true),
        ];
        for (attempts, waited, now, expected) in table {
            let arrived = u32::try_from(NOW / SECOND).unwrap();
            let id = Id::parse("a").unwrap();
            let entry = entries::Entry::new(id, crate::schedule::Destination(1));
            let entry = entries::Entry { attempts, waited, arrived, ..entry };
            let found = is_over(&entry, now, &settings);
            assert_eq!(found, expected, "{attempts} {waited} {now}");
        }
    }
}
