//! How far a long work is, for who watches it on a terminal.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::time::{Duration, Instant};

/// Work that counts messages.
pub(super) struct Progress {
    what: &'static str,
    pub(super) count: usize,
    told: Instant,
    watched: bool,
}

const OFTEN: Duration = Duration::from_millis(250);

impl Progress {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, count: 0, told: Instant::now(), watched: stderr().is_terminal() }
    }

    /// One more.
    pub(super) fn step(&mut self) {
        self.count += 1;
        if self.watched && self.told.elapsed() >= OFTEN {
            self.told = Instant::now();
            let _ = write!(stderr().lock(), "\r{} {}", self.what, self.count);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.watched {
            // The line is cleared.
            let _ = write!(stderr().lock(), "\r\x1b[K");
        }
    }
}
