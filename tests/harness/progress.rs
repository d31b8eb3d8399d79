//! How far a long run is, for who watches it.
//!
//! It is told on standard error, which the test runner shows of tests that failed, and of all of
//! them in `cargo xtask long`.

use std::time::{Duration, Instant};

/// A run of so many steps.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    all: usize,
    done: usize,
    begun: Instant,
    told: Instant,
}

/// A run that ends sooner tells nothing.
const OFTEN: Duration = Duration::from_secs(10);

impl Progress {
    /// `what` names the steps: "users", "disks after a power cut".
    #[must_use]
    pub fn new(what: &'static str, all: usize) -> Self {
        let now = Instant::now();
        Self { what, all, done: 0, begun: now, told: now }
    }

    /// One more is done.
    pub fn step(&mut self) {
        self.reach(self.done + 1);
    }

    /// So many are done.
    pub fn reach(&mut self, done: usize) {
        self.done = done;
        if self.told.elapsed() >= OFTEN {
            self.told = Instant::now();
            eprintln!("{}", self.line(self.begun.elapsed()));
        }
    }

    fn line(&self, gone: Duration) -> String {
        let left = self.all.saturating_sub(self.done) as f64 / self.done.max(1) as f64;
        let left = gone.mul_f64(left);
        let (done, all, what) = (self.done, self.all, self.what);
        format!("{done} of {all} {what}, {} gone, about {} left", clock(gone), clock(left))
    }
}

/// Minutes and seconds.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_far_and_how_long_yet() {
        let mut progress = Progress::new("users", 500);
        progress.reach(100);
        let line = progress.line(Duration::from_secs(61));
        assert_eq!(line, "100 of 500 users, 1:01 gone, about 4:04 left");
    }
}
