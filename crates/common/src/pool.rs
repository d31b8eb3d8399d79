//! A fixed pool of threads for blocking work: Maildir, the queue, hashing.
//!
//! Fixed, because what waits for a disk gains nothing from more threads than the disk takes, and
//! because a flood of work then waits in line instead of eating the machine. The line needs no
//! limit of its own: each piece of work has a session that waits for it, and sessions are counted.
//!
//! Of the threads that have nothing to do, the one that worked last is woken: its stack and its
//! part of the memory are still in the processor's cache, and where there is little work the other
//! threads never get any memory of their own.

use std::collections::VecDeque;
use std::io;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};

use tokio::sync::oneshot;
use tracing::{Span, error};

/// A fixed pool of threads. They end when the last of its clones is gone and the line is empty.
#[derive(Debug, Clone)]
pub struct Pool {
    entrance: Arc<Entrance>,
}

/// Held by all clones; the line closes when it goes.
#[derive(Debug)]
struct Entrance {
    line: Arc<Line>,
}

#[derive(Debug, Default)]
struct Line {
    waiting: Mutex<Waiting>,
    panics: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    work: VecDeque<Box<dyn FnOnce() + Send>>,
    /// Threads that sleep; the last one fell asleep last.
    idle: Vec<Thread>,
    closed: bool,
}

impl Pool {
    /// A pool of so many threads, named `name-N`.
    ///
    /// # Panics
    /// If the system gives no threads; pools are made when a daemon starts.
    #[must_use]
    pub fn new(name: &str, threads: NonZeroUsize) -> Self {
        Self::open(name, threads).expect("a daemon that starts may have its threads")
    }

    /// The same while a daemon runs.
    ///
    /// # Errors
    /// The system gives not as many threads; those that it gave end.
    pub fn open(name: &str, threads: NonZeroUsize) -> io::Result<Self> {
        let line = Arc::new(Line::default());
        let pool = Self { entrance: Arc::new(Entrance { line: Arc::clone(&line) }) };
        for number in 0..threads.get() {
            let line = Arc::clone(&line);
            thread::Builder::new().name(format!("{name}-{number}")).spawn(move || line.work())?;
        }
        Ok(pool)
    }

    /// Does blocking work on a thread of the pool, and logs within the caller's span. `None`: the
    /// work panicked; that was counted and logged, and its caller has to answer as for any other
    /// trouble of ours.
    ///
    /// The work stands in line at once, whenever its result is waited for, and is done even if
    /// nobody waits for it any more.
    pub fn run<T, Work>(&self, work: Work) -> impl Future<Output = Option<T>> + use<T, Work>
    where
        T: Send + 'static,
        Work: FnOnce() -> T + Send + 'static,
    {
        self.run_ahead(|| (work(), || {}))
    }

    /// As [`run`](Self::run), for work of which a part need not be waited for: what it returns
    /// behind its result is called once the result was handed over.
    pub fn run_ahead<T, Rest, Work>(
        &self,
        work: Work,
    ) -> impl Future<Output = Option<T>> + use<T, Rest, Work>
    where
        T: Send + 'static,
        Rest: FnOnce(),
        Work: FnOnce() -> (T, Rest) + Send + 'static,
    {
        let (done, result) = oneshot::channel();
        let span = Span::current();
        self.entrance.line.push(Box::new(move || {
            let _entered = span.entered();
            let (value, rest) = work();
            // Nobody may be waiting any more.
            let _ = done.send(value);
            rest();
        }));
        async { result.await.ok() }
    }

    /// How often work has panicked.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.entrance.line.panics.load(Ordering::Relaxed)
    }
}

impl Line {
    fn push(&self, work: Box<dyn FnOnce() + Send>) {
        let idle = {
            let mut waiting = self.lock();
            waiting.work.push_back(work);
            waiting.idle.pop()
        };
        if let Some(thread) = idle {
            thread.unpark();
        }
    }

    /// What each thread does.
    fn work(&self) {
        while let Some(work) = self.next() {
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                self.panics.fetch_add(1, Ordering::Relaxed);
                error!(pool = thread::current().name(), "work of the pool panicked");
            }
        }
    }

    fn next(&self) -> Option<Box<dyn FnOnce() + Send>> {
        let own = thread::current();
        loop {
            let mut waiting = self.lock();
            // It may have woken without a word.
            waiting.idle.retain(|thread| thread.id() != own.id());
            if let Some(work) = waiting.work.pop_front() {
                return Some(work);
            }
            if waiting.closed {
                return None;
            }
            waiting.idle.push(own.clone());
            drop(waiting);
            thread::park();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entrance {
    fn drop(&mut self) {
        let mut waiting = self.line.lock();
        waiting.closed = true;
        waiting.idle.drain(..).for_each(|thread| thread.unpark());
    }
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Waiting({}, closed: {})", self.work.len(), self.closed)
    }
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn pool(threads: usize) -> Pool {
        Pool::new("test", NonZeroUsize::new(threads).unwrap())
    }

    #[tokio::test]
    async fn a_panic_is_counted_and_the_thread_goes_on() {
        let pool = pool(1);
        assert_eq!(pool.run(|| 1).await, Some(1));
        assert_eq!(pool.run(|| -> u8 { panic!("as the test wants it") }).await, None);
        assert_eq!(pool.run(|| 2).await, Some(2));
        assert_eq!(pool.panics(), 1);
    }

    #[tokio::test]
    async fn nobody_waits_for_the_rest() {
        let pool = pool(1);
        let (open, gate) = mpsc::channel::<()>();
        let (told, rest) = mpsc::channel();
        let work = move || {
            let rest = move || {
                gate.recv().unwrap();
                told.send("done").unwrap();
            };
            ("ahead", rest)
        };
        assert_eq!(pool.run_ahead(work).await, Some("ahead"));
        assert!(rest.try_recv().is_err());
        open.send(()).unwrap();
        assert_eq!(rest.recv(), Ok("done"));
    }

    #[tokio::test]
    async fn no_more_works_at_once_than_there_are_threads() {
        let pool = pool(2);
        let (sender, started) = mpsc::channel();
        let (open, gate) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let all: Vec<_> = (0..5)
            .map(|_| {
                let (pool, sender, gate) = (pool.clone(), sender.clone(), Arc::clone(&gate));
                tokio::spawn(async move {
                    pool.run(move || {
                        sender.send(()).unwrap();
                        gate.lock().unwrap().recv().unwrap();
                    })
                    .await
                })
            })
            .collect();
        while pool.entrance.line.lock().work.len() < 3 {
            tokio::task::yield_now().await;
        }
        started.recv().unwrap();
        started.recv().unwrap();
        assert!(started.try_recv().is_err(), "two threads, two at work");
        for _ in 0..5 {
            open.send(()).unwrap();
        }
        for one in all {
            assert_eq!(one.await.unwrap(), Some(()));
        }
    }

    #[tokio::test]
    async fn who_worked_last_works_next() {
        let pool = pool(3);
        let name = || thread::current().name().map(str::to_owned);
        let all_are_idle = || pool.entrance.line.lock().idle.len() == 3;
        let mut workers = Vec::new();
        for _ in 0..5 {
            while !all_are_idle() {
                tokio::task::yield_now().await;
            }
            workers.push(pool.run(name).await.unwrap());
        }
        assert!(workers.iter().all(|name| *name == workers[0]), "{workers:?}");
    }

    #[tokio::test]
    async fn the_threads_end_with_the_last_clone() {
        let pool = pool(3);
        let line = Arc::downgrade(&pool.entrance.line);
        drop(pool.clone());
        assert_eq!(pool.run(|| 1).await, Some(1));
        drop(pool);
        while line.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    }
}
