//! How much a destination bears, learnt from what becomes of attempts.
//!
//! As Postfix's qmgr does it: a window of attempts at the same time, wider by one after as many
//! deliveries as it is wide, narrower by one at the first failed connection and then after as many
//! failures as it is wide: a single failure now and then does not make it flap. When as many
//! attempts in a row as the window was wide have failed, the destination is dead: nothing is tried
//! but one probe at a time, after pauses of the destination's own. Who answers a probe is not
//! buried at once: the window begins at one and doubles with each round until it is as wide as a
//! new destination's.
//!
//! lmtp-deliverd is ours and bears what it is given: its window is as wide as it gets, and it is
//! dead as soon as it cannot be reached, but for seconds. A connection that it breaks off is
//! another matter: one message that makes it crash must not stop all others.

use std::time::Duration;

use super::entries::Number;
use super::pause::{doubled, jittered, micros};
use super::{Destination, Feedback, Settings};

/// The window of a destination that nothing is known of.
const INITIAL: u32 = 5;

/// The first pause before lmtp-deliverd is probed.
const LOCAL_PAUSE: Duration = Duration::from_secs(1);

/// How a destination is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Alive(Window),
    Dead {
        /// Probes that failed.
        failed: u32,
        /// When the last of them did, in microseconds since 1970.
        last: u64,
        probe: Probe,
    },
}

/// When a dead destination is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    /// At this time, in microseconds since 1970.
    At(u64),
    /// Now, with this entry.
    UnderWay(Number),
}

/// How many attempts at the same time a destination bears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) width: u32,
    /// After a probe: wider with each delivery.
    slow_start: bool,
    /// Deliveries since it was changed.
    delivered: u32,
    /// Failures before it is narrowed again.
    forgiven: u32,
    /// Failures in a row.
    failed: u32,
    /// How wide it was when they began.
    cohort: u32,
}

/// What a destination may do at most, and how patient one is with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    destination: Destination,
    widest: u32,
    first_pause: Duration,
    longest_pause: Duration,
}

impl Rules {
    pub(super) fn new(destination: Destination, settings: &Settings) -> Self {
        let (widest, first_pause, longest_pause) = match destination {
            Destination::LOCAL => (settings.local, LOCAL_PAUSE, settings.retry_first),
            _ => (settings.foreign, settings.retry_first, settings.retry_max),
        };
        let widest = u32::try_from(widest).unwrap_or(u32::MAX).max(1);
        Self { destination, widest, first_pause, longest_pause }
    }

    fn is_local(&self) -> bool {
        self.destination == Destination::LOCAL
    }

    /// How long a destination is left alone after so many failed probes, in microseconds.
    fn pause(&self, failed: u32) -> u64 {
        let pause = micros(doubled(self.first_pause, failed, self.longest_pause));
        jittered(pause, &self.destination.0.to_le_bytes(), failed)
    }
}

impl Health {
    pub(super) fn new(rules: &Rules) -> Self {
        let width = if rules.is_local() { rules.widest } else { INITIAL.min(rules.widest) };
        Self::Alive(Window::new(width))
    }

    /// After a probe that was answered.
    fn revived(rules: &Rules) -> Self {
        match rules.is_local() {
            true => Self::new(rules),
            false => Self::Alive(Window { slow_start: true, ..Window::new(1) }),
        }
    }

    /// Whether another attempt may begin, with so many under way.
    pub(super) fn has_room(&self, under_way: u32, now: u64) -> bool {
        match self {
            // Whoever failed keeps its place until somebody is served: of a destination that is
            // dead no more than a cohort learns it.
            Self::Alive(window) => {
                under_way == 0 || under_way.saturating_add(window.failed) < window.width
            }
            Self::Dead { probe: Probe::At(at), .. } => *at <= now,
            Self::Dead { probe: Probe::UnderWay(_), .. } => false,
        }
    }

    /// When it is probed.
    pub(super) fn probe_at(&self) -> Option<u64> {
        match self {
            Self::Dead { probe: Probe::At(at), .. } => Some(*at),
            _ => None,
        }
    }

    /// Brings the probe forward: the trouble may be mended.
    pub(super) fn probe_by(&mut self, time: u64) {
        if let Self::Dead { probe: Probe::At(at), .. } = self {
            *at = time.min(*at);
        }
    }

    /// Forgets how many probes failed.
    pub(super) fn begin_anew(&mut self) {
        if let Self::Dead { failed, .. } = self {
            *failed = 0;
        }
    }

    /// An attempt begins. Says whether it is a probe.
    pub(super) fn began(&mut self, number: Number) -> bool {
        match self {
            Self::Alive(_) => false,
            Self::Dead { probe, .. } => {
                *probe = Probe::UnderWay(number);
                true
            }
        }
    }

    /// An attempt ended. Returns the pause that lies behind it if it was a probe that failed: its
    /// own, or less if the probe was brought forward; never more, for a clock may be set.
    pub(super) fn ended(
        &mut self,
        number: Number,
        feedback: Feedback,
        rules: &Rules,
        now: u64,
    ) -> Option<Duration> {
        match self {
            Self::Alive(window) => {
                if !window.learn(feedback, rules) {
                    let probe = Probe::At(now + rules.pause(1));
                    *self = Self::Dead { failed: 1, last: now, probe };
                }
                None
            }
            Self::Dead { failed, last, probe } => {
                let is_probe = *probe == Probe::UnderWay(number);
                match feedback {
                    Feedback::Delivered | Feedback::Refused => *self = Self::revived(rules),
                    Feedback::Stopped if is_probe => *probe = Probe::At(now),
                    Feedback::Vanished | Feedback::Unreachable if is_probe => {
                        let pause = doubled(rules.first_pause, *failed, rules.longest_pause);
                        let passed = Duration::from_micros(now.saturating_sub(*last));
                        *last = now;
                        *failed = failed.saturating_add(1);
                        *probe = Probe::At(now + rules.pause(*failed));
                        return Some(pause.min(passed));
                    }
                    // Begun before it was dead: nothing new.
                    _ => {}
                }
                None
            }
        }
    }

    /// The configuration has changed.
    pub(super) fn limit(&mut self, rules: &Rules) {
        match self {
            Self::Alive(_) if rules.is_local() => *self = Self::new(rules),
            Self::Alive(window) => window.width = window.width.min(rules.widest),
            Self::Dead { .. } => {}
        }
    }
}

impl Window {
    fn new(width: u32) -> Self {
        Self { width, slow_start: false, delivered: 0, forgiven: 0, failed: 0, cohort: width }
    }

    /// Takes in what became of an attempt; says whether the destination lives.
    fn learn(&mut self, feedback: Feedback, rules: &Rules) -> bool {
        match feedback {
            Feedback::Delivered => self.grow(rules),
            // It answers, but perhaps that it has enough.
            Feedback::Refused => self.failed = 0,
            Feedback::Vanished => return self.shrink(rules),
            Feedback::Unreachable => return !rules.is_local() && self.shrink(rules),
            Feedback::Stopped => {}
        }
        true
    }

    fn grow(&mut self, rules: &Rules) {
        self.failed = 0;
        self.delivered += 1;
        self.slow_start &= self.width < INITIAL;
        if self.slow_start || self.delivered >= self.width {
            self.width = (self.width + 1).min(rules.widest);
            (self.delivered, self.forgiven) = (0, 0);
        }
    }

    fn shrink(&mut self, rules: &Rules) -> bool {
        if self.failed == 0 {
            self.cohort = self.width.min(if rules.is_local() { INITIAL } else { u32::MAX });
        }
        self.failed += 1;
        self.slow_start = false;
        if !rules.is_local() {
            self.narrow();
        }
        self.failed < self.cohort
    }

    fn narrow(&mut self) {
        if self.forgiven > 0 {
            self.forgiven -= 1;
            return;
        }
        self.width = (self.width - 1).max(1);
        (self.forgiven, self.delivered) = (self.width, 0);
    }
}
