//! A session, a stream, a backend: the one loop that joins them.
//!
//! STARTTLS injection, pipelining, timeouts, shutdown and news are decided here, once. An idle
//! session holds no buffers: input is read into a thread's buffer and handed on, output is
//! dropped when it was sent.
//!
//! Before a session is parked the stream is read until it has nothing: plaintext that TLS has
//! already decrypted makes no socket readable, and a session that parked over it would sleep for
//! ever. What only the active phase needs (the backend's work, a handshake) is boxed, so that the
//! future of a parked session stays small.

mod socket;
mod stream;

use std::cell::RefCell;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use mail_proto::{Ended, Session, Step};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub(crate) use socket::Socket;
use stream::Origin;
pub use stream::Stream;

use crate::tls::Acceptor;

/// What answers a session's questions.
pub trait Backend<S: Session>: Send {
    /// Does what was asked.
    fn perform(&mut self, request: S::Request) -> impl Future<Output = S::Answer> + Send;

    /// Waits for news. Polled only while the session listens; must be cancel-safe.
    fn news(&mut self) -> impl Future<Output = S::Answer> + Send {
        pending()
    }
}

/// What a conversation needs besides its session, stream and backend.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// For STARTTLS on connections that were accepted.
    pub tls: Option<Acceptor>,
    /// For STARTTLS on connections that we made.
    pub connect_tls: Option<crate::tls::Connector>,
    /// Cancelled when the daemon stops.
    pub stop: CancellationToken,
    /// How long the peer may take to read a piece of what is written.
    pub write_patience: Duration,
}

/// How a conversation came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It closed; the stream is shut down.
    Closed,
    /// The session said `Done`: another one takes over. All output was sent.
    Done,
    /// The peer went away without a word.
    Vanished,
}

/// Output above this is sent even though the session has more to say: a FETCH of a whole mailbox
/// must not gather in memory.
const SEND_ABOVE: usize = 256 << 10;

/// How long a TLS handshake may take.
pub(crate) const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(30);

/// How long a peer that was told goodbye may take to hang up.
const LINGER: Duration = Duration::from_secs(2);

/// The same while the daemon stops.
const LINGER_STOPPING: Duration = Duration::from_millis(200);

/// Carries a conversation to its end. On an error the session is left as it was, so that its
/// owner can ask it what was under way.
///
/// # Errors
/// The peer takes no output within its patience (`TimedOut`), TLS cannot be agreed on, or the
/// connection broke in an unusual way; a peer that just goes is [`Outcome::Vanished`].
pub fn converse<'a, S: Session, B: Backend<S>>(
    session: &'a mut S,
    stream: &'a mut Stream,
    backend: &'a mut B,
    surroundings: &'a Surroundings,
) -> impl Future<Output = io::Result<Outcome>> {
    // A block, because an `async fn` keeps room for its arguments twice.
    let mut conversation = Conversation { session, stream, backend, surroundings, out: Vec::new() };
    async move {
        match conversation.rounds().await {
            Err(error) if is_departure(&error) => Ok(Outcome::Vanished),
            ended => ended,
        }
    }
}

/// All of a conversation, in one place: what is lent to each of its futures is one reference.
struct Conversation<'a, S, B> {
    session: &'a mut S,
    stream: &'a mut Stream,
    backend: &'a mut B,
    surroundings: &'a Surroundings,
    /// What the peer shall read; without memory while the session is parked.
    out: Vec<u8>,
}

impl<S: Session, B: Backend<S>> Conversation<'_, S, B> {
    async fn rounds(&mut self) -> io::Result<Outcome> {
        loop {
            match self.session.step(&mut self.out) {
                Step::Ask(request) => {
                    if self.out.len() > SEND_ABOVE {
                        self.send().await?;
                    }
                    let answer = Box::pin(self.backend.perform(request)).await;
                    self.session.answer(answer);
                }
                Step::Read => {
                    self.send().await?;
                    if self.hear().await? == Heard::End {
                        return Ok(Outcome::Vanished);
                    }
                }
                Step::StartTls => {
                    self.send().await?;
                    self.out = Vec::new();
                    let tls = Box::pin(start_tls(self.stream, self.surroundings)).await?;
                    self.session.secured(tls);
                }
                Step::Done => {
                    self.send().await?;
                    return Ok(Outcome::Done);
                }
                Step::Close => {
                    Box::pin(close(self.stream, &self.out, self.surroundings)).await?;
                    return Ok(Outcome::Closed);
                }
            }
        }
    }

    /// Sends what has gathered, and keeps the buffer for more.
    async fn send(&mut self) -> io::Result<()> {
        if !self.out.is_empty() {
            // Boxed: it holds a timer, and a parked session would hold its room.
            Box::pin(self.stream.write(&self.out, self.surroundings.write_patience)).await?;
            self.out.clear();
        }
        Ok(())
    }

    /// Waits until there is something to tell the session, and tells it.
    async fn hear(&mut self) -> io::Result<Heard> {
        let Self { session, stream, backend, surroundings, out } = self;
        if surroundings.stop.is_cancelled() {
            session.end(Ended::Shutdown);
            return Ok(Heard::Something);
        }
        let now = poll_fn(|cx| Poll::Ready(poll_receive(*session, stream, cx))).await;
        if let Poll::Ready(heard) = now {
            return heard;
        }
        *out = Vec::new();
        let (listens, patience) = (session.listens(), session.patience());
        tokio::select! {
            biased;
            () = surroundings.stop.cancelled() => session.end(Ended::Shutdown),
            news = backend.news(), if listens => session.answer(news),
            heard = poll_fn(|cx| poll_receive(*session, stream, cx)) => return heard,
            () = sleep(patience) => session.end(Ended::Timeout),
        }
        Ok(Heard::Something)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Heard {
    /// The session was told something.
    Something,
    /// The peer says no more.
    End,
}

thread_local! {
    /// Where input is read to before a session takes it: one for all sessions of a thread.
    static INPUT: RefCell<Vec<u8>> = RefCell::new(vec![0; 256 << 10]);
}

/// Reads once, and hands what came to the session.
fn poll_receive<S: Session>(
    session: &mut S,
    stream: &mut Stream,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Heard>> {
    INPUT.with_borrow_mut(|buffer| {
        let size = stream.read_size().min(buffer.len());
        let mut read = ReadBuf::new(buffer.get_mut(..size).unwrap_or_default());
        ready!(Pin::new(stream).poll_read(cx, &mut read))?;
        if read.filled().is_empty() {
            return Poll::Ready(Ok(Heard::End));
        }
        session.receive(read.filled());
        Poll::Ready(Ok(Heard::Something))
    })
}

async fn start_tls(
    stream: &mut Stream,
    surroundings: &Surroundings,
) -> io::Result<mail_proto::Secured> {
    let handshake = async {
        match (stream.origin(), &surroundings.tls, &surroundings.connect_tls) {
            (Origin::Accepted, Some(acceptor), _) => stream.accept_tls(acceptor).await,
            (Origin::Connected(_), _, Some(connector)) => stream.connect_tls(connector).await,
            _ => Err(io::Error::other("the session began TLS where there is none")),
        }
    };
    timeout(HANDSHAKE_PATIENCE, handshake).await??;
    stream.secured().ok_or_else(|| io::Error::other("TLS agreed on nothing"))
}

/// Says goodbye. A peer that no longer listens is no error here: both sides wanted to end.
async fn close(stream: &mut Stream, out: &[u8], around: &Surroundings) -> io::Result<()> {
    let patience = around.write_patience;
    let farewell = async {
        stream.write(out, patience).await?;
        timeout(patience, stream.shutdown()).await??;
        linger(stream, if around.stop.is_cancelled() { LINGER_STOPPING } else { LINGER }).await;
        Ok(())
    };
    match farewell.await {
        Err(error) if is_departure(&error) => Ok(()),
        ended => ended,
    }
}

/// Reads on for a moment: closing a socket with unread input makes the kernel send a reset, and
/// a reset takes the goodbye away from a peer that has not read it yet.
async fn linger(stream: &mut Stream, patience: Duration) {
    if matches!(stream.origin(), Origin::Connected(_)) {
        return;
    }
    let until_end = async {
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await.is_ok_and(|count| count > 0) {}
    };
    let _ = timeout(patience, until_end).await;
}

/// Whether this is how a connection looks whose peer just went away.
fn is_departure(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::BrokenPipe
            | Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::UnexpectedEof
            | Kind::NotConnected
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
