//! Waiting for what must come, with an end.

use std::thread;
use std::time::{Duration, Instant};

/// How long anything in the tests may take: far more than it ever does on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks again and again until there is an answer; `None` when patience is at its end. For things
/// that nobody tells of, such as a file that appears.
pub fn until<T>(ask: impl FnMut() -> Option<T>) -> Option<T> {
    until_after(PATIENCE, ask)
}

/// The same with patience of one's own.
pub fn until_after<T>(patience: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + patience;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() > end {
            return None;
        }
        thread::sleep(Duration::from_millis(10));
    }
}
