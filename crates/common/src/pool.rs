//! A fixed pool of threads for blocking work: Maildir, the queue, hashing.
//!
//! Fixed, because what waits for a disk gains nothing from more threads than the disk takes, and
//! because a flood of work then waits in line instead of eating the machine.

use std::num::NonZeroUsize;

/// A fixed pool of threads.
#[derive(Debug, Clone)]
pub struct Pool {}

impl Pool {
    /// A pool of so many threads, named `name-N`.
    #[must_use]
    pub fn new(name: &str, threads: NonZeroUsize) -> Self {
        todo!("{name} {threads}")
    }

    /// Does blocking work on a thread of the pool. `None`: the work panicked; that was counted
    /// and logged, and its caller has to answer as for any other trouble of ours.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let _ = work;
        todo!()
    }
}
