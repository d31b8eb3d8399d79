//! Stands between two daemons on a Unix socket and breaks what goes through.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What befalls one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Both ends are cut off after so many bytes from the client.
    CutRequest(usize),
    /// Both ends are cut off after so many bytes from the server.
    CutReply(usize),
    /// Everything arrives, a byte at a time.
    Dribble,
}

/// A proxy; ends with the test's process.
#[derive(Debug)]
pub struct Proxy {
    faults: Arc<Mutex<VecDeque<Fault>>>,
    carried: Carried,
}

/// Bytes that went from clients and from servers.
type Carried = Arc<[AtomicUsize; 2]>;

impl Proxy {
    /// Listens at `at` and passes on to `to`: the first connection with the first fault, and so on;
    /// when none is left, as things are.
    ///
    /// # Errors
    /// Of the socket.
    pub fn start(at: &Path, to: &Path, faults: &[Fault]) -> io::Result<Self> {
        let listener = UnixListener::bind(at)?;
        let faults = Arc::new(Mutex::new(VecDeque::from(faults.to_vec())));
        let (left, to): (_, PathBuf) = (Arc::clone(&faults), to.to_owned());
        let carried = Carried::default();
        let counts = Arc::clone(&carried);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let fault = left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let (to, counts) = (to.clone(), Arc::clone(&counts));
                thread::spawn(move || pass_on(&client, &to, fault, &counts));
            }
        });
        Ok(Self { faults, carried })
    }

    /// How many faults have not befallen anybody yet.
    #[must_use]
    pub fn left(&self) -> usize {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How many bytes went from clients to servers, and back.
    #[must_use]
    pub fn carried(&self) -> [usize; 2] {
        self.carried.each_ref().map(|count| count.load(Ordering::Relaxed))
    }
}

fn pass_on(
    client: &UnixStream,
    to: &Path,
    fault: Option<Fault>,
    [requests, replies]: &[AtomicUsize; 2],
) -> io::Result<()> {
    let server = UnixStream::connect(to)?;
    let limit = |count: Option<usize>| count.unwrap_or(usize::MAX);
    let (request, reply) = match fault {
        Some(Fault::CutRequest(count)) => (limit(Some(count)), limit(None)),
        Some(Fault::CutReply(count)) => (limit(None), limit(Some(count))),
        Some(Fault::Dribble) | None => (limit(None), limit(None)),
    };
    let piece = if fault == Some(Fault::Dribble) { 1 } else { 16384 };
    thread::scope(|scope| {
        scope.spawn(|| carry(client, &server, request, piece, requests));
        carry(&server, client, reply, piece, replies)
    })
}

/// Carries bytes one way until they end, or until there were `limit`: then nothing goes on in
/// either direction.
fn carry(
    mut from: &UnixStream,
    mut to: &UnixStream,
    limit: usize,
    piece: usize,
    carried: &AtomicUsize,
) -> io::Result<()> {
    let mut left = limit;
    let mut buffer = vec![0; piece];
    while left > 0 {
        let most = left.min(piece);
        let count = from.read(buffer.get_mut(..most).unwrap_or_default()).unwrap_or(0);
        if count == 0 {
            return to.shutdown(Shutdown::Write);
        }
        if to.write_all(buffer.get(..count).unwrap_or_default()).is_err() {
            break;
        }
        left -= count;
        carried.fetch_add(count, Ordering::Relaxed);
        if piece == 1 {
            // Who reads shall have read it before the next one comes.
            thread::yield_now();
        }
    }
    from.shutdown(Shutdown::Both)?;
    to.shutdown(Shutdown::Both)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_cut_where_they_shall() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let (at, to) = (folder.path().join("at"), folder.path().join("to"));
        let echo = UnixListener::bind(&to)?;
        thread::spawn(move || {
            for stream in echo.incoming().flatten() {
                thread::spawn(move || io::copy(&mut &stream, &mut &stream));
            }
        });
        let faults = [Fault::CutRequest(3), Fault::CutReply(2), Fault::Dribble];
        let proxy = Proxy::start(&at, &to, &faults)?;
        let mut replies = Vec::new();
        for _ in 0..4 {
            let mut stream = UnixStream::connect(&at)?;
            let _ = stream.write_all(b"hello");
            let _ = stream.shutdown(Shutdown::Write);
            let mut reply = String::new();
            let _ = stream.read_to_string(&mut reply);
            replies.push(reply);
        }
        assert!(replies[0].len() <= 3 && "hello".starts_with(&replies[0]), "{replies:?}");
        assert_eq!(replies[1..], ["he", "hello", "hello"]);
        assert_eq!(proxy.left(), 0);
        Ok(())
    }
}
